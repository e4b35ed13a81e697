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
        }
    }

    /// A batch has been committed at the site.
    pub fn applied(&self, rows: &[Applied], now_us: i64) {
        let mut figures = self.figures();
        figures.batches += 1;
        figures.applied_rows += rows.len() as u64;
        for row in rows.iter().filter(|row| row.committed_us > 0) {
            if figures.lags_us.len() == LAGS_MAX {
                figures.lags_us.pop_front();
            }
            let lag_us = (now_us - row.committed_us).max(0);
            figures.lags_us.push_back(lag_us);
            figures.lags.add(row.source, row.urgent, lag_us);
        }
    }
}

impl Figures {
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
