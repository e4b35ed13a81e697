//! Every site's rows compared with the ledger; nothing is changed.
//!
//! Where databases can make checksums as the ledger does, only stretches of rows whose checksums differ are read, and compared by their
//! canonical values; elsewhere all rows are.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::sums::{Summed, Sums};
use super::{FORMAT, keys};
use crate::capture::follow::now_us;
use crate::capture::lock;
use crate::config::SiteConfig;
use crate::ledger::{self, Ledger, RowId, Shared};
use crate::model::{Cell, Column, Image, Key, SiteId, SiteTable, TableId, Value, fingerprint};
use crate::resolve::{Known, Row};
use crate::sites::binding::{self, Plan};
use crate::sites::{self, ChunkReader, Site, TableDescription};

/// What differs may be on its way: it is looked at so many times, and capture is given this long in between.
const LOOKS_MAX: u32 = 3;
const PASS_MAX: Duration = Duration::from_secs(30);
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Rows of the ledger gone through at once.
const SLICE_ROWS: usize = 2000;
/// Differences named for each table; all are counted.
const NAMED_MAX: usize = 20;
/// Differences looked at again for each table; with more, something is wrong as a whole.
const SUSPECTS_MAX: usize = 50_000;
/// Stretches in a row with different checksums and the same rows, until no more checksums are asked for.
const IN_VAIN_MAX: u32 = 3;
const KEYS_AT_ONCE: usize = 200;

/// The answer of `rosterd verify`, and what `status` says of the last one that the daemon made by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    #[serde(rename = "version")]
    pub format: u32,
    /// When it had ended, microseconds since 1970.
    pub at_us: i64,
    /// How long it took.
    pub seconds: u64,
    pub tables: Vec<TableVerification>,
}

/// One table at one site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableVerification {
    pub site: String,
    pub table: String,
    /// Shared rows at the site, compared by checksums or one by one.
    pub rows: u64,
    /// Rows that are not what the ledger says, and are not on their way.
    pub different: u64,
    /// Rows that the site is owed, that are held back from it, or in tables that are still being copied.
    pub open: u64,
    /// The first of those that differ: key and what is wrong.
    pub named: Vec<Named>,
    /// Keys of those that differ, for repair.
    #[serde(skip)]
    pub keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
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
    /// A daemon is at work: what is changed there is captured meanwhile.
    pub is_followed: bool,
}

/// How much is read at once, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub rows_max: usize,
    pub bytes_max: usize,
    /// At each site; None: no limit.
    pub rows_per_second_max: Option<u32>,
}

impl Pace {
    /// Until so many rows are due.
    async fn wait(&self, rows: u64, begun: Instant) {
        if let Some(max) = self.rows_per_second_max {
            let due = Duration::from_secs_f64(rows as f64 / f64::from(max.max(1)));
            tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        }
    }
}

/// One table at one site, as it is being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    pub site: String,
    pub table: String,
    pub rows: u64,
    pub rows_estimated: u64,
    /// Since its first row was asked for.
    pub seconds: u64,
}

impl Passing {
    /// Of its rows; an estimate is one, and a table that is being read is not complete.
    pub fn percent(&self) -> u8 {
        (self.rows * 100 / self.rows_estimated.max(1)).min(99) as u8
    }

    pub fn seconds_left(&self) -> Option<u64> {
        let left = u128::from(self.rows_estimated.saturating_sub(self.rows)) * u128::from(self.seconds);
        (self.rows > 0 && self.seconds > 0).then(|| (left / u128::from(self.rows)) as u64)
    }
}

/// How far a verification is, for those who wait for it: the tables that are being read now.
#[derive(Default)]
pub struct Progress(Mutex<Vec<Passing>>);

impl Progress {
    pub fn now(&self) -> Vec<Passing> {
        lock(&self.0).clone()
    }

    fn note(&self, passing: Passing) {
        let mut all = lock(&self.0);
        all.retain(|other| (&other.site, &other.table) != (&passing.site, &passing.table));
        all.push(passing);
    }

    fn done(&self, site: &str, table: &str) {
        lock(&self.0).retain(|passing| passing.site != site || passing.table != table);
    }
}

/// How a row at a site compares.
#[derive(PartialEq, Eq)]
enum Verdict {
    Same,
    /// It is owed to the site, or held back.
    Open,
    Differs(Difference),
}

