//! Databases that take no writes: told at the start, waited out later.

use crate::TABLES;
use crate::pair::Pair;
use crate::roster::{ColumnKind, Engine, Roster, Site, Table, names};
use crate::servers::{Kind, Server};

const USERS: &str = "CREATE TABLE users (uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE)";

#[test]
fn a_mariadb_server_that_takes_no_writes_is_told() {
    let server = Server::start_with(Kind::MariaDb1011, &["--read-only=1"]);
    let database = server.create_database("ro");
    server.sql(&database, USERS);
    assert_told(&server.url(&database), &["read_only"]);
}

#[test]
fn a_postgres_database_that_takes_no_writes_is_told_with_what_mends_it() {
    for kind in [Kind::Postgres15, Kind::Postgres18] {
        let server = Server::shared(kind);
        let (database, role) = (server.create_database("ro"), format!("writer_{}", std::process::id()));
        server.sql(&database, USERS);
        server.sql(&database, &format!("CREATE ROLE {role} LOGIN SUPERUSER"));
        server.sql(&database, &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
        let url = server.url(&database).replace("//postgres@", &format!("//{role}@"));
        let remedy = format!("ALTER ROLE \"{role}\" SET default_transaction_read_only = off");
        let pair = assert_told(&url, &["transactions are read-only by default", &remedy]);
        server.sql("postgres", &remedy);
        pair.expect(&["check"], 0, &["the server takes writes"]);
    }
}

/// `check` and `run` refuse a hub there.
#[track_caller]
fn assert_told(url: &str, words: &[&str]) -> Pair {
    let pair = Pair::new();
    pair.configure("", &[("hub", url, ""), ("nj", "sqlite:nj.db", "")], TABLES);
    for (command, code) in [("check", 1), ("run", 2)] {
        pair.expect(&[command], code, &[&["hub"], words].concat());
    }
    pair
}

#[test]
fn a_postgres_server_that_turns_read_only_is_waited_out() {
    let on = "ALTER SYSTEM SET default_transaction_read_only = on";
    waited_out(Engine::Postgres18, &[on, RELOAD], &["ALTER SYSTEM RESET default_transaction_read_only", RELOAD], |site| {
        // Applications may write all the same, and it is not lost.
        site.sql("BEGIN READ WRITE; INSERT INTO note VALUES (4, 'in spite of it'); COMMIT");
    });
}

const RELOAD: &str = "SELECT pg_reload_conf()";

#[test]
fn a_mysql_server_that_turns_read_only_is_waited_out() {
    waited_out(Engine::MySql97, &["SET GLOBAL super_read_only = ON"], &["SET GLOBAL read_only = OFF"], |_| {});
}

const NOTE: Table = Table::new("note", "id INT PRIMARY KEY, body VARCHAR(60)", &[("id", ColumnKind::Plain), ("body", ColumnKind::Plain)]);

fn waited_out(engine: Engine, on: &[&str], off: &[&str], meanwhile: impl Fn(&Site)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(engine.kind().expect("a server"));
    let names = names(3);
    let sites = vec![
        Site::create(Engine::Sqlite, &names[0], folder.path()),
        Site::on(&server, engine, &names[1]),
        Site::create(Engine::Sqlite, &names[2], folder.path()),
    ];
    let mut roster = Roster::of(sites, folder);
    roster.share(NOTE, "");
    roster.start();
    roster.sql(1, "INSERT INTO note VALUES (1, 'before')");
    roster.settle_equal();

    on.iter().for_each(|statement| server.sql(server.main_database(), statement));
    roster.sql(0, "INSERT INTO note VALUES (2, 'meanwhile at the hub')");
    roster.sql(2, "UPDATE note SET body = 'meanwhile at the other' WHERE id = 1");
    roster.wait("the daemon to say that it can't write", || {
        let error = roster.daemon().daemon.members[1].health.figures().last_error.clone().unwrap_or_default();
        (!(error.contains(&roster.sites[1].name) && error.contains("read-only"))).then_some(error)
    });
    // The others go on among themselves.
    roster.wait_value(2, "SELECT body FROM note WHERE id = 2", "meanwhile at the hub");
    roster.wait_value(0, "SELECT body FROM note WHERE id = 1", "meanwhile at the other");
    meanwhile(&roster.sites[1]);

    off.iter().for_each(|statement| server.sql(server.main_database(), statement));
    roster.wait_value(1, "SELECT body FROM note WHERE id = 2", "meanwhile at the hub");
    roster.settle_equal();
    roster.stop();
}
