//! The daemon as a process of its own, so that its memory and processor time can be read.

use std::io::{Read, Write};
use std::net::TcpStream;
#[cfg(target_os = "linux")]
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::connection::longest;
use crate::people::Table;
use crate::processor_seconds;

const POLL: Duration = Duration::from_millis(10);

/// A hub and clients that share tables: a configuration, and a ledger from the first start on.
pub struct Roster {
    folder: tempfile::TempDir,
    port: u16,
    sites: usize,
}

impl Roster {
    /// The first of the URLs is the hub's. Sessions are urgent.
    pub fn new(urls: &[String], tables: &[Table]) -> Roster {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let mut text = format!("[daemon]\nstate_dir = \"state\"\nlisten = \"127.0.0.1:{port}\"\n");
        for (at, url) in urls.iter().enumerate() {
            let role = if at == 0 { "hub" } else { "client" };
            text += &format!("[[site]]\nname = \"site{at}\"\nrole = \"{role}\"\nurl = \"{url}\"\n");
        }
        for table in tables {
            text += &format!("[[table]]\nname = \"{}\"\nurgent = {}\n", table.name(), *table == Table::Sessions);
        }
        std::fs::write(folder.path().join("rosterd.toml"), text).expect("the configuration can be written");
        Roster { folder, port, sites: urls.len() }
    }

    pub fn start(&self) -> Daemon<'_> {
        let log = std::fs::File::options().create(true).append(true).open(self.log()).expect("the log can be written");
        let child = self.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().expect("the daemon starts");
        Daemon { roster: self, child }
    }

    /// Another of its commands, to its end.
    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("rosterd starts")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.args(arguments).arg("--config").arg(self.folder.path().join("rosterd.toml"));
        // What is killed can't end it any more.
        // SAFETY: between fork and exec the child makes one system call, which may be made there.
        #[cfg(target_os = "linux")]
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        command
    }

    /// The ledger's files, with what its write-ahead log holds.
    pub fn ledger_bytes(&self) -> u64 {
        let files = ["ledger.sqlite", "ledger.sqlite-wal"].map(|name| self.state(name));
        files.iter().filter_map(|file| Some(std::fs::metadata(file).ok()?.len())).sum()
    }

    /// The ledger's content alone, as large as its file would be with an empty write-ahead log.
    pub fn ledger_content_bytes(&self) -> i64 {
        let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let asked = rusqlite::Connection::open(self.state("ledger.sqlite")).and_then(|ledger| ledger.query_row(size, [], |row| row.get(0)));
        asked.expect("SQLite tells the ledger's size")
    }

    fn state(&self, name: &str) -> PathBuf {
        self.folder.path().join("state").join(name)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

pub struct Daemon<'r> {
    roster: &'r Roster,
    child: Child,
}

impl Daemon<'_> {
    /// Ends it as systemd would.
    pub fn stop(mut self) {
        // SAFETY: the child has not been waited for, so its process id is still its own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().expect("the child can be waited for").is_none() {
            assert!(Instant::now() < deadline, "the daemon did not end within 30 s of SIGTERM:\n{}", self.roster.log_end());
            std::thread::sleep(POLL);
        }
    }

    /// `VmRSS`: resident memory now, `VmHWM`: the most that it has been.
    pub fn resident_megabytes(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells");
        let kibibytes: f64 = line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024.0 / 1e6
    }

    pub fn processor_seconds(&self) -> f64 {
        processor_seconds(self.child.id())
    }

    /// Until all sites are followed.
    pub async fn following(&self) {
        let begun = Instant::now();
        while !fetch(self.roster.port).is_ok_and(|metrics| self.follows_all(&metrics)) {
            let log = self.roster.log_end();
            assert!(begun.elapsed() < longest(), "waited {} s for all sites to be followed:\n{log}", longest().as_secs());
            tokio::time::sleep(POLL).await;
        }
    }

    fn follows_all(&self, metrics: &str) -> bool {
        let sites = metrics.lines().filter(|line| line.starts_with("rosterd_site_following{"));
        sites.filter(|line| line.ends_with(" 1")).count() == self.roster.sites
    }

    /// Until all sites are followed, no table is being copied, and nothing is owed or under way.
    pub async fn settled(&self) {
        let begun = Instant::now();
        self.following().await;
        while !self.is_settled() {
            assert!(begun.elapsed() < longest(), "the sites were not equal after {} s:\n{}", longest().as_secs(), self.roster.log_end());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn is_settled(&self) -> bool {
        let output = self.roster.output(&["status", "--json"]);
        let Ok(status) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else { return false };
        let sites = status["sites"].as_array().map_or(&[][..], Vec::as_slice);
        let quiet = |site: &serde_json::Value| {
            let empty = site["scans"].as_array().is_some_and(Vec::is_empty);
            site["state"] == "following" && empty && site["owed"]["total"] == 0 && site["under_way"] == 0
        };
        sites.len() == self.roster.sites && sites.iter().all(quiet)
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fetch(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
