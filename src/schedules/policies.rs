//! What the drawn policies promise, when all is quiet.

use std::collections::{BTreeMap, HashSet};

use super::plan::Focus;
use super::site::{Place, Row, TABLES};
use super::world::World;
use crate::config::{ColumnPolicy, InsertPolicy};
use crate::ledger::{QuarantineKind, RowId};
use crate::resolve::{Held, InitialPolicy, claimed, is_apart};

impl World {
    /// Columns of a site's row that may differ from the merged one; None: the row may be another one, or none.
    pub fn may_differ(&self, n: usize, place: Place, id: Option<RowId>, merged: Option<Row>) -> Option<Vec<usize>> {
        let here = self.sites[n].rows.get(&place).copied();
        let site = self.workers[n].id;
        let held_back = id.and_then(|id| self.ledger.quarantined_as(site, id).unwrap());
        let own = |column: usize| here.is_some_and(|row| self.history.values.get(&row[column]).is_some_and(|made| made.site == n));
        match (self.plan.focus, held_back) {
            (Focus::Unique { rename }, Some(QuarantineKind::Unique)) => {
                assert!(!rename, "{place:?} is held back from site {n}, though one of two is called otherwise");
                let value = merged.map(|row| row[0]);
                let in_the_way =
                    self.sites[n].rows.iter().any(|(other, row)| *other != place && other.0 == place.0 && Some(row[0]) == value);
                assert!(in_the_way, "{place:?} is held back from site {n}, and nothing is in its way");
                None
            }
            (Focus::FromHub { keep: true }, _) if n > 0 => Some((0..2).filter(|column| own(*column)).collect()),
            (Focus::KeptColumn, _) if n > 0 => Some(if own(1) { vec![1] } else { Vec::new() }),
            (Focus::Filter, held_back) => {
                let private = here.is_some_and(|row| !self.plan.shares(place, row));
                assert!(
                    held_back != Some(QuarantineKind::Data) || private,
                    "{place:?} is held back from site {n}, and nothing is in its way"
                );
                assert!(!private || merged.is_none() || held_back.is_some(), "{place:?} of site {n} is its own, and is shared: {here:?}");
                (!private).then(Vec::new)
            }
            (Focus::Kin, Some(QuarantineKind::Kin)) => {
                let parent = merged.map(|row| (TABLES[0].0, row[0]));
                assert!(parent.is_some_and(|parent| self.apart().contains(&(n, parent))), "{place:?} is held back for nobody");
                None
            }
            _ => Some(Vec::new()),
        }
    }

    /// Whether the ledger has to remember how a site differs, though nothing stands apart there: a row is held back from it, or a
    /// client's own values stay where they are.
    pub fn may_be_remembered(&self, n: usize, id: RowId, row: &crate::resolve::Row, held: &Held) -> bool {
        let kept =
            |column: u16| row.registers[usize::from(column)].is_some() && self.plan.policy.from_hub[usize::from(column)] == Some(true);
        let keeps = held.life == row.life && n > 0 && held.columns.iter().all(|(column, _)| kept(*column));
        !held.apart && (keeps || self.plan.focus != Focus::Merge && self.ledger.is_quarantined(held.site, id))
    }

    /// Whether a row that stands apart needs no operator: a client's own, which the direction leaves where it is.
    pub fn is_kept(&self, n: usize) -> bool {
        self.plan.focus == Focus::FromHub { keep: true } && n > 0
    }

