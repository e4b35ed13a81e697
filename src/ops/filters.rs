//! Where a site's own SQL would give another answer than a filter does: filters compare text exactly, by code points.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::Subject;
use crate::config::Direction;
use crate::model::{Asks, Family, Table};
use crate::sites::binding::{self, PlannedTable};
use crate::sites::{ColumnDescription, Finding};

/// Judges the filters of all tables at one site; like findings are one.
pub fn judge(subject: &mut Subject, tables: &[(PlannedTable, Arc<Table>)]) {
    lacking(subject, tables);
    let mut differing: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for (planned, table) in tables {
        let Some(bound) = subject.bound.iter().find(|bound| bound.table.name == planned.name) else { continue };
        let Some(description) = binding::find(&subject.config, &planned.name, &subject.tables) else { continue };
        for (name, asks) in planned.filter.iter().flat_map(|filter| filter.asks()) {
            let Some(number) = table.column(name).filter(|number| table.columns[*number].family == Family::Text) else { continue };
            let Some(column) = bound.columns[number].as_ref().filter(|column| column.values.is_none()) else { continue };
            let described = description.columns.iter().find(|described| described.column.name == column.name);
            let Some(how) = described.and_then(|described| differs(described, asks)) else { continue };
            let named = format!("{}.{name}", planned.name);
            let list = differing.entry(how).or_default();
            if !list.contains(&named) {
                list.push(named);
            }
        }
    }
    for (how, columns) in differing {
        let text = format!("filters compare text exactly, by code points; this site's own SQL compares {} {how}", columns.join(", "));
        let remedy = "nothing where values do not differ in that alone; else give these columns a binary collation \
                      (utf8mb4_0900_bin in MySQL, utf8mb4_nopad_bin in MariaDB, \"C\" in PostgreSQL)";
        subject.found.push(Finding::warning("filters", text, remedy));
    }
}

/// Filters over columns that the site lacks: its own rows can't be judged.
fn lacking(subject: &mut Subject, tables: &[(PlannedTable, Arc<Table>)]) {
    for (planned, table) in tables {
        let Some(bound) = subject.bound.iter().find(|bound| bound.table.name == planned.name) else { continue };
        let lacks = |name: &&str| table.column(name).is_some_and(|column| bound.columns[column].is_none());
        let columns: Vec<&str> = planned.filter.iter().flat_map(|filter| filter.columns()).filter(lacks).collect();
        if let Some(column) = columns.first().filter(|_| !matches!(planned.rule.direction, Some(Direction::FromHub { .. }))) {
            let text = format!("its filter reads {column}, which this site lacks: rows that begin here are not shared");
            let remedy = format!("nothing if rows come from the hub (then say direction = \"from-hub\"); else add {column} here");
            subject.found.push(Finding::warning(format!("table {}", planned.name), text, remedy));
        }
    }
}

fn differs(column: &ColumnDescription, asks: Asks) -> Option<&'static str> {
    let exact = match asks {
        Asks::Presence => true,
        Asks::Equality => column.exact.equality,
        Asks::Order => column.exact.order,
        Asks::Pattern => column.exact.pattern,
    };
    match asks {
        _ if exact => None,
        _ if column.case_insensitive => Some("without regard to letter case"),
        Asks::Order if column.exact.equality => Some("in the order of its language"),
        Asks::Pattern => Some("with LIKE in a way of its own (letter case, escapes or spaces at the end)"),
        _ => Some("without regard to spaces at the end"),
    }
}
