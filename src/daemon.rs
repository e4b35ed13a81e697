//! The composition root: which tasks there are, who talks to whom, and how it all stops.
//!
//! Each site has a session (see `session`): its log is followed, its tables are scanned, and two lanes apply what it is owed.
//! Sites on one server share a log reader (`readers`). All meet in the ledger's thread. A session that fails is begun anew with
//! backoff; the others go on.

mod decide;
mod guard;
mod identity;
mod listen;
mod operate;
mod probes;
mod readers;
mod rekey;
mod samples;
mod session;
mod upkeep;
pub mod verify;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::apply::lane::Repeats;
use crate::capture::follow::now_us;
use crate::capture::health::{Health, State};
use crate::capture::lock;
use crate::capture::reconcile::Repairs;
use crate::config::{Config, Endpoint, SiteConfig};
use crate::ledger::{self, FuseLimits, Handle, Ledger, Mode, Shared};
use crate::model::{SiteId, Table, TableId};
use crate::ops::admin;
use crate::ops::samples::Samples;
use crate::ops::verify::{Progress, Verification};
use crate::resolve::{Known, Roster, SiteView};
use crate::sites::binding::{Plan, PlannedTable};
use crate::sites::{self, Finding, Level, Site};

pub use readers::Readers;
pub use session::Failure as SessionFailure;

/// Name of the ledger in the state directory.
pub const LEDGER_FILE: &str = "ledger.sqlite";

/// How long sessions may take to finish the batches in hand when the daemon stops.
const STOP_MAX: Duration = Duration::from_secs(4);
/// And the ledger then, to put its log into its file.
const PUT_AWAY_MAX: Duration = Duration::from_secs(5);
/// And to be closed, when another daemon begins in the same process.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// Why the daemon can't run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Site(#[from] sites::Error),
    #[error("the state directory {path} can't be used: {cause}; create it for the daemon's user, or set state_dir")]
    StateDir { path: String, cause: String },
    #[error("{}", .0.iter().map(|(site, finding)| describe(site, finding)).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<(String, Finding)>),
}

fn describe(site: &str, finding: &Finding) -> String {
    let remedy = finding.remedy.as_ref().map_or(String::new(), |remedy| format!("; {remedy}"));
    format!("site {site}, {}: {}{remedy}", finding.subject, finding.text)
}

/// One configured site and how it is doing.
pub struct Member {
    pub id: SiteId,
    pub config: SiteConfig,
    pub site: Arc<dyn Site>,
    pub health: Arc<Health>,
    pub paused: watch::Sender<bool>,
    /// What an operator wants its tables to be compared as.
    wanted: Mutex<Option<Mode>>,
    /// Ends its session, or the pause after one, so that it is begun anew at once.
    again: Notify,
    definitions: Mutex<session::Definitions>,
    /// After-apply statements to be run once more.
    repeats: Arc<Repeats>,
    /// Rows to be put back as the ledger has them.
    pub(crate) repairs: Arc<Repairs>,
}

impl Member {
    fn new(id: SiteId, config: &SiteConfig, daemon: &crate::config::Daemon, paused: bool) -> Arc<Member> {
        let site = connect(id, config, daemon);
        let health = Arc::new(Health::default());
        health.figures().address = site.address();
        let (config, paused) = (config.clone(), watch::Sender::new(paused));
        let (wanted, again, definitions) = (Mutex::default(), Notify::new(), Mutex::default());
        let repeats = Arc::new(Repeats::new(daemon.after_apply_repeat));
        Arc::new(Member { id, config, site, health, paused, wanted, again, definitions, repeats, repairs: Arc::default() })
    }

    /// Begins its session anew.
    pub(crate) fn again(&self) {
        self.again.notify_one();
    }

    /// Has its tables compared with the ledger, in a new session, whichever database it is by now.
    pub(crate) fn ask_reconcile(&self, mode: Mode) {
        *lock(&self.wanted) = Some(mode);
        self.again();
    }

    fn wanted(&self) -> Option<Mode> {
        *lock(&self.wanted)
    }

    fn satisfied(&self) {
        *lock(&self.wanted) = None;
    }
}

/// Somebody wants the configuration to be read again, and waits for what comes of it.
pub type Reload = oneshot::Sender<Result<String, String>>;

