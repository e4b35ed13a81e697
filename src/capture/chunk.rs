//! Reconcile, one chunk at a time: a stretch of a site's table read between two watermarks in its log.
//!
//! Watermarks after Andreakis and Papapanagiotou, "DBLog: A Watermark Based Change-Data-Capture Framework" (2020). There, rows
//! that the log touches between the watermarks are dropped from the chunk; here their image in the log replaces the one read,
//! which gives the same: the content of every row as of the high watermark, without locks.

use std::collections::HashMap;

use super::intake::{Report, record, stop_site};
use super::net::overlaid;
use super::watch::Watch;
use super::{clash, fuse};
use crate::ledger::{Freshness, Ledger, Mode, Phase, Result, RowId};
use crate::model::{Cell, Dot, Image, Key, MarkerId, SiteId, TableId};
use crate::mutation;
use crate::resolve::{self, Known, Observed, Row};

/// A chunk between its watermarks.
pub struct Chunk {
    pub table: TableId,
    pub low: MarkerId,
    pub high: MarkerId,
    /// The site's table is read from here on (exclusive).
    pub after: Option<Key>,
    /// Rows to be mended: these and no others, which tells nothing about how far the table is known.
    only: Option<Vec<Key>>,
    collecting: bool,
    read: Option<Read>,
    touched: HashMap<Key, Option<Image>>,
}

struct Read {
    rows: Vec<(Key, Image)>,
    last: bool,
}

impl Chunk {
    pub(super) fn is_collecting(&self) -> bool {
        self.collecting
    }

    /// The log shows the row between the watermarks.
    pub(super) fn touch(&mut self, key: &Key, after: Option<&Image>) {
        if mutation::without("touched") {
            return;
        }
        let image = match (self.touched.remove(key).flatten(), after) {
            (Some(earlier), Some(later)) => Some(overlaid(earlier, later.clone())),
            (None, later) => later.cloned(),
            (Some(_), None) => None,
        };
        self.touched.insert(key.clone(), image);
    }

    pub(super) fn begin(&mut self) {
        self.collecting = true;
        self.touched.clear();
    }

    /// The SELECT between the watermarks has given `rows`; `last`: the table has no more.
    pub fn fill(&mut self, rows: Vec<(Key, Image)>, last: bool) {
        self.read = Some(Read { rows, last });
    }
}

/// Opens the next chunk of a table that is being scanned; None when it is not. `after`: the last row of the chunk before, for when the
/// log has not come to that one's end yet. Where it has, or that chunk was given up, the ledger says how far the table was read.
pub fn open(ledger: &mut Ledger, watch: &Watch, site: SiteId, table: TableId, after: Option<Key>, now_us: i64) -> Result<Option<Chunk>> {
    let mut progress = ledger.progress(site, table);
    let after = match progress.phase {
        Phase::Waiting => {
            progress.phase = Phase::Scanning;
            progress.started_us = Some(now_us);
            None
        }
        Phase::Scanning => after.filter(|_| watch.has_chunk()).or_else(|| progress.cursor.clone()),
        Phase::Counting | Phase::Sweeping | Phase::Tidying | Phase::Done => return Ok(None),
    };
    ledger.set_progress(site, table, progress)?;
    let (low, high) = (ledger.next_marker()?, ledger.next_marker()?);
    Ok(Some(Chunk { table, low, high, after, only: None, collecting: false, read: None, touched: HashMap::new() }))
}

/// Opens a chunk of rows that are to be what the ledger has: [`Chunk::fill`] takes those of them that are there.
pub fn open_rows(ledger: &mut Ledger, table: TableId, keys: Vec<Key>) -> Result<Chunk> {
    let (low, high) = (ledger.next_marker()?, ledger.next_marker()?);
    Ok(Chunk { table, low, high, after: None, only: Some(keys), collecting: false, read: None, touched: HashMap::new() })
}

/// The rows as they are at the site now; where they are not what the ledger says, the site is owed that. What is on its way
/// anyhow, held back or about to be compared is left alone.
fn mend(
    ledger: &mut Ledger,
    site: SiteId,
    table: TableId,
    key: &Key,
    content: Option<Image>,
    now_us: i64,
    report: &mut Report,
) -> Result<()> {
    let (id, mut row) = ledger.load(table, key)?;
    let content = content.filter(|content| ledger.is_shared_from(site, table, key, content, &row));
    let Some(shared) = ledger.shared(table) else { return Ok(()) };
    let view = shared.roster.site(site);
    let unheard =
        id.is_some_and(|id| ledger.is_quarantined(site, id) || ledger.under_way(site).is_some_and(|sent| sent.sent(id).is_some()));
    let refused = content.iter().flatten().any(|cell| matches!(cell, Cell::Refused(_)));
    if view.known != Known::Merged || unheard || refused || row.held(site).is_some_and(|held| held.since > 0 || held.apart) {
        return Ok(());
    }
    let dot = Dot { site, counter: ledger.next_counter(site) };
    let observed = resolve::restored(&mut row, &shared.roster, &shared.policy, dot, content.as_deref());
    record(ledger, site, table, key, id, row, observed, Freshness::BULK, now_us, report)
}

