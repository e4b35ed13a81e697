//! Reading a ledger without its daemon: the tables as they were registered, and what an operator has said of sites.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::records::blob;
use super::{Error, Ledger, Result, RowId, Shared};
use crate::config::{self, TableRule};
use crate::model::{Column, Family, Key, MarkerId, SiteId, Stretch, Sum, Summing, Table, TableId, Value, Writer};
use crate::resolve::{Known, Roster, Row, SiteView, TablePolicy};

/// Rows that are looked at to tell a column's family.
const SAMPLE_ROWS_MAX: usize = 20;

/// A shared table as it was registered.
struct Registered {
    id: TableId,
    name: String,
    key: Vec<String>,
    columns: Vec<String>,
}

impl Ledger {
    /// Takes the tables as they were registered, for reading a ledger when no site can be asked. `rules` say which columns
    /// are secret or left out; families are told from the stored values.
    pub fn bind_registered(&mut self, rules: &[TableRule]) -> Result<()> {
        let hub_first = |record: &&super::SiteRecord| (!record.hub, record.name.clone());
        let mut sites: Vec<&super::SiteRecord> = self.sites.iter().collect();
        sites.sort_by_key(hub_first);
        let ids: Vec<SiteId> = sites.into_iter().map(|record| record.id).collect();
        let mut shared = Vec::new();
        for registered in self.registered()? {
            let rule = config::rule_for(rules, &registered.name).unwrap_or_default();
            let excluded = rule.exclude.clone().unwrap_or_default();
            let has: Vec<bool> = registered.columns.iter().map(|column| !excluded.contains(column)).collect();
            let view = |(rank, id): (usize, &SiteId)| SiteView {
                id: *id,
                rank: rank as u16,
                has: has.clone(),
                known: Known::Unknown { generation: 1, restored: 0 },
            };
            let roster = Roster { sites: ids.iter().enumerate().map(view).collect() };
            let table = Arc::new(self.table_of(&registered, &rule)?);
            let policy = TablePolicy::plain(table.columns.len());
            let family = |name: &str| table.column(name).map(|column| table.columns[column].family);
            let filter = rule.filter.map(|filter| filter.predicate.typed(&family).unwrap_or(filter.predicate));
            shared.push(Shared::new(table, policy, filter, roster));
        }
        self.bind(shared)
    }

