//! From SQLite's errors to the contract's: by code, with advice, and without any text that could quote a value.

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::model::SiteTable;
use crate::sites::{Cause, Error, Rejection};

/// Beginnings of SQLite's messages that name parts of the schema or of our own SQL, and never a value.
const NAMING: [&str; 11] = [
    "no such table",
    "no such column",
    "no such function",
    "no such collation sequence",
    "no such index",
    "near \"",
    "UNIQUE constraint failed",
    "NOT NULL constraint failed",
    "CHECK constraint failed",
    "FOREIGN KEY constraint failed",
    "cannot store",
];

/// What SQLite said, as far as it is known to hold no value.
pub fn reason(error: &rusqlite::Error) -> String {
    let rusqlite::Error::SqliteFailure(code, message) = error else {
        return "the driver could not run the statement".into();
    };
    match message {
        Some(message) if NAMING.iter().any(|start| message.starts_with(start)) => message.clone(),
        _ => format!("SQLite error {}: {}", code.extended_code, ffi::code_to_str(code.extended_code)),
    }
}

/// An error of the connection or the database as a whole.
pub fn of(site: &str, doing: &str, error: &rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    let (cause, advice) = match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            (Cause::Busy, "an application holds the database's lock; journal_mode=WAL lets readers and one writer work side by side")
        }
        Some(ErrorCode::ReadOnly) => (Cause::ReadOnly, "make the file and its folder writable for the account of rosterd"),
        Some(ErrorCode::DiskFull) => (Cause::Full, "make room on the disk"),
        Some(ErrorCode::DatabaseCorrupt) => {
            (Cause::Unsupported, "run PRAGMA integrity_check with the sqlite3 command, and restore the file or .recover it")
        }
        Some(ErrorCode::NotADatabase) => (Cause::Unsupported, "the path must name a SQLite 3 database that is not encrypted"),
        Some(ErrorCode::CannotOpen) => (Cause::Unreachable, "look at the path and the permissions of the file and its folder"),
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            (Cause::Privilege, "give the account of rosterd read and write access to the file and its folder")
        }
        Some(ErrorCode::SystemIoFailure) => (Cause::Disconnected, "look at the disk and the system's log"),
        Some(ErrorCode::OutOfMemory) => (Cause::Busy, "the machine is short of memory"),
        _ if reason(error).starts_with("no such") => {
            (Cause::Missing, "look at the schema: something that the site had is gone; `rosterd check` says what")
        }
        _ => (Cause::Protocol, "this is unexpected; please report it"),
    };
    Error::new(cause, site, format!("{doing}: {}", reason(error))).advice(advice)
}

/// Why one row was not written, or None when the fault is not the row's.
pub fn rejection(error: &rusqlite::Error, table: &SiteTable) -> Option<Rejection> {
    let rusqlite::Error::SqliteFailure(code, message) = error else { return None };
    let message = message.as_deref().unwrap_or_default();
    match code.code {
        ErrorCode::ConstraintViolation => Some(match code.extended_code {
            ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_ROWID => unique(message, table),
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Rejection::Reference("a foreign key (SQLite does not say which)".into()),
            ffi::SQLITE_CONSTRAINT_TRIGGER => Rejection::Data("a trigger of the site refuses it".into()),
            _ => Rejection::Data(reason(error)),
        }),
        ErrorCode::TooBig => Some(Rejection::Data("it is longer than SQLite's limit".into())),
        ErrorCode::TypeMismatch => Some(Rejection::Data("a value's type is not the column's".into())),
        // A trigger, check or index of the application that calls a function or collation which only it defines.
        ErrorCode::Unknown if message.starts_with("no such function") || message.starts_with("no such collation") => {
            Some(Rejection::Data(reason(error)))
        }
        _ => None,
    }
}

/// The marker's number is in use.
pub fn is_taken(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code() == Some(ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}

pub fn is_foreign_key(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code() == Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY)
}

/// `UNIQUE constraint failed: users.name, users.site` or `... failed: index 'name'`.
fn unique(message: &str, table: &SiteTable) -> Rejection {
    let list = message.split_once(": ").map_or("", |(_, list)| list);
    if let Some(index) = list.strip_prefix("index '") {
        return Rejection::Unique(index.trim_end_matches('\'').into());
    }
    let prefix = format!("{}.", table.name);
    let mut columns: Vec<&str> = list.split(", ").map(|column| column.strip_prefix(&prefix).unwrap_or(column)).collect();
    columns.sort_unstable();
    let same = |names: Vec<&str>| {
        let mut names = names;
        names.sort_unstable();
        names == columns
    };
    if same(table.table.key.iter().filter_map(|&i| table.columns[i].as_ref()).map(|c| c.name.as_str()).collect()) {
        return Rejection::Elsewise;
    }
    let known = table.unique.iter().find(|key| same(key.columns.iter().map(String::as_str).collect()));
    Rejection::Unique(known.map_or_else(|| columns.join(", "), |key| key.name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_may_quote_values_are_reduced_to_their_code() {
        let failure = |message: &str| {
            rusqlite::Error::SqliteFailure(ffi::Error { code: ErrorCode::Unknown, extended_code: 1 }, Some(message.to_string()))
        };
        assert!(!reason(&failure("bad JSON path: 'secret'")).contains("secret"));
        assert_eq!(reason(&failure("no such table: users")), "no such table: users");
        assert_eq!(of("s", "reading", &failure("no such table: users")).cause, Cause::Missing);
    }
}
