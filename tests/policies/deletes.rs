//! One site deletes what another one changes, and names of deleted accounts.

use rosterd::ops::admin::Request;

use crate::roster::{ColumnKind::Plain, Engine, Engine::*, Roster, Table};
use crate::{at_once, cells, next_second_but_one};

const USERS: Table = Table::new(
    "users",
    "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE, city VARCHAR(60)",
    &[("uid", Plain), ("name", Plain), ("city", Plain)],
);
const MEMBERS: Table = Table::new("members", USERS.ddl, USERS.columns);
const NOTES: Table =
    Table::new("notes", "nid INT PRIMARY KEY, title VARCHAR(60), city VARCHAR(60)", &[("nid", Plain), ("title", Plain), ("city", Plain)]);

#[test]
fn deletes_of_mariadb_postgres_and_mariadb() {
    all(&[MariaDb118, Postgres15, MariaDb1011]);
}

#[test]
fn deletes_of_postgres_mariadb_and_postgres() {
    all(&[Postgres18, MariaDb1011, Postgres15]);
}

#[test]
fn deletes_of_mysql_postgres_and_sqlite() {
    all(&[MySql97, Postgres18, Sqlite]);
}

fn all(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    roster.share(USERS, "delete = \"delete-wins\"\nunique = { rename = \"{value}-{site}\" }");
    roster.share(MEMBERS, "delete = \"delete-wins\"\nunique = \"quarantine\"");
    roster.share(NOTES, "delete = \"update-wins\"");
    let ids = || (1..=4).chain(10..10 + MOMENTS);
    let rows: Vec<String> = ids().map(|id| format!("({id}, 'no {id}', 'old')")).collect();
    for table in ["users", "members", "notes"] {
        roster.sql(0, &format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
    }
    roster.start();
    roster.settle_equal();
    in_either_order(&roster);
    at_the_same_moment(&roster);
    a_name_goes_from_site_to_site(&roster, "users");
    a_name_goes_from_site_to_site(&roster, "members");
    roster.stop();
}

fn delete(id: usize) -> String {
    format!("DELETE FROM users WHERE uid = {id}; DELETE FROM members WHERE uid = {id}; DELETE FROM notes WHERE nid = {id}")
}

fn change(id: usize) -> String {
    let set = format!("SET city = 'changed {id}'");
    format!("UPDATE users {set} WHERE uid = {id}; UPDATE members {set} WHERE uid = {id}; UPDATE notes {set} WHERE nid = {id}")
}

/// People are gone, notes are there as the change left them.
#[track_caller]
fn decided(roster: &Roster, ids: std::ops::Range<usize>) {
    for at in 0..roster.sites.len() {
        let site = &roster.sites[at].name;
        for id in ids.clone() {
            for table in ["users", "members"] {
                let left = roster.value(at, &format!("SELECT count(*) FROM {table} WHERE uid = {id}"));
                assert_eq!(left.as_deref(), Some("0"), "{table} {id} at {site}");
            }
            let note = cells([&id.to_string(), &format!("no {id}"), &format!("changed {id}")]);
            assert!(roster.rows(at, "notes").contains(&note), "note {id} at {site} is not {note:?}");
        }
    }
}

/// The hub and the last client have not seen each other: either deletes, before or after the other one's change.
fn in_either_order(roster: &Roster) {
    let last = roster.sites.len() - 1;
    let site = roster.sites[last].name.clone();
    roster.daemon().ask(Request::Pause { site: site.clone() }).expect("it is paused");
    for (first, second) in [((0, delete(1)), (last, change(1))), ((last, change(2)), (0, delete(2)))] {
        roster.sql(first.0, &first.1);
        next_second_but_one();
        roster.sql(second.0, &second.1);
    }
    for (first, second) in [((last, delete(3)), (0, change(3))), ((0, change(4)), (last, delete(4)))] {
        roster.sql(first.0, &first.1);
        next_second_but_one();
        roster.sql(second.0, &second.1);
    }
    roster.daemon().ask(Request::Resume { site, accept: None }).expect("it goes on");
    roster.settle_equal();
    decided(roster, 1..5);
    // What the change had written is kept, whichever came first.
    let kinds = roster.conflicts("users");
    assert!(kinds.len() == 4 && kinds.iter().all(|kind| kind == "update_deleted" || kind == "delete_origin_differs"), "{kinds:?}");
    assert!(roster.conflicts("notes").iter().all(|kind| kind == "delete_origin_differs"), "{:?}", roster.conflicts("notes"));
}

const MOMENTS: usize = 24;

fn at_the_same_moment(roster: &Roster) {
    let sites = roster.sites.len();
    for id in 10..10 + MOMENTS {
        let one = id % sites;
        let other = (one + 1 + id / sites % (sites - 1)) % sites;
        at_once(roster, &[(one, delete(id)), (other, change(id))]);
    }
    roster.settle_equal();
    decided(roster, 10..10 + MOMENTS);
    assert_eq!(roster.conflicts("users").len(), 4 + MOMENTS, "{:?}", roster.conflicts("users"));
}

const OWNERS: usize = 9;

/// As soon as a site does not have the account any more, somebody registers its name there. Nobody is called otherwise or held back for
/// a name that is free, though a third site may have both people on the way to it.
fn a_name_goes_from_site_to_site(roster: &Roster, table: &str) {
    let sites = roster.sites.len();
    let joe = format!("SELECT uid FROM {table} WHERE name = 'joe'");
    roster.sql(0, &format!("INSERT INTO {table} VALUES (1000, 'joe', NULL)"));
    for owner in 1..=OWNERS {
        let (from, to) = ((owner + 1) % sites, owner % sites);
        let uid = (999 + owner).to_string();
        roster.wait_value(from, &joe, &uid);
        roster.wait_value(to, &joe, &uid);
        roster.sql(from, &format!("DELETE FROM {table} WHERE uid = {uid}"));
        roster.wait_value(to, &format!("SELECT count(*) FROM {table} WHERE name = 'joe'"), "0");
        roster.sql(to, &format!("INSERT INTO {table} VALUES (1000 + {owner}, 'joe', 'of {to}')"));
    }
    roster.settle_equal();
    let last = cells([&(1000 + OWNERS).to_string(), "joe", &format!("of {}", OWNERS % sites)]);
    for at in 0..sites {
        assert_eq!(roster.rows(at, table), std::slice::from_ref(&last), "{}", roster.sites[at].name);
    }
    assert!(roster.conflicts(table).iter().all(|kind| kind != "multiple_unique_conflicts"), "{:?}", roster.conflicts(table));
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
}
