//! What must hold after each step, by the policy that the schedule is about.

use std::collections::{BTreeMap, HashSet};

use super::names;
use super::plan::{FUSE_ROWS, Focus, WIDTH};
use super::site::{Entry, Place, Row, RowChange, TABLES, number};
use super::world::World;
use crate::apply::Job;
use crate::config::DeletePolicy;
use crate::ledger::{Mode, Phase};
use crate::model::{TableId, WriteKind};
use crate::resolve::{Register, claimed};
use crate::sites::Outcome;

/// The ledger before a transaction is captured.
pub struct Before {
    merged: BTreeMap<Place, Row>,
    apart: HashSet<(usize, Place)>,
    /// The site of the transaction is known, so that all it shows is taken in.
    known: bool,
    undone: bool,
}

impl World {
    /// Rows that stand apart, by site.
    pub fn apart(&self) -> HashSet<(usize, Place)> {
        let rows = self.ledger_rows().into_iter();
        let of_row = |(place, (_, row)): (Place, (_, crate::resolve::Row))| {
            let apart: Vec<_> = row.held.iter().filter(|held| held.apart).map(|held| (usize::from(held.site.0) - 1, place)).collect();
            apart
        };
        rows.flat_map(of_row).collect()
    }

    /// A row of the site as it was where capture has come to.
    fn captured_row(&self, n: usize, place: Place) -> Option<Row> {
        let of_place = |entry: &Entry| match entry {
            Entry::Local { changes, .. } | Entry::Landing { changes, .. } => {
                changes.iter().filter(|(other, ..)| *other == place).copied().collect()
            }
            Entry::Watermark(_) => Vec::new(),
        };
        let (past, to_come) = self.sites[n].log.split_at(self.position(n).min(self.sites[n].log.len()));
        if let Some((.., after)) = past.iter().flat_map(of_place).last() {
            return after;
        }
        let next: Option<RowChange> = to_come.iter().flat_map(of_place).next();
        next.map_or_else(|| self.sites[n].rows.get(&place).copied(), |(_, before, _)| before)
    }

    fn revives(&self) -> bool {
        let policy = &self.plan.policy;
        let directed = policy.from_hub.iter().any(Option::is_some) || policy.rows_from_hub.is_some();
        policy.delete == DeletePolicy::UpdateWins && !directed && self.plan.focus == Focus::Merge && !self.plan.small_values
    }

    pub fn before_capture(&self, n: usize, entry: &Entry) -> Option<Before> {
        let renames = self.plan.focus == Focus::Unique { rename: true };
        let watched = self.revives() || renames || matches!(self.plan.focus, Focus::Kin | Focus::Fuse);
        (watched && matches!(entry, Entry::Local { .. })).then(|| Before {
            merged: self.merged(),
            apart: self.apart(),
            known: self.is_known(n),
            undone: self.is_undone(n),
        })
    }

    pub fn after_capture(&mut self, n: usize, at: usize, entry: &Entry, before: Option<Before>, whole: &[bool]) {
        let (Some(before), Entry::Local { changes, made, .. }) = (before, entry) else { return };
        let merged = self.merged();
        if before.undone || self.is_undone(n) {
            self.history.overtaken(made);
            for (place, _, after) in changes {
                if after.is_none() && !self.is_read(n, *place) {
                    self.history.never_read(n, *place);
                }
            }
        }
        if self.revives() && before.known {
            self.check_revived(n, at, changes, &before, whole, &merged);
        }
        match self.plan.focus {
            Focus::Fuse if self.plan.ruin == 0.0 => self.check_fuse(n, changes, &before),
            Focus::Kin if before.known => {
                let apart = self.apart();
                self.history.not_yet_shared(made, |place| apart.contains(&(n, place)));
                self.check_kin(n, changes, &before, &merged);
            }
            Focus::Unique { .. } => self.check_renamed(changes, &before, &merged),
            _ => {}
        }
    }

    /// With `update-wins`: who deletes a row without having seen all of it, and who changes one that has been deleted, finds it alive.
    fn check_revived(&self, n: usize, at: usize, changes: &[RowChange], before: &Before, whole: &[bool], merged: &BTreeMap<Place, Row>) {
        let had = self.had(n, at);
        let has = self.plan.has(n);
        for (change, (place, was, is)) in changes.iter().enumerate().filter(|(_, (place, ..))| !before.apart.contains(&(n, *place))) {
            let alive = merged.contains_key(place);
            match (was, is, before.merged.get(place)) {
                (Some(_), None, Some(row)) => {
                    let unseen = (0..WIDTH - 1).filter(|c| has[c + 1]).map(|c| row[c]).find(|value| {
                        let made = self.history.values.get(value);
                        made.is_some_and(|made| made.site != n) && !had.contains(value)
                    });
                    assert!(alive || unseen.is_none(), "{place:?} is gone with {unseen:?}, which site {n} never had when it deleted it");
                }
                (Some(was), Some(is), _) if was != is && whole[change] => assert!(alive, "{place:?} was changed at site {n}, and is gone"),
                _ => {}
            }
        }
    }

