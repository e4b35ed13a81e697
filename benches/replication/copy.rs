//! copy-cross, copy-mariadb, copy-postgres: a first copy beside the same made by hand. memory, restart, copy-lag: what else there
//! is to know of a roster with as many people.

use std::time::Instant;

use futures_util::FutureExt;

use crate::backlog::equal;
use crate::by_hand;
use crate::case::{Case, Figure, Group, ROSTERD, Run, Target, Unit, alternating};
use crate::connection::{Connection, DATABASE};
use crate::daemon::{Daemon, Roster};
use crate::native;
use crate::people::{self, MARIADB, POSTGRES, Table};
use crate::probe::Probe;
use crate::servers::{Kind, Server};
use crate::trio::remake;

pub const GROUPS: [Group; 3] = [
    Group { cases: &[COPY_CROSS, MEMORY, RESTART, COPY_LAG], run: |run| million(run).boxed_local() },
    Group { cases: &[COPY_MARIADB], run: |run| alike(run, COPY_MARIADB.name, MARIADB).boxed_local() },
    Group { cases: &[COPY_POSTGRES], run: |run| alike(run, COPY_POSTGRES.name, POSTGRES).boxed_local() },
];

const COPY_CROSS: Case = Case {
    name: "copy-cross",
    about: "first copy of people from MariaDB to PostgreSQL, beside mariadb piped into COPY",
    figures: || vec![copied(1.5)],
};
const COPY_MARIADB: Case = Case {
    name: "copy-mariadb",
    about: "first copy of people from MariaDB to MariaDB, beside mariadb-dump piped into mariadb",
    figures: || vec![copied(1.0)],
};
const COPY_POSTGRES: Case = Case {
    name: "copy-postgres",
    about: "first copy of people from PostgreSQL to PostgreSQL, beside COPY piped into COPY",
    figures: || vec![copied(1.0)],
};
const MEMORY: Case = Case {
    name: "memory",
    about: "resident memory and the ledger's size with as many people shared",
    figures: || {
        vec![
            Figure::new(RESIDENT, Unit::Megabytes, &[Target::AtMost(150.0)]),
            Figure::new(HIGHEST, Unit::Megabytes, &[]),
            Figure::new(LEDGER, Unit::Plain, &[Target::AtMost(1.5)]),
            Figure::new(CONTENT, Unit::Plain, &[]),
        ]
    },
};
const RESTART: Case = Case {
    name: "restart",
    about: "from the daemon's start to work with as many people shared",
    figures: || {
        let figure = |when, what| Figure::new(format!("{when}, {what}"), Unit::Seconds, &[Target::AtMost(1.0)]);
        [AT_ONCE, LATER].into_iter().flat_map(|when| [VISIBLE, FOLLOWING].map(|what| figure(when, what))).collect()
    },
};
const COPY_LAG: Case = Case {
    name: "copy-lag",
    about: "lag of a session row while people are copied",
    figures: || {
        let figure = |percent: f64| {
            let targets: &[Target] = if percent == 99.0 { &[Target::AtMost(100.0)] } else { &[] };
            Figure::new(format!("p{percent}"), Unit::Milliseconds, targets)
        };
        PERCENTS.map(figure).into()
    },
};

const COPIED: &str = "copied";
const RESIDENT: &str = "resident after the copy";
const HIGHEST: &str = "resident, the highest";
const LEDGER: &str = "ledger's files, times the rows' own bytes";
const CONTENT: &str = "ledger's content, times the rows' own bytes";
const VISIBLE: &str = "a change of then is at the other site";
const FOLLOWING: &str = "status says following";
/// After the copy.
const AT_ONCE: &str = "at once";
const LATER: &str = "once the log is short";
const BY_HAND: &str = "by hand";
const PERCENTS: [f64; 3] = [50.0, 99.0, 99.9];
const SESSION_CHANGES_PER_SECOND: u64 = 100;
const USERS: &str = "SELECT count(*) FROM users";
const SESSIONS: &str = "SELECT count(*) FROM sessions";

fn copied(times: f64) -> Figure {
    Figure::new(COPIED, Unit::Seconds, &[Target::Times(BY_HAND, times)])
}

