//! Logs are captured and batches applied, and what a session does on the side.

use std::time::{Duration, Instant};

use rosterd::ops::admin::Request;

use crate::stage::Stage;

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

/// Sessions end with batches that their logs have not shown yet.
fn recovering(stage: &mut Stage, point: &'static str) {
    let site = stage.site();
    let mut paused = false;
    stage.die_while(point, |stage| {
        let request =
            if paused { Request::Resume { site: site.clone(), accept: None } } else { Request::Pause { site: site.clone() } };
        if stage.roster.ask(&request).is_ok() {
            paused = !paused;
        }
    });
    let daemon = stage.up();
    let resumed = stage.roster.ask(&Request::Resume { site, accept: None });
    resumed.unwrap_or_else(|error| panic!("the site does not go on: {error}"));
    daemon.kill();
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
    for point in ["changelog.trimmed", "markers.removed", "markers.forgotten", "heartbeat.marked"] {
        stage.die(point);
    }
    stage.assert_all_well(load);
}
