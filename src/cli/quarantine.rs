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
#[command(
    after_help = "Examples:\n  rosterd quarantine list\n  rosterd quarantine show nj:17\n  rosterd quarantine retry nj:17\n  rosterd quarantine resolve nj:18 --rekey\n  rosterd quarantine discard nj:19"
)]
pub struct Quarantine {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// All of them, the oldest first; exit code 1 when there are any
    #[command(after_help = "Example:\n  rosterd quarantine list --json")]
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One of them, with what can be done
    #[command(after_help = "Example:\n  rosterd quarantine show nj:17")]
    Show {
        /// Its name in the list: SITE:NUMBER
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let it go to its site again, after the cause has been mended
    #[command(after_help = "Example:\n  rosterd quarantine retry nj:17")]
    Retry {
        /// Its name in the list: SITE:NUMBER
        name: String,
    },
    /// Settle a row that stands apart: it gets a key of its own, or wins
    #[command(
        group = clap::ArgGroup::new("how").required(true),
        after_help = "Examples:\n  rosterd quarantine resolve nj:17 --rekey\n  rosterd quarantine resolve nj:17 --rekey --to 1017 --yes\n  \
                      rosterd quarantine resolve nj:17 --site-wins"
    )]
    Resolve {
        /// Its name in the list: SITE:NUMBER
        name: String,
        /// Another person under the same number: give the row another one at its site, with the rows there that refer to it. Says
        /// what it would do, and does it with --yes
        #[arg(long, group = "how")]
        rekey: bool,
        /// A conflict that was left to you: the site's row goes everywhere
        #[arg(long, group = "how")]
        site_wins: bool,
        /// The new key; a free one if not given
        #[arg(long, value_name = "KEY", requires = "rekey")]
        to: Option<i64>,
        /// Do it
        #[arg(long, requires = "rekey")]
        yes: bool,
    },
    /// Give up a site's own row that stands apart: the merged row replaces it there
    #[command(after_help = "Example:\n  rosterd quarantine discard nj:17")]
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
            What::Resolve { name, rekey: true, to, yes, .. } => {
                instructed(&config, Request::Rekey { name: name.clone(), to: *to, go: *yes }).await
            }
            What::Resolve { name, .. } => instructed(&config, Request::SiteWins { name: name.clone() }).await,
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
                Ok(None) => Exit::Usage(history::no_such_row(name)),
                Ok(Some(row)) => {
                    match json {
                        true => print::json_versioned(&row),
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
