//! Commands: one file each. They print, and give the exit code: 0 fine, 1 the answer is bad news, 2 usage or configuration,
//! 3 something can't be reached.

mod check;
mod completions;
mod conflicts;
mod demo;
#[cfg(test)]
mod documents;
mod grants;
mod init;
mod inspect;
mod limit;
mod log;
mod man;
mod print;
mod progress;
mod quarantine;
mod reconcile;
mod run;
mod screen;
mod service;
mod site;
mod status;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rosterd::config::Config;
use rosterd::daemon::stored_ledger;
use rosterd::ledger::Ledger;
use rosterd::ops::admin::{self, Failure, Request};

#[derive(Parser)]
#[command(name = "rosterd", version, about = "One roster of people, many databases", max_term_width = 100)]
#[command(
    after_help = "Examples:\n  rosterd demo              a look, on made-up databases\n  rosterd init --help       a first configuration\n  rosterd status --watch    how every site is doing"
)]
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
    Completions(completions::Completions),
    Man(man::Man),
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
    rosterd::ops::process::share_memory();
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
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
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
    stored_ledger(config).map_err(|error| Exit::Unreachable(error.to_string()))
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// The command and all below it, by their whole names.
    fn walk(name: String, command: &clap::Command, found: &mut Vec<(String, clap::Command)>) {
        for below in command.get_subcommands() {
            walk(format!("{name} {}", below.get_name()), below, found);
        }
        found.push((name, command.clone()));
    }

    #[test]
    fn every_command_says_what_it_does_and_has_an_example_that_is_right() {
        let mut found = Vec::new();
        walk("rosterd".into(), &Cli::command(), &mut found);
        assert!(found.len() > 20, "{}", found.len());
        for (name, command) in &found {
            assert!(command.get_about().is_some(), "{name} says nothing of itself");
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = after.lines().filter(|line| line.starts_with("  rosterd ")).collect();
            assert!(after.starts_with("Example") && !examples.is_empty(), "{name} has no example");
            assert!(examples.iter().any(|line| line.trim().starts_with(name.as_str())), "{name} has examples of others: {examples:?}");
            for example in examples.iter().filter(|line| !line.ends_with('\\')) {
                // What a shell makes of it, up to a pipe or a remark in a second column.
                let line = example.trim();
                let end = [" > ", " >> ", " | ", "  "].iter().filter_map(|mark| line.find(mark)).min();
                let line = &line[..end.unwrap_or(line.len())];
                let words = line.split(' ').filter(|word| !word.is_empty()).map(|word| word.trim_matches('\''));
                if line.contains('[') {
                    continue;
                }
                let parsed = Cli::command().try_get_matches_from(words);
                let fine = parsed.as_ref().err().is_none_or(|error| error.kind() == clap::error::ErrorKind::DisplayHelp);
                assert!(fine, "{name}: `{line}` is refused: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }
}
