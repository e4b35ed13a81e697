//! Keeps sequences ahead of the rows that a writer writes.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::{Client, Error, Statement};

use super::errors::Fault;
use super::pipeline::{Bound, guarded};
use super::sequences::{self, Sequence};
use super::values::Param;
use crate::model::{SiteTable, Value, WriteKind};
use crate::sites::RowWrite;

/// The sequences of the tables that have been written to, by schema and name.
#[derive(Default)]
pub(super) struct Ahead(HashMap<(String, String), Vec<Known>>);

struct Known {
    sequence: Sequence,
    /// A number that its next one is above.
    above: i64,
    advance: Statement,
}

impl Ahead {
    /// Before a transaction: looks up, once for each table, which columns a sequence numbers that we may move.
    pub async fn find(&mut self, client: &Client, rows: &[RowWrite]) -> Result<(), Error> {
        for row in inserts(rows) {
            if self.0.contains_key(&place(&row.table)) {
                continue;
            }
            let mut known = Vec::new();
            for sequence in sequences::find(client, &row.table).await?.into_iter().filter(|sequence| sequence.may) {
                let advance = client.prepare(&sequence.advance()).await?;
                known.push(Known { sequence, above: i64::MIN, advance });
            }
            self.0.insert(place(&row.table), known);
        }
        Ok(())
    }

    /// Numbers that came from another site must not be drawn here again. Done before the commit: an application that sees the
    /// rows (as Drupal looks for the highest uid) asks the sequence for a higher number, and must get it.
    pub async fn advance(&mut self, client: &Client, site: &str, rows: &[RowWrite]) -> Result<(), Error> {
        let mut altered = Vec::new();
        for (name, sequences) in &mut self.0 {
            for known in sequences {
                let written = inserts(rows).filter(|row| row.table.schema == name.0 && row.table.name == name.1);
                let numbers = written.filter_map(|row| Some((number(row, &known.sequence.column)?, &row.table)));
                let Some((highest, table)) = numbers.max_by_key(|(number, _)| *number).filter(|(highest, _)| *highest > known.above) else {
                    continue;
                };
                match known.reach(client, table, highest).await? {
                    Ok(()) => known.above = highest,
                    Err(fault) => {
                        let (table, sequence) = (&table.table.name, known.sequence.qualified());
                        tracing::warn!(site, table, sequence, "a sequence was not moved on: {}; `rosterd check` looks at it", fault.text());
                        altered.push(name.clone());
                    }
                }
            }
        }
        // It may be another one by now.
        altered.iter().for_each(|name| drop(self.0.remove(name)));
        Ok(())
    }
}

impl Known {
    async fn reach(&self, client: &Client, table: &Arc<SiteTable>, highest: i64) -> Result<Result<(), Fault>, Error> {
        let bound = Bound { prepared: self.advance.clone(), params: vec![Param::Text(highest.to_string())] };
        match guarded(client, &[bound], 1, None).await?.into_iter().next() {
            Some(Ok(0)) => return Ok(Ok(())),
            Some(Err(failed)) => return Ok(Err(failed.fault)),
            Some(Ok(_)) | None => {}
        }
        client.batch_execute("SAVEPOINT rosterd").await?;
        let (end, done) = match sequences::set(client, table, &self.sequence, highest).await {
            Ok(_) => ("RELEASE rosterd", Ok(())),
            Err(error) => match Fault::of(&error) {
                Some(fault) => ("ROLLBACK TO rosterd; RELEASE rosterd", Err(fault)),
                None => return Err(error),
            },
        };
        client.batch_execute(end).await?;
        Ok(done)
    }
}

fn inserts(rows: &[RowWrite]) -> impl Iterator<Item = &RowWrite> {
    rows.iter().filter(|row| row.kind == WriteKind::Insert)
}

fn place(table: &SiteTable) -> (String, String) {
    (table.schema.clone(), table.name.clone())
}

fn number(row: &RowWrite, column: &str) -> Option<i64> {
    let (_, value) = row.columns.iter().find(|(number, _)| row.table.columns[*number].as_ref().is_some_and(|c| c.name == column))?;
    match value {
        Value::Int(n) => Some(*n),
        _ => None,
    }
}
