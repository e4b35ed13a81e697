//! From commit at one site to visible at another, at a steady rate of one-row transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::case::percentile;
use crate::connection::{Connection, longest};
use crate::people::Table;
use crate::servers::Server;

/// Leaves the cores to the servers; adds at most this to a lag, on both sides alike.
const REST: Duration = Duration::from_micros(500);
const WRITERS_MAX: u64 = 16;

/// Touches rows of a table at `source` and looks for them at `target`.
pub struct Probe<'s> {
    pub source: &'s Server,
    pub target: &'s Server,
    pub table: Table,
    pub rate: u64,
}

/// What was written, by one writer or seen of one row: number and when.
type Times = Vec<(i64, Instant)>;

pub struct Lags {
    milliseconds: Vec<f64>,
    /// Transactions a second that the source committed.
    pub reached: f64,
}

impl Lags {
    pub fn at(&self, percent: f64) -> f64 {
        percentile(&self.milliseconds, percent)
    }

    pub fn count(&self) -> usize {
        self.milliseconds.len()
    }
}

impl Probe<'_> {
    /// Each writer has a row of its own, since a commit may take longer than the next one is due.
    fn writers(&self) -> u64 {
        (self.rate / 25).clamp(1, WRITERS_MAX)
    }

    /// The rows' numbers in one line.
    fn rows_sql(&self) -> String {
        let one = |row: u64| {
            let (touched, table, is_row) = (self.table.touched(), self.table.name(), self.table.is_row(&row.to_string()));
            format!("COALESCE((SELECT {touched} FROM {table} WHERE {is_row}), 0)")
        };
        let all: Vec<String> = (1..=self.writers()).map(one).collect();
        format!("SELECT CONCAT_WS(' ', {})", all.join(", "))
    }

    /// Until the target has what the source has now.
    pub async fn caught_up(&self) {
        let sql = self.rows_sql();
        let wanted = Connection::open(self.source).await.texts(&sql).await;
        let (mut target, begun) = (Connection::open(self.target).await, Instant::now());
        while target.texts(&sql).await != wanted {
            assert!(begun.elapsed() < longest(), "the target did not catch up before a lag was measured, within {} s", longest().as_secs());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Writes until `end` is over. Milliseconds run from a commit's answer to the first read that shows it.
    pub async fn run(&self, end: impl Future<Output = ()>) -> Lags {
        let sql = self.rows_sql();
        let first = numbers(&Connection::open(self.source).await.texts(&sql).await).into_iter().max().unwrap_or(0) + 1;
        let (said, told) = watch::channel(None);
        let watcher = tokio::spawn(follow(Connection::open(self.target).await, sql, told));
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Instant::now() + Duration::from_millis(20);
        let mut writers = Vec::new();
        for at in 0..self.writers() {
            let connection = Connection::open(self.source).await;
            let update = format!("UPDATE {} SET {} = ", self.table.name(), self.table.touched());
            let condition = format!(" WHERE {}", self.table.is_row(&(at + 1).to_string()));
            let due = (begun, self.rate, at, self.writers());
            writers.push(tokio::spawn(write(connection, update, condition, first, due, stop.clone())));
        }
        end.await;
        stop.store(true, Ordering::Relaxed);
        let mut written: Vec<Times> = Vec::new();
        for writer in writers {
            written.push(writer.await.expect("a writer of the lag's probe ends well"));
        }
        let seconds = begun.elapsed().as_secs_f64();
        let last = written.iter().map(|times| times.last().map_or(0, |(number, _)| *number)).collect();
        said.send(Some(last)).expect("the watcher waits for it");
        let seen = watcher.await.expect("the watcher of the lag's probe ends well");
        let mut milliseconds: Vec<f64> = written.iter().zip(&seen).flat_map(|(written, seen)| lags(written, seen)).collect();
        milliseconds.sort_by(f64::total_cmp);
        Lags { reached: milliseconds.len() as f64 / seconds, milliseconds }
    }
}

/// `due`: the beginning, transactions a second, this writer's place and how many there are.
async fn write(
    mut connection: Connection,
    update: String,
    condition: String,
    first: i64,
    due: (Instant, u64, u64, u64),
    stop: Arc<AtomicBool>,
) -> Times {
    let (begun, rate, mut next, writers) = due;
    let mut written = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep_until((begun + Duration::from_micros(next * 1_000_000 / rate)).into()).await;
        let number = first + next as i64;
        connection.run(&format!("{update}{number}{condition}")).await;
        written.push((number, Instant::now()));
        next += writers;
    }
    written
}

/// Reads the rows again and again until they show the last numbers; for each row its numbers with the time each was seen first.
async fn follow(mut connection: Connection, sql: String, told: watch::Receiver<Option<Vec<i64>>>) -> Vec<Times> {
    let mut seen: Vec<Times> = numbers(&connection.texts(&sql).await).into_iter().map(|number| vec![(number, Instant::now())]).collect();
    let mut quiet_since = Instant::now();
    loop {
        let now = numbers(&connection.texts(&sql).await);
        let at = Instant::now();
        for (times, number) in seen.iter_mut().zip(&now) {
            if times.last().is_some_and(|(latest, _)| latest < number) {
                times.push((*number, at));
                quiet_since = at;
            }
        }
        if told.borrow().as_ref().is_some_and(|last| now.iter().zip(last).all(|(now, last)| now >= last)) {
            return seen;
        }
        assert!(quiet_since.elapsed() < longest(), "the target showed no new change for {} s, and not the last", longest().as_secs());
        tokio::time::sleep(REST).await;
    }
}

/// A number is visible from the first time on that it, or a later one of its row, was seen.
fn lags(written: &Times, seen: &Times) -> Vec<f64> {
    let lag = |(number, committed): &(i64, Instant)| {
        let at = seen.partition_point(|(shown, _)| shown < number);
        let (_, shown) = seen.get(at).expect("the last number was waited for");
        shown.saturating_duration_since(*committed).as_secs_f64() * 1e3
    };
    written.iter().map(lag).collect()
}

fn numbers(texts: &[String]) -> Vec<i64> {
    let line = texts.first().expect("a line of numbers");
    line.split(' ').map(|number| number.parse().expect("a number")).collect()
}
