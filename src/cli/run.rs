//! `rosterd run`: the daemon.

use std::io::IsTerminal;
use std::sync::Arc;

use clap::Args;
use rosterd::config::Config;
use rosterd::daemon::{self, Daemon, Failure};
use rosterd::ops::check::Report;
use rosterd::ops::check_text;
use rosterd::ops::text::Page;
use tokio::signal::unix::{SignalKind, signal};

use super::{Cli, Exit, check, log, progress, service};

/// Copy what the sites have, then follow their logs until SIGTERM
#[derive(Args)]
#[command(
    after_help = "Example:\n  rosterd run --config ./rosterd.toml\n\nProves the configuration first, as `rosterd check` does, and refuses on errors; a client that does not answer is waited for.\nROSTERD_LOG=debug logs more. SIGTERM and Ctrl-C finish the batches in hand and stop."
)]
pub struct Run {
    /// Log as JSON lines
    #[arg(long)]
    log_json: bool,
    /// Once, after the ledger was lost or an old copy was put back: make a new one from what the sites have
    #[arg(long)]
    rebuild: bool,
}

impl Run {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        log::start(self.log_json);
        let told_to_stop = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => return Exit::Unreachable(format!("the system's signals can't be heard: {error}")),
        };
        let (mut terminate, mut interrupt) = told_to_stop;
        let stopped = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        tokio::pin!(stopped);
        if self.rebuild {
            match daemon::begin_rebuild(&config.daemon.state_dir) {
                Ok(aside) => {
                    let kept = aside.map_or_else(String::new, |path| format!("; the one that was there is {}", path.display()));
                    tracing::warn!("the ledger is made anew from what the sites have, as at a first copy{kept}");
                }
                Err(error) => return Exit::Unreachable(error.to_string()),
            }
        }
        let daemon = tokio::select! {
            () = &mut stopped => return Exit::Fine,
            started = started(config, self.log_json) => match started {
                Ok(daemon) => daemon,
                Err(exit) => return exit,
            },
        };
        self.replicate(daemon, stopped).await;
        Exit::Fine
    }

    async fn replicate(&self, daemon: Arc<Daemon>, stopped: impl Future<Output = ()>) {
        let bars = std::io::stderr().is_terminal() && !self.log_json;
        let surfaces = [tokio::spawn(service::notify(daemon.clone())), tokio::spawn(progress::show(daemon.clone(), bars))];
        let running = daemon.run();
        tokio::pin!(running);
        tokio::select! {
            () = &mut running => {}
            () = stopped => {
                tracing::info!("stopping");
                service::stopping();
                daemon.stop();
                running.await;
            }
        }
        surfaces.iter().for_each(|surface| surface.abort());
        tracing::info!("stopped");
    }
}

/// Proves the configuration, then opens the ledger.
async fn started(config: Config, log_json: bool) -> Result<Arc<Daemon>, Exit> {
    let report = check::report(&config).await;
    match log_json {
        true => log_findings(&report),
        false => eprint!("{}", check_text::render(&report, Page { columns: 100, colours: false }, false)),
    }
    if report.is_only_held() {
        return Err(Exit::Unreachable("rosterd does not start: another one works on these sites".into()));
    }
    if report.has_errors() {
        return Err(Exit::Usage("rosterd does not start: mend the errors above, and prove it with `rosterd check`".into()));
    }
    let unreachable = report.unreachable();
    if unreachable.contains(&config.sites[0].name.as_str()) {
        return Err(Exit::Unreachable("rosterd does not start: the hub does not answer".into()));
    }
    Daemon::start(config).await.map_err(|failure| match failure {
        Failure::Site(error) => Exit::Unreachable(error.to_string()),
        error => Exit::Usage(error.to_string()),
    })
}

fn log_findings(report: &Report) {
    for site in &report.sites {
        for line in site.findings.iter().filter(|line| line.level != "fine") {
            tracing::warn!(site = site.site, level = line.level, subject = line.subject, remedy = line.remedy, "{}", line.text);
        }
    }
}
