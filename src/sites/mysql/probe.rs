//! Everything about a server that `check` proves.

use std::sync::Arc;

use mysql_async::prelude::Queryable;

use super::connect::{Flavor, Session, quoted};
use super::log;
use super::steps::{column_name, full_name};
use crate::config::TlsMode;
use crate::model::{Position, SiteTable};
use crate::sites::{Cause, Finding, MARKER_TABLE, Result};

const RETENTION_SECONDS_MIN: u64 = 3 * 86_400;
const PACKET_BYTES_MIN: usize = 16 << 20;
const CLOCK_MS_MAX: i64 = 1000;

pub(super) async fn probe(mut session: Session, tables: &[Arc<SiteTable>], from: Option<&Position>) -> Result<Vec<Finding>> {
    let mut findings = vec![version(&session), tls(&mut session).await];
    findings.extend(log_settings(&mut session).await);
    findings.push(read_only(&mut session).await);
    findings.push(retention(&mut session).await);
    findings.push(packet(&session));
    findings.push(clock(&mut session).await);
    findings.extend(privileges(&mut session, tables).await?);
    findings.extend(position(&mut session, from).await?);
    findings.push(stream(&session, from).await?);
    Ok(findings)
}

fn version(session: &Session) -> Finding {
    let (major, minor, patch) = session.version;
    let text = format!("{} {major}.{minor}.{patch}", session.flavor.name());
    let least = match session.flavor {
        Flavor::MariaDb => (10, 5),
        Flavor::MySql => (8, 0),
    };
    if (major, minor) >= least {
        return Finding::fine("version", text);
    }
    Finding::error("version", text, format!("upgrade to {} {}.{} or later", session.flavor.name(), least.0, least.1))
}

async fn tls(session: &mut Session) -> Finding {
    let cipher = session.ask("SELECT VARIABLE_VALUE FROM performance_schema.session_status WHERE VARIABLE_NAME = 'Ssl_cipher'").await;
    let cipher = match cipher {
        Some(cipher) => Some(cipher),
        None => session.ask("SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_cipher'").await,
    };
    match cipher.filter(|cipher| !cipher.is_empty()) {
        Some(cipher) => Finding::fine("TLS", format!("on ({cipher})")),
        None if session.server.tls.mode == TlsMode::Off => Finding::fine("TLS", "off, as configured or because the server is on this host"),
        None => Finding::warning("TLS", "off, though configured: the connection is a local socket", "remove tls from the site"),
    }
}

/// A variable that must have a value.
struct Setting {
    name: &'static str,
    wanted: &'static [&'static str],
    remedy: &'static str,
}

const SETTINGS: &[Setting] = &[
    Setting { name: "log_bin", wanted: &["1", "ON"], remedy: "log_bin = binlog in the server's [mysqld] section, then restart it" },
    Setting { name: "binlog_format", wanted: &["ROW"], remedy: "SET GLOBAL binlog_format = 'ROW', and binlog_format = ROW in [mysqld]" },
    Setting {
        name: "binlog_row_image",
        wanted: &["FULL"],
        remedy: "SET GLOBAL binlog_row_image = 'FULL', and binlog_row_image = FULL in [mysqld]",
    },
];

const MYSQL_SETTINGS: &[Setting] = &[
    Setting { name: "gtid_mode", wanted: &["ON"], remedy: "gtid_mode = ON and enforce_gtid_consistency = ON in [mysqld], then restart it" },
    Setting { name: "enforce_gtid_consistency", wanted: &["ON", "1"], remedy: "enforce_gtid_consistency = ON in [mysqld]" },
    Setting { name: "binlog_row_value_options", wanted: &[""], remedy: "SET GLOBAL binlog_row_value_options = ''" },
    Setting { name: "binlog_order_commits", wanted: &["1", "ON"], remedy: "SET GLOBAL binlog_order_commits = ON" },
];

