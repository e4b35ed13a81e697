//! One look at the changelog: the rows above a position and the content of the rows they name, in one read transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::describe;
use super::rows::{RawKey, Rows};
use super::triggers::{self, CHANGELOG_TABLE, KEY_COLUMNS_MAX, Tracking, mark};
use super::values::Raw;
use crate::model::{Change, LogItem, MarkerId, Origin, Position, SiteId, SiteTable, Transaction, weight};
use crate::sites::MARKER_TABLE;

/// Changelog rows of one look, unless a landing goes on past them.
pub const ENTRIES_MAX: usize = 5_000;
/// A landing that goes on past them is none of ours: its end is missing.
const LANDING_ENTRIES_MAX: usize = 2_000_000;
/// Content of one look, and keys of one.
const BYTES_MAX: usize = 32 << 20;
/// Changes further apart in time do not go into one transaction: a commit time then stands for all of it within this.
const RUN_MS_MAX: u64 = 1_000;

/// A place in the changelog: the last row that was read, and its time, by which a changelog that was put back is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub id: i64,
    /// 0: not known.
    pub at_ms: i64,
}

impl Place {
    pub fn parse(position: &Position) -> Option<Place> {
        let (id, at_ms) = position.0.split_once('.').unwrap_or((&position.0, "0"));
        Some(Place { id: id.parse().ok()?, at_ms: at_ms.parse().ok()? })
    }

    pub fn position(self) -> Position {
        Position(format!("{}.{}", self.id, self.at_ms))
    }

    /// Not before 1970, so that spans of time can be counted.
    fn committed_us(self) -> i64 {
        self.at_ms.saturating_mul(1000).max(0)
    }

    /// The last row of the changelog.
    pub fn end(db: &Connection) -> rusqlite::Result<Place> {
        let last = format!("SELECT id, at_ms FROM {CHANGELOG_TABLE} ORDER BY id DESC LIMIT 1");
        match db.query_row(&last, [], |row| Ok(Place { id: row.get(0)?, at_ms: row.get(1)? })) {
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(Place { id: given(db)?, at_ms: 0 }),
            other => other,
        }
    }

    /// Why reading can't go on from here, in plain words; None: it can.
    pub fn lost(self, db: &Connection) -> rusqlite::Result<Option<&'static str>> {
        if !describe::has_table(db, CHANGELOG_TABLE)? || !describe::has_table(db, MARKER_TABLE)? {
            return Ok(Some("the changelog is gone"));
        }
        let mut find = db.prepare_cached("SELECT at_ms FROM rosterd_changelog WHERE id = ?1")?;
        let found: Option<i64> = find.query([self.id])?.next()?.map(|row| row.get(0)).transpose()?;
        let given = given(db)?;
        let lowest: Option<i64> = db.prepare_cached("SELECT min(id) FROM rosterd_changelog")?.query_row([], |row| row.get(0))?;
        Ok(match found {
            Some(at_ms) if self.at_ms != 0 && at_ms != self.at_ms => {
                Some("the changelog is not the one that was read: the database was put back from a copy")
            }
            Some(_) => None,
            None if given < self.id => Some("the changelog ends before what was read of it: the database was put back from an older copy"),
            None if self.at_ms == 0 && lowest.map_or(given == self.id, |lowest| lowest <= self.id.saturating_add(1)) => None,
            None => Some("rows of the changelog that were not read yet are gone"),
        })
    }
}

/// The highest id ever given.
fn given(db: &Connection) -> rusqlite::Result<i64> {
    let mut find = db.prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'rosterd_changelog'")?;
    Ok(find.query([])?.next()?.map(|row| row.get(0)).transpose()?.unwrap_or(0))
}

/// A shared table as the reader follows it.
pub struct Followed {
    table: Arc<SiteTable>,
    rows: Rows,
    /// Its definition has changed: no content can be given until the log is opened again.
    altered: bool,
    /// A key without canonical form has been reported.
    warned: bool,
}

/// One row of the changelog.
struct Entry {
    place: Place,
    moved: bool,
    what: What,
}

enum What {
    /// Index into the followed tables.
    Row(usize, RawKey),
    Begin(MarkerId),
    End,
    Watermark(MarkerId),
    Gap(usize),
    /// A table that is not followed (any more).
    Other,
}

pub struct Window {
    pub site: SiteId,
    pub site_name: String,
    pub place: Place,
    tables: Vec<Followed>,
    by_name: HashMap<String, usize>,
    schema_version: i64,
}

