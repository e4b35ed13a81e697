//! From commit at one site to visible at another, at a steady rate of one-row transactions.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, configuration};
use crate::database::{Connection, Trio, wait_for};
use crate::servers::Server;
use crate::{Scale, percentile};

pub async fn run(trio: &Trio, scale: &Scale) {
    let (_folder, config) = configuration(&trio.urls(), &["users"]);
    let daemon = Daemon::start(&config);
    let rows = Connection::open(&trio.source).await.number("SELECT count(*) FROM users").await;
    wait_for(&mut Connection::open(&trio.ours).await, "SELECT count(*) FROM users", rows).await;
    let (ours, native) = measure(trio, scale).await;
    println!(
        "lag, {}, {} transactions a second: rosterd p50 {:.2} ms, p99 {:.2} ms; native p50 {:.2} ms, p99 {:.2} ms ({} each)",
        trio.kind.name(),
        scale.lag_rate,
        percentile(&ours, 50.0),
        percentile(&ours, 99.0),
        percentile(&native, 50.0),
        percentile(&native, 99.0),
        ours.len()
    );
    daemon.stop();
}

/// Milliseconds from each commit's answer to the first read that shows it, at rosterd's target and at the native one.
async fn measure(trio: &Trio, scale: &Scale) -> (Vec<f64>, Vec<f64>) {
    let count = scale.lag_rate * scale.lag_seconds;
    let mut source = Connection::open(&trio.source).await;
    let uid = source.number("SELECT min(uid) FROM users").await;
    source.run(&format!("UPDATE users SET access = 0 WHERE uid = {uid}")).await;
    let watchers = [watch(&trio.ours, uid, count as i64).await, watch(&trio.native, uid, count as i64).await];
    let begun = Instant::now();
    let mut committed = HashMap::new();
    for n in 1..=count {
        let due = begun + Duration::from_micros(n * 1_000_000 / scale.lag_rate);
        tokio::time::sleep_until(due.into()).await;
        source.run(&format!("UPDATE users SET access = {n} WHERE uid = {uid}")).await;
        committed.insert(n as i64, Instant::now());
    }
    let mut results = Vec::new();
    for watcher in watchers {
        let seen = watcher.await.expect("the watcher ends");
        let mut lags = Vec::new();
        let mut next = 1;
        for (value, at) in seen {
            for n in next..=value {
                lags.push(at.saturating_duration_since(committed[&n]).as_secs_f64() * 1e3);
            }
            next = value + 1;
        }
        lags.sort_by(f64::total_cmp);
        results.push(lags);
    }
    let native = results.pop().expect("two watchers");
    (results.pop().expect("two watchers"), native)
}

/// Reads the row again and again until it shows `last`; each value with the time it was seen first.
async fn watch(server: &Server, uid: i64, last: i64) -> tokio::task::JoinHandle<Vec<(i64, Instant)>> {
    let mut connection = Connection::open(server).await;
    tokio::spawn(async move {
        let sql = format!(
            "SELECT CAST(access AS {}) FROM users WHERE uid = {uid}",
            if matches!(connection, Connection::MySql(_)) { "SIGNED" } else { "bigint" }
        );
        let (mut seen, mut latest) = (Vec::new(), 0);
        let deadline = Instant::now() + Duration::from_secs(120);
        while latest < last {
            assert!(Instant::now() < deadline, "the target shows {latest} of {last} after two minutes");
            let value = connection.number(&sql).await;
            if value > latest {
                seen.push((value, Instant::now()));
                latest = value;
            }
            // Leaves the two cores to the servers; adds at most this to a lag, on both sides alike.
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        seen
    })
}