async fn log_settings(session: &mut Session) -> Vec<Finding> {
    let mut findings = Vec::new();
    let of_flavor = if session.flavor == Flavor::MySql { MYSQL_SETTINGS } else { &[] };
    for setting in SETTINGS.iter().chain(of_flavor) {
        // MySQL will drop binlog_format one day: the format is ROW then.
        let Some(value) = session.ask(format!("SELECT @@GLOBAL.{}", setting.name)).await else { continue };
        findings.push(if setting.wanted.iter().any(|wanted| value.eq_ignore_ascii_case(wanted)) {
            Finding::fine("log format", format!("{} = {value}", setting.name))
        } else {
            Finding::error("log format", format!("{} = {value}", setting.name), setting.remedy)
        });
    }
    if session.ask("SELECT @@GLOBAL.server_id").await.as_deref() == Some("0") {
        findings.push(Finding::error("log format", "server_id = 0, so nobody may read the log", "server_id = 1 in [mysqld]"));
    }
    findings
}

async fn read_only(session: &mut Session) -> Finding {
    let on = |value: Option<String>| value.is_some_and(|v| matches!(v.as_str(), "1" | "ON"));
    if on(session.ask("SELECT @@GLOBAL.read_only").await) || on(session.ask("SELECT @@GLOBAL.super_read_only").await) {
        return Finding::error("writable", "the server is read-only", "SET GLOBAL read_only = OFF, or name the primary server");
    }
    Finding::fine("writable", "read_only is off")
}

async fn retention(session: &mut Session) -> Finding {
    let mut seconds = session.ask("SELECT @@GLOBAL.binlog_expire_logs_seconds").await.and_then(|s| s.parse::<f64>().ok());
    if seconds.is_none_or(|s| s == 0.0) {
        let days = session.ask("SELECT @@GLOBAL.expire_logs_days").await.and_then(|s| s.parse::<f64>().ok());
        seconds = days.map(|days| days * 86_400.0).or(seconds);
    }
    match seconds.map(|s| s as u64) {
        None | Some(0) => Finding::fine("log retention", "binary logs are kept until they are purged by hand"),
        Some(s) if s >= RETENTION_SECONDS_MIN => Finding::fine("log retention", format!("binary logs are kept for {} days", s / 86_400)),
        Some(s) => Finding::warning(
            "log retention",
            format!("binary logs are kept for {s} s: after a longer outage every table is compared anew"),
            "SET GLOBAL binlog_expire_logs_seconds = 604800",
        ),
    }
}

fn packet(session: &Session) -> Finding {
    let bytes = session.packet_bytes_max;
    let text = format!("max_allowed_packet = {bytes}");
    if bytes >= PACKET_BYTES_MIN {
        return Finding::fine("packet size", text);
    }
    Finding::warning("packet size", format!("{text}: larger rows can't be written"), "SET GLOBAL max_allowed_packet = 67108864")
}

async fn clock(session: &mut Session) -> Finding {
    let before = log::now_us();
    let theirs = session.ask("SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS UNSIGNED)").await.and_then(|us| us.parse::<i64>().ok());
    let after = log::now_us();
    let Some(theirs) = theirs else {
        return Finding::warning("clock", "the server does not tell its time", "check the server");
    };
    let ms = (theirs - (before + after) / 2) / 1000;
    if ms.abs() - (after - before) / 2000 <= CLOCK_MS_MAX {
        return Finding::fine("clock", format!("{ms} ms from this host's"));
    }
    let text = format!("{ms} ms from this host's: conflicts are decided by commit times");
    Finding::warning("clock", text, "synchronize the clocks (chrony, systemd-timesyncd)")
}