    /// Reads many rows as of one moment, which is cheaper than each as of its own.
    pub fn at_once<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        self.db.execute_batch("BEGIN")?;
        let found = read();
        self.db.execute_batch("COMMIT")?;
        found
    }

    /// The checksum of the next rows in the order of their keys, about `rows` of them or `bytes` of text, for each of several choices of
    /// columns, and where they end. None: it can't be told, as some value is not known or has no form in a checksum. For a table whose key is a whole number.
    pub fn sum(
        &self,
        table: TableId,
        choices: &[Vec<usize>],
        after: Option<i64>,
        (rows, bytes): (usize, usize),
    ) -> Result<(Stretch, Option<Vec<Sum>>)> {
        let width = self.width(table)?;
        let mut query = self.db.prepare_cached("SELECT key, record FROM row WHERE tbl = ?1 AND key > ?2 ORDER BY key")?;
        let mut found = query.query(params![table.0, bound(after)])?;
        let mut sums: Vec<Summing> = choices.iter().map(|_| Summing::default()).collect();
        let is_chosen: Vec<Vec<bool>> = choices.iter().map(|columns| (0..width).map(|at| columns.contains(&at)).collect()).collect();
        let told = |sums: Vec<Summing>, known: bool| known.then(|| sums.into_iter().map(Summing::sum).collect());
        let (mut upto, mut known, mut count) = (None, true, 0);
        while let Some(r) = found.next()? {
            let is_long = count >= rows || sums.iter().any(|sum| sum.bytes() >= bytes);
            if is_long && upto.is_some() {
                return Ok((Stretch { after, upto }, told(sums, known)));
            }
            let (key, record) = (self.key(table, blob(r, 0)?)?, blob(r, 1)?);
            count += 1;
            match key.0[..] {
                [Value::Int(n)] => upto = Some(n),
                _ => known = false,
            }
            if !Row::exists_in(record) {
                continue;
            }
            Row::see_values(record, &key, width, |column, value| {
                for (is_chosen, sum) in is_chosen.iter().zip(&mut sums) {
                    if is_chosen[column] {
                        known &= sum.value(&value);
                    }
                }
            })?;
            for (columns, sum) in choices.iter().zip(&mut sums) {
                known &= sum.end_row() == columns.len();
            }
        }
        Ok((Stretch { after, upto: None }, told(sums, known)))
    }

    /// Tells the numbers of rows of a stretch that exist.
    pub fn existing_in(&self, table: TableId, stretch: &Stretch, mut tell: impl FnMut(RowId)) -> Result<()> {
        let mut query = self.db.prepare_cached("SELECT id, key, substr(record, 1, 8) FROM row WHERE tbl = ?1 AND key > ?2 ORDER BY key")?;
        let mut rows = query.query(params![table.0, bound(stretch.after)])?;
        while let Some(r) = rows.next()? {
            let key = self.key(table, blob(r, 1)?)?;
            if matches!((&key.0[..], stretch.upto), ([Value::Int(n)], Some(upto)) if *n > upto) {
                break;
            }
            if Row::exists_in(blob(r, 2)?) {
                tell(RowId(r.get(0)?));
            }
        }
        Ok(())
    }

    fn registered(&self) -> Result<Vec<Registered>> {
        let mut query = self.db.prepare("SELECT id, name, key, columns FROM shared_table ORDER BY id")?;
        let mut rows = query.query([])?;
        let list = |text: String| serde_json::from_str(&text).map_err(|e: serde_json::Error| Error::Damaged(e.to_string()));
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            all.push(Registered { id: TableId(r.get(0)?), name: r.get(1)?, key: list(r.get(2)?)?, columns: list(r.get(3)?)? });
        }
        Ok(all)
    }

    fn table_of(&self, registered: &Registered, rule: &TableRule) -> Result<Table> {
        let secret = rule.secret.clone().unwrap_or_default();
        let key: Vec<usize> =
            registered.key.iter().filter_map(|name| registered.columns.iter().position(|column| column == name)).collect();
        let mut families: Vec<Option<Family>> = vec![None; registered.columns.len()];
        let mut query = self.db.prepare_cached("SELECT key, record FROM row WHERE tbl = ?1 LIMIT ?2")?;
        let mut rows = query.query(params![registered.id.0, SAMPLE_ROWS_MAX as i64])?;
        while let Some(r) = rows.next()? {
            let stored = Key::from_sortable(&r.get::<_, Vec<u8>>(0)?)?;
            let row = Row::decode(&stored, &r.get::<_, Vec<u8>>(1)?, None, registered.columns.len())?;
            for (at, value) in key.iter().zip(&stored.0) {
                families[*at] = families[*at].or_else(|| family(value));
            }
            for (at, register) in row.registers.iter().enumerate() {
                families[at] = families[at].or_else(|| register.as_ref().and_then(|register| family(&register.value)));
            }
        }
        let columns = registered.columns.iter().zip(families).map(|(name, family)| Column {
            name: name.clone(),
            family: family.unwrap_or(Family::Text),
            secret: secret.contains(name),
        });
        let columns = columns.collect();
        Ok(Table { id: registered.id, name: registered.name.clone(), key, columns, urgent: rule.urgent.unwrap_or(false) })
    }

    /// The name of a site, of one that has been removed too.
    pub fn site_name(&self, id: SiteId) -> String {
        let known = self.site(id).map(|site| site.name.clone());
        known.unwrap_or_else(|| {
            let stored = self.db.query_row("SELECT name FROM site WHERE id = ?1", [id.0], |r| r.get(0)).optional();
            stored.ok().flatten().unwrap_or_else(|| format!("site number {}", id.0))
        })
    }

    /// Conflicts kept in which `site`'s value lost.
    pub fn count_conflicts_lost_by(&self, site: SiteId) -> Result<u64> {
        let count = self.db.query_row("SELECT count(*) FROM conflict WHERE loser = ?1", [site.0], |r| r.get::<_, i64>(0))?;
        Ok(count as u64)
    }

    /// The highest number that a row has: how far a sweep has to go.
    pub fn last_row(&self) -> Result<i64> {
        Ok(self.db.query_row("SELECT coalesce(max(id), 0) FROM row", [], |r| r.get(0))?)
    }

    /// The last watermark heard from a site, as it stands in the file now: another process may be at work on it.
    pub fn marked_now(&self, site: SiteId) -> Result<Option<MarkerId>> {
        let mut query = self.db.prepare_cached("SELECT marked FROM site WHERE id = ?1")?;
        Ok(query.query_row([site.0], |r| r.get::<_, Option<i64>>(0)).optional()?.flatten().map(MarkerId))
    }

    /// Whether it was made anew from the sites, in place of one that was lost.
    pub fn is_rebuilt(&self) -> Result<bool> {
        Ok(super::open::meta(&self.db, REBUILT)?.is_some())
    }

    pub fn set_rebuilt(&mut self) -> Result<()> {
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?1, 1)", [REBUILT])?;
        Ok(())
    }

    /// Whether an operator has paused the site.
    pub fn is_paused(&self, site: SiteId) -> Result<bool> {
        Ok(super::open::meta(&self.db, &paused_name(site))?.is_some())
    }

    /// Pauses a site, or lets it go on, also over restarts.
    pub fn set_paused(&mut self, site: SiteId, paused: bool) -> Result<()> {
        match paused {
            true => self.db.execute("INSERT OR REPLACE INTO meta VALUES (?1, 1)", [paused_name(site)])?,
            false => self.db.execute("DELETE FROM meta WHERE name = ?1", [paused_name(site)])?,
        };
        Ok(())
    }
}

