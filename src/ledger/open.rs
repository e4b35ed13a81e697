//! Opening the file: format, sites and tables, and what is told from the rows again.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::gathered::Gathered;
use super::records::Scratch;
use super::{Error, Ledger, Result, Shared, TableProgress, upgrade};
use crate::model::{MarkerId, Position, SiteId, TableId};

/// The format that this version writes.
pub const FORMAT: i64 = 4;

/// Markers' numbers are the time of giving them out, in microseconds; so many are set aside beyond it. A ledger that was put back from a
/// copy is told by sites with markers of numbers that it had not set aside.
const MARKERS_AHEAD: i64 = 60_000_000;
/// Numbers are given out one by one, or for markers are times in microseconds: above this one is no number of ours.
const NUMBERS_MAX: i64 = i64::MAX / 2;

/// How long another process that has the file is waited for; at the end, one that reads it.
const BUSY_WAIT: Duration = Duration::from_secs(5);
const READERS_WAIT: Duration = Duration::from_millis(200);

/// One site as the ledger knows it.
#[derive(Clone, Debug)]
pub struct SiteRecord {
    pub id: SiteId,
    pub name: String,
    pub hub: bool,
    pub identity: Option<String>,
    pub position: Option<Position>,
    /// Counter of its last dot.
    pub counter: u64,
    /// Commit time of its last captured transaction, microseconds since 1970.
    pub captured_us: Option<i64>,
    /// The last watermark heard from it. Its row stays in the site's marker table: a site without it is older than the ledger.
    pub marked: Option<MarkerId>,
    /// When its log was last read, by the daemon's clock.
    pub seen_us: Option<i64>,
}

