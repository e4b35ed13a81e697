//! The SQL of our own writes. Its text depends on the shape of a row only, so that each shape is prepared once.

use super::connect::{ident, literal, qualified};
use super::values::{Param, encode, typed};
use crate::model::{MarkerId, SiteColumn, WriteKind, fit};
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

/// One row's write. It changes one row, or none where the row is not as it has to be.
pub(super) fn row(row: &RowWrite) -> Sql {
    let table = qualified(&row.table.schema, &row.table.name);
    let mut sql = Builder { text: String::with_capacity(128), params: Vec::with_capacity(row.columns.len() + row.key.0.len()) };
    let column = |number: usize| row.table.columns.get(number).and_then(Option::as_ref);
    let key_columns = || row.table.table.key.iter().filter_map(|number| column(*number));
    match row.kind {
        WriteKind::Insert => {
            let written: Vec<_> = row.columns.iter().filter_map(|(number, value)| Some((column(*number)?, value))).collect();
            let names: Vec<String> = written.iter().map(|(column, _)| ident(&column.name)).collect();
            sql.push(&format!("INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE VALUES (", names.join(", ")));
            for (at, (column, value)) in written.into_iter().enumerate() {
                sql.push(if at == 0 { "" } else { ", " });
                sql.bind(encode(value, &column.ty));
            }
            let key: Vec<String> = key_columns().map(|column| ident(&column.name)).collect();
            sql.push(&format!(") ON CONFLICT ({}) DO NOTHING", key.join(", ")));
        }
        WriteKind::Replace | WriteKind::Columns => {
            sql.push(&format!("UPDATE {table} SET "));
            let mut first = true;
            for (number, value) in &row.columns {
                // The key is what the row is found by; identity columns refuse to be set even to what they are.
                if let Some(column) = column(*number).filter(|_| !row.table.table.key.contains(number)) {
                    sql.push(if std::mem::take(&mut first) { "" } else { ", " });
                    sql.push(&format!("{} = ", ident(&column.name)));
                    sql.bind(encode(value, &column.ty));
                }
            }
            if first {
                // A row of nothing but its key: whether it is there is what counts.
                sql.text = format!("SELECT FROM {table}");
            }
            sql.matching(row, key_columns());
            if first {
                sql.push(" FOR UPDATE");
            }
        }
        WriteKind::Delete => {
            sql.push(&format!("DELETE FROM {table}"));
            sql.matching(row, key_columns());
        }
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

/// Moves a sequence on to `$1` if it is behind, as a MySQL AUTO_INCREMENT does by itself. Steps of `nextval` never take
/// back what a session has just drawn; only where the gap is wide is the sequence set.
pub(super) fn advance_sequence(schema: &str, name: &str) -> String {
    let sequence = qualified(schema, name);
    let constant = literal(&sequence);
    format!(
        "SELECT CASE WHEN $1::bigint - last_value <= 10000 \
         THEN (SELECT max(nextval({constant}::regclass)) FROM generate_series(1, $1::bigint - last_value + (NOT is_called)::int)) \
         ELSE setval({constant}::regclass, $1::bigint) END FROM {sequence} \
         WHERE last_value < $1::bigint OR last_value = $1::bigint AND NOT is_called"
    )
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

    fn matching<'a>(&mut self, row: &RowWrite, key: impl Iterator<Item = &'a SiteColumn>) {
        for (at, (column, value)) in key.zip(&row.key.0).enumerate() {
            self.push(if at == 0 { " WHERE " } else { " AND " });
            self.push(&format!("{} = ", ident(&column.name)));
            // A canonical key, while columns come fitted; one that does not fit finds no row.
            let value = fit(value, &column.ty).unwrap_or_else(|_| value.clone());
            self.bind(encode(&value, &column.ty));
        }
    }
}
