//! Our own transactions: marker first, then the rows, in few round trips.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Error as DriveError, Row, ServerError, Value as Wire};

use super::connect::{Session, literal, number, text};
use super::errors::{cause, is_lock_wait, rejection};
use super::steps::{Sql, Step, steps};
use super::values::{push_literal, text_literal};
use crate::model::{MarkerId, MarkerKind, Value};
use crate::sites::{Batch, Cause, Error, Lane, MARKER_TABLE, MarkerRow, Outcome, Piece, Rejection, Result, Statement};

/// A batch is given up when so many rows have been refused: it is rolled back in any case.
const CULPRITS_MAX: usize = 64;
/// Statements sent together, in bytes.
const PACKET_BYTES_MAX: usize = 4 << 20;
/// A server that takes longer for one packet is gone.
const ANSWER_MAX: Duration = Duration::from_secs(300);
/// How often `settle` waits for the lock of a transaction in progress.
const SETTLE_ATTEMPTS_MAX: u32 = 60;
/// How long an old connection of ours may take to end.
const TAKE_OVER_SECONDS_MAX: u32 = 5;
/// Marker rows removed by one statement.
const FORGET_ROWS_MAX: usize = 1000;

pub(super) struct Writer {
    session: Session,
    lock: String,
    lane: Lane,
    /// The connection is lost, or in an unknown state.
    broken: bool,
}

/// How statements sent together went: matched rows of those that were run, and the error of the one after.
struct Answers {
    matched: Vec<u64>,
    failure: Option<ServerError>,
}

/// Takes the site's lock of a lane and leaves a note of who holds it.
pub(super) async fn open(session: Session, lane: Lane, holder: &str) -> Result<Writer> {
    let lock = lock_name(&session.server.database, lane);
    let mut writer = Writer { session, lock, lane, broken: false };
    let taken = writer.session.ask(format!("SELECT GET_LOCK({}, 0)", literal(&writer.lock))).await;
    if taken.as_deref() != Some("1") && !writer.take_over(holder).await {
        return Err(writer.held().await);
    }
    let mut sql = format!("REPLACE INTO {MARKER_TABLE} (id, kind, payload) VALUES ({}, 'h', ", holder_id(lane));
    push_literal(&mut sql, &Value::Bytes(holder.as_bytes().to_vec()));
    sql.push(')');
    writer.session.run("leave a note in the marker table", sql).await?;
    Ok(writer)
}

/// Rows of the marker table that name the holders of the locks.
fn holder_id(lane: Lane) -> i64 {
    match lane {
        Lane::Urgent => -1,
        Lane::Bulk => -2,
        Lane::Control => -3,
    }
}

/// Lock names are the server's, at most 64 characters and without case.
fn lock_name(database: &str, lane: Lane) -> String {
    let name = format!("rosterd:{database}:{}", lane.name());
    if name.chars().count() <= 64 {
        return name;
    }
    let short = crate::model::fingerprint(&Value::text(database)).0;
    format!("rosterd:{short:016x}:{}", lane.name())
}

impl Writer {
    async fn note(&mut self) -> Option<String> {
        self.session.ask(format!("SELECT payload FROM {MARKER_TABLE} WHERE id = {}", holder_id(self.lane))).await
    }

    /// Takes the lock from a connection of this very process that the server has not found dead yet, as after a network that went silent.
    async fn take_over(&mut self, holder: &str) -> bool {
        if self.note().await.as_deref() != Some(holder) {
            return false;
        }
        let lock = literal(&self.lock);
        if let Some(id) = self.session.ask(format!("SELECT IS_USED_LOCK({lock})")).await.and_then(|id| id.parse::<u64>().ok()) {
            let _ = self.session.run("end an old connection", format!("KILL {id}")).await;
        }
        self.session.ask(format!("SELECT GET_LOCK({lock}, {TAKE_OVER_SECONDS_MAX})")).await.as_deref() == Some("1")
    }

    async fn held(&mut self) -> Error {
        let note = self.note().await;
        let by = note.map_or_else(|| "another rosterd".to_owned(), |note| format!("another rosterd ({note})"));
        self.session
            .server
            .error(Cause::Held, format!("{by} writes to this site in the {} lane", self.lane.name()))
            .advice("stop the other one, or remove the site from its configuration")
    }

    /// Sends statements together and reads all answers.
    async fn send(&mut self, sql: &str) -> Result<Answers> {
        self.usable()?;
        self.broken = true;
        let answers = match tokio::time::timeout(ANSWER_MAX, answers(&mut self.session, sql)).await {
            Ok(answers) => answers.map_err(|error| self.session.server.failed("write", error))?,
            Err(_) => return Err(self.session.server.error(Cause::Disconnected, format!("no answer within {} s", ANSWER_MAX.as_secs()))),
        };
        self.broken = false;
        Ok(answers)
    }

