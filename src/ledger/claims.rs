//! Who has which value of a unique key: a clash is found here before a site has to refuse a row.
//!
//! A claim is the fingerprint of a merged row's values in the columns of one unique key, folded where some site compares them
//! without regard to case: so two rows with the same claim can't both be at a site that has the key.

use std::collections::BTreeSet;

use rusqlite::params;

use super::{Error, Ledger, Result, RowId, Shared};
use crate::model::{Key, SharedUnique, SiteId, TableId, Value, Writer, fingerprint, folded};
use crate::resolve::Row;

/// A claim that a row has made in the transaction at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub table: TableId,
    pub print: i64,
    pub row: RowId,
}

/// The claim of a row on its values of a unique key. None: it has none, as one of them is NULL or not known.
pub fn claim(row: &Row, unique: &SharedUnique) -> Option<i64> {
    let values = unique.columns.iter().map(|column| row.registers.get(*column)?.as_ref().map(|register| &register.value));
    claim_of(unique, values.collect::<Option<Vec<_>>>()?)
}

fn claim_of(unique: &SharedUnique, values: Vec<&Value>) -> Option<i64> {
    let mut w = Writer::new();
    for (column, value) in unique.columns.iter().zip(values) {
        w.uint(*column as u64);
        match value {
            Value::Null => return None,
            Value::Text(text) if unique.folds => w.value(&Value::Text(folded(text))),
            value => w.value(value),
        }
    }
    Some(fingerprint(&Value::Bytes(w.into_bytes())).0 as i64)
}

fn claims(shared: &Shared, row: &Row) -> BTreeSet<i64> {
    if !row.life.exists() {
        return BTreeSet::new();
    }
    shared.unique.iter().filter_map(|unique| claim(row, unique)).collect()
}

/// What a row claimed before.
enum Before {
    /// What it claims now: its values of unique keys are the same.
    Same,
    Claimed(BTreeSet<i64>),
}

/// The claims of a stored record, which is about to become `row`.
fn claims_in(shared: &Shared, key: &Key, record: &[u8], row: &Row) -> Result<Before> {
    let columns: Vec<usize> = shared.unique.iter().flat_map(|unique| unique.columns.iter().copied()).collect();
    let stored = Row::values_in(record, &columns)?;
    let now = columns.iter().map(|column| row.registers.get(*column)?.as_ref().map(|register| &register.value));
    if stored.exists == row.life.exists() && stored.are(now, key) {
        return Ok(Before::Same);
    }
    if !stored.exists {
        return Ok(Before::Claimed(BTreeSet::new()));
    }
    let values = stored.values(key)?;
    let mut at = values.iter();
    let mut claimed = BTreeSet::new();
    for unique in &shared.unique {
        let values: Vec<Option<&Value>> = at.by_ref().take(unique.columns.len()).map(Option::as_ref).collect();
        claimed.extend(values.into_iter().collect::<Option<_>>().and_then(|values| claim_of(unique, values)));
    }
    Ok(Before::Claimed(claimed))
}

/// Claims that a row makes from now on, and that it makes no more.
#[derive(Default)]
pub(super) struct Changed {
    made: Vec<i64>,
    given_up: Vec<i64>,
}

impl Ledger {
    /// What becomes of a row's claims when it is stored as `row`; `id`: it is in the ledger already.
    pub(super) fn claims_to_change(&self, table: TableId, key: &Key, id: Option<RowId>, row: &Row) -> Result<Changed> {
        let Some(shared) = self.shared(table).filter(|shared| !shared.unique.is_empty()) else { return Ok(Changed::default()) };
        let before = id.map(|id| self.with_record(id, |record| claims_in(shared, key, record, row))).transpose()?.flatten();
        Ok(match before {
            None => Changed { made: claims(shared, row).into_iter().collect(), given_up: Vec::new() },
            Some(Before::Same) => Changed::default(),
            Some(Before::Claimed(before)) => {
                let now = claims(shared, row);
                Changed { made: now.difference(&before).copied().collect(), given_up: before.difference(&now).copied().collect() }
            }
        })
    }

