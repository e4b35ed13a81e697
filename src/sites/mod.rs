//! The sites' databases: the only folder with database drivers.
//!
//! `mysql/`, `postgres/` and `sqlite/` are twins: the same files in the same order. Each gives a [`Site`], and through
//! it the site's log ([`LogReader`]), our own transactions ([`Writer`]) and chunks of its tables ([`ChunkReader`]).
//! Values cross this border canonical (see `model`): readers make them so, writers get what fits the site's column.

pub mod ahead;
pub mod binding;
mod error;
mod mapping;
pub mod mysql;
mod numbering;
pub mod postgres;
pub mod sqlite;
pub mod tls;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use error::{Cause, Disposition, Error, Result};
pub use numbering::{Given, Numbering};

use crate::model::{
    Class, ForeignKey, Image, Key, LogItem, MarkerId, MarkerKind, Position, SiteColumn, SiteId, SiteTable, Stretch, Sum, UniqueKey, Value,
    WriteKind,
};

/// Name of our table at each site: one row for each of our transactions that has not been heard back yet.
pub const MARKER_TABLE: &str = "rosterd_marker";

/// One site's database, not connected yet. Each method opens what it needs.
#[async_trait]
pub trait Site: Send + Sync {
    fn id(&self) -> SiteId;
    fn name(&self) -> &str;

    /// What it is and where, without secrets: `MariaDB at db1.example.net:3306/main_db`.
    fn address(&self) -> String;

    /// Sites with the same key are read by one log reader, from one connection.
    fn log_key(&self) -> String;

    /// Something that is equal for two sites exactly when they are the same database: server identity and database.
    async fn identity(&self) -> Result<String>;

    /// Every table of the site's schema and of those that the configuration's prefixes name, as they are now.
    async fn describe(&self) -> Result<Vec<TableDescription>>;

    /// Schemas (MySQL: databases) that the account can look into, the site's own among them; the server's own left out.
    async fn schemas(&self) -> Result<Vec<String>>;

    /// Everything about the server that `check` proves; privileges are tried. `from`: where capture would resume.
    async fn probe(&self, tables: &[Arc<SiteTable>], from: Option<&Position>) -> Result<Vec<Finding>>;

    /// How the database gives out keys of these tables, and what would make it give out numbers of `class`. In the tables' order.
    async fn numbering(&self, class: Class, tables: &[Arc<SiteTable>]) -> Result<Vec<Numbering>>;

    /// The statements that an administrator runs once so that rosterd's account can do its work.
    fn grants(&self, tables: &[Arc<SiteTable>]) -> Vec<String>;

    /// What the database tells of its own past, without anything being made there. `from`: where capture would go on.
    async fn past(&self, from: Option<&Position>) -> Result<Past>;

    /// Makes what is missing of ours: marker table, publication and slot, changelog and triggers. Idempotent.
    async fn prepare(&self, tables: &[Arc<SiteTable>]) -> Result<()>;

    /// Removes everything that `prepare` made. Idempotent.
    async fn dismantle(&self) -> Result<()>;

    /// Where the log ends now: reading from here gives every transaction that commits from now on.
    async fn log_end(&self) -> Result<Position>;

    /// Reads the logs of `members`, all with this site's `log_key`, from the earliest of their positions on;
    /// what a member has captured already is not given to it again.
    async fn open_log(&self, members: Vec<LogMember>) -> Result<Box<dyn LogReader>>;

    /// A connection for our own transactions, holding the site's lock of that lane: no other daemon writes meanwhile.
    /// `holder` is shown to a second daemon that tries (host, process id, since when).
    async fn writer(&self, lane: Lane, holder: &str) -> Result<Box<dyn Writer>>;

    async fn chunk_reader(&self) -> Result<Box<dyn ChunkReader>>;

    /// A name as it stands in the engine's SQL.
    fn quoted(&self, name: &str) -> String;

    /// Runs statements in one transaction on a connection of their own, as an application would: all of them, or none.
    async fn transact(&self, statements: &[String]) -> Result<()>;
}

/// A row of the marker table.
pub type MarkerRow = (MarkerId, MarkerKind, Vec<u8>);

/// What a database tells of its own past.
#[derive(Debug)]
pub struct Past {
    /// Empty where there is no marker table.
    pub markers: Vec<MarkerRow>,
    pub log: Continuation,
}

/// Whether a site's log goes on from where capture stopped.
#[derive(Debug)]
pub enum Continuation {
    /// The names of transactions (GTIDs) prove it, whatever server it is by now.
    Proven,
    /// Nothing speaks against it; a place in another server's log could look the same.
    Plausible,
    /// It does not, and this is why.
    Lost(Error),
}

