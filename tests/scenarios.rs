//! What people do at one site, seen at the others: every engine as hub and as client, on real servers.
//!
//! A roster of three engines goes through all themes one after the other; the rosters run side by side.

#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

#[path = "scenarios/changes.rs"]
mod changes;
#[path = "scenarios/conflicts.rs"]
mod conflicts;
#[path = "scenarios/documents.rs"]
mod documents;
#[path = "scenarios/families.rs"]
mod families;
#[path = "scenarios/first_copy.rs"]
mod first_copy;
#[path = "scenarios/naming.rs"]
mod naming;
#[path = "scenarios/schema.rs"]
mod schema;
#[path = "scenarios/transactions.rs"]
mod transactions;

use roster::Engine::{self, *};
use roster::Roster;

#[test]
fn mariadb_10_11_is_the_hub_of_postgres_15_and_sqlite() {
    all_themes(&[MariaDb1011, Postgres15, Sqlite]);
}

#[test]
fn mariadb_11_8_is_the_hub_of_mysql_9_7_and_postgres_18() {
    all_themes(&[MariaDb118, MySql97, Postgres18]);
}

#[test]
fn mysql_9_7_is_the_hub_of_sqlite_and_mariadb_10_11() {
    all_themes(&[MySql97, Sqlite, MariaDb1011]);
}

#[test]
fn postgres_15_is_the_hub_of_mysql_9_7_and_sqlite() {
    all_themes(&[Postgres15, MySql97, Sqlite]);
}

#[test]
fn postgres_18_is_the_hub_of_mariadb_11_8_and_postgres_15() {
    all_themes(&[Postgres18, MariaDb118, Postgres15]);
}

#[test]
fn sqlite_is_the_hub_of_postgres_18_and_mariadb_11_8() {
    all_themes(&[Sqlite, Postgres18, MariaDb118]);
}

fn all_themes(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    changes::prepare(&mut roster);
    documents::prepare(&mut roster);
    families::prepare(&mut roster);
    first_copy::prepare(&mut roster);
    conflicts::prepare(&mut roster);
    schema::prepare(&mut roster);
    roster.start();
    theme("first copy", || first_copy::run(&roster));
    theme("changes", || changes::run(&roster));
    theme("transactions", || transactions::run(&roster));
    theme("families", || families::run(&roster));
    theme("documents", || documents::run(&roster));
    theme("conflicts", || conflicts::run(&mut roster));
    theme("schema", || schema::run(&roster));
    roster.stop();
}

/// Names the theme in the output of a test that fails.
fn theme(name: &str, run: impl FnOnce()) {
    println!("theme: {name}");
    let begun = std::time::Instant::now();
    run();
    println!("theme: {name} took {:?}", begun.elapsed());
}
