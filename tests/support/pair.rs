//! A hub and a client on files, and the real binary run against them, for what it prints and its exit code.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

pub const DEADLINE: Duration = Duration::from_secs(60);

/// Their folder, which goes when it is dropped.
pub struct Pair(tempfile::TempDir);

impl Pair {
    /// A hub and a client on SQLite with one table each, and the configuration `rosterd.toml`.
    pub fn new() -> Pair {
        let pair = Pair(tempfile::tempdir().unwrap());
        for site in ["hub", "nj"] {
            pair.sql(site, "CREATE TABLE users (uid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)");
        }
        pair.configure("", &[("hub", "sqlite:hub.db", ""), ("nj", "sqlite:nj.db", "")], "[[table]]\nname = \"users\"\n");
        pair
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn sql(&self, site: &str, sql: &str) {
        Connection::open(self.path(&format!("{site}.db"))).unwrap().execute_batch(sql).unwrap();
    }

    /// A file beside the configuration that its owner alone may read.
    pub fn secret(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn configure(&self, daemon: &str, sites: &[(&str, &str, &str)], rest: &str) {
        let mut text = format!("[daemon]\nstate_dir = \"state\"\nlisten = \"\"\nconnect_timeout_ms = 2000\n{daemon}\n");
        for (at, (name, url, more)) in sites.iter().enumerate() {
            let role = if at == 0 { "hub" } else { "client" };
            text += &format!("[[site]]\nname = \"{name}\"\nrole = \"{role}\"\nurl = \"{url}\"\n{more}\n");
        }
        std::fs::write(self.path("rosterd.toml"), text + rest).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.args(arguments).arg("--config").arg(self.path("rosterd.toml")).stdin(Stdio::null()).env_remove("NOTIFY_SOCKET");
        command
    }

    /// Runs a command to its end: exit code, and all that it printed with white space folded.
    pub fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap_or(-1), text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub fn expect(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let (found, text) = self.run(arguments);
        for word in words {
            assert!(text.contains(word), "{arguments:?} does not say {word:?}: {text}");
        }
        assert_eq!(found, code, "{arguments:?}: {text}");
    }

    /// Starts the daemon.
    pub fn start(&self) -> Running {
        self.start_with(&[])
    }

    /// Starts the daemon with these environment variables.
    pub fn start_with(&self, variables: &[(&str, &str)]) -> Running {
        let log = std::fs::File::create(self.path("run.log")).unwrap();
        let mut command = self.command(&["run"]);
        Running(command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("run.log")).unwrap_or_default()
    }

    /// Waits for a fact while the daemon runs.
    pub fn until(&self, running: &mut Running, what: &str, fact: impl Fn() -> bool) {
        let begun = Instant::now();
        while !fact() {
            assert!(running.0.try_wait().unwrap().is_none(), "the daemon has ended before {what}: {}", self.log());
            assert!(begun.elapsed() < DEADLINE, "{what} does not happen: {}", self.log());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    pub fn count(&self, site: &str) -> i64 {
        let db = Connection::open(self.path(&format!("{site}.db"))).unwrap();
        db.busy_timeout(DEADLINE).unwrap();
        db.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap()
    }
}

pub struct Running(Child);

impl Running {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it as an operator does.
    pub fn stop(mut self) {
        // SAFETY: it has no preconditions.
        unsafe { libc::kill(self.pid() as i32, libc::SIGTERM) };
        let status = self.ended();
        assert!(status.success(), "the daemon ended badly: {status}");
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            match self.0.try_wait().unwrap() {
                Some(status) => return status,
                None => assert!(begun.elapsed() < DEADLINE, "the daemon does not end"),
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
