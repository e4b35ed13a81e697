//! What is large goes through in bounded memory: one transaction of very many rows, and one very large value. Memory is that of the
//! daemon's own process, at its highest.

#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

use std::time::{Duration, Instant};

use roster::Engine::*;
use roster::{Binary, ColumnKind::Plain, Roster, Table};

const PERSON: Table = Table::new(
    "person",
    "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL, mail VARCHAR(200)",
    &[("uid", Plain), ("name", Plain), ("mail", Plain)],
);

/// Rows of the large transaction: more with ROSTERD_LARGE_ROWS.
const ROWS: u32 = 25_000;
/// What a large transaction may take: reading it in parts costs a fixed amount, the queues of what is owed something for each row.
const TRANSACTION_MIB_MAX: u64 = 160;
const ROW_BYTES_MAX: u64 = 400;

const VALUE_BYTES: usize = 64 << 20;
/// The value is held by the reader, the merge, the ledger's page and the writer, as bytes and as the engine's text of it.
const VALUE_TIMES_MAX: u64 = 24;

/// The highest resident memory of the daemon so far, in MiB.
#[track_caller]
fn peak_mib(daemon: &Binary) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("the daemon runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

#[test]
fn one_transaction_of_very_many_rows() {
    let rows: u32 = std::env::var("ROSTERD_LARGE_ROWS").map_or(ROWS, |rows| rows.parse().expect("a number"));
    let mut roster = Roster::new(&[MariaDb118, Postgres18, Sqlite]);
    roster.share(PERSON, "");
    let daemon = roster.spawn();
    roster.settle();
    let before = peak_mib(&daemon);
    let begun = Instant::now();
    let mut session = roster.sites[0].session();
    session.sql("BEGIN");
    for first in (1..=rows).step_by(10_000) {
        let some: Vec<String> =
            (first..(first + 10_000).min(rows + 1)).map(|uid| format!("({uid}, 'person {uid}', 'p{uid}@example.org')")).collect();
        session.sql(&format!("INSERT INTO person VALUES {}", some.join(", ")));
    }
    session.sql("COMMIT");
    wait_rows(&roster, "SELECT count(*) FROM person", rows);
    let inserted = begun.elapsed();
    session.sql("UPDATE person SET mail = concat('new-', mail)");
    wait_rows(&roster, "SELECT count(*) FROM person WHERE mail LIKE 'new-%'", rows);
    let updated = begun.elapsed() - inserted;
    let peak = peak_mib(&daemon);
    println!(
        "{rows} rows in one transaction: inserted everywhere after {:.1} s, updated after {:.1} s; {before} MiB before, {peak} MiB at the highest",
        inserted.as_secs_f64(),
        updated.as_secs_f64()
    );
    assert!(peak < TRANSACTION_MIB_MAX + ((u64::from(rows) * ROW_BYTES_MAX) >> 20), "{peak} MiB");
    roster.wait_equal();
    assert!(daemon.stop().success());
}

/// As long as the number of rows takes, and no longer than a minute without any of them.
fn wait_rows(roster: &Roster, sql: &str, rows: u32) {
    for site in [1, 2] {
        let mut session = roster.sites[site].session();
        let mut count = move || session.rows(sql).remove(0).remove(0).and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
        let mut last = 0;
        while last < rows {
            roster.wait("more rows to arrive", || {
                let now = count();
                let more = now > last;
                last = now;
                (!more).then(|| format!("{now} of {rows}"))
            });
        }
    }
}

#[test]
fn one_very_large_value() {
    let mut roster = Roster::new(&[MariaDb118, Postgres15, Sqlite]);
    for (site, blob) in ["LONGBLOB", "BYTEA", "BLOB"].iter().enumerate() {
        roster.sql(site, &format!("CREATE TABLE file (id INT PRIMARY KEY, body {blob})"));
    }
    roster.share_existing(Table::new("file", "", &[("id", Plain)]), "");
    // A statement holds the value in hexadecimal digits.
    roster.sql(0, "SET GLOBAL max_allowed_packet = 268435456");
    let daemon = roster.spawn();
    roster.settle();
    let before = peak_mib(&daemon);
    roster.sql(0, &format!("INSERT INTO file VALUES (1, repeat('abcdefgh', {}))", VALUE_BYTES / 8));
    arrives(&roster, &daemon, &[1, 2], 1);
    roster.sql(1, &format!("INSERT INTO file VALUES (2, convert_to(repeat('ABCDEFGH', {}), 'UTF8'))", VALUE_BYTES / 8));
    arrives(&roster, &daemon, &[0, 2], 2);
    let whole = |site: usize, sql: &str| assert_eq!(roster.value(site, sql).as_deref(), Some("1"), "at {}", roster.sites[site].name);
    whole(0, &format!("SELECT body = repeat('ABCDEFGH', {}) FROM file WHERE id = 2", VALUE_BYTES / 8));
    whole(1, &format!("SELECT (body = convert_to(repeat('abcdefgh', {}), 'UTF8'))::int FROM file WHERE id = 1", VALUE_BYTES / 8));
    let peak = peak_mib(&daemon);
    let times = (peak - before) as f64 / (VALUE_BYTES >> 20) as f64;
    println!("a value of {} MiB: {before} MiB before, {peak} MiB at the highest, {times:.1} times the value", VALUE_BYTES >> 20);
    assert!(times < VALUE_TIMES_MAX as f64, "{times:.1} times the value");
    assert!(daemon.stop().success());
}

/// A debug build on a busy machine takes its time with so many bytes.
const ARRIVES_MAX: Duration = Duration::from_secs(300);

#[track_caller]
fn arrives(roster: &Roster, daemon: &Binary, sites: &[usize], id: u32) {
    let begun = Instant::now();
    for site in sites {
        let mut session = roster.sites[*site].session();
        let mut size = || session.rows(&format!("SELECT length(body) FROM file WHERE id = {id}")).into_iter().next()?.remove(0);
        while size() != Some(VALUE_BYTES.to_string()) {
            let name = &roster.sites[*site].name;
            assert!(begun.elapsed() < ARRIVES_MAX, "value {id} is not at {name} after {ARRIVES_MAX:?}\n{}", daemon.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    println!("value {id} arrived after {:.1} s", begun.elapsed().as_secs_f64());
}