/// A running daemon, for those who ask it and for those who stop it.
pub struct Daemon {
    pub config: Config,
    pub ledger: Handle,
    pub members: Vec<Arc<Member>>,
    pub plan: Mutex<Vec<(PlannedTable, Arc<Table>)>>,
    pub started_us: i64,
    readers: Readers,
    identities: Mutex<identity::Identities>,
    owed: Arc<Notify>,
    progressed: Arc<Notify>,
    stopping: watch::Sender<bool>,
    /// The ledger has turned out to be an old copy: nothing is read or written by it.
    outdated: AtomicBool,
    reloads: mpsc::Sender<Reload>,
    reloads_asked: Mutex<Option<mpsc::Receiver<Reload>>>,
    /// What the last verification has found.
    verified: Mutex<Option<Verification>>,
    /// How far the one is that is under way.
    verifying: Mutex<Option<Arc<Progress>>>,
    /// The last hour, by site.
    samples: Mutex<Samples>,
}

/// The engine's connector for a configured site: the one place where engines are told apart.
pub fn connect(id: SiteId, config: &SiteConfig, daemon: &crate::config::Daemon) -> Arc<dyn Site> {
    match config.endpoint {
        Endpoint::MySql(_) => sites::mysql::site(id, config, daemon),
        Endpoint::Postgres(_) => sites::postgres::site(id, config, daemon),
        Endpoint::Sqlite { .. } => sites::sqlite::site(id, config, daemon),
    }
}

impl Daemon {
    /// Opens the ledger, waits for the hub, and settles which tables are shared. Nothing is replicated yet: see [`Daemon::run`].
    pub async fn start(config: Config) -> Result<Arc<Daemon>, Failure> {
        let lock = free_state_dir(&config.daemon.state_dir).await?;
        let mut ledger = Ledger::open(&config.daemon.state_dir.join(LEDGER_FILE))?;
        let names: Vec<&str> = config.sites.iter().map(|site| site.name.as_str()).collect();
        let ids = ledger.register_sites(&names)?;
        let mut members = Vec::with_capacity(ids.len());
        for (id, site) in ids.into_iter().zip(&config.sites) {
            members.push(Member::new(id, site, &config.daemon, ledger.is_paused(id)?));
        }
        let descriptions = members[0].site.describe().await?;
        let plan = Plan::new(&config, &descriptions);
        let refused: Vec<_> = plan.problems.iter().filter(|finding| finding.level == Level::Error).collect();
        if !refused.is_empty() {
            return Err(Failure::Refused(refused.into_iter().map(|finding| (config.sites[0].name.clone(), finding.clone())).collect()));
        }
        let tables = bind_ledger(&mut ledger, &members, plan)?;
        let reloads = mpsc::channel(1);
        Ok(Arc::new(Daemon {
            // One daemon works on a state directory, until its ledger is closed.
            ledger: Handle::start(ledger, Some(lock)),
            members,
            plan: Mutex::new(tables),
            started_us: now_us(),
            readers: Readers::default(),
            identities: Mutex::default(),
            owed: Arc::new(Notify::new()),
            progressed: Arc::new(Notify::new()),
            stopping: watch::Sender::new(false),
            outdated: AtomicBool::new(false),
            reloads: reloads.0,
            reloads_asked: Mutex::new(Some(reloads.1)),
            verified: Mutex::default(),
            verifying: Mutex::default(),
            samples: Mutex::default(),
            config,
        }))
    }

    /// Replicates until [`Daemon::stop`].
    pub async fn run(self: &Arc<Daemon>) {
        let mut tasks = tokio::task::JoinSet::new();
        let (end_admin, admin_ends) = oneshot::channel::<()>();
        let admin = match admin::listen(&self.config.daemon.state_dir) {
            Ok(listener) => Some(tokio::spawn(admin::serve(listener, self.clone(), async { _ = admin_ends.await }))),
            Err(error) => {
                tracing::error!(%error, "the admin socket can't be made: `rosterd status` tells from the ledger only");
                None
            }
        };
        for member in &self.members {
            tasks.spawn(self.clone().keep(member.clone()));
        }
        tasks.spawn(self.clone().forget_old());
        tasks.spawn(self.clone().keep_verifying());
        if let Some(listen) = self.config.daemon.listen.clone() {
            tasks.spawn(self.clone().keep_sampling());
            tasks.spawn(listen::serve(self.clone(), listen));
        }
        while tasks.join_next().await.is_some() {}
        if let Some(admin) = admin {
            let _ = std::fs::remove_file(self.config.daemon.state_dir.join(admin::SOCKET_FILE));
            drop(end_admin);
            let _ = admin.await;
        }
        // A disk that takes nothing any more does not keep the daemon.
        if let Ok(Err(error)) = tokio::time::timeout(PUT_AWAY_MAX, self.ledger.put_away()).await {
            tracing::warn!(%error, "the ledger was not put away; it goes on from what it has");
        }
    }

