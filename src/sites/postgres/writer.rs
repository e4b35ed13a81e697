//! Our own transactions at a site: one connection for each lane, holding that lane's lock for as long as it lives.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Statement as Prepared};

use super::ahead::Ahead;
use super::connect::{Connector, qualified};
use super::errors::{Fault, LOCK_WAIT, from_driver};
use super::pipeline::{Bound, Failed, guarded, pipelined};
use super::sequences;
use super::statements::{self, Sql};
use crate::model::{MarkerId, MarkerKind, SiteTable, WriteKind};
use crate::sites::{Batch, Cause, Error, Finding, Lane, MARKER_TABLE, MarkerRow, Outcome, Rejection, Result, RowWrite, Statement, Writer};

const PREPARED_MAX: usize = 1000;
/// Each row found costs a round trip: the rest of a thoroughly bad batch is found in further attempts.
const CULPRITS_MAX: usize = 100;

/// How long an old session of ours may take to end.
const TAKE_OVER_MAX: Duration = Duration::from_secs(5);
const TAKE_OVER_POLL: Duration = Duration::from_millis(20);

struct PostgresWriter {
    site: String,
    schema: String,
    lane: Lane,
    client: Client,
    lock_key: i64,
    prepared: HashMap<String, Prepared>,
    sequences: Ahead,
    /// A call may have been dropped inside a transaction.
    in_transaction: bool,
}

pub(super) async fn open(connector: &Connector, lane: Lane, holder: &str) -> Result<Box<dyn Writer>> {
    let (site, schema) = (connector.site.clone(), connector.server.schema.clone());
    let client = connector.client().await?;
    let lock_key = lock_key(&schema, lane);
    let refused = |error| from_driver(&site, "taking the lane's lock", error);
    let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&lock_key]).await.map_err(refused)?;
    if !row.get::<_, bool>(0) && !take_over(&client, &schema, lane, lock_key, holder).await {
        return Err(held(&client, &site, &schema, lane, lock_key).await);
    }
    let wait = lock_timeout(connector.lock_wait);
    client.batch_execute(&format!("SET lock_timeout = {wait}")).await.map_err(refused)?;
    // What is lost with the server's memory is still owed: only its log, which it writes to disk first, says what it holds. Watermarks
    // take all before them to disk.
    if lane != Lane::Control {
        client.batch_execute("SET synchronous_commit = off").await.map_err(refused)?;
    }
    // The applications' triggers and foreign keys have done their work where the change was made. Not permitted
    // everywhere: `check` says what that means.
    match client.batch_execute("SET session_replication_role = replica").await {
        Err(error) if Fault::of(&error).is_none_or(|fault| fault.code != "42501") => return Err(refused(error)),
        Ok(()) | Err(_) => {}
    }
    let (prepared, sequences) = (HashMap::new(), Ahead::default());
    let writer = PostgresWriter { site, schema, lane, client, lock_key, prepared, sequences, in_transaction: false };
    writer.name_holder(holder).await?;
    Ok(Box::new(writer))
}

/// At least a millisecond: zero means to wait for ever.
fn lock_timeout(wait: Duration) -> u128 {
    wait.as_millis().clamp(1, i32::MAX as u128)
}

fn lock_key(schema: &str, lane: Lane) -> i64 {
    use sha2::{Digest, Sha256};
    let sum = Sha256::digest(format!("rosterd writer {schema} {}", lane.name()));
    let mut first = [0; 8];
    first.copy_from_slice(&sum[..8]);
    i64::from_be_bytes(first)
}

/// The row of the marker table that names who holds the lane.
fn holder_id(lane: Lane) -> i64 {
    match lane {
        Lane::Urgent => -1,
        Lane::Bulk => -2,
        Lane::Control => -3,
    }
}

/// Takes the lock from a session of this very process that the server has not found dead yet, as after a network that went silent.
async fn take_over(client: &Client, schema: &str, lane: Lane, lock_key: i64, holder: &str) -> bool {
    const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_locks \
        WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
        AND (classid::bigint << 32) | objid::bigint = $1";
    if note(client, schema, lane).await.as_deref() != Some(holder) || client.query(END, &[&lock_key]).await.is_err() {
        return false;
    }
    let deadline = Instant::now() + TAKE_OVER_MAX;
    while Instant::now() < deadline {
        match client.query_one("SELECT pg_try_advisory_lock($1)", &[&lock_key]).await {
            Ok(row) if row.get(0) => return true,
            Ok(_) => sleep(TAKE_OVER_POLL).await,
            Err(_) => return false,
        }
    }
    false
}

