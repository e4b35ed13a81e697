//! `rosterd site`: take one into the roster, pause it, let it go on, take it out.

use clap::{Args, Subcommand};
use rosterd::config::Config;
use rosterd::daemon::{self, LEDGER_FILE};
use rosterd::ledger::Ledger;
use rosterd::model::SiteId;
use rosterd::ops::admin::{self, Failure, Request};
use rosterd::ops::joining_text;
use rosterd::ops::text::Page;

use super::{Cli, Exit, instructed, print, stored};

/// Take a site into the roster, pause it, let it go on, take it out
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rosterd site pause nj\n  rosterd site resume nj --reject\n  rosterd site add nj --dry-run\n  rosterd site remove nj"
)]
pub struct Site {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Neither read the site's log nor write to it, until it is resumed; over restarts too
    #[command(
        after_help = "Example:\n  rosterd site pause nj\n\nNothing that is written there meanwhile is lost, as far as its log reaches back."
    )]
    Pause { name: String },
    /// Let a paused site go on, and its tables that have stopped
    #[command(
        after_help = "Examples:\n  rosterd site resume nj             it was paused\n  rosterd site resume nj --reject    its fuse has blown: the rows are put back there\n  rosterd site resume nj --accept    its fuse has blown: the rows are deleted everywhere\n\nEither way what was done there and elsewhere since is merged."
    )]
    Resume {
        name: String,
        /// Tables that have stopped: what is there now was changed there, and missing rows were deleted there
        #[arg(long, conflicts_with = "reject")]
        accept: bool,
        /// Tables that have stopped: what the ledger has is put back there
        #[arg(long)]
        reject: bool,
    },
    /// Remove what rosterd made at the site, and forget it; the daemon must be stopped
    #[command(after_help = "Examples:\n  rosterd site remove nj\n  rosterd site remove nj --forget-only    its database is gone")]
    Remove {
        name: String,
        /// Leave the database as it is: it is gone, or can't be reached
        #[arg(long)]
        forget_only: bool,
    },
    /// Take a site into the roster that has been put into the configuration: it is compared and copied to while the others go on
    #[command(
        after_help = "Examples:\n  rosterd site add nj --dry-run   counts what would happen to the rows that nj has\n  rosterd site add nj             proves it as `rosterd check` does, then has the running daemon take it in"
    )]
    Add {
        name: String,
        /// Only count what would happen
        #[arg(long)]
        dry_run: bool,
        /// As JSON
        #[arg(long, requires = "dry_run")]
        json: bool,
    },
}

impl Site {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        match &self.what {
            What::Pause { name } => pause(&config, name, Request::Pause { site: name.clone() }).await,
            What::Resume { name, accept, reject } => {
                let accept = (*accept || *reject).then_some(*accept);
                pause(&config, name, Request::Resume { site: name.clone(), accept }).await
            }
            What::Remove { name, forget_only } => remove(&config, name, *forget_only).await,
            What::Add { name, dry_run, json } => add(cli, &config, name, *dry_run, *json).await,
        }
    }
}

/// By the running daemon, or noted in the ledger for the next start.
async fn pause(config: &Config, name: &str, request: Request) -> Exit {
    let paused = matches!(request, Request::Pause { .. });
    match admin::ask::<serde_json::Value>(&config.daemon.state_dir, &Request::Status).await {
        Err(Failure::NotRunning(_)) if !matches!(request, Request::Resume { accept: Some(_), .. }) => {}
        _ => return instructed(config, request).await,
    }
    let (_lock, mut ledger) = match owned(config) {
        Ok(owned) => owned,
        Err(exit) => return exit,
    };
    let Some(site) = ledger.site_named(name).map(|site| site.id) else { return Exit::Usage(format!("the ledger knows no site {name}")) };
    match ledger.set_paused(site, paused) {
        Ok(()) => {
            let then = if paused { "stays paused" } else { "goes on" };
            print::out(&format!("rosterd is not running; at the next start, site {name} {then}\n"));
            Exit::Fine
        }
        Err(error) => Exit::Unreachable(error.to_string()),
    }
}

