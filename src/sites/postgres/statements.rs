//! The SQL of our own writes. Its text depends on the shape of a row only, so that each shape is prepared once.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_postgres::types::Type;

use super::connect::{ident, qualified};
use super::values::{Param, encode, typed};
use crate::model::{MarkerId, SiteColumn, Value, WriteKind};
use crate::sites::{MARKER_TABLE, Piece, RowWrite, Statement};

/// A statement and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sql {
    pub text: String,
    pub params: Vec<Param>,
}

/// The marker row with which a batch begins.
pub(super) fn marker(schema: &str, id: MarkerId, letter: &str, payload: &[u8]) -> Sql {
    let text = format!("INSERT INTO {} (id, kind, payload) VALUES ($1, $2, $3)", qualified(schema, MARKER_TABLE));
    Sql { text, params: vec![Param::Text(id.0.to_string()), Param::Text(letter.into()), Param::Bytes(payload.to_vec())] }
}

pub(super) fn forget(schema: &str, ids: &[MarkerId]) -> Sql {
    let list: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
    let text = format!("DELETE FROM {} WHERE id = ANY($1) AND kind <> 'h'", qualified(schema, MARKER_TABLE));
    Sql { text, params: vec![Param::Text(format!("{{{}}}", list.join(",")))] }
}

/// Rows in one statement: the round numbers keep the statements to be prepared few.
const GROUP_SIZES: [usize; 2] = [64, 16];

/// How many of the first of `rows` go well into one statement: writes of one kind, to the same columns of different rows of one table.
pub(super) fn group(rows: &[RowWrite]) -> usize {
    let first = &rows[0];
    let mut keys = HashSet::new();
    let alike = rows.iter().take(GROUP_SIZES[0]).take_while(|row| {
        row.kind == first.kind
            && Arc::ptr_eq(&row.table, &first.table)
            && row.columns.iter().map(|(number, _)| number).eq(first.columns.iter().map(|(number, _)| number))
            && (!is_update(row) || sets_something(row) && keys.insert(&row.key))
    });
    let alike = alike.count();
    GROUP_SIZES.into_iter().find(|size| *size <= alike).unwrap_or(1)
}

pub(super) fn is_update(row: &RowWrite) -> bool {
    matches!(row.kind, WriteKind::Replace | WriteKind::Columns)
}

fn sets_something(row: &RowWrite) -> bool {
    row.columns.iter().any(|(number, _)| !row.table.table.key.contains(number))
}

/// The write of rows that `group` has put together, or of a single one. It changes one row for each, or none for those
/// that are not as they have to be.
pub(super) fn write(rows: &[RowWrite]) -> Sql {
    let row = &rows[0];
    let mut sql =
        Builder { text: String::with_capacity(256), params: Vec::with_capacity(rows.len() * (row.columns.len() + row.key.0.len())) };
    match row.kind {
        WriteKind::Insert => sql.insert(rows),
        WriteKind::Replace | WriteKind::Columns => sql.update(row),
        WriteKind::Delete => {
            sql.push(&format!("DELETE FROM {}", qualified(&row.table.schema, &row.table.name)));
            sql.matching(rows);
        }
    }
    Sql { text: sql.text, params: sql.params }
}

/// The update of rows that `group` has put together. `types`: those of the parameters of the first row's own statement, as the server
/// tells them, since a list of values has none of its own.
pub(super) fn update_joined(rows: &[RowWrite], types: &[Type]) -> Sql {
    let mut sql = Builder { text: String::with_capacity(64 + rows.len() * types.len() * 6), params: Vec::with_capacity(rows.len() * types.len()) };
    sql.update_joined(rows, types);
    Sql { text: sql.text, params: sql.params }
}

/// An after-apply statement with its values as parameters of a stated type (`concat($1)` has none of its own).
pub(super) fn after_apply(statement: &Statement) -> Sql {
    let mut sql = Builder { text: String::new(), params: Vec::new() };
    for piece in &statement.0 {
        match piece {
            Piece::Sql(text) => sql.push(text),
            Piece::Value(value) => {
                let (ty, param) = typed(value);
                sql.bind(param);
                sql.push("::");
                sql.push(ty);
            }
        }
    }
    Sql { text: sql.text, params: sql.params }
}

struct Builder {
    text: String,
    params: Vec<Param>,
}

impl Builder {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn bind(&mut self, param: Param) {
        self.params.push(param);
        let number = self.params.len();
        self.push(&format!("${number}"));
    }