impl Continuation {
    /// Of an attempt to find the place: a lost log is an answer, anything else is an error.
    fn of(found: Result<()>, otherwise: Continuation) -> Result<Continuation> {
        match found {
            Ok(()) => Ok(otherwise),
            Err(error) if error.cause == Cause::LogLost => Ok(Continuation::Lost(error)),
            Err(error) => Err(error),
        }
    }
}

/// One site's part in a shared log reader.
#[derive(Clone)]
pub struct LogMember {
    pub site: SiteId,
    pub name: String,
    pub tables: Vec<Arc<SiteTable>>,
    /// The schema (MySQL: database) where the site's marker table is.
    pub marker_schema: String,
    pub from: Position,
}

#[async_trait]
pub trait LogReader: Send {
    /// The next item in log order. Cancel-safe. Waits as long as the log is idle, but gives `Progress` at least every
    /// few seconds while other tables are busy. A lost connection is an error: open the log again.
    async fn next(&mut self) -> Result<LogItem>;

    /// The ledger has everything of `site` up to `position`: the server may drop its log up to there.
    async fn acknowledge(&mut self, site: SiteId, position: &Position) -> Result<()>;
}

/// The ways to a site: what people wait for is never queued behind bulk, and watermarks behind neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    Urgent,
    Bulk,
    /// Watermarks and the marker table's upkeep. It is opened first: its lock is what a second daemon meets.
    Control,
}

impl Lane {
    pub const ALL: [Lane; 3] = [Lane::Urgent, Lane::Bulk, Lane::Control];

    pub fn name(self) -> &'static str {
        match self {
            Lane::Urgent => "urgent",
            Lane::Bulk => "bulk",
            Lane::Control => "control",
        }
    }
}

/// One transaction of ours at a site.
#[derive(Clone, Debug)]
pub struct Batch {
    pub marker: MarkerId,
    /// The encoded [`crate::model::Payload`].
    pub payload: Vec<u8>,
    /// Markers that have been heard back: removed in this transaction.
    pub forget: Vec<MarkerId>,
    pub rows: Vec<RowWrite>,
    /// After-apply statements, run last; one that fails is reported and does not fail the batch.
    pub statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
pub struct RowWrite {
    pub table: Arc<SiteTable>,
    pub kind: WriteKind,
    /// Canonical values of the key columns, in the table's key order: the engine fits them (`SiteColumn::fit`).
    pub key: Key,
    /// Column number (in `SiteTable::columns`) and value, already fitted to the site's type. Insert and Replace: every
    /// column that the site has and a value is known for, key columns included, and in an insert what the site's rule adds;
    /// Columns: those to be written; Delete: none.
    pub columns: Vec<(usize, Value)>,
}

/// SQL text with values in between, for the engine to bind as parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Statement(pub Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    Sql(String),
    Value(Value),
}

/// How a batch ended, when the connection is still good. It commits whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Committed. `failed`: indexes of after-apply statements that failed, with the reason.
    Committed { failed: Vec<(usize, String)> },
    /// Rolled back because of these rows (index into `Batch::rows`), as many of them as could be found in one attempt:
    /// the batch without them is worth trying again at once.
    Rejected(Vec<(usize, Rejection)>),
}

/// Why a row could not be written. Texts name constraints and columns, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Present where it had to be absent, or absent where it had to be present: a change not captured yet.
    Elsewise,
    /// Another row has the value of this unique key (its name at the site).
    Unique(String),
    /// A parent is missing or children are left (the constraint's name): may be cured by rows yet to come.
    Reference(String),
    /// An application's transaction has it locked, or one of the rows that the same statement writes, for longer than we wait.
    Locked,
    /// The site refuses the row for another reason (a check constraint, a trigger, a value too long).
    Data(String),
}

#[async_trait]
pub trait Writer: Send {
    /// Runs one batch: marker first, then the rows in order, then the statements, then commit. An `Err` whose
    /// cause is `Disconnected` leaves the outcome unknown: find it out with `settle` on a new connection.
    async fn apply(&mut self, batch: &Batch) -> Result<Outcome>;

    /// Writes and commits a row of the marker table that the log will show as a watermark. `payload`: an encoded [`crate::model::Watermark`].
    async fn mark(&mut self, marker: MarkerId, payload: &[u8]) -> Result<()>;

    /// Whether the batch of that number has committed. Afterwards it can't commit any more: its number is taken
    /// by a tombstone if it was free (waiting for a transaction in progress to end).
    async fn settle(&mut self, marker: MarkerId) -> Result<bool>;

    /// Removes rows of the marker table.
    async fn forget(&mut self, markers: &[MarkerId]) -> Result<()>;

