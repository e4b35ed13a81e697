//! What must hold: of each batch when it is made, and of everything when the dust has settled.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::lanes::InHand;
use super::plan::{Focus, WIDTH};
use super::site::{Entry, Place, Row, TABLES, number};
use super::world::World;
use crate::apply::Job;
use crate::config::DeletePolicy;
use crate::ledger::RowId;
use crate::model::Payload;
use crate::resolve::owed;

/// Source transactions that a row remembers; beyond that they may come in parts.
const REMEMBERED: usize = 8;

impl World {
    /// Columns that a site is owed now, of rows that no other batch has in hand.
    pub fn owed_rows(&self, n: usize) -> HashMap<Place, HashSet<usize>> {
        if self.history.transactions.is_empty() {
            return HashMap::new();
        }
        let site = self.workers[n].id;
        let under_way = self.ledger.under_way(site).unwrap();
        let rows = self.ledger_rows().into_iter().filter_map(|(place, (id, row))| {
            let view = self.ledger.shared(crate::model::TableId(place.0)).unwrap().roster.site(site);
            let free = !under_way.is_in_hand(id) && !self.ledger.is_quarantined(site, id) && row.transactions.len() < REMEMBERED;
            let write = owed(&row, view, under_way.sent(id)).filter(|_| free)?;
            Some((place, write.columns.iter().filter(|(column, _)| *column > 0).map(|(column, _)| column - 1).collect()))
        });
        rows.collect()
    }

    pub fn check_job(&self, n: usize, job: &Job, owed: &HashMap<Place, HashSet<usize>>, rows_max: usize) {
        let rows: HashSet<RowId> = job.rows.iter().map(|(id, _)| *id).collect();
        assert_eq!(rows.len(), job.rows.len(), "a row is twice in a batch");
        for other in self.workers[n].jobs.iter().flatten() {
            // What is answered may have been heard back before the answer is noted.
            if let InHand::Taken(other) = other {
                assert!(!other.rows.iter().any(|(id, _)| rows.contains(id)), "two batches have one row in hand");
            }
        }
        self.check_restart(n, job);
        self.check_own(n, job);
        if job.rows.len() >= rows_max || self.history.transactions.is_empty() {
            return;
        }
        let (merged, had) = (self.merged(), self.had(n, usize::MAX));
        let places: HashSet<Place> = job.batch.rows.iter().map(|row| (row.table.table.id.0, number(&row.key.0[0]))).collect();
        for made in &self.history.transactions {
            // What the transaction wrote that still stands and that the site never had: what it had and is owed again, as
            // its own writes on top of it were reverted, comes back row by row.
            let missing = made.iter().filter(|value| !had.contains(*value) && !self.history.is_forgiven(**value)).filter_map(|value| {
                let made = &self.history.values.get(value)?;
                let stands = merged.get(&made.place).is_some_and(|row| row[made.column] == *value);
                (stands && owed.get(&made.place)?.contains(&made.column)).then_some(made.place)
            });
            let by_itself = |place: &Place| self.ever_apart.contains(&(n, *place)) || self.keeps_own(n, *place);
            let missing: HashSet<Place> = missing.filter(|place| !by_itself(place)).collect();
            let taken = missing.intersection(&places).count();
            assert!(taken == 0 || taken == missing.len(), "a source transaction is taken apart: {missing:?} of {places:?}");
        }
    }

    /// Whether the site's application has written to the row where the direction leaves that in place. A write of ours that was on
    /// its way goes over it, and the row is owed by itself from then on.
    fn keeps_own(&self, n: usize, place: Place) -> bool {
        let keeps = matches!(self.plan.focus, Focus::FromHub { keep: true } | Focus::KeptColumn);
        keeps && self.history.values.values().any(|made| made.site == n && made.place == place)
    }

    /// Values that a site had had when its log came to `at`.
    pub fn had(&self, n: usize, at: usize) -> HashSet<i64> {
        let written = |entry: &Entry| match entry {
            Entry::Local { changes, .. } | Entry::Landing { changes, .. } => changes.iter().filter_map(|(.., after)| *after).collect(),
            Entry::Watermark(_) => Vec::new(),
        };
        self.sites[n].log.iter().take(at).flat_map(written).flatten().collect()
    }

    /// What a site had been given before a restart is not written there again.
    fn check_restart(&self, n: usize, job: &Job) {
        let (log, worker) = (&self.sites[n].log, &self.workers[n]);
        for entry in log.iter().take(worker.fence).skip(self.position(n)) {
            let Entry::Landing { payload, .. } = entry else { continue };
            for sent in Payload::decode(payload).unwrap().rows {
                let again = job.rows.iter().any(|(_, row)| *row == sent);
                assert!(!again, "what had landed before a restart is written again");
            }
        }
    }

