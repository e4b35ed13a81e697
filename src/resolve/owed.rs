//! What a site is owed: the difference between the merged row and what it holds or is about to hold. State, not events.

use super::policy::SiteView;
use super::row::Row;
use crate::model::{Dot, Key, Life, SentRow, TableId, WriteKind, fingerprint};
use crate::mutation;

/// One row's write to one site: kind, life, and the columns to write with their dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub kind: WriteKind,
    pub life: Life,
    pub columns: Vec<(usize, Dot)>,
}

/// What `site` still lacks of `row`, less what is under way to it (`sent`). None: nothing, or nothing may be written there now.
pub fn owed(row: &Row, site: &SiteView, sent: Option<&SentRow>) -> Option<Write> {
    let held = row.held(site.id)?;
    if held.apart || !row.is_seen(site) && !mutation::without("guard") {
        return None;
    }
    let whole = sent.filter(|sent| sent.kind != WriteKind::Columns);
    let life = whole.map_or(held.life, |sent| sent.life);
    let there = |column: usize| -> Option<Dot> {
        let under_way = sent.and_then(|sent| sent.columns.iter().find(|(c, ..)| usize::from(*c) == column));
        match under_way {
            Some((_, dot, _)) => Some(*dot),
            None if whole.is_some() => None,
            None => row.dot_of(held, column),
        }
    };
    let has = || row.registers.iter().enumerate().filter(|(column, _)| site.has[*column]);
    let mut merged: Vec<(usize, Dot)> = has().filter_map(|(column, register)| Some((column, register.as_ref()?.dot))).collect();
    if life != row.life {
        let kind = match (row.life.exists(), life.exists()) {
            // A column that the new life has no value for must not keep the old life's: the row goes first, and comes anew.
            (true, true) if has().any(|(_, register)| register.is_none()) => {
                return Some(Write { kind: WriteKind::Delete, life: Life(row.life.0 - 1), columns: Vec::new() });
            }
            (true, true) => WriteKind::Replace,
            (true, false) => WriteKind::Insert,
            (false, true) => return Some(Write { kind: WriteKind::Delete, life: row.life, columns: Vec::new() }),
            (false, false) => return None,
        };
        return Some(Write { kind, life: row.life, columns: merged });
    }
    if !row.life.exists() {
        return None;
    }
    merged.retain(|(column, dot)| there(*column) != Some(*dot));
    (!merged.is_empty()).then_some(Write { kind: WriteKind::Columns, life: row.life, columns: merged })
}

/// `write` as the marker says it: with the fingerprints of the merged values that it carries.
pub fn sent_row(row: &Row, write: &Write, table: TableId, key: &Key) -> SentRow {
    let columns = write.columns.iter().filter_map(|(column, dot)| {
        let register = row.registers[*column].as_ref()?;
        Some((*column as u16, *dot, fingerprint(&register.value)))
    });
    SentRow { table, key: key.clone(), kind: write.kind, life: write.life, columns: columns.collect() }
}
