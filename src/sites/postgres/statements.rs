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

/// Rows in one statement that deletes: the round numbers keep the statements to be prepared few.
const DELETE_SIZES: [usize; 2] = [64, 16];
/// Rows whose values go as one array for each column: the statement is the same for any number of them.
const ARRAY_ROWS: std::ops::RangeInclusive<usize> = 8..=1000;

/// How many of the first of `rows` go well into one statement: writes of one kind, to the same columns of different rows of one table.
pub(super) fn group(rows: &[RowWrite]) -> usize {
    let first = &rows[0];
    let mut keys = HashSet::new();
    let alike = rows.iter().take(*ARRAY_ROWS.end()).take_while(|row| {
        row.kind == first.kind
            && Arc::ptr_eq(&row.table, &first.table)
            && row.columns.iter().map(|(number, _)| number).eq(first.columns.iter().map(|(number, _)| number))
            && (!is_update(row) || sets_something(row) && keys.insert(&row.key))
    });
    let alike = alike.count();
    match first.kind {
        WriteKind::Delete => DELETE_SIZES.into_iter().find(|size| *size <= alike).unwrap_or(1),
        _ if ARRAY_ROWS.contains(&alike) => alike,
        _ => 1,
    }
}

fn is_update(row: &RowWrite) -> bool {
    matches!(row.kind, WriteKind::Replace | WriteKind::Columns)
}

fn sets_something(row: &RowWrite) -> bool {
    row.columns.iter().any(|(number, _)| !row.table.table.key.contains(number))
}

/// The write of a single row. It changes one row, or none where that is not as it has to be.
pub(super) fn write(row: &RowWrite) -> Sql {
    let mut sql = Builder { text: String::with_capacity(256), params: Vec::with_capacity(row.columns.len() + row.key.0.len()) };
    match row.kind {
        WriteKind::Insert => sql.insert(row),
        WriteKind::Replace | WriteKind::Columns => sql.update(row),
        WriteKind::Delete => sql.delete(std::slice::from_ref(row)),
    }
    Sql { text: sql.text, params: sql.params }
}

/// The write of rows that `group` has put together. It changes one row for each, or none for those that are not as they have to be.
/// `types`: those of the parameters of the first row's own statement, as the server tells them.
pub(super) fn write_together(rows: &[RowWrite], types: &[Type]) -> Sql {
    let mut sql = Builder { text: String::with_capacity(256), params: Vec::with_capacity(types.len()) };
    match rows[0].kind {
        WriteKind::Insert => sql.insert_together(rows, types),
        WriteKind::Replace | WriteKind::Columns => sql.update_together(rows, types),
        WriteKind::Delete => sql.delete(rows),
    }
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

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, separator: &str, mut each: impl FnMut(&mut Builder, T)) {
        for (at, item) in items.into_iter().enumerate() {
            self.push(if at == 0 { "" } else { separator });
            each(self, item);
        }
    }

    fn insert_into(&mut self, row: &RowWrite) {
        let names: Vec<String> = written_columns(row).map(|(column, _)| ident(&column.name)).collect();
        let table = qualified(&row.table.schema, &row.table.name);
        self.push(&format!("INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE ", names.join(", ")));
    }

    fn unless_there(&mut self, row: &RowWrite) {
        let key: Vec<String> = key_columns(row).map(|column| ident(&column.name)).collect();
        self.push(&format!(" ON CONFLICT ({}) DO NOTHING", key.join(", ")));
    }

    fn insert(&mut self, row: &RowWrite) {
        self.insert_into(row);
        self.push("VALUES (");
        self.list(written_columns(row), ", ", |sql, (column, value)| sql.bind(encode(value, &column.ty)));
        self.push(")");
        self.unless_there(row);
    }

    fn insert_together(&mut self, rows: &[RowWrite], types: &[Type]) {
        self.insert_into(&rows[0]);
        self.push("SELECT * FROM ");
        self.arrays(rows, types, |row| written_columns(row).map(|(column, value)| encode(value, &column.ty)).collect());
        self.unless_there(&rows[0]);
    }

    /// Rows of values as a table: an array for each column.
    fn arrays(&mut self, rows: &[RowWrite], types: &[Type], params: impl Fn(&RowWrite) -> Vec<Param>) {
        let mut columns = vec![String::from("{"); types.len()];
        for (which, row) in rows.iter().enumerate() {
            for (column, param) in columns.iter_mut().zip(params(row)) {
                if which > 0 {
                    column.push(',');
                }
                push_element(column, &param);
            }
        }
        self.push("unnest(");
        self.list(columns.into_iter().zip(types), ", ", |sql, (mut column, ty)| {
            column.push('}');
            sql.bind(Param::Text(column));
            sql.push(&format!("::{}.{}[]", ident(ty.schema()), ident(ty.name())));
        });
        self.push(")");
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

    fn update_together(&mut self, rows: &[RowWrite], types: &[Type]) {
        let head = &rows[0];
        let set = set_columns(head).count();
        self.push(&format!("UPDATE {} AS t SET ", qualified(&head.table.schema, &head.table.name)));
        self.list(set_columns(head).enumerate(), ", ", |sql, (at, (column, _))| sql.push(&format!("{} = v.c{at}", ident(&column.name))));
        self.push(" FROM ");
        self.arrays(rows, types, |row| set_columns(row).map(|(column, value)| encode(value, &column.ty)).chain(key_values(row)).collect());
        let names: Vec<String> = (0..types.len()).map(|at| format!("c{at}")).collect();
        self.push(&format!(" AS v ({}) WHERE ", names.join(", ")));
        self.list(key_columns(head).enumerate(), " AND ", |sql, (at, column)| {
            sql.push(&format!("t.{} = v.c{}", ident(&column.name), set + at));
        });
    }

    fn delete(&mut self, rows: &[RowWrite]) {
        self.push(&format!("DELETE FROM {}", qualified(&rows[0].table.schema, &rows[0].table.name)));
        self.matching(rows);
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

fn written_columns(row: &RowWrite) -> impl Iterator<Item = (&SiteColumn, &Value)> {
    row.columns.iter().filter_map(|(number, value)| Some((row.table.columns.get(*number)?.as_ref()?, value)))
}

/// An array's element in its text form.
fn push_element(array: &mut String, param: &Param) {
    match param {
        Param::Null => array.push_str("NULL"),
        Param::Text(text) => {
            array.push('"');
            let mut rest = text.as_str();
            while let Some(at) = rest.find(['"', '\\']) {
                array.push_str(&rest[..at]);
                array.push('\\');
                array.push_str(&rest[at..=at]);
                rest = &rest[at + 1..];
            }
            array.push_str(rest);
            array.push('"');
        }
        Param::Bytes(bytes) => {
            array.push_str("\"\\\\x");
            for byte in bytes {
                array.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
            }
            array.push('"');
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_arrays_are_closed() {
        let mut array = String::new();
        for param in [Param::Null, Param::Text("NULL".into()), Param::Text("a\"b\\c, {d}".into()), Param::Bytes(vec![0, 0xAB])] {
            push_element(&mut array, &param);
            array.push(',');
        }
        assert_eq!(array, r#"NULL,"NULL","a\"b\\c, {d}","\\x00ab","#);
    }
}