/// A first copy within one engine.
async fn alike(run: &mut Run, case: &'static str, kind: Kind) {
    let trio = run.trio(kind).await;
    source(run, &trio.source, &[Table::Users]).await;
    for repetition in 0..run.repetitions {
        for subject in alternating(&[ROSTERD, BY_HAND], repetition) {
            let target = if subject == ROSTERD { &trio.ours } else { &trio.native };
            empty(target, &[Table::Users]).await;
            let seconds = match subject {
                ROSTERD => {
                    let roster = new_roster(&trio.source, target, &[Table::Users]).await;
                    let (daemon, seconds) = copy(&roster, &trio.source, target, run.scale.copy_rows).await;
                    daemon.stop();
                    seconds
                }
                _ if kind.is_postgres() => timed(by_hand::postgres_to_postgres(&trio.source, target)).await,
                _ => timed(async { run.note(case, by_hand::mariadb_to_mariadb(&trio.source, target)) }).await,
            };
            equal(Table::Users, &trio.source, target, DATABASE).await;
            run.sample(case, COPIED, subject, seconds);
        }
    }
    run.give_back(trio, &[]);
}

/// The cases with a million people in MariaDB and PostgreSQL.
async fn million(run: &mut Run) {
    let (maria, postgres) = (run.trio(MARIADB).await, run.trio(POSTGRES).await);
    let (hub, client) = (&maria.source, &postgres.ours);
    source(run, hub, &[Table::Users, Table::Sessions]).await;
    let bytes = Table::Users.bytes(hub).await;
    for repetition in 0..run.repetitions {
        let by_rosterd = run.wants(COPY_CROSS.name) || run.wants(MEMORY.name) || run.wants(RESTART.name);
        let subjects: &[&str] = match run.wants(COPY_CROSS.name) {
            true => &[ROSTERD, BY_HAND],
            false => &[ROSTERD],
        };
        for subject in alternating(subjects, repetition).into_iter().filter(|subject| *subject != ROSTERD || by_rosterd) {
            empty(client, &[Table::Users]).await;
            if subject == ROSTERD {
                let roster = new_roster(hub, client, &[Table::Users]).await;
                first_copy(run, &roster, hub, client, bytes).await;
            } else {
                run.sample(COPY_CROSS.name, COPIED, BY_HAND, timed(by_hand::mariadb_to_postgres(hub, client)).await);
                equal(Table::Users, hub, client, DATABASE).await;
            }
        }
        if run.wants(COPY_LAG.name) {
            copy_lag(run, hub, client).await;
        }
    }
    run.give_back(maria, &[]);
    run.give_back(postgres, &[]);
}

async fn first_copy(run: &mut Run, roster: &Roster, hub: &Server, client: &Server, bytes: i64) {
    let (daemon, seconds) = copy(roster, hub, client, run.scale.copy_rows).await;
    daemon.settled().await;
    let (resident, highest) = (daemon.resident_megabytes("VmRSS"), daemon.resident_megabytes("VmHWM"));
    daemon.stop();
    equal(Table::Users, hub, client, DATABASE).await;
    if run.wants(COPY_CROSS.name) {
        run.sample(COPY_CROSS.name, COPIED, ROSTERD, seconds);
    }
    if run.wants(MEMORY.name) {
        run.sample(MEMORY.name, RESIDENT, ROSTERD, resident);
        run.sample(MEMORY.name, HIGHEST, ROSTERD, highest);
        // Not the other way round: whoever opens the ledger last empties its write-ahead log.
        run.sample(MEMORY.name, LEDGER, ROSTERD, roster.ledger_bytes() as f64 / bytes as f64);
        run.sample(MEMORY.name, CONTENT, ROSTERD, roster.ledger_content_bytes() as f64 / bytes as f64);
    }
    if run.wants(RESTART.name) {
        restart(run, AT_ONCE, roster, hub, client).await;
        restart(run, LATER, roster, hub, client).await;
    }
}

/// PostgreSQL decodes its log anew from a place that lies before all transactions that were open when it last wrote down which were. It does
/// so every 15 seconds in which something happened, and what it wrote before the one before last is passed over from then on.
const LOG_IS_SHORT: &str =
    "SELECT count(*) FROM pg_replication_slots WHERE active AND pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) < 4000000";

