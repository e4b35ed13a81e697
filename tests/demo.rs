//! `rosterd demo`, as a newcomer runs it: it says that all is well, and it is.

#[path = "support/servers.rs"]
mod servers;

use std::path::Path;
use std::process::{Command, Output};

use rusqlite::Connection;
use servers::{Kind, Server};

/// Tables with the columns that sites share, and which rows.
const SHARED: [(&str, &str, &str); 5] = [
    ("users", "uid, name, pass, mail, signature, created, changed, access, login, status, timezone, language, init, data", "uid > 1"),
    ("sessions", "sid, ssid, uid, hostname, timestamp, session", "uid > 1"),
    ("users_roles", "uid, role", "uid > 1"),
    ("field_data_field_city", "entity_id, revision_id, delta, language, bundle, field_city_value", "entity_type = 'user'"),
    ("field_revision_field_city", "entity_id, revision_id, delta, language, bundle, field_city_value", "entity_type = 'user'"),
];

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rosterd")).arg("demo").args(arguments).output().unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn rows(file: &Path, (table, columns, shared): (&str, &str, &str)) -> Vec<String> {
    let db = Connection::open(file).unwrap();
    let mut query = db.prepare(&format!("SELECT {columns} FROM {table} WHERE {shared} ORDER BY {columns}")).unwrap();
    let width = query.column_count();
    let rows = query.query_map([], |row| {
        let cells: Vec<String> = (0..width).map(|i| format!("{:?}", row.get_ref(i).unwrap())).collect();
        Ok(cells.join(" "))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn tables(file: &Path) -> Vec<String> {
    let db = Connection::open(file).unwrap();
    let mut query = db.prepare("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_newcomer_sees_equal_sites_and_finds_them_equal() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(&["--quick", "--keep", folder.path().to_str().unwrap()]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("Every shared row is equal at all 3 sites"), "{said}");
    assert!(said.contains("25 edits came as") && said.contains("last-writer-wins"), "{said}");
    assert!(!said.contains('\x1b') && said.lines().all(|line| line.chars().count() <= 80 || line.contains("/")), "{said}");
    for table in SHARED {
        let [hub, shop, forum] = ["hub", "shop", "forum"].map(|name| rows(&folder.path().join(format!("{name}.sqlite")), table));
        assert!(!hub.is_empty(), "{} is empty", table.0);
        assert_eq!(hub, shop, "{}", table.0);
        assert_eq!(hub, forum, "{}", table.0);
    }
}

#[test]
fn named_databases_are_left_as_they_were_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let url = |name: &str| format!("sqlite://{}", file(name).display());
    Connection::open(file("two")).unwrap().execute_batch("CREATE TABLE recipes (name TEXT PRIMARY KEY)").unwrap();
    let output = demo(&["--quick", "--hub", &url("one"), "--client", &url("two")]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("Every shared row is equal at all 2 sites"), "{said}");
    assert_eq!((tables(&file("one")), tables(&file("two"))), (vec![], vec!["recipes".to_owned()]), "{said}");
}

#[test]
fn databases_with_people_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let url = |name: &str| format!("sqlite://{}", file(name).display());
    Connection::open(file("two")).unwrap().execute_batch("CREATE TABLE users (uid INTEGER PRIMARY KEY)").unwrap();
    let output = demo(&["--quick", "--hub", &url("one"), "--client", &url("two")]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("shop's database has a table users already"), "{said}");
    assert_eq!((tables(&file("one")), tables(&file("two"))), (vec![], vec!["users".to_owned()]));

    let output = demo(&["--keep", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("is not empty"), "{}", told(&output));
}

/// Runs the demo on a database of its own at each server, and looks whether it has left anything.
fn on_servers(kinds: &[Kind]) {
    let places: Vec<(&Server, String)> = kinds.iter().map(|kind| Server::shared(*kind)).map(|s| (s, s.create_database("demo"))).collect();
    let mut arguments = vec!["--quick".to_owned()];
    for (at, (server, database)) in places.iter().enumerate() {
        arguments.extend([if at == 0 { "--hub" } else { "--client" }.to_owned(), server.url(database)]);
    }
    let output = demo(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let said = told(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("Every shared row is equal at all {} sites", kinds.len())), "{said}");
    for (server, database) in &places {
        let schema = if server.kind().is_postgres() { "public" } else { database };
        let left = server.rows(database, &format!("SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}'"));
        assert!(left.is_empty(), "{left:?} is left at {}", server.kind().name());
    }
}

#[test]
fn the_demo_runs_on_mariadb_and_postgres() {
    on_servers(&[Kind::MariaDb1011, Kind::Postgres15, Kind::MariaDb1011]);
}

#[test]
fn the_demo_runs_on_postgres_and_mysql() {
    on_servers(&[Kind::Postgres18, Kind::MySql97]);
}
