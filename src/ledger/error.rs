//! What can go wrong with the ledger's file.

use thiserror::Error;

use crate::model::Malformed;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Error)]
pub enum Error {
    #[error("the ledger {path} can't be opened: {cause}; {advice}")]
    Open { path: String, cause: String, advice: &'static str },
    #[error("the ledger is in format {found}, and this rosterd knows formats up to {known}; install the newer rosterd that wrote it")]
    Newer { found: i64, known: i64 },
    #[error("the ledger {path} is in use by another rosterd; only one works on a state directory: stop it, or name another state_dir")]
    InUse { path: String },
    #[error("the ledger belongs to another configuration: {0}")]
    Configuration(String),
    #[error("the ledger is damaged: {0}; restore it from a backup, or move it away and let `rosterd run` copy anew")]
    Damaged(String),
    #[error("no room on the ledger's disk; nothing is lost, reading goes on when there is room")]
    Full,
    #[error("the ledger can't be written: {0}")]
    Sqlite(rusqlite::Error),
    #[error("the ledger's thread has ended")]
    Ended,
}

impl Error {
    /// Whether another try may succeed without anybody doing anything to the ledger itself.
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Full | Error::Sqlite(_))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
        use rusqlite::ErrorCode::*;
        match error.sqlite_error_code() {
            // The driver's message would show the value.
            None if matches!(error, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)) => {
                Error::Damaged("a column holds what it never had".into())
            }
            Some(DiskFull) => Error::Full,
            Some(DatabaseCorrupt | NotADatabase) => Error::Damaged(error.to_string()),
            _ => Error::Sqlite(error),
        }
    }
}

impl From<Malformed> for Error {
    fn from(error: Malformed) -> Error {
        Error::Damaged(error.to_string())
    }
}
