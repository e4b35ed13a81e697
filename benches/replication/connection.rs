//! One connection of an application, to either family of servers.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tokio_postgres::SimpleQueryMessage;

use crate::servers::Server;

/// What each case's tables are in.
pub const DATABASE: &str = "bench";

/// Nothing that a case waits for takes longer, unless all is lost. Set once, from the scale.
pub static LONGEST: OnceLock<Duration> = OnceLock::new();

pub fn longest() -> Duration {
    *LONGEST.get().expect("set before any case runs")
}

pub enum Connection {
    MySql(mysql_async::Conn),
    Postgres(tokio_postgres::Client),
}

impl Connection {
    pub async fn open(server: &Server) -> Connection {
        Connection::open_in(server, DATABASE).await
    }

    pub async fn open_in(server: &Server, database: &str) -> Connection {
        let url = server.url(database);
        let name = server.kind().name();
        if server.kind().is_postgres() {
            let connected = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
            let (client, connection) = connected.unwrap_or_else(|error| panic!("{name} does not answer in {database}: {error}"));
            tokio::spawn(connection);
            return Connection::Postgres(client);
        }
        let connected = mysql_async::Conn::from_url(url).await;
        Connection::MySql(connected.unwrap_or_else(|error| panic!("{name} does not answer in {database}: {error}")))
    }

    pub async fn run(&mut self, sql: &str) {
        let failed = match self {
            Connection::MySql(connection) => connection.query_drop(sql).await.err().map(|error| error.to_string()),
            Connection::Postgres(client) => client.batch_execute(sql).await.err().map(|error| format!("{error:?}")),
        };
        if let Some(error) = failed {
            panic!("a statement was refused: {error}\n{sql}");
        }
    }

    /// The first column of all rows; NULL is left out.
    pub async fn texts(&mut self, sql: &str) -> Vec<String> {
        match self {
            Connection::MySql(connection) => {
                let rows: Result<Vec<Option<String>>, _> = connection.query(sql).await;
                rows.unwrap_or_else(|error| panic!("a query was refused: {error}\n{sql}")).into_iter().flatten().collect()
            }
            Connection::Postgres(client) => {
                let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("a query was refused: {error:?}\n{sql}"));
                let rows = messages.into_iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                    _ => None,
                });
                rows.collect()
            }
        }
    }

    /// The first column of all rows, as integers.
    pub async fn numbers(&mut self, sql: &str) -> Vec<i64> {
        let texts = self.texts(sql).await;
        texts.iter().map(|text| text.parse().unwrap_or_else(|_| panic!("{sql} gives {text}, which is no number"))).collect()
    }

    /// The first column of the first row, as an integer; 0 where there is none.
    pub async fn number(&mut self, sql: &str) -> i64 {
        self.numbers(sql).await.first().copied().unwrap_or(0)
    }

    /// Asks until `sql` gives `wanted`, and returns when the answer that did was asked for. Rests five times as long as an answer takes,
    /// 2 ms at least, so that asking does not slow down what is waited for.
    pub async fn until(&mut self, sql: &str, wanted: i64) -> Instant {
        let begun = Instant::now();
        loop {
            let asked = Instant::now();
            let found = self.number(sql).await;
            if found == wanted {
                return asked;
            }
            assert!(begun.elapsed() < longest(), "{sql} gives {found} and not {wanted} after {} s", longest().as_secs());
            tokio::time::sleep((asked.elapsed() * 5).max(Duration::from_millis(2))).await;
        }
    }
}
