//! Logs are captured and batches applied, and what a session does on the side.

use std::time::{Duration, Instant};

use crate::stage::{PEOPLE, Stage};

pub fn working(stage: &mut Stage) {
    let load = stage.load();
    stage.die_late("capture.taken", 4);
    stage.die_late("capture.committed", 4);
    stage.die_late("capture.landing", 3);
    stage.die_late("log.acknowledged", 4);
    stage.die("slot.advanced");
    for (point, passing) in [
        ("batch.taken", 3),
        ("batch.begun", 3),
        ("batch.marked", 3),
        ("batch.written", 3),
        ("batch.committed", 3),
        ("batch.settled", 3),
        // The batches that a start finds owed.
        ("batch.committed", 1),
    ] {
        stage.die_late(point, passing);
    }
    let mut numbered = 0;
    stage.die_while("batch.numbered", |stage| {
        numbered += 1;
        stage.roster.sql(0, &format!("INSERT INTO numbered (k, n) VALUES ('no {numbered}', {numbered})"));
    });
    stage.die_anywhere("ledger.committing", 30);
    stage.die_anywhere("ledger.committed", 30);
    stage.die_anywhere("ledger.buried", 2);
    recovering(stage, "recover.settled");
    recovering(stage, "recover.noted");
    stage.assert_all_well(load);
}

/// The site's session ends in the middle, again and again, with batches that its log has not shown yet.
fn recovering(stage: &mut Stage, point: &'static str) {
    let mut ended = 0;
    stage.die_while(point, |stage| {
        if stage.awaited().is_none() {
            ended += 1;
            // Batch after batch to be applied, and the end somewhere in the middle of it.
            let some = |first: u32| format!("UPDATE person SET name = 'round {ended}' WHERE uid BETWEEN {first} AND {}", first + 24);
            let all: Vec<String> = (1..PEOPLE).step_by(25).map(some).collect();
            stage.roster.sql(0, &all.join("; "));
            std::thread::sleep(Duration::from_millis(ended * 17 % 150));
            end_session(stage, ended);
        }
    });
}

/// Breaks the connection by which the log is read; at SQLite, which has none, a definition changes.
fn end_session(stage: &Stage, n: u64) {
    let mut session = stage.roster.sites[stage.at].session();
    match stage.engine {
        "sqlite" => {
            let columns = if n.is_multiple_of(2) { "k, v" } else { "v, k" };
            let _ = session.try_rows(&format!("DROP INDEX IF EXISTS once; CREATE UNIQUE INDEX once ON cached ({columns})"));
        }
        "postgres" => {
            let slot = format!("slot_name = 'rosterd_{}' AND active_pid IS NOT NULL", stage.site());
            let _ = session.try_rows(&format!("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE {slot}"));
        }
        _ => {
            let readers = session.rows("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'");
            for id in readers.into_iter().filter_map(|row| row.into_iter().next().flatten()) {
                let _ = session.try_rows(&format!("KILL {id}"));
            }
        }
    }
}

/// What comes round every few seconds.
pub fn upkeep(stage: &mut Stage) {
    let load = stage.load();
    let (mut cached, mut last) = (0, Instant::now());
    stage.die_while("after-apply.repeated", |stage| {
        if last.elapsed() > Duration::from_millis(50) {
            (cached, last) = (cached + 1, Instant::now());
            stage.roster.sql(0, &format!("INSERT INTO cached VALUES ({cached}, 0)"));
        }
    });
    stage.die("changelog.trimmed");
    stage.assert_all_well(load);
    // Where batches come in one after the other, they take the markers along.
    let load = stage.load_at(&[stage.at]);
    for point in ["markers.removed", "markers.forgotten", "heartbeat.marked"] {
        stage.die(point);
    }
    stage.assert_all_well(load);
}
