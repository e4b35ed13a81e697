//! The statement and parameters that write one row.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::describe::quote;
use super::rows::{RawKey, where_key};
use super::triggers::key_columns;
use super::values::{Raw, encode, encode_key};
use crate::model::{SiteTable, TableId, WriteKind};
use crate::sites::RowWrite;

/// A row ready to be written.
pub struct Prepared {
    pub sql: Arc<str>,
    pub values: Vec<Raw>,
    pub key: RawKey,
    /// Finds the row, with the key as parameters.
    pub present: Arc<str>,
}

impl Prepared {
    pub fn rowid(&self, db: &Connection) -> rusqlite::Result<Option<i64>> {
        let sql = self.present.replacen("SELECT 1", "SELECT rowid", 1);
        db.prepare_cached(&sql)?.query_row(params_from_iter(&self.key), |row| row.get(0)).optional()
    }
}

/// The texts made so far, by table, kind of write and columns written.
#[derive(Default)]
pub struct Shapes {
    tables: HashMap<TableId, Shape>,
}

struct Shape {
    table: Arc<SiteTable>,
    texts: HashMap<(WriteKind, Vec<usize>), Arc<str>>,
    present: Arc<str>,
}

impl Shapes {
    pub fn prepare(&mut self, row: &RowWrite) -> Result<Prepared, &'static str> {
        let table = &row.table;
        let absent = "a key column is missing at this site";
        let columns = key_columns(table).filter(|columns| columns.len() == row.key.0.len()).ok_or(absent)?;
        let key: RawKey = columns.iter().zip(&row.key.0).map(|(column, value)| encode_key(value, column)).collect::<Result<_, _>>()?;
        if key.contains(&Raw::Null) {
            return Err("NULL in a key column");
        }
        // An update leaves the key as the site spells it.
        let is_written = |i: &usize| row.kind == WriteKind::Insert || !table.table.key.contains(i);
        let written: Vec<_> = row.columns.iter().filter(|(i, _)| is_written(i)).collect();
        let mut values = if row.kind == WriteKind::Insert { Vec::new() } else { key.clone() };
        for (i, value) in &written {
            let column = table.columns.get(*i).and_then(Option::as_ref).ok_or("a column that this site does not have")?;
            values.push(encode(value, &column.ty)?);
        }
        let shape = self.shape(table)?;
        let numbers: Vec<usize> = written.iter().map(|(i, _)| *i).collect();
        let key_width = key.len();
        let sql =
            shape.texts.entry((row.kind, numbers)).or_insert_with_key(|(kind, numbers)| text(table, *kind, numbers, key_width).into());
        Ok(Prepared { sql: sql.clone(), values, key, present: shape.present.clone() })
    }

    fn shape(&mut self, table: &Arc<SiteTable>) -> Result<&mut Shape, &'static str> {
        let fresh = || {
            let condition = where_key(table).ok_or("a key column is missing at this site")?;
            let present = format!("SELECT 1 FROM {} WHERE {condition}", quote(&table.name)).into();
            Ok::<_, &'static str>(Shape { table: table.clone(), texts: HashMap::new(), present })
        };
        match self.tables.entry(table.table.id) {
            std::collections::hash_map::Entry::Occupied(known) => {
                let shape = known.into_mut();
                if !Arc::ptr_eq(&shape.table, table) {
                    *shape = fresh()?;
                }
                Ok(shape)
            }
            std::collections::hash_map::Entry::Vacant(place) => Ok(place.insert(fresh()?)),
        }
    }
}

/// Never `OR REPLACE` or `OR IGNORE`: what is in the way is told, not removed. The key's parameters come first in updates.
fn text(table: &SiteTable, kind: WriteKind, columns: &[usize], key_width: usize) -> String {
    let name = quote(&table.name);
    let names: Vec<String> = columns.iter().filter_map(|&i| table.columns[i].as_ref()).map(|column| quote(&column.name)).collect();
    let condition = where_key(table).unwrap_or_default();
    match kind {
        WriteKind::Insert => {
            let parameters: Vec<String> = (1..=names.len()).map(|i| format!("?{i}")).collect();
            format!("INSERT INTO {name} ({}) VALUES ({})", names.join(", "), parameters.join(", "))
        }
        WriteKind::Delete => format!("DELETE FROM {name} WHERE {condition}"),
        WriteKind::Replace | WriteKind::Columns => {
            let mut assignments = String::new();
            for (i, column) in names.iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                let _ = write!(assignments, "{comma}{column} = ?{}", key_width + i + 1);
            }
            if assignments.is_empty() {
                // Nothing but the key is shared: that the row is there is all that is to be proved.
                let key = quote(key_columns(table).and_then(|key| key.first().map(|c| c.name.as_str())).unwrap_or_default());
                assignments = format!("{key} = {key}");
            }
            format!("UPDATE {name} SET {assignments} WHERE {condition}")
        }
    }
}
