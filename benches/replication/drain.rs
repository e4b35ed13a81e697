//! How long it takes to catch up with one-row transactions that were committed meanwhile, each to another row.

use std::time::Instant;

use crate::Scale;
use crate::daemon::{Daemon, configuration};
use crate::database::{Connection, Trio, fill, wait_for};

pub async fn run(trio: &Trio, scale: &Scale) {
    let (_folder, config) = configuration(&trio.urls(), &["users"]);
    let people = scale.drain_transactions;
    let have = Connection::open(&trio.source).await.number("SELECT count(*) FROM users").await;
    if (have as u64) < people {
        Connection::open(&trio.source).await.run("DELETE FROM users").await;
        fill(&trio.source, people).await;
    }
    let daemon = Daemon::start(&config);
    for server in [&trio.ours, &trio.native] {
        wait_for(&mut Connection::open(server).await, "SELECT count(*) FROM users", people as i64).await;
    }
    daemon.stop();
    trio.stop_native().await;
    write(trio, people).await;
    let sum = Connection::open(&trio.source).await.number(SUM).await;

    let begun = Instant::now();
    trio.resume_native().await;
    wait_for(&mut Connection::open(&trio.native).await, SUM, sum).await;
    let native = begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    let daemon = Daemon::start(&config);
    wait_for(&mut Connection::open(&trio.ours).await, SUM, sum).await;
    let ours = begun.elapsed().as_secs_f64();
    println!(
        "drain, {}, {people} one-row transactions: rosterd {ours:.2} s ({:.0}/s, its start included); native {native:.2} s ({:.0}/s); {:.2} times native",
        trio.kind.name(),
        people as f64 / ours,
        people as f64 / native,
        native / ours
    );
    daemon.stop();
    let sums = [trio.checksum(&trio.source).await, trio.checksum(&trio.ours).await, trio.checksum(&trio.native).await];
    assert!(sums[0] == sums[1] && sums[0] == sums[2], "the end states differ");
}

const SUM: &str = "SELECT count(*) FROM users WHERE login > 0";

/// One update a row, in the order of the rows' names, which is not that of their numbers.
async fn write(trio: &Trio, people: u64) {
    if !trio.kind.is_postgres() {
        // The source's own durability is not what is measured.
        Connection::open(&trio.source).await.run("SET GLOBAL innodb_flush_log_at_trx_commit = 2").await;
        Connection::open(&trio.source).await.run("SET GLOBAL sync_binlog = 0").await;
    }
    let parts: Vec<_> = (0..4)
        .map(|part| {
            let (server, kind) = (&trio.source, trio.kind);
            async move {
                let mut connection = Connection::open(server).await;
                if kind.is_postgres() {
                    connection.run("SET synchronous_commit = off").await;
                }
                for n in (1..=people).filter(|n| n % 4 == part) {
                    connection.run(&format!("UPDATE users SET login = {n} WHERE name = 'person{n}'")).await;
                }
            }
        })
        .collect();
    futures_util::future::join_all(parts).await;
    if !trio.kind.is_postgres() {
        Connection::open(&trio.source).await.run("SET GLOBAL innodb_flush_log_at_trx_commit = 1").await;
        Connection::open(&trio.source).await.run("SET GLOBAL sync_binlog = 1").await;
    }
}
