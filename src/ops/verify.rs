//! Every site's rows compared with the ledger, by their canonical values; nothing is changed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{FORMAT, keys};
use crate::config::SiteConfig;
use crate::ledger::{self, Ledger, Shared};
use crate::model::{Cell, Image, Key, SiteId, SiteTable, Writer};
use crate::resolve::{Known, Row};
use crate::sites::binding::{self, Plan};
use crate::sites::{self, ChunkReader, Site, TableDescription};

/// What differs may be on its way: it is looked at again this long after, so many times.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
const AGAIN_MAX: u32 = 3;
/// Rows of the ledger gone through at once.
const SLICE_ROWS: usize = 2000;
/// Differences named for each table; all are counted.
const NAMED_MAX: usize = 20;
/// Differences looked at again for each table; with more, something is wrong as a whole.
const SUSPECTS_MAX: usize = 50_000;
const KEYS_AT_ONCE: usize = 200;

/// The answer of `rosterd verify`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    pub format: u32,
    pub tables: Vec<TableVerification>,
}

/// One table at one site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableVerification {
    pub site: String,
    pub table: String,
    /// Shared rows read at the site.
    pub rows: u64,
    /// Rows that are not what the ledger says, and are not on their way.
    pub different: u64,
    /// Rows that the site is owed, that are held back from it, or in tables that are still being copied.
    pub open: u64,
    /// The first of those that differ: key and what is wrong.
    pub named: Vec<Difference>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub key: String,
    /// `missing`, `surplus`, or the columns that differ.
    pub what: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Site(#[from] sites::Error),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

/// A site to be verified.
pub struct Subject {
    pub id: SiteId,
    pub config: SiteConfig,
    pub site: Arc<dyn Site>,
}

/// How a row at a site compares.
#[derive(PartialEq, Eq)]
enum Verdict {
    Same,
    /// It is owed to the site, or held back.
    Open,
    Differs(String),
}

/// Reads one site's shared tables, `rows_max` rows and about `bytes_max` bytes at a time.
pub async fn site(
    plan: &Plan,
    ledger: &Ledger,
    subject: &Subject,
    rows_max: usize,
    bytes_max: usize,
) -> Result<Vec<TableVerification>, Failure> {
    let descriptions = subject.site.describe().await?;
    let mut reader = subject.site.chunk_reader().await?;
    let mut out = Vec::new();
    for shared in ledger.tables() {
        let Some(table) = bound(plan, shared, subject, &descriptions) else { continue };
        let mut pass = Pass { ledger, shared, subject, table, reader: reader.as_mut(), found: TableVerification::default() };
        (pass.found.site, pass.found.table) = (subject.config.name.clone(), shared.table.name.clone());
        pass.run(rows_max, bytes_max).await?;
        out.push(pass.found);
    }
    Ok(out)
}

fn bound(plan: &Plan, shared: &Shared, subject: &Subject, descriptions: &[TableDescription]) -> Option<Arc<SiteTable>> {
    let planned = plan.tables.iter().find(|planned| planned.name == shared.table.name)?;
    let names: Vec<String> = shared.table.columns.iter().map(|column| column.name.clone()).collect();
    let table = Arc::new(planned.table(shared.table.id, &names));
    binding::bind(&subject.config, planned, &table, descriptions).ok().map(Arc::new)
}

struct Pass<'a> {
    ledger: &'a Ledger,
    shared: &'a Shared,
    subject: &'a Subject,
    table: Arc<SiteTable>,
    reader: &'a mut dyn ChunkReader,
    found: TableVerification,
}

