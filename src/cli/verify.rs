//! `rosterd verify`: every site's rows compared with the ledger.

use clap::Args;
use rosterd::config::Config;
use rosterd::daemon;
use rosterd::ops::admin::{self, Request};
use rosterd::ops::text::Page;
use rosterd::ops::verify::{self, Failure, Subject, Verification};
use rosterd::ops::verify_text;
use rosterd::sites::binding::Plan;

use super::{Cli, Exit, print, stored};

/// Compare every row of every site with the ledger
#[derive(Args)]
#[command(
    after_help = "Example:\n  rosterd verify --site nj\n\nNothing is locked; a row that differs is looked at again before it is reported. Exit code: 0 no row differs, 1 some do."
)]
pub struct Verify {
    /// This site only
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Have the running daemon put back what the ledger has, at the sites where rows differ
    #[arg(long)]
    repair: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        if let Some(name) = self.site.as_ref().filter(|name| !config.sites.iter().any(|site| site.name == **name)) {
            return Exit::Usage(format!("there is no site {name}"));
        }
        let verification = match self.verify(&config).await {
            Ok(verification) => verification,
            Err(exit) => return exit,
        };
        match self.json {
            true => print::json(&verification),
            false => print::out(&verify_text::render(&verification, Page::stdout())),
        }
        if verification.different() == 0 {
            return Exit::Fine;
        }
        if self.repair {
            for site in verification.sites() {
                let request = Request::Reconcile { site: site.into(), restored: true };
                match admin::ask::<String>(&config.daemon.state_dir, &request).await {
                    Ok(text) => eprintln!("{text}"),
                    Err(error) => return Exit::Unreachable(error.to_string()),
                }
            }
        }
        Exit::BadNews
    }

    async fn verify(&self, config: &Config) -> Result<Verification, Exit> {
        let ledger = stored(config)?;
        let mut tables = Vec::new();
        let mut plan = Plan::default();
        for (at, site) in config.sites.iter().enumerate() {
            let Some(id) = ledger.site_named(&site.name).map(|record| record.id) else { continue };
            let connector = daemon::connect(id, site, &config.daemon);
            if at == 0 {
                plan = Plan::new(config, &connector.describe().await.map_err(|error| Exit::Unreachable(error.to_string()))?);
            }
            if self.site.as_ref().is_some_and(|name| *name != site.name) {
                continue;
            }
            let subject = Subject { id, config: site.clone(), site: connector };
            let verified = verify::site(&plan, &ledger, &subject, config.daemon.chunk_rows_max, config.daemon.batch_bytes_max * 8).await;
            tables.extend(verified.map_err(|failure: Failure| Exit::Unreachable(failure.to_string()))?);
        }
        Ok(Verification::new(tables))
    }
}
