//! Two people with one name: the later one is called otherwise everywhere, or each stays where it is.

use super::intake::Report;
use crate::config::UniquePolicy;
use crate::ledger::{Claim, ConflictRecord, Freshness, Ledger, Result, RowId, claim};
use crate::model::{Dot, SharedUnique, TableId, Value};
use crate::mutation;
use crate::resolve::{self, Conflict, ConflictKind, Register};

/// Numbers tried to tell a new name from the names that there are.
const NUMBERS_MAX: u32 = 1000;

/// Decides every clash that rows with these claims are part of.
pub fn settle(ledger: &mut Ledger, claims: &[Claim], now_us: i64, report: &mut Report) -> Result<()> {
    for new in claims.iter().filter(|new| ledger.is_contested(new.table, new.print)).copied().collect::<Vec<_>>() {
        for other in ledger.claimants(new.table, new.print)? {
            if other != new.row && !mutation::without("clash") {
                decide(ledger, &new, other, now_us, report)?;
            }
        }
    }
    Ok(())
}

fn decide(ledger: &mut Ledger, new: &Claim, other: RowId, now_us: i64, report: &mut Report) -> Result<()> {
    let Some(shared) = ledger.shared(new.table) else { return Ok(()) };
    let (policy, roster) = (shared.policy.unique.clone(), shared.roster.clone());
    let mut rows = Vec::with_capacity(2);
    for id in [new.row, other] {
        let Some((_, key, row)) = ledger.load_id(id)? else { return Ok(()) };
        rows.push((id, key, row));
    }
    let unique = ledger.shared(new.table).and_then(|shared| {
        let claims = |unique: &&SharedUnique| rows.iter().all(|(_, _, row)| claim(row, unique) == Some(new.print));
        shared.unique.iter().find(claims).cloned()
    });
    let Some(unique) = unique else { return Ok(()) };
    let registers: Option<Vec<Register>> = rows.iter().map(|(_, _, row)| resolve::claimed(row, &unique.columns)).collect();
    let Some([one, two]) = registers.as_deref() else { return Ok(()) };
    let (at, winner, loser) = if resolve::keeps(one, two, &roster) { (1, one.clone(), two.clone()) } else { (0, two.clone(), one.clone()) };
    let (id, key, mut row) = rows.swap_remove(at);
    let named = unique.columns.iter().filter_map(|column| Some((*column, row.registers[*column].as_ref()?.value.clone())));
    let conflict =
        Conflict { kind: ConflictKind::MultipleUniqueConflicts, winner: winner.dot.site, loser: loser.dot.site, lost: named.collect() };
    let is_known =
        |record: &ConflictRecord| record.kind == conflict.kind.name() && record.winner == conflict.winner && record.lost == conflict.lost;
    if !ledger.conflicts_of(new.table, &key)?.iter().any(is_known) {
        ledger.record_conflict(new.table, &key, &conflict, now_us)?;
        report.conflicts.push(conflict.kind);
    }
    let UniquePolicy::Rename(pattern) = policy else { return Ok(()) };
    let Some((column, value)) = free_name(ledger, new.table, &row, &unique, &pattern)? else { return Ok(()) };
    let Some(register) = row.registers[column].clone() else { return Ok(()) };
    let site = register.dot.site;
    let dot = Dot { site, counter: ledger.next_counter(site) };
    ledger.use_counter(site);
    ledger.save_counters()?;
    resolve::overwrite(&mut row, &roster, column, Register { value, dot, at_us: register.at_us });
    ledger.store(new.table, &key, Some(id), row, Freshness::LIVE)
}

/// A name by the pattern that no other row has, for the key's last text column. None: the key has no text.
fn free_name(ledger: &Ledger, table: TableId, row: &resolve::Row, unique: &SharedUnique, pattern: &str) -> Result<Option<(usize, Value)>> {
    let text = unique.columns.iter().rev().find_map(|column| match &row.registers[*column] {
        Some(Register { value: Value::Text(text), dot, .. }) => Some((*column, text, dot.site)),
        _ => None,
    });
    let Some((column, text, site)) = text else { return Ok(None) };
    let site = ledger.site(site).map_or_else(|| format!("site{}", site.0), |record| record.name.clone());
    let mut renamed = row.clone();
    for number in 1..=NUMBERS_MAX {
        let value = Value::Text(resolve::other_name(pattern, text, &site, number, unique.chars_max));
        if let Some(register) = &mut renamed.registers[column] {
            register.value = value.clone();
        }
        let taken = claim(&renamed, unique).map(|print| ledger.claimants(table, print)).transpose()?;
        if taken.is_none_or(|rows| rows.is_empty()) {
            return Ok(Some((column, value)));
        }
    }
    Ok(None)
}