async fn note(client: &Client, schema: &str, lane: Lane) -> Option<String> {
    let (marker, id) = (qualified(schema, MARKER_TABLE), holder_id(lane));
    let sql = format!("SELECT convert_from(payload, 'UTF8') FROM {marker} WHERE id = {id} AND kind = 'h'");
    client.query_opt(&sql, &[]).await.ok()??.try_get(0).ok()
}

async fn held(client: &Client, site: &str, schema: &str, lane: Lane, lock_key: i64) -> Error {
    const SESSION: &str = "SELECT coalesce(a.application_name, '?') || ' (process ' || l.pid || coalesce(', from ' || a.client_addr::text, '') || ')' \
        FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
        WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32) | l.objid::bigint = $1 LIMIT 1";
    let mut who: Vec<String> = note(client, schema, lane).await.into_iter().collect();
    if let Ok(Some(row)) = client.query_opt(SESSION, &[&lock_key]).await {
        who.extend(row.try_get::<_, String>(0).map(|session| format!("session {session}")));
    }
    let who = if who.is_empty() { "another session".into() } else { who.join(", ") };
    Error::new(Cause::Held, site, format!("the {} lane is written by another daemon: {who}", lane.name()))
        .advice("stop that daemon, or end its session at the server")
}

impl PostgresWriter {
    fn driver(&self, doing: &str, error: tokio_postgres::Error) -> Error {
        from_driver(&self.site, doing, error)
    }

