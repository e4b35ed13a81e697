//! Real database servers for tests. `tests/servers/fetch` gets them; a missing one fails the test.
//!
//! A server is a copy of an initialized data directory in a temporary folder, on a free port of 127.0.0.1, durable and
//! set up to be read by replication. Its superuser (`root`, `postgres`) has no password.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::{
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

mod postgres_identity;
mod server_client;
mod server_command;
mod server_folder;
mod server_process;

use server_client::Client;
use server_folder::Folder;
use server_process::Process;

/// A row of a query's result as the server's text; `None` is NULL.
pub type TextRow = Vec<Option<String>>;

const STARTS_MAX: u32 = 10;
const READY_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    MariaDb1011,
    MariaDb118,
    MySql97,
    Postgres15,
    Postgres18,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::MariaDb1011, Kind::MariaDb118, Kind::MySql97, Kind::Postgres15, Kind::Postgres18];

    /// Its folder's name under `target/servers`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::MariaDb1011 => "mariadb-10.11",
            Kind::MariaDb118 => "mariadb-11.8",
            Kind::MySql97 => "mysql-9.7",
            Kind::Postgres15 => "postgres-15",
            Kind::Postgres18 => "postgres-18",
        }
    }

    pub fn is_postgres(self) -> bool {
        matches!(self, Kind::Postgres15 | Kind::Postgres18)
    }

    pub fn is_mariadb(self) -> bool {
        matches!(self, Kind::MariaDb1011 | Kind::MariaDb118)
    }

    /// Where the fetched server is. Panics if it is not there.
    pub fn home(self) -> PathBuf {
        let cache = std::env::var_os("ROSTERD_SERVERS")
            .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/servers")), PathBuf::from);
        let home = cache.join(self.name());
        assert!(home.join("complete").exists(), "no {} in {}: run tests/servers/fetch first", self.name(), cache.display());
        // PostgreSQL's account cannot follow a link out of a folder that is closed to it.
        home.canonicalize().expect("the folder exists")
    }
}

/// A running server. Dropping it ends it and removes its folder, and so does the end of the test process, however it
/// ends.
pub struct Server {
    kind: Kind,
    extra: Vec<String>,
    port: u16,
    // Before the folder, so that it has ended when the folder goes.
    process: Option<Process>,
    folder: Folder,
}

impl Server {
    #[track_caller]
    pub fn start(kind: Kind) -> Server {
        Server::start_with(kind, &[])
    }

    /// `extra` are options of the server, which win over the ones used here: `--skip-log-bin` for the MySQL family,
    /// `-c wal_level=minimal` for PostgreSQL.
    #[track_caller]
    pub fn start_with(kind: Kind, extra: &[&str]) -> Server {
        Server::start_with_files(kind, extra, &[])
    }

    /// `files`: name and text of more files in the data directory, where options find them by their names alone.
    #[track_caller]
    pub fn start_with_files(kind: Kind, extra: &[&str], files: &[(&str, &str)]) -> Server {
        let folder = Folder::create(kind);
        for (name, text) in files {
            folder.write(name, text);
        }
        Server::start_in(kind, folder, extra)
    }

    /// A second server with a copy of this one's data, which is down meanwhile.
    #[track_caller]
    pub fn start_copy(&mut self, extra: &[&str], files: &[(&str, &str)]) -> Server {
        self.stop();
        let folder = Folder::copy_of(self.kind, &self.folder.data());
        self.restart();
        for (name, text) in files {
            folder.write(name, text);
        }
        Server::start_in(self.kind, folder, extra)
    }

    #[track_caller]
    fn start_in(kind: Kind, folder: Folder, extra: &[&str]) -> Server {
        let extra = extra.iter().map(|option| option.to_string()).collect();
        let mut server = Server { kind, extra, port: 0, process: None, folder };
        for _ in 0..STARTS_MAX {
            server.port = free_port();
            match server.launch() {
                Ok(()) => return server,
                Err(log) if log.contains("ddress already in use") => {}
                Err(log) => panic!("{} did not start:\n{log}", kind.name()),
            }
        }
        panic!("{} found no free port in {STARTS_MAX} attempts", kind.name());
    }

