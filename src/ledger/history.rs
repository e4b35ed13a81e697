//! Conflicts with the values that lost, and rows held back from a site.

use rusqlite::{OptionalExtension, Row as SqlRow, params};

use super::{Error, Ledger, Result, RowId};
use crate::model::{Key, Reader, SiteId, TableId, Value, Writer, fingerprint};
use crate::resolve::{Conflict, Held, Row};

/// A decided conflict as it is kept.
#[derive(Clone, Debug)]
pub struct ConflictRecord {
    pub id: i64,
    /// When it was decided, microseconds since 1970.
    pub at_us: i64,
    pub kind: String,
    pub table: TableId,
    pub key: Key,
    pub winner: SiteId,
    pub loser: SiteId,
    pub lost: Vec<(usize, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuarantineKind {
    /// Another row at the site has its value of a unique key.
    Unique,
    /// Its parent is missing, or children are in the way.
    Reference,
    /// The site refuses it.
    Data,
    /// A value has no lossless form at the site.
    Value,
    /// The site's own row under this key stands apart: another person's, or a conflict left to an operator.
    Apart,
    /// It belongs to a row that stands apart at the site: the site's own such rows, and the merged ones that would go there.
    Kin,
}

impl QuarantineKind {
    pub const ALL: [QuarantineKind; 6] = [
        QuarantineKind::Unique,
        QuarantineKind::Reference,
        QuarantineKind::Data,
        QuarantineKind::Value,
        QuarantineKind::Apart,
        QuarantineKind::Kin,
    ];

    pub(super) fn named(name: &str) -> Result<QuarantineKind> {
        let kind = QuarantineKind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| Error::Damaged("a row is held back for no known reason".into()))
    }

    pub const fn name(self) -> &'static str {
        match self {
            QuarantineKind::Unique => "unique",
            QuarantineKind::Reference => "reference",
            QuarantineKind::Data => "data",
            QuarantineKind::Value => "value",
            QuarantineKind::Apart => "apart",
            QuarantineKind::Kin => "kin",
        }
    }
}

#[derive(Clone, Debug)]
pub struct QuarantineRecord {
    pub site: SiteId,
    pub row: RowId,
    pub table: TableId,
    pub key: Key,
    pub kind: QuarantineKind,
    pub reason: String,
    pub since_us: i64,
    pub tries: u32,
}

