//! `rosterd verify` compares all sites with the ledger while they are at work, names what differs, and has it mended.

#[path = "support/load.rs"]
mod load;
#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

use std::process::{Command, Output};

use load::Load;
use roster::Engine::{self, *};
use roster::{ColumnKind::Plain, Roster, Table};

const PERSON: Table =
    Table::new("person", "uid INT PRIMARY KEY, name VARCHAR(60), mail VARCHAR(60)", &[("uid", Plain), ("name", Plain), ("mail", Plain)]);
const PEOPLE: u32 = 1000;

fn roster_of(engines: &[Engine]) -> Roster {
    let mut roster = Roster::new(engines);
    roster.share(PERSON, "");
    let rows: Vec<String> = (1..=PEOPLE).map(|uid| format!("({uid}, 'person {uid}', 'p{uid}@x')")).collect();
    roster.sql(0, &format!("INSERT INTO person VALUES {}", rows.join(", ")));
    roster
}

fn verify(roster: &Roster, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    command.arg("verify").args(more).arg("--config").arg(roster.folder().join("rosterd.toml")).output().expect("it runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn assert_fine(roster: &Roster) {
    let output = verify(roster, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn nothing_is_reported_while_everybody_writes() {
    let mut roster = roster_of(&[MariaDb118, Postgres15, Sqlite]);
    load::prepare(&mut roster);
    let daemon = roster.spawn();
    let load = Load::start(&roster, 1);
    load.wait_written(50);
    roster.wait("the first copy", || (roster.rows(2, "person").len() < PEOPLE as usize).then(|| "it goes on".into()));
    for _ in 0..3 {
        load.wait_written(30);
        assert_fine(&roster);
    }
    load.finish(&roster);
    assert_fine(&roster);
    assert!(daemon.stop().success());
}

#[test]
fn what_differs_at_mariadb_is_named_and_mended() {
    named_and_mended(&[Postgres18, MariaDb1011, Sqlite]);
}

#[test]
fn what_differs_at_mysql_is_named_and_mended() {
    named_and_mended(&[MariaDb118, MySql97, Postgres15]);
}

/// Changes that no log has: one value, a row that goes, a row that comes, and a row that is then changed in the log as well.
fn named_and_mended(engines: &[Engine]) {
    let roster = roster_of(engines);
    let daemon = roster.spawn();
    roster.settle_equal();
    assert_fine(&roster);
    roster.sql(
        1,
        "SET sql_log_bin = 0;
         UPDATE person SET name = 'unseen' WHERE uid = 1;
         UPDATE person SET name = 'unseen as well' WHERE uid = 3;
         DELETE FROM person WHERE uid = 2;
         INSERT INTO person VALUES (2000, 'nobody knows', 'n@x');
         SET sql_log_bin = 1;
         UPDATE person SET mail = 'seen' WHERE uid = 1",
    );
    // The log shows whole rows: what was not seen before comes along.
    roster.wait_value(0, "SELECT mail FROM person WHERE uid = 1", "seen");
    roster.wait_value(2, "SELECT name FROM person WHERE uid = 1", "unseen");

    let output = verify(&roster, &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for named in ["  2: missing", "  2000: surplus", "  3: name", "3 rows differ"] {
        assert!(said.contains(named), "{named:?} is not in\n{said}");
    }
    assert!(!said.contains("unseen") && !said.contains("nobody"), "a value is shown:\n{said}");
    let json: serde_json::Value = serde_json::from_slice(&verify(&roster, &["--json"]).stdout).expect("it is JSON");
    let different: u64 =
        json["tables"].as_array().expect("a list").iter().map(|table| table["different"].as_u64().expect("a number")).sum();
    assert_eq!(different, 3, "{json}");

    let output = verify(&roster, &["--repair"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    roster.wait_equal();
    for site in 0..3 {
        let at = |uid: u32| roster.value(site, &format!("SELECT name FROM person WHERE uid = {uid}"));
        assert_eq!((at(2), at(3), at(2000)), (Some("person 2".into()), Some("person 3".into()), None), "at {}", roster.sites[site].name);
    }
    assert_fine(&roster);
    // What was there is kept.
    assert!(roster.conflicts("person").len() >= 2, "{:?}", roster.conflicts("person"));
    assert!(daemon.stop().success());
}

#[test]
fn the_daemon_verifies_by_itself() {
    let mut roster = roster_of(&[MariaDb1011, Postgres18]);
    roster.set("verify_every = \"2s\"");
    let daemon = roster.spawn();
    roster.settle_equal();
    let status = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        let output = command.args(["status", "--json", "--config"]).arg(roster.folder().join("rosterd.toml")).output().expect("it runs");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_default()
    };
    let different = |status: &serde_json::Value| -> Option<u64> {
        let tables = status["verified"]["tables"].as_array()?;
        (!tables.is_empty()).then(|| tables.iter().filter_map(|table| table["different"].as_u64()).sum())
    };
    roster.wait("a verification", || {
        let status = status();
        (different(&status) != Some(0)).then(|| status.to_string())
    });
    roster.sql(0, "SET sql_log_bin = 0; DELETE FROM person WHERE uid <= 7");
    roster.wait("a verification that finds it", || {
        let status = status();
        (different(&status) != Some(7)).then(|| status.to_string())
    });
    let news = status()["news"].to_string();
    assert!(news.contains("7 rows differ") && news.contains("verify --repair"), "{news}");
    let output = verify(&roster, &["--repair", "--rows-per-second", "5000"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    roster.wait("a verification that finds nothing", || {
        let status = status();
        (different(&status) != Some(0) || status["news"].to_string().contains("differ")).then(|| status.to_string())
    });
    assert!(daemon.stop().success());
}

#[test]
fn repair_needs_the_daemon_and_sites_have_names() {
    let roster = roster_of(&[MariaDb118, Sqlite]);
    let daemon = roster.spawn();
    roster.settle_equal();
    assert!(daemon.stop().success());
    let output = verify(&roster, &["--site", "nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains(&format!("there is no site nowhere; the sites are {}", roster.sites[0].name)), "{}", text(&output));
    roster.sql(0, "SET sql_log_bin = 0; DELETE FROM person WHERE uid = 1");
    let output = verify(&roster, &["--repair"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("needs the running daemon"), "{}", text(&output));
}
