//! Reads a server's binary log for the members that share it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::StreamExt;
use mysql_async::binlog::BinlogChecksumAlg;
use mysql_async::binlog::events::{BinlogEventFooter, Event};
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest};
use tokio::task::JoinHandle;

use super::connect::{Flavor, Server, Session};
use super::describe::widths;
use super::errors::cause;
use super::groups::Groups;
use super::gtid::GtidSet;
use super::shapes::Shares;
use crate::model::{LogItem, Position, SiteId};
use crate::sites::ahead::{self, Receiver, Sender};
use crate::sites::{Cause, Error, LogMember, Result};

/// The server speaks at least that often.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// A log that says nothing for so long is a dead connection.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Items read ahead of the caller.
const AHEAD_ITEMS_MAX: usize = 4096;
const AHEAD_KB_MAX: u32 = 16 << 10;

pub(super) struct LogReader {
    server: Arc<Server>,
    items: Receiver<Result<LogItem>>,
    reading: JoinHandle<()>,
}

pub(super) async fn open(mut session: Session, members: Vec<LogMember>) -> Result<LogReader> {
    let server = session.server.clone();
    let sets = members.iter().map(|member| parse(&server, session.flavor, &member.from)).collect::<Result<Vec<_>>>()?;
    let Some(from) = sets.iter().cloned().reduce(|a, b| a.intersect(&b)) else {
        return Err(server.error(Cause::Missing, "a log reader without members"));
    };
    let mut schemas: Vec<String> = members.iter().flat_map(|m| m.tables.iter().map(|t| t.schema.clone())).collect();
    schemas.extend(members.iter().map(|m| m.marker_schema.clone()));
    schemas.sort();
    schemas.dedup();
    let widths = widths(&mut session, &schemas).await?;
    let groups = Groups::new(&members, sets, Shares::new(&members, widths), now_us());
    prove(&mut session, &from).await?;
    let stream = stream(session, &from).await?;
    let (sender, items) = ahead::queue(AHEAD_ITEMS_MAX, AHEAD_KB_MAX);
    // In a task of its own: the driver panics on a damaged event.
    let reading = tokio::spawn(read(server.clone(), stream, groups, sender));
    Ok(LogReader { server, items, reading })
}

pub(super) fn parse(server: &Server, flavor: Flavor, position: &Position) -> Result<GtidSet> {
    GtidSet::parse(flavor, &position.0).ok_or_else(|| {
        server
            .error(Cause::LogLost, format!("the stored position is not one of {}'s", flavor.name()))
            .advice("the site's tables are compared anew")
    })
}

/// The end of the server's log.
pub(super) async fn end(session: &mut Session) -> Result<GtidSet> {
    let sql = match session.flavor {
        Flavor::MariaDb => "SELECT @@GLOBAL.gtid_binlog_pos",
        Flavor::MySql => "SELECT @@GLOBAL.gtid_executed",
    };
    let mut rows = session.rows("read the end of the log", sql).await?;
    let text = rows.first_mut().and_then(|row| super::connect::text(row, 0)).unwrap_or_default();
    parse(&session.server, session.flavor, &Position(text))
}

/// Whether the log still has what comes after `from`, and has reached it.
pub(super) async fn prove(session: &mut Session, from: &GtidSet) -> Result<()> {
    let lost = |session: &Session, why: &str| Err(session.server.error(Cause::LogLost, format!("the binary log {why}")));
    if session.flavor == Flavor::MariaDb {
        let end = end(session).await?;
        return if from.beyond(&end) { lost(session, "ends before the place where capture stopped: it is another one") } else { Ok(()) };
    }
    let ask = format!("SELECT GTID_SUBSET('{from}', @@GLOBAL.gtid_executed), GTID_SUBSET(@@GLOBAL.gtid_purged, '{from}')");
    let mut rows = session.rows("compare positions", ask).await?;
    let answer = rows.first_mut().map(|row| [0, 1].map(|i| super::connect::number(row, i)));
    match answer {
        Some([Some(0), _]) => lost(session, "does not have what was captured: it is another one"),
        Some([_, Some(0)]) => lost(session, "has been purged beyond the place where capture stopped"),
        _ => Ok(()),
    }
}

