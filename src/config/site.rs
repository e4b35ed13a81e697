//! One `[[site]]`: name, role, where its database is, how it is reached and where its tables differ.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Spanned;

use super::endpoint::endpoint;
use super::error::{Fault, Report};
use super::raw::{RawPrefix, RawSite};
use super::secret::{self, Env, Secret};
use super::site_table::site_tables;
use super::words::{ROLES, TLS_MODES, word};
use super::{Endpoint, Ids, Prefix, Role, SiteConfig, Tls, TlsMode};

const NAME_CHARS_MAX: usize = 40;

/// The site, or None when something that it can't be without is missing or wrong; all problems go to `report`.
pub(super) fn site(raw: Spanned<RawSite>, report: &mut Report<'_>, env: Env<'_>) -> Option<SiteConfig> {
    let span = raw.span();
    let mut raw = raw.into_inner();
    let place = match &raw.name {
        Some(name) => format!("site \"{}\"", name.get_ref()),
        None => "[[site]]".into(),
    };
    let name = match raw.name.take() {
        Some(name) => report.check(name.span(), &place, site_name(name.get_ref())),
        None => {
            report.add(Some(span.clone()), &place, Fault::new("it has no name", "add name = \"...\""));
            None
        }
    };
    let role = match &raw.role {
        Some(role) => report.check(role.span(), &place, word("role", role.get_ref(), &ROLES)),
        None => Some(Role::Client),
    };
    let Some(url) = raw.url.take() else {
        report.add(Some(span), &place, Fault::new("it has no url", "add url = \"mysql://rosterd@db1.example.net/main_db\""));
        return None;
    };
    let endpoint = report.check(url.span(), &place, endpoint(url.get_ref(), report.folder));
    let password = password(&raw, &place, report, env);
    let tables = site_tables(std::mem::take(&mut raw.table), &place, role, report);
    let prefix = raw.prefix.take().map(prefix).unwrap_or_default();
    let endpoint = finish_endpoint(endpoint?, password, &raw, &place, report);
    let tls = tls(&endpoint, &raw, &place, report);
    Some(SiteConfig { name: name?, role: role?, endpoint, tls: tls?, prefix, ids: Ids::default(), tables })
}

fn site_name(name: &str) -> Result<String, Fault> {
    let advice = format!("use 1 to {NAME_CHARS_MAX} of a-z, 0-9, _ and -");
    if name.is_empty() || name.len() > NAME_CHARS_MAX {
        return Err(Fault::new(format!("a name of {} characters", name.chars().count()), advice));
    }
    match name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')) {
        Some(c) => Err(Fault::new(format!("its name has a {c:?} in it"), advice)),
        None => Ok(name.into()),
    }
}

fn password(raw: &RawSite, place: &str, report: &mut Report<'_>, env: Env<'_>) -> Option<Secret> {
    if let (Some(_), Some(second)) = (&raw.password_file, &raw.password_env) {
        let fault = Fault::new("it has both password_file and password_env", "keep one of them");
        report.add(Some(second.span()), place, fault);
        return None;
    }
    if let Some(name) = &raw.password_env {
        return report.check(name.span(), place, secret::from_env(name.get_ref(), env));
    }
    let name = raw.password_file.as_ref()?;
    report.check(name.span(), place, secret::from_file(name.get_ref(), report.folder, env))
}