    async fn name_holder(&self, holder: &str) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (id, kind, payload) VALUES ($1, 'h', $2) ON CONFLICT (id) DO UPDATE SET payload = excluded.payload",
            qualified(&self.schema, MARKER_TABLE)
        );
        let done = self.client.execute(&sql, &[&holder_id(self.lane), &holder.as_bytes()]).await;
        done.map_err(|error| self.driver("writing to the marker table", error)).map(drop)
    }

    async fn prepare(&mut self, sql: &Sql) -> Result<Prepared, tokio_postgres::Error> {
        if let Some(prepared) = self.prepared.get(&sql.text) {
            return Ok(prepared.clone());
        }
        if self.prepared.len() >= PREPARED_MAX {
            self.prepared.clear();
        }
        let prepared = self.client.prepare(&sql.text).await?;
        self.prepared.insert(sql.text.clone(), prepared.clone());
        Ok(prepared)
    }

    async fn bind(&mut self, sql: Sql) -> Result<Bound, tokio_postgres::Error> {
        Ok(Bound { prepared: self.prepare(&sql).await?, params: sql.params })
    }

    /// One of our own statements, by itself; the number of rows.
    async fn execute(&mut self, doing: &str, sql: Sql) -> Result<u64> {
        let bound = self.bind(sql).await.map_err(|error| self.driver(doing, error))?;
        self.client.execute_raw(&bound.prepared, &bound.params).await.map_err(|error| self.driver(doing, error))
    }

    async fn clean(&mut self) -> Result<()> {
        if self.in_transaction {
            self.client.batch_execute("ROLLBACK").await.map_err(|error| self.driver("rolling back", error))?;
            self.in_transaction = false;
        }
        Ok(())
    }

    async fn end(&mut self, how: &str) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute(how).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Each row by itself.
    async fn bind_rows(&mut self, rows: &[RowWrite]) -> Result<Vec<Bound>> {
        let mut bound = Vec::with_capacity(rows.len());
        for row in rows {
            let made = self.bind(statements::write(row)).await;
            bound.push(made.map_err(|error| self.driver("preparing to write", error).table(&row.table.name))?);
        }
        Ok(bound)
    }

    /// Rows together where that is faster, with how many of them each statement writes. The rows of a locked table are refused.
    async fn bind_groups(&mut self, rows: &[RowWrite]) -> Result<Result<(Vec<Bound>, Vec<usize>), Pass>> {
        let (mut bound, mut sizes, mut at) = (Vec::new(), Vec::new(), 0);
        while at < rows.len() {
            let size = statements::group(&rows[at..]);
            match self.bind_group(&rows[at..at + size]).await {
                Ok(made) => bound.push(made),
                Err(error) if Fault::of(&error).is_some_and(|fault| fault.code == LOCK_WAIT) => return Ok(Err(Pass::locked(at, size))),
                Err(error) => return Err(self.driver("preparing to write", error).table(&rows[at].table.name)),
            }
            sizes.push(size);
            at += size;
        }
        Ok(Ok((bound, sizes)))
    }

    async fn bind_group(&mut self, rows: &[RowWrite]) -> Result<Bound, tokio_postgres::Error> {
        if let [row] = rows {
            return self.bind(statements::write(row)).await;
        }
        let alone = self.prepare(&statements::write(&rows[0])).await?;
        self.bind(statements::write_together(rows, alone.params())).await
    }

    /// Marker and forgotten markers: the first acts of a batch.
    async fn bind_head(&mut self, batch: &Batch) -> Result<Vec<Bound>> {
        const DOING: &str = "preparing to write to the marker table";
        let marker = statements::marker(&self.schema, batch.marker, MarkerKind::Batch.letter(), &batch.payload);
        let mut head = vec![self.bind(marker).await.map_err(|error| self.driver(DOING, error))?];
        if !batch.forget.is_empty() {
            let forget = statements::forget(&self.schema, &batch.forget);
            head.push(self.bind(forget).await.map_err(|error| self.driver(DOING, error))?);
        }
        Ok(head)
    }

    /// Sends all of a batch at once. Empty: every row is as it had to be.
    async fn first_pass(&mut self, batch: &Batch, head: &[Bound]) -> Result<Pass> {
        let (groups, sizes) = match self.bind_groups(&batch.rows).await? {
            Ok(groups) => groups,
            Err(pass) => return Ok(pass),
        };
        self.in_transaction = true;
        let answers = pipelined(&self.client, &["BEGIN"], head.iter().chain(&groups)).await;
        let mut answers = answers.into_iter();
        for answer in answers.by_ref().take(1 + head.len()) {
            if let Err(error) = answer {
                return Err(self.marker_refused(batch, error));
            }
        }
        let (mut rejected, mut at) = (Vec::new(), 0);
        for (answer, size) in answers.zip(sizes) {
            let row = &batch.rows[at];
            match answer {
                Ok(count) if row.kind == WriteKind::Delete || count == size as u64 => {}
                Ok(_) if size == 1 => rejected.push((at, Rejection::Elsewise)),
                // One of several is not as it has to be.
                Ok(_) => return Ok(Pass::Failed),
                Err(error) => match Fault::of(&error) {
                    Some(fault) => match self.rejection(row, &fault) {
                        // Waiting once is enough: applications may be waiting for what this transaction has written.
                        Some(Rejection::Locked) => return Ok(Pass::locked(at, size)),
                        Some(_) => return Ok(Pass::Failed),
                        None => return Err(fault.error(&self.site, "writing").table(&row.table.name)),
                    },
                    None => return Err(self.driver("writing", error).table(&row.table.name)),
                },
            }
            at += size;
        }
        Ok(Pass::Done(rejected))
    }

    fn marker_refused(&self, batch: &Batch, error: tokio_postgres::Error) -> Error {
        match Fault::of(&error) {
            Some(fault) if fault.code == "23505" => {
                Error::new(Cause::Protocol, &self.site, format!("batch {} was given up before: its number is taken", batch.marker.0))
            }
            _ => self.driver("writing to the marker table", error),
        }
    }

    fn rejection(&self, row: &RowWrite, fault: &Fault) -> Option<Rejection> {
        fault.rejection(Some(&format!("{}_pkey", row.table.name)))
    }

    /// The batch again, each row under a savepoint, to find every row that can't be written; rolled back by the caller.
    async fn second_pass(&mut self, batch: &Batch, head: &[Bound]) -> Result<Vec<(usize, Rejection)>> {
        let rows = self.bind_rows(&batch.rows).await?;
        self.in_transaction = true;
        let begin = ["BEGIN", "SET CONSTRAINTS ALL IMMEDIATE"];
        for answer in pipelined(&self.client, &begin, head.iter()).await {
            answer.map_err(|error| self.marker_refused(batch, error))?;
        }
        let mut rejected = Vec::new();
        let answers = guarded(&self.client, &rows, CULPRITS_MAX, Some(LOCK_WAIT)).await.map_err(|error| self.driver("writing", error))?;
        for (at, answer) in answers.into_iter().enumerate() {
            let row = &batch.rows[at];
            match answer {
                Ok(0) if row.kind != WriteKind::Delete => rejected.push((at, Rejection::Elsewise)),
                Ok(_) => {}
                Err(Failed { fault }) => match self.rejection(row, &fault) {
                    Some(rejection) => rejected.push((at, rejection)),
                    None => return Err(fault.error(&self.site, "writing").table(&row.table.name)),
                },
            }
        }
        Ok(rejected)
    }

    async fn attempt(&mut self, batch: &Batch) -> Result<Outcome> {
        self.clean().await?;
        let head = self.bind_head(batch).await?;
        let found = self.sequences.find(&self.client, &batch.rows).await;
        found.map_err(|error| self.driver("looking at sequences", error))?;
        let (statements, mut failed) = self.bind_statements(&batch.statements).await?;
        match self.first_pass(batch, &head).await? {
            Pass::Done(rejected) if rejected.is_empty() => {}
            Pass::Done(rejected) => {
                self.clean().await?;
                return Ok(Outcome::Rejected(rejected));
            }
            Pass::Failed => return self.culprits(batch, &head, None).await,
        }
        failed.extend(self.run_guarded(&statements).await?);
        crate::crash_point!("batch.written", self.site);
        let advanced = self.sequences.advance(&self.client, &self.site, &batch.rows).await;
        advanced.map_err(|error| self.driver("moving a sequence on", error))?;
        crate::crash_point!("batch.numbered", self.site);
        match self.end("COMMIT").await {
            Ok(()) => {
                crate::crash_point!("batch.committed", self.site);
                Ok(Outcome::Committed { failed })
            }
            // A deferred constraint speaks at the commit.
            Err(error) => match Fault::of(&error).and_then(|fault| fault.rejection(None)) {
                Some(rejection) => {
                    self.in_transaction = false;
                    self.culprits(batch, &head, Some(rejection)).await
                }
                None => Err(self.driver("committing", error)),
            },
        }
    }

    /// `otherwise`: what to say of every row when none can be found guilty by itself.
    async fn culprits(&mut self, batch: &Batch, head: &[Bound], otherwise: Option<Rejection>) -> Result<Outcome> {
        self.clean().await?;
        let rejected = self.second_pass(batch, head).await?;
        self.clean().await?;
        // The table may have been altered under the prepared statements.
        self.prepared.clear();
        if let (true, Some(rejection)) = (rejected.is_empty(), otherwise) {
            return Ok(Outcome::Rejected((0..batch.rows.len()).map(|at| (at, rejection.clone())).collect()));
        }
        if rejected.is_empty() {
            return Err(Error::new(Cause::Busy, &self.site, "a batch failed and then could have been written"));
        }
        Ok(Outcome::Rejected(rejected))
    }

    /// The statements that the server understands, and the reasons for those that it does not.
    async fn bind_statements(&mut self, statements: &[Statement]) -> Result<(Vec<(usize, Bound)>, Vec<(usize, String)>)> {
        let (mut bound, mut failed) = (Vec::new(), Vec::new());
        for (at, statement) in statements.iter().enumerate() {
            match self.bind(statements::after_apply(statement)).await {
                Ok(made) => bound.push((at, made)),
                Err(error) => match Fault::of(&error) {
                    Some(fault) => failed.push((at, fault.text())),
                    None => return Err(self.driver("preparing after-apply statements", error)),
                },
            }
        }
        Ok((bound, failed))
    }

    async fn run_guarded(&mut self, statements: &[(usize, Bound)]) -> Result<Vec<(usize, String)>> {
        let bound: Vec<Bound> = statements.iter().map(|(_, bound)| bound.clone()).collect();
        let answers = guarded(&self.client, &bound, usize::MAX, None).await;
        let answers = answers.map_err(|error| self.driver("running after-apply statements", error))?;
        let failed = statements.iter().zip(answers).filter_map(|((at, _), answer)| Some((*at, answer.err()?.fault.bare())));
        Ok(failed.collect())
    }
}

