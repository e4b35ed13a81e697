//! What `check` proves about the file, and what an administrator has to allow.

use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};

use super::connect::Place;
use super::describe;
use super::triggers::{self, Tracking};
use super::window;
use crate::model::{Position, SiteTable};
use crate::sites::{Finding, Result};

/// Files up to this size are checked whole.
const QUICK_CHECK_BYTES_MAX: u64 = 256 << 20;
/// Below this much room, or this share of the file, a warning is due.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// File systems over a network, where SQLite's locks and WAL can't be relied on: NFS, SMB, CIFS, SMB2, Ceph, 9p.
const NETWORK: [i64; 6] = [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x00C3_6400, 0x0102_1997];

pub fn findings(place: &Place, tables: &[Arc<SiteTable>], from: Option<&Position>) -> Result<Vec<Finding>> {
    let mut found = vec![folder(place)];
    found.extend(disk(place));
    let mut db = place.open()?;
    let failed = |error| place.error("checking the database", &error);
    found.push(version(&db).map_err(failed)?);
    found.push(journal(&db).map_err(failed)?);
    found.push(privileges(place, &mut db));
    found.extend(integrity(place, &db).map_err(failed)?);
    for table in tables {
        found.extend(tracked(&db, table).map_err(failed)?);
    }
    if let Some(from) = from {
        found.push(position(&db, from).map_err(failed)?);
    }
    Ok(found)
}

fn folder(place: &Place) -> Finding {
    let probe = place.beside(".rosterd-probe");
    let made = std::fs::File::create(&probe);
    let _ = std::fs::remove_file(&probe);
    match made {
        Ok(_) => Finding::fine("folder", "files can be made beside the database"),
        Err(error) => {
            Finding::error("folder", format!("no file can be made beside the database: {}", error.kind()), grants(place).join("; "))
        }
    }
}

fn disk(place: &Place) -> Vec<Finding> {
    let Some(facts) = file_system(place) else { return Vec::new() };
    let mut found = Vec::new();
    if NETWORK.contains(&facts.kind) {
        found.push(Finding::warning(
            "file system",
            "the database is on a network file system: SQLite's locks are not reliable there, and changes made on another machine are seen late",
            "keep the file on a local disk, and run rosterd there",
        ));
    }
    let size = std::fs::metadata(&place.path).map_or(0, |file| file.len());
    if facts.free < FREE_BYTES_MIN.max(size / 10) {
        let text = format!("{} MB are free on the database's disk", facts.free >> 20);
        found.push(Finding::warning("disk space", text, "make room on the disk"));
    } else {
        found.push(Finding::fine("disk space", format!("{} MB are free", facts.free >> 20)));
    }
    found
}

struct FileSystem {
    kind: i64,
    free: u64,
}

#[cfg(target_os = "linux")]
fn file_system(place: &Place) -> Option<FileSystem> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(place.path.as_os_str().as_bytes()).ok()?;
    let mut facts = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path ends with a NUL, and the structure is read only where the call says that it has been filled.
    let facts = unsafe { if libc::statfs(path.as_ptr(), facts.as_mut_ptr()) == 0 { facts.assume_init() } else { return None } };
    Some(FileSystem { kind: facts.f_type as i64, free: facts.f_bavail.saturating_mul(facts.f_bsize as u64) })
}

#[cfg(not(target_os = "linux"))]
fn file_system(_place: &Place) -> Option<FileSystem> {
    None
}

fn version(db: &Connection) -> rusqlite::Result<Finding> {
    let encoding: String = db.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    Ok(Finding::fine("version", format!("SQLite {} (rosterd's own), {encoding}; applications need 3.24 or newer", rusqlite::version())))
}

fn journal(db: &Connection) -> rusqlite::Result<Finding> {
    let mode: String = db.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    Ok(match mode.as_str() {
        "wal" => Finding::fine("journal mode", "WAL: reading never makes an application wait"),
        "memory" | "off" => Finding::warning(
            "journal mode",
            format!("{mode}: a crash in the middle of a transaction damages the database"),
            "PRAGMA journal_mode=WAL;",
        ),
        mode => Finding::warning(
            "journal mode",
            format!(
                "{mode}: while rosterd reads, for a few milliseconds, an application's commit waits, or fails where it sets no busy timeout"
            ),
            "PRAGMA journal_mode=WAL;",
        ),
    })
}

