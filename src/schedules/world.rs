//! The sites, the ledger, and the steps that one schedule is made of.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::history::History;
use super::plan::{Plan, WIDTH};
use super::random::Random;
use super::site::{Entry, Place, Row, RowChange, Site, TABLES, image, key, number, table};
use crate::apply::{Job, Limits, Retry, Target, TargetTable, settle, take};
use crate::capture::{Report, Watch, absorb, chunk, recover};
use crate::ledger::{Ledger, Phase, Shared};
use crate::model::*;
use crate::mutation;
use crate::resolve::{Known, Roster, SiteView};
use crate::sites::{Lane, Outcome, Rejection};

const KEYS: [i64; 3] = [1, 2, 3];
/// What a step takes of the time that rows wait for their next try.
const TICK_US: i64 = 20_000;
const LANES: [Lane; 2] = [Lane::Urgent, Lane::Bulk];

pub struct World {
    pub random: Random,
    pub plan: Plan,
    pub ledger: Ledger,
    pub sites: Vec<Site>,
    backups: Vec<Site>,
    pub workers: Vec<Worker>,
    pub clock: i64,
    skew: Vec<i64>,
    pub history: History,
    /// Rows that have stood apart at a site: what came meanwhile is owed late, without the rest of its transaction.
    pub ever_apart: HashSet<(usize, Place)>,
    pub conflicts: usize,
    pub traced: bool,
}

/// What the daemon has in memory for one site.
pub struct Worker {
    pub id: SiteId,
    target: Target,
    watch: Watch,
    retry: Retry,
    /// One batch in hand for each lane.
    pub jobs: [Option<InHand>; 2],
    /// Log index, on connecting, that capture has to reach before anything is applied, and the markers that were there on connecting.
    pub fence: usize,
    met: Vec<MarkerId>,
    scan: Scan,
}

pub enum InHand {
    Taken(Job),
    Answered(Job, Option<Outcome>),
}

enum Scan {
    Idle,
    Opened { table: TableId, high: MarkerId, after: Option<Key> },
    Read(MarkerId),
    Closing,
}

