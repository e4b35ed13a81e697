//! Claims of rows that are copied. Their fingerprints come in no order, and each would take a page of its own to the disk; so they are
//! gathered, and written in the order of the table that they go to, a stretch of it at a time.
//!
//! While some of a table's claims are gathered only, its file says that it has none: who opens it makes them anew from the rows.

use std::collections::BTreeSet;

use rusqlite::params;

use super::{Ledger, Result, RowId};
use crate::model::TableId;

type Gathering = (TableId, i64, RowId);

/// Claims gathered before some are written.
const GATHERED_MAX: usize = if cfg!(test) { 5000 } else { 100_000 };
/// Written at once. Of as many as may be gathered, these share few pages.
const STRETCH: usize = 2000;

/// Claims that are not in the file yet.
#[derive(Default)]
pub(super) struct Gathered {
    claims: BTreeSet<Gathering>,
    /// Tables whose claims in the file are not all that there are.
    behind: BTreeSet<TableId>,
    /// The last one written: it goes on from there, and begins anew at the end.
    last: Option<Gathering>,
    /// What the transaction at hand has done, to be undone with it: came to be gathered, or is so no more.
    done: Vec<(Gathering, bool)>,
    behind_before: BTreeSet<TableId>,
}

impl Gathered {
    fn put(&mut self, claim: Gathering) {
        if self.claims.insert(claim) {
            self.done.push((claim, true));
        }
    }

    fn take(&mut self, claim: Gathering) -> bool {
        let taken = self.claims.remove(&claim);
        if taken {
            self.done.push((claim, false));
        }
        taken
    }

    pub(super) fn claimants(&self, table: TableId, print: i64) -> impl Iterator<Item = RowId> {
        self.claims.range((table, print, RowId(i64::MIN))..=(table, print, RowId(i64::MAX))).map(|(_, _, row)| *row)
    }

    pub(super) fn forget_table(&mut self, table: TableId) {
        for claim in self.claims.iter().filter(|(of, _, _)| *of == table).copied().collect::<Vec<_>>() {
            self.take(claim);
        }
        self.behind.remove(&table);
    }

    fn stretch(&self) -> Vec<Gathering> {
        let after = self.last.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let behind = self.claims.range((after, std::ops::Bound::Unbounded));
        behind.chain(&self.claims).take(STRETCH.min(self.claims.len())).copied().collect()
    }

    pub(super) fn committed(&mut self) {
        self.done.clear();
        self.behind_before.clone_from(&self.behind);
    }

    pub(super) fn rolled_back(&mut self) {
        for (claim, was_put) in std::mem::take(&mut self.done).into_iter().rev() {
            if was_put {
                self.claims.remove(&claim)
            } else {
                self.claims.insert(claim)
            };
        }
        self.behind.clone_from(&self.behind_before);
    }
}

impl Ledger {
    /// Takes in a claim of a row that is copied.
    pub(super) fn gather(&mut self, table: TableId, print: i64, row: RowId) -> Result<()> {
        if !self.gathered.behind.contains(&table) {
            self.db.execute("UPDATE shared_table SET claimed = '[]' WHERE id = ?1", [table.0])?;
            self.gathered.behind.insert(table);
        }
        self.gathered.put((table, print, row));
        if self.gathered.claims.len() >= GATHERED_MAX { self.write_stretch() } else { Ok(()) }
    }

    /// Gives a claim up that is not in the file yet. False: it is none of these.
    pub(super) fn ungather(&mut self, table: TableId, print: i64, row: RowId) -> bool {
        self.gathered.take((table, print, row))
    }

    fn write_stretch(&mut self) -> Result<()> {
        for claim in self.gathered.stretch() {
            let (table, print, row) = claim;
            self.db.prepare_cached("INSERT INTO claim VALUES (?1, ?2, ?3)")?.execute(params![table.0, print, row.0])?;
            self.gathered.take(claim);
            self.gathered.last = Some(claim);
        }
        Ok(())
    }

    /// Nothing has been gathered in this transaction: some of what there is goes to the file. When that has all, it says so.
    pub(super) fn write_gathered_idly(&mut self) -> Result<()> {
        if self.gathered.behind.is_empty() || !self.gathered.done.is_empty() {
            return Ok(());
        }
        self.write_stretch()?;
        if self.gathered.claims.is_empty() { self.gathered_all() } else { Ok(()) }
    }

    /// Writes all that has been gathered.
    pub fn write_gathered(&mut self) -> Result<()> {
        while !self.gathered.claims.is_empty() {
            self.write_stretch()?;
        }
        self.gathered_all()
    }

