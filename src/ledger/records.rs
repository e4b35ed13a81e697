//! Rows in the file: a record for each, and beside it, in a table that is small while little is owed, what sites hold instead of it.
//!
//! A change writes a record once. That a site has come to hold it changes what stands beside it, and not the record. While a site is
//! copied to for the first time, what stands in no place is told by how far the sweep has come ([`Vouched`]).

use rusqlite::params;

use super::{Error, Ledger, Result, RowId};
use crate::model::{Key, SiteId, TableId, Writer};
use crate::mutation;
use crate::resolve::{Held, Row, encode_rest};

/// The first sweep of a site's table has come by the rows up to a number: of a row there without an entry, the site holds the merged
/// version. Above it, such a row is not at the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vouched {
    pub site: SiteId,
    pub table: TableId,
    /// The scan that it belongs to.
    pub generation: u32,
    pub to: i64,
}

/// Bytes of the row that was read or written last, so that what is read, changed and written need not be read again.
#[derive(Default)]
pub struct Last {
    id: Option<RowId>,
    record: Vec<u8>,
    rest: Vec<u8>,
}

impl Last {
    fn put(&mut self, id: RowId, record: &[u8], rest: &[u8]) {
        self.id = Some(id);
        self.record.clear();
        self.record.extend_from_slice(record);
        self.rest.clear();
        self.rest.extend_from_slice(rest);
    }

    pub(super) fn forget(&mut self) {
        self.id = None;
    }
}

/// Room to write a row's bytes in.
#[derive(Default)]
pub struct Scratch {
    record: Writer,
    rest: Writer,
}

/// Rows of one table, from going through the ledger's rows in its own order.
#[derive(Default)]
pub struct Slice {
    pub rows: Vec<(RowId, Key, Row)>,
    /// The last row looked at, of whichever table; None: there is none further on.
    pub last: Option<i64>,
}

/// What a first sweep has come by.
#[derive(Default)]
pub struct Swept {
    /// Rows of which more is to be said than that the site lacks them.
    pub others: Vec<RowId>,
    pub last: Option<i64>,
}

/// Rows of any table looked at for each one wanted, before a slice is given with fewer.
const LOOKED_AT: usize = 20;

impl Ledger {
    /// The row's number, if the ledger has it, and its record, blank otherwise.
    pub fn load(&self, table: TableId, key: &Key) -> Result<(Option<RowId>, Row)> {
        let width = self.width(table)?;
        let mut w = Writer::new();
        w.sortable(key);
        let mut query = self.db.prepare_cached(
            "SELECT row.id, row.record, held.entries FROM row LEFT JOIN held ON held.row = row.id WHERE row.tbl = ?1 AND row.key = ?2",
        )?;
        let mut rows = query.query(params![table.0, w.as_slice()])?;
        match rows.next()? {
            None => Ok((None, Row::new(width))),
            Some(r) => {
                let id = RowId(r.get(0)?);
                let (record, rest) = (blob(r, 1)?, blob_or_none(r, 2)?);
                self.last.borrow_mut().put(id, record, rest.unwrap_or_default());
                Ok((Some(id), self.row_of(table, id, key, record, rest, width)?))
            }
        }
    }

    /// As [`Ledger::load`], where the row's number is likely to be `id`.
    pub fn load_sent(&self, table: TableId, key: &Key, id: Option<RowId>) -> Result<(Option<RowId>, Row)> {
        match id.map(|id| self.load_id(id)).transpose()?.flatten() {
            Some((found, at, row)) if found == table && at == *key => Ok((id, row)),
            _ => self.load(table, key),
        }
    }

    pub fn load_id(&self, id: RowId) -> Result<Option<(TableId, Key, Row)>> {
        let mut query = self.db.prepare_cached(
            "SELECT row.tbl, row.key, row.record, held.entries FROM row LEFT JOIN held ON held.row = row.id WHERE row.id = ?1",
        )?;
        let mut rows = query.query([id.0])?;
        let Some(r) = rows.next()? else { return Ok(None) };
        let table = TableId(r.get(0)?);
        if self.shared(table).is_none() {
            return Ok(None);
        }
        let (key, record, rest) = (blob(r, 1)?, blob(r, 2)?, blob_or_none(r, 3)?);
        self.last.borrow_mut().put(id, record, rest.unwrap_or_default());
        let key = self.key(table, key)?;
        let row = self.row_of(table, id, &key, record, rest, self.width(table)?)?;
        Ok(Some((table, key, row)))
    }

