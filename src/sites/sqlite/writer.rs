//! Our own transactions.
//!
//! SQLite has one writer at a time, so nothing is ever overwritten unseen: within the write lock, a row that the changelog
//! says an application wrote after what the ledger has captured is left alone (`Rejection::Elsewise`).
//!
//! Foreign keys are enforced when the schema declares any. Without that, a row that arrives before its parent would
//! be an orphan that nobody is told of; with it, it is rejected by name and tried again. A cascade that this sets off is
//! what the application's own delete would do; it is logged by the triggers, and `check` warns of cascades.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, TransactionBehavior, params, params_from_iter};

use super::connect::{LaneLock, Place, blocking};
use super::errors::{self, reason, rejection};
use super::rows::RawKey;
use super::statements::{Prepared, Shapes};
use super::triggers::{mark, mark_sql};
use super::uncaptured::Uncaptured;
use super::values::{Raw, encode};
use crate::model::{ColumnType, MarkerId, MarkerKind, WriteKind};
use crate::sites::{Batch, Cause, Error, Lane, MarkerRow, Outcome, Piece, Rejection, Result, Statement, Writer};

pub struct SqliteWriter {
    place: Place,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    place: Place,
    db: Connection,
    lock: LaneLock,
    captured: Arc<AtomicI64>,
    uncaptured: Uncaptured,
    shapes: Shapes,
}

impl SqliteWriter {
    pub async fn open(place: Place, lane: Lane, holder: &str, captured: Arc<AtomicI64>) -> Result<SqliteWriter> {
        let (opening, holder) = (place.clone(), holder.to_string());
        let inner = blocking(&place.site, move || {
            let lock = LaneLock::take(&opening, lane, &holder)?;
            let db = opening.open()?;
            let failed = |error| opening.error("opening the database for writing", &error);
            db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
            let keys: bool = db
                .query_row(
                    "SELECT EXISTS (SELECT 1 FROM pragma_table_list AS t, pragma_foreign_key_list(t.name) WHERE t.schema = 'main' AND t.type = 'table')",
                    [],
                    |row| row.get(0),
                )
                .map_err(failed)?;
            db.pragma_update(None, "foreign_keys", keys).map_err(failed)?;
            Ok(Inner { place: opening, db, lock, captured, uncaptured: Uncaptured::default(), shapes: Shapes::default() })
        })
        .await?;
        Ok(SqliteWriter { place, inner: Arc::new(Mutex::new(inner)) })
    }

    /// A call that is given up goes on to its end; the next one waits for it.
    async fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = self.inner.clone();
        blocking(&self.place.site, move || work(&mut inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))).await
    }
}

#[async_trait]
impl Writer for SqliteWriter {
    async fn apply(&mut self, batch: &Batch) -> Result<Outcome> {
        let batch = batch.clone();
        self.with(move |inner| inner.apply(&batch)).await
    }

    async fn mark(&mut self, marker: MarkerId, payload: &[u8]) -> Result<()> {
        let payload = payload.to_vec();
        self.with(move |inner| {
            inner.transaction("writing a watermark", |tx| {
                insert_marker(tx, marker, MarkerKind::Watermark, &payload)?;
                tx.prepare_cached(&mark_sql())?.execute(params![mark::WATERMARK, marker.0])?;
                Ok(())
            })
        })
        .await
    }

    async fn settle(&mut self, marker: MarkerId) -> Result<bool> {
        self.with(move |inner| {
            inner.transaction("settling a batch", |tx| {
                let mut find = tx.prepare_cached("SELECT kind = 'b' FROM rosterd_marker WHERE id = ?1")?;
                let found: Option<bool> = find.query([marker.0])?.next()?.map(|row| row.get(0)).transpose()?;
                if found.is_none() {
                    insert_marker(tx, marker, MarkerKind::Tombstone, &[])?;
                }
                Ok(found.unwrap_or(false))
            })
        })
        .await
    }

    async fn forget(&mut self, markers: &[MarkerId]) -> Result<()> {
        let markers = markers.to_vec();
        self.with(move |inner| inner.transaction("forgetting markers", |tx| forget(tx, &markers))).await
    }

    async fn markers(&mut self) -> Result<Vec<MarkerRow>> {
        self.with(|inner| markers(&inner.db, &inner.place)).await
    }

    async fn run(&mut self, statements: &[Statement]) -> Result<Vec<(usize, String)>> {
        let statements = statements.to_vec();
        self.with(move |inner| inner.transaction("running after-apply statements", |tx| run(tx, &statements))).await
    }

    async fn ping(&mut self) -> Result<()> {
        self.with(|inner| {
            if !inner.lock.still_held() {
                return Err(Error::new(Cause::Disconnected, &inner.place.site, "the lock file has been removed"));
            }
            inner.place.inode()?;
            inner
                .db
                .query_row("PRAGMA schema_version", [], |_| Ok(()))
                .map_err(|e| inner.place.error("looking whether the database answers", &e))
        })
        .await
    }
}

