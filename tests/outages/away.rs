//! A site is away for long.

use super::*;
use crate::roster::Engine::{self, *};
use crate::servers::Server;

const ROWS: u32 = 200;
/// So often before the ledger is measured: a row's record names the last 64 transactions that it took part in.
const CHANGES_FIRST: u32 = 70;
const CHANGES: u32 = 120;
const AWAY: usize = 1;
const OTHER: usize = 2;

#[test]
fn a_mariadb_client_is_away_and_the_log_of_its_postgres_hub_is_let_go() {
    away(Postgres18, MariaDb118, "", |roster, _| {
        let lsn = |sql: &str| roster.value(0, sql).expect("the server tells it");
        let end = lsn("SELECT pg_current_wal_lsn()");
        let slot = format!("rosterd_{}", roster.sites[0].name);
        let let_go = format!("SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots WHERE slot_name = '{slot}'");
        roster.wait_value(0, &let_go, "t");
        // What the server keeps for the slot moves on when it next notes what runs, which it does at a checkpoint.
        let kept = format!("SELECT restart_lsn >= '{end}' FROM pg_replication_slots WHERE slot_name = '{slot}'");
        roster.wait("the server to keep nothing for the slot", || {
            roster.sql(0, "CHECKPOINT");
            roster.sql(0, "UPDATE fence SET n = n");
            (roster.value(0, &kept).as_deref() != Some("t")).then(|| format!("it keeps more than what came after {end}"))
        });
    });
}

#[test]
fn a_postgres_client_is_away_and_the_log_of_its_mariadb_hub_can_be_purged() {
    away(MariaDb1011, Postgres15, "ALTER TABLE item ENABLE ALWAYS TRIGGER written", purge);
}

#[test]
fn a_postgres_client_is_away_and_the_log_of_its_mysql_hub_can_be_purged() {
    away(MySql97, Postgres18, "ALTER TABLE item ENABLE ALWAYS TRIGGER written", purge);
}

/// Everything that was written is in files that go, and the daemon has to find its place in what is left.
fn purge(roster: &mut Roster, servers: &[Server]) {
    roster.stop();
    let hub = &servers[0];
    // The server keeps what it believes that somebody still reads.
    roster.wait("the log to be purged", || {
        hub.sql("mysql", "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY");
        let files = hub.rows("mysql", "SHOW BINARY LOGS").len();
        (files > 1).then(|| format!("it has {files} files"))
    });
    roster.start();
    roster.sql(0, "INSERT INTO item VALUES (1001, 0, 'after the purge')");
    roster.wait_value(OTHER, "SELECT body FROM item WHERE id = 1001", "after the purge");
    assert_eq!(roster.last_error(0), "", "the hub's log goes on");
}

fn away(hub: Engine, client: Engine, always: &str, let_go: impl Fn(&mut Roster, &[Server])) {
    let (mut servers, mut roster) = Roster::on_own_servers(&[hub, client, Sqlite], |_| &[]);
    share_items(&mut roster, ROWS, 20);
    count_updates(&roster, always);
    roster.start();
    roster.settle_equal();

    servers[AWAY].stop();
    let change = |from: u32, to: u32| {
        let mut application = roster.sites[0].session();
        (from..to).for_each(|_| application.sql("UPDATE item SET n = n + 1"));
        roster.wait_value(OTHER, "SELECT min(n) FROM item", &to.to_string());
        roster.ledger_pages()
    };
    let pages = change(0, CHANGES_FIRST);
    let grown = change(CHANGES_FIRST, CHANGES) - pages;
    roster.sql(OTHER, "UPDATE item SET body = 'from a client to the hub' WHERE id = 7");
    roster.wait_value(0, "SELECT body FROM item WHERE id = 7", "from a client to the hub");
    assert_eq!(roster.owed(AWAY), u64::from(ROWS), "rows, not changes");
    assert!(grown * 4 <= pages, "the ledger grew by {grown} from {pages} pages");
    let_go(&mut roster, &servers);

    servers[AWAY].restart();
    roster.wait_equal();
    roster.wait_value(AWAY, "SELECT count(*) FROM written", &ROWS.to_string());
    roster.wait_value(AWAY, "SELECT count(DISTINCT id) FROM written", &ROWS.to_string());
    roster.stop();
}

/// Notes at the client which rows are updated, whoever does it.
fn count_updates(roster: &Roster, always: &str) {
    roster.sql(AWAY, "CREATE TABLE written (id INT)");
    if roster.sites[AWAY].engine.is_postgres() {
        roster.sql(
            AWAY,
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO written VALUES (new.id); RETURN new; END'",
        );
        roster.sql(AWAY, "CREATE TRIGGER written AFTER UPDATE ON item FOR EACH ROW EXECUTE FUNCTION note()");
        roster.sql(AWAY, always);
    } else {
        roster.sql(AWAY, "CREATE TRIGGER written AFTER UPDATE ON item FOR EACH ROW INSERT INTO written VALUES (new.id)");
    }
}

#[test]
fn the_hub_is_away_and_its_clients_go_on_among_themselves() {
    let (mut servers, mut roster) = Roster::on_own_servers(&[MariaDb118, Postgres18, Sqlite, Sqlite], |_| &[]);
    share_items(&mut roster, 50, 20);
    roster.start();
    roster.settle_equal();
    servers[0].stop();
    for (at, client) in [1, 2, 3].into_iter().enumerate() {
        roster.sql(client, &format!("UPDATE item SET body = 'from {client}' WHERE id = {client}"));
        roster.sql(client, &format!("DELETE FROM item WHERE id = {}", 10 + client));
        roster.sql(client, &format!("INSERT INTO item VALUES ({}, {at}, 'new at {client}')", 1000 + client));
    }
    roster.settle_fences(&[1, 2, 3]);
    for (client, other) in [(1, 2), (2, 3), (3, 1)] {
        roster.wait_value(other, &format!("SELECT body FROM item WHERE id = {client}"), &format!("from {client}"));
        roster.wait_value(other, &format!("SELECT count(*) FROM item WHERE id = {}", 10 + client), "0");
        roster.wait_value(other, &format!("SELECT body FROM item WHERE id = {}", 1000 + client), &format!("new at {client}"));
    }
    servers[0].restart();
    roster.wait_equal();
    roster.stop();
}
