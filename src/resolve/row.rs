//! The ledger's record of one row.
//!
//! What a site holds is kept as its difference from the merged row: no entry for a site means what `Known` says of it (as a
//! rule: it holds the merged version), and an entry lists only the columns in which it differs. So the record of a row
//! that every site agrees on is the row itself, and one change reads and writes one record, however many sites there are.

use super::policy::{Known, Roster, SiteView};
use crate::model::{Dot, Fingerprint, Life, SiteId, Value, fingerprint};

/// One column of the merged row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    pub value: Value,
    pub dot: Dot,
    /// Commit time at the site that wrote it, microseconds since 1970; 0 for what a first copy found.
    pub at_us: i64,
}

/// What one site holds of a row, where it is not the merged version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub site: SiteId,
    /// The scan that came by this row last at this site; 0: none.
    pub seen: u32,
    pub life: Life,
    /// Columns in which it differs, by number: the dot and fingerprint it holds; None: nothing of ours.
    /// In the merged row's life an unlisted column is the merged one; in another life it is unknown.
    pub columns: Vec<(u16, Option<(Dot, Fingerprint)>)>,
    /// Order number of the change by which the site was first owed something.
    pub since: u64,
    /// Owed by a copy or a repair, not by somebody's change just now.
    pub bulk: bool,
    /// The site's row is another person's, or a value that an operator has to decide about: neither merged nor written to.
    pub apart: bool,
}

/// A row's merged state and what the sites hold instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub life: Life,
    /// One for each column of the table; None: no site has said anything about it.
    pub registers: Vec<Option<Register>>,
    /// By site number.
    pub held: Vec<Held>,
    /// Order numbers of the multi-row transactions that it took part in while some site is owed it: they leave together.
    pub transactions: Vec<u64>,
}

impl Held {
    /// Scan `seen` came by, and the site held the merged version.
    pub fn quiet(site: SiteId, seen: u32, life: Life) -> Held {
        Held { site, seen, life, columns: Vec::new(), since: 0, bulk: false, apart: false }
    }

    /// The site is known not to have the row, nor to have had one.
    pub fn lacking(site: SiteId) -> Held {
        Held::quiet(site, 0, Life::NONE)
    }

    /// It says nothing else; `life`: the merged row's.
    pub fn is_quiet(&self, life: Life) -> bool {
        self.seen > 0 && self.life == life && self.columns.is_empty() && self.since == 0 && !self.apart
    }
}

impl Row {
    pub fn new(width: usize) -> Row {
        Row { registers: vec![None; width], ..Row::default() }
    }

    pub fn held(&self, site: SiteId) -> Option<&Held> {
        self.held.binary_search_by_key(&site, |held| held.site).ok().map(|at| &self.held[at])
    }

    /// The life that a site holds, as far as the ledger knows.
    pub fn life_at(&self, site: SiteId) -> Life {
        self.held(site).map_or(self.life, |held| held.life)
    }

    /// Whether the scan under way at a site, if any, has come by the row.
    pub fn is_seen(&self, site: &SiteView) -> bool {
        site.known.generation().is_none_or(|generation| self.held(site.id).is_some_and(|held| held.seen == generation))
    }

    /// Puts an entry in, or in the place of the site's.
    pub fn put_held(&mut self, held: Held) {
        match self.held.binary_search_by_key(&held.site, |h| h.site) {
            Ok(at) => self.held[at] = held,
            Err(at) => self.held.insert(at, held),
        }
    }

    /// The entry of `site`, made from what its absence means if there is none. In a first scan that has not come by, the
    /// site counts as holding nothing; after it, the site is known to lack the row, whichever of its lives is meant.
    pub(super) fn take_held(&mut self, site: SiteId, known: Known) -> Held {
        if let Ok(at) = self.held.binary_search_by_key(&site, |held| held.site) {
            return self.held.remove(at);
        }
        let lacking = if self.life.exists() { Life::NONE } else { self.life };
        let (seen, life) = match known {
            Known::Merged | Known::Unsure { .. } => (0, self.life),
            Known::Unknown { .. } => (0, Life::NONE),
            Known::Absent { generation, .. } => (generation, lacking),
        };
        Held { site, seen, life, columns: Vec::new(), since: 0, bulk: false, apart: false }
    }

    /// The dot that `held` has in `column`.
    pub(super) fn dot_of(&self, held: &Held, column: usize) -> Option<Dot> {
        match held.columns.iter().find(|(c, _)| usize::from(*c) == column) {
            Some((_, version)) => version.map(|(dot, _)| dot),
            None if held.life == self.life => self.registers[column].as_ref().map(|register| register.dot),
            None => None,
        }
    }

