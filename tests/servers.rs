//! The servers for tests do what the other tests rely on.

#[path = "support/servers.rs"]
mod servers;

use servers::{Kind, Server};

#[test]
fn mariadb_10_11_lives_and_survives() {
    survives(Kind::MariaDb1011, "10.11.");
}

#[test]
fn mariadb_11_8_lives_and_survives() {
    survives(Kind::MariaDb118, "11.8.");
}

#[test]
fn mysql_9_7_lives_and_survives() {
    survives(Kind::MySql97, "9.7.");
}

#[test]
fn postgres_15_lives_and_survives() {
    survives(Kind::Postgres15, "PostgreSQL 15.");
}

#[test]
fn postgres_18_lives_and_survives() {
    survives(Kind::Postgres18, "PostgreSQL 18.");
}

fn survives(kind: Kind, version: &str) {
    let mut server = Server::start(kind);
    let (port, data) = (server.port(), server.data());
    let found = value(&server, server.main_database(), "SELECT version()");
    assert!(found.starts_with(version), "{} is {found}", kind.name());

    let database = server.create_database("shop");
    assert_ne!(database, server.create_database("shop"));
    server.sql(&database, "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(40))");
    server.sql(&database, "INSERT INTO item VALUES (1, 'pen'); INSERT INTO item VALUES (2, NULL)");
    let expected = vec![vec![Some("1".into()), Some("pen".into())], vec![Some("2".into()), None]];

    let before = server.pid();
    server.kill();
    server.restart();
    assert_ne!(server.pid(), before);
    assert_eq!(server.rows(&database, "SELECT id, name FROM item ORDER BY id"), expected);
    server.restart();
    assert_eq!(server.rows(&database, "SELECT id, name FROM item ORDER BY id"), expected);
    assert_eq!(server.port(), port);

    drop(server);
    assert!(!data.exists(), "the folder is gone");
}

#[test]
fn copies_of_a_template_are_different_systems() {
    let identity = |kind: Kind| match kind {
        Kind::MySql97 => "SELECT @@server_uuid",
        Kind::MariaDb1011 | Kind::MariaDb118 => "SELECT @@server_id",
        Kind::Postgres15 | Kind::Postgres18 => "SELECT system_identifier FROM pg_control_system()",
    };
    for kind in [Kind::MariaDb1011, Kind::MySql97, Kind::Postgres15, Kind::Postgres18] {
        let [one, other] = [Server::start(kind), Server::start(kind)].map(|server| value(&server, server.main_database(), identity(kind)));
        assert_ne!(one, other, "{}", kind.name());
    }
}

#[test]
fn extra_options_win() {
    let logging_off = Server::start_with(Kind::MariaDb1011, &["--skip-log-bin"]);
    assert_eq!(value(&logging_off, "mysql", "SELECT @@log_bin"), "0");
    let minimal = Server::start_with(Kind::Postgres18, &["-c wal_level=minimal", "-c max_wal_senders=0"]);
    assert_eq!(value(&minimal, "postgres", "SHOW wal_level"), "minimal");
}

#[test]
fn a_shared_server_is_one_and_answers_on_its_url() {
    let shared = Server::shared(Kind::Postgres18);
    assert_eq!(Server::shared(Kind::Postgres18).pid(), shared.pid());
    let database = shared.create_database("shared");
    assert_eq!(shared.url(&database), format!("postgres://postgres@127.0.0.1:{}/{database}", shared.port()));
    std::net::TcpStream::connect(("127.0.0.1", shared.port())).expect("it listens");
}

#[tokio::test]
async fn scripts_run_inside_an_async_test() {
    let server = Server::shared(Kind::Postgres18);
    assert_eq!(value(server, "postgres", "SELECT 'inside'"), "inside");
}

fn value(server: &Server, database: &str, sql: &str) -> String {
    server.rows(database, sql)[0][0].clone().expect("a value")
}
