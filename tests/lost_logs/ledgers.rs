//! The ledger is lost, or an old copy of it is put back.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::*;

#[test]
fn a_lost_ledger_is_told_by_the_sites_and_built_again() {
    let mut roster = Roster::new(&[MariaDb118, Postgres15, Sqlite]);
    share(&mut roster);
    roster.start();
    roster.settle();
    roster.stop();
    std::fs::remove_dir_all(roster.state_dir()).expect("the ledger can be removed");
    roster.sql(0, "UPDATE person SET name = 'changed without a ledger' WHERE uid = 1");
    roster.sql(1, "INSERT INTO person VALUES (1001, 'new without a ledger', 'n@x')");

    let daemon = roster.spawn();
    for site in &roster.sites {
        wait_said(&roster, &daemon, &format!("site {}: another ledger's markers", site.name));
    }
    assert!(daemon.stop().success());
    assert_eq!(roster.value(0, "SELECT count(*) FROM person WHERE uid = 1001").as_deref(), Some("0"), "it has been copied unasked");

    rebuilt(&roster, "made anew");
    expect(&roster, 1, Some("changed without a ledger p1@x"));
    expect(&roster, 1001, Some("new without a ledger n@x"));
}

#[test]
fn an_old_copy_of_the_ledger_is_told_by_the_sites_and_built_again() {
    let mut roster = Roster::new(&[Postgres18, MySql97, Sqlite]);
    share(&mut roster);
    roster.start();
    roster.settle();
    roster.stop();
    let (ledger, copy) = (roster.state_dir().join("ledger.sqlite"), roster.folder().join("copy.sqlite"));
    rusqlite::Connection::open(&ledger)
        .and_then(|db| db.execute("VACUUM INTO ?1", [copy.to_str().expect("a temporary path is UTF-8")]))
        .expect("the ledger can be copied");
    // A copy of a minute ago: numbers of markers are times, and a minute of them is set aside at once.
    let db = rusqlite::Connection::open(&copy).expect("the copy is there");
    db.execute("UPDATE meta SET value = value - 70000000 WHERE name = 'marker'", []).expect("its format is known");
    drop(db);
    let daemon = roster.spawn();
    roster.sql(0, "UPDATE person SET name = 'newer than the copy' WHERE uid = 1");
    roster.settle_equal();
    assert!(daemon.stop().success());

    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", ledger.display()));
    }
    std::fs::copy(&copy, &ledger).expect("the copy can be put back");
    let daemon = roster.spawn();
    wait_said(&roster, &daemon, "an old copy of the ledger was put back");
    let status = command(&roster, &["status"]);
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(text.contains("run --rebuild") && status.status.code() == Some(1), "{text}");
    assert!(daemon.stop().success());
    expect(&roster, 1, Some("newer than the copy p1@x"));

    rebuilt(&roster, "until-");
    expect(&roster, 1, Some("newer than the copy p1@x"));
    let kept = |folder: &Path| {
        let names = std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().starts_with("ledger.sqlite.until-")).count()
    };
    assert!(kept(&roster.state_dir()) > 0, "the ledger that was there is gone");
}

#[track_caller]
fn rebuilt(roster: &Roster, said: &str) {
    let log = roster.folder().join("rebuild.log");
    let file = std::fs::File::create(&log).expect("the log can be written");
    let mut run = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    run.args(["run", "--rebuild", "--config"]).arg(roster.folder().join("rosterd.toml")).stdout(Stdio::null()).stderr(file);
    let mut child = run.spawn().expect("the binary runs");
    roster.wait_equal();
    // SAFETY: it has no preconditions.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    assert!(child.wait().expect("it ends").success());
    let text = std::fs::read_to_string(&log).expect("there is a log");
    assert!(text.contains(said), "{text}");

    // The next start needs no word of it.
    let mut daemon = roster.spawn();
    roster.sql(2, "UPDATE person SET mail = 'after the rebuild' WHERE uid = 9");
    roster.wait_value(0, "SELECT mail FROM person WHERE uid = 9", "after the rebuild");
    roster.wait_equal();
    daemon.assert_runs();
    assert!(daemon.stop().success());
}

fn command(roster: &Roster, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    command.args(arguments).arg("--config").arg(roster.folder().join("rosterd.toml")).output().expect("it runs")
}
