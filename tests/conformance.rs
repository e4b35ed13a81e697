//! The conformance table against real servers: what it says that an engine can hold, the engine takes.

#[path = "support/conformance.rs"]
mod conformance;
#[path = "support/servers.rs"]
mod servers;

use std::collections::HashSet;

use conformance::{Column, Engine, Expected, columns};
use servers::{Kind, Server};

#[test]
fn names_are_unique() {
    let mut names = HashSet::new();
    for column in columns() {
        assert!(names.insert(column.name), "{} is there twice", column.name);
        let mut labels = HashSet::new();
        for sample in column.samples {
            assert!(labels.insert(sample.label), "{} has {} twice", column.name, sample.label);
        }
    }
}

/// Numbers from here on are of what arrives for a sample, when its literal is another.
const ARRIVING: usize = 1000;

/// Runs a script and gives the first column of the first result.
type Run<'a> = &'a dyn Fn(&str) -> Vec<String>;

#[test]
fn mariadb_10_11_takes_its_literals() {
    server_takes(Kind::MariaDb1011);
}

#[test]
fn mariadb_11_8_takes_its_literals() {
    server_takes(Kind::MariaDb118);
}

#[test]
fn mysql_9_7_takes_its_literals() {
    server_takes(Kind::MySql97);
}

#[test]
fn postgres_15_takes_its_literals() {
    server_takes(Kind::Postgres15);
}

#[test]
fn postgres_18_takes_its_literals() {
    server_takes(Kind::Postgres18);
}

fn server_takes(kind: Kind) {
    let engine = match kind {
        Kind::MariaDb1011 | Kind::MariaDb118 => Engine::MariaDb,
        Kind::MySql97 => Engine::MySql,
        Kind::Postgres15 | Kind::Postgres18 => Engine::Postgres,
    };
    let server = Server::shared(kind);
    let database = server.create_database("conformance");
    let run = |sql: &str| server.rows(&database, sql).into_iter().map(|row| row[0].clone().unwrap_or_default()).collect();
    takes(engine, &run);
}

#[test]
fn sqlite_takes_its_literals() {
    let sqlite = rusqlite::Connection::open_in_memory().expect("SQLite opens");
    let run = |sql: &str| {
        let (script, query) = sql.rsplit_once(';').unwrap_or(("", sql));
        sqlite.execute_batch(script).unwrap_or_else(|error| panic!("{error}\n{script}"));
        let mut statement = sqlite.prepare(query).unwrap_or_else(|error| panic!("{error}\n{query}"));
        let rows = statement.query_map([], |row| row.get::<_, i64>(0).map(|n| n.to_string())).expect("a query");
        rows.collect::<Result<_, _>>().expect("rows")
    };
    takes(Engine::Sqlite, &run);
}

/// Each literal is stored as it is: twice the same, and not the same as any other sample's.
fn takes(engine: Engine, run: Run) {
    for column in columns() {
        let Some(ddl) = column.ddl(engine) else { continue };
        let mut script = String::new();
        if engine == Engine::Postgres && !column.first.is_empty() {
            script += &format!("{};\n", column.first);
        }
        for table in ["c", "r"] {
            script += &format!("CREATE TABLE {table}_{} (id INT PRIMARY KEY, v {ddl});\n", column.name);
        }
        run(&(script + "SELECT 1"));
        let mut script = String::new();
        if !engine.session().is_empty() {
            script += &format!("{};\n", engine.session());
        }
        let mut held = 0;
        for (id, literal) in literals(column, engine) {
            for table in ["c", "r"] {
                script += &format!("INSERT INTO {table}_{} VALUES ({id}, {literal});\n", column.name);
            }
            held += 1;
        }
        run(&(script + "SELECT 1"));
        let same = format!("SELECT c.id FROM c_{0} c JOIN r_{0} r ON {1}", column.name, engine.same("c.v", "r.v"));
        let found = run(&format!("{same} WHERE c.id = r.id"));
        assert_eq!(found.len(), held, "{engine:?}, {}: same", column.name);
        let alike = run(&format!("{same} WHERE c.id <> r.id AND c.id < {ARRIVING} AND r.id < {ARRIVING}"));
        assert!(alike.is_empty(), "{engine:?}, {}: {alike:?} are alike", column.name);
    }
}

/// What the column holds, numbered: each sample, and what arrives for it when that is something else.
fn literals(column: &'static Column, engine: Engine) -> Vec<(usize, &'static str)> {
    let mut list = Vec::new();
    for (id, sample) in column.samples.iter().enumerate() {
        list.extend(sample.literal(engine).map(|literal| (id, literal)));
        let arrives = Engine::ALL.iter().find_map(|from| sample.expect(*from, engine));
        if let Some(Expected::Arrives(literal)) = arrives
            && sample.literal(engine) != Some(literal)
        {
            list.push((id + ARRIVING, literal));
        }
    }
    list
}
