//! SQLite sites in a temporary folder, a configuration, and the binary at work on them.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE users (uid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, pass TEXT NOT NULL, mail TEXT);
    CREATE TABLE users_roles (uid INT NOT NULL, rid INT NOT NULL, PRIMARY KEY (uid, rid));
    CREATE TABLE sessions (sid TEXT NOT NULL PRIMARY KEY, uid INT NOT NULL);
";

const SHARED: &str = "
    [[table]]
    name = \"users\"
    secret = [\"pass\"]
    [[table]]
    name = \"sessions\"
    secret = [\"sid\"]
    urgent = true
    [[table]]
    name = \"users_roles\"
";

pub struct Roster {
    folder: tempfile::TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Printed {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Printed {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

impl Roster {
    /// The first site is the hub.
    pub fn new(sites: &[&str]) -> Roster {
        Roster::sharing(sites, SHARED)
    }

    /// With the rules of `shared`.
    pub fn sharing(sites: &[&str], shared: &str) -> Roster {
        let folder = tempfile::tempdir().unwrap();
        let mut text = "[daemon]\nstate_dir = \"state\"\nlisten = \"\"\n".to_owned();
        for (at, site) in sites.iter().enumerate() {
            let path = folder.path().join(format!("{site}.db"));
            Connection::open(&path).unwrap().execute_batch(TABLES).unwrap();
            let role = if at == 0 { "hub" } else { "client" };
            text += &format!("[[site]]\nname = \"{site}\"\nrole = \"{role}\"\nurl = \"sqlite://{}\"\n", path.display());
        }
        std::fs::write(folder.path().join("rosterd.toml"), text + shared).unwrap();
        Roster { folder }
    }

    pub fn configure_also(&self, text: &str) {
        let path = self.folder.path().join("rosterd.toml");
        let text = text.replace("sqlite:", &format!("sqlite://{}/", self.folder.path().display()));
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + &text).unwrap();
    }

    /// Another name of a site's file.
    pub fn link(&self, name: &str, site: &str) {
        std::fs::hard_link(self.path(site), self.path(name)).unwrap();
    }

    fn path(&self, site: &str) -> PathBuf {
        self.folder.path().join(format!("{site}.db"))
    }

    fn open(&self, site: &str) -> Connection {
        let db = Connection::open(self.path(site)).unwrap();
        db.busy_timeout(DEADLINE).unwrap();
        db
    }

    /// An application at work.
    pub fn sql(&self, site: &str, sql: &str) {
        self.open(site).execute_batch(&format!("BEGIN IMMEDIATE; {sql}; COMMIT")).unwrap();
    }

    /// A change that the site's log does not show, as by somebody who took the triggers away for a moment.
    pub fn sql_unseen(&self, site: &str, sql: &str) {
        let db = self.open(site);
        let mut query = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
        let triggers = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<Vec<(String, String)>, _>>();
        let triggers = triggers.unwrap();
        let drop: String = triggers.iter().map(|(name, _)| format!("DROP TRIGGER \"{name}\";")).collect();
        let make: String = triggers.iter().map(|(_, sql)| format!("{sql};")).collect();
        self.sql(site, &format!("{drop} {sql}; {make}"));
    }

    /// One value; empty where there is no row.
    pub fn text(&self, site: &str, sql: &str) -> String {
        let value = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        match self.open(site).query_row(sql, [], value) {
            Ok(rusqlite::types::Value::Text(text)) => text,
            Ok(rusqlite::types::Value::Integer(n)) => n.to_string(),
            _ => String::new(),
        }
    }

    /// The site's file becomes another one with the same content, as after a move to another server.
    pub fn replace_by_copy(&self, site: &str) {
        let copy = self.folder.path().join("copy.db");
        self.open(site).execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(self.folder.path().join(format!("{site}.db{suffix}")));
        }
        std::fs::rename(copy, self.path(site)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.args(arguments).arg("--config").arg(self.folder.path().join("rosterd.toml")).env_remove("NOTIFY_SOCKET");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Printed {
        let output = self.command(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Printed { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    pub fn status(&self) -> serde_json::Value {
        self.run(&["status", "--json"]).json()
    }

    pub fn start(&self) -> Daemon<'_> {
        let log = std::fs::File::create(self.folder.path().join("run.log")).unwrap();
        let child = self.command(&["run"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Daemon { roster: self, child }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("run.log")).unwrap_or_default()
    }
}

/// A running daemon; killed when the test ends, however it ends.
pub struct Daemon<'r> {
    roster: &'r Roster,
    child: Child,
}

impl Daemon<'_> {
    /// Waits for a fact.
    pub fn until(&mut self, fact: impl Fn() -> bool) {
        let begun = Instant::now();
        while !fact() {
            if let Some(ended) = self.child.try_wait().unwrap() {
                panic!("the daemon has ended ({ended}):\n{}", self.roster.log());
            }
            if begun.elapsed() > DEADLINE {
                let status = self.roster.run(&["status"]);
                panic!("still not so after {DEADLINE:?}:\n{}\n{}", status.out, self.roster.log());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until every site follows, nothing is being copied, and no site is owed anything; gives the status.
    pub fn settled(&mut self) -> serde_json::Value {
        let roster = self.roster;
        let calm = |site: &serde_json::Value| {
            let none = |field: &str| site[field].as_array().unwrap().is_empty();
            site["state"] == "following" && none("scans") && none("stopped_tables") && site["owed"]["total"] == 0 && site["under_way"] == 0
        };
        let settled = |status: &serde_json::Value| status["running"] == true && status["sites"].as_array().unwrap().iter().all(calm);
        self.until(|| {
            let printed = roster.run(&["status", "--json"]);
            printed.code != 3 && settled(&printed.json())
        });
        self.roster.status()
    }

    /// SIGTERM; gives how long it took to end.
    pub fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < DEADLINE, "it does not stop:\n{}", self.roster.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        begun.elapsed()
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
