//! What `check` proves about a server, and the statements that mend it. Privileges are tried, not only looked up.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::Client;

use super::connect::{Connector, ident, own_name, qualified};
use super::errors::{Fault, from_driver};
use super::pgoutput::Lsn;
use super::prepare::{create_marker_table, published};
use super::replication::Replication;
use crate::config::TlsMode;
use crate::model::{Position, SiteTable};
use crate::sites::{Cause, Finding, MARKER_TABLE, Result};

const VERSION_MIN: i32 = 140_000;
const CLOCK_OFFSET_MAX_US: i64 = 1_000_000;

pub(super) async fn probe(connector: &Connector, tables: &[Arc<SiteTable>], from: Option<&Position>) -> Result<Vec<Finding>> {
    let client = connector.client().await?;
    let probe = Probe { connector, client };
    let mut findings =
        vec![probe.version().await?, probe.tls().await?, probe.read_only().await?, probe.encoding().await?, probe.clock().await?];
    findings.extend(probe.replication().await?);
    findings.extend(probe.log_settings().await?);
    findings.push(probe.triggers_off().await?);
    findings.push(probe.own_objects(tables).await?);
    findings.extend(probe.slot(from).await?);
    for table in tables {
        findings.push(probe.table(table).await?);
        findings.extend(probe.identity(table).await?);
    }
    Ok(findings)
}

struct Probe<'a> {
    connector: &'a Connector,
    client: Client,
}

