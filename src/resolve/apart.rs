//! Rows of a site's own that stand apart from the merged ones under the same key.

use super::observe::Observed;
use super::policy::{Known, Roster, SiteView};
use super::row::Row;
use crate::model::{Cell, Dot, Fingerprint, Life, SiteId};

/// Whether the site has a row of this key, as far as is known.
pub fn has_row(row: &Row, view: &SiteView) -> bool {
    match row.held(view.id) {
        Some(held) => held.life.exists(),
        None => row.life.exists() && matches!(view.known, Known::Merged | Known::Unsure { .. }),
    }
}

/// Whether the site's row stands apart.
pub fn is_apart(row: &Row, site: SiteId) -> bool {
    row.held(site).is_some_and(|held| held.apart)
}

/// Site `dot.site` has come to a row that is another person's than the merged one: it is noted, and neither merged nor written to.
pub fn stand_apart(row: &mut Row, roster: &Roster, dot: Dot, content: &[Cell]) -> Observed {
    let view = roster.site(dot.site);
    let mut held = row.take_held(dot.site, view.known);
    held.seen = view.known.generation().unwrap_or(held.seen);
    held.life = if row.life.exists() { row.life } else { row.life.next() };
    held.columns = (0..row.registers.len() as u16).map(|column| (column, None)).collect();
    for (column, cell) in content.iter().enumerate() {
        if let Cell::Value(value) = cell {
            row.hold(&mut held, column, dot, value);
        }
    }
    held.apart = true;
    row.put_held(held);
    row.tidy(roster);
    Observed { changes: 1, conflicts: Vec::new(), apart: true }
}

/// The site's row does not stand apart any more, and nothing of it is merged: what is seen of it next is an insert made there.
pub fn rejoin(row: &mut Row, roster: &Roster, site: SiteId) {
    let mut held = row.take_held(site, roster.site(site).known);
    held.life = if row.life.exists() { Life(row.life.0 - 1) } else { row.life };
    held.columns.clear();
    held.apart = false;
    row.put_held(held);
}

/// The site's own row is given up: the merged row goes over it, or it is removed where there is none.
pub fn give_up(row: &mut Row, site: SiteId) {
    row.held.iter_mut().filter(|held| held.site == site).for_each(|held| held.apart = false);
}

/// The site's own row is to win: what is seen of it next is a change made on top of the merged row.
pub fn let_win(row: &mut Row, site: SiteId) {
    let dots: Vec<Option<Dot>> = row.registers.iter().map(|register| register.as_ref().map(|register| register.dot)).collect();
    for held in row.held.iter_mut().filter(|held| held.site == site && held.apart) {
        (held.apart, held.life) = (false, row.life);
        for (column, version) in &mut held.columns {
            *version = dots[usize::from(*column)].map(|dot| (dot, Fingerprint(0)));
        }
    }
}
