//! Random schedules: the real merge, ledger, capture, reconcile and apply, with sites in memory.
//!
//! Everything that can happen in between is drawn at random: skewed clocks, rows on several sites before the first copy,
//! transactions over two tables, policies, images that leave things out, a site without one of the columns, daemon crashes at any
//! step, lost connections, any interleaving of two lanes, logs lost before they were captured, sites restored from backups. When
//! the dust has settled: every site equals the merged rows; no surviving value had been replaced by a write made on top of it;
//! nothing is under way for ever; the ledger has no tombstone left; the policies have kept what they promise. While it runs:
//! what one source transaction wrote leaves in one batch.
//!
//! Some schedules are about one policy besides (`plan::Focus`): what it promises is checked after each step and at the end.
//!
//! One seed replays a failure: `ROSTERD_SEED=17 cargo test --lib schedules`, and `ROSTERD_TRACE=1` tells it step by step;
//! `ROSTERD_SCHEDULES=100000` runs more of them.

mod application;
mod check;
mod history;
mod lanes;
mod names;
mod plan;
mod policies;
mod random;
mod site;
mod steps;
mod world;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::mutation;
use plan::Plan;
use random::Random;
use world::World;

/// Runs one schedule; the number of conflicts met, or what went wrong.
fn schedule(seed: u64, disasters: bool) -> Result<usize, String> {
    let outcome = std::panic::catch_unwind(|| {
        let mut world = World::new(seed, disasters);
        world.run();
        world.check();
        world.conflicts
    });
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        let focus = Plan::draw(seed, &mut Random::new(seed), disasters).focus;
        format!("seed {seed}, {focus:?}: {}", text.unwrap_or_default())
    })
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Schedules after which a long campaign says how far it is.
const TOLD_EVERY: u64 = 10_000;

fn campaign(disasters: bool) {
    let (first, schedules) = match number_from("ROSTERD_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number_from("ROSTERD_SCHEDULES").unwrap_or(SCHEDULES)),
    };
    let which = if disasters { "schedules with disasters" } else { "schedules" };
    let (conflicts, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    on_all_cores(schedules, |at| {
        match schedule(first + at, disasters) {
            Ok(met) => drop(conflicts.fetch_add(met, Ordering::Relaxed)),
            Err(failure) => {
                if schedules > TOLD_EVERY {
                    tell(&failure);
                }
                failures.lock().unwrap().push((at, failure));
            }
        }
        if (at + 1).is_multiple_of(TOLD_EVERY) {
            let failed = failures.lock().unwrap().len();
            tell(&format!("{} of {schedules} {which}, {failed} failed", at + 1));
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    println!("{schedules} {which}, {} conflicts met, {} failed", conflicts.into_inner(), failures.len());
    let told: Vec<String> = failures.into_iter().map(|(_, failure)| failure).collect();
    assert!(told.is_empty(), "{} of {schedules} {which}:\n{}", told.len(), told.join("\n"));
}

/// Says it now: not by a macro, whose output a test keeps to itself until it has ended.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Calls `work` with each number below `count`, on as many threads as there are cores.
fn on_all_cores(count: u64, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    work(at);
                }
            });
        }
    });
}

const SCHEDULES: u64 = 1000;

#[test]
fn sites_end_equal_and_no_update_is_lost() {
    campaign(false);
}

#[test]
fn sites_end_equal_after_lost_logs_and_restored_backups() {
    campaign(true);
}

/// Parts of the design, taken out one at a time: with or without disasters, the schedules must notice each of them.
const PARTS: [(&str, bool); 28] = [
    ("causal", false),
    ("payload", false),
    ("fence", false),
    ("fingerprints", true),
    ("guard", true),
    ("backup_wins", true),
    ("precondition", false),
    ("in_hand", false),
    ("touched", true),
    ("low_watermark", true),
    ("sweep", false),
    ("tombstones", false),
    ("requeue", false),
    ("closure", false),
    ("heard", true),
    ("direction", false),
    ("unseen_delete", false),
    ("late_update", false),
    ("filter", false),
    ("left_out", false),
    ("clash", false),
    ("aside", false),
    ("goes_on", false),
    ("belongs", false),
    ("fuse", false),
    ("rival", false),
    ("joins", false),
    ("put_back", false),
];

/// Schedules after which a missing part must have been noticed.
const NOTICED_WITHIN: u64 = 2000;

#[test]
fn every_part_of_the_design_is_needed() {
    let unnoticed = Mutex::new(Vec::new());
    on_all_cores(PARTS.len() as u64, |at| {
        let (part, disasters) = PARTS[at as usize];
        let first = (1..=NOTICED_WITHIN).find(|seed| mutation::with(part, || schedule(*seed, disasters)).is_err());
        println!("without {part}: {}", first.map_or("not noticed".into(), |seed| format!("noticed by schedule {seed}")));
        if first.is_none() {
            unnoticed.lock().unwrap().push(part);
        }
    });
    let unnoticed = unnoticed.into_inner().unwrap();
    assert!(unnoticed.is_empty(), "nothing failed without {unnoticed:?}");
}
