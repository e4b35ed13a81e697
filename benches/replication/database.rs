//! Three servers of one kind: a source, a target for rosterd, and a target for the engine's own replication.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;

use crate::servers::{Kind, Server};

const DATABASE: &str = "bench";

pub struct Trio {
    pub kind: Kind,
    pub source: Server,
    pub ours: Server,
    pub native: Server,
}

/// One connection of an application.
pub enum Connection {
    MySql(mysql_async::Conn),
    Postgres(tokio_postgres::Client),
}

impl Connection {
    pub async fn open(server: &Server) -> Connection {
        let url = server.url(DATABASE);
        if server.kind().is_postgres() {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the server answers");
            tokio::spawn(connection);
            return Connection::Postgres(client);
        }
        Connection::MySql(mysql_async::Conn::from_url(url).await.expect("the server answers"))
    }

    pub async fn run(&mut self, sql: &str) {
        match self {
            Connection::MySql(connection) => connection.query_drop(sql).await.expect("the statement runs"),
            Connection::Postgres(client) => client.batch_execute(sql).await.expect("the statement runs"),
        }
    }

    /// The first column of the first row, as an integer.
    pub async fn number(&mut self, sql: &str) -> i64 {
        match self {
            Connection::MySql(connection) => connection.query_first(sql).await.expect("the query runs").unwrap_or(0),
            Connection::Postgres(client) => client.query_one(sql, &[]).await.expect("the query runs").get(0),
        }
    }
}

impl Trio {
    pub fn start(kind: Kind) -> Trio {
        let (source, ours, native) = (Server::start(kind), Server::start(kind), Server::start(kind));
        for server in [&source, &ours, &native] {
            server.sql(server.main_database(), &format!("CREATE DATABASE {DATABASE}"));
        }
        Trio { kind, source, ours, native }
    }

    pub fn urls(&self) -> Vec<String> {
        vec![self.source.url(DATABASE), self.ours.url(DATABASE)]
    }

    /// The applications' users table with its indexes on all three, `rows` people on the source, and native replication running.
    pub async fn prepare(&self, rows: u64) {
        for server in [&self.source, &self.ours, &self.native] {
            let mut connection = Connection::open(server).await;
            for statement in table(self.kind) {
                connection.run(statement).await;
            }
        }
        self.start_native().await;
        fill(&self.source, rows).await;
        let mut native = Connection::open(&self.native).await;
        wait_for(&mut native, "SELECT count(*) FROM users", rows as i64).await;
    }

    async fn start_native(&self) {
        let mut native = Connection::open(&self.native).await;
        if self.kind.is_postgres() {
            let mut source = Connection::open(&self.source).await;
            source.run("CREATE PUBLICATION bench_native FOR TABLE users").await;
            let port = self.source.port();
            let connection = format!("host=127.0.0.1 port={port} dbname={DATABASE} user=postgres");
            native
                .run(&format!(
                    "CREATE SUBSCRIPTION bench_native CONNECTION '{connection}' PUBLICATION bench_native WITH (synchronous_commit = on)"
                ))
                .await;
        } else {
            let port = self.source.port();
            let change =
                format!("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='root', MASTER_USE_GTID=slave_pos");
            native.run(&change).await;
            native.run("START SLAVE").await;
        }
    }

    pub async fn stop_native(&self) {
        let statement = if self.kind.is_postgres() { "ALTER SUBSCRIPTION bench_native DISABLE" } else { "STOP SLAVE" };
        Connection::open(&self.native).await.run(statement).await;
    }

    pub async fn resume_native(&self) {
        let statement = if self.kind.is_postgres() { "ALTER SUBSCRIPTION bench_native ENABLE" } else { "START SLAVE" };
        Connection::open(&self.native).await.run(statement).await;
    }

    /// A checksum of the whole table, the same on equal tables of one engine.
    pub async fn checksum(&self, server: &Server) -> i64 {
        let sql = if self.kind.is_postgres() {
            "SELECT coalesce(sum(hashtext(users::text)::bigint), 0)::bigint FROM users"
        } else {
            "SELECT CAST(COALESCE(SUM(CRC32(CONCAT_WS('|', uid, name, mail, access, login, data))), 0) AS SIGNED) FROM users"
        };
        Connection::open(server).await.number(sql).await
    }
}

pub fn table(kind: Kind) -> &'static [&'static str] {
    if kind.is_postgres() {
        &[
            "CREATE TABLE users (uid bigint PRIMARY KEY, name varchar(60) NOT NULL, pass varchar(128) NOT NULL DEFAULT '', mail varchar(254), \
             created bigint NOT NULL DEFAULT 0, access bigint NOT NULL DEFAULT 0, login bigint NOT NULL DEFAULT 0, status smallint NOT NULL DEFAULT 1, data bytea)",
            "CREATE UNIQUE INDEX users_name ON users (name)",
            "CREATE INDEX users_access ON users (access)",
            "CREATE INDEX users_created ON users (created)",
            "CREATE INDEX users_mail ON users (mail)",
        ]
    } else {
        &[
            "CREATE TABLE users (uid int unsigned NOT NULL PRIMARY KEY, name varchar(60) NOT NULL, pass varchar(128) NOT NULL DEFAULT '', mail varchar(254), \
             created int NOT NULL DEFAULT 0, access int NOT NULL DEFAULT 0, login int NOT NULL DEFAULT 0, status tinyint NOT NULL DEFAULT 1, data longblob, \
             UNIQUE KEY name (name), KEY access (access), KEY created (created), KEY mail (mail)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
        ]
    }
}

/// People with scattered numbers: 500 a transaction.
pub async fn fill(server: &Server, rows: u64) {
    let mut connection = Connection::open(server).await;
    let numbers: Vec<u64> = (1..=rows).collect();
    for part in numbers.chunks(500) {
        let values: Vec<String> = part.iter().map(|n| person(*n)).collect();
        connection.run(&format!("INSERT INTO users (uid, name, pass, mail, created) VALUES {}", values.join(", "))).await;
    }
}

fn person(n: u64) -> String {
    // An odd multiplier makes the numbers scattered and still all different.
    let uid = n.wrapping_mul(2_654_435_761) % 4_000_000_007 % 2_000_000_000 + 2;
    format!("({uid}, 'person{n}', '$S$Dsome-long-opaque-password-hash-of-fifty-five-characters', 'person{n}@example.net', {n})")
}

/// Polls until `sql` gives `wanted`; panics after five minutes.
pub async fn wait_for(connection: &mut Connection, sql: &str, wanted: i64) {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let found = connection.number(sql).await;
        if found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{sql} gives {found}, not {wanted}, after five minutes");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
