//! The site's log: a task that owns the replication connection, and a reader that makes items of what it sends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::assembly::{Assembly, Declared, DeclaredColumn};
use super::connect::{APPLICATION, Connector, own_name, qualified};
use super::errors::from_driver;
use super::pgoutput::{self, Lsn};
use super::replication::{Frame, Replication};
use crate::model::{LogItem, Position, SiteId, SiteTable, TableId};
use crate::sites::{Cause, Error, LogMember, LogReader, Result};

/// The server is told at least this often where we are. It gives up on us after `wal_sender_timeout`, a minute by default.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// Each status asks for an answer, so that a silence this long means that nobody is there.
const SILENCE_MAX: Duration = Duration::from_secs(120);
const STATUS_WAIT_MAX: Duration = Duration::from_secs(30);
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked whether the tables that are published are still those that were.
const TABLES_EVERY: Duration = Duration::from_secs(5);
/// Looks in a row that the server may refuse for an error of its own.
const REFUSED_MAX: u32 = 5;
/// Reads of up to a quarter of a megabyte each, or one larger row, wait between the connection and the reader.
const READS_AHEAD_MAX: usize = 8;
/// A connection of ours that has just ended may still hold the slot.
const SLOT_BUSY_MAX: Duration = Duration::from_secs(15);
/// After that it is not about to end by itself.
const SLOT_STALE: Duration = Duration::from_secs(3);
const SLOT_BUSY_POLL: Duration = Duration::from_millis(100);

struct Log {
    site: SiteId,
    name: String,
    frames: mpsc::Receiver<Result<Vec<Frame>>>,
    acknowledged: watch::Sender<Lsn>,
    gone: mpsc::Receiver<Result<TableId>>,
    assembly: Assembly,
    /// Position of the last item given, and when.
    given: Lsn,
    given_at: Instant,
    /// Taken from the channel and not gone through yet.
    pending: std::vec::IntoIter<Frame>,
}

pub(super) async fn open(connector: &Connector, id: SiteId, members: Vec<LogMember>) -> Result<Box<dyn LogReader>> {
    let site = &connector.site;
    let Ok([member]) = <[LogMember; 1]>::try_from(members) else {
        return Err(Error::new(Cause::Unsupported, site, "a replication slot serves one site only"));
    };
    let slot = own_name(site);
    let client = connector.client().await?;
    let from = prove(connector, &client, &member.from).await?;
    let declared = declared(connector, &client, &member.tables).await?;
    let session = start(connector, &client, &slot, from).await?;

    let (sender, frames) = mpsc::channel(READS_AHEAD_MAX);
    let (acknowledged, heard) = watch::channel(from);
    let (tell_gone, gone) = mpsc::channel(1);
    let tables = published_oids(connector, &client, &member.tables).await?;
    tokio::spawn(watch_tables(client, site.clone(), slot, tables, tell_gone));
    tokio::spawn(pump(session, heard, sender, site.clone()));
    let assembly = Assembly::new(id, member.tables, member.marker_schema, declared, from);
    let (given, given_at, pending) = (from, Instant::now(), Vec::new().into_iter());
    Ok(Box::new(Log { site: id, name: site.clone(), frames, acknowledged, gone, assembly, given, given_at, pending }))
}

async fn published_oids(connector: &Connector, client: &Client, tables: &[Arc<SiteTable>]) -> Result<Vec<(TableId, Option<u32>)>> {
    const SQL: &str = "SELECT to_regclass(name)::oid FROM unnest($1::text[]) WITH ORDINALITY AS given(name, at) ORDER BY at";
    let names: Vec<String> = tables.iter().map(|table| qualified(&table.schema, &table.name)).collect();
    let rows = client.query(SQL, &[&names]).await.map_err(|error| from_driver(&connector.site, "looking at the tables", error))?;
    Ok(tables.iter().zip(rows).map(|(table, row)| (table.table.id, row.get(0))).collect())
}

/// The log says nothing of a table that is dropped, made anew, or taken out of the publication: it just falls silent.
async fn watch_tables(
    client: Client,
    site: String,
    publication: String,
    mut tables: Vec<(TableId, Option<u32>)>,
    gone: mpsc::Sender<Result<TableId>>,
) {
    const SQL: &str = "SELECT relid FROM pg_get_publication_tables($1)";
    let mut ticks = interval(TABLES_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut refused = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = gone.closed() => return,
        }
        let published: Vec<u32> = match client.query(SQL, &[&publication]).await {
            Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
            // A table has been dropped while the server looked its name up.
            Err(error) if error.code() == Some(&SqlState::INTERNAL_ERROR) && refused < REFUSED_MAX => {
                refused += 1;
                continue;
            }
            Err(error) => {
                let _ = gone.send(Err(lost_in_stream(from_driver(&site, "looking at the publication", error)))).await;
                return;
            }
        };
        refused = 0;
        let there = |oid: &Option<u32>| oid.is_some_and(|oid| published.contains(&oid));
        for (table, _) in tables.iter().filter(|(_, oid)| !there(oid)) {
            let _ = gone.send(Ok(*table)).await;
        }
        tables.retain(|(_, oid)| there(oid));
    }
}

