//! What the sites' applications do, and what an operator does about a blown fuse.

use super::plan::{Focus, KEYS};
use super::site::{Entry, Place, Row, RowChange, TABLES};
use super::world::World;
use crate::ledger::Mode;

impl World {
    pub fn populate(&mut self) {
        for n in 0..self.sites.len() {
            for place in TABLES.iter().flat_map(|table| KEYS.map(|key| (table.0, key))) {
                if self.random.chance(40.0) {
                    let row = self.write(n, place, None).0;
                    self.sites[n].rows.insert(place, row);
                    self.note_published(place, row);
                }
            }
        }
    }

    /// A row written at a site on top of `before`, and the values made for it.
    fn write(&mut self, n: usize, place: Place, before: Option<Row>) -> (Row, Vec<i64>) {
        let mut row = before.unwrap_or_default();
        let mut made = Vec::new();
        let known = self.is_known(n);
        let lineage = self.history.lineage(before, known, self.clock);
        for (column, value) in row.iter_mut().enumerate() {
            if self.plan.has(n)[column + 1] && (before.is_none() || self.random.chance(60.0)) {
                if column == 0
                    && let Some(few) = self.few(n, place)
                {
                    *value = self.random.of(&few);
                    continue;
                }
                let small = self.plan.small_values.then(|| self.random.below(3) as i64);
                *value = small.unwrap_or_else(|| self.history.make(n, place, column, before.map(|row| row[column]), lineage));
                made.push(*value);
            }
        }
        (row, made)
    }

    /// The values that an application may give to column a, where they are few: none that its own site would refuse.
    fn few(&self, n: usize, place: Place) -> Option<Vec<i64>> {
        let mut few = self.plan.pool()?;
        if self.plan.is_unique() {
            few.retain(|value| !self.sites[n].rows.iter().any(|(other, row)| *other != place && other.0 == place.0 && row[0] == *value));
        }
        Some(few)
    }

    pub fn application(&mut self, n: usize) {
        if self.plan.is_unique() && self.random.chance(25.0) && self.swap(n) {
            return;
        }
        if self.plan.focus == Focus::Fuse && self.random.chance(15.0) && self.purge(n) {
            return;
        }
        let (mut changes, mut made): (Vec<RowChange>, Vec<i64>) = (Vec::new(), Vec::new());
        for _ in 0..self.random.of(&[1, 1, 1, 2, 3]) {
            let place = (self.random.of(&TABLES).0, self.random.of(&KEYS));
            if changes.iter().any(|(other, ..)| *other == place) {
                continue;
            }
            let before = self.sites[n].rows.get(&place).copied();
            if before.is_some() && self.random.chance(self.plan.deletes) {
                self.sites[n].rows.remove(&place);
                self.history.deleted(place);
                changes.push((place, before, None));
                continue;
            }
            let (row, values) = self.write(n, place, before);
            if let Some(before) = before {
                match (self.plan.shares(place, before), self.plan.shares(place, row)) {
                    (true, false) => self.history.deleted(place),
                    (false, true) => self.history.shared_anew(&before, &row),
                    _ => {}
                }
            }
            self.sites[n].rows.insert(place, row);
            changes.push((place, before, Some(row)));
            made.extend(values);
        }
        self.commit(n, changes, made);
    }

    fn commit(&mut self, n: usize, changes: Vec<RowChange>, made: Vec<i64>) {
        for (place, _, after) in &changes {
            after.iter().for_each(|row| self.note_published(*place, *row));
        }
        let ts = self.committed(n);
        self.sites[n].log.push(Entry::Local { ts, changes, made });
    }

    /// Two rows exchange their values of the unique key.
    fn swap(&mut self, n: usize) -> bool {
        let table = self.random.of(&TABLES).0;
        let rows: Vec<(Place, Row)> = self.sites[n].rows.iter().filter(|(place, _)| place.0 == table).map(|(p, r)| (*p, *r)).collect();
        let &[(one, first), .., (other, second)] = rows.as_slice() else { return false };
        let (mut first_after, mut second_after) = (first, second);
        (first_after[0], second_after[0]) = (second[0], first[0]);
        self.sites[n].rows.extend([(one, first_after), (other, second_after)]);
        self.commit(n, vec![(one, Some(first), Some(first_after)), (other, Some(second), Some(second_after))], Vec::new());
        true
    }

    /// All rows of a table are deleted at once.
    fn purge(&mut self, n: usize) -> bool {
        let table = self.random.of(&TABLES).0;
        let rows: Vec<(Place, Row)> = self.sites[n].rows.iter().filter(|(place, _)| place.0 == table).map(|(p, r)| (*p, *r)).collect();
        for (place, _) in &rows {
            self.sites[n].rows.remove(place);
            self.history.deleted(*place);
        }
        self.commit(n, rows.iter().map(|(place, row)| (*place, Some(*row), None)).collect(), Vec::new());
        !rows.is_empty()
    }

    /// An operator decides about a site that has stopped: what it deleted is gone everywhere, or comes back there.
    pub fn operate(&mut self, n: usize) -> bool {
        let site = self.workers[n].id;
        let stopped: Vec<_> = TABLES.into_iter().filter(|table| self.ledger.progress(site, *table).stopped.is_some()).collect();
        if stopped.is_empty() {
            return false;
        }
        let accept = self.random.chance(50.0);
        self.trace(|| format!("site {n} is resumed, accept: {accept}"));
        let mode = if accept { Mode::Accepted } else { Mode::PutBack };
        self.durable(|ledger| stopped.iter().try_for_each(|table| ledger.resume(site, *table, mode)));
        if accept {
            let rows = &self.sites[n].rows;
            self.blown.retain(|(of, place)| *of != n && rows.contains_key(place));
        }
        // Compared anew, rows come to the site one by one.
        self.history.transactions.clear();
        self.reconnect(n);
        self.note_rows();
        true
    }
}