    /// All rows of the marker table, in order.
    async fn markers(&mut self) -> Result<Vec<MarkerRow>>;

    /// Runs after-apply statements in a transaction of their own, without a marker.
    async fn run(&mut self, statements: &[Statement]) -> Result<Vec<(usize, String)>>;

    /// Moves what gives out keys of these tables on to the site's own class, above the highest key. Never back. What was done, and what
    /// could not be. Engines that number behind the highest key by themselves have nothing to do.
    async fn align(&mut self, _tables: &[Arc<SiteTable>]) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }

    /// Cheap proof that the connection lives and the lock is still held.
    async fn ping(&mut self) -> Result<()>;
}

/// An idle connection that takes longer than this to answer is lost, though nobody has closed it.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);

/// [`Writer::ping`], and an end to waiting: a connection that has gone silent gives no error.
pub async fn ping(writer: &mut dyn Writer, site: &str) -> Result<()> {
    match tokio::time::timeout(SILENCE_MAX, writer.ping()).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::new(Cause::Disconnected, site, format!("a connection has been silent for {} s", SILENCE_MAX.as_secs()))
            .advice("it is made anew; look at the network between the two if this comes again")),
    }
}

#[async_trait]
pub trait ChunkReader: Send {
    /// Up to `rows_max` rows with keys above `after` in the site's own order of keys, about `bytes_max` bytes at most (at least one row).
    /// Everything committed before the call, and in the log before a watermark written before it, is visible.
    async fn chunk(&mut self, table: &Arc<SiteTable>, after: Option<&Key>, rows_max: usize, bytes_max: usize) -> Result<Vec<(Key, Image)>>;

    /// The rows with these keys, as they are now, in any order.
    async fn rows(&mut self, table: &Arc<SiteTable>, keys: &[Key]) -> Result<Vec<(Key, Image)>>;

    /// The checksum of a stretch of the table's rows, of these columns (as [`SiteTable::summed`] has them), made by the database. None:
    /// it can't.
    async fn sum(&mut self, _table: &Arc<SiteTable>, _columns: &[usize], _stretch: &Stretch) -> Result<Option<Sum>> {
        Ok(None)
    }

    /// The server's estimate of how many rows the table has, for progress.
    async fn estimate(&mut self, table: &Arc<SiteTable>) -> Result<u64>;

    /// Up to `rows_max` distinct rows of these columns of any table, as text: what the table is used for. None is NULL.
    async fn distinct(&mut self, table: &TableDescription, columns: &[&str], rows_max: usize) -> Result<Vec<TextRow>>;
}

/// A row's values as text; None is NULL.
pub type TextRow = Vec<Option<String>>;

/// A table as a site has it.
#[derive(Clone, Debug)]
pub struct TableDescription {
    pub schema: String,
    pub name: String,
    /// In the table's order; `ordinal` counts from 0 and leaves no gaps.
    pub columns: Vec<ColumnDescription>,
    pub key: Vec<String>,
    pub unique: Vec<UniqueKey>,
    pub foreign: Vec<ForeignKey>,
    /// Names of triggers that applications defined on it; ours are not counted.
    pub triggers: Vec<String>,
    /// Why rows of this table can't be replicated safely (`its engine is MyISAM, which ...`, `it is a view`), with what mends it.
    pub unfit: Option<(String, String)>,
    pub rows_estimated: u64,
}

#[derive(Clone, Debug)]
pub struct ColumnDescription {
    pub column: SiteColumn,
    pub has_default: bool,
    /// Computed by the database: never written.
    pub generated: bool,
    /// Numbered by the database (AUTO_INCREMENT, identity, serial).
    pub numbered: bool,
    /// For text: compares without regard to case.
    pub case_insensitive: bool,
    pub exact: Exactness,
}

/// What the database's own comparisons of a column have in common with those of filters: by code points, all of them counting.
/// For what is no text, all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exactness {
    pub equality: bool,
    pub order: bool,
    pub pattern: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Fine,
    Warning,
    Error,
}

/// One line of `check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// What was looked at: `log format`, `privileges`, `clock`.
    pub subject: String,
    pub text: String,
    /// The exact statement or setting that mends it.
    pub remedy: Option<String>,
}

impl Finding {
    pub fn fine(subject: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding { level: Level::Fine, subject: subject.into(), text: text.into(), remedy: None }
    }

    pub fn warning(subject: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, subject: subject.into(), text: text.into(), remedy: Some(remedy.into()) }
    }

    pub fn error(subject: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { level: Level::Error, subject: subject.into(), text: text.into(), remedy: Some(remedy.into()) }
    }
}
