//! A site's URL, taken apart: which engine, where, which database. Passwords in it are refused.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;

use super::error::Fault;
use super::{Endpoint, Host, Secret, Server};

const SCHEMES: [&str; 5] = ["mysql", "mariadb", "postgres", "postgresql", "sqlite"];
const EXAMPLE: &str =
    "write it as mysql://rosterd@db1.example.net/main_db, postgres://rosterd@db1.example.net/main_db or sqlite:///path/to/file.db";
/// Who connects when the URL names nobody.
const USER_DEFAULT: &str = "rosterd";

/// The endpoint that `text` names, without password; a relative SQLite path starts from `folder`.
pub(super) fn endpoint(text: &str, folder: &Path) -> Result<Endpoint, Fault> {
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(Fault::new("url has no scheme", EXAMPLE));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "sqlite" => sqlite(rest, folder),
        "mysql" | "mariadb" => {
            let url = parse(text)?;
            Ok(Endpoint::MySql(server(&url, 3306, ("socket", Path::is_absolute), "")?))
        }
        "postgres" | "postgresql" => {
            let url = parse(text)?;
            Ok(Endpoint::Postgres(server(&url, 5432, ("host", Path::is_absolute), "public")?))
        }
        other => Err(Fault::unknown("url scheme", other, &SCHEMES)),
    }
}

/// A database as somebody names it on the command line, where a password may stand in the URL. It stays out of `url`.
#[derive(Clone, Debug)]
pub struct Address {
    /// Fit for a configuration file.
    pub url: String,
    pub endpoint: Endpoint,
    pub password: Option<Secret>,
}

impl Address {
    /// # Errors
    /// What is wrong with it and what to do, in words that hold no password.
    pub fn parse(text: &str, folder: &Path) -> Result<Address, String> {
        let told = |fault: Fault| format!("{}; {}", fault.cause, fault.advice);
        let (url, password) = without_password(text).map_err(told)?;
        let (mut url, mut endpoint) = (url.clone(), endpoint(&url, folder).map_err(told)?);
        match &mut endpoint {
            Endpoint::Sqlite { path } => url = format!("sqlite://{}", utf8_percent_encode(&path.display().to_string(), PATH)),
            Endpoint::MySql(server) | Endpoint::Postgres(server) => server.password = password.clone(),
        }
        Ok(Address { url, endpoint, password })
    }
}

/// What a file's path can't have in a URL.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');

/// The URL and the password that stood in it, as `user:password@` or `?password=`.
fn without_password(text: &str) -> Result<(String, Option<Secret>), Fault> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok((text.into(), None)) };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let mut password = None;
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = match user.split_once(':') {
                Some((user, word)) => {
                    password = Some(decoded(word)?);
                    user
                }
                None => user,
            };
            format!("{user}@{host}")
        }
        None => authority.to_owned(),
    };
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("password", word)) => password = Some(decoded(word)?),
            _ => kept.push(pair),
        }
    }
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    Ok((format!("{scheme}://{authority}{path}{query}"), password.filter(|word| !word.is_empty()).map(Secret::new)))
}

fn sqlite(rest: &str, folder: &Path) -> Result<Endpoint, Fault> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if let Some((name, _)) = query.split('&').find(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, ""))) {
        return Err(Fault::new(format!("unknown url parameter `{name}`"), "a sqlite url takes none: write sqlite:///path/to/file.db"));
    }
    let path = match path.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => return Err(Fault::new("the sqlite url names a host", "write sqlite:///absolute/path or sqlite:relative/path")),
        None => path,
    };
    let path = decoded(path)?;
    match path.as_str() {
        "" => Err(Fault::new("the sqlite url names no file", "write sqlite:///path/to/file.db")),
        ":memory:" => Err(Fault::new("a database in memory can't be shared", "name a file: sqlite:///path/to/file.db")),
        path => Ok(Endpoint::Sqlite { path: folder.join(path) }),
    }
}

fn parse(text: &str) -> Result<Url, Fault> {
    // `user@/db` is how libpq writes a user without a host; the URL standard has no such form.
    let (head, query) = text.split_once('?').map_or((text, None), |(head, query)| (head, Some(query)));
    let mut whole = head.replacen("@/", "@localhost/", 1);
    if let Some(query) = query {
        whole.push('?');
        whole.push_str(query);
    }
    let url = Url::parse(&whole).map_err(|cause| Fault::new(format!("url can't be read: {cause}"), EXAMPLE))?;
    if url.password().is_some() || url.query_pairs().any(|(name, _)| name.to_ascii_lowercase().starts_with("pass")) {
        let advice = "take it out of the url, put it into a file of mode 600 and name that in password_file";
        return Err(Fault::new("there is a password in the url", advice));
    }
    if url.fragment().is_some() {
        return Err(Fault::new("there is a `#` in the url", "write it as %23 if it belongs to a name"));
    }
    Ok(url)
}

