//! A changelog that does not go on from where it was read is told from one that does.

use rosterd::model::{LogItem, Position};
use rosterd::sites::{Cause, Lane};

use crate::bed::Bed;

async fn cause(bed: &Bed, from: Position) -> Option<Cause> {
    bed.open(from).await.err().map(|error| error.cause)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_copy_is_recognised_before_and_after_it_was_written_to() {
    let bed = Bed::new("WAL").await;
    let copy = bed.folder.path().join("copy");
    bed.run(&format!("INSERT INTO users (uid, name) VALUES (1, 'ann'); VACUUM INTO '{}'", copy.display()));
    bed.run("INSERT INTO users (uid, name) VALUES (2, 'bob')");
    let position = bed.site.log_end().await.unwrap();
    assert_eq!(cause(&bed, position.clone()).await, None);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", bed.path.display()));
    }
    std::fs::rename(&copy, &bed.path).unwrap();
    assert_eq!(cause(&bed, position.clone()).await, Some(Cause::LogLost));
    // Now its changelog is as long as what was read, but it is another one.
    std::thread::sleep(std::time::Duration::from_millis(3));
    bed.run("INSERT INTO users (uid, name) VALUES (3, 'cyd')");
    assert_eq!(cause(&bed, position).await, Some(Cause::LogLost));
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_rows_and_removed_triggers_are_a_lost_log() {
    let bed = Bed::new("WAL").await;
    let position = bed.site.log_end().await.unwrap();
    bed.run("INSERT INTO users (uid, name) VALUES (1, 'ann'), (2, 'bob')");
    assert_eq!(cause(&bed, position.clone()).await, None);
    bed.run("DELETE FROM rosterd_changelog WHERE id <= (SELECT max(id) - 1 FROM rosterd_changelog)");
    assert_eq!(cause(&bed, position).await, Some(Cause::LogLost));
    let end = bed.site.log_end().await.unwrap();
    bed.run("DROP TRIGGER rosterd_ad_users");
    assert_eq!(cause(&bed, end.clone()).await, Some(Cause::LogLost));
    // Made again, the gap is told.
    bed.site.prepare(&bed.tables).await.unwrap();
    let mut log = bed.log_from(end).await;
    assert!(matches!(log.next().await.unwrap(), LogItem::Alarm { .. }));
    bed.run("DROP TABLE rosterd_changelog");
    assert_eq!(cause(&bed, Position("1.1".into())).await, Some(Cause::LogLost));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_put_in_its_place_ends_the_reading() {
    let bed = Bed::new("DELETE").await;
    let mut log = bed.log().await;
    let copy = bed.folder.path().join("copy");
    std::fs::copy(&bed.path, &copy).unwrap();
    std::fs::rename(&copy, &bed.path).unwrap();
    let error = loop {
        if let Err(error) = log.next().await {
            break error;
        }
    };
    assert_eq!(error.cause, Cause::Disconnected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_is_unreachable_and_never_made() {
    let bed = Bed::new("WAL").await;
    let path = bed.folder.path().join("nowhere.db");
    let site = crate::bed::site_at(path.clone(), std::time::Duration::from_secs(1));
    assert_eq!(site.describe().await.err().unwrap().cause, Cause::Unreachable);
    assert_eq!(site.writer(Lane::Bulk, "x").await.err().unwrap().cause, Cause::Unreachable);
    assert!(!path.exists());
}
