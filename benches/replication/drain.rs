//! drain-mariadb, drain-postgres, drain-cross: one-row transactions, each to another row. hot-rows: many to few rows.

use futures_util::FutureExt;

use crate::anchors;
use crate::backlog::{Backlog, Race, by_rosterd, equal, settle};
use crate::case::{Case, Figure, Group, ROSTERD, Run, Target, Unit};
use crate::connection::DATABASE;
use crate::daemon::Roster;
use crate::native::Native;
use crate::people::{MARIADB, POSTGRES, Table};
use crate::servers::{Kind, Server};

pub const GROUPS: [Group; 4] = [
    Group { cases: &[DRAIN_MARIADB], run: |run| drain_mariadb(run).boxed_local() },
    Group { cases: &[DRAIN_POSTGRES], run: |run| drain_postgres(run).boxed_local() },
    Group { cases: &[DRAIN_CROSS], run: |run| drain_cross(run).boxed_local() },
    Group { cases: &[HOT_ROWS], run: |run| hot_rows(run).boxed_local() },
];

const DRAIN_MARIADB: Case = Case {
    name: "drain-mariadb",
    about: "catch-up with one-row transactions to as many rows, MariaDB to MariaDB",
    figures: || vec![drained(&[Target::Times("native", 4.0), Target::Times("native, 4 threads", 3.0)])],
};
const DRAIN_POSTGRES: Case = Case {
    name: "drain-postgres",
    about: "catch-up with one-row transactions to as many rows, PostgreSQL to PostgreSQL",
    figures: || vec![drained(&[Target::Times("native", 1.5), Target::Times("native, synchronous", 5.0)])],
};
const DRAIN_CROSS: Case = Case {
    name: "drain-cross",
    about: "catch-up with one-row transactions to as many rows, between engines",
    figures: || [TO_POSTGRES, TO_MARIADB].map(|name| per_second(name, &[Target::AtLeast(10_000.0)])).into(),
};
const HOT_ROWS: Case = Case {
    name: "hot-rows",
    about: "catch-up with updates of few session rows, each a transaction",
    figures: || ["MariaDB", "PostgreSQL"].map(|name| per_second(name, &[Target::Times("native", 10.0)])).into(),
};

const DRAINED: &str = "drained";
const TO_POSTGRES: &str = "MariaDB to PostgreSQL";
const TO_MARIADB: &str = "PostgreSQL to MariaDB";

/// Only servers that have the library can be started with it.
const PGLOGICAL: &[&str] = &["-c shared_preload_libraries=pglogical"];

fn drained(targets: &[Target]) -> Figure {
    per_second(DRAINED, targets)
}

fn per_second(name: &str, targets: &[Target]) -> Figure {
    Figure::new(name, Unit::TransactionsPerSecond, targets)
}

fn backlog(run: &Run) -> Backlog {
    Backlog { table: Table::Users, rows: run.scale.drain_transactions, transactions: run.scale.drain_transactions }
}

async fn drain_mariadb(run: &mut Run) {
    let trio = run.trio(MARIADB).await;
    let anchors = vec![Native::Serial, Native::Parallel];
    Race { case: DRAIN_MARIADB.name, figure: DRAINED, anchors, backlog: backlog(run) }.run(run, &trio).await;
    run.give_back(trio, &[]);
}

async fn drain_postgres(run: &mut Run) {
    let (mut anchors, mut options): (_, &[&str]) = (vec![Native::Asynchronous, Native::Synchronous], &[]);
    if anchors::has_pglogical() {
        anchors.push(Native::Pglogical);
        options = PGLOGICAL;
    } else {
        run.note(DRAIN_POSTGRES.name, "without pglogical: tests/servers/fetch-anchors gets it");
    }
    let trio = run.trio_with(POSTGRES, options).await;
    Race { case: DRAIN_POSTGRES.name, figure: DRAINED, anchors, backlog: backlog(run) }.run(run, &trio).await;
    run.give_back(trio, options);
}

async fn drain_cross(run: &mut Run) {
    let (maria, postgres) = (run.trio(MARIADB).await, run.trio(POSTGRES).await);
    let backlog = backlog(run);
    maria.fill(&[(backlog.table, backlog.rows)]).await;
    postgres.fill(&[(backlog.table, backlog.rows)]).await;
    cross(run, TO_POSTGRES, &maria.source, &postgres.ours, backlog).await;
    cross(run, TO_MARIADB, &postgres.source, &maria.ours, backlog).await;
    run.give_back(maria, &[]);
    run.give_back(postgres, &[]);
}

async fn cross(run: &mut Run, figure: &str, source: &Server, target: &Server, backlog: Backlog) {
    let roster = Roster::new(&[source.url(DATABASE), target.url(DATABASE)], &[backlog.table]);
    settle(&roster).await;
    for wave in 0..run.repetitions as u64 {
        backlog.write(source, wave).await;
        let seconds = by_rosterd(&roster, target, backlog, wave).await;
        run.sample(DRAIN_CROSS.name, figure, ROSTERD, backlog.transactions as f64 / seconds);
    }
    equal(backlog.table, source, target, DATABASE).await;
}

async fn hot_rows(run: &mut Run) {
    let backlog = Backlog { table: Table::Sessions, rows: run.scale.hot_rows, transactions: run.scale.hot_updates };
    hot(run, MARIADB, "MariaDB", Native::Serial, backlog).await;
    hot(run, POSTGRES, "PostgreSQL", Native::Asynchronous, backlog).await;
}

async fn hot(run: &mut Run, kind: Kind, figure: &'static str, anchor: Native, backlog: Backlog) {
    let trio = run.trio(kind).await;
    Race { case: HOT_ROWS.name, figure, anchors: vec![anchor], backlog }.run(run, &trio).await;
    run.give_back(trio, &[]);
}
