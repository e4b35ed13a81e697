//! Connections over TLS: what is replicated through them, and what is refused.

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/pair.rs"]
mod pair;
#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

#[path = "tls/refused.rs"]
mod refused;
#[path = "tls/replicated.rs"]
mod replicated;

use certificates::{Authority, Identity};
use servers::{Kind, Server};

/// Accounts of a server of [`start`]. None of them gets in without TLS, the log's reader neither.
const BY_PASSWORD: &str = "by_password";
const BY_CERTIFICATE: &str = "by_certificate";
const PASSWORD: &str = "right-password";

/// A server that lets nobody in over TCP without TLS. It knows clients whose certificates `authority` has signed.
fn start(kind: Kind, authority: &Authority, identity: &Identity) -> Server {
    let mut files = vec![
        ("own.pem", identity.certificate.as_str()),
        ("own.key", identity.key.as_str()),
        ("authority.pem", authority.certificate.as_str()),
    ];
    let server = if kind.is_postgres() {
        files.push(("pg_hba.conf", HBA));
        let options = ["-c ssl=on", "-c ssl_cert_file=own.pem", "-c ssl_key_file=own.key", "-c ssl_ca_file=authority.pem"];
        Server::start_with_files(kind, &options, &files)
    } else {
        let options = ["--ssl-cert=own.pem", "--ssl-key=own.key", "--ssl-ca=authority.pem", "--require-secure-transport=ON"];
        Server::start_with_files(kind, &options, &files)
    };
    make_accounts(&server);
    server
}

const HBA: &str = "local all all trust
hostssl all by_certificate 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
";

fn make_accounts(server: &Server) {
    for (name, demand) in [(BY_PASSWORD, "REQUIRE SSL"), (BY_CERTIFICATE, "REQUIRE X509")] {
        let statements = match server.kind().is_postgres() {
            true => vec![format!("CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")],
            false => vec![
                format!("CREATE USER {name}@'%' IDENTIFIED BY '{PASSWORD}' {demand}"),
                format!("GRANT ALL ON *.* TO {name}@'%' WITH GRANT OPTION"),
            ],
        };
        statements.iter().for_each(|statement| server.sql(server.main_database(), statement));
    }
}

/// The server's URL for one of the accounts.
fn url(server: &Server, database: &str, account: &str) -> String {
    let url = server.url(database);
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let (_, place) = rest.split_once('@').expect("an account");
    format!("{scheme}://{account}@{place}")
}
