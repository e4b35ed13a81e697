//! The one rule for all that is seen of a site: what differs from what it held is a change made there, on the base of
//! what it held.

use super::policy::{Roster, TablePolicy, Verdict, decide};
use super::row::{Held, Register, Row};
use crate::config::{ColumnPolicy, DeletePolicy, InsertPolicy};
use crate::model::{Cell, Dot, SiteId, Value};
use crate::mutation;

/// A change made without having seen the merged value that it met, and how it was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub kind: ConflictKind,
    /// The site whose version stands.
    pub winner: SiteId,
    pub loser: SiteId,
    /// Columns with the values that lost.
    pub lost: Vec<(usize, Value)>,
}

/// Named as PostgreSQL 18 names them, where it has the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConflictKind {
    /// Two sites inserted the same key.
    InsertExists,
    /// A column changed at two sites.
    UpdateOriginDiffers,
    /// A row was changed at one site that another has deleted.
    UpdateDeleted,
    /// A row was deleted at one site that another has changed.
    DeleteOriginDiffers,
    /// A site's row differed when it was first copied.
    InitialDiffers,
    /// A site came back from an older backup with other values.
    RestoredDiffers,
    /// A client wrote what belongs to the hub.
    AgainstDirection,
    /// Two rows have one value of a unique key.
    MultipleUniqueConflicts,
}

impl ConflictKind {
    pub const ALL: [ConflictKind; 8] = [
        ConflictKind::InsertExists,
        ConflictKind::UpdateOriginDiffers,
        ConflictKind::UpdateDeleted,
        ConflictKind::DeleteOriginDiffers,
        ConflictKind::InitialDiffers,
        ConflictKind::RestoredDiffers,
        ConflictKind::AgainstDirection,
        ConflictKind::MultipleUniqueConflicts,
    ];

    pub fn name(self) -> &'static str {
        match self {
            ConflictKind::InsertExists => "insert_exists",
            ConflictKind::UpdateOriginDiffers => "update_origin_differs",
            ConflictKind::UpdateDeleted => "update_deleted",
            ConflictKind::DeleteOriginDiffers => "delete_origin_differs",
            ConflictKind::InitialDiffers => "initial_differs",
            ConflictKind::RestoredDiffers => "restored_differs",
            ConflictKind::AgainstDirection => "against_direction",
            ConflictKind::MultipleUniqueConflicts => "multiple_unique_conflicts",
        }
    }
}

/// What came of one observation.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Changes made at the site: counters used, from that of the dot on.
    pub changes: u64,
    pub conflicts: Vec<Conflict>,
    /// The site's row is held apart from now on.
    pub apart: bool,
}

impl Observed {
    /// What came of two observations, one after the other.
    pub(super) fn and(mut self, later: Observed) -> Observed {
        self.changes += later.changes;
        self.conflicts.extend(later.conflicts);
        self.apart |= later.apart;
        self
    }

    pub(super) fn conflict(&mut self, kind: ConflictKind, winner: SiteId, loser: SiteId, lost: Vec<(usize, Value)>) {
        if lost.is_empty() {
            return;
        }
        match self.conflicts.iter_mut().find(|c| c.kind == kind && c.winner == winner && c.loser == loser) {
            Some(conflict) => conflict.lost.extend(lost),
            None => self.conflicts.push(Conflict { kind, winner, loser, lost }),
        }
    }
}

/// Site `dot.site` is seen to hold `content` (None: no row) as of `at_us`. `dot` names the change, should it be one.
pub fn observe(row: &mut Row, roster: &Roster, policy: &TablePolicy, dot: Dot, content: Option<&[Cell]>, at_us: i64) -> Observed {
    let view = roster.site(dot.site);
    let mut held = row.take_held(dot.site, view.known);
    if let Some(generation) = view.known.generation() {
        held.seen = generation;
    }
    let mut seen = Seen { row, roster, policy, dot, at_us, out: Observed::default() };
    let held = match content {
        None => seen.absent(held),
        Some(content) => seen.present(held, content),
    };
    let out = seen.out;
    row.put_held(held);
    row.tidy(roster);
    out
}

struct Seen<'a> {
    row: &'a mut Row,
    roster: &'a Roster,
    policy: &'a TablePolicy,
    dot: Dot,
    at_us: i64,
    out: Observed,
}

