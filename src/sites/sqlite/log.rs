//! The site's log: a thread that follows the changelog, and the async side that hands out what it read.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::mpsc as channel;

use super::connect::{self, blocking};
use super::triggers::CHANGELOG_TABLE;
use super::watch::{Signal, Watch};
use super::window::{Place, Seen, Window};
use crate::model::{LogItem, Position, SiteId};
use crate::sites::{Cause, Error, LogMember, LogReader, Result};

/// Looks that are read ahead of the caller.
const AHEAD_MAX: usize = 2;
/// Without any sign of a change the database is asked that often.
const TICK: Duration = Duration::from_secs(1);
/// The same where files can't be watched.
const TICK_BLIND: Duration = Duration::from_millis(100);
/// After a file changed, the commit may still be on its way: it is looked for after 1, 2, 4, ... ms, up to this.
const EAGER_MS_MAX: u64 = 512;
/// A reader does not wait for an application's lock: it comes back.
const READ_WAIT: Duration = Duration::from_millis(2);
/// Acknowledged rows are removed when there are that many, or when that long has passed.
const CLEAN_ROWS: i64 = 1_000;
const CLEAN_EVERY: Duration = Duration::from_secs(5);
/// Rows per removing transaction, which holds the write lock for about a millisecond; and how many such steps at a time.
const CLEAN_STEP_ROWS: i64 = 500;
const CLEAN_STEPS_MAX: usize = 20;

pub struct SqliteLog {
    site: SiteId,
    site_name: String,
    looks: channel::Receiver<Result<Vec<LogItem>>>,
    ready: VecDeque<LogItem>,
    signals: Sender<Signal>,
    captured: Arc<AtomicI64>,
}

impl SqliteLog {
    /// `captured` is shared with the site's writers: how far the ledger has the changelog.
    pub async fn open(site: connect::Place, member: LogMember, captured: Arc<AtomicI64>) -> Result<SqliteLog> {
        let protocol = || Error::new(Cause::LogLost, &site.site, format!("{} is not a place in a changelog", member.from));
        let from = Place::parse(&member.from).ok_or_else(protocol)?;
        let window = Window::new(member.site, &member.name, from, &member.tables);
        let (looks_in, looks) = channel::channel(AHEAD_MAX);
        let (signals, signals_out) = mpsc::channel();
        let wake = signals.clone();
        let name = site.site.clone();
        blocking(&name, move || {
            let follower = Follower::start(site, window, looks_in, signals_out, wake)?;
            let failed = Error::new(Cause::Busy, &follower.site.site, "no thread could be started to follow the changelog");
            std::thread::Builder::new().name("rosterd-changelog".into()).spawn(move || follower.follow()).map_err(|_| failed)?;
            Ok(())
        })
        .await?;
        captured.store(from.id, Ordering::Release);
        Ok(SqliteLog { site: member.site, site_name: member.name, looks, ready: VecDeque::new(), signals, captured })
    }
}

#[async_trait]
impl LogReader for SqliteLog {
    async fn next(&mut self) -> Result<LogItem> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(item);
            }
            match self.looks.recv().await {
                Some(items) => self.ready.extend(items?),
                None => return Err(Error::new(Cause::Disconnected, &self.site_name, "the changelog is not followed any more")),
            }
        }
    }

    async fn acknowledge(&mut self, site: SiteId, position: &Position) -> Result<()> {
        let place = Place::parse(position).filter(|_| site == self.site);
        let place = place
            .ok_or_else(|| Error::new(Cause::Protocol, &self.site_name, format!("{position} is not a place in this site's changelog")))?;
        self.captured.fetch_max(place.id, Ordering::AcqRel);
        // A thread that has ended has left its error in `looks`.
        let _ = self.signals.send(Signal::Acknowledged(place.id));
        Ok(())
    }
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        let _ = self.signals.send(Signal::Stop);
    }
}