    async fn send_prepared(&mut self, sql: &str, params: &[Wire]) -> Result<Answers> {
        self.usable()?;
        self.broken = true;
        let running = self.session.conn.exec_iter(sql, params.to_vec());
        let answers = match tokio::time::timeout(ANSWER_MAX, running).await {
            Ok(Ok(result)) => Answers { matched: vec![result.affected_rows()], failure: None },
            Ok(Err(DriveError::Server(error))) => Answers { matched: Vec::new(), failure: Some(error) },
            Ok(Err(error)) => return Err(self.session.server.failed("write", error)),
            Err(_) => return Err(self.session.server.error(Cause::Disconnected, format!("no answer within {} s", ANSWER_MAX.as_secs()))),
        };
        self.broken = false;
        Ok(answers)
    }

    fn usable(&self) -> Result<()> {
        match self.broken {
            true => Err(self.session.server.error(Cause::Disconnected, "the connection was given up after an error")),
            false => Ok(()),
        }
    }

    /// Longest statement that is sent as text, with room for the packet's other parts.
    fn text_bytes_max(&self) -> usize {
        (self.session.packet_bytes_max / 2).saturating_sub(1024)
    }

    /// Runs every step, going on after those that fail; gives the rows that were refused. None: some row of several was
    /// not there, and which one shows when each is written alone.
    async fn run_steps(&mut self, batch: &Batch, steps_: Vec<Step>) -> Result<Option<Vec<(usize, Rejection)>>> {
        let text_bytes_max = self.text_bytes_max();
        let mut queue = VecDeque::from(steps_);
        let mut refused = Vec::new();
        while !queue.is_empty() && refused.len() < CULPRITS_MAX {
            let (count, answers) = self.send_next(&queue).await?;
            let done = answers.matched.len().min(count);
            for (step, matched) in queue.drain(..done).zip(answers.matched) {
                if step.may_miss || matched >= step.rows as u64 {
                    continue;
                }
                if step.rows > 1 {
                    return Ok(None);
                }
                refused.push((step.first, Rejection::Elsewise));
            }
            let Some(error) = answers.failure else {
                if done < count {
                    self.broken = true;
                    return Err(self.session.server.error(Cause::Protocol, "the server answered fewer statements than it was sent"));
                }
                continue;
            };
            let Some(step) = queue.pop_front() else { break };
            if is_lock_wait(&error) && step.rows > 0 {
                // Waiting once is enough: applications may be waiting for what this transaction has written.
                refused.extend((step.first..step.first + step.rows).map(|at| (at, Rejection::Locked)));
                break;
            }
            if step.rows > 1 {
                // Find the culprits, which are rolled back with the rest in the end.
                let (singles, unfit) = steps(&batch.rows[step.first..step.first + step.rows], step.first, text_bytes_max, false);
                refused.extend(unfit);
                singles.into_iter().rev().for_each(|single| queue.push_front(single));
                if cause(&error).is_none() {
                    continue;
                }
            }
            refused.push((step.first, self.judge(batch, &step, &error)?));
        }
        refused.sort_by_key(|(row, _)| *row);
        Ok(Some(refused))
    }

    /// Sends the first steps, as many as fit a packet; gives how many those were.
    async fn send_next(&mut self, queue: &VecDeque<Step>) -> Result<(usize, Answers)> {
        if let Some(Step { sql: Sql::Prepared(sql, params), .. }) = queue.front() {
            return Ok((1, self.send_prepared(sql, params).await?));
        }
        let limit = PACKET_BYTES_MAX.min(self.session.packet_bytes_max.saturating_sub(1024));
        let mut packet = String::new();
        let mut count = 0;
        for step in queue {
            let Sql::Text(sql) = &step.sql else { break };
            if count > 0 && packet.len() + step.bytes() > limit {
                break;
            }
            if count > 0 {
                packet.push(';');
            }
            packet.push_str(sql);
            count += 1;
        }
        Ok((count, self.send(&packet).await?))
    }

    fn judge(&self, batch: &Batch, step: &Step, error: &ServerError) -> Result<Rejection> {
        let server = &self.session.server;
        if step.rows == 0 {
            return Err(match error.code {
                1062 => server.error(Cause::Protocol, format!("the marker {} is taken already", batch.marker.0)),
                _ => server.redacted("write the marker", error),
            });
        }
        let table = &batch.rows[step.first].table;
        if cause(error).is_some() {
            return Err(server.redacted("write rows", error).table(&table.name));
        }
        let key: Vec<&str> = table.table.key.iter().filter_map(|c| table.columns[*c].as_ref()).map(|c| c.name.as_str()).collect();
        let by_unique = table.unique.iter().find(|unique| unique.columns == key);
        Ok(rejection(error, |index| match by_unique {
            Some(unique) => unique.name == index,
            None => index == "PRIMARY",
        }))
    }