/// The server that `url` names. `socket` is the query parameter that a socket's path is given in, and what tells one.
fn server(url: &Url, port: u16, socket: (&str, fn(&Path) -> bool), schema: &str) -> Result<Server, Fault> {
    if url.path().contains('@') {
        // A password with an unescaped `/`: the URL standard takes the user for the host and the password for port and path.
        return Err(Fault::new(
            "there is an `@` after the host",
            "write `/` as %2F and `@` as %40 in names; a password goes into password_file",
        ));
    }
    let database = decoded(url.path().strip_prefix('/').unwrap_or_default())?;
    if database.is_empty() || database.contains('/') {
        return Err(Fault::new("url names no database", EXAMPLE));
    }
    let user = match url.username() {
        "" => USER_DEFAULT.into(),
        user => decoded(user)?,
    };
    let mut host = match url.host_str().filter(|h| !h.is_empty()) {
        Some(name) => {
            let name = decoded(name.trim_start_matches('[').trim_end_matches(']'))?.to_ascii_lowercase();
            Some(Host::Tcp { name, port: url.port().unwrap_or(port) })
        }
        None => None,
    };
    for pair in url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != socket.0 {
            return Err(Fault::unknown("url parameter", name, &[socket.0]));
        }
        let path = PathBuf::from(decoded(value)?);
        if !socket.1(&path) {
            return Err(Fault::new(
                format!("`{name}` in the url is not an absolute path"),
                "name the socket as in /run/mysqld/mysqld.sock or /run/postgresql",
            ));
        }
        host = Some(Host::Socket(path));
    }
    let host = host.ok_or_else(|| Fault::new("url names neither host nor socket", EXAMPLE))?;
    Ok(Server { host, user, password: None, database, schema: schema.into() })
}

fn decoded(text: &str) -> Result<String, Fault> {
    let bytes = percent_decode_str(text).decode_utf8();
    bytes.map(Into::into).map_err(|_| Fault::new("url is not UTF-8 after percent-decoding", "write names in it as UTF-8"))
}

impl Endpoint {
    /// True over a socket, to this machine itself, and for a file: what is sent can't be read on the way.
    pub fn is_local(&self) -> bool {
        match self {
            Endpoint::Sqlite { .. } => true,
            Endpoint::MySql(server) | Endpoint::Postgres(server) => match &server.host {
                Host::Socket(_) => true,
                Host::Tcp { name, .. } => is_loopback(name),
            },
        }
    }

    /// What two sites that are one and the same database have in common.
    pub(super) fn identity(&self) -> String {
        match self {
            Endpoint::Sqlite { path } => format!("sqlite {}", path.canonicalize().unwrap_or_else(|_| path.clone()).display()),
            Endpoint::MySql(server) => format!("mysql {}", server.identity()),
            Endpoint::Postgres(server) => format!("postgres {}", server.identity()),
        }
    }
}

impl Server {
    fn identity(&self) -> String {
        let host = match &self.host {
            Host::Socket(path) => path.display().to_string(),
            Host::Tcp { name, port } if is_loopback(name) => format!("loopback {port}"),
            Host::Tcp { name, port } => format!("{} {port}", name.trim_end_matches('.')),
        };
        format!("{host} {:?} {:?}", self.database, self.schema)
    }
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Endpoint {
        endpoint(text, Path::new("/etc/rosterd")).unwrap_or_else(|f| panic!("{text}: {}; {}", f.cause, f.advice))
    }

    fn fault(text: &str) -> String {
        let fault = endpoint(text, Path::new("/etc/rosterd")).unwrap_err();
        format!("{}; {}", fault.cause, fault.advice)
    }

    fn mysql(text: &str) -> Server {
        let (Endpoint::MySql(server) | Endpoint::Postgres(server)) = read(text) else { panic!("{text} is no server") };
        server
    }

    #[test]
    fn hosts_ports_and_names() {
        let server = mysql("mysql://rosterd@DB1.example.net/main%5Fdb");
        assert_eq!(server.host, Host::Tcp { name: "db1.example.net".into(), port: 3306 });
        assert_eq!((server.user.as_str(), server.database.as_str()), ("rosterd", "main_db"));
        let server = mysql("mariadb://ro%40ster@[::1]:3307/x");
        assert_eq!((server.host, server.user.as_str()), (Host::Tcp { name: "::1".into(), port: 3307 }, "ro@ster"));
        let server = mysql("postgresql://r@10.0.0.1/nj");
        assert_eq!((server.host, server.schema.as_str()), (Host::Tcp { name: "10.0.0.1".into(), port: 5432 }, "public"));
    }

