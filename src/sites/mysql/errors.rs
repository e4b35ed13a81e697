//! From the driver's errors to ours. What may quote a row's values is reduced to its code and the names in it.

use std::error::Error as StdError;

use mysql_async::{DriverError, Error as DriveError, IoError, ServerError};
use rustls::CertificateError;

use super::connect::Server;
use crate::config::{Host, TlsMode};
use crate::sites::{Cause, Error, MARKER_TABLE, Rejection, tls};

impl Server {
    /// A connection that was not opened.
    pub(super) fn refused(&self, error: DriveError) -> Error {
        let host = self.host_text();
        match error {
            DriveError::Io(IoError::Io(io)) if tls::error_within(&io).is_none() => {
                self.error(Cause::Unreachable, format!("{host} can't be reached: {io}")).advice("check host, port and firewall").because(io)
            }
            DriveError::Io(error) => self.tls_refused(&host, &error),
            DriveError::Driver(DriverError::NoClientSslFlagFromServer) => self
                .error(Cause::Tls, format!("{host} offers no TLS"))
                .advice("give the server a certificate, or set tls = \"off\" on a private network"),
            // MySQL makes up a plugin for an account that it does not know.
            DriveError::Driver(DriverError::UnknownAuthPlugin { name }) => self
                .error(Cause::Credentials, format!("{host} does not know the account, or asks for {name}, which is not supported"))
                .advice("check user and password in the configuration; the account must use caching_sha2_password, ed25519 or mysql_native_password"),
            DriveError::Server(error) => self.server_error("connect", &error),
            other => self.failed("connect", other),
        }
    }

    fn tls_refused(&self, host: &str, error: &IoError) -> Error {
        let rustls = match error {
            IoError::Io(io) => tls::error_within(io),
            IoError::Tls(tls) => StdError::source(tls).and_then(|source| source.downcast_ref()),
        };
        let (text, advice) = match rustls {
            // With a name in it, it would have been taken.
            Some(rustls::Error::InvalidCertificate(reason @ CertificateError::NotValidForNameContext { .. }))
                if self.tls.mode == TlsMode::VerifyCa =>
            {
                (format!("the certificate has no name: {reason}"), "give the server a certificate with a subjectAltName, whatever it is")
            }
            Some(error) => tls::explain(error),
            None => (error.to_string(), "check ca_file, cert_file and key_file"),
        };
        self.error(Cause::Tls, format!("TLS with {host} failed: {text}")).advice(advice)
    }

    /// A statement of ours that holds no row's values.
    pub(super) fn failed(&self, doing: &str, error: DriveError) -> Error {
        match error {
            DriveError::Server(error) => self.server_error(doing, &error),
            other => {
                let cause = if other.is_fatal() { Cause::Disconnected } else { Cause::Protocol };
                self.error(cause, format!("can't {doing}: {}", plain(&other)))
            }
        }
    }

    fn server_error(&self, doing: &str, error: &ServerError) -> Error {
        let cause = cause(error).unwrap_or(Cause::Protocol);
        let ours = self.error(cause, format!("can't {doing}: {} (error {})", error.message, error.code));
        match cause {
            Cause::Privilege => ours.advice("run the statements that `rosterd grants` prints"),
            Cause::Credentials if error.code == 3159 => {
                ours.advice("set tls = \"verify-full\" for the site, and ca_file to who signed the server's certificate")
            }
            Cause::Credentials => ours.advice(self.credentials_advice()),
            Cause::Unreachable => ours.advice(
                "raise max_connections (or max_user_connections) at the server, or end connections that nobody needs; rosterd takes up to 8 to a site",
            ),
            Cause::Busy if TIME_LIMITS.contains(&error.code) => {
                ours.advice("rosterd sets its own sessions no time limit: see who ends statements at the server, by KILL or by a limit of the account")
            }
            Cause::Missing if error.message.contains(MARKER_TABLE) => ours.advice("`rosterd run` makes it; its account needs CREATE on it"),
            _ => ours,
        }
    }

