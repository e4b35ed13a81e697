//! How each site is doing, as its workers see it: for status, metrics and the page.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;

use super::lag::{Applied, Lags};
use crate::resolve::ConflictKind;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    #[default]
    Starting,
    /// Reading what its log has that the ledger has not.
    CatchingUp,
    Following,
    /// Waiting before the next try, after an error.
    Retrying,
    /// Nothing changes until somebody does something.
    Stopped,
    Paused,
}

#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub state: State,
    pub address: String,
    pub last_error: Option<String>,
    pub error_us: i64,
    pub captured_changes: u64,
    pub applied_rows: u64,
    pub batches: u64,
    /// Conflicts decided, by kind.
    pub conflicts: BTreeMap<&'static str, u64>,
    /// Errors that ended a session, by cause.
    pub errors: BTreeMap<&'static str, u64>,
    pub connects: u64,
    pub failed_statements: u64,
    /// Why an after-apply statement failed last, and when.
    pub failed_statement: Option<(String, i64)>,
    pub heartbeat: Option<Heartbeat>,
    /// When the oldest heartbeat was written that has not come back, microseconds since 1970.
    pub beating_us: Option<i64>,
    /// The last lags from a source's commit to this site's, microseconds, newest last.
    pub lags_us: VecDeque<i64>,
    /// The same since the start, by source and group of tables.
    pub lags: Lags,
    /// Of those, the ones since somebody took them last.
    lately: Lately,
    /// What went wrong last, newest last.
    pub troubles: VecDeque<Trouble>,
}

/// Something that went wrong at the site, once or several times in a row. It holds no values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One word for what kind of error it is.
    pub cause: &'static str,
    pub text: String,
    pub times: u64,
    /// Microseconds since 1970.
    pub first_us: i64,
    pub last_us: i64,
}

/// The lags of some rows, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub median_us: i64,
    pub longest_us: i64,
}

#[derive(Clone, Debug, Default)]
struct Lately {
    lags_us: VecDeque<i64>,
    longest_us: i64,
}

/// Something that was written at the site for this alone, and has come back through its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// From before it was written until capture had come to it.
    pub round_trip_us: i64,
    /// When that was, microseconds since 1970.
    pub heard_us: i64,
}

const LAGS_MAX: usize = 1024;
/// Things gone wrong that are remembered for each site.
const TROUBLES_MAX: usize = 20;
/// What an after-apply statement's failure is called among the causes.
const STATEMENT: &str = "after_apply";

/// Shared between a site's workers and those who ask.
#[derive(Default)]
pub struct Health(Mutex<Figures>);

