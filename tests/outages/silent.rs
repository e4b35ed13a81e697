//! Connections that nobody has closed, and through which nothing comes any more, as when a firewall forgets them.

use std::time::{Duration, Instant};

use super::*;
use crate::proxy::Proxy;
use crate::roster::Engine::*;

/// What docs/operating.md promises: half a minute, and the pause before the next try.
const NOTICED_MAX: Duration = Duration::from_secs(35);
const SILENT: std::ops::Range<usize> = 1..4;
const OTHER: usize = 4;

#[test]
fn silent_connections_are_noticed_and_made_anew() {
    let mut roster = Roster::new(&[Sqlite, MariaDb1011, MySql97, Postgres18, Sqlite]);
    let proxies: Vec<Proxy> = roster.sites[SILENT].iter_mut().map(Proxy::before).collect();
    share_items(&mut roster, 50, 20);
    roster.start();
    roster.settle_equal();
    proxies.iter().for_each(Proxy::go_silent);
    let begun = Instant::now();
    // Batches under way, and changes that the log can't tell.
    roster.sql(0, "UPDATE item SET n = 1 WHERE id <= 10");
    for site in SILENT {
        roster.sql(site, &format!("UPDATE item SET body = 'written in silence' WHERE id = {}", 20 + site));
    }
    roster.wait_value(OTHER, "SELECT count(*) FROM item WHERE n = 1", "10");
    assert!(begun.elapsed() < Duration::from_secs(5), "the others had to wait {:?}", begun.elapsed());
    for site in SILENT {
        roster.wait("the silence to be noticed", || (roster.connects(site) == 1).then(|| "it is not".into()));
        roster.wait_value(site, "SELECT count(*) FROM item WHERE n = 1", "10");
        let took = begun.elapsed();
        assert!(took < NOTICED_MAX, "{} took {took:?}: {}", roster.sites[site].name, roster.last_error(site));
    }
    roster.settle_equal();
    roster.wait_value(0, "SELECT count(*) FROM item WHERE body = 'written in silence'", "3");
    roster.stop();
}
