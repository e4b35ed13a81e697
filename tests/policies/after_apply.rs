//! After-apply statements: with the rows that they belong to, once more a while later, and no harm when they fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rosterd::ops::admin::Request;
use rosterd::ops::status::{SiteStatus, Status};
use rosterd::ops::status_text;
use rosterd::ops::text::Page;

use crate::roster::{ColumnKind::Plain, Engine, Engine::*, Roster, Table};

const USERS: Table =
    Table::new("users", "uid INT PRIMARY KEY, n INT NOT NULL, city VARCHAR(60)", &[("uid", Plain), ("n", Plain), ("city", Plain)]);
const TAGS: Table = Table::new(
    "tags",
    "uid INT, delta INT, tag VARCHAR(60), PRIMARY KEY (uid, delta)",
    &[("uid", Plain), ("delta", Plain), ("tag", Plain)],
);

const REPEAT: Duration = Duration::from_millis(700);

#[test]
fn after_apply_of_mariadb_postgres_and_mariadb() {
    all(&[MariaDb1011, Postgres18, MariaDb118]);
}

#[test]
fn after_apply_of_postgres_mariadb_and_sqlite() {
    all(&[Postgres15, MariaDb118, Sqlite]);
}

#[test]
fn after_apply_of_mysql_and_postgres() {
    all(&[MySql97, Postgres15]);
}

fn all(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    roster.set(&format!("after_apply_repeat_ms = {}", REPEAT.as_millis()));
    let count = "INSERT INTO {ran} (uid) VALUES (:uid)";
    let copy = "INSERT INTO {seen} (uid, n) SELECT uid, n FROM {users} WHERE uid = :uid";
    roster.share(USERS, &format!("insert = \"merge\"\nafter_apply = [{count:?}, {copy:?}]"));
    roster.share(TAGS, &format!("insert = \"merge\"\nafter_apply = [{count:?}]"));
    for site in &roster.sites {
        site.sql("CREATE TABLE ran (uid INT); CREATE TABLE seen (uid INT, n INT)");
    }
    roster.start();
    roster.settle_equal();
    for origin in 0..roster.sites.len() {
        one_statement_for_all_rows_of_a_person(&roster, origin);
    }
    in_the_rows_own_transaction(&roster);
    a_lost_connection_loses_no_repeat(&roster);
    one_that_fails_holds_nothing_up(&roster);
    roster.stop();
}

fn count(roster: &Roster, at: usize, uid: usize) -> String {
    roster.value(at, &format!("SELECT count(*) FROM ran WHERE uid = {uid}")).expect("a number")
}

/// A person and eight tags in one transaction: the statement is the same for all nine rows, and runs twice in all.
fn one_statement_for_all_rows_of_a_person(roster: &Roster, origin: usize) {
    let uid = 100 + origin;
    let tags: Vec<String> = (0..8).map(|delta| format!("({uid}, {delta}, 'tag')")).collect();
    let begun = Instant::now();
    roster
        .sql(origin, &format!("BEGIN; INSERT INTO users VALUES ({uid}, 0, 'Lisbon'); INSERT INTO tags VALUES {}; COMMIT", tags.join(", ")));
    let targets = || (0..roster.sites.len()).filter(|at| *at != origin);
    for at in targets() {
        roster.wait(&format!("the statements at {}", roster.sites[at].name), || {
            (count(roster, at, uid) == "0").then(|| "none has run".into())
        });
        if begun.elapsed() < REPEAT {
            let ran = count(roster, at, uid);
            assert!(ran == "1" || begun.elapsed() > REPEAT, "{ran} statements for one person at {}", roster.sites[at].name);
        }
    }
    for at in targets() {
        roster.wait_value(at, &format!("SELECT count(*) FROM ran WHERE uid = {uid}"), "2");
    }
    assert!(begun.elapsed() > REPEAT, "the second time came after {:?}", begun.elapsed());
    assert_eq!(count(roster, origin, uid), "0", "nothing is applied where it comes from");
    roster.settle_equal();
}

const ROUNDS: usize = 80;

