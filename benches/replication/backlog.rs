//! Catching up with one-row transactions that a source committed meanwhile.

use std::time::Instant;

use crate::case::{ROSTERD, Run, alternating};
use crate::connection::{Connection, DATABASE};
use crate::daemon::Roster;
use crate::native::{self, Native};
use crate::people::{self, Table};
use crate::servers::Server;
use crate::trio::Trio;

/// So many transactions, each of which touches the next of so many rows.
#[derive(Clone, Copy)]
pub struct Backlog {
    pub table: Table,
    pub rows: u64,
    pub transactions: u64,
}

impl Backlog {
    /// The `wave`th time, from 0: numbers go on rising.
    pub async fn write(self, source: &Server, wave: u64) {
        people::write(source, self.table, self.rows, wave * self.transactions + 1, (wave + 1) * self.transactions).await;
    }

    /// When the whole wave was first seen at `target`. Its last transaction is looked for until it is there, then all rows.
    pub async fn arrived(self, target: &Server, database: &str, wave: u64) -> Instant {
        let last = (wave + 1) * self.transactions;
        let (table, touched) = (self.table.name(), self.table.touched());
        let newest = format!("SELECT {touched} FROM {table} WHERE {}", self.table.is_row(&format!("{last} % {} + 1", self.rows)));
        let all = format!("SELECT count(*) FROM {table} WHERE {touched} > {}", last - self.rows);
        let mut connection = Connection::open_in(target, database).await;
        connection.until(&newest, last as i64).await;
        connection.until(&all, self.rows as i64).await
    }
}

/// Where rosterd and anchors catch up with the same transactions, one after the other, in each repetition.
pub struct Race {
    pub case: &'static str,
    pub figure: &'static str,
    pub anchors: Vec<Native>,
    pub backlog: Backlog,
}

impl Race {
    pub async fn run(&self, run: &mut Run, trio: &Trio) {
        let Backlog { table, rows, transactions } = self.backlog;
        trio.fill(&[(table, rows)]).await;
        native::connect(&self.anchors, &trio.source, &trio.native, &[(table, rows)]).await;
        let roster = Roster::new(&[trio.source.url(DATABASE), trio.ours.url(DATABASE)], &[table]);
        settle(&roster).await;
        let mut wave = 0;
        for repetition in 0..run.repetitions {
            for anchor in alternating(&self.anchors, repetition) {
                eprintln!("  {}: committing {transactions} transactions", self.case);
                self.backlog.write(&trio.source, wave).await;
                for subject in alternating(&[None, Some(anchor)], repetition) {
                    let (name, seconds) = match subject {
                        None => (ROSTERD, by_rosterd(&roster, &trio.ours, self.backlog, wave).await),
                        Some(anchor) => (anchor.name(), by_native(anchor, trio, self.backlog, wave).await),
                    };
                    run.sample(self.case, self.figure, name, transactions as f64 / seconds);
                }
                self.others_follow(trio, anchor, wave).await;
                wave += 1;
            }
        }
        let places = self.anchors.iter().map(|anchor| (&trio.native, anchor.database()));
        for (server, database) in places.chain([(&trio.ours, DATABASE)]) {
            equal(table, &trio.source, server, database).await;
        }
    }

    /// Anchors with a target of their own have the same transactions still before them.
    async fn others_follow(&self, trio: &Trio, anchor: Native, wave: u64) {
        for other in self.anchors.iter().filter(|other| other.database() != anchor.database()).take(1) {
            by_native(*other, trio, self.backlog, wave).await;
        }
    }
}

/// Seconds from the daemon's start.
pub async fn by_rosterd(roster: &Roster, target: &Server, backlog: Backlog, wave: u64) -> f64 {
    let begun = Instant::now();
    let daemon = roster.start();
    let arrived = backlog.arrived(target, DATABASE, wave).await;
    daemon.settled().await;
    daemon.stop();
    (arrived - begun).as_secs_f64()
}

async fn by_native(anchor: Native, trio: &Trio, backlog: Backlog, wave: u64) -> f64 {
    let begun = Instant::now();
    trio.resume(anchor).await;
    let arrived = backlog.arrived(&trio.native, anchor.database(), wave).await;
    trio.pause(anchor).await;
    (arrived - begun).as_secs_f64()
}

/// Lets a new roster take in what its sites have.
pub async fn settle(roster: &Roster) {
    let daemon = roster.start();
    daemon.settled().await;
    daemon.stop();
}

/// Fails the case where a target ended otherwise than the source.
pub async fn equal(table: Table, source: &Server, target: &Server, database: &str) {
    let (there, here) = (table.checksum(source, DATABASE).await, table.checksum(target, database).await);
    let name = table.name();
    assert!(there == here, "{name} in {database} of {} ended otherwise than at the source, {}", target.kind().name(), source.kind().name());
}