enum Pass {
    /// Rows that were not as they had to be.
    Done(Vec<(usize, Rejection)>),
    /// The server refused a row.
    Failed,
}

impl Pass {
    fn locked(at: usize, size: usize) -> Pass {
        Pass::Done((at..at + size).map(|at| (at, Rejection::Locked)).collect())
    }
}

/// All rows of the marker table, the notes of who holds the locks left out.
pub(super) async fn markers(client: &Client, site: &str, schema: &str) -> Result<Vec<MarkerRow>> {
    let sql = format!("SELECT id, kind::text, payload FROM {} ORDER BY id", qualified(schema, MARKER_TABLE));
    let rows = client.query(&sql, &[]).await.map_err(|error| from_driver(site, "reading the markers", error))?;
    let marker = |row: &tokio_postgres::Row| Some((MarkerId(row.get(0)), MarkerKind::from_letter(row.get(1))?, row.get(2)));
    Ok(rows.iter().filter_map(marker).collect())
}

#[async_trait]
impl Writer for PostgresWriter {
    async fn apply(&mut self, batch: &Batch) -> Result<Outcome> {
        let result = self.attempt(batch).await;
        if result.as_ref().is_err_and(|error| error.cause != Cause::Disconnected) {
            // Locks must not outlive the attempt; that the connection is gone shows at the next one.
            let _ = self.clean().await;
        }
        result
    }