/// Privileges are tried, by statements that change nothing.
async fn privileges(session: &mut Session, tables: &[Arc<SiteTable>]) -> Result<Vec<Finding>> {
    let mut missing = Vec::new();
    for table in tables {
        for sql in trials(table) {
            if let Err(error) = session.conn.query_drop(&sql).await {
                let error = session.server.failed("try a statement", error);
                if error.cause == Cause::Disconnected {
                    return Err(error);
                }
                let verb = sql.split(' ').next().unwrap_or_default();
                missing.push(Finding::error(
                    "privileges",
                    format!("{verb} on {}.{}: {}", table.schema, table.name, error.message),
                    format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}", full_name(table), account(session).await),
                ));
            }
        }
    }
    if let Some(finding) = marker_table(session).await {
        missing.push(finding);
    }
    if missing.is_empty() {
        missing.push(Finding::fine("privileges", format!("reads and writes {} tables and the marker table", tables.len())));
    }
    Ok(missing)
}

fn trials(table: &SiteTable) -> [String; 4] {
    let name = full_name(table);
    let columns: Vec<String> = (0..table.columns.len()).filter(|c| table.columns[*c].is_some()).map(|c| column_name(table, c)).collect();
    let (all, first) = (columns.join(", "), columns.first().map_or("", String::as_str));
    [
        format!("SELECT {all} FROM {name} WHERE 1 = 0"),
        format!("INSERT INTO {name} ({all}) SELECT {all} FROM {name} WHERE 1 = 0"),
        format!("UPDATE {name} SET {first} = {first} WHERE 1 = 0"),
        format!("DELETE FROM {name} WHERE 1 = 0"),
    ]
}

async fn account(session: &mut Session) -> String {
    let account = session.ask("SELECT CURRENT_USER()").await.unwrap_or_default();
    let (user, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
    format!("'{user}'@'{host}'")
}

async fn marker_table(session: &mut Session) -> Option<Finding> {
    let name = format!("{}.{}", quoted(&session.server.database), quoted(MARKER_TABLE));
    let there = session.ask(format!("SELECT COUNT(*) FROM {name} WHERE 1 = 0")).await.is_some();
    let tried = if there {
        session.conn.query_drop(format!("DELETE FROM {name} WHERE 1 = 0")).await
    } else {
        // Granted on the name alone, so the table itself has to be tried: it is ours.
        let create = format!("CREATE TABLE IF NOT EXISTS {name} {}", super::MARKER_COLUMNS);
        match session.conn.query_drop(create).await {
            Ok(()) => session.conn.query_drop(format!("DROP TABLE {name}")).await,
            refused => refused,
        }
    };
    let error = session.server.failed("use the marker table", tried.err()?);
    let grant = format!("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP ON {name} TO {}", account(session).await);
    Some(Finding::error("privileges", error.message, grant))
}

async fn position(session: &mut Session, from: Option<&Position>) -> Result<Vec<Finding>> {
    let Some(from) = from else { return Ok(Vec::new()) };
    let set = match log::parse(&session.server, session.flavor, from) {
        Ok(set) => set,
        Err(error) => return Ok(vec![Finding::error("log position", error.message, "rosterd reconcile")]),
    };
    Ok(vec![match log::prove(session, &set).await {
        Ok(()) => Finding::fine("log position", "the log has what comes after the last captured transaction"),
        Err(error) if error.cause == Cause::LogLost => {
            Finding::warning("log position", error.message, "nothing to do: the site's tables are compared anew")
        }
        Err(error) => return Err(error),
    }])
}

/// The log is read for a moment, from where capture would begin.
async fn stream(session: &Session, from: Option<&Position>) -> Result<Finding> {
    let account = session.server.user.clone();
    let remedy = format!("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{account}'@'%'");
    let tried = async {
        let mut other = session.server.connect().await?;
        let end = match from.map(|from| log::parse(&session.server, session.flavor, from)) {
            Some(Ok(set)) => set,
            _ => log::end(&mut other).await?,
        };
        log::try_stream(other, &end).await
    };
    Ok(match tried.await {
        Ok(()) => Finding::fine("log access", "the log can be read"),
        Err(error) if error.cause == Cause::LogLost => {
            Finding::warning("log access", error.message, "nothing to do: the site's tables are compared anew")
        }
        Err(error) if error.is_away() => return Err(error),
        Err(error) => Finding::error("log access", error.message, remedy),
    })
}
