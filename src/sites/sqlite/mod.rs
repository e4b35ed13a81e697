//! SQLite: a changelog that triggers write, because its own log can't be read; one file, one writer at a time.

mod chunks;
mod connect;
mod describe;
mod errors;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod hostile;
mod log;
mod numbering;
mod probe;
mod rows;
mod statements;
mod triggers;
mod uncaptured;
mod values;
mod watch;
mod window;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use async_trait::async_trait;
use rusqlite::TransactionBehavior;

use self::connect::{LaneLock, Place, blocking};
use super::{
    Cause, ChunkReader, Continuation, Error, Finding, Lane, LogMember, LogReader, MARKER_TABLE, Numbering, Past, Result, Site,
    TableDescription, Writer,
};
use crate::config::{Daemon, Endpoint, SiteConfig};
use crate::model::{Class, Position, SiteId, SiteTable};

pub fn site(id: SiteId, config: &SiteConfig, daemon: &Daemon) -> Arc<dyn Site> {
    let path = match &config.endpoint {
        Endpoint::Sqlite { path } => path.clone(),
        other => unreachable!("the composition root gives SQLite sites only, not {other:?}"),
    };
    let place = Place { site: config.name.clone(), path, lock_wait: daemon.lock_wait };
    Arc::new(SqliteSite { id, place, captured: Arc::new(AtomicI64::new(0)) })
}

struct SqliteSite {
    id: SiteId,
    place: Place,
    /// How far the ledger has the changelog: the log reader says so, the writers ask.
    captured: Arc<AtomicI64>,
}

impl SqliteSite {
    async fn with<T: Send + 'static>(&self, work: impl FnOnce(&Place) -> Result<T> + Send + 'static) -> Result<T> {
        let place = self.place.clone();
        blocking(&self.place.site, move || work(&place)).await
    }
}

#[async_trait]
impl Site for SqliteSite {
    fn id(&self) -> SiteId {
        self.id
    }

    fn name(&self) -> &str {
        &self.place.site
    }

    fn address(&self) -> String {
        format!("SQLite at {}", self.place.path.display())
    }

    fn log_key(&self) -> String {
        format!("sqlite:{}", self.place.real_path().display())
    }

    async fn identity(&self) -> Result<String> {
        self.with(|place| place.inode().map(|(device, inode)| format!("sqlite {device}:{inode}"))).await
    }

    async fn describe(&self) -> Result<Vec<TableDescription>> {
        self.with(|place| {
            let mut db = place.open_to_read()?;
            let failed = |error| place.error("describing the tables", &error);
            let tx = db.transaction().map_err(failed)?;
            describe::tables(&tx).map_err(failed)
        })
        .await
    }

    async fn schemas(&self) -> Result<Vec<String>> {
        Ok(vec!["main".into()])
    }

    async fn probe(&self, tables: &[Arc<SiteTable>], from: Option<&Position>) -> Result<Vec<Finding>> {
        let (tables, from) = (tables.to_vec(), from.cloned());
        self.with(move |place| probe::findings(place, &tables, from.as_ref())).await
    }

    async fn numbering(&self, _class: Class, tables: &[Arc<SiteTable>]) -> Result<Vec<Numbering>> {
        Ok(vec![numbering::numbering(); tables.len()])
    }

    fn grants(&self, _tables: &[Arc<SiteTable>]) -> Vec<String> {
        probe::grants(&self.place)
    }

    async fn past(&self, from: Option<&Position>) -> Result<Past> {
        let from = from.cloned();
        self.with(move |place| past(place, from.as_ref())).await
    }

    async fn prepare(&self, tables: &[Arc<SiteTable>]) -> Result<()> {
        let tables = tables.to_vec();
        self.with(move |place| prepare(place, &tables)).await
    }

    async fn dismantle(&self) -> Result<()> {
        self.with(dismantle).await
    }

    async fn log_end(&self) -> Result<Position> {
        self.with(|place| {
            let db = place.open_to_read()?;
            window::Place::end(&db).map(window::Place::position).map_err(|e| place.error("finding the end of the changelog", &e))
        })
        .await
    }

