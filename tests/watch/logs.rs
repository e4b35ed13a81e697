//! What an outage leaves in the log, in each format.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use rosterd::ops::admin::Request;

use crate::ask::{free_port, get, sample};
use crate::roster::Engine::Sqlite;
use crate::roster::Roster;

/// More than the log tells at once, by far.
const RETRIES: f64 = 40.0;
const TOLD_MAX: usize = 12;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A site is away for many retries; gives the log.
fn outage(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut roster = Roster::new(&[Sqlite, Sqlite, Sqlite]);
    let port = free_port();
    roster.set(&format!("listen = \"127.0.0.1:{port}\""));
    let log = roster.folder().join("run.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    command.arg("run").args(arguments).arg("--config").arg(roster.configure()).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).expect("the log can be written"));
    let running = Running(command.spawn().expect("it runs"));
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    roster.wait("all to be followed", || get(port, "/readyz").filter(|(code, _)| *code == 200).is_none().then(&read));

    let away = &roster.sites[2].name;
    let file = std::path::PathBuf::from(roster.sites[2].database());
    roster.ask(&Request::Pause { site: away.clone() }).expect("it is paused");
    std::fs::rename(&file, file.with_extension("aside")).expect("the file can be moved");
    // Each begins a try at once, which fails.
    roster.wait("many retries", || {
        roster.ask(&Request::Resume { site: away.clone(), accept: None }).expect("it is tried again");
        let (_, scrape) = get(port, "/metrics").expect("the daemon answers");
        let prefix = format!("rosterd_errors_total{{site=\"{away}\"");
        let errors: f64 = scrape.lines().filter(|line| line.starts_with(&prefix)).filter_map(|line| sample(line, &prefix)).sum();
        (errors < RETRIES).then(|| format!("{errors} errors"))
    });
    drop(running);
    read()
}

#[test]
fn an_outage_does_not_fill_a_disk_with_lines() {
    let log = outage(&[], &[("JOURNAL_STREAM", "1:1")]);
    let told = log.lines().filter(|line| line.contains("the site's session ended")).count();
    assert!((1..=TOLD_MAX).contains(&told), "{told} lines:\n{log}");
    assert!(
        log.contains("20") && log.contains("Z ") && !log.contains('\u{1b}'),
        "lines for people, with times, as the journal is another: {log}"
    );
}

#[test]
fn json_lines_have_fields_and_are_limited_too() {
    let log = outage(&["--log-format", "json"], &[]);
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let ended: Vec<_> = lines.iter().filter(|line| line["fields"]["message"] == "the site's session ended").collect();
    assert!((1..=TOLD_MAX).contains(&ended.len()), "{log}");
    assert!(
        ended.iter().all(|line| line["level"] == "WARN" && line["fields"]["site"].is_string() && line["timestamp"].is_string()),
        "{log}"
    );
}

#[test]
fn without_a_journal_lines_go_to_standard_error() {
    if std::path::Path::new("/run/systemd/journal/socket").exists() {
        return;
    }
    let log = outage(&["--log-format", "journald"], &[]);
    assert!(log.contains("the journal can't be written to") && log.contains("the site's session ended"), "{log}");
}
