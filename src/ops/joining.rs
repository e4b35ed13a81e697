//! What would happen if a site joined the roster: its rows beside the ledger's, counted; nothing is changed.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::FORMAT;
use super::verify::{Failure, Pace, Subject};
use crate::ledger::{Ledger, Shared, claim};
use crate::model::{Cell, Dot, Image, Key, SiteTable};
use crate::resolve::{InitialPolicy, Register, Row};
use crate::sites::ChunkReader;
use crate::sites::binding::{self, Plan};

/// Rows of the ledger gone through at once.
const SLICE_ROWS: usize = 2000;

/// The answer of `rosterd site add NAME --dry-run`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joining {
    #[serde(rename = "version")]
    pub format: u32,
    pub site: String,
    pub tables: Vec<TableJoining>,
    /// Shared tables that the site does not have as they would have to be, with the reason.
    pub unfit: Vec<(String, String)>,
}

/// One shared table, in rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableJoining {
    pub table: String,
    /// The same at the site and in the roster: taken over as they are.
    pub equal: u64,
    /// In the roster only: copied to the site.
    pub copied: u64,
    /// At the site only: they go to all other sites.
    pub joining: u64,
    /// Of those, rows with a value of a unique key that another row of the roster has: renamed or held back.
    pub clashing: u64,
    /// Different at the site: the roster's row wins there.
    pub overwritten: u64,
    /// Different at the site: the site's row wins everywhere.
    pub winning: u64,
    /// Different at the site: stays there until an operator decides.
    pub apart: u64,
}

/// Reads all shared tables of a site that the ledger does not know.
pub async fn joining(plan: &Plan, ledger: &Ledger, subject: &Subject, pace: Pace) -> Result<Joining, Failure> {
    let descriptions = subject.site.describe().await?;
    let mut reader = subject.site.chunk_reader().await?;
    let mut out = Joining { format: FORMAT, site: subject.config.name.clone(), tables: Vec::new(), unfit: Vec::new() };
    for shared in ledger.tables() {
        let Some(planned) = plan.tables.iter().find(|planned| planned.name == shared.table.name) else { continue };
        let names: Vec<String> = shared.table.columns.iter().map(|column| column.name.clone()).collect();
        match binding::bind(&subject.config, planned, &Arc::new(planned.table(shared.table.id, &names)), &descriptions) {
            Ok(table) => {
                let initial = planned.policy(&shared.table).initial;
                out.tables.push(compare(ledger, shared, &initial, &Arc::new(table), reader.as_mut(), pace).await?);
            }
            Err(finding) => out.unfit.push((shared.table.name.clone(), finding.text)),
        }
    }
    Ok(out)
}

async fn compare(
    ledger: &Ledger,
    shared: &Shared,
    initial: &InitialPolicy,
    table: &Arc<SiteTable>,
    reader: &mut dyn ChunkReader,
    pace: Pace,
) -> Result<TableJoining, Failure> {
    let mut found = TableJoining { table: shared.table.name.clone(), ..TableJoining::default() };
    let mut seen = HashSet::new();
    let mut after: Option<Key> = None;
    loop {
        let rows = reader.chunk(table, after.as_ref(), pace.rows_max, pace.bytes_max).await?;
        let Some((last, _)) = rows.last() else { break };
        after = Some(last.clone());
        for (key, image) in rows {
            if ledger.is_shared(shared.table.id, &key, Some(&image)) {
                let (id, row) = ledger.load(shared.table.id, &key)?;
                seen.extend(id);
                meet(ledger, shared, initial, &row, &image, &mut found)?;
            }
        }
    }
    let mut after = i64::MIN;
    loop {
        let slice = ledger.slice(shared.table.id, after, SLICE_ROWS)?;
        let Some(last) = slice.last else { return Ok(found) };
        after = last;
        found.copied += slice.rows.iter().filter(|(id, _, row)| row.life.exists() && !seen.contains(id)).count() as u64;
    }
}

fn meet(
    ledger: &Ledger,
    shared: &Shared,
    initial: &InitialPolicy,
    row: &Row,
    image: &Image,
    found: &mut TableJoining,
) -> Result<(), Failure> {
    if !row.life.exists() {
        found.joining += 1;
        found.clashing += u64::from(clashes(ledger, shared, image)?);
        return Ok(());
    }
    let differs = |(cell, register): (&Cell, &Option<Register>)| match (cell, register) {
        (Cell::Value(value), Some(register)) => *value != register.value,
        _ => false,
    };
    if !image.iter().zip(&row.registers).any(differs) {
        found.equal += 1;
        return Ok(());
    }
    match initial {
        InitialPolicy::Quarantine => found.apart += 1,
        InitialPolicy::Newest(column) if is_newer(&image[*column], &row.registers[*column]) => found.winning += 1,
        InitialPolicy::Newest(_) | InitialPolicy::Hub => found.overwritten += 1,
    }
    Ok(())
}

fn is_newer(cell: &Cell, merged: &Option<Register>) -> bool {
    match (cell, merged) {
        (Cell::Value(here), Some(merged)) => here.compare(&merged.value).is_some_and(|order| order.is_gt()),
        _ => false,
    }
}

/// Another row of the roster has its value of a unique key.
fn clashes(ledger: &Ledger, shared: &Shared, image: &Image) -> Result<bool, Failure> {
    let dot = Dot { site: crate::model::SiteId(0), counter: 0 };
    let register = |cell: &Cell| match cell {
        Cell::Value(value) => Some(Register { value: value.clone(), dot, at_us: 0 }),
        Cell::Unchanged | Cell::Refused(_) => None,
    };
    let row = Row { registers: image.iter().map(register).collect(), ..Row::default() };
    for unique in &shared.unique {
        if let Some(print) = claim(&row, unique)
            && !ledger.claimants(shared.table.id, print)?.is_empty()
        {
            return Ok(true);
        }
    }
    Ok(false)
}