/// The log has come to the high watermark: the chunk's content is that of the site at this position.
pub(super) fn close(ledger: &mut Ledger, site: SiteId, chunk: Chunk, at_us: i64, now_us: i64, report: &mut Report) -> Result<()> {
    let Some(Read { rows, last }) = chunk.read else { return Ok(()) };
    if let Some(keys) = chunk.only {
        let (mut rows, mut touched): (HashMap<Key, Image>, _) = (rows.into_iter().collect(), chunk.touched);
        for key in keys {
            let content = match (rows.remove(&key), touched.remove(&key)) {
                (read, None) => read,
                (_, Some(None)) => None,
                (Some(read), Some(Some(later))) => Some(overlaid(read, later)),
                (None, Some(later)) => later,
            };
            mend(ledger, site, chunk.table, &key, content, now_us, report)?;
        }
        return Ok(());
    }
    let mut progress = ledger.progress(site, chunk.table);
    let (count, cursor) = (rows.len() as u64, rows.last().map(|(key, _)| key.clone()));
    let mut touched = chunk.touched;
    for (key, image) in rows {
        let content = match touched.remove(&key) {
            None => Some(image),
            Some(None) => None,
            Some(Some(later)) => Some(overlaid(image, later)),
        };
        if let Some(content) = content {
            found(ledger, site, chunk.table, &key, content, progress.mode, at_us, now_us, report)?;
        }
    }
    for (key, image) in touched {
        let view = ledger.shared(chunk.table).map(|shared| shared.roster.site(site));
        if let Some(content) = image.filter(|image| view.is_some_and(|view| view.is_whole(image))) {
            found(ledger, site, chunk.table, &key, content, progress.mode, at_us, now_us, report)?;
        }
    }
    progress.rows_read += count;
    progress.cursor = cursor.or(progress.cursor);
    if last {
        progress.phase = if progress.mode == Mode::Gap { Phase::Counting } else { Phase::Sweeping };
        (progress.swept, progress.missing) = (0, 0);
    }
    report.scanned += count;
    ledger.set_progress(site, chunk.table, progress)?;
    crate::crash_point!("chunk.closing", ledger.site_name(site));
    Ok(())
}

/// Goes through ledger rows that the scan has not come by: they are not at the site. Gives false when there are none left.
pub fn sweep(ledger: &mut Ledger, site: SiteId, table: TableId, rows_max: usize, now_us: i64, report: &mut Report) -> Result<bool> {
    let mut progress = ledger.progress(site, table);
    match progress.phase {
        Phase::Sweeping => {}
        Phase::Counting => return count(ledger, site, table, rows_max, now_us, report),
        Phase::Tidying => return tidy(ledger, site, table, rows_max, now_us),
        Phase::Waiting | Phase::Scanning | Phase::Done => return Ok(false),
    }
    let is_first = progress.mode == Mode::First && (progress.vouched_to == 0 || progress.vouched_by == progress.generation);
    let last = if is_first {
        let swept = ledger.owe_missing(site, table, progress.generation, progress.swept, rows_max)?;
        for id in swept.others {
            if let Some((_, key, row)) = ledger.load_id(id)? {
                come_by(ledger, site, table, &key, id, row, progress.mode, now_us, report)?;
            }
        }
        swept.last
    } else {
        let slice = ledger.slice(table, progress.swept, rows_max)?;
        for (id, key, row) in slice.rows {
            come_by(ledger, site, table, &key, id, row, progress.mode, now_us, report)?;
        }
        slice.last
    };
    let more = last.is_some();
    (progress.phase, progress.swept) = last.map_or((Phase::Tidying, 0), |last| (Phase::Sweeping, last));
    match last {
        Some(last) if is_first => (progress.vouched_to, progress.vouched_by) = (last, progress.generation),
        Some(_) => {}
        None => (progress.vouched_to, progress.vouched_by) = (0, 0),
    }
    ledger.set_progress(site, table, progress)?;
    let claims = if more { ledger.take_new_claims() } else { ledger.shared_claims(table)? };
    clash::settle(ledger, &claims, now_us, report)?;
    crate::crash_point!("sweep.taken", ledger.site_name(site));
    Ok(true)
}

