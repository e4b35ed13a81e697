//! How each site is doing, as its workers see it: for status, metrics and the page.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use serde::Serialize;

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
    pub conflicts: u64,
    pub connects: u64,
    pub failed_statements: u64,
    /// Why an after-apply statement failed last, and when.
    pub failed_statement: Option<(String, i64)>,
    /// The last lags from a source's commit to this site's, microseconds, newest last.
    pub lags_us: VecDeque<i64>,
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

    pub fn failed(&self, state: State, error: &dyn std::fmt::Display, now_us: i64) {
        let mut figures = self.figures();
        figures.state = state;
        figures.last_error = Some(error.to_string());
        figures.error_us = now_us;
    }

    /// After-apply statements that the site refused, and why.
    pub fn statements_failed(&self, failed: &[(usize, String)], now_us: i64) {
        let mut figures = self.figures();
        figures.failed_statements += failed.len() as u64;
        if let Some((_, reason)) = failed.last() {
            figures.failed_statement = Some((reason.clone(), now_us));
        }
    }

    /// A batch has been committed at the site; `committed_us`: when its rows were at their sources, 0 where not known.
    pub fn applied(&self, committed_us: &[i64], now_us: i64) {
        let mut figures = self.figures();
        figures.batches += 1;
        figures.applied_rows += committed_us.len() as u64;
        for at_us in committed_us.iter().filter(|at_us| **at_us > 0) {
            if figures.lags_us.len() == LAGS_MAX {
                figures.lags_us.pop_front();
            }
            figures.lags_us.push_back((now_us - at_us).max(0));
        }
    }
}

impl Figures {
    /// The `percent` percentile of the last lags, microseconds.
    pub fn lag_us(&self, percent: usize) -> Option<i64> {
        let mut lags: Vec<i64> = self.lags_us.iter().copied().collect();
        lags.sort_unstable();
        lags.get((lags.len() * percent / 100).min(lags.len().saturating_sub(1))).copied()
    }
}
