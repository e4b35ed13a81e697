//! Takes what the write-ahead log holds into the ledger's file, on a thread of its own: who writes goes on meanwhile.
//!
//! As the log begins anew only when all of it has been taken in at one moment, which does not come while much is written, who writes
//! does the rest at a greater length.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Pages that the log grows by until they are taken in: 16 MiB.
const PAGES: i32 = 4000;
/// Pages in the log with which who writes takes in what is left.
const PAGES_MAX: i32 = 16_000;

/// How long it waits for the other one to end.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Has `db` tell a thread of what its log holds. Where there can't be one, it goes on doing everything by itself.
pub(super) fn apart(db: &mut Connection, path: &Path) {
    let Ok(other) = Connection::open(path) else { return };
    let (wanted, wait) = sync_channel(1);
    let mut told = 0;
    let hook = move |wal: &mut rusqlite::hooks::Wal, pages: i32| {
        if pages >= PAGES_MAX {
            // The other one may be at it: then the next commit tries again, and in the end waits.
            let wait = if pages >= 2 * PAGES_MAX { WAIT_MAX } else { Duration::ZERO };
            let begun = Instant::now();
            while wal.checkpoint().is_err() && begun.elapsed() < wait {
                std::thread::sleep(Duration::from_millis(1));
            }
            told = 0;
        } else {
            told = tell(&wanted, pages, told);
        }
        Ok(())
    };
    if db.wal_hook(Some(hook)).is_ok() {
        super::thread::spawn("ledger file", move || take_in(&other, &wait));
    }
}

/// Gives how long the log was when it was told last.
fn tell(wanted: &SyncSender<()>, pages: i32, told: i32) -> i32 {
    let told = if pages < told { 0 } else { told };
    if pages - told >= PAGES && wanted.try_send(()).is_ok() { pages } else { told }
}

fn take_in(db: &Connection, wait: &Receiver<()>) {
    while wait.recv().is_ok() {
        if let Err(error) = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::debug!(%error, "the ledger's log was not taken into its file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_log_is_taken_in_and_never_grows_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        let mut db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)").unwrap();
        apart(&mut db, &path);
        let log = folder.path().join("ledger.sqlite-wal");
        for n in 0..8 * i64::from(PAGES_MAX) / 20 {
            db.execute("INSERT INTO t VALUES (?1, zeroblob(80000))", [n]).unwrap();
        }
        let longest = std::fs::metadata(&log).unwrap().len();
        assert!(longest < 2 * (PAGES_MAX as u64 + 100) * 4120, "{longest}");
        let deadline = Instant::now() + Duration::from_secs(60);
        while std::fs::metadata(&path).unwrap().len() < 6 * PAGES_MAX as u64 * 4096 {
            assert!(Instant::now() < deadline, "nothing was taken into the file");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
