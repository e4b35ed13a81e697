//! Chunks of tables in key order, for reconcile.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value as Wire};

use super::connect::{Session, literal, number, quoted, text};
use super::steps::{fitted_key, full_name};
use super::values::{cell, from_wire, to_wire};
use crate::model::{Cell, Charset, ColumnType, Image, Key, SiteColumn, SiteTable, Stretch, Sum, TableId, Unnamed};
use crate::sites::{Cause, Error, Result, TableDescription, TextRow};

/// Keys asked for by one statement.
const KEYS_MAX: usize = 200;
/// More than a stretch's text is, as the ledger has it.
const SUM_LONG: &str = "SET SESSION group_concat_max_len = 16777216";

pub(super) struct ChunkReader {
    session: Session,
    /// What a row of each table weighed so far, in bytes.
    row_bytes: HashMap<TableId, usize>,
    /// The session has been told how long a checksum's text may be.
    sums_long: bool,
}

impl ChunkReader {
    pub(super) fn new(session: Session) -> ChunkReader {
        ChunkReader { session, row_bytes: HashMap::new(), sums_long: false }
    }

    async fn read(&mut self, table: &Arc<SiteTable>, sql: String, params: Vec<Wire>, bytes_max: usize) -> Result<Page> {
        let server = self.session.server.clone();
        let failed = |error| server.failed("read rows", error).table(&table.name);
        let mut result = self.session.conn.exec_iter(sql, params).await.map_err(failed)?;
        let (mut page, mut bytes, mut count, mut left_out) = (Page::default(), 0, 0, None);
        while let Some(row) = result.next().await.map_err(failed)? {
            // The rest of the answer has to be read, but not kept.
            if bytes > bytes_max && count > 0 {
                continue;
            }
            bytes += weight(&row);
            count += 1;
            let (key, image, raw) = decode(table, row);
            page.last = Some(raw);
            match key {
                Ok(key) => page.rows.extend(table.shared(image).map(|image| (key, image))),
                Err(Unnamed::Refused(reason)) => left_out = Some(reason),
                Err(Unnamed::LeftOut) => {
                    return Err(server.error(Cause::Missing, "the site has not all columns of the key").table(&table.name));
                }
            }
        }
        drop(result);
        if let Some(reason) = left_out {
            tracing::warn!(site = server.name, table = table.name, "rows are left out because their key is {reason}");
        }
        if let Some(average) = bytes.checked_div(count) {
            self.row_bytes.insert(table.table.id, average + 1);
        }
        Ok(page)
    }

    fn key(&self, table: &SiteTable, key: &Key) -> Result<Vec<Wire>> {
        match fitted_key(table, key) {
            Ok(values) => Ok(values.iter().map(to_wire).collect()),
            Err(reason) => Err(self.unfit(table, reason)),
        }
    }

    fn unfit(&self, table: &SiteTable, reason: &str) -> Error {
        self.session.server.error(Cause::Unsupported, format!("a key can't be asked for: {reason}")).table(&table.name)
    }
}

/// Rows of one answer.
#[derive(Default)]
struct Page {
    rows: Vec<(Key, Image)>,
    /// The key of the last row as the site has it, also of one that is not shared.
    last: Option<Vec<Wire>>,
}

#[async_trait]
impl crate::sites::ChunkReader for ChunkReader {
    async fn chunk(&mut self, table: &Arc<SiteTable>, after: Option<&Key>, rows_max: usize, bytes_max: usize) -> Result<Vec<(Key, Image)>> {
        let by_weight = self.row_bytes.get(&table.table.id).map_or(rows_max, |bytes| bytes_max / bytes + 1);
        let limit = rows_max.min(by_weight).max(1);
        let keys = key_columns(table);
        let mut after = after.map(|key| self.key(table, key)).transpose()?;
        loop {
            let mut sql = select(table);
            let mut params = Vec::new();
            if let Some(values) = &after {
                sql.push_str(" WHERE ");
                sql.push_str(&above(&keys, values, &mut params));
            }
            sql.push_str(&format!(" ORDER BY {} LIMIT {limit}", keys.join(", ")));
            let page = self.read(table, sql, params, bytes_max).await?;
            // A chunk is empty only at the table's end: what is not shared is passed over.
            if !page.rows.is_empty() || page.last.is_none() {
                return Ok(page.rows);
            }
            after = page.last;
        }
    }

