//! Accounts and servers that don't let rosterd in as it is configured.

use crate::TABLES;
use crate::pair::Pair;
use crate::servers::{Kind, Server};

const RIGHT: &str = "right-password";
const WRONG: &str = "wrong-password";

/// Everybody on the socket, over TCP with a password only.
const HBA: &str = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";

#[test]
fn wrong_passwords_are_told_without_the_password() {
    for kind in [Kind::MariaDb1011, Kind::MySql97] {
        let server = Server::shared(kind);
        let account = format!("someone{}", std::process::id());
        server.sql("mysql", &format!("CREATE USER {account} IDENTIFIED BY '{RIGHT}'"));
        let (pair, url) = hub_at(server, &account);
        assert_wrong(&pair, &url, &["check user and password"]);
    }
}

#[test]
fn wrong_and_missing_passwords_of_postgres_are_told_without_the_password() {
    for kind in [Kind::Postgres15, Kind::Postgres18] {
        let server = Server::start_with_files(kind, &[], &[("pg_hba.conf", HBA)]);
        server.sql("postgres", &format!("CREATE ROLE someone LOGIN SUPERUSER PASSWORD '{RIGHT}'"));
        let (pair, url) = hub_at(&server, "someone");
        assert_wrong(&pair, &url, &["password authentication failed", "someone", "check user, password and pg_hba.conf"]);
        // A role that is not there is told in the same words as a wrong password, by the server itself.
        let nobody = url.replace("//someone@", "//nobody@");
        assert_wrong(&pair, &nobody, &["password authentication failed", "nobody", "check user, password and pg_hba.conf"]);
        pair.configure("", &[("hub", &url, ""), ("nj", "sqlite:nj.db", "")], TABLES);
        pair.expect(&["run"], 2, &["hub", "asks for a password, and none is configured", "set password_file or password_env"]);
        pair.secret("secret", RIGHT);
        pair.configure("", &[("hub", &url, "password_file = \"secret\""), ("nj", "sqlite:nj.db", "")], TABLES);
        pair.expect(&["check"], 0, &["it answers", "replication connections are permitted"]);
    }
}

#[test]
fn accounts_that_postgres_does_not_know_are_told() {
    let (pair, url) = hub_at(Server::shared(Kind::Postgres15), "nobody_here");
    assert_wrong(&pair, &url, &["nobody_here", "check user, password and pg_hba.conf"]);
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    for kind in [Kind::MariaDb1011, Kind::Postgres15] {
        let (pair, url) = hub_at(Server::shared(kind), if kind.is_postgres() { "postgres" } else { "root" });
        pair.configure("", &[("hub", &url, "tls = \"verify-full\""), ("nj", "sqlite:nj.db", "")], TABLES);
        pair.expect(&["run"], 2, &["hub", "TLS", "set tls = \"off\""]);
    }
}

/// A pair, and the URL of a database on `server` that can be its hub.
fn hub_at(server: &Server, account: &str) -> (Pair, String) {
    let database = server.create_database("bad");
    server.sql(&database, "CREATE TABLE users (uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE)");
    let url = server.url(&database).replace("//root@", &format!("//{account}@")).replace("//postgres@", &format!("//{account}@"));
    (Pair::new(), url)
}

#[track_caller]
fn assert_wrong(pair: &Pair, url: &str, words: &[&str]) {
    pair.secret("secret", WRONG);
    pair.configure("", &[("hub", url, "password_file = \"secret\""), ("nj", "sqlite:nj.db", "")], TABLES);
    for (command, code) in [("run", 2), ("check", 1)] {
        pair.expect(&[command], code, &[&["hub"], words].concat());
        let (_, text) = pair.run(&[command]);
        assert!(!text.contains(WRONG), "{command}: {text}");
    }
}
