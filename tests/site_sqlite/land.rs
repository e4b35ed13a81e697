//! Our own transactions: what they write, what they leave alone, and how they are read back.

use std::time::Duration;

use rosterd::model::{LogItem, MarkerId, MarkerKind, Origin, Value, WriteKind};
use rosterd::sites::{Cause, Lane, Outcome, Piece, Rejection, Statement};

use crate::bed::{Bed, batch, changes, int_key, site_at, user, write};

fn committed() -> Outcome {
    Outcome::Committed { failed: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_read_back_as_a_landing_with_its_marker() {
    for journal in ["WAL", "DELETE"] {
        let bed = Bed::new(journal).await;
        let users = bed.table("users");
        let mut log = bed.log().await;
        let mut writer = bed.writer(Lane::Urgent).await;
        let sent = batch(5, vec![user(&users, 1, "ann"), user(&users, 2, "bob")]);
        assert_eq!(writer.apply(&sent).await.unwrap(), committed());
        let landing = log.transaction().await;
        assert_eq!(landing.origin, Origin::Landing { marker: MarkerId(5), payload: sent.payload.clone() });
        assert_eq!(landing.changes.len(), 2);
        log.acknowledge().await;

        let mut next = batch(
            6,
            vec![
                write(&users, WriteKind::Columns, int_key(1), &[("mail", Value::text("new"))]),
                write(&users, WriteKind::Delete, int_key(2), &[]),
                write(&users, WriteKind::Delete, int_key(99), &[]),
            ],
        );
        next.forget = vec![MarkerId(5)];
        assert_eq!(writer.apply(&next).await.unwrap(), committed());
        assert_eq!(writer.markers().await.unwrap(), [(MarkerId(6), MarkerKind::Batch, next.payload.clone())]);
        let landing = log.transaction().await;
        let found: Vec<_> = landing.changes.iter().map(|c| (c.key.reveal(), c.after.is_some())).collect();
        assert_eq!(found, [("1".into(), true), ("2".into(), false)], "{journal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_wrote_unseen_is_left_alone() {
    let bed = Bed::new("WAL").await;
    let users = bed.table("users");
    let mut log = bed.log().await;
    let mut writer = bed.writer(Lane::Urgent).await;
    let mut bulk = bed.writer(Lane::Bulk).await;
    bed.run("INSERT INTO users (uid, name, mail) VALUES (1, 'ann', 'hers')");
    let update = |marker| batch(marker, vec![write(&users, WriteKind::Columns, int_key(1), &[("mail", Value::text("ours"))])]);
    for _ in 0..2 {
        assert_eq!(writer.apply(&update(1)).await.unwrap(), Outcome::Rejected(vec![(0, Rejection::Elsewise)]));
        assert_eq!(bulk.apply(&update(1)).await.unwrap(), Outcome::Rejected(vec![(0, Rejection::Elsewise)]));
    }
    assert!(log.transaction().await.changes.len() == 1);
    assert_eq!(writer.apply(&update(1)).await.unwrap(), Outcome::Rejected(vec![(0, Rejection::Elsewise)]), "read, but not in the ledger");
    log.acknowledge().await;
    assert_eq!(writer.apply(&update(1)).await.unwrap(), committed());
    // What the other lane wrote is no application's.
    assert_eq!(bulk.apply(&update(2)).await.unwrap(), committed());

    // A change after the landing is not shown by the landing.
    bed.run("UPDATE users SET mail = 'hers again' WHERE uid = 1");
    let items = log.up_to(&bed, &mut writer, 9).await;
    let local: Vec<_> = changes(&items).into_iter().filter(|(origin, _)| **origin == Origin::Local).collect();
    assert_eq!(local.len(), 1);
    assert_eq!(log.replica, bed.content().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_does_not_show_what_came_after_it() {
    let bed = Bed::new("WAL").await;
    let users = bed.table("users");
    let start = bed.site.log_end().await.unwrap();
    let mut writer = bed.writer(Lane::Urgent).await;
    assert_eq!(writer.apply(&batch(1, vec![user(&users, 1, "ann"), user(&users, 2, "bob")])).await.unwrap(), committed());
    // Far enough after it that the change is not in the same look.
    bed.run(
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 7000) INSERT INTO users (uid, name) SELECT i, 'u' || i FROM n;
         UPDATE users SET mail = 'later' WHERE uid = 1",
    );
    let mut log = bed.log_from(start).await;
    let items = log.up_to(&bed, &mut writer, 2).await;
    let landed: Vec<_> = changes(&items).into_iter().filter(|(origin, _)| **origin != Origin::Local).map(|(_, c)| c.key.reveal()).collect();
    assert_eq!(landed, ["2"]);
    assert!(items.iter().any(|item| matches!(item, LogItem::Transaction(t) if t.origin != Origin::Local)));
    assert_eq!(log.replica, bed.content().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejections_are_told_by_row_and_roll_all_back() {
    let bed = Bed::new("WAL").await;
    let users = bed.table("users");
    bed.run("INSERT INTO users (uid, name) VALUES (1, 'ann')");
    let mut log = bed.log().await;
    let mut writer = bed.writer(Lane::Urgent).await;
    log.up_to(&bed, &mut writer, 1).await;
    log.acknowledge().await;
    let rows = vec![
        user(&users, 2, "bob"),
        user(&users, 1, "cyd"),
        user(&users, 3, "ann"),
        write(&users, WriteKind::Columns, int_key(8), &[("mail", Value::text("x"))]),
        write(&users, WriteKind::Columns, int_key(1), &[("name", Value::Null)]),
    ];
    let Outcome::Rejected(rejected) = writer.apply(&batch(3, rows)).await.unwrap() else { panic!("committed") };
    assert_eq!(rejected[..3], [(1, Rejection::Elsewise), (2, Rejection::Unique("name".into())), (3, Rejection::Elsewise)]);
    assert!(matches!(&rejected[3], (4, Rejection::Data(reason)) if reason == "NOT NULL constraint failed: users.name"), "{rejected:?}");
    assert_eq!(bed.content().await.len(), 1);
    assert_eq!(writer.apply(&batch(3, vec![user(&users, 2, "bob")])).await.unwrap(), committed());
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_reject_by_row_also_when_deferred() {
    for deferred in ["", "DEFERRABLE INITIALLY DEFERRED"] {
        let schema = format!(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (id INTEGER PRIMARY KEY, p INT REFERENCES parent (id) {deferred});"
        );
        let bed = Bed::with("WAL", &schema, &["parent", "child"]).await;
        let (parent, child) = (bed.table("parent"), bed.table("child"));
        let mut log = bed.log().await;
        let mut writer = bed.writer(Lane::Urgent).await;
        let row = |table, id, values: &[(&str, Value)]| write(table, WriteKind::Insert, int_key(id), values);
        let one = row(&parent, 1, &[("id", Value::Int(1))]);
        let good = row(&child, 1, &[("id", Value::Int(1)), ("p", Value::Int(1))]);
        let orphan = row(&child, 2, &[("id", Value::Int(2)), ("p", Value::Int(9))]);
        let outcome = writer.apply(&batch(1, vec![one.clone(), good.clone(), orphan])).await.unwrap();
        assert!(
            matches!(&outcome, Outcome::Rejected(rows) if rows.len() == 1 && matches!(rows[0], (2, Rejection::Reference(_)))),
            "{outcome:?}"
        );
        assert_eq!(writer.apply(&batch(1, vec![one, good])).await.unwrap(), committed());
        log.up_to(&bed, &mut writer, 2).await;
        log.acknowledge().await;
        let removal = batch(3, vec![write(&parent, WriteKind::Delete, int_key(1), &[])]);
        let outcome = writer.apply(&removal).await.unwrap();
        assert!(matches!(&outcome, Outcome::Rejected(rows) if matches!(rows[0], (0, Rejection::Reference(_)))), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_apply_statements_fail_alone() {
    let bed = Bed::new("WAL").await;
    bed.run("INSERT INTO cache VALUES ('user:1', x'00'), ('user:2', x'00')");
    let mut writer = bed.writer(Lane::Urgent).await;
    let statement = |sql: &str, value: &str| Statement(vec![Piece::Sql(sql.into()), Piece::Value(Value::text(value))]);
    let mut sent = batch(1, vec![user(&bed.table("users"), 1, "ann")]);
    sent.statements = vec![
        statement("DELETE FROM cache WHERE cid = ", "user:1"),
        statement("DELETE FROM nowhere WHERE cid = ", "secret"),
        statement("SELECT json_extract('{}', ", "secret"),
    ];
    sent.statements[2].0.push(Piece::Sql(")".into()));
    let Outcome::Committed { failed } = writer.apply(&sent).await.unwrap() else { panic!("rejected") };
    assert_eq!(failed[0], (1, "no such table: nowhere".into()));
    assert!(failed.len() == 2 && !format!("{failed:?}").contains("secret"), "{failed:?}");
    let left: i64 = bed.app().query_row("SELECT count(*) FROM cache", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
    assert_eq!(writer.run(&[statement("DELETE FROM cache WHERE cid = ", "user:2")]).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_a_batch_takes_its_number_for_good() {
    let bed = Bed::new("WAL").await;
    let users = bed.table("users");
    let mut writer = bed.writer(Lane::Urgent).await;
    writer.apply(&batch(1, vec![user(&users, 1, "ann")])).await.unwrap();
    assert!(writer.settle(MarkerId(1)).await.unwrap());
    assert!(!writer.settle(MarkerId(2)).await.unwrap());
    assert!(!writer.settle(MarkerId(2)).await.unwrap());
    assert_eq!(writer.apply(&batch(2, vec![user(&users, 2, "bob")])).await.unwrap_err().cause, Cause::Protocol);
    assert_eq!(bed.content().await.len(), 1);
    writer.forget(&[MarkerId(1), MarkerId(2)]).await.unwrap();
    assert!(writer.markers().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_told_who_is_there() {
    let bed = Bed::new("WAL").await;
    let mut first = bed.site.writer(Lane::Bulk, "host a, process 17").await.unwrap();
    let error = site_at(bed.path.clone(), Duration::from_secs(1)).writer(Lane::Bulk, "host b").await.err().unwrap();
    assert_eq!(error.cause, Cause::Held);
    assert!(error.message.contains("host a, process 17"), "{error}");
    bed.writer(Lane::Urgent).await.ping().await.unwrap();
    assert_eq!(bed.site.dismantle().await.unwrap_err().cause, Cause::Held);
    first.ping().await.unwrap();
    drop(first);
    bed.site.dismantle().await.unwrap();
    bed.site.dismantle().await.unwrap();
    let left: Vec<_> = std::fs::read_dir(bed.folder.path())
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .filter(|n| n.to_string_lossy().contains("rosterd"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let ours: i64 = bed.app().query_row("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'rosterd%'", [], |row| row.get(0)).unwrap();
    assert_eq!(ours, 0);
    bed.run("INSERT INTO users (uid, name) VALUES (1, 'ann')");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_an_application_keeps_is_busy_and_passes() {
    for journal in ["WAL", "DELETE"] {
        let bed = Bed::new(journal).await;
        let site = site_at(bed.path.clone(), Duration::from_millis(50));
        let mut writer = site.writer(Lane::Urgent, "test").await.unwrap();
        let app = bed.app();
        app.execute_batch("BEGIN IMMEDIATE").unwrap();
        let sent = batch(1, vec![user(&bed.table("users"), 1, "ann")]);
        assert_eq!(writer.apply(&sent).await.unwrap_err().cause, Cause::Busy);
        app.execute_batch("COMMIT").unwrap();
        assert_eq!(writer.apply(&sent).await.unwrap(), committed());
    }
}
