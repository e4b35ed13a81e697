//! Ledgers that are another's, and who may have one.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use crate::TABLES;
use crate::pair::Pair;

#[test]
fn a_ledger_of_another_configuration_is_refused() {
    let pair = Pair::new();
    let mut running = pair.start();
    pair.sql("hub", "INSERT INTO users VALUES (2, 'two')");
    pair.until(&mut running, "the row at nj", || pair.count("nj") == 1);
    drop(running);
    pair.configure("", &[("hub", "sqlite:hub.db", ""), ("ny", "sqlite:nj.db", "")], TABLES);
    pair.expect(&["run"], 2, &["it knows the site nj, which is not configured", "rosterd site remove nj"]);
    pair.configure("", &[("hub", "sqlite:hub.db", ""), ("nj", "sqlite:nj.db", "")], "[[table]]\nname = \"users\"\nkey = [\"name\"]\n");
    pair.expect(&["run"], 2, &["the key of table users", "state_dir"]);
}

#[test]
fn damaged_newer_and_foreign_ledgers_are_refused() {
    let pair = Pair::new();
    std::fs::create_dir(pair.path("state")).unwrap();
    let ledger = pair.path("state/ledger.sqlite");
    std::fs::File::create(&ledger).unwrap().write_all(&[b'x'; 8192]).unwrap();
    pair.expect(&["run"], 2, &["ledger", "damaged", "backup"]);
    std::fs::remove_file(&ledger).unwrap();
    Connection::open(&ledger).unwrap().execute_batch("CREATE TABLE other (a)").unwrap();
    pair.expect(&["run"], 2, &["ledger", "another database"]);
    std::fs::remove_file(&ledger).unwrap();
    let db = Connection::open(&ledger).unwrap();
    db.execute_batch("CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL); INSERT INTO meta VALUES ('format', 99)").unwrap();
    pair.expect(&["run"], 2, &["format 99", "newer rosterd"]);
}

#[test]
fn a_second_daemon_is_refused_and_told_who_is_there() {
    let pair = Pair::new();
    let mut running = pair.start();
    pair.sql("hub", "INSERT INTO users VALUES (2, 'two')");
    pair.until(&mut running, "the row at nj", || pair.count("nj") == 1);
    pair.expect(&["run"], 2, &["in use by another rosterd", "state_dir"]);
    // Another state directory, the same databases: the first daemon's lock at each site is met.
    let text = std::fs::read_to_string(pair.path("rosterd.toml")).unwrap();
    std::fs::write(pair.path("rosterd.toml"), text.replace("\"state\"", "\"state2\"")).unwrap();
    pair.expect(&["run"], 3, &["second daemon", "rosterd, process", &running.pid().to_string()]);
}

#[test]
fn the_ledger_and_its_folder_are_the_daemon_users_alone() {
    let pair = Pair::new();
    let mut running = pair.start();
    pair.until(&mut running, "the admin socket", || pair.path("state/admin.sock").exists());
    for (name, mode) in [("state", 0o700), ("state/ledger.sqlite", 0o600), ("state/admin.sock", 0o600)] {
        let found = std::fs::metadata(pair.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name} has mode {found:o}");
    }
}