    /// The merged rows that exist.
    pub fn merged(&self) -> BTreeMap<Place, Row> {
        let rows = self.ledger_rows().into_iter().filter(|(_, (_, row))| row.life.exists());
        let value = |row: &crate::resolve::Row, c: usize| row.registers[c].as_ref().map_or(0, |register| number(&register.value));
        rows.map(|(place, (_, row))| (place, std::array::from_fn(|c| value(&row, c + 1)))).collect()
    }

    /// Everything has been captured and applied.
    pub fn check(&self) {
        let merged = self.merged();
        let apart = self.check_records();
        let rows = self.ledger_rows();
        for (n, site) in self.sites.iter().enumerate() {
            for place in merged.keys().chain(site.rows.keys()).filter(|place| !apart.contains(&(n, **place))) {
                let (mut here, mut there) = (site.rows.get(place).copied(), merged.get(place).copied());
                if self.plan.lacking == Some(n) {
                    [&mut here, &mut there].into_iter().flatten().for_each(|row| row[WIDTH - 2] = 0);
                }
                let id = rows.get(place).map(|(id, _)| *id);
                let Some(columns) = self.may_differ(n, *place, id, there) else { continue };
                if let (Some(here), Some(there)) = (here, &mut there) {
                    columns.into_iter().for_each(|column| there[column] = here[column]);
                }
                assert_eq!(here, there, "site {n} differs from the merged row {place:?}");
            }
        }
        for worker in &self.workers {
            let under_way = self.ledger.under_way(worker.id).unwrap();
            assert_eq!((under_way.rows(), under_way.batches()), (0, 0), "something is under way for ever");
        }
        if !self.plan.small_values {
            self.check_values(&merged);
            self.check_policies(&merged);
        }
    }

    /// The ledger remembers differences where there are some only. Gives the rows that stand apart.
    fn check_records(&self) -> HashSet<(usize, Place)> {
        let mut apart = HashSet::new();
        for (place, (id, mut row)) in self.ledger_rows() {
            row.tidy(&self.ledger.shared(TABLES[0]).unwrap().roster);
            for held in &row.held {
                let n = usize::from(held.site.0) - 1;
                if self.may_be_remembered(n, id, &row, held) {
                    continue;
                }
                assert!(held.apart, "sites that still differ are remembered: {row:?}");
                assert!(self.ledger.is_quarantined(held.site, id) || self.is_kept(n), "a row stands apart and nobody is told: {row:?}");
                apart.insert((n, place));
            }
            assert!(row.life.exists() || !row.held.is_empty(), "a tombstone stays");
        }
        apart
    }

    fn check_values(&self, merged: &BTreeMap<Place, Row>) {
        let replaced = self.history.replaced();
        let revives = self.plan.policy.delete == DeletePolicy::UpdateWins;
        for (place, row) in merged.iter().filter(|(place, _)| !(revives && self.history.ever_deleted.contains(place))) {
            for (column, value) in row.iter().enumerate() {
                let reverted = self.plan.policy.from_hub[column + 1].is_some();
                if let Some(by) = replaced.get(value).filter(|_| !reverted) {
                    panic!("value {value} of {place:?} stands although {by} replaced it");
                }
            }
        }
    }

    pub fn trace(&self, text: impl FnOnce() -> String) {
        if self.traced {
            println!("[{}] {}", self.clock, text());
        }
    }

    /// After every step that may have changed them.
    pub fn note_rows(&mut self) {
        let all_shared = self.workers.iter().all(|worker| self.ledger.count_quarantined(worker.id) == 0);
        let keeps = self.plan.focus == Focus::FromHub { keep: true };
        if all_shared && !keeps && !self.traced {
            return;
        }
        for (place, (id, row)) in self.ledger_rows() {
            let apart = row.held.iter().filter(|held| held.apart || self.ledger.is_quarantined(held.site, id));
            self.ever_apart.extend(apart.map(|held| (usize::from(held.site.0) - 1, place)));
            if !self.traced {
                continue;
            }
            let value = |c: usize| row.registers[c].as_ref().map(|r| format!("{}@{}.{}", number(&r.value), r.dot.site.0, r.dot.counter));
            println!("        {place:?} {id:?} life {} {:?} {:?}", row.life.0, value(1), value(2));
            for held in &row.held {
                println!("            {held:?}");
            }
        }
    }
}
