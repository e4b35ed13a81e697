//! The applications' tables of people and sessions with their indexes, filled and written to by the servers themselves.
//!
//! Rows have a number from 1; an odd multiplier and a prime scatter their keys. The same number gives the same row on every engine.

use crate::connection::{Connection, DATABASE};
use crate::servers::{Kind, Server};

const FILL_ROWS_PER_TRANSACTION: u64 = 100_000;

#[derive(Clone, Copy, PartialEq)]
pub enum Table {
    Users,
    Sessions,
}

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Table::Users => "users",
            Table::Sessions => "sessions",
        }
    }

    /// An indexed number that applications write all the time.
    pub fn touched(self) -> &'static str {
        match self {
            Table::Users => "access",
            Table::Sessions => "timestamp",
        }
    }

    fn columns(self) -> &'static [&'static str] {
        match self {
            Table::Users => &["uid", "name", "pass", "mail", "created", "access", "login", "status", "data"],
            Table::Sessions => &["uid", "sid", "ssid", "hostname", "timestamp", "cache", "session"],
        }
    }

    fn definition(self, postgres: bool) -> &'static [&'static str] {
        match (self, postgres) {
            (Table::Users, true) => &[
                "CREATE TABLE users (uid bigint PRIMARY KEY, name varchar(60) NOT NULL, pass varchar(128) NOT NULL DEFAULT '', mail varchar(254), \
                 created bigint NOT NULL DEFAULT 0, access bigint NOT NULL DEFAULT 0, login bigint NOT NULL DEFAULT 0, \
                 status smallint NOT NULL DEFAULT 1, data bytea)",
                "CREATE UNIQUE INDEX users_name ON users (name)",
                "CREATE INDEX users_access ON users (access)",
                "CREATE INDEX users_created ON users (created)",
                "CREATE INDEX users_mail ON users (mail)",
            ],
            (Table::Users, false) => &["CREATE TABLE users (uid int unsigned NOT NULL PRIMARY KEY, name varchar(60) NOT NULL, \
                 pass varchar(128) NOT NULL DEFAULT '', mail varchar(254), created int NOT NULL DEFAULT 0, access int NOT NULL DEFAULT 0, \
                 login int NOT NULL DEFAULT 0, status tinyint NOT NULL DEFAULT 1, data longblob, UNIQUE KEY name (name), KEY access (access), \
                 KEY created (created), KEY mail (mail)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"],
            (Table::Sessions, true) => &[
                "CREATE TABLE sessions (uid bigint NOT NULL, sid varchar(128) NOT NULL, ssid varchar(128) NOT NULL DEFAULT '', \
                 hostname varchar(128) NOT NULL DEFAULT '', timestamp integer NOT NULL DEFAULT 0, cache integer NOT NULL DEFAULT 0, session bytea, \
                 PRIMARY KEY (sid, ssid))",
                "CREATE INDEX sessions_timestamp ON sessions (timestamp)",
                "CREATE INDEX sessions_uid ON sessions (uid)",
                "CREATE INDEX sessions_ssid ON sessions (ssid)",
            ],
            (Table::Sessions, false) => &["CREATE TABLE sessions (uid int unsigned NOT NULL, sid varchar(128) NOT NULL, \
                 ssid varchar(128) NOT NULL DEFAULT '', hostname varchar(128) NOT NULL DEFAULT '', timestamp int NOT NULL DEFAULT 0, \
                 cache int NOT NULL DEFAULT 0, session longblob, PRIMARY KEY (sid, ssid), KEY timestamp (timestamp), KEY uid (uid), KEY ssid (ssid)) \
                 ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"],
        }
    }

    /// The condition that is true of row `n` alone; `n` is any expression.
    pub fn is_row(self, n: &str) -> String {
        match self {
            Table::Users => format!("uid = {}", uid(n)),
            Table::Sessions => format!("sid = {} AND ssid = ''", sid(n)),
        }
    }

    fn values(self, n: &str, postgres: bool) -> String {
        let bytes = if postgres { "::bytea" } else { "" };
        match self {
            Table::Users => format!(
                "{}, CONCAT('person', {n}), '$S$Dsome-long-opaque-password-hash-of-fifty-five-characters', CONCAT('person', {n}, '@example.net'), \
                 {n}, 0, 0, 1, CASE WHEN {n} % 4 = 0 THEN 'a:1:{{s:7:\"contact\";i:1;}}'{bytes} END",
                uid(n)
            ),
            Table::Sessions => {
                format!("{}, {}, '', '127.0.0.1', 0, 0, 'cart|a:1:{{i:0;s:4:\"book\";}}'{bytes}", uid(n), sid(n))
            }
        }
    }

    /// One number for all that the table holds, the same on every engine.
    pub async fn checksum(self, server: &Server, database: &str) -> i64 {
        Connection::open_in(server, database).await.number(&self.checksum_sql(server)).await
    }

    fn checksum_sql(self, server: &Server) -> String {
        let postgres = server.kind().is_postgres();
        let columns: Vec<String> = self.columns().iter().map(|column| plain(column, postgres)).collect();
        let line = format!("MD5(CONCAT_WS('|', {}))", columns.join(", "));
        let part = match postgres {
            true => format!("('x' || substr({line}, 1, 8))::bit(32)::bigint"),
            false => format!("CAST(CONV(LEFT({line}, 8), 16, 10) AS UNSIGNED)"),
        };
        format!("SELECT COALESCE(SUM({part}), 0) + COUNT(*) FROM {}", self.name())
    }

    /// Until the target holds what the source does.
    pub async fn becomes_equal(self, source: &Server, target: &Server) {
        let wanted = self.checksum(source, DATABASE).await;
        Connection::open(target).await.until(&self.checksum_sql(target), wanted).await;
    }

    /// Bytes of all columns' values as text, at a server of the MySQL family.
    pub async fn bytes(self, server: &Server) -> i64 {
        let lengths: Vec<String> = self.columns().iter().map(|column| format!("COALESCE(LENGTH({column}), 0)")).collect();
        Connection::open(server).await.number(&format!("SELECT SUM({}) FROM {}", lengths.join(" + "), self.name())).await
    }
}

