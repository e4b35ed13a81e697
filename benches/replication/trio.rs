//! Three servers of one kind: a source, a target for rosterd, and a target for the engine's own replication.

use crate::connection::{Connection, DATABASE};
use crate::native::{self, Native};
use crate::people::{self, Table};
use crate::servers::{Kind, Server};

pub struct Trio {
    pub kind: Kind,
    pub source: Server,
    pub ours: Server,
    pub native: Server,
}

impl Trio {
    pub fn start(kind: Kind, options: &[&str]) -> Trio {
        let start = || Server::start_with(kind, options);
        Trio { kind, source: start(), ours: start(), native: start() }
    }

    pub fn all(&self) -> [&Server; 3] {
        [&self.source, &self.ours, &self.native]
    }

    /// Forgets what earlier cases have left: replication, logs, databases.
    pub async fn clean(&self) {
        // The target first: with its subscriptions the slots at the source go.
        for server in [&self.native, &self.ours, &self.source] {
            native::forget(server).await;
        }
        for server in self.all() {
            remake(server, DATABASE).await;
        }
    }

    /// The tables with the same rows on all three.
    pub async fn fill(&self, tables: &[(Table, u64)]) {
        let only: Vec<Table> = tables.iter().map(|(table, _)| *table).collect();
        for server in self.all() {
            people::create(server, DATABASE, &only).await;
            for (table, rows) in tables {
                people::fill(server, DATABASE, *table, *rows).await;
            }
        }
    }

    pub async fn resume(&self, anchor: Native) {
        native::resume(anchor, &self.native).await;
    }

    pub async fn pause(&self, anchor: Native) {
        native::pause(anchor, &self.native).await;
    }
}

/// An empty database of this name, which no log tells of.
pub async fn remake(server: &Server, database: &str) {
    let mut main = Connection::open_in(server, server.main_database()).await;
    if server.kind().is_postgres() {
        main.run(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await;
    } else {
        main.run("SET sql_log_bin = 0").await;
        main.run(&format!("DROP DATABASE IF EXISTS {database}")).await;
    }
    main.run(&format!("CREATE DATABASE {database}")).await;
}
