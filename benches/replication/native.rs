//! The replication that engines come with, and pglogical: what rosterd is measured beside.

use crate::connection::{Connection, DATABASE};
use crate::people::{self, Table};
use crate::servers::Server;
use crate::trio::remake;

/// pglogical has a database of its own, so that its target is not written to twice.
pub const PGLOGICAL_DATABASE: &str = "bench_pglogical";

#[derive(Clone, Copy, PartialEq)]
pub enum Native {
    /// MariaDB, one thread that applies.
    Serial,
    /// MariaDB, four threads that apply, optimistic.
    Parallel,
    /// Logical replication as a subscription has it by itself.
    Asynchronous,
    /// Logical replication with `synchronous_commit = on`: each commit waits for the disk, as rosterd's do.
    Synchronous,
    Pglogical,
}

impl Native {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Native::Serial => "native",
            Native::Parallel => "native, 4 threads",
            Native::Asynchronous => "native",
            Native::Synchronous => "native, synchronous",
            Native::Pglogical => "pglogical",
        }
    }

    pub fn database(self) -> &'static str {
        if self == Native::Pglogical { PGLOGICAL_DATABASE } else { DATABASE }
    }
}

/// Connects `target` to `source` from now on; both have the tables with the same rows. It is paused then.
pub async fn connect(anchors: &[Native], source: &Server, target: &Server, tables: &[(Table, u64)]) {
    if anchors.contains(&Native::Serial) {
        let mut target = Connection::open(target).await;
        let here = Connection::open(source).await.texts("SELECT @@gtid_binlog_pos").await.concat();
        target.run(&format!("SET GLOBAL gtid_slave_pos = '{here}'")).await;
        let address = format!("MASTER_HOST='127.0.0.1', MASTER_PORT={}, MASTER_USER='root'", source.port());
        target.run(&format!("CHANGE MASTER TO {address}, MASTER_USE_GTID=slave_pos")).await;
    }
    if anchors.contains(&Native::Asynchronous) {
        // By itself it lets 5 s pass before it goes on with a subscription, which would count as time to catch up.
        let mut main = Connection::open_in(target, target.main_database()).await;
        main.run("ALTER SYSTEM SET wal_retrieve_retry_interval = '10ms'").await;
        main.run("SELECT pg_reload_conf()").await;
        let names: Vec<&str> = tables.iter().map(|(table, _)| table.name()).collect();
        Connection::open(source).await.run(&format!("CREATE PUBLICATION bench_native FOR TABLE {}", names.join(", "))).await;
        let from = address(source, DATABASE);
        let subscribe = format!("CREATE SUBSCRIPTION bench_native CONNECTION '{from}' PUBLICATION bench_native WITH (copy_data = off)");
        Connection::open(target).await.run(&subscribe).await;
        pause(Native::Asynchronous, target).await;
    }
    if anchors.contains(&Native::Pglogical) {
        connect_pglogical(source, target, tables).await;
        pause(Native::Pglogical, target).await;
    }
}

async fn connect_pglogical(source: &Server, target: &Server, tables: &[(Table, u64)]) {
    remake(target, PGLOGICAL_DATABASE).await;
    let only: Vec<Table> = tables.iter().map(|(table, _)| *table).collect();
    people::create(target, PGLOGICAL_DATABASE, &only).await;
    for (table, rows) in tables {
        people::fill(target, PGLOGICAL_DATABASE, *table, *rows).await;
    }
    let mut provider = Connection::open(source).await;
    let mut subscriber = Connection::open_in(target, PGLOGICAL_DATABASE).await;
    let from = address(source, DATABASE);
    provider.run("CREATE EXTENSION pglogical").await;
    provider.run(&format!("SELECT pglogical.create_node('provider', '{from}')")).await;
    for (table, _) in tables {
        provider.run(&format!("SELECT pglogical.replication_set_add_table('default', '{}')", table.name())).await;
    }
    subscriber.run("CREATE EXTENSION pglogical").await;
    subscriber.run(&format!("SELECT pglogical.create_node('subscriber', '{}')", address(target, PGLOGICAL_DATABASE))).await;
    subscriber
        .run(&format!("SELECT pglogical.create_subscription('bench', '{from}', synchronize_structure := false, synchronize_data := false)"))
        .await;
    let following = "SELECT count(*) FROM pglogical.show_subscription_status() WHERE status = 'replicating'";
    subscriber.until(following, 1).await;
}