    /// A transaction that deletes too much stops the site, and nothing that it deletes goes elsewhere unless an operator wants it to.
    fn check_fuse(&mut self, n: usize, changes: &[RowChange], before: &Before) {
        let site = self.workers[n].id;
        let stopped = TABLES.iter().all(|table| self.ledger.progress(site, *table).stopped.is_some());
        let mut blown = Vec::new();
        for table in TABLES {
            let deleted = changes.iter().filter(|(place, was, is)| place.0 == table.0 && was.is_some() && is.is_none());
            let places: Vec<Place> = deleted.map(|(place, ..)| *place).collect();
            let held = places.iter().filter(|place| before.merged.contains_key(place) && !before.apart.contains(&(n, **place)));
            let count = held.clone().count() as u64;
            assert!(!before.known || count <= FUSE_ROWS || stopped, "site {n} deletes {count} rows of {table:?}, and goes on");
            if before.known && stopped {
                let accepted = |place: &Place| (0..self.sites.len()).any(|other| self.accepts_delete(other, *place));
                blown.extend(held.filter(|place| !accepted(place)).map(|place| (n, *place)));
            } else if !stopped {
                self.blown.retain(|(_, place)| !places.contains(place));
            }
        }
        self.blown.extend(blown);
        self.check_blown();
    }

    /// What was deleted as a fuse blew stands as long as no operator has accepted it, also when a scan finds it missing.
    pub fn check_blown(&self) {
        let merged = if self.blown.is_empty() { return } else { self.merged() };
        for (of, place) in &self.blown {
            assert!(merged.contains_key(place), "{place:?} is gone, which was deleted at site {of} as its fuse blew");
        }
    }

    /// The site lacks the row, and an operator has said that what it lacks is gone everywhere.
    fn accepts_delete(&self, n: usize, place: Place) -> bool {
        let progress = self.ledger.progress(self.workers[n].id, TableId(place.0));
        progress.mode == Mode::Accepted && progress.phase < Phase::Tidying && !self.sites[n].rows.contains_key(&place)
    }

    /// What an application makes for a row that stands apart at its site goes nowhere.
    fn check_kin(&mut self, n: usize, changes: &[RowChange], before: &Before, merged: &BTreeMap<Place, Row>) {
        let apart = self.apart();
        for (place, was, is) in changes.iter().filter(|(place, ..)| place.0 == TABLES[1].0) {
            let parent = is.map(|row| (TABLES[0].0, row[0]));
            let of_kin = parent.is_some_and(|parent| before.apart.contains(&(n, parent)) && apart.contains(&(n, parent)));
            let known = match was {
                None => !before.apart.contains(&(n, *place)),
                Some(row) => self.kin.contains_key(&row[1]) && Some(row[0]) == is.map(|row| row[0]),
            };
            match (is, parent) {
                (Some(row), Some(parent)) if of_kin && known && self.history.values.contains_key(&row[1]) => {
                    self.kin.insert(row[1], (n, parent));
                }
                _ => {
                    let history = &self.history.values;
                    self.kin.retain(|value, (site, _)| *site != n || history[value].place != *place);
                }
            }
        }
        self.kin.retain(|_, of| apart.contains(of));
        for (place, row) in merged.iter().filter(|(place, _)| place.0 == TABLES[1].0) {
            assert!(!self.kin.contains_key(&row[1]), "{place:?} is shared with {}, which belongs to a row that stands apart", row[1]);
        }
    }

    /// Of two rows with one name the later one is called otherwise.
    fn check_renamed(&self, changes: &[RowChange], before: &Before, merged: &BTreeMap<Place, Row>) {
        let rows = self.ledger_rows();
        let order = |place: &Place| {
            let register = rows.get(place).and_then(|(_, row)| claimed(row, &[1]));
            register.map(|Register { at_us, dot, .. }| (at_us, dot.site))
        };
        for (place, row) in merged {
            let seen = changes.iter().find(|(other, ..)| other == place).and_then(|(.., after)| *after).map(|after| after[0]);
            let had = before.merged.get(place).map(|row| row[0]);
            let is_other = names::text_of(row[0]).is_some_and(|name| name.contains('-'));
            if !is_other || seen == Some(row[0]) || had == Some(row[0]) {
                continue;
            }
            // What was seen may have lost to what was merged before, or the other way round.
            let earlier = |kept: &Row| [seen, had].contains(&Some(kept[0]));
            let kept = merged.iter().filter(|(other, kept)| *other != place && other.0 == place.0 && earlier(kept));
            let earlier_one = kept.map(|(other, _)| order(other)).any(|other| other <= order(place));
            assert!(earlier_one, "{place:?} has lost its name, and no earlier one has it");
        }
    }

