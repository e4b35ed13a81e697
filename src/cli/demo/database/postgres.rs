//! PostgreSQL.

use rosterd::config::{Host, Server, Tls};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Cells;

pub struct Connection(Client);

impl Connection {
    pub async fn open(server: &Server, tls: &Tls) -> Result<Connection, String> {
        let mut config = tokio_postgres::Config::new();
        match &server.host {
            Host::Tcp { name, port } => config.host(name).port(*port),
            Host::Socket(folder) => config.host_path(folder),
        };
        if let Some(password) = &server.password {
            config.password(password.reveal());
        }
        config.user(&server.user).dbname(&server.database).application_name("rosterd demo");
        let client = match rosterd::sites::tls::client_config("demo", tls).map_err(|error| error.to_string())? {
            None => {
                let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await.map_err(told)?;
                tokio::spawn(connection);
                client
            }
            Some(tls) => {
                let tls = MakeRustlsConnect::new((*tls).clone());
                let (client, connection) = config.ssl_mode(SslMode::Require).connect(tls).await.map_err(told)?;
                tokio::spawn(connection);
                client
            }
        };
        Ok(Connection(client))
    }

    pub async fn begin(&mut self, statements: &[String]) -> Result<(), String> {
        self.run("BEGIN").await?;
        for statement in statements {
            self.run(statement).await?;
        }
        Ok(())
    }

    pub async fn run(&mut self, statement: &str) -> Result<(), String> {
        self.0.batch_execute(statement).await.map_err(told)
    }

    pub async fn rows(&mut self, query: &str) -> Result<Vec<Cells>, String> {
        let messages = self.0.simple_query(query).await.map_err(told)?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()),
            _ => None,
        });
        Ok(rows.collect())
    }
}

fn told(error: tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
