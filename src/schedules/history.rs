//! What the test knows of its own: which value was written on top of which, and where.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::site::{Entry, Place, Row, RowChange, key};
use super::world::World;
use crate::model::{Change, Image, Life, TableId};

#[derive(Clone, Debug)]
pub struct Made {
    pub site: usize,
    pub place: Place,
    pub column: usize,
    /// The value that it was written on top of, at its site; None also for a default.
    pub parent: Option<i64>,
    /// Which insert of the row it belongs to; 0: met by a first copy, which may take two rows for one.
    pub lineage: i64,
    /// Captured from the log of a site that was known.
    pub captured: bool,
}

pub struct History {
    pub values: BTreeMap<i64, Made>,
    next: i64,
    /// Log index up to which each site is known for sure.
    pub sure: Vec<usize>,
    pub ever_deleted: HashSet<Place>,
    /// Values of each source transaction over several rows that was captured while all sites were known.
    pub transactions: Vec<Vec<i64>>,
    /// Values that may stand although they have been replaced.
    forgiven: HashSet<i64>,
    /// Values of a lost stretch of log that were still there: the comparison will read them, if they stay until it comes by.
    unread: HashSet<i64>,
}

impl History {
    pub fn new(sites: usize) -> History {
        History {
            values: BTreeMap::new(),
            next: 1000,
            sure: vec![0; sites],
            ever_deleted: HashSet::new(),
            transactions: Vec::new(),
            forgiven: HashSet::new(),
            unread: HashSet::new(),
        }
    }

    pub fn lineage(&self, before: Option<Row>, known: bool, clock: i64) -> i64 {
        match before {
            Some(row) => row.iter().find_map(|value| self.values.get(value)).map_or(0, |made| made.lineage),
            None if known => clock,
            None => 0,
        }
    }

    pub fn make(&mut self, site: usize, place: Place, column: usize, parent: Option<i64>, lineage: i64) -> i64 {
        self.next += 1;
        self.values.insert(self.next, Made { site, place, column, parent: parent.filter(|value| *value > 0), lineage, captured: false });
        self.next
    }

    pub fn deleted(&mut self, place: Place) {
        self.ever_deleted.insert(place);
    }

    pub fn captured(&mut self, made: &[i64], known: bool, several: bool) {
        for value in made {
            if let Some(made) = self.values.get_mut(value) {
                made.captured = known;
            }
        }
        if several {
            self.transactions.push(made.to_vec());
        }
    }

    /// The values of a transaction that has just been captured, in rows that stand apart at its site: if they are ever shared, then
    /// by a later one.
    pub fn not_yet_shared(&mut self, made: &[i64], is_apart: impl Fn(Place) -> bool) {
        if let Some(last) = self.transactions.last_mut().filter(|last| last.as_slice() == made) {
            last.retain(|value| !self.values.get(value).is_some_and(|made| is_apart(made.place)));
        }
    }

    /// Nothing can be asked of these values of a row any more.
    pub fn forgive(&mut self, place: Place, made: &[i64]) {
        let of_row = |value: &&i64| self.values.get(value).is_some_and(|made| made.place == place);
        let gone: Vec<i64> = made.iter().filter(of_row).copied().collect();
        self.forget(gone);
    }

    /// A row of a site's own moves into the filter, which is an insert: what it has is new to the others, also where they had
    /// it and replaced it while the row was that site's own.
    pub fn shared_anew(&mut self, before: &Row, after: &Row) {
        self.forgiven.extend(before.iter().chain(after));
        self.forget(after.to_vec());
    }

    /// Whether the value came to the others later than the transaction that wrote it, or may have.
    pub fn is_forgiven(&self, value: i64) -> bool {
        self.forgiven.contains(&value)
    }

    /// Values that were written while what their site's log shows was not taken in.
    pub fn overtaken(&mut self, made: &[i64]) {
        self.forget(made.to_vec());
    }

    /// A row was deleted at a site whose deletes are undone, and what a lost stretch of log had made of it was not read before: it is put back as
    /// the ledger has it ("Where the promise ends" in docs/RELIABILITY.md).
    pub fn never_read(&mut self, site: usize, place: Place) {
        let of_row = |value: &&i64| self.values.get(value).is_some_and(|made| (made.site, made.place) == (site, place));
        let gone = self.unread.iter().filter(of_row).copied().collect();
        self.forget(gone);
    }

    /// All that a site has is known.
    pub fn all_read(&mut self, site: usize) {
        self.unread.retain(|value| self.values.get(value).is_some_and(|made| made.site != site));
    }

    fn forget(&mut self, values: Vec<i64>) {
        for value in values {
            if let Some(made) = self.values.get_mut(&value) {
                (made.parent, made.captured) = (None, false);
            }
        }
    }

