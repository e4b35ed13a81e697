//! A ledger of an earlier format, brought to the present one.

use rusqlite::{Connection, params};

use super::open::meta;
use super::{Error, FORMAT, Result};
use crate::model::{Key, Writer};
use crate::resolve::Row;

/// Rows rewritten between two looks at the file.
const ROWS: usize = 1000;

/// Brings the tables to the present format, in one transaction. `path`: for the log.
pub(super) fn upgrade(db: &Connection, path: &str) -> Result<()> {
    let Some(from) = meta(db, "format")?.filter(|from| (1..FORMAT).contains(from)) else { return Ok(()) };
    tracing::info!(path, from, to = FORMAT, "the ledger is brought to this version's format");
    db.execute_batch("BEGIN IMMEDIATE")?;
    let done = steps(db, from).and_then(|()| {
        db.execute("UPDATE meta SET value = ?1 WHERE name = 'format'", [FORMAT])?;
        if is_file(db) {
            crate::crash_point!("ledger.upgrading", "");
        }
        Ok(db.execute_batch("COMMIT")?)
    });
    if done.is_err() && !db.is_autocommit() {
        db.execute_batch("ROLLBACK")?;
    }
    done?;
    if is_file(db) {
        crate::crash_point!("ledger.upgraded", "");
    }
    Ok(())
}

/// It is no copy in memory.
fn is_file(db: &Connection) -> bool {
    db.path().is_some_and(|path| !path.is_empty())
}

/// What format 4 writes otherwise than 3, a record's first byte tells: records stay as they are until their rows change.
fn steps(db: &Connection, from: i64) -> Result<()> {
    if from < 2 {
        two(db)?;
    }
    if from < 3 {
        three(db)?;
    }
    Ok(())
}

/// From format 1: what sites hold instead of a row stands beside its record, and a row's claims are told from the record.
fn two(db: &Connection) -> Result<()> {
    db.execute_batch(
        "CREATE TABLE held (row INTEGER PRIMARY KEY, entries BLOB NOT NULL, open INTEGER NOT NULL);
         ALTER TABLE site_table ADD COLUMN vouched_to INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE site_table ADD COLUMN vouched_by INTEGER NOT NULL DEFAULT 0;
         DROP INDEX claim_row;
         CREATE TABLE contested (tbl INTEGER NOT NULL, print INTEGER NOT NULL, PRIMARY KEY (tbl, print)) WITHOUT ROWID;
         INSERT INTO contested SELECT tbl, print FROM claim GROUP BY tbl, print HAVING count(*) > 1;",
    )?;
    let (mut record, mut rest) = (Writer::new(), Writer::new());
    let mut after = i64::MIN;
    loop {
        let found: Vec<(i64, Vec<u8>, Vec<u8>, i64)> = {
            let mut query = db.prepare_cached(
                "SELECT row.id, row.key, row.record, json_array_length(shared_table.columns) FROM row JOIN shared_table ON shared_table.id = row.tbl
                 WHERE row.open = 1 AND row.id > ?1 ORDER BY row.id LIMIT ?2",
            )?;
            let rows = query.query_map(params![after, ROWS as i64], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        let Some((last, ..)) = found.last() else { break };
        after = *last;
        for (id, key, bytes, width) in found {
            let key = Key::decode(&key)?;
            let width = usize::try_from(width).map_err(|_| Error::Damaged("a table has no columns".into()))?;
            Row::decode(&key, &bytes, None, width)?.encode(&key, &mut record, &mut rest, |_| false);
            if rest.as_slice().is_empty() {
                // A tombstone that waits.
                crate::resolve::encode_rest(&mut rest, [].into_iter(), &[]);
            }
            db.prepare_cached("UPDATE row SET record = ?2 WHERE id = ?1")?.execute(params![id, record.as_slice()])?;
            db.prepare_cached("INSERT INTO held (row, entries, open) VALUES (?1, ?2, 1)")?.execute(params![id, rest.as_slice()])?;
        }
    }
    db.execute_batch("DROP INDEX row_open; ALTER TABLE row DROP COLUMN open;")?;
    Ok(())
}

/// From format 2: keys are written so that their bytes sort.
fn three(db: &Connection) -> Result<()> {
    let mut sortable = Writer::new();
    let mut after = i64::MIN;
    loop {
        let found: Vec<(i64, Vec<u8>)> = {
            let mut query = db.prepare_cached("SELECT id, key FROM row WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            let rows = query.query_map(params![after, ROWS as i64], |r| Ok((r.get(0)?, r.get(1)?)))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        let Some((last, _)) = found.last() else { return Ok(()) };
        after = *last;
        for (id, key) in found {
            sortable.clear();
            sortable.sortable(&Key::decode(&key)?);
            db.prepare_cached("UPDATE row SET key = ?2 WHERE id = ?1")?.execute(params![id, sortable.as_slice()])?;
        }
    }
}

/// A copy in memory of a ledger of an earlier format, brought to the present one: for reading, while the file stays as it is.
pub(super) fn upgraded_copy(db: &Connection, path: &str) -> Result<Connection> {
    let mut copy = Connection::open_in_memory()?;
    rusqlite::backup::Backup::new(db, &mut copy)?.run_to_completion(i32::MAX, std::time::Duration::ZERO, None)?;
    upgrade(&copy, path)?;
    Ok(copy)
}
