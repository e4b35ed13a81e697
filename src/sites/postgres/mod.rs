//! PostgreSQL 14 and later: the log by logical replication (`pgoutput`), values as text.

mod ahead;
mod assembly;
mod chunks;
mod connect;
mod describe;
mod errors;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod hostile;
mod log;
mod numbering;
mod pgoutput;
mod pipeline;
mod prepare;
mod probe;
mod replication;
mod sequences;
mod statements;
mod values;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;

use self::connect::Connector;
use self::errors::from_driver;
use self::replication::Replication;
use super::{
    ChunkReader, Continuation, Error, Finding, Lane, LogMember, LogReader, MARKER_TABLE, Numbering, Past, Result, Site, TableDescription,
    Writer,
};
use crate::config;
use crate::model::{Class, Position, SiteId, SiteTable};

/// The site of a configuration whose endpoint is a PostgreSQL server.
pub fn site(id: SiteId, config: &config::SiteConfig, daemon: &config::Daemon) -> Arc<dyn Site> {
    let config::Endpoint::Postgres(server) = &config.endpoint else {
        unreachable!("the caller matches on the endpoint");
    };
    let connector = Connector {
        site: config.name.clone(),
        server: server.clone(),
        tls: config.tls.clone(),
        timeout: daemon.connect_timeout,
        lock_wait: daemon.lock_wait,
    };
    Arc::new(Postgres { id, schemas: schemas(&server.schema, config), connector })
}

/// The site's schema, and those that its prefixes and tables name.
fn schemas(own: &str, config: &config::SiteConfig) -> Vec<String> {
    let prefixes = config.prefix.by_table.values().chain([&config.prefix.default]);
    let tables = config.tables.values().filter_map(|rule| rule.name.as_ref());
    let mut schemas = vec![own.to_owned()];
    for schema in prefixes.chain(tables).filter_map(|name| Some(name.split_once('.')?.0)) {
        if !schemas.iter().any(|known| known == schema) {
            schemas.push(schema.to_owned());
        }
    }
    schemas
}

struct Postgres {
    id: SiteId,
    connector: Connector,
    schemas: Vec<String>,
}

#[async_trait]
impl Site for Postgres {
    fn id(&self) -> SiteId {
        self.id
    }

    fn name(&self) -> &str {
        &self.connector.site
    }

    fn address(&self) -> String {
        let schema = match self.connector.server.schema.as_str() {
            "public" => String::new(),
            schema => format!(", schema {schema}"),
        };
        format!("PostgreSQL at {}/{}{schema}", self.connector.place(), self.connector.server.database)
    }

    /// A slot belongs to one site, so no two share a reader.
    fn log_key(&self) -> String {
        format!("postgres {} {}", self.connector.place(), self.connector.site)
    }

    async fn identity(&self) -> Result<String> {
        let client = self.connector.client().await?;
        let server = match client.query_one("SELECT system_identifier::text FROM pg_control_system()", &[]).await {
            Ok(row) => row.get::<_, String>(0),
            Err(_) => self.system_identifier().await?,
        };
        const DATABASE: &str = "SELECT oid::text FROM pg_database WHERE datname = current_database()";
        let row = client.query_one(DATABASE, &[]).await.map_err(|error| from_driver(self.name(), "asking who it is", error))?;
        Ok(format!("postgres {server} {} {}", row.get::<_, &str>(0), self.connector.server.schema))
    }

    async fn describe(&self) -> Result<Vec<TableDescription>> {
        describe::describe(&self.connector, &self.schemas).await
    }

    async fn schemas(&self) -> Result<Vec<String>> {
        const SQL: &str = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \
            AND has_schema_privilege(oid, 'USAGE') ORDER BY nspname";
        let rows = self.connector.client().await?.query(SQL, &[]).await;
        let rows = rows.map_err(|error| from_driver(self.name(), "reading the list of schemas", error))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn probe(&self, tables: &[Arc<SiteTable>], from: Option<&Position>) -> Result<Vec<Finding>> {
        probe::probe(&self.connector, tables, from).await
    }

    async fn numbering(&self, class: Class, tables: &[Arc<SiteTable>]) -> Result<Vec<Numbering>> {
        numbering::numbering(&self.connector, class, tables).await
    }

    fn grants(&self, tables: &[Arc<SiteTable>]) -> Vec<String> {
        probe::grants(&self.connector, tables)
    }

    async fn past(&self, from: Option<&Position>) -> Result<Past> {
        let client = self.connector.client().await?;
        let schema = &self.connector.server.schema;
        let marker = connect::qualified(schema, MARKER_TABLE);
        let there = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&marker]).await;
        let there: bool = there.map_err(|error| from_driver(self.name(), "looking for the marker table", error))?.get(0);
        let markers = if there { writer::markers(&client, self.name(), schema).await? } else { Vec::new() };
        let log = match from {
            Some(from) => Continuation::of(log::prove(&self.connector, &client, from).await.map(drop), Continuation::Plausible)?,
            None => Continuation::Plausible,
        };
        Ok(Past { markers, log })
    }

    async fn prepare(&self, tables: &[Arc<SiteTable>]) -> Result<()> {
        prepare::prepare(&self.connector, tables).await
    }

    async fn dismantle(&self) -> Result<()> {
        prepare::dismantle(&self.connector).await
    }

    async fn log_end(&self) -> Result<Position> {
        let client = self.connector.client().await?;
        // What is not flushed yet has not committed durably, and is read again at worst.
        let row = client.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).await;
        row.map(|row| Position(row.get(0))).map_err(|error| from_driver(self.name(), "asking where the log ends", error))
    }

    async fn open_log(&self, members: Vec<LogMember>) -> Result<Box<dyn LogReader>> {
        log::open(&self.connector, self.id, members).await
    }

    async fn writer(&self, lane: Lane, holder: &str) -> Result<Box<dyn Writer>> {
        writer::open(&self.connector, lane, holder).await
    }

    async fn chunk_reader(&self) -> Result<Box<dyn ChunkReader>> {
        chunks::open(&self.connector).await
    }

    fn quoted(&self, name: &str) -> String {
        connect::ident(name)
    }

    async fn transact(&self, statements: &[String]) -> Result<()> {
        let client = self.connector.client().await?;
        // Sent as one, they are one transaction.
        let all = statements.join(";\n");
        client.batch_execute(&all).await.map_err(|error| errors::from_driver(self.name(), "changing rows", error))
    }
}

impl Postgres {
    async fn system_identifier(&self) -> Result<String> {
        let rows = Replication::connect(&self.connector).await?.query("IDENTIFY_SYSTEM").await?;
        let found = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
        found.ok_or_else(|| Error::new(super::Cause::Protocol, self.name(), "IDENTIFY_SYSTEM gave nothing"))
    }
}
