//! What a simulated application needs of its database: transactions and queries in plain SQL, on a connection of its own.

mod mysql;
mod postgres;
mod sqlite;

use rosterd::config::{Endpoint, SiteConfig};

use super::Trouble;

/// A row as text; None is NULL.
pub type Cells = Vec<Option<String>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    MySql,
    Postgres,
}

impl Engine {
    pub fn of(endpoint: &Endpoint) -> Engine {
        match endpoint {
            Endpoint::Sqlite { .. } => Engine::Sqlite,
            Endpoint::MySql(_) => Engine::MySql,
            Endpoint::Postgres(_) => Engine::Postgres,
        }
    }

    /// The statements that make the demo's tables.
    pub fn schema(self) -> &'static str {
        match self {
            Engine::Sqlite => include_str!("../../../schemas/demo/sqlite.sql"),
            Engine::MySql => include_str!("../../../schemas/demo/mysql.sql"),
            Engine::Postgres => include_str!("../../../schemas/demo/postgres.sql"),
        }
    }

    /// Names of the tables in the database that an application could see.
    pub fn tables_query(self) -> &'static str {
        match self {
            Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')",
            Engine::MySql => "SELECT table_name FROM information_schema.tables WHERE table_schema = database()",
            Engine::Postgres => "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()",
        }
    }

    /// A literal for a column of bytes.
    pub fn bytes(self, text: &str) -> String {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Engine::Sqlite | Engine::MySql => format!("x'{hex}'"),
            Engine::Postgres => format!("'\\x{hex}'"),
        }
    }

    /// An expression that shows a column of bytes as text.
    pub fn bytes_shown(self, column: &str) -> String {
        match self {
            Engine::Sqlite | Engine::MySql => column.into(),
            Engine::Postgres => format!("encode({column}, 'escape')"),
        }
    }
}

/// An application's connection.
pub enum Database {
    Sqlite(sqlite::Connection),
    MySql(mysql::Connection),
    Postgres(postgres::Connection),
}

impl Database {
    pub async fn open(site: &SiteConfig) -> Result<Database, Trouble> {
        let opened = match &site.endpoint {
            Endpoint::Sqlite { path } => sqlite::Connection::open(path).await.map(Database::Sqlite),
            Endpoint::MySql(server) => mysql::Connection::open(server, &site.tls).await.map(Database::MySql),
            Endpoint::Postgres(server) => postgres::Connection::open(server, &site.tls).await.map(Database::Postgres),
        };
        opened.map_err(|cause| Trouble(format!("{} can't be reached: {cause}", site.name)))
    }

    /// Begins a transaction and runs the statements in it. It holds what it has locked until [`Database::commit`].
    pub async fn begin(&mut self, statements: &[String]) -> Result<(), Trouble> {
        let done = match self {
            Database::Sqlite(db) => db.begin(statements.to_vec()).await,
            Database::MySql(db) => db.begin(statements).await,
            Database::Postgres(db) => db.begin(statements).await,
        };
        done.map_err(Trouble)
    }

    pub async fn commit(&mut self) -> Result<(), Trouble> {
        let done = match self {
            Database::Sqlite(db) => db.run(vec!["COMMIT".into()]).await,
            Database::MySql(db) => db.run("COMMIT").await,
            Database::Postgres(db) => db.run("COMMIT").await,
        };
        done.map_err(Trouble)
    }

    /// The statements as one transaction.
    pub async fn transaction(&mut self, statements: &[String]) -> Result<(), Trouble> {
        self.begin(statements).await?;
        self.commit().await
    }

    /// Statements that make or drop tables, each on its own.
    pub async fn define(&mut self, script: &str) -> Result<(), Trouble> {
        for statement in script.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            let done = match self {
                Database::Sqlite(db) => db.run(vec![statement.into()]).await,
                Database::MySql(db) => db.run(statement).await,
                Database::Postgres(db) => db.run(statement).await,
            };
            done.map_err(Trouble)?;
        }
        Ok(())
    }

    pub async fn rows(&mut self, query: &str) -> Result<Vec<Cells>, Trouble> {
        let rows = match self {
            Database::Sqlite(db) => db.rows(query.into()).await,
            Database::MySql(db) => db.rows(query).await,
            Database::Postgres(db) => db.rows(query).await,
        };
        rows.map_err(Trouble)
    }

    /// The first cell of the first row; empty when there is none.
    pub async fn cell(&mut self, query: &str) -> Result<String, Trouble> {
        let first = self.rows(query).await?.into_iter().next().and_then(|row| row.into_iter().next());
        Ok(first.flatten().unwrap_or_default())
    }
}
