//! What the policies promise when sites disagree, on real servers with several engines in each role.

#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

#[path = "policies/direction.rs"]
mod direction;
#[path = "policies/fuse.rs"]
mod fuse;
#[path = "policies/people.rs"]
mod people;
#[path = "policies/undo.rs"]
mod undo;
#[path = "policies/unique.rs"]
mod unique;

use std::time::{Duration, Instant};

/// MariaDB's log tells commit times in whole seconds: what is written after this is later for every engine.
fn next_second_but_one() {
    let until = Instant::now() + Duration::from_millis(2_100);
    std::thread::sleep(until - Instant::now());
}
