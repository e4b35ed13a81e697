//! What the test knows of its own: which value was written on top of which, and where.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::site::{Entry, Place, Row, RowChange};

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
        let gone = made_in(stretch).filter(|value| !there.contains(value) || is_older(value)).collect();
        self.forget(gone);
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

fn made_in(stretch: &[Entry]) -> impl Iterator<Item = i64> {
    let made = |entry: &Entry| match entry {
        Entry::Local { made, .. } => made.clone(),
        _ => Vec::new(),
    };
    stretch.iter().flat_map(made)
}
