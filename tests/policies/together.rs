//! What an application does in one transaction is at every site whole or not at all: nobody sees a deleted or blocked person with a
//! session, nor a person whose sessions have gone before.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::commit;
use crate::roster::{ColumnKind::Plain, Engine, Engine::*, Roster, Site, Table};

const USERS: Table = Table::new(
    "users",
    "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL, status INT NOT NULL",
    &[("uid", Plain), ("name", Plain), ("status", Plain)],
);
const SESSIONS: Table = Table::new(
    "sessions",
    "sid VARCHAR(60) PRIMARY KEY, uid INT NOT NULL, stamp INT NOT NULL",
    &[("sid", Plain), ("uid", Plain), ("stamp", Plain)],
);
const CITY: Table = Table::new("field_city", "uid INT PRIMARY KEY, city VARCHAR(60) NOT NULL", &[("uid", Plain), ("city", Plain)]);
const NOISE: Table = Table::new("noise", "k INT PRIMARY KEY, body VARCHAR(200)", &[("k", Plain), ("body", Plain)]);

#[test]
fn whole_transactions_of_mariadb_postgres_and_mariadb() {
    all(&[MariaDb118, Postgres18, MariaDb1011]);
}

#[test]
fn whole_transactions_of_postgres_mariadb_and_mysql() {
    all(&[Postgres15, MariaDb118, MySql97]);
}

/// People of each site who are deleted, as many who are blocked, and as many who register meanwhile.
const EACH: usize = 40;
const NOISE_ROWS: usize = 300;

/// Numbers of a site's people: who is deleted, who is blocked, who is new.
fn people(at: usize) -> [std::ops::Range<usize>; 3] {
    let first = 1000 * (at + 1);
    [first..first + EACH, first + 200..first + 200 + EACH, first + 400..first + 400 + EACH]
}

fn registration(uid: usize) -> String {
    format!(
        "INSERT INTO sessions VALUES ('a{uid}', {uid}, 0); INSERT INTO users VALUES ({uid}, 'user {uid}', 1);
         INSERT INTO field_city VALUES ({uid}, 'Lisbon'); INSERT INTO sessions VALUES ('b{uid}', {uid}, 0)"
    )
}

fn all(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    roster.share(USERS, "insert = \"quarantine\"\nurgent = true");
    roster.share(SESSIONS, "urgent = true\nconflict = { stamp = \"max\" }\nreferences = { uid = \"users.uid\" }");
    roster.share(CITY, "insert = \"merge\"\nreferences = { uid = \"users.uid\" }");
    roster.share(NOISE, "insert = \"merge\"");
    for at in 0..roster.sites.len() {
        let [deleted, blocked, _] = people(at);
        deleted.chain(blocked).for_each(|uid| roster.sql(0, &registration(uid)));
    }
    let noise: Vec<String> = (0..NOISE_ROWS).map(|k| format!("({k}, 'quiet')")).collect();
    roster.sql(0, &format!("INSERT INTO noise VALUES {}", noise.join(", ")));
    roster.start();
    roster.settle_equal();
    under_load(&roster);
    roster.settle_equal();
    let people = roster.sites.len() * EACH;
    for at in 0..roster.sites.len() {
        let count = |rest: &str| roster.value(at, &format!("SELECT count(*) FROM {rest}")).expect("a number");
        let site = &roster.sites[at].name;
        assert_eq!(count("users WHERE status = 1"), people.to_string(), "who is new at {site}");
        assert_eq!(count("users WHERE status = 0"), people.to_string(), "who is blocked at {site}");
        assert_eq!(count("sessions"), (2 * people).to_string(), "{site}");
        assert_eq!(count("field_city"), (2 * people).to_string(), "{site}");
    }
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
    roster.stop();
}

