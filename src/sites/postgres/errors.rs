//! The server's errors as ours. PostgreSQL's messages of some classes quote values (`Key (mail)=(..) already exists`,
//! `invalid input syntax for type integer: ".."`), so their text is passed on only where it can't.

use std::error::Error as _;

use crate::sites::{Cause, Error, Rejection, tls};

/// A lock was waited for longer than `lock_timeout`.
pub(super) const LOCK_WAIT: &str = "55P03";

/// What may be told of an error that the server reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fault {
    pub code: String,
    pub message: String,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
}

impl Fault {
    pub fn of(error: &tokio_postgres::Error) -> Option<Fault> {
        let db = error.as_db_error()?;
        Some(Fault {
            code: db.code().code().to_owned(),
            message: db.message().to_owned(),
            table: db.table().map(str::to_owned),
            column: db.column().map(str::to_owned),
            constraint: db.constraint().map(str::to_owned),
        })
    }

    /// The body of an ErrorResponse: fields of a letter and a text, each ended by a zero.
    pub fn parse(mut body: &[u8]) -> Fault {
        let mut fault = Fault::default();
        while let Some((letter, rest)) = body.split_first() {
            let end = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
            let text = String::from_utf8_lossy(&rest[..end]).into_owned();
            match letter {
                0 => break,
                b'C' => fault.code = text,
                b'M' => fault.message = text,
                b't' => fault.table = Some(text),
                b'c' => fault.column = Some(text),
                b'n' => fault.constraint = Some(text),
                _ => {}
            }
            body = rest.get(end + 1..).unwrap_or_default();
        }
        fault
    }

    /// The error in words that hold no row's values.
    pub fn text(&self) -> String {
        // Data exceptions, constraint violations and what PL/pgSQL functions raise quote rows; so may unknown classes.
        let quotes_nothing = ["08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "55", "57", "58"];
        if quotes_nothing.iter().any(|class| self.code.starts_with(class)) {
            return format!("{} (SQLSTATE {})", self.message, self.code);
        }
        self.bare()
    }

    /// SQLSTATE and names only.
    pub fn bare(&self) -> String {
        let mut text = format!("{} (SQLSTATE {}", meaning(&self.code), self.code);
        for (word, name) in [("constraint", &self.constraint), ("column", &self.column), ("table", &self.table)] {
            if let Some(name) = name {
                text.push_str(&format!(", {word} {name}"));
            }
        }
        text.push(')');
        text
    }

    pub fn cause(&self) -> Cause {
        match self.code.as_str() {
            "40001" | "40P01" | "55P03" | "57014" | "55006" | "25P03" => Cause::Busy,
            "25006" => Cause::ReadOnly,
            "53100" => Cause::Full,
            "42501" => Cause::Privilege,
            "3D000" | "3F000" | "42P01" | "42703" | "42704" => Cause::Missing,
            "57P01" | "57P02" | "57P05" => Cause::Disconnected,
            "53300" | "57P03" | "53200" | "53000" | "53400" => Cause::Unreachable,
            "0A000" | "55000" | "42P10" => Cause::Unsupported,
            code if code.starts_with("28") => Cause::Credentials,
            code if code.starts_with("08") => Cause::Disconnected,
            code if code.starts_with("40") => Cause::Busy,
            _ => Cause::Protocol,
        }
    }

    pub fn error(&self, site: &str, doing: &str) -> Error {
        let error = Error::new(self.cause(), site, format!("{doing}: {}", self.text()));
        match advice(self.cause(), self) {
            Some(advice) => error.advice(advice),
            None => error,
        }
    }

    /// What the fault says about one row; None: it is not the row's fault.
    pub fn rejection(&self, primary_key: Option<&str>) -> Option<Rejection> {
        let constraint = self.constraint.clone().unwrap_or_else(|| "unnamed".into());
        Some(match self.code.as_str() {
            "23505" if self.constraint.is_some() && self.constraint.as_deref() == primary_key => Rejection::Elsewise,
            "23505" => Rejection::Unique(constraint),
            "23503" => Rejection::Reference(constraint),
            LOCK_WAIT => Rejection::Locked,
            "42501" => return None,
            code if ["22", "23", "42", "44", "P0", "09", "21", "27", "39", "38", "54"].iter().any(|class| code.starts_with(class)) => {
                Rejection::Data(self.bare())
            }
            _ => return None,
        })
    }
}

/// An error of the driver while `doing` something at `site`.
pub(super) fn from_driver(site: &str, doing: &str, error: tokio_postgres::Error) -> Error {
    if let Some(fault) = Fault::of(&error) {
        return fault.error(site, doing);
    }
    let mut cause = if error.is_closed() { Cause::Disconnected } else { Cause::Protocol };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(below) = source {
        if let Some(tls) = tls_error(below) {
            return tls_refused(site, doing, tls);
        }
        if let Some(io) = below.downcast_ref::<std::io::Error>() {
            cause = if text.starts_with("error connecting") { Cause::Unreachable } else { Cause::Disconnected };
            text = format!("{text}: {io}");
            break;
        }
        source = below.source();
    }
    if text.starts_with("error performing TLS") && cause == Cause::Protocol {
        return Error::new(Cause::Tls, site, format!("{doing}: the server does not offer TLS"))
            .advice("turn ssl on at the server, or set tls = \"off\" where the network is trusted");
    }
    if text == "authentication error" || text.starts_with("invalid configuration") {
        return Error::new(Cause::Credentials, site, format!("{doing}: the server asks for a password, and none is configured"))
            .advice("set password_file or password_env");
    }
    Error::new(cause, site, format!("{doing}: {text}"))
}

/// The TLS library's error in a chain of errors; I/O errors wrap it.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    error.downcast_ref().or_else(|| tls::error_within(error.downcast_ref()?))
}

