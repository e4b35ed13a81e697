//! Transactions: rolled back, in part rolled back, and of many rows in two tables, which arrive whole.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::roster::{Roster, Site};

pub fn run(roster: &Roster) {
    rolled_back(roster);
    savepoints(roster);
    for origin in 0..roster.sites.len() {
        arrives_whole(roster, origin);
    }
}

fn rolled_back(roster: &Roster) {
    let before = roster.rows(0, "note");
    for at in 0..roster.sites.len() {
        roster.sql(
            at,
            &format!(
                "BEGIN; INSERT INTO note (k, body) VALUES ('undone {at}', 'x'); DELETE FROM note WHERE k LIKE 'plain%';
                 UPDATE note SET n = -1; ROLLBACK"
            ),
        );
    }
    roster.settle_equal();
    assert_eq!(roster.rows(0, "note"), before);
}

fn savepoints(roster: &Roster) {
    let sites = roster.sites.len();
    for at in 0..sites {
        roster.sql(
            at,
            &format!(
                "BEGIN; INSERT INTO note (k, n) VALUES ('kept {at}', 1);
                 SAVEPOINT one; INSERT INTO note (k, n) VALUES ('dropped {at}', 1); UPDATE note SET n = 2 WHERE k = 'kept {at}';
                 ROLLBACK TO SAVEPOINT one; INSERT INTO note (k, n) VALUES ('kept too {at}', 1);
                 SAVEPOINT two; UPDATE note SET n = 3 WHERE k = 'kept too {at}'; RELEASE SAVEPOINT two; COMMIT"
            ),
        );
    }
    roster.settle_equal();
    assert_eq!(roster.value(0, "SELECT count(*) FROM note WHERE k LIKE 'dropped%'").as_deref(), Some("0"));
    assert_eq!(roster.value(0, "SELECT sum(n) FROM note WHERE k LIKE 'kept%'").unwrap(), (4 * sites).to_string());
}

const TRANSACTIONS: usize = 40;
const MEMBERS_EACH: usize = 5;

/// Each transaction adds members to a team and counts them in the team's row, while the other sites are read all the time.
fn arrives_whole(roster: &Roster, origin: usize) {
    let stop = AtomicBool::new(false);
    let start: usize = roster.value(0, "SELECT members FROM team WHERE id = 2").unwrap().parse().unwrap();
    let end = start + TRANSACTIONS * MEMBERS_EACH;
    std::thread::scope(|scope| {
        let readers: Vec<_> = roster.sites.iter().map(|site| scope.spawn(|| read_until(site, end, &stop))).collect();
        let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| write(roster, origin, start)));
        if written.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        for reader in readers {
            reader.join().expect("a reader does not panic").unwrap_or_else(|error| panic!("{error}"));
        }
        written.expect("the writer writes");
    });
    roster.settle_equal();
}

fn write(roster: &Roster, origin: usize, start: usize) {
    let mut session = roster.sites[origin].session();
    for n in 0..TRANSACTIONS {
        let first = 1000 + start + n * MEMBERS_EACH;
        let rows: Vec<String> = (first..first + MEMBERS_EACH).map(|id| format!("({id}, 2, 'member {id}')")).collect();
        // The two tables in either order.
        let mut statements = [
            format!("INSERT INTO member VALUES {}", rows.join(", ")),
            format!("UPDATE team SET members = members + {MEMBERS_EACH} WHERE id = 2"),
        ];
        if n % 2 == 1 {
            statements.reverse();
        }
        session.sql(&format!("BEGIN; {}; {}; COMMIT", statements[0], statements[1]));
    }
}

/// Reads until all members are there; the error is what was seen in part.
fn read_until(site: &Site, end: usize, stop: &AtomicBool) -> Result<(), String> {
    let mut session = site.session();
    let mut problem = None;
    let mut seen = 0;
    let whole = crate::roster::wait_for(|| {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let query = "SELECT members, (SELECT count(*) FROM member WHERE team = 2) FROM team WHERE id = 2";
        let row = session.rows(query).remove(0);
        let number = |at: usize| row[at].as_deref().and_then(|text: &str| text.parse::<usize>().ok()).expect("a number");
        let (counted, there) = (number(0), number(1));
        if counted != there {
            problem = Some(format!("{}: {there} members where {counted} are counted", site.name));
            return None;
        }
        seen = counted;
        (counted < end).then(|| format!("{}: {counted} of {end} members", site.name))
    });
    match problem {
        Some(problem) => Err(problem),
        None => whole,
    }
}