    fn insert(&mut self, rows: &[RowWrite]) {
        let table = &rows[0].table;
        let column = |number: usize| table.columns.get(number).and_then(Option::as_ref);
        let names: Vec<String> = rows[0].columns.iter().filter_map(|(number, _)| Some(ident(&column(*number)?.name))).collect();
        self.push(&format!("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ", qualified(&table.schema, &table.name), names.join(", ")));
        for (which, row) in rows.iter().enumerate() {
            self.push(if which == 0 { "(" } else { ", (" });
            let written = row.columns.iter().filter_map(|(number, value)| Some((column(*number)?, value)));
            for (at, (column, value)) in written.enumerate() {
                self.push(if at == 0 { "" } else { ", " });
                self.bind(encode(value, &column.ty));
            }
            self.push(")");
        }
        let key: Vec<String> = key_columns(&rows[0]).map(|column| ident(&column.name)).collect();
        self.push(&format!(" ON CONFLICT ({}) DO NOTHING", key.join(", ")));
    }

    fn update(&mut self, row: &RowWrite) {
        let table = qualified(&row.table.schema, &row.table.name);
        for (at, (column, value)) in set_columns(row).enumerate() {
            if at == 0 {
                self.push(&format!("UPDATE {table} SET "));
            }
            self.push(if at == 0 { "" } else { ", " });
            self.push(&format!("{} = ", ident(&column.name)));
            self.bind(encode(value, &column.ty));
        }
        let nothing_set = self.params.is_empty();
        if nothing_set {
            // A row of nothing but its key: whether it is there is what counts.
            self.push(&format!("SELECT FROM {table}"));
        }
        self.matching(std::slice::from_ref(row));
        if nothing_set {
            self.push(" FOR UPDATE");
        }
    }

    fn update_joined(&mut self, rows: &[RowWrite], types: &[Type]) {
        let head = &rows[0];
        let set: Vec<&SiteColumn> = set_columns(head).map(|(column, _)| column).collect();
        self.push(&format!("UPDATE {} AS t SET ", qualified(&head.table.schema, &head.table.name)));
        for (at, column) in set.iter().enumerate() {
            self.push(&format!("{}{} = v.c{at}", if at == 0 { "" } else { ", " }, ident(&column.name)));
        }
        self.push(" FROM (VALUES ");
        for (which, row) in rows.iter().enumerate() {
            self.push(if which == 0 { "(" } else { ", (" });
            let values = set_columns(row).map(|(column, value)| encode(value, &column.ty));
            let values: Vec<Param> = values.chain(key_values(row)).collect();
            for (at, param) in values.into_iter().enumerate() {
                self.push(if at == 0 { "" } else { ", " });
                self.bind(param);
                if let Some(ty) = types.get(at).filter(|_| which == 0) {
                    self.push(&format!("::{}.{}", ident(ty.schema()), ident(ty.name())));
                }
            }
            self.push(")");
        }
        let names: Vec<String> = (0..types.len()).map(|at| format!("c{at}")).collect();
        self.push(&format!(") AS v ({}) WHERE ", names.join(", ")));
        for (at, column) in key_columns(head).enumerate() {
            self.push(&format!("{}t.{} = v.c{}", if at == 0 { "" } else { " AND " }, ident(&column.name), set.len() + at));
        }
    }

    fn matching(&mut self, rows: &[RowWrite]) {
        let names: Vec<String> = key_columns(&rows[0]).map(|column| ident(&column.name)).collect();
        self.push(&format!(" WHERE ({}) IN (", names.join(", ")));
        for (which, row) in rows.iter().enumerate() {
            self.push(if which == 0 { "(" } else { ", (" });
            for (at, param) in key_values(row).enumerate() {
                self.push(if at == 0 { "" } else { ", " });
                self.bind(param);
            }
            self.push(")");
        }
        self.push(")");
    }
}

fn key_columns(row: &RowWrite) -> impl Iterator<Item = &SiteColumn> {
    row.table.table.key.iter().filter_map(|number| row.table.columns.get(*number)?.as_ref())
}

/// A canonical key, while columns come fitted; one that does not fit finds no row.
fn key_values(row: &RowWrite) -> impl Iterator<Item = Param> {
    key_columns(row).zip(&row.key.0).map(|(column, value)| encode(&column.fit(value).unwrap_or_else(|_| value.clone()), &column.ty))
}

/// What an update sets. The key is what the row is found by; identity columns refuse to be set even to what they are.
fn set_columns(row: &RowWrite) -> impl Iterator<Item = (&SiteColumn, &Value)> {
    let set = row.columns.iter().filter(|(number, _)| !row.table.table.key.contains(number));
    set.filter_map(|(number, value)| Some((row.table.columns.get(*number)?.as_ref()?, value)))
}
