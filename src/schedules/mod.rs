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
mod names;
mod plan;
mod policies;
mod random;
mod site;
mod steps;
mod world;

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

fn campaign(disasters: bool) {
    let (first, schedules) = match number_from("ROSTERD_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number_from("ROSTERD_SCHEDULES").unwrap_or(SCHEDULES)),
    };
    let (mut conflicts, mut failures) = (0, Vec::new());
    for seed in first..first + schedules {
        match schedule(seed, disasters) {
            Ok(met) => conflicts += met,
            Err(failure) => failures.push(failure),
        }
    }
    let which = if disasters { "schedules with disasters" } else { "schedules" };
    println!("{schedules} {which}, {conflicts} conflicts met, {} failed", failures.len());
    assert!(failures.is_empty(), "{} of {schedules} {which}:\n{}", failures.len(), failures.join("\n"));
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
const PARTS: [(&str, bool); 25] = [
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
];

/// Schedules after which a missing part must have been noticed.
const NOTICED_WITHIN: u64 = 600;

#[test]
fn every_part_of_the_design_is_needed() {
    let unnoticed = |(part, disasters): &(&'static str, bool)| {
        let first = (1..=NOTICED_WITHIN).find(|seed| mutation::with(part, || schedule(*seed, *disasters)).is_err());
        println!("without {part}: {}", first.map_or("not noticed".into(), |seed| format!("noticed by schedule {seed}")));
        first.is_none()
    };
    let missing: Vec<_> = PARTS.iter().filter(|part| unnoticed(part)).collect();
    assert!(missing.is_empty(), "nothing failed without {missing:?}");
}