    async fn open_log(&self, members: Vec<LogMember>) -> Result<Box<dyn LogReader>> {
        let Ok([member]) = <[LogMember; 1]>::try_from(members) else {
            return Err(Error::new(Cause::Unsupported, &self.place.site, "a SQLite file is one site only")
                .advice("configure one site for this file, with all the tables that are shared"));
        };
        Ok(Box::new(log::SqliteLog::open(self.place.clone(), member, self.captured.clone()).await?))
    }

    async fn writer(&self, lane: Lane, holder: &str) -> Result<Box<dyn Writer>> {
        Ok(Box::new(writer::SqliteWriter::open(self.place.clone(), lane, holder, self.captured.clone()).await?))
    }

    async fn chunk_reader(&self) -> Result<Box<dyn ChunkReader>> {
        Ok(Box::new(chunks::SqliteChunks::open(self.place.clone()).await?))
    }

    fn quoted(&self, name: &str) -> String {
        describe::quote(name)
    }

    async fn transact(&self, statements: &[String]) -> Result<()> {
        let (place, statements) = (self.place.clone(), statements.to_vec());
        blocking(&self.place.site, move || {
            let mut db = place.open()?;
            let mut run = || {
                let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                statements.iter().try_for_each(|statement| tx.execute_batch(statement))?;
                crate::crash_point!("rekey.written", place.site);
                tx.commit()
            };
            run().map_err(|error| place.error("changing rows", &error))
        })
        .await
    }
}

fn past(place: &Place, from: Option<&Position>) -> Result<Past> {
    let failed = |error| place.error("looking at what was there before", &error);
    let db = place.open_to_read()?;
    let there = db.table_exists(None, MARKER_TABLE).map_err(failed)?;
    let markers = if there { writer::markers(&db, place)? } else { Vec::new() };
    let gone = match from.map(window::Place::parse) {
        None => None,
        Some(None) => Some("the position in the ledger is not one of a changelog"),
        Some(Some(at)) => at.lost(&db).map_err(failed)?,
    };
    Ok(Past { markers, log: gone.map_or(Continuation::Plausible, |reason| Continuation::Lost(log::lost(&place.site, reason))) })
}

/// Makes changelog, marker table and triggers, in one transaction; takes no write lock when all is there.
fn prepare(place: &Place, tables: &[Arc<SiteTable>]) -> Result<()> {
    let failed = |error| place.error("making the changelog and its triggers", &error);
    let mut db = place.open()?;
    let tx = db.transaction().map_err(failed)?;
    let mut wanted = Vec::new();
    for table in tables {
        let indexes = describe::indexes(&tx, &table.name).map_err(failed)?;
        if let Some(obstacle) = triggers::obstacle(table, &indexes) {
            return Err(Error::new(Cause::Unsupported, &place.site, obstacle)
                .table(&table.name)
                .advice("give the table a primary key over its key columns, or do not share it"));
        }
        wanted.push((table.as_ref(), triggers::wanted(table, &indexes)));
    }
    if triggers::installed(&tx, &wanted).map_err(failed)? {
        return Ok(());
    }
    drop(tx);
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    triggers::install(&tx, &wanted).map_err(failed)?;
    crate::crash_point!("prepare.triggers", place.site);
    tx.commit().map_err(failed)
}

/// The lane locks are held meanwhile, so that no daemon writes to what goes away.
fn dismantle(place: &Place) -> Result<()> {
    let locks = Lane::ALL.map(|lane| LaneLock::take(place, lane, "rosterd, which is removing itself from this site"));
    let mut held = Vec::new();
    for lock in locks {
        held.push(lock?);
    }
    let failed = |error| place.error("removing the changelog and its triggers", &error);
    let mut db = place.open()?;
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    triggers::uninstall(&tx).map_err(failed)?;
    crate::crash_point!("remove.uninstalled", place.site);
    tx.commit().map_err(failed)?;
    crate::crash_point!("remove.locked", place.site);
    held.into_iter().for_each(LaneLock::remove);
    Ok(())
}
