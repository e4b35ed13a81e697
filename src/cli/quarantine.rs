//! `rosterd quarantine`: rows held back from a site.

use clap::{Args, Subcommand};
use rosterd::capture::follow::now_us;
use rosterd::config::Config;
use rosterd::ops::admin::{self, Failure, Request};
use rosterd::ops::text::Page;
use rosterd::ops::{history, history_text};

use super::{Cli, Exit, instructed, print, stored};

/// Rows that are held back from a site, and what is done about them
#[derive(Args)]
#[command(after_help = "Examples:\n  rosterd quarantine list\n  rosterd quarantine show nj:17\n  rosterd quarantine retry nj:17")]
pub struct Quarantine {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// All of them, the oldest first; exit code 1 when there are any
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One of them, with what can be done
    Show {
        /// Its name in the list: SITE:NUMBER
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let it go to its site again, after the cause has been mended
    Retry {
        /// Its name in the list: SITE:NUMBER
        name: String,
    },
    /// Give up a site's own row that stands apart: the merged row replaces it there
    Discard {
        /// Its name in the list: SITE:NUMBER
        name: String,
    },
}

impl Quarantine {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        match &self.what {
            What::Retry { name } => instructed(&config, Request::Retry { name: name.clone() }).await,
            What::Discard { name } => instructed(&config, Request::Discard { name: name.clone() }).await,
            What::List { json } => match held_back(&config).await {
                Err(exit) => exit,
                Ok(quarantine) => {
                    match json {
                        true => print::json(&quarantine),
                        false => print::out(&history_text::quarantine(&quarantine, Page::stdout(), now_us())),
                    }
                    if quarantine.rows.is_empty() { Exit::Fine } else { Exit::BadNews }
                }
            },
            What::Show { name, json } => match held_back(&config).await.map(|all| all.rows.into_iter().find(|row| row.name == *name)) {
                Err(exit) => exit,
                Ok(None) => Exit::Usage(format!("no row is held back under the name {name}; `rosterd quarantine list` has the names")),
                Ok(Some(row)) => {
                    match json {
                        true => print::json(&row),
                        false => print::out(&history_text::held_back(&row, now_us())),
                    }
                    Exit::BadNews
                }
            },
        }
    }
}

async fn held_back(config: &Config) -> Result<history::Quarantine, Exit> {
    match admin::ask(&config.daemon.state_dir, &Request::Quarantine).await {
        Ok(quarantine) => Ok(quarantine),
        Err(Failure::NotRunning(_)) => history::quarantine(&stored(config)?).map_err(|error| Exit::Unreachable(error.to_string())),
        Err(error) => Err(Exit::Unreachable(error.to_string())),
    }
}