fn address(server: &Server, database: &str) -> String {
    format!("host=127.0.0.1 port={} dbname={database} user=postgres", server.port())
}

/// Lets it go on from where it stopped.
pub async fn resume(anchor: Native, target: &Server) {
    let mut connection = Connection::open_in(target, anchor.database()).await;
    match anchor {
        Native::Serial | Native::Parallel => {
            let threads = if anchor == Native::Parallel { 4 } else { 0 };
            connection.run("SET GLOBAL slave_parallel_mode = optimistic").await;
            connection.run(&format!("SET GLOBAL slave_parallel_threads = {threads}")).await;
            connection.run("START SLAVE").await;
        }
        Native::Asynchronous | Native::Synchronous => {
            let commit = if anchor == Native::Synchronous { "on" } else { "off" };
            connection.run(&format!("ALTER SUBSCRIPTION bench_native SET (synchronous_commit = {commit})")).await;
            connection.run("ALTER SUBSCRIPTION bench_native ENABLE").await;
        }
        Native::Pglogical => connection.run("SELECT pglogical.alter_subscription_enable('bench', true)").await,
    }
}

/// Stops it, and waits until it has.
pub async fn pause(anchor: Native, target: &Server) {
    let mut connection = Connection::open_in(target, anchor.database()).await;
    match anchor {
        Native::Serial | Native::Parallel => connection.run("STOP SLAVE").await,
        Native::Asynchronous | Native::Synchronous => {
            connection.run("ALTER SUBSCRIPTION bench_native DISABLE").await;
            connection.until("SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL", 0).await;
        }
        Native::Pglogical => {
            connection.run("SELECT pglogical.alter_subscription_disable('bench', true)").await;
            let workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pglogical apply%'";
            connection.until(workers, 0).await;
        }
    }
}

/// Makes a replica of the MySQL family a server by itself again; its own log stays.
pub async fn disconnect(target: &Server) {
    let mut connection = Connection::open_in(target, target.main_database()).await;
    connection.run("STOP SLAVE").await;
    connection.run("RESET SLAVE ALL").await;
    connection.run("SET GLOBAL gtid_slave_pos = ''").await;
}

/// Takes all replication off a server, to it and from it.
pub async fn forget(server: &Server) {
    let mut main = Connection::open_in(server, server.main_database()).await;
    if !server.kind().is_postgres() {
        disconnect(server).await;
        main.run("RESET MASTER").await;
        return;
    }
    for database in [DATABASE, PGLOGICAL_DATABASE] {
        if main.number(&format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'")).await == 1 {
            forget_subscriptions(&mut Connection::open_in(server, database).await).await;
        }
    }
    main.run(&format!("DROP DATABASE IF EXISTS {PGLOGICAL_DATABASE} WITH (FORCE)")).await;
    main.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active").await;
    main.until("SELECT count(*) FROM pg_replication_slots WHERE active", 0).await;
    main.run("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots").await;
}

async fn forget_subscriptions(connection: &mut Connection) {
    let of_here = "subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    for name in connection.texts(&format!("SELECT subname FROM pg_subscription WHERE {of_here}")).await {
        connection.run(&format!("ALTER SUBSCRIPTION {name} DISABLE")).await;
        connection.run(&format!("DROP SUBSCRIPTION {name}")).await;
    }
    if connection.number("SELECT count(*) FROM pg_extension WHERE extname = 'pglogical'").await == 1 {
        connection.run("SELECT pglogical.drop_subscription(sub_name) FROM pglogical.subscription").await;
    }
}
