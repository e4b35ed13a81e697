//! Merged rows: storing them, which sites are owed them, and when a deleted one can be forgotten.

use std::collections::BTreeSet;

use rusqlite::params;

use super::{Error, Ledger, Result};
use crate::model::{Key, SiteId, TableId, Value};
use crate::mutation;
use crate::resolve::{Row, decode_rest, owed};

/// A row's number in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub i64);

/// How a row came to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// By a scan or a repair: sites are owed it in the bulk lane.
    pub bulk: bool,
    /// Order number of the source transaction, where that changed several rows.
    pub transaction: Option<u64>,
}

impl Freshness {
    pub const LIVE: Freshness = Freshness { bulk: false, transaction: None };
    pub const BULK: Freshness = Freshness { bulk: true, transaction: None };
}

/// Source transactions that a row remembers while it is owed; past it, in a backlog, they may arrive in parts.
const TRANSACTIONS_MAX: usize = 64;

/// Rows read at once where a whole table is gone through.
const SLICE_ROWS: usize = 1000;
impl Ledger {
    /// Stores a row's record, drops it when every site holds its delete, and queues it for the sites that are owed it.
    pub fn store(&mut self, table: TableId, key: &Key, id: Option<RowId>, mut row: Row, fresh: Freshness) -> Result<()> {
        let Some(at) = self.shared.iter().position(|shared| shared.table.id == table) else { return Ok(()) };
        row.lay_to_rest(|site| self.is_sure(site, id));
        row.tidy(&self.shared[at].roster);
        // A site that deleted the row itself may still get a write of ours to the old life.
        let sure = || id.is_none() || self.shared[at].roster.sites.iter().all(|view| self.is_sure(view.id, id));
        if row.is_over(&self.shared[at].roster) && sure() || !row.life.exists() && mutation::without("tombstones") {
            if let Some(id) = id {
                let claims = self.claims_to_change(table, key, Some(id), &row)?;
                self.reclaim(table, id, claims, fresh.bulk)?;
                self.drop_row(id)?;
                self.leave_transactions(id, &row.transactions.clone());
                self.waiting_tombstones.remove(&id);
                crate::crash_point!("ledger.buried", "");
            }
            return Ok(());
        }
        self.order += 1;
        let order = self.order;
        let mut open = false;
        let mut queued: Vec<(SiteId, u64, bool)> = Vec::new();
        for held_at in 0..row.held.len() {
            let site = row.held[held_at].site;
            let Some(view) = self.shared[at].roster.sites.iter().find(|view| view.id == site) else { continue };
            let lacks = owed(&row, view, None).is_some();
            let now = lacks && {
                let sent = id.and_then(|id| self.under_way.get(&site).and_then(|u| u.sent(id)));
                sent.is_none() || owed(&row, view, sent).is_some()
            };
            let held = &mut row.held[held_at];
            if !lacks {
                (held.since, held.bulk) = (0, false);
                continue;
            }
            open = true;
            if held.since == 0 {
                (held.since, held.bulk) = (order, fresh.bulk);
            } else if !fresh.bulk {
                held.bulk = false;
            }
            if now {
                queued.push((site, held.since, held.bulk));
            }
        }
        let left = match (open, fresh.transaction) {
            (true, Some(transaction)) => {
                if !row.transactions.contains(&transaction) {
                    row.transactions.push(transaction);
                }
                let over = row.transactions.len().saturating_sub(TRANSACTIONS_MAX);
                row.transactions.drain(..over).collect()
            }
            (true, None) => Vec::new(),
            (false, _) => std::mem::take(&mut row.transactions),
        };
        // A tombstone that nobody is owed waits for a write of ours to be heard: it is looked at again after a restart.
        let waits = !row.life.exists() && !open;
        let claims = self.claims_to_change(table, key, id, &row)?;
        let id = self.write(table, key, id, &row, waits)?;
        self.reclaim(table, id, claims, fresh.bulk)?;
        if waits {
            self.waiting_tombstones.insert(id);
        }
        self.leave_transactions(id, &left);
        if open && let Some(transaction) = fresh.transaction {
            self.transactions.entry(transaction).or_default().insert(id);
        }
        let urgent = self.shared[at].table.urgent;
        for (site, since, bulk) in queued {
            self.enqueue(site, id, since, urgent, bulk);
        }
        Ok(())
    }