/// The thread's side. It ends when the reader is dropped, or with the error that it hands over.
struct Follower {
    site: connect::Place,
    db: Connection,
    window: Window,
    looks: channel::Sender<Result<Vec<LogItem>>>,
    signals: Receiver<Signal>,
    watch: Option<Watch>,
    inode: (u64, u64),
    /// `PRAGMA data_version` of the last look.
    version: i64,
    journal: PathBuf,
    acknowledged: i64,
    /// Everything below has been removed.
    lowest: i64,
    cleaned: Instant,
}

enum Turn {
    /// Something was read, or may be waiting: look again at once.
    Again,
    Idle,
    /// An application has the lock, or is about to commit.
    Locked,
    End,
}

impl Follower {
    fn start(
        site: connect::Place,
        window: Window,
        looks: channel::Sender<Result<Vec<LogItem>>>,
        signals: Receiver<Signal>,
        wake: Sender<Signal>,
    ) -> Result<Follower> {
        let path = site.real_path();
        // Watching starts before the first look, so that no commit falls in between.
        let watch = Watch::start(&path, wake)
            .inspect_err(
                |error| tracing::warn!(site = %site.site, "the database's folder can't be watched ({error}); it is asked every 100 ms"),
            )
            .ok();
        let (inode, db) = (site.inode()?, site.open()?);
        let failed = |error| site.error("opening the changelog", &error);
        if let Some(reason) = window.place.lost(&db).map_err(failed)? {
            return Err(lost(&site.site, reason));
        }
        if let Some(table) = window.untracked(&db).map_err(failed)? {
            return Err(lost(&site.site, "its triggers are missing, so its changes were not logged").table(table));
        }
        // Removing read rows may be undone by a power cut; they are removed again.
        db.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        db.busy_timeout(READ_WAIT).map_err(failed)?;
        let lowest: Option<i64> = db.query_row("SELECT min(id) FROM rosterd_changelog", [], |row| row.get(0)).map_err(failed)?;
        let (acknowledged, lowest) = (window.place.id, lowest.unwrap_or(0));
        let journal = site.beside("-journal");
        Ok(Follower { db, window, looks, signals, watch, inode, version: -1, journal, acknowledged, lowest, cleaned: Instant::now(), site })
    }

    fn follow(mut self) {
        let (mut eager_ms, mut locked_since) = (1, None::<Instant>);
        loop {
            let turn = match self.turn(locked_since.is_some_and(|since| since.elapsed() > TICK)) {
                Ok(turn) => turn,
                Err(error) => {
                    let _ = self.looks.blocking_send(Err(error));
                    return;
                }
            };
            locked_since = if matches!(turn, Turn::Locked) { locked_since.or_else(|| Some(Instant::now())) } else { None };
            let tick = if self.watch.is_some() { TICK } else { TICK_BLIND };
            let wait = match turn {
                Turn::End => return,
                Turn::Again => {
                    eager_ms = 1;
                    Duration::ZERO
                }
                Turn::Idle | Turn::Locked if eager_ms <= EAGER_MS_MAX => {
                    eager_ms *= 2;
                    Duration::from_millis(eager_ms / 2)
                }
                Turn::Idle => tick,
                Turn::Locked => Duration::from_millis(EAGER_MS_MAX),
            };
            self.clean(wait);
            match self.wait(wait) {
                Woken::Changed => eager_ms = 1,
                Woken::Time => {}
                Woken::Stop => return,
            }
        }
    }

    fn wait(&mut self, mut wait: Duration) -> Woken {
        let until = Instant::now() + wait;
        loop {
            match self.signals.recv_timeout(wait) {
                Ok(Signal::Acknowledged(id)) => self.acknowledged = self.acknowledged.max(id),
                Ok(Signal::Changed) => {
                    if let Some(watch) = &self.watch {
                        watch.rearm();
                    }
                    return Woken::Changed;
                }
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return Woken::Stop,
                Err(RecvTimeoutError::Timeout) => return Woken::Time,
            }
            wait = until.saturating_duration_since(Instant::now());
        }
    }

