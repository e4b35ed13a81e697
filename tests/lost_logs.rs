//! A site's log or database is not what it was: purged, reset, taken over by a replica, put back from a backup, moved, made anew;
//! or the ledger is. What it is gets said, and all sites end equal: nothing that people wrote is lost, and nothing that was deleted comes back.

#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

#[path = "lost_logs/backups.rs"]
mod backups;
#[path = "lost_logs/failover.rs"]
mod failover;
#[path = "lost_logs/gaps.rs"]
mod gaps;
#[path = "lost_logs/ledgers.rs"]
mod ledgers;

use roster::Engine::{self, *};
use roster::{Binary, ColumnKind::Plain, Roster, Site, Table};
use servers::{Kind, Server};

const PERSON: Table =
    Table::new("person", "uid INT PRIMARY KEY, name VARCHAR(60), mail VARCHAR(60)", &[("uid", Plain), ("name", Plain), ("mail", Plain)]);
const PEOPLE: u32 = 500;

/// The site whose log or database is lost: a client between a hub and another client.
const SUBJECT: usize = 1;

/// A hub, the subject on a server of its own (none for SQLite), and a SQLite client.
fn roster_with(hub: Engine, subject: Engine) -> (Option<Server>, Roster) {
    let folder = tempfile::Builder::new().prefix("rosterd-roster-").tempdir().expect("a temporary folder");
    let names = roster::names(3);
    let server = subject.kind().map(Server::start);
    let site = match &server {
        Some(server) => Site::on(server, subject, &names[SUBJECT]),
        None => Site::create(subject, &names[SUBJECT], folder.path()),
    };
    let sites = vec![Site::create(hub, &names[0], folder.path()), site, Site::create(Sqlite, &names[2], folder.path())];
    let mut roster = Roster::of(sites, folder);
    share(&mut roster);
    (server, roster)
}

fn share(roster: &mut Roster) {
    roster.share(PERSON, "");
    let rows: Vec<String> = (1..=PEOPLE).map(|uid| format!("({uid}, 'person {uid}', 'p{uid}@x')")).collect();
    roster.sql(0, &format!("INSERT INTO person VALUES {}", rows.join(", ")));
}

/// Waits until the daemon says `words` in its log.
#[track_caller]
fn wait_said(roster: &Roster, daemon: &Binary, words: &str) {
    roster.wait(&format!("the daemon to say {words:?}"), || (!daemon.log().contains(words)).then(|| daemon.log()));
}

/// What stands at every site under this number; all have the same.
#[track_caller]
fn expect(roster: &Roster, uid: u32, name_and_mail: Option<&str>) {
    for site in 0..roster.sites.len() {
        let mut session = roster.sites[site].session();
        let rows = session.rows(&format!("SELECT name, mail FROM person WHERE uid = {uid}"));
        let found = rows.first().map(|row| row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(" "));
        assert_eq!(found.as_deref(), name_and_mail, "person {uid} at {}", roster.sites[site].name);
    }
}
