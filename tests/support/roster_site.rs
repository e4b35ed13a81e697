//! One site's database: made on a shared server, described in the configuration, written to and read.

use std::path::{Path, PathBuf};

use super::roster_session::Session;
use super::roster_table::{Row, Table};
use crate::servers::{Kind, Server};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    MariaDb1011,
    MariaDb118,
    MySql97,
    Postgres15,
    Postgres18,
    Sqlite,
}

impl Engine {
    pub fn kind(self) -> Option<Kind> {
        match self {
            Engine::MariaDb1011 => Some(Kind::MariaDb1011),
            Engine::MariaDb118 => Some(Kind::MariaDb118),
            Engine::MySql97 => Some(Kind::MySql97),
            Engine::Postgres15 => Some(Kind::Postgres15),
            Engine::Postgres18 => Some(Kind::Postgres18),
            Engine::Sqlite => None,
        }
    }

    pub fn is_mysql_family(self) -> bool {
        matches!(self, Engine::MariaDb1011 | Engine::MariaDb118 | Engine::MySql97)
    }

    pub fn is_postgres(self) -> bool {
        matches!(self, Engine::Postgres15 | Engine::Postgres18)
    }

    pub fn is_sqlite(self) -> bool {
        self == Engine::Sqlite
    }
}

/// Where a site's database is.
#[derive(Clone)]
pub enum Place {
    Server { port: u16, socket: PathBuf, database: String },
    File(PathBuf),
}

#[derive(Clone)]
pub struct Site {
    pub engine: Engine,
    pub name: String,
    pub place: Place,
    /// Stands before table names here.
    pub prefix: String,
    /// Shared table, shared column, and the column's name here.
    pub renamed: Vec<(&'static str, &'static str, &'static str)>,
    /// More lines of its `[[site]]`.
    pub settings: String,
    /// Sections below its `[[site]]`.
    pub sections: String,
    /// Instead of the URL that belongs to `place`.
    pub url: Option<String>,
}

impl Site {
    #[track_caller]
    pub fn create(engine: Engine, name: &str, folder: &Path) -> Site {
        match engine.kind() {
            Some(kind) => Site::on(Server::shared(kind), engine, name),
            None => Site::at(engine, name, Place::File(sqlite_file(folder, name))),
        }
    }

    /// A database of its own on `server`.
    #[track_caller]
    pub fn on(server: &Server, engine: Engine, name: &str) -> Site {
        let database = server.create_database("roster");
        Site::at(engine, name, Place::Server { port: server.port(), socket: server.socket(), database })
    }

    pub fn at(engine: Engine, name: &str, place: Place) -> Site {
        Site {
            engine,
            name: name.into(),
            place,
            prefix: String::new(),
            renamed: Vec::new(),
            settings: String::new(),
            sections: String::new(),
            url: None,
        }
    }

    pub fn database(&self) -> &str {
        match &self.place {
            Place::Server { database, .. } => database,
            Place::File(path) => path.to_str().expect("a temporary path is UTF-8"),
        }
    }

    pub fn url(&self) -> String {
        if let Some(url) = &self.url {
            return url.clone();
        }
        match &self.place {
            Place::Server { port, database, .. } if self.engine.is_postgres() => {
                format!("postgres://postgres@127.0.0.1:{port}/{database}")
            }
            Place::Server { port, database, .. } => format!("mysql://root@127.0.0.1:{port}/{database}"),
            Place::File(path) => format!("sqlite://{}", path.display()),
        }
    }

    /// Its lines in the configuration, from the URL on.
    pub fn configuration(&self) -> String {
        let mut text = format!("url = {:?}\n{}", self.url(), self.settings);
        if !self.prefix.is_empty() {
            text += &format!("prefix = {:?}\n", self.prefix);
        }
        for (table, column, here) in &self.renamed {
            text += &format!("[site.table.{table}]\ncolumns = {{ {column} = {here:?} }}\n");
        }
        text += &self.sections;
        text
    }

    /// A connection of its own.
    #[track_caller]
    pub fn session(&self) -> Session {
        match self.try_session() {
            Ok(session) => session,
            Err(error) => panic!("{} ({:?}) can't be reached: {error}", self.name, self.engine),
        }
    }

    pub fn try_session(&self) -> Result<Session, String> {
        match &self.place {
            Place::Server { port, socket, database } if self.engine.is_postgres() => Session::postgres(socket, *port, database),
            Place::Server { socket, database, .. } => Session::mysql(socket, database),
            Place::File(path) => Session::sqlite(path),
        }
    }

    #[track_caller]
    pub fn sql(&self, sql: &str) {
        self.session().sql(sql);
    }

    #[track_caller]
    pub fn create_table(&self, table: &Table) {
        let mut ddl = table.ddl.to_owned();
        for (shared, column, here) in &self.renamed {
            if *shared == table.name {
                ddl = ddl.replacen(&format!("{column} "), &format!("{here} "), 1);
            }
        }
        let (text, blob) = match self.engine {
            engine if engine.is_mysql_family() => ("LONGTEXT", "LONGBLOB"),
            engine if engine.is_postgres() => ("TEXT", "BYTEA"),
            _ => ("TEXT", "BLOB"),
        };
        let ddl = ddl.replace("$text", text).replace("$blob", blob).replace("$prefix", &self.prefix);
        self.sql(&format!("CREATE TABLE {}{} ({ddl})", self.prefix, table.name));
    }

    /// The table's rows, canonical and in order, with the shared columns' names.
    #[track_caller]
    pub fn read(&self, table: &Table) -> Vec<Row> {
        let here = |column: &str| {
            let renamed = self.renamed.iter().find(|(of, shared, _)| *of == table.name && *shared == column);
            renamed.map_or(column.to_owned(), |(.., here)| (*here).to_owned())
        };
        let columns: Vec<String> = table.columns.iter().map(|(name, kind)| kind.expression(self.engine, &here(name))).collect();
        let filter = if table.filter.is_empty() { String::new() } else { format!(" WHERE {}", table.filter) };
        let query = format!("SELECT {} FROM {}{}{filter}", columns.join(", "), self.prefix, table.name);
        let rows = self.session().rows(&query);
        super::roster_table::canonical(rows)
    }

    /// Removes the database and what pins a log for it.
    pub fn remove(&self) {
        let Place::Server { port, socket, database } = &self.place else { return };
        if self.engine.is_postgres() {
            let Ok(mut session) = Session::postgres(socket, *port, "postgres") else { return };
            let _ = session.try_rows(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
            let slots = format!(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{database}' AND NOT active"
            );
            let _ = session.try_rows(&slots);
            let _ = session.try_rows(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
        } else if let Ok(mut session) = Session::mysql(socket, "mysql") {
            let _ = session.try_rows(&format!("DROP DATABASE IF EXISTS {database}"));
        }
    }
}

fn sqlite_file(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(format!("{name}.db"));
    let db = rusqlite::Connection::open(&path).expect("SQLite makes a file");
    db.execute_batch("PRAGMA journal_mode = WAL").expect("SQLite writes the file");
    path
}
