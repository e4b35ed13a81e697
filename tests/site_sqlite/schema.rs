//! Schemas: what they mean, what is unfit, and what happens when they change.

use rosterd::model::{ColumnType, LogItem};
use rosterd::sites::{Cause, Lane, Level};

use crate::bed::{Bed, SCHEMA, SHARED};

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_table_and_a_renamed_column_are_told_once() {
    let bed = Bed::new("WAL").await;
    bed.run("INSERT INTO users (uid, name) VALUES (1, 'ann')");
    let mut log = bed.log().await;
    let mut writer = bed.writer(Lane::Urgent).await;
    bed.run("ALTER TABLE sessions ADD COLUMN extra TEXT");
    let items = log.up_to(&bed, &mut writer, 1).await;
    assert!(!items.iter().any(|item| matches!(item, LogItem::Altered { .. })), "an extra column is nothing: {items:?}");

    bed.run(
        "BEGIN; CREATE TABLE users_new (uid INTEGER PRIMARY KEY, name VARCHAR(60) NOT NULL, mail TEXT, login INT DEFAULT 0, data BLOB, UNIQUE (name));
         INSERT INTO users_new SELECT * FROM users; DROP TABLE users; ALTER TABLE users_new RENAME TO users; COMMIT;
         INSERT INTO users_roles VALUES (1, 'admin');",
    );
    let items = log.up_to(&bed, &mut writer, 2).await;
    let altered = |items: &[LogItem]| items.iter().filter(|item| matches!(item, LogItem::Altered { table, .. } if table.0 == 0)).count();
    assert_eq!(altered(&items), 1, "{items:?}");
    assert!(log.replica.contains_key(&("users_roles".into(), "1,admin".into())), "other tables go on");

    // Made anew, the log goes on, and says that changes of the table may have gone by.
    let position = log.position.clone();
    drop(log);
    bed.site.prepare(&bed.tables).await.unwrap();
    let mut log = bed.log_from(position).await;
    bed.run("UPDATE users SET mail = 'x'");
    let items = log.up_to(&bed, &mut writer, 3).await;
    assert!(items.iter().any(|item| matches!(item, LogItem::Alarm { table, .. } if table.0 == 0)), "{items:?}");
    assert!(log.replica.contains_key(&("users".into(), "1".into())));

    bed.run("ALTER TABLE users RENAME COLUMN mail TO email");
    bed.run("UPDATE users SET email = 'y'");
    let items = log.up_to(&bed, &mut writer, 4).await;
    assert_eq!(altered(&items), 1, "{items:?}");
    assert!(items.iter().any(|item| matches!(item, LogItem::Alarm { .. })), "a change that was passed over is told: {items:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_unique_index_is_covered_after_preparing_again() {
    let bed = Bed::new("WAL").await;
    bed.run("INSERT INTO users (uid, name, mail) VALUES (1, 'ann', 'm')");
    bed.run("CREATE UNIQUE INDEX mails ON users (mail)");
    bed.site.prepare(&bed.tables).await.unwrap();
    let mut log = bed.log().await;
    log.replica = bed.content().await;
    let mut writer = bed.writer(Lane::Urgent).await;
    bed.run("REPLACE INTO users (uid, name, mail) VALUES (2, 'bob', 'm')");
    log.up_to(&bed, &mut writer, 1).await;
    let keys: Vec<_> = log.replica.keys().map(|(_, key)| key.as_str()).collect();
    assert_eq!(keys, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unfit_says_so() {
    let schema = "CREATE TABLE nokey (a INT, b TEXT); CREATE VIEW v AS SELECT * FROM nokey;
        CREATE TABLE odd (id VARCHAR(9) PRIMARY KEY, d DECIMAL(10,2), s STRING, \"quo\"\"ted\" TEXT);
        CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (id INTEGER PRIMARY KEY, p INT REFERENCES parent ON DELETE CASCADE);
        CREATE TRIGGER theirs AFTER INSERT ON odd BEGIN SELECT 1; END;";
    let bed = Bed::with("DELETE", schema, &[]).await;
    let described = bed.site.describe().await.unwrap();
    let table = |name: &str| described.iter().find(|table| table.name == name).unwrap();
    assert!(table("nokey").key.is_empty() && table("v").unfit.is_some());
    assert_eq!(table("odd").columns[1].column.ty, ColumnType::Decimal { digits: Some((10, 2)) });
    assert!(matches!(table("odd").columns[2].column.ty, ColumnType::Unsupported(_)));
    assert!(table("odd").columns[0].column.nullable);
    assert_eq!(table("odd").triggers, ["theirs"]);
    let foreign = &table("child").foreign[0];
    assert!(foreign.cascades && foreign.parent_columns == ["id"] && foreign.columns == ["p"]);
    assert!(described.iter().all(|table| !table.name.starts_with("rosterd_")));

    let nokey = bed.describe(&["nokey"]).await;
    let error = bed.site.prepare(&nokey).await.unwrap_err();
    assert_eq!(error.cause, Cause::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_grants_name_what_is_to_be_done() {
    let bed = Bed::with("DELETE", SCHEMA, &SHARED).await;
    let end = bed.site.log_end().await.unwrap();
    let findings = bed.site.probe(&bed.tables, Some(&end)).await.unwrap();
    assert!(findings.iter().all(|finding| finding.level != Level::Error), "{findings:#?}");
    let journal = findings.iter().find(|finding| finding.subject == "journal mode").unwrap();
    assert_eq!((journal.level, journal.remedy.as_deref()), (Level::Warning, Some("PRAGMA journal_mode=WAL;")));
    assert!(bed.site.grants(&bed.tables).iter().any(|line| line.starts_with("chmod")));
    let same = crate::bed::site_at(bed.path.clone(), std::time::Duration::from_secs(1));
    assert_eq!(same.identity().await.unwrap(), bed.site.identity().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_quotes_and_unusual_keys_work() {
    let schema = "CREATE TABLE \"it's \"\"odd\"\"\" (\"a\"\"b\" REAL, \"c'd\" BLOB, e, PRIMARY KEY (\"a\"\"b\", \"c'd\"))";
    let bed = Bed::with("WAL", schema, &["it's \"odd\""]).await;
    let mut log = bed.log().await;
    let mut writer = bed.writer(Lane::Urgent).await;
    bed.run("INSERT INTO \"it's \"\"odd\"\"\" VALUES (1, x'01', 'one'), (1.5, x'', 'two'), (2, x'00ff', NULL)");
    bed.run("DELETE FROM \"it's \"\"odd\"\"\" WHERE e = 'one'");
    log.up_to(&bed, &mut writer, 1).await;
    assert_eq!(log.replica, bed.content().await);
    assert_eq!(log.replica.len(), 2);
}
