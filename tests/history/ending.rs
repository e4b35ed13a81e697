//! What there is when everything has settled: the sites' rows, and what an operator is told of conflicts.

use std::collections::BTreeMap;

use rosterd::ops::admin::Request;
use rosterd::ops::history::Conflicts;

use crate::checker::{Cells, Column, Ending, OF, RowName, Told};
use crate::roster::{Roster, Session};
use crate::workload::cells;

const TABLES: [&str; 3] = ["account", "profile", "session"];

pub fn read(roster: &Roster) -> Ending {
    Ending { sites: roster.sites.iter().map(|site| rows(&mut site.session())).collect(), told: told(roster) }
}

fn rows(session: &mut Session) -> BTreeMap<RowName, Cells> {
    let mut rows = BTreeMap::new();
    rows.extend(table(session, "account", "uid", ["mail", "city", "status", "seen"]));
    rows.extend(table(session, "profile", "uid", ["bio"]));
    rows.extend(table(session, "session", "sid", [OF, "stamp"]));
    rows
}

fn table<const N: usize>(session: &mut Session, name: &'static str, key: &str, columns: [Column; N]) -> Vec<(RowName, Cells)> {
    let found = session.rows(&format!("SELECT {key}, {} FROM {name}", columns.join(", ")));
    let row = |row: Vec<Option<String>>| {
        let mut row: Vec<String> = row.into_iter().flatten().collect();
        (RowName { table: name, key: row.remove(0) }, cells(columns, row))
    };
    found.into_iter().map(row).collect()
}

/// As `rosterd conflicts --show-values` lists it.
fn told(roster: &Roster) -> Vec<Told> {
    let answer = roster.ask(&Request::Conflicts { table: None, limit: usize::MAX >> 1, values: true });
    let answer = answer.unwrap_or_else(|error| panic!("the conflicts are not told: {error}"));
    let conflicts: Conflicts = serde_json::from_value(answer).expect("its own format");
    let mut told = Vec::new();
    for conflict in conflicts.conflicts {
        let Some(table) = TABLES.into_iter().find(|table| *table == conflict.table) else { continue };
        let row = RowName { table, key: conflict.key };
        told.extend(conflict.lost.into_iter().map(|lost| Told {
            row: row.clone(),
            column: lost.column,
            tag: lost.value.expect("no column is secret"),
        }));
    }
    told
}