/// What a look at the changelog gave.
pub enum Seen {
    Items(Vec<LogItem>),
    Nothing,
    Lost(&'static str),
}

impl Window {
    pub fn new(site: SiteId, site_name: &str, place: Place, tables: &[Arc<SiteTable>]) -> Window {
        let tables: Vec<Followed> = tables
            .iter()
            .filter_map(|table| Some(Followed { rows: Rows::new(table)?, table: table.clone(), altered: false, warned: false }))
            .collect();
        let by_name = tables.iter().enumerate().map(|(i, followed)| (followed.table.name.clone(), i)).collect();
        Window { site, site_name: site_name.into(), place, tables, by_name, schema_version: -1 }
    }

    /// The first table, if any, whose triggers are missing although it is there.
    pub fn untracked(&self, db: &Connection) -> rusqlite::Result<Option<&str>> {
        for followed in &self.tables {
            let name = &followed.table.name;
            if describe::has_table(db, name)? && self.tracking(db, followed)? == Tracking::Missing {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn tracking(&self, db: &Connection, followed: &Followed) -> rusqlite::Result<Tracking> {
        let wanted = triggers::wanted(&followed.table, &describe::indexes(db, &followed.table.name)?);
        triggers::tracking(db, &wanted, &followed.table.name)
    }

    /// Reads on. To be called within a read transaction.
    pub fn look(&mut self, db: &Connection) -> rusqlite::Result<Seen> {
        if let Some(reason) = self.place.lost(db)? {
            return Ok(Seen::Lost(reason));
        }
        let mut items = self.altered(db)?;
        let (entries, whole) = self.entries(db)?;
        if !entries.is_empty() {
            self.read(db, &entries, whole, &mut items)?;
        }
        Ok(if items.is_empty() { Seen::Nothing } else { Seen::Items(items) })
    }

    /// Tables whose definition or triggers are not what they were, told once each.
    fn altered(&mut self, db: &Connection) -> rusqlite::Result<Vec<LogItem>> {
        let version: i64 = db.query_row("PRAGMA schema_version", [], |row| row.get(0))?;
        if version == self.schema_version {
            return Ok(Vec::new());
        }
        let mut items = Vec::new();
        for i in 0..self.tables.len() {
            let followed = &self.tables[i];
            if followed.altered || (self.columns_hold(db, followed)? && self.tracking(db, followed)? == Tracking::Complete) {
                continue;
            }
            items.push(LogItem::Altered { site: self.site, table: followed.table.table.id, position: self.place.position() });
            self.tables[i].altered = true;
        }
        self.schema_version = version;
        Ok(items)
    }

    fn columns_hold(&self, db: &Connection, followed: &Followed) -> rusqlite::Result<bool> {
        let now = describe::column_types(db, &followed.table.name)?;
        Ok(followed.table.columns.iter().flatten().all(|column| now.get(&column.name) == Some(&column.ty)))
    }

    /// Changelog rows above the position, and whether these are all. Never ends within a landing.
    fn entries(&self, db: &Connection) -> rusqlite::Result<(Vec<Entry>, bool)> {
        let mut statement = db.prepare_cached(&entries_sql())?;
        let mut found = statement.query([self.place.id])?;
        let (mut entries, mut landing, mut bytes) = (Vec::new(), false, 0);
        while let Some(row) = found.next()? {
            let full = entries.len() >= ENTRIES_MAX || bytes >= BYTES_MAX;
            if full && (!landing || entries.len() >= LANDING_ENTRIES_MAX) {
                return Ok((entries, false));
            }
            let entry = self.entry(row)?;
            if let What::Row(_, key) = &entry.what {
                bytes += key.iter().map(Raw::bytes).sum::<usize>();
            }
            landing = match entry.what {
                What::Begin(_) => true,
                What::End => false,
                _ => landing,
            };
            entries.push(entry);
        }
        Ok((entries, true))
    }

    fn entry(&self, row: &Row<'_>) -> rusqlite::Result<Entry> {
        let place = Place { id: row.get(0)?, at_ms: row.get(1)? };
        let table = row.get_ref(3)?.as_str().unwrap_or_default();
        let what = if !table.is_empty() {
            match self.by_name.get(table) {
                Some(&i) => What::Row(i, key_of(row, self.tables[i].rows.key_width())?),
                None => What::Other,
            }
        } else {
            let marker = || Ok::<_, rusqlite::Error>(MarkerId(row.get(5)?));
            match row.get_ref(4)?.as_str().unwrap_or_default() {
                mark::BEGIN => What::Begin(marker()?),
                mark::END => What::End,
                mark::WATERMARK => What::Watermark(marker()?),
                mark::GAP => self.by_name.get(row.get_ref(5)?.as_str().unwrap_or_default()).map_or(What::Other, |&i| What::Gap(i)),
                _ => What::Other,
            }
        };
        Ok(Entry { place, moved: row.get(2)?, what })
    }

    fn read(&mut self, db: &Connection, entries: &[Entry], whole: bool, items: &mut Vec<LogItem>) -> rusqlite::Result<()> {
        let last = Last::of(entries, if whole { HashSet::new() } else { self.named_later(db, entries)? });
        let (mut bytes, mut i, mut run, mut skipped) = (0, 0, Run::default(), HashSet::new());
        while i < entries.len() && bytes < BYTES_MAX {
            let entry = &entries[i];
            if !matches!(&entry.what, What::Row(..)) || run.is_over(entry.place) {
                run.end(self, items);
            }
            match &entry.what {
                What::Row(table, key) => {
                    if self.tables[*table].altered {
                        skipped.insert(*table);
                    } else if last.is(i, *table, key, false) {
                        run.changes.extend(self.change(db, entries, i, &mut bytes)?);
                    }
                    run.reach(entry.place);
                }
                What::Begin(marker) => {
                    let end = entries[i..].iter().position(|entry| matches!(entry.what, What::End)).map_or(entries.len() - 1, |n| i + n);
                    for n in i + 1..end {
                        let What::Row(table, key) = &entries[n].what else { continue };
                        if self.tables[*table].altered {
                            skipped.insert(*table);
                        } else if last.is(n, *table, key, true) {
                            run.changes.extend(self.change(db, entries, n, &mut bytes)?);
                        }
                    }
                    let place = entries[end].place;
                    items.push(self.landing(db, *marker, place, std::mem::take(&mut run.changes))?);
                    i = end;
                }
                What::Watermark(marker) => {
                    items.push(LogItem::Watermark { site: self.site, marker: *marker, position: entry.place.position() });
                }
                What::Gap(table) => {
                    items.push(self.alarm(*table, entry.place, "its triggers were made anew; changes before that may not have been logged"))
                }
                What::End | What::Other => {}
            }
            self.place = entries[i].place;
            i += 1;
        }
        run.end(self, items);
        for table in skipped {
            items.push(self.alarm(table, self.place, "its definition has changed; changes of its rows were passed over"));
        }
        if items.last().and_then(LogItem::position) != Some(&self.place.position()) {
            items.push(LogItem::Progress { site: self.site, position: self.place.position() });
        }
        Ok(())
    }

    fn alarm(&self, table: usize, place: Place, message: &str) -> LogItem {
        let followed = &self.tables[table].table;
        let message = format!("table {}: {message}", followed.name);
        LogItem::Alarm { site: self.site, table: followed.table.id, position: place.position(), message }
    }

    /// A landing; without its marker nobody can say what it wrote, and it counts as an application's.
    fn landing(&self, db: &Connection, marker: MarkerId, place: Place, changes: Vec<Change>) -> rusqlite::Result<LogItem> {
        let mut find = db.prepare_cached(&format!("SELECT payload FROM {MARKER_TABLE} WHERE id = ?1 AND kind = 'b'"))?;
        let payload: Option<Vec<u8>> = find.query([marker.0])?.next()?.map(|row| row.get(0)).transpose()?;
        let origin = payload.map_or(Origin::Local, |payload| Origin::Landing { marker, payload });
        Ok(LogItem::Transaction(Transaction {
            site: self.site,
            position: Some(place.position()),
            committed_us: place.committed_us(),
            origin,
            changes,
        }))
    }

    /// The row that an entry names, as it is now. None: its key has no canonical form.
    fn change(&mut self, db: &Connection, entries: &[Entry], i: usize, bytes: &mut usize) -> rusqlite::Result<Option<Change>> {
        let What::Row(table, raw) = &entries[i].what else { return Ok(None) };
        let followed = &mut self.tables[*table];
        let key = match followed.rows.key(raw) {
            Ok(key) => key,
            Err(reason) => {
                if !std::mem::replace(&mut followed.warned, true) {
                    tracing::warn!(site = %self.site_name, table = %followed.table.name, "a row is left out because of {reason}");
                }
                return Ok(None);
            }
        };
        let after = followed.rows.fetch(db, raw)?;
        *bytes += after.as_ref().map_or(0, weight);
        let moved_from = if entries[i].moved && after.is_some() { moved_from(db, followed, entries, i)? } else { None };
        Ok(Some(Change { table: followed.table.table.id, key, before: None, after, moved_from }))
    }

    /// Which rows of this window's landings are named again after it: they show something later.
    fn named_later(&self, db: &Connection, entries: &[Entry]) -> rusqlite::Result<HashSet<(usize, RawKey)>> {
        let (mut wanted, mut within) = (HashSet::new(), false);
        for entry in entries {
            match &entry.what {
                What::Begin(_) => within = true,
                What::End => within = false,
                What::Row(table, key) if within => {
                    wanted.insert((*table, key.clone()));
                }
                _ => {}
            }
        }
        let mut later = HashSet::new();
        let Some(end) = entries.last().filter(|_| !wanted.is_empty()) else { return Ok(later) };
        let mut statement = db.prepare_cached(&entries_sql())?;
        let mut found = statement.query([end.place.id])?;
        while let Some(row) = found.next()? {
            if let What::Row(table, key) = self.entry(row)?.what {
                later.extend(wanted.take(&(table, key)));
            }
        }
        Ok(later)
    }
}

/// The key that a row had before, when no row has it any more.
fn moved_from(db: &Connection, followed: &Followed, entries: &[Entry], i: usize) -> rusqlite::Result<Option<crate::model::Key>> {
    let Some(before) = i.checked_sub(1).map(|n| &entries[n]).filter(|before| before.place.id.checked_add(1) == Some(entries[i].place.id))
    else {
        return Ok(None);
    };
    let (What::Row(old, raw), What::Row(new, _)) = (&before.what, &entries[i].what) else { return Ok(None) };
    if old != new || followed.rows.exists(db, raw)? {
        return Ok(None);
    }
    Ok(followed.rows.key(raw).ok())
}

/// The last entry that names a row: only there is its content given.
struct Last<'a> {
    local: HashMap<(usize, &'a [Raw]), usize>,
    any: HashMap<(usize, &'a [Raw]), usize>,
    later: HashSet<(usize, RawKey)>,
}

impl<'a> Last<'a> {
    fn of(entries: &'a [Entry], later: HashSet<(usize, RawKey)>) -> Last<'a> {
        let (mut local, mut any, mut within) = (HashMap::new(), HashMap::new(), false);
        for (i, entry) in entries.iter().enumerate() {
            match &entry.what {
                What::Begin(_) => within = true,
                What::End => within = false,
                What::Row(table, key) => {
                    any.insert((*table, key.as_slice()), i);
                    if !within {
                        local.insert((*table, key.as_slice()), i);
                    }
                }
                _ => {}
            }
        }
        Last { local, any, later }
    }

    /// A landing's row must not show what came after it; an application's change is never left to a landing to show.
    fn is(&self, i: usize, table: usize, key: &[Raw], landing: bool) -> bool {
        let last = if landing { &self.any } else { &self.local };
        last.get(&(table, key)) == Some(&i) && !(landing && !self.later.is_empty() && self.later.contains(&(table, key.to_vec())))
    }
}

/// Applications' changes that go into one transaction.
#[derive(Default)]
struct Run {
    changes: Vec<Change>,
    started_ms: Option<i64>,
    place: Place,
}

impl Run {
    fn reach(&mut self, place: Place) {
        self.started_ms.get_or_insert(place.at_ms);
        self.place = place;
    }

    fn is_over(&self, next: Place) -> bool {
        self.started_ms.is_some_and(|started| next.at_ms.abs_diff(started) > RUN_MS_MAX)
    }

    fn end(&mut self, window: &Window, items: &mut Vec<LogItem>) {
        let run = std::mem::take(self);
        if !run.changes.is_empty() {
            items.push(LogItem::Transaction(Transaction {
                site: window.site,
                position: Some(run.place.position()),
                committed_us: run.place.committed_us(),
                origin: Origin::Local,
                changes: run.changes,
            }));
        }
    }
}

fn entries_sql() -> String {
    let keys: Vec<String> = (0..KEY_COLUMNS_MAX).map(|i| format!("k{i}")).collect();
    format!("SELECT id, at_ms, moved, tbl, {} FROM {CHANGELOG_TABLE} WHERE id > ?1 ORDER BY id", keys.join(", "))
}

/// The key in a row of [`entries_sql`].
fn key_of(row: &Row<'_>, width: usize) -> rusqlite::Result<RawKey> {
    (4..4 + width).map(|i| row.get_ref(i).map(Raw::of_key)).collect()
}
