//! A stretch of the log is gone, and the database is not: what people did meanwhile is found by comparing, and merged.

use super::*;

#[test]
fn a_purged_binary_log_of_mariadb() {
    // From 11.4 on it purges nothing while no replica is connected, unless it is told to.
    purged(Postgres15, MariaDb118, "SET GLOBAL slave_connections_needed_for_purge = 0");
}

#[test]
fn a_purged_binary_log_of_mysql() {
    purged(MariaDb1011, MySql97, "SELECT 1");
}

fn purged(hub: Engine, subject: Engine, first: &str) {
    let (server, roster) = gap_begins(hub, subject);
    let server = server.expect("it has a server");
    server.sql("mysql", first);
    // The server keeps what it believes that somebody still reads.
    roster.wait("the log to be purged", || {
        server.sql("mysql", "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY");
        let files = server.rows("mysql", "SHOW BINARY LOGS").len();
        (files > 1).then(|| format!("it has {files} files"))
    });
    gap_ends(&roster);
}

#[test]
fn mariadb_after_reset_master() {
    gap(Postgres18, MariaDb1011, "RESET MASTER");
}

#[test]
fn mysql_after_reset_binary_logs_and_gtids() {
    gap(Sqlite, MySql97, "RESET BINARY LOGS AND GTIDS");
}

#[test]
fn a_postgres_slot_that_was_dropped() {
    gap(MariaDb118, Postgres18, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
}

#[test]
fn a_postgres_slot_that_was_invalidated() {
    // The server gives a slot up when it keeps more log than it may.
    let give_up = "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'";
    let (server, roster) = gap_begins(MariaDb1011, Postgres15);
    let server = server.expect("it has a server");
    server.sql("postgres", give_up);
    server.sql("postgres", "SELECT pg_reload_conf()");
    roster.wait("the slot to be lost", || {
        server.sql("postgres", "SELECT pg_switch_wal()");
        server.sql("postgres", "CREATE TABLE filler AS SELECT generate_series(1, 100000) AS n");
        server.sql("postgres", "DROP TABLE filler");
        server.sql("postgres", "CHECKPOINT");
        let status = server.rows("postgres", "SELECT wal_status FROM pg_replication_slots").remove(0).remove(0);
        (status.as_deref() != Some("lost")).then(|| format!("it is {status:?}"))
    });
    gap_ends(&roster);
}

#[test]
fn a_sqlite_changelog_that_was_dropped() {
    gap(MariaDb118, Sqlite, "DROP TABLE rosterd_changelog");
}

fn gap(hub: Engine, subject: Engine, lose: &str) {
    let (server, roster) = gap_begins(hub, subject);
    match &server {
        Some(server) => server.sql(server.main_database(), lose),
        None => {
            let db = rusqlite::Connection::open(roster.sites[SUBJECT].database()).expect("the file is there");
            db.execute_batch(lose).expect("it can be lost");
        }
    }
    if subject.is_sqlite() {
        // The triggers that wrote into it fail; whoever dropped it has dropped them as well.
        drop_triggers(roster.sites[SUBJECT].database());
    }
    gap_ends(&roster);
}

fn drop_triggers(database: &str) {
    let db = rusqlite::Connection::open(database).expect("the file is there");
    let mut query = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").expect("a query");
    let names: Vec<String> = query.query_map([], |row| row.get(0)).expect("a query").collect::<Result<_, _>>().expect("rows");
    for name in names {
        db.execute_batch(&format!("DROP TRIGGER \"{name}\"")).expect("it can be dropped");
    }
}

/// Everybody changes something while the daemon is down: what the subject did is only in the log that gets lost.
fn gap_begins(hub: Engine, subject: Engine) -> (Option<Server>, Roster) {
    let (server, mut roster) = roster_with(hub, subject);
    roster.start();
    roster.settle();
    roster.stop();
    roster.sql(0, "UPDATE person SET name = 'changed at the hub' WHERE uid IN (1, 3)");
    roster.sql(2, "DELETE FROM person WHERE uid = 2");
    roster.sql(SUBJECT, "UPDATE person SET mail = 'changed here' WHERE uid IN (1, 4)");
    roster.sql(SUBJECT, "DELETE FROM person WHERE uid = 5");
    roster.sql(SUBJECT, "INSERT INTO person VALUES (1001, 'new here', 'h@x')");
    (server, roster)
}

fn gap_ends(roster: &Roster) {
    roster.sql(SUBJECT, "UPDATE person SET mail = 'later' WHERE uid = 6");
    let daemon = roster.spawn();
    wait_said(roster, &daemon, "its log is lost");
    roster.wait_equal();
    expect(roster, 1, Some("changed at the hub changed here"));
    expect(roster, 2, None);
    expect(roster, 3, Some("changed at the hub p3@x"));
    expect(roster, 4, Some("person 4 changed here"));
    expect(roster, 5, None);
    expect(roster, 6, Some("person 6 later"));
    expect(roster, 1001, Some("new here h@x"));
    assert!(daemon.stop().success());
}
