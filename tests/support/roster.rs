//! Rosters for end-to-end tests: databases on shared servers, a configuration, the daemon, and what the sites hold.
//!
//! Everything that a roster makes goes when it is dropped, also by a panic. Every wait is for a fact and has a deadline.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rosterd::ops::admin::{self, Request};

use crate::servers::Server;

mod roster_daemon;
mod roster_session;
mod roster_site;
mod roster_state;
mod roster_table;

pub use roster_daemon::{Binary, InProcess};
pub use roster_session::Session;
#[allow(unused_imports, reason = "each test file uses a part of this")]
pub use roster_site::{Engine, Place, Site};
pub use roster_table::{Kind as ColumnKind, Row, Table};

/// The longest that a test waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Sites, the tables that they share, and the daemon when it runs. Site 0 is the hub.
pub struct Roster {
    pub sites: Vec<Site>,
    pub tables: Vec<(Table, String)>,
    daemon_settings: String,
    /// Instead of the configuration that belongs to the sites and tables.
    configuration: Option<String>,
    running: Option<InProcess>,
    fences: AtomicU32,
    folder: tempfile::TempDir,
}

/// A shared table that each site writes a row of its own to: when all have it, all written before has been captured.
const FENCE: Table = Table::new("fence", "site INT PRIMARY KEY, n INT NOT NULL", &[("site", ColumnKind::Plain), ("n", ColumnKind::Plain)]);

const FENCE_RULES: &str = "insert = \"merge\"";

impl Roster {
    /// A database for each site.
    #[track_caller]
    pub fn new(engines: &[Engine]) -> Roster {
        let folder = tempfile::Builder::new().prefix("rosterd-roster-").tempdir().expect("a temporary folder");
        let names = names(engines.len());
        let sites = engines.iter().zip(&names).map(|(engine, name)| Site::create(*engine, name, folder.path())).collect();
        Roster::of(sites, folder)
    }

