//! Random schedules: the real merge, ledger, capture, reconcile and apply, with sites in memory.
//!
//! Everything that can happen in between is drawn at random: skewed clocks, rows on several sites before the first copy, daemon
//! crashes at any step, any interleaving, logs lost before they were captured, sites restored from backups. When the dust has
//! settled: every site equals the merged rows; no surviving value had been replaced by a write made on top of it; nothing is
//! under way for ever; the ledger has no tombstone left. One seed replays a failure:
//! `ROSTERD_SEED=17 cargo test --lib schedules`; `ROSTERD_SCHEDULES=100000` runs more of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::apply::{Job, Limits, Retry, Target, TargetTable, settle, take};
use crate::capture::{Report, Watch, absorb, chunk, recover};
use crate::ledger::{Ledger, Phase, Shared};
use crate::model::*;
use crate::mutation;
use crate::resolve::{Known, Roster, SiteView, TablePolicy};
use crate::sites::{Lane, Outcome, Rejection};

const TABLE: TableId = TableId(1);
const KEYS: [i64; 3] = [1, 2, 3];
/// Column 0 is the key.
const WIDTH: usize = 3;

/// A small deterministic generator (xorshift64*, Vigna 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn chance(&mut self, percent: f64) -> bool {
        (self.next() % 1_000_000) as f64 / 10_000.0 < percent
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

type Rows = BTreeMap<i64, [i64; 2]>;

#[derive(Clone)]
enum Entry {
    Local { ts: i64, changes: Vec<(i64, Option<[i64; 2]>, Option<[i64; 2]>)>, made: Vec<i64> },
    Landing { marker: MarkerId, payload: Vec<u8>, changes: Vec<(i64, Option<[i64; 2]>, Option<[i64; 2]>)>, ts: i64 },
    Watermark(MarkerId),
}

#[derive(Default, Clone)]
struct Site {
    rows: Rows,
    log: Vec<Entry>,
    markers: BTreeMap<MarkerId, Vec<u8>>,
}

struct Worker {
    id: SiteId,
    target: Target,
    watch: Watch,
    retry: Retry,
    job: Option<Job>,
    /// Log index that capture has to reach before anything is applied.
    fence: usize,
    scan: Scan,
}

enum Scan {
    Idle,
    Opened(MarkerId, MarkerId, Option<Key>),
    Read(MarkerId),
    Closing,
}

struct World {
    random: Random,
    ledger: Option<Ledger>,
    sites: Vec<Site>,
    backups: Vec<Site>,
    workers: Vec<Worker>,
    clock: i64,
    next_value: i64,
    /// Value to the value that it was written on top of.
    parent: HashMap<i64, Option<i64>>,
    skew: Vec<i64>,
    /// Log index up to which each site is known for sure.
    sure: Vec<usize>,
    conflicts: usize,
    small_values: bool,
}

fn table() -> Arc<Table> {
    let column = |name: &str| Column { name: name.into(), family: Family::Integer, secret: false };
    Arc::new(Table { id: TABLE, name: "t".into(), columns: vec![column("k"), column("a"), column("b")], key: vec![0], urgent: false })
}

fn image(key: i64, row: [i64; 2]) -> Image {
    [key, row[0], row[1]].into_iter().map(|n| Cell::Value(Value::Int(n))).collect()
}

fn key(key: i64) -> Key {
    Key(vec![Value::Int(key)])
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int(n) => *n,
        _ => unreachable!("only integers here"),
    }
}

