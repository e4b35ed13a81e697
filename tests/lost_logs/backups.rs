//! A site is put back from a backup, made anew, or moved.

use super::*;

#[test]
fn mariadb_is_put_back_from_a_backup() {
    put_back(Postgres18, MariaDb1011);
}

#[test]
fn mysql_is_put_back_from_a_backup() {
    put_back(MariaDb118, MySql97);
}

#[test]
fn postgres_is_put_back_from_a_backup() {
    put_back(MariaDb118, Postgres15);
}

#[test]
fn sqlite_is_put_back_from_a_backup() {
    put_back(Postgres15, Sqlite);
}

fn put_back(hub: Engine, subject: Engine) {
    let (mut server, roster) = roster_with(hub, subject);
    // Processes of their own: when one has ended, it has nothing open any more.
    let daemon = roster.spawn();
    roster.settle();
    assert!(daemon.stop().success());
    let saved = save(&mut server, &roster);

    // What the backup does not have: a change, a delete and an insert of others, and all three of its own.
    let daemon = roster.spawn();
    roster.sql(0, "UPDATE person SET name = 'changed at the hub' WHERE uid = 1");
    roster.sql(2, "DELETE FROM person WHERE uid = 2");
    roster.sql(2, "INSERT INTO person VALUES (1002, 'new at another', 'n@x')");
    roster.sql(SUBJECT, "UPDATE person SET mail = 'changed here' WHERE uid = 3");
    roster.sql(SUBJECT, "DELETE FROM person WHERE uid = 4");
    roster.sql(SUBJECT, "INSERT INTO person VALUES (1001, 'new here', 'h@x')");
    roster.settle_equal();
    assert!(daemon.stop().success());

    restore(&mut server, &roster, &saved);
    // The log of the server that was put back grows past the place where the old one was read, under the same names.
    for n in 0..200 {
        roster.sql(SUBJECT, &format!("UPDATE person SET mail = 'after the backup {n}' WHERE uid = 5"));
    }
    let daemon = roster.spawn();
    wait_said(&roster, &daemon, "earlier state of this site");
    roster.wait_equal();
    expect(&roster, 1, Some("changed at the hub p1@x"));
    expect(&roster, 2, None);
    expect(&roster, 3, Some("person 3 changed here"));
    expect(&roster, 4, None);
    expect(&roster, 5, Some("person 5 p5@x"));
    expect(&roster, 1001, Some("new here h@x"));
    expect(&roster, 1002, Some("new at another n@x"));
    assert_eq!(mode_of(&roster), "restored");
    assert!(daemon.stop().success());
    // What the ledger won over is kept.
    let kept = roster.conflicts("person");
    assert!(!kept.is_empty(), "the value written after the backup is nowhere");

    // It is a site like the others again.
    let daemon = roster.spawn();
    roster.sql(SUBJECT, "UPDATE person SET name = 'again' WHERE uid = 6");
    roster.settle_equal();
    expect(&roster, 6, Some("again p6@x"));
    assert!(daemon.stop().success());
}

fn save(server: &mut Option<Server>, roster: &Roster) -> std::path::PathBuf {
    match server {
        Some(server) => server.save(),
        None => {
            let saved = roster.folder().join("saved.db");
            // As `sqlite3 .backup` does: what is in the write-ahead log yet belongs to it.
            let db = rusqlite::Connection::open(roster.sites[SUBJECT].database()).expect("the site's file is there");
            db.execute("VACUUM INTO ?1", [saved.to_string_lossy()]).expect("the file can be saved");
            saved
        }
    }
}

fn restore(server: &mut Option<Server>, roster: &Roster, saved: &std::path::Path) {
    match server {
        Some(server) => server.put_back(saved),
        None => {
            let database = roster.sites[SUBJECT].database();
            for suffix in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{database}{suffix}"));
            }
            // Onto the same file, as `cp` does.
            std::fs::copy(saved, database).expect("the file can be copied");
        }
    }
}

/// How the subject's tables were compared last.
fn mode_of(roster: &Roster) -> String {
    let db = rusqlite::Connection::open(roster.state_dir().join("ledger.sqlite")).expect("the ledger is there");
    let sql =
        "SELECT mode FROM site_table JOIN site s ON s.id = site JOIN shared_table t ON t.id = tbl WHERE s.name = ?1 AND t.name = 'person'";
    db.query_row(sql, [&roster.sites[SUBJECT].name], |row| row.get(0)).expect("the table is known")
}

#[test]
fn a_sqlite_file_that_was_moved_goes_on() {
    let (_, roster) = roster_with(MariaDb118, Sqlite);
    let daemon = roster.spawn();
    roster.settle();
    assert!(daemon.stop().success());
    roster.sql(SUBJECT, "UPDATE person SET name = 'before the move' WHERE uid = 1");
    let database = roster.sites[SUBJECT].database().to_owned();
    let elsewhere = format!("{database}.moved");
    std::fs::copy(&database, &elsewhere).expect("the file can be copied");
    std::fs::rename(&elsewhere, &database).expect("the file can be replaced");
    roster.sql(SUBJECT, "INSERT INTO person VALUES (1001, 'after the move', 'm@x')");
    roster.sql(SUBJECT, "DELETE FROM person WHERE uid = 2");
    let daemon = roster.spawn();
    wait_said(&roster, &daemon, "moved, or restored without loss");
    roster.wait_equal();
    expect(&roster, 1, Some("before the move p1@x"));
    expect(&roster, 2, None);
    expect(&roster, 1001, Some("after the move m@x"));
    assert!(daemon.stop().success());
}

#[test]
fn a_mariadb_database_that_was_made_anew_gets_its_people_back() {
    made_anew(Postgres15, MariaDb118);
}

#[test]
fn a_postgres_database_that_was_made_anew_gets_its_people_back() {
    made_anew(MariaDb1011, Postgres18);
}

fn made_anew(hub: Engine, subject: Engine) {
    let (server, mut roster) = roster_with(hub, subject);
    let server = server.expect("it has a server");
    roster.start();
    roster.settle();
    roster.stop();
    let database = roster.sites[SUBJECT].database().to_owned();
    if subject.is_postgres() {
        server.sql("postgres", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
    }
    server.sql(server.main_database(), &format!("DROP DATABASE {database}"));
    server.sql(server.main_database(), &format!("CREATE DATABASE {database}"));
    for (table, _) in &roster.tables {
        roster.sites[SUBJECT].create_table(table);
    }
    let mut daemon = roster.spawn();
    if subject.is_postgres() {
        // PostgreSQL numbers databases, and this one has another number and no markers: nothing says that it is the site.
        wait_said(&roster, &daemon, "it is another database than before");
        let mut reconcile = std::process::Command::new(env!("CARGO_BIN_EXE_rosterd"));
        reconcile.args(["reconcile", &roster.sites[SUBJECT].name, "--restored", "--config"]).arg(roster.folder().join("rosterd.toml"));
        let output = reconcile.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    roster.wait_equal();
    assert_eq!(roster.rows(0, "person").len(), PEOPLE as usize);
    daemon.assert_runs();
    assert!(daemon.stop().success());
}