    #[test]
    fn sockets_and_files() {
        let server = mysql("mysql://user@localhost/db?socket=/run/mysqld/mysqld.sock");
        assert_eq!(server.host, Host::Socket("/run/mysqld/mysqld.sock".into()));
        let server = mysql("postgres:///db?host=/run/postgresql");
        assert_eq!((server.host, server.user.as_str()), (Host::Socket("/run/postgresql".into()), "rosterd"));
        let server = mysql("postgres://ann@/db?host=%2Frun%2Fa+b");
        assert_eq!((server.host, server.user.as_str()), (Host::Socket("/run/a+b".into()), "ann"));
        for (text, path) in
            [("sqlite:///var/x%20y.db", "/var/x y.db"), ("sqlite:sites/nj.db", "/etc/rosterd/sites/nj.db"), ("sqlite:/a.db", "/a.db")]
        {
            assert!(matches!(read(text), Endpoint::Sqlite { path: p } if p == Path::new(path)), "{text}");
        }
    }

    #[test]
    fn what_is_refused_names_the_next_step() {
        assert!(fault("mysq://a@b/c").contains("unknown url scheme `mysq`; did you mean `mysql`?"));
        assert!(fault("db1/x").contains("no scheme"));
        assert!(fault("mysql://a@b/c?sockt=/x").contains("unknown url parameter `sockt`; did you mean `socket`?"));
        assert!(fault("mysql://a@b/c?socket=x").contains("absolute path"));
        assert!(fault("mysql://a@b").contains("names no database"));
        assert!(fault("mysql://a@b:port/c").contains("invalid port number"));
        assert!(fault("mysql://a:12/34@b").contains("`@` after the host"));
        assert!(fault("postgres:///db").contains("neither host nor socket"));
        assert!(fault("sqlite::memory:").contains("in memory"));
        assert!(fault("sqlite:").contains("names no file"));
        assert!(fault("sqlite://rel.db").contains("names a host"));
        assert!(fault("sqlite:///a.db?mode=ro").contains("unknown url parameter `mode`"));
        for text in ["mysql://a:hunter2@b/c", "postgres://b/c?password=hunter2"] {
            assert!(fault(text).contains("password_file") && !fault(text).contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn one_database_is_recognised_under_its_several_names() {
        assert_eq!(read("mysql://a@localhost/x").identity(), read("mariadb://b@127.0.0.1:3306/x").identity());
        assert_ne!(read("mysql://a@db1/x").identity(), read("mysql://a@db1/y").identity());
        assert_ne!(read("mysql://a@db1/x").identity(), read("mysql://a@db1:3307/x").identity());
        assert!(read("mysql://a@[::1]/x").is_local() && !read("mysql://a@db1/x").is_local());
    }

    #[test]
    fn a_password_on_the_command_line_is_used_and_left_out() {
        for (text, url) in [
            ("mysql://ann:hunter%402@db1/x", "mysql://ann@db1/x"),
            ("postgres://ann:hunter%402@/x?host=/run/postgresql", "postgres://ann@/x?host=/run/postgresql"),
            ("postgres://ann@db1/x?password=hunter%402", "postgres://ann@db1/x"),
        ] {
            let address = Address::parse(text, Path::new("/srv")).unwrap();
            assert_eq!((address.url.as_str(), address.password.as_ref().unwrap().reveal()), (url, "hunter@2"));
            let (Endpoint::MySql(server) | Endpoint::Postgres(server)) = &address.endpoint else { panic!("{text}") };
            assert!(server.password.is_some() && !format!("{address:?}").contains("hunter"), "{text}");
        }
        assert_eq!(Address::parse("sqlite:a b.db", Path::new("/srv")).unwrap().url, "sqlite:///srv/a%20b.db");
        assert!(Address::parse("mysql://ann@db1/x", Path::new("/srv")).unwrap().password.is_none());
        for text in ["mysql://ann:hunt/er2@db1/x", "mysql://ann:12/er2@db1/x", "mysq://ann:hunter2@db1/x"] {
            let fault = Address::parse(text, Path::new("/srv")).unwrap_err();
            assert!(!fault.contains("er2") && fault.contains("; "), "{fault}");
        }
    }
}