    /// One attempt at a batch, with rows joined into few statements or each alone.
    async fn attempt(&mut self, batch: &Batch, join: bool) -> Result<Option<Outcome>> {
        self.usable()?;
        let (rows, unfit) = steps(&batch.rows, 0, self.text_bytes_max(), join);
        if !unfit.is_empty() {
            return Ok(Some(Outcome::Rejected(unfit)));
        }
        let mut all =
            vec![Step::ours("START TRANSACTION".into()), Step::ours(marker_insert(batch.marker, MarkerKind::Batch, &batch.payload))];
        all.extend(marker_deletes(&batch.forget).map(Step::ours));
        all.extend(rows);
        match self.run_steps(batch, all).await {
            Ok(Some(refused)) if refused.is_empty() => {
                crate::crash_point!("batch.written", self.session.server.name);
                let failed = self.finish(Some(batch.marker), &batch.statements).await?;
                crate::crash_point!("batch.committed", self.session.server.name);
                Ok(Some(Outcome::Committed { failed }))
            }
            Ok(refused) => {
                self.roll_back().await?;
                Ok(refused.map(Outcome::Rejected))
            }
            Err(error) => {
                // Nothing was committed, so the first error counts.
                if !self.broken {
                    let _ = self.roll_back().await;
                }
                Err(error)
            }
        }
    }

    async fn roll_back(&mut self) -> Result<()> {
        self.send("ROLLBACK").await?;
        Ok(())
    }

    /// Runs after-apply statements and the commit; a failing one is skipped.
    async fn finish(&mut self, marker: Option<MarkerId>, statements: &[Statement]) -> Result<Vec<(usize, String)>> {
        let mut failed = Vec::new();
        let mut sql: Vec<String> = statements.iter().map(statement_sql).collect();
        sql.push("COMMIT".into());
        let mut next = 0;
        while next < sql.len() {
            // A statement that is several in itself would put the answers out of step.
            let alone = sql[next].contains(';');
            let end = if alone { next + 1 } else { next + sql[next..].iter().take_while(|text| !text.contains(';')).count() };
            let answers = self.send(&sql[next..end].join(";")).await?;
            let Some(error) = answers.failure else {
                next = end;
                continue;
            };
            next = if alone { next } else { next + answers.matched.len() };
            if next + 1 >= sql.len() {
                self.broken = true;
                return Err(self.unknown(&error));
            }
            failed.push((next, format!("error {} ({})", error.code, error.state)));
            next += 1;
            self.still_open(marker, &error).await?;
        }
        Ok(failed)
    }

    /// The commit was answered by an error: what became of it is found out on a new connection.
    fn unknown(&self, error: &ServerError) -> Error {
        self.session.server.error(Cause::Disconnected, format!("the commit was answered by error {} ({})", error.code, error.state))
    }

    /// Some errors roll the whole transaction back: then our marker is not there any more.
    async fn still_open(&mut self, marker: Option<MarkerId>, error: &ServerError) -> Result<()> {
        let Some(MarkerId(id)) = marker else { return Ok(()) };
        let found = self.session.ask(format!("SELECT id FROM {MARKER_TABLE} WHERE id = {id}")).await;
        if found.is_none() {
            let mut error = self.session.server.redacted("run an after-apply statement", error);
            error.cause = Cause::Busy;
            self.roll_back().await?;
            return Err(error);
        }
        Ok(())
    }

    /// A statement of its own, committed at once.
    async fn once(&mut self, doing: &str, sql: &str) -> Result<()> {
        match self.send(sql).await?.failure {
            None => Ok(()),
            Some(error) => Err(self.session.server.redacted(doing, &error)),
        }
    }
}

async fn answers(session: &mut Session, sql: &str) -> std::result::Result<Answers, DriveError> {
    let mut matched = Vec::new();
    let mut result = match session.conn.query_iter(sql).await {
        Ok(result) => result,
        Err(DriveError::Server(error)) => return Ok(Answers { matched, failure: Some(error) }),
        Err(error) => return Err(error),
    };
    // An answer without columns is pending too, until it is taken.
    while result.columns().is_some() {
        matched.push(result.affected_rows());
        loop {
            match result.next().await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(DriveError::Server(error)) => return Ok(Answers { matched, failure: Some(error) }),
                Err(error) => return Err(error),
            }
        }
    }
    // The driver keeps the error of a later statement until it is asked for the next row.
    match result.next().await {
        Ok(_) => Ok(Answers { matched, failure: None }),
        Err(DriveError::Server(error)) => Ok(Answers { matched, failure: Some(error) }),
        Err(error) => Err(error),
    }
}

