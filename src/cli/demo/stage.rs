//! Where the story takes place: one application and one onlooker at each site, and the words for what they see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Trouble;
use super::database::{Database, Engine};
use super::lag::{Eye, Lags, seen_by};
use super::say::{Say, span};
use super::sites::Demo;

/// How long a change may take to be seen before something is wrong.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Stage {
    pub say: Say,
    pub demo: Arc<Demo>,
    pub applications: Vec<Database>,
    pub eyes: Vec<Eye>,
    pub lags: Lags,
    /// Between two scenes, for whoever reads along.
    pub pause: Duration,
}

impl Stage {
    pub async fn set(say: Say, demo: Arc<Demo>, pause: Duration) -> Result<Stage, Trouble> {
        let (mut applications, mut eyes) = (Vec::new(), Vec::new());
        for site in &demo.sites {
            applications.push(site.open().await?);
            eyes.push(Eye::at(site).await?);
        }
        Ok(Stage { say, demo, applications, eyes, lags: Lags::default(), pause })
    }

    pub fn name(&self, site: usize) -> &str {
        &self.demo.sites[site].name
    }

    pub fn engine(&self, site: usize) -> Engine {
        self.demo.sites[site].engine
    }

    /// The second client where there is one.
    pub fn last(&self) -> usize {
        self.demo.sites.len().min(3) - 1
    }

    pub async fn commit(&mut self, site: usize, statements: &[String]) -> Result<(), Trouble> {
        let committed = self.applications[site].transaction(statements).await;
        committed.map_err(|Trouble(text)| Trouble(format!("the application at {} failed: {text}", self.name(site))))
    }

    /// Somebody does something at a site; told with the time until the others see it.
    pub async fn act(&mut self, site: usize, text: &str, transactions: &[Vec<String>], query: &str, expected: &str) -> Result<(), Trouble> {
        for statements in transactions {
            self.commit(site, statements).await?;
        }
        let seen = self.seen_elsewhere(&[site], query, expected, Instant::now()).await;
        let seen = seen.map_err(|Trouble(cause)| Trouble(format!("{text}: {cause}")))?;
        self.say.done(text, &lags(&seen));
        tokio::time::sleep(self.pause).await;
        Ok(())
    }

    /// Two applications commit at the same moment: neither has seen what the other wrote, as both still hold their locks.
    pub async fn act_at_once(&mut self, a: (usize, &[String]), b: (usize, &[String])) -> Result<Instant, Trouble> {
        self.applications[a.0].begin(a.1).await?;
        self.applications[b.0].begin(b.1).await?;
        self.applications[a.0].commit().await?;
        self.applications[b.0].commit().await?;
        Ok(Instant::now())
    }

    /// Waits until the sites other than `but` see it, and counts the lags.
    pub async fn seen_elsewhere(
        &mut self,
        but: &[usize],
        query: &str,
        expected: &str,
        since: Instant,
    ) -> Result<Vec<(String, Duration)>, Trouble> {
        let eyes = self.eyes.iter_mut().enumerate().filter(|(at, _)| !but.contains(at)).map(|(_, eye)| eye).collect();
        let seen = seen_by(eyes, query, expected, since, DEADLINE).await?;
        seen.iter().for_each(|(_, lag)| self.lags.add(*lag));
        Ok(seen)
    }
}

/// `hub 8 ms, forum 9 ms`; for many sites the longest only.
pub fn lags(seen: &[(String, Duration)]) -> String {
    if seen.len() > 2 {
        return format!("everywhere {}", span(seen.iter().map(|(_, lag)| *lag).max().unwrap_or_default()));
    }
    seen.iter().map(|(site, lag)| format!("{site} {}", span(*lag))).collect::<Vec<_>>().join(", ")
}
