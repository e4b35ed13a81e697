//! idle: what the daemon takes while nothing happens.

use std::time::Duration;

use futures_util::FutureExt;

use crate::backlog::equal;
use crate::case::{Case, Figure, Group, ROSTERD, Run, Target, Unit};
use crate::connection::DATABASE;
use crate::daemon::Roster;
use crate::people::{MARIADB, POSTGRES, Table};

pub const GROUPS: [Group; 1] = [Group { cases: &[IDLE], run: |run| idle(run).boxed_local() }];

const IDLE: Case = Case {
    name: "idle",
    about: "the daemon's processor time and memory with four sites on which nothing happens",
    figures: || {
        vec![
            Figure::new(PROCESSOR, Unit::PercentOfCore, &[Target::AtMost(0.3)]),
            Figure::new(RESIDENT, Unit::Megabytes, &[Target::AtMost(40.0)]),
        ]
    },
};

const PROCESSOR: &str = "processor time";
const RESIDENT: &str = "resident";
const ROWS: u64 = 1_000;

async fn idle(run: &mut Run) {
    let (maria, postgres) = (run.trio(MARIADB).await, run.trio(POSTGRES).await);
    for trio in [&maria, &postgres] {
        trio.fill(&[(Table::Users, ROWS)]).await;
    }
    let urls = [&maria.source, &maria.ours, &postgres.source, &postgres.ours].map(|server| server.url(DATABASE));
    let roster = Roster::new(&urls, &[Table::Users]);
    let daemon = roster.start();
    daemon.settled().await;
    // Until what follows a copy is over.
    tokio::time::sleep(Duration::from_secs_f64(run.scale.idle_seconds / 2.0)).await;
    for _ in 0..run.repetitions {
        let before = daemon.processor_seconds();
        tokio::time::sleep(Duration::from_secs_f64(run.scale.idle_seconds)).await;
        let used = daemon.processor_seconds() - before;
        run.sample(IDLE.name, PROCESSOR, ROSTERD, used * 100.0 / run.scale.idle_seconds);
        run.sample(IDLE.name, RESIDENT, ROSTERD, daemon.resident_megabytes("VmRSS"));
    }
    daemon.stop();
    for client in [&maria.ours, &postgres.source, &postgres.ours] {
        equal(Table::Users, &maria.source, client, DATABASE).await;
    }
    run.give_back(maria, &[]);
    run.give_back(postgres, &[]);
}