    fn leave_transactions(&mut self, id: RowId, left: &[u64]) {
        for transaction in left {
            if let Some(rows) = self.transactions.get_mut(transaction) {
                rows.remove(&id);
                if rows.is_empty() {
                    self.transactions.remove(transaction);
                }
            }
        }
    }

    /// Rows of a source transaction that some site is still owed.
    pub fn rows_of(&self, transaction: u64) -> impl Iterator<Item = RowId> {
        let rows = self.transactions.get(&transaction).filter(|_| !mutation::without("closure"));
        rows.into_iter().flatten().copied()
    }

    /// How many there are.
    pub fn count_rows_of(&self, transaction: u64) -> usize {
        self.transactions.get(&transaction).map_or(0, BTreeSet::len)
    }

    /// Order number for the next source transaction.
    pub fn next_transaction(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    /// Goes through all rows of a table; they may be changed meanwhile.
    pub(super) fn each_row(&mut self, table: TableId, mut visit: impl FnMut(&mut Ledger, RowId, Key, Row) -> Result<()>) -> Result<()> {
        let mut after = i64::MIN;
        loop {
            let slice = self.slice(table, after, SLICE_ROWS)?;
            let Some(last) = slice.last else { return Ok(()) };
            after = last;
            for (id, key, row) in slice.rows {
                visit(self, id, key, row)?;
            }
        }
    }

    /// Looks through up to `limit` rows above `after` for tombstones of `table` that every site holds, and drops them.
    /// Gives the last row looked at; None when there are no more.
    pub fn bury(&mut self, table: TableId, after: i64, limit: usize) -> Result<Option<i64>> {
        let (mut last, mut found) = (None, Vec::new());
        {
            let mut query =
                self.db.prepare_cached("SELECT id, tbl = ?2, substr(record, 1, 8) FROM row WHERE id > ?1 ORDER BY id LIMIT ?3")?;
            let mut rows = query.query(params![after, table.0, limit as i64])?;
            while let Some(r) = rows.next()? {
                let id = RowId(r.get(0)?);
                if r.get(1)? && !Row::exists_in(r.get_ref(2)?.as_blob().map_err(|e| Error::Damaged(e.to_string()))?) {
                    found.push(id);
                }
                last = Some(id.0);
            }
        }
        for id in found {
            if let Some((table, key, row)) = self.load_id(id)? {
                self.store(table, &key, Some(id), row, Freshness::BULK)?;
            }
        }
        Ok(last)
    }

    /// Whether no write of ours to this row at this site is still to be heard.
    fn is_sure(&self, site: SiteId, id: Option<RowId>) -> bool {
        let unheard = id.is_some_and(|id| self.under_way.get(&site).is_some_and(|under_way| under_way.sent(id).is_some()));
        !unheard && !self.unheard_before.contains(&site)
    }

    /// Capture has come to where the site's log ended on connecting: what was written there before a restart has been heard.
    pub fn caught_up(&mut self, site: SiteId) -> Result<()> {
        if self.unheard_before.remove(&site) {
            let waiting: Vec<RowId> = self.waiting_tombstones.iter().copied().collect();
            self.bury_waiting(&waiting)?;
        }
        Ok(())
    }

    /// Drops those of `rows` that are tombstones and waited for a write of ours only, which has been found not to be on its way any more.
    pub fn bury_waiting(&mut self, rows: &[RowId]) -> Result<()> {
        for id in rows {
            if !self.waiting_tombstones.remove(id) {
                continue;
            }
            if let Some((table, key, row)) = self.load_id(*id)?
                && !row.life.exists()
            {
                self.store(table, &key, Some(*id), row, Freshness::BULK)?;
            }
        }
        Ok(())
    }

    /// The largest number among the keys of a table whose key is one number; 0: there is none.
    pub fn highest_key(&self, table: TableId) -> Result<i64> {
        let mut query = self.db.prepare_cached("SELECT key FROM row WHERE tbl = ?1")?;
        let mut rows = query.query([table.0])?;
        let mut highest = 0;
        while let Some(r) = rows.next()? {
            let key = self.key(table, r.get_ref(0)?.as_blob().map_err(|e| Error::Damaged(e.to_string()))?)?;
            if let [Value::Int(number)] = key.0[..] {
                highest = highest.max(number);
            }
        }
        Ok(highest)
    }

    /// Existing rows of a table in the ledger, tombstones included.
    pub fn count_rows(&self, table: TableId) -> Result<u64> {
        Ok(self.db.query_row("SELECT count(*) FROM row WHERE tbl = ?1", [table.0], |r| r.get::<_, i64>(0))? as u64)
    }

    /// Tells queues and source transactions from the rows again.
    pub fn rebuild_queues(&mut self) -> Result<()> {
        self.queues.values_mut().for_each(|queues| queues.clear());
        self.transactions.clear();
        self.waiting_tombstones.clear();
        let mut found = Vec::new();
        {
            let mut query = self
                .db
                .prepare("SELECT row.id, row.tbl, substr(row.record, 1, 8), held.entries FROM held JOIN row ON row.id = held.row WHERE held.open = 1")?;
            let mut rows = query.query([])?;
            while let Some(r) = rows.next()? {
                let (id, table) = (RowId(r.get(0)?), TableId(r.get(1)?));
                let Some(shared) = self.shared.iter().find(|shared| shared.table.id == table) else { continue };
                let blob = |column| r.get_ref(column)?.as_blob().map_err(|e| Error::Damaged(e.to_string()));
                let (held, transactions) = decode_rest(blob(3)?, shared.table.columns.len())?;
                if !Row::exists_in(blob(2)?) && held.iter().all(|held| held.since == 0) {
                    self.waiting_tombstones.insert(id);
                }
                for transaction in transactions {
                    self.transactions.entry(transaction).or_default().insert(id);
                }
                let owed = held.iter().filter(|held| held.since > 0);
                found.extend(owed.map(|held| (held.site, id, held.since, shared.table.urgent, held.bulk)));
            }
        }
        for (site, id, since, urgent, bulk) in found {
            self.enqueue(site, id, since, urgent, bulk);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::forget::tests::{held, ledger_of_two};
    use crate::model::{Dot, Life};
    use crate::resolve::Register;

    /// A delete meets a write of ours that the site's log has not shown yet: with the record gone, the row that it puts there
    /// would be taken for a new one.
    #[test]
    fn a_tombstone_waits_for_what_is_still_to_be_heard() {
        let (mut ledger, sites, table) = ledger_of_two();
        let key = Key(vec![Value::Int(1)]);
        let row = |life: u32, registers| Row { life: Life(life), registers, held: vec![held(sites[1], 0)], transactions: vec![] };
        let register = Register { value: Value::Int(1), dot: Dot { site: sites[0], counter: 1 }, at_us: 5 };
        ledger.store(table, &key, None, row(1, vec![Some(register)]), Freshness::LIVE).unwrap();
        let (id, stored) = ledger.load(table, &key).unwrap();
        let id = id.unwrap();
        let write = owed(&stored, ledger.shared(table).unwrap().roster.site(sites[1]), None).unwrap();
        let marker = ledger.next_marker().unwrap();
        ledger.send(sites[1], marker, vec![(id, crate::resolve::sent_row(&stored, &write, table, &key))], Vec::new());
        ledger.store(table, &key, Some(id), row(2, vec![None]), Freshness::LIVE).unwrap();
        assert!(ledger.load_id(id).unwrap().is_some(), "the insert that is under way is not told from a new row any more");
        // The batch turns out not to have been committed.
        let returned = ledger.returned(sites[1], marker);
        ledger.bury_waiting(&returned).unwrap();
        assert!(ledger.load_id(id).unwrap().is_none());

        ledger.store(table, &key, None, row(2, vec![None]), Freshness::LIVE).unwrap();
        assert!(ledger.load(table, &key).unwrap().0.is_none());
        // After a restart nobody knows what was under way, until the sites' logs have been read to where they ended.
        let mut ledger = ledger.reopen().unwrap();
        crate::ledger::forget::tests::bind_two(&mut ledger, &sites, table);
        ledger.store(table, &key, None, row(2, vec![None]), Freshness::LIVE).unwrap();
        assert!(ledger.load(table, &key).unwrap().0.is_some());
        ledger.caught_up(sites[0]).unwrap();
        assert!(ledger.load(table, &key).unwrap().0.is_some());
        ledger.caught_up(sites[1]).unwrap();
        assert!(ledger.load(table, &key).unwrap().0.is_none());
    }

    /// The site has deleted the row, and made it anew, before our write to it comes there.
    #[test]
    fn a_tombstone_that_every_site_holds_waits_for_a_write_on_its_way_too() {
        let (mut ledger, sites, table) = ledger_of_two();
        let key = Key(vec![Value::Int(1)]);
        let register = Register { value: Value::Int(1), dot: Dot { site: sites[0], counter: 1 }, at_us: 5 };
        let row = Row { life: Life(1), registers: vec![Some(register)], held: vec![held(sites[1], 0)], transactions: vec![] };
        ledger.store(table, &key, None, row, Freshness::LIVE).unwrap();
        let (id, stored) = ledger.load(table, &key).unwrap();
        let write = owed(&stored, ledger.shared(table).unwrap().roster.site(sites[1]), None).unwrap();
        let marker = ledger.next_marker().unwrap();
        ledger.send(sites[1], marker, vec![(id.unwrap(), crate::resolve::sent_row(&stored, &write, table, &key))], Vec::new());
        let deleted = Row { life: Life(2), registers: vec![None], held: vec![], transactions: vec![] };
        ledger.store(table, &key, id, deleted, Freshness::LIVE).unwrap();
        assert_eq!(ledger.load(table, &key).unwrap().0, id);
        let returned = ledger.returned(sites[1], marker);
        ledger.bury_waiting(&returned).unwrap();
        assert_eq!(ledger.load(table, &key).unwrap().0, None);
    }

    #[test]
    fn a_row_that_comes_after_a_dropped_one_is_not_taken_for_it() {
        let (mut ledger, sites, table) = ledger_of_two();
        let key = |uid| Key(vec![Value::Int(uid)]);
        let row = |life: u32, held| {
            let register = Register { value: Value::Int(1), dot: Dot { site: sites[0], counter: 1 }, at_us: 5 };
            Row { life: Life(life), registers: vec![Life(life).exists().then_some(register)], held, transactions: vec![] }
        };
        ledger.store(table, &key(1), None, row(1, vec![held(sites[1], 0)]), Freshness::LIVE).unwrap();
        let (first, _) = ledger.load(table, &key(1)).unwrap();
        // Its insert is still on the way to the site when the row is deleted, and dropped, as the site has never shown it.
        ledger.store(table, &key(1), first, row(2, vec![held(sites[1], 0)]), Freshness::LIVE).unwrap();
        assert_eq!(ledger.load(table, &key(1)).unwrap().0, None);

        ledger.store(table, &key(2), None, row(1, vec![held(sites[1], 0)]), Freshness::LIVE).unwrap();
        assert_ne!(ledger.load(table, &key(2)).unwrap().0, first);
    }
}