    pub fn note_published(&mut self, place: Place, row: Row) {
        if self.plan.shares(place, row) {
            self.published.insert(row[1]);
        }
    }

    /// A row is not sent to where another one is known to have its value of the unique key.
    fn check_rivals(&self, n: usize, job: &Job) {
        let merged = self.merged();
        for write in &job.batch.rows {
            let place = (write.table.table.id.0, number(&write.key.0[0]));
            let Some(value) = write.columns.iter().find(|(column, _)| *column == 1).map(|(_, value)| number(value)) else { continue };
            let has = |place: &Place| self.captured_row(n, *place).is_some_and(|row| row[0] == value);
            let rival = merged
                .iter()
                .map(|(other, row)| (other, row[0]))
                .find(|(other, name)| **other != place && other.0 == place.0 && *name == value && has(other));
            assert!(rival.is_none() || has(&place), "{place:?} goes to site {n}, where {rival:?} has its name");
        }
    }

    /// A write of ours has come to the row, and has not been captured yet: it went there as the site's own row had gone.
    fn has_landed(&self, n: usize, place: Place) -> bool {
        let to_come = self.sites[n].log.iter().skip(self.position(n));
        let of_place = |entry: &Entry| matches!(entry, Entry::Landing { changes, .. } if changes.iter().any(|(other, ..)| *other == place));
        to_come.into_iter().any(of_place)
    }

    /// What a batch is about to do to rows of a site that the site does not share.
    pub fn check_own(&self, n: usize, job: &Job) {
        if self.plan.is_unique() && self.is_known(n) {
            self.check_rivals(n, job);
        }
        let apart = if self.plan.focus == Focus::Kin { self.apart() } else { HashSet::new() };
        for write in job.batch.rows.iter().filter(|_| matches!(self.plan.focus, Focus::Filter | Focus::Kin) && self.is_known(n)) {
            let place = (write.table.table.id.0, number(&write.key.0[0]));
            let own = self.captured_row(n, place).is_some_and(|row| !self.plan.shares(place, row)) && !self.has_landed(n, place);
            assert!(!own || write.kind == WriteKind::Insert, "{place:?} of site {n} is its own, and is written to");
            if TableId(place.0) == TABLES[1] && write.kind != WriteKind::Delete && self.plan.focus == Focus::Kin {
                let parent = self.merged().get(&place).map(|row| (TABLES[0].0, row[0]));
                let foreign = parent.is_some_and(|parent| apart.contains(&(n, parent)));
                assert!(!foreign, "{place:?} goes to site {n}, where {parent:?} is another person");
            }
        }
    }

    /// A write of ours that goes over a row which has moved out of the filter moves it in again, with what our write carried.
    fn note_moved_in(&mut self, n: usize) {
        let Some(Entry::Landing { changes, .. }) = self.sites[n].log.last() else { return };
        for (place, before, after) in changes {
            if let (Some(before), Some(after)) = (before, after)
                && !self.plan.shares(*place, *before)
                && self.plan.shares(*place, *after)
            {
                self.history.shared_anew(before, after);
            }
        }
    }

    /// A site has carried out a batch, or has not.
    pub fn check_written(&mut self, n: usize, job: &Job, outcome: Option<&Outcome>) {
        let Some(Outcome::Committed { .. }) = outcome else { return };
        self.note_moved_in(n);
        let apart = if self.plan.focus == Focus::Kin { self.apart() } else { HashSet::new() };
        let places: HashSet<Place> = job.batch.rows.iter().map(|write| (write.table.table.id.0, number(&write.key.0[0]))).collect();
        for place in places {
            let Some(row) = self.sites[n].rows.get(&place).copied() else { continue };
            let by_another = self.history.values.get(&row[1]).is_some_and(|made| made.site != n);
            if self.plan.focus == Focus::Filter {
                let unshared = by_another && !self.published.contains(&row[1]);
                assert!(!unshared, "{} of {place:?} has come to site {n}, though its row was never shared", row[1]);
                self.note_published(place, row);
            }
            let kin = self.kin.get(&row[1]).filter(|of| of.0 != n && apart.contains(of));
            assert!(kin.is_none(), "{} of {place:?} has come to site {n}, though it belongs to a row apart: {kin:?}", row[1]);
        }
    }
}