impl Pass<'_> {
    async fn run(&mut self, rows_max: usize, bytes_max: usize) -> Result<(), Failure> {
        let (mut suspects, mut seen) = (Vec::new(), HashSet::new());
        let mut after: Option<Key> = None;
        loop {
            let rows = self.reader.chunk(&self.table, after.as_ref(), rows_max, bytes_max).await?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            for (key, image) in rows {
                if !self.shares(&key, &image)? {
                    continue;
                }
                self.found.rows += 1;
                seen.insert(print(&key));
                if self.judge(&key, Some(&image))? != Verdict::Same && suspects.len() < SUSPECTS_MAX {
                    suspects.push(key);
                }
            }
        }
        self.missing(&seen, &mut suspects)?;
        self.look_again(suspects).await
    }

    /// Rows that the ledger has and the site did not show.
    fn missing(&self, seen: &HashSet<u64>, suspects: &mut Vec<Key>) -> Result<(), Failure> {
        let mut after = i64::MIN;
        loop {
            let rows = self.ledger.slice(self.shared.table.id, after, SLICE_ROWS)?;
            let Some((last, ..)) = rows.last() else { return Ok(()) };
            after = last.0;
            let unseen = rows.into_iter().filter(|(_, key, row)| row.life.exists() && !seen.contains(&print(key)));
            suspects.extend(unseen.map(|(_, key, _)| key).take(SUSPECTS_MAX.saturating_sub(suspects.len())));
        }
    }

    /// What still differs after a while is reported.
    async fn look_again(&mut self, mut suspects: Vec<Key>) -> Result<(), Failure> {
        for _ in 0..AGAIN_MAX {
            if suspects.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(AGAIN_AFTER).await;
            let mut still = Vec::new();
            (self.found.different, self.found.open) = (0, 0);
            self.found.named.clear();
            for keys in suspects.chunks(KEYS_AT_ONCE) {
                let rows = self.reader.rows(&self.table, keys).await?;
                for key in keys {
                    let image = rows.iter().find(|(k, _)| k == key).map(|(_, image)| image);
                    let verdict = self.judge(key, image)?;
                    if verdict != Verdict::Same {
                        self.note(key, verdict);
                        still.push(key.clone());
                    }
                }
            }
            suspects = still;
        }
        Ok(())
    }

    fn note(&mut self, key: &Key, verdict: Verdict) {
        match verdict {
            Verdict::Same => {}
            Verdict::Open => self.found.open += 1,
            Verdict::Differs(what) => {
                self.found.different += 1;
                if self.found.named.len() < NAMED_MAX {
                    self.found.named.push(Difference { key: keys::shown(&self.shared.table, key), what });
                }
            }
        }
    }

    fn shares(&self, key: &Key, image: &Image) -> Result<bool, Failure> {
        let table = self.shared.table.id;
        Ok(self.shared.filter.is_none() || self.ledger.is_shared_from(self.subject.id, table, key, image, &self.ledger.load(table, key)?.1))
    }

    fn judge(&self, key: &Key, image: Option<&Image>) -> Result<Verdict, Failure> {
        let (id, row) = self.ledger.load(self.shared.table.id, key)?;
        let image = image.filter(|image| self.ledger.is_shared_from(self.subject.id, self.shared.table.id, key, image, &row));
        let different = difference(&self.shared.table.columns, &row, image);
        let Some(what) = different else { return Ok(Verdict::Same) };
        let site = self.subject.id;
        let open =
            row.held(site).is_some_and(|held| held.since > 0 || held.apart) || id.is_some_and(|id| self.ledger.is_quarantined(site, id));
        let scanned = self.shared.roster.sites.iter().any(|view| view.id == site && view.known == Known::Merged);
        let refused = image.is_some_and(|image| image.iter().any(|cell| matches!(cell, Cell::Refused(_))));
        Ok(if open || refused || !scanned { Verdict::Open } else { Verdict::Differs(what) })
    }
}

/// None: the site shows the merged row.
fn difference(columns: &[crate::model::Column], row: &Row, image: Option<&Image>) -> Option<String> {
    let image = match (row.life.exists(), image) {
        (false, None) => return None,
        (false, Some(_)) => return Some("surplus".into()),
        (true, None) => return Some("missing".into()),
        (true, Some(image)) => image,
    };
    let differs = |at: &usize| match (&image[*at], &row.registers[*at]) {
        (Cell::Value(value), Some(register)) => *value != register.value,
        (Cell::Refused(_), _) => true,
        (Cell::Value(_), None) | (Cell::Unchanged, _) => false,
    };
    let names: Vec<&str> = (0..columns.len().min(image.len())).filter(differs).map(|at| columns[at].name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn print(key: &Key) -> u64 {
    let mut w = Writer::new();
    w.key(key);
    crate::model::fingerprint(&crate::model::Value::Bytes(w.into_bytes())).0
}

impl Verification {
    pub fn new(tables: Vec<TableVerification>) -> Verification {
        Verification { format: FORMAT, tables }
    }

    pub fn different(&self) -> u64 {
        self.tables.iter().map(|table| table.different).sum()
    }

    /// Names of the sites where rows differ.
    pub fn sites(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.tables.iter().filter(|table| table.different > 0).map(|table| table.site.as_str()).collect();
        names.dedup();
        names
    }
}
