//! How long it takes until a change can be seen at the other sites, looked at from the outside.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Trouble;
use super::database::Database;
use super::say::span;
use super::sites::DemoSite;

const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Every lag that was measured.
#[derive(Clone, Default)]
pub struct Lags(Arc<Mutex<Vec<Duration>>>);

impl Lags {
    pub fn add(&self, lag: Duration) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(lag);
    }

    /// How many, p50, p99, worst.
    pub fn summary(&self) -> Option<(usize, Duration, Duration, Duration)> {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        all.sort_unstable();
        let at = |percent: usize| all[(all.len() * percent / 100).min(all.len() - 1)];
        all.last().map(|worst| (all.len(), at(50), at(99), *worst))
    }
}

/// Somebody who looks at a site's database.
pub struct Eye {
    pub site: String,
    pub db: Database,
}

impl Eye {
    pub async fn at(site: &DemoSite) -> Result<Eye, Trouble> {
        Ok(Eye { site: site.name.clone(), db: site.open().await? })
    }

    /// Waits until the query's first cell is `expected`, and gives the time since `since`.
    pub async fn sees(&mut self, query: &str, expected: &str, since: Instant, deadline: Duration) -> Result<Duration, Trouble> {
        loop {
            let found = self.db.cell(query).await?;
            let waited = since.elapsed();
            if found == expected {
                return Ok(waited);
            }
            if waited > deadline {
                return Err(Trouble(format!(
                    "{} has not seen it after {}: `{query}` gives '{found}' there, '{expected}' was expected",
                    self.site,
                    span(waited)
                )));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The time until all of them see it: for each its name and the lag.
pub async fn seen_by(
    eyes: Vec<&mut Eye>,
    query: &str,
    expected: &str,
    since: Instant,
    deadline: Duration,
) -> Result<Vec<(String, Duration)>, Trouble> {
    let looks = eyes.into_iter().map(|eye| async move {
        let lag = eye.sees(query, expected, since, deadline).await?;
        Ok((eye.site.clone(), lag))
    });
    futures_util::future::try_join_all(looks).await
}
