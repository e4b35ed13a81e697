//! Applications keep rows and tables locked, and take rows in another order than the daemon.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::*;
use crate::roster::Engine::{self, *};
use crate::roster::{Session, Site};

const ROWS: u32 = 120;
const LOCKED: u32 = 50;
/// Three times what the daemon waits for a lock (`lock_wait_ms`).
const HELD: Duration = Duration::from_secs(3);
/// How long other rows may take to come while one is locked: a few waits.
const LAG_MAX: Duration = Duration::from_secs(8);

const NOTE: Table = Table::new("note", "id INT PRIMARY KEY, n INT NOT NULL", &[("id", Plain), ("n", Plain)]);

/// A hub, the sites where something is going to be locked, and another one.
fn with_subjects(subjects: &[Engine]) -> (Roster, Range<usize>, usize) {
    // The hub's log tells transactions apart, however near they are.
    let engines = [&[MariaDb1011], subjects, &[Sqlite]].concat();
    let mut roster = Roster::new(&engines);
    share_items(&mut roster, ROWS, 20);
    roster.share(NOTE, "");
    roster.sql(0, "INSERT INTO note VALUES (1, 0)");
    roster.start();
    roster.settle_equal();
    (roster, 1..subjects.len() + 1, subjects.len() + 1)
}

/// Waits until a query at a site gives what is expected; gives how long it took.
#[track_caller]
fn timed(roster: &Roster, site: usize, sql: &str, expected: &str) -> Duration {
    let begun = Instant::now();
    roster.wait_value(site, sql, expected);
    begun.elapsed()
}

#[test]
fn a_row_that_an_application_keeps_locked_waits_alone() {
    let (mut roster, subjects, other) = with_subjects(&[MariaDb1011, MySql97, Postgres18]);
    let mut applications: Vec<Session> = roster.sites[subjects.clone()].iter().map(Site::session).collect();
    let lock = format!("BEGIN; UPDATE item SET body = 'by an application' WHERE id = {LOCKED}");
    applications.iter_mut().for_each(|application| application.sql(&lock));
    let begun = Instant::now();
    // Each in a transaction of its own: those of one transaction would wait together.
    roster.sql(0, &(1..=ROWS).map(|id| format!("UPDATE item SET n = 1 WHERE id = {id};")).collect::<String>());
    let at_other = timed(&roster, other, "SELECT count(*) FROM item WHERE n = 1", &ROWS.to_string());
    assert!(at_other < HELD, "the other site had to wait {at_other:?}");
    for site in subjects.clone() {
        roster.wait_value(site, "SELECT count(*) FROM item WHERE n = 1", &(ROWS - 1).to_string());
    }
    for turn in 2..5 {
        roster.sql(0, &format!("INSERT INTO note VALUES ({turn}, 0)"));
        for site in subjects.clone() {
            let lag = timed(&roster, site, &format!("SELECT count(*) FROM note WHERE id = {turn}"), "1");
            assert!(lag < LAG_MAX, "another row had to wait {lag:?} at {}", roster.sites[site].name);
        }
    }
    std::thread::sleep(HELD.saturating_sub(begun.elapsed()));
    for (site, application) in subjects.clone().zip(&mut applications) {
        roster.wait_value(site, &format!("SELECT n FROM item WHERE id = {LOCKED}"), "0");
        application.sql("COMMIT");
    }
    roster.wait_equal();
    roster.wait_value(other, &format!("SELECT concat(n, body) FROM item WHERE id = {LOCKED}"), "1by an application");
    assert_undisturbed(&roster, subjects);
    roster.stop();
}

/// A lock holds no row back for good, and is not the end of a session.
fn assert_undisturbed(roster: &Roster, subjects: Range<usize>) {
    assert!(roster.quarantined().is_empty(), "{:?}", roster.quarantined());
    for site in subjects {
        assert_eq!((roster.connects(site), roster.last_error(site).as_str()), (1, ""), "{}", roster.sites[site].name);
    }
}

