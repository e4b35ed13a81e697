//! The real daemon, in this process: started, watched and stopped as `rosterd run` does it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rosterd::capture::health::State;
use rosterd::config::Config;
use rosterd::daemon::Daemon;

use super::Trouble;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(10);

pub struct Service {
    pub daemon: Arc<Daemon>,
    running: tokio::task::JoinHandle<()>,
}

impl Service {
    /// Starts it and waits until it follows every site's log.
    pub async fn start(config: &Config) -> Result<Service, Trouble> {
        let until = Instant::now() + START;
        let daemon = Daemon::start(config.clone()).await.map_err(|error| Trouble(format!("the daemon did not start: {error}")))?;
        let running = tokio::spawn({
            let daemon = daemon.clone();
            async move { daemon.run().await }
        });
        let service = Service { daemon, running };
        service.follows(until).await?;
        Ok(service)
    }

    async fn follows(&self, until: Instant) -> Result<(), Trouble> {
        loop {
            let mut waiting = None;
            for member in &self.daemon.members {
                let figures = member.health.figures();
                if figures.state != State::Following {
                    waiting = Some((member.config.name.clone(), figures.state, figures.last_error.clone()));
                }
            }
            let Some((site, state, error)) = waiting else { return Ok(()) };
            if Instant::now() > until || state == State::Stopped {
                let error = error.unwrap_or_else(|| "no error was told".into());
                return Err(Trouble(format!("the daemon does not follow {site}: {error}")));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops it as SIGTERM does: the batch in hand is finished. Gives how long that took.
    pub async fn stop(self) -> Result<Duration, Trouble> {
        let begun = Instant::now();
        self.daemon.stop();
        tokio::time::timeout(STOP, self.running)
            .await
            .map_err(|_| Trouble(format!("the daemon did not stop within {} s", STOP.as_secs())))?
            .map_err(|_| Trouble("the daemon panicked".into()))?;
        Ok(begun.elapsed())
    }

    /// Rows that the daemon holds back from a site, in words.
    pub async fn held_back(&self) -> Result<Vec<String>, Trouble> {
        let records = self.daemon.ledger.call(|ledger| ledger.quarantined()).await.map_err(|error| Trouble(error.to_string()))?;
        let site = |id| self.daemon.members.iter().find(|member| member.id == id).map_or("?", |member| member.config.name.as_str());
        Ok(records
            .iter()
            .map(|record| format!("a row is held back from {}: {} ({})", site(record.site), record.reason, record.kind.name()))
            .collect())
    }

    pub async fn conflicts(&self) -> Result<u64, Trouble> {
        self.daemon.ledger.call(|ledger| ledger.count_conflicts()).await.map_err(|error| Trouble(error.to_string()))
    }

    /// Errors that the sites' sessions met.
    pub fn last_errors(&self) -> Vec<String> {
        let told = |member: &Arc<rosterd::daemon::Member>| {
            member.health.figures().last_error.as_ref().map(|error| format!("{}: {error}", member.config.name))
        };
        self.daemon.members.iter().filter_map(told).collect()
    }
}
