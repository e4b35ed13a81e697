//! Rows that move into a filter and out of it, and rows that it never shares.

use crate::roster::Engine::{self, *};
use crate::roster::{ColumnKind::Plain, Roster, Table};

const PEOPLE: Table = Table {
    filter: "uid > 1 AND status = 1",
    ..Table::new(
        "people",
        "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL, status INT NOT NULL, story $text",
        &[("uid", Plain), ("name", Plain), ("status", Plain), ("story", Plain)],
    )
};

#[test]
fn rows_move_between_mariadb_postgres_and_sqlite() {
    rows_move(&[MariaDb1011, Postgres15, Sqlite]);
}

#[test]
fn rows_move_between_postgres_mysql_and_mariadb() {
    rows_move(&[Postgres18, MySql97, MariaDb118]);
}

#[test]
fn rows_move_between_sqlite_and_postgres() {
    rows_move(&[Sqlite, Postgres18]);
}

/// Long enough that PostgreSQL keeps it beside the row, and leaves it out of its log when it does not change.
fn story(seed: u32) -> String {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[state as usize % 36])
    };
    (0..12_000).map(|_| letter()).collect()
}

fn rows_move(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    let filter = format!("filter = \"{}\"\ninsert = \"merge\"", PEOPLE.filter);
    roster.share(PEOPLE, &filter);
    let sites = engines.len();
    for at in 0..sites {
        roster.sql(
            at,
            &format!(
                "INSERT INTO people VALUES (0, 'nobody {at}', 1, 'x'), (1, 'admin {at}', 1, 'y'), (1{at}, 'person {at}', 1, '{0}'), (2{at}, 'waiting', 0, '{0}')",
                story(at as u32 + 1)
            ),
        );
    }
    roster.start();
    roster.settle_equal();
    local_rows(&roster, "nobody", "admin");
    assert_eq!(roster.value(0, "SELECT count(*) FROM people WHERE uid BETWEEN 10 AND 19").unwrap(), sites.to_string());

    for at in 0..sites {
        out_and_back(&roster, at, &format!("1{at}"), at as u32 + 1);
        // A row of another site's.
        out_and_back(&roster, at, &format!("1{}", (at + 1) % sites), ((at + 1) % sites) as u32 + 1);
        comes_in(&roster, at, &format!("2{at}"), at as u32 + 1);
    }
    leaves_by_a_changed_key(&roster);

    for at in 0..sites {
        roster.sql(at, &format!("UPDATE people SET name = 'root {at}' WHERE uid = 1; DELETE FROM people WHERE uid = 0"));
        roster.sql(at, &format!("INSERT INTO people VALUES (0, 'no one {at}', 1, 'z')"));
    }
    roster.settle_equal();
    local_rows(&roster, "no one", "root");
    roster.sql(0, "DELETE FROM people WHERE uid < 2");
    roster.settle_equal();
    assert_eq!(roster.value(1, "SELECT count(*) FROM people WHERE uid < 2").as_deref(), Some("2"), "deleted at the hub only");
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
    roster.stop();
}

/// Users 0 and 1 are each site's own.
fn local_rows(roster: &Roster, nobody: &str, admin: &str) {
    for at in 0..roster.sites.len() {
        for (uid, name) in [(0, nobody), (1, admin)] {
            let found = roster.value(at, &format!("SELECT name FROM people WHERE uid = {uid}"));
            assert_eq!(found, Some(format!("{name} {at}")), "{}", roster.sites[at].name);
        }
    }
}

/// A shared row stops matching at one site: it stays there and goes away elsewhere. Then it comes back, with what was changed meanwhile.
fn out_and_back(roster: &Roster, at: usize, uid: &str, seed: u32) {
    let here = |what: &str| roster.value(at, &format!("SELECT {what} FROM people WHERE uid = {uid}"));
    roster.sql(at, &format!("UPDATE people SET status = 0 WHERE uid = {uid}"));
    roster.settle_equal();
    for other in 0..roster.sites.len() {
        let count = roster.value(other, &format!("SELECT count(*) FROM people WHERE uid = {uid}"));
        let expected = if other == at { "1" } else { "0" };
        assert_eq!(count.as_deref(), Some(expected), "row {uid}, moved out at {at}, at {other}");
    }
    roster.sql(at, &format!("UPDATE people SET name = 'changed outside' WHERE uid = {uid}"));
    roster.settle_equal();
    assert_eq!(here("name").as_deref(), Some("changed outside"));
    roster.sql(at, &format!("UPDATE people SET status = 1 WHERE uid = {uid}"));
    arrived(roster, uid, "changed outside", seed);
    roster.sql(at, &format!("UPDATE people SET name = 'back {uid}' WHERE uid = {uid}"));
    arrived(roster, uid, &format!("back {uid}"), seed);
}