    /// Where rows can clash, each stands somewhere, and the merged names are told apart where one of two gets another.
    pub fn check_unique(&self, merged: &BTreeMap<Place, Row>) {
        let Focus::Unique { rename } = self.plan.focus else { return };
        for (place, (id, row)) in self.ledger_rows() {
            let Some((register, value)) = claimed(&row, &[1]).zip(merged.get(&place)) else { continue };
            let home = usize::from(register.dot.site.0) - 1;
            let stands = |n: usize| self.sites[n].rows.get(&place).is_some_and(|here| here[0] == value[0]);
            // A write of ours may have gone over it at its home before it was captured, and another row have taken its value since.
            let waits = self.ledger.quarantined_as(register.dot.site, id).unwrap() == Some(QuarantineKind::Unique);
            // Every site may have given its key to another person, while it was gone there and before it came back: revived, or
            // missing in a backup.
            // Or it waits there for its value.
            let held_back = |site| is_apart(&row, site) || self.ledger.quarantined_as(site, id).unwrap() == Some(QuarantineKind::Unique);
            let given_away = self.workers.iter().all(|worker| held_back(worker.id));
            assert!(waits || given_away || (0..self.sites.len()).any(stands), "{place:?} is nowhere, not even at its home {home}");
        }
        for site in &self.sites {
            let moved = |row: &Row| super::names::text_of(row[0]).is_some_and(|name| name.starts_with('~'));
            assert!(!site.rows.values().any(moved), "a value is left where it was moved out of the way");
        }
        let mut claims = HashSet::new();
        let once = merged.iter().all(|(place, row)| claims.insert((place.0, row[0])));
        assert!(once || !rename, "two merged rows have one name");
    }

    /// With a direction, nothing of a client's stands.
    fn check_direction(&self, merged: &BTreeMap<Place, Row>) {
        let Focus::FromHub { .. } = self.plan.focus else { return };
        for (place, row) in merged {
            let by_client = row.iter().find(|value| self.history.values.get(*value).is_some_and(|made| made.site > 0));
            assert!(by_client.is_none(), "{by_client:?} of {place:?} is a client's, and stands against the direction");
        }
    }

    /// What the drawn policies promise, in schedules in which nothing is lost and no row has come and gone.
    pub fn check_policies(&self, merged: &BTreeMap<Place, Row>) {
        self.check_unique(merged);
        self.check_direction(merged);
        let policy = &self.plan.policy;
        let none_apart = policy.insert == InsertPolicy::Merge && policy.initial != InitialPolicy::Quarantine;
        let directed = policy.from_hub[1].is_some();
        for (place, row) in merged.iter().filter(|(place, _)| self.plan.ruin == 0.0 && !self.history.ever_deleted.contains(place)) {
            let written = self.history.values.iter().filter(|(_, made)| made.captured && made.place == *place && made.column == 0);
            match policy.columns[1] {
                ColumnPolicy::Max if none_apart && !directed => {
                    let highest = written.map(|(value, _)| *value).max().unwrap_or_default();
                    assert!(row[0] >= highest, "{highest} of {place:?} was larger than {}", row[0]);
                }
                ColumnPolicy::HubWins if none_apart => {
                    if let Some(latest) = written.filter(|(_, made)| made.site == 0).map(|(value, _)| *value).max() {
                        let replaced = self.history.values.values().any(|made| made.parent == Some(latest));
                        assert!(row[0] == latest || replaced, "the hub's {latest} of {place:?} gave way to {}", row[0]);
                    }
                }
                _ => {}
            }
            if policy.insert == InsertPolicy::Quarantine && self.plan.lacking.is_none() && policy.from_hub[2].is_none() {
                let made = row.iter().filter_map(|value| self.history.values.get(value));
                let lineages: HashSet<i64> = made.map(|made| made.lineage).filter(|l| *l > 0).collect();
                assert!(lineages.len() <= 1, "two people were blended into one row: {place:?} {row:?}");
            }
            if policy.from_hub[2].is_some() {
                // A row that stood apart at its site comes to the others as an insert.
                let by_client = self.history.values.get(&row[1]).is_some_and(|made| {
                    made.captured && made.parent.is_some() && made.site > 0 && !self.ever_apart.contains(&(made.site, *place))
                });
                assert!(!by_client, "a client's {} of {place:?} stands against the direction", row[1]);
            }
        }
    }
}