    async fn mark(&mut self, marker: MarkerId, payload: &[u8]) -> Result<()> {
        self.clean().await?;
        let mut sql = statements::marker(&self.schema, marker, MarkerKind::Watermark.letter(), payload);
        sql.text.push_str(" ON CONFLICT (id) DO UPDATE SET payload = excluded.payload WHERE rosterd_marker.kind = 'w'");
        match self.execute("writing a watermark", sql).await? {
            0 => Err(Error::new(Cause::Protocol, &self.site, format!("the number of watermark {} is taken", marker.0))),
            _ => Ok(()),
        }
    }

    async fn settle(&mut self, marker: MarkerId) -> Result<bool> {
        self.clean().await?;
        let mut sql = statements::marker(&self.schema, marker, MarkerKind::Tombstone.letter(), &[]);
        sql.text.push_str(" ON CONFLICT (id) DO NOTHING");
        if self.execute("settling a batch", sql).await? == 1 {
            return Ok(false);
        }
        let sql = format!("SELECT kind::text FROM {} WHERE id = $1", qualified(&self.schema, MARKER_TABLE));
        let row = self.client.query_opt(&sql, &[&marker.0]).await.map_err(|error| self.driver("settling a batch", error))?;
        Ok(row.is_some_and(|row| row.get::<_, &str>(0) != MarkerKind::Tombstone.letter()))
    }

    async fn forget(&mut self, markers: &[MarkerId]) -> Result<()> {
        self.clean().await?;
        self.execute("removing markers", statements::forget(&self.schema, markers)).await.map(drop)
    }

    async fn markers(&mut self) -> Result<Vec<MarkerRow>> {
        self.clean().await?;
        markers(&self.client, &self.site, &self.schema).await
    }

    async fn run(&mut self, statements: &[Statement]) -> Result<Vec<(usize, String)>> {
        self.clean().await?;
        let (bound, mut failed) = self.bind_statements(statements).await?;
        self.in_transaction = true;
        self.client.batch_execute("BEGIN").await.map_err(|error| self.driver("running after-apply statements", error))?;
        failed.extend(self.run_guarded(&bound).await?);
        self.end("COMMIT").await.map_err(|error| self.driver("running after-apply statements", error))?;
        Ok(failed)
    }

    async fn align(&mut self, tables: &[Arc<SiteTable>]) -> Result<Vec<Finding>> {
        self.clean().await?;
        let mut told = Vec::new();
        for table in tables {
            self.in_transaction = true;
            let aligned = sequences::align(&self.client, table).await;
            told.extend(aligned.map_err(|error| self.driver("moving sequences", error).table(&table.name))?);
            self.in_transaction = false;
        }
        Ok(told)
    }

    async fn ping(&mut self) -> Result<()> {
        const SQL: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() \
            AND (classid::bigint << 32) | objid::bigint = $1)";
        self.clean().await?;
        let row = self.client.query_one(SQL, &[&self.lock_key]).await.map_err(|error| self.driver("asking whether it lives", error))?;
        if row.get(0) {
            Ok(())
        } else {
            Err(Error::new(Cause::Disconnected, &self.site, format!("the {} lane's lock is lost", self.lane.name())))
        }
    }
}