/// A column's value as text that all engines spell alike.
fn plain(column: &str, postgres: bool) -> String {
    match (column, postgres) {
        ("data" | "session", true) => format!("COALESCE(encode({column}, 'hex'), '-')"),
        ("data" | "session", false) => format!("COALESCE(LOWER(HEX({column})), '-')"),
        _ => column.to_owned(),
    }
}

/// The columns of `users` as a client of MariaDB has to ask for them so that PostgreSQL's COPY reads its output.
pub fn users_for_copy() -> String {
    let columns: Vec<String> = Table::Users.columns().iter().map(|column| column.to_string()).collect();
    columns.join(", ").replace("data", r"CONCAT('\\x', HEX(data))")
}

pub fn uid(n: &str) -> String {
    format!("(({n}) * 2654435761) % 2147483647 + 2")
}

fn sid(n: &str) -> String {
    format!("MD5(CONCAT('sid', {n}))")
}

/// A connection whose writes are not waited for by the disk, and which native replication does not hear of: for what both sides start with.
async fn preparing(server: &Server, database: &str) -> Connection {
    let mut connection = Connection::open_in(server, database).await;
    if server.kind().is_postgres() {
        connection.run("SET synchronous_commit = off").await;
    } else {
        connection.run("SET sql_log_bin = 0, unique_checks = 0").await;
        durable(server, false).await;
    }
    connection
}

/// Whether the MySQL family's server waits for the disk at each commit. PostgreSQL's sessions decide for themselves.
pub async fn durable(server: &Server, yes: bool) {
    if !server.kind().is_postgres() {
        let (flush, sync) = if yes { (1, 1) } else { (2, 0) };
        let sql = format!("SET GLOBAL innodb_flush_log_at_trx_commit = {flush}, GLOBAL sync_binlog = {sync}");
        Connection::open_in(server, server.main_database()).await.run(&sql).await;
    }
}

pub async fn create(server: &Server, database: &str, tables: &[Table]) {
    let mut connection = preparing(server, database).await;
    for statement in tables.iter().flat_map(|table| table.definition(server.kind().is_postgres())) {
        connection.run(statement).await;
    }
    durable(server, true).await;
}

/// Rows 1 to `rows`, the same everywhere.
pub async fn fill(server: &Server, database: &str, table: Table, rows: u64) {
    let postgres = server.kind().is_postgres();
    let mut connection = preparing(server, database).await;
    for first in (1..=rows).step_by(FILL_ROWS_PER_TRANSACTION as usize) {
        let last = (first + FILL_ROWS_PER_TRANSACTION - 1).min(rows);
        let (n, numbers) = match postgres {
            true => ("n", format!("generate_series({first}::bigint, {last}) AS n")),
            false => ("seq", format!("seq_{first}_to_{last}")),
        };
        let (columns, values) = (table.columns().join(", "), table.values(n, postgres));
        connection.run(&format!("INSERT INTO {} ({columns}) SELECT {values} FROM {numbers} ORDER BY 1", table.name())).await;
    }
    if postgres {
        connection.run(&format!("ANALYZE {}", table.name())).await;
    }
    durable(server, true).await;
}

/// One-row transactions, one after the other: number `n` of `first..=last` sets what row `n % rows + 1` was touched at to `n`.
pub async fn write(server: &Server, table: Table, rows: u64, first: u64, last: u64) {
    let mut connection = Connection::open(server).await;
    let postgres = server.kind().is_postgres();
    // PL/pgSQL's loop variable is an `integer`, whose products would overflow.
    let n = if postgres { "n::bigint" } else { "n" };
    let row = table.is_row(&format!("{n} % {rows} + 1"));
    let update = format!("UPDATE {} SET {} = n WHERE {row}", table.name(), table.touched());
    // What is measured is the other side; its own commits are durable.
    durable(server, false).await;
    if postgres {
        connection.run("SET synchronous_commit = off").await;
        connection.run(&format!("DO $$ BEGIN FOR n IN {first} .. {last} LOOP {update}; COMMIT; END LOOP; END $$")).await;
    } else {
        connection.run(&format!("BEGIN NOT ATOMIC FOR n IN {first} .. {last} DO {update}; END FOR; END")).await;
    }
    durable(server, true).await;
}

/// Kinds that the cases run on.
pub const MARIADB: Kind = Kind::MariaDb1011;
pub const POSTGRES: Kind = Kind::Postgres15;