    /// The server tells an account that it does not know from a wrong password no more than from TLS that it misses.
    fn credentials_advice(&self) -> &'static str {
        match (&self.host, self.tls.mode, &self.tls.cert_file) {
            (Host::Socket(_), ..) => "check user and password in the configuration",
            (_, TlsMode::Off, _) => {
                "check user and password in the configuration; for an account that requires TLS, set tls = \"verify-full\""
            }
            (_, _, None) => {
                "check user and password in the configuration; for an account that requires a certificate, set cert_file and key_file"
            }
            (_, _, Some(_)) => "check user and password in the configuration, and which certificate the account requires",
        }
    }

    /// An error of the server to a statement that may hold values.
    pub(super) fn redacted(&self, doing: &str, error: &ServerError) -> Error {
        let cause = cause(error).unwrap_or(Cause::Protocol);
        self.error(cause, format!("can't {doing}: error {} ({})", error.code, error.state))
    }
}

/// The driver's own errors without what the server sent.
fn plain(error: &DriveError) -> String {
    match error {
        DriveError::Driver(DriverError::UnexpectedPacket { .. }) => "the server sent an unexpected packet".into(),
        DriveError::Driver(DriverError::FromValue { .. } | DriverError::FromRow { .. }) => "the server sent a value of another type".into(),
        DriveError::Driver(DriverError::ConnectionClosed) => "the connection was closed".into(),
        DriveError::Driver(error) => error.to_string(),
        DriveError::Io(IoError::Io(error)) => format!("the connection broke ({error})"),
        DriveError::Io(IoError::Tls(error)) => format!("TLS broke ({error})"),
        _ => "the driver failed".into(),
    }
}

/// A name of a certificate that is good but for its name.
pub(super) fn certificate_name(error: &DriveError) -> Option<String> {
    let DriveError::Io(IoError::Io(io)) = error else { return None };
    match tls::error_within(io)? {
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => {
            presented.iter().find_map(|name| name_within(name))
        }
        _ => None,
    }
}

/// `DnsName("db1.example.net")` and `IpAddress(10.0.0.1)`, as the TLS library shows names; some name that a wildcard covers.
fn name_within(shown: &str) -> Option<String> {
    let (kind, name) = shown.strip_suffix(')')?.split_once('(')?;
    match kind {
        "DnsName" => Some(name.trim_matches('"').replace('*', "any")),
        "IpAddress" => Some(name.to_owned()),
        _ => None,
    }
}

/// What an error of the server means for the whole connection or batch; None: it is about one statement.
pub(super) fn cause(error: &ServerError) -> Option<Cause> {
    Some(match error.code {
        1040 | 1203 | 1226 => Cause::Unreachable,
        1205 | 1213 | 1317 | 1614 | 1969 | 3024 | 3058 | 3572 => Cause::Busy,
        1045 | 1131 | 1251 | 1524 | 1698 | 1820 | 1862 | 3118 | 3159 | 3878 | 3955 | 4151 => Cause::Credentials,
        1044 | 1142 | 1143 | 1227 | 1370 | 1410 | 1419 => Cause::Privilege,
        1290 | 1792 | 1836 => Cause::ReadOnly,
        1021 | 1114 | 28 => Cause::Full,
        1030 if error.message.contains("error 28") => Cause::Full,
        1049 | 1051 | 1054 | 1146 => Cause::Missing,
        1053 | 1077 | 1079 | 1080 | 1152..=1161 | 1927 | 2006 | 2013 | 3169 => Cause::Disconnected,
        1236 => log_cause(&error.message),
        1047 | 1235 => Cause::Unsupported,
        _ => return None,
    })
}

/// An application's lock, on a row or on the table.
pub(super) fn is_lock_wait(error: &ServerError) -> bool {
    error.code == 1205
}

/// A statement was killed, or took longer than somebody permits.
const TIME_LIMITS: [u16; 3] = [1317, 1969, 3024];

/// One code for everything that can end a log reader.
fn log_cause(message: &str) -> Cause {
    if message.contains("same server_uuid/server_id") {
        Cause::Disconnected
    } else if message.contains("max_allowed_packet") {
        Cause::Unsupported
    } else {
        Cause::LogLost
    }
}

/// Why a row was refused, told by names only.
pub(super) fn rejection(error: &ServerError, is_key: impl Fn(&str) -> bool) -> Rejection {
    match error.code {
        1022 | 1062 | 1169 | 1586 => {
            let name = index_name(&error.message);
            if is_key(&name) { Rejection::Elsewise } else { Rejection::Unique(name) }
        }
        1216 | 1217 | 1451 | 1452 | 1761 | 1762 => Rejection::Reference(constraint_name(&error.message)),
        _ => Rejection::Data(data_text(error)),
    }
}