/// Says when it is over, also by a panic.
struct Ends<'a>(&'a AtomicUsize);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn under_load(roster: &Roster) {
    let sites = roster.sites.len();
    let (writers, over) = (AtomicUsize::new(sites), AtomicBool::new(false));
    let torn: Vec<String> = std::thread::scope(|scope| {
        let (writers, over) = (&writers, &over);
        let observers: Vec<_> = roster.sites.iter().map(|site| scope.spawn(move || observe(site, over))).collect();
        for at in 0..sites {
            scope.spawn(move || {
                let _ends = Ends(writers);
                administer(roster, at);
            });
            scope.spawn(move || view_pages(roster, at, writers));
        }
        scope.spawn(move || make_noise(roster, writers));
        scope.spawn(move || {
            let settled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                roster.wait("the writers to be done", || (writers.load(Ordering::Relaxed) > 0).then(|| "they are at work".into()));
                roster.settle();
            }));
            over.store(true, Ordering::Relaxed);
            settled.expect("it settles");
        });
        observers.into_iter().filter_map(|observer| observer.join().expect("an observer does not panic").err()).collect()
    });
    assert!(torn.is_empty(), "{}", torn.join("\n"));
}

/// Deletes accounts, blocks others, registers new ones: each in the transaction that an application uses.
fn administer(roster: &Roster, at: usize) {
    let mut session = roster.sites[at].session();
    let [deleted, blocked, new] = people(at);
    for ((deleted, blocked), new) in deleted.zip(blocked).zip(new) {
        commit(
            &mut session,
            &format!(
                "DELETE FROM field_city WHERE uid = {deleted}; DELETE FROM sessions WHERE sid IN ('a{deleted}', 'b{deleted}');
                 DELETE FROM users WHERE uid = {deleted}"
            ),
        );
        commit(
            &mut session,
            &format!("UPDATE users SET status = 0 WHERE uid = {blocked}; DELETE FROM sessions WHERE sid IN ('a{blocked}', 'b{blocked}')"),
        );
        commit(&mut session, &registration(new));
    }
}

/// Sessions of people whom another site is about to delete or to block.
fn view_pages(roster: &Roster, at: usize, writers: &AtomicUsize) {
    let mut session = roster.sites[at].session();
    let [deleted, blocked, _] = people((at + 1) % roster.sites.len());
    let mut stamp = 0;
    for uid in deleted.zip(blocked).flat_map(|(one, other)| [one, other]).cycle() {
        if writers.load(Ordering::Relaxed) == 0 {
            return;
        }
        stamp += 1;
        commit(&mut session, &format!("UPDATE sessions SET stamp = {stamp} WHERE sid = 'a{uid}'"));
    }
}

/// Big transactions of something else, the next one when the last has come to another site.
fn make_noise(roster: &Roster, writers: &AtomicUsize) {
    let (mut session, mut reader) = (roster.sites[0].session(), roster.sites[1].session());
    let mut n = 0;
    while writers.load(Ordering::Relaxed) > 0 {
        n += 1;
        let body = format!("noise {n}");
        commit(&mut session, &format!("UPDATE noise SET body = '{body}'"));
        roster.wait("noise to arrive", || {
            let there = reader.rows("SELECT min(body), max(body) FROM noise").remove(0);
            (there != [Some(body.clone()), Some(body.clone())]).then(|| format!("{there:?} is there, not {body}"))
        });
    }
}

/// One statement is one snapshot.
const SNAPSHOT: &str = "SELECT (SELECT count(*) FROM users WHERE status = 1), (SELECT count(*) FROM sessions),
    (SELECT count(*) FROM sessions s LEFT JOIN users u ON u.uid = s.uid AND u.status = 1 WHERE u.uid IS NULL),
    (SELECT count(*) FROM users), (SELECT count(*) FROM field_city)";

/// The error is what was seen in part.
fn observe(site: &Site, over: &AtomicBool) -> Result<usize, String> {
    let mut session = site.session();
    let mut looks = 0;
    while !over.load(Ordering::Relaxed) {
        let row = session.rows(SNAPSHOT).remove(0);
        let numbers: Vec<usize> = row.iter().map(|cell| cell.as_deref().and_then(|n| n.parse().ok()).expect("a number")).collect();
        let [active, sessions, without, users, fields] = numbers[..] else { panic!("five numbers") };
        if sessions != 2 * active || without > 0 || users != fields {
            return Err(format!(
                "{}, look {looks}: {active} people of {users} are active, with {sessions} sessions, {without} of nobody active, and {fields} fields",
                site.name
            ));
        }
        looks += 1;
    }
    Ok(looks)
}
