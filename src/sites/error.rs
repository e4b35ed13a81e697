//! What can go wrong with a site, and what to do about it.

use std::error::Error as StdError;
use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of one site. Its message names the site, the table where there is one, the cause and the next step; it never
/// holds a row's values: engines' messages that may quote values are reduced to their code and constraint.
#[derive(Debug)]
pub struct Error {
    pub cause: Cause,
    pub site: String,
    pub table: Option<String>,
    pub message: String,
    /// What the operator can do.
    pub advice: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No answer, refused connection, unknown host, no connection left for us.
    Unreachable,
    /// The connection broke in the middle.
    Disconnected,
    /// Wrong user or password.
    Credentials,
    /// The certificate or the TLS settings.
    Tls,
    /// A privilege is missing.
    Privilege,
    /// The database refuses writes.
    ReadOnly,
    /// No room on its disk.
    Full,
    /// Deadlock, lock wait, statement timeout: worth another try soon.
    Busy,
    /// The log does not reach back to where we left off, the slot is gone, or the log is another one.
    LogLost,
    /// A table, column, slot or setting that has to be there is not.
    Missing,
    /// Another daemon holds the site's lock.
    Held,
    /// The server said something that we do not understand.
    Protocol,
    /// The server or a table can't be used as it is configured.
    Unsupported,
}

impl Cause {
    pub const ALL: [Cause; 13] = [
        Cause::Unreachable,
        Cause::Disconnected,
        Cause::Credentials,
        Cause::Tls,
        Cause::Privilege,
        Cause::ReadOnly,
        Cause::Full,
        Cause::Busy,
        Cause::LogLost,
        Cause::Missing,
        Cause::Held,
        Cause::Protocol,
        Cause::Unsupported,
    ];

    /// As metrics name it.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Unreachable => "unreachable",
            Cause::Disconnected => "disconnected",
            Cause::Credentials => "credentials",
            Cause::Tls => "tls",
            Cause::Privilege => "privilege",
            Cause::ReadOnly => "read_only",
            Cause::Full => "full",
            Cause::Busy => "busy",
            Cause::LogLost => "log_lost",
            Cause::Missing => "missing",
            Cause::Held => "held",
            Cause::Protocol => "protocol",
            Cause::Unsupported => "unsupported",
        }
    }
}

/// What the caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Try again, with backoff; it may pass by itself.
    Retry,
    /// The log must be given up and the site's tables compared with the ledger.
    Reconcile,
    /// Nothing changes until somebody does something.
    Stop,
}

impl Error {
    pub fn new(cause: Cause, site: impl Into<String>, message: impl Into<String>) -> Error {
        Error { cause, site: site.into(), table: None, message: message.into(), advice: None, source: None }
    }

    pub fn table(mut self, table: impl Into<String>) -> Error {
        self.table = Some(table.into());
        self
    }

    pub fn advice(mut self, advice: impl Into<String>) -> Error {
        self.advice = Some(advice.into());
        self
    }

    /// The error below, for `source()`; its text must not hold values and is not repeated in the message.
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// The site does not answer, or has stopped answering.
    pub fn is_away(&self) -> bool {
        matches!(self.cause, Cause::Unreachable | Cause::Disconnected)
    }

    pub fn disposition(&self) -> Disposition {
        match self.cause {
            Cause::LogLost => Disposition::Reconcile,
            Cause::Unsupported | Cause::Missing => Disposition::Stop,
            // A daemon outlives a rotated password, a renewed certificate and an administrator's mistake.
            Cause::Unreachable
            | Cause::Disconnected
            | Cause::Credentials
            | Cause::Tls
            | Cause::Privilege
            | Cause::ReadOnly
            | Cause::Full
            | Cause::Busy
            | Cause::Held
            | Cause::Protocol => Disposition::Retry,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "site {}", self.site)?;
        if let Some(table) = &self.table {
            write!(f, ", table {table}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(advice) = &self.advice {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
