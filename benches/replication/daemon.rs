//! The daemon as a process of its own, so that its memory and processor time can be read.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts `rosterd run` with this configuration; its log goes to `log` beside it.
    pub fn start(config: &Path) -> Daemon {
        let log = std::fs::File::options().create(true).append(true).open(config.with_extension("log")).expect("the log can be written");
        let child = Command::new(env!("CARGO_BIN_EXE_rosterd"))
            .args(["run", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        Daemon { child }
    }

    /// Ends it as systemd would.
    pub fn stop(mut self) {
        // SAFETY: the child has not been waited for, so its process id is still its own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if self.child.try_wait().expect("the child can be waited for").is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the daemon did not end within 10 s of SIGTERM");
    }

    /// Resident memory in MiB.
    pub fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
    }

    /// Processor time used so far, in seconds.
    pub fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the process runs");
        let fields: Vec<&str> = stat.rsplit_once(')').expect("the name is in parentheses").1.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().expect("a number") + fields[12].parse::<f64>().expect("a number");
        // SAFETY: sysconf has no preconditions.
        ticks / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A configuration of a hub and clients by their URLs, sharing `tables`, in a new temporary folder.
pub fn configuration(urls: &[String], tables: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut text = "[daemon]\nstate_dir = \"state\"\nlisten = \"\"\n".to_owned();
    for (at, url) in urls.iter().enumerate() {
        let role = if at == 0 { "hub" } else { "client" };
        text += &format!("[[site]]\nname = \"site{at}\"\nrole = \"{role}\"\nurl = \"{url}\"\n");
    }
    for table in tables {
        text += &format!("[[table]]\nname = \"{table}\"\n");
    }
    let path = folder.path().join("rosterd.toml");
    std::fs::write(&path, text).expect("the configuration can be written");
    (folder, path)
}
