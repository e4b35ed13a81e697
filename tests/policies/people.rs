//! Two people under one key: neither is overwritten or blended, until the later one gets a key of its own.

use rosterd::ops::admin::Request;

use crate::next_second_but_one;
use crate::roster::{ColumnKind::Plain, Engine, Engine::*, Roster, Table};

const USERS: Table = Table::new(
    "users",
    "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE, city VARCHAR(60)",
    &[("uid", Plain), ("name", Plain), ("city", Plain)],
);
const SESSIONS: Table = Table::new("sessions", "sid VARCHAR(60) PRIMARY KEY, uid INT NOT NULL", &[("sid", Plain), ("uid", Plain)]);
const ROLES: Table = Table::new("users_roles", "uid INT, role VARCHAR(60), PRIMARY KEY (uid, role)", &[("uid", Plain), ("role", Plain)]);

#[test]
fn people_of_mariadb_postgres_and_mariadb() {
    all(&[MariaDb118, Postgres18, MariaDb1011]);
}

#[test]
fn people_of_postgres_sqlite_and_mysql() {
    all(&[Postgres15, Sqlite, MySql97]);
}

fn all(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    roster.share(USERS, "insert = \"quarantine\"");
    roster.share(SESSIONS, "insert = \"merge\"\nreferences = { uid = \"users.uid\" }");
    roster.share(ROLES, "insert = \"merge\"\nreferences = { uid = \"users.uid\" }");
    roster.sql(0, "INSERT INTO users VALUES (2, 'ann', NULL)");
    roster.start();
    roster.settle_equal();
    let last = roster.sites.len() - 1;
    the_later_one_stands_apart(&mut roster, last);
    they_live_side_by_side(&roster, last);
    the_later_one_gets_another_key(&roster, last);
    the_later_one_is_given_up(&mut roster, last);
    roster.stop();
}

fn name_of(roster: &Roster, at: usize, uid: u32) -> Option<String> {
    roster.value(at, &format!("SELECT name FROM users WHERE uid = {uid}"))
}

fn count(roster: &Roster, at: usize, rest: &str) -> String {
    roster.value(at, &format!("SELECT count(*) FROM {rest}")).expect("a number")
}

/// Registered at the hub and at the last site, while neither can know of the other.
fn two_register(roster: &mut Roster, last: usize, uid: u32, names: [&str; 2]) {
    let site = roster.sites[last].name.clone();
    roster.daemon().ask(Request::Pause { site: site.clone() }).expect("it is paused");
    for (at, name) in [(0, names[0]), (last, names[1])] {
        roster.sql(
            at,
            &format!(
                "BEGIN; INSERT INTO users VALUES ({uid}, '{name}', 'of {name}'); INSERT INTO users_roles VALUES ({uid}, 'member'), ({uid}, '{name}');
                 COMMIT; INSERT INTO sessions VALUES ('session of {name}', {uid})"
            ),
        );
        roster.settle_fences(&(0..last).collect::<Vec<_>>());
        next_second_but_one();
    }
    roster.daemon().ask(Request::Resume { site, accept: None }).expect("it goes on");
    roster.settle();
}

fn apart(roster: &Roster) -> String {
    let held = roster.daemon().held_back();
    let apart: Vec<_> = held.iter().filter(|row| row.kind == "apart").collect();
    assert_eq!(apart.len(), 1, "{held:?}");
    assert!(apart[0].table == "users" && !apart[0].reason.contains("bob"), "{held:?}");
    apart[0].name.clone()
}

fn the_later_one_stands_apart(roster: &mut Roster, last: usize) {
    two_register(roster, last, 57, ["bob", "eve"]);
    for at in 0..roster.sites.len() {
        let own = if at == last { "eve" } else { "bob" };
        let site = &roster.sites[at].name;
        assert_eq!(name_of(roster, at, 57).as_deref(), Some(own), "{site}");
        assert_eq!(roster.value(at, "SELECT city FROM users WHERE uid = 57"), Some(format!("of {own}")), "{site}");
        // Whoever holds a session is that person: nobody else's may come under the number, or leave under it.
        assert_eq!(roster.value(at, "SELECT sid FROM sessions WHERE uid = 57"), Some(format!("session of {own}")), "{site}");
        assert_eq!(count(roster, at, "sessions WHERE uid = 57"), "1", "{site}");
        assert_eq!(count(roster, at, &format!("users_roles WHERE uid = 57 AND role IN ('member', '{own}')")), "2", "{site}");
        assert_eq!(count(roster, at, "users_roles WHERE uid = 57"), "2", "{site}");
    }
    apart(roster);
}

/// What each of them does goes where it belongs.
fn they_live_side_by_side(roster: &Roster, last: usize) {
    roster.sql(0, "UPDATE users SET city = 'moved' WHERE uid = 57; INSERT INTO sessions VALUES ('second of bob', 57)");
    roster.sql(last, "UPDATE users SET city = 'stayed' WHERE uid = 57; INSERT INTO sessions VALUES ('second of eve', 57)");
    roster.settle();
    assert_eq!(roster.value(1, "SELECT city FROM users WHERE uid = 57").as_deref(), Some("moved"));
    assert_eq!(roster.value(last, "SELECT city FROM users WHERE uid = 57").as_deref(), Some("stayed"));
    assert_eq!(count(roster, 1, "sessions WHERE sid = 'second of eve'"), "0");
    assert_eq!(count(roster, last, "sessions WHERE sid = 'second of bob'"), "0");
}

fn the_later_one_gets_another_key(roster: &Roster, last: usize) {
    let name = apart(roster);
    let ask = |to, go| roster.daemon().ask(Request::Rekey { name: name.clone(), to, go });
    let told = ask(None, false).expect("a plan").to_string();
    assert!(told.contains("users 57 becomes") && told.contains("sessions, users_roles") && told.contains("--yes"), "{told}");
    assert_eq!(name_of(roster, last, 57).as_deref(), Some("eve"), "telling does nothing");
    assert!(ask(Some(2), false).expect_err("it is taken").contains("is taken"));
    ask(Some(1057), true).expect("it gets another key");
    roster.wait_value(last, "SELECT name FROM users WHERE uid = 57", "bob");
    roster.settle_equal();
    for at in 0..roster.sites.len() {
        let site = &roster.sites[at].name;
        assert_eq!(name_of(roster, at, 1057).as_deref(), Some("eve"), "{site}");
        assert_eq!(count(roster, at, "sessions WHERE uid = 1057"), "2", "{site}");
        assert_eq!(count(roster, at, "sessions WHERE uid = 57"), "2", "{site}");
        assert_eq!(count(roster, at, "users_roles WHERE uid = 1057 AND role IN ('member', 'eve')"), "2", "{site}");
        assert_eq!(count(roster, at, "users_roles WHERE uid = 57 AND role IN ('member', 'bob')"), "2", "{site}");
    }
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
}

/// The other way out: the site's own row goes, with what belongs to it.
fn the_later_one_is_given_up(roster: &mut Roster, last: usize) {
    two_register(roster, last, 58, ["carl", "dora"]);
    let name = apart(roster);
    roster.daemon().ask(Request::Discard { name }).expect("it is given up");
    roster.wait_value(last, "SELECT name FROM users WHERE uid = 58", "carl");
    roster.settle_equal();
    assert_eq!(count(roster, last, "sessions WHERE uid = 58"), "1");
    assert_eq!(count(roster, last, "users WHERE name = 'dora'"), "0");
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
}
