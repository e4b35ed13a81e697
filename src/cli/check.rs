//! `rosterd check`: the configuration proved against the live databases.

use clap::Args;
use rosterd::config::Config;
use rosterd::daemon::{self, LEDGER_FILE};
use rosterd::model::SiteId;
use rosterd::ops::check::{self, Report};
use rosterd::ops::check_text;
use rosterd::ops::text::Page;

use super::{Cli, Exit, print};

/// Prove the configuration against the live databases; each finding comes with what mends it
#[derive(Args)]
#[command(
    after_help = "Example:\n  rosterd check --config ./rosterd.toml\n\nExit code: 0 fine or warnings only, 1 errors, 2 the configuration is wrong, 3 a site does not answer."
)]
pub struct Check {
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let report = report(&config).await;
        match self.json {
            true => print::json(&report),
            false => print::out(&check_text::render(&report, Page::stdout(), true)),
        }
        match (report.has_errors(), report.unreachable().as_slice()) {
            (true, _) => Exit::BadNews,
            (false, []) => Exit::Fine,
            (false, sites) => Exit::Unreachable(format!("can't reach {}", sites.join(", "))),
        }
    }
}

pub async fn report(config: &Config) -> Report {
    let connect = |(at, site)| daemon::connect(SiteId(at as u16 + 1), site, &config.daemon);
    let connectors = config.sites.iter().enumerate().map(connect).collect();
    // Whoever holds the directory's lock holds the sites' locks too.
    let alone = daemon::is_free(&config.daemon.state_dir);
    check::check(config, connectors, &config.daemon.state_dir.join(LEDGER_FILE), alone).await
}