impl Health {
    pub fn figures(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn enter(&self, state: State) {
        self.figures().state = state;
    }

    /// `cause`: one word for what kind of error it is.
    pub fn failed(&self, state: State, cause: &'static str, error: &dyn std::fmt::Display, now_us: i64) {
        let mut figures = self.figures();
        figures.state = state;
        *figures.errors.entry(cause).or_default() += 1;
        figures.last_error = Some(error.to_string());
        figures.error_us = now_us;
        figures.trouble(cause, error.to_string(), 1, now_us);
    }

    /// A heartbeat is about to be written. False: one has not come back yet.
    pub fn beat(&self, now_us: i64) -> bool {
        let mut figures = self.figures();
        let first = figures.beating_us.is_none();
        figures.beating_us.get_or_insert(now_us);
        first
    }

    pub fn heard(&self, round_trip: Duration, now_us: i64) {
        let mut figures = self.figures();
        figures.beating_us = None;
        figures.heartbeat = Some(Heartbeat { round_trip_us: round_trip.as_micros() as i64, heard_us: now_us });
    }

    /// After-apply statements that the site refused, and why.
    pub fn statements_failed(&self, failed: &[(usize, String)], now_us: i64) {
        let mut figures = self.figures();
        figures.failed_statements += failed.len() as u64;
        if let Some((_, reason)) = failed.last() {
            figures.failed_statement = Some((reason.clone(), now_us));
            figures.trouble(STATEMENT, reason.clone(), failed.len() as u64, now_us);
        }
    }

    /// A batch has been committed at the site.
    pub fn applied(&self, rows: &[Applied], now_us: i64) {
        let mut figures = self.figures();
        figures.batches += 1;
        figures.applied_rows += rows.len() as u64;
        for row in rows.iter().filter(|row| row.committed_us > 0) {
            let lag_us = (now_us - row.committed_us).max(0);
            keep(&mut figures.lags_us, lag_us);
            figures.lags.add(row.source, row.urgent, lag_us);
            keep(&mut figures.lately.lags_us, lag_us);
            figures.lately.longest_us = figures.lately.longest_us.max(lag_us);
        }
    }

    /// The lags of the rows applied since this was asked last; None: there were none whose lag is known.
    pub fn take_lately(&self) -> Option<Spread> {
        let lately = std::mem::take(&mut self.figures().lately);
        let mut lags_us = Vec::from(lately.lags_us);
        lags_us.sort_unstable();
        let median_us = *lags_us.get(lags_us.len() / 2)?;
        Some(Spread { median_us, longest_us: lately.longest_us })
    }
}

fn keep(lags_us: &mut VecDeque<i64>, lag_us: i64) {
    if lags_us.len() == LAGS_MAX {
        lags_us.pop_front();
    }
    lags_us.push_back(lag_us);
}

impl Figures {
    /// What repeats itself counts up.
    fn trouble(&mut self, cause: &'static str, text: String, times: u64, now_us: i64) {
        if let Some(last) = self.troubles.back_mut().filter(|last| last.cause == cause && last.text == text) {
            (last.times, last.last_us) = (last.times + times, now_us);
            return;
        }
        if self.troubles.len() == TROUBLES_MAX {
            self.troubles.pop_front();
        }
        self.troubles.push_back(Trouble { cause, text, times, first_us: now_us, last_us: now_us });
    }

    pub fn conflict(&mut self, kind: ConflictKind) {
        *self.conflicts.entry(kind.name()).or_default() += 1;
    }

    /// The `percent` percentile of the last lags, microseconds.
    pub fn lag_us(&self, percent: usize) -> Option<i64> {
        let mut lags: Vec<i64> = self.lags_us.iter().copied().collect();
        lags.sort_unstable();
        lags.get((lags.len() * percent / 100).min(lags.len().saturating_sub(1))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SiteId;

    #[test]
    fn the_same_trouble_again_counts_up_and_the_oldest_goes() {
        let health = Health::default();
        health.failed(State::Retrying, "unreachable", &"no answer", 1);
        health.failed(State::Retrying, "unreachable", &"no answer", 2);
        health.statements_failed(&[(0, "error 1146".into()), (1, "error 1146".into())], 3);
        let shown: Vec<_> = health.figures().troubles.iter().map(|t| (t.cause, t.times, t.first_us, t.last_us)).collect();
        assert_eq!(shown, [("unreachable", 2, 1, 2), ("after_apply", 2, 3, 3)]);
        for at in 0..100 {
            health.failed(State::Retrying, "other", &format!("number {at}"), at);
        }
        let figures = health.figures();
        assert_eq!((figures.troubles.len(), figures.troubles.back().unwrap().last_us), (TROUBLES_MAX, 99));
    }

    #[test]
    fn lately_is_since_it_was_taken_last() {
        let health = Health::default();
        let row = |committed_us| Applied { source: SiteId(1), committed_us, urgent: false };
        assert_eq!(health.take_lately(), None);
        health.applied(&[row(900), row(0), row(500), row(990)], 1000);
        assert_eq!(health.take_lately(), Some(Spread { median_us: 100, longest_us: 500 }));
        assert_eq!(health.take_lately(), None);
        health.applied(&vec![row(1); 3 * LAGS_MAX], 1000);
        assert_eq!(health.figures().lately.lags_us.len(), LAGS_MAX);
    }
}