fn statement_sql(statement: &Statement) -> String {
    let mut sql = String::new();
    for piece in &statement.0 {
        match piece {
            Piece::Sql(text) => sql.push_str(text),
            Piece::Value(Value::Text(text)) => text_literal(&mut sql, text),
            Piece::Value(value) => push_literal(&mut sql, value),
        }
    }
    let trimmed = sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).len();
    sql.truncate(trimmed);
    sql
}

fn marker_insert(marker: MarkerId, kind: MarkerKind, payload: &[u8]) -> String {
    let mut sql = format!("INSERT INTO {MARKER_TABLE} (id, kind, payload) VALUES ({}, '{}', ", marker.0, kind.letter());
    push_literal(&mut sql, &Value::Bytes(payload.to_vec()));
    sql.push(')');
    sql
}

fn marker_deletes(markers: &[MarkerId]) -> impl Iterator<Item = String> {
    markers.chunks(FORGET_ROWS_MAX).map(|some| {
        let ids = some.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(",");
        format!("DELETE FROM {MARKER_TABLE} WHERE id IN ({ids})")
    })
}

#[async_trait]
impl crate::sites::Writer for Writer {
    async fn apply(&mut self, batch: &Batch) -> Result<Outcome> {
        match self.attempt(batch, true).await? {
            Some(outcome) => Ok(outcome),
            None => match self.attempt(batch, false).await? {
                Some(outcome) => Ok(outcome),
                None => Err(self.session.server.error(Cause::Protocol, "single rows were counted as several")),
            },
        }
    }

    async fn mark(&mut self, marker: MarkerId, payload: &[u8]) -> Result<()> {
        self.once("write a watermark", &marker_insert(marker, MarkerKind::Watermark, payload)).await
    }

    async fn settle(&mut self, marker: MarkerId) -> Result<bool> {
        let tombstone = marker_insert(marker, MarkerKind::Tombstone, b"");
        for _ in 0..SETTLE_ATTEMPTS_MAX {
            let Some(error) = self.send(&tombstone).await?.failure else { return Ok(false) };
            match (error.code, cause(&error)) {
                (1062, _) => {
                    let kind = self.session.ask(format!("SELECT kind FROM {MARKER_TABLE} WHERE id = {}", marker.0)).await;
                    return Ok(kind.as_deref() != Some(MarkerKind::Tombstone.letter()));
                }
                (_, Some(Cause::Busy)) => {}
                _ => return Err(self.session.server.redacted("settle a batch", &error)),
            }
        }
        Err(self.session.server.error(Cause::Busy, format!("the transaction of batch {} does not end", marker.0)))
    }

    async fn forget(&mut self, markers: &[MarkerId]) -> Result<()> {
        for sql in marker_deletes(markers) {
            self.once("remove markers", &sql).await?;
        }
        Ok(())
    }

    async fn markers(&mut self) -> Result<Vec<MarkerRow>> {
        self.usable()?;
        markers(&mut self.session).await
    }

    async fn run(&mut self, statements: &[Statement]) -> Result<Vec<(usize, String)>> {
        self.once("begin", "START TRANSACTION").await?;
        self.finish(None, statements).await
    }

    async fn ping(&mut self) -> Result<()> {
        self.usable()?;
        let sql = format!("SELECT IS_USED_LOCK({}) = CONNECTION_ID()", literal(&self.lock));
        let mut rows = self.session.rows("ask for the lock", sql).await?;
        match rows.first_mut().and_then(|row| number(row, 0)) {
            Some(1) => Ok(()),
            _ => Err(self.held().await),
        }
    }
}

/// All rows of the marker table, the notes of who holds the locks left out.
pub(super) async fn markers(session: &mut Session) -> Result<Vec<MarkerRow>> {
    let sql = format!("SELECT id, kind, payload FROM {MARKER_TABLE} WHERE id >= 0 ORDER BY id");
    let rows = session.rows("read the marker table", sql).await?;
    Ok(rows.into_iter().filter_map(marker_row).collect())
}

fn marker_row(mut row: Row) -> Option<MarkerRow> {
    let id = text(&mut row, 0)?.parse().ok()?;
    let kind = MarkerKind::from_letter(&text(&mut row, 1)?)?;
    match row.take::<Wire, _>(2)? {
        Wire::Bytes(payload) => Some((MarkerId(id), kind, payload)),
        _ => None,
    }
}
