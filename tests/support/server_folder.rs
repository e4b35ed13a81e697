//! The temporary folder of a server: its data, log and socket. It goes when it is dropped and when the test process
//! ends, together with a server that still runs.

use std::{
    fs,
    io::ErrorKind,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use super::{Kind, postgres_identity};

/// Outlives the test process and hears of its end, even by SIGKILL, when the pipe closes. It also serves the servers
/// in statics, which are never dropped.
const WATCHDOG: &str = r#"
cat >/dev/null
pid=$(cat "$1/pid") && kill -KILL "$pid"
# Where a killed postmaster notes the System V segment that it leaves behind: "key id".
segment=$(sed -n 7p "$1/data/postmaster.pid") && ipcrm -m "${segment##* }"
# Its sessions may still write for a moment.
tries=100
until rm -rf "$1" || [ "$tries" = 0 ]; do tries=$((tries - 1)); sleep 0.02; done
"#;

const LOG_END_LINES: usize = 30;

pub struct Folder {
    path: PathBuf,
    watchdog: Child,
}

impl Folder {
    /// A folder with a fresh copy of the kind's template.
    pub fn create(kind: Kind) -> Folder {
        let template = kind.home().join("template");
        let owner = fs::metadata(&template).expect("a complete server has a template");
        let path = unused_folder(kind);
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh runs");
        let folder = Folder { path, watchdog };
        if is_root() {
            chown(&folder.path, Some(owner.uid()), Some(owner.gid())).expect("root may change the owner");
        }
        copy(&template, &folder.data());
        if kind.is_postgres() {
            postgres_identity::renew(&folder.data());
        }
        folder
    }

    /// A folder with a copy of a stopped server's data.
    pub fn copy_of(kind: Kind, data: &Path) -> Folder {
        let folder = Folder::create(kind);
        folder.replace_data(data);
        folder
    }

    /// Puts a copy of other data in the place of what is there. The server must be down.
    pub fn replace_data(&self, from: &Path) {
        fs::remove_dir_all(self.data()).expect("the data can be removed");
        copy(from, &self.data());
    }

    /// Copies the data to another place in this folder. The server must be down.
    pub fn save(&self, name: &str) -> PathBuf {
        let to = self.path.join(name);
        copy(&self.data(), &to);
        to
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// A file in the data directory, for the server's eyes only: keys have to be.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).expect("the data directory can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its owner may");
        if is_root() {
            let owner = fs::metadata(self.data()).expect("it exists");
            chown(&path, Some(owner.uid()), Some(owner.gid())).expect("root may change the owner");
        }
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub fn log_end(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_END_LINES)..].join("\n")
    }

    /// Tells the watchdog which process to end.
    pub fn remember_pid(&self, pid: u32) {
        fs::write(self.path.join("pid"), pid.to_string()).expect("the folder can be written");
    }

    pub fn forget_pid(&self) {
        let _ = fs::remove_file(self.path.join("pid"));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.forget_pid();
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

pub fn is_root() -> bool {
    // SAFETY: it has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

fn unused_folder(kind: Kind) -> PathBuf {
    static CREATED: AtomicU32 = AtomicU32::new(1);
    loop {
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        // Short, because the path of a Unix socket has 107 bytes at most.
        let path = std::env::temp_dir().join(format!("rosterd-{}-{}-{number}", kind.name(), std::process::id()));
        match fs::create_dir(&path) {
            Ok(()) => return path,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => panic!("cannot create {}: {error}", path.display()),
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", "--sparse=always"]).args([from, to]).output().expect("cp runs");
    let complaint = String::from_utf8_lossy(&copied.stderr);
    assert!(copied.status.success(), "cannot copy {} to {}: {complaint}", from.display(), to.display());
}
