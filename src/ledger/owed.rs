//! Which rows each site is owed, in the order in which they became owed, and what is under way to it.

use std::collections::{BTreeMap, HashMap};

use rusqlite::params;

use super::{Ledger, Result, RowId};
use crate::model::{MarkerId, SentRow, SiteId, Watermark};
use crate::mutation;

/// The queue that a row waits in: rows of urgent tables, other live changes, and what copies and repairs owe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Urgent,
    Live,
    Bulk,
}

/// Order number to row, one map per lane. Entries may be out of date: what is owed is told from the row when it is taken.
#[derive(Default)]
pub struct Queues {
    urgent: BTreeMap<u64, RowId>,
    live: BTreeMap<u64, RowId>,
    bulk: BTreeMap<u64, RowId>,
}

impl Queues {
    pub(super) fn clear(&mut self) {
        *self = Queues::default();
    }

    fn lane(&mut self, lane: Lane) -> &mut BTreeMap<u64, RowId> {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Live => &mut self.live,
            Lane::Bulk => &mut self.bulk,
        }
    }

    pub fn len(&self, lane: Lane) -> usize {
        match lane {
            Lane::Urgent => self.urgent.len(),
            Lane::Live => self.live.len(),
            Lane::Bulk => self.bulk.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.live.is_empty() && self.bulk.is_empty()
    }
}

/// What has been handed to a site and not been heard back.
#[derive(Default)]
pub struct UnderWay {
    rows: HashMap<RowId, Sent>,
    batches: HashMap<MarkerId, SentBatch>,
}

struct SentBatch {
    rows: Vec<RowId>,
    /// Markers that it removes at the site.
    forgets: Vec<MarkerId>,
}

struct Sent {
    row: SentRow,
    marker: MarkerId,
    /// The site has confirmed the commit; the log has not shown it yet.
    committed: bool,
}

impl UnderWay {
    pub fn sent(&self, id: RowId) -> Option<&SentRow> {
        self.rows.get(&id).map(|sent| &sent.row)
    }

    /// A batch with this row has not been answered yet.
    pub fn is_in_hand(&self, id: RowId) -> bool {
        self.rows.get(&id).is_some_and(|sent| !sent.committed)
    }

    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    pub fn batches(&self) -> usize {
        self.batches.len()
    }
}

impl Ledger {
    pub(super) fn enqueue(&mut self, site: SiteId, id: RowId, since: u64, urgent: bool, bulk: bool) {
        if self.quarantined.contains(&(site, id)) {
            return;
        }
        let lane = match (urgent && !bulk, bulk) {
            (true, _) => Lane::Urgent,
            (_, true) => Lane::Bulk,
            _ => Lane::Live,
        };
        self.queues.entry(site).or_default().lane(lane).insert(since, id);
    }

    pub fn queues(&self, site: SiteId) -> Option<&Queues> {
        self.queues.get(&site)
    }

    pub fn under_way(&self, site: SiteId) -> Option<&UnderWay> {
        self.under_way.get(&site)
    }

    /// Takes the row that has been owed longest out of a queue.
    pub fn pop(&mut self, site: SiteId, lane: Lane) -> Option<RowId> {
        self.queues.get_mut(&site)?.lane(lane).pop_first().map(|(_, id)| id)
    }

    /// Puts a row back into its queue if the site is still owed it: after a batch that did not commit, or when it is to be tried again.
    pub fn requeue(&mut self, site: SiteId, id: RowId) -> Result<()> {
        let Some((table, _, row)) = self.load_id(id)? else { return Ok(()) };
        let Some(held) = row.held(site) else { return Ok(()) };
        let (since, bulk) = (held.since, held.bulk);
        let urgent = self.shared(table).is_some_and(|shared| shared.table.urgent);
        if since > 0 {
            self.enqueue(site, id, since, urgent, bulk);
        }
        Ok(())
    }

    pub fn is_quarantined(&self, site: SiteId, id: RowId) -> bool {
        self.quarantined.contains(&(site, id))
    }

    /// A number for one of our transactions, higher than all before.
    pub fn next_marker(&mut self) -> Result<MarkerId> {
        self.last_marker = self.marker_clock().max(self.last_marker + 1);
        if self.last_marker > self.markers_aside {
            self.set_markers_aside()?;
        }
        Ok(MarkerId(self.last_marker))
    }

    /// What a watermark at a site says of itself.
    pub fn watermark(&self, site: SiteId) -> Vec<u8> {
        Watermark { ledger: self.id, site }.encode()
    }

    /// A batch goes out; `forgets`: markers from [`Ledger::take_heard`] that it removes.
    pub fn send(&mut self, site: SiteId, marker: MarkerId, rows: Vec<(RowId, SentRow)>, forgets: Vec<MarkerId>) {
        let under_way = self.under_way.entry(site).or_default();
        under_way.batches.insert(marker, SentBatch { rows: rows.iter().map(|(id, _)| *id).collect(), forgets });
        for (id, row) in rows {
            under_way.rows.insert(id, Sent { row, marker, committed: false });
        }
    }

