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

const ENGINES: [&str; 3] = ["mariadb", "postgres", "sqlite"];

/// One roster for each engine, at the same time: much of it is waiting.
#[test]
fn the_daemon_dies_at_every_crash_point() {
    let begun = Instant::now();
    let (rounds, wanted) = (number("ROSTERD_CRASH_ROUNDS", 1), words("ROSTERD_CRASH_ENGINES"));
    let engines = || ENGINES.into_iter().filter(|engine| wanted.as_ref().is_none_or(|wanted| wanted.contains(*engine)));
    let (mut deaths, mut met) = (0, BTreeSet::new());
    for round in 0..rounds {
        let ended: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = engines().map(|engine| (engine, scope.spawn(move || all_scenes(engine, round)))).collect();
            running.into_iter().map(|(engine, stage)| (engine, stage.join())).collect()
        });
        for (engine, stage) in ended {
            let (times, points) = stage.unwrap_or_else(|_| panic!("{engine}: what failed is told above"));
            deaths += times;
            met.extend(points.into_iter().map(|point| (point, engine)));
        }
    }
    println!(
        "{} pairs of crash point and engine, {rounds} rounds: {deaths} deaths in {:.0} s, nothing lost",
        met.len(),
        begun.elapsed().as_secs_f64()
    );
}

fn points_of(engine: &str) -> BTreeSet<&'static str> {
    POINTS.iter().filter(|point| point.engines.contains(&engine)).map(|point| point.name).collect()
}

/// Gives how often the daemon has died, and where.
fn all_scenes(engine: &'static str, round: u32) -> (u32, BTreeSet<&'static str>) {
    let scenes = words("ROSTERD_CRASH_SCENES");
    let mut stage = Stage::new(engine, &engines(engine, round));
    for (name, scene) in SCENES {
        // Every other scene needs a roster that is there.
        if *name == "born" || scenes.as_ref().is_none_or(|wanted| wanted.contains(*name)) {
            stage.play(name, *scene);
        }
    }
    if scenes.is_none() {
        assert_eq!(&points_of(engine), stage.met(), "crash points of {engine}, and those that were met");
    }
    (stage.deaths(), stage.met().clone())
}

fn number(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn words(variable: &str) -> Option<BTreeSet<String>> {
    let text = std::env::var(variable).ok()?;
    let words: BTreeSet<String> = text.split(',').map(str::to_owned).collect();
    let known = |word: &&String| SCENES.iter().any(|(name, _)| name == word) || ENGINES.contains(&word.as_str());
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
