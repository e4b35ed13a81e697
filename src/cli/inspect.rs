//! `rosterd inspect TABLE KEY`: one row's versions.

use clap::Args;
use rosterd::ops::admin::{self, Failure, Request};
use rosterd::ops::inspect::{self, Inspection, Refusal};
use rosterd::ops::inspect_text;
use rosterd::ops::text::Page;

use super::{Cli, Exit, print, stored};

/// What the sites agreed on for one row, and what each site holds or is owed
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rosterd inspect users 42\n  rosterd inspect users_roles 42,3 --json\n  rosterd inspect field_data_bio '[\"user\", 0, 42]' --show-values"
)]
pub struct Inspect {
    /// Name of the shared table
    table: String,
    /// The row's key; several columns with commas between, or as a JSON list
    #[arg(allow_hyphen_values = true)]
    key: String,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Show the columns' values too, those of secret columns excepted
    #[arg(long)]
    show_values: bool,
}

impl Inspect {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let request = Request::Inspect { table: self.table.clone(), key: self.key.clone(), values: self.show_values };
        let row: Option<Inspection> = match admin::ask(&config.daemon.state_dir, &request).await {
            Ok(row) => row,
            Err(Failure::NotRunning(_)) => {
                let ledger = match stored(&config) {
                    Ok(ledger) => ledger,
                    Err(exit) => return exit,
                };
                match inspect::inspect(&ledger, &self.table, &self.key, self.show_values) {
                    Ok(row) => row,
                    Err(Refusal::Usage(text)) => return Exit::Usage(text),
                    Err(Refusal::Ledger(error)) => return Exit::Unreachable(error.to_string()),
                }
            }
            Err(Failure::Refused(text)) => return Exit::Usage(text),
            Err(error) => return Exit::Unreachable(error.to_string()),
        };
        match &row {
            _ if self.json => print::json(&row),
            Some(row) => print::out(&inspect_text::render(row, Page::stdout())),
            None => print::out(&format!("The ledger has no row of {} under this key.\n", self.table)),
        }
        if row.is_some() { Exit::Fine } else { Exit::BadNews }
    }
}