async fn stream(mut session: Session, from: &GtidSet) -> Result<BinlogStream> {
    let server = session.server.clone();
    let heartbeat = HEARTBEAT.as_nanos();
    let settings = match session.flavor {
        Flavor::MariaDb => format!(
            "SET @mariadb_slave_capability = 4, @master_heartbeat_period = {heartbeat}, \
             @slave_connect_state = '{from}', @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0"
        ),
        Flavor::MySql => format!("SET @master_heartbeat_period = {heartbeat}, @source_heartbeat_period = {heartbeat}"),
    };
    session.conn.query_drop(settings).await.map_err(|error| server.failed("prepare to read the log", error))?;
    let request = BinlogStreamRequest::new(replica_id()).with_pos(4);
    let request = match session.flavor {
        Flavor::MariaDb => request,
        Flavor::MySql => request.with_gtid().with_gtid_set(from.sids()),
    };
    session.conn.get_binlog_stream(request).await.map_err(|error| server.failed("read the log", error))
}

/// Reads the log's first event from `from` on.
pub(super) async fn try_stream(session: Session, from: &GtidSet) -> Result<()> {
    let server = session.server.clone();
    let mut stream = stream(session, from).await?;
    let first = tokio::spawn(async move { tokio::time::timeout(SILENCE_MAX, stream.next()).await });
    match first.await {
        Ok(Ok(Some(Ok(_)))) => Ok(()),
        Ok(Ok(Some(Err(error)))) => Err(log_error(&server, error)),
        _ => Err(server.error(Cause::Disconnected, "the server did not send its log")),
    }
}

/// Unique among the readers of a server: another one with the same number would end this one.
fn replica_id() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    (random as u32 | 0x8000_0000) & 0xffff_fffe
}

pub(super) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

async fn read(server: Arc<Server>, mut stream: BinlogStream, mut groups: Groups, items: Sender<Result<LogItem>>) {
    loop {
        let error = match tokio::time::timeout(SILENCE_MAX, stream.next()).await {
            Err(_) => server.error(Cause::Disconnected, format!("the log said nothing for {} s", SILENCE_MAX.as_secs())),
            Ok(None) => server.error(Cause::Disconnected, "the server ended the log"),
            Ok(Some(Err(error))) => log_error(&server, error),
            Ok(Some(Ok(event))) => match hand_on(&mut groups, &event, &items).await {
                Ok(true) => continue,
                Ok(false) => return,
                Err(reason) => server.error(Cause::Protocol, format!("the log can't be read: {reason}")),
            },
        };
        let _ = items.send(Err(error), 0).await;
        return;
    }
}

/// Whether an event is as the server wrote it, where it has a checksum: those in a compressed transaction have none.
pub(super) fn is_intact(event: &Event) -> bool {
    const CRC32: BinlogChecksumAlg = BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32;
    event.footer() != BinlogEventFooter::new(CRC32) || event.checksum() == Some(event.calc_checksum(CRC32).to_le_bytes())
}

/// Gives what an event says. False: nobody wants more.
async fn hand_on(groups: &mut Groups, event: &Event, items: &Sender<Result<LogItem>>) -> Result<bool, &'static str> {
    if !is_intact(event) {
        return Err("an event does not have its checksum: it was damaged on the way or on the server's disk");
    }
    groups.feed(event, now_us())?;
    while let Some(item) = groups.take()? {
        let bytes = item.weight();
        if !items.send(Ok(item), bytes).await {
            return Ok(false);
        }
    }
    Ok(true)
}

fn log_error(server: &Server, error: mysql_async::Error) -> Error {
    let lost = matches!(&error, mysql_async::Error::Server(error) if cause(error) == Some(Cause::LogLost));
    let error = server.failed("read the log", error);
    if lost { error.advice("keep binary logs longer (binlog_expire_logs_seconds); the site's tables are compared anew") } else { error }
}

#[async_trait]
impl crate::sites::LogReader for LogReader {
    async fn next(&mut self) -> Result<LogItem> {
        match self.items.recv().await {
            Some(ahead) => ahead.take(),
            None => Err(self.server.error(Cause::Disconnected, "an event of the log could not be read")),
        }
    }

    async fn acknowledge(&mut self, _site: SiteId, _position: &Position) -> Result<()> {
        // The server keeps its log by time and size: there is nothing to hold or to give back.
        Ok(())
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
