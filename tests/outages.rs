//! What sites and networks do to a daemon that runs: a site is away for long, takes no connection more, keeps rows locked, limits the time of
//! statements and sessions, is slow, or goes silent. The others go on meanwhile, and in the end all are equal.

#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

#[path = "outages/away.rs"]
mod away;
#[path = "outages/full.rs"]
mod full;
#[path = "outages/limits.rs"]
mod limits;
#[path = "outages/locks.rs"]
mod locks;
#[path = "outages/silent.rs"]
mod silent;
#[path = "outages/slow.rs"]
mod slow;

use roster::{ColumnKind::Plain, Roster, Table};

const ITEM: Table =
    Table::new("item", "id INT PRIMARY KEY, n INT NOT NULL, body VARCHAR(2000)", &[("id", Plain), ("n", Plain), ("body", Plain)]);

/// Shares a table with this many rows, whose text has so many letters.
fn share_items(roster: &mut Roster, rows: u32, letters: usize) {
    roster.share(ITEM, "");
    let body = "x".repeat(letters);
    let rows: Vec<String> = (1..=rows).map(|id| format!("({id}, 0, '{body}')")).collect();
    for rows in rows.chunks(1000) {
        roster.sql(0, &format!("INSERT INTO item VALUES {}", rows.join(", ")));
    }
}
