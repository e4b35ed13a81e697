//! What the daemon itself takes: memory with many shared rows, and processor time when nothing happens.

use std::time::Duration;

use crate::Scale;
use crate::daemon::{Daemon, configuration};
use crate::database::{Connection, fill, table, wait_for};
use crate::servers::{Kind, Server};

/// Resident memory after a first copy from MariaDB to PostgreSQL.
pub async fn memory(scale: &Scale) {
    let (hub, client) = (Server::start(Kind::MariaDb1011), Server::start(Kind::Postgres15));
    make(&[&hub, &client]).await;
    fill(&hub, scale.memory_rows).await;
    let (folder, config) = configuration(&[hub.url("bench"), client.url("bench")], &["users"]);
    let begun = std::time::Instant::now();
    let daemon = Daemon::start(&config);
    let mut target = Connection::open(&client).await;
    wait_for(&mut target, "SELECT count(*) FROM users", scale.memory_rows as i64).await;
    let seconds = begun.elapsed().as_secs_f64();
    let ledger = std::fs::metadata(folder.path().join("state/ledger.sqlite")).map_or(0, |file| file.len());
    println!(
        "memory, {} rows shared: {:.1} MiB resident after the first copy, which took {seconds:.1} s ({:.0} rows/s); ledger {:.1} MiB",
        scale.memory_rows,
        daemon.resident_mib(),
        scale.memory_rows as f64 / seconds,
        ledger as f64 / 1_048_576.0
    );
    daemon.stop();
}

/// Processor time of the daemon with four sites on which nothing happens.
pub async fn idle(scale: &Scale) {
    let servers: Vec<Server> = [Kind::MariaDb1011, Kind::MariaDb118, Kind::Postgres15, Kind::Postgres18].map(Server::start).into();
    let all: Vec<&Server> = servers.iter().collect();
    make(&all).await;
    fill(&servers[0], 1_000).await;
    let urls: Vec<String> = servers.iter().map(|server| server.url("bench")).collect();
    let (_folder, config) = configuration(&urls, &["users"]);
    let daemon = Daemon::start(&config);
    for server in &servers {
        wait_for(&mut Connection::open(server).await, "SELECT count(*) FROM users", 1_000).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = daemon.processor_seconds();
    tokio::time::sleep(Duration::from_secs(scale.idle_seconds)).await;
    let used = daemon.processor_seconds() - before;
    println!(
        "idle, 4 sites: {:.2} % of a core over {} s; {:.1} MiB resident",
        used * 100.0 / scale.idle_seconds as f64,
        scale.idle_seconds,
        daemon.resident_mib()
    );
    daemon.stop();
}

async fn make(servers: &[&Server]) {
    for server in servers {
        server.sql(server.main_database(), "CREATE DATABASE bench");
        let mut connection = Connection::open(server).await;
        for statement in table(server.kind()) {
            connection.run(statement).await;
        }
    }
}
