//! What people do at one site, seen at the others: every engine as hub and as client, on real servers.

#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

use roster::Engine::*;
use roster::{ColumnKind, Roster, Table};

const NOTE: Table = Table {
    name: "note",
    ddl: "k VARCHAR(40) PRIMARY KEY, body $text, n INT",
    columns: &[("k", ColumnKind::Plain), ("body", ColumnKind::Plain), ("n", ColumnKind::Plain)],
};

#[test]
fn smoke_a() {
    smoke(&[MariaDb1011, Postgres15, Sqlite]);
}
#[test]
fn smoke_b() {
    smoke(&[MariaDb118, MySql97, Postgres18]);
}
#[test]
fn smoke_c() {
    smoke(&[MySql97, MariaDb1011, Sqlite]);
}
#[test]
fn smoke_d() {
    smoke(&[Postgres15, MySql97, Sqlite]);
}
#[test]
fn smoke_e() {
    smoke(&[Postgres18, MariaDb1011, Postgres15]);
}
#[test]
fn smoke_f() {
    smoke(&[Sqlite, Postgres15, MariaDb118]);
}

fn smoke(engines: &[roster::Engine]) {
    let mut roster = Roster::new(engines);
    roster.share(NOTE, "");
    roster.sql(0, "INSERT INTO note VALUES ('before', 'at the hub', 1)");
    roster.sql(1, "INSERT INTO note VALUES ('own', 'at the client', 1)");
    roster.start();
    roster.settle_equal();
    for at in 0..engines.len() {
        roster.sql(at, &format!("INSERT INTO note VALUES ('from {at}', 'x', {at})"));
    }
    roster.settle_equal();
    assert_eq!(roster.rows(0, "note").len(), 2 + engines.len());
    for at in 0..engines.len() {
        roster.sql(at, &format!("UPDATE note SET body = 'changed' WHERE k = 'from {}'", (at + 1) % engines.len()));
    }
    roster.settle_equal();
    for at in 0..engines.len() {
        roster.sql(at, &format!("DELETE FROM note WHERE k = 'from {}'", (at + 1) % engines.len()));
    }
    roster.settle_equal();
    assert_eq!(roster.rows(0, "note").len(), 2);
    roster.stop();
}
