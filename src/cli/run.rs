//! `rosterd run`: the daemon.

use std::io::IsTerminal;
use std::sync::Arc;

use clap::Args;
use rosterd::config::Config;
use rosterd::daemon::{self, Daemon, Failure, Reload};
use rosterd::ops::check::Report;
use rosterd::ops::check_text;
use rosterd::ops::text::Page;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::log::Format;
use super::{Cli, Exit, check, log, progress, service};

/// Copy what the sites have, then follow their logs until SIGTERM
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rosterd run --config ./rosterd.toml\n  rosterd run --log-format json\n\nProves the configuration first, as `rosterd check` does, and refuses on errors; a client that does not answer is waited for.\nROSTERD_LOG=debug logs more. A line that repeats itself is logged five times, then once a minute. SIGTERM and Ctrl-C finish the batches in hand and stop; SIGHUP reads the configuration again."
)]
pub struct Run {
    /// How to log; if not given: journald under systemd, else lines for people
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,
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
        log::start(self.log_format());
        let heard =
            || Ok::<_, std::io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?));
        let (mut terminate, mut interrupt, mut hung_up) = match heard() {
            Ok(signals) => signals,
            Err(error) => return Exit::Unreachable(format!("the system's signals can't be heard: {error}")),
        };
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
        let mut daemon = tokio::select! {
            () = &mut stopped => return Exit::Fine,
            started = started(config.clone(), self.log_format()) => match started {
                Ok(daemon) => daemon,
                Err(exit) => return exit,
            },
        };
        let mut config = config;
        while let Some(next) = self.replicate(cli, daemon, &mut hung_up, &mut stopped).await {
            daemon = match Daemon::start(next.clone()).await {
                Ok(daemon) => {
                    config = next;
                    daemon
                }
                Err(failure) => {
                    tracing::error!("the new configuration is not used, and the one before goes on: {failure}");
                    match Daemon::start(config.clone()).await {
                        Ok(daemon) => daemon,
                        Err(failure) => return refusal(failure),
                    }
                }
            };
        }
        Exit::Fine
    }

    fn log_format(&self) -> Format {
        self.log_format.unwrap_or_else(Format::guessed)
    }

    /// Gives the configuration to begin anew with; None: it was told to stop.
    async fn replicate(
        &self,
        cli: &Cli,
        daemon: Arc<Daemon>,
        hung_up: &mut Signal,
        stopped: &mut (impl Future<Output = ()> + Unpin),
    ) -> Option<Config> {
        let bars = std::io::stderr().is_terminal() && self.log_format() == Format::Human;
        let surfaces = [tokio::spawn(service::notify(daemon.clone())), tokio::spawn(progress::show(daemon.clone(), bars))];
        let reloads = daemon.reloads();
        let running = daemon.run();
        tokio::pin!(running);
        let next = tokio::select! {
            () = &mut running => None,
            () = stopped => {
                tracing::info!("stopping");
                service::stopping();
                daemon.stop();
                running.await;
                None
            }
            next = reloaded(cli, hung_up, reloads) => {
                tracing::info!("the configuration was read again; beginning anew with it");
                daemon.stop();
                running.await;
                Some(next)
            }
        };
        for surface in surfaces {
            surface.abort();
            // What it holds of the daemon has to be gone before another one takes the state directory.
            let _ = surface.await;
        }
        if next.is_none() {
            tracing::info!("stopped");
        }
        next
    }
}

/// Resolves with the next configuration, when SIGHUP or a command asks for it and nothing is wrong with it.
async fn reloaded(cli: &Cli, hung_up: &mut Signal, asked: Option<mpsc::Receiver<Reload>>) -> Config {
    let mut asked = asked;
    loop {
        let reply = tokio::select! {
            _ = hung_up.recv() => None,
            Some(reply) = async { match &mut asked { Some(asked) => asked.recv().await, None => std::future::pending().await } } => Some(reply),
        };
        match proven(cli).await {
            Ok(config) => {
                let sites: Vec<&str> = config.sites.iter().map(|site| site.name.as_str()).collect();
                let text = format!("rosterd begins anew with its configuration; the sites are {}", sites.join(", "));
                reply.map(|reply| reply.send(Ok(text)));
                return config;
            }
            Err(text) => {
                tracing::error!("the configuration was read again and is not used: {text}");
                reply.map(|reply| reply.send(Err(format!("the running daemon goes on as it was: {text}"))));
            }
        }
    }
}

/// The configuration as it is now, when `check` finds no error in it.
async fn proven(cli: &Cli) -> Result<Config, String> {
    let config = Config::load(&cli.config).map_err(|error| error.to_string())?;
    let report = check::report(&config).await;
    if report.has_errors() {
        return Err(format!("`rosterd check` has errors\n{}", check_text::render(&report, Page { columns: 100, colours: false }, false)));
    }
    if report.unreachable().contains(&config.sites[0].name.as_str()) {
        return Err("the hub does not answer, so nothing is proven; ask again when it does".into());
    }
    Ok(config)
}

fn refusal(failure: Failure) -> Exit {
    match failure {
        Failure::Site(error) => Exit::Unreachable(error.to_string()),
        error => Exit::Usage(error.to_string()),
    }
}

/// Proves the configuration, then opens the ledger.
async fn started(config: Config, log_format: Format) -> Result<Arc<Daemon>, Exit> {
    let report = check::report(&config).await;
    match log_format {
        Format::Json | Format::Journald => log_findings(&report),
        Format::Human => eprint!("{}", check_text::render(&report, Page { columns: 100, colours: false }, false)),
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
    Daemon::start(config).await.map_err(refusal)
}

fn log_findings(report: &Report) {
    for site in &report.sites {
        for line in site.findings.iter().filter(|line| line.level != "fine") {
            tracing::warn!(site = site.site, level = line.level, subject = line.subject, remedy = line.remedy, "{}", line.text);
        }
    }
}
