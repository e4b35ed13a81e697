//! What a case is, and what one is run with.

use std::collections::HashMap;

use futures_util::future::LocalBoxFuture;

use crate::servers::Kind;
use crate::trio::Trio;

/// The subject that every figure has.
pub const ROSTERD: &str = "rosterd";

pub struct Case {
    pub name: &'static str,
    pub about: &'static str,
    pub figures: fn() -> Vec<Figure>,
}

/// Cases with the same preparation.
pub struct Group {
    pub cases: &'static [Case],
    pub run: for<'r> fn(&'r mut Run) -> LocalBoxFuture<'r, ()>,
}

pub struct Figure {
    pub name: String,
    pub unit: Unit,
    pub targets: Vec<Target>,
}

impl Figure {
    pub fn new(name: impl Into<String>, unit: Unit, targets: &[Target]) -> Figure {
        Figure { name: name.into(), unit, targets: targets.to_vec() }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    Seconds,
    Milliseconds,
    TransactionsPerSecond,
    PercentOfCore,
    Megabytes,
    /// So many times something else, or so many of them.
    Plain,
}

impl Unit {
    pub fn sign(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::Milliseconds => "ms",
            Unit::TransactionsPerSecond => "tx/s",
            Unit::PercentOfCore => "% of a core",
            Unit::Megabytes => "MB",
            Unit::Plain => "",
        }
    }

    pub fn more_is_better(self) -> bool {
        self == Unit::TransactionsPerSecond
    }
}

#[derive(Clone, Copy)]
pub enum Target {
    /// At least so many times as good as this anchor.
    Times(&'static str, f64),
    /// At most so much more than this anchor.
    Within(&'static str, f64),
    AtMost(f64),
    AtLeast(f64),
}

/// How large the cases are.
pub struct Scale {
    pub drain_transactions: u64,
    pub hot_updates: u64,
    pub hot_rows: u64,
    pub lag_seconds: f64,
    pub copy_rows: u64,
    pub fan_out_transactions: u64,
    pub outage_changes: u64,
    pub outage_rows: u64,
    pub idle_seconds: f64,
    /// Sessions that are there while people are copied.
    pub sessions: u64,
}

impl Scale {
    pub const FULL: Scale = Scale {
        drain_transactions: 50_000,
        hot_updates: 100_000,
        hot_rows: 200,
        lag_seconds: 20.0,
        copy_rows: 1_000_000,
        fan_out_transactions: 10_000,
        outage_changes: 1_000_000,
        outage_rows: 20_000,
        idle_seconds: 60.0,
        sessions: 1_000,
    };
    pub const QUICK: Scale = Scale {
        drain_transactions: 500,
        hot_updates: 1_000,
        hot_rows: 50,
        lag_seconds: 0.5,
        copy_rows: 20_000,
        fan_out_transactions: 200,
        outage_changes: 2_000,
        outage_rows: 200,
        idle_seconds: 2.0,
        sessions: 200,
    };
}

pub struct Sample {
    pub case: &'static str,
    pub figure: String,
    pub subject: &'static str,
    pub value: f64,
}

/// What a group's cases run with, and where they put what they find.
pub struct Run {
    pub scale: Scale,
    pub repetitions: usize,
    pub samples: Vec<Sample>,
    /// Case and what has to be known about its figures.
    pub notes: Vec<(&'static str, String)>,
    /// Cases of the group that are asked for.
    pub wanted: Vec<&'static str>,
    /// Servers without a case.
    trios: HashMap<(Kind, &'static [&'static str]), Trio>,
}

impl Run {
    pub fn new(scale: Scale, repetitions: usize) -> Run {
        Run { scale, repetitions, samples: Vec::new(), notes: Vec::new(), wanted: Vec::new(), trios: HashMap::new() }
    }

    pub fn wants(&self, case: &str) -> bool {
        self.wanted.contains(&case)
    }

    pub fn sample(&mut self, case: &'static str, figure: impl Into<String>, subject: &'static str, value: f64) {
        let figure = figure.into();
        eprintln!("  {case}: {figure}, {subject}: {value:.3}");
        self.samples.push(Sample { case, figure, subject, value });
    }

    /// Says it once.
    pub fn note(&mut self, case: &'static str, text: impl Into<String>) {
        let note = (case, text.into());
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Three clean servers. A case that ends well gives them back; one that fails drops them, with whatever is wrong.
    pub async fn trio(&mut self, kind: Kind) -> Trio {
        self.trio_with(kind, &[]).await
    }

    pub async fn trio_with(&mut self, kind: Kind, options: &'static [&'static str]) -> Trio {
        let trio = self.trios.remove(&(kind, options)).unwrap_or_else(|| {
            eprintln!("  starting three servers {}", kind.name());
            Trio::start(kind, options)
        });
        trio.clean().await;
        trio
    }

    pub fn give_back(&mut self, trio: Trio, options: &'static [&'static str]) {
        self.trios.insert((trio.kind, options), trio);
    }
}

/// Each repetition begins with another one, so that none always has the warmer caches.
pub fn alternating<T: Copy>(subjects: &[T], repetition: usize) -> Vec<T> {
    let mut order = subjects.to_vec();
    order.rotate_left(repetition % subjects.len());
    order
}

/// The value at `percent` of sorted `values`.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let at = ((values.len() as f64 * percent / 100.0) as usize).min(values.len().saturating_sub(1));
    *values.get(at).expect("something was measured")
}
