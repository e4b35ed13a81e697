//! Rosters with a page, and states to bring them into.

use std::os::unix::fs::PermissionsExt;

use rosterd::ops::admin::Request;

use crate::http::{free_port, get};
use crate::roster::{Binary, ColumnKind::Plain, Engine, Roster, Table};

pub const PERSON: Table = Table::new("person", "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL", &[("uid", Plain), ("name", Plain)]);

/// Nobody's number, and part of everybody's name: neither may be told.
pub const KEY: u32 = 918_273_645;
pub const NAME: &str = "o-nym-of-somebody";

pub const TOKEN: &str = "correct-horse-battery-staple";

/// A roster that shares people, its page's port, and the daemon. `settings`: more lines of `[daemon]`.
#[track_caller]
pub fn start(engines: &[Engine], settings: &str) -> (Roster, u16, Binary) {
    let mut roster = Roster::new(engines);
    roster.share(PERSON, "insert = \"quarantine\"\nfuse_rows = 50");
    let port = free_port();
    roster.set(&format!("listen = \"127.0.0.1:{port}\"\nheartbeat = \"1s\"\n{settings}"));
    let daemon = roster.spawn();
    (roster, port, daemon)
}

/// Waits until every site is followed.
#[track_caller]
pub fn ready(roster: &Roster, port: u16) {
    roster.wait("every site to be followed", || {
        let answer = get(port, "/readyz");
        answer.as_ref().is_none_or(|answer| answer.code != 200).then(|| format!("{answer:?}"))
    });
}

/// Two people get one number, at the hub and at this site.
pub fn two_people(roster: &Roster, site: usize) {
    let name = roster.sites[site].name.clone();
    roster.ask(&Request::Pause { site: name.clone() }).expect("it is paused");
    roster.sql(0, &format!("INSERT INTO person VALUES ({KEY}, 'one-{NAME}')"));
    roster.sql(site, &format!("INSERT INTO person VALUES ({KEY}, 'two-{NAME}')"));
    roster.ask(&Request::Resume { site: name, accept: None }).expect("it goes on");
}

/// As the roster's `listen.token`.
pub fn write_token(roster: &Roster, text: &str, mode: u32) {
    let path = roster.folder().join("listen.token");
    std::fs::write(&path, text).expect("it can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}
