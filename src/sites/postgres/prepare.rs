//! What is ours at a site: the marker table, the publication of the shared tables, and the slot that keeps the log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::connect::{Connector, ident, own_name, qualified};
use super::errors::from_driver;
use crate::model::SiteTable;
use crate::sites::{Cause, Error, MARKER_TABLE, Result};

const END_MAX: Duration = Duration::from_secs(10);
const END_POLL: Duration = Duration::from_millis(50);

pub(super) fn create_marker_table(schema: &str) -> String {
    let table = qualified(schema, MARKER_TABLE);
    // Of fingerprints nothing is saved by compression.
    format!(
        "CREATE TABLE {table} (id bigint PRIMARY KEY, kind \"char\" NOT NULL, payload bytea NOT NULL); \
         ALTER TABLE {table} ALTER payload SET STORAGE EXTERNAL"
    )
}

/// The tables of the publication, as its statements list them.
pub(super) fn published(schema: &str, tables: &[Arc<SiteTable>]) -> String {
    let names: BTreeSet<String> = tables.iter().map(|table| qualified(&table.schema, &table.name)).collect();
    let marker = qualified(schema, MARKER_TABLE);
    std::iter::once(marker).chain(names).collect::<Vec<_>>().join(", ")
}

pub(super) async fn prepare(connector: &Connector, tables: &[Arc<SiteTable>]) -> Result<()> {
    let client = connector.client().await?;
    let name = own_name(&connector.site);
    make_marker_table(connector, &client).await?;
    let made = make_publication(connector, &client, &name, tables).await?;
    make_slot(connector, &client, &name, made).await
}

async fn exists(connector: &Connector, client: &Client, sql: &str, name: &str) -> Result<bool> {
    let row = client.query_opt(sql, &[&name]).await.map_err(|error| from_driver(&connector.site, "looking at the catalog", error))?;
    Ok(row.is_some())
}

async fn make_marker_table(connector: &Connector, client: &Client) -> Result<()> {
    const SQL: &str = "SELECT FROM pg_class WHERE oid = to_regclass($1)";
    let schema = &connector.server.schema;
    if exists(connector, client, SQL, &qualified(schema, MARKER_TABLE)).await? {
        return Ok(());
    }
    let sql = create_marker_table(schema);
    run(connector, client, "making the marker table", &sql).await?;
    crate::crash_point!("prepare.marker-table", connector.site);
    Ok(())
}

/// Runs one statement; where a privilege is missing, an administrator can run that very statement.
async fn run(connector: &Connector, client: &Client, doing: &str, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(|error| {
        let error = from_driver(&connector.site, doing, error);
        if error.cause == Cause::Privilege {
            error.advice(format!("an administrator runs: {sql}; see also `rosterd grants`"))
        } else {
            error
        }
    })
}

/// True when the publication is new: a slot that is older can't be read with it.
async fn make_publication(connector: &Connector, client: &Client, name: &str, tables: &[Arc<SiteTable>]) -> Result<bool> {
    const EXISTS: &str = "SELECT FROM pg_publication WHERE pubname = $1";
    const TABLES: &str = "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = $1";
    const ACTS: &str = "SELECT FROM pg_publication WHERE pubname = $1 AND pubinsert AND pubupdate AND pubdelete AND pubtruncate";
    let doing = "publishing the shared tables";
    let schema = &connector.server.schema;
    let list = published(schema, tables);
    if !exists(connector, client, EXISTS, name).await? {
        run(connector, client, doing, &format!("CREATE PUBLICATION {} FOR TABLE {list}", ident(name))).await?;
        crate::crash_point!("prepare.publication", connector.site);
        return Ok(true);
    }
    let rows = client.query(TABLES, &[&name]).await.map_err(|error| from_driver(&connector.site, doing, error))?;
    let have: BTreeSet<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut want: BTreeSet<(String, String)> = tables.iter().map(|table| (table.schema.clone(), table.name.clone())).collect();
    want.insert((schema.clone(), MARKER_TABLE.to_owned()));
    if have != want {
        run(connector, client, doing, &format!("ALTER PUBLICATION {} SET TABLE {list}", ident(name))).await?;
        crate::crash_point!("prepare.published", connector.site);
    }
    if !exists(connector, client, ACTS, name).await? {
        let sql = format!("ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate')", ident(name));
        run(connector, client, doing, &sql).await?;
    }
    Ok(false)
}

