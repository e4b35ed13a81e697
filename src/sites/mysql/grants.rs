//! The statements that an administrator runs once.

use std::sync::Arc;

use super::connect::{Server, quoted};
use crate::config::{Host, TlsMode};
use crate::model::SiteTable;
use crate::sites::MARKER_TABLE;

pub(super) fn grants(server: &Server, tables: &[Arc<SiteTable>]) -> Vec<String> {
    let host = match &server.host {
        Host::Socket(_) => "localhost",
        Host::Tcp { name, .. } if matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1") => "localhost",
        Host::Tcp { .. } => "%",
    };
    let account = format!("'{}'@'{host}'", server.user.replace('\'', "''"));
    let tls = if server.tls.mode == TlsMode::Off { "" } else { " REQUIRE SSL" };
    let mut statements = vec![
        format!("CREATE USER IF NOT EXISTS {account} IDENTIFIED BY 'a-long-random-password'{tls}"),
        // Reading the log, and naming its end. MariaDB calls the second one BINLOG MONITOR and takes this name too.
        format!("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {account}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP ON {}.{} TO {account}", quoted(&server.database), quoted(MARKER_TABLE)),
    ];
    let mut names: Vec<String> = tables.iter().map(|table| format!("{}.{}", quoted(&table.schema), quoted(&table.name))).collect();
    names.sort();
    names.dedup();
    statements.extend(names.iter().map(|name| format!("GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON {name} TO {account}")));
    statements
}