    /// One per kind and test process, for tests that need only databases of their own.
    #[track_caller]
    pub fn shared(kind: Kind) -> &'static Server {
        static SHARED: [OnceLock<Server>; Kind::ALL.len()] = [const { OnceLock::new() }; Kind::ALL.len()];
        SHARED[kind as usize].get_or_init(|| Server::start(kind))
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id. Panics while the server is not running.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").pid()
    }

    /// The path that clients want: the socket itself in the MySQL family, the folder that holds it for PostgreSQL.
    pub fn socket(&self) -> PathBuf {
        if self.kind.is_postgres() { self.folder.path().into() } else { self.folder.path().join("socket") }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.data()
    }

    /// Replaces a file in the data directory; the server reads it when it is told to.
    #[track_caller]
    pub fn write(&self, name: &str, text: &str) {
        self.folder.write(name, text);
    }

    pub fn url(&self, database: &str) -> String {
        let user = if self.kind.is_postgres() { "postgres://postgres" } else { "mysql://root" };
        format!("{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Creates a database with a name that this server has not had yet, and returns the name.
    #[track_caller]
    pub fn create_database(&self, prefix: &str) -> String {
        static CREATED: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}_{}", CREATED.fetch_add(1, Ordering::Relaxed));
        self.sql(self.main_database(), &format!("CREATE DATABASE {name}"));
        name
    }

    /// The database that every server of its kind has.
    pub fn main_database(&self) -> &'static str {
        if self.kind.is_postgres() { "postgres" } else { "mysql" }
    }

    /// Runs a script of one or more statements. PostgreSQL runs several as one transaction.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) {
        self.rows(database, sql);
    }

    /// As `sql`; returns the rows of the first result.
    #[track_caller]
    pub fn rows(&self, database: &str, sql: &str) -> Vec<TextRow> {
        match self.client().run(database, sql) {
            Ok(rows) => rows,
            Err(error) => panic!("{} refused a script in {database}: {error}\n{sql}", self.kind.name()),
        }
    }

    /// As `kill -9`, without a chance to write anything more.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
        self.folder.forget_pid();
    }

    /// A clean shutdown, if it runs.
    #[track_caller]
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop();
        }
        self.folder.forget_pid();
    }

    /// A clean shutdown, if it runs, then a start on the same port and data.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        if let Err(log) = self.launch() {
            panic!("{} did not start again:\n{log}", self.kind.name());
        }
    }

    /// Starts it again if it has ended by itself; gives the end of its log then.
    #[track_caller]
    pub fn revive(&mut self) -> Option<String> {
        if !self.process.as_mut()?.has_ended() {
            return None;
        }
        let log = self.folder.log_end();
        self.process = None;
        self.restart();
        Some(log)
    }

    /// A backup of all its data; the server is down meanwhile.
    #[track_caller]
    pub fn save(&mut self) -> PathBuf {
        static SAVED: AtomicU32 = AtomicU32::new(1);
        self.stop();
        let saved = self.folder.save(&format!("saved-{}", SAVED.fetch_add(1, Ordering::Relaxed)));
        self.restart();
        saved
    }

    /// Puts a backup in the place of what is there, and starts again.
    #[track_caller]
    pub fn put_back(&mut self, saved: &std::path::Path) {
        self.stop();
        self.folder.replace_data(saved);
        self.restart();
    }

    /// Starts the server and waits until it answers; the error is the end of its log.
    fn launch(&mut self) -> Result<(), String> {
        let command = server_command::command(self.kind, &self.folder, self.port, &self.extra);
        let mut process = Process::spawn(self.kind, command);
        self.folder.remember_pid(process.pid());
        let deadline = Instant::now() + READY_MAX;
        // Through the socket, because it is this server's alone: on a port that was taken, another one may answer.
        while !self.client().answers() {
            if process.has_ended() || Instant::now() > deadline {
                drop(process);
                return Err(self.folder.log_end());
            }
            std::thread::sleep(server_process::POLL);
        }
        self.process = Some(process);
        Ok(())
    }

    fn client(&self) -> Client {
        Client { postgres: self.kind.is_postgres(), socket: self.socket(), port: self.port }
    }
}

/// A port below the range for outgoing connections, so that none of those takes it while the server is down for a
/// restart. It may be gone before the server has it: then the start is tried again.
fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let spread = std::process::id().wrapping_mul(7919).wrapping_add(tried);
        let port = 20_000 + (spread % 12_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
