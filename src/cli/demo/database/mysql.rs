//! MariaDB and MySQL.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, SslOpts, Value};
use rosterd::config::{Host, Secret, Server, Tls, TlsMode};

use super::Cells;

pub struct Connection(Conn);

impl Connection {
    pub async fn open(server: &Server, tls: &Tls) -> Result<Connection, String> {
        let mut options = OptsBuilder::default()
            .user(Some(&server.user))
            .pass(server.password.as_ref().map(Secret::reveal))
            .db_name(Some(&server.database))
            .prefer_socket(false);
        options = match &server.host {
            Host::Tcp { name, port } => options.ip_or_hostname(name.clone()).tcp_port(*port),
            Host::Socket(path) => options.socket(Some(path.display().to_string())),
        };
        if tls.mode != TlsMode::Off {
            options = options.ssl_opts(SslOpts::default());
        }
        Conn::new(options).await.map(Connection).map_err(told)
    }

    pub async fn begin(&mut self, statements: &[String]) -> Result<(), String> {
        self.run("START TRANSACTION").await?;
        for statement in statements {
            self.run(statement).await?;
        }
        Ok(())
    }

    pub async fn run(&mut self, statement: &str) -> Result<(), String> {
        self.0.query_drop(statement).await.map_err(told)
    }

    pub async fn rows(&mut self, query: &str) -> Result<Vec<Cells>, String> {
        let rows: Vec<mysql_async::Row> = self.0.query(query).await.map_err(told)?;
        Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect())
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true)),
    }
}

fn told(error: mysql_async::Error) -> String {
    error.to_string()
}