    /// A row from its bytes, with the entries that a first sweep has left to be understood.
    fn row_of(&self, table: TableId, id: RowId, key: &Key, record: &[u8], rest: Option<&[u8]>, width: usize) -> Result<Row> {
        let mut row = Row::decode(key, record, rest, width)?;
        for vouched in self.vouched.iter().filter(|vouched| vouched.table == table && id.0 <= vouched.to) {
            if row.life.exists() && row.held(vouched.site).is_none() {
                row.put_held(Held::quiet(vouched.site, vouched.generation, row.life));
            }
        }
        Ok(row)
    }

    /// Writes what has changed of a row. `waits`: it is to be looked at after a restart although nobody is owed anything.
    pub(super) fn write(&mut self, table: TableId, key: &Key, id: Option<RowId>, row: &Row, waits: bool) -> Result<RowId> {
        let Scratch { mut record, mut rest } = std::mem::take(&mut self.scratch);
        let implied = |held: &Held| {
            let by = |vouched: &Vouched| vouched.site == held.site && vouched.table == table && vouched.generation == held.seen;
            id.is_some_and(|id| self.vouched.iter().any(|vouched| by(vouched) && id.0 <= vouched.to))
        };
        row.encode(key, &mut record, &mut rest, implied);
        if waits && rest.as_slice().is_empty() {
            encode_rest(&mut rest, [].into_iter(), &[]);
        }
        let open = waits || row.held.iter().any(|held| held.since > 0);
        let id = self.write_bytes(table, key, id, record.as_slice(), rest.as_slice(), open)?;
        self.last.get_mut().put(id, record.as_slice(), rest.as_slice());
        self.scratch = Scratch { record, rest };
        Ok(id)
    }

    fn write_bytes(&self, table: TableId, key: &Key, id: Option<RowId>, record: &[u8], rest: &[u8], open: bool) -> Result<RowId> {
        let last = self.last.borrow();
        let known = id.is_some() && last.id == id;
        // Only together with its record does what stands beside it come to wait, or to be waited for.
        let same_rest = known && last.rest == rest && last.record == record;
        let id = match id {
            Some(id) => {
                if !known || last.record != record {
                    self.db.prepare_cached("UPDATE row SET record = ?2 WHERE id = ?1")?.execute(params![id.0, record])?;
                }
                id
            }
            None => {
                let mut w = Writer::new();
                w.sortable(key);
                let mut insert = self.db.prepare_cached("INSERT INTO row (tbl, key, record) VALUES (?1, ?2, ?3)")?;
                RowId(insert.insert(params![table.0, w.as_slice(), record])?)
            }
        };
        match rest.is_empty() {
            false if !same_rest => {
                let mut put = self.db.prepare_cached("INSERT OR REPLACE INTO held (row, entries, open) VALUES (?1, ?2, ?3)")?;
                put.execute(params![id.0, rest, open])?;
            }
            true if !known || !last.rest.is_empty() => self.unhold(id)?,
            _ => {}
        }
        Ok(id)
    }

    fn unhold(&self, id: RowId) -> Result<()> {
        self.db.prepare_cached("DELETE FROM held WHERE row = ?1")?.execute([id.0])?;
        Ok(())
    }

    pub(super) fn drop_row(&mut self, id: RowId) -> Result<()> {
        self.db.prepare_cached("DELETE FROM row WHERE id = ?1")?.execute([id.0])?;
        self.unhold(id)?;
        self.last.get_mut().forget();
        Ok(())
    }

    /// The record of a row as it is stored now, for `look`.
    pub(super) fn with_record<T>(&self, id: RowId, look: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        let last = self.last.borrow();
        if last.id == Some(id) {
            return look(&last.record).map(Some);
        }
        let mut query = self.db.prepare_cached("SELECT record FROM row WHERE id = ?1")?;
        let mut rows = query.query([id.0])?;
        rows.next()?.map(|r| look(blob(r, 0)?)).transpose()
    }

    /// Up to `limit` rows of `table` above `after` in the ledger's own order: for sweeps and for reading all of it.
    pub fn slice(&self, table: TableId, after: i64, limit: usize) -> Result<Slice> {
        let width = self.width(table)?;
        let mut query = self.db.prepare_cached(
            "SELECT id, tbl = ?2, CASE WHEN tbl = ?2 THEN key END, CASE WHEN tbl = ?2 THEN record END,
                 CASE WHEN tbl = ?2 THEN (SELECT entries FROM held WHERE held.row = row.id) END
             FROM row WHERE id > ?1 ORDER BY id LIMIT ?3",
        )?;
        let mut found = query.query(params![after, table.0, (limit * LOOKED_AT) as i64])?;
        let mut slice = Slice::default();
        while slice.rows.len() < limit
            && let Some(r) = found.next()?
        {
            let id: i64 = r.get(0)?;
            slice.last = Some(id);
            if r.get(1)? {
                let key = self.key(table, blob(r, 2)?)?;
                let row = self.row_of(table, RowId(id), &key, blob(r, 3)?, blob_or_none(r, 4)?, width)?;
                slice.rows.push((RowId(id), key, row));
            }
        }
        Ok(slice)
    }