fn privileges(place: &Place, db: &mut Connection) -> Finding {
    let tried = db.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|tx| {
        tx.execute_batch("CREATE TABLE rosterd_probe (id INTEGER PRIMARY KEY); DROP TABLE rosterd_probe")?;
        tx.rollback()
    });
    match tried {
        Ok(()) => Finding::fine("privileges", "the file can be written, and tables and triggers can be made"),
        Err(error) => Finding::error("privileges", place.error("trying to write", &error).message, grants(place).join("; ")),
    }
}

fn integrity(place: &Place, db: &Connection) -> rusqlite::Result<Option<Finding>> {
    if std::fs::metadata(&place.path).map_or(0, |file| file.len()) > QUICK_CHECK_BYTES_MAX {
        return Ok(None);
    }
    // Its lines may quote index entries: only whether it is fine is told.
    let fine = db.query_row("PRAGMA quick_check(1)", [], |row| Ok(row.get::<_, String>(0)? == "ok"))?;
    Ok(Some(if fine {
        Finding::fine("integrity", "quick_check finds nothing")
    } else {
        Finding::error(
            "integrity",
            "quick_check finds damage",
            "PRAGMA integrity_check; then restore the file, or use .recover of the sqlite3 command",
        )
    }))
}

fn tracked(db: &Connection, table: &SiteTable) -> rusqlite::Result<Vec<Finding>> {
    let subject = format!("table {}", table.name);
    if !describe::has_table(db, &table.name)? {
        return Ok(vec![Finding::error(subject, "it does not exist", "create it, or do not share it")]);
    }
    let indexes = describe::indexes(db, &table.name)?;
    if let Some(obstacle) = triggers::obstacle(table, &indexes) {
        return Ok(vec![Finding::error(subject, obstacle, "give it a primary key over its key columns")]);
    }
    let mut found = Vec::new();
    let nullable: Vec<&str> = triggers::key_columns(table)
        .unwrap_or_default()
        .iter()
        .filter(|column| column.nullable)
        .map(|column| column.name.as_str())
        .collect();
    if !nullable.is_empty() {
        let text = format!("SQLite allows NULL in its key column {}; rows with NULL there are left out", nullable.join(", "));
        found.push(Finding::warning(subject.clone(), text, "declare the key columns NOT NULL"));
    }
    if indexes.iter().any(|index| index.unique && index.unique_columns().is_none()) {
        let text = "it has a unique index with a WHERE clause or an expression: rows that REPLACE removes because of it are not seen";
        found.push(Finding::warning(
            subject.clone(),
            text,
            "avoid REPLACE and INSERT OR REPLACE on this table, or use a plain unique index",
        ));
    }
    let text = match triggers::tracking(db, &triggers::wanted(table, &indexes), &table.name)? {
        Tracking::Complete => "its triggers are there",
        Tracking::Outdated => "its triggers will be made anew when rosterd starts",
        Tracking::Missing => "its triggers will be made when rosterd starts",
    };
    found.push(Finding::fine(subject, text));
    Ok(found)
}

fn position(db: &Connection, from: &Position) -> rusqlite::Result<Finding> {
    let lost = match window::Place::parse(from) {
        Some(place) => place.lost(db)?,
        None => Some("the position in the ledger is not one of a changelog"),
    };
    Ok(match lost {
        None => Finding::fine("log", "the changelog goes on from where it was read"),
        Some(reason) => Finding::warning("log", reason, "nothing: the site's tables are compared with the ledger at the next start"),
    })
}

/// What the account that rosterd runs as needs; SQLite knows no other privileges than the file's.
pub fn grants(place: &Place) -> Vec<String> {
    let path = place.real_path();
    let folder = path.parent().unwrap_or(&path).display().to_string();
    let (folder, file) = (shell(&folder), shell(&path.display().to_string()));
    vec![
        format!("chgrp rosterd {folder} {file}*"),
        format!("chmod g+rwxs {folder}"),
        format!("chmod g+rw {file}*"),
        "# the web server's account must be in the group rosterd too, with umask 0002, so that each can write the other's -wal and -shm files".into(),
    ]
}

fn shell(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''"))
}