impl Probe<'_> {
    fn role(&self) -> String {
        ident(&self.connector.server.user)
    }

    /// A setting as text; None where the server does not have it.
    async fn setting(&self, name: &str) -> Result<Option<String>> {
        let row = self.client.query_one("SELECT current_setting($1, true)", &[&name]).await;
        row.map(|row| row.get(0)).map_err(|error| from_driver(&self.connector.site, "reading settings", error))
    }

    async fn flag(&self, sql: &str) -> Result<bool> {
        let row = self.client.query_one(sql, &[]).await;
        row.map(|row| row.get(0)).map_err(|error| from_driver(&self.connector.site, "looking at the server", error))
    }

    async fn number(&self, sql: &str) -> Result<i64> {
        let row = self.client.query_one(sql, &[]).await;
        row.map(|row| row.get(0)).map_err(|error| from_driver(&self.connector.site, "looking at the server", error))
    }

    async fn version(&self) -> Result<Finding> {
        let number: i32 = self.setting("server_version_num").await?.and_then(|text| text.parse().ok()).unwrap_or_default();
        let text = format!("PostgreSQL {}", self.setting("server_version").await?.unwrap_or_default());
        Ok(if number >= VERSION_MIN {
            Finding::fine("version", text)
        } else {
            Finding::error("version", format!("{text} is too old"), "upgrade to PostgreSQL 14 or later")
        })
    }

    async fn tls(&self) -> Result<Finding> {
        let encrypted = self.flag("SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)").await?;
        Ok(match (encrypted, self.connector.tls.mode) {
            (true, TlsMode::VerifyCa) => {
                Finding::warning("tls", "encrypted, and the server's name is not verified", "set tls = \"verify-full\"")
            }
            (true, _) => Finding::fine("tls", "encrypted, and the server's certificate is verified"),
            (false, _) => Finding::fine("tls", "not encrypted, as configured"),
        })
    }

    async fn read_only(&self) -> Result<Finding> {
        if self.flag("SELECT pg_is_in_recovery()").await? {
            return Ok(Finding::error("writes", "the server is a standby", "point the site's url at the primary"));
        }
        if self.setting("default_transaction_read_only").await?.as_deref() == Some("on") {
            let remedy = format!("ALTER ROLE {} SET default_transaction_read_only = off", self.role());
            return Ok(Finding::error("writes", "transactions are read-only by default", remedy));
        }
        Ok(Finding::fine("writes", "the server takes writes"))
    }

    async fn encoding(&self) -> Result<Finding> {
        let encoding = self.setting("server_encoding").await?.unwrap_or_default();
        Ok(if encoding == "UTF8" {
            Finding::fine("encoding", "UTF8")
        } else {
            let text = format!("the database is encoded in {encoding}, which can't hold every text");
            Finding::error("encoding", text, "dump the database and restore it into one made WITH ENCODING 'UTF8' TEMPLATE template0")
        })
    }

    async fn clock(&self) -> Result<Finding> {
        let here = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
        let before = here();
        let there = self.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").await?;
        let after = here();
        // Within the round trip nothing can be said.
        let offset = if there < before { there - before } else { (there - after).max(0) };
        let text = format!("{:.3} s off this machine's", offset as f64 / 1e6);
        Ok(if offset.abs() > CLOCK_OFFSET_MAX_US {
            Finding::warning("clock", text, "synchronize the clocks (chrony, systemd-timesyncd): they decide conflicts")
        } else {
            Finding::fine("clock", text)
        })
    }

    /// Tried: a connection in replication mode that answers.
    async fn replication(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let tried = async { Replication::connect(self.connector).await?.query("IDENTIFY_SYSTEM").await };
        findings.push(match tried.await {
            Ok(_) => Finding::fine("replication", "replication connections are permitted"),
            Err(error) if matches!(error.cause, Cause::Privilege | Cause::Credentials) => {
                let remedy = format!("ALTER ROLE {} REPLICATION; and a line for it in pg_hba.conf", self.role());
                Finding::error("replication", format!("a replication connection is refused: {}", error.message), remedy)
            }
            Err(error) if error.is_away() => return Err(error),
            Err(error) => {
                let remedy = error.advice.clone().unwrap_or_else(|| "see the server's log".into());
                Finding::error("replication", format!("no replication connection: {}", error.message), remedy)
            }
        });
        Ok(findings)
    }

    async fn log_settings(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        findings.push(match self.setting("wal_level").await?.as_deref() {
            Some("logical") => Finding::fine("log format", "wal_level is logical"),
            level => Finding::error(
                "log format",
                format!("wal_level is {}", level.unwrap_or("unknown")),
                "ALTER SYSTEM SET wal_level = 'logical'; and restart the server",
            ),
        });
        let slot = own_name(&self.connector.site);
        let row =
            self.client.query_one(SLOTS, &[&slot]).await.map_err(|error| from_driver(&self.connector.site, "counting slots", error))?;
        for (column, name) in ["max_replication_slots", "max_wal_senders"].into_iter().enumerate() {
            let (max, used): (i64, i64) = (row.get(2 * column), row.get(2 * column + 1));
            let text = format!("{name}: {} of {max} free", (max - used).max(0));
            findings.push(if used < max {
                Finding::fine("slots", text)
            } else {
                Finding::error("slots", text, format!("ALTER SYSTEM SET {name} = {}; and restart the server", max + 4))
            });
        }
        if let Some(libraries) = self.setting("output_plugin_libraries").await?
            && !libraries.is_empty()
            && !libraries.split(',').any(|name| matches!(name.trim().trim_matches('"'), "pgoutput" | "*"))
        {
            let remedy = format!("ALTER SYSTEM SET output_plugin_libraries = '{libraries}, pgoutput'; SELECT pg_reload_conf()");
            findings.push(Finding::error("output plugin", "output_plugin_libraries leaves out pgoutput", remedy));
        }
        if self.setting("max_slot_wal_keep_size").await?.as_deref() == Some("-1") {
            findings.push(Finding::fine(
                "disk",
                "max_slot_wal_keep_size is not set: while rosterd is down the server keeps all WAL; a limit would protect its disk",
            ));
        }
        Ok(findings)
    }

    async fn triggers_off(&self) -> Result<Finding> {
        let tried = self.client.batch_execute("BEGIN; SET LOCAL session_replication_role = replica; ROLLBACK").await;
        let Err(error) = tried else {
            return Ok(Finding::fine("triggers", "our writes do not fire the applications' triggers"));
        };
        let _ = self.client.batch_execute("ROLLBACK").await;
        if Fault::of(&error).is_none() {
            return Err(from_driver(&self.connector.site, "trying session_replication_role", error));
        }
        let newer = self.number("SELECT current_setting('server_version_num')::bigint").await? >= 150_000;
        let remedy = if newer {
            format!("GRANT SET ON PARAMETER session_replication_role TO {}", self.role())
        } else {
            "only a superuser can on this version: accept it, or upgrade to 15".into()
        };
        Ok(Finding::warning("triggers", "our writes fire the applications' triggers and cascades a second time", remedy))
    }

    /// Marker table and publication: there, or ours to make.
    async fn own_objects(&self, tables: &[Arc<SiteTable>]) -> Result<Finding> {
        let schema = &self.connector.server.schema;
        let name = own_name(&self.connector.site);
        let marker = qualified(schema, MARKER_TABLE);
        let refused = |error| from_driver(&self.connector.site, "looking at the catalog", error);
        let row = self.client.query_one(OWN, &[&schema, &marker, &name]).await.map_err(refused)?;
        if !row.get::<_, bool>(0) {
            return Ok(Finding::error("schema", format!("there is no schema {schema}"), "correct `schema` in the site's url"));
        }
        let (marker_there, may_create, published_there, may_publish): (bool, bool, bool, bool) =
            (row.get(1), row.get(2), row.get(3), row.get(4));
        let mut missing = Vec::new();
        if !marker_there && !may_create {
            missing.push(format!("GRANT CREATE ON SCHEMA {} TO {}", ident(schema), self.role()));
        }
        let may_add = published_there || (may_publish && self.owns(tables).await?);
        if !may_add {
            missing.push(create_marker_and_publication(self.connector, tables).join("; "));
        }
        Ok(if missing.is_empty() {
            Finding::fine("own tables", "marker table and publication are there or can be made")
        } else {
            Finding::error("own tables", "the marker table or the publication is missing and can't be made", missing.join("; "))
        })
    }

    async fn owns(&self, tables: &[Arc<SiteTable>]) -> Result<bool> {
        const SQL: &str = "SELECT coalesce(bool_and(pg_has_role(relowner, 'USAGE')), true) FROM pg_class WHERE oid = ANY(SELECT to_regclass(name)::oid FROM unnest($1::text[]) name)";
        let names: Vec<String> = tables.iter().map(|table| qualified(&table.schema, &table.name)).collect();
        let row = self.client.query_one(SQL, &[&names]).await;
        row.map(|row| row.get(0)).map_err(|error| from_driver(&self.connector.site, "looking at owners", error))
    }

    async fn slot(&self, from: Option<&Position>) -> Result<Vec<Finding>> {
        const SQL: &str = "SELECT confirmed_flush_lsn::text, coalesce(wal_status, ''), active, \
            coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint FROM pg_replication_slots \
            WHERE slot_name = $1 AND database = current_database() AND NOT pg_is_in_recovery()";
        let name = own_name(&self.connector.site);
        let row =
            self.client.query_opt(SQL, &[&name]).await.map_err(|error| from_driver(&self.connector.site, "looking at the slot", error))?;
        const COMPARED: &str = "nothing to do: the site's tables are compared with the ledger";
        Ok(match (row, from) {
            (None, None) => Vec::new(),
            (None, Some(_)) => vec![Finding::warning("slot", format!("replication slot {name} is gone"), COMPARED)],
            (Some(row), from) => {
                let confirmed = row.get::<_, Option<&str>>(0).and_then(Lsn::parse);
                let from = from.and_then(|position| Lsn::parse(&position.0));
                let lost =
                    row.get::<_, &str>(1) == "lost" || matches!((confirmed, from), (Some(confirmed), Some(from)) if confirmed > from);
                let (active, kept): (bool, i64) = (row.get(2), row.get(3));
                let state = format!("{name} is {}, and keeps {} MB of WAL", if active { "being read" } else { "idle" }, kept >> 20);
                vec![if lost {
                    Finding::warning("slot", format!("{state}; the log since we left off is lost"), COMPARED)
                } else {
                    Finding::fine("slot", state)
                }]
            }
        })
    }

    async fn table(&self, table: &SiteTable) -> Result<Finding> {
        let name = qualified(&table.schema, &table.name);
        let subject = format!("privileges on {}", table.name);
        let columns: Vec<String> = table.columns.iter().flatten().map(|column| ident(&column.name)).collect();
        let Some(first) = columns.first() else { return Ok(Finding::fine(subject, "no column is shared")) };
        let list = columns.join(", ");
        let statements = [
            ("SELECT", format!("SELECT {list} FROM {name} WHERE false")),
            ("INSERT", format!("INSERT INTO {name} ({list}) OVERRIDING SYSTEM VALUE SELECT {list} FROM {name} WHERE false")),
            ("UPDATE", format!("UPDATE {name} SET {first} = {first} WHERE false")),
            ("DELETE", format!("DELETE FROM {name} WHERE false")),
        ];
        let mut missing = Vec::new();
        for (privilege, statement) in statements {
            let tried = self.client.batch_execute(&format!("BEGIN; {statement}; ROLLBACK")).await;
            let Err(error) = tried else { continue };
            let Some(fault) = Fault::of(&error) else { return Err(from_driver(&self.connector.site, "trying privileges", error)) };
            let _ = self.client.batch_execute("ROLLBACK").await;
            match fault.cause() {
                Cause::Privilege => missing.push(privilege),
                // What a table itself refuses (a generated column, say) is for the comparison of columns to tell.
                Cause::Missing => return Ok(Finding::error(subject, fault.text(), "correct the site's table and column names")),
                _ => {}
            }
        }
        Ok(if missing.is_empty() {
            Finding::fine(subject, "read and write")
        } else {
            let list = missing.join(", ");
            Finding::error(subject, format!("{list} is not permitted"), format!("GRANT {list} ON {name} TO {}", self.role()))
        })
    }

    /// Whether updates and deletes in the log name the shared key.
    async fn identity(&self, table: &SiteTable) -> Result<Option<Finding>> {
        const SQL: &str = "SELECT c.relreplident::text, ARRAY(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey) \
            WHERE i.indrelid = c.oid AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)) \
            FROM pg_class c WHERE c.oid = to_regclass($1)";
        let name = qualified(&table.schema, &table.name);
        let row = self
            .client
            .query_opt(SQL, &[&name])
            .await
            .map_err(|error| from_driver(&self.connector.site, "looking at replica identities", error))?;
        let Some(row) = row else { return Ok(None) };
        let covered: Vec<String> = row.get(1);
        let key = table.table.key.iter().filter_map(|number| table.columns[*number].as_ref());
        if row.get::<_, &str>(0) == "f" || key.into_iter().all(|column| covered.contains(&column.name)) {
            return Ok(None);
        }
        let text = "updates and deletes in its log do not name the shared key";
        Ok(Some(Finding::error(format!("replica identity of {}", table.name), text, format!("ALTER TABLE {name} REPLICA IDENTITY FULL"))))
    }
}

