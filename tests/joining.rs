//! A site joins a roster that is at work: what would happen is counted beforehand, and the others go on meanwhile.

#[path = "support/load.rs"]
mod load;
#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

use std::os::unix::net::UnixStream;
use std::process::{Command, Output};

use load::Load;
use roster::Engine::{self, *};
use roster::{ColumnKind::Plain, Roster, Table};

const PERSON: Table = Table::new(
    "person",
    "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE, seen INT",
    &[("uid", Plain), ("name", Plain), ("seen", Plain)],
);

fn rosterd(roster: &Roster, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    command.args(arguments).arg("--config").arg(roster.folder().join("rosterd.toml")).output().expect("it runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_postgres_site_joins_mariadb_and_sqlite() {
    joins(&[MariaDb118, Sqlite, Postgres18]);
}

#[test]
fn a_mariadb_site_joins_postgres_and_mysql() {
    joins(&[Postgres15, MySql97, MariaDb1011]);
}

fn joins(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    roster.share(PERSON, "initial = \"newest(seen)\"\nunique = { rename = \"{value}-{site}\" }");
    roster.sql(0, "INSERT INTO person VALUES (1, 'ann', 5), (2, 'bob', 5), (3, 'cid', 5), (4, 'dan', 5)");
    // Equal, newer there, older there, only there, and only there with a name that somebody has.
    roster.sql(2, "INSERT INTO person VALUES (1, 'ann', 5), (2, 'bob', 9), (3, 'cid', 1), (20, 'eve', 5), (21, 'dan', 5)");
    load::prepare(&mut roster);
    let newcomer = roster.sites.pop().expect("three sites");
    let daemon = roster.spawn();
    let load = Load::start(&roster, 1);
    load.wait_written(30);
    roster.wait_value(1, "SELECT count(*) FROM person", "4");

    let name = newcomer.name.clone();
    let unknown = rosterd(&roster, &["site", "add", &name]);
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown));
    roster.sites.push(newcomer);
    roster.configure();
    let counted = rosterd(&roster, &["site", "add", &name, "--dry-run", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&counted.stdout).unwrap_or_else(|_| panic!("{}", text(&counted)));
    let table = json["tables"].as_array().expect("a list").iter().find(|table| table["table"] == "person").expect("it is shared").clone();
    let figures = ["equal", "copied", "joining", "clashing", "overwritten", "winning", "apart"].map(|name| table[name].as_u64());
    assert_eq!(figures, [1, 1, 2, 1, 1, 1, 0].map(Some), "{table}");
    let shown = text(&rosterd(&roster, &["site", "add", &name, "--dry-run"]));
    assert!(shown.contains("Nothing was changed") && !shown.contains("eve"), "{shown}");
    assert_eq!(roster.value(0, "SELECT count(*) FROM person").as_deref(), Some("4"), "the dry run was none");

    let added = rosterd(&roster, &["site", "add", &name]);
    assert_eq!(added.status.code(), Some(0), "{}\n{}", text(&added), daemon.log());
    load.wait_written(30);
    load.finish(&roster);
    let person = |uid: u32| roster.value(0, &format!("SELECT name || ' ' || seen FROM person WHERE uid = {uid}"));
    let concat = |uid: u32| roster.value(0, &format!("SELECT concat(name, ' ', seen) FROM person WHERE uid = {uid}"));
    let person = |uid: u32| if engines[0].is_sqlite() { person(uid) } else { concat(uid) };
    assert_eq!([1, 2, 3, 20].map(person), ["ann 5", "bob 9", "cid 5", "eve 5"].map(|row| Some(row.to_owned())));
    let names = roster.value(0, "SELECT count(*) FROM person WHERE name LIKE 'dan%'");
    assert_eq!(names.as_deref(), Some("2"), "both people called dan keep an account");
    let again = rosterd(&roster, &["site", "add", &name]);
    assert!(again.status.code() == Some(2) && text(&again).contains("is in the roster already"), "{}", text(&again));
    assert!(daemon.stop().success());
}

#[test]
fn a_daemon_goes_on_when_its_next_configuration_is_wrong() {
    let mut roster = Roster::new(&[MariaDb118, Sqlite]);
    roster.share(PERSON, "");
    let mut daemon = roster.spawn();
    roster.sql(0, "INSERT INTO person VALUES (1, 'ann', 5)");
    roster.wait_value(1, "SELECT count(*) FROM person", "1");
    // Somebody who stays connected does not keep the daemon from beginning anew.
    let _caller = UnixStream::connect(roster.state_dir().join("admin.sock")).expect("the daemon takes callers");
    let file = roster.configure();
    let right = std::fs::read_to_string(&file).expect("it is there");
    let (start, end) = right.split_once("127.0.0.1:").expect("the hub's address");
    let nowhere = format!("{start}127.0.0.1:1{}", end.trim_start_matches(|c: char| c.is_ascii_digit()));
    let wrongs = [
        (right.replace("[[table]]", "[[tabel]]"), "tabel"),
        (nowhere, "the hub does not answer"),
        // Which only the ledger knows.
        (
            right.replace("name = \"person\"", "name = \"person\"\nkey = [\"name\"]"),
            "the one before goes on: the ledger belongs to another configuration",
        ),
    ];
    for (seen, (wrong, says)) in (10..).zip(wrongs) {
        std::fs::write(&file, wrong).expect("it can be written");
        Command::new("kill").args(["-HUP", &daemon.pid().to_string()]).status().expect("kill runs");
        roster.wait("the daemon to say what is wrong", || {
            let log = daemon.log();
            (!log.contains(says)).then_some(log)
        });
        daemon.assert_runs();
        roster.sql(0, &format!("UPDATE person SET seen = {seen}"));
        roster.wait_value(1, "SELECT seen FROM person", &seen.to_string());
    }

    std::fs::write(&file, right).expect("it can be written");
    Command::new("kill").args(["-HUP", &daemon.pid().to_string()]).status().expect("kill runs");
    // It began anew once before, with the other key.
    roster.wait("the daemon to begin anew", || {
        let log = daemon.log();
        (log.matches("beginning anew").count() < 2).then_some(log)
    });
    roster.sql(0, "UPDATE person SET seen = 7");
    roster.wait_value(1, "SELECT seen FROM person", "7");
    daemon.assert_runs();
    assert!(daemon.stop().success());
}