    /// The site has committed the batch: its rows may be written again before the log shows them.
    pub fn committed(&mut self, site: SiteId, marker: MarkerId) {
        let Some(under_way) = self.under_way.get_mut(&site) else { return };
        for id in under_way.batches.get(&marker).map_or(&[][..], |batch| &batch.rows) {
            if let Some(sent) = under_way.rows.get_mut(id).filter(|sent| sent.marker == marker) {
                sent.committed = true;
            }
        }
    }

    /// The batch did not commit, or nobody knows any more whether it did: the markers that it was to remove wait for another. Gives back
    /// its rows, for [`Ledger::bury_waiting`] unless they are stored anyhow.
    pub fn returned(&mut self, site: SiteId, marker: MarkerId) -> Vec<RowId> {
        let batch = self.take_under_way(site, marker);
        self.forget_later(site, &batch.forgets);
        batch.rows
    }

    /// The site's log has shown the batch, so that it is on the site's disk with all that it did. Gives its rows' numbers.
    pub fn came_back(&mut self, site: SiteId, marker: MarkerId) -> Result<Vec<RowId>> {
        let batch = self.take_under_way(site, marker);
        self.forgotten(site, &batch.forgets)?;
        Ok(batch.rows)
    }

    fn take_under_way(&mut self, site: SiteId, marker: MarkerId) -> SentBatch {
        let under_way = self.under_way.entry(site).or_default();
        let batch = under_way.batches.remove(&marker).unwrap_or(SentBatch { rows: Vec::new(), forgets: Vec::new() });
        for id in &batch.rows {
            if under_way.rows.get(id).is_some_and(|sent| sent.marker == marker) {
                under_way.rows.remove(id);
            }
        }
        batch
    }

    /// Batches that have been handed out and not been heard back.
    pub fn unheard(&self, site: SiteId) -> Vec<MarkerId> {
        self.under_way.get(&site).map(|u| u.batches.keys().copied().collect()).unwrap_or_default()
    }

    /// One of our transactions has been heard back: its marker can be removed at the site.
    pub fn heard(&mut self, site: SiteId, marker: MarkerId) -> Result<()> {
        self.db.prepare_cached("INSERT OR IGNORE INTO heard VALUES (?1, ?2)")?.execute(params![site.0, marker.0])?;
        self.heard.entry(site).or_default().insert(marker);
        Ok(())
    }

    /// A watermark has been heard back. The one before it can be removed; the last stays.
    pub fn marked(&mut self, site: SiteId, marker: MarkerId) -> Result<()> {
        let record = self.sites.iter_mut().find(|record| record.id == site);
        if let Some(earlier) = record.and_then(|record| record.marked.replace(marker)) {
            self.heard(site, earlier)?;
        }
        Ok(())
    }

    /// Whether the marker was heard back before and is only waiting to be removed.
    pub fn was_heard(&self, site: SiteId, marker: MarkerId) -> Result<bool> {
        if mutation::without("heard") {
            return Ok(false);
        }
        Ok(self.db.prepare_cached("SELECT 1 FROM heard WHERE site = ?1 AND marker = ?2")?.exists(params![site.0, marker.0])?)
    }

    /// Takes up to `limit` markers to remove at the site; then [`Ledger::forgotten`] or [`Ledger::forget_later`].
    pub fn take_heard(&mut self, site: SiteId, limit: usize) -> Vec<MarkerId> {
        let Some(heard) = self.heard.get_mut(&site) else { return Vec::new() };
        (0..limit).map_while(|_| heard.pop_first()).collect()
    }

    /// The site has removed these markers.
    pub fn forgotten(&mut self, site: SiteId, markers: &[MarkerId]) -> Result<()> {
        for marker in markers {
            self.db.prepare_cached("DELETE FROM heard WHERE site = ?1 AND marker = ?2")?.execute(params![site.0, marker.0])?;
        }
        Ok(())
    }

    /// The site has not removed these markers.
    pub fn forget_later(&mut self, site: SiteId, markers: &[MarkerId]) {
        if !markers.is_empty() {
            self.heard.entry(site).or_default().extend(markers);
        }
    }

    pub(super) fn load_heard(&mut self) -> Result<()> {
        self.heard.clear();
        let mut query = self.db.prepare("SELECT site, marker FROM heard")?;
        let mut rows = query.query([])?;
        while let Some(r) = rows.next()? {
            self.heard.entry(SiteId(r.get(0)?)).or_default().insert(MarkerId(r.get(1)?));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ledger::forget::tests::ledger_of_two;

    /// The site has answered that the batch is committed, and has lost it in a crash.
    #[test]
    fn markers_are_forgotten_when_the_log_shows_that_they_are_gone() {
        let (mut ledger, sites, _) = ledger_of_two();
        let earlier = ledger.next_marker().unwrap();
        ledger.heard(sites[1], earlier).unwrap();
        for lost in [true, false] {
            let forgets = ledger.take_heard(sites[1], 10);
            assert_eq!(forgets, [earlier]);
            let marker = ledger.next_marker().unwrap();
            ledger.send(sites[1], marker, Vec::new(), forgets);
            ledger.committed(sites[1], marker);
            assert!(ledger.was_heard(sites[1], earlier).unwrap());
            if lost {
                ledger.returned(sites[1], marker);
            } else {
                ledger.came_back(sites[1], marker).unwrap();
            }
            assert_eq!(ledger.was_heard(sites[1], earlier).unwrap(), lost);
        }
    }
}