impl Ledger {
    pub fn record_conflict(&mut self, table: TableId, key: &Key, conflict: &Conflict, now_us: i64) -> Result<()> {
        let mut lost = Writer::new();
        lost.uint(conflict.lost.len() as u64);
        for (column, value) in &conflict.lost {
            lost.uint(*column as u64);
            lost.value(value);
        }
        let key = encoded(key);
        self.db
            .prepare_cached("INSERT INTO conflict (at_us, kind, tbl, key, winner, loser, lost) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![now_us, conflict.kind.name(), table.0, key, conflict.winner.0, conflict.loser.0, lost.as_slice()])?;
        Ok(())
    }

    /// The latest conflicts, newest first.
    pub fn conflicts(&self, limit: usize) -> Result<Vec<ConflictRecord>> {
        self.conflicts_where("1", [], limit)
    }

    pub fn conflicts_of(&self, table: TableId, key: &Key) -> Result<Vec<ConflictRecord>> {
        self.conflicts_where("tbl = ?1 AND key = ?2", params![table.0, encoded(key)], 100)
    }

    fn conflicts_where(&self, condition: &str, params: impl rusqlite::Params, limit: usize) -> Result<Vec<ConflictRecord>> {
        let sql =
            format!("SELECT id, at_us, kind, tbl, key, winner, loser, lost FROM conflict WHERE {condition} ORDER BY id DESC LIMIT {limit}");
        let mut query = self.db.prepare(&sql)?;
        let mut rows = query.query(params)?;
        let mut out = Vec::new();
        while let Some(r) = rows.next()? {
            out.push(conflict(r)?);
        }
        Ok(out)
    }

    pub fn conflict(&self, number: i64) -> Result<Option<ConflictRecord>> {
        Ok(self.conflicts_where("id = ?1", [number], 1)?.pop())
    }

    pub fn count_conflicts(&self) -> Result<u64> {
        Ok(self.db.query_row("SELECT count(*) FROM conflict", [], |r| r.get::<_, i64>(0))? as u64)
    }

    /// Forgets conflicts decided before `before_us`; gives how many.
    pub fn forget_conflicts(&mut self, before_us: i64) -> Result<usize> {
        Ok(self.db.execute("DELETE FROM conflict WHERE at_us < ?1", [before_us])?)
    }

    /// Holds a row back from a site.
    #[allow(clippy::too_many_arguments)]
    pub fn quarantine(
        &mut self,
        site: SiteId,
        row: RowId,
        table: TableId,
        key: &Key,
        kind: QuarantineKind,
        reason: &str,
        now_us: i64,
    ) -> Result<()> {
        self.db
            .prepare_cached(
                "INSERT INTO quarantine VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1)
                 ON CONFLICT (site, row) DO UPDATE SET kind = excluded.kind, reason = excluded.reason, tries = tries + 1",
            )?
            .execute(params![site.0, row.0, table.0, encoded(key), kind.name(), reason, now_us])?;
        self.quarantined.insert((site, row));
        if kind == QuarantineKind::Apart {
            self.apart_in.insert((site, table));
        }
        Ok(())
    }

    /// Lets a row go to the site again. Gives whether it was held back.
    pub fn release(&mut self, site: SiteId, row: RowId) -> Result<bool> {
        if !self.quarantined.remove(&(site, row)) {
            return Ok(false);
        }
        self.db.prepare_cached("DELETE FROM quarantine WHERE site = ?1 AND row = ?2")?.execute(params![site.0, row.0])?;
        Ok(true)
    }

    /// Lets a row go to the site again, and puts it into its queue if it is still owed.
    pub fn let_go(&mut self, site: SiteId, row: RowId) -> Result<()> {
        self.release(site, row)?;
        self.requeue(site, row)
    }

    /// The site's row does not stand apart any more, and what belongs to it there can go on.
    pub fn release_apart(&mut self, site: SiteId, row: RowId) -> Result<()> {
        let kind = self.quarantined_as(site, row)?;
        if matches!(kind, Some(QuarantineKind::Apart | QuarantineKind::Kin)) {
            self.release(site, row)?;
        }
        if kind == Some(QuarantineKind::Apart) { self.release_kin(site) } else { Ok(()) }
    }

    /// Merged rows that were held back from a site for one that stood apart there are looked at again.
    fn release_kin(&mut self, site: SiteId) -> Result<()> {
        for record in self.quarantined()?.into_iter().filter(|record| record.site == site && record.kind == QuarantineKind::Kin) {
            if self.load_id(record.row)?.is_some_and(|(_, _, row)| !crate::resolve::is_apart(&row, site)) {
                self.let_go(site, record.row)?;
            }
        }
        Ok(())
    }

    /// A site's own rows that stand apart because they belong to the row of this key, which does.
    pub fn kin_of(&self, site: SiteId, table: TableId, key: &Key) -> Result<Vec<(RowId, TableId, Key, Row)>> {
        let Some(value) = key.0.first() else { return Ok(Vec::new()) };
        let print = fingerprint(value);
        let mut kin = Vec::new();
        for record in self.quarantined()?.into_iter().filter(|record| record.site == site && record.kind == QuarantineKind::Kin) {
            let Some((of, key, row)) = self.load_id(record.row)? else { continue };
            let Some(shared) = self.shared(of) else { continue };
            let columns = shared.references.iter().filter(|(_, parent)| *parent == table).map(|(column, _)| *column as u16);
            let refers = |held: &Held| {
                columns.clone().any(|column| held.columns.iter().any(|(c, v)| *c == column && v.is_some_and(|(_, p)| p == print)))
            };
            if row.held(site).is_some_and(|held| held.apart && refers(held)) {
                kin.push((record.row, of, key, row));
            }
        }
        Ok(kin)
    }

    /// Why a row is held back from a site; None: it is not.
    pub fn quarantined_as(&self, site: SiteId, row: RowId) -> Result<Option<QuarantineKind>> {
        if !self.is_quarantined(site, row) {
            return Ok(None);
        }
        let mut query = self.db.prepare_cached("SELECT kind FROM quarantine WHERE site = ?1 AND row = ?2")?;
        let name: Option<String> = query.query_row(params![site.0, row.0], |r| r.get(0)).optional()?;
        name.as_deref().map(QuarantineKind::named).transpose()
    }

    /// Whether the row of this key stands apart at a site.
    pub fn is_apart(&self, site: SiteId, table: TableId, key: &Key) -> Result<bool> {
        Ok(self.apart_in.contains(&(site, table)) && crate::resolve::is_apart(&self.load(table, key)?.1, site))
    }

    pub fn quarantined(&self) -> Result<Vec<QuarantineRecord>> {
        let mut query =
            self.db.prepare("SELECT site, row, tbl, key, kind, reason, since_us, tries FROM quarantine ORDER BY since_us, row")?;
        let mut rows = query.query([])?;
        let mut out = Vec::new();
        while let Some(r) = rows.next()? {
            out.push(QuarantineRecord {
                site: SiteId(r.get(0)?),
                row: RowId(r.get(1)?),
                table: TableId(r.get(2)?),
                key: Key::decode(&r.get::<_, Vec<u8>>(3)?)?,
                kind: QuarantineKind::named(r.get_ref(4)?.as_str().unwrap_or_default())?,
                reason: r.get(5)?,
                since_us: r.get(6)?,
                tries: r.get(7)?,
            });
        }
        Ok(out)
    }

    fn held_back_from(&self, site: SiteId) -> impl Iterator<Item = &(SiteId, RowId)> {
        self.quarantined.range((site, RowId(i64::MIN))..=(site, RowId(i64::MAX)))
    }

    pub fn count_quarantined(&self, site: SiteId) -> usize {
        self.held_back_from(site).count()
    }

    /// Whether any row is held back from the site.
    pub fn holds_any_back(&self, site: SiteId) -> bool {
        self.held_back_from(site).next().is_some()
    }

    /// How many of a site's rows are held back as what.
    pub fn count_quarantined_as(&self, site: SiteId, kind: QuarantineKind) -> Result<u64> {
        let mut query = self.db.prepare_cached("SELECT count(*) FROM quarantine WHERE site = ?1 AND kind = ?2")?;
        Ok(query.query_row(params![site.0, kind.name()], |row| row.get::<_, i64>(0))? as u64)
    }

    pub(super) fn load_quarantined(&mut self) -> Result<()> {
        let records = self.quarantined()?;
        let apart = records.iter().filter(|record| record.kind == QuarantineKind::Apart);
        self.apart_in = apart.map(|record| (record.site, record.table)).collect();
        self.quarantined = records.into_iter().map(|record| (record.site, record.row)).collect();
        Ok(())
    }
}

fn encoded(key: &Key) -> Vec<u8> {
    let mut w = Writer::new();
    w.key(key);
    w.into_bytes()
}

fn conflict(r: &SqlRow<'_>) -> Result<ConflictRecord> {
    let lost = r.get::<_, Vec<u8>>(7)?;
    let mut reader = Reader::new(&lost);
    let count = reader.count()?;
    let lost = (0..count).map(|_| Ok((reader.u32()? as usize, reader.value()?))).collect::<Result<_, Error>>()?;
    reader.end()?;
    Ok(ConflictRecord {
        id: r.get(0)?,
        at_us: r.get(1)?,
        kind: r.get(2)?,
        table: TableId(r.get(3)?),
        key: Key::decode(&r.get::<_, Vec<u8>>(4)?)?,
        winner: SiteId(r.get(5)?),
        loser: SiteId(r.get(6)?),
        lost,
    })
}
