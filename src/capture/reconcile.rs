//! The loop that reads a site's tables in chunks: first copy, after a lost log, after a restored backup.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::follow::{Follower, now_us};
use super::watch::{Watch, lock};
use super::{Report, chunk};
use crate::ledger::{self, Lane, Ledger, Phase};
use crate::model::{Image, Key, MarkerId, SiteTable, TableId};
use crate::sites::{ChunkReader, Error, Site, Writer};

/// Ledger rows that a sweep goes through in one transaction.
const SWEEP_ROWS: usize = 500;
/// A sweep waits while more rows than this are owed in bulk.
const BULK_ROWS_MAX: usize = 20_000;
/// Rows mended between two watermarks.
const MEND_ROWS: usize = 200;

pub struct Scanner {
    pub site: Arc<dyn Site>,
    pub follower: Arc<Follower>,
    pub tables: Vec<Arc<SiteTable>>,
    pub control: Arc<tokio::sync::Mutex<Box<dyn Writer>>>,
    pub is_hub: bool,
    pub rows_max: usize,
    pub bytes_max: usize,
    /// None: no limit.
    pub rows_per_second_max: Option<u32>,
    /// Woken when some site's scan has come further.
    pub progressed: Arc<Notify>,
    pub repairs: Arc<Repairs>,
}

/// Rows of a site that have been found to differ from the ledger, and are to be what it has.
#[derive(Default)]
pub struct Repairs(Mutex<Vec<(TableId, Vec<Key>)>>);

impl Repairs {
    pub fn add(&self, table: TableId, keys: Vec<Key>) {
        lock(&self.0).push((table, keys));
    }

    fn take(&self) -> Option<(TableId, Vec<Key>)> {
        lock(&self.0).pop()
    }
}

/// Either side of a scan can fail.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Site(#[from] Error),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

/// A chunk that capture collects for.
struct Opened {
    low: MarkerId,
    high: MarkerId,
    after: Option<Key>,
    /// Of both watermarks.
    payload: Vec<u8>,
    /// Resolves when capture has come to the high watermark.
    closed: oneshot::Receiver<()>,
}

impl Scanner {
    /// Scans every table that is not known yet, urgent ones first, and then waits for more to do.
    pub async fn run(&self) -> Result<(), Failure> {
        let mut reader: Option<Box<dyn ChunkReader>> = None;
        loop {
            let progressed = self.progressed.notified();
            let mut scanned = false;
            for table in &self.tables {
                if self.is_due(table.table.id).await? {
                    let reader = self.opened(&mut reader).await?;
                    self.table(reader, table).await?;
                    self.progressed.notify_waiters();
                    scanned = true;
                }
            }
            while let Some((table, keys)) = self.repairs.take() {
                let mended = self.mend(&mut reader, table, &keys).await;
                if mended.is_err() {
                    self.repairs.add(table, keys);
                }
                mended?;
            }
            if !scanned {
                // A connection that waits for hours is one that somebody's time limit ends.
                reader = None;
                let _ = tokio::time::timeout(Duration::from_secs(5), progressed).await;
            }
        }
    }

