//! Conflicts that were decided, and rows held back from a site.

use serde::{Deserialize, Serialize};

use super::{FORMAT, keys};
use crate::ledger::{ConflictRecord, Ledger, QuarantineRecord, Result, RowId, SiteRecord};
use crate::model::Table;

/// The answer of `rosterd conflicts`: the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflicts {
    #[serde(rename = "version")]
    pub format: u32,
    /// How many are kept in all.
    pub kept: u64,
    pub conflicts: Vec<Conflict>,
}

/// One decided conflict. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    pub id: i64,
    pub at_us: i64,
    pub kind: String,
    pub table: String,
    pub key: String,
    pub winner: String,
    pub loser: String,
    pub lost: Vec<Lost>,
}

/// A column whose value lost; the value only where it was asked for and is not secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    pub column: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
}

/// The answer of `rosterd quarantine list`: the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quarantine {
    #[serde(rename = "version")]
    pub format: u32,
    pub rows: Vec<HeldBack>,
}

/// One row held back from one site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldBack {
    /// Names it in `quarantine show`, `retry`, `resolve` and `discard`: `nj:17`.
    pub name: String,
    pub site: String,
    pub table: String,
    pub key: String,
    /// `unique`, `reference`, `data`, `value`, `apart`, `kin`.
    pub kind: String,
    pub reason: String,
    pub since_us: i64,
    pub tries: u32,
}

/// The latest `limit` conflicts, of `table` only where one is named.
pub fn conflicts(ledger: &Ledger, table: Option<&str>, limit: usize, values: bool) -> Result<Conflicts> {
    // The history is bounded by days, and a table's share of it is not known beforehand.
    let all = ledger.conflicts(if table.is_some() { i64::MAX as usize } else { limit })?;
    let wanted = |record: &ConflictRecord| table.is_none_or(|table| ledger.shared(record.table).is_some_and(|s| s.table.name == table));
    let conflicts = all.into_iter().filter(wanted).take(limit).map(|record| conflict(ledger, record, values)).collect();
    Ok(Conflicts { format: FORMAT, kept: ledger.count_conflicts()?, conflicts })
}

pub(super) fn conflict(ledger: &Ledger, record: ConflictRecord, values: bool) -> Conflict {
    let shared = ledger.shared(record.table).map(|shared| shared.table.as_ref());
    let lost = record.lost.iter().map(|(at, value)| {
        let column = shared.and_then(|table| table.columns.get(*at));
        let shown = values && column.is_some_and(|column| !column.secret);
        Lost {
            column: column.map_or_else(|| format!("column number {at}"), |column| column.name.clone()),
            value: shown.then(|| value.reveal()),
        }
    });
    Conflict {
        id: record.id,
        at_us: record.at_us,
        lost: lost.collect(),
        kind: record.kind,
        table: table_name(shared, record.table),
        key: shared.map_or_else(String::new, |table| keys::shown(table, &record.key)),
        winner: ledger.site_name(record.winner),
        loser: ledger.site_name(record.loser),
    }
}

/// The conflict of that number.
pub fn one_conflict(ledger: &Ledger, number: i64, values: bool) -> Result<Option<Conflict>> {
    Ok(ledger.conflict(number)?.map(|record| conflict(ledger, record, values)))
}

fn table_name(table: Option<&Table>, id: crate::model::TableId) -> String {
    table.map_or_else(|| format!("table number {}, not shared any more", id.0), |table| table.name.clone())
}

pub fn quarantine(ledger: &Ledger) -> Result<Quarantine> {
    let rows = ledger.quarantined()?.into_iter().map(|record| held_back(ledger, record)).collect();
    Ok(Quarantine { format: FORMAT, rows })
}

pub(super) fn held_back(ledger: &Ledger, record: QuarantineRecord) -> HeldBack {
    let shared = ledger.shared(record.table).map(|shared| shared.table.as_ref());
    let site = ledger.site_name(record.site);
    HeldBack {
        name: format!("{site}:{}", record.row.0),
        site,
        table: table_name(shared, record.table),
        key: shared.map_or_else(String::new, |table| keys::shown(table, &record.key)),
        kind: record.kind.name().into(),
        reason: record.reason,
        since_us: record.since_us,
        tries: record.tries,
    }
}

/// Site and row of a name such as `nj:17`, where a row is held back under it.
pub fn named(ledger: &Ledger, name: &str) -> Result<Option<(SiteRecord, QuarantineRecord)>> {
    let Some((site, row)) = name.rsplit_once(':') else { return Ok(None) };
    let (Some(site), Ok(row)) = (ledger.site_named(site), row.parse().map(RowId)) else { return Ok(None) };
    let found = ledger.quarantined()?.into_iter().find(|record| record.site == site.id && record.row == row);
    Ok(found.map(|record| (site.clone(), record)))
}

pub fn no_such_row(name: &str) -> String {
    format!("no row is held back under the name {name}; `rosterd quarantine list` has the names")
}

pub fn no_such_conflict(number: i64) -> String {
    format!("there is no conflict {number}; `rosterd conflicts` has the numbers")
}
