//! `/healthz` and `/readyz` mean what they say.

use crate::ask::{free_port, get};
use crate::roster::Engine::{MariaDb118, Sqlite};
use crate::roster::{Roster, Session};

fn ready(port: u16) -> Option<(u16, String)> {
    get(port, "/readyz")
}

#[track_caller]
fn until(roster: &Roster, port: u16, code: u16, words: &[&str]) {
    roster.wait(&format!("/readyz to be {code} with {words:?}"), || {
        let found = ready(port);
        let right = found.as_ref().is_some_and(|(found, text)| *found == code && words.iter().all(|word| text.contains(word)));
        (!right).then(|| format!("{found:?}"))
    });
    assert_eq!(get(port, "/healthz"), Some((200, "ok\n".into())), "the daemon works, whatever its sites do");
}

fn rosterd(roster: &Roster, arguments: &[&str]) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rosterd"));
    let output = command.args(arguments).arg("--config").arg(roster.folder().join("rosterd.toml")).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn ready_means_that_every_site_is_followed_and_known() {
    let mut roster = Roster::new(&[MariaDb118, Sqlite, Sqlite]);
    let port = free_port();
    roster.set(&format!("listen = \"127.0.0.1:{port}\""));
    let away = roster.sites[2].name.clone();
    let file = std::path::PathBuf::from(roster.sites[2].database());
    let aside = file.with_extension("aside");
    assert_eq!(ready(port), None, "nothing answers before the daemon runs");
    let daemon = roster.spawn();
    until(&roster, port, 200, &["ready"]);

    rosterd(&roster, &["site", "pause", &away]);
    until(&roster, port, 200, &["ready"]);
    std::fs::rename(&file, &aside).expect("the file can be moved");
    rosterd(&roster, &["site", "resume", &away]);
    until(&roster, port, 503, &[&format!("site {away} "), "("]);
    let (_, text) = ready(port).expect("the daemon answers");
    assert_eq!(text.lines().count(), 1, "one line for the one site: {text}");
    std::fs::rename(&aside, &file).expect("the file can be moved");
    until(&roster, port, 200, &["ready"]);

    // A table that does not fit is not known there, while the site is followed.
    let mut session: Session = roster.sites[2].session();
    session.sql("ALTER TABLE fence RENAME COLUMN n TO other");
    drop(session);
    rosterd(&roster, &["site", "pause", &away]);
    rosterd(&roster, &["site", "resume", &away]);
    until(&roster, port, 503, &["table fence has stopped", "definition"]);
    assert!(daemon.stop().success());
}