/// A connection that streams from `from` on. The lanes' locks prove that no other daemon reads here: a session of ours that keeps the slot
/// is one that the server has not found dead yet.
async fn start(connector: &Connector, client: &Client, slot: &str, from: Lsn) -> Result<Replication> {
    const END: &str = "SELECT pg_terminate_backend(a.pid) FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid \
        WHERE s.slot_name = $1 AND a.usename = current_user AND a.application_name = $2";
    let begun = Instant::now();
    let deadline = begun + SLOT_BUSY_MAX;
    loop {
        let mut session = Replication::connect(connector).await?;
        let started = connector.within("starting replication", session.start(slot, from, slot)).await;
        match started {
            Ok(()) => return Ok(session),
            Err(error) if error.cause == Cause::Busy && Instant::now() < deadline => {
                if begun.elapsed() > SLOT_STALE {
                    let _ = client.query(END, &[&slot, &APPLICATION]).await;
                }
                sleep(SLOT_BUSY_POLL).await;
            }
            Err(error) => return Err(lost_in_stream(error)),
        }
    }
}

/// Whether the site's slot still has everything from a position on; gives that.
pub(super) async fn prove(connector: &Connector, client: &Client, from: &Position) -> Result<Lsn> {
    let site = &connector.site;
    let lsn =
        Lsn::parse(&from.0).ok_or_else(|| Error::new(Cause::LogLost, site, format!("`{from}` is not a position in PostgreSQL's log")))?;
    check_slot(connector, client, &own_name(site), lsn).await?;
    Ok(lsn)
}

/// Whether the slot still has everything from `from` on.
async fn check_slot(connector: &Connector, client: &Client, slot: &str, from: Lsn) -> Result<()> {
    const SQL: &str = "SELECT confirmed_flush_lsn::text, coalesce(wal_status, ''), plugin, database = current_database(), \
        CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn()::text END \
        FROM pg_replication_slots WHERE slot_name = $1";
    let site = &connector.site;
    let row = client.query_opt(SQL, &[&slot]).await.map_err(|error| from_driver(site, "looking at the slot", error))?;
    let lost = |words: String| Err(Error::new(Cause::LogLost, site, words).advice("the site's tables are compared with the ledger"));
    let Some(row) = row else { return lost(format!("replication slot {slot} is gone, and with it the log since {from}")) };
    if row.get::<_, Option<&str>>(2) != Some("pgoutput") || row.get::<_, Option<bool>>(3) != Some(true) {
        let text = format!("replication slot {slot} belongs to another database or plugin");
        return Err(Error::new(Cause::Unsupported, site, text).advice("rename the site, or drop that slot"));
    }
    if row.get::<_, &str>(1) == "lost" {
        return lost(format!("the server gave up replication slot {slot}: it was further behind than max_slot_wal_keep_size allows"));
    }
    let place = |column: usize| row.get::<_, Option<&str>>(column).and_then(Lsn::parse);
    match place(0) {
        Some(confirmed) if confirmed > from => {
            lost(format!("replication slot {slot} begins at {confirmed}, after {from} where we left off"))
        }
        _ => match place(4) {
            Some(end) if end < from => {
                lost(format!("the server's log ends at {end}, before {from} where we left off: it was restored from a backup"))
            }
            _ => Ok(()),
        },
    }
}

/// Errors of the stream that mean that the slot can't give what it was made for.
fn lost_in_stream(mut error: Error) -> Error {
    // 42704: no such slot, or no such publication at that point of the log. 55000: the slot was invalidated. 58P01: WAL is gone.
    if ["SQLSTATE 42704", "SQLSTATE 55000", "SQLSTATE 58P01"].iter().any(|code| error.message.contains(code)) {
        error.cause = Cause::LogLost;
        error.advice = Some("the site's tables are compared with the ledger".into());
    }
    error
}

async fn declared(connector: &Connector, client: &Client, tables: &[Arc<SiteTable>]) -> Result<Declared> {
    const SQL: &str = "SELECT n.nspname, c.relname, a.attname, a.atttypid, a.attgenerated <> '' \
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE a.attnum > 0 AND NOT a.attisdropped AND (n.nspname, c.relname) IN (SELECT * FROM unnest($1::text[], $2::text[]))";
    let (schemas, names): (Vec<&str>, Vec<&str>) = tables.iter().map(|t| (t.schema.as_str(), t.name.as_str())).unzip();
    let rows =
        client.query(SQL, &[&schemas, &names]).await.map_err(|error| from_driver(&connector.site, "looking at the tables", error))?;
    let mut declared = Declared::new();
    for row in rows {
        let column = DeclaredColumn { type_oid: row.get(3), generated: row.get(4) };
        declared.entry((row.get(0), row.get(1))).or_default().insert(row.get(2), column);
    }
    Ok(declared)
}

