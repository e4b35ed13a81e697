//! `status` on a terminal and elsewhere.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rosterd::ops::admin::Request;

use crate::roster::Engine::Sqlite;
use crate::roster::{DEADLINE, Roster};

const COLUMNS: u16 = 80;

/// A command on a terminal of 80 columns and 24 lines.
struct Terminal {
    child: Child,
    ours: File,
    text: String,
}

impl Terminal {
    fn run(roster: &Roster, arguments: &[&str], environment: &[(&str, &str)]) -> Terminal {
        let size = libc::winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut ours, mut theirs) = (0, 0);
        // SAFETY: both numbers are ours to be filled in; no name or settings are asked for.
        let opened = unsafe { libc::openpty(&raw mut ours, &raw mut theirs, std::ptr::null_mut(), std::ptr::null(), &raw const size) };
        assert_eq!(opened, 0, "a terminal can be made");
        // SAFETY: both have just been opened and belong to nobody else.
        let (ours, theirs) = unsafe { (File::from_raw_fd(ours), File::from_raw_fd(theirs)) };
        // SAFETY: it is open.
        unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        let end = || Stdio::from(theirs.try_clone().expect("it can be cloned"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.args(arguments).arg("--config").arg(roster.folder().join("rosterd.toml"));
        command.env_remove("NO_COLOR").envs(environment.iter().copied()).stdin(end()).stdout(end()).stderr(end());
        Terminal { child: command.spawn().expect("it runs"), ours, text: String::new() }
    }

    fn read(&mut self) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = self.ours.read(&mut bytes) {
            self.text += &String::from_utf8_lossy(&bytes[..count]);
        }
    }

    #[track_caller]
    fn until(&mut self, right: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.read();
            if right(&self.text) {
                return;
            }
            assert!(Instant::now() < deadline, "the terminal shows only {:?}", self.text);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its exit code.
    #[track_caller]
    fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.read();
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                self.read();
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end: {:?}", self.text);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text without colours and other commands to a terminal.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out += before;
        rest = after.trim_start_matches('[').trim_start_matches(|c: char| !c.is_ascii_alphabetic());
        rest = rest.get(1..).unwrap_or_default();
    }
    out + rest
}

#[test]
fn status_on_a_terminal() {
    let mut roster = Roster::new(&[Sqlite, Sqlite]);
    let paused = roster.sites[1].name.clone();
    roster.start();
    roster.settle();
    roster.ask(&Request::Pause { site: paused.clone() }).expect("it is paused");

    let mut coloured = Terminal::run(&roster, &["status"], &[]);
    assert_eq!(coloured.ended(), Some(1), "a paused site is news: {}", coloured.text);
    let shown = plain(&coloured.text);
    assert!(shown.lines().all(|line| line.trim_end().chars().count() <= COLUMNS.into()), "{shown}");
    assert!(coloured.text.contains("\u{1b}[") && shown.contains("heartbeat ") && shown.contains("is paused;"), "{:?}", coloured.text);
    let mut without = Terminal::run(&roster, &["status"], &[("NO_COLOR", "1")]);
    without.ended();
    assert!(!without.text.contains('\u{1b}') && without.text.contains("paused"), "{:?}", without.text);

    let mut watching = Terminal::run(&roster, &["status", "--watch"], &[]);
    watching.until(|text| text.matches("\u{1b}[H").count() >= 2);
    assert!(watching.text.starts_with("\u{1b}[?1049h"), "{:?}", watching.text);
    assert_eq!(watching.text.matches("\u{1b}[?1049h").count(), 1, "in place");
    watching.ours.write_all(b"q").expect("a key can be pressed");
    assert_eq!(watching.ended(), Some(1), "{:?}", watching.text);
    assert!(watching.text.ends_with("\u{1b}[?25h\u{1b}[?1049l"), "the terminal is as it was: {:?}", watching.text);

    let mut interrupted = Terminal::run(&roster, &["status", "--watch", "--interval", "3600"], &[]);
    interrupted.until(|text| text.contains("\u{1b}[J"));
    // SAFETY: it has no preconditions.
    unsafe { libc::kill(interrupted.child.id() as i32, libc::SIGINT) };
    assert_eq!(interrupted.ended(), Some(1), "{:?}", interrupted.text);
    assert!(interrupted.text.ends_with("\u{1b}[?25h\u{1b}[?1049l"), "{:?}", interrupted.text);
    roster.stop();
}

#[test]
fn status_elsewhere_is_a_plain_sequence() {
    let mut roster = Roster::new(&[Sqlite, Sqlite]);
    roster.start();
    roster.settle();
    let log = roster.folder().join("status.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    command.args(["status", "--watch", "--config"]).arg(roster.folder().join("rosterd.toml")).stdin(Stdio::null());
    let mut child = command.stdout(File::create(&log).expect("it can be written")).spawn().expect("it runs");
    let mut text = String::new();
    roster.wait("two pages", || {
        text = std::fs::read_to_string(&log).unwrap_or_default();
        (text.matches("All is well.").count() < 2).then(|| text.clone())
    });
    let _ = (child.kill(), child.wait());
    assert!(!text.contains('\u{1b}') && text.matches("rosterd runs since").count() >= 2, "{text}");
    roster.stop();
}
