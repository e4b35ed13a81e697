//! The process of a server.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

use super::Kind;

pub const POLL: Duration = Duration::from_millis(20);
const END_MAX: Duration = Duration::from_secs(60);

/// Killed when it is dropped.
pub struct Process {
    child: Child,
    postgres: bool,
}

impl Process {
    pub fn spawn(kind: Kind, mut command: Command) -> Process {
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        Process { child, postgres: kind.is_postgres() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    pub fn kill(self) {
        drop(self);
    }

    /// A clean shutdown that does not wait for the clients.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal(if self.postgres { libc::SIGINT } else { libc::SIGTERM });
        let deadline = Instant::now() + END_MAX;
        while !self.has_ended() {
            assert!(Instant::now() < deadline, "the server did not stop within {END_MAX:?}");
            sleep(POLL);
        }
        let status = self.child.wait().expect("it has ended");
        assert!(status.success(), "the server did not stop cleanly: {status} {:?}", status.signal());
    }

    fn signal(&self, signal: i32) {
        send(self.child.id(), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        // PostgreSQL's sessions are processes that would survive for a moment and keep the data directory busy. The
        // stop keeps their list complete while they are killed.
        self.signal(libc::SIGSTOP);
        let sessions = if self.postgres { children(self.child.id()) } else { Vec::new() };
        self.signal(libc::SIGKILL);
        for session in &sessions {
            send(*session, libc::SIGKILL);
        }
        let _ = self.child.wait();
        let deadline = Instant::now() + END_MAX;
        while sessions.iter().any(|session| is_running(*session)) && Instant::now() < deadline {
            sleep(POLL);
        }
    }
}

fn send(pid: u32, signal: i32) {
    // SAFETY: it has no preconditions.
    unsafe { libc::kill(pid as i32, signal) };
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("Linux has /proc");
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| state_and_parent(*pid).is_some_and(|(_, of)| of == parent))
        .collect()
}

fn is_running(pid: u32) -> bool {
    // Where nobody reaps orphans, a zombie is the end.
    state_and_parent(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

fn state_and_parent(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The program's name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    Some((fields.next()?.to_string(), fields.next()?.parse().ok()?))
}
