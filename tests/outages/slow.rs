//! A site behind a slow line.

use std::time::{Duration, Instant};

use super::*;
use crate::proxy::Proxy;
use crate::roster::Engine::*;

const BYTES_PER_SECOND: usize = 20_000;
const ROWS: u32 = 60;
const LETTERS: usize = 1000;
const CHANGES: u32 = 40;
const SLOW: usize = 1;
const OTHER: usize = 2;
/// Of a debug build on a machine with other work.
const LAG_MAX: Duration = Duration::from_secs(3);
const MEMORY_KB_MAX: u64 = 40_000;

#[test]
fn a_slow_line_holds_up_nobody_else_and_takes_no_memory() {
    let mut roster = Roster::new(&[MariaDb1011, Postgres18, Sqlite]);
    let proxy = Proxy::before(&mut roster.sites[SLOW]);
    share_items(&mut roster, ROWS, LETTERS);
    let mut daemon = roster.spawn();
    roster.wait_equal();
    let before = resident_kb(daemon.pid());
    proxy.slow_down(BYTES_PER_SECOND);
    let mut lag_max = Duration::ZERO;
    for turn in 1..=CHANGES {
        let letter = char::from(b'a' + (turn % 26) as u8);
        roster.sql(0, &format!("UPDATE item SET n = {turn}, body = repeat('{letter}', {LETTERS})"));
        let begun = Instant::now();
        roster.wait_value(OTHER, "SELECT min(n) FROM item", &turn.to_string());
        lag_max = lag_max.max(begun.elapsed());
    }
    assert!(lag_max < LAG_MAX, "the other site had to wait {lag_max:?}");
    // What was changed would take the line two minutes; what is owed takes it three seconds.
    assert_ne!(roster.value(SLOW, "SELECT min(n) FROM item"), Some(CHANGES.to_string()), "the line is not slow");
    roster.wait_equal();
    let grown = resident_kb(daemon.pid()).saturating_sub(before);
    assert!(grown < MEMORY_KB_MAX, "the daemon grew by {grown} kB");
    daemon.assert_runs();
    assert!(daemon.stop().success());
}

/// The most that the process has had in memory.
fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