impl World {
    pub fn new(seed: u64, disasters: bool) -> World {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random, disasters);
        let mut ledger = Ledger::in_memory().unwrap();
        let ids = ledger.register_sites(&["hub", "b", "c", "e"][..plan.sites]).unwrap();
        let columns = ["k", "a", "b"].map(String::from);
        for id in TABLES {
            ledger.register_table(&table(id).name, &columns[..1], &columns).unwrap();
        }
        let mut world = World {
            ledger,
            sites: vec![Site::default(); plan.sites],
            backups: Vec::new(),
            workers: ids.iter().enumerate().map(|(n, id)| Worker::new(*id, plan.has(n))).collect(),
            clock: 0,
            skew: (0..plan.sites).map(|_| random.of(&[0, 0, -40, 40])).collect(),
            history: History::new(plan.sites),
            ever_apart: HashSet::new(),
            conflicts: 0,
            traced: std::env::var("ROSTERD_TRACE").is_ok(),
            random,
            plan,
        };
        world.bind();
        if world.plan.populated {
            world.populate();
        }
        world.backups = world.sites.clone();
        world
    }

    fn populate(&mut self) {
        for n in 0..self.sites.len() {
            for place in TABLES.iter().flat_map(|table| KEYS.map(|key| (table.0, key))) {
                if self.random.chance(40.0) {
                    let row = self.write(n, place, None).0;
                    self.sites[n].rows.insert(place, row);
                }
            }
        }
    }

    fn bind(&mut self) {
        let view = |(rank, worker): (usize, &Worker)| SiteView {
            id: worker.id,
            rank: rank as u16,
            has: self.plan.has(rank),
            known: Known::Unknown { generation: 1, restored: 0 },
        };
        let roster = Roster { sites: self.workers.iter().enumerate().map(view).collect() };
        let shared = |id| Shared::new(table(id), self.plan.policy.clone(), None, roster.clone());
        self.ledger.bind(TABLES.map(shared).into()).unwrap();
    }

    /// One step of the ledger, durable when it returns.
    fn durable<T>(&mut self, f: impl FnOnce(&mut Ledger) -> crate::ledger::Result<T>) -> T {
        self.ledger.begin().unwrap();
        let value = f(&mut self.ledger).unwrap();
        self.ledger.commit().unwrap();
        value
    }

    pub fn position(&self, n: usize) -> usize {
        let site = self.ledger.site(self.workers[n].id).unwrap();
        site.position.as_ref().map_or(0, |position| position.0.parse().unwrap())
    }

    /// Both tables of the site have been compared with the ledger.
    pub fn is_known(&self, n: usize) -> bool {
        TABLES.iter().all(|table| self.ledger.progress(self.workers[n].id, *table).phase == Phase::Done)
    }

    /// A row written at a site on top of `before`, and the values made for it.
    fn write(&mut self, n: usize, place: Place, before: Option<Row>) -> (Row, Vec<i64>) {
        let mut row = before.unwrap_or_default();
        let mut made = Vec::new();
        let known = self.is_known(n);
        let lineage = self.history.lineage(before, known, self.clock);
        for (column, value) in row.iter_mut().enumerate() {
            if self.plan.has(n)[column + 1] && (before.is_none() || self.random.chance(60.0)) {
                let small = self.plan.small_values.then(|| self.random.below(3) as i64);
                *value = small.unwrap_or_else(|| self.history.make(n, place, column, before.map(|row| row[column]), lineage));
                made.push(*value);
            }
        }
        (row, made)
    }

    fn application(&mut self, n: usize) {
        let (mut changes, mut made): (Vec<RowChange>, Vec<i64>) = (Vec::new(), Vec::new());
        for _ in 0..self.random.of(&[1, 1, 1, 2, 3]) {
            let place = (self.random.of(&TABLES).0, self.random.of(&KEYS));
            if changes.iter().any(|(other, ..)| *other == place) {
                continue;
            }
            let before = self.sites[n].rows.get(&place).copied();
            if before.is_some() && self.random.chance(self.plan.deletes) {
                self.sites[n].rows.remove(&place);
                self.history.deleted(place);
                changes.push((place, before, None));
                continue;
            }
            let (row, values) = self.write(n, place, before);
            self.sites[n].rows.insert(place, row);
            changes.push((place, before, Some(row)));
            made.extend(values);
        }
        self.sites[n].log.push(Entry::Local { ts: self.clock + self.skew[n], changes, made });
    }

    fn change(&mut self, n: usize, (place, before, after): RowChange) -> Change {
        let has = self.plan.has(n);
        let shown = before.filter(|_| self.random.chance(self.plan.images));
        let mut image_after = after.map(|row| image(place.1, row, &has));
        if let (Some(image), Some(before), Some(after)) = (&mut image_after, before, after) {
            for column in 1..WIDTH {
                if before[column - 1] == after[column - 1] && self.random.chance(self.plan.left_out) {
                    image[column] = Cell::Unchanged;
                }
            }
        }
        let before = shown.map(|row| image(place.1, row, &has));
        Change { table: TableId(place.0), key: key(place.1), before, after: image_after, moved_from: None }
    }

    fn capture(&mut self, n: usize) -> bool {
        let at = self.position(n);
        let Some(entry) = self.sites[n].log.get(at).cloned() else { return false };
        self.trace(|| format!("site {n} {at} {entry:?}"));
        let site = self.workers[n].id;
        let position = Position((at + 1).to_string());
        let item = match entry {
            Entry::Watermark(marker) => LogItem::Watermark { site, marker, position },
            Entry::Local { ts, changes, made } => {
                let images: Vec<Change> = changes.iter().map(|change| self.change(n, *change)).collect();
                self.note_capture(n, &images, &made);
                let (position, origin) = (Some(position), Origin::Local);
                LogItem::Transaction(Transaction { site, position, committed_us: ts, origin, changes: images })
            }
            Entry::Landing { marker, payload, changes, ts } => {
                let changes = changes.iter().map(|change| self.change(n, *change)).collect();
                let (position, origin) = (Some(position), Origin::Landing { marker, payload });
                LogItem::Transaction(Transaction { site, position, committed_us: ts, origin, changes })
            }
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
        self.note_rows();
        true
    }

    fn note_capture(&mut self, n: usize, images: &[Change], made: &[i64]) {
        let id = self.workers[n].id;
        for change in images {
            let view = self.ledger.shared(change.table).unwrap().roster.site(id).clone();
            let place = (change.table.0, number(&change.key.0[0]));
            let whole = |image: &Option<Image>| image.as_ref().is_some_and(|image| view.is_whole(image));
            if self.is_older(n, place) && !(whole(&change.before) && whole(&change.after)) {
                self.history.forgive(place, made);
            }
        }
        let all_known = (0..self.sites.len()).all(|n| self.is_known(n));
        let own_known = self.is_known(n);
        self.history.captured(made, own_known, all_known && images.len() > 1);
    }

    /// The row has not been read since the site was restored from a backup. What is written on it now can be told from
    /// what is older by the images in the log only; without them the ledger wins.
    fn is_older(&self, n: usize, (table, k): Place) -> bool {
        let view = self.ledger.shared(TableId(table)).unwrap().roster.site(self.workers[n].id);
        let (_, row) = self.ledger.load(TableId(table), &key(k)).unwrap();
        row.held(view.id).map_or(0, |held| held.seen) < view.known.restored()
    }

    fn reconcile(&mut self, n: usize) -> bool {
        let (site, clock) = (self.workers[n].id, self.clock);
        match std::mem::replace(&mut self.workers[n].scan, Scan::Idle) {
            Scan::Idle => {
                let hub = self.workers[0].id;
                let due = |table: &TableId| {
                    let hub_read = n == 0 || self.ledger.progress(hub, *table).phase >= Phase::Tidying;
                    hub_read && self.ledger.progress(site, *table).phase != Phase::Done
                };
                let Some(table) = TABLES.into_iter().find(due) else { return false };
                if self.ledger.progress(site, table).phase >= Phase::Counting {
                    let rows = self.random.of(&[1, 2, 10]);
                    self.durable(|ledger| chunk::sweep(ledger, site, table, rows, clock, &mut Report::default()));
                    self.note_rows();
                    return true;
                }
                let opened = self.durable(|ledger| chunk::open(ledger, site, table, clock)).unwrap();
                let (low, high, after) = (opened.low, opened.high, opened.after.clone());
                self.workers[n].watch.open_chunk(opened);
                self.workers[n].scan = Scan::Opened { table, high, after: after.clone() };
                if mutation::without("low_watermark") {
                    self.read_chunk(n, table, after);
                    self.workers[n].scan = Scan::Read(high);
                    self.application(n);
                }
                self.sites[n].log.push(Entry::Watermark(low));
            }
            Scan::Opened { table, high, after } => {
                self.read_chunk(n, table, after);
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

    fn read_chunk(&mut self, n: usize, table: TableId, after: Option<Key>) {
        let from = after.map_or(i64::MIN, |key| number(&key.0[0]) + 1);
        let limit = self.random.of(&[1, 2, 10]);
        let has = self.plan.has(n);
        let range = self.sites[n].rows.range((table.0, from)..(table.0 + 1, i64::MIN));
        let rows: Vec<_> = range.take(limit).map(|((_, k), row)| (key(*k), image(*k, *row, &has))).collect();
        let last = rows.len() < limit;
        self.workers[n].watch.fill_chunk(rows, last);
    }

    fn apply(&mut self, n: usize) -> bool {
        let lane = self.random.below(2);
        self.step_lane(n, lane) || self.step_lane(n, 1 - lane)
    }

    fn step_lane(&mut self, n: usize, lane: usize) -> bool {
        match self.workers[n].jobs[lane].take() {
            None => return self.take(n, lane),
            Some(InHand::Taken(job)) => {
                let (ts, shows_idle) = (self.clock + self.skew[n], self.random.chance(50.0));
                let early = Rejection::Reference("a parent that is still to come".into());
                let outcome = match self.random.below(100) {
                    0..3 => None,
                    3..6 => Some(Outcome::Rejected(vec![(self.random.below(job.rows.len()), early)])),
                    _ => Some(self.sites[n].carry_out(&job.batch, ts, shows_idle)),
                };
                self.trace(|| format!("site {n} {:?} {outcome:?}", job.marker));
                self.workers[n].jobs[lane] = Some(InHand::Answered(job, outcome));
                match self.random.below(100) {
                    0..3 => self.crash(),
                    3..6 => self.reconnect(n),
                    _ => {}
                }
            }
            Some(InHand::Answered(job, outcome)) => {
                let worker = &mut self.workers[n];
                settle(&mut self.ledger, &worker.target, &mut worker.retry, &job, outcome.as_ref(), self.clock * TICK_US).unwrap();
            }
        }
        true
    }

    fn take(&mut self, n: usize, lane: usize) -> bool {
        if self.position(n) < self.workers[n].fence && !mutation::without("fence") {
            return false;
        }
        let (site, met) = (self.workers[n].id, std::mem::take(&mut self.workers[n].met));
        for marker in met {
            if !self.ledger.unheard(site).contains(&marker) {
                self.ledger.heard(site, marker).unwrap();
            }
        }
        self.ledger.caught_up(site).unwrap();
        let waited = !self.workers[n].retry.is_empty();
        let worker = &mut self.workers[n];
        worker.retry.requeue(&mut self.ledger, &worker.target, self.clock * TICK_US).unwrap();
        if self.ledger.queues(site).is_none_or(|queues| queues.is_empty()) {
            return waited;
        }
        let limits = Limits::new(self.random.of(&[1, 2, 10]), 1 << 20);
        let owed = self.owed_rows(n);
        let worker = &mut self.workers[n];
        let job = take(&mut self.ledger, &worker.target, LANES[lane], &limits, &worker.retry, self.clock * TICK_US).unwrap();
        let Some(job) = job else { return waited };
        self.trace(|| format!("site {n} takes {:?} {:?}", job.marker, job.rows));
        self.check_job(n, lane, &job, &owed, limits.closure_rows_max);
        self.workers[n].jobs[lane] = Some(InHand::Taken(job));
        true
    }

    /// The daemon is killed.
    fn crash(&mut self) {
        self.trace(|| "crash".into());
        let ledger = std::mem::replace(&mut self.ledger, Ledger::in_memory().unwrap());
        self.ledger = ledger.reopen().unwrap();
        for n in 0..self.workers.len() {
            self.workers[n] = Worker::new(self.workers[n].id, self.plan.has(n));
            self.connect(n);
        }
        self.bind();
    }

    /// The connections to one site are lost and made anew, so that batches without an answer have to be asked about.
    fn reconnect(&mut self, n: usize) {
        self.trace(|| format!("site {n} reconnects"));
        let (site, markers) = (self.workers[n].id, self.sites[n].markers.clone());
        self.workers[n].watch.abandon_chunk();
        (self.workers[n].jobs, self.workers[n].scan) = ([None, None], Scan::Idle);
        self.connect(n);
        self.durable(|ledger| {
            for marker in ledger.unheard(site) {
                if markers.contains_key(&marker) {
                    ledger.committed(site, marker);
                    continue;
                }
                for id in ledger.returned(site, marker) {
                    ledger.requeue(site, id)?;
                }
                ledger.heard(site, marker)?;
            }
            ledger.bury_waiting()
        });
    }

    fn connect(&mut self, n: usize) {
        self.workers[n].fence = self.sites[n].log.len();
        self.workers[n].met = self.sites[n].markers.keys().copied().collect();
    }

    fn disaster(&mut self, n: usize) {
        let (site, clock, at) = (self.workers[n].id, self.clock, self.position(n));
        let lost = self.random.chance(50.0);
        self.trace(|| format!("site {n} {}", if lost { "loses its log" } else { "is restored" }));
        if lost {
            let older: Vec<Place> = self.history.places().into_iter().filter(|place| self.is_older(n, *place)).collect();
            self.history.lost(&older, &self.sites[n].log[at..], &self.sites[n].rows);
        } else {
            let from = self.history.sure[n].min(self.sites[n].log.len());
            self.history.undone(&self.sites[n].log[from..]);
            self.sites[n] = self.backups[n].clone();
            self.history.sure[n] = from.min(self.sites[n].log.len());
        }
        let now_at = Position(self.sites[n].log.len().to_string());
        let markers: Vec<_> = self.sites[n].markers.iter().map(|(id, payload)| (*id, MarkerKind::Batch, payload.clone())).collect();
        let mut watch = std::mem::take(&mut self.workers[n].watch);
        self.durable(|ledger| match lost {
            true => recover::lost_log(ledger, &mut watch, site, &markers, &now_at, clock).map(|_| ()),
            false => recover::restored(ledger, &mut watch, site, &markers, &now_at, clock),
        });
        self.note_rows();
        let worker = &mut self.workers[n];
        (worker.jobs, worker.scan, worker.retry) = ([None, None], Scan::Idle, Retry::default());
        self.connect(n);
    }

    pub fn run(&mut self) {
        if self.plan.copied {
            self.settle_down();
        }
        for _ in 0..self.plan.steps {
            self.clock += 1;
            let n = self.random.below(self.sites.len());
            self.note_sure();
            if self.random.chance(5.0) {
                self.backups[n] = self.sites[n].clone();
            }
            if self.random.chance(self.plan.ruin) {
                self.disaster(n);
            }
            let draw = self.random.below(1000) as f64 / 10.0;
            if draw < self.plan.heat {
                self.application(n);
            } else if draw < 55.0 {
                self.capture(n);
            } else if draw < 70.0 {
                self.reconcile(n);
            } else if draw < 98.0 {
                self.apply(n);
            } else if draw < 99.0 {
                self.reconnect(n);
            } else {
                self.crash();
            }
        }
        self.settle_down();
    }

    fn note_sure(&mut self) {
        for n in 0..self.sites.len() {
            if self.is_known(n) {
                self.history.sure[n] = self.position(n);
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
            let queued = self.workers.iter().any(|worker| self.ledger.queues(worker.id).is_some_and(|queues| !queues.is_empty()));
            if !busy && !queued {
                return;
            }
        }
        panic!("it does not settle");
    }

    /// The rows of the ledger by their place.
    pub fn ledger_rows(&self) -> BTreeMap<Place, (crate::ledger::RowId, crate::resolve::Row)> {
        let of_table = |table: TableId| {
            let rows = self.ledger.slice(table, 0, 1000).unwrap();
            rows.into_iter().map(move |(id, key, row)| ((table.0, number(&key.0[0])), (id, row)))
        };
        TABLES.into_iter().flat_map(of_table).collect()
    }
}

impl Worker {
    fn new(id: SiteId, has: Vec<bool>) -> Worker {
        let site_table = |id: TableId| {
            let column = |(ordinal, name): (usize, &str)| {
                let ty = ColumnType::Int { bits: 64, unsigned: false };
                has[ordinal].then(|| SiteColumn { name: name.into(), ty, ordinal, nullable: false, values: None })
            };
            let columns = ["k", "a", "b"].into_iter().enumerate().map(column).collect();
            let table = SiteTable {
                table: table(id),
                schema: "main".into(),
                name: table(id).name.clone(),
                columns,
                unique: Vec::new(),
                allocation: None,
                fills: Vec::new(),
            };
            (id, TargetTable { table: Arc::new(table), after_apply: Vec::new() })
        };
        let tables = HashMap::from(TABLES.map(site_table));
        let target = Target { site: id, name: format!("site{}", id.0), tables };
        Worker {
            id,
            target,
            watch: Watch::default(),
            retry: Retry::default(),
            jobs: [None, None],
            fence: 0,
            met: Vec::new(),
            scan: Scan::Idle,
        }
    }
}