#[test]
fn a_table_that_an_application_keeps_locked_holds_up_no_other() {
    let (mut roster, subjects, _) = with_subjects(&[MariaDb1011, MySql97, Postgres18]);
    let mut applications: Vec<Session> = roster.sites[subjects.clone()].iter().map(Site::session).collect();
    for (site, application) in subjects.clone().zip(&mut applications) {
        let postgres = roster.sites[site].engine.is_postgres();
        application.sql(if postgres { "BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE" } else { "LOCK TABLES item WRITE" });
    }
    let begun = Instant::now();
    for turn in 1..=4u32 {
        // Each time rows that have not been tried yet.
        let first = turn * 20;
        roster.sql(0, &(first..first + 20).map(|id| format!("UPDATE item SET n = {turn} WHERE id = {id};")).collect::<String>());
        roster.sql(0, &format!("UPDATE note SET n = {turn} WHERE id = 1"));
        for site in subjects.clone() {
            let lag = timed(&roster, site, "SELECT n FROM note WHERE id = 1", &turn.to_string());
            assert!(lag < LAG_MAX, "another table's row had to wait {lag:?} at {}", roster.sites[site].name);
        }
    }
    std::thread::sleep(HELD.saturating_sub(begun.elapsed()));
    for (site, application) in subjects.clone().zip(&mut applications) {
        application.sql(if roster.sites[site].engine.is_postgres() { "COMMIT" } else { "UNLOCK TABLES" });
    }
    for site in subjects.clone() {
        let freed = timed(&roster, site, "SELECT count(*) FROM item WHERE n > 0", "80");
        assert!(freed < LAG_MAX, "rows had to wait {freed:?} after the lock was let go at {}", roster.sites[site].name);
    }
    roster.wait_equal();
    assert_undisturbed(&roster, subjects);
    roster.stop();
}

/// Where applications meet the daemon in a deadlock.
const SUBJECT: usize = 1;

#[test]
fn deadlocks_with_applications_at_mariadb() {
    let count = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Innodb_deadlocks'";
    let waits = "SELECT variable_value > 0 FROM information_schema.global_status WHERE variable_name = 'Innodb_row_lock_current_waits'";
    deadlocks(MariaDb1011, count, waits, "1", |_, _| {});
}

#[test]
fn deadlocks_with_applications_at_mysql() {
    let count = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'";
    let waits = "SELECT variable_value > 0 FROM performance_schema.global_status WHERE variable_name = 'Innodb_row_lock_current_waits'";
    deadlocks(MySql97, count, waits, "1", |_, _| {});
}

#[test]
fn deadlocks_with_applications_at_postgres() {
    let count = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'rosterd' AND wait_event_type = 'Lock'
                 AND datname = current_database()";
    // Whoever looks first for a deadlock is its victim: in turns the application and the daemon.
    deadlocks(Postgres18, count, waits, "t", |application, turn| {
        application.sql(if turn % 2 == 0 { "SET deadlock_timeout = '20ms'" } else { "SET deadlock_timeout = '1min'" });
    });
}

const DEADLOCKS: u32 = 4;

fn deadlocks(engine: Engine, count: &str, waits: &str, yes: &str, begins: impl Fn(&mut Session, u32)) {
    let mut roster = Roster::new(&[Sqlite, engine, Sqlite]);
    share_items(&mut roster, ROWS, 20);
    if engine.is_postgres() {
        let database = roster.sites[SUBJECT].database().to_owned();
        roster.sql(SUBJECT, &format!("ALTER DATABASE {database} SET deadlock_timeout = '500ms'"));
    }
    roster.set("lock_wait_ms = 20000");
    roster.start();
    roster.settle_equal();
    let counted = || roster.value(SUBJECT, count).and_then(|n| n.parse::<u64>().ok()).expect("the server counts");
    let (first, mut done) = (counted(), 0);
    for turn in 1..=DEADLOCKS {
        let mut application = roster.sites[SUBJECT].session();
        begins(&mut application, turn);
        application.sql("BEGIN; UPDATE item SET body = 'by the application' WHERE id = 2");
        roster.sql(0, &format!("BEGIN; UPDATE item SET n = {turn} WHERE id = 1; UPDATE item SET n = {turn} WHERE id = 2; COMMIT"));
        roster.wait_value(SUBJECT, waits, yes);
        let taken = application.try_rows(&format!("UPDATE item SET body = 'turn {turn}' WHERE id = 1"));
        match taken {
            Ok(_) => {
                application.sql("COMMIT");
                done = turn;
            }
            Err(error) => {
                assert!(error.to_lowercase().contains("deadlock"), "{error}");
                application.sql("ROLLBACK");
            }
        }
        roster.wait_value(SUBJECT, &format!("SELECT count(*) FROM item WHERE id IN (1, 2) AND n = {turn}"), "2");
    }
    roster.settle_equal();
    // PostgreSQL's sessions tell what they have met a little later.
    roster.wait("the server to count the deadlocks", || {
        let met = counted() - first;
        (met < u64::from(DEADLOCKS)).then(|| format!("{met} of {DEADLOCKS}"))
    });
    if done > 0 {
        roster.wait_value(0, "SELECT body FROM item WHERE id = 1", &format!("turn {done}"));
    }
    roster.stop();
}
