//! How far each site's table is known: scans, where they are, and why a table has stopped.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::records::Vouched;
use super::{Ledger, Result};
use crate::model::{Key, SiteId, TableId, Writer};
use crate::mutation;
use crate::resolve::Known;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The first copy of this table of this site.
    First,
    /// After a stretch of log that was lost.
    Gap,
    /// After the site came back from a backup: the ledger wins.
    Restored,
    /// As after a gap; an operator has accepted that the rows which are missing were deleted.
    Accepted,
    /// As after a gap; an operator wants the rows back that are missing.
    PutBack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not begun.
    Waiting,
    /// Reading the site's table in key order.
    Scanning,
    /// The table has been read; the ledger's rows that are missing there are counted, for the fuse.
    Counting,
    /// The table has been read; the ledger's other rows are gone through.
    Sweeping,
    /// Known; tombstones that had to wait for the scan are dropped.
    Tidying,
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableProgress {
    pub mode: Mode,
    pub phase: Phase,
    pub generation: u32,
    /// The generation by which the site had come back from a backup; 0: it had not, since it was last known.
    pub restored: u32,
    /// Key of the last row that a chunk brought.
    pub cursor: Option<Key>,
    /// Ledger row that the count or the sweep has come by last.
    pub swept: i64,
    /// The first sweep, of scan `vouched_by`, has come by the rows up to this one: one without an entry is at the site as merged. 0: none.
    pub vouched_to: i64,
    pub vouched_by: u32,
    /// Rows counted as missing.
    pub missing: u64,
    pub rows_read: u64,
    pub rows_estimated: u64,
    pub started_us: Option<i64>,
    pub finished_us: Option<i64>,
    /// Why nothing is captured from or applied to this table of this site.
    pub stopped: Option<String>,
}

impl TableProgress {
    pub fn first() -> TableProgress {
        TableProgress::waiting(Mode::First, 1)
    }

    fn waiting(mode: Mode, generation: u32) -> TableProgress {
        TableProgress {
            mode,
            phase: Phase::Waiting,
            generation,
            restored: 0,
            cursor: None,
            swept: 0,
            vouched_to: 0,
            vouched_by: 0,
            missing: 0,
            rows_read: 0,
            rows_estimated: 0,
            started_us: None,
            finished_us: None,
            stopped: None,
        }
    }

    /// The next scan. What one that is still under way had to find out remains to be found out.
    fn again(&self, mode: Mode) -> TableProgress {
        let unfinished = self.phase < Phase::Tidying;
        let generation = self.generation.saturating_add(1);
        let restored = match mode {
            Mode::Restored => generation,
            _ if unfinished => self.restored,
            _ => 0,
        };
        let mode = match (unfinished, self.mode) {
            (true, Mode::First) => Mode::First,
            (true, Mode::Restored) => Mode::Restored,
            _ => mode,
        };
        let vouched = if unfinished { (self.vouched_to, self.vouched_by) } else { (0, 0) };
        TableProgress { restored, vouched_to: vouched.0, vouched_by: vouched.1, ..TableProgress::waiting(mode, generation) }
    }

    /// Rows that the site lacks go back there.
    pub fn puts_back(&self) -> bool {
        self.mode == Mode::PutBack && self.phase < Phase::Tidying && !mutation::without("put_back")
    }

    pub(super) fn known(&self) -> Known {
        let (generation, restored) = (self.generation, if mutation::without("backup_wins") { 0 } else { self.restored });
        match self.phase {
            Phase::Done | Phase::Tidying => Known::Merged,
            _ if self.mode != Mode::First => Known::Unsure { generation, restored },
            Phase::Counting | Phase::Sweeping => Known::Absent { generation, restored },
            Phase::Waiting | Phase::Scanning => Known::Unknown { generation, restored },
        }
    }

    pub(super) fn load_all(db: &Connection) -> Result<HashMap<(SiteId, TableId), TableProgress>> {
        let mut query = db.prepare(
            "SELECT site, tbl, mode, phase, generation, restored, cursor, swept, missing, rows_read, rows_estimated, started_us, finished_us, stopped, vouched_to, vouched_by FROM site_table",
        )?;
        let mut rows = query.query([])?;
        let mut all = HashMap::new();
        while let Some(r) = rows.next()? {
            let mode = match r.get_ref(2)?.as_str().unwrap_or_default() {
                "gap" => Mode::Gap,
                "restored" => Mode::Restored,
                "accepted" => Mode::Accepted,
                "put_back" => Mode::PutBack,
                _ => Mode::First,
            };
            let phase = match r.get_ref(3)?.as_str().unwrap_or_default() {
                "scanning" => Phase::Scanning,
                "counting" => Phase::Counting,
                "sweeping" => Phase::Sweeping,
                "tidying" => Phase::Tidying,
                "done" => Phase::Done,
                _ => Phase::Waiting,
            };
            let cursor = r.get::<_, Option<Vec<u8>>>(6)?.map(|bytes| Key::decode(&bytes)).transpose()?;
            let progress = TableProgress {
                mode,
                phase,
                generation: r.get(4)?,
                cursor,
                restored: r.get(5)?,
                swept: r.get(7)?,
                vouched_to: r.get(14)?,
                vouched_by: r.get(15)?,
                missing: r.get::<_, i64>(8)? as u64,
                rows_read: r.get::<_, i64>(9)? as u64,
                rows_estimated: r.get::<_, i64>(10)? as u64,
                started_us: r.get(11)?,
                finished_us: r.get(12)?,
                stopped: r.get(13)?,
            };
            all.insert((SiteId(r.get(0)?), TableId(r.get(1)?)), progress);
        }
        Ok(all)
    }
}