    async fn rows(&mut self, table: &Arc<SiteTable>, keys: &[Key]) -> Result<Vec<(Key, Image)>> {
        let columns = key_columns(table);
        let one = format!("({})", columns.iter().map(|c| format!("{c} = ?")).collect::<Vec<_>>().join(" AND "));
        let mut rows = Vec::with_capacity(keys.len());
        for some in keys.chunks(KEYS_MAX) {
            // A key that has no form at this site is not there.
            let wanted: Vec<Vec<Wire>> = some.iter().filter_map(|key| self.key(table, key).ok()).collect();
            if wanted.is_empty() {
                continue;
            }
            let sql = format!("{} WHERE {}", select(table), vec![one.as_str(); wanted.len()].join(" OR "));
            let params = wanted.concat();
            rows.extend(self.read(table, sql, params, usize::MAX).await?.rows);
        }
        Ok(rows)
    }

    async fn sum(&mut self, table: &Arc<SiteTable>, columns: &[usize], stretch: &Stretch) -> Result<Option<Sum>> {
        let Some(key) = key_columns(table).pop() else { return Ok(None) };
        let texts = columns.iter().filter_map(|at| table.columns[*at].as_ref()).map(sum_text).collect::<Vec<_>>().join(", ");
        // In the order of an index that serves the bounds. Where that is not the key's, or the text was too long, the checksum is another one.
        // The row's text is made by CONCAT, as GROUP_CONCAT puts each of its arguments into a temporary table.
        let print = format!("SHA2(COALESCE(GROUP_CONCAT(CONCAT({texts}) SEPARATOR ''), ''), 256)");
        let mut sql = format!("SELECT COUNT(*), {print} FROM {}", full_name(table));
        let bounds = [stretch.after.map(|after| (">", after)), stretch.upto.map(|upto| ("<=", upto))];
        let mut params = Vec::new();
        for (relation, bound) in bounds.into_iter().flatten() {
            sql.push_str(&format!(" {} {key} {relation} ?", if params.is_empty() { "WHERE" } else { "AND" }));
            params.push(Wire::Int(bound));
        }
        let server = self.session.server.clone();
        let failed = |error| server.failed("make a checksum of rows", error).table(&table.name);
        if !self.sums_long {
            self.session.conn.query_drop(SUM_LONG).await.map_err(failed)?;
            self.sums_long = true;
        }
        let found: Option<(u64, String)> = self.session.conn.exec_first(sql, params).await.map_err(failed)?;
        Ok(found.and_then(|(rows, print)| Sum::from_hex(rows, &print)))
    }

    async fn estimate(&mut self, table: &Arc<SiteTable>) -> Result<u64> {
        let sql = format!(
            "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
            literal(&table.schema),
            literal(&table.name)
        );
        let mut rows = self.session.rows("estimate a table's size", sql).await?;
        Ok(rows.first_mut().and_then(|row| number(row, 0)).unwrap_or(0))
    }

    async fn distinct(&mut self, table: &TableDescription, columns: &[&str], rows_max: usize) -> Result<Vec<TextRow>> {
        let list = columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT DISTINCT {list} FROM {}.{} LIMIT {rows_max}", quoted(&table.schema), quoted(&table.name));
        let rows = self.session.rows("look at what a table is used for", sql).await.map_err(|error| error.table(&table.name))?;
        Ok(rows.into_iter().map(|mut row| (0..columns.len()).map(|at| text(&mut row, at)).collect()).collect())
    }
}

