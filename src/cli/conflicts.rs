//! `rosterd conflicts`: what was decided, and which values lost.

use clap::Args;
use rosterd::ops::admin::{self, Failure, Request};
use rosterd::ops::text::Page;
use rosterd::ops::{history, history_text};

use super::{Cli, Exit, print, stored};

/// The conflicts that were decided: when, where, who won, and which columns lost
#[derive(Args)]
#[command(after_help = "Example:\n  rosterd conflicts --table users --limit 10\n\nExit code: 0 none are kept, 1 there are some.")]
pub struct Conflicts {
    /// Of this shared table only
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// The latest so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Show the values that lost, those of secret columns excepted
    #[arg(long)]
    show_values: bool,
}

impl Conflicts {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let request = Request::Conflicts { table: self.table.clone(), limit: self.limit, values: self.show_values };
        let conflicts: history::Conflicts = match admin::ask(&config.daemon.state_dir, &request).await {
            Ok(conflicts) => conflicts,
            Err(Failure::NotRunning(_)) => {
                match stored(&config).map(|ledger| history::conflicts(&ledger, self.table.as_deref(), self.limit, self.show_values)) {
                    Ok(Ok(conflicts)) => conflicts,
                    Ok(Err(error)) => return Exit::Unreachable(error.to_string()),
                    Err(exit) => return exit,
                }
            }
            Err(error) => return Exit::Unreachable(error.to_string()),
        };
        match self.json {
            true => print::json(&conflicts),
            false => print::out(&history_text::conflicts(&conflicts, Page::stdout())),
        }
        if conflicts.conflicts.is_empty() { Exit::Fine } else { Exit::BadNews }
    }
}
