//! A site's tables are compared with the ledger: as asked, and after its log is lost.

use rosterd::ops::admin::Request;

use crate::roster::{Engine::MySql97, wait_for};
use crate::stage::Stage;

pub fn compared(stage: &mut Stage) {
    let load = stage.load();
    for point in [
        "reconcile.begun",
        "scan.begun",
        "chunk.opened",
        "chunk.low",
        "chunk.read",
        "chunk.high",
        "chunk.closing",
        "chunk.closed",
        "sweep.counted",
        "sweep.taken",
        "sweep.committed",
        "scan.tidied",
        "scan.known",
    ] {
        let site = stage.site();
        stage.die_asked(point, Request::Reconcile { site, restored: false });
    }
    stage.assert_all_well(load);
}

pub fn log_lost(stage: &mut Stage) {
    let load = stage.load();
    lose_log(stage);
    stage.die("log-lost.noting");
    stage.die("log-lost.noted");
    stage.die("chunk.high");
    lose_log(stage);
    stage.die("log-lost.noted");
    if stage.passes("prepare.publication") {
        // Somebody drops the publication: the slot, which is older than the next one, goes with it, or lives on when the daemon dies.
        drop_publication(stage);
        stage.die("prepare.publication");
        stage.die("fence.reached");
        drop_publication(stage);
        stage.die("prepare.slot-dropped");
        stage.die("prepare.slot");
    }
    stage.assert_all_well(load);
}

fn drop_publication(stage: &Stage) {
    stage.roster.sql(stage.at, &format!("DROP PUBLICATION {}", own_name(stage)));
}

/// Of publication and slot.
fn own_name(stage: &Stage) -> String {
    format!("rosterd_{}", stage.site())
}

/// The daemon does not run. MariaDB's log is others' too on a shared server: there, the ledger has a place in another log.
fn lose_log(stage: &Stage) {
    match stage.engine {
        "postgres" => {
            let drop = format!("SELECT pg_drop_replication_slot('{}')", own_name(stage));
            let mut session = stage.roster.sites[stage.at].session();
            let dropped = wait_for(|| session.try_rows(&drop).err());
            dropped.unwrap_or_else(|last| panic!("the slot can't be dropped: {last}"));
        }
        "sqlite" => stage.roster.sql(stage.at, "DELETE FROM rosterd_changelog"),
        _ => {
            let is_mysql = stage.roster.sites[stage.at].engine == MySql97;
            let elsewhere = if is_mysql { "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa:1-9" } else { "0-9-999999999999" };
            let ledger = rusqlite::Connection::open(stage.roster.state_dir().join("ledger.sqlite")).expect("the ledger is there");
            let changed = ledger.execute("UPDATE site SET position = ?2 WHERE name = ?1", [&stage.site(), elsewhere]);
            assert_eq!(changed, Ok(1));
        }
    }
}
