//! `rosterd conflicts`: what was decided, which values lost, and how to put them back.

use clap::{Args, Subcommand};
use rosterd::config::Config;
use rosterd::ops::admin::{self, Failure, Request};
use rosterd::ops::text::Page;
use rosterd::ops::{history, history_text};

use super::{Cli, Exit, instructed, print, stored};

/// The conflicts that were decided: when, where, who won and why, and which columns lost
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  rosterd conflicts --table users --limit 10\n  rosterd conflicts show 17 --show-values\n  rosterd conflicts undo 17\n\n\
                  Exit code: 0 none are kept, 1 there are some."
)]
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
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// One conflict: what met, who won and by which rule
    #[command(after_help = "Example:\n  rosterd conflicts show 17 --show-values")]
    Show {
        /// Its number in the list
        number: i64,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Show the values that lost, those of secret columns excepted
        #[arg(long)]
        show_values: bool,
    },
    /// Put the values that lost back, as a change made now: they go to every site
    #[command(
        after_help = "Example:\n  rosterd conflicts undo 17\n\nRefused where the row has been deleted, or where another row has that value of a unique key by now."
    )]
    Undo {
        /// Its number in the list
        number: i64,
    },
}

impl Conflicts {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        match &self.what {
            None => self.list(&config).await,
            Some(What::Show { number, json, show_values }) => show(&config, *number, *json, *show_values).await,
            Some(What::Undo { number }) => instructed(&config, Request::Undo { number: *number }).await,
        }
    }

    async fn list(&self, config: &Config) -> Exit {
        let request = Request::Conflicts { table: self.table.clone(), limit: self.limit, values: self.show_values };
        let conflicts: history::Conflicts = match admin::ask(&config.daemon.state_dir, &request).await {
            Ok(conflicts) => conflicts,
            Err(Failure::NotRunning(_)) => {
                match stored(config).map(|ledger| history::conflicts(&ledger, self.table.as_deref(), self.limit, self.show_values)) {
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

async fn show(config: &Config, number: i64, json: bool, values: bool) -> Exit {
    let conflict: history::Conflict = match admin::ask(&config.daemon.state_dir, &Request::Conflict { number, values }).await {
        Ok(conflict) => conflict,
        Err(Failure::NotRunning(_)) => match stored(config).map(|ledger| history::one_conflict(&ledger, number, values)) {
            Ok(Ok(Some(conflict))) => conflict,
            Ok(Ok(None)) => return Exit::Usage(history::no_such_conflict(number)),
            Ok(Err(error)) => return Exit::Unreachable(error.to_string()),
            Err(exit) => return exit,
        },
        Err(Failure::Refused(text)) => return Exit::Usage(text),
        Err(error) => return Exit::Unreachable(error.to_string()),
    };
    match json {
        true => print::json_versioned(&conflict),
        false => print::out(&history_text::conflict(&conflict)),
    }
    Exit::Fine
}
