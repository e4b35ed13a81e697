//! `rosterd run`: the daemon.

use clap::Args;
use rosterd::daemon::{Daemon, Failure};
use tokio::signal::unix::{SignalKind, signal};

use super::{Cli, Exit};

/// Copy what the sites have, then follow their logs until SIGTERM
#[derive(Args)]
pub struct Run {
    /// Log as JSON lines
    #[arg(long)]
    log_json: bool,
}

impl Run {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        self.start_log();
        let daemon = match Daemon::start(config).await {
            Ok(daemon) => daemon,
            Err(Failure::Site(error)) => return Exit::Unreachable(error.to_string()),
            Err(error) => return Exit::Usage(error.to_string()),
        };
        let stopping = daemon.clone();
        tokio::spawn(async move {
            let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else { return };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            stopping.stop();
        });
        daemon.run().await;
        Exit::Fine
    }

    fn start_log(&self) {
        let filter = tracing_subscriber::EnvFilter::try_from_env("ROSTERD_LOG").unwrap_or_else(|_| "info".into());
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
        if self.log_json { log.json().init() } else { log.init() }
    }
}