    /// What is asked by `rosterd site add`: for whoever runs the daemon, once.
    pub fn reloads(&self) -> Option<mpsc::Receiver<Reload>> {
        lock(&self.reloads_asked).take()
    }

    /// Lets each site finish the batch in hand, and ends [`Daemon::run`].
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub(crate) async fn stopped(&self) {
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    pub fn member(&self, name: &str) -> Option<&Arc<Member>> {
        self.members.iter().find(|member| member.config.name == name)
    }

    /// Wakes whoever waits for rows to apply or tables to scan: something was settled from outside.
    pub fn wake(&self) {
        self.owed.notify_waiters();
        self.progressed.notify_waiters();
    }

    /// Keeps one site's session going: begins it anew after each failure, with backoff.
    async fn keep(self: Arc<Daemon>, member: Arc<Member>) {
        let backoff = || {
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(250))
                .with_max_delay(Duration::from_secs(30))
                .with_jitter()
                .without_max_times()
                .build()
        };
        let mut delays = backoff();
        loop {
            let begun = tokio::time::Instant::now();
            let failure = tokio::select! {
                biased;
                failure = session::run(&self, &member) => failure,
                () = self.given_up() => return,
            };
            if *self.stopping.borrow() {
                return;
            }
            if begun.elapsed() > Duration::from_secs(60) {
                delays = backoff();
            }
            let Some(failure) = failure else { continue };
            let stopped = failure.is_final();
            let state = if stopped { State::Stopped } else { State::Retrying };
            member.health.failed(state, failure.cause(), &failure, now_us());
            let delay = if stopped { Duration::from_secs(60) } else { delay(failure.is_away(), delays.next()) };
            let retry_ms = delay.as_millis() as u64;
            tracing::warn!(site = member.config.name, cause = failure.cause(), error = %failure, retry_ms, "the site's session ended");
            tokio::select! {
                () = self.stopped() => return,
                () = member.again.notified() => {}
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// Resolves when sessions have had their time to finish what they have in hand. A batch cut off is settled after the next start.
    async fn given_up(&self) {
        self.stopped().await;
        tokio::time::sleep(STOP_MAX).await;
    }

    /// Keeps the history of conflicts to its days.
    async fn forget_old(self: Arc<Daemon>) {
        let keep_us = i64::from(self.config.daemon.conflict_days) * 86_400_000_000;
        loop {
            let _ = self.ledger.call(move |ledger| ledger.forget_conflicts(now_us() - keep_us)).await;
            crate::crash_point!("ledger.shortened", "");
            tokio::select! {
                () = self.stopped() => return,
                () = tokio::time::sleep(Duration::from_secs(3600)) => {}
            }
        }
    }
}

/// Registers the planned tables in the ledger and hands it the policies.
fn bind_ledger(ledger: &mut Ledger, members: &[Arc<Member>], plan: Plan) -> Result<Vec<(PlannedTable, Arc<Table>)>, Failure> {
    let mut by_name: Vec<&Arc<Member>> = members[1..].iter().collect();
    by_name.sort_by_key(|member| &member.config.name);
    let ranks: HashMap<SiteId, u16> =
        std::iter::once(&members[0]).chain(by_name).enumerate().map(|(rank, member)| (member.id, rank as u16)).collect();
    let (mut shared, mut tables) = (Vec::new(), Vec::new());
    for planned in plan.tables {
        let names: Vec<String> = planned.columns.iter().map(|column| column.name.clone()).collect();
        let (id, columns) = ledger.register_table(&planned.name, &planned.key, &names)?;
        let table = Arc::new(planned.table(id, &columns));
        let has: Vec<bool> = columns.iter().map(|column| names.contains(column)).collect();
        let view = |member: &Arc<Member>| SiteView {
            id: member.id,
            rank: ranks[&member.id],
            has: has.clone(),
            known: Known::Unknown { generation: 1, restored: 0 },
        };
        let roster = Roster { sites: members.iter().map(view).collect() };
        let filter = planned.filter.clone();
        let fuse = FuseLimits { rows: planned.rule.fuse_rows, percent: planned.rule.fuse_percent };
        shared.push(Shared { fuse, ..Shared::new(table.clone(), planned.policy(&table), filter, roster) });
        tables.push((planned, table));
    }
    for (at, (planned, _)) in tables.iter().enumerate() {
        shared[at].references = references(planned, &tables, at);
    }
    ledger.bind(shared)?;
    Ok(tables)
}

/// The columns of a table by which its rows belong to those of another: each holds the whole key of one.
fn references(planned: &PlannedTable, tables: &[(PlannedTable, Arc<Table>)], at: usize) -> Vec<(usize, TableId)> {
    let declared = planned.rule.references.iter().flatten();
    let reference = |(column, target): (&String, &String)| {
        let (parent, parent_column) = target.split_once('.')?;
        let (parent_planned, parent) = tables.iter().find(|(planned, _)| planned.name == parent)?;
        (parent_planned.key == [parent_column.to_owned()]).then_some(())?;
        Some((tables[at].1.column(column)?, parent.id))
    };
    declared.filter_map(reference).collect()
}

/// Puts the ledger aside, where there is one, for a new one that is made from what the sites have. Gives where it is now.
pub fn begin_rebuild(state_dir: &Path) -> Result<Option<PathBuf>, Failure> {
    let _lock = lock_state_dir(state_dir)?;
    let failed = |cause: std::io::Error| Failure::StateDir { path: state_dir.display().to_string(), cause: cause.to_string() };
    let ledger = state_dir.join(LEDGER_FILE);
    let mut aside = None;
    if ledger.exists() {
        let seconds = now_us() / 1_000_000;
        let name = format!("{LEDGER_FILE}.until-{seconds}");
        for suffix in ["", "-wal", "-shm"] {
            let from = state_dir.join(format!("{LEDGER_FILE}{suffix}"));
            if from.exists() {
                std::fs::rename(from, state_dir.join(format!("{name}{suffix}"))).map_err(failed)?;
            }
        }
        aside = Some(state_dir.join(name));
    }
    Ledger::open(&ledger)?.set_rebuilt()?;
    Ok(aside)
}

/// Whether no daemon works on the state directory.
pub fn is_free(state_dir: &Path) -> bool {
    std::fs::File::open(state_dir.join("lock")).map_or(true, |lock| lock.try_lock().is_ok())
}

/// Until a session that has ended is begun anew; `drawn`: what has been drawn for it. Looking for a server that is away costs nobody
/// anything, and one that is back should not wait to be noticed.
fn delay(is_away: bool, drawn: Option<Duration>) -> Duration {
    const AWAY_MAX: Duration = Duration::from_secs(2);
    let drawn = drawn.unwrap_or(Duration::from_secs(30));
    if is_away { drawn.min(AWAY_MAX) } else { drawn }
}

/// The ledger as its file has it now, for reading: of a stopped daemon, or beside a running one.
pub fn stored_ledger(config: &Config) -> ledger::Result<Ledger> {
    let mut ledger = Ledger::open_read_only(&config.daemon.state_dir.join(LEDGER_FILE))?;
    ledger.bind_registered(&config.tables)?;
    Ok(ledger)
}

/// As [`lock_state_dir`], when the one before, in this process, is closing its ledger still.
async fn free_state_dir(path: &Path) -> Result<std::fs::File, Failure> {
    let until = tokio::time::Instant::now() + CLOSE_MAX;
    loop {
        match lock_state_dir(path) {
            Err(Failure::Ledger(ledger::Error::InUse { .. })) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            taken => return taken,
        }
    }
}

/// Makes the state directory where it is missing, and takes it for as long as the file is kept.
pub fn lock_state_dir(path: &Path) -> Result<std::fs::File, Failure> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let failed = |cause: std::io::Error| Failure::StateDir { path: path.display().to_string(), cause: cause.to_string() };
    if !path.exists() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    }
    let lock: PathBuf = path.join("lock");
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(lock).map_err(failed)?;
    file.try_lock().map_err(|_| ledger::Error::InUse { path: path.join(LEDGER_FILE).display().to_string() })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::Cause;

    fn after(cause: Cause, drawn: Duration) -> Duration {
        delay(SessionFailure::Site(sites::Error::new(cause, "nj", "it ended")).is_away(), Some(drawn))
    }

    #[test]
    fn a_server_that_is_back_is_noticed_soon() {
        let drawn = Duration::from_secs(47);
        assert_eq!(after(Cause::Unreachable, drawn), Duration::from_secs(2));
        assert_eq!(after(Cause::Disconnected, Duration::from_millis(300)), Duration::from_millis(300));
        assert_eq!(after(Cause::Credentials, drawn), drawn, "a server may lock an account with many failed logins");
    }
}
