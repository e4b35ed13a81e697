//! What an operator decides at a shell: conflicts that are undone, rows that stand apart or were refused.

use crate::roster::{Daemon, Printed, Roster};

const PEOPLE: &str = "
    [[table]]
    name = \"users\"
    secret = [\"pass\"]
    insert = \"quarantine\"
    conflict = { name = \"quarantine\" }
    [[table]]
    name = \"sessions\"
    secret = [\"sid\"]
    references = { uid = \"users.uid\" }
    [[table]]
    name = \"users_roles\"
    references = { uid = \"users.uid\" }
";

fn fine(printed: Printed) -> Printed {
    assert_eq!(printed.code, 0, "{printed:?}");
    printed
}

#[track_caller]
fn refused(printed: Printed, text: &str) {
    assert!(printed.code == 2 && printed.err.contains(text), "{printed:?}");
}

/// What the hub and `nj` write without having seen each other; `nj` writes last.
fn meanwhile(roster: &Roster, daemon: &mut Daemon<'_>, hub: &str, nj: &str) {
    daemon.settled();
    fine(roster.run(&["site", "pause", "nj"]));
    daemon.until(|| roster.status()["sites"][1]["state"] == "paused");
    roster.sql("hub", hub);
    daemon.until(|| roster.status()["sites"][1]["owed"]["total"] != 0);
    roster.sql("nj", nj);
    fine(roster.run(&["site", "resume", "nj"]));
    daemon.until(|| roster.status()["sites"][1]["state"] == "following");
}

#[test]
fn a_conflict_is_shown_and_undone() {
    let roster = Roster::new(&["hub", "nj", "pa"]);
    roster.sql("hub", "INSERT INTO users (uid, name, pass, mail) VALUES (1, 'ann', 'old', 'old')");
    let mut daemon = roster.start();
    let set = |by: &str| format!("UPDATE users SET mail = 'mail-of-{by}', pass = 'pass-of-{by}' WHERE uid = 1");
    meanwhile(&roster, &mut daemon, &set("hub"), &set("nj"));
    daemon.until(|| roster.text("pa", "SELECT mail FROM users") == "mail-of-nj");
    daemon.settled();

    let list = roster.run(&["conflicts", "--json"]);
    let conflict = list.json()["conflicts"][0].clone();
    assert_eq!((list.code, list.json()["conflicts"].as_array().unwrap().len()), (1, 1), "{list:?}");
    assert_eq!(
        (&conflict["kind"], &conflict["winner"], &conflict["loser"]),
        (&"update_origin_differs".into(), &"nj".into(), &"hub".into())
    );
    let number = conflict["id"].to_string();
    let plain = roster.run(&["conflicts"]);
    assert!(plain.out.contains("update_origin_differs") && plain.out.contains("mail") && !plain.out.contains("-of-"), "{plain:?}");

    let shown = fine(roster.run(&["conflicts", "show", &number]));
    for part in
        ["table users, key 1", "changed the same column without having seen each other's value", "lost at hub: mail\n", "conflicts undo"]
    {
        assert!(shown.out.contains(part) && !shown.out.contains("-of-"), "{shown:?}");
    }
    let values = fine(roster.run(&["conflicts", "show", &number, "--show-values"]));
    assert!(values.out.contains("lost at hub: mail = mail-of-hub") && !values.out.contains("pass-of"), "{values:?}");
    let json = fine(roster.run(&["conflicts", "show", &number, "--json"])).json();
    assert!(json["id"] == conflict["id"] && json["lost"][0].get("value").is_none(), "{json}");
    refused(roster.run(&["conflicts", "show", "999"]), "there is no conflict 999");
    refused(roster.run(&["conflicts", "undo", "999"]), "there is no conflict 999");

    let undone = fine(roster.run(&["conflicts", "undo", &number]));
    assert!(undone.out.contains("what site hub wrote there goes everywhere"), "{undone:?}");
    for site in ["hub", "nj", "pa"] {
        daemon.until(|| roster.text(site, "SELECT mail || ' ' || pass FROM users") == "mail-of-hub pass-of-hub");
    }
    daemon.settled();
    daemon.stop();
    assert_eq!(roster.run(&["conflicts", "undo", &number]).code, 3);
    fine(roster.run(&["conflicts", "show", &number]));
    refused(roster.run(&["conflicts", "show", "999"]), "there is no conflict 999");
}

fn held_back(roster: &Roster, kind: &str) -> serde_json::Value {
    let rows = roster.run(&["quarantine", "list", "--json"]).json()["rows"].clone();
    let found = rows.as_array().unwrap().iter().find(|row| row["kind"] == kind).cloned();
    found.unwrap_or_else(|| panic!("no {kind} in {rows:#}"))
}

fn name(row: &serde_json::Value) -> String {
    row["name"].as_str().unwrap().to_owned()
}

#[test]
fn a_row_that_was_refused_is_tried_again() {
    let roster = Roster::new(&["hub", "nj"]);
    roster.sql("nj", "CREATE TRIGGER no BEFORE INSERT ON users WHEN new.name = 'bob' BEGIN SELECT RAISE(ABORT, 'not here'); END");
    let mut daemon = roster.start();
    daemon.settled();
    roster.sql("hub", "INSERT INTO users (uid, name, pass, mail) VALUES (1, 'ann', 'x', 'a'), (2, 'bob', 'x', 'b'), (3, 'cy', 'x', 'c')");
    daemon.until(|| roster.status()["quarantined"] == 1 && roster.text("nj", "SELECT count(*) FROM users") == "2");
    let row = held_back(&roster, "data");
    assert_eq!((&row["site"], &row["table"], &row["key"]), (&"nj".into(), &"users".into(), &"2".into()));
    let status = roster.run(&["status"]);
    assert!(status.code == 1 && status.out.contains("! 1 row is held back from site nj"), "{status:?}");
    let nj = roster.status()["sites"][1].clone();
    assert_eq!((&nj["quarantined"], &nj["apart"]), (&1.into(), &0.into()), "{nj:#}");
    let shown = roster.run(&["quarantine", "show", &name(&row)]);
    assert!(shown.code == 1 && shown.out.contains(&format!("`rosterd quarantine retry {}`", name(&row))), "{shown:?}");
    assert!(!shown.out.contains("bob"), "{shown:?}");
    refused(roster.run(&["quarantine", "discard", &name(&row)]), "nothing to give up");
    refused(roster.run(&["quarantine", "resolve", &name(&row), "--rekey"]), "does not stand apart");
    refused(roster.run(&["quarantine", "resolve", &name(&row), "--site-wins"]), "does not stand apart");

    fine(roster.run(&["quarantine", "retry", &name(&row)]));
    daemon.until(|| roster.status()["quarantined"] == 1);
    roster.sql("nj", "DROP TRIGGER no");
    fine(roster.run(&["quarantine", "retry", &name(&row)]));
    daemon.until(|| roster.text("nj", "SELECT name FROM users WHERE uid = 2") == "bob");
    daemon.settled();
    let empty = fine(roster.run(&["quarantine", "list"]));
    assert_eq!(empty.out, "No row is held back.\n");
    refused(roster.run(&["quarantine", "retry", &name(&row)]), "no row is held back under the name");
    daemon.stop();
}

fn two_people(roster: &Roster, daemon: &mut Daemon<'_>, uid: u32, names: [&str; 2]) -> String {
    let person = |name: &str| {
        format!(
            "INSERT INTO users (uid, name, pass, mail) VALUES ({uid}, '{name}', 'x', '{name}@example.net');
             INSERT INTO sessions VALUES ('sid-of-{name}', {uid}); INSERT INTO users_roles VALUES ({uid}, 4)"
        )
    };
    meanwhile(roster, daemon, &person(names[0]), &person(names[1]));
    daemon.until(|| roster.status()["sites"][1]["apart"] == 1);
    name(&held_back(roster, "apart"))
}

#[test]
fn two_people_under_one_key_are_told_apart() {
    let roster = Roster::sharing(&["hub", "nj"], PEOPLE);
    roster.sql("hub", "INSERT INTO users (uid, name, pass, mail) VALUES (1, 'ann', 'x', 'a')");
    let mut daemon = roster.start();
    let apart = two_people(&roster, &mut daemon, 7, ["bob", "eve"]);
    let status = roster.run(&["status"]);
    let sentence = "at site nj 1 row of its own stands apart";
    assert!(status.code == 1 && status.out.contains(&format!("! {sentence}")) && status.out.contains("quarantine resolve"), "{status:?}");
    let json = roster.status();
    assert!(json["news"].as_array().unwrap().iter().any(|news| news.as_str().unwrap().starts_with(sentence)), "{json:#}");
    assert_eq!(name(&held_back(&roster, "kin")).split(':').next(), Some("nj"));
    let shown = roster.run(&["quarantine", "show", &apart]);
    assert!(shown.out.contains(&format!("resolve {apart} --rekey")) && !shown.out.contains("example.net"), "{shown:?}");

    let plan = fine(roster.run(&["quarantine", "resolve", &apart, "--rekey"]));
    assert!(plan.out.contains("users 7 becomes") && plan.out.contains("sessions, users_roles") && plan.out.contains("--yes"), "{plan:?}");
    assert_eq!(roster.text("nj", "SELECT name FROM users WHERE uid = 7"), "eve", "telling does nothing");
    refused(roster.run(&["quarantine", "resolve", &apart, "--rekey", "--to", "1", "--yes"]), "the key 1 is taken");
    assert_eq!(roster.run(&["quarantine", "resolve", &apart]).code, 2);
    assert_eq!(roster.run(&["quarantine", "resolve", &apart, "--to", "1007"]).code, 2);
    fine(roster.run(&["quarantine", "resolve", &apart, "--rekey", "--to", "1007", "--yes"]));
    daemon.until(|| roster.text("hub", "SELECT name FROM users WHERE uid = 1007") == "eve");
    daemon.until(|| roster.text("nj", "SELECT name FROM users WHERE uid = 7") == "bob");
    daemon.settled();
    let everybody = "SELECT group_concat(one, ' ') FROM (SELECT u.uid || name || sid || rid AS one FROM users u JOIN sessions USING (uid)
                     JOIN users_roles r USING (uid) ORDER BY u.uid)";
    for site in ["hub", "nj"] {
        assert_eq!(roster.text(site, everybody), "7bobsid-of-bob4 1007evesid-of-eve4", "{site}");
    }
    fine(roster.run(&["quarantine", "list"]));

    // Without --to: the next number of the site's own class, 2, 12, 22 and so on.
    let apart = two_people(&roster, &mut daemon, 8, ["carl", "dora"]);
    fine(roster.run(&["quarantine", "resolve", &apart, "--rekey", "--yes"]));
    daemon.until(|| roster.text("hub", "SELECT uid FROM users WHERE name = 'dora'") == "1012");
    let apart = two_people(&roster, &mut daemon, 9, ["finn", "gwen"]);
    let discarded = fine(roster.run(&["quarantine", "discard", &apart]));
    assert!(discarded.out.contains("with 2 of its rows in other tables"), "{discarded:?}");
    daemon.until(|| roster.text("nj", "SELECT name FROM users WHERE uid = 9") == "finn");
    daemon.settled();
    assert_eq!(roster.text("nj", "SELECT group_concat(sid) FROM sessions WHERE uid = 9"), "sid-of-finn");
    fine(roster.run(&["status"]));
    daemon.stop();
}

#[test]
fn a_conflict_that_is_left_to_the_operator_is_decided() {
    let roster = Roster::sharing(&["hub", "nj"], PEOPLE);
    roster.sql("hub", "INSERT INTO users (uid, name, pass, mail) VALUES (1, 'ann', 'x', 'a')");
    let mut daemon = roster.start();
    for (how, winner) in [("--site-wins", "of nj 1"), ("discard", "of hub 2")] {
        let n = winner.rsplit(' ').next().unwrap();
        let set = |by: &str| format!("UPDATE users SET name = 'of {by} {n}' WHERE uid = 1");
        meanwhile(&roster, &mut daemon, &set("hub"), &set("nj"));
        daemon.until(|| roster.status()["sites"][1]["apart"] == 1);
        let apart = name(&held_back(&roster, "apart"));
        match how {
            "discard" => fine(roster.run(&["quarantine", "discard", &apart])),
            how => fine(roster.run(&["quarantine", "resolve", &apart, how])),
        };
        for site in ["hub", "nj"] {
            daemon.until(|| roster.text(site, "SELECT name FROM users WHERE uid = 1") == winner);
        }
        daemon.settled();
        fine(roster.run(&["quarantine", "list"]));
    }
    daemon.stop();
}
