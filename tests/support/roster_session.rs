//! A connection to a site that lasts, for transactions and for readers that look often.

use std::path::Path;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Value};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::servers::TextRow;

/// Of a test's own thread: its driver works only while a call is on.
pub enum Session {
    MySql(Runtime, Box<Conn>),
    Postgres(Runtime, Client),
    Sqlite(rusqlite::Connection),
}

/// Longer than any transaction of ours at the file.
const SQLITE_BUSY: Duration = Duration::from_secs(30);

impl Session {
    pub fn mysql(socket: &Path, database: &str) -> Result<Session, String> {
        let runtime = runtime()?;
        let options = OptsBuilder::default()
            .socket(socket.to_str().map(str::to_owned))
            .user(Some("root"))
            .db_name(Some(database))
            .init(vec!["SET NAMES utf8mb4"]);
        let connection = runtime.block_on(Conn::new(options)).map_err(|error| error.to_string())?;
        Ok(Session::MySql(runtime, Box::new(connection)))
    }

    pub fn postgres(socket: &Path, port: u16, database: &str) -> Result<Session, String> {
        let runtime = runtime()?;
        let mut config = Config::new();
        config.host_path(socket).port(port).user("postgres").dbname(database);
        let (client, connection) = runtime.block_on(config.connect(NoTls)).map_err(postgres_error)?;
        runtime.spawn(async move {
            let _ = connection.await;
        });
        Ok(Session::Postgres(runtime, client))
    }

    pub fn sqlite(path: &Path) -> Result<Session, String> {
        let open = || {
            let db = rusqlite::Connection::open(path)?;
            db.busy_timeout(SQLITE_BUSY)?;
            db.pragma_update(None, "foreign_keys", true)?;
            Ok::<_, rusqlite::Error>(db)
        };
        open().map(Session::Sqlite).map_err(|error| error.to_string())
    }

    /// Runs a script of one or more statements.
    #[track_caller]
    pub fn sql(&mut self, sql: &str) {
        self.rows(sql);
    }

    /// The rows of the first result of a script. In SQLite only a lone query gives rows.
    #[track_caller]
    pub fn rows(&mut self, sql: &str) -> Vec<TextRow> {
        match self.try_rows(sql) {
            Ok(rows) => rows,
            Err(error) => panic!("refused: {error}\n{}", &sql[..sql.len().min(2000)]),
        }
    }

    pub fn try_rows(&mut self, sql: &str) -> Result<Vec<TextRow>, String> {
        match self {
            Session::MySql(runtime, connection) => runtime.block_on(mysql_rows(connection, sql)).map_err(|error| error.to_string()),
            Session::Postgres(runtime, client) => runtime.block_on(postgres_rows(client, sql)).map_err(postgres_error),
            Session::Sqlite(db) => sqlite_rows(db, sql).map_err(|error| error.to_string()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without a goodbye the server notes an aborted connection.
        if let Session::MySql(runtime, connection) = self {
            let _ = runtime.block_on(async { connection.query_drop("DO 0").await });
        }
    }
}

fn runtime() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}

async fn mysql_rows(connection: &mut Conn, sql: &str) -> Result<Vec<TextRow>, mysql_async::Error> {
    let mut result = connection.query_iter(sql).await?;
    let rows: Vec<mysql_async::Row> = result.collect().await?;
    result.drop_result().await?;
    let text = |value| match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true)),
    };
    Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect())
}

async fn postgres_rows(client: &Client, sql: &str) -> Result<Vec<TextRow>, tokio_postgres::Error> {
    let messages = client.simple_query(sql).await?;
    let first = messages
        .split(|message| matches!(message, SimpleQueryMessage::CommandComplete(_)))
        .find(|part| part.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_) | SimpleQueryMessage::RowDescription(_))));
    let rows = first.unwrap_or_default().iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    });
    Ok(rows.collect())
}

fn sqlite_rows(db: &rusqlite::Connection, sql: &str) -> Result<Vec<TextRow>, rusqlite::Error> {
    if !sql.trim_start().to_ascii_uppercase().starts_with("SELECT") {
        db.execute_batch(sql)?;
        return Ok(Vec::new());
    }
    let mut statement = db.prepare(sql)?;
    let width = statement.column_count();
    let text = |value: rusqlite::types::ValueRef<'_>| {
        use rusqlite::types::ValueRef::*;
        match value {
            Null => None,
            Integer(n) => Some(n.to_string()),
            Real(x) => Some(x.to_string()),
            Text(bytes) | Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        }
    };
    let rows = statement.query_map([], |row| (0..width).map(|at| row.get_ref(at).map(text)).collect::<Result<TextRow, _>>())?;
    rows.collect()
}

fn postgres_error(error: tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}