    async fn opened<'a>(&self, reader: &'a mut Option<Box<dyn ChunkReader>>) -> Result<&'a mut dyn ChunkReader, Failure> {
        Ok(match reader {
            Some(reader) => reader.as_mut(),
            none => none.insert(self.site.chunk_reader().await?).as_mut(),
        })
    }

    /// Reads rows between watermarks, so that what they are is known at a place of the log; the ledger wins where they differ.
    async fn mend(&self, reader: &mut Option<Box<dyn ChunkReader>>, id: TableId, keys: &[Key]) -> Result<(), Failure> {
        let Some(table) = self.tables.iter().find(|table| table.table.id == id) else { return Ok(()) };
        let reader = self.opened(reader).await?;
        for keys in keys.chunks(MEND_ROWS) {
            let wanted = keys.to_vec();
            if let Some(opened) = self.open(move |ledger, _| chunk::open_rows(ledger, id, wanted).map(Some)).await? {
                self.between(&opened, reader.rows(table, keys)).await?;
                self.mark_high(&opened).await?;
                let _ = opened.closed.await;
            }
        }
        tracing::info!(site = self.follower.name, table = table.table.name, rows = keys.len(), "rows are put back as the ledger has them");
        Ok(())
    }

    /// Clients wait until the hub's table has been read: what the hub has is met, not overtaken.
    async fn is_due(&self, table: TableId) -> Result<bool, Failure> {
        let (site, is_hub) = (self.follower.site, self.is_hub);
        let due = move |ledger: &mut Ledger| {
            let own = ledger.progress(site, table);
            let hub = ledger.sites().iter().find(|record| record.hub).map(|record| record.id);
            let hub_read = is_hub || hub.is_none_or(|hub| ledger.progress(hub, table).phase >= Phase::Tidying);
            Ok(own.stopped.is_none() && own.phase != Phase::Done && hub_read)
        };
        Ok(self.follower.ledger.call(due).await?)
    }

    async fn table(&self, reader: &mut dyn ChunkReader, table: &Arc<SiteTable>) -> Result<(), Failure> {
        let (site, id) = (self.follower.site, table.table.id);
        let estimate = reader.estimate(table).await?;
        let begun = self.call(move |ledger| {
            let mut progress = ledger.progress(site, id);
            progress.rows_estimated = estimate;
            let begun = progress.phase == Phase::Waiting;
            ledger.set_progress(site, id, progress)?;
            Ok(begun)
        });
        let begun = begun.await?;
        crate::crash_point!("scan.begun", self.site.name());
        if begun {
            tracing::info!(site = self.follower.name, table = table.table.name, rows_estimated = estimate, "reading the table");
        }
        self.chunks(reader, table).await?;
        while self.sweep(id).await? {
            self.progressed.notify_waiters();
        }
        let progress = self.call(move |ledger| Ok(ledger.progress(site, id))).await?;
        if progress.phase == Phase::Done {
            // Rows that the site had may have come there without their numbers having been drawn.
            super::numbers::align(&self.control, self.site.name(), std::slice::from_ref(table)).await?;
            crate::crash_point!("scan.known", self.site.name());
            tracing::info!(site = self.follower.name, table = table.table.name, rows = progress.rows_read, "the table is known");
        }
        Ok(())
    }

    async fn call<T: Send + 'static>(&self, f: impl FnOnce(&mut Ledger) -> ledger::Result<T> + Send + 'static) -> Result<T, Failure> {
        Ok(self.follower.ledger.call_later(f).await?)
    }

    /// Reads a table, each chunk while the ledger takes in the one before.
    async fn chunks(&self, reader: &mut dyn ChunkReader, table: &Arc<SiteTable>) -> Result<(), Failure> {
        let (site, id) = (self.follower.site, table.table.id);
        let open = |from| self.open(move |ledger, watch| chunk::open(ledger, watch, site, id, from, now_us()));
        let mut next = open(None).await?;
        let mut before: Option<oneshot::Receiver<()>> = None;
        while let Some(opened) = next {
            let begun = Instant::now();
            let from = opened.after.clone();
            let (rows, last) = self.between(&opened, reader.chunk(table, from.as_ref(), self.rows_max, self.bytes_max)).await?;
            // The ledger opens the next one before it has this one to take in.
            let following = async { if last.is_some() { open(last.clone()).await } else { Ok(None) } };
            let ((), following) = tokio::try_join!(self.mark_high(&opened), following)?;
            let went_on = match before.take() {
                Some(before) => before.await.is_ok(),
                None => true,
            };
            self.progressed.notify_waiters();
            if last.is_some() && went_on {
                before = Some(opened.closed);
            } else {
                // At the end of the table, or given up: how far it was read, the ledger says.
                let _ = opened.closed.await;
            }
            crate::crash_point!("chunk.closed", self.site.name());
            self.throttle(rows, begun).await;
            next = match following {
                None => open(None).await?,
                following => following,
            };
        }
        Ok(())
    }

    /// Has capture collect for a chunk, if there is one to be opened.
    async fn open(
        &self,
        open: impl FnOnce(&mut Ledger, &Watch) -> ledger::Result<Option<chunk::Chunk>> + Send + 'static,
    ) -> Result<Option<Opened>, Failure> {
        let (site, watch) = (self.follower.site, self.follower.watch.clone());
        let opened = self.follower.ledger.call_soon(move |ledger| {
            let mut watch = lock(&watch);
            let Some(chunk) = open(ledger, &watch)? else { return Ok(None) };
            let (low, high, after) = (chunk.low, chunk.high, chunk.after.clone());
            let opened = Opened { low, high, after, payload: ledger.watermark(site), closed: watch.wait_for(high) };
            watch.open_chunk(chunk);
            Ok(Some(opened))
        });
        Ok(opened.await?)
    }

    /// Reads a chunk's rows behind its low watermark. Gives how many there were, and the key of the last.
    async fn between(
        &self,
        opened: &Opened,
        reading: impl Future<Output = crate::sites::Result<Vec<(Key, Image)>>>,
    ) -> Result<(usize, Option<Key>), Failure> {
        crate::crash_point!("chunk.opened", self.site.name());
        self.control.lock().await.mark(opened.low, &opened.payload).await?;
        crate::crash_point!("chunk.low", self.site.name());
        let rows = reading.await?;
        let (count, last) = (rows.len(), rows.last().map(|(key, _)| key.clone()));
        lock(&self.follower.watch).fill_chunk(opened.high, rows, count == 0);
        crate::crash_point!("chunk.read", self.site.name());
        Ok((count, last))
    }

    async fn mark_high(&self, opened: &Opened) -> Result<(), Failure> {
        self.control.lock().await.mark(opened.high, &opened.payload).await?;
        crate::crash_point!("chunk.high", self.site.name());
        Ok(())
    }

    async fn throttle(&self, rows: usize, begun: Instant) {
        if let Some(max) = self.rows_per_second_max {
            let least = Duration::from_secs_f64(rows as f64 / f64::from(max.max(1)));
            tokio::time::sleep(least.saturating_sub(begun.elapsed())).await;
        }
    }

    /// One slice of the ledger's rows that the scan has not come by. Gives false at the end.
    async fn sweep(&self, table: TableId) -> Result<bool, Failure> {
        let site = self.follower.site;
        let slice = move |ledger: &mut Ledger| {
            if ledger.queues(site).is_some_and(|queues| queues.len(Lane::Bulk) > BULK_ROWS_MAX) {
                return Ok((true, None));
            }
            let mut report = Report::default();
            let more = chunk::sweep(ledger, site, table, SWEEP_ROWS, now_us(), &mut report)?;
            Ok((more, Some(report)))
        };
        let (more, report) = self.call(slice).await?;
        crate::crash_point!("sweep.committed", self.site.name());
        match report {
            Some(report) => self.follower.tell(&report),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        Ok(more)
    }
}
