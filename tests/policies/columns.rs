//! Each policy for what two sites changed at once: for a column, and for a whole table.

use std::sync::atomic::{AtomicI64, Ordering};

use rosterd::ops::admin::Request;

use crate::roster::{ColumnKind::Plain, Engine, Engine::*, Roster, Table};
use crate::{at_once, cells, next_second_but_one};

const STAMPS: Table = Table::new(
    "stamps",
    "uid INT PRIMARY KEY, latest INT, hubs INT, highest INT, lowest INT, asked INT",
    &[("uid", Plain), ("latest", Plain), ("hubs", Plain), ("highest", Plain), ("lowest", Plain), ("asked", Plain)],
);
/// A table for each policy, of which `default` is said.
const WHOLE: [(&str, &str); 5] =
    [("latest", "last-writer-wins"), ("hubs", "hub-wins"), ("highest", "max"), ("lowest", "min"), ("asked", "quarantine")];

const fn whole(name: &'static str) -> Table {
    Table::new(name, "uid INT PRIMARY KEY, n INT", &[("uid", Plain), ("n", Plain)])
}

#[test]
fn columns_of_mariadb_postgres_and_mariadb() {
    all(&[MariaDb1011, Postgres15, MariaDb118]);
}

#[test]
fn columns_of_postgres_mariadb_and_sqlite() {
    all(&[Postgres18, MariaDb118, Sqlite]);
}

#[test]
fn columns_of_mysql_and_postgres() {
    all(&[MySql97, Postgres15]);
}

fn all(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    roster.share(
        STAMPS,
        "insert = \"merge\"\nconflict = { hubs = \"hub-wins\", highest = \"max\", lowest = \"min\", asked = \"quarantine\", \
         default = \"last-writer-wins\" }",
    );
    let uids = [1, 2, 3, 4, 5, 10, 11];
    let rows = |rest: &str| uids.map(|uid| format!("({uid}, {rest})")).join(", ");
    roster.sql(0, &format!("INSERT INTO stamps VALUES {}", rows("15, 15, 15, 15, 15")));
    for (name, policy) in WHOLE {
        roster.share(whole(name), &format!("insert = \"merge\"\nconflict = {{ default = {policy:?} }}"));
        roster.sql(0, &format!("INSERT INTO {name} VALUES {}", rows("15")));
    }
    roster.start();
    roster.settle_equal();
    whoever_is_later_and_whatever_is_greater(&roster);
    an_operator_is_asked(&roster);
    many_writers_at_once(&roster);
    the_hub_and_a_client_at_the_same_moment(&roster);
    roster.stop();
}

/// One value in the column of each policy of a person, and in each table but that of `quarantine`.
fn set(uid: u32, n: u32) -> String {
    let mut script = format!("UPDATE stamps SET latest = {n}, hubs = {n}, highest = {n}, lowest = {n} WHERE uid = {uid}");
    for (name, _) in &WHOLE[..4] {
        script += &format!("; UPDATE {name} SET n = {n} WHERE uid = {uid}");
    }
    script
}

fn paused<'r>(roster: &'r Roster, at: usize) -> impl FnOnce() + 'r {
    let site = roster.sites[at].name.clone();
    roster.daemon().ask(Request::Pause { site: site.clone() }).expect("it is paused");
    move || {
        roster.daemon().ask(Request::Resume { site, accept: None }).expect("it goes on");
    }
}

/// The hub and the last client, who have not seen each other: both orders in time, both orders of the values.
fn whoever_is_later_and_whatever_is_greater(roster: &Roster) {
    let last = roster.sites.len() - 1;
    let resume = paused(roster, last);
    roster.sql(last, &format!("{}; {}", set(3, 20), set(4, 10)));
    next_second_but_one();
    roster.sql(0, &format!("{}; {}; {}; {}", set(1, 10), set(2, 20), set(3, 10), set(4, 20)));
    next_second_but_one();
    roster.sql(last, &format!("{}; {}", set(1, 20), set(2, 10)));
    resume();
    roster.settle_equal();
    let expected = [
        ["1", "20", "10", "20", "10", "15"],
        ["2", "10", "20", "20", "10", "15"],
        ["3", "10", "10", "20", "10", "15"],
        ["4", "20", "20", "20", "10", "15"],
    ];
    for at in 0..roster.sites.len() {
        let site = &roster.sites[at].name;
        for row in expected {
            assert!(roster.rows(at, "stamps").contains(&cells(row)), "{row:?} is not at {site}: {:?}", roster.rows(at, "stamps"));
            for (column, (name, _)) in WHOLE[..4].iter().enumerate() {
                let (uid, value) = (row[0], row[column + 1]);
                assert!(roster.rows(at, name).contains(&cells([uid, value])), "{name} {uid} is not {value} at {site}");
            }
        }
    }
    // What lost is kept: one entry for each column, person and side that won.
    assert!(roster.conflicts("stamps").len() >= 4 && roster.conflicts("stamps").iter().all(|kind| kind == "update_origin_differs"));
    for (name, _) in &WHOLE[..4] {
        assert_eq!(roster.conflicts(name), ["update_origin_differs"; 4], "{name}");
    }
}