impl Ledger {
    /// Opens or makes the ledger file, readable by its owner only.
    pub fn open(path: &Path) -> Result<Ledger> {
        let failed = |cause: String, advice| Error::Open { path: path.display().to_string(), cause, advice };
        let owner = |cause: &dyn std::fmt::Display| failed(cause.to_string(), "check state_dir and its owner");
        // One that is there is opened by SQLite alone: to close a file lets go of all locks that the process has on it.
        match std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(owner(&error)),
            _ => {}
        }
        let mode = std::fs::metadata(path).map_err(|e| owner(&e))?.permissions().mode();
        if mode & 0o077 != 0 {
            let private = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
            private.map_err(|e| failed(e.to_string(), "it must be readable by the daemon's user only: chmod 600"))?;
        }
        let db = Connection::open(path).map_err(|e| owner(&e))?;
        if db.is_readonly("main").map_err(|e| owner(&e))? {
            return Err(owner(&"it can't be written"));
        }
        Ledger::prepare(db, Some(path))
    }

    /// Opens an existing ledger for reading only, as `status` of a stopped daemon does.
    pub fn open_read_only(path: &Path) -> Result<Ledger> {
        let failed = |cause: String| Error::Open { path: path.display().to_string(), cause, advice: "has `rosterd run` been started yet?" };
        if !Ledger::is_made(path) {
            return Err(failed("there is none".into()));
        }
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|e| failed(e.to_string()))?;
        Ledger::set_up(&db)?;
        let db = if Ledger::check_format(&db)? < FORMAT { upgrade::upgraded_copy(&db, &path.display().to_string())? } else { db };
        Ledger::read(db, Some(path))
    }

    /// Whether there is a ledger. A file without tables is none yet: who made it was interrupted before its first commit.
    pub fn is_made(path: &Path) -> bool {
        let empty = || -> rusqlite::Result<bool> {
            let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            db.busy_timeout(BUSY_WAIT)?;
            Ok(db.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get::<_, i64>(0))? == 0)
        };
        // What can't be read is told of when it is opened.
        path.exists() && !empty().unwrap_or(false)
    }

    /// A ledger in memory, for tests.
    pub fn in_memory() -> Result<Ledger> {
        Ledger::prepare(Connection::open_in_memory()?, None)
    }

    /// The same store after a crash: all that was in memory only is gone.
    pub fn reopen(self) -> Result<Ledger> {
        let Ledger { db, path, .. } = self;
        if !db.is_autocommit() {
            db.execute_batch("ROLLBACK")?;
        }
        Ledger::prepare(db, path.as_deref())
    }

    pub(super) fn prepare(db: Connection, path: Option<&Path>) -> Result<Ledger> {
        Ledger::set_up(&db)?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 4000",
        )?;
        let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
        if tables == 0 {
            let id = i64::from_le_bytes(random_bytes()) & i64::MAX;
            db.execute_batch(&format!("BEGIN IMMEDIATE; {}", include_str!("../../schemas/ledger.sql")))?;
            let mut insert = db.prepare("INSERT INTO meta VALUES (?1, ?2)")?;
            for (name, value) in [("format", FORMAT), ("ledger", id), ("order", 0), ("marker", 0)] {
                insert.execute(params![name, value])?;
            }
            drop(insert);
            crate::crash_point!("ledger.making", "");
            db.execute_batch("COMMIT")?;
            crate::crash_point!("ledger.made", "");
        }
        if Ledger::check_format(&db)? < FORMAT {
            upgrade::upgrade(&db, &path.map_or_else(String::new, |path| path.display().to_string()))?;
        }
        let mut ledger = Ledger::read(db, path)?;
        ledger.last_marker = ledger.marker_clock();
        ledger.first_marker = ledger.last_marker;
        ledger.set_markers_aside()?;
        Ok(ledger)
    }

    /// What a connection needs, whether it writes or only reads.
    fn set_up(db: &Connection) -> Result<()> {
        db.busy_timeout(BUSY_WAIT)?;
        db.set_prepared_statement_cache_capacity(64);
        // Or each statement is prepared anew for other values than it was given first, which takes longer than what it does.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        db.execute_batch("PRAGMA cache_size = -16384")?;
        Ok(())
    }

    /// The format of a ledger that this version can work with.
    fn check_format(db: &Connection) -> Result<i64> {
        let format = meta(db, "format").map_err(|error| match Error::from(error) {
            Error::Sqlite(e) => Error::Damaged(format!("it holds another database ({e})")),
            other => other,
        })?;
        match format {
            Some(found) if found > FORMAT => Err(Error::Newer { found, known: FORMAT }),
            Some(found @ 1..=FORMAT) => Ok(found),
            _ => Err(Error::Damaged("it has no format number".into())),
        }
    }

    fn read(db: Connection, path: Option<&Path>) -> Result<Ledger> {
        let number = |name| -> Result<i64> { meta(&db, name)?.ok_or_else(|| Error::Damaged(format!("{name} is missing"))) };
        let count = |name| -> Result<i64> {
            let n = number(name)?;
            if (0..=NUMBERS_MAX).contains(&n) { Ok(n) } else { Err(Error::Damaged(format!("{name} is out of range"))) }
        };
        let (id, order, marker) = (number("ledger")? as u64, count("order")? as u64, count("marker")?);
        let mut ledger = Ledger {
            path: path.map(Path::to_path_buf),
            id,
            shared: Vec::new(),
            sites: Vec::new(),
            progress: HashMap::new(),
            queues: HashMap::new(),
            under_way: HashMap::new(),
            transactions: HashMap::new(),
            quarantined: BTreeSet::new(),
            apart_in: HashSet::new(),
            order,
            heard: HashMap::new(),
            unheard_before: HashSet::new(),
            waiting_tombstones: HashSet::new(),
            new_claims: Vec::new(),
            gathered: Gathered::default(),
            advanced: BTreeSet::new(),
            contested: HashSet::new(),
            vouched: Vec::new(),
            last: RefCell::default(),
            scratch: Scratch::default(),
            durable: true,
            ends: false,
            last_marker: marker,
            markers_aside: marker,
            markers_aside_before: marker,
            first_marker: marker,
            db,
        };
        ledger.load_sites()?;
        ledger.unheard_before = ledger.sites.iter().map(|site| site.id).collect();
        ledger.progress = TableProgress::load_all(&ledger.db)?;
        ledger.load_quarantined()?;
        ledger.load_heard()?;
        ledger.load_contested()?;
        Ok(ledger)
    }

    fn load_sites(&mut self) -> Result<()> {
        let mut query =
            self.db.prepare("SELECT id, name, role = 'hub', identity, position, counter, captured_us, seen_us, marked FROM site WHERE role <> 'removed' ORDER BY id")?;
        let sites = query.query_map([], |r| {
            Ok(SiteRecord {
                id: SiteId(r.get(0)?),
                name: r.get(1)?,
                hub: r.get(2)?,
                identity: r.get(3)?,
                position: r.get::<_, Option<String>>(4)?.map(Position),
                counter: r.get::<_, i64>(5).and_then(|n| u64::try_from(n).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(5, n)))?,
                captured_us: r.get(6)?,
                seen_us: r.get(7)?,
                marked: r.get::<_, Option<i64>>(8)?.map(MarkerId),
            })
        })?;
        self.sites = sites.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Numbers for the configured sites, the hub first. A site that the ledger knows and the configuration does not is an error:
    /// its held versions would be waited for, for ever.
    pub fn register_sites(&mut self, names: &[&str]) -> Result<Vec<SiteId>> {
        if let Some(gone) = self.sites.iter().find(|site| !names.contains(&site.name.as_str())) {
            return Err(Error::Configuration(format!(
                "it knows the site {:?}, which is not configured; `rosterd site remove {}` forgets it, or name another state_dir",
                gone.name, gone.name
            )));
        }
        if let Some(hub) = self.sites.iter().find(|site| site.hub && names.first() != Some(&site.name.as_str())) {
            return Err(Error::Configuration(format!("its hub is {:?}; make that the hub again, or name another state_dir", hub.name)));
        }
        for (at, name) in names.iter().enumerate() {
            let role = if at == 0 { "hub" } else { "client" };
            self.db.execute("INSERT OR IGNORE INTO site (name, role) VALUES (?1, ?2)", params![name, role])?;
            crate::crash_point!("ledger.site-registered", name);
        }
        self.load_sites()?;
        Ok(names.iter().filter_map(|name| self.site_named(name).map(|site| site.id)).collect())
    }

    /// The number and the columns, in their numbers' order, of a shared table. Columns new to the share are added at the end;
    /// those no longer shared keep their number.
    pub fn register_table(&mut self, name: &str, key: &[String], columns: &[String]) -> Result<(TableId, Vec<String>)> {
        let found: Option<(u16, String, String)> = self
            .db
            .query_row("SELECT id, key, columns FROM shared_table WHERE name = ?1", [name], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .optional()?;
        let damaged = |e: serde_json::Error| Error::Damaged(e.to_string());
        let text = |list: &[String]| serde_json::to_string(list).map_err(damaged);
        let Some((id, old_key, old_columns)) = found else {
            self.db
                .execute("INSERT INTO shared_table (name, key, columns) VALUES (?1, ?2, ?3)", params![name, text(key)?, text(columns)?])?;
            crate::crash_point!("ledger.table-registered", "");
            return Ok((TableId(self.db.last_insert_rowid() as u16), columns.to_vec()));
        };
        let old_key: Vec<String> = serde_json::from_str(&old_key).map_err(damaged)?;
        if old_key != key {
            return Err(Error::Configuration(format!(
                "the key of table {name} was ({}) and is ({}); name another state_dir to copy anew",
                old_key.join(", "),
                key.join(", ")
            )));
        }
        let mut all: Vec<String> = serde_json::from_str(&old_columns).map_err(damaged)?;
        let known = all.len();
        all.extend(columns.iter().filter(|column| !all.contains(column)).cloned().collect::<Vec<_>>());
        if all.len() > known {
            self.db.execute("UPDATE shared_table SET columns = ?2 WHERE id = ?1", params![id, text(&all)?])?;
            crate::crash_point!("ledger.column-registered", "");
        }
        Ok((TableId(id), all))
    }

    /// Takes the tables to work with, and tells the queues from the rows.
    pub fn bind(&mut self, shared: Vec<Shared>) -> Result<()> {
        self.shared = shared;
        for site in &self.sites {
            self.queues.entry(site.id).or_default();
            self.under_way.entry(site.id).or_default();
        }
        self.load_claimed()?;
        self.refresh_known();
        self.rebuild_queues()
    }

    /// Remembers which database a site is; returns what it was before.
    pub fn identify(&mut self, site: SiteId, identity: &str) -> Result<Option<String>> {
        self.db.execute("UPDATE site SET identity = ?2 WHERE id = ?1", params![site.0, identity])?;
        let record = self.sites.iter_mut().find(|record| record.id == site);
        Ok(record.and_then(|record| record.identity.replace(identity.into())))
    }

    /// Everything of `site` up to `position` is in the ledger. Written with the next [`Ledger::save_counters`] of the same transaction.
    pub fn advance(&mut self, site: SiteId, position: Position, captured_us: Option<i64>, now_us: i64) {
        let Some(record) = self.sites.iter_mut().find(|record| record.id == site) else { return };
        record.position = Some(position);
        record.captured_us = captured_us.or(record.captured_us);
        record.seen_us = Some(now_us);
        self.advanced.insert(site);
    }

    /// The number that the next change at `site` would get.
    pub fn next_counter(&self, site: SiteId) -> u64 {
        self.site(site).map_or(1, |record| record.counter + 1)
    }

    /// Uses the number. Written with the next [`Ledger::save_counters`] of the same transaction.
    pub fn use_counter(&mut self, site: SiteId) {
        if let Some(record) = self.sites.iter_mut().find(|record| record.id == site) {
            record.counter += 1;
        }
    }

    pub fn save_counters(&mut self) -> Result<()> {
        for site in self.sites.iter().filter(|site| self.advanced.contains(&site.id)) {
            let mut update =
                self.db.prepare_cached("UPDATE site SET position = ?2, captured_us = ?3, seen_us = ?4, marked = ?5 WHERE id = ?1")?;
            let (position, marked) = (site.position.as_ref().map(|position| &position.0), site.marked.map(|marker| marker.0));
            update.execute(params![site.id.0, position, site.captured_us, site.seen_us, marked])?;
        }
        self.advanced.clear();
        let mut update = self.db.prepare_cached("UPDATE site SET counter = ?2 WHERE id = ?1 AND counter <> ?2")?;
        for site in &self.sites {
            update.execute(params![site.id.0, site.counter as i64])?;
        }
        let mut update = self.db.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'order' AND value <> ?1")?;
        update.execute([self.order as i64])?;
        Ok(())
    }

    /// The clock of markers' numbers: it rises, and stands where there is no file, as tests have to be repeatable.
    pub(super) fn marker_clock(&self) -> i64 {
        let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
        self.last_marker.max(if self.path.is_some() { clock() } else { 0 })
    }

    /// Sets numbers for markers aside. Called often enough, in durable transactions, [`Ledger::next_marker`] needs none itself.
    pub fn set_markers_aside(&mut self) -> Result<()> {
        self.markers_aside = self.markers_aside.max(self.marker_clock() + MARKERS_AHEAD);
        self.db.execute("UPDATE meta SET value = ?1 WHERE name = 'marker'", [self.markers_aside])?;
        crate::crash_point!("ledger.numbered", "");
        Ok(())
    }

    /// Whether a marker of this ledger's has a number that it has never given out: it was made after a copy that this ledger is.
    pub fn is_from_later(&self, marker: MarkerId) -> bool {
        marker.0 > self.markers_aside_before && !(self.first_marker..=self.last_marker).contains(&marker.0)
    }

    /// Whether commits from now on are on disk when they return, or when the log has been taken there.
    pub(super) fn set_durable(&mut self, durable: bool) -> Result<()> {
        if self.durable != durable {
            self.db.execute_batch(if durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" })?;
            self.durable = durable;
        }
        Ok(())
    }

    pub fn begin(&mut self) -> Result<()> {
        Ok(self.db.execute_batch("BEGIN IMMEDIATE")?)
    }

    pub fn commit(&mut self) -> Result<()> {
        self.save_counters()?;
        self.write_gathered_idly()?;
        crate::crash_point!("ledger.committing", "");
        self.db.execute_batch("COMMIT")?;
        self.gathered.committed();
        crate::crash_point!("ledger.committed", "");
        Ok(())
    }

    /// Undoes the transaction, in memory too.
    pub fn rollback(&mut self) -> Result<()> {
        if !self.db.is_autocommit() {
            self.db.execute_batch("ROLLBACK")?;
        }
        self.order = meta(&self.db, "order")?.unwrap_or(0) as u64;
        self.load_sites()?;
        self.progress = TableProgress::load_all(&self.db)?;
        self.load_quarantined()?;
        self.load_heard()?;
        self.load_contested()?;
        self.new_claims.clear();
        self.gathered.rolled_back();
        self.advanced.clear();
        self.last.get_mut().forget();
        self.refresh_known();
        self.rebuild_queues()
    }

    /// From now on, another thread takes the log into the file.
    pub(super) fn checkpoint_apart(&mut self) {
        if let Some(path) = &self.path {
            super::checkpoint::apart(&mut self.db, path);
        }
    }

    /// At the end: takes what the log holds into the file itself, unless somebody reads there.
    pub(super) fn empty_log(&mut self) {
        let emptied =
            self.db.busy_timeout(READERS_WAIT).and_then(|()| self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = emptied {
            tracing::debug!(%error, "the ledger's log stays as it is");
        }
    }

    /// The file that holds commits until they are taken into the ledger's own.
    pub(super) fn log_path(&self) -> Option<PathBuf> {
        let mut path = self.path.clone()?.into_os_string();
        path.push("-wal");
        Some(path.into())
    }

    /// Size of the file and its log in bytes.
    pub fn size_bytes(&self) -> u64 {
        let files = self.path.iter().cloned().chain(self.log_path());
        files.filter_map(|path| std::fs::metadata(path).ok()).map(|found| found.len()).sum()
    }
}

pub(super) fn meta(db: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    db.query_row("SELECT value FROM meta WHERE name = ?1", [name], |r| r.get(0)).optional()
}

/// Eight bytes that differ in every process, from the hasher that the standard library seeds from the system.
fn random_bytes() -> [u8; 8] {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish().to_le_bytes()
}