impl World {
    fn new(seed: u64, disasters: bool) -> World {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            random.next();
        }
        let count = random.of(&[2, 3, 4]);
        let names = ["hub", "b", "c", "e"];
        let mut ledger = Ledger::in_memory().unwrap();
        let ids = ledger.register_sites(&names[..count]).unwrap();
        ledger.register_table("t", &["k".into()], &["k".into(), "a".into(), "b".into()]).unwrap();
        let workers = ids.iter().map(|id| Worker::new(*id)).collect();
        let mut world = World {
            ledger: Some(ledger),
            sites: vec![Site::default(); count],
            backups: vec![Site::default(); count],
            workers,
            clock: 0,
            next_value: 1000,
            parent: HashMap::new(),
            skew: (0..count).map(|_| random.of(&[0, 0, -40, 40])).collect(),
            sure: vec![0; count],
            conflicts: 0,
            small_values: disasters && random.chance(10.0),
            random,
        };
        world.bind();
        let populated = world.random.chance(50.0);
        for site in 0..count {
            for k in KEYS {
                if populated && world.random.chance(40.0) {
                    let row = [world.value(None), world.value(None)];
                    world.sites[site].rows.insert(k, row);
                }
            }
        }
        world.backups = world.sites.clone();
        world
    }

    fn value(&mut self, parent: Option<i64>) -> i64 {
        if self.small_values {
            return self.random.below(3) as i64;
        }
        self.next_value += 1;
        self.parent.insert(self.next_value, parent);
        self.next_value
    }

    fn ledger(&mut self) -> &mut Ledger {
        self.ledger.as_mut().unwrap()
    }

    fn bind(&mut self) {
        let sites = self.workers.iter().enumerate().map(|(rank, worker)| SiteView {
            id: worker.id,
            rank: rank as u16,
            has: vec![true; WIDTH],
            known: Known::Unknown { generation: 1 },
        });
        let roster = Roster { sites: sites.collect() };
        let shared = Shared { table: table(), policy: TablePolicy::plain(WIDTH), filter: None, roster };
        self.ledger().bind(vec![shared]).unwrap();
    }

    /// One step of the ledger, durable when it returns.
    fn durable<T>(&mut self, f: impl FnOnce(&mut Ledger) -> crate::ledger::Result<T>) -> T {
        let ledger = self.ledger();
        ledger.begin().unwrap();
        let value = f(ledger).unwrap();
        ledger.commit().unwrap();
        value
    }

    fn position(&mut self, n: usize) -> usize {
        let id = self.workers[n].id;
        self.ledger().site(id).unwrap().position.as_ref().map_or(0, |position| position.0.parse().unwrap())
    }

    fn application(&mut self, n: usize) {
        let mut changes: Vec<(i64, Option<[i64; 2]>, Option<[i64; 2]>)> = Vec::new();
        let mut made = Vec::new();
        for _ in 0..self.random.of(&[1, 1, 2]) {
            let k = self.random.of(&KEYS);
            if changes.iter().any(|(key, ..)| *key == k) {
                continue;
            }
            let before = self.sites[n].rows.get(&k).copied();
            let after = match before {
                Some(_) if self.random.chance(12.0) => None,
                _ => {
                    let mut row = before.unwrap_or_default();
                    for column in 0..2 {
                        if before.is_none() || self.random.chance(60.0) {
                            row[column] = self.value(before.map(|before| before[column]));
                            made.push(row[column]);
                        }
                    }
                    Some(row)
                }
            };
            match after {
                Some(row) => self.sites[n].rows.insert(k, row),
                None => self.sites[n].rows.remove(&k),
            };
            changes.push((k, before, after));
        }
        let ts = self.clock + self.skew[n];
        self.sites[n].log.push(Entry::Local { ts, changes, made });
    }

    fn capture(&mut self, n: usize) -> bool {
        let at = self.position(n);
        let Some(entry) = self.sites[n].log.get(at).cloned() else { return false };
        let site = self.workers[n].id;
        let position = Position((at + 1).to_string());
        let images = self.random.chance(50.0);
        let change = |(k, before, after): (i64, Option<[i64; 2]>, Option<[i64; 2]>)| Change {
            table: TABLE,
            key: key(k),
            before: before.filter(|_| images).map(|row| image(k, row)),
            after: after.map(|row| image(k, row)),
            moved_from: None,
        };
        let transaction = |origin, ts, changes: Vec<(i64, Option<[i64; 2]>, Option<[i64; 2]>)>| {
            let changes = changes.into_iter().map(change).collect();
            LogItem::Transaction(Transaction { site, position: Some(position.clone()), committed_us: ts, origin, changes })
        };
        let item = match entry {
            Entry::Local { ts, changes, .. } => transaction(Origin::Local, ts, changes),
            Entry::Landing { marker, payload, changes, ts } => transaction(Origin::Landing { marker, payload }, ts, changes),
            Entry::Watermark(marker) => LogItem::Watermark { site, marker, position },
        };
        let clock = self.clock;
        let mut watch = std::mem::take(&mut self.workers[n].watch);
        let report = self.durable(|ledger| {
            let mut report = Report::default();
            absorb(ledger, &mut watch, item, clock, &mut report)?;
            Ok(report)
        });
        self.conflicts += report.conflicts.len();
        self.workers[n].watch = watch;
        true
    }

    fn reconcile(&mut self, n: usize) -> bool {
        let (site, clock) = (self.workers[n].id, self.clock);
        match std::mem::replace(&mut self.workers[n].scan, Scan::Idle) {
            Scan::Idle => {
                let phase = self.ledger().progress(site, TABLE).phase;
                if phase == Phase::Done || (n > 0 && self.ledger().progress(SiteId(1), TABLE).phase < Phase::Sweeping) {
                    return false;
                }
                if phase >= Phase::Sweeping {
                    let rows = self.random.of(&[1, 2, 10]);
                    self.durable(|ledger| chunk::sweep(ledger, site, TABLE, rows, clock, &mut Report::default()));
                    return true;
                }
                let opened = self.durable(|ledger| chunk::open(ledger, site, TABLE, clock)).unwrap();
                let (low, high, after) = (opened.low, opened.high, opened.after.clone());
                self.workers[n].watch.open_chunk(opened);
                self.sites[n].log.push(Entry::Watermark(low));
                self.workers[n].scan = Scan::Opened(low, high, after);
            }
            Scan::Opened(_, high, after) => {
                let from = after.map_or(i64::MIN, |key| number(&key.0[0]) + 1);
                let limit = self.random.of(&[1, 2, 10]);
                let rows: Vec<_> = self.sites[n].rows.range(from..).take(limit).map(|(k, row)| (key(*k), image(*k, *row))).collect();
                let last = rows.len() < limit;
                self.workers[n].watch.fill_chunk(rows, last);
                self.workers[n].scan = Scan::Read(high);
            }
            Scan::Read(high) => {
                self.sites[n].log.push(Entry::Watermark(high));
                self.workers[n].scan = Scan::Closing;
            }
            Scan::Closing if self.workers[n].watch.has_chunk() => {
                self.workers[n].scan = Scan::Closing;
                return false;
            }
            Scan::Closing => {}
        }
        true
    }

    fn apply(&mut self, n: usize) -> bool {
        let clock = self.clock;
        if let Some(job) = self.workers[n].job.take() {
            let outcome = self.transact(n, &job);
            if self.random.chance(3.0) {
                self.crash();
                return true;
            }
            let worker = &mut self.workers[n];
            let ledger = self.ledger.as_mut().unwrap();
            settle(ledger, &worker.target, &mut worker.retry, &job, Some(&outcome), clock).unwrap();
            return true;
        }
        if self.position(n) < self.workers[n].fence && !mutation::without("fence") {
            return false;
        }
        let limits = Limits::new(self.random.of(&[1, 2, 10]), 1 << 20);
        let lane = self.random.of(&[Lane::Urgent, Lane::Bulk]);
        let worker = &mut self.workers[n];
        let ledger = self.ledger.as_mut().unwrap();
        let waited = !worker.retry.is_empty();
        worker.retry.requeue(ledger, &worker.target).unwrap();
        worker.job = take(ledger, &worker.target, lane, &limits, clock).unwrap();
        worker.job.is_some() || waited
    }

    /// The site's side of a batch.
    fn transact(&mut self, n: usize, job: &Job) -> Outcome {
        let site = &mut self.sites[n];
        let mut rows = site.rows.clone();
        let (mut changes, mut rejected) = (Vec::new(), Vec::new());
        for (at, write) in job.batch.rows.iter().enumerate() {
            let k = number(&write.key.0[0]);
            let before = rows.get(&k).copied();
            let elsewise = match write.kind {
                WriteKind::Insert => before.is_some(),
                WriteKind::Replace | WriteKind::Columns => before.is_none(),
                WriteKind::Delete => false,
            };
            if elsewise {
                rejected.push((at, Rejection::Elsewise));
                continue;
            }
            if write.kind == WriteKind::Delete {
                rows.remove(&k);
            } else {
                let row = rows.entry(k).or_default();
                for (column, value) in write.columns.iter().filter(|(column, _)| *column > 0) {
                    row[column - 1] = number(value);
                }
            }
            changes.push((k, before, rows.get(&k).copied()));
        }
        if !rejected.is_empty() {
            return Outcome::Rejected(rejected);
        }
        site.rows = rows;
        for marker in &job.batch.forget {
            site.markers.remove(marker);
        }
        site.markers.insert(job.marker, job.batch.payload.clone());
        let entry = Entry::Landing { marker: job.marker, payload: job.batch.payload.clone(), changes, ts: self.clock + self.skew[n] };
        site.log.push(entry);
        Outcome::Committed { failed: Vec::new() }
    }

    fn crash(&mut self) {
        let ledger = self.ledger.take().unwrap();
        self.ledger = Some(ledger.reopen().unwrap());
        for (worker, site) in self.workers.iter_mut().zip(&self.sites) {
            *worker = Worker::new(worker.id);
            worker.fence = site.log.len();
        }
        self.bind();
    }

    fn disaster(&mut self, n: usize) {
        let (site, clock) = (self.workers[n].id, self.clock);
        let lost = self.random.chance(50.0);
        if lost {
            let there: HashSet<i64> = self.sites[n].rows.values().flatten().copied().collect();
            let from = self.position(n);
            self.forget_unseen(n, from, |value| !there.contains(&value));
        } else {
            let from = self.sure[n];
            self.forget_unseen(n, from, |_| true);
            let (backup, kept) = (self.backups[n].clone(), self.backups[n].log.len());
            self.sites[n].rows = backup.rows;
            self.sites[n].markers = backup.markers;
            self.sites[n].log.truncate(kept);
        }
        let now_at = Position(self.sites[n].log.len().to_string());
        let markers: Vec<_> = self.sites[n].markers.iter().map(|(id, payload)| (*id, MarkerKind::Batch, payload.clone())).collect();
        self.sites[n].markers.clear();
        let mut watch = std::mem::take(&mut self.workers[n].watch);
        self.durable(|ledger| match lost {
            true => recover::lost_log(ledger, &mut watch, site, &markers, &now_at, clock).map(|_| ()),
            false => recover::restored(ledger, &mut watch, site, &markers, &now_at, clock),
        });
        let worker = &mut self.workers[n];
        worker.fence = self.sites[n].log.len();
        (worker.job, worker.scan, worker.retry) = (None, Scan::Idle, Retry::default());
    }

    /// Values that came and went unseen are gone for good: nothing can be asked of them.
    fn forget_unseen(&mut self, n: usize, from: usize, gone: impl Fn(i64) -> bool) {
        let made: Vec<i64> = self.sites[n].log[from.min(self.sites[n].log.len())..]
            .iter()
            .filter_map(|entry| match entry {
                Entry::Local { made, .. } => Some(made.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        for value in made.into_iter().filter(|value| gone(*value)) {
            self.parent.remove(&value);
        }
    }

    fn run(&mut self, disasters: bool) {
        let heat = self.random.of(&[5.0, 30.0]);
        let ruin = if disasters { self.random.of(&[0.0, 2.0]) } else { 0.0 };
        for _ in 0..self.random.of(&[20, 80, 300]) {
            self.clock += 1;
            let n = self.random.below(self.sites.len());
            self.note_sure();
            if self.random.chance(5.0) {
                self.backups[n] = self.sites[n].clone();
            }
            if ruin > 0.0 && self.random.chance(ruin) {
                self.disaster(n);
            }
            let draw = self.random.below(1000) as f64 / 10.0;
            if draw < heat {
                self.application(n);
            } else if draw < 60.0 {
                self.capture(n);
            } else if draw < 75.0 {
                self.reconcile(n);
            } else if draw < 98.0 {
                self.apply(n);
            } else {
                self.crash();
            }
        }
        self.settle_down();
    }

    fn note_sure(&mut self) {
        for n in 0..self.sites.len() {
            let site = self.workers[n].id;
            if self.ledger().progress(site, TABLE).phase == Phase::Done {
                self.sure[n] = self.position(n).min(self.sites[n].log.len());
            }
        }
    }

    fn settle_down(&mut self) {
        for _ in 0..6000 {
            self.clock += 1;
            let mut busy = false;
            for n in 0..self.sites.len() {
                busy |= self.capture(n) || self.apply(n) || self.reconcile(n);
            }
            let queued = self.workers.iter().any(|worker| {
                self.ledger.as_ref().unwrap().queues(worker.id).is_some_and(|queues| !queues.is_empty()) || worker.job.is_some()
            });
            if !busy && !queued {
                return;
            }
        }
        panic!("it does not settle");
    }

    fn check(&mut self) {
        let mut merged = Rows::new();
        let rows = self.ledger().slice(TABLE, 0, 1000).unwrap();
        for (_, key, mut row) in rows {
            row.tidy(&self.ledger().shared(TABLE).unwrap().roster.clone());
            assert!(row.held.is_empty(), "sites that still differ are remembered: {row:?}");
            assert!(row.life.exists(), "a tombstone stays");
            let value = |c: usize| row.registers[c].as_ref().map_or(-1, |register| number(&register.value));
            merged.insert(number(&key.0[0]), [value(1), value(2)]);
        }
        for (n, site) in self.sites.iter().enumerate() {
            assert_eq!(site.rows, merged, "site {n} differs from the merged rows");
        }
        for worker in &self.workers {
            let under_way = self.ledger.as_ref().unwrap().under_way(worker.id).unwrap();
            assert_eq!((under_way.rows(), under_way.batches()), (0, 0), "something is under way for ever");
        }
        let replaced: HashSet<i64> = self.parent.values().flatten().copied().collect();
        for value in merged.values().flatten() {
            assert!(!replaced.contains(value), "value {value} stands although it was replaced");
        }
    }
}

impl Worker {
    fn new(id: SiteId) -> Worker {
        let column = |name: &str, ordinal| {
            Some(SiteColumn { name: name.into(), ty: ColumnType::Int { bits: 64, unsigned: false }, ordinal, nullable: false })
        };
        let columns = vec![column("k", 0), column("a", 1), column("b", 2)];
        let at_site = SiteTable { table: table(), schema: "main".into(), name: "t".into(), columns, unique: Vec::new() };
        let tables = HashMap::from([(TABLE, TargetTable { table: Arc::new(at_site), after_apply: Vec::new() })]);
        let target = Target { site: id, name: format!("site{}", id.0), tables };
        Worker { id, target, watch: Watch::default(), retry: Retry::default(), job: None, fence: 0, scan: Scan::Idle }
    }
}

/// Runs one schedule; the number of conflicts met, or what went wrong.
fn schedule(seed: u64, disasters: bool) -> Result<usize, String> {
    let outcome = std::panic::catch_unwind(|| {
        let mut world = World::new(seed, disasters);
        world.run(disasters);
        world.check();
        world.conflicts
    });
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        format!("seed {seed}: {}", text.unwrap_or_default())
    })
}