impl Ledger {
    /// How far `table` is known at `site`. A pair never heard of waits for its first copy.
    pub fn progress(&self, site: SiteId, table: TableId) -> TableProgress {
        self.progress.get(&(site, table)).cloned().unwrap_or_else(TableProgress::first)
    }

    pub fn set_progress(&mut self, site: SiteId, table: TableId, progress: TableProgress) -> Result<()> {
        let mode = match progress.mode {
            Mode::First => "first",
            Mode::Gap => "gap",
            Mode::Restored => "restored",
            Mode::Accepted => "accepted",
            Mode::PutBack => "put_back",
        };
        let phase = match progress.phase {
            Phase::Waiting => "waiting",
            Phase::Scanning => "scanning",
            Phase::Counting => "counting",
            Phase::Sweeping => "sweeping",
            Phase::Tidying => "tidying",
            Phase::Done => "done",
        };
        let cursor = progress.cursor.as_ref().map(|key| {
            let mut w = Writer::new();
            w.key(key);
            w.into_bytes()
        });
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO site_table VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?
            .execute(params![
                site.0,
                table.0,
                mode,
                phase,
                progress.generation,
                progress.restored,
                cursor,
                progress.swept,
                progress.missing as i64,
                progress.rows_read as i64,
                progress.rows_estimated as i64,
                progress.started_us,
                progress.finished_us,
                progress.stopped,
                progress.vouched_to,
                progress.vouched_by
            ])?;
        self.progress.insert((site, table), progress);
        self.refresh_known();
        Ok(())
    }

    /// Every table of `site` is compared with the ledger again: its log was lost (`Gap`), or it is older than
    /// the ledger (`Restored`). Tables that have stopped stay so.
    pub fn rescan(&mut self, site: SiteId, mode: Mode) -> Result<()> {
        for table in self.tables_of(site) {
            self.rescan_table(site, table, mode)?;
        }
        Ok(())
    }

    /// One table of `site` is compared with the ledger again. A first copy under way begins anew as one.
    pub fn rescan_table(&mut self, site: SiteId, table: TableId, mode: Mode) -> Result<()> {
        let old = self.progress(site, table);
        self.set_progress(site, table, TableProgress { stopped: old.stopped.clone(), ..old.again(mode) })
    }

    /// Which columns of a table the site has: told when its description has been read.
    pub fn set_columns(&mut self, site: SiteId, table: TableId, has: Vec<bool>) {
        let shared = self.shared.iter_mut().find(|shared| shared.table.id == table);
        if let Some(view) = shared.and_then(|shared| shared.roster.sites.iter_mut().find(|view| view.id == site)) {
            view.has = has;
        }
    }

    /// A table that had stopped at a site goes on: it is compared with the ledger, as its changes were not captured meanwhile.
    pub fn resume(&mut self, site: SiteId, table: TableId, mode: Mode) -> Result<()> {
        let old = self.progress(site, table);
        self.set_progress(site, table, old.again(mode))?;
        self.rebuild_queues()
    }

    pub fn tables_of(&self, site: SiteId) -> Vec<TableId> {
        let has = |shared: &&super::Shared| shared.roster.sites.iter().any(|view| view.id == site);
        self.shared.iter().filter(has).map(|shared| shared.table.id).collect()
    }

    pub(super) fn refresh_known(&mut self) {
        for shared in &mut self.shared {
            for view in &mut shared.roster.sites {
                let progress = self.progress.get(&(view.id, shared.table.id));
                view.known = progress.map_or(Known::Unknown { generation: 1, restored: 0 }, TableProgress::known);
            }
        }
        let vouched = self.progress.iter().filter(|(_, progress)| progress.vouched_to > 0);
        self.vouched = vouched
            .map(|((site, table), progress)| Vouched {
                site: *site,
                table: *table,
                generation: progress.vouched_by,
                to: progress.vouched_to,
            })
            .collect();
    }
}
