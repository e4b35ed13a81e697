//! One row: what the sites have agreed on, who said it, and what each site holds or is owed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FORMAT, history, keys};
use crate::ledger::{Ledger, RowId, Shared};
use crate::model::{Table, Value, WriteKind, fingerprint};
use crate::resolve::{Held, Known, Row, SiteView, owed};

/// The answer of `rosterd inspect TABLE KEY`. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    #[serde(rename = "version")]
    pub format: u32,
    pub table: String,
    pub key: String,
    pub exists: bool,
    /// How often the row has come and gone: odd while it exists.
    pub life: u32,
    /// Per site the highest counter among the columns' dots.
    pub version_vector: BTreeMap<String, u64>,
    pub columns: Vec<ColumnVersion>,
    /// The hub first.
    pub sites: Vec<SiteVersion>,
    /// The latest first.
    pub conflicts: Vec<history::Conflict>,
}

/// The dot of one column: the site and that site's counter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnVersion {
    pub name: String,
    pub site: String,
    pub counter: u64,
    /// Commit time at that site; 0: a first copy found it there.
    pub at_us: i64,
    /// Only where it was asked for and is not secret.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
}

/// What one site holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteVersion {
    pub site: String,
    /// `merged`, `older`, `apart`, `nothing`; `unread` and `unsure` where a scan has not come by.
    pub holds: String,
    /// None: not known.
    pub life: Option<u32>,
    /// Columns in which it differs from the merged row.
    pub differs: Vec<String>,
    /// `insert`, `columns`, `replace`, `delete`; None: it is owed nothing.
    pub owed: Option<String>,
    pub under_way: bool,
    pub quarantined: Option<history::HeldBack>,
}

/// Why a row can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Ledger(#[from] crate::ledger::Error),
}

/// The row of `table` under `key`; None: the ledger has never met it, or every site has forgotten it.
pub fn inspect(ledger: &Ledger, table: &str, key: &str, values: bool) -> Result<Option<Inspection>, Refusal> {
    let Some(shared) = ledger.tables().iter().find(|shared| shared.table.name == table) else {
        return Err(Refusal::Usage(no_table(ledger, table)));
    };
    let key = keys::parse(&shared.table, key).map_err(Refusal::Usage)?;
    let (Some(id), row) = ledger.load(shared.table.id, &key)? else { return Ok(None) };
    let conflicts = ledger.conflicts_of(shared.table.id, &key)?;
    let held_back = ledger.quarantined()?;
    let site = |view: &SiteView| {
        let mut version = site_version(ledger, &shared.table, id, &row, view);
        let record = held_back.iter().find(|record| record.site == view.id && record.row == id);
        version.quarantined = record.map(|record| history::held_back(ledger, record.clone()));
        version
    };
    Ok(Some(Inspection {
        format: FORMAT,
        table: shared.table.name.clone(),
        key: keys::shown(&shared.table, &key),
        exists: row.life.exists(),
        life: row.life.0,
        version_vector: version_vector(ledger, &row),
        columns: columns(ledger, shared, &row, values),
        sites: shared.roster.sites.iter().map(site).collect(),
        conflicts: conflicts.into_iter().map(|record| history::conflict(ledger, record, values)).collect(),
    }))
}

fn no_table(ledger: &Ledger, table: &str) -> String {
    let names: Vec<&str> = ledger.tables().iter().map(|shared| shared.table.name.as_str()).collect();
    let nearest = names.iter().map(|name| (strsim::damerau_levenshtein(name, table), *name)).min().filter(|(far, _)| *far <= 3);
    match nearest {
        Some((_, name)) => format!("table {table} is not shared; did you mean {name}?"),
        None if names.is_empty() => format!("table {table} is not shared: the ledger knows no table yet"),
        None => format!("table {table} is not shared; the shared ones are {}", names.join(", ")),
    }
}

fn version_vector(ledger: &Ledger, row: &Row) -> BTreeMap<String, u64> {
    let mut vector = BTreeMap::new();
    for register in row.registers.iter().flatten() {
        let highest = vector.entry(ledger.site_name(register.dot.site)).or_insert(0);
        *highest = register.dot.counter.max(*highest);
    }
    vector
}

fn columns(ledger: &Ledger, shared: &Shared, row: &Row, values: bool) -> Vec<ColumnVersion> {
    let with = shared.table.columns.iter().zip(&row.registers).filter_map(|(column, register)| Some((column, register.as_ref()?)));
    with.map(|(column, register)| ColumnVersion {
        name: column.name.clone(),
        site: ledger.site_name(register.dot.site),
        counter: register.dot.counter,
        at_us: register.at_us,
        value: (values && !column.secret).then(|| register.value.reveal()),
    })
    .collect()
}

fn site_version(ledger: &Ledger, table: &Table, id: RowId, row: &Row, view: &SiteView) -> SiteVersion {
    let held = row.held(view.id);
    let unsure = match (view.known, held) {
        (Known::Unknown { .. }, None) => Some("unread"),
        (Known::Absent { .. }, None) if row.life.exists() => Some("nothing"),
        (Known::Unsure { generation, .. }, held) if held.is_none_or(|held| held.seen != generation) => Some("unsure"),
        _ => None,
    };
    let differs = held.map_or_else(Vec::new, |held| differing(table, row, held));
    let holds = match (unsure, held) {
        (Some(unsure), _) => unsure,
        (None, Some(held)) if held.apart => "apart",
        (None, Some(held)) if held.life != row.life || !differs.is_empty() => "older",
        (None, _) => "merged",
    };
    let sent = ledger.under_way(view.id).and_then(|under_way| under_way.sent(id));
    SiteVersion {
        site: ledger.site_name(view.id),
        holds: holds.into(),
        life: if unsure.is_some() && held.is_none() { None } else { Some(row.life_at(view.id).0) },
        differs,
        owed: owed(row, view, sent).map(|write| kind(write.kind).to_owned()),
        under_way: sent.is_some(),
        quarantined: None,
    }
}

fn differing(table: &Table, row: &Row, held: &Held) -> Vec<String> {
    let differs = |column: usize, value: &Value| {
        let listed = held.columns.iter().find(|(c, _)| usize::from(*c) == column);
        match listed {
            Some((_, version)) => version.is_none_or(|(_, print)| print != fingerprint(value)),
            None => false,
        }
    };
    if held.life != row.life {
        return Vec::new();
    }
    let registers = row.registers.iter().enumerate().filter_map(|(column, register)| Some((column, register.as_ref()?)));
    registers.filter(|(column, register)| differs(*column, &register.value)).map(|(column, _)| table.columns[column].name.clone()).collect()
}

fn kind(kind: WriteKind) -> &'static str {
    match kind {
        WriteKind::Insert => "insert",
        WriteKind::Columns => "columns",
        WriteKind::Replace => "replace",
        WriteKind::Delete => "delete",
    }
}
