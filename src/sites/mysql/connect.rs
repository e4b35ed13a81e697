//! Connections: how they are opened, and the settings that every one of them has.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, OptsBuilder, Row, SslOpts, Value};

use super::errors::certificate_name;
use crate::config::{self, Host, Secret, Tls, TlsMode};
use crate::model::SiteId;
use crate::sites::{Cause, Error, Result, tls};

/// Alone: strict, no silent changes of zeros and dates. What the server adds by default is left out.
const SQL_MODE: &str =
    "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";
/// Longest packet that we take from a server; its own limit for replicas is the same.
const PACKET_BYTES_MAX: usize = 1 << 30;
const KEEPALIVE: Duration = Duration::from_secs(15);
/// A dead daemon's connections are dropped after that, and with them its lock.
const IDLE_SECONDS_MAX: u32 = 300;
/// A slow ledger may keep the log waiting that long.
const LOG_WRITE_SECONDS_MAX: u32 = 3600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavor {
    MariaDb,
    MySql,
}

impl Flavor {
    pub(super) fn name(self) -> &'static str {
        match self {
            Flavor::MariaDb => "MariaDB",
            Flavor::MySql => "MySQL",
        }
    }
}

/// A site's server and database, and how to get in.
pub(super) struct Server {
    pub id: SiteId,
    pub name: String,
    pub host: Host,
    pub user: String,
    password: Option<Secret>,
    pub database: String,
    pub tls: Tls,
    connect_timeout: Duration,
    lock_wait: Duration,
}

/// A connection with its settings made.
pub(super) struct Session {
    pub conn: Conn,
    pub server: Arc<Server>,
    pub flavor: Flavor,
    pub version: (u16, u16, u16),
    /// The server's `max_allowed_packet`.
    pub packet_bytes_max: usize,
}

impl Server {
    pub(super) fn new(id: SiteId, name: &str, server: &config::Server, tls: &Tls, daemon: &config::Daemon) -> Server {
        Server {
            id,
            name: name.to_owned(),
            host: server.host.clone(),
            user: server.user.clone(),
            password: server.password.clone(),
            database: server.database.clone(),
            tls: tls.clone(),
            connect_timeout: daemon.connect_timeout,
            lock_wait: daemon.lock_wait,
        }
    }

    pub(super) fn host_text(&self) -> String {
        match &self.host {
            Host::Tcp { name, port } => format!("{name}:{port}"),
            Host::Socket(path) => path.display().to_string(),
        }
    }

    pub(super) fn error(&self, cause: Cause, message: impl Into<String>) -> Error {
        Error::new(cause, &self.name, message)
    }

    pub(super) async fn connect(self: &Arc<Self>) -> Result<Session> {
        let opening = async {
            let conn = self.open().await?;
            self.settle_in(conn).await
        };
        match tokio::time::timeout(self.connect_timeout, opening).await {
            Ok(session) => session,
            Err(_) => Err(self
                .error(Cause::Unreachable, format!("{} did not answer within {} s", self.host_text(), self.connect_timeout.as_secs_f64()))
                .advice("check host, port and firewall; connect_timeout_ms is in [daemon]")),
        }
    }

    async fn open(&self) -> Result<Conn> {
        let error = match Conn::new(self.options(None)?).await {
            Ok(conn) => return Ok(conn),
            Err(error) => error,
        };
        // The driver's own switch for this does not work with rustls: the chain is verified, against a name of the certificate's.
        if self.tls.mode == TlsMode::VerifyCa
            && let Some(presented) = certificate_name(&error)
        {
            return Conn::new(self.options(Some(presented))?).await.map_err(|error| self.refused(error));
        }
        Err(self.refused(error))
    }