    /// The same on servers of the roster's own, which the test may stop or fill. `options`: more of each server's.
    #[track_caller]
    pub fn on_own_servers(engines: &[Engine], options: fn(Engine) -> &'static [&'static str]) -> (Vec<Server>, Roster) {
        let folder = tempfile::Builder::new().prefix("rosterd-roster-").tempdir().expect("a temporary folder");
        let (mut servers, mut sites) = (Vec::new(), Vec::new());
        for (engine, name) in engines.iter().zip(names(engines.len())) {
            sites.push(match engine.kind() {
                Some(kind) => {
                    servers.push(Server::start_with(kind, options(*engine)));
                    Site::on(servers.last().expect("it was started"), *engine, &name)
                }
                None => Site::create(*engine, &name, folder.path()),
            });
        }
        (servers, Roster::of(sites, folder))
    }

    #[track_caller]
    pub fn of(sites: Vec<Site>, folder: tempfile::TempDir) -> Roster {
        let mut roster = Roster {
            sites,
            tables: Vec::new(),
            daemon_settings: String::new(),
            configuration: None,
            running: None,
            fences: AtomicU32::new(0),
            folder,
        };
        roster.share(FENCE, FENCE_RULES);
        roster
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Creates the table at every site and shares it under `rules`, lines of its `[[table]]`.
    #[track_caller]
    pub fn share(&mut self, table: Table, rules: &str) {
        for site in &self.sites {
            site.create_table(&table);
        }
        self.tables.push((table, rules.to_owned()));
    }

    /// Shares a table that has been created already.
    pub fn share_existing(&mut self, table: Table, rules: &str) {
        self.tables.push((table, rules.to_owned()));
    }

    /// A line for the configuration's `[daemon]`.
    pub fn set(&mut self, line: &str) {
        self.daemon_settings += line;
        self.daemon_settings += "\n";
    }

    /// Takes a configuration that was written elsewhere. It has to share what `share_existing` names, with `state_dir = "state"`.
    pub fn use_configuration(&mut self, text: &str) {
        self.configuration = Some(format!("{text}\n[[table]]\nname = {:?}\n{FENCE_RULES}\n", FENCE.name));
    }

    /// Writes the configuration file.
    #[track_caller]
    pub fn configure(&self) -> PathBuf {
        let path = self.folder.path().join("rosterd.toml");
        std::fs::write(&path, self.configuration.clone().unwrap_or_else(|| self.own_configuration())).expect("the folder can be written");
        path
    }

    fn own_configuration(&self) -> String {
        let unseen = if self.daemon_settings.contains("listen") { "" } else { "listen = \"\"\n" };
        let mut text = format!("[daemon]\nstate_dir = \"state\"\n{unseen}{}", self.daemon_settings);
        for (at, site) in self.sites.iter().enumerate() {
            let role = if at == 0 { "role = \"hub\"\n" } else { "" };
            text += &format!("\n[[site]]\nname = {:?}\n{role}{}", site.name, site.configuration());
        }
        for (table, rules) in &self.tables {
            text += &format!("\n[[table]]\nname = {:?}\n{rules}\n", table.name);
        }
        text
    }

    #[track_caller]
    pub fn start(&mut self) {
        if let Err(error) = self.try_start() {
            panic!("the daemon did not start: {error}");
        }
    }

    /// Starts the daemon in this process. The error is what it says.
    #[track_caller]
    pub fn try_start(&mut self) -> Result<(), String> {
        assert!(self.running.is_none(), "the daemon runs already");
        self.running = Some(InProcess::start(&self.configure())?);
        Ok(())
    }

    #[track_caller]
    pub fn stop(&mut self) {
        self.running.take().expect("the daemon runs").stop();
    }

    pub fn daemon(&self) -> &InProcess {
        self.running.as_ref().expect("the daemon runs")
    }

    /// How many rows a site is owed, as the daemon in this process says.
    #[track_caller]
    pub fn owed(&self, site: usize) -> u64 {
        let status = self.daemon().ask(Request::Status).expect("the daemon answers");
        status["sites"][site]["owed"]["total"].as_u64().expect("its own format")
    }

    /// The size of the ledger's contents, in pages of its file.
    pub fn ledger_pages(&self) -> i64 {
        roster_state::pages(&self.state_dir())
    }

    /// What the daemon in this process has said last of what is wrong with a site.
    pub fn last_error(&self, site: usize) -> String {
        self.daemon().daemon.members[site].health.figures().last_error.clone().unwrap_or_default()
    }

    /// How often it has connected to a site.
    pub fn connects(&self, site: usize) -> u64 {
        self.daemon().daemon.members[site].health.figures().connects
    }

    /// Waits until it says that something is wrong with a site, in these words.
    #[track_caller]
    pub fn wait_error(&self, site: usize, words: &[&str]) {
        let name = self.sites[site].name.clone();
        self.wait(&format!("the daemon to say what is wrong with {name}"), || {
            let said = self.last_error(site);
            let all = said.contains(&name) && words.iter().all(|word| said.contains(word));
            (!all).then_some(said)
        });
    }

    /// The real binary with this configuration.
    #[track_caller]
    pub fn spawn(&self) -> Binary {
        self.spawn_with(&[])
    }

    /// The same with variables of its environment.
    #[track_caller]
    pub fn spawn_with(&self, environment: &[(&str, &str)]) -> Binary {
        Binary::spawn_with(&self.configure(), &self.folder.path().join("log"), environment)
    }

    /// What a daemon that was spawned answers.
    pub fn ask(&self, request: &Request) -> Result<serde_json::Value, admin::Failure> {
        roster_daemon::ask(&self.state_dir(), request)
    }

    #[track_caller]
    pub fn sql(&self, site: usize, sql: &str) {
        self.sites[site].sql(sql);
    }

    /// The first column of a query's first row; None is NULL or no row.
    #[track_caller]
    pub fn value(&self, site: usize, sql: &str) -> Option<String> {
        self.sites[site].session().rows(sql).into_iter().next().and_then(|row| row.into_iter().next().flatten())
    }

    #[track_caller]
    pub fn rows(&self, site: usize, table: &str) -> Vec<Row> {
        self.sites[site].read(self.table(table))
    }

    /// Removes all rows of the shared tables at a site.
    #[track_caller]
    pub fn empty(&self, site: usize) {
        let prefix = &self.sites[site].prefix;
        self.tables.iter().for_each(|(table, _)| self.sql(site, &format!("DELETE FROM {prefix}{}", table.name)));
    }

    fn table(&self, name: &str) -> &Table {
        let found = self.tables.iter().find(|(table, _)| table.name == name);
        found.map(|(table, _)| table).unwrap_or_else(|| panic!("no table {name} is shared"))
    }

    /// Waits until everything written before has been captured and applied, and nothing is owed.
    #[track_caller]
    pub fn settle(&self) {
        self.settle_among(&(0..self.sites.len()).collect::<Vec<_>>());
    }

    /// As `settle`, with only these sites at work.
    #[track_caller]
    pub fn settle_among(&self, sites: &[usize]) {
        self.settle_fences(sites);
        let state_dir = self.state_dir();
        let (site_count, table_count) = (self.sites.len(), self.tables.len());
        self.wait("nothing to be owed", || roster_state::unsettled(&state_dir, site_count, table_count));
    }

    /// Waits until what was written before at any of these sites has arrived at each of them.
    #[track_caller]
    pub fn settle_fences(&self, sites: &[usize]) {
        let n = self.fences.fetch_add(1, Ordering::Relaxed) + 1;
        for at in sites {
            let fence = format!("{}fence", self.sites[*at].prefix);
            let script = match self.value(*at, &format!("SELECT n FROM {fence} WHERE site = {at}")) {
                None => format!("INSERT INTO {fence} VALUES ({at}, {n})"),
                Some(_) => format!("UPDATE {fence} SET n = {n} WHERE site = {at}"),
            };
            self.sql(*at, &script);
        }
        let mut readers: Vec<(usize, Session)> = sites.iter().map(|at| (*at, self.sites[*at].session())).collect();
        self.wait("what was written to arrive at every site", || {
            for (at, reader) in &mut readers {
                let arrived = reader.rows(&format!("SELECT site FROM {}fence WHERE n = {n}", self.sites[*at].prefix)).len();
                if arrived < sites.len() {
                    return Some(format!("{} has {arrived} of {} fences", self.sites[*at].name, sites.len()));
                }
            }
            None
        });
    }

    /// Settles, and demands that every site holds the same in all shared tables.
    #[track_caller]
    pub fn settle_equal(&self) {
        self.settle();
        self.assert_equal();
    }

    #[track_caller]
    pub fn assert_equal(&self) {
        for (table, _) in &self.tables {
            self.assert_table_equal(table.name);
        }
    }

    #[track_caller]
    pub fn assert_table_equal(&self, table: &str) {
        if let Some(difference) = self.difference(table) {
            panic!("{difference}{}", self.situation());
        }
    }

    /// How the sites differ in a table.
    #[track_caller]
    pub fn difference(&self, table: &str) -> Option<String> {
        let hub = self.rows(0, table);
        (1..self.sites.len()).find_map(|at| {
            let rows = self.rows(at, table);
            roster_table::difference(&hub, &rows)
                .map(|difference| format!("{table} differs between the hub and {}:\n{difference}", self.sites[at].name))
        })
    }

    /// Waits until every site holds the same in all shared tables and nothing is owed, without writing anything.
    #[track_caller]
    pub fn wait_equal(&self) {
        let names: Vec<&str> = self.tables.iter().map(|(table, _)| table.name).collect();
        self.wait("the sites to be equal", || names.iter().find_map(|name| self.difference(name)));
        let (state_dir, site_count, table_count) = (self.state_dir(), self.sites.len(), self.tables.len());
        self.wait("nothing to be owed", || roster_state::unsettled(&state_dir, site_count, table_count));
    }

    /// Waits until `missing` is satisfied; until then it says what is missing.
    #[track_caller]
    pub fn wait(&self, what: &str, missing: impl FnMut() -> Option<String>) {
        if let Err(last) = wait_for(missing) {
            panic!("waited {DEADLINE:?} for {what}: {last}{}", self.situation());
        }
    }

    /// Waits until a query at a site gives `expected` as its first value.
    #[track_caller]
    pub fn wait_value(&self, site: usize, sql: &str, expected: &str) {
        let mut session = self.sites[site].session();
        self.wait(&format!("{sql} at {}", self.sites[site].name), || {
            let found = session.rows(sql).into_iter().next().and_then(|row| row.into_iter().next().flatten());
            (found.as_deref() != Some(expected)).then(|| format!("it is {found:?}, not {expected:?}"))
        });
    }

    /// Rows held back: site name, table, kind and reason.
    pub fn quarantined(&self) -> Vec<[String; 4]> {
        roster_state::quarantined(&self.state_dir())
    }

    /// Conflicts decided for a table: their kinds.
    pub fn conflicts(&self, table: &str) -> Vec<String> {
        roster_state::conflicts(&self.state_dir(), table)
    }

    /// How many changes the ledger has taken from all sites.
    pub fn captured(&self) -> i64 {
        roster_state::captured(&self.state_dir())
    }

    /// Why a table has stopped at a site.
    pub fn stopped(&self, site: usize, table: &str) -> Option<String> {
        roster_state::stopped(&self.state_dir(), &self.sites[site].name, table)
    }

    /// What the daemon says of itself, for messages of failed tests.
    fn situation(&self) -> String {
        let mut text = String::from("\n");
        if let Some(running) = &self.running {
            text += &running.situation();
        }
        // Of a daemon that is a process of its own.
        text += &std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        text += &roster_state::summary(&self.state_dir());
        text
    }
}

/// `hub_7`, `client1_7` and so on: rosters that share a PostgreSQL server need slots of different names.
pub fn names(sites: usize) -> Vec<String> {
    static ROSTERS: AtomicU32 = AtomicU32::new(1);
    let roster = ROSTERS.fetch_add(1, Ordering::Relaxed);
    (0..sites).map(|at| if at == 0 { format!("hub_{roster}") } else { format!("client{at}_{roster}") }).collect()
}

/// Polls until `missing` gives None; the error is what it gave last.
pub fn wait_for(mut missing: impl FnMut() -> Option<String>) -> Result<(), String> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let Some(last) = missing() else { return Ok(()) };
        if Instant::now() > deadline {
            return Err(last);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        drop(self.running.take());
        for site in &self.sites {
            site.remove();
        }
    }
}
