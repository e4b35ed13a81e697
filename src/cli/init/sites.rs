//! The sites as the command line names them: names, addresses, passwords, TLS.

use std::collections::BTreeSet;
use std::path::Path;

use rosterd::config::{Address, Endpoint, Host, Prefix, Role, Secret, SiteConfig, Tls, TlsMode};
use rosterd::ops::init::PasswordLine;

use super::{Init, absolute};

const NAME_CHARS_MAX: usize = 40;

/// A site to be looked at.
pub struct Wanted {
    pub config: SiteConfig,
    pub url: String,
    pub password: PasswordLine,
    /// The prefix that the person named.
    pub prefix: Option<String>,
}

impl Wanted {
    /// The hub first.
    pub fn all(init: &Init) -> Result<Vec<Wanted>, String> {
        let texts: Vec<&String> = std::iter::once(&init.hub).chain(&init.client).collect();
        let mut named = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            let (name, url) = split(text);
            let address = Address::parse(url, &absolute(Path::new("."))).map_err(|cause| match at {
                0 => format!("--hub: {cause}"),
                at => format!("--client number {at}: {cause}"),
            })?;
            named.push((name.map(str::to_owned), address));
        }
        let names = names(&named)?;
        let unknown = |option: &str, values: &[String]| {
            let site = values.iter().filter_map(|value| split(value).0).find(|site| !names.iter().any(|name| name == site));
            site.map(|site| format!("{option} is for a site {site}; the sites are {}", names.join(", ")))
        };
        let options = [("--password-file", &init.password_file), ("--password-env", &init.password_env), ("--prefix", &init.prefix)];
        if let Some(text) = options.iter().find_map(|(option, values)| unknown(option, values)) {
            return Err(text);
        }
        for (at, (_, address)) in named.iter().enumerate() {
            if let Some(other) = named[..at].iter().position(|(_, other)| other.url == address.url) {
                return Err(format!("{} and {} are the same database; one site is one database", names[other], names[at]));
            }
        }
        let sites = named.into_iter().zip(&names).enumerate();
        sites.map(|(at, ((_, address), name))| Wanted::one(init, at, name, address)).collect()
    }

    fn one(init: &Init, at: usize, name: &str, address: Address) -> Result<Wanted, String> {
        let Address { url, mut endpoint, password } = address;
        let file = of_site(&init.password_file, name).map(|file| absolute(Path::new(file)));
        let line = match (&mut endpoint, file, of_site(&init.password_env, name)) {
            (Endpoint::Sqlite { .. }, ..) => PasswordLine::None,
            (_, None, None) if password.is_some() => PasswordLine::ToBeWritten(format!("{name}.password")),
            (_, None, None) => PasswordLine::None,
            (Endpoint::MySql(server) | Endpoint::Postgres(server), Some(file), _) => {
                server.password = Some(Secret::in_file(&file).map_err(|cause| format!("site {name}: {cause}"))?);
                PasswordLine::File(file.display().to_string())
            }
            (Endpoint::MySql(server) | Endpoint::Postgres(server), None, Some(variable)) => {
                server.password = Some(Secret::in_env(variable).map_err(|cause| format!("site {name}: {cause}"))?);
                PasswordLine::Env(variable.to_owned())
            }
        };
        let tls = tls(init, &endpoint);
        let role = if at == 0 { Role::Hub } else { Role::Client };
        let config = SiteConfig {
            name: name.to_owned(),
            role,
            endpoint,
            tls,
            prefix: Prefix::default(),
            ids: Default::default(),
            tables: Default::default(),
        };
        Ok(Wanted { config, url, password: line, prefix: of_site(&init.prefix, name).map(str::to_owned) })
    }
}

fn tls(init: &Init, endpoint: &Endpoint) -> Tls {
    let mode = match init.tls {
        _ if endpoint.is_local() => TlsMode::Off,
        Some(mode) => mode.mode(),
        None => TlsMode::VerifyFull,
    };
    let ca_file = init.ca_file.as_deref().filter(|_| mode != TlsMode::Off).map(absolute);
    Tls { mode, ca_file, cert_file: None, key_file: None }
}