/// Started anew, with a change right after: when it is at the other site, and when the status page has all sites as followed.
async fn restart(run: &mut Run, when: &'static str, roster: &Roster, hub: &Server, client: &Server) {
    let row = Table::Users.is_row("1");
    let mut application = Connection::open(hub).await;
    let mut reader = Connection::open(client).await;
    let login = application.number(&format!("SELECT login FROM users WHERE {row}")).await + 1;
    let begun = Instant::now();
    let daemon = roster.start();
    application.run(&format!("UPDATE users SET login = {login} WHERE {row}")).await;
    let looked_for = format!("SELECT login FROM users WHERE {row}");
    let visible = tokio::spawn(async move { reader.until(&looked_for, login).await });
    daemon.following().await;
    let following = begun.elapsed();
    let visible = visible.await.expect("the change comes to the other site") - begun;
    run.sample(RESTART.name, format!("{when}, {VISIBLE}"), ROSTERD, visible.as_secs_f64());
    run.sample(RESTART.name, format!("{when}, {FOLLOWING}"), ROSTERD, following.as_secs_f64());
    daemon.settled().await;
    Connection::open(client).await.until(LOG_IS_SHORT, 1).await;
    daemon.stop();
    equal(Table::Users, hub, client, DATABASE).await;
}

async fn copy_lag(run: &mut Run, hub: &Server, client: &Server) {
    let tables = [Table::Users, Table::Sessions];
    empty(client, &tables).await;
    let roster = new_roster(hub, client, &tables).await;
    let daemon = roster.start();
    let mut reader = Connection::open(client).await;
    reader.until(SESSIONS, run.scale.sessions as i64).await;
    let probe = Probe { source: hub, target: client, table: Table::Sessions, rate: SESSION_CHANGES_PER_SECOND };
    let rows = run.scale.copy_rows as i64;
    assert!(reader.number(USERS).await < rows, "people were copied before the sessions, so no lag can be measured meanwhile");
    let last = last_person(hub).await;
    let lags = probe.run(all_arrived(&mut reader, last, rows).map(|_| ())).await;
    eprintln!("  {}: {} changes of sessions during the copy", COPY_LAG.name, lags.count());
    for percent in PERCENTS {
        run.sample(COPY_LAG.name, format!("p{percent}"), ROSTERD, lags.at(percent));
    }
    daemon.settled().await;
    daemon.stop();
    for table in tables {
        equal(table, hub, client, DATABASE).await;
    }
}

/// Fills the server that is copied from.
async fn source(run: &Run, server: &Server, tables: &[Table]) {
    people::create(server, DATABASE, tables).await;
    for table in tables {
        let rows = if *table == Table::Users { run.scale.copy_rows } else { run.scale.sessions };
        eprintln!("  filling {} with {rows} rows", table.name());
        people::fill(server, DATABASE, *table, rows).await;
    }
}

/// A target with nothing but its tables.
async fn empty(server: &Server, tables: &[Table]) {
    native::forget(server).await;
    remake(server, DATABASE).await;
    people::create(server, DATABASE, tables).await;
}

/// A roster whose hub does not remember an earlier one.
async fn new_roster(hub: &Server, client: &Server, tables: &[Table]) -> Roster {
    native::forget(hub).await;
    let mut connection = Connection::open(hub).await;
    connection.run("DROP TABLE IF EXISTS rosterd_marker").await;
    if hub.kind().is_postgres() {
        for name in connection.texts("SELECT pubname FROM pg_publication").await {
            connection.run(&format!("DROP PUBLICATION {name}")).await;
        }
    }
    Roster::new(&[hub.url(DATABASE), client.url(DATABASE)], tables)
}

/// The daemon, and the seconds from its start until the last person is there.
async fn copy<'r>(roster: &'r Roster, source: &Server, target: &Server, rows: u64) -> (Daemon<'r>, f64) {
    let mut reader = Connection::open(target).await;
    let last = last_person(source).await;
    let begun = Instant::now();
    let daemon = roster.start();
    let arrived = all_arrived(&mut reader, last, rows as i64).await;
    (daemon, (arrived - begun).as_secs_f64())
}

async fn last_person(source: &Server) -> i64 {
    Connection::open(source).await.number("SELECT max(uid) FROM users").await
}

/// Looks for the one with the highest number until it is there, and counts them only then: counting would take a part of the cores.
async fn all_arrived(reader: &mut Connection, last: i64, rows: i64) -> Instant {
    reader.until(&format!("SELECT count(*) FROM users WHERE uid = {last}"), 1).await;
    reader.until(USERS, rows).await
}

async fn timed(work: impl Future<Output = ()>) -> f64 {
    let begun = Instant::now();
    work.await;
    begun.elapsed().as_secs_f64()
}