/// Keys above `values`, spelled so that the index is used: `(k1, k2) > (..)` is not.
fn above(keys: &[String], values: &[Wire], params: &mut Vec<Wire>) -> String {
    let mut cases = Vec::with_capacity(keys.len());
    let mut head = String::new();
    if keys.len() > 1 {
        head = format!("{} >= ? AND ", keys[0]);
        params.push(values[0].clone());
    }
    for i in 0..keys.len() {
        let mut case = keys[..i].iter().map(|key| format!("{key} = ?")).collect::<Vec<_>>();
        case.push(format!("{} > ?", keys[i]));
        params.extend_from_slice(&values[..=i]);
        cases.push(format!("({})", case.join(" AND ")));
    }
    format!("{head}({})", cases.join(" OR "))
}

/// Labels are compared as text, but ENUM and SET columns sort by number.
fn key_columns(table: &SiteTable) -> Vec<String> {
    let columns = table.table.key.iter().filter_map(|c| table.columns[*c].as_ref());
    columns
        .map(|column| match column.ty {
            ColumnType::Enum(_) | ColumnType::Set(_) => format!("CAST({} AS CHAR)", quoted(&column.name)),
            _ => quoted(&column.name),
        })
        .collect()
}

/// A value's text in a checksum, as a list of its parts, none of which is NULL, and as bytes: collations have no part in it.
fn sum_text(column: &SiteColumn) -> String {
    let name = quoted(&column.name);
    let (length, body) = match column.ty {
        ColumnType::Int { .. } => {
            return if column.nullable { format!("COALESCE(CONCAT({name}, ','), 'N')") } else { format!("{name}, ','") };
        }
        ColumnType::Bytes { .. } => (format!("2 * LENGTH({name})"), format!("LOWER(HEX({name}))")),
        ColumnType::Char { charset: Charset::Latin1, .. } | ColumnType::Text { charset: Charset::Latin1, .. } => {
            (format!("LENGTH(CONVERT({name} USING utf8mb4))"), format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY)"))
        }
        _ => (format!("LENGTH({name})"), format!("CAST({name} AS BINARY)")),
    };
    match column.nullable {
        true => format!("COALESCE(CONCAT({length}, ':'), 'N'), COALESCE({body}, '')"),
        false => format!("{length}, ':', {body}"),
    }
}

fn select(table: &SiteTable) -> String {
    let columns: Vec<String> = table.columns.iter().flatten().map(|column| quoted(&column.name)).collect();
    format!("SELECT {} FROM {}", columns.join(", "), full_name(table))
}

fn weight(row: &Row) -> usize {
    (0..row.len())
        .map(|i| match row.as_ref(i) {
            Some(Wire::Bytes(bytes)) => 24 + bytes.len(),
            _ => 24,
        })
        .sum()
}

/// Key, cells of all columns, and the key as the site has it.
fn decode(table: &SiteTable, mut row: Row) -> (std::result::Result<Key, Unnamed>, Image, Vec<Wire>) {
    let mut next = 0;
    let mut image = Image::with_capacity(table.columns.len());
    let mut raw = vec![Wire::NULL; table.table.key.len()];
    for (at, column) in table.columns.iter().enumerate() {
        image.push(match column {
            None => Cell::Unchanged,
            Some(column) => {
                let value = row.take::<Wire, _>(next).unwrap_or(Wire::NULL);
                next += 1;
                if let Some(place) = table.table.key.iter().position(|key| *key == at) {
                    raw[place] = value.clone();
                }
                cell(from_wire(value, &column.ty), column, table.family(at))
            }
        });
    }
    (table.key_in(&image), image, raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyset_conditions() {
        let keys = ["`a`".to_owned(), "`b`".to_owned()];
        let mut params = Vec::new();
        let sql = above(&keys, &[Wire::Int(1), Wire::Int(2)], &mut params);
        assert_eq!(sql, "`a` >= ? AND ((`a` > ?) OR (`a` = ? AND `b` > ?))");
        assert_eq!(params, [1, 1, 1, 2].map(Wire::Int));
        params.clear();
        assert_eq!(above(&keys[..1], &[Wire::Int(1)], &mut params), "((`a` > ?))");
    }
}
