//! A site that deletes too much at once is stopped; the operator says what becomes of it.

use rosterd::ops::admin::Request;

use crate::roster::{ColumnKind::Plain, Engine, Engine::*, Roster, Table};

const USERS: Table = Table::new("users", "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL", &[("uid", Plain), ("name", Plain)]);
const SESSIONS: Table = Table::new("sessions", "sid VARCHAR(60) PRIMARY KEY, uid INT NOT NULL", &[("sid", Plain), ("uid", Plain)]);

#[test]
fn the_fuse_of_mariadb_and_postgres() {
    all(&[MariaDb118, Postgres15]);
}

#[test]
fn the_fuse_of_postgres_and_mariadb() {
    all(&[Postgres18, MariaDb1011]);
}

#[test]
fn the_fuse_of_sqlite_and_mysql() {
    all(&[Sqlite, MySql97]);
}

fn all(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    roster.share(USERS, "fuse_rows = 20");
    roster.share(SESSIONS, "insert = \"merge\"");
    let users: Vec<String> = (1..=60).map(|uid| format!("({uid}, 'user {uid}')")).collect();
    roster.sql(0, &format!("INSERT INTO users VALUES {}", users.join(", ")));
    roster.start();
    roster.settle_equal();
    few_deletes_are_just_deletes(&roster);
    a_mass_delete_is_put_back(&roster);
    a_mass_delete_is_accepted(&roster);
    everything_at_once_is_put_back(&roster);
    if roster.sites[1].engine.is_mysql_family() {
        a_table_made_anew_waits_too(&roster);
    }
    roster.stop();
}

fn count(roster: &Roster, at: usize) -> String {
    roster.value(at, "SELECT count(*) FROM users").expect("a number")
}

fn stopped(roster: &Roster, at: usize) -> String {
    roster.wait("the fuse to blow", || roster.stopped(at, "users").is_none().then(|| "the table has not stopped".into()));
    roster.stopped(at, "users").unwrap_or_default()
}

fn resume(roster: &Roster, at: usize, accept: bool) {
    let site = roster.sites[at].name.clone();
    roster.daemon().ask(Request::Resume { site, accept: Some(accept) }).expect("it is resumed");
}

fn few_deletes_are_just_deletes(roster: &Roster) {
    roster.sql(1, "DELETE FROM users WHERE uid > 55");
    roster.settle_equal();
    assert_eq!(count(roster, 0), "55");
}

/// Thirty rows go, one by one; what is done there meanwhile is kept, and the rest of the roster notices nothing.
fn a_mass_delete_is_put_back(roster: &Roster) {
    for uid in 26..=55 {
        roster.sql(1, &format!("DELETE FROM users WHERE uid = {uid}"));
    }
    let reason = stopped(roster, 1);
    assert!(reason.starts_with("the fuse has blown: table users") && reason.contains("fuse_rows = 20"), "{reason}");
    assert!(roster.stopped(1, "sessions").is_some(), "the whole site stops");
    // Five deletes of before count too: none after the twentieth within the minute was taken.
    let left: u32 = count(roster, 0).parse().expect("a number");
    assert!(left >= 35, "{left} are left at the hub");
    roster.sql(1, "INSERT INTO users VALUES (100, 'new there'); UPDATE users SET name = 'renamed there' WHERE uid = 1; INSERT INTO sessions VALUES ('s', 1)");
    roster.sql(0, "UPDATE users SET name = 'renamed at the hub' WHERE uid = 2");
    resume(roster, 1, false);
    roster.wait_value(1, "SELECT name FROM users WHERE uid = 2", "renamed at the hub");
    roster.settle_equal();
    assert_eq!(count(roster, 1), (left + 1).to_string(), "rows whose delete was not taken are back");
    assert_eq!(roster.value(0, "SELECT name FROM users WHERE uid = 1").as_deref(), Some("renamed there"));
    assert_eq!(roster.value(0, "SELECT count(*) FROM sessions").as_deref(), Some("1"));
}

fn a_mass_delete_is_accepted(roster: &Roster) {
    roster.sql(0, "DELETE FROM users WHERE uid BETWEEN 3 AND 32");
    stopped(roster, 0);
    assert!(count(roster, 1).parse::<u32>().expect("a number") > 30);
    resume(roster, 0, true);
    roster.wait_value(1, "SELECT count(*) FROM users WHERE uid BETWEEN 3 AND 32", "0");
    roster.settle_equal();
}

/// TRUNCATE, or what SQLite has for it.
fn everything_at_once_is_put_back(roster: &Roster) {
    let at = 1;
    let more: Vec<String> = (200..=260).map(|uid| format!("({uid}, 'user {uid}')")).collect();
    roster.sql(0, &format!("INSERT INTO users VALUES {}", more.join(", ")));
    roster.settle_equal();
    let before = roster.rows(0, "users");
    let statement = if roster.sites[at].engine.is_sqlite() { "DELETE FROM users" } else { "TRUNCATE TABLE users" };
    roster.sql(at, statement);
    stopped(roster, at);
    assert_eq!(roster.rows(0, "users"), before);
    resume(roster, at, false);
    roster.wait_value(at, "SELECT count(*) FROM users", &before.len().to_string());
    roster.settle_equal();
    assert_eq!(roster.rows(at, "users"), before);
}

/// A dump that is read in drops the table and makes it anew with the rows of then. Such a table fits again at once, and still it is
/// the operator who says what becomes of the rows that are missing, be they few.
fn a_table_made_anew_waits_too(roster: &Roster) {
    let at = 1;
    let before = roster.rows(0, "users");
    roster.sql(at, "CREATE TABLE dump AS SELECT * FROM users WHERE uid <> 200; DROP TABLE users");
    assert!(stopped(roster, at).starts_with("the fuse has blown: table users"), "{}", stopped(roster, at));
    begin_anew(roster, at);
    roster.sites[at].create_table(&USERS);
    roster.sql(at, "INSERT INTO users SELECT * FROM dump; DROP TABLE dump");
    begin_anew(roster, at);
    assert!(stopped(roster, at).starts_with("the fuse has blown: table users"), "{}", stopped(roster, at));
    resume(roster, at, false);
    roster.wait_value(at, "SELECT count(*) FROM users", &before.len().to_string());
    roster.settle_equal();
    assert_eq!(roster.rows(0, "users"), before);
}

/// A new session of the site, which looks at its tables again.
fn begin_anew(roster: &Roster, at: usize) {
    let (site, sessions) = (roster.sites[at].name.clone(), roster.connects(at));
    roster.daemon().ask(Request::Pause { site: site.clone() }).expect("it is paused");
    roster.daemon().ask(Request::Resume { site, accept: None }).expect("it goes on");
    roster.wait("a session of the site", || {
        let status = roster.daemon().ask(Request::Status).expect("the daemon answers");
        let state = status["sites"][at]["state"].as_str().unwrap_or_default().to_owned();
        (roster.connects(at) == sessions || state != "stopped").then_some(state)
    });
}
