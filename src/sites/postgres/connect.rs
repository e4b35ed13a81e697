//! How a site's server is reached, and what each of our sessions is told first.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::errors::from_driver;
use crate::config::{Host, Server, Tls};
use crate::sites::{Cause, Error, Result, tls};

/// The name by which administrators find our sessions.
pub(super) const APPLICATION: &str = "rosterd";

/// Text of values depends on these, so every session has them, replication included. The TCP settings make the server
/// notice that we are gone, and let go of our locks and our slot.
pub(super) const SETTINGS: [(&str, &str); 11] = [
    ("DateStyle", "ISO"),
    ("TimeZone", "UTC"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("xmloption", "content"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "60000"),
    ("client_min_messages", "error"),
    ("tcp_keepalives_idle", "20"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "4"),
];

/// Limits meant for requests of applications, where the server knows them: not all versions do, and those would refuse them in `SETTINGS`.
const ENDLESS: &str =
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout') AND setting <> '0'";

pub(super) const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
pub(super) const KEEPALIVE_RETRIES: u32 = 4;
const UNANSWERED_MAX: Duration = Duration::from_secs(30);

/// Where a site is and how to get there.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub site: String,
    pub server: Server,
    pub tls: Tls,
    pub timeout: Duration,
    pub lock_wait: Duration,
}

/// Where the server listens: the driver and the replication client go to the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(String, u16),
    /// The folder of the socket and the port that is part of its name.
    Unix(PathBuf, u16),
}

impl Place {
    pub fn of(host: &Host) -> Place {
        const SOCKET: &str = ".s.PGSQL.";
        match host {
            Host::Tcp { name, port } => Place::Tcp(name.clone(), *port),
            Host::Socket(path) => {
                let port = path.file_name().and_then(|name| name.to_str()?.strip_prefix(SOCKET)?.parse().ok());
                match (port, path.parent()) {
                    (Some(port), Some(folder)) => Place::Unix(folder.to_owned(), port),
                    _ => Place::Unix(path.clone(), 5432),
                }
            }
        }
    }

    pub fn socket_file(folder: &Path, port: u16) -> PathBuf {
        folder.join(format!(".s.PGSQL.{port}"))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Tcp(name, port) => write!(f, "{name}:{port}"),
            Place::Unix(folder, port) => write!(f, "{}", Place::socket_file(folder, *port).display()),
        }
    }
}

impl Connector {
    pub fn place(&self) -> Place {
        Place::of(&self.server.host)
    }

    /// An ordinary session. It ends when the client is dropped.
    pub async fn client(&self) -> Result<Client> {
        let doing = format!("connecting to {}", self.place());
        let client = self.within(&doing, self.open(&doing)).await?;
        let refused = |error| from_driver(&self.site, &doing, error);
        client
            .execute("SELECT set_config('search_path', quote_ident($1) || ', public', false)", &[&self.server.schema])
            .await
            .map_err(refused)?;
        client.execute(ENDLESS, &[]).await.map_err(refused)?;
        Ok(client)
    }

    async fn open(&self, doing: &str) -> Result<Client> {
        let mut config = self.driver_config();
        let refused = |error| from_driver(&self.site, doing, error);
        match tls::client_config(&self.site, &self.tls)? {
            None => {
                let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await.map_err(refused)?;
                tokio::spawn(connection);
                Ok(client)
            }
            Some(tls) => {
                let tls = MakeRustlsConnect::new((*tls).clone());
                let (client, connection) = config.ssl_mode(SslMode::Require).connect(tls).await.map_err(refused)?;
                tokio::spawn(connection);
                Ok(client)
            }
        }
    }

    fn driver_config(&self) -> Config {
        let mut config = Config::new();
        match self.place() {
            Place::Tcp(name, port) => config.host(name).port(port),
            Place::Unix(folder, port) => config.host_path(folder).port(port),
        };
        if let Some(password) = &self.server.password {
            config.password(password.reveal());
        }
        let settings: Vec<String> = SETTINGS.iter().map(|(name, value)| format!("-c {name}={value}")).collect();
        config
            .user(&self.server.user)
            .dbname(&self.server.database)
            .application_name(APPLICATION)
            .options(settings.join(" "))
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(UNANSWERED_MAX);
        config
    }

    pub async fn within<T>(&self, doing: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(result) => result,
            Err(_) => {
                Err(Error::new(Cause::Unreachable, &self.site, format!("{doing}: no answer within {} s", self.timeout.as_secs_f64()))
                    .advice("check host, port and firewall; connect_timeout_ms is in [daemon]"))
            }
        }
    }
}

/// A name as SQL wants it, whatever characters it has.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// A text constant for statements that take no parameters.
pub(super) fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// The name of our slot and publication for a site: what PostgreSQL allows in a slot's name, at most 63 bytes, and
/// different for different sites.
pub(super) fn own_name(site: &str) -> String {
    let plain: String = site.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' { c } else { '_' }).collect();
    if plain == site && plain.len() <= 55 {
        return format!("rosterd_{plain}");
    }
    let sum = site.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, b| (sum ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let head: String = plain.chars().take(46).collect();
    format!("rosterd_{head}_{:08x}", sum as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_names_are_allowed_and_differ() {
        assert_eq!(own_name("nj"), "rosterd_nj");
        assert_ne!(own_name("n-j"), own_name("n.j"));
        for site in ["n-j", "Straße", &"x".repeat(200)] {
            let name = own_name(site);
            assert!(name.len() <= 63, "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        }
    }

    #[test]
    fn quoting_holds_any_name() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's \\"), "E'it''s \\\\'");
    }

    #[test]
    fn a_socket_is_a_folder_or_a_file_with_the_port_in_its_name() {
        assert_eq!(Place::of(&Host::Socket("/run/postgresql".into())), Place::Unix("/run/postgresql".into(), 5432));
        assert_eq!(Place::of(&Host::Socket("/run/postgresql/.s.PGSQL.5433".into())), Place::Unix("/run/postgresql".into(), 5433));
    }
}