    /// Tells the numbers of rows of `table` that exist, of up to `limit` rows of any table above `after`. Gives the last looked at.
    pub fn existing(&self, table: TableId, after: i64, limit: usize, mut tell: impl FnMut(RowId)) -> Result<Option<i64>> {
        let mut query = self.db.prepare_cached("SELECT id, tbl = ?2, substr(record, 1, 8) FROM row WHERE id > ?1 ORDER BY id LIMIT ?3")?;
        let mut rows = query.query(params![after, table.0, limit as i64])?;
        let mut last = None;
        while let Some(r) = rows.next()? {
            let id = RowId(r.get(0)?);
            last = Some(id.0);
            if r.get(1)? && Row::exists_in(blob(r, 2)?) {
                tell(id);
            }
        }
        Ok(last)
    }

    /// Goes through up to `limit` rows of `table` above `after`, which the first scan `generation` of `site` has read to its end. Those
    /// of which nothing is said but that they are there are not at the site: it is owed them, in bulk.
    pub fn owe_missing(&mut self, site: SiteId, table: TableId, generation: u32, after: i64, limit: usize) -> Result<Swept> {
        let (mut swept, mut missing) = (Swept::default(), Vec::new());
        {
            let mut query = self.db.prepare_cached(
                "SELECT id, tbl = ?2, CASE WHEN tbl = ?2 THEN record END, EXISTS (SELECT 1 FROM held WHERE held.row = row.id)
                 FROM row WHERE id > ?1 ORDER BY id LIMIT ?3",
            )?;
            let mut rows = query.query(params![after, table.0, (limit * LOOKED_AT) as i64])?;
            let mut looked_at = 0;
            while looked_at < limit
                && let Some(r) = rows.next()?
            {
                let id = RowId(r.get(0)?);
                swept.last = Some(id.0);
                if !r.get::<_, bool>(1)? {
                    continue;
                }
                looked_at += 1;
                let alone = !r.get::<_, bool>(3)? && !self.is_quarantined(site, id);
                match Row::seen_in(blob(r, 2)?, site)? {
                    Some((_, seen)) if alone && seen == generation => {}
                    Some((true, 0)) if alone => missing.push(id),
                    Some((false, 0)) if alone => {}
                    _ => swept.others.push(id),
                }
            }
        }
        if mutation::without("sweep") {
            return Ok(Swept { others: Vec::new(), ..swept });
        }
        let mut rest = Writer::new();
        for id in missing {
            self.order += 1;
            let held = Held { seen: generation, since: self.order, bulk: true, ..Held::lacking(site) };
            rest.clear();
            encode_rest(&mut rest, [&held].into_iter(), &[]);
            self.db.prepare_cached("INSERT INTO held (row, entries, open) VALUES (?1, ?2, 1)")?.execute(params![id.0, rest.as_slice()])?;
            self.enqueue(site, id, held.since, false, true);
        }
        self.last.get_mut().forget();
        Ok(swept)
    }

    /// A row's key as it is stored. One of another width than the table's would name several rows at a site, or none.
    pub(super) fn key(&self, table: TableId, bytes: &[u8]) -> Result<Key> {
        let key = Key::from_sortable(bytes)?;
        match self.shared(table) {
            Some(shared) if shared.table.key.len() != key.0.len() => {
                Err(Error::Damaged("a row's key has another width than the table's".into()))
            }
            _ => Ok(key),
        }
    }

    pub(super) fn width(&self, table: TableId) -> Result<usize> {
        let shared = self.shared(table);
        shared
            .map(|s| s.table.columns.len())
            .ok_or_else(|| Error::Configuration(format!("table number {} is not shared any more", table.0)))
    }
}

pub(super) fn blob<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> Result<&'r [u8]> {
    row.get_ref(column)?.as_blob().map_err(|e| Error::Damaged(e.to_string()))
}

fn blob_or_none<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> Result<Option<&'r [u8]>> {
    row.get_ref(column)?.as_blob_or_null().map_err(|e| Error::Damaged(e.to_string()))
}