/// What a look at a row has found: columns (or `missing`, `surplus`), each with a number for what stood against what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Difference(Vec<(String, u64)>);

impl Difference {
    /// The names of what differed in the same way earlier.
    fn also_in(&self, earlier: &Difference) -> Option<String> {
        let names: Vec<&str> = self.0.iter().filter(|differs| earlier.0.contains(differs)).map(|(name, _)| name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// The sums of each table that some of these sites can make a checksum of. `ledger`: for nothing else.
pub fn sums(plan: &Plan, ledger: Ledger, sites: &[(&Subject, Vec<TableDescription>)]) -> HashMap<TableId, Sums> {
    let mut choices: Vec<(TableId, Vec<Vec<usize>>)> = Vec::new();
    for shared in ledger.tables().iter().filter(|shared| shared.filter.is_none()) {
        let columns = |(subject, described): &(&Subject, Vec<TableDescription>)| bound(plan, shared, subject, described)?.summed();
        choices.push((shared.table.id, sites.iter().filter_map(columns).collect()));
    }
    let ledger = Arc::new(Mutex::new(ledger));
    let some = choices.into_iter().filter(|(_, choices)| !choices.is_empty());
    some.map(|(table, choices)| (table, Sums::new(ledger.clone(), table, choices))).collect()
}

/// Reads one site's shared tables, or has checksums made of them.
pub async fn site(
    plan: &Plan,
    ledger: &Ledger,
    subject: &Subject,
    descriptions: &[TableDescription],
    sums: &HashMap<TableId, Sums>,
    pace: Pace,
    progress: &Progress,
) -> Result<Vec<TableVerification>, Failure> {
    let mut reader = subject.site.chunk_reader().await?;
    let mut passes = Vec::new();
    for shared in ledger.tables() {
        let Some(table) = bound(plan, shared, subject, descriptions) else { continue };
        let mut pass = Pass { ledger, shared, subject, table, suspects: Vec::new(), found: TableVerification::default() };
        (pass.found.site, pass.found.table) = (subject.config.name.clone(), shared.table.name.clone());
        let summed = pass.table.summed().and_then(|columns| {
            let sums = sums.get(&shared.table.id)?;
            Some((sums, sums.choice(&columns)?, columns))
        });
        let read = match summed {
            Some((sums, choice, columns)) => pass.sum(reader.as_mut(), (sums, choice, &columns), pace, progress).await,
            None => pass.run(reader.as_mut(), pace, progress).await,
        };
        progress.done(&pass.found.site, &pass.found.table);
        read?;
        passes.push(pass);
    }
    for look in 0..LOOKS_MAX {
        if look > 0 && passes.iter().any(|pass| !pass.suspects.is_empty()) {
            let_capture_pass(ledger, subject).await?;
        }
        for pass in &mut passes {
            pass.look_again(reader.as_mut(), look + 1 == LOOKS_MAX).await?;
        }
    }
    Ok(passes.into_iter().map(|pass| pass.found).collect())
}

/// Waits until the daemon has captured what the site had when this was called: watermarks are numbered by the time.
async fn let_capture_pass(ledger: &Ledger, subject: &Subject) -> Result<(), Failure> {
    let (now_us, deadline) = (now_us(), Instant::now() + PASS_MAX);
    loop {
        tokio::time::sleep(AGAIN_AFTER).await;
        let passed = ledger.marked_now(subject.id)?.is_some_and(|marker| marker.0 > now_us);
        if !subject.is_followed || passed || Instant::now() > deadline {
            return Ok(());
        }
    }
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
    /// Rows to be looked at again, with what the last look has found.
    suspects: Vec<(Key, Difference)>,
    found: TableVerification,
}

impl Pass<'_> {
    async fn run(&mut self, reader: &mut dyn ChunkReader, pace: Pace, progress: &Progress) -> Result<(), Failure> {
        let mut seen: HashSet<RowId> = HashSet::new();
        let (mut after, mut read): (Option<Key>, u64) = (None, 0);
        let (begun, rows_estimated) = (Instant::now(), reader.estimate(&self.table).await?);
        loop {
            let rows = reader.chunk(&self.table, after.as_ref(), pace.rows_max, pace.bytes_max).await?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            read += rows.len() as u64;
            self.note_progress(progress, (read, rows_estimated), begun);
            pace.wait(read, begun).await;
            let ledger = self.ledger;
            ledger.at_once(|| rows.into_iter().try_for_each(|(key, image)| self.meet(key, &image, &mut seen)))?;
        }
        self.missing(&seen)
    }

    /// As [`Pass::run`], by checksums of the columns of that choice; rows are read only where they differ. A site whose checksums differ
    /// while its rows do not, as its server goes through them in another order, is not asked for more of them.
    async fn sum(
        &mut self,
        reader: &mut dyn ChunkReader,
        (sums, choice, columns): (&Sums, usize, &[usize]),
        pace: Pace,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let (mut read, mut number, mut in_vain) = (0, 0, 0);
        let (begun, rows_estimated) = (Instant::now(), reader.estimate(&self.table).await?);
        while let Some(summed) = sums.get(number).await? {
            number += 1;
            let at_the_site = match summed.of(choice).filter(|_| in_vain < IN_VAIN_MAX) {
                Some(ours) => reader.sum(&self.table, columns, &summed.stretch).await?.filter(|theirs| *theirs == ours),
                None => None,
            };
            let suspects = self.suspects.len();
            read += match at_the_site {
                Some(sum) => sum.rows,
                None => self.read_stretch(reader, &summed, pace).await?,
            };
            in_vain = if at_the_site.is_none() && self.suspects.len() == suspects { in_vain + 1 } else { 0 };
            self.found.rows += at_the_site.map_or(0, |sum| sum.rows);
            self.note_progress(progress, (read, rows_estimated), begun);
            pace.wait(read, begun).await;
        }
        Ok(())
    }

    /// Compares the rows of a stretch one by one. Gives how many were read.
    async fn read_stretch(&mut self, reader: &mut dyn ChunkReader, summed: &Summed, pace: Pace) -> Result<u64, Failure> {
        let stretch = &summed.stretch;
        let key = |number: i64| Key(vec![Value::Int(number)]);
        let is_beyond = |key: &Key| match (&key.0[..], stretch.upto) {
            ([Value::Int(n)], Some(upto)) => *n > upto,
            (_, upto) => upto.is_some(),
        };
        let mut seen: HashSet<RowId> = HashSet::new();
        let (mut after, mut read, mut more) = (stretch.after.map(key), 0, true);
        while more {
            let mut rows = reader.chunk(&self.table, after.as_ref(), pace.rows_max, pace.bytes_max).await?;
            more = rows.last().is_some_and(|(last, _)| !is_beyond(last));
            rows.retain(|(key, _)| !is_beyond(key));
            after = rows.last().map(|(key, _)| key.clone());
            read += rows.len() as u64;
            let ledger = self.ledger;
            ledger.at_once(|| rows.into_iter().try_for_each(|(key, image)| self.meet(key, &image, &mut seen)))?;
        }
        let mut unseen = Vec::new();
        self.ledger.existing_in(self.shared.table.id, stretch, |id| {
            if !seen.contains(&id) && unseen.len() < SUSPECTS_MAX {
                unseen.push(id);
            }
        })?;
        self.suspect(unseen)?;
        Ok(read)
    }

    fn note_progress(&self, progress: &Progress, (rows, estimated): (u64, u64), begun: Instant) {
        let (site, table) = (self.found.site.clone(), self.found.table.clone());
        progress.note(Passing { site, table, rows, rows_estimated: estimated.max(rows), seconds: begun.elapsed().as_secs() });
    }

    /// A row that the site has shown.
    fn meet(&mut self, key: Key, image: &Image, seen: &mut HashSet<RowId>) -> ledger::Result<()> {
        let (id, row) = self.ledger.load(self.shared.table.id, &key)?;
        if !self.ledger.is_shared_from(self.subject.id, self.shared.table.id, &key, image, &row) {
            return Ok(());
        }
        self.found.rows += 1;
        seen.extend(id);
        if self.judge(id, &row, Some(image)) != Verdict::Same && self.suspects.len() < SUSPECTS_MAX {
            self.suspects.push((key, Difference::default()));
        }
        Ok(())
    }

    /// Rows that the ledger has and the site did not show.
    fn missing(&mut self, seen: &HashSet<RowId>) -> Result<(), Failure> {
        let (mut after, mut unseen) = (i64::MIN, Vec::new());
        while let Some(last) = self.ledger.existing(self.shared.table.id, after, SLICE_ROWS, |id| {
            if !seen.contains(&id) && unseen.len() < SUSPECTS_MAX {
                unseen.push(id);
            }
        })? {
            after = last;
        }
        self.suspect(unseen)
    }

    fn suspect(&mut self, unseen: Vec<RowId>) -> Result<(), Failure> {
        for id in unseen {
            if self.suspects.len() < SUSPECTS_MAX
                && let Some((_, key, _)) = self.ledger.load_id(id)?
            {
                self.suspects.push((key, Difference::default()));
            }
        }
        Ok(())
    }

    /// What differs in the same way when capture has passed the moment of looking is reported: rows change while they are read.
    async fn look_again(&mut self, reader: &mut dyn ChunkReader, last: bool) -> Result<(), Failure> {
        let suspects = std::mem::take(&mut self.suspects);
        for some in suspects.chunks(KEYS_AT_ONCE) {
            let keys: Vec<Key> = some.iter().map(|(key, _)| key.clone()).collect();
            let rows: HashMap<Key, Image> = reader.rows(&self.table, &keys).await?.into_iter().collect();
            for (key, earlier) in some {
                let (id, row) = self.ledger.load(self.shared.table.id, key)?;
                let image =
                    rows.get(key).filter(|image| self.ledger.is_shared_from(self.subject.id, self.shared.table.id, key, image, &row));
                match self.judge(id, &row, image) {
                    Verdict::Same => {}
                    // It is on its way, or is changing all the time.
                    Verdict::Open if last => self.found.open += 1,
                    Verdict::Open => self.suspects.push((key.clone(), Difference::default())),
                    Verdict::Differs(now) => match now.also_in(earlier) {
                        Some(what) => self.note(key, what),
                        None if last => self.found.open += 1,
                        None => self.suspects.push((key.clone(), now)),
                    },
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, key: &Key, what: String) {
        self.found.different += 1;
        self.found.keys.push(key.clone());
        if self.found.named.len() < NAMED_MAX {
            self.found.named.push(Named { key: keys::shown(&self.shared.table, key), what });
        }
    }

    /// `row`, with its number, is the ledger's; `image` what the site shows of it, if it is shared.
    fn judge(&self, id: Option<RowId>, row: &Row, image: Option<&Image>) -> Verdict {
        let different = difference(&self.shared.table.columns, row, image);
        let Some(what) = different else { return Verdict::Same };
        let site = self.subject.id;
        let open =
            row.held(site).is_some_and(|held| held.since > 0 || held.apart) || id.is_some_and(|id| self.ledger.is_quarantined(site, id));
        let scanned = self.shared.roster.sites.iter().any(|view| view.id == site && view.known == Known::Merged);
        let refused = image.is_some_and(|image| image.iter().any(|cell| matches!(cell, Cell::Refused(_))));
        if open || refused || !scanned { Verdict::Open } else { Verdict::Differs(what) }
    }
}

/// None: the site shows the merged row.
fn difference(columns: &[Column], row: &Row, image: Option<&Image>) -> Option<Difference> {
    let image = match (row.life.exists(), image) {
        (false, None) => return None,
        (false, Some(_)) => return Some(Difference(vec![("surplus".into(), row.life.0.into())])),
        (true, None) => return Some(Difference(vec![("missing".into(), row.life.0.into())])),
        (true, Some(image)) => image,
    };
    let differing = (0..columns.len().min(image.len())).filter_map(|at| {
        let version = match (&image[at], &row.registers[at]) {
            (Cell::Value(value), Some(register)) if *value != register.value => {
                let dot = register.dot.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(register.dot.site.0);
                dot ^ fingerprint(value).0
            }
            (Cell::Refused(_), _) => 0,
            _ => return None,
        };
        Some((columns[at].name.clone(), version))
    });
    let differing: Vec<_> = differing.collect();
    (!differing.is_empty()).then_some(Difference(differing))
}

impl Verification {
    pub fn new(tables: Vec<TableVerification>, at_us: i64, took: Duration) -> Verification {
        Verification { format: FORMAT, at_us, seconds: took.as_secs(), tables }
    }

    pub fn different(&self) -> u64 {
        self.tables.iter().map(|table| table.different).sum()
    }
}