async fn add(cli: &Cli, config: &Config, name: &str, dry_run: bool, json: bool) -> Exit {
    if !config.sites.iter().any(|site| site.name == name) {
        let file = cli.config.display();
        return Exit::Usage(format!("put [[site]] name = \"{name}\" with its url into {file} first, and prove it with `rosterd check`"));
    }
    let ledger = match stored(config) {
        Ok(ledger) => ledger,
        Err(exit) => return exit,
    };
    if ledger.site_named(name).is_some_and(|record| record.identity.is_some()) {
        return Exit::Usage(format!("site {name} is in the roster already; `rosterd status` shows how it is doing"));
    }
    drop(ledger);
    if !dry_run {
        return instructed(config, Request::Reload).await;
    }
    match daemon::verify::joining(config, name).await {
        Ok(joining) => {
            match json {
                true => print::json(&joining),
                false => print::out(&joining_text::render(&joining, Page::stdout())),
            }
            if joining.unfit.is_empty() { Exit::Fine } else { Exit::BadNews }
        }
        Err(failure) => Exit::Unreachable(failure.to_string()),
    }
}

async fn remove(config: &Config, name: &str, forget_only: bool) -> Exit {
    let configured = config.sites.iter().enumerate().find(|(_, site)| site.name == name);
    if configured.is_some_and(|(at, _)| at == 0) {
        return Exit::Usage(format!("site {name} is the hub: a roster can't be without it"));
    }
    let (_lock, mut ledger) = match owned(config) {
        Ok(owned) => owned,
        Err(exit) => return exit,
    };
    let known = ledger.site_named(name).map(|site| (site.id, site.hub));
    if known.is_none() && configured.is_none() {
        let names: Vec<&str> = ledger.sites().iter().map(|site| site.name.as_str()).collect();
        return Exit::Usage(format!("there is no site {name}; the sites are {}", names.join(", ")));
    }
    if known.is_some_and(|(_, hub)| hub) {
        return Exit::Usage(format!("site {name} is the hub: a roster can't be without it"));
    }
    match configured {
        Some((at, site)) if !forget_only => {
            let connector = daemon::connect(SiteId(at as u16 + 1), site, &config.daemon);
            if let Err(error) = connector.dismantle().await {
                return Exit::Unreachable(format!("{error}\nNothing was forgotten; --forget-only leaves the database as it is."));
            }
            rosterd::crash_point!("remove.dismantled", name);
            print::out(&format!("Removed what rosterd had made at {}.\n", connector.address()));
        }
        Some(_) => {}
        None if forget_only => {}
        None => {
            return Exit::Usage(format!(
                "site {name} is not configured, so its database can't be reached: put it back until it has been removed, or use --forget-only"
            ));
        }
    }
    if let Some((id, _)) = known
        && let Err(error) = ledger.bind_registered(&config.tables).and_then(|()| ledger.forget_site(id))
    {
        return Exit::Unreachable(error.to_string());
    }
    rosterd::crash_point!("remove.forgotten", name);
    print::out(&format!("Forgot site {name}. Its rows stay as they are at its database.\n"));
    if configured.is_some() {
        print::out(&format!("Take [[site]] {name} out of the configuration before rosterd is started again, or it is copied to anew.\n"));
    }
    Exit::Fine
}

/// The ledger of a stopped daemon, to be changed.
fn owned(config: &Config) -> Result<(std::fs::File, Ledger), Exit> {
    let path = config.daemon.state_dir.join(LEDGER_FILE);
    if !path.exists() {
        return Err(Exit::Unreachable(format!("there is no ledger {}: has `rosterd run` been started yet?", path.display())));
    }
    let lock = daemon::lock_state_dir(&config.daemon.state_dir).map_err(|error| match error {
        daemon::Failure::Ledger(rosterd::ledger::Error::InUse { .. }) => {
            Exit::Usage("rosterd is running on this state_dir; stop it first (systemctl stop rosterd)".into())
        }
        error => Exit::Unreachable(error.to_string()),
    })?;
    let ledger = Ledger::open(&path).map_err(|error| Exit::Unreachable(error.to_string()))?;
    Ok((lock, ledger))
}