    fn turn(&mut self, patience_over: bool) -> Result<Turn> {
        if self.site.inode()? != self.inode {
            return Err(Error::new(Cause::Disconnected, &self.site.site, "the database file has been replaced by another"));
        }
        // In rollback-journal modes a reader's lock makes an application's commit wait: look when it is done.
        if !patience_over && std::fs::metadata(&self.journal).is_ok_and(|journal| journal.len() > 0) && self.journal_in_use() {
            return Ok(Turn::Locked);
        }
        match self.look() {
            Ok(None) => Ok(Turn::Idle),
            Ok(Some(Seen::Nothing)) => Ok(Turn::Idle),
            Ok(Some(Seen::Lost(reason))) => Err(lost(&self.site.site, reason)),
            Ok(Some(Seen::Items(items))) => Ok(if self.looks.blocking_send(Ok(items)).is_ok() { Turn::Again } else { Turn::End }),
            Err(error) if is_busy(&error) => Ok(Turn::Locked),
            Err(error) => Err(self.site.error("reading the changelog", &error)),
        }
    }

    /// A journal that stays (PERSIST) has its header zeroed by the commit; one that goes away or is emptied is in use.
    fn journal_in_use(&self) -> bool {
        use std::io::Read;
        let mut first = [0u8; 1];
        std::fs::File::open(&self.journal).and_then(|mut journal| journal.read_exact(&mut first)).is_ok() && first != [0]
    }

    /// None: nobody has committed since the last look.
    fn look(&mut self) -> rusqlite::Result<Option<Seen>> {
        let version = data_version(&self.db)?;
        if version == self.version {
            return Ok(None);
        }
        let tx = self.db.unchecked_transaction()?;
        let before = self.window.place;
        let seen = match self.window.look(&tx) {
            Ok(seen) => seen,
            Err(error) => {
                self.window.place = before;
                return Err(error);
            }
        };
        tx.finish()?;
        // What was committed between the two is in the look, and is looked for once more. While there is more to read,
        // the version stays unknown.
        self.version = if self.window.place == before { version } else { -1 };
        Ok(Some(seen))
    }

    /// Removes acknowledged rows but the last, which is kept to recognise the changelog by. It never waits for a lock.
    fn clean(&mut self, idle: Duration) {
        let due = self.cleaned.elapsed() >= CLEAN_EVERY;
        if idle.is_zero() || (!due && self.acknowledged.saturating_sub(self.lowest) < CLEAN_ROWS) {
            return;
        }
        for _ in 0..CLEAN_STEPS_MAX {
            let until = self.acknowledged.min(self.lowest.saturating_add(CLEAN_STEP_ROWS));
            if until <= self.lowest {
                break;
            }
            let sql = format!("DELETE FROM {CHANGELOG_TABLE} WHERE id < ?1");
            match self.db.prepare_cached(&sql).and_then(|mut statement| statement.execute([until])) {
                Ok(_) => {
                    crate::crash_point!("changelog.trimmed", self.site.site);
                    self.lowest = until;
                }
                Err(error) if is_busy(&error) => return,
                Err(error) => {
                    tracing::warn!(site = %self.site.site, "the changelog was not shortened: {}", super::errors::reason(&error));
                    break;
                }
            }
        }
        self.cleaned = Instant::now();
    }
}

enum Woken {
    Changed,
    Time,
    Stop,
}

fn data_version(db: &Connection) -> rusqlite::Result<i64> {
    db.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, SchemaChanged};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked | SchemaChanged))
}

pub(super) fn lost(site: &str, reason: &str) -> Error {
    Error::new(Cause::LogLost, site, reason).advice("the site's tables are compared with the ledger; nothing has to be done")
}
