//! From TOML to types that can't be wrong. Knows nothing of databases: what only a live database can tell (which tables a
//! pattern matches, whether columns fit) is `sites::binding` and `check`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Class, Predicate, Value};

mod after_apply;
mod endpoint;
mod error;
mod filter;
mod ids;
mod listen;
mod load;
mod matching;
mod preset;
mod raw;
mod redact;
mod rule;
mod secret;
mod sequence;
mod site;
mod site_table;
mod sql;
mod unknown;
mod words;

pub use endpoint::Address;
pub use error::{Error, Problem};
pub use listen::Listen;
pub use matching::{is_pattern, matches, rule_for};
pub use secret::Secret;
pub use sequence::Sequence;

/// A whole, validated configuration: exactly one hub, distinct names, every policy known, every filter parsed.
#[derive(Clone, Debug)]
pub struct Config {
    pub daemon: Daemon,
    /// The hub first, then the clients in the order of the file.
    pub sites: Vec<SiteConfig>,
    /// In order; where several patterns match a table, the last wins key by key (presets come first).
    pub tables: Vec<TableRule>,
    /// Names and patterns of tables that stay where they are, whatever rule matches them.
    pub except: Vec<String>,
}

impl Config {
    /// Whether rules that match `table` (its name without prefix) don't count.
    pub fn excepts(&self, table: &str) -> bool {
        self.except.iter().any(|pattern| matches(pattern, table))
    }
}

#[derive(Clone, Debug)]
pub struct Daemon {
    pub state_dir: PathBuf,
    /// None: no page, no metrics.
    pub listen: Option<Listen>,
    /// Rows per second that a first copy or a reconcile reads from one site; None: no limit.
    pub copy_rows_per_second_max: Option<u32>,
    /// How often the daemon compares all sites with the ledger; None: never by itself.
    pub verify_every: Option<Duration>,
    /// How often the lag of each site's log is measured by something that is written there; None: it is not.
    pub heartbeat: Option<Duration>,
    /// Rows per second that a verification reads from each site; None: no limit.
    pub verify_rows_per_second_max: Option<u32>,
    pub batch_rows_max: usize,
    pub batch_bytes_max: usize,
    pub chunk_rows_max: usize,
    pub connect_timeout: Duration,
    /// How long one of our transactions waits for a lock at a site before it gives way.
    pub lock_wait: Duration,
    /// How long after a batch its after-apply statements are run once more; zero: they are not.
    pub after_apply_repeat: Duration,
    /// Conflicts are kept that long.
    pub conflict_days: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Hub,
    Client,
}

#[derive(Clone, Debug)]
pub struct SiteConfig {
    pub name: String,
    pub role: Role,
    pub endpoint: Endpoint,
    pub tls: Tls,
    pub prefix: Prefix,
    /// The numbers that it gives out.
    pub ids: Ids,
    /// Where this site differs, by shared table name.
    pub tables: BTreeMap<String, SiteTableRule>,
}

/// Which numbers a site's applications give out for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    pub class: Class,
    /// The file says so; else it follows from the site's place among the sites.
    pub named: bool,
}

/// Where a site's database is.
#[derive(Clone, Debug)]
pub enum Endpoint {
    MySql(Server),
    Postgres(Server),
    Sqlite { path: PathBuf },
}

#[derive(Clone, Debug)]
pub struct Server {
    pub host: Host,
    pub user: String,
    pub password: Option<Secret>,
    pub database: String,
    /// PostgreSQL only; `public` when not given.
    pub schema: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Tcp {
        name: String,
        port: u16,
    },
    /// MySQL family: the socket itself; PostgreSQL: the folder that it is in, as libpq's `host` has it.
    Socket(PathBuf),
}

#[derive(Clone, Debug)]
pub struct Tls {
    pub mode: TlsMode,
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS. The default over a socket and loopback only.
    Off,
    /// The server's certificate and name are verified. The default otherwise.
    VerifyFull,
    /// The certificate is verified, its name is not.
    VerifyCa,
}

/// What stands before table names at a site, as in Drupal's settings.php; `schema.` in it names another schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    pub default: String,
    pub by_table: BTreeMap<String, String>,
}

impl Prefix {
    /// The site's name for a shared table.
    pub fn apply(&self, table: &str) -> String {
        format!("{}{table}", self.by_table.get(table).unwrap_or(&self.default))
    }
}

/// Where a site differs in one table.
#[derive(Clone, Debug, Default)]
pub struct SiteTableRule {
    /// The table's name at the site, prefix included.
    pub name: Option<String>,
    /// Shared column name to the site's column name.
    pub columns: BTreeMap<String, String>,
    /// Shared columns that the site's table has not.
    pub lacks: Vec<String>,
    /// What a row that rosterd inserts here gets where the roster has no value: by shared column name, or by the site's own.
    pub defaults: BTreeMap<String, Value>,
    /// Columns of this site alone that have one value in all shared rows.
    pub constants: BTreeMap<String, Value>,
    /// By shared column: shared value, as text, and the site's value, one to one.
    pub values: BTreeMap<String, Vec<(String, Value)>>,
}

/// One `[[table]]` entry, or one of a preset's. None: not said here, an earlier rule or the default counts.
#[derive(Clone, Debug, Default)]
pub struct TableRule {
    /// A name, or a pattern with `*` and `?` that is matched against the hub's tables (their names without prefix).
    pub name: String,
    /// From a preset: no error when the hub has no such table.
    pub optional: bool,
    pub key: Option<Vec<String>>,
    pub filter: Option<Filter>,
    /// Of the table's rows, and of every column that `column_direction` does not name.
    pub direction: Option<Direction>,
    pub column_direction: BTreeMap<String, Direction>,
    pub exclude: Option<Vec<String>>,
    pub secret: Option<Vec<String>>,
    pub urgent: Option<bool>,
    pub conflict: BTreeMap<String, ColumnPolicy>,
    pub delete: Option<DeletePolicy>,
    pub insert: Option<InsertPolicy>,
    pub unique: Option<UniquePolicy>,
    pub initial: Option<Initial>,
    pub after_apply: Option<Vec<AfterApply>>,
    pub references: Option<BTreeMap<String, String>>,
    pub sequence: Option<Sequence>,
    pub fuse_rows: Option<u64>,
    pub fuse_percent: Option<u8>,
}

impl TableRule {
    pub fn direction_of(&self, column: &str) -> Direction {
        self.column_direction.get(column).copied().or(self.direction).unwrap_or(Direction::Both)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// As written, for messages and for SQL.
    pub text: String,
    pub predicate: Predicate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Both,
    /// Local writes at clients are not taken: reverted, or kept where they are.
    FromHub {
        keep: bool,
    },
}

/// What decides a conflict on a column. `default` in `conflict` stands for every column not named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnPolicy {
    LastWriterWins,
    HubWins,
    Max,
    Min,
    Quarantine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletePolicy {
    DeleteWins,
    UpdateWins,
}

/// Two sites insert the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertPolicy {
    /// The key means the same thing everywhere (a session id): merge column by column.
    Merge,
    /// The key is a number that each site gives out: hold the later row apart.
    Quarantine,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UniquePolicy {
    Quarantine,
    /// A pattern with `{value}` and `{site}`.
    Rename(String),
}

/// Rows that differ when a site is first copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Initial {
    Hub,
    Newest { column: String },
    Quarantine,
}

/// An after-apply statement: SQL text with `{table}` names and `:column` parameters taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AfterApply(pub Vec<AfterApplyPiece>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AfterApplyPiece {
    Sql(String),
    /// A table without its prefix.
    Table(String),
    Column(String),
}