/// A row of the ledger that a sweep has come to.
#[allow(clippy::too_many_arguments)]
fn come_by(
    ledger: &mut Ledger,
    site: SiteId,
    table: TableId,
    key: &Key,
    id: RowId,
    row: Row,
    mode: Mode,
    now_us: i64,
    report: &mut Report,
) -> Result<()> {
    let Some(shared) = ledger.shared(table) else { return Ok(()) };
    if !row.is_seen(shared.roster.site(site)) && !mutation::without("sweep") && (row.life.exists() || row.held(site).is_some()) {
        lacking(ledger, site, table, key, id, row, mode, now_us, report)?;
    }
    Ok(())
}

/// Counts what the sweep would take as deleted, and asks the fuse.
fn count(ledger: &mut Ledger, site: SiteId, table: TableId, rows_max: usize, now_us: i64, report: &mut Report) -> Result<bool> {
    let mut progress = ledger.progress(site, table);
    let slice = ledger.slice(table, progress.swept, rows_max)?;
    for (_, _, row) in slice.rows {
        let Some(shared) = ledger.shared(table) else { break };
        let missing = !row.is_seen(shared.roster.site(site)) && row.life.exists() && row.life_at(site).exists();
        progress.missing += u64::from(missing);
    }
    if let Some(last) = slice.last {
        progress.swept = last;
    } else {
        if let Some(why) = fuse::scanned(ledger, table, &progress, progress.missing, now_us)? {
            stop_site(ledger, site, &why, report)?;
            return Ok(false);
        }
        (progress.phase, progress.swept) = (Phase::Sweeping, 0);
    }
    ledger.set_progress(site, table, progress)?;
    crate::crash_point!("sweep.counted", ledger.site_name(site));
    Ok(true)
}

fn tidy(ledger: &mut Ledger, site: SiteId, table: TableId, rows_max: usize, now_us: i64) -> Result<bool> {
    let mut progress = ledger.progress(site, table);
    let last = ledger.bury(table, progress.swept, rows_max * 10)?;
    match last {
        Some(last) => progress.swept = last,
        None => (progress.phase, progress.finished_us) = (Phase::Done, Some(now_us)),
    }
    ledger.set_progress(site, table, progress)?;
    crate::crash_point!("scan.tidied", ledger.site_name(site));
    Ok(last.is_some())
}

/// A shared row of the ledger that is not at the site.
#[allow(clippy::too_many_arguments)]
fn lacking(
    ledger: &mut Ledger,
    site: SiteId,
    table: TableId,
    key: &Key,
    id: RowId,
    mut row: Row,
    mode: Mode,
    now_us: i64,
    report: &mut Report,
) -> Result<()> {
    super::intake::let_in(ledger, site, Some(id))?;
    let dot = Dot { site, counter: ledger.next_counter(site) };
    let Some(shared) = ledger.shared(table) else { return Ok(()) };
    if mode == Mode::PutBack && !mutation::without("put_back") {
        resolve::put_back(&mut row, &shared.roster, site);
        return record(ledger, site, table, key, Some(id), row, Observed::default(), Freshness::BULK, now_us, report);
    }
    let at_us = if mode == Mode::First && row.held(site).is_none() { 0 } else { now_us };
    let observed = resolve::scan(&mut row, &shared.roster, &shared.policy, dot, None, at_us);
    record(ledger, site, table, key, Some(id), row, observed, Freshness::BULK, now_us, report)
}

/// A row that the site's table has.
#[allow(clippy::too_many_arguments)]
fn found(
    ledger: &mut Ledger,
    site: SiteId,
    table: TableId,
    key: &Key,
    content: Image,
    mode: Mode,
    at_us: i64,
    now_us: i64,
    report: &mut Report,
) -> Result<()> {
    let (id, mut row) = ledger.load(table, key)?;
    if !ledger.is_shared_from(site, table, key, &content, &row) {
        return Ok(());
    }
    if !row.life_at(site).exists() {
        super::intake::let_in(ledger, site, id)?;
    }
    if super::intake::refused(ledger, site, table, key, &content, now_us, report)?
        || super::intake::by_kinship(ledger, site, table, key, id, &mut row, &content, now_us, report)?.is_some()
    {
        return Ok(());
    }
    let dot = Dot { site, counter: ledger.next_counter(site) };
    let Some(shared) = ledger.shared(table) else { return Ok(()) };
    let at_us = if mode == Mode::First && row.held(site).is_none() { 0 } else { at_us };
    let observed = resolve::scan(&mut row, &shared.roster, &shared.policy, dot, Some(&content), at_us);
    record(ledger, site, table, key, id, row, observed, Freshness::BULK, now_us, report)
}
