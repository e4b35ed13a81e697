//! Tables that tests share, and their rows as text that is the same in every engine.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::roster_site::Engine;
use crate::servers::TextRow;

#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub name: &'static str,
    /// What stands between the parentheses of CREATE TABLE; `$text` and `$blob` are the engine's long types, `$prefix` the site's.
    pub ddl: &'static str,
    /// The shared columns, those of the key first.
    pub columns: &'static [(&'static str, Kind)],
    /// Which rows are shared, in SQL; empty: all.
    pub filter: &'static str,
}

impl Table {
    /// A table of integers and texts that is shared whole.
    pub const fn new(name: &'static str, ddl: &'static str, columns: &'static [(&'static str, Kind)]) -> Table {
        Table { name, ddl, columns, filter: "" }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Integers and text.
    Plain,
    Blob,
}

impl Kind {
    pub fn expression(self, engine: Engine, column: &str) -> String {
        match self {
            Kind::Plain => column.to_owned(),
            Kind::Blob if engine.is_postgres() => format!("upper(encode({column}, 'hex'))"),
            // SQLite's hex() makes an empty text of NULL.
            Kind::Blob => format!("CASE WHEN {column} IS NOT NULL THEN HEX({column}) END"),
        }
    }
}

/// A row as text; long values are their length and a hash.
pub type Row = Vec<String>;

const SHOWN_MAX: usize = 120;

/// The rows in an order that does not depend on collations.
pub fn canonical(rows: Vec<TextRow>) -> Vec<Row> {
    let cell = |cell: Option<String>| match cell {
        None => "NULL".to_owned(),
        Some(text) if text.len() > SHOWN_MAX => {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            format!("({} bytes, {:016x})", text.len(), hasher.finish())
        }
        Some(text) => format!("{text:?}"),
    };
    let mut rows: Vec<Row> = rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
    rows.sort();
    rows
}

const DIFFERENCES_SHOWN: usize = 8;

/// How two sites' rows differ.
pub fn difference(one: &[Row], other: &[Row]) -> Option<String> {
    if one == other {
        return None;
    }
    let mut counts: BTreeMap<&Row, i32> = BTreeMap::new();
    one.iter().for_each(|row| *counts.entry(row).or_default() += 1);
    other.iter().for_each(|row| *counts.entry(row).or_default() -= 1);
    let lines: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(|(row, count)| format!("  only at {}: {}", if count > 0 { "the first" } else { "the second" }, row.join(", ")))
        .collect();
    let shown = lines.len().min(DIFFERENCES_SHOWN);
    Some(format!("{} rows and {} rows; {} differences, such as\n{}", one.len(), other.len(), lines.len(), lines[..shown].join("\n")))
}