/// Whoever sees a row sees what its statement did: it never comes a moment later.
fn in_the_rows_own_transaction(roster: &Roster) {
    let origin = 0;
    let over = AtomicBool::new(false);
    let late: Vec<String> = std::thread::scope(|scope| {
        let over = &over;
        let observers: Vec<_> = (1..roster.sites.len())
            .map(|at| {
                scope.spawn(move || {
                    let mut session = roster.sites[at].session();
                    let late =
                        "SELECT u.n FROM users u WHERE u.uid = 200 AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.uid = u.uid AND s.n = u.n)";
                    while !over.load(Ordering::Relaxed) {
                        if let Some(row) = session.rows(late).first() {
                            return Some(format!("{row:?} without its statement at {}", roster.sites[at].name));
                        }
                    }
                    None
                })
            })
            .collect();
        let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut session = roster.sites[origin].session();
            session.sql("INSERT INTO users VALUES (200, 1, 'Lisbon')");
            (2..ROUNDS).for_each(|n| session.sql(&format!("UPDATE users SET n = {n} WHERE uid = 200")));
            roster.settle();
        }));
        over.store(true, Ordering::Relaxed);
        let late = observers.into_iter().filter_map(|observer| observer.join().expect("it does not panic")).collect();
        written.expect("the writer writes");
        late
    });
    assert!(late.is_empty(), "{}", late.join("\n"));
    roster.assert_equal();
}

/// The site is paused between the two times; or after them, on a slow machine, where this proves nothing.
fn a_lost_connection_loses_no_repeat(roster: &Roster) {
    let last = roster.sites.len() - 1;
    let site = roster.sites[last].name.clone();
    roster.sql(0, "INSERT INTO users VALUES (300, 1, 'Lisbon')");
    roster.wait_value(last, "SELECT n FROM users WHERE uid = 300", "1");
    roster.daemon().ask(Request::Pause { site: site.clone() }).expect("it is paused");
    roster.daemon().ask(Request::Resume { site, accept: None }).expect("it goes on");
    // Everywhere, since what is repeated later counts as failed when its table is dropped.
    for (at, table) in (1..=last).flat_map(|at| ["ran", "seen"].map(|table| (at, table))) {
        roster.wait_value(at, &format!("SELECT count(*) FROM {table} WHERE uid = 300"), "2");
    }
    roster.settle_equal();
}

fn status(roster: &Roster) -> Status {
    serde_json::from_value(roster.daemon().ask(Request::Status).expect("an answer")).expect("its own format")
}

/// The table that a statement names is dropped at every site; the other statement, and the rows, go on.
fn one_that_fails_holds_nothing_up(roster: &Roster) {
    let sites = roster.sites.len();
    let failed =
        |status: &Status| -> Vec<u64> { status.sites.iter().map(|site| site.counts.expect("it runs").failed_statements).collect() };
    assert_eq!(failed(&status(roster)), vec![0; sites]);
    roster.sites.iter().for_each(|site| site.sql("DROP TABLE seen"));
    for origin in 0..sites {
        roster.sql(origin, &format!("INSERT INTO users VALUES ({}, 1, 'Lisbon')", 400 + origin));
    }
    roster.settle_equal();
    for (at, origin) in (0..sites).flat_map(|at| (0..sites).map(move |origin| (at, origin))).filter(|(at, origin)| at != origin) {
        roster.wait_value(at, &format!("SELECT count(*) FROM ran WHERE uid = {}", 400 + origin), "2");
    }
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
    // Each counts when it fails, also the second time.
    let expected = 2 * (sites as u64 - 1);
    roster.wait("failed statements to be counted", || {
        let failed = failed(&status(roster));
        failed.iter().any(|failed| *failed < expected).then(|| format!("{failed:?} of {expected} each"))
    });
    let status = status(roster);
    assert_eq!(failed(&status), vec![expected; sites]);
    let why = |site: &SiteStatus| site.failed_statement.as_ref().map_or(0, |failed| failed.text.len());
    assert!(status.sites.iter().all(|site| why(site) > 0), "{status:?}");
    let text = status_text::render(&status, Page::PLAIN);
    let line = format!("  {expected} after-apply statements failed; the last one, ");
    assert_eq!(text.matches(&line).count(), sites, "{text}");
}
