//! A site in memory: rows, a log, the marker table, and how it carries out a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::names;
use super::plan::WIDTH;
use crate::model::*;
use crate::mutation;
use crate::sites::{Batch, Outcome, Rejection, RowWrite};

/// A parent table and one of children.
pub const TABLES: [TableId; 2] = [TableId(1), TableId(2)];

/// Table and key.
pub type Place = (u16, i64);
pub type Row = [i64; WIDTH - 1];
pub type RowChange = (Place, Option<Row>, Option<Row>);

#[derive(Clone, Debug)]
pub enum Entry {
    Local { ts: i64, changes: Vec<RowChange>, made: Vec<i64> },
    Landing { marker: MarkerId, payload: Vec<u8>, changes: Vec<RowChange>, ts: i64 },
    Watermark(MarkerId),
}

#[derive(Default, Clone)]
pub struct Site {
    pub rows: BTreeMap<Place, Row>,
    pub log: Vec<Entry>,
    pub markers: BTreeMap<MarkerId, Vec<u8>>,
    /// It refuses two rows with one value in column a.
    pub unique: bool,
}

/// `names`: column a is a text.
pub fn table(id: TableId, names: bool) -> Arc<Table> {
    let family = |name: &str| if names && name == "a" { Family::Text } else { Family::Integer };
    let column = |name: &str| Column { name: name.into(), family: family(name), secret: false };
    let name = if id == TABLES[0] { "parent" } else { "child" };
    Arc::new(Table { id, name: name.into(), columns: vec![column("k"), column("a"), column("b")], key: vec![0], urgent: false })
}

pub fn image(key: i64, row: Row, has: &[bool]) -> Image {
    let values = std::iter::once(key).chain(row);
    values.zip(has).map(|(n, has)| if *has { Cell::Value(value(n)) } else { Cell::Unchanged }).collect()
}

pub fn key(key: i64) -> Key {
    Key(vec![Value::Int(key)])
}

pub fn number(value: &Value) -> i64 {
    match value {
        Value::Int(n) => *n,
        Value::Text(text) => names::number_of(text),
        _ => unreachable!("only integers and texts here"),
    }
}

fn value(number: i64) -> Value {
    names::text_of(number).map_or(Value::Int(number), Value::Text)
}

impl Site {
    pub fn carry_out(&mut self, batch: &Batch, ts: i64, shows_idle: bool) -> Outcome {
        let mut rows = self.rows.clone();
        let (mut changes, mut rejected) = (Vec::new(), Vec::new());
        for (at, write) in batch.rows.iter().enumerate() {
            let place = (write.table.table.id.0, number(&write.key.0[0]));
            let before = rows.get(&place).copied();
            if !write_row(&mut rows, place, write) {
                rejected.push((at, Rejection::Elsewise));
            } else if self.unique && is_taken(&rows, place) {
                rejected.push((at, Rejection::Unique("a".into())));
                rows.extend(before.map(|row| (place, row)));
                if before.is_none() {
                    rows.remove(&place);
                }
            }
            let after = rows.get(&place).copied();
            if before != after || shows_idle {
                changes.push((place, before, after));
            }
        }
        if !rejected.is_empty() {
            return Outcome::Rejected(rejected);
        }
        self.rows = rows;
        batch.forget.iter().for_each(|marker| drop(self.markers.remove(marker)));
        self.markers.insert(batch.marker, batch.payload.clone());
        self.log.push(Entry::Landing { marker: batch.marker, payload: batch.payload.clone(), changes, ts });
        Outcome::Committed { failed: Vec::new() }
    }
}

fn is_taken(rows: &BTreeMap<Place, Row>, place: Place) -> bool {
    let Some(own) = rows.get(&place) else { return false };
    rows.iter().any(|(other, row)| *other != place && other.0 == place.0 && row[0] == own[0])
}

/// Gives false when the row is not there, or is, against what the write expects.
fn write_row(rows: &mut BTreeMap<Place, Row>, place: Place, write: &RowWrite) -> bool {
    let exists = rows.contains_key(&place);
    let elsewise = match write.kind {
        WriteKind::Insert => exists,
        WriteKind::Replace | WriteKind::Columns => !exists,
        WriteKind::Delete => false,
    };
    if elsewise {
        if mutation::without("precondition") && write.kind == WriteKind::Insert {
            // The insert goes over the row that is there.
        } else {
            return mutation::without("precondition");
        }
    }
    if write.kind == WriteKind::Delete {
        rows.remove(&place);
        return true;
    }
    let row = rows.entry(place).or_default();
    for (column, value) in write.columns.iter().filter(|(column, _)| *column > 0) {
        assert!(write.table.columns[*column].is_some(), "a column is written that the site lacks");
        row[column - 1] = number(value);
    }
    true
}