/// `Duplicate entry '...' for key 'users.name'`: the value comes first and may hold anything, so read from the end.
fn index_name(message: &str) -> String {
    let name = message.rsplit_once("for key ").map_or("", |(_, name)| name).trim().trim_matches(['\'', '`']);
    name.rsplit_once('.').map_or(name, |(_, index)| index).to_owned()
}

fn constraint_name(message: &str) -> String {
    let name = message.rsplit_once("CONSTRAINT `").and_then(|(_, rest)| rest.split_once('`')).map_or("", |(name, _)| name);
    name.to_owned()
}

fn data_text(error: &ServerError) -> String {
    let reason = match error.code {
        1048 => "NULL is not allowed",
        1364 => "a value is missing and there is no default",
        1406 => "a value is too long",
        1264 | 1690 => "a value is out of range",
        1265 | 1366 | 1292 | 1411 | 3140 | 3141 => "a value is not one that the column takes",
        3819 | 4025 => "a check constraint refuses it",
        1644 => "a trigger refuses it",
        1153 | 1301 | 2020 => "the row is larger than the server's max_allowed_packet",
        1118 | 1709 => "the row is too large for the table",
        _ => return format!("error {} ({})", error.code, error.state),
    };
    match named(&error.message) {
        Some(name) if error.code != 1644 => format!("{reason} ({name}, error {})", error.code),
        _ => format!("{reason} (error {})", error.code),
    }
}

/// The column or constraint that a message names. Read from the end, because a quoted value may come before it.
fn named(message: &str) -> Option<String> {
    for (word, shown) in [("olumn ", "column"), ("ield ", "column"), ("onstraint ", "constraint"), ("CONSTRAINT ", "constraint")] {
        if let Some((_, rest)) = message.rsplit_once(word) {
            let name = rest.split_whitespace().next()?.trim_matches(['\'', '`', '.', ',']);
            let name = name.rsplit(['.']).next().unwrap_or(name).trim_matches('`');
            if !name.is_empty() && name.len() <= 64 {
                return Some(format!("{shown} {name}"));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16, message: &str) -> ServerError {
        ServerError { code, message: message.into(), state: "23000".into() }
    }

    #[test]
    fn names_are_kept_and_values_are_not() {
        let key = |name: &str| name == "PRIMARY";
        assert_eq!(rejection(&server(1062, "Duplicate entry '7' for key 'PRIMARY'"), key), Rejection::Elsewise);
        assert_eq!(
            rejection(&server(1062, "Duplicate entry 'x for key 'PRIMARY'' for key 'users.mail'"), key),
            Rejection::Unique("mail".into())
        );
        assert_eq!(
            rejection(
                &server(
                    1452,
                    "Cannot add or update a child row: a foreign key constraint fails (`d`.`c`, CONSTRAINT `c_ibfk_1` FOREIGN KEY (`p`) REFERENCES `p` (`id`))"
                ),
                key
            ),
            Rejection::Reference("c_ibfk_1".into())
        );
        assert_eq!(
            rejection(&server(1366, "Incorrect string value: 'secret column 'x'' for column `d`.`t`.`mail` at row 1"), key),
            Rejection::Data("a value is not one that the column takes (column mail, error 1366)".into())
        );
        assert_eq!(rejection(&server(1644, "no secret please"), key), Rejection::Data("a trigger refuses it (error 1644)".into()));
        assert_eq!(rejection(&server(1064, "near 'secret'"), key), Rejection::Data("error 1064 (23000)".into()));
    }

    #[test]
    fn a_certificates_names_are_read_as_the_library_shows_them() {
        assert_eq!(name_within("DnsName(\"db1.example.net\")").as_deref(), Some("db1.example.net"));
        assert_eq!(name_within("DnsName(\"*.example.net\")").as_deref(), Some("any.example.net"));
        assert_eq!(name_within("IpAddress(10.0.0.1)").as_deref(), Some("10.0.0.1"));
        assert_eq!(name_within("DirectoryName"), None);
    }

    #[test]
    fn one_code_for_many_ends_of_a_log() {
        assert_eq!(cause(&server(1236, "... has purged required binary logs")), Some(Cause::LogLost));
        assert_eq!(
            cause(&server(1236, "A slave with the same server_uuid/server_id as this slave has connected")),
            Some(Cause::Disconnected)
        );
        assert_eq!(cause(&server(1030, "Got error 28 \"No space left on device\" from storage engine InnoDB")), Some(Cause::Full));
    }
}
