//! Scripts for a server over its Unix socket, from threads with or without an async runtime.

use std::path::PathBuf;

use mysql_async::{Conn, OptsBuilder, Row, Value, prelude::Queryable};
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use super::TextRow;

pub struct Client {
    pub postgres: bool,
    pub socket: PathBuf,
    pub port: u16,
}

impl Client {
    pub fn answers(&self) -> bool {
        let database = if self.postgres { "postgres" } else { "mysql" };
        self.socket.exists() && self.run(database, "SELECT 1").is_ok()
    }

    /// Returns the rows of the first result.
    pub fn run(&self, database: &str, sql: &str) -> Result<Vec<TextRow>, String> {
        // A runtime cannot run inside another one, so it gets a thread.
        std::thread::scope(|scope| {
            let work = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map_err(|error| error.to_string())?.block_on(async {
                    if self.postgres { self.run_postgres(database, sql).await } else { self.run_mysql(database, sql).await }
                })
            };
            scope.spawn(work).join().expect("the client does not panic")
        })
    }

    async fn run_mysql(&self, database: &str, sql: &str) -> Result<Vec<TextRow>, String> {
        let socket = self.socket.to_str().map(str::to_string);
        let options = OptsBuilder::default().socket(socket).user(Some("root")).db_name(Some(database));
        let work = async {
            let mut connection = Conn::new(options).await?;
            let mut result = connection.query_iter(sql).await?;
            let rows: Vec<Row> = result.collect().await?;
            result.drop_result().await?;
            connection.disconnect().await?;
            Ok::<_, mysql_async::Error>(rows)
        };
        let rows = work.await.map_err(|error| error.to_string())?;
        Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(mysql_text).collect()).collect())
    }

    async fn run_postgres(&self, database: &str, sql: &str) -> Result<Vec<TextRow>, String> {
        let mut config = Config::new();
        config.host_path(&self.socket).port(self.port).user("postgres").dbname(database);
        let (client, connection) = config.connect(NoTls).await.map_err(postgres_error)?;
        let connection = tokio::spawn(connection);
        let messages = client.simple_query(sql).await.map_err(postgres_error)?;
        drop(client);
        connection.await.map_err(|error| error.to_string())?.map_err(postgres_error)?;
        let first = messages.split(|message| matches!(message, SimpleQueryMessage::CommandComplete(_))).next();
        let rows = first.unwrap_or_default().iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_string)).collect()),
            _ => None,
        });
        Ok(rows.collect())
    }
}

fn mysql_text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true)),
    }
}

fn postgres_error(error: tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => refusal.to_string(),
        None => error.to_string(),
    }
}
