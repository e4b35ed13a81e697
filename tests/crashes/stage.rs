//! A roster in which the daemon dies where it is told to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rosterd::crash::{EXIT_CODE, POINTS, VARIABLE};
use rosterd::ops::admin::Request;

use crate::load::{self, Load};
use crate::roster::{self, Binary, ColumnKind::Plain, DEADLINE, Engine, Roster, Site, Table, wait_for};
use crate::servers::Server;

/// People who are there before, copied in several chunks.
const PERSON: Table = Table::new("person", "uid INT PRIMARY KEY, name VARCHAR(60)", &[("uid", Plain), ("name", Plain)]);
pub const PEOPLE: u32 = 700;
/// Their caches are cleared when they change.
pub const CACHED: Table = Table::new("cached", "k INT PRIMARY KEY, v INT", &[("k", Plain), ("v", Plain)]);
/// Numbered by a sequence in PostgreSQL.
const NUMBERED: Table = Table::new("numbered", "", &[("k", Plain), ("n", Plain)]);
/// Changed by hand.
pub const MEMO: Table = Table::new("memo", "k INT PRIMARY KEY, v VARCHAR(60)", &[("k", Plain), ("v", Plain)]);
/// Has a fuse.
pub const FUSED: Table = Table::new("fused", "k INT PRIMARY KEY, v INT", &[("k", Plain), ("v", Plain)]);

const LOG_LINES: usize = 40;
/// Between two transactions of one application.
const PACE: Duration = Duration::from_millis(12);
const LOOK: Duration = Duration::from_millis(4);

pub struct Stage {
    pub roster: Roster,
    /// Of the site where the daemon dies.
    pub engine: &'static str,
    /// That site.
    pub at: usize,
    met: BTreeSet<&'static str>,
    deaths: u32,
    /// The scene, and the points met since the last check that all is well.
    since: (&'static str, Vec<String>),
    loads: u32,
    /// A server has ended by itself since the daemon was started.
    revived: Cell<bool>,
    // Behind the roster, whose databases are on them.
    servers: RefCell<Vec<Server>>,
}

impl Stage {
    #[track_caller]
    pub fn new(engine: &'static str, engines: &[Engine]) -> Stage {
        let (servers, mut roster) = own_servers(engines);
        load::prepare(&mut roster);
        roster.share(PERSON, "insert = \"quarantine\"");
        roster.share(CACHED, "insert = \"merge\"\nafter_apply = [\"DELETE FROM {cache} WHERE k = :k\"]");
        roster.share(MEMO, "insert = \"merge\"");
        roster.share(FUSED, "insert = \"merge\"\nfuse_rows = 20");
        for site in &roster.sites {
            let number = if site.engine.is_postgres() { "SERIAL" } else { "INT NOT NULL" };
            site.sql(&format!("CREATE TABLE numbered (k VARCHAR(60) PRIMARY KEY, n {number}); CREATE TABLE cache (k INT)"));
        }
        roster.share_existing(NUMBERED, "");
        let people: Vec<String> = (1..=PEOPLE).map(|uid| format!("({uid}, 'person {uid}')")).collect();
        roster.sql(0, &format!("INSERT INTO person VALUES {}", people.join(", ")));
        roster.set("chunk_rows_max = 300");
        roster.set("batch_rows_max = 50");
        roster.set("after_apply_repeat_ms = 100");
        Stage {
            roster,
            engine,
            at: 1,
            met: BTreeSet::new(),
            deaths: 0,
            since: ("", Vec::new()),
            loads: 0,
            revived: Cell::new(false),
            servers: RefCell::new(servers),
        }
    }

    /// Plays a scene, and demands that nothing is lost in the end.
    pub fn play(&mut self, name: &'static str, scene: fn(&mut Stage)) {
        let begun = Instant::now();
        self.since = (name, Vec::new());
        scene(self);
        println!("{} {name}: {} deaths, {:.1} s", self.engine, self.since.1.len(), begun.elapsed().as_secs_f64());
        self.since = ("", Vec::new());
    }

    pub fn met(&self) -> &BTreeSet<&'static str> {
        &self.met
    }

