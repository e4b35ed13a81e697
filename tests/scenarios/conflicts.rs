//! Changes at two sites that have not seen each other, made while the daemon is down.

use std::time::{Duration, Instant};

use crate::roster::{ColumnKind::Plain, Roster, Table};

const PROFILE: Table = Table::new(
    "profile",
    "k VARCHAR(40) PRIMARY KEY, city VARCHAR(60), motto VARCHAR(60), seen INT NOT NULL",
    &[("k", Plain), ("city", Plain), ("motto", Plain), ("seen", Plain)],
);
/// Its key is a number that each site gives out.
const ACCOUNT: Table = Table::new("account", "id INT PRIMARY KEY, name VARCHAR(60) NOT NULL", &[("id", Plain), ("name", Plain)]);

pub fn prepare(roster: &mut Roster) {
    roster.share(PROFILE, "conflict = { seen = \"max\" }");
    roster.share(ACCOUNT, "");
    roster.sql(
        0,
        "INSERT INTO profile VALUES ('columns', 'old', 'old', 1), ('same', 'old', 'old', 1), ('same too', 'old', 'old', 1),
         ('alike', 'old', 'old', 1), ('seen', 'old', 'old', 1), ('removed', 'old', 'old', 1), ('removed too', 'old', 'old', 1),
         ('removed twice', 'old', 'old', 1)",
    );
}

pub fn run(roster: &mut Roster) {
    let last = roster.sites.len() - 1;
    roster.settle_equal();
    roster.stop();
    roster.sql(
        0,
        "UPDATE profile SET city = 'hub' WHERE k = 'columns'; UPDATE profile SET city = 'hub, first' WHERE k = 'same';
         UPDATE profile SET city = 'agreed' WHERE k = 'alike'; UPDATE profile SET seen = 70 WHERE k = 'seen';
         DELETE FROM profile WHERE k = 'removed'; DELETE FROM profile WHERE k = 'removed twice';
         INSERT INTO profile VALUES ('born twice', 'hub, first', NULL, 5); INSERT INTO account VALUES (1, 'the hub''s')",
    );
    roster
        .sql(1, "UPDATE profile SET motto = 'client' WHERE k = 'columns'; UPDATE profile SET city = 'client, first' WHERE k = 'same too'");
    // MariaDB's log tells commit times in whole seconds.
    next_second_but_one();
    roster.sql(0, "UPDATE profile SET city = 'hub, last' WHERE k = 'same too'; DELETE FROM profile WHERE k = 'removed too'");
    roster.sql(
        last,
        "UPDATE profile SET city = 'client, last' WHERE k = 'same'; UPDATE profile SET city = 'agreed' WHERE k = 'alike';
         UPDATE profile SET seen = 50 WHERE k = 'seen'; UPDATE profile SET motto = 'too late' WHERE k IN ('removed', 'removed too');
         DELETE FROM profile WHERE k = 'removed twice'; INSERT INTO profile VALUES ('born twice', 'client, last', 'x', 3);
         INSERT INTO account VALUES (1, 'the client''s')",
    );
    roster.start();
    roster.settle();
    roster.assert_table_equal("profile");
    let expected = [
        ("columns", "hub", "client", "1"),
        ("same", "client, last", "old", "1"),
        ("same too", "hub, last", "old", "1"),
        ("alike", "agreed", "old", "1"),
        ("seen", "old", "old", "70"),
        ("born twice", "client, last", "x", "5"),
    ];
    let mut expected: Vec<Vec<String>> =
        expected.iter().map(|(k, city, motto, seen)| [k, city, motto, seen].map(|text| format!("{text:?}")).to_vec()).collect();
    expected.sort();
    assert_eq!(roster.rows(0, "profile"), expected, "{:?}", roster.conflicts("profile"));
    let kinds = roster.conflicts("profile");
    assert!(kinds.len() >= 5, "what lost is kept: {kinds:?}");
    two_people_under_one_number(roster, last);
}

/// They are never blended: each site keeps its own, and the one that was heard of later stands apart.
fn two_people_under_one_number(roster: &Roster, last: usize) {
    let name = |at: usize| roster.value(at, "SELECT name FROM account WHERE id = 1");
    assert_eq!((name(0).as_deref(), name(last).as_deref()), (Some("the hub's"), Some("the client's")));
    let held = roster.quarantined();
    let held: Vec<_> = held.iter().filter(|[_, table, ..]| table == "account").collect();
    assert_eq!(held.len(), 1, "{held:?}");
    let apart = if held[0][0] == roster.sites[0].name { 0 } else { last };
    assert_eq!((&held[0][0], held[0][2].as_str()), (&roster.sites[apart].name, "apart"));
    for at in (1..last).chain([last - apart]) {
        assert_eq!(name(at), name(last - apart), "{}", roster.sites[at].name);
    }
    // The operator's way out: the later one gets another number, by hand.
    roster.sql(apart, "UPDATE account SET id = 2 WHERE id = 1");
    roster.settle_equal();
    assert_eq!(roster.rows(0, "account").len(), 2);
    assert!(roster.quarantined().iter().all(|[_, table, ..]| table != "account"), "{:?}", roster.quarantined());
}

fn next_second_but_one() {
    let begun = Instant::now();
    crate::roster::wait_for(|| (begun.elapsed() < Duration::from_secs(2)).then(String::new)).expect("time goes by");
}
