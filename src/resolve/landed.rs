//! One of our own writes, read back from the site's log (or remembered by its marker when the log is lost).

use super::observe::{Observed, observe};
use super::policy::{Roster, TablePolicy};
use super::row::Row;
use crate::model::{Cell, Dot, SentRow, Value, WriteKind, fingerprint};

/// The versions in `sent` become what site `dot.site` holds. `content`: the row as the log shows it after our write; None: the
/// log does not show it (a write that changed nothing, or a lost log). What else the row shows, a trigger's work say, is
/// a change made there, named by `dot`.
/// Returns what came of that, and the columns that the site altered as we wrote them.
pub fn landed(
    row: &mut Row,
    roster: &Roster,
    policy: &TablePolicy,
    dot: Dot,
    sent: &SentRow,
    content: Option<&[Cell]>,
    at_us: i64,
) -> (Observed, Vec<usize>) {
    let view = roster.site(dot.site);
    let mut held = row.take_held(dot.site, view.known);
    let mut altered = Vec::new();
    let width = row.registers.len();
    let mut written = vec![false; width];
    sent.columns.iter().filter(|(column, ..)| usize::from(*column) < width).for_each(|(column, ..)| written[usize::from(*column)] = true);
    let nothing_of_ours = || (0..width as u16).filter(|column| !written[usize::from(*column)]).map(|column| (column, None)).collect();
    if sent.kind != WriteKind::Columns {
        held.life = sent.life;
        held.columns = if sent.life.exists() { nothing_of_ours() } else { Vec::new() };
    } else if held.life.exists() {
        held.columns.retain(|(column, _)| !written[usize::from(*column)]);
    } else {
        // It was put back there unseen, and our write went over it.
        held.life = held.life.next();
        held.columns = nothing_of_ours();
    }
    for (column, dot, print) in sent.columns.iter().filter(|(column, ..)| usize::from(*column) < width) {
        let at = usize::from(*column);
        let merged = row.registers[at].as_ref().filter(|merged| held.life == row.life && merged.dot == *dot);
        let shown = content.and_then(|content| content.get(at)).and_then(value);
        // A dot names one value for good, so the merged value is what was sent.
        let (same, print) = match (shown, merged) {
            (None, merged) => (merged.is_some(), *print),
            (Some(shown), Some(merged)) if *shown == merged.value => (true, *print),
            (Some(shown), merged) => {
                let actual = fingerprint(shown);
                if actual != *print {
                    altered.push(at);
                }
                (merged.is_some() && actual == *print, actual)
            }
        };
        if !same {
            held.columns.push((*column, Some((*dot, print))));
        }
    }
    let registers = || row.registers.iter().enumerate().filter(|(column, _)| view.has[*column]);
    if held.life != row.life
        && held.life.exists()
        && row.life.exists()
        && registers().all(|(column, register)| row.dot_of(&held, column) == register.as_ref().map(|register| register.dot))
    {
        held.life = row.life;
        held.columns.clear();
    }
    if held.apart
        && held.life == row.life
        && registers().all(|(column, register)| row.dot_of(&held, column) == register.as_ref().map(|register| register.dot))
    {
        // Our write was on its way when the site's own row came apart, and has gone over it.
        held.apart = false;
    }
    row.put_held(held);
    row.tidy(roster);
    let observed = match content {
        Some(content) if sent.life.exists() => {
            let mut rest = content.to_vec();
            for (column, ..) in &sent.columns {
                if let Some(cell) = rest.get_mut(usize::from(*column)) {
                    *cell = Cell::Unchanged;
                }
            }
            // A column that our insert left to its default is not a value that somebody gave it there, to be kept against the hub's.
            let inserted = sent.kind == WriteKind::Insert && !roster.is_hub(dot.site);
            for (cell, _) in rest.iter_mut().zip(&policy.from_hub).filter(|(_, from_hub)| inserted && **from_hub == Some(true)) {
                *cell = Cell::Unchanged;
            }
            observe_rest(row, roster, policy, dot, &rest, at_us)
        }
        _ => Observed::default(),
    };
    (observed, altered)
}

fn value(cell: &Cell) -> Option<&Value> {
    match cell {
        Cell::Value(value) => Some(value),
        _ => None,
    }
}

fn observe_rest(row: &mut Row, roster: &Roster, policy: &TablePolicy, dot: Dot, rest: &[Cell], at_us: i64) -> Observed {
    let shows_more = match row.held(dot.site) {
        None => rest
            .iter()
            .enumerate()
            .any(|(column, cell)| value(cell).is_some_and(|v| row.registers[column].as_ref().is_none_or(|r| r.value != *v))),
        Some(held) => rest.iter().enumerate().any(|(column, cell)| value(cell).is_some_and(|v| !row.holds(held, column, v))),
    };
    if shows_more { observe(row, roster, policy, dot, Some(rest), at_us) } else { Observed::default() }
}
