//! What lost a conflict is kept, and comes back when an operator says so; conflicts that are left to an operator wait for one.

use rosterd::ops::admin::Request;

use crate::next_second_but_one;
use crate::roster::{ColumnKind::Plain, Engine, Engine::*, Roster, Table};

const PROFILE: Table = Table::new(
    "profile",
    "k VARCHAR(40) PRIMARY KEY, city VARCHAR(60), pass VARCHAR(60), role VARCHAR(60)",
    &[("k", Plain), ("city", Plain), ("pass", Plain), ("role", Plain)],
);

#[test]
fn conflicts_of_mariadb_and_postgres() {
    all(&[MariaDb1011, Postgres18]);
}

#[test]
fn conflicts_of_postgres_and_sqlite() {
    all(&[Postgres15, Sqlite]);
}

fn all(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    roster.share(PROFILE, "secret = [\"pass\"]\nconflict = { role = \"quarantine\", pass = \"hub-wins\" }");
    roster.sql(0, "INSERT INTO profile VALUES ('ann', 'old', 'old', 'old'), ('bob', 'old', 'old', 'old')");
    roster.start();
    roster.settle_equal();
    a_value_that_lost_comes_back(&mut roster);
    a_conflict_waits_for_an_operator(&mut roster);
    roster.stop();
}

fn apart_from_each_other(roster: &mut Roster, column: &str, k: &str) {
    roster.settle();
    roster.stop();
    roster.sql(1, &format!("UPDATE profile SET {column} = 'of the client' WHERE k = '{k}'"));
    next_second_but_one();
    roster.sql(0, &format!("UPDATE profile SET {column} = 'of the hub' WHERE k = '{k}'"));
    roster.start();
    roster.settle();
}

fn listed(roster: &Roster, values: bool) -> Vec<serde_json::Value> {
    let list = roster.daemon().ask(Request::Conflicts { table: None, limit: 10, values }).expect("a list");
    list["conflicts"].as_array().expect("a list").clone()
}

fn a_value_that_lost_comes_back(roster: &mut Roster) {
    apart_from_each_other(roster, "city", "ann");
    apart_from_each_other(roster, "pass", "ann");
    roster.assert_equal();
    let conflicts = listed(roster, true);
    assert_eq!(conflicts.len(), 2, "{conflicts:?}");
    let (pass, city) = (&conflicts[0], &conflicts[1]);
    assert_eq!((&city["kind"], &city["lost"][0]["column"]), (&"update_origin_differs".into(), &"city".into()));
    assert_eq!(city["lost"][0]["value"], "of the client");
    assert!(pass["lost"][0]["column"] == "pass" && pass["lost"][0].get("value").is_none(), "a secret is never shown: {pass}");
    let number = city["id"].as_i64().expect("a number");
    let one = roster.daemon().ask(Request::Conflict { number, values: false }).expect("it is shown");
    assert!(one["lost"][0].get("value").is_none(), "{one}");
    roster.daemon().ask(Request::Undo { number }).expect("it is undone");
    roster.settle_equal();
    assert_eq!(roster.value(0, "SELECT city FROM profile WHERE k = 'ann'").as_deref(), Some("of the client"));
    // A change that has seen it wins over it, as always.
    roster.sql(0, "UPDATE profile SET city = 'later' WHERE k = 'ann'");
    roster.settle_equal();
    assert_eq!(roster.value(1, "SELECT city FROM profile WHERE k = 'ann'").as_deref(), Some("later"));
    assert!(roster.daemon().ask(Request::Undo { number: 999 }).is_err());
    roster.sql(0, "DELETE FROM profile WHERE k = 'ann'");
    roster.settle_equal();
    let refused = roster.daemon().ask(Request::Undo { number }).expect_err("the row is gone");
    assert!(refused.contains("has been deleted"), "{refused}");
}

/// Each side keeps its own value of the column, and the operator lets one of them win.
fn a_conflict_waits_for_an_operator(roster: &mut Roster) {
    for (site_wins, winner) in [(true, "of the client"), (false, "of the hub")] {
        apart_from_each_other(roster, "role", "bob");
        let held = roster.daemon().held_back();
        assert!(held.len() == 1 && held[0].kind == "apart", "{held:?}");
        let role = |at: usize| roster.value(at, "SELECT role FROM profile WHERE k = 'bob'").expect("a role");
        assert_eq!([role(0), role(1)], ["of the hub", "of the client"]);
        let name = held[0].name.clone();
        let at_client = held[0].site == roster.sites[1].name;
        // The row stands apart at the site that was heard of later.
        let request = if site_wins == at_client { Request::SiteWins { name } } else { Request::Discard { name } };
        roster.daemon().ask(request).expect("it is settled");
        roster.wait_value(0, "SELECT role FROM profile WHERE k = 'bob'", winner);
        roster.settle_equal();
        assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
        roster.sql(0, "UPDATE profile SET role = 'old' WHERE k = 'bob'");
        roster.settle_equal();
    }
}
