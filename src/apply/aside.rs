//! Moving values of unique keys out of the way, so that rows can swap them within one batch.

use crate::model::{ColumnType, MarkerId, SiteColumn, Value, WriteKind};
use crate::sites::RowWrite;

/// For each row that gets another value in a unique key of the site: a write before all others that takes its old one away.
/// Gives their places in `rows` with them.
pub fn aside(rows: &[RowWrite], marker: MarkerId) -> (Vec<usize>, Vec<RowWrite>) {
    let moved = rows.iter().enumerate().filter(|(_, row)| matches!(row.kind, WriteKind::Columns | WriteKind::Replace));
    moved.flat_map(|(at, row)| stand_ins(row, marker, at).map(|write| (at, write))).unzip()
}

fn stand_ins(row: &RowWrite, marker: MarkerId, at: usize) -> Option<RowWrite> {
    let mut columns: Vec<(usize, Value)> = Vec::new();
    for unique in row.table.shared_unique() {
        let written = unique.columns.iter().filter(|column| row.columns.iter().any(|(c, _)| c == *column));
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
