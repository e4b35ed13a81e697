//! `rosterd status`: how every site is doing.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use rosterd::capture::follow::now_us;
use rosterd::config::Config;
use rosterd::ops::admin::{self, Failure, Request};
use rosterd::ops::status::Status as Answer;
use rosterd::ops::text::{Page, wrapped};

use super::screen::Screen;
use super::{Cli, Exit, print, stored};

/// How every site is doing; of a stopped daemon from its ledger
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rosterd status --watch\n  rosterd status --watch --interval 5 >> status.log\n\nExit code: 0 all is well, 1 something needs an operator, or the daemon does not run."
)]
pub struct Status {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Again and again, until q or Ctrl-C: in place on a terminal, else one after the other
    #[arg(long)]
    watch: bool,
    /// Seconds in between
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600), requires = "watch")]
    interval: u64,
}

impl Status {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let mut screen = if self.watch && !self.json { Screen::open() } else { None };
        loop {
            let status = match current(&config).await {
                Ok(status) => status,
                Err(exit) => return exit,
            };
            match &screen {
                Some(screen) => screen.show(&page(&status)),
                None if self.json => print::json(&status),
                None => print::out(&page(&status)),
            }
            if !self.watch {
                return how(&status);
            }
            let left = async {
                match &mut screen {
                    Some(screen) => screen.left().await,
                    None => std::future::pending().await,
                }
            };
            if tokio::time::timeout(Duration::from_secs(self.interval), left).await.is_ok() {
                return how(&status);
            }
        }
    }
}

fn how(status: &Answer) -> Exit {
    if status.news.is_empty() { Exit::Fine } else { Exit::BadNews }
}

/// On a terminal no line is longer than it; elsewhere a sentence is a line.
fn page(status: &Answer) -> String {
    let page = Page::stdout();
    let text = rosterd::ops::status_text::render(status, page);
    if std::io::stdout().is_terminal() { wrapped(&text, page.columns.into()) } else { text }
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
