//! Moving values of unique keys out of the way, so that rows can swap them within one batch.

use crate::model::{ColumnType, MarkerId, SiteColumn, Value, WriteKind};
use crate::sites::RowWrite;

/// For each row that gets another value in a unique key of the site, or goes: a write before all others that takes its old one away.
/// Gives their places in `rows` with them.
pub fn aside(rows: &[RowWrite], marker: MarkerId) -> (Vec<usize>, Vec<RowWrite>) {
    let moved = rows.iter().enumerate().filter(|(_, row)| row.kind != WriteKind::Insert);
    moved.flat_map(|(at, row)| stand_ins(row, marker, at).map(|write| (at, write))).unzip()
}

fn stand_ins(row: &RowWrite, marker: MarkerId, at: usize) -> Option<RowWrite> {
    let mut columns: Vec<(usize, Value)> = Vec::new();
    for unique in row.table.shared_unique() {
        let gives_up = |column: usize| row.kind == WriteKind::Delete || row.columns.iter().any(|(c, _)| *c == column);
        let written = unique.columns.iter().filter(|column| gives_up(**column));
        let value = |column: usize| Some((column, stand_in(row.table.columns[column].as_ref()?, marker, at)?));
        columns.extend(written.filter(|column| !columns.iter().any(|(c, _)| c == *column)).find_map(|column| value(*column)));
    }
    (!columns.is_empty()).then(|| RowWrite { table: row.table.clone(), kind: WriteKind::Columns, key: row.key.clone(), columns })
}

/// A value that no other row has. None: the column has no room for one.
fn stand_in(column: &SiteColumn, marker: MarkerId, at: usize) -> Option<Value> {
    if column.nullable {
        return Some(Value::Null);
    }
    let text = format!("~{:x}.{at:x}", marker.0);
    let chars_max = match column.ty {
        ColumnType::Char { chars, .. } => chars as usize,
        ColumnType::Text { chars_max, bytes_max, .. } => chars_max.map_or(usize::MAX, |chars| chars as usize).min(bytes_max as usize),
        _ => 0,
    };
    (text.len() <= chars_max).then_some(Value::Text(text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Charset, Column, Family, Key, SiteTable, Table, TableId, UniqueKey};

    fn people() -> Arc<SiteTable> {
        let names = ["uid", "name"];
        let text = ColumnType::Text { chars_max: Some(60), bytes_max: 240, charset: Charset::Unicode };
        let types = [ColumnType::Int { bits: 64, unsigned: false }, text];
        let column = |name: &str| Column { name: name.into(), family: Family::Text, secret: false };
        let here = |(ordinal, (name, ty)): (usize, (&str, ColumnType))| {
            Some(SiteColumn { name: name.into(), ty, ordinal, nullable: false, values: None })
        };
        let table = Table { id: TableId(1), name: "people".into(), columns: names.map(column).into(), key: vec![0], urgent: false };
        Arc::new(SiteTable {
            table: Arc::new(table),
            schema: "main".into(),
            name: "people".into(),
            columns: names.into_iter().zip(types).enumerate().map(here).collect(),
            unique: vec![UniqueKey { name: "name".into(), columns: vec!["name".into()], case_insensitive: false }],
            allocation: None,
            fills: Vec::new(),
        })
    }

    #[test]
    fn rows_that_get_another_name_or_go_give_theirs_up_first() {
        let table = people();
        let row = |kind, columns: &[(usize, Value)]| RowWrite {
            table: table.clone(),
            kind,
            key: Key(vec![Value::Int(7)]),
            columns: columns.to_vec(),
        };
        let name = [(1, Value::text("joe"))];
        let rows = [
            row(WriteKind::Columns, &name),
            row(WriteKind::Insert, &name),
            row(WriteKind::Delete, &[]),
            row(WriteKind::Columns, &[(0, Value::Int(7))]),
        ];
        let (places, first) = aside(&rows, MarkerId(1));
        assert_eq!(places, [0, 2]);
        assert!(first.iter().all(|write| write.kind == WriteKind::Columns && write.columns.len() == 1 && write.columns[0].0 == 1));
    }
}
