//! The file as it is written, before anything in it is checked. Field names are the TOML's keys.
//!
//! Their comments are the tables of docs/configuration.md, with what begins with `Takes:`, `Default:` and `Counts:` (when a change of
//! it does, if a reload is not enough) in columns of their own. `ROSTERD_BLESS=1 cargo test --test docs` writes them there.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
pub(super) struct RawFile {
    #[serde(default)]
    pub daemon: RawDaemon,
    #[serde(default)]
    pub site: Vec<Spanned<RawSite>>,
    #[serde(default)]
    pub share: RawShare,
    #[serde(default)]
    pub table: Vec<Spanned<RawTable>>,
}

/// A preset: tables only.
#[derive(Deserialize)]
pub(super) struct RawPreset {
    pub table: Vec<Spanned<RawTable>>,
}

#[derive(Deserialize, Default)]
pub(super) struct RawDaemon {
    /// The ledger and the admin socket; made with mode 700 when missing.
    /// Takes: folder.
    /// Default: `/var/lib/rosterd`.
    /// Counts: after a restart. Move the folder meanwhile.
    pub state_dir: Option<Spanned<String>>,
    /// [The page](operating.md#the-page), `/metrics`, `/healthz`, `/readyz`; `""` turns them off. An address that is not a loopback
    /// address needs `listen_token_file`.
    /// Takes: IP address and port.
    /// Default: `127.0.0.1:9477`.
    pub listen: Option<Spanned<String>>,
    /// What whoever asks there has to show: a file with a token of 16 or more characters in one line, mode 600 or less, or a systemd
    /// credential of that name.
    /// Takes: file.
    /// Default: no token.
    pub listen_token_file: Option<Spanned<String>>,
    /// The name that a proxy passes on in its requests; on a loopback address others than this machine's own are refused.
    /// Takes: host name.
    /// Default: none.
    pub listen_name: Option<Spanned<String>>,
    /// How fast a first copy or reconcile reads one site.
    /// Takes: rows per second, from 1.
    /// Default: no limit.
    pub copy_rows_per_second_max: Option<Spanned<i64>>,
    /// How often the daemon compares all sites with the ledger by itself.
    /// Takes: a time such as `"24h"`, from a second.
    /// Default: never.
    pub verify_every: Option<Spanned<String>>,
    /// How often a mark is written at each site, to measure how soon it comes back through the site's log, also when nobody else
    /// writes; `"0s"`: not measured (a mark is left every 10 s all the same, to tell a backup by).
    /// Takes: a time from `"1s"` to `"10s"`.
    /// Default: `"10s"`.
    pub heartbeat: Option<Spanned<String>>,
    /// How fast a verification reads each site.
    /// Takes: rows per second, from 1.
    /// Default: no limit.
    pub verify_rows_per_second_max: Option<Spanned<i64>>,
    /// Rows written to a site in one transaction; a source transaction is kept together up to eight times that.
    /// Takes: rows, 1 to 100000.
    /// Default: 500.
    pub batch_rows_max: Option<Spanned<i64>>,
    /// Bytes of values in one transaction; a single bigger row still goes.
    /// Takes: bytes, 1024 to 1073741824.
    /// Default: 1048576.
    pub batch_bytes_max: Option<Spanned<i64>>,
    /// Rows that a first copy or reconcile reads at a time.
    /// Takes: rows, 1 to 1000000.
    /// Default: 1000.
    pub chunk_rows_max: Option<Spanned<i64>>,
    /// Until connecting counts as failed; it is tried again, ever more slowly, up to every 2 s.
    /// Takes: milliseconds, 1 to 3600000.
    /// Default: 10000.
    pub connect_timeout_ms: Option<Spanned<i64>>,
    /// How long a write of rosterd waits for a lock before it gives way (MySQL and MariaDB count whole seconds, at least one).
    /// Takes: milliseconds, 1 to 3600000.
    /// Default: 1000.
    pub lock_wait_ms: Option<Spanned<i64>>,
    /// After that time, after-apply statements run once more; 0: they run once only.
    /// Takes: milliseconds, 0 to 3600000.
    /// Default: 1000.
    pub after_apply_repeat_ms: Option<Spanned<i64>>,
    /// How long conflicts are kept with the values that lost.
    /// Takes: days, 1 to 36500.
    /// Default: 30.
    pub conflict_days: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
pub(super) struct RawSite {
    /// 1 to 40 of `a-z 0-9 _ -`. The ledger knows the site by it: a renamed site is a new one.
    /// Default: required.
    pub name: Option<Spanned<String>>,
    /// `hub` or `client`. The hub is copied first, and wins ties.
    /// Default: `client`.
    pub role: Option<Spanned<String>>,
    /// Where the database is: see below.
    /// Default: required.
    pub url: Option<Spanned<String>>,
    /// A file with the password in one line, open to its owner only (mode 600 or less), or a systemd credential of that name.
    /// Default: no password.
    /// Counts: after a reload; a systemd credential after a restart.
    pub password_file: Option<Spanned<String>>,
    /// The environment variable that holds the password; not together with `password_file`.
    /// Default: no password.
    /// Counts: after a restart, with the new environment.
    pub password_env: Option<Spanned<String>>,
    /// `verify-full`: certificate and name are verified; `verify-ca`: the certificate only; `off`.
    /// Default: `verify-full`; `off` over a socket, to this machine and for SQLite.
    pub tls: Option<Spanned<String>>,
    /// PEM: who signed the server's certificate. Then nobody else is trusted; and TLS is on, also to this machine. Read anew at
    /// each connection.
    /// Default: the system's list.
    pub ca_file: Option<Spanned<String>>,
    /// PEM: our own certificate, for accounts that require one (MySQL: `REQUIRE X509`; PostgreSQL: `cert` in `pg_hba.conf`); with
    /// `key_file`. Read anew at each connection.
    /// Default: none.
    pub cert_file: Option<Spanned<String>>,
    /// PEM: the key of `cert_file`, mode 600 or less. Read anew at each connection.
    /// Default: none.
    pub key_file: Option<Spanned<String>>,
    /// What stands before table names: a string, or a table with `default` and an entry for each table that differs, as in
    /// Drupal's settings.php. With a dot it names another schema (`"shared."`).
    /// Default: none.
    pub prefix: Option<RawPrefix>,
    /// PostgreSQL only: the schema of tables whose prefix names none, and of our marker table.
    /// Default: `public`.
    pub schema: Option<Spanned<String>>,
    /// `{ offset = 3, increment = 10 }`: which numbers its applications give out for keys. `offset` is from 1 to `increment`,
    /// another one at each site; `increment` is the same for all, 65535 at most. See [ids.md](ids.md).
    /// Default: `offset`: its place among the sites, the hub first; `increment`: 10, 100 and so on, at least as many as there are sites.
    pub ids: Option<Spanned<RawIds>>,
    /// `[site.table.NAME]`, where this site differs in a shared table: see below.
    /// Default: none.
    #[serde(default)]
    pub table: BTreeMap<String, Spanned<RawSiteTable>>,
}

#[derive(Deserialize)]
#[serde(expecting = "expected a table such as { offset = 3, increment = 10 }")]
pub(super) struct RawIds {
    /// The remainder of the numbers that its applications give out, another one at each site. See [ids.md](ids.md).
    /// Takes: 1 to `increment`.
    /// Default: its place among the sites, the hub first.
    pub offset: Option<Spanned<i64>>,
    /// The step between them, the same at all sites.
    /// Takes: up to 65535.
    /// Default: 10, 100 and so on, at least as many as there are sites.
    pub increment: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
pub(super) struct RawSiteTable {
    /// The table's whole name at this site.
    /// Default: prefix and shared name.
    pub name: Option<Spanned<String>>,
    /// Shared column name = name at this site.
    /// Default: the same names.
    #[serde(default)]
    pub columns: BTreeMap<String, Spanned<String>>,
    /// Clients only: shared columns that this site's table has not.
    /// Default: none.
    pub lacks: Option<Spanned<Vec<String>>>,
    /// What a row that rosterd inserts here gets where the roster has no value: column = string, number or truth.
    /// Default: the database's own.
    #[serde(default)]
    pub defaults: BTreeMap<String, Spanned<RawValue>>,
    /// Columns of this site alone that have one value in all shared rows.
    /// Default: none.
    #[serde(default)]
    pub constants: BTreeMap<String, Spanned<RawValue>>,
    /// By shared column: shared value = value at this site.
    /// Default: the same values.
    #[serde(default)]
    pub values: BTreeMap<String, Spanned<BTreeMap<String, Spanned<RawValue>>>>,
}

/// A value of one column.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string, a number, true or false")]
pub(super) enum RawValue {
    Truth(bool),
    Whole(i64),
    Float(f64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a prefix as a string, or a table such as { default = \"nj_\", users = \"shared.\" }")]
pub(super) enum RawPrefix {
    Default(String),
    ByTable(BTreeMap<String, String>),
}

#[derive(Deserialize, Default)]
pub(super) struct RawShare {
    /// Rules for an application's tables: `backdrop`, `drupal7`, `drupal6`, `multisite-login`, `wordpress`; several as a list.
    /// Default: none.
    pub preset: Option<Spanned<OneOrMany>>,
    /// Tables, or patterns, that stay where they are although a preset or `[[table]]` matches them.
    /// Default: none.
    #[serde(default)]
    pub except: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMany::One(word) => vec![word],
            OneOrMany::Many(words) => words,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct RawTable {
    /// The table's name at the hub without prefix, or a pattern: `*` any characters, `?` one. A pattern shares every table of the
    /// hub that it matches.
    /// Default: required.
    pub name: Option<Spanned<String>>,
    /// `true`: no error when the hub has no such table.
    /// Default: `false`.
    pub optional: Option<bool>,
    /// Columns that tell a row, the same at all sites.
    /// Default: the hub's primary key.
    pub key: Option<Spanned<Vec<String>>>,
    /// Which rows are shared; see below.
    /// Default: all rows.
    pub filter: Option<Spanned<String>>,
    /// `both`, or `from-hub`: only what the hub writes counts. For single columns a map, `default` for the others: see
    /// [directions](#directions).
    /// Default: `both`.
    pub direction: Option<Spanned<RawDirection>>,
    /// With `from-hub`: what a write at a client gets. `revert`: the hub's value is put back; `keep`: it stays there and goes
    /// nowhere.
    /// Default: `revert`.
    pub local_writes: Option<Spanned<String>>,
    /// Columns that stay as each site has them.
    /// Default: none.
    pub exclude: Option<Spanned<Vec<String>>>,
    /// Columns whose values are never shown, not even on request.
    /// Default: none.
    pub secret: Option<Spanned<Vec<String>>>,
    /// `true`: its rows go before those of other tables (sessions, logins).
    /// Default: `false`.
    pub urgent: Option<bool>,
    /// Policy by column, `default` for the others: `last-writer-wins`, `hub-wins`, `max`, `min`, `quarantine`.
    /// Default: `last-writer-wins`.
    #[serde(default)]
    pub conflict: BTreeMap<String, Spanned<String>>,
    /// A row deleted at one site and changed at another: `delete-wins`, `update-wins`.
    /// Default: `delete-wins`.
    pub delete: Option<Spanned<String>>,
    /// Two sites insert the same key: `merge` (the key means the same everywhere), `quarantine` (each site gives out numbers).
    /// Default: `quarantine` if the key is one whole-number column, else `merge`.
    pub insert: Option<Spanned<String>>,
    /// Two rows with one value of another unique key: `quarantine`, or the later one gets another: `"rename:{value}-{site}"` or
    /// `{ rename = "{value}-{site}" }`. See [conflicts.md](conflicts.md#two-rows-one-value-of-a-unique-key).
    /// Default: `quarantine`.
    pub unique: Option<Spanned<RawUnique>>,
    /// Rows that differ when a site is first copied: `hub`, `newest(column)`, `quarantine`.
    /// Default: `hub`.
    pub initial: Option<Spanned<String>>,
    /// Statements for the site that rows were written to; see below.
    /// Default: none.
    pub after_apply: Option<Vec<Spanned<String>>>,
    /// Column = `"table.column"` of another shared table, whose key that one column is: whom the row belongs to. Where a person
    /// stands apart, so do the rows that belong to them there; `quarantine resolve --rekey` moves them with the person. See
    /// [references](#references).
    /// Default: none.
    pub references: Option<BTreeMap<String, Spanned<String>>>,
    /// What gives out the table's keys, where that is not the key's own column: a PostgreSQL sequence, with `{table}` for a table
    /// with the site's prefix (`"{sequences}_value_seq"`). `""`: the applications, which see to it that no two are the same. See
    /// [ids.md](ids.md).
    /// Default: the one of the key's column.
    pub sequence: Option<Spanned<String>>,
    /// A site that deletes more rows of the table than this within a minute is stopped, and an operator asked: see [the
    /// fuse](#the-fuse).
    /// Default: no fuse.
    pub fuse_rows: Option<Spanned<i64>>,
    /// The same in percent of the table's rows, 1 to 100. Fewer than 10 deletes never count.
    /// Default: no fuse.
    pub fuse_percent: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"both\", \"from-hub\" or a table such as { default = \"from-hub\", login = \"both\" }")]
pub(super) enum RawDirection {
    All(String),
    ByColumn(BTreeMap<String, String>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"quarantine\", \"rename:{value}-{site}\" or { rename = \"{value}-{site}\" }")]
pub(super) enum RawUnique {
    Word(String),
    Rename { rename: String },
}
