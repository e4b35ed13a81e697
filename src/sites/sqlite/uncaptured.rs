//! What applications wrote after the ledger's last capture: rows that a batch must leave alone.

use std::collections::HashMap;

use rusqlite::Connection;

use super::rows::RawKey;
use super::triggers::{CHANGELOG_TABLE, KEY_COLUMNS_MAX, mark};
use super::values::Raw;

/// Rows kept at most; with more to come, nothing is written until the ledger has caught up.
const ROWS_MAX: usize = 200_000;

/// Rows named by applications above the captured position. Read on from batch to batch, so that a backlog costs once.
#[derive(Default)]
pub struct Uncaptured {
    /// Table and key (unused columns left out) to the last entry that names the row.
    rows: HashMap<String, HashMap<RawKey, i64>>,
    read_to: i64,
    captured: i64,
}

impl Uncaptured {
    /// Whether all of it is known now. To be called within the write lock, before anything is written.
    pub fn catch_up(&mut self, db: &Connection, captured: i64) -> rusqlite::Result<bool> {
        let mut ends = db.prepare_cached("SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM rosterd_changelog")?;
        let (lowest, end): (i64, i64) = ends.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if end < self.read_to || captured < self.captured {
            *self = Uncaptured::default();
        }
        if captured > self.captured {
            self.rows.values_mut().for_each(|rows| rows.retain(|_, id| *id > captured));
            self.captured = captured;
        }
        if end.saturating_sub(captured.max(lowest)) > ROWS_MAX as i64 {
            return Ok(false);
        }
        self.read(db, captured.max(self.read_to))?;
        self.read_to = end;
        Ok(true)
    }

    /// The position is never within a landing, so what a landing wrote is told from what applications wrote.
    fn read(&mut self, db: &Connection, from: i64) -> rusqlite::Result<()> {
        let keys: Vec<String> = (0..KEY_COLUMNS_MAX).map(|i| format!("k{i}")).collect();
        let sql = format!("SELECT id, tbl, {} FROM {CHANGELOG_TABLE} WHERE id > ?1 ORDER BY id", keys.join(", "));
        let mut statement = db.prepare_cached(&sql)?;
        let mut found = statement.query([from])?;
        let mut landing = false;
        while let Some(row) = found.next()? {
            let table = row.get_ref(1)?.as_str().unwrap_or_default();
            if table.is_empty() {
                match row.get_ref(2)?.as_str().unwrap_or_default() {
                    mark::BEGIN => landing = true,
                    mark::END => landing = false,
                    _ => {}
                }
            } else if !landing {
                let mut key = (2..2 + KEY_COLUMNS_MAX).map(|i| row.get_ref(i).map(Raw::of_key)).collect::<rusqlite::Result<RawKey>>()?;
                let width = key.iter().rposition(|raw| *raw != Raw::Null).map_or(0, |last| last + 1);
                key.truncate(width);
                let id = row.get(0)?;
                match self.rows.get_mut(table) {
                    Some(rows) => drop(rows.insert(key, id)),
                    None => drop(self.rows.insert(table.into(), HashMap::from([(key, id)]))),
                }
            }
        }
        Ok(())
    }

    pub fn names(&self, table: &str, key: &RawKey) -> bool {
        self.rows.get(table).is_some_and(|rows| rows.contains_key(key))
    }
}
