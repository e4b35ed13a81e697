//! Commands: one file each. They print, and give the exit code: 0 fine, 1 the answer is bad news, 2 usage or configuration,
//! 3 something can't be reached.

mod demo;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// See it work: three sites made up for the purpose, people at work in them, half a minute
    Demo(demo::Demo),
    /// Copy, then follow: the daemon
    Run(run::Run),
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
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the system has threads to give");
    let exit = runtime.block_on(async {
        match &cli.command {
            Command::Demo(command) => command.run().await,
            Command::Run(command) => command.run(&cli).await,
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
    fn load(&self) -> Result<rosterd::config::Config, Exit> {
        rosterd::config::Config::load(&self.config).map_err(|error| Exit::Usage(error.to_string()))
    }
}