    fn gathered_all(&mut self) -> Result<()> {
        for table in std::mem::take(&mut self.gathered.behind) {
            self.write_claimed(table)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Freshness;
    use crate::ledger::forget::tests::{bind_two, ledger_of_two};
    use crate::model::{Dot, Key, Life, SharedUnique, SiteId, Value};
    use crate::resolve::{Register, Row};

    fn row(name: i64) -> Row {
        let register = Register { value: Value::Int(name), dot: Dot { site: SiteId(1), counter: 1 }, at_us: 5 };
        Row { life: Life(1), registers: vec![Some(register)], held: vec![], transactions: vec![] }
    }

    fn claimed(ledger: &mut Ledger, sites: &[SiteId], table: TableId) {
        for site in sites {
            ledger.set_unique(*site, table, vec![SharedUnique { columns: vec![0], folds: false, chars_max: None }]).unwrap();
        }
    }

    fn copy(ledger: &mut Ledger, table: TableId, numbers: std::ops::Range<i64>) {
        ledger.begin().unwrap();
        for n in numbers {
            ledger.store(table, &Key(vec![Value::Int(n)]), None, row(n / 2), Freshness::BULK).unwrap();
        }
        ledger.commit().unwrap();
    }

    fn count(ledger: &Ledger) -> i64 {
        ledger.db.query_row("SELECT count(*) FROM claim", [], |r| r.get(0)).unwrap()
    }

    fn of(ledger: &Ledger, table: TableId, n: i64) -> Vec<RowId> {
        let (id, row) = ledger.load(table, &Key(vec![Value::Int(n)])).unwrap();
        let print = super::super::claim(&row, &ledger.shared(table).unwrap().unique[0]).unwrap();
        let claimants = ledger.claimants(table, print).unwrap();
        assert!(claimants.contains(&id.unwrap()) && ledger.is_contested(table, print) == (claimants.len() > 1));
        claimants
    }

    #[test]
    fn a_claim_counts_wherever_it_is() {
        let (mut ledger, sites, table) = ledger_of_two();
        claimed(&mut ledger, &sites, table);
        let all = 2 * GATHERED_MAX as i64;
        copy(&mut ledger, table, 0..all);
        let (written, waiting) = (count(&ledger), ledger.gathered.claims.len());
        assert!(written >= STRETCH as i64 && written + waiting as i64 == all, "{written} and {waiting}");
        (0..all).step_by(97).for_each(|n| assert_eq!(of(&ledger, table, n).len(), 2, "{n}"));
        // Given up, one of each kind.
        let key = |n: i64| Key(vec![Value::Int(n)]);
        for n in (0..all).step_by(200) {
            let (id, _) = ledger.load(table, &key(n)).unwrap();
            ledger.begin().unwrap();
            ledger.store(table, &key(n), id, row(-n - 1), Freshness::LIVE).unwrap();
            ledger.commit().unwrap();
            assert_eq!((of(&ledger, table, n).len(), of(&ledger, table, n + 1).len()), (1, 1), "{n}");
        }
        while !ledger.gathered.behind.is_empty() {
            ledger.begin().unwrap();
            ledger.commit().unwrap();
        }
        assert_eq!((count(&ledger), ledger.gathered.claims.len()), (all, 0));
        let ledger = ledger.reopen().unwrap();
        let claimed: String = ledger.db.query_row("SELECT claimed FROM shared_table", [], |r| r.get(0)).unwrap();
        assert_eq!(claimed, "[[[0],false]]");
    }

    #[test]
    fn what_was_not_written_is_made_anew_from_the_rows() {
        let (mut ledger, sites, table) = ledger_of_two();
        claimed(&mut ledger, &sites, table);
        copy(&mut ledger, table, 0..500);
        assert_eq!(count(&ledger), 0);
        let mut ledger = ledger.reopen().unwrap();
        bind_two(&mut ledger, &sites, table);
        claimed(&mut ledger, &sites, table);
        (0..500).for_each(|n| assert_eq!(of(&ledger, table, n).len(), 2, "{n}"));
        ledger.begin().unwrap();
        ledger.write_gathered().unwrap();
        ledger.commit().unwrap();
        assert_eq!(count(&ledger), 500);
    }

    #[test]
    fn what_is_rolled_back_is_gathered_no_more_and_what_was_written_is_again() {
        let (mut ledger, sites, table) = ledger_of_two();
        claimed(&mut ledger, &sites, table);
        copy(&mut ledger, table, 0..100);
        let before = ledger.gathered.claims.clone();
        ledger.begin().unwrap();
        (100..120).for_each(|n| ledger.store(table, &Key(vec![Value::Int(n)]), None, row(n / 2), Freshness::BULK).unwrap());
        ledger.write_gathered().unwrap();
        assert!(ledger.gathered.claims.is_empty() && ledger.gathered.behind.is_empty());
        ledger.rollback().unwrap();
        assert_eq!((ledger.gathered.claims.clone(), count(&ledger), ledger.gathered.behind.len()), (before, 0, 1));
        (0..100).for_each(|n| assert_eq!(of(&ledger, table, n).len(), 2, "{n}"));
    }
}
