//! fan-out: what more clients cost the hub's server, and what each of them costs.

use std::time::{Duration, Instant};

use futures_util::FutureExt;

use crate::backlog::{Backlog, equal};
use crate::case::{Case, Figure, Group, ROSTERD, Run, Target, Unit};
use crate::connection::{Connection, DATABASE};
use crate::daemon::{Daemon, Roster};
use crate::people::{self, MARIADB, Table};
use crate::processor_seconds;
use crate::trio::{Trio, remake};

pub const GROUPS: [Group; 1] = [Group { cases: &[FAN_OUT], run: |run| fan_out(run).boxed_local() }];

const FAN_OUT: Case = Case {
    name: "fan-out",
    about: "cost at the hub's server, and of each client, with 1, 4 and 16 client databases on two servers",
    figures,
};

const CLIENTS: [u64; 3] = [1, 4, 16];
const MEASURED: [(&str, Unit, f64); 4] = [
    ("hub's processor time", Unit::Seconds, 1.2),
    ("hub's bytes sent", Unit::Megabytes, 1.2),
    ("hub's connections", Unit::Plain, 1.0),
    ("processor time for each client", Unit::Seconds, 1.0),
];
const ACCOUNT: &str = "rosterd";
const ROWS: u64 = 200;
/// Transactions at a time, and how often.
const STEP: u64 = 50;
const EVERY: Duration = Duration::from_millis(100);

fn figures() -> Vec<Figure> {
    let mut figures = Vec::new();
    for (name, unit, most) in MEASURED {
        figures.extend(CLIENTS.map(|clients| Figure::new(at(name, clients), unit, &[])));
        figures.push(Figure::new(growth(name), Unit::Plain, &[Target::AtMost(most)]));
    }
    figures
}

fn at(name: &str, clients: u64) -> String {
    format!("{name}, clients: {clients}")
}

fn growth(name: &str) -> String {
    format!("{name}, 16 clients to 1")
}

/// What has been used so far, by those who use it.
struct Counters {
    hub_seconds: f64,
    hub_bytes: f64,
    client_seconds: f64,
}

impl Counters {
    async fn now(trio: &Trio, daemon: &Daemon<'_>) -> Counters {
        let sent = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'BYTES_SENT'";
        Counters {
            hub_bytes: Connection::open(&trio.source).await.number(sent).await as f64,
            hub_seconds: processor_seconds(trio.source.pid()),
            client_seconds: daemon.processor_seconds() + processor_seconds(trio.ours.pid()) + processor_seconds(trio.native.pid()),
        }
    }
}

async fn fan_out(run: &mut Run) {
    let transactions = run.scale.fan_out_transactions;
    for _ in 0..run.repetitions {
        let mut all = Vec::new();
        for clients in CLIENTS {
            let measured = with_clients(run, clients, transactions).await;
            for ((name, ..), value) in MEASURED.iter().zip(measured) {
                run.sample(FAN_OUT.name, at(name, clients), ROSTERD, value);
            }
            all.push(measured);
        }
        for (at, (name, ..)) in MEASURED.iter().enumerate() {
            run.sample(FAN_OUT.name, growth(name), ROSTERD, all[CLIENTS.len() - 1][at] / all[0][at]);
        }
    }
}

async fn with_clients(run: &mut Run, clients: u64, transactions: u64) -> [f64; MEASURED.len()] {
    let trio = run.trio(MARIADB).await;
    people::create(&trio.source, DATABASE, &[Table::Users]).await;
    people::fill(&trio.source, DATABASE, Table::Users, ROWS).await;
    let places: Vec<_> = (1..=clients).map(|n| (if n % 2 == 1 { &trio.ours } else { &trio.native }, format!("bench_{n}"))).collect();
    for (server, database) in &places {
        remake(server, database).await;
        people::create(server, database, &[Table::Users]).await;
        people::fill(server, database, Table::Users, ROWS).await;
    }
    let mut urls = vec![hub_url(&trio).await];
    urls.extend(places.iter().map(|(server, database)| server.url(database)));
    let roster = Roster::new(&urls, &[Table::Users]);
    let daemon = roster.start();
    daemon.settled().await;

    let before = Counters::now(&trio, &daemon).await;
    let begun = Instant::now();
    let backlog = Backlog { table: Table::Users, rows: ROWS, transactions: STEP };
    let steps = transactions / STEP;
    for step in 0..steps {
        backlog.write(&trio.source, step).await;
        tokio::time::sleep_until((begun + EVERY * (step as u32 + 1)).into()).await;
    }
    for (server, database) in &places {
        backlog.arrived(server, database, steps - 1).await;
    }
    let after = Counters::now(&trio, &daemon).await;
    for (server, database) in &places {
        equal(Table::Users, &trio.source, server, database).await;
    }
    let connected = format!("SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = '{ACCOUNT}'");
    let connections = Connection::open(&trio.source).await.number(&connected).await;
    daemon.stop();
    for (server, database) in &places {
        Connection::open_in(server, server.main_database()).await.run(&format!("DROP DATABASE {database}")).await;
    }
    run.give_back(trio, &[]);
    [
        after.hub_seconds - before.hub_seconds,
        (after.hub_bytes - before.hub_bytes) / 1e6,
        connections as f64,
        (after.client_seconds - before.client_seconds) / clients as f64,
    ]
}

/// The hub's address for an account that nobody but the daemon uses.
async fn hub_url(trio: &Trio) -> String {
    let mut main = Connection::open_in(&trio.source, trio.source.main_database()).await;
    main.run("SET sql_log_bin = 0").await;
    main.run(&format!("CREATE USER IF NOT EXISTS {ACCOUNT}@'%'")).await;
    main.run(&format!("GRANT ALL ON *.* TO {ACCOUNT}@'%'")).await;
    // The server keeps the thread that sent its log to an earlier daemon until it has something to send again.
    main.run(&format!("KILL USER {ACCOUNT}")).await;
    trio.source.url(DATABASE).replace("root@", &format!("{ACCOUNT}@"))
}