impl Inner {
    fn transaction<T>(&mut self, doing: &str, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let run = || {
            let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&tx)?;
            tx.commit()?;
            Ok(result)
        };
        run().map_err(|error| self.place.error(doing, &error))
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome> {
        // Everything that needs no lock comes first: the write lock is held for the statements only.
        let prepared: Vec<_> = batch.rows.iter().map(|row| self.shapes.prepare(row)).collect();
        let unfit: Vec<_> = prepared
            .iter()
            .enumerate()
            .filter_map(|(i, row)| row.as_ref().err().map(|reason| (i, Rejection::Data((*reason).into()))))
            .collect();
        if !unfit.is_empty() {
            return Ok(Outcome::Rejected(unfit));
        }
        let rows: Vec<Prepared> = prepared.into_iter().flatten().collect();
        let captured = self.captured.load(Ordering::Acquire);
        let Inner { place, db, uncaptured, .. } = self;
        let failed = |error: &rusqlite::Error| place.error("applying a batch", error);
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| failed(&e))?;
        crate::crash_point!("batch.begun", place.site);
        if !uncaptured.catch_up(&tx, captured).map_err(|e| failed(&e))? {
            return Err(Error::new(Cause::Busy, &place.site, "applications have written more than the ledger has read yet")
                .advice("it goes on by itself when the ledger has caught up"));
        }
        begin(&tx, batch).map_err(|error| if errors::is_taken(&error) { taken(place, batch.marker) } else { failed(&error) })?;
        crate::crash_point!("batch.marked", place.site);
        let rejected = write(&tx, batch, &rows, uncaptured).map_err(|e| failed(&e))?;
        if !rejected.is_empty() {
            if !tx.is_autocommit() {
                tx.rollback().map_err(|e| failed(&e))?;
            }
            return Ok(Outcome::Rejected(rejected));
        }
        let statements = run(&tx, &batch.statements).map_err(|e| failed(&e))?;
        tx.prepare_cached(&mark_sql()).and_then(|mut mark| mark.execute([mark::END, ""])).map_err(|e| failed(&e))?;
        crate::crash_point!("batch.written", place.site);
        let rejected = finish(tx, batch, &rows).map_err(|e| failed(&e))?;
        if !rejected.is_empty() {
            return Ok(Outcome::Rejected(rejected));
        }
        crate::crash_point!("batch.committed", place.site);
        Ok(Outcome::Committed { failed: statements })
    }
}

fn taken(place: &Place, marker: MarkerId) -> Error {
    Error::new(Cause::Protocol, &place.site, format!("the number of batch {} is taken: it was settled as not committed", marker.0))
        .advice("the batch is sent again under a new number")
}