/// The stored keys above it are those of greater numbers.
fn bound(after: Option<i64>) -> Vec<u8> {
    let mut w = Writer::new();
    if let Some(after) = after {
        w.sortable(&Key(vec![Value::Int(after)]));
        w.byte(u8::MAX);
    }
    w.into_bytes()
}

const REBUILT: &str = "rebuilt";

pub(super) fn paused_name(site: SiteId) -> String {
    format!("paused {}", site.0)
}

fn family(value: &Value) -> Option<Family> {
    Some(match value {
        Value::Null => return None,
        Value::Int(_) | Value::UInt(_) => Family::Integer,
        Value::Float(_) => Family::Float,
        Value::Decimal(_) => Family::Decimal,
        Value::Text(_) => Family::Text,
        Value::Bytes(_) => Family::Bytes,
        Value::Date(_) => Family::Date,
        Value::Time(_) => Family::Time,
        Value::DateTime(_) => Family::DateTime,
        Value::Json(_) => Family::Json,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Freshness;
    use super::super::forget::tests::{held, ledger_of_two};
    use super::*;
    use crate::model::{Dot, Life, View};
    use crate::resolve::{Register, Row};

    #[test]
    fn sums_end_at_so_many_rows_or_so_much_text_and_are_of_rows_that_exist() {
        let (mut ledger, sites, table) = ledger_of_two();
        for uid in [7, 10, 11, 12, 300] {
            let key = Key(vec![Value::Int(uid)]);
            let register = Register { value: Value::Int(uid), dot: Dot { site: sites[0], counter: 1 }, at_us: 0 };
            let (life, held) = if uid == 11 { (Life(2), vec![held(sites[1], 1)]) } else { (Life(1), vec![]) };
            let row = Row { life, registers: vec![Some(register)], held, transactions: vec![] };
            ledger.store(table, &key, None, row, Freshness::LIVE).unwrap();
        }
        let sum = |numbers: &[i64]| {
            let mut summing = Summing::default();
            for n in numbers {
                assert!(summing.value(&View::Int(*n)) && summing.end_row() == 1);
            }
            Some(vec![summing.sum()])
        };
        let of = |after, most| ledger.sum(table, &[vec![0]], after, most).unwrap();
        assert_eq!(of(None, (100, 100)), (Stretch { after: None, upto: None }, sum(&[7, 10, 12, 300])));
        assert_eq!(of(None, (3, 100)), (Stretch { after: None, upto: Some(11) }, sum(&[7, 10])));
        assert_eq!(of(Some(11), (3, 100)), (Stretch { after: Some(11), upto: None }, sum(&[12, 300])));
        assert_eq!(of(None, (100, 4)), (Stretch { after: None, upto: Some(10) }, sum(&[7, 10])), "`7,10,` is more");
        assert_eq!(of(None, (100, 0)), (Stretch { after: None, upto: Some(7) }, sum(&[7])), "one at least");
    }
}
