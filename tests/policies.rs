//! What the policies promise when sites disagree, on real servers with several engines in each role.

#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

#[path = "policies/after_apply.rs"]
mod after_apply;
#[path = "policies/columns.rs"]
mod columns;
#[path = "policies/deletes.rs"]
mod deletes;
#[path = "policies/direction.rs"]
mod direction;
#[path = "policies/fuse.rs"]
mod fuse;
#[path = "policies/people.rs"]
mod people;
#[path = "policies/profile.rs"]
mod profile;
#[path = "policies/together.rs"]
mod together;
#[path = "policies/undo.rs"]
mod undo;
#[path = "policies/unique.rs"]
mod unique;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use roster::{Roster, Session};

/// MariaDB's log tells commit times in whole seconds: what is written after this is later for every engine.
fn next_second_but_one() {
    let until = Instant::now() + Duration::from_millis(2_100);
    std::thread::sleep(until - Instant::now());
}

/// Commits scripts at several sites at the same moment: all statements of all have been run before the first one commits, so none
/// has seen another.
fn at_once(roster: &Roster, scripts: &[(usize, String)]) {
    let barrier = Barrier::new(scripts.len());
    std::thread::scope(|scope| {
        for (at, script) in scripts {
            let (site, barrier) = (&roster.sites[*at], &barrier);
            scope.spawn(move || {
                let mut session = site.session();
                let begun = begin(&mut session, script);
                barrier.wait();
                begun.unwrap_or_else(|error| panic!("{}: refused: {error}\n{script}", site.name));
                session.sql("COMMIT");
            });
        }
    });
}

/// Begins a transaction; as an application does, once more when it met a deadlock.
fn begin(session: &mut Session, script: &str) -> Result<(), String> {
    let deadline = Instant::now() + roster::DEADLINE;
    loop {
        match session.try_rows(&format!("BEGIN; {script}")) {
            Ok(_) => return Ok(()),
            Err(error) if error.to_lowercase().contains("deadlock") && Instant::now() < deadline => session.sql("ROLLBACK"),
            Err(error) => return Err(error),
        }
    }
}

/// A transaction, once more when it met a deadlock.
fn commit(session: &mut Session, script: &str) {
    begin(session, script).unwrap_or_else(|error| panic!("refused: {error}\n{script}"));
    session.sql("COMMIT");
}

/// Cells as the roster reads them.
fn cells<const N: usize>(row: [&str; N]) -> Vec<String> {
    row.iter().map(|cell| if *cell == "NULL" { "NULL".to_owned() } else { format!("{cell:?}") }).collect()
}