pub(super) fn tls_refused(site: &str, doing: &str, error: &rustls::Error) -> Error {
    let (text, advice) = tls::explain(error);
    Error::new(Cause::Tls, site, format!("{doing}: TLS failed: {text}")).advice(advice)
}

fn advice(cause: Cause, fault: &Fault) -> Option<&'static str> {
    match (cause, fault.code.as_str()) {
        (Cause::Privilege, _) => Some("`rosterd grants` prints the statements that the account needs"),
        (Cause::ReadOnly, _) => Some("the server is a standby or default_transaction_read_only is on: point the site at the primary"),
        (Cause::Full, _) => Some("make room on the server's disk"),
        (Cause::Credentials, _) if fault.message.ends_with("no encryption") => Some(
            "set tls = \"verify-full\" for the site, and ca_file to who signed the server's certificate; or permit the account in pg_hba.conf",
        ),
        (Cause::Credentials, _) if fault.message.contains("certificate") => {
            Some("set cert_file and key_file to a certificate for this user that the server's authority (ssl_ca_file) has signed")
        }
        (Cause::Credentials, _) => Some("check user, password and pg_hba.conf"),
        (Cause::Unreachable, "53300") => Some(
            "raise max_connections (max_wal_senders, the account's CONNECTION LIMIT) at the server, or end sessions that nobody needs; rosterd takes up to 8 to a site",
        ),
        (Cause::Busy, "57014") => {
            Some("rosterd sets its own sessions no time limit: see who ends statements at the server, by pg_cancel_backend or otherwise")
        }
        (Cause::Missing, "3D000") => Some("check the database's name in the site's url"),
        _ => None,
    }
}

fn meaning(code: &str) -> &'static str {
    match code {
        "22001" => "a value is too long for its column",
        "22003" => "a number is out of its column's range",
        "22021" => "a text has a character that the database can't hold",
        "22P02" => "a value is not in its type's form",
        "23502" => "a column that may not be NULL is",
        "23503" => "a foreign key is violated",
        "23505" => "a unique key has the value already",
        "23514" => "a check constraint is violated",
        "23P01" => "an exclusion constraint is violated",
        code if code.starts_with("P0") => "a trigger or function refused",
        code if code.starts_with("22") => "a value does not fit",
        code if code.starts_with("23") => "a constraint is violated",
        code if code.starts_with("42") => "the statement does not fit the table",
        _ => "the server refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: &str) -> Fault {
        Fault {
            code: code.into(),
            message: "Key (mail)=(joe@example.net) already exists".into(),
            table: Some("users".into()),
            column: None,
            constraint: Some("users_mail_key".into()),
        }
    }

    #[test]
    fn values_in_the_servers_messages_are_not_passed_on() {
        for code in ["23505", "22P02", "P0001", "XX000", "23514"] {
            let text = fault(code).error("nj", "writing").to_string();
            assert!(!text.contains("joe@"), "{text}");
            assert!(text.contains(code), "{text}");
        }
    }

    #[test]
    fn a_row_is_to_blame_for_constraints_and_not_for_locks() {
        assert_eq!(fault("23505").rejection(None), Some(Rejection::Unique("users_mail_key".into())));
        assert_eq!(fault("23505").rejection(Some("users_mail_key")), Some(Rejection::Elsewise));
        assert_eq!(fault("23503").rejection(None), Some(Rejection::Reference("users_mail_key".into())));
        assert!(matches!(fault("22001").rejection(None), Some(Rejection::Data(_))));
        assert_eq!(fault("40P01").rejection(None), None);
        assert_eq!(fault("55P03").cause(), Cause::Busy);
        assert_eq!(fault("28P01").cause(), Cause::Credentials);
    }
}
