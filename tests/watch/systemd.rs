//! What the daemon tells systemd, as systemd hears it.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::roster::Engine::Sqlite;
use crate::roster::{DEADLINE, Roster};

/// What was said, and when.
struct Heard {
    socket: UnixDatagram,
    lines: Vec<(Instant, String)>,
}

impl Heard {
    #[track_caller]
    fn until(&mut self, right: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            let Ok(length) = self.socket.recv(&mut buffer) else { continue };
            for line in String::from_utf8_lossy(&buffer[..length]).lines() {
                self.lines.push((Instant::now(), line.to_owned()));
                if right(line) {
                    return line.to_owned();
                }
            }
        }
        panic!("systemd was told only {:?}", self.lines);
    }
}

#[test]
fn the_status_line_says_how_it_is_and_what_is_wrong() {
    let roster = Roster::new(&[Sqlite, Sqlite]);
    let path = roster.folder().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("it has a timeout");
    let mut heard = Heard { socket, lines: Vec::new() };
    let away = roster.sites[1].name.clone();
    let file = std::path::PathBuf::from(roster.sites[1].database());
    let aside = file.with_extension("aside");
    let daemon = roster.spawn_with(&[("NOTIFY_SOCKET", path.to_str().expect("a plain path"))]);
    heard.until(|line| line == "READY=1");
    heard.until(|line| line.starts_with("STATUS=2 sites followed, 0 owed"));
    rosterd_pause(&roster, "pause", &away);
    heard.until(|line| line.contains(&format!("STATUS=1 of 2 sites followed ({away} paused), 0 owed")));
    std::fs::rename(&file, &aside).expect("the file can be moved");
    rosterd_pause(&roster, "resume", &away);
    heard.until(|line| line.contains(&format!("({away} retrying)")));
    std::fs::rename(&aside, &file).expect("the file can be moved");
    roster.sql(0, "INSERT INTO fence VALUES (0, 1)");
    heard.until(|line| line.starts_with("STATUS=2 sites followed, 0 owed, lag p99 "));
    assert!(daemon.stop().success());
    heard.until(|line| line == "STOPPING=1");
    let told: Vec<&(Instant, String)> = heard.lines.iter().filter(|(_, line)| line.starts_with("STATUS=")).collect();
    assert!(told.windows(2).all(|pair| pair[0].1 != pair[1].1), "only what has changed: {told:?}");
    let sites: Vec<_> = told.iter().filter(|(_, line)| line.contains("followed")).collect();
    let pause = |pair: &[&&(Instant, String)]| pair[1].0.saturating_duration_since(pair[0].0);
    assert!(sites.windows(2).all(|pair| pause(pair) > Duration::from_secs(2)), "not more often than every few seconds: {told:?}");
}

fn rosterd_pause(roster: &Roster, what: &str, site: &str) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rosterd"));
    let output = command.args(["site", what, site, "--config"]).arg(roster.folder().join("rosterd.toml")).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
}