    /// Writes down what a stored row claims now, and lets rows go on that waited for what it claims no more. `bulk`: it is one of many.
    pub(super) fn reclaim(&mut self, table: TableId, id: RowId, Changed { made, given_up }: Changed, bulk: bool) -> Result<()> {
        for print in made {
            let others = self
                .db
                .prepare_cached("SELECT 1 FROM claim WHERE tbl = ?1 AND print = ?2 AND row <> ?3")?
                .exists(params![table.0, print, id.0])?;
            let others = others || self.gathered.claimants(table, print).any(|other| other != id);
            if bulk {
                self.gather(table, print, id)?;
            } else {
                self.db.prepare_cached("INSERT INTO claim VALUES (?1, ?2, ?3)")?.execute(params![table.0, print, id.0])?;
            }
            self.new_claims.push(Claim { table, print, row: id });
            if others {
                self.db.prepare_cached("INSERT OR IGNORE INTO contested VALUES (?1, ?2)")?.execute(params![table.0, print])?;
                self.contested.insert((table, print));
            }
        }
        for print in given_up {
            if !self.ungather(table, print, id) {
                let mut delete = self.db.prepare_cached("DELETE FROM claim WHERE tbl = ?1 AND print = ?2 AND row = ?3")?;
                delete.execute(params![table.0, print, id.0])?;
            }
            if self.is_contested(table, print) && self.claimants(table, print)?.len() < 2 {
                self.db.execute("DELETE FROM contested WHERE tbl = ?1 AND print = ?2", params![table.0, print])?;
                self.contested.remove(&(table, print));
            }
            self.let_go_on(table, print, id)?;
        }
        Ok(())
    }

    /// Rows that were held back because of another one's claim are tried again, when `former` has given it up; so is that row.
    fn let_go_on(&mut self, table: TableId, print: i64, former: RowId) -> Result<()> {
        for id in self.claimants(table, print)?.into_iter().chain([former]) {
            let held_back: Vec<SiteId> = {
                let mut query = self.db.prepare_cached("SELECT site FROM quarantine WHERE row = ?1 AND kind = 'unique'")?;
                query.query_map([id.0], |r| r.get(0).map(SiteId))?.collect::<rusqlite::Result<_>>()?
            };
            for site in held_back {
                self.let_go(site, id)?;
            }
        }
        Ok(())
    }

    /// Whether rows are held back from the site because of another one's value.
    pub fn holds_rivals_back(&self, site: SiteId, table: TableId) -> Result<bool> {
        if self.quarantined.is_empty() || self.shared(table).is_none_or(|shared| shared.unique.is_empty()) {
            return Ok(false);
        }
        let mut query = self.db.prepare_cached("SELECT 1 FROM quarantine WHERE site = ?1 AND tbl = ?2 AND kind = 'unique'")?;
        Ok(query.exists(params![site.0, table.0])?)
    }

    /// Rows that were held back from the site are tried again: one of its rows has given a value up, maybe theirs.
    pub fn let_rivals_go_on(&mut self, site: SiteId, table: TableId) -> Result<()> {
        let rivals: Vec<RowId> = {
            let mut query = self.db.prepare_cached("SELECT row FROM quarantine WHERE site = ?1 AND tbl = ?2 AND kind = 'unique'")?;
            query.query_map(params![site.0, table.0], |r| r.get(0).map(RowId))?.collect::<rusqlite::Result<_>>()?
        };
        rivals.into_iter().try_for_each(|id| self.let_go(site, id))
    }

    /// Whether several rows make this claim.
    pub fn is_contested(&self, table: TableId, print: i64) -> bool {
        self.contested.contains(&(table, print))
    }

    pub(super) fn load_contested(&mut self) -> Result<()> {
        let mut query = self.db.prepare("SELECT tbl, print FROM contested")?;
        let claims = query.query_map([], |r| Ok((TableId(r.get(0)?), r.get(1)?)))?;
        self.contested = claims.collect::<rusqlite::Result<_>>()?;
        Ok(())
    }

    /// The rows with this claim.
    pub fn claimants(&self, table: TableId, print: i64) -> Result<Vec<RowId>> {
        let mut query = self.db.prepare_cached("SELECT row FROM claim WHERE tbl = ?1 AND print = ?2")?;
        let stored = query.query_map(params![table.0, print], |r| r.get(0).map(RowId))?;
        let mut rows = stored.collect::<rusqlite::Result<Vec<_>>>()?;
        rows.extend(self.gathered.claimants(table, print));
        rows.sort_unstable();
        Ok(rows)
    }

    /// Claims made since the last call. Those of tables of which a site's rows are unsure are left for the end of its scan.
    pub fn take_new_claims(&mut self) -> Vec<Claim> {
        let new = std::mem::take(&mut self.new_claims);
        new.into_iter().filter(|claim| !self.is_unsure(claim.table)).collect()
    }

