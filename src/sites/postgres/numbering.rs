//! How the server gives out numbers for a table's key: by a sequence, which rosterd moves on.

use std::sync::Arc;

use tokio_postgres::Client;

use super::connect::{Connector, ident, qualified};
use super::errors::from_driver;
use super::sequences::{self, Sequence};
use crate::model::{Class, SiteTable};
use crate::sites::{Finding, Given, Numbering, Result};

pub(super) async fn numbering(connector: &Connector, class: Class, tables: &[Arc<SiteTable>]) -> Result<Vec<Numbering>> {
    let client = connector.client().await?;
    let refused = |error| from_driver(&connector.site, "looking at sequences", error);
    let mut all = Vec::with_capacity(tables.len());
    for table in tables {
        let found = sequences::find(&client, table).await.map_err(refused)?;
        let named = table.allocation.as_ref().and_then(|allocation| allocation.sequence.as_ref());
        let of_key = found.into_iter().find(|sequence| Some(sequence.column.as_str()) == sequences::key_column(table));
        all.push(match (of_key, named) {
            (Some(sequence), _) => of_sequence(connector, &client, class, table, &sequence).await.map_err(refused)?,
            (None, Some((schema, name))) => {
                let text = format!("{}: there is no sequence {}", table.table.name, qualified(schema, name));
                let remedy = "correct `sequence` in the table's [[table]], or let the account see it (`rosterd grants`)";
                Numbering { given: Given::Unknown, notes: vec![Finding::error("ids", text, remedy)] }
            }
            (None, None) => Numbering { given: Given::Unknown, notes: Vec::new() },
        });
    }
    Ok(all)
}

async fn of_sequence(
    connector: &Connector,
    client: &Client,
    class: Class,
    table: &SiteTable,
    sequence: &Sequence,
) -> std::result::Result<Numbering, tokio_postgres::Error> {
    let (name, step) = (sequence.qualified(), sequence.increment);
    let mut notes = Vec::new();
    if !sequence.may {
        let text = format!("{}: its sequence {name} may not be read and moved behind numbers of other sites", table.table.name);
        let remedy = format!("GRANT SELECT, UPDATE ON SEQUENCE {name} TO {}", ident(&connector.server.user));
        notes.push(Finding::error("ids", text, remedy));
    }
    if sequence.cache > 1 {
        let text = format!(
            "{}: its sequence {name} has CACHE {}: sessions keep numbers back that are lower than those of other sites, and Drupal 7 restarts it then",
            table.table.name, sequence.cache
        );
        notes.push(Finding::warning("ids", text, format!("ALTER SEQUENCE {name} CACHE 1")));
    }
    let next = if sequence.may { next(client, table, sequence).await? } else { None };
    let by = format!("sequence {name} with INCREMENT BY {step}");
    // One that has left its class is brought back when the daemon starts, if it may be moved.
    let given = if step == class.increment { class } else { Class::of(next.map_or(1, |(next, _)| next), step) };
    let restart = next.and_then(|(next, highest)| class.next_from(next.max(highest.saturating_add(1)))).unwrap_or(class.offset);
    let remedy = format!("ALTER SEQUENCE {name} INCREMENT BY {} RESTART WITH {restart}", class.increment);
    Ok(Numbering { given: Given::Class { class: given, by, remedy }, notes })
}

/// The number that comes next, and the table's highest key.
async fn next(client: &Client, table: &SiteTable, sequence: &Sequence) -> std::result::Result<Option<(i64, i64)>, tokio_postgres::Error> {
    let sql = format!(
        "SELECT last_value + CASE WHEN is_called THEN {} ELSE 0 END, coalesce((SELECT max({})::bigint FROM {}), 0) FROM {}",
        sequence.increment,
        ident(&sequence.column),
        qualified(&table.schema, &table.name),
        sequence.qualified()
    );
    Ok(client.query_opt(&sql, &[]).await?.map(|row| (row.get(0), row.get(1))))
}
