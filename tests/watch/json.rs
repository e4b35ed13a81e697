//! The shapes of `--json` are those that docs/json.md shows, and each has a version.

use rosterd::ops::admin::Request;
use rosterd::ops::{check, history, inspect, joining, status, verify};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ask::{free_port, get};
use crate::roster::Engine::Sqlite;
use crate::roster::{ColumnKind::Plain, Roster, Table};

const DOCUMENT: &str = include_str!("../../docs/json.md");

/// The first example below a heading.
fn example(heading: &str) -> Value {
    let (_, section) = DOCUMENT.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let (_, block) = section.split_once("```json\n").expect("an example");
    serde_json::from_str(block.split("\n```").next().unwrap_or_default()).unwrap_or_else(|error| panic!("{heading}: {error}"))
}

/// An example goes through the program's own type without loss: the type has each of its fields, and no other.
#[track_caller]
fn whole<T: Serialize + DeserializeOwned>(heading: &str) {
    let shown = example(heading);
    assert_eq!(shown["version"], 1, "{heading}");
    let read: T = serde_json::from_value(shown.clone()).unwrap_or_else(|error| panic!("{heading}: {error}"));
    let told = serde_json::to_value(read).expect("it can be told");
    assert_eq!(told, shown, "docs/json.md and the program differ in {heading}: a field went, or is not documented");
}

#[test]
fn every_shape_is_as_documented() {
    whole::<status::Status>("status");
    whole::<check::Report>("check");
    whole::<inspect::Inspection>("inspect");
    whole::<history::Conflicts>("conflicts");
    whole::<history::Quarantine>("quarantine");
    whole::<verify::Verification>("verify");
    whole::<joining::Joining>("site add");
}

const PERSON: Table = Table::new("person", "uid INT PRIMARY KEY, name TEXT NOT NULL", &[("uid", Plain), ("name", Plain)]);

#[test]
fn every_answer_has_its_version() {
    let mut roster = Roster::new(&[Sqlite, Sqlite]);
    roster.share(PERSON, "insert = \"quarantine\"");
    let port = free_port();
    roster.set(&format!("listen = \"127.0.0.1:{port}\"\nheartbeat = \"1s\""));
    let nj = roster.sites[1].name.clone();
    let daemon = roster.spawn();
    roster.wait("both to be followed", || get(port, "/readyz").filter(|(code, _)| *code == 200).is_none().then(|| "not yet".into()));
    roster.ask(&Request::Pause { site: nj.clone() }).expect("it is paused");
    roster.sql(0, "INSERT INTO person VALUES (1, 'ann')");
    roster.sql(1, "INSERT INTO person VALUES (1, 'bob')");
    roster.ask(&Request::Resume { site: nj, accept: None }).expect("it goes on");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.args(arguments).arg("--config").arg(roster.folder().join("rosterd.toml"));
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error} in {output:?}"));
        assert_eq!(answer["version"], 1, "{arguments:?}: {answer:#}");
        answer
    };
    let mut held = Value::Null;
    roster.wait("two people under one number", || {
        held = run(&["quarantine", "list", "--json"]);
        held["rows"].as_array().is_none_or(Vec::is_empty).then(|| held.to_string())
    });
    let conflicts = run(&["conflicts", "--json"]);
    run(&["conflicts", "show", &conflicts["conflicts"][0]["id"].to_string(), "--json"]);
    run(&["quarantine", "show", held["rows"][0]["name"].as_str().expect("a name"), "--json"]);
    run(&["check", "--json"]);
    run(&["inspect", "person", "1", "--json"]);
    run(&["verify", "--json"]);
    let told = run(&["status", "--json"]);
    let (_, served) = get(port, "/status.json").expect("the daemon answers");
    let served: Value = serde_json::from_str(&served).expect("it is JSON");
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&served["sites"][0]), keys(&told["sites"][0]));
    assert_eq!(keys(&example("status")["sites"][0]), keys(&told["sites"][0]));
    assert_eq!(served["version"], 1);
    assert!(daemon.stop().success());
}
