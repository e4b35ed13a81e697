//! Rows that an application's transaction keeps locked: they wait aside, are tried by turns, and hold up nobody else's.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::ledger::RowId;
use crate::model::TableId;

/// The waits between tries: as long as they have been in vain already, within these bounds. Each try takes `lock_wait_ms` of the lane's time.
const WAIT_US: std::ops::RangeInclusive<i64> = 10_000..=4_000_000;
/// From then on an operator is told.
const TOLD_US: i64 = 10_000_000;
/// Rows of a table go aside untried when so many batches in turn have met a lock in it.
const SHUT_AT: u32 = 2;

pub struct Locked {
    rows: HashSet<RowId>,
    /// The same, those that have waited longest first.
    turns: VecDeque<RowId>,
    /// How many are tried next: twice as many after each success, so that a lock that is let go costs little.
    together: usize,
    due_us: i64,
    /// The first try in vain since the last success.
    since_us: Option<i64>,
    told: bool,
    /// Batches that have met a lock in a table, since one that has not.
    met: HashMap<TableId, u32>,
}

impl Default for Locked {
    fn default() -> Locked {
        let (rows, turns, met) = Default::default();
        Locked { rows, turns, together: 1, due_us: 0, since_us: None, told: false, met }
    }
}

impl Locked {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn waits(&self, id: RowId) -> bool {
        self.rows.contains(&id)
    }

    /// Nothing but a try of those that wait is to be written to the table.
    pub fn is_shut(&self, table: TableId) -> bool {
        self.met.get(&table).is_some_and(|met| *met >= SHUT_AT)
    }

    pub fn put_aside(&mut self, id: RowId) {
        if self.rows.insert(id) {
            self.turns.push_back(id);
        }
    }

    /// Takes the row out: it goes along with one that is tried.
    pub fn take(&mut self, id: RowId) {
        if self.rows.remove(&id) {
            self.turns.retain(|other| *other != id);
        }
    }

    /// Those whose turn it is; none while others are being tried, or their time has not come.
    pub fn next(&mut self, rows_max: usize, now_us: i64) -> VecDeque<RowId> {
        if now_us < self.due_us {
            return VecDeque::new();
        }
        let count = self.together.min(rows_max).min(self.turns.len());
        let next: VecDeque<RowId> = self.turns.drain(..count).collect();
        for id in &next {
            self.rows.remove(id);
        }
        next
    }

    /// A batch of what `next` gave is on its way.
    pub fn trying(&mut self) {
        self.due_us = i64::MAX;
    }

    /// Its answer says nothing about locks.
    pub fn tried(&mut self, now_us: i64) {
        self.due_us = now_us;
    }

    /// A batch with rows of these tables has been written; `tried`: those whose turn it was.
    pub fn let_go(&mut self, tables: impl Iterator<Item = TableId>, tried: bool) {
        for table in tables {
            self.met.remove(&table);
        }
        if tried {
            self.together = self.together.saturating_mul(2);
        }
        if tried || self.rows.is_empty() {
            (self.since_us, self.told) = (None, false);
        }
    }

    /// A batch has met a lock in the table. Gives whether it is time to tell.
    pub fn met(&mut self, table: TableId, now_us: i64) -> bool {
        *self.met.entry(table).or_default() += 1;
        self.together = 1;
        let vain_us = now_us - *self.since_us.get_or_insert(now_us);
        self.due_us = now_us + vain_us.clamp(*WAIT_US.start(), *WAIT_US.end());
        let tells = vain_us >= TOLD_US && !self.told;
        self.told |= tells;
        tells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: TableId = TableId(1);
    const SECOND: i64 = 1_000_000;

    fn of(rows: std::ops::Range<i64>) -> Locked {
        let mut locked = Locked::default();
        rows.for_each(|id| locked.put_aside(RowId(id)));
        locked
    }

    #[test]
    fn one_locked_row_among_many_is_soon_alone() {
        let (mut locked, mut now, mut vain) = (of(0..100), 0, 0);
        while !locked.is_empty() && vain < 50 {
            let next = locked.next(64, now);
            if next.contains(&RowId(50)) {
                locked.met(TABLE, now);
                vain += 1;
                if next.len() == 1 && locked.is_empty() {
                    break;
                }
                next.into_iter().for_each(|id| locked.put_aside(id));
            } else {
                locked.let_go([TABLE].into_iter(), true);
            }
            now += SECOND;
        }
        assert!(vain < 12, "{vain} tries in vain");
    }

    #[test]
    fn tries_in_vain_become_rarer_and_are_told_once() {
        let (mut locked, mut told) = (of(0..1), 0);
        let mut tries = 0;
        for now in (0..60).map(|seconds| seconds * SECOND) {
            for id in locked.next(64, now) {
                tries += 1;
                told += u32::from(locked.met(TABLE, now));
                locked.put_aside(id);
            }
        }
        assert!((10..20).contains(&tries), "{tries} tries in a minute");
        assert_eq!(told, 1);
    }

    #[test]
    fn a_table_is_shut_when_two_batches_in_turn_have_met_a_lock_in_it() {
        let mut locked = Locked::default();
        locked.met(TABLE, 0);
        assert!(!locked.is_shut(TABLE));
        locked.met(TABLE, 1);
        assert!(locked.is_shut(TABLE));
        locked.let_go([TABLE].into_iter(), false);
        assert!(!locked.is_shut(TABLE));
    }

    #[test]
    fn nothing_is_tried_twice_at_once() {
        let mut locked = of(0..2);
        assert_eq!(locked.next(64, 0).len(), 1);
        locked.trying();
        assert!(locked.next(64, SECOND).is_empty());
        locked.tried(SECOND);
        assert_eq!(locked.next(64, SECOND).len(), 1);
    }
}
