//! The commands, as a person at a shell has them: the built binary on SQLite sites in a temporary folder.

#[path = "cli/decisions.rs"]
mod decisions;
#[path = "cli/init.rs"]
mod init;
#[path = "cli/roster.rs"]
mod roster;
#[path = "cli/stopped.rs"]
mod stopped;

use std::time::Duration;

use roster::Roster;

const STOP_MAX: Duration = Duration::from_secs(5);

#[test]
fn check_proves_a_configuration_and_run_refuses_what_it_finds() {
    let roster = Roster::new(&["hub", "nj"]);
    let fine = roster.run(&["check"]);
    assert_eq!(fine.code, 0, "{fine:?}");
    assert!(fine.out.contains("quick_check finds nothing") && fine.out.contains("`rosterd run` can start"), "{fine:?}");
    assert!(fine.out.contains("users: the database knows no classes"), "{fine:?}");

    roster.sql(
        "nj",
        "DROP TABLE users_roles; ALTER TABLE users ADD COLUMN theme TEXT NOT NULL DEFAULT ''; CREATE UNIQUE INDEX m ON users (mail)",
    );
    roster.sql("nj", "CREATE TABLE note (nid INTEGER PRIMARY KEY, uid INT NOT NULL REFERENCES users (uid) ON DELETE CASCADE)");
    roster.sql("nj", "CREATE TRIGGER counted AFTER UPDATE ON users BEGIN SELECT 1; END");
    let bad = roster.run(&["check", "--json"]);
    assert_eq!(bad.code, 1, "{bad:?}");
    let report = bad.json();
    assert_eq!(report["version"], 1);
    let nj = report["sites"][1]["findings"].as_array().unwrap();
    let has = |level: &str, subject: &str, text: &str| {
        let matches = |line: &serde_json::Value| {
            line["level"] == level
                && line["subject"] == subject
                && line["text"].as_str().unwrap().contains(text)
                && line["remedy"].is_string()
        };
        assert!(nj.iter().any(matches), "no {level} about {subject} with {text:?} in {nj:#?}");
    };
    has("error", "table users_roles", "there is no table");
    has("warning", "table users", "(mail) is unique here and not at hub");
    has("warning", "table users", "changes rows of note here too");
    has("warning", "table users", "triggers");

    let refused = roster.run(&["run"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("there is no table") && refused.err.contains("does not start"), "{refused:?}");
}

#[test]
fn check_names_twins_and_sites_that_can_not_be_reached() {
    let roster = Roster::new(&["hub", "nj"]);
    roster.link("twin", "nj");
    roster.configure_also("[[site]]\nname = \"twin\"\nurl = \"sqlite:twin.db\"\n");
    let twins = roster.run(&["check"]);
    assert_eq!(twins.code, 1, "{twins:?}");
    assert!(twins.out.contains("same database as site nj"), "{twins:?}");

    let roster = Roster::new(&["hub", "nj"]);
    roster.configure_also("[[site]]\nname = \"far\"\nurl = \"mysql://rosterd@127.0.0.1:1/none\"\n");
    let far = roster.run(&["check"]);
    assert_eq!(far.code, 3, "{far:?}");
    assert!(far.err.contains("can't reach far"), "{far:?}");
}

#[test]
fn a_daemon_from_start_to_stop() {
    let roster = Roster::new(&["hub", "nj", "pa"]);
    roster.sql("hub", "INSERT INTO users (uid, name, pass, mail) VALUES (42, 'ann', 'hash-of-ann', 'ann@example.net')");
    let mut daemon = roster.start();
    let status = daemon.settled();
    assert_eq!((&status["version"], &status["running"]), (&1.into(), &true.into()), "{status:#}");
    assert!(status["sites"][0]["address"].as_str().unwrap().starts_with("SQLite at "), "{status:#}");
    assert_eq!(roster.text("pa", "SELECT mail FROM users WHERE uid = 42"), "ann@example.net");

    roster.sql("nj", "UPDATE users SET mail = 'ann@nj.example.net' WHERE uid = 42; INSERT INTO sessions VALUES ('sid-of-ann', 42)");
    daemon.until(|| roster.text("pa", "SELECT mail FROM users WHERE uid = 42") == "ann@nj.example.net");
    let live = daemon.settled();
    assert!(live["sites"][2]["lag_p50_us"].is_i64(), "{live:#}");
    let second = roster.run(&["run"]);
    assert!(second.code == 2 && second.err.contains("in use by another rosterd"), "{second:?}");
    let shown = roster.run(&["status"]);
    assert!(shown.code == 0 && shown.out.contains("All is well."), "{shown:?}");
    inspect_shows_versions_and_no_secrets(&roster);

    let took = daemon.stop();
    assert!(took < STOP_MAX, "it took {took:?} to stop");
    let stopped = roster.run(&["status", "--json"]);
    assert_eq!(stopped.code, 1, "{stopped:?}");
    assert_eq!((&stopped.json()["running"], &stopped.json()["sites"][1]["state"]), (&false.into(), &"not-running".into()));
    assert!(roster.run(&["status"]).out.contains("rosterd is not running; last seen at work "));
    inspect_shows_versions_and_no_secrets(&roster);
}

/// Alike from the running daemon and from its ledger.
fn inspect_shows_versions_and_no_secrets(roster: &Roster) {
    let row = roster.run(&["inspect", "users", "42", "--json", "--show-values"]);
    assert_eq!(row.code, 0, "{row:?}");
    let row = row.json();
    assert_eq!((&row["exists"], &row["life"], &row["version_vector"]["nj"]), (&true.into(), &1.into(), &1.into()), "{row:#}");
    let column = |name: &str| row["columns"].as_array().unwrap().iter().find(|column| column["name"] == name).unwrap().clone();
    assert_eq!((&column("mail")["site"], &column("mail")["value"]), (&"nj".into(), &"ann@nj.example.net".into()));
    assert_eq!((&column("name")["site"], column("pass").get("value")), (&"hub".into(), None));
    assert_eq!(row["sites"].as_array().unwrap().iter().filter(|site| site["holds"] == "merged").count(), 3, "{row:#}");

    let plain = roster.run(&["inspect", "users", "42"]);
    assert!(plain.out.contains("version vector {hub:") && !plain.out.contains("example.net"), "{plain:?}");
    let session = roster.run(&["inspect", "sessions", "sid-of-ann", "--show-values"]);
    assert!(session.code == 0 && !session.out.contains("sid-of-ann"), "{session:?}");
    assert_eq!(roster.run(&["inspect", "users", "4711"]).code, 1);
    let typo = roster.run(&["inspect", "user", "42"]);
    assert!(typo.code == 2 && typo.err.contains("did you mean users?"), "{typo:?}");
    let text = roster.run(&["inspect", "users", "ann"]);
    assert!(text.code == 2 && text.err.contains("key column uid of table users is a whole number"), "{text:?}");
}

#[test]
fn conflicts_and_quarantine_are_listed() {
    let roster = Roster::new(&["hub", "nj"]);
    let mut daemon = roster.start();
    daemon.settled();
    assert_eq!(roster.run(&["conflicts"]).code, 0);
    roster.run(&["site", "pause", "nj"]);
    daemon.until(|| roster.status()["sites"][1]["state"] == "paused");
    let paused = roster.run(&["status"]);
    assert!(paused.code == 1 && paused.out.contains("site nj is paused"), "{paused:?}");
    // One person at each site, under one number.
    roster.sql("hub", "INSERT INTO users (uid, name, pass, mail) VALUES (7, 'bob', 'x', 'bob@example.net')");
    roster.sql("nj", "INSERT INTO users (uid, name, pass, mail) VALUES (7, 'eve', 'x', 'eve@example.net')");
    daemon.until(|| roster.status()["sites"][1]["owed"]["total"] == 1);
    roster.run(&["site", "resume", "nj"]);
    daemon.until(|| roster.status()["quarantined"] == 1);

    let list = roster.run(&["quarantine", "list", "--json"]);
    assert_eq!(list.code, 1, "{list:?}");
    let held = list.json()["rows"][0].clone();
    assert_eq!((&held["site"], &held["key"], &held["kind"]), (&"nj".into(), &"7".into(), &"apart".into()));
    let name = held["name"].as_str().unwrap().to_owned();
    assert!(roster.run(&["quarantine", "show", &name]).out.contains("quarantine discard"));
    assert_eq!(roster.run(&["quarantine", "retry", &name]).code, 2);
    assert_eq!(roster.run(&["quarantine", "show", "nj:999999"]).code, 2);
    let conflicts = roster.run(&["conflicts", "--table", "users", "--json"]);
    assert_eq!((conflicts.code, &conflicts.json()["conflicts"][0]["kind"]), (1, &"insert_exists".into()), "{conflicts:?}");
    assert!(!conflicts.out.contains("example.net"), "{conflicts:?}");
    assert!(roster.run(&["conflicts", "--show-values", "--json"]).out.contains("eve@example.net"));
    let number = conflicts.json()["conflicts"][0]["id"].to_string();
    let shown = roster.run(&["conflicts", "show", &number]);
    assert!(shown.code == 0 && shown.out.contains("inserted the same key") && !shown.out.contains("example.net"), "{shown:?}");
    assert!(roster.run(&["conflicts", "show", &number, "--show-values"]).out.contains("eve@example.net"));
    assert_eq!(roster.run(&["conflicts", "show", "999999"]).code, 2);

    let discarded = roster.run(&["quarantine", "discard", &name]);
    assert_eq!(discarded.code, 0, "{discarded:?}");
    daemon.until(|| roster.text("nj", "SELECT name FROM users WHERE uid = 7") == "bob");
    daemon.settled();
    daemon.stop();
}

#[test]
fn reconcile_takes_up_a_database_that_has_moved() {
    let roster = Roster::new(&["hub", "nj"]);
    roster.sql("hub", "INSERT INTO users (uid, name, pass, mail) VALUES (1, 'ann', 'x', 'a'), (2, 'bob', 'x', 'b')");
    let mut daemon = roster.start();
    daemon.settled();
    daemon.stop();
    roster.replace_by_copy("nj");
    // Without our table, nothing says that it has ever been this site.
    roster.sql("nj", "DROP TABLE rosterd_marker; UPDATE users SET mail = 'new' WHERE uid = 2");
    let mut daemon = roster.start();
    daemon.until(|| roster.status()["sites"][1]["state"] == "stopped");
    assert_eq!(roster.run(&["reconcile", "nowhere"]).code, 2);
    let asked = roster.run(&["reconcile", "nj"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    daemon.until(|| roster.text("hub", "SELECT mail FROM users WHERE uid = 2") == "new");
    daemon.settled();
    daemon.stop();
}

#[test]
fn verify_names_rows_that_differ_and_repair_puts_them_back() {
    let roster = Roster::new(&["hub", "nj"]);
    roster.sql("hub", "INSERT INTO users (uid, name, pass, mail) VALUES (1, 'ann', 'x', 'a'), (2, 'bob', 'x', 'b'), (3, 'cy', 'x', 'c')");
    let mut daemon = roster.start();
    daemon.settled();
    let same = roster.run(&["verify"]);
    assert!(same.code == 0 && same.out.contains("Every site holds what the ledger says."), "{same:?}");
    daemon.stop();
    roster.sql_unseen(
        "nj",
        "UPDATE users SET mail = 'zz' WHERE uid = 2; DELETE FROM users WHERE uid = 3; INSERT INTO users VALUES (9, 'x', 'x', 'x')",
    );
    let differs = roster.run(&["verify", "--json"]);
    assert_eq!(differs.code, 1, "{differs:?}");
    let users = differs.json()["tables"].as_array().unwrap().iter().find(|t| t["site"] == "nj" && t["table"] == "users").unwrap().clone();
    let named: Vec<_> =
        users["named"].as_array().unwrap().iter().map(|row| (row["key"].as_str().unwrap(), row["what"].as_str().unwrap())).collect();
    assert_eq!((users["different"].as_u64(), named), (Some(3), vec![("2", "mail"), ("9", "surplus"), ("3", "missing")]));

    let mut daemon = roster.start();
    daemon.settled();
    assert_eq!(roster.run(&["verify", "--repair"]).code, 1);
    daemon.until(|| roster.text("nj", "SELECT group_concat(uid || mail, ' ') FROM users") == "1a 2b 3c");
    daemon.settled();
    assert_eq!(roster.text("hub", "SELECT group_concat(uid || mail, ' ') FROM users"), "1a 2b 3c");
    daemon.stop();
}

#[test]
fn a_removed_site_keeps_its_rows_and_nothing_of_ours() {
    let roster = Roster::new(&["hub", "nj", "pa"]);
    roster.sql("hub", "INSERT INTO users (uid, name, pass, mail) VALUES (1, 'ann', 'x', 'a')");
    let mut daemon = roster.start();
    daemon.settled();
    let busy = roster.run(&["site", "remove", "pa"]);
    assert!(busy.code == 2 && busy.err.contains("stop it first"), "{busy:?}");
    daemon.stop();
    assert_eq!(roster.run(&["site", "remove", "hub"]).code, 2);
    assert_eq!(roster.run(&["site", "remove", "xx"]).code, 2);
    let removed = roster.run(&["site", "remove", "pa"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(roster.text("pa", "SELECT name FROM users WHERE uid = 1"), "ann");
    assert_eq!(roster.text("pa", "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'rosterd%'"), "0");
    assert_eq!(roster.status()["sites"].as_array().unwrap().len(), 2);
}

#[test]
fn bad_input_gets_a_sentence_and_an_exit_code() {
    let roster = Roster::new(&["hub", "nj"]);
    let no_ledger = roster.run(&["status"]);
    assert!(no_ledger.code == 3 && no_ledger.err.contains("has `rosterd run` been started yet?"), "{no_ledger:?}");
    let not_running = roster.run(&["reconcile", "nj"]);
    assert!(not_running.code == 3 && not_running.err.contains("is not running"), "{not_running:?}");
    assert_eq!(roster.run(&["statu"]).code, 2);
    assert_eq!(roster.run(&["status", "--verbose"]).code, 2);
    assert_eq!(roster.run(&["site", "add", "md"]).code, 2);
    assert_eq!(roster.run(&["grants", "xx"]).code, 2);
    assert_eq!(roster.run(&["grants"]).code, 0);
    roster.configure_also("[[tabel]]\nname = \"x\"\n");
    let unknown = roster.run(&["check"]);
    assert!(unknown.code == 2 && unknown.err.contains("tabel"), "{unknown:?}");
    for command in ["init", "check", "grants", "run", "status", "inspect", "conflicts", "quarantine", "verify", "reconcile", "site"] {
        let help = roster.run(&[command, "--help"]);
        assert!(help.code == 0 && help.out.contains("Example"), "{help:?}");
    }
}
