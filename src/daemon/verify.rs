//! Comparing sites with the ledger: for `rosterd verify`, by the daemon itself now and then, and before a site joins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::{Daemon, connect, is_free, stored_ledger};
use crate::capture::follow::now_us;
use crate::capture::lock;
use crate::config::{Config, SiteConfig};
use crate::model::SiteId;
use crate::ops::joining::{self, Joining};
use crate::ops::verify::{self, Failure, Pace, Progress, Subject, TableVerification, Verification};
use crate::sites::binding::Plan;

/// Compares every site, or the one of that name, each with a connection of its own and all of them at the same time.
pub async fn verify(config: &Config, only: Option<&str>, pace: Pace, progress: &Progress) -> Result<Verification, Failure> {
    let begun = Instant::now();
    let ledger = stored_ledger(config)?;
    let is_followed = !is_free(&config.daemon.state_dir);
    let mut subjects = Vec::new();
    for site in &config.sites {
        if let Some(id) = ledger.site_named(&site.name).map(|record| record.id) {
            subjects.push(Subject { id, config: site.clone(), site: connect(id, site, &config.daemon), is_followed });
        }
    }
    let Some(hub) = subjects.first() else { return Ok(Verification::new(Vec::new(), now_us(), begun.elapsed())) };
    let plan = Plan::new(config, &hub.site.describe().await?);
    let subjects = subjects.iter().filter(|subject| only.is_none_or(|name| subject.config.name == name));
    let described = subjects.map(|subject| async move { Ok::<_, Failure>((subject, subject.site.describe().await?)) });
    let described = try_join_all(described).await?;
    let sums = verify::sums(&plan, stored_ledger(config)?, &described);
    let each = described.iter().map(|(subject, descriptions)| async {
        let ledger = stored_ledger(config)?;
        verify::site(&plan, &ledger, subject, descriptions, &sums, pace, progress).await
    });
    let tables: Vec<TableVerification> = try_join_all(each).await?.into_iter().flatten().collect();
    Ok(Verification::new(tables, now_us(), begun.elapsed()))
}

/// Counts what would happen to the rows of a configured site that is not in the roster yet.
pub async fn joining(config: &Config, name: &str) -> Result<Joining, Failure> {
    let ledger = stored_ledger(config)?;
    let subject = |site: &SiteConfig| {
        let id = SiteId(u16::MAX);
        Subject { id, config: site.clone(), site: connect(id, site, &config.daemon), is_followed: false }
    };
    let plan = Plan::new(config, &subject(&config.sites[0]).site.describe().await?);
    let site = config.sites.iter().find(|site| site.name == name).unwrap_or(&config.sites[0]);
    joining::joining(&plan, &ledger, &subject(site), pace(config)).await
}

/// As the configuration says.
pub fn pace(config: &Config) -> Pace {
    let daemon = &config.daemon;
    let (rows_max, bytes_max) = (daemon.chunk_rows_max, daemon.batch_bytes_max * 8);
    Pace { rows_max, bytes_max, rows_per_second_max: daemon.verify_rows_per_second_max }
}

/// How soon a verification that failed is tried again.
const AGAIN: Duration = Duration::from_secs(300);

impl Daemon {
    /// Verifies every so often, on a thread of its own: comparing millions of rows holds up nothing else.
    pub(super) async fn keep_verifying(self: Arc<Daemon>) {
        let Some(every) = self.config.daemon.verify_every else { return };
        let mut wait = every;
        loop {
            tokio::select! {
                () = self.stopped() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let daemon = self.clone();
            let (done, verified) = tokio::sync::oneshot::channel();
            let thread = std::thread::Builder::new().name("verify".into()).spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let _ = done.send(runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(daemon.verified())));
            });
            let outcome = match thread {
                Ok(_) => verified.await.unwrap_or_else(|_| Err("it was cut off".into())),
                Err(error) => Err(error.to_string()),
            };
            wait = match outcome {
                Ok(Some(verification)) => {
                    tell(&verification);
                    *lock(&self.verified) = Some(verification);
                    every
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(
                        error,
                        "the sites could not be verified; it is tried again in {} s",
                        AGAIN.as_secs().min(every.as_secs())
                    );
                    AGAIN.min(every)
                }
            };
        }
    }

    /// None: the daemon is stopping.
    async fn verified(&self) -> Result<Option<Verification>, String> {
        let progress = Arc::new(Progress::default());
        *lock(&self.verifying) = Some(progress.clone());
        let outcome = tokio::select! {
            () = self.stopped() => Ok(None),
            verified = verify(&self.config, None, pace(&self.config), &progress) => verified.map(Some).map_err(|error| error.to_string()),
        };
        *lock(&self.verifying) = None;
        outcome
    }
}

fn tell(verification: &Verification) {
    for table in verification.tables.iter().filter(|table| table.different > 0) {
        tracing::warn!(
            site = table.site,
            table = table.table,
            rows = table.different,
            "rows differ from the ledger; `rosterd verify` names them, `rosterd verify --repair` puts back what the ledger has"
        );
    }
    let rows: u64 = verification.tables.iter().map(|table| table.rows).sum();
    tracing::info!(rows, seconds = verification.seconds, different = verification.different(), "the sites have been verified");
}
