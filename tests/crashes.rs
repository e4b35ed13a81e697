//! The real daemon dies at every crash point, at a site of every engine, with applications at work at all of them. In the end all sites
//! are equal and hold all that any of them has confirmed, once.
//!
//! `ROSTERD_CRASH_ROUNDS=n` goes through everything n times, with other versions of the servers in every second round;
//! `ROSTERD_CRASH_SCENES=working,removed` goes through these scenes only, `ROSTERD_CRASH_ENGINES=postgres` is for this engine only.
#![cfg(debug_assertions)]

#[path = "support/load.rs"]
mod load;
#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

#[path = "crashes/born.rs"]
mod born;
#[path = "crashes/compared.rs"]
mod compared;
#[path = "crashes/decided.rs"]
mod decided;
#[path = "crashes/removed.rs"]
mod removed;
#[path = "crashes/stage.rs"]
mod stage;
#[path = "crashes/working.rs"]
mod working;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use roster::Engine::{self, *};
use rosterd::crash::POINTS;
use stage::Stage;

/// A stretch of a roster's life in which the daemon dies again and again, from one check that all is well to the next.
type Scene = (&'static str, fn(&mut Stage));

const SCENES: &[Scene] = &[
    ("born", born::born),
    ("working", working::working),
    ("upkeep", working::upkeep),
    ("compared", compared::compared),
    ("log-lost", compared::log_lost),
    ("altered", born::altered),
    ("paused", decided::paused),
    ("undone", decided::undone),
    ("held-back", decided::held_back),
    ("stopped", decided::stopped),
    ("removed", removed::removed),
];

/// The hub, the client where the daemon dies, and another client: of even rounds and of odd ones.
fn engines(engine: &str, round: u32) -> [Engine; 3] {
    match (engine, round % 2) {
        ("mariadb", 0) => [Postgres18, MariaDb118, Sqlite],
        ("mariadb", _) => [Postgres15, MySql97, MariaDb1011],
        ("postgres", 0) => [MariaDb118, Postgres18, Sqlite],
        ("postgres", _) => [MySql97, Postgres15, MariaDb1011],
        (_, 0) => [MariaDb118, Sqlite, Postgres18],
        _ => [Postgres15, Sqlite, MariaDb1011],
    }
}

#[test]
fn the_daemon_dies_at_every_crash_point_of_mariadb() {
    matrix("mariadb");
}

#[test]
fn the_daemon_dies_at_every_crash_point_of_postgres() {
    matrix("postgres");
}

#[test]
fn the_daemon_dies_at_every_crash_point_of_sqlite() {
    matrix("sqlite");
}

fn matrix(engine: &'static str) {
    let begun = Instant::now();
    let (rounds, scenes) = (number("ROSTERD_CRASH_ROUNDS", 1), words("ROSTERD_CRASH_SCENES"));
    if words("ROSTERD_CRASH_ENGINES").is_some_and(|engines| !engines.contains(engine)) {
        return;
    }
    let mut deaths = 0;
    for round in 0..rounds {
        let mut stage = Stage::new(engine, &engines(engine, round));
        for (name, scene) in SCENES {
            // Every other scene needs a roster that is there.
            if *name == "born" || scenes.as_ref().is_none_or(|wanted| wanted.contains(*name)) {
                stage.play(name, *scene);
            }
        }
        deaths += stage.deaths();
        if scenes.is_none() {
            let all: BTreeSet<&str> = POINTS.iter().filter(|point| point.engines.contains(&engine)).map(|point| point.name).collect();
            assert_eq!(&all, stage.met(), "crash points of {engine} that were met");
        }
    }
    let points = POINTS.iter().filter(|point| point.engines.contains(&engine)).count();
    println!("{engine}: {deaths} deaths at {points} crash points in {rounds} rounds, {:.0} s; nothing lost", begun.elapsed().as_secs_f64());
}

fn number(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn words(variable: &str) -> Option<BTreeSet<String>> {
    let text = std::env::var(variable).ok()?;
    let words: BTreeSet<String> = text.split(',').map(str::to_owned).collect();
    let known = |word: &&String| SCENES.iter().any(|(name, _)| name == word) || ["mariadb", "postgres", "sqlite"].contains(&word.as_str());
    assert!(words.iter().all(|word| known(&word)), "{variable} names what there is not: {text}");
    Some(words)
}

#[test]
fn every_crash_point_is_placed_in_the_code() {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let listed: BTreeSet<String> = POINTS.iter().map(|point| point.name.to_owned()).collect();
    assert_eq!(placed(&source), listed);
}

/// Names in the places of `crash_point!`.
fn placed(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            names.extend(placed(&path));
        } else {
            let text = std::fs::read_to_string(&path).expect("sources are text");
            names.extend(text.split("::crash_point!(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    names
}

#[test]
fn a_crash_point_that_is_not_there_is_refused() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_rosterd"))
        .args(["check", "--config", "/nowhere"])
        .env(rosterd::crash::VARIABLE, "batch.comitted@nj")
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("there is no crash point of that name"), "{output:?}");
}