/// Each site keeps its own until somebody decides, then all have one.
fn an_operator_is_asked(roster: &Roster) {
    let last = roster.sites.len() - 1;
    let both = |n: u32| format!("UPDATE stamps SET asked = {n} WHERE uid = 5; UPDATE asked SET n = {n} WHERE uid = 5");
    let resume = paused(roster, last);
    roster.sql(last, &both(20));
    roster.sql(0, &both(10));
    roster.settle_fences(&(0..last).collect::<Vec<_>>());
    resume();
    roster.settle();
    let values =
        |at: usize| ["SELECT asked FROM stamps WHERE uid = 5", "SELECT n FROM asked WHERE uid = 5"].map(|sql| roster.value(at, sql));
    for at in 0..roster.sites.len() {
        let own = Some(if at == last { "20" } else { "10" }.to_owned());
        assert_eq!(values(at), [own.clone(), own], "{}", roster.sites[at].name);
    }
    let held = roster.daemon().held_back();
    let apart = |table: &str| held.iter().find(|row| row.table == table && row.kind == "apart").expect("it stands apart").name.clone();
    assert_eq!(held.len(), 2, "{held:?}");
    roster.daemon().ask(Request::SiteWins { name: apart("stamps") }).expect("the site's row wins");
    roster.daemon().ask(Request::Discard { name: apart("asked") }).expect("the site's row is given up");
    roster.wait_value(0, "SELECT asked FROM stamps WHERE uid = 5", "20");
    roster.wait_value(last, "SELECT n FROM asked WHERE uid = 5", "10");
    roster.settle_equal();
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
}

const ROUNDS: i64 = 60;

/// Every site writes the same row all the time: numbers that go up where the greatest counts, down where the smallest does.
fn many_writers_at_once(roster: &Roster) {
    let next = AtomicI64::new(100);
    std::thread::scope(|scope| {
        for site in &roster.sites {
            let next = &next;
            scope.spawn(move || {
                let mut session = site.session();
                for _ in 0..ROUNDS {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    session.sql(&format!("UPDATE stamps SET highest = {n} WHERE uid = 10 AND highest < {n}"));
                    session.sql(&format!("UPDATE stamps SET lowest = -{n} WHERE uid = 10 AND lowest > -{n}"));
                    session.sql(&format!("UPDATE stamps SET latest = {n}, hubs = {n} WHERE uid = 10"));
                    session.sql(&format!("UPDATE highest SET n = {n} WHERE uid = 10 AND n < {n}"));
                    session.sql(&format!("UPDATE lowest SET n = -{n} WHERE uid = 10 AND n > -{n}"));
                }
            });
        }
    });
    roster.settle_equal();
    let last = next.load(Ordering::Relaxed) - 1;
    for at in 0..roster.sites.len() {
        let value = |sql: &str| roster.value(at, sql).expect("a number").parse::<i64>().expect("a number");
        let extremes = ["highest FROM stamps", "lowest FROM stamps", "n FROM highest", "n FROM lowest"];
        assert_eq!(extremes.map(|what| value(&format!("SELECT {what} WHERE uid = 10"))), [last, -last, last, -last]);
        let latest = value("SELECT latest FROM stamps WHERE uid = 10");
        assert!((100..=last).contains(&latest), "{latest} was written by nobody");
    }
}

fn the_hub_and_a_client_at_the_same_moment(roster: &Roster) {
    for (round, client) in (1..roster.sites.len()).cycle().take(12).enumerate() {
        let n = 1000 + 10 * round;
        at_once(
            roster,
            &[
                (client, format!("UPDATE stamps SET hubs = {n} + 1, latest = {n} + 1 WHERE uid = 11")),
                (0, format!("UPDATE stamps SET hubs = {n}, latest = {n} WHERE uid = 11")),
            ],
        );
        roster.settle_equal();
        assert_eq!(roster.value(client, "SELECT hubs FROM stamps WHERE uid = 11"), Some(n.to_string()), "round {round}");
        let latest = roster.value(client, "SELECT latest FROM stamps WHERE uid = 11").expect("a number");
        assert!(latest == n.to_string() || latest == (n + 1).to_string(), "{latest} was written by neither");
    }
}
