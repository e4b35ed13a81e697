//! Definitions that change while the daemon runs.

use crate::roster::{ColumnKind::Plain, Roster, Table};

const COLUMNS: &[(&str, crate::roster::ColumnKind)] = &[("id", Plain), ("name", Plain), ("size", Plain)];
const DDL: &str = "id INT PRIMARY KEY, name VARCHAR(60), size INT";
/// One for each site to lose a column.
const GADGETS: [Table; 3] = [Table::new("gadget0", DDL, COLUMNS), Table::new("gadget1", DDL, COLUMNS), Table::new("gadget2", DDL, COLUMNS)];
const WIDGET: Table = Table::new("widget", DDL, COLUMNS);

pub fn prepare(roster: &mut Roster) {
    for gadget in GADGETS {
        roster.share(gadget, "insert = \"merge\"");
    }
    roster.share(WIDGET, "insert = \"merge\"");
}

pub fn run(roster: &Roster) {
    columns_of_ones_own(roster);
    for at in 0..roster.sites.len() {
        a_shared_column_goes(roster, at);
    }
}

/// A column that only one site has is nothing, wherever it stands in the table.
fn columns_of_ones_own(roster: &Roster) {
    let sites = roster.sites.len();
    for at in 0..sites {
        roster.sql(at, &format!("INSERT INTO widget VALUES ({at}, 'before', 1)"));
        let place = if roster.sites[at].engine.is_mysql_family() { " AFTER id" } else { "" };
        roster.sql(at, &format!("ALTER TABLE widget ADD COLUMN own{at} INT DEFAULT 5{place}"));
        roster.sql(at, &format!("INSERT INTO widget (id, name, size) VALUES (1{at}, 'after', 1)"));
        roster.sql(at, &format!("UPDATE widget SET own{at} = 6, name = 'changed' WHERE id = {at}"));
    }
    roster.settle_equal();
    assert_eq!(roster.rows(0, "widget").len(), 2 * sites);
    for at in 0..sites {
        assert_eq!(roster.value(at, &format!("SELECT own{at} FROM widget WHERE id = {at}")).as_deref(), Some("6"));
        assert!(roster.stopped(at, "widget").is_none());
        assert_eq!(roster.value(0, &format!("SELECT name FROM widget WHERE id = {at}")).as_deref(), Some("changed"));
    }
}

/// That table stops at that site, and says why; the site's other tables and the other sites go on.
fn a_shared_column_goes(roster: &Roster, at: usize) {
    let table = GADGETS[at].name;
    let others: Vec<usize> = (0..roster.sites.len()).filter(|other| *other != at).collect();
    roster.sql(at, &format!("INSERT INTO {table} VALUES (1, 'before', 1)"));
    roster.settle();
    roster.assert_table_equal(table);
    roster.sql(at, &format!("ALTER TABLE {table} DROP COLUMN size"));
    roster.sql(at, &format!("INSERT INTO {table} (id, name) VALUES (2, 'not shared')"));
    roster.wait(&format!("{table} to stop at site {at}"), || {
        let why = roster.stopped(at, table)?;
        (!why.contains("size")).then(|| format!("it says {why:?}"))
    });
    roster.wait(&format!("{table} to stop at site {at}"), || roster.stopped(at, table).is_none().then(|| "it goes on".into()));
    roster.sql(others[0], &format!("INSERT INTO {table} VALUES (3, 'among the others', 3)"));
    for site in 0..roster.sites.len() {
        roster.sql(site, &format!("INSERT INTO widget (id, name, size) VALUES (1{at}{site}, 'goes on', 1)"));
    }
    roster.settle();
    roster.assert_table_equal("widget");
    let rows = |site: usize| roster.value(site, &format!("SELECT count(*) FROM {table}")).unwrap();
    for other in &others {
        assert_eq!(rows(*other), "2", "{table} at {}", roster.sites[*other].name);
    }
    assert_eq!(rows(at), "2", "{table} at the site that stopped");
    // With the column back, the table is compared and goes on.
    roster.sql(at, &format!("ALTER TABLE {table} ADD COLUMN size INT"));
    roster.wait(&format!("{table} to go on at site {at}"), || roster.stopped(at, table));
    roster.settle();
    for site in 0..roster.sites.len() {
        assert_eq!(rows(site), "3", "{table} at {}", roster.sites[site].name);
    }
}
