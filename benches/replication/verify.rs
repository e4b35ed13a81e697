//! verify: comparing all rows of three sites, beside pt-table-checksum on a source with two replicas.

use std::process::Command;
use std::time::Instant;

use futures_util::FutureExt;

use crate::anchors;
use crate::case::{Case, Figure, Group, ROSTERD, Run, Target, Unit, alternating};
use crate::connection::{Connection, DATABASE};
use crate::daemon::Roster;
use crate::native::{self, Native};
use crate::people::{MARIADB, POSTGRES, Table};
use crate::trio::{Trio, remake};

pub const GROUPS: [Group; 1] = [Group { cases: &[VERIFY], run: |run| verify(run).boxed_local() }];

const VERIFY: Case = Case {
    name: "verify",
    about: "comparing all people of three sites",
    figures: || vec![Figure::new(COMPARED, Unit::Seconds, &[Target::Times(PERCONA, 2.0)])],
};

const COMPARED: &str = "compared";
const PERCONA: &str = "pt-table-checksum";
/// Where it keeps its checksums, and finds the replicas.
const PERCONA_DATABASE: &str = "percona";

async fn verify(run: &mut Run) {
    let (maria, postgres) = (run.trio(MARIADB).await, run.trio(POSTGRES).await);
    eprintln!("  filling six servers with {} rows", run.scale.copy_rows);
    for trio in [&maria, &postgres] {
        trio.fill(&[(Table::Users, run.scale.copy_rows)]).await;
    }
    let urls = [&maria.source, &maria.ours, &postgres.ours].map(|server| server.url(DATABASE));
    let roster = Roster::new(&urls, &[Table::Users]);
    let subjects: &[&str] = match anchors::program("pt-table-checksum") {
        Some(_) => &[ROSTERD, PERCONA],
        None => {
            run.note(VERIFY.name, "without pt-table-checksum: tests/servers/fetch-anchors gets it");
            &[ROSTERD]
        }
    };
    for repetition in 0..run.repetitions {
        for subject in alternating(subjects, repetition) {
            let seconds = if subject == ROSTERD { by_rosterd(&roster, run.scale.copy_rows).await } else { by_percona(&maria).await };
            run.sample(VERIFY.name, COMPARED, subject, seconds);
        }
    }
    run.give_back(maria, &[]);
    run.give_back(postgres, &[]);
}

async fn by_rosterd(roster: &Roster, rows: u64) -> f64 {
    let daemon = roster.start();
    daemon.settled().await;
    let begun = Instant::now();
    let output = roster.output(&["verify", "--json"]);
    let seconds = begun.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "rosterd verify ended with {}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr));
    let verified: serde_json::Value = serde_json::from_str(&said).expect("rosterd verify --json prints JSON");
    let compared = verified["tables"].as_array().expect("the tables of each site");
    assert!(compared.len() == 3 && compared.iter().all(|table| table["rows"] == rows), "rosterd verify did not compare all rows: {said}");
    daemon.stop();
    seconds
}

/// Both other servers are replicas meanwhile.
async fn by_percona(trio: &Trio) -> f64 {
    let replicas = [&trio.ours, &trio.native];
    for server in trio.all() {
        remake(server, PERCONA_DATABASE).await;
    }
    let mut source = Connection::open_in(&trio.source, PERCONA_DATABASE).await;
    source.run("SET sql_log_bin = 0").await;
    source.run("CREATE TABLE dsns (id int PRIMARY KEY, parent_id int, dsn varchar(255) NOT NULL)").await;
    for (at, replica) in replicas.iter().enumerate() {
        source.run(&format!("INSERT INTO dsns VALUES ({at}, NULL, 'h=127.0.0.1,P={},u=root')", replica.port())).await;
        native::connect(&[Native::Serial], &trio.source, replica, &[]).await;
        native::resume(Native::Serial, replica).await;
        let mut replica = Connection::open(replica).await;
        let up = "SELECT VARIABLE_VALUE = 'ON' FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'SLAVE_RUNNING'";
        replica.until(up, 1).await;
    }
    let begun = Instant::now();
    let output = Command::new(anchors::program("pt-table-checksum").expect("it was there"))
        .args(["--no-version-check", "--no-check-binlog-format", "--no-check-replication-filters", "--create-replicate-table"])
        // A small table is one chunk, whatever its size.
        .args(["--chunk-size-limit", "0"])
        .args(["--databases", DATABASE, "--tables", "users", "--replicate", &format!("{PERCONA_DATABASE}.checksums")])
        .args(["--recursion-method", &format!("dsn=D={PERCONA_DATABASE},t=dsns"), &format!("h=127.0.0.1,P={},u=root", trio.source.port())])
        .output()
        .expect("pt-table-checksum starts");
    let seconds = begun.elapsed().as_secs_f64();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("bench.users"), "pt-table-checksum ended with {}: {said}{complained}", output.status);
    for replica in replicas {
        native::disconnect(replica).await;
    }
    seconds
}