async fn make_slot(connector: &Connector, client: &Client, name: &str, anew: bool) -> Result<()> {
    const SQL: &str =
        "SELECT coalesce(wal_status, '') = 'lost', plugin, database = current_database() FROM pg_replication_slots WHERE slot_name = $1";
    let doing = "making the replication slot";
    let refused = |error| from_driver(&connector.site, doing, error);
    if let Some(row) = client.query_opt(SQL, &[&name]).await.map_err(refused)? {
        if row.get::<_, Option<&str>>(1) != Some("pgoutput") || row.get::<_, Option<bool>>(2) != Some(true) {
            let text = format!("replication slot {name} belongs to another database or plugin");
            return Err(Error::new(Cause::Unsupported, &connector.site, text).advice("rename the site, or drop that slot"));
        }
        if !anew && !row.get::<_, bool>(0) {
            return Ok(());
        }
        drop_slot(connector, client, name).await?;
        crate::crash_point!("prepare.slot-dropped", connector.site);
    }
    // A slot begins where no transaction is open, and waits for that; the wait is told instead of endured.
    let wait = format!("SET statement_timeout = {}", connector.timeout.as_millis().max(1000) * 6);
    client.batch_execute(&wait).await.map_err(refused)?;
    let made = client.execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", &[&name]).await;
    client.batch_execute("SET statement_timeout = 0").await.map_err(refused)?;
    made.map(drop).map_err(|error| {
        let error = refused(error);
        match error.cause {
            Cause::Busy => error.advice("a transaction has been open for long: end it (pg_stat_activity, ordered by xact_start)"),
            Cause::Unsupported => error.advice("set wal_level = logical and restart the server"),
            Cause::Privilege => error.advice(format!("an administrator runs: ALTER ROLE {} REPLICATION", ident(&connector.server.user))),
            _ => error,
        }
    })?;
    crate::crash_point!("prepare.slot", connector.site);
    Ok(())
}

/// Drops the slot, ending a connection of ours that still reads it.
async fn drop_slot(connector: &Connector, client: &Client, name: &str) -> Result<()> {
    const DROP: &str = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND active_pid IS NULL";
    const END: &str = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active_pid IS NOT NULL \
        AND database = current_database()";
    const EXISTS: &str = "SELECT FROM pg_replication_slots WHERE slot_name = $1";
    let refused = |error| from_driver(&connector.site, "dropping the replication slot", error);
    let deadline = Instant::now() + END_MAX;
    while exists(connector, client, EXISTS, name).await? {
        client.execute(END, &[&name]).await.map_err(refused)?;
        match client.execute(DROP, &[&name]).await.map_err(refused) {
            Err(error) if error.cause != Cause::Busy || Instant::now() > deadline => return Err(error),
            Ok(_) | Err(_) => {}
        }
        if Instant::now() > deadline {
            return Err(Error::new(Cause::Busy, &connector.site, format!("replication slot {name} is in use"))
                .advice("stop the daemon that reads it"));
        }
        sleep(END_POLL).await;
    }
    Ok(())
}

pub(super) async fn dismantle(connector: &Connector) -> Result<()> {
    let client = connector.client().await?;
    let name = own_name(&connector.site);
    const OURS: &str = "SELECT FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()";
    if exists(connector, &client, OURS, &name).await? {
        drop_slot(connector, &client, &name).await?;
    }
    crate::crash_point!("remove.slot-dropped", connector.site);
    run(connector, &client, "dropping the publication", &format!("DROP PUBLICATION IF EXISTS {}", ident(&name))).await?;
    crate::crash_point!("remove.publication-dropped", connector.site);
    let sql = format!("DROP TABLE IF EXISTS {}", qualified(&connector.server.schema, MARKER_TABLE));
    run(connector, &client, "dropping the marker table", &sql).await
}
