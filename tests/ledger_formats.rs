//! A ledger that a released rosterd wrote is opened by every later one. `tests/ledgers/N` has a small one of format N with the two
//! sites it belongs to. Who changes the format makes a new folder with
//! `ROSTERD_LEDGER=write cargo test --test ledger_formats`, and a migration, or the folders before it fail here.

#[path = "support/pair.rs"]
mod pair;

use std::path::{Path, PathBuf};

use pair::Pair;
#[cfg(debug_assertions)]
use rosterd::crash::{EXIT_CODE, VARIABLE};
use rosterd::ledger::FORMAT;
use rusqlite::{Connection, OpenFlags};

const FILES: [&str; 3] = ["state/ledger.sqlite", "hub.db", "nj.db"];

fn place(format: i64) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ledgers").join(format.to_string())
}

/// Where a file is kept.
fn kept(format: i64, file: &str) -> PathBuf {
    place(format).join(Path::new(file).file_name().expect("a name"))
}

/// What the commands tell of the ledger without a daemon: people, one deleted, a conflict, a row held back.
fn has_all(pair: &Pair) {
    pair.expect(&["inspect", "users", "1", "--show-values"], 0, &["willow"]);
    pair.expect(&["inspect", "users", "2", "--show-values"], 0, &["beech"]);
    pair.expect(
        &["conflicts", "--json"],
        1,
        &["\"kept\": 2", "\"kind\": \"update_origin_differs\"", "\"key\": \"2\"", "\"column\": \"name\""],
    );
    pair.expect(&["quarantine", "list", "--json"], 1, &["\"table\": \"users\"", "\"kind\": \"unique\""]);
    pair.expect(&["status", "--json"], 1, &["\"conflicts\": 2", "\"name\": \"hub\"", "\"name\": \"nj\""]);
}

fn settled(pair: &Pair) -> bool {
    pair.run(&["status", "--json"]).1.matches("\"owed\": { \"total\": 0,").count() == 2
}

/// Made by this version, through the daemon.
fn made() -> Pair {
    let pair = Pair::new();
    pair.sql("hub", "INSERT INTO users VALUES (1, 'willow'), (2, 'aspen'), (3, 'rowan')");
    let mut running = pair.start();
    pair.until(&mut running, "the first copy", || pair.count("nj") == 3 && settled(&pair));
    running.stop();
    pair.sql("nj", "UPDATE users SET name = 'birch' WHERE uid = 2; INSERT INTO users VALUES (6, 'oak')");
    pair.sql("hub", "UPDATE users SET name = 'beech' WHERE uid = 2; DELETE FROM users WHERE uid = 3; INSERT INTO users VALUES (5, 'oak')");
    let mut running = pair.start();
    let is_held = || pair.run(&["quarantine", "list", "--json"]).0 == 1 && pair.run(&["conflicts", "show", "2"]).0 == 0;
    pair.until(&mut running, "what is held back and decided", || is_held() && pair.count("nj") == 3);
    running.stop();
    pair
}

fn stored(format: i64) -> Pair {
    let pair = Pair::new();
    std::fs::create_dir(pair.path("state")).unwrap();
    for file in FILES {
        let from = kept(format, file);
        std::fs::copy(&from, pair.path(file)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    pair
}

fn schema(path: &Path) -> Vec<String> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut query = db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_ledger_is_made_in_the_format_that_is_kept() {
    let pair = made();
    has_all(&pair);
    if std::env::var("ROSTERD_LEDGER").is_ok_and(|word| word == "write") {
        std::fs::create_dir_all(place(FORMAT)).unwrap();
        for file in FILES {
            // The log beside the file goes into it.
            Connection::open(pair.path(file)).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            std::fs::copy(pair.path(file), kept(FORMAT, file)).unwrap();
        }
    }
    let (now, then) = (schema(&pair.path(FILES[0])), schema(&stored(FORMAT).path(FILES[0])));
    assert_eq!(now, then, "the tables have changed and the format's number has not: raise FORMAT, and migrate what has {FORMAT}");
}

#[test]
fn each_format_is_opened_and_gone_on_with() {
    for format in 1..=FORMAT {
        let pair = stored(format);
        has_all(&pair);
        goes_on(&pair, &format!("a new row, by a ledger of format {format}"));
    }
}

/// A row of now arrives, and what was there stays.
fn goes_on(pair: &Pair, what: &str) {
    let mut running = pair.start();
    pair.sql("hub", "INSERT INTO users VALUES (9, 'hazel')");
    let arrived = || pair.run(&["inspect", "users", "9"]).0 == 0 && pair.count("nj") == 4;
    pair.until(&mut running, what, arrived);
    running.stop();
    has_all(pair);
}

/// The format that the file is in, as whoever opens it next sees it.
fn format_of(pair: &Pair) -> i64 {
    let db = Connection::open(pair.path(FILES[0])).unwrap();
    db.query_row("SELECT value FROM meta WHERE name = 'format'", [], |row| row.get(0)).unwrap()
}

/// Only where the points at which the daemon can die are built in.
#[cfg(debug_assertions)]
#[test]
fn a_crash_while_a_ledger_is_brought_to_this_format_loses_nothing_of_it() {
    for format in 1..FORMAT {
        for (point, then) in [("ledger.upgrading", format), ("ledger.upgraded", FORMAT)] {
            let pair = stored(format);
            let status = pair.start_with(&[(VARIABLE, point)]).ended();
            assert_eq!(status.code(), Some(EXIT_CODE), "{point} was not passed: {}", pair.log());
            assert_eq!(format_of(&pair), then, "format {format} after {point}");
            has_all(&pair);
            goes_on(&pair, &format!("a new row after {point} with format {format}"));
            assert_eq!(format_of(&pair), FORMAT);
        }
    }
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let pair = stored(FORMAT);
    let ledger = pair.path(FILES[0]);
    let newer = FORMAT + 1;
    Connection::open(&ledger).unwrap().execute("UPDATE meta SET value = ?1 WHERE name = 'format'", [newer]).unwrap();
    let before = std::fs::read(&ledger).unwrap();
    let words = [format!("the ledger is in format {newer}"), format!("formats up to {FORMAT}"), "install the newer rosterd".into()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    pair.expect(&["run"], 2, &words);
    pair.expect(&["status"], 3, &words);
    pair.expect(&["inspect", "users", "1"], 3, &words);
    assert_eq!(std::fs::read(&ledger).unwrap(), before);
}
