//! Chunks of the site's tables, in the order of their keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rusqlite::Connection;

use super::connect::{Place, blocking};
use super::describe;
use super::rows::{RawKey, Rows};
use crate::model::{Image, Key, SiteTable, TableId, weight};
use crate::sites::{Cause, ChunkReader, Error, Result, TableDescription, TextRow};

pub struct SqliteChunks {
    place: Place,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    db: Connection,
    tables: HashMap<TableId, (Arc<SiteTable>, Arc<Rows>)>,
}

impl SqliteChunks {
    pub async fn open(place: Place) -> Result<SqliteChunks> {
        let opening = place.clone();
        let db = blocking(&place.site, move || opening.open_to_read()).await?;
        Ok(SqliteChunks { inner: Arc::new(Mutex::new(Inner { db, tables: HashMap::new() })), place })
    }

    async fn with<T: Send + 'static>(
        &self,
        table: &Arc<SiteTable>,
        work: impl FnOnce(&Place, &Connection, &Rows) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (place, inner, table) = (self.place.clone(), self.inner.clone(), table.clone());
        blocking(&self.place.site, move || {
            let mut inner = inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let rows = inner.rows(&place, &table)?;
            work(&place, &inner.db, &rows)
        })
        .await
    }
}

impl Inner {
    fn rows(&mut self, place: &Place, table: &Arc<SiteTable>) -> Result<Arc<Rows>> {
        if let Some((known, rows)) = self.tables.get(&table.table.id)
            && Arc::ptr_eq(known, table)
        {
            return Ok(rows.clone());
        }
        let absent = || Error::new(Cause::Missing, &place.site, "a key column is missing").table(&table.name);
        let rows = Arc::new(Rows::new(table).ok_or_else(absent)?);
        self.tables.insert(table.table.id, (table.clone(), rows.clone()));
        Ok(rows)
    }
}

#[async_trait]
impl ChunkReader for SqliteChunks {
    async fn chunk(&mut self, table: &Arc<SiteTable>, after: Option<&Key>, rows_max: usize, bytes_max: usize) -> Result<Vec<(Key, Image)>> {
        let after = after.cloned();
        self.with(table, move |place, db, rows| {
            let after = after.map(|key| raw_key(place, rows, &key)).transpose()?;
            chunk(db, rows, after, rows_max.max(1), bytes_max).map_err(|e| place.error("reading a chunk", &e).table(&rows.name))
        })
        .await
    }

    async fn rows(&mut self, table: &Arc<SiteTable>, keys: &[Key]) -> Result<Vec<(Key, Image)>> {
        let keys = keys.to_vec();
        self.with(table, move |place, db, rows| {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                // A key that SQLite can't hold is not there.
                let Ok(raw) = rows.raw_key(&key) else { continue };
                let image = rows.fetch(db, &raw).map_err(|e| place.error("reading rows", &e).table(&rows.name))?;
                found.extend(image.map(|image| (key, image)));
            }
            Ok(found)
        })
        .await
    }

    async fn estimate(&mut self, table: &Arc<SiteTable>) -> Result<u64> {
        self.with(table, |place, db, rows| {
            describe::rows_estimated(db, &rows.name).map_err(|e| place.error("counting rows", &e).table(&rows.name))
        })
        .await
    }

    async fn distinct(&mut self, table: &TableDescription, columns: &[&str], rows_max: usize) -> Result<Vec<TextRow>> {
        let list = columns.iter().map(|column| format!("CAST({} AS TEXT)", describe::quote(column))).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT DISTINCT {list} FROM {} LIMIT {rows_max}", describe::quote(&table.name));
        let (place, inner, name, width) = (self.place.clone(), self.inner.clone(), table.name.clone(), columns.len());
        blocking(&self.place.site, move || {
            let inner = inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let read = || {
                let mut query = inner.db.prepare(&sql)?;
                let rows = query.query_map([], |row| (0..width).map(|at| row.get(at)).collect::<rusqlite::Result<TextRow>>())?;
                rows.collect::<rusqlite::Result<Vec<TextRow>>>()
            };
            read().map_err(|e| place.error("looking at what a table is used for", &e).table(&name))
        })
        .await
    }
}

fn raw_key(place: &Place, rows: &Rows, key: &Key) -> Result<RawKey> {
    rows.raw_key(key)
        .map_err(|reason| Error::new(Cause::Protocol, &place.site, format!("reading can't go on after {reason}")).table(&rows.name))
}

/// Rows that are not shared, or whose key has no canonical form, are passed over; a chunk is empty only at the table's end.
fn chunk(
    db: &Connection,
    rows: &Rows,
    mut after: Option<RawKey>,
    rows_max: usize,
    bytes_max: usize,
) -> rusqlite::Result<Vec<(Key, Image)>> {
    let mut found = Vec::new();
    loop {
        let (mut bytes, mut last, mut left_out) = (0, None, None);
        let scanned = rows.scan(db, after.as_deref(), rows_max, |raw, image| {
            bytes += image.as_ref().map_or(0, weight);
            match rows.key(&raw) {
                Ok(key) => found.extend(image.map(|image| (key, image))),
                Err(reason) => left_out = Some(reason),
            }
            last = Some(raw);
            bytes < bytes_max || found.is_empty()
        })?;
        if let Some(reason) = left_out {
            tracing::warn!(table = %rows.name, "rows are left out because their key is {reason}");
        }
        if !found.is_empty() || scanned < rows_max {
            return Ok(found);
        }
        after = last;
    }
}