    pub fn deaths(&self) -> u32 {
        self.deaths
    }

    pub fn site(&self) -> String {
        self.roster.sites[self.at].name.clone()
    }

    /// Applications at every site.
    pub fn load(&mut self) -> Load {
        self.load_at(&(0..self.roster.sites.len()).collect::<Vec<_>>())
    }

    /// Applications at every site but the one where the daemon dies.
    pub fn load_elsewhere(&mut self) -> Load {
        let others: Vec<usize> = (0..self.roster.sites.len()).filter(|at| *at != self.at).collect();
        self.load_at(&others)
    }

    pub fn load_at(&mut self, sites: &[usize]) -> Load {
        self.loads += 1;
        Load::start_at(&self.roster, self.loads, sites, PACE)
    }

    /// Starts the daemon, lets everything settle, and demands that what the applications have been confirmed is everywhere, once.
    #[track_caller]
    pub fn assert_all_well(&mut self, load: Load) {
        let daemon = self.up();
        load.wait_written(20);
        load.finish(&self.roster);
        let status = daemon.stop();
        assert!(status.success(), "the daemon ended with {status}");
    }

    /// The daemon, with every site at work, paused, or stopped by its fuse.
    #[track_caller]
    pub fn up(&self) -> Binary {
        let mut daemon = self.spawn(&[]);
        let waited = wait_for(|| {
            self.revive();
            if let Some(status) = daemon.ended() {
                self.assert_is_held(status, &daemon, "to start");
                daemon = self.spawn(&[]);
            }
            self.awaited()
        });
        waited.unwrap_or_else(|last| panic!("the daemon does not get to work: {last}\n{}", end_of(&daemon.log())));
        daemon
    }

    fn spawn(&self, environment: &[(&str, &str)]) -> Binary {
        self.revive();
        self.revived.set(false);
        self.roster.spawn_with(environment)
    }

    /// MariaDB 10.11 and 11.8 were seen to end by themselves (a null pointer in a connection's thread) while daemons were killed: one
    /// more fault, which nothing may be lost by either. It is told, and the server is started again.
    fn revive(&self) {
        for server in self.servers.borrow_mut().iter_mut() {
            if let Some(log) = server.revive() {
                eprintln!("{} ended by itself and was started again; the end of its log:\n{log}", server.kind().name());
                self.revived.set(true);
            }
        }
    }

    /// What keeps the sites from being at work.
    pub fn awaited(&self) -> Option<String> {
        match self.roster.ask(&Request::Status) {
            Err(error) => Some(error.to_string()),
            Ok(status) => {
                let sites = status["sites"].as_array().expect("the status has sites");
                let is_at_rest = |site: &serde_json::Value| {
                    let stopped = site["state"] == "stopped" && !site["stopped_tables"].as_array().is_none_or(Vec::is_empty);
                    site["state"] == "following" || site["state"] == "paused" || stopped
                };
                sites
                    .iter()
                    .find(|site| !is_at_rest(site))
                    .map(|site| format!("{} is {}: {}", site["name"], site["state"], site["last_error"]))
            }
        }
    }

    /// A server may take a moment to notice that the one before has gone, as it does after any crash.
    #[track_caller]
    fn assert_is_held(&self, status: ExitStatus, daemon: &Binary, what: &str) {
        let log = daemon.log();
        let held = status.code() == Some(3) && log.lines().rev().take(3).any(|line| line.contains("another one works on these sites"));
        let found: Vec<&str> = log.lines().rev().take(LOG_LINES).filter(|line| line.contains(" error ")).collect();
        assert!(held || self.revived.get(), "instead {what} the daemon ended with {status}: {found:?}\n{}", end_of(&log));
    }

    /// The daemon is started and dies at this point, at the site.
    #[track_caller]
    pub fn die(&mut self, point: &'static str) {
        let at = format!("{point}@{}", self.site());
        self.die_when(point, &at, |_| {});
    }