/// Free slots are counted without our own, and senders without the one that reads it.
const SLOTS: &str = "SELECT current_setting('max_replication_slots')::bigint, \
    (SELECT count(*) FROM pg_replication_slots WHERE slot_name <> $1), current_setting('max_wal_senders')::bigint, \
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender' \
        AND pid NOT IN (SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1 AND active_pid IS NOT NULL))";

const OWN: &str = "SELECT to_regnamespace(quote_ident($1)) IS NOT NULL, to_regclass($2) IS NOT NULL, \
    coalesce(has_schema_privilege(to_regnamespace(quote_ident($1))::oid, 'CREATE'), false), \
    EXISTS (SELECT FROM pg_publication WHERE pubname = $3), has_database_privilege(current_database(), 'CREATE')";

fn create_marker_and_publication(connector: &Connector, tables: &[Arc<SiteTable>]) -> Vec<String> {
    let schema = &connector.server.schema;
    let create = create_marker_table(schema).replacen("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1);
    vec![
        create,
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}", qualified(schema, MARKER_TABLE), ident(&connector.server.user)),
        format!("CREATE PUBLICATION {} FOR TABLE {}", own_name(&connector.site), published(schema, tables)),
    ]
}

pub(super) fn grants(connector: &Connector, tables: &[Arc<SiteTable>]) -> Vec<String> {
    let (role, server) = (ident(&connector.server.user), &connector.server);
    let named = tables.iter().filter_map(|table| Some(table.allocation.as_ref()?.sequence.as_ref()?.0.as_str()));
    let own = tables.iter().map(|table| table.schema.as_str()).chain([server.schema.as_str()]);
    let mut schemas: Vec<&str> = own.chain(named).collect();
    schemas.sort_unstable();
    schemas.dedup();
    let mut statements = vec![
        format!("ALTER ROLE {role} LOGIN REPLICATION"),
        format!("GRANT CONNECT ON DATABASE {} TO {role}", ident(&server.database)),
        // PostgreSQL 15 and later.
        format!("GRANT SET ON PARAMETER session_replication_role TO {role}"),
    ];
    for schema in schemas {
        statements.push(format!("GRANT USAGE ON SCHEMA {} TO {role}", ident(schema)));
        // For the numbers that come from other sites.
        statements.push(format!("GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA {} TO {role}", ident(schema)));
    }
    for table in tables {
        statements.push(format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {role}", qualified(&table.schema, &table.name)));
    }
    statements.extend(create_marker_and_publication(connector, tables));
    statements
}
