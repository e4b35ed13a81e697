//! MySQL and MariaDB: the binary log by GTID, and transactions over the text protocol.

mod chunks;
mod connect;
mod ddl;
mod describe;
mod errors;
mod events;
mod grants;
mod groups;
mod gtid;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod hostile;
mod image;
mod json;
mod log;
mod numbering;
mod parts;
mod probe;
mod shapes;
mod steps;
mod values;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;

use self::connect::{Flavor, Server, Session, quoted};
use super::{
    ChunkReader, Continuation, Finding, Lane, LogMember, LogReader, MARKER_TABLE, Numbering, Past, Result, Site, TableDescription, Writer,
};
use crate::config::{self, Endpoint, Prefix};
use crate::model::{Class, Position, SiteId, SiteTable};

struct MySqlSite {
    server: Arc<Server>,
    /// The site's database and those that its prefixes name.
    schemas: Vec<String>,
}

/// The site of a `mysql://` or `mariadb://` address.
///
/// # Panics
/// When the configuration's endpoint is another engine's.
pub fn site(id: SiteId, config: &config::SiteConfig, daemon: &config::Daemon) -> Arc<dyn Site> {
    let Endpoint::MySql(server) = &config.endpoint else { panic!("site {} is not of the MySQL family", config.name) };
    let server = Server::new(id, &config.name, server, &config.tls, daemon);
    let named = config.tables.values().filter_map(|rule| rule.name.as_deref());
    let schemas = schemas(&server.database, &config.prefix, named);
    Arc::new(MySqlSite { server: Arc::new(server), schemas })
}

fn schemas<'a>(database: &str, prefix: &'a Prefix, named: impl Iterator<Item = &'a str>) -> Vec<String> {
    let prefixes = std::iter::once(&prefix.default).chain(prefix.by_table.values()).map(String::as_str);
    let others = prefixes.chain(named).filter_map(|text| Some(text.split_once('.')?.0.to_owned()));
    let mut schemas = vec![database.to_owned()];
    schemas.extend(others);
    schemas.sort();
    schemas.dedup();
    schemas
}

impl MySqlSite {
    async fn session(&self) -> Result<Session> {
        self.server.connect().await
    }
}

#[async_trait]
impl Site for MySqlSite {
    fn id(&self) -> SiteId {
        self.server.id
    }

    fn name(&self) -> &str {
        &self.server.name
    }

    fn address(&self) -> String {
        format!("MySQL or MariaDB at {}/{}", self.server.host_text(), self.server.database)
    }

    fn log_key(&self) -> String {
        // With other TLS settings it is another connection: a site's log never goes in the clear because a neighbour's may.
        format!("mysql {} {} {:?}", self.server.host_text(), self.server.user, self.server.tls)
    }

    async fn identity(&self) -> Result<String> {
        let mut session = self.session().await?;
        let sql = match session.flavor {
            Flavor::MySql => "SELECT @@server_uuid",
            Flavor::MariaDb => "SELECT CONCAT_WS('|', @@hostname, @@port, @@datadir, @@server_id)",
        };
        // MariaDB has a number of its own since 10.10: the same for a data directory that moves.
        let own = match session.flavor {
            Flavor::MariaDb => session.ask("SELECT @@server_uid").await,
            Flavor::MySql => None,
        };
        let server = match own {
            Some(own) => own,
            None => {
                let mut rows = session.rows("read the server's identity", sql).await?;
                rows.first_mut().and_then(|row| connect::text(row, 0)).unwrap_or_default()
            }
        };
        Ok(format!("{server}/{}", self.server.database))
    }

    async fn describe(&self) -> Result<Vec<TableDescription>> {
        describe::tables(&mut self.session().await?, &self.schemas).await
    }

    async fn schemas(&self) -> Result<Vec<String>> {
        const SQL: &str = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA \
            WHERE SCHEMA_NAME NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY SCHEMA_NAME";
        let mut rows = self.session().await?.rows("read the list of databases", SQL).await?;
        Ok(rows.iter_mut().filter_map(|row| connect::text(row, 0)).collect())
    }

