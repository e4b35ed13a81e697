//! Latency and rates, printed; only the latency has a bound, which the design promises.

use std::time::{Duration, Instant};

use rosterd::model::LogItem;
use rosterd::sites::{Lane, Outcome};

use crate::bed::{Bed, batch, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_read_within_20_ms() {
    for journal in ["WAL", "DELETE", "PERSIST"] {
        let bed = Bed::new(journal).await;
        let mut log = bed.log().await;
        let app = bed.app();
        let mut times = Vec::new();
        for i in 0..60 {
            app.execute("INSERT INTO users (uid, name) VALUES (?1, 'u' || ?1)", [i]).unwrap();
            let start = Instant::now();
            let transaction = log.transaction().await;
            times.push(start.elapsed());
            assert_eq!(transaction.changes.len(), 1);
            // Past the time in which the reader looks often after a change.
            if i % 6 == 0 {
                tokio::time::sleep(Duration::from_millis(1200)).await;
            }
        }
        times.sort_unstable();
        println!("wake-up after a commit, {journal}: p50 {:?}, p95 {:?}, max {:?}", times[30], times[57], times[59]);
        assert!(times[30] < Duration::from_millis(20), "{journal}: {times:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_printed() {
    const ROWS: i64 = 50_000;
    for journal in ["WAL", "DELETE"] {
        let bed = Bed::new(journal).await;
        let users = bed.table("users");
        let mut log = bed.log().await;
        let mut writer = bed.writer(Lane::Bulk).await;
        let batches: Vec<_> =
            (0..ROWS / 500).map(|n| batch(n + 1, (0..500).map(|i| user(&users, n * 500 + i, &format!("u{n}_{i}"))).collect())).collect();
        let start = Instant::now();
        for sent in &batches {
            assert_eq!(writer.apply(sent).await.unwrap(), Outcome::Committed { failed: Vec::new() });
        }
        let applied = start.elapsed();
        let mut landed = 0;
        while landed < ROWS {
            if let LogItem::Transaction(t) = log.next().await.unwrap() {
                landed += t.changes.len() as i64;
            }
        }
        let heard = start.elapsed();
        let from = log.position.clone();
        drop(log);
        bed.run("UPDATE users SET login = 1");
        let start = Instant::now();
        let mut log = bed.log_from(from).await;
        let mut read = 0;
        while read < ROWS {
            if let LogItem::Transaction(t) = log.next().await.unwrap() {
                read += t.changes.len() as i64;
            }
        }
        let rate = |n: i64, time: Duration| (n as f64 / time.as_secs_f64()) as u64;
        println!(
            "{journal}: apply {} rows/s, landings heard {:?} after the last commit, read {} rows/s",
            rate(ROWS, applied),
            heard - applied,
            rate(ROWS, start.elapsed())
        );
    }
}