    /// Whether `held` has `value` in `column`.
    pub(super) fn holds(&self, held: &Held, column: usize, value: &Value) -> bool {
        match held.columns.iter().find(|(c, _)| usize::from(*c) == column) {
            Some((_, version)) => version.is_some_and(|(_, print)| print == fingerprint(value)),
            None if held.life == self.life => self.registers[column].as_ref().is_some_and(|register| register.value == *value),
            None => false,
        }
    }

    /// Writes down that `held` has `dot` and `value` in `column`. Unlists it where that is the merged register.
    pub(super) fn hold(&self, held: &mut Held, column: usize, dot: Dot, value: &Value) {
        let merged = held.life == self.life
            && self.registers[column].as_ref().is_some_and(|register| register.dot == dot && register.value == *value);
        held.columns.retain(|(c, _)| usize::from(*c) != column);
        if !merged {
            held.columns.push((column as u16, Some((dot, fingerprint(value)))));
        }
    }

    /// Replaces one register. Sites that held the old one get it listed first.
    pub(super) fn set_register(&mut self, column: usize, register: Register) {
        let old = self.registers[column].as_ref().map(|old| (old.dot, fingerprint(&old.value)));
        for held in &mut self.held {
            if held.life == self.life && !held.columns.iter().any(|(c, _)| usize::from(*c) == column) {
                held.columns.push((column as u16, old));
            }
        }
        self.registers[column] = Some(register);
    }

    /// Begins another life, without any column. Sites in the old one get all that they hold listed first.
    pub(super) fn begin_life(&mut self, life: Life) {
        for column in 0..self.registers.len() {
            let Some(old) = self.registers[column].take() else { continue };
            let version = (old.dot, fingerprint(&old.value));
            for held in &mut self.held {
                if held.life == self.life && !held.columns.iter().any(|(c, _)| usize::from(*c) == column) {
                    held.columns.push((column as u16, Some(version)));
                }
            }
        }
        self.life = life;
    }

    /// Puts the row into a later life as it is: every site is owed all of it anew.
    pub(super) fn revive(&mut self, life: Life) {
        let registers = self.registers.clone();
        self.begin_life(life);
        self.registers = registers;
    }

    /// Gives every site but `except` that has no entry the one that its absence means, before the merged row changes.
    pub(super) fn spell_out(&mut self, roster: &Roster, except: Option<SiteId>) {
        for site in &roster.sites {
            if Some(site.id) == except || self.held(site.id).is_some() || matches!(site.known, Known::Unknown { .. }) {
                continue;
            }
            let held = self.take_held(site.id, site.known);
            self.put_held(held);
        }
    }

    /// Drops entries that say nothing any more: the site holds the merged version and no scan needs the mark.
    pub fn tidy(&mut self, roster: &Roster) {
        let (life, registers) = (self.life, &self.registers);
        self.held.retain_mut(|held| {
            let Some(site) = roster.sites.iter().find(|site| site.id == held.site) else { return false };
            if held.life == life && !held.apart {
                held.columns.retain(|(c, _)| {
                    let column = usize::from(*c);
                    let merged = registers[column].as_ref();
                    // What no site has said anything about is nobody's to differ in: seen again, it is taken as new.
                    site.has[column] && merged.is_some()
                });
                if !life.exists() {
                    held.columns.clear();
                }
            }
            let merged = held.life == life && held.columns.is_empty() && !held.apart;
            let needed = match site.known {
                Known::Merged => false,
                Known::Unknown { .. } => true,
                Known::Absent { .. } => life.exists(),
                Known::Unsure { generation, restored } => held.seen == generation || restored > 0 && held.seen >= restored,
            };
            !merged || needed
        });
    }

    /// Sites that lack a deleted row hold its delete, when no write of ours to them is still to be heard (`is_sure`): one that
    /// put the row there would bring an old life's echo, to be told from a new life by this record only.
    pub fn lay_to_rest(&mut self, is_sure: impl Fn(SiteId) -> bool) {
        if self.life.exists() {
            return;
        }
        for held in self.held.iter_mut().filter(|held| !held.life.exists() && !held.apart) {
            if is_sure(held.site) {
                held.life = self.life;
            }
        }
    }

    /// Every site holds the delete: the record can go.
    pub fn is_over(&self, roster: &Roster) -> bool {
        !self.life.exists() && self.held.is_empty() && !roster.sites.iter().any(|site| matches!(site.known, Known::Unknown { .. }))
    }
}
