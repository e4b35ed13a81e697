//! One name, two people; and names that are passed on.

use rosterd::ops::admin::Request;

use crate::next_second_but_one;
use crate::roster::{ColumnKind::Plain, Engine, Engine::*, Roster, Table};

const USERS: Table = Table::new("users", "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE", &[("uid", Plain), ("name", Plain)]);
const MEMBERS: Table = Table::new("members", "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE", &[("uid", Plain), ("name", Plain)]);

#[test]
fn names_of_mariadb_postgres_and_mariadb() {
    all(&[MariaDb118, Postgres18, MariaDb1011]);
}

#[test]
fn names_of_postgres_mysql_and_sqlite() {
    all(&[Postgres15, MySql97, Sqlite]);
}

fn all(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    roster.share(USERS, "unique = { rename = \"{value}-{site}\" }");
    roster.share(MEMBERS, "unique = \"quarantine\"");
    roster.sql(0, "INSERT INTO users VALUES (1, 'zoe'); INSERT INTO members VALUES (1, 'zoe')");
    roster.start();
    roster.settle_equal();
    names_go_around(&roster);
    the_later_one_is_called_otherwise(&mut roster);
    each_stays_where_it_is_until_somebody_decides(&roster);
    roster.stop();
}

/// A swap and a chain in one transaction each, and a swap by three transactions.
fn names_go_around(roster: &Roster) {
    for at in 0..roster.sites.len() {
        let b = 1000 * (at + 1);
        roster.sql(at, &format!("INSERT INTO users VALUES ({b}, 'a{at}'), ({b} + 1, 'b{at}'), ({b} + 2, 'c{at}'), ({b} + 3, 'd{at}')"));
        roster.settle_equal();
        roster.sql(
            at,
            &format!(
                "BEGIN; UPDATE users SET name = 'x{at}' WHERE uid = {b}; UPDATE users SET name = 'a{at}' WHERE uid = {b} + 1;
                 UPDATE users SET name = 'b{at}' WHERE uid = {b}; COMMIT"
            ),
        );
        roster.settle_equal();
        roster.sql(
            at,
            &format!(
                "BEGIN; UPDATE users SET name = 'e{at}' WHERE uid = {b} + 3; UPDATE users SET name = 'd{at}' WHERE uid = {b} + 2;
                 UPDATE users SET name = 'c{at}' WHERE uid = {b} + 1; COMMIT"
            ),
        );
        for (name, uid) in [("y", 0), ("b", 1), ("c", 0)] {
            roster.sql(at, &format!("UPDATE users SET name = '{name}{at}' WHERE uid = {b} + {uid}"));
        }
        roster.settle_equal();
        let name = |uid: usize| roster.value(0, &format!("SELECT name FROM users WHERE uid = {b} + {uid}")).expect("a name");
        assert_eq!([name(0), name(1), name(2), name(3)], ["c", "b", "d", "e"].map(|name| format!("{name}{at}")));
    }
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
}

/// Both keep an account, and every site agrees who has the name. `Joe` and `joe` are one name where some site takes them for one.
fn the_later_one_is_called_otherwise(roster: &mut Roster) {
    let last = roster.sites.len() - 1;
    roster.stop();
    roster.sql(1, "INSERT INTO users VALUES (57, 'Joe')");
    next_second_but_one();
    roster.sql(0, "INSERT INTO users VALUES (58, 'joe')");
    next_second_but_one();
    roster.sql(last, "INSERT INTO users VALUES (59, 'JOE')");
    roster.start();
    roster.settle_equal();
    let name = |uid: u32| roster.value(0, &format!("SELECT name FROM users WHERE uid = {uid}")).expect("everybody keeps an account");
    let renamed = |name: &str, at: usize| format!("{name}-{}", roster.sites[at].name);
    assert_eq!([name(57), name(58), name(59)], ["Joe".to_owned(), renamed("joe", 0), renamed("JOE", last)]);
    assert!(roster.conflicts("users").iter().any(|kind| kind == "multiple_unique_conflicts"));
    // A deleted account's name is free again, at another site.
    roster.sql(1, "DELETE FROM users WHERE uid = 57");
    roster.settle_equal();
    roster.sql(last, "INSERT INTO users VALUES (60, 'joe')");
    roster.settle_equal();
    assert_eq!(roster.value(0, "SELECT name FROM users WHERE uid = 60").as_deref(), Some("joe"));
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
}

/// The later one goes nowhere, and the earlier one does not take its place at its site.
fn each_stays_where_it_is_until_somebody_decides(roster: &Roster) {
    let last = roster.sites.len() - 1;
    let site = roster.sites[last].name.clone();
    roster.daemon().ask(Request::Pause { site: site.clone() }).expect("it is paused");
    roster.sql(1, "INSERT INTO members VALUES (57, 'joe')");
    roster.settle_fences(&(0..last).collect::<Vec<_>>());
    roster.sql(last, "INSERT INTO members VALUES (58, 'joe'), (59, 'after')");
    roster.daemon().ask(Request::Resume { site, accept: None }).expect("it goes on");
    roster.settle();
    let uids = |at: usize| roster.rows(at, "members").into_iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    let quoted = |uids: &[u32]| uids.iter().map(|uid| format!("\"{uid}\"")).collect::<Vec<_>>();
    for at in 0..last {
        assert_eq!(uids(at), quoted(&[1, 57, 59]), "{}", roster.sites[at].name);
    }
    assert_eq!(uids(last), quoted(&[1, 58, 59]));
    let held = roster.quarantined();
    assert_eq!(held.len(), roster.sites.len(), "{held:?}");
    assert!(held.iter().all(|[_, table, kind, reason]| table == "members" && kind == "unique" && !reason.contains("joe")), "{held:?}");
    // Somebody gives one of them another name.
    roster.sql(last, "UPDATE members SET name = 'joe the second' WHERE uid = 58");
    roster.settle_equal();
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
    assert_eq!(uids(0), quoted(&[1, 57, 58, 59]));
}