/// Owns the connection: reads ahead as far as the channel has room, answers the server, and tells it what is acknowledged.
/// Ends with the reader, or after the first error.
async fn pump(mut session: Replication, mut acknowledged: watch::Receiver<Lsn>, out: mpsc::Sender<Result<Vec<Frame>>>, site: String) {
    let mut ticks = interval(STATUS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard_at, mut come) = (Instant::now(), 0);
    let mut waiting: Option<Vec<Frame>> = None;
    loop {
        let (due, ask) = tokio::select! {
            room = out.reserve(), if waiting.is_some() => match room {
                Ok(room) => {
                    room.send(Ok(waiting.take().unwrap_or_default()));
                    heard_at = Instant::now();
                    (false, false)
                }
                Err(_) => return,
            },
            frames = session.read_frames(), if waiting.is_none() => match frames {
                Ok(frames) => {
                    heard_at = Instant::now();
                    let asked = frames.iter().any(|frame| matches!(frame, Frame::Keepalive { reply: true, .. }));
                    waiting = Some(frames);
                    (asked, false)
                }
                Err(error) => {
                    let _ = out.send(Err(lost_in_stream(error))).await;
                    return;
                }
            },
            _ = ticks.tick() => {
                // A message that comes slowly is not silence.
                if session.come() != come {
                    (heard_at, come) = (Instant::now(), session.come());
                }
                (true, true)
            }
            changed = acknowledged.changed() => match changed {
                Ok(()) => (true, false),
                Err(_) => return,
            },
        };
        if waiting.is_none() && heard_at.elapsed() > SILENCE_MAX {
            let _ = out.send(Err(Error::new(Cause::Disconnected, &site, "the server has been silent for too long"))).await;
            return;
        }
        if due {
            let flushed = *acknowledged.borrow_and_update();
            let sent = timeout(STATUS_WAIT_MAX, session.status(flushed, ask)).await;
            let error = match sent {
                Ok(Ok(())) => {
                    crate::crash_point!("slot.advanced", site);
                    continue;
                }
                Ok(Err(error)) => error,
                Err(_) => Error::new(Cause::Disconnected, &site, "the server takes nothing from us any more"),
            };
            let _ = out.send(Err(error)).await;
            return;
        }
    }
}

#[async_trait]
impl LogReader for Log {
    async fn next(&mut self) -> Result<LogItem> {
        loop {
            if let Some(item) = self.assembly.pop() {
                if let Some(position) = item.position().and_then(|p| Lsn::parse(&p.0)) {
                    (self.given, self.given_at) = (position, Instant::now());
                }
                return Ok(item);
            }
            let progress = self.assembly.position().filter(|position| *position > self.given);
            let due = self.given_at + PROGRESS_EVERY;
            if let Some(position) = progress
                && Instant::now() >= due
            {
                (self.given, self.given_at) = (position, Instant::now());
                return Ok(LogItem::Progress { site: self.site, position: Position(position.to_string()) });
            }
            if let Some(frame) = self.pending.next() {
                self.take(frame)?;
                continue;
            }
            tokio::select! {
                frames = self.frames.recv() => match frames {
                    Some(frames) => self.pending = frames?.into_iter(),
                    None => return Err(Error::new(Cause::Disconnected, &self.name, "the log's connection has ended")),
                },
                Some(table) = self.gone.recv() => {
                    let (site, position) = (self.site, self.assembly.before());
                    return Ok(LogItem::Emptied { site, table: table?, position });
                }
                () = sleep_until(due), if progress.is_some() => {}
            }
        }
    }

    async fn acknowledge(&mut self, site: SiteId, position: &Position) -> Result<()> {
        let lsn = Lsn::parse(&position.0).filter(|_| site == self.site);
        let lsn = lsn.ok_or_else(|| Error::new(Cause::Protocol, &self.name, "a position that is not this log's was acknowledged"))?;
        self.acknowledged.send_if_modified(|held| {
            let rises = lsn > *held;
            *held = lsn.max(*held);
            rises
        });
        Ok(())
    }
}

impl Log {
    fn take(&mut self, frame: Frame) -> Result<()> {
        match frame {
            Frame::Keepalive { sent, .. } => self.assembly.keepalive(sent),
            Frame::Data(bytes) => {
                let protocol = |words: &str| Error::new(Cause::Protocol, &self.name, format!("the log: {words}"));
                let message = pgoutput::decode(bytes).map_err(|_| protocol("a message that pgoutput does not have"))?;
                self.assembly.message(message).map_err(protocol)?;
            }
        }
        Ok(())
    }
}