    pub fn places(&self) -> HashSet<Place> {
        self.values.values().map(|made| made.place).collect()
    }

    /// A stretch of log is lost: values that came and went unseen are gone for good, and so are those in rows that were `older`. A row that was deleted and made anew while a
    /// write of ours to its former life was on its way is a mixture of both.
    pub fn lost(&mut self, older: &[Place], stretch: &[Entry], rows: &BTreeMap<Place, Row>) {
        let there: HashSet<i64> = rows.values().flatten().copied().collect();
        let is_older = |value: &i64| self.values.get(value).is_some_and(|made| older.contains(&made.place));
        let (gone, left): (Vec<i64>, Vec<i64>) = made_in(stretch).partition(|value| !there.contains(value) || is_older(value));
        self.forget(gone);
        self.unread.extend(left);
        let came_or_went = |(place, before, after): &RowChange| (before.is_some() != after.is_some()).then_some(*place);
        let local = |entry: &Entry| match entry {
            Entry::Local { changes, .. } => changes.iter().filter_map(came_or_went).collect(),
            _ => Vec::new(),
        };
        let ours = |entry: &Entry| match entry {
            Entry::Landing { changes, .. } => changes.iter().map(|(place, ..)| *place).collect(),
            _ => Vec::new(),
        };
        let anew: HashSet<Place> = stretch.iter().flat_map(local).collect();
        let mixed: HashSet<Place> = stretch.iter().flat_map(ours).filter(|place| anew.contains(place)).collect();
        self.forgiven.extend(self.values.iter().filter(|(_, made)| mixed.contains(&made.place)).map(|(value, _)| *value));
        self.transactions.clear();
    }

    /// A backup is restored: what came after it and was not seen is gone for good, or in the history of conflicts.
    pub fn undone(&mut self, stretch: &[Entry]) {
        let gone = made_in(stretch).collect();
        self.forget(gone);
        self.transactions.clear();
    }

    /// Values that must not stand any more.
    pub fn replaced(&self) -> HashMap<i64, i64> {
        let pairs = self.values.iter().filter_map(|(value, made)| Some((made.parent?, *value)));
        pairs.filter(|(value, _)| !self.forgiven.contains(value)).collect()
    }
}

impl World {
    pub fn note_capture(&mut self, n: usize, images: &[Change], changes: &[RowChange], made: &[i64]) {
        let id = self.workers[n].id;
        for (change, (place, before, after)) in images.iter().zip(changes) {
            let view = self.ledger.shared(change.table).unwrap().roster.site(id).clone();
            let whole = |image: &Option<Image>| image.as_ref().is_some_and(|image| view.is_whole(image));
            if !self.is_older(n, *place) || whole(&change.before) && whole(&change.after) {
                continue;
            }
            self.history.forgive(*place, made);
            let (was_shared, is_shared) = (before.map(|row| self.plan.shares(*place, row)), after.map(|row| self.plan.shares(*place, row)));
            let is_forgotten = self.ledger.load(change.table, &change.key).unwrap().1.life == Life::NONE;
            match (was_shared, is_shared) {
                // It moves out of the filter: the ledger wins, whatever is written to the site's own row from then on.
                (Some(true), Some(false)) => self.history.forgiven.extend(before.iter().flatten()),
                // Deleted so long ago that the ledger has forgotten it: it is taken for one that has just been inserted.
                (_, Some(true)) if is_forgotten => self.history.forgiven.extend(after.iter().flatten()),
                _ => {}
            }
        }
        let all_known = (0..self.sites.len()).all(|n| self.is_known(n));
        let own_known = self.is_known(n);
        self.history.captured(made, own_known, all_known && images.len() > 1);
    }

    /// The row has not been read since the site was restored from a backup. What is written on it now can be told from
    /// what is older by the images in the log only; without them the ledger wins.
    pub fn is_older(&self, n: usize, (table, k): Place) -> bool {
        let view = self.ledger.shared(TableId(table)).unwrap().roster.site(self.workers[n].id);
        let (_, row) = self.ledger.load(TableId(table), &key(k)).unwrap();
        row.held(view.id).map_or(0, |held| held.seen) < view.known.restored()
    }

    /// The comparison under way at a site, if any, has come by the row.
    pub fn is_read(&self, n: usize, (table, k): Place) -> bool {
        let view = self.ledger.shared(TableId(table)).unwrap().roster.site(self.workers[n].id);
        self.ledger.load(TableId(table), &key(k)).unwrap().1.is_seen(view)
    }
}

fn made_in(stretch: &[Entry]) -> impl Iterator<Item = i64> {
    let made = |entry: &Entry| match entry {
        Entry::Local { made, .. } => made.clone(),
        _ => Vec::new(),
    };
    stretch.iter().flat_map(made)
}