/// All rows of the marker table.
pub(super) fn markers(db: &Connection, place: &Place) -> Result<Vec<MarkerRow>> {
    let read = || {
        let mut list = db.prepare_cached("SELECT id, kind, payload FROM rosterd_marker ORDER BY id")?;
        let rows = list.query_map([], |row| Ok((MarkerId(row.get(0)?), row.get::<_, String>(1)?, row.get(2)?)))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    let rows = read().map_err(|e| place.error("reading the markers", &e))?;
    let unknown = || Error::new(Cause::Protocol, &place.site, "the marker table holds a kind that this version does not know");
    rows.into_iter().map(|(id, kind, payload)| Ok((id, MarkerKind::from_letter(&kind).ok_or_else(unknown)?, payload))).collect()
}

fn insert_marker(tx: &Transaction<'_>, marker: MarkerId, kind: MarkerKind, payload: &[u8]) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached("INSERT INTO rosterd_marker (id, kind, payload) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![marker.0, kind.letter(), payload]).map(|_| ())
}

fn forget(tx: &Transaction<'_>, markers: &[MarkerId]) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached("DELETE FROM rosterd_marker WHERE id = ?1")?;
    markers.iter().try_for_each(|marker| delete.execute([marker.0]).map(|_| ()))
}

fn begin(tx: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    insert_marker(tx, batch.marker, MarkerKind::Batch, &batch.payload)?;
    forget(tx, &batch.forget)?;
    tx.prepare_cached(&mark_sql())?.execute(params![mark::BEGIN, batch.marker.0]).map(|_| ())
}

/// Writes the rows in order; a rejected one does not keep the others from being tried.
fn write(tx: &Transaction<'_>, batch: &Batch, rows: &[Prepared], uncaptured: &Uncaptured) -> rusqlite::Result<Vec<(usize, Rejection)>> {
    let mut rejected = Vec::new();
    for (i, (row, prepared)) in batch.rows.iter().zip(rows).enumerate() {
        if uncaptured.names(&row.table.name, &prepared.key) {
            rejected.push((i, Rejection::Elsewise));
            continue;
        }
        let done = tx.prepare_cached(&prepared.sql)?.execute(params_from_iter(&prepared.values));
        match done {
            Ok(0) if row.kind != WriteKind::Delete => rejected.push((i, untouched(tx, row.kind, prepared)?)),
            Ok(_) => {}
            Err(error) => match rejection(&error, &row.table) {
                // RAISE(ROLLBACK) in a trigger ends the whole transaction.
                Some(rejection) if !tx.is_autocommit() => rejected.push((i, rejection)),
                Some(rejection) => return Ok(vec![(i, rejection)]),
                None => return Err(error),
            },
        }
    }
    Ok(rejected)
}

/// Why a statement that had to write a row wrote none.
fn untouched(tx: &Transaction<'_>, kind: WriteKind, prepared: &Prepared) -> rusqlite::Result<Rejection> {
    let present = tx.prepare_cached(&prepared.present)?.exists(params_from_iter(&prepared.key))?;
    let ignored = kind == WriteKind::Insert || present;
    Ok(if ignored { Rejection::Data("a trigger of the site ignores it".into()) } else { Rejection::Elsewise })
}

/// Commits. Foreign keys that are checked at the commit are told by row then.
fn finish(tx: Transaction<'_>, batch: &Batch, rows: &[Prepared]) -> rusqlite::Result<Vec<(usize, Rejection)>> {
    match tx.execute_batch("COMMIT") {
        Ok(()) => Ok(Vec::new()),
        Err(error) if errors::is_foreign_key(&error) => {
            let rejected = violators(&tx, batch, rows)?;
            tx.rollback()?;
            Ok(rejected)
        }
        Err(error) => Err(error),
    }
}

/// The rows of the batch that leave a foreign key broken: those that `foreign_key_check` names, and what was done to the
/// parents it names. All of them when it names none of the batch.
fn violators(tx: &Transaction<'_>, batch: &Batch, rows: &[Prepared]) -> rusqlite::Result<Vec<(usize, Rejection)>> {
    let mut check = tx.prepare("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check")?;
    let broken: Vec<(String, Option<i64>, String)> =
        check.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (i, (row, prepared)) in batch.rows.iter().zip(rows).enumerate() {
        let name = &row.table.name;
        let rowid = match broken.iter().find(|(child, ..)| child == name) {
            Some((_, Some(_), _)) => prepared.rowid(tx)?,
            _ => None,
        };
        let cause = broken.iter().find(|(child, violator, parent)| {
            let child = child == name && row.kind != WriteKind::Delete && (violator.is_none() || *violator == rowid);
            child || (parent == name && row.kind != WriteKind::Insert)
        });
        found.extend(cause.map(|(child, _, parent)| (i, Rejection::Reference(format!("{child} to {parent}")))));
    }
    if found.is_empty() {
        found.extend((0..rows.len()).map(|i| (i, Rejection::Reference("a deferred foreign key".into()))));
    }
    Ok(found)
}

/// Runs each statement under a savepoint of its own; what failed and why.
fn run(tx: &Transaction<'_>, statements: &[Statement]) -> rusqlite::Result<Vec<(usize, String)>> {
    let mut failed = Vec::new();
    for (i, statement) in statements.iter().enumerate() {
        tx.execute_batch("SAVEPOINT rosterd_statement")?;
        let done = run_one(tx, statement);
        if tx.is_autocommit() {
            // The statement, or a trigger that it set off, has ended the whole transaction.
            return Err(rusqlite::Error::InvalidQuery);
        }
        if let Err(reason) = done {
            tx.execute_batch("ROLLBACK TO rosterd_statement")?;
            failed.push((i, reason));
        }
        tx.execute_batch("RELEASE rosterd_statement")?;
    }
    Ok(failed)
}

/// Statements that would end the transaction or leave the database.
const FORBIDDEN: [&str; 10] = ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH", "PRAGMA", "VACUUM"];

fn run_one(tx: &Transaction<'_>, statement: &Statement) -> Result<(), String> {
    let (mut sql, mut values): (String, RawKey) = (String::new(), Vec::new());
    for piece in &statement.0 {
        match piece {
            Piece::Sql(text) => sql.push_str(text),
            Piece::Value(value) => {
                values.push(encode(value, &ColumnType::Any)?);
                sql.push_str(&format!("?{}", values.len()));
            }
        }
    }
    let verb = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_uppercase();
    if FORBIDDEN.contains(&verb.as_str()) {
        return Err(format!("{verb} can't be an after-apply statement"));
    }
    let mut prepared = tx.prepare_cached(&sql).map_err(|e| reason(&e))?;
    let mut rows = prepared.query(params_from_iter::<&[Raw]>(&values)).map_err(|e| reason(&e))?;
    while rows.next().map_err(|e| reason(&e))?.is_some() {}
    Ok(())
}
