//! Rows go both ways through connections that the servers take over TLS only: ordinary ones and those that read the logs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::certificates::Authority;
use crate::roster::Engine::{self, *};
use crate::roster::{ColumnKind, Roster, Site, Table, names};
use crate::servers::Server;
use crate::{BY_CERTIFICATE, BY_PASSWORD, PASSWORD, start, url};

const ENGINES: [Engine; 5] = [MariaDb118, MySql97, Postgres15, Postgres18, MariaDb1011];
const NOTE: Table = Table::new("note", "id INT PRIMARY KEY, body VARCHAR(200)", &[("id", ColumnKind::Plain), ("body", ColumnKind::Plain)]);

#[test]
fn rows_replicate_over_tls_with_passwords_and_with_certificates() {
    let authority = Authority::new("the tests' authority");
    let identity = authority.server(&["127.0.0.1"]);
    let servers: Vec<Server> = std::thread::scope(|scope| {
        let start = |engine: &Engine| {
            let kind = engine.kind().expect("a server");
            let (authority, identity) = (&authority, &identity);
            scope.spawn(move || start(kind, authority, identity))
        };
        let starting: Vec<_> = ENGINES.iter().map(start).collect();
        starting.into_iter().map(|server| server.join().expect("it starts")).collect()
    });
    replicate(&authority, &servers, BY_PASSWORD);
    replicate(&authority, &servers, BY_CERTIFICATE);
}

fn replicate(authority: &Authority, servers: &[Server], account: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let client = authority.client(account);
    let [ca, cert, key, password] =
        [("ca.pem", &authority.certificate), ("cert.pem", &client.certificate), ("key.pem", &client.key), ("password", &PASSWORD.into())]
            .map(|(name, text)| written(folder.path(), name, text));
    let mut settings = format!("tls = \"verify-full\"\nca_file = {ca:?}\npassword_file = {password:?}\n");
    if account == BY_CERTIFICATE {
        settings += &format!("cert_file = {cert:?}\nkey_file = {key:?}\n");
    }
    let site = |((engine, server), name): ((&Engine, &Server), &String)| {
        let mut site = Site::on(server, *engine, name);
        site.url = Some(url(server, site.database(), account));
        site.settings = settings.clone();
        site
    };
    let sites = ENGINES.iter().zip(servers).zip(&names(ENGINES.len())).map(site).collect();
    let mut roster = Roster::of(sites, folder);
    roster.share(NOTE, "insert = \"merge\"");
    roster.sql(0, "INSERT INTO note VALUES (1, 'there before')");
    roster.start();
    roster.settle_equal();
    for site in 0..ENGINES.len() {
        roster.sql(site, &format!("INSERT INTO note VALUES (1{site}, 'from {site}')"));
    }
    roster.settle_equal();
    for site in 0..ENGINES.len() {
        let next = (site + 1) % ENGINES.len();
        roster.sql(next, &format!("UPDATE note SET body = 'changed at {next}' WHERE id = 1{site}"));
    }
    roster.settle_equal();
    roster.sql(1, "DELETE FROM note WHERE id = 1");
    roster.settle_equal();
    assert_eq!(roster.rows(0, "note").len(), ENGINES.len());
    for server in servers.iter().filter(|server| server.kind().is_postgres()) {
        assert_encrypted(server, account);
    }
    roster.stop();
}

/// What the server itself says of its sessions; those of the MySQL family are closed to others by require_secure_transport.
fn assert_encrypted(server: &Server, account: &str) {
    let sessions = format!(
        "SELECT backend_type, ssl::text, count(*)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE usename = '{account}' GROUP BY 1, 2"
    );
    let found = server.rows("postgres", &sessions);
    assert!(found.iter().all(|row| row[1].as_deref() == Some("true")), "{found:?}");
    assert!(found.iter().any(|row| row[0].as_deref() == Some("walsender")), "nobody reads the log: {found:?}");
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the folder can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    path
}
