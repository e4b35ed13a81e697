//! What applications do is in the log, whatever way they do it.

use rosterd::model::{Cell, LogItem, Origin};
use rosterd::sites::Lane;
use rusqlite::Connection;

use crate::bed::{Bed, Log, changes, int_key};

const JOURNALS: [&str; 4] = ["WAL", "DELETE", "TRUNCATE", "PERSIST"];

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_statement_is_followed_in_every_journal_mode() {
    for journal in JOURNALS {
        let bed = Bed::new(journal).await;
        let mut log = bed.log().await;
        let mut writer = bed.writer(Lane::Urgent).await;
        bed.run(
            "INSERT INTO users (uid, name) VALUES (1, 'ann'), (2, 'bob'), (3, 'cyd'), (4, 'dan');
             UPDATE users SET mail = 'ann@example.net' WHERE uid = 1;
             DELETE FROM users WHERE uid = 4;
             UPDATE users SET uid = 30 WHERE uid = 3;
             REPLACE INTO users (uid, name) VALUES (5, 'bob');
             INSERT INTO users (uid, name) VALUES (1, 'eve') ON CONFLICT (uid) DO UPDATE SET mail = 'upserted';
             INSERT OR IGNORE INTO users (uid, name) VALUES (9, 'ann');
             BEGIN; INSERT INTO users (uid, name) VALUES (6, 'fay'); ROLLBACK;
             BEGIN; INSERT INTO users (uid, name) VALUES (7, 'gus'); SAVEPOINT s; DELETE FROM users; ROLLBACK TO s; COMMIT;
             INSERT INTO users_roles VALUES (1, 'admin'), (5, 'editor');
             UPDATE OR REPLACE users SET name = 'ann' WHERE uid = 7;
             INSERT INTO sessions VALUES ('s1', 1, x'00ff', 5);",
        );
        log.up_to(&bed, &mut writer, 1).await;
        assert_eq!(log.replica, bed.content().await, "{journal}");
        assert!(!log.replica.contains_key(&("users".into(), "2".into())), "{journal}: REPLACE removed bob's row without a delete trigger");
        assert!(!log.replica.contains_key(&("users".into(), "1".into())), "{journal}: UPDATE OR REPLACE removed ann's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_is_a_delete_and_a_row_that_moved() {
    let bed = Bed::new("WAL").await;
    bed.run("INSERT INTO sessions VALUES ('old', 1, NULL, 5)");
    let mut log = bed.log().await;
    let mut writer = bed.writer(Lane::Urgent).await;
    bed.run("UPDATE sessions SET sid = 'new'");
    let items = log.up_to(&bed, &mut writer, 1).await;
    let found: Vec<_> =
        changes(&items).into_iter().map(|(_, c)| (c.key.reveal(), c.after.is_some(), c.moved_from.as_ref().map(|k| k.reveal()))).collect();
    assert_eq!(found, [("old".into(), false, None), ("new".into(), true, Some("old".into()))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_differ_in_case_only_are_two_keys() {
    let schema = "CREATE TABLE names (name VARCHAR(60) COLLATE NOCASE PRIMARY KEY, n INT) WITHOUT ROWID";
    let bed = Bed::with("WAL", schema, &["names"]).await;
    bed.run("INSERT INTO names VALUES ('joe', 1)");
    let mut log = bed.log().await;
    let mut writer = bed.writer(Lane::Urgent).await;
    bed.run("REPLACE INTO names VALUES ('JOE', 2)");
    let items = log.up_to(&bed, &mut writer, 1).await;
    let found: Vec<_> = changes(&items).into_iter().map(|(_, c)| (c.key.reveal(), c.after.is_some())).collect();
    assert_eq!(found, [("joe".into(), false), ("JOE".into(), true)]);
    let description = bed.site.describe().await.unwrap();
    assert!(description[0].columns[0].case_insensitive);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_without_a_canonical_form_are_refused_by_name() {
    let bed = Bed::new("WAL").await;
    let mut log = bed.log().await;
    let mut writer = bed.writer(Lane::Urgent).await;
    bed.run("INSERT INTO users (uid, name, mail, login) VALUES (1, x'61', CAST(x'ff' AS TEXT), 'never')");
    let items = log.up_to(&bed, &mut writer, 1).await;
    let image = changes(&items)[0].1.after.clone().unwrap();
    let refused = image.iter().filter(|cell| matches!(cell, Cell::Refused(_))).count();
    assert_eq!(refused, 3, "{:?}", image);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_value_arrives_whole() {
    let bed = Bed::new("WAL").await;
    let mut log = bed.log().await;
    let data = vec![7u8; 20_000_000];
    bed.app().execute("INSERT INTO users (uid, name, data) VALUES (1, 'ann', ?1)", [&data]).unwrap();
    let transaction = log.transaction().await;
    let image = transaction.changes[0].after.clone().unwrap();
    assert_eq!(image[4], Cell::Value(rosterd::model::Value::Bytes(data)));
    assert_eq!(transaction.origin, Origin::Local);
    assert_eq!(transaction.changes[0].key, int_key(1));
}

/// Random statements by several connections, read meanwhile: after each round the replica is what the tables hold.
#[tokio::test(flavor = "multi_thread")]
async fn random_statements_of_several_applications_end_in_an_equal_replica() {
    for (seed, journal) in [(1, "WAL"), (2, "DELETE"), (3, "WAL"), (4, "PERSIST")] {
        let bed = Bed::new(journal).await;
        let mut log = bed.log().await;
        let mut writer = bed.writer(Lane::Urgent).await;
        let mut marker = 0;
        for round in 0..30 {
            let applications = (0..3).map(|n| {
                let app = bed.app();
                std::thread::spawn(move || random_statements(&app, seed * 1000 + round * 10 + n))
            });
            let applications: Vec<_> = applications.collect();
            while !applications.iter().all(|app| app.is_finished()) {
                marker += 1;
                log.up_to(&bed, &mut writer, marker).await;
                log.acknowledge().await;
            }
            applications.into_iter().for_each(|app| app.join().unwrap());
            marker += 1;
            log.up_to(&bed, &mut writer, marker).await;
            assert_eq!(log.replica, bed.content().await, "seed {seed}, round {round}, {journal}");
        }
    }
}

fn random_statements(app: &Connection, seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    app.pragma_update(None, "recursive_triggers", seed.is_multiple_of(2)).unwrap();
    app.pragma_update(None, "synchronous", "OFF").unwrap();
    for _ in 0..5 {
        app.execute_batch("BEGIN IMMEDIATE").unwrap();
        for _ in 0..=random(4) {
            let (uid, name, n) = (random(12), random(8), random(1000));
            let sql = match random(10) {
                0 => format!("INSERT OR IGNORE INTO users (uid, name, login) VALUES ({uid}, 'n{name}', {n})"),
                1 | 2 => format!("REPLACE INTO users (uid, name, login) VALUES ({uid}, 'n{name}', {n})"),
                3 => format!("UPDATE OR REPLACE users SET name = 'n{name}', login = {n} WHERE uid = {uid}"),
                4 => format!("UPDATE OR REPLACE users SET uid = {uid} WHERE name = 'n{name}'"),
                5 => format!("UPDATE users SET mail = 'm{n}' WHERE uid < {uid}"),
                6 => format!("DELETE FROM users WHERE uid = {uid}"),
                7 => format!("INSERT INTO users (uid, name) VALUES ({uid}, 'n{name}') ON CONFLICT DO UPDATE SET login = {n}"),
                8 => format!("REPLACE INTO users_roles VALUES ({uid}, 'r{name}')"),
                _ => format!("UPDATE OR REPLACE users_roles SET uid = {uid} WHERE rid = 'r{name}'"),
            };
            app.execute_batch(&sql).unwrap();
        }
        app.execute_batch(if random(5) == 0 { "ROLLBACK" } else { "COMMIT" }).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_read_in_bounded_parts() {
    let bed = Bed::new("WAL").await;
    let start = bed.site.log_end().await.unwrap();
    bed.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
         INSERT INTO users (uid, name) SELECT i, 'u' || i FROM n",
    );
    let mut log: Log = bed.log_from(start).await;
    let mut writer = bed.writer(Lane::Bulk).await;
    let items = log.up_to(&bed, &mut writer, 1).await;
    let transactions: Vec<usize> =
        items.iter().filter_map(|i| if let LogItem::Transaction(t) = i { Some(t.changes.len()) } else { None }).collect();
    assert_eq!(transactions.iter().sum::<usize>(), 12_000);
    assert!(transactions.iter().all(|n| *n <= 5_000), "{transactions:?}");
    assert_eq!(log.replica, bed.content().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_rows_are_removed_and_reading_goes_on_after_a_restart() {
    let bed = Bed::new("WAL").await;
    let mut log = bed.log().await;
    let mut writer = bed.writer(Lane::Urgent).await;
    bed.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO users (uid, name) SELECT i, 'u' || i FROM n");
    log.up_to(&bed, &mut writer, 1).await;
    log.acknowledge().await;
    let app = bed.app();
    let deadline = std::time::Instant::now() + crate::bed::DEADLINE;
    loop {
        let kept: i64 = app.query_row("SELECT count(*) FROM rosterd_changelog", [], |row| row.get(0)).unwrap();
        if kept == 1 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{kept} rows are kept");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (position, replica) = (log.position.clone(), log.replica.clone());
    drop(log);
    bed.run("DELETE FROM users WHERE uid = 17");
    let mut log = bed.log_from(position).await;
    log.replica = replica;
    log.up_to(&bed, &mut writer, 2).await;
    assert_eq!(log.replica, bed.content().await);
}
