//! Commands: one file each. They print, and give the exit code: 0 fine, 1 the answer is bad news, 2 usage or configuration,
//! 3 something can't be reached.

mod check;
mod conflicts;
mod demo;
mod grants;
mod init;
mod inspect;
mod log;
mod print;
mod progress;
mod quarantine;
mod reconcile;
mod run;
mod service;
mod site;
mod status;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rosterd::config::Config;
use rosterd::daemon::LEDGER_FILE;
use rosterd::ledger::{self, Ledger};
use rosterd::ops::admin::{self, Failure, Request};

#[derive(Parser)]
#[command(name = "rosterd", version, about = "One roster of people, many databases", max_term_width = 100)]
pub struct Cli {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/rosterd/rosterd.toml", env = "ROSTERD_CONFIG")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Init(init::Init),
    Check(check::Check),
    Grants(grants::Grants),
    Run(run::Run),
    Status(status::Status),
    Inspect(inspect::Inspect),
    Conflicts(conflicts::Conflicts),
    Quarantine(quarantine::Quarantine),
    Verify(verify::Verify),
    Reconcile(reconcile::Reconcile),
    Site(site::Site),
}

/// How a command ended.
pub enum Exit {
    Fine,
    /// The answer is bad news: differences, lag, conflicts.
    BadNews,
    /// Usage or configuration.
    Usage(String),
    /// Something can't be reached.
    Unreachable(String),
}

pub fn main() -> ExitCode {
    #[cfg(debug_assertions)]
    if let Err(text) = rosterd::crash::check() {
        eprintln!("{text}");
        return ExitCode::from(2);
    }
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the system has threads to give");
    let exit = runtime.block_on(async {
        match &cli.command {
            Command::Demo(command) => command.run().await,
            Command::Init(command) => command.run().await,
            Command::Check(command) => command.run(&cli).await,
            Command::Grants(command) => command.run(&cli).await,
            Command::Run(command) => command.run(&cli).await,
            Command::Status(command) => command.run(&cli).await,
            Command::Inspect(command) => command.run(&cli).await,
            Command::Conflicts(command) => command.run(&cli).await,
            Command::Quarantine(command) => command.run(&cli).await,
            Command::Verify(command) => command.run(&cli).await,
            Command::Reconcile(command) => command.run(&cli).await,
            Command::Site(command) => command.run(&cli).await,
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    match exit {
        Exit::Fine => ExitCode::SUCCESS,
        Exit::BadNews => ExitCode::from(1),
        Exit::Usage(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
        Exit::Unreachable(text) => {
            eprintln!("{text}");
            ExitCode::from(3)
        }
    }
}

impl Cli {
    /// The configuration, or the exit that says what is wrong with it.
    fn load(&self) -> Result<Config, Exit> {
        Config::load(&self.config).map_err(|error| Exit::Usage(error.to_string()))
    }
}

/// The ledger of a daemon that does not run, for reading.
fn stored(config: &Config) -> Result<Ledger, Exit> {
    let unreachable = |error: ledger::Error| Exit::Unreachable(error.to_string());
    let mut ledger = Ledger::open_read_only(&config.daemon.state_dir.join(LEDGER_FILE)).map_err(unreachable)?;
    ledger.bind_registered(&config.tables).map_err(unreachable)?;
    Ok(ledger)
}

/// Has the running daemon do something, and prints what it says.
async fn instructed(config: &Config, request: Request) -> Exit {
    match admin::ask::<String>(&config.daemon.state_dir, &request).await {
        Ok(text) => {
            print::out(&format!("{text}\n"));
            Exit::Fine
        }
        Err(Failure::Refused(text)) => Exit::Usage(text),
        Err(error @ Failure::NotRunning(_)) => {
            Exit::Unreachable(format!("{error}; this needs the running daemon: start it with `rosterd run`"))
        }
        Err(error) => Exit::Unreachable(error.to_string()),
    }
}
