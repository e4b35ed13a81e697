//! `rosterd status`: how every site is doing.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use rosterd::capture::follow::now_us;
use rosterd::config::Config;
use rosterd::ops::admin::{self, Failure, Request};
use rosterd::ops::status::Status as Answer;
use rosterd::ops::text::Page;

use super::{Cli, Exit, print, stored};

const WATCH: Duration = Duration::from_secs(1);

/// How every site is doing; of a stopped daemon from its ledger
#[derive(Args)]
#[command(
    after_help = "Example:\n  rosterd status --watch\n\nExit code: 0 all is well, 1 something needs an operator, or the daemon does not run."
)]
pub struct Status {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

impl Status {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        loop {
            let status = match current(&config).await {
                Ok(status) => status,
                Err(exit) => return exit,
            };
            self.show(&status);
            if !self.watch {
                return if status.news.is_empty() { Exit::Fine } else { Exit::BadNews };
            }
            tokio::time::sleep(WATCH).await;
        }
    }

    fn show(&self, status: &Answer) {
        if self.json {
            return print::json(status);
        }
        let clear = if self.watch && std::io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
        print::out(&format!("{clear}{}", rosterd::ops::status_text::render(status, Page::stdout())));
    }
}

/// From the running daemon, or from the ledger.
async fn current(config: &Config) -> Result<Answer, Exit> {
    match admin::ask(&config.daemon.state_dir, &Request::Status).await {
        Ok(status) => Ok(status),
        Err(Failure::NotRunning(_)) => {
            let ledger = stored(config)?;
            Answer::read(&ledger, now_us()).map_err(|error| Exit::Unreachable(error.to_string()))
        }
        Err(error) => Err(Exit::Unreachable(error.to_string())),
    }
}
