//! A site's row read from its table by a scan: the first copy, the time after a lost log, a restored backup.

use super::observe::{ConflictKind, Observed, observe};
use super::policy::{InitialPolicy, Known, Roster, TablePolicy};
use super::row::{Held, Row};
use crate::model::{Cell, Dot, Life, SiteId, Value, fingerprint};

/// A scan of site `dot.site` has come by the row and found `content` (None: no row there).
pub fn scan(row: &mut Row, roster: &Roster, policy: &TablePolicy, dot: Dot, content: Option<&[Cell]>, at_us: i64) -> Observed {
    let view = roster.site(dot.site);
    let noted = row.held(dot.site).map(|held| held.seen);
    match view.known {
        _ if row.is_seen(view) => observe(row, roster, policy, dot, content, at_us),
        Known::Unknown { generation, .. } | Known::Absent { generation, .. } if noted.is_none() => {
            first(row, roster, policy, dot, generation, content, at_us)
        }
        known if noted.unwrap_or_default() < known.restored() => restored(row, roster, policy, dot, content),
        _ => observe(row, roster, policy, dot, content, at_us),
    }
}

/// How far the scan under way has read a site's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Nothing,
    /// Some of it: what the log shows for the first time may lie before or behind the place.
    Part,
    All,
}

/// The site's log shows a row; `before`: what it was, where the log has it. None: the scan will read it as it is then.
pub fn logged(
    row: &mut Row,
    roster: &Roster,
    policy: &TablePolicy,
    dot: Dot,
    (before, content): (Option<&[Cell]>, Option<&[Cell]>),
    at_us: i64,
    reach: Reach,
) -> Option<Observed> {
    let view = roster.site(dot.site);
    if row.is_seen(view) {
        return Some(observe(row, roster, policy, dot, content, at_us));
    }
    let noted = row.held(dot.site).map(|held| held.seen);
    let is_older = noted.unwrap_or_default() < view.known.restored();
    let is_new = noted.is_none() && matches!(view.known, Known::Unknown { .. });
    // A row that the log shows in part was there before, so it lies ahead of the scan.
    if is_new && reach == Reach::Nothing || content.is_some_and(|content| !view.is_whole(content)) {
        return None;
    }
    let before = before.filter(|before| view.is_whole(before));
    let was = match before {
        _ if reach == Reach::All => None,
        Some(before) if is_new || is_older => Some(before),
        // Without its image, a row that is new to the ledger too is taken for one that has just been inserted.
        None if is_older && content.is_some() && row.life == Life::NONE => None,
        None if is_new || is_older => return Some(scan(row, roster, policy, dot, content, at_us)),
        _ => return Some(observe(row, roster, policy, dot, content, at_us)),
    };
    let earlier = scan(row, roster, policy, dot, was, 0);
    let dot = Dot { counter: dot.counter + earlier.changes, ..dot };
    Some(earlier.and(observe(row, roster, policy, dot, content, at_us)))
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
    let mut out = Observed::default();
    if !row.life.exists() {
        // It was deleted elsewhere since the roster knows it.
        out.conflict(ConflictKind::InitialDiffers, someone_else(row, roster, dot.site), dot.site, values().map(owned).collect());
        row.put_held(Held { life: Life(row.life.0 - 1), columns: values().map(|(c, v)| unmerged(c, v)).collect(), ..blank });
        row.tidy(roster);
        return out;
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
    if takes {
        let winner = dot.site;
        let lost: Vec<_> = differing.iter().filter_map(|(c, _)| Some((*c, row.registers[*c].as_ref()?))).collect();
        for (column, register) in lost {
            out.conflict(ConflictKind::InitialDiffers, winner, register.dot.site, vec![(column, register.value.clone())]);
        }
        row.put_held(same_life);
        return out.and(observe(row, roster, policy, dot, Some(content), at_us));
    }
    let winner = differing.first().and_then(|(c, _)| row.registers[*c].as_ref()).map_or(dot.site, |register| register.dot.site);
    let lost = differing.iter().copied().map(owned).collect();
    out.conflict(ConflictKind::InitialDiffers, winner, dot.site, lost);
    out.apart = policy.initial == InitialPolicy::Quarantine;
    let columns = differing.iter().map(|(c, v)| unmerged(*c, v)).collect();
    row.put_held(Held { columns, apart: out.apart, ..same_life });
    row.tidy(roster);
    out.and(fill_gaps(row, roster, policy, dot, content, at_us))
}

/// What no site has said anything about so far is taken from this one, though its row has lost.
fn fill_gaps(row: &mut Row, roster: &Roster, policy: &TablePolicy, dot: Dot, content: &[Cell], at_us: i64) -> Observed {
    if !row.life.exists() || super::is_apart(row, dot.site) {
        return Observed::default();
    }
    let gap = |(column, cell): (usize, &Cell)| if row.registers[column].is_none() { cell.clone() } else { Cell::Unchanged };
    let gaps: Vec<Cell> = content.iter().enumerate().map(gap).collect();
    observe(row, roster, policy, dot, Some(&gaps), at_us)
}

fn owned((column, value): (usize, &Value)) -> (usize, Value) {
    (column, value.clone())
}

/// A site to name as the winner where no value of the row says which it was.
fn someone_else(row: &Row, roster: &Roster, site: SiteId) -> SiteId {
    let writers = row.registers.iter().flatten().map(|register| register.dot.site);
    writers.chain(roster.sites.iter().map(|view| view.id)).find(|other| *other != site).unwrap_or(site)
}

/// Site `dot.site` has come back from a backup with `content`: what it holds is older than the ledger, which wins.
pub fn restored(row: &mut Row, roster: &Roster, policy: &TablePolicy, dot: Dot, content: Option<&[Cell]>) -> Observed {
    let view = roster.site(dot.site);
    let seen = view.known.generation().unwrap_or_default();
    let mut held = Held { site: dot.site, seen, life: Life::NONE, columns: Vec::new(), since: 0, bulk: true, apart: false };
    let mut out = Observed::default();
    let mut lost = Vec::new();
    // Another person's row stays apart: nothing of it was ever the ledger's.
    held.apart = content.is_some() && super::is_apart(row, dot.site);
    if let Some(content) = content {
        if row.life == Life::NONE {
            // It was deleted so long ago that the ledger has forgotten it.
            row.life = Life(2);
        }
        held.life = match row.life.exists() {
            true if !held.apart && is_of_an_older_life(row, dot.site, content) => Life(row.life.0 - 2),
            true => row.life,
            false => Life(row.life.0 - 1),
        };
        let merged_life = held.life == row.life;
        for (column, cell) in content.iter().enumerate() {
            let Cell::Value(value) = cell else { continue };
            let merged = row.registers.get(column).and_then(Option::as_ref);
            let same = merged.is_some_and(|register| register.value == *value);
            if merged_life && (same || merged.is_none() && !held.apart) {
                continue;
            }
            held.columns.push((column as u16, Some((Dot { site: dot.site, counter: 0 }, fingerprint(value)))));
            lost.extend((!held.apart && !same).then(|| (column, value.clone())));
        }
    }
    out.conflict(ConflictKind::RestoredDiffers, someone_else(row, roster, dot.site), dot.site, lost);
    row.put_held(held);
    row.tidy(roster);
    match content {
        Some(content) if row.life_at(dot.site) == row.life => out.and(fill_gaps(row, roster, policy, dot, content, 0)),
        _ => out,
    }
}

/// The merged row was deleted and made anew since, as far as the site was heard, and `content` has something in a column that the
/// new row has no value for: that may be the old one's.
fn is_of_an_older_life(row: &Row, site: SiteId, content: &[Cell]) -> bool {
    let is_behind = row.held(site).is_some_and(|held| held.life < row.life);
    let mut gaps = content.iter().zip(&row.registers).filter(|(_, register)| register.is_none());
    row.life > Life(1) && is_behind && gaps.any(|(cell, _)| matches!(cell, Cell::Value(_)))
}

/// The row is not at `site`, which an operator does not take for a delete: the site is owed it.
pub fn put_back(row: &mut Row, roster: &Roster, site: SiteId) {
    let view = roster.site(site);
    let mut held = row.take_held(site, view.known);
    held.seen = view.known.generation().unwrap_or(held.seen);
    held.life = if row.life.exists() { Life(row.life.0 - 1) } else { row.life };
    held.columns.clear();
    (held.apart, held.bulk) = (false, true);
    row.put_held(held);
    row.tidy(roster);
}
