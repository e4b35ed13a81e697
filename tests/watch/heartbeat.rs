//! Heartbeats measure the lag of each site's log while nobody writes, and show a log that stands still.

use serde_json::Value;

use crate::ask::{free_port, get, sample};
use crate::roster::Engine::{Postgres18, Sqlite};
use crate::roster::Roster;

/// A process that is stopped, until this is dropped.
struct Stopped(i32);

impl Stopped {
    fn new(pid: i32) -> Stopped {
        // SAFETY: it has no preconditions.
        unsafe { libc::kill(pid, libc::SIGSTOP) };
        Stopped(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // SAFETY: it has no preconditions.
        unsafe { libc::kill(self.0, libc::SIGCONT) };
    }
}

fn site(port: u16, at: usize) -> Value {
    let (_, text) = get(port, "/status.json").expect("the daemon answers");
    serde_json::from_str::<Value>(&text).expect("it is JSON")["sites"][at].clone()
}

#[test]
fn an_idle_roster_has_a_lag_and_a_log_that_stands_still_shows() {
    let mut roster = Roster::new(&[Postgres18, Sqlite]);
    let port = free_port();
    roster.set(&format!("listen = \"127.0.0.1:{port}\"\nheartbeat = \"1s\""));
    let names: Vec<String> = roster.sites.iter().map(|site| site.name.clone()).collect();
    let daemon = roster.spawn();
    let metric = |name: &str, at: usize| {
        let (_, scrape) = get(port, "/metrics")?;
        sample(&scrape, &format!("rosterd_{name}{{site=\"{}\"}}", names[at]))
    };
    for at in [0, 1] {
        let mut heard = Vec::new();
        roster.wait("three heartbeats without anybody who writes", || {
            if get(port, "/healthz").is_none() {
                return Some("nobody answers".into());
            }
            let now = site(port, at)["heartbeat"]["heard_us"].as_i64();
            if let Some(now) = now.filter(|now| !heard.contains(now)) {
                heard.push(now);
            }
            (heard.len() < 3).then(|| format!("{heard:?}"))
        });
        assert!(
            metric("heartbeat_seconds", at).is_some_and(|seconds| seconds > 0.0 && seconds < 1.0),
            "{:?}",
            metric("heartbeat_seconds", at)
        );
        assert_eq!(metric("captured_changes_total", at), Some(0.0), "a heartbeat is nobody's change");
    }

    // The connection that reads the log hangs; the others live.
    let pid = roster.value(0, "SELECT active_pid FROM pg_replication_slots WHERE database = current_database()");
    let stopped = Stopped::new(pid.and_then(|pid| pid.parse().ok()).expect("somebody reads the log"));
    roster.wait("the heartbeat to be late", || {
        let age = metric("heartbeat_age_seconds", 0);
        age.is_none_or(|age| age < 3.5).then(|| format!("{age:?}"))
    });
    let late = site(port, 0);
    assert!(late["state"] == "following" && late["heartbeat"]["waiting_since_us"].is_i64(), "{late:#}");
    assert!(metric("heartbeat_age_seconds", 1).is_some_and(|age| age < 3.0), "the other site's goes on");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rosterd"));
    let shown = command.args(["status", "--config"]).arg(roster.folder().join("rosterd.toml")).output().expect("it runs");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("one waits since "), "{shown:?}");
    drop(stopped);
    roster.wait("the late one to come back", || {
        let (age, took) = (metric("heartbeat_age_seconds", 0), metric("heartbeat_seconds", 0));
        (age.is_none_or(|age| age > 2.0)).then(|| format!("{age:?} {took:?}"))
    });
    assert!(daemon.stop().success());
}

#[test]
fn without_heartbeats_nothing_is_measured() {
    let mut roster = Roster::new(&[Sqlite, Sqlite]);
    let port = free_port();
    roster.set(&format!("listen = \"127.0.0.1:{port}\"\nheartbeat = \"0s\""));
    let daemon = roster.spawn();
    roster.wait("both to be followed", || get(port, "/readyz").filter(|(code, _)| *code == 200).is_none().then(|| "not yet".into()));
    assert!(site(port, 0)["heartbeat"].is_null(), "{:#}", site(port, 0));
    let (_, scrape) = get(port, "/metrics").expect("the daemon answers");
    assert!(!scrape.contains("rosterd_heartbeat_seconds{"), "{scrape}");
    assert!(daemon.stop().success());
}

#[test]
#[ignore = "takes a minute: cargo test --test watch idle -- --ignored --nocapture"]
fn what_an_idle_roster_costs() {
    use crate::roster::Engine::MariaDb118;
    for heartbeat in ["0s", "10s", "1s"] {
        let mut roster = Roster::new(&[MariaDb118, Postgres18, Sqlite, Sqlite]);
        let port = free_port();
        roster.set(&format!("listen = \"127.0.0.1:{port}\"\nheartbeat = \"{heartbeat}\""));
        let daemon = roster.spawn();
        roster.wait("all to be followed", || get(port, "/readyz").filter(|(code, _)| *code == 200).is_none().then(|| "not yet".into()));
        let cpu = || get(port, "/metrics").and_then(|(_, scrape)| sample(&scrape, "process_cpu_seconds_total ")).expect("it is told");
        let (before, begun) = (cpu(), std::time::Instant::now());
        std::thread::sleep(std::time::Duration::from_secs(20));
        println!("heartbeat {heartbeat}: {:.2} % of a core", (cpu() - before) / begun.elapsed().as_secs_f64() * 100.0);
        assert!(daemon.stop().success());
    }
}