    fn options(&self, certificate_name: Option<String>) -> Result<OptsBuilder> {
        let options = OptsBuilder::default()
            .user(Some(&self.user))
            .pass(self.password.as_ref().map(Secret::reveal))
            .db_name(Some(&self.database))
            .prefer_socket(false)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(KEEPALIVE))
            .client_found_rows(true)
            .max_allowed_packet(Some(PACKET_BYTES_MAX))
            .wait_timeout(Some(IDLE_SECONDS_MAX as usize))
            .stmt_cache_size(64);
        Ok(match &self.host {
            Host::Socket(path) => options.socket(Some(path.display().to_string())),
            Host::Tcp { name, port } => options.ip_or_hostname(name.as_str()).tcp_port(*port).ssl_opts(self.tls_options(certificate_name)?),
        })
    }

    fn tls_options(&self, certificate_name: Option<String>) -> Result<Option<SslOpts>> {
        // The driver makes its own of the same files; what is wrong with them is told in the same words for every engine.
        if tls::client_config(&self.name, &self.tls)?.is_none() {
            return Ok(None);
        }
        let authorities = tls::authorities(&self.name, &self.tls)?;
        let authorities = authorities.into_iter().map(|certificate| certificate.to_vec().into()).collect();
        // Those built into the driver would be trusted besides what ca_file or the system names.
        let mut options = SslOpts::default().with_root_certs(authorities).with_disable_built_in_roots(true);
        if let (Some(cert), Some(key)) = (&self.tls.cert_file, &self.tls.key_file) {
            let identity = ClientIdentity::new(self.tls_file(cert)?.into(), self.tls_file(key)?.into());
            options = options.with_client_identity(Some(identity));
        }
        if let Some(name) = certificate_name {
            options = options.with_danger_tls_hostname_override(Some(name));
        }
        Ok(Some(options))
    }

    fn tls_file(&self, file: &Path) -> Result<Vec<u8>> {
        std::fs::read(file).map_err(|error| self.error(Cause::Tls, format!("{} can't be read: {error}", file.display())))
    }

    async fn settle_in(self: &Arc<Self>, mut conn: Conn) -> Result<Session> {
        let wait = self.lock_wait.as_secs().max(1);
        let settings = format!(
            "SET NAMES utf8mb4; \
             SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SET SESSION time_zone = '+00:00', sql_mode = '{SQL_MODE}', autocommit = 1, \
             innodb_lock_wait_timeout = {wait}, lock_wait_timeout = {wait}, \
             wait_timeout = {IDLE_SECONDS_MAX}, net_write_timeout = {LOG_WRITE_SECONDS_MAX}"
        );
        conn.query_drop(settings).await.map_err(|error| self.failed("set up the connection", error))?;
        let facts: Option<Row> = conn
            .query_first("SELECT VERSION(), @@max_allowed_packet")
            .await
            .map_err(|error| self.failed("read the server's version", error))?;
        let mut facts = facts.ok_or_else(|| self.error(Cause::Protocol, "the server does not tell its version"))?;
        let version_text = text(&mut facts, 0).unwrap_or_default();
        let flavor = if version_text.to_ascii_lowercase().contains("mariadb") { Flavor::MariaDb } else { Flavor::MySql };
        // Servers that turn NULL into the current time do so only where this can be set.
        let _ = conn.query_drop("SET SESSION explicit_defaults_for_timestamp = 1").await;
        let endless = match flavor {
            Flavor::MariaDb => "SET SESSION max_statement_time = 0",
            Flavor::MySql => "SET SESSION max_execution_time = 0",
        };
        let _ = conn.query_drop(endless).await;
        Ok(Session {
            conn,
            server: self.clone(),
            flavor,
            version: parse_version(&version_text),
            packet_bytes_max: number(&mut facts, 1).unwrap_or(1 << 20) as usize,
        })
    }
}

impl Session {
    /// Rows of a statement of ours that holds no row's values.
    pub(super) async fn rows(&mut self, doing: &str, sql: impl AsRef<str>) -> Result<Vec<Row>> {
        self.conn.query(sql.as_ref()).await.map_err(|error| self.server.failed(doing, error))
    }

    pub(super) async fn run(&mut self, doing: &str, sql: impl AsRef<str>) -> Result<()> {
        self.conn.query_drop(sql.as_ref()).await.map_err(|error| self.server.failed(doing, error))
    }

    /// The first column of the first row as text; None: no row, NULL, or the server refuses the question.
    pub(super) async fn ask(&mut self, sql: impl AsRef<str>) -> Option<String> {
        let row: Option<Row> = self.conn.query_first(sql.as_ref()).await.ok()?;
        text(&mut row?, 0)
    }
}

fn parse_version(text: &str) -> (u16, u16, u16) {
    // Old MariaDB servers say `5.5.5-10.6.12-MariaDB` to be taken for a replica's source.
    let text = text.strip_prefix("5.5.5-").unwrap_or(text);
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

pub(super) fn text(row: &mut Row, column: usize) -> Option<String> {
    match row.take::<Value, _>(column)? {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::Int(n) => Some(n.to_string()),
        Value::UInt(n) => Some(n.to_string()),
        Value::Double(x) => Some(x.to_string()),
        Value::Float(x) => Some(x.to_string()),
        Value::Date(..) | Value::Time(..) => None,
    }
}

pub(super) fn number(row: &mut Row, column: usize) -> Option<u64> {
    text(row, column)?.parse().ok()
}

/// `name` as an identifier in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A name as a string in SQL, whatever it holds.
pub(super) fn literal(name: &str) -> String {
    let mut out = String::new();
    super::values::text_literal(&mut out, name);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("5.5.5-10.6.12-MariaDB-log"), (10, 6, 12));
        assert_eq!(parse_version("9.7.0"), (9, 7, 0));
        assert_eq!(parse_version("8.0.36-28.1"), (8, 0, 36));
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("a`b"), "`a``b`");
        assert_eq!(literal("a'b"), "_utf8mb4 x'612762'");
    }
}
