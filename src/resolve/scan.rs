//! A site's row read from its table by a scan: the first copy, the time after a lost log, a restored backup.

use super::observe::{ConflictKind, Observed, observe};
use super::policy::{InitialPolicy, Known, Roster, TablePolicy};
use super::row::{Held, Row};
use crate::model::{Cell, Dot, Life, Value, fingerprint};

/// A scan of site `dot.site` has come by the row and found `content` (None: no row there).
pub fn scan(row: &mut Row, roster: &Roster, policy: &TablePolicy, dot: Dot, content: Option<&[Cell]>, at_us: i64) -> Observed {
    match roster.site(dot.site).known {
        Known::Unknown { generation } | Known::Absent { generation } if row.held(dot.site).is_none_or(|held| held.seen != generation) => {
            first(row, roster, policy, dot, generation, content, at_us)
        }
        _ => observe(row, roster, policy, dot, content, at_us),
    }
}

/// Seen for the first time: equal rows are adopted, others go by the table's `initial` policy.
fn first(
    row: &mut Row,
    roster: &Roster,
    policy: &TablePolicy,
    dot: Dot,
    generation: u32,
    content: Option<&[Cell]>,
    at_us: i64,
) -> Observed {
    let blank = Held { site: dot.site, seen: generation, life: Life::NONE, columns: Vec::new(), since: 0, bulk: true, apart: false };
    let Some(content) = content else {
        row.put_held(blank);
        row.tidy(roster);
        return Observed::default();
    };
    if row.life == Life::NONE {
        row.put_held(blank);
        return observe(row, roster, policy, dot, Some(content), at_us);
    }
    let values = || {
        content.iter().enumerate().filter_map(|(column, cell)| match cell {
            Cell::Value(value) => Some((column, value)),
            _ => None,
        })
    };
    let unmerged = |column: usize, value: &Value| (column as u16, Some((Dot { site: dot.site, counter: 0 }, fingerprint(value))));
    if !row.life.exists() {
        // It was deleted elsewhere since the roster knows it.
        row.put_held(Held { life: Life(row.life.0 - 1), columns: values().map(|(c, v)| unmerged(c, v)).collect(), ..blank });
        row.tidy(roster);
        return Observed::default();
    }
    let same_life = Held { life: row.life, ..blank };
    let differing: Vec<_> = values().filter(|(c, v)| row.registers[*c].as_ref().is_some_and(|r| r.value != **v)).collect();
    let takes = match &policy.initial {
        _ if differing.is_empty() => true,
        InitialPolicy::Hub => roster.is_hub(dot.site),
        InitialPolicy::Newest(column) => match (&content[*column], &row.registers[*column]) {
            (Cell::Value(here), Some(merged)) => here.compare(&merged.value).is_some_and(|order| order.is_gt()),
            _ => false,
        },
        InitialPolicy::Quarantine => false,
    };
    let mut out = Observed::default();
    if takes {
        let winner = dot.site;
        let lost: Vec<_> = differing.iter().filter_map(|(c, _)| Some((*c, row.registers[*c].as_ref()?))).collect();
        for (column, register) in lost {
            out.conflict(ConflictKind::InitialDiffers, winner, register.dot.site, vec![(column, register.value.clone())]);
        }
        row.put_held(same_life);
        let observed = observe(row, roster, policy, dot, Some(content), at_us);
        out.change = observed.change;
        out.conflicts.extend(observed.conflicts);
        return out;
    }
    let winner = differing.first().and_then(|(c, _)| row.registers[*c].as_ref()).map_or(dot.site, |register| register.dot.site);
    let lost = differing.iter().map(|(column, value)| (*column, (*value).clone())).collect();
    out.conflict(ConflictKind::InitialDiffers, winner, dot.site, lost);
    out.apart = policy.initial == InitialPolicy::Quarantine;
    let columns = differing.iter().map(|(c, v)| unmerged(*c, v)).collect();
    row.put_held(Held { columns, apart: out.apart, ..same_life });
    row.tidy(roster);
    out
}

/// Site `dot.site` has come back from a backup with `content`: what it holds is older than the ledger, which wins.
pub fn restored(row: &mut Row, roster: &Roster, dot: Dot, content: Option<&[Cell]>) -> Observed {
    let view = roster.site(dot.site);
    let seen = view.known.generation().unwrap_or_default();
    let mut held = Held { site: dot.site, seen, life: Life::NONE, columns: Vec::new(), since: 0, bulk: true, apart: false };
    let mut out = Observed::default();
    let mut lost = Vec::new();
    if let Some(content) = content {
        held.life = if row.life.exists() { row.life } else { Life(row.life.0 + 1) };
        for (column, cell) in content.iter().enumerate() {
            let Cell::Value(value) = cell else { continue };
            match row.registers.get(column).and_then(Option::as_ref) {
                Some(register) if row.life.exists() && register.value == *value => {}
                _ => {
                    held.columns.push((column as u16, Some((Dot { site: dot.site, counter: 0 }, fingerprint(value)))));
                    lost.push((column, value.clone()));
                }
            }
        }
    }
    let winner = row.registers.iter().flatten().map(|r| r.dot.site).find(|site| *site != dot.site).unwrap_or(dot.site);
    out.conflict(ConflictKind::RestoredDiffers, winner, dot.site, lost);
    row.put_held(held);
    row.tidy(roster);
    out
}