    /// Every claim that several rows make, when no scan under way can change that.
    pub fn shared_claims(&mut self, table: TableId) -> Result<Vec<Claim>> {
        self.write_gathered()?;
        if self.is_unsure(table) {
            return Ok(Vec::new());
        }
        let mut query = self.db.prepare_cached(
            "SELECT print, row FROM claim WHERE tbl = ?1 AND print IN
                 (SELECT print FROM claim WHERE tbl = ?1 GROUP BY print HAVING count(*) > 1) ORDER BY row",
        )?;
        let claims = query.query_map([table.0], |r| Ok(Claim { table, print: r.get(0)?, row: RowId(r.get(1)?) }))?;
        Ok(claims.collect::<rusqlite::Result<_>>()?)
    }

    /// A scan after a gap is under way: a row may have given up its claim at its site, which the ledger has not come by yet.
    fn is_unsure(&self, table: TableId) -> bool {
        let unsure = |shared: &Shared| shared.roster.sites.iter().any(|view| matches!(view.known, crate::resolve::Known::Unsure { .. }));
        self.shared(table).is_some_and(unsure)
    }

    /// Which unique keys a site has over shared columns: told when its description has been read. Where the roster's keys are
    /// others than before, all claims of the table are made anew.
    pub fn set_unique(&mut self, site: SiteId, table: TableId, unique: Vec<SharedUnique>) -> Result<()> {
        let Some(shared) = self.shared.iter_mut().find(|shared| shared.table.id == table) else { return Ok(()) };
        shared.unique_at.insert(site, unique);
        let complete = shared.roster.sites.iter().all(|view| shared.unique_at.contains_key(&view.id));
        let earlier = if complete { Vec::new() } else { shared.unique.clone() };
        let all = union(earlier.into_iter().chain(shared.unique_at.values().flatten().cloned()));
        let same = same_keys(&all, &shared.unique);
        shared.unique = all;
        if same { Ok(()) } else { self.claim_anew(table) }
    }

    fn claim_anew(&mut self, table: TableId) -> Result<()> {
        self.write_claimed(table)?;
        self.gathered.forget_table(table);
        self.db.execute("DELETE FROM claim WHERE tbl = ?1", [table.0])?;
        self.db.execute("DELETE FROM contested WHERE tbl = ?1", [table.0])?;
        self.contested.retain(|(of, _)| *of != table);
        self.each_row(table, |ledger, id, _, row| {
            let made = ledger.shared(table).map_or_else(BTreeSet::new, |shared| claims(shared, &row)).into_iter().collect();
            ledger.reclaim(table, id, Changed { made, given_up: Vec::new() }, true)
        })
    }

    /// Says in the file that it has all claims of the table's unique keys.
    pub(super) fn write_claimed(&self, table: TableId) -> Result<()> {
        let keys = self.shared(table).map(|shared| spelled(&shared.unique)).unwrap_or_default();
        self.db.execute("UPDATE shared_table SET claimed = ?2 WHERE id = ?1", params![table.0, keys])?;
        Ok(())
    }

    /// The keys that the stored claims were made for, before any site has been asked.
    pub(super) fn load_claimed(&mut self) -> Result<()> {
        for at in 0..self.shared.len() {
            let table = self.shared[at].table.id;
            let text: String = self.db.query_row("SELECT claimed FROM shared_table WHERE id = ?1", [table.0], |r| r.get(0))?;
            let keys: Vec<(Vec<usize>, bool)> = serde_json::from_str(&text).map_err(|e| Error::Damaged(e.to_string()))?;
            let width = self.shared[at].table.columns.len();
            let known = keys.into_iter().filter(|(columns, _)| columns.iter().all(|column| *column < width));
            self.shared[at].unique = known.map(|(columns, folds)| SharedUnique { columns, folds, chars_max: None }).collect();
        }
        Ok(())
    }
}

/// Each key once, as the strictest site has it.
fn union(all: impl Iterator<Item = SharedUnique>) -> Vec<SharedUnique> {
    let mut keys: Vec<SharedUnique> = Vec::new();
    for unique in all {
        match keys.iter_mut().find(|known| known.columns == unique.columns) {
            Some(known) => {
                known.folds |= unique.folds;
                known.chars_max = known.chars_max.into_iter().chain(unique.chars_max).min();
            }
            None => keys.push(unique),
        }
    }
    keys.sort_by(|a, b| a.columns.cmp(&b.columns));
    keys
}

fn same_keys(a: &[SharedUnique], b: &[SharedUnique]) -> bool {
    spelled(a) == spelled(b)
}

fn spelled(keys: &[SharedUnique]) -> String {
    let keys: Vec<(&[usize], bool)> = keys.iter().map(|key| (key.columns.as_slice(), key.folds)).collect();
    serde_json::to_string(&keys).unwrap_or_default()
}