    async fn probe(&self, tables: &[Arc<SiteTable>], from: Option<&Position>) -> Result<Vec<Finding>> {
        probe::probe(self.session().await?, tables, from).await
    }

    async fn numbering(&self, class: Class, tables: &[Arc<SiteTable>]) -> Result<Vec<Numbering>> {
        let numbering = numbering::numbering(self.session().await?, class).await?;
        Ok(vec![numbering; tables.len()])
    }

    fn grants(&self, tables: &[Arc<SiteTable>]) -> Vec<String> {
        grants::grants(&self.server, tables)
    }

    async fn past(&self, from: Option<&Position>) -> Result<Past> {
        let mut session = self.session().await?;
        let markers = if self.has_markers(&mut session).await { writer::markers(&mut session).await? } else { Vec::new() };
        let Some(from) = from else { return Ok(Past { markers, log: Continuation::Plausible }) };
        let proven = match log::parse(&session.server, session.flavor, from) {
            Ok(set) => log::prove(&mut session, &set).await,
            Err(error) => Err(error),
        };
        Ok(Past { markers, log: Continuation::of(proven, Continuation::Proven)? })
    }

    async fn prepare(&self, _tables: &[Arc<SiteTable>]) -> Result<()> {
        let sql = format!("CREATE TABLE IF NOT EXISTS {} {MARKER_COLUMNS}", self.marker());
        let mut session = self.session().await?;
        // Without it the log of each start would hold the statement.
        if !self.has_markers(&mut session).await {
            session.run("make the marker table", sql).await?;
            crate::crash_point!("prepare.marker-table", self.server.name);
        }
        Ok(())
    }

    async fn dismantle(&self) -> Result<()> {
        self.session().await?.run("remove the marker table", format!("DROP TABLE IF EXISTS {}", self.marker())).await
    }

    async fn log_end(&self) -> Result<Position> {
        let end = log::end(&mut self.session().await?).await?;
        Ok(Position(end.to_string()))
    }

    async fn open_log(&self, members: Vec<LogMember>) -> Result<Box<dyn LogReader>> {
        Ok(Box::new(log::open(self.session().await?, members).await?))
    }

    async fn writer(&self, lane: Lane, holder: &str) -> Result<Box<dyn Writer>> {
        Ok(Box::new(writer::open(self.session().await?, lane, holder).await?))
    }

    async fn chunk_reader(&self) -> Result<Box<dyn ChunkReader>> {
        Ok(Box::new(chunks::ChunkReader::new(self.session().await?)))
    }

    fn quoted(&self, name: &str) -> String {
        connect::quoted(name)
    }

    async fn transact(&self, statements: &[String]) -> Result<()> {
        let mut session = self.session().await?;
        session.run("begin", "START TRANSACTION").await?;
        for statement in statements {
            // An error ends the connection, and the transaction with it.
            session.run("change rows", statement).await?;
        }
        crate::crash_point!("rekey.written", self.server.name);
        session.run("commit", "COMMIT").await
    }
}

const MARKER_COLUMNS: &str =
    "(id BIGINT NOT NULL PRIMARY KEY, kind CHAR(1) CHARACTER SET ascii NOT NULL, payload LONGBLOB NOT NULL) ENGINE=InnoDB";

impl MySqlSite {
    async fn has_markers(&self, session: &mut Session) -> bool {
        session.ask(format!("SELECT COUNT(*) FROM {} WHERE 1 = 0", self.marker())).await.is_some()
    }

    fn marker(&self) -> String {
        format!("{}.{}", quoted(&self.server.database), quoted(MARKER_TABLE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_name_other_schemas() {
        let prefix = Prefix { default: "nj_".into(), by_table: [("users".into(), "shared.".into())].into() };
        assert_eq!(schemas("nj", &prefix, ["other.sessions", "plain"].into_iter()), ["nj", "other", "shared"]);
    }
}