/// `nj=mysql://...` is a name and a value; a URL alone has a `:` before any `=`.
fn split(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, value)) if is_name(name) => (Some(name), value),
        _ => (None, text),
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(fits)
}

/// The value for this site; one without a site is for all.
fn of_site<'v>(values: &'v [String], site: &str) -> Option<&'v str> {
    let own = values.iter().map(|value| split(value)).find(|(name, _)| *name == Some(site));
    own.or_else(|| values.iter().map(|value| split(value)).find(|(name, _)| name.is_none())).map(|(_, value)| value)
}

/// A name for each site: as given, else the database's, else the host's.
fn names(sites: &[(Option<String>, Address)]) -> Result<Vec<String>, String> {
    let given: Vec<&String> = sites.iter().filter_map(|(name, _)| name.as_ref()).collect();
    if let Some(twice) = given.iter().find(|name| given.iter().filter(|other| other == name).count() > 1) {
        return Err(format!("two sites are called {twice}; give each a name of its own"));
    }
    let mut taken: BTreeSet<String> = given.into_iter().cloned().collect();
    let databases: Vec<String> = sites.iter().map(|(_, address)| cleaned(database(&address.endpoint))).collect();
    let mut names = Vec::new();
    for (at, (name, address)) in sites.iter().enumerate() {
        let is_alone = databases.iter().enumerate().all(|(other, database)| other == at || *database != databases[at]);
        let name = match name {
            Some(name) => name.clone(),
            None => {
                let wanted = match (at, is_alone) {
                    (0, _) => "hub".to_owned(),
                    (_, true) => databases[at].clone(),
                    (_, false) => cleaned(host(&address.endpoint)),
                };
                free(&wanted, &taken)
            }
        };
        taken.insert(name.clone());
        names.push(name);
    }
    Ok(names)
}

fn free(wanted: &str, taken: &BTreeSet<String>) -> String {
    let wanted = if wanted.is_empty() { "site" } else { wanted };
    let numbered = (2..).map(|n| format!("{wanted}{n}"));
    std::iter::once(wanted.to_owned()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or_default()
}

fn database(endpoint: &Endpoint) -> &str {
    match endpoint {
        Endpoint::MySql(server) | Endpoint::Postgres(server) => &server.database,
        Endpoint::Sqlite { path } => path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default(),
    }
}

fn host(endpoint: &Endpoint) -> &str {
    match endpoint {
        Endpoint::MySql(server) | Endpoint::Postgres(server) => match &server.host {
            Host::Tcp { name, .. } if name.parse::<std::net::IpAddr>().is_err() => name.split('.').next().unwrap_or_default(),
            _ => &server.database,
        },
        Endpoint::Sqlite { path } => {
            path.parent().and_then(|folder| folder.file_name()).and_then(|folder| folder.to_str()).unwrap_or_default()
        }
    }
}

/// Fit for a site's name.
fn cleaned(text: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(fit).take(NAME_CHARS_MAX - 4).collect::<String>().trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(texts: &[&str]) -> Vec<String> {
        let address = |text: &&str| {
            let (name, url) = split(text);
            (name.map(str::to_owned), Address::parse(url, Path::new("/srv")).unwrap())
        };
        names(&texts.iter().map(address).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn sites_are_named_after_what_tells_them_apart() {
        assert_eq!(named(&["mysql://db1/main", "mysql://db2/nj", "main=postgres://db3/ny"]), ["hub", "nj", "main"]);
        assert_eq!(named(&["mysql://db1/web", "mysql://a.example.net/web", "mysql://b.example.net/web"]), ["hub", "a", "b"]);
        assert_eq!(named(&["mysql://db1/x", "mysql://a.example.net/web", "mysql://a.example.net:3307/web"]), ["hub", "a", "a2"]);
        assert_eq!(named(&["sqlite:Main Site.db", "sqlite:My Kiosk.db"]), ["hub", "my-kiosk"]);
        assert_eq!(split("mysql://a@b/c?socket=/run/x"), (None, "mysql://a@b/c?socket=/run/x"));
    }
}