/// A row that was never shared begins to match.
fn comes_in(roster: &Roster, at: usize, uid: &str, seed: u32) {
    let elsewhere = (at + 1) % roster.sites.len();
    assert_eq!(roster.value(elsewhere, &format!("SELECT count(*) FROM people WHERE uid = {uid}")).as_deref(), Some("0"));
    roster.sql(at, &format!("UPDATE people SET status = 1 WHERE uid = {uid}"));
    arrived(roster, uid, "waiting", seed);
    roster.sql(elsewhere, &format!("DELETE FROM people WHERE uid = {uid}"));
    roster.settle_equal();
    assert_eq!(roster.value(at, &format!("SELECT count(*) FROM people WHERE uid = {uid}")).as_deref(), Some("0"));
}

fn arrived(roster: &Roster, uid: &str, name: &str, seed: u32) {
    for at in 0..roster.sites.len() {
        roster.wait_value(at, &format!("SELECT name FROM people WHERE uid = {uid} AND status = 1"), name);
    }
    roster.settle_equal();
    for at in 0..roster.sites.len() {
        let found = roster.value(at, &format!("SELECT story FROM people WHERE uid = {uid}"));
        assert!(found == Some(story(seed)), "the story of {uid} at {at} has {:?} letters", found.map(|text| text.len()));
    }
}

/// A key that leaves the filter, and comes back.
fn leaves_by_a_changed_key(roster: &Roster) {
    roster.sql(1, "INSERT INTO people VALUES (70, 'wanderer', 1, 'short')");
    roster.settle_equal();
    roster.sql(1, "UPDATE people SET uid = -70 WHERE uid = 70");
    roster.settle_equal();
    assert_eq!(roster.value(0, "SELECT count(*) FROM people WHERE name = 'wanderer'").as_deref(), Some("0"));
    roster.sql(1, "UPDATE people SET uid = 71 WHERE uid = -70");
    roster.wait_value(0, "SELECT uid FROM people WHERE name = 'wanderer'", "71");
    roster.settle_equal();
}

/// A value that no other engine has, in the column that the filter reads: the row is left alone everywhere, and not taken for one that
/// has moved out.
#[test]
fn a_value_without_canonical_form_moves_nothing() {
    let term = Table::new("term", "id INT PRIMARY KEY, ends TIMESTAMP NULL", &[("id", Plain), ("ends", Plain)]);
    let mut roster = Roster::new(&[MariaDb118, Postgres18]);
    roster.share(term, "filter = \"ends > '2020-01-01'\"\ninsert = \"merge\"");
    roster.sql(0, "INSERT INTO term VALUES (1, '2030-01-01 00:00:00'), (2, '2030-01-01 00:00:00')");
    roster.start();
    roster.settle();
    roster.sql(1, "UPDATE term SET ends = 'infinity' WHERE id = 1; INSERT INTO term VALUES (3, 'infinity')");
    roster.settle();
    assert_eq!(roster.value(0, "SELECT count(*) FROM term WHERE ends = '2030-01-01 00:00:00'").as_deref(), Some("2"));
    let held = roster.quarantined();
    assert!(matches!(&held[..], [[_, table, kind, reason]] if table == "term" && kind == "value" && reason.contains("ends")), "{held:?}");
    roster.sql(1, "UPDATE term SET ends = '2031-01-01 00:00:00'");
    roster.settle_equal();
    assert_eq!(roster.value(0, "SELECT count(*) FROM term WHERE ends = '2031-01-01 00:00:00'").as_deref(), Some("3"));
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
    roster.stop();
}