/// The endpoint with what stands beside the URL: password and schema, where the engine has them.
fn finish_endpoint(mut endpoint: Endpoint, password: Option<Secret>, raw: &RawSite, place: &str, report: &mut Report<'_>) -> Endpoint {
    match &mut endpoint {
        Endpoint::MySql(server) => server.password = password,
        Endpoint::Postgres(server) => {
            server.password = password;
            match &raw.schema {
                Some(schema) if schema.get_ref().is_empty() => {
                    report.add(Some(schema.span()), place, Fault::new("schema is empty", "name it, or leave it out for public"));
                }
                Some(schema) => server.schema = schema.get_ref().clone(),
                None => {}
            }
        }
        Endpoint::Sqlite { .. } => {
            for key in [&raw.password_file, &raw.password_env].into_iter().flatten() {
                report.add(Some(key.span()), place, Fault::new("a SQLite file has no password", "take it out"));
            }
        }
    }
    if let (Some(schema), false) = (&raw.schema, matches!(endpoint, Endpoint::Postgres(_))) {
        let fault = Fault::new("schema is for PostgreSQL only", "take it out; in MySQL the database in the url is the schema");
        report.add(Some(schema.span()), place, fault);
    }
    endpoint
}

fn tls(endpoint: &Endpoint, raw: &RawSite, place: &str, report: &mut Report<'_>) -> Option<Tls> {
    let files = [("ca_file", &raw.ca_file), ("cert_file", &raw.cert_file), ("key_file", &raw.key_file)];
    let given = |raw: &Option<Spanned<String>>| raw.as_ref().map(|path| report.folder.join(path.get_ref()));
    let [ca_file, cert_file, key_file]: [Option<PathBuf>; 3] = files.map(|(_, raw)| given(raw));
    let mode = match &raw.tls {
        Some(mode) => report.check(mode.span(), place, word("tls", mode.get_ref(), &TLS_MODES))?,
        // Files to verify with are there to be used, also over loopback.
        None if endpoint.is_local() && files.iter().all(|(_, raw)| raw.is_none()) => TlsMode::Off,
        None => TlsMode::VerifyFull,
    };
    if let Some(why) = never_encrypted(endpoint)
        && mode != TlsMode::Off
        && let Some(span) = std::iter::once(&raw.tls).chain(files.map(|(_, raw)| raw)).flatten().map(Spanned::span).next()
    {
        report.add(Some(span), place, Fault::new(format!("TLS is not spoken {why}"), "take out tls and its files"));
        return None;
    }
    if mode == TlsMode::Off
        && let Some((name, Some(raw))) = files.iter().find(|(_, raw)| raw.is_some())
    {
        let fault = Fault::new(format!("{name} has no effect with tls = \"off\""), "take one of the two out");
        report.add(Some(raw.span()), place, fault);
    }
    if let (Some(one), None) | (None, Some(one)) = (&raw.cert_file, &raw.key_file) {
        let fault = Fault::new("only one of cert_file and key_file is given", "a client certificate needs both");
        report.add(Some(one.span()), place, fault);
    }
    for (name, path) in [("ca_file", &raw.ca_file), ("cert_file", &raw.cert_file)] {
        if let Some(path) = path {
            report.check(path.span(), place, present(name, &report.folder.join(path.get_ref())));
        }
    }
    if let (Some(raw), Some(path)) = (&raw.key_file, &key_file) {
        report.check(raw.span(), place, secret::refuse_readable_by_others(path));
    }
    Some(Tls { mode, ca_file, cert_file, key_file })
}

fn present(name: &str, path: &std::path::Path) -> Result<(), Fault> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(cause) => {
            let cause = format!("{name} {} can't be read ({cause})", path.display());
            Err(Fault::new(cause, "name a PEM file that the account of rosterd may read"))
        }
    }
}

fn never_encrypted(endpoint: &Endpoint) -> Option<&'static str> {
    match endpoint {
        Endpoint::Sqlite { .. } => Some("with a SQLite file"),
        Endpoint::MySql(server) | Endpoint::Postgres(server) => {
            matches!(server.host, super::Host::Socket(_)).then_some("over a Unix socket")
        }
    }
}

fn prefix(raw: RawPrefix) -> Prefix {
    match raw {
        RawPrefix::Default(default) => Prefix { default, by_table: BTreeMap::new() },
        RawPrefix::ByTable(mut by_table) => Prefix { default: by_table.remove("default").unwrap_or_default(), by_table },
    }
}
