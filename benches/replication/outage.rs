//! outage: catch-up of a target that was down while a source's applications went on.

use std::time::Instant;

use futures_util::FutureExt;

use crate::backlog::{Backlog, equal};
use crate::case::{Case, Figure, Group, ROSTERD, Run, Target, Unit, alternating};
use crate::connection::DATABASE;
use crate::daemon::Roster;
use crate::native::{self, Native};
use crate::people::{MARIADB, POSTGRES, Table};
use crate::servers::Kind;

pub const GROUPS: [Group; 1] = [Group { cases: &[OUTAGE], run: |run| outages(run).boxed_local() }];

const OUTAGE: Case = Case {
    name: "outage",
    about: "catch-up of a server that was down, with far more one-row transactions than rows",
    figures: || {
        let figure = |(name, ..): (&str, Kind, Native)| Figure::new(name, Unit::Seconds, &[Target::Times("native", 20.0)]);
        ENGINES.map(figure).into()
    },
};

const ENGINES: [(&str, Kind, Native); 2] = [("MariaDB", MARIADB, Native::Serial), ("PostgreSQL", POSTGRES, Native::Asynchronous)];

async fn outages(run: &mut Run) {
    for (figure, kind, anchor) in ENGINES {
        outage(run, figure, kind, anchor).await;
    }
}

/// Both targets are shut down, and started one at a time. rosterd runs meanwhile, as native replication's source does.
async fn outage(run: &mut Run, figure: &str, kind: Kind, anchor: Native) {
    let backlog = Backlog { table: Table::Users, rows: run.scale.outage_rows, transactions: run.scale.outage_changes };
    let tables = [(backlog.table, backlog.rows)];
    let mut trio = run.trio(kind).await;
    trio.fill(&tables).await;
    native::connect(&[anchor], &trio.source, &trio.native, &tables).await;
    trio.resume(anchor).await;
    let roster = Roster::new(&[trio.source.url(DATABASE), trio.ours.url(DATABASE)], &[backlog.table]);
    let daemon = roster.start();
    daemon.settled().await;
    for repetition in 0..run.repetitions {
        trio.ours.stop();
        trio.native.stop();
        eprintln!("  {}: committing {} transactions at {figure}", OUTAGE.name, backlog.transactions);
        backlog.write(&trio.source, repetition as u64).await;
        for subject in alternating(&[ROSTERD, anchor.name()], repetition) {
            let server = if subject == ROSTERD { &mut trio.ours } else { &mut trio.native };
            server.restart();
            let begun = Instant::now();
            let arrived = backlog.arrived(server, DATABASE, repetition as u64).await;
            run.sample(OUTAGE.name, figure, subject, (arrived - begun).as_secs_f64());
        }
        daemon.settled().await;
    }
    daemon.stop();
    for server in [&trio.ours, &trio.native] {
        equal(backlog.table, &trio.source, server, DATABASE).await;
    }
    run.give_back(trio, &[]);
}
