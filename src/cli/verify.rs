//! `rosterd verify`: every site's rows compared with the ledger.

use std::io::IsTerminal;

use clap::Args;
use rosterd::config::Config;
use rosterd::daemon::verify;
use rosterd::ops::admin::{self, Request};
use rosterd::ops::text::Page;
use rosterd::ops::verify::{Pace, Progress, TableVerification, Verification};
use rosterd::ops::verify_text;

use super::{Cli, Exit, print, progress};

/// Rows asked to be put back in one request.
const REPAIR_ROWS_MAX: usize = 1000;

/// Compare every row of every site with the ledger
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rosterd verify --site nj\n  rosterd verify --repair\n\nDatabases make checksums where they can; rows are read only where these differ. Nothing is locked; a row that differs is looked at again before it is reported. `verify_every` has the daemon do it by itself.\nExit code: 0 no row differs, 1 some do."
)]
pub struct Verify {
    /// This site only
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Have the running daemon put back what the ledger has, where rows differ
    #[arg(long)]
    repair: bool,
    /// Rows compared at each site in a second, at most; 0: as fast as it goes [default: verify_rows_per_second_max]
    #[arg(long, value_name = "N")]
    rows_per_second: Option<u32>,
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
            let names: Vec<&str> = config.sites.iter().map(|site| site.name.as_str()).collect();
            return Exit::Usage(format!("there is no site {name}; the sites are {}", names.join(", ")));
        }
        let verification = match self.verify(&config).await {
            Ok(verification) => verification,
            Err(exit) => return exit,
        };
        match self.json {
            true => print::json(&verification),
            false => print::out(&verify_text::render(&verification, Page::stdout(), self.repair)),
        }
        if verification.different() == 0 {
            return Exit::Fine;
        }
        if self.repair {
            for table in verification.tables.iter().filter(|table| table.different > 0) {
                if let Err(exit) = repair(&config, table).await {
                    return exit;
                }
            }
        }
        Exit::BadNews
    }

    async fn verify(&self, config: &Config) -> Result<Verification, Exit> {
        let pace = match self.rows_per_second {
            Some(rows) => Pace { rows_per_second_max: Some(rows).filter(|rows| *rows > 0), ..verify::pace(config) },
            None => verify::pace(config),
        };
        let so_far = Progress::default();
        let verified = tokio::select! {
            verified = verify::verify(config, self.site.as_deref(), pace, &so_far) => verified,
            never = progress::show_verification(&so_far, std::io::stderr().is_terminal()) => match never {},
        };
        progress::clear();
        verified.map_err(|failure| Exit::Unreachable(failure.to_string()))
    }
}

async fn repair(config: &Config, found: &TableVerification) -> Result<(), Exit> {
    let mut asked = 0;
    for keys in found.keys.chunks(REPAIR_ROWS_MAX) {
        let keys: Vec<String> = keys.iter().map(rosterd::model::Key::to_hex).collect();
        asked += keys.len();
        let request = Request::Repair { site: found.site.clone(), table: found.table.clone(), keys };
        admin::ask::<()>(&config.daemon.state_dir, &request).await.map_err(|error| match error {
            admin::Failure::NotRunning(_) => {
                Exit::Unreachable(format!("{error}; --repair needs the running daemon: start it with `rosterd run`"))
            }
            admin::Failure::Refused(text) => Exit::Usage(text),
            error => Exit::Unreachable(error.to_string()),
        })?;
    }
    eprintln!(
        "Site {}, table {}: {asked} rows are put back as the ledger has them; what they were is in `rosterd conflicts`.",
        found.site, found.table
    );
    Ok(())
}