fn number_from(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

fn campaign(schedules: u64, disasters: bool) -> (usize, Vec<String>) {
    let first = number_from("ROSTERD_SEED", 1);
    let schedules = if std::env::var("ROSTERD_SEED").is_ok() { 1 } else { schedules };
    let (mut conflicts, mut failures) = (0, Vec::new());
    for seed in first..first + schedules {
        match schedule(seed, disasters) {
            Ok(met) => conflicts += met,
            Err(failure) => failures.push(failure),
        }
    }
    (conflicts, failures)
}

#[test]
fn sites_end_equal_and_no_update_is_lost() {
    let schedules = number_from("ROSTERD_SCHEDULES", 3000);
    let (conflicts, failures) = campaign(schedules, false);
    println!("{schedules} schedules, {conflicts} conflicts met, {} failed", failures.len());
    assert!(failures.is_empty(), "{} of {schedules}: {}", failures.len(), failures[0]);
}

#[test]
fn sites_end_equal_after_lost_logs_and_restored_backups() {
    let schedules = number_from("ROSTERD_SCHEDULES", 3000);
    let (conflicts, failures) = campaign(schedules, true);
    println!("{schedules} schedules with disasters, {conflicts} conflicts met, {} failed", failures.len());
    assert!(failures.is_empty(), "{} of {schedules}: {}", failures.len(), failures[0]);
}
