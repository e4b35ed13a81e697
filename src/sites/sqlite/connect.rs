//! Connections to the database file, and the lock files that keep a second daemon out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::errors;
use crate::sites::{Cause, Error, Lane, Result};

/// Statements kept prepared per connection: several shapes for each of some dozen shared tables.
const STATEMENTS_MAX: usize = 256;

/// The file of one site.
#[derive(Clone, Debug)]
pub struct Place {
    pub site: String,
    pub path: PathBuf,
    /// How long a statement waits for an application's lock.
    pub lock_wait: Duration,
}

impl Place {
    /// Opens the file, which must be there: a mistyped path never makes a new database.
    pub fn open(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        self.present()?;
        let db = Connection::open_with_flags(&self.path, flags).map_err(|e| self.error("opening the database", &e))?;
        db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        db.busy_timeout(self.lock_wait).map_err(|e| self.error("opening the database", &e))?;
        db.query_row("PRAGMA schema_version", [], |_| Ok(())).map_err(|e| self.error("opening the database", &e))?;
        Ok(db)
    }

    /// A connection that can't change anything.
    pub fn open_to_read(&self) -> Result<Connection> {
        let db = self.open()?;
        db.pragma_update(None, "query_only", true).map_err(|e| self.error("opening the database", &e))?;
        Ok(db)
    }

    /// The path that SQLite itself uses for the journal's name: symbolic links followed.
    pub fn real_path(&self) -> PathBuf {
        self.path.canonicalize().unwrap_or_else(|_| self.path.clone())
    }

    pub fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.real_path().into_os_string();
        name.push(suffix);
        name.into()
    }

    /// Device and inode of the file: another file under the same name is another database.
    pub fn inode(&self) -> Result<(u64, u64)> {
        let found = std::fs::metadata(&self.path).map_err(|e| self.absent(&e))?;
        Ok((found.dev(), found.ino()))
    }

    fn present(&self) -> Result<()> {
        self.inode().map(|_| ())
    }

    fn absent(&self, error: &std::io::Error) -> Error {
        let cause = if error.kind() == std::io::ErrorKind::PermissionDenied { Cause::Privilege } else { Cause::Unreachable };
        Error::new(cause, &self.site, format!("the database file {} can't be opened: {}", self.path.display(), error.kind()))
            .advice("look at the path and at the permissions of its folders")
    }

    pub fn error(&self, doing: &str, error: &rusqlite::Error) -> Error {
        errors::of(&self.site, doing, error)
    }
}

/// Runs blocking work away from the async threads.
pub async fn blocking<T: Send + 'static>(site: &str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(Cause::Disconnected, site, "a database task ended in the middle")),
    }
}

/// An exclusive lock of the operating system on a file beside the database; it ends with the process at the latest.
#[derive(Debug)]
pub struct LaneLock {
    path: PathBuf,
    file: File,
}

impl LaneLock {
    pub fn path(place: &Place, lane: Lane) -> PathBuf {
        place.beside(&format!(".rosterd-{}.lock", lane.name()))
    }

    pub fn take(place: &Place, lane: Lane, holder: &str) -> Result<LaneLock> {
        let path = LaneLock::path(place, lane);
        let failed = |error: std::io::Error| {
            let cause = if error.kind() == std::io::ErrorKind::PermissionDenied { Cause::Privilege } else { Cause::Unreachable };
            Error::new(cause, &place.site, format!("the lock file {} can't be made: {}", path.display(), error.kind()))
                .advice("the account of rosterd must be able to make files in the database's folder")
        };
        // Whoever dismantles removes the file while holding it: then the lock is on a file that is gone, and another try is due.
        for _ in 0..10 {
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(place, lane, &mut file)),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            if same_file(&file, &path) {
                file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes())).map_err(failed)?;
                return Ok(LaneLock { path, file });
            }
        }
        Err(Error::new(Cause::Busy, &place.site, format!("the lock file {} is removed again and again", path.display())))
    }

    pub fn still_held(&self) -> bool {
        same_file(&self.file, &self.path)
    }

    /// Removes the file; only its holder may.
    pub fn remove(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

fn held(place: &Place, lane: Lane, file: &mut File) -> Error {
    let mut holder = String::new();
    let _ = file.take(1000).read_to_string(&mut holder);
    let holder = if holder.is_empty() { "another daemon".to_string() } else { holder };
    Error::new(Cause::Held, &place.site, format!("the {} lane is held by {holder}", lane.name()))
        .advice("only one rosterd may write to a site: stop the other one")
}