impl Seen<'_> {
    fn absent(&mut self, mut held: Held) -> Held {
        if !held.life.exists() {
            return held;
        }
        self.out.changes = 1;
        let unseen = self.unseen(&held);
        held.life = held.life.next();
        held.columns.clear();
        if held.apart {
            // The other person's row is gone: from here on the site is like any that lacks the row.
            held.apart = false;
            held.life = if self.row.life.exists() { crate::model::Life(self.row.life.0 - 1) } else { self.row.life };
            return held;
        }
        if let Some(keep) = self.row_against_direction() {
            held.apart = keep;
            return held;
        }
        if held.life <= self.row.life {
            return held;
        }
        self.row.spell_out(self.roster, Some(self.dot.site));
        let other = unseen.first().map(|(column, _)| self.writer_of(*column));
        match (other, self.policy.delete) {
            (Some(other), DeletePolicy::UpdateWins) if !mutation::without("unseen_delete") => {
                self.out.conflicts.push(Conflict {
                    kind: ConflictKind::DeleteOriginDiffers,
                    winner: other,
                    loser: self.dot.site,
                    lost: Vec::new(),
                });
                self.row.revive(held.life.next());
            }
            (other, _) => {
                if let Some(other) = other {
                    self.out.conflict(ConflictKind::DeleteOriginDiffers, self.dot.site, other, unseen);
                }
                self.row.begin_life(held.life);
            }
        }
        held
    }

    fn present(&mut self, mut held: Held, content: &[Cell]) -> Held {
        let fresh = !held.life.exists();
        if fresh {
            // It has seen nothing of a life that others may have begun too.
            held.life = held.life.next();
            held.columns = (0..self.row.registers.len() as u16).map(|column| (column, None)).collect();
        }
        let new_life = held.life > self.row.life;
        let mut changed: Vec<(usize, &Value)> = Vec::new();
        for (column, cell) in content.iter().enumerate() {
            if let Cell::Value(value) = cell
                && (fresh || new_life || !self.row.holds(&held, column, value) || mutation::without("fingerprints"))
            {
                changed.push((column, value));
            }
        }
        if changed.is_empty() {
            return held;
        }
        self.out.changes = 1;
        if held.apart {
            return self.note(held, &changed);
        }
        if fresh && let Some(keep) = self.row_against_direction() {
            held.apart = keep;
            return self.note(held, &changed);
        }
        if new_life && !fresh {
            // The site's row was never merged (a client's insert against the direction): it stays owed its removal.
            if self.row_against_direction().is_some() {
                return self.note(held, &changed);
            }
        }
        if new_life {
            self.row.spell_out(self.roster, Some(self.dot.site));
            self.row.begin_life(held.life);
        } else if held.life < self.row.life {
            return self.of_an_older_life(held, content, &changed);
        } else if fresh && self.policy.insert == InsertPolicy::Quarantine && self.differs(&changed) {
            return self.another_person(held, &changed);
        }
        self.row.spell_out(self.roster, Some(self.dot.site));
        for (column, value) in changed {
            self.column(&mut held, column, value, fresh);
        }
        held
    }

    /// One changed column, in the same life as the merged row.
    fn column(&mut self, held: &mut Held, column: usize, value: &Value, fresh: bool) {
        let new = Register { value: value.clone(), dot: self.dot, at_us: self.at_us };
        let Some(current) = self.row.registers[column].clone() else { return self.take(held, column, new) };
        if current.value == *value {
            return self.row.hold(held, column, current.dot, value);
        }
        if let Some(keep) = self.policy.from_hub[column]
            && !self.roster.is_hub(self.dot.site)
        {
            self.out.conflict(ConflictKind::AgainstDirection, current.dot.site, self.dot.site, vec![(column, value.clone())]);
            // What is in a column that our insert left out, and has never been owed, may be its default: the hub's value goes over it.
            let own = keep && (fresh || self.row.dot_of(held, column).is_some());
            return self.row.hold(held, column, if own { current.dot } else { self.dot }, value);
        }
        let causal = !mutation::without("causal");
        if causal && self.row.dot_of(held, column) == Some(current.dot) {
            return self.take(held, column, new);
        }
        let kind = if fresh { ConflictKind::InsertExists } else { ConflictKind::UpdateOriginDiffers };
        let verdict = match self.policy.columns[column] {
            policy @ (ColumnPolicy::Max | ColumnPolicy::Min) => decide(policy, &new, &current, self.roster),
            // The site's own value, which a write of ours has gone over there: what is written there now comes after it, and has not seen it.
            _ if causal && current.dot.site == self.dot.site => Verdict::New,
            policy => decide(policy, &new, &current, self.roster),
        };
        match verdict {
            Verdict::New => {
                self.out.conflict(kind, self.dot.site, current.dot.site, vec![(column, current.value)]);
                self.take(held, column, new);
            }
            Verdict::Current => {
                self.out.conflict(kind, current.dot.site, self.dot.site, vec![(column, value.clone())]);
                self.row.hold(held, column, self.dot, value);
            }
            Verdict::Ask => {
                self.out.conflict(kind, current.dot.site, self.dot.site, vec![(column, value.clone())]);
                self.row.hold(held, column, self.dot, value);
                held.apart = true;
                self.out.apart = true;
            }
        }
    }

    fn take(&mut self, held: &mut Held, column: usize, new: Register) {
        let (dot, value) = (new.dot, new.value.clone());
        self.row.set_register(column, new);
        self.row.hold(held, column, dot, &value);
    }

    /// The site has changed a row that has been deleted, or deleted and made anew, elsewhere.
    fn of_an_older_life(&mut self, held: Held, content: &[Cell], changed: &[(usize, &Value)]) -> Held {
        let whole = self.roster.site(self.dot.site).is_whole(content);
        let comes_back = self.policy.delete == DeletePolicy::UpdateWins && self.row_against_direction().is_none();
        let comes_back = comes_back && !mutation::without("late_update");
        if comes_back && !self.row.life.exists() && whole {
            let mut held = held;
            self.row.spell_out(self.roster, Some(self.dot.site));
            self.row.begin_life(self.row.life.next());
            held.life = self.row.life;
            held.columns.clear();
            for (column, cell) in content.iter().enumerate() {
                if let Cell::Value(value) = cell {
                    self.take(&mut held, column, Register { value: value.clone(), dot: self.dot, at_us: self.at_us });
                }
            }
            return held;
        }
        let winner = self.row.registers.iter().flatten().map(|r| r.dot.site).next();
        let winner =
            winner.unwrap_or_else(|| self.roster.sites.iter().map(|s| s.id).find(|id| *id != self.dot.site).unwrap_or(self.dot.site));
        let lost = changed.iter().map(|(column, value)| (*column, (*value).clone())).collect();
        self.out.conflict(ConflictKind::UpdateDeleted, winner, self.dot.site, lost);
        self.note(held, changed)
    }

    /// Two sites gave the same key to two people: the later row stays where it is, and goes nowhere.
    fn another_person(&mut self, mut held: Held, changed: &[(usize, &Value)]) -> Held {
        let winner = self.row.registers.iter().flatten().map(|r| r.dot.site).next().unwrap_or(self.dot.site);
        let lost = changed.iter().map(|(column, value)| (*column, (*value).clone())).collect();
        self.out.conflict(ConflictKind::InsertExists, winner, self.dot.site, lost);
        self.out.apart = true;
        held.apart = true;
        self.note(held, changed)
    }

    /// Writes down what the site holds, without merging it.
    fn note(&mut self, mut held: Held, changed: &[(usize, &Value)]) -> Held {
        for (column, value) in changed {
            self.row.hold(&mut held, *column, self.dot, value);
        }
        held
    }

    fn differs(&self, changed: &[(usize, &Value)]) -> bool {
        changed.iter().any(|(column, value)| self.row.registers[*column].as_ref().is_some_and(|register| register.value != **value))
    }

    /// Some(keep) when rows come and go at the hub only and this site is not the hub.
    fn row_against_direction(&self) -> Option<bool> {
        self.policy.rows_from_hub.filter(|_| !self.roster.is_hub(self.dot.site) && !mutation::without("direction"))
    }

    /// Merged values that the site had not seen.
    fn unseen(&self, held: &Held) -> Vec<(usize, Value)> {
        if held.life != self.row.life {
            return Vec::new();
        }
        let has = &self.roster.site(self.dot.site).has;
        let registers = self.row.registers.iter().enumerate();
        let unseen = registers.filter_map(|(column, register)| {
            let register = register.as_ref()?;
            (has[column] && self.row.dot_of(held, column) != Some(register.dot)).then(|| (column, register.value.clone()))
        });
        unseen.collect()
    }

    fn writer_of(&self, column: usize) -> SiteId {
        self.row.registers[column].as_ref().map_or(self.dot.site, |register| register.dot.site)
    }
}