    /// The same at the point's n-th passing.
    #[track_caller]
    pub fn die_late(&mut self, point: &'static str, passing: u32) {
        let at = format!("{point}@{}:{passing}", self.site());
        self.die_when(point, &at, |_| {});
    }

    /// The same, while `provoke` is called again and again.
    #[track_caller]
    pub fn die_while(&mut self, point: &'static str, provoke: impl FnMut(&Stage)) {
        let at = format!("{point}@{}", self.site());
        self.die_when(point, &at, provoke);
    }

    /// The same, when the daemon has been asked for something.
    #[track_caller]
    pub fn die_asked(&mut self, point: &'static str, request: Request) {
        let at = format!("{point}@{}", self.site());
        self.die_when(point, &at, asking(request));
    }

    /// The daemon dies at a point that is no site's.
    #[track_caller]
    pub fn die_anywhere(&mut self, point: &'static str, passing: u32) {
        self.die_when(point, &format!("{point}:{passing}"), |_| {});
    }

    /// The same, when it has been asked for something.
    #[track_caller]
    pub fn die_anywhere_asked(&mut self, point: &'static str, request: Request) {
        self.die_when(point, point, asking(request));
    }

    #[track_caller]
    fn die_when(&mut self, point: &'static str, at: &str, mut provoke: impl FnMut(&Stage)) {
        if !self.passes(point) {
            return;
        }
        let environment = [(VARIABLE, at)];
        let mut daemon = self.spawn(&environment);
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.revive();
            match daemon.ended() {
                Some(status) if status.code() == Some(EXIT_CODE) => break,
                Some(status) => {
                    self.assert_is_held(status, &daemon, &format!("of dying at {at} ({})", self.engine));
                    daemon = self.spawn(&environment);
                }
                None => {}
            }
            let situation = || format!("{:?}\n{}", self.awaited(), end_of(&daemon.log()));
            assert!(Instant::now() < deadline, "the daemon does not come to {at} ({}): {}", self.engine, situation());
            provoke(self);
            std::thread::sleep(LOOK);
        }
        self.note(point, at);
    }

    /// Whether the site's engine comes to the point at all.
    pub fn passes(&self, point: &'static str) -> bool {
        let listed = POINTS.iter().find(|listed| listed.name == point).unwrap_or_else(|| panic!("{point} is no crash point"));
        listed.engines.contains(&self.engine)
    }

    pub fn note(&mut self, point: &'static str, at: &str) {
        self.met.insert(point);
        self.since.1.push(at.to_owned());
        self.deaths += 1;
    }
}

/// Servers of the roster's own: see [`Stage::revive`].
fn own_servers(engines: &[Engine]) -> (Vec<Server>, Roster) {
    let folder = tempfile::Builder::new().prefix("rosterd-roster-").tempdir().expect("a temporary folder");
    let (mut servers, mut sites) = (Vec::new(), Vec::new());
    for (engine, name) in engines.iter().zip(&roster::names(engines.len())) {
        sites.push(match engine.kind() {
            None => Site::create(*engine, name, folder.path()),
            Some(kind) => {
                let server = Server::start(kind);
                let site = Site::on(&server, *engine, name);
                servers.push(server);
                site
            }
        });
    }
    (servers, Roster::of(sites, folder))
}

/// Asks once every site is at work.
fn asking(request: Request) -> impl FnMut(&Stage) {
    let mut asked = false;
    move |stage| {
        if !asked && stage.awaited().is_none() {
            asked = true;
            // The daemon may die before it answers.
            let _ = stage.roster.ask(&request);
        }
    }
}

fn end_of(log: &str) -> String {
    // Not what `check` says before each start.
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("20") && !line.contains("a conflict was decided")).collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

impl Drop for Stage {
    fn drop(&mut self) {
        let (scene, points) = &self.since;
        if std::thread::panicking() && !scene.is_empty() {
            eprintln!(
                "{}, scene {scene}: the daemon has died at {} since all was well; again: \
                 ROSTERD_CRASH_ENGINES={} ROSTERD_CRASH_SCENES={scene} cargo test --test crashes the_daemon_dies",
                self.engine,
                points.join(", "),
                self.engine
            );
        }
    }
}
