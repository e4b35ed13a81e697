//! A server takes no connection more.

use super::*;
use crate::proxy::Proxy;
use crate::roster::Engine::{self, *};
use crate::roster::{Binary, Session, Site};

const NEXT_STEP: &str = "raise max_connections";

fn small(engine: Engine) -> &'static [&'static str] {
    if engine.is_postgres() { &["-c max_connections=24"] } else { &["--max-connections=24"] }
}

/// Has every connection that a server gives, those of administrators included, and takes each that comes free.
struct Crowd {
    sessions: Vec<Session>,
    site: Site,
}

impl Crowd {
    fn at(site: &Site) -> Crowd {
        let mut crowd = Crowd { sessions: Vec::new(), site: site.clone() };
        crowd.fill();
        crowd
    }

    fn fill(&mut self) {
        let full = crate::roster::wait_for(|| match self.site.try_session() {
            Ok(session) => {
                self.sessions.push(session);
                Some(format!("{} takes more than {} connections", self.site.name, self.sessions.len()))
            }
            Err(_) => None,
        });
        full.unwrap_or_else(|last| panic!("{last}"));
    }
}

#[test]
fn clients_that_take_no_connection_more_are_waited_for_at_the_start_and_later() {
    let (_servers, mut roster) = Roster::on_own_servers(&[Sqlite, MariaDb1011, MySql97, Postgres18, Sqlite], small);
    let proxies: Vec<Proxy> = roster.sites[1..4].iter_mut().map(Proxy::before).collect();
    share_items(&mut roster, 50, 20);
    let mut crowds: Vec<Crowd> = roster.sites[1..4].iter().map(Crowd::at).collect();
    let mut daemon = roster.spawn();
    assert_told(&roster, &mut daemon, 0);
    others_go_on(&roster, "at the start");
    crowds.drain(..).for_each(drop);
    roster.wait_equal();
    daemon.assert_runs();

    // One connection may be left over while the daemon has its own.
    crowds = roster.sites[1..4].iter().map(Crowd::at).collect();
    let said = daemon.log().len();
    for (crowd, proxy) in crowds.iter_mut().zip(&proxies) {
        assert!(proxy.cut() > 0);
        crowd.fill();
    }
    assert_told(&roster, &mut daemon, said);
    others_go_on(&roster, "later");
    drop(crowds);
    roster.wait_equal();
    daemon.assert_runs();
    assert!(daemon.stop().success());
}

/// For each site that is full, in what the daemon has said since: which site, why, and what helps.
#[track_caller]
fn assert_told(roster: &Roster, daemon: &mut Binary, since: usize) {
    for site in &roster.sites[1..4] {
        roster.wait(&format!("the daemon to say that {} is full", site.name), || {
            daemon.assert_runs();
            let log = daemon.log();
            let told = |line: &str| {
                let cause = ["Too many connections", "too many clients"].iter().any(|cause| line.contains(cause));
                line.contains(&format!("site {}: ", site.name))
                    && line.contains("the site's session ended")
                    && cause
                    && line.contains(NEXT_STEP)
            };
            (!log[since..].lines().any(told)).then(|| log[since..].to_owned())
        });
    }
}

fn others_go_on(roster: &Roster, when: &str) {
    roster.sql(0, &format!("UPDATE item SET body = '{when}' WHERE id = 1"));
    roster.wait_value(4, "SELECT body FROM item WHERE id = 1", when);
    roster.sql(4, &format!("UPDATE item SET body = '{when}' WHERE id = 2"));
    roster.wait_value(0, "SELECT body FROM item WHERE id = 2", when);
}

#[test]
fn a_hub_that_takes_no_connection_more_is_told_and_tried_again_by_systemd() {
    for engine in [MariaDb118, Postgres15] {
        let (_servers, mut roster) = Roster::on_own_servers(&[engine, Sqlite], small);
        share_items(&mut roster, 10, 20);
        let crowd = Crowd::at(&roster.sites[0]);
        let mut daemon = roster.spawn();
        let status = daemon.wait_end();
        let log = daemon.log().split_whitespace().collect::<Vec<_>>().join(" ");
        // Of 2, systemd would make an end.
        assert_eq!(status.code(), Some(3), "{log}");
        assert!(log.contains(&roster.sites[0].name) && log.contains(NEXT_STEP), "{log}");
        drop(crowd);
        let daemon = roster.spawn();
        roster.wait_equal();
        assert!(daemon.stop().success());
    }
}
