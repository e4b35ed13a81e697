//! The sites, the ledger, and the steps that one schedule is made of.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::history::History;
use super::lanes::InHand;
use super::plan::{Focus, Plan, WIDTH};
use super::random::Random;
use super::site::{Entry, Place, RowChange, Site, TABLES, image, key, number, table};
use crate::apply::{Retry, Target, TargetTable};
use crate::capture::{Report, Watch, absorb, chunk, recover};
use crate::ledger::{Ledger, Phase, Shared, TableProgress};
use crate::model::*;
use crate::mutation;
use crate::resolve::{Known, Roster, SiteView};

pub struct World {
    pub random: Random,
    pub plan: Plan,
    pub ledger: Store,
    pub sites: Vec<Site>,
    backups: Vec<Site>,
    pub workers: Vec<Worker>,
    pub clock: i64,
    skew: Vec<i64>,
    pub history: History,
    /// Rows that have stood apart at a site or were held back from it: what came meanwhile is owed late, without the rest of
    /// its transaction.
    pub ever_apart: HashSet<(usize, Place)>,
    /// Values of column b that stood in a row which the filter takes in.
    pub published: HashSet<i64>,
    /// Values of rows made at a site while the row that they name stood apart there: site, and the row that they name.
    pub kin: HashMap<i64, (usize, Place)>,
    /// Rows that were deleted when a fuse blew, and that have not been deleted otherwise since: site and row.
    pub blown: Vec<(usize, Place)>,
    pub conflicts: usize,
    /// Nothing crashes or loses its connection any more.
    pub calm: bool,
    pub traced: bool,
}

/// The ledger, which a crash of the daemon closes and opens again.
pub struct Store(Option<Ledger>);

impl Store {
    fn reopen(&mut self) {
        self.0 = self.0.take().map(|ledger| ledger.reopen().unwrap());
    }
}

impl Deref for Store {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        self.0.as_ref().expect("it is open")
    }
}

impl DerefMut for Store {
    fn deref_mut(&mut self) -> &mut Ledger {
        self.0.as_mut().expect("it is open")
    }
}

/// What the daemon has in memory for one site.
pub struct Worker {
    pub id: SiteId,
    pub target: Target,
    watch: Watch,
    pub retry: Retry,
    /// Up to two batches in hand for each lane: while one is written, the answer to the one before is noted and the next is made.
    pub jobs: [VecDeque<InHand>; 2],
    /// Log index, on connecting, that capture has to reach before anything is applied, and the markers that were there on connecting.
    pub fence: usize,
    pub met: Vec<MarkerId>,
    scan: Scan,
}

enum Scan {
    Idle,
    Opened {
        table: TableId,
        high: MarkerId,
        after: Option<Key>,
    },
    /// `last`: the last row read; None at the end of the table.
    Read {
        table: TableId,
        high: MarkerId,
        last: Option<Key>,
    },
    Closing {
        table: TableId,
        last: Option<Key>,
    },
}

impl World {
    pub fn new(seed: u64, disasters: bool) -> World {
        let mut random = Random::new(seed);
        let plan = Plan::draw(seed, &mut random, disasters);
        let mut ledger = Ledger::in_memory().unwrap();
        let ids = ledger.register_sites(&["hub", "b", "c", "e"][..plan.sites]).unwrap();
        let columns = ["k", "a", "b"].map(String::from);
        for id in TABLES {
            ledger.register_table(&table(id, false).name, &columns[..1], &columns).unwrap();
        }
        let mut world = World {
            ledger: Store(Some(ledger)),
            sites: vec![Site { unique: plan.is_unique(), ..Site::default() }; plan.sites],
            backups: Vec::new(),
            workers: ids.iter().enumerate().map(|(n, id)| Worker::new(*id, &plan, n)).collect(),
            clock: 0,
            skew: (0..plan.sites).map(|_| random.of(&[0, 0, -40, 40])).collect(),
            history: History::new(plan.sites),
            ever_apart: HashSet::new(),
            published: HashSet::new(),
            kin: HashMap::new(),
            blown: Vec::new(),
            conflicts: 0,
            calm: false,
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

    fn bind(&mut self) {
        let view = |(rank, worker): (usize, &Worker)| SiteView {
            id: worker.id,
            rank: rank as u16,
            has: self.plan.has(rank),
            known: Known::Unknown { generation: 1, restored: 0 },
        };
        let roster = Roster { sites: self.workers.iter().enumerate().map(view).collect() };
        let shared = |id| Shared {
            fuse: self.plan.fuse(),
            references: self.plan.references(id),
            ..Shared::new(table(id, self.plan.is_unique()), self.plan.policy.clone(), self.plan.filter(id), roster.clone())
        };
        self.ledger.bind(TABLES.map(shared).into()).unwrap();
        for worker in &self.workers {
            for (id, at_site) in &worker.target.tables {
                self.ledger.set_unique(worker.id, *id, at_site.table.shared_unique()).unwrap();
            }
        }
    }

    /// One step of the ledger, durable when it returns.
    pub fn durable<T>(&mut self, f: impl FnOnce(&mut Ledger) -> crate::ledger::Result<T>) -> T {
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
        let known = |progress: TableProgress| progress.phase == Phase::Done && progress.stopped.is_none();
        TABLES.iter().all(|table| known(self.ledger.progress(self.workers[n].id, *table)))
    }

    /// What the site's log shows now may be undone: a fuse has blown, or an operator has its rows put back.
    pub fn is_undone(&self, n: usize) -> bool {
        let undone = |progress: TableProgress| progress.stopped.is_some() || progress.puts_back();
        TABLES.iter().any(|table| undone(self.ledger.progress(self.workers[n].id, *table)))
    }

    /// The commit time of what is written at a site now.
    pub fn committed(&self, n: usize) -> i64 {
        (self.clock + self.skew[n]) * self.plan.commit_tick_us()
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
        let before = self.before_capture(n, &entry);
        let mut whole = Vec::new();
        let item = match entry.clone() {
            Entry::Watermark(marker) => LogItem::Watermark { site, marker, position },
            Entry::Local { ts, changes, made } => {
                let images: Vec<Change> = changes.iter().map(|change| self.change(n, *change)).collect();
                self.note_capture(n, &images, &changes, &made);
                let view = |change: &Change| self.ledger.shared(change.table).map(|shared| shared.roster.site(site));
                whole =
                    images.iter().map(|c| c.after.as_ref().is_some_and(|after| view(c).is_some_and(|view| view.is_whole(after)))).collect();
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
        self.after_capture(n, at, &entry, before, &whole);
        self.note_rows();
        true
    }

    fn reconcile(&mut self, n: usize) -> bool {
        let (site, clock) = (self.workers[n].id, self.clock);
        match std::mem::replace(&mut self.workers[n].scan, Scan::Idle) {
            Scan::Idle => {
                let hub = self.workers[0].id;
                let due = |table: &TableId| {
                    let hub_read = n == 0 || self.ledger.progress(hub, *table).phase >= Phase::Tidying;
                    let own = self.ledger.progress(site, *table);
                    hub_read && own.stopped.is_none() && own.phase != Phase::Done
                };
                let Some(table) = TABLES.into_iter().find(due) else { return false };
                if self.ledger.progress(site, table).phase >= Phase::Counting {
                    let rows = self.random.of(&[1, 2, 10]);
                    self.durable(|ledger| chunk::sweep(ledger, site, table, rows, clock, &mut Report::default()));
                    self.note_rows();
                    self.check_blown();
                    return true;
                }
                self.open_chunk(n, table, None);
            }
            Scan::Opened { table, high, after } => self.read_chunk(n, table, high, after),
            Scan::Read { table, high, last } => {
                self.sites[n].log.push(Entry::Watermark(high));
                self.workers[n].scan = Scan::Closing { table, last };
            }
            Scan::Closing { table, last: Some(last) } if self.random.chance(50.0) => self.open_chunk(n, table, Some(last)),
            Scan::Closing { table, last } if self.workers[n].watch.has_chunk() => {
                self.workers[n].scan = Scan::Closing { table, last };
                return false;
            }
            Scan::Closing { .. } => {}
        }
        true
    }

    /// `after`: the last row of a chunk whose end capture may not have come to.
    fn open_chunk(&mut self, n: usize, table: TableId, after: Option<Key>) {
        let (site, clock) = (self.workers[n].id, self.clock);
        let watch = std::mem::take(&mut self.workers[n].watch);
        let opened = self.durable(|ledger| chunk::open(ledger, &watch, site, table, after, clock));
        self.workers[n].watch = watch;
        let Some(opened) = opened else { return };
        let (low, high, after) = (opened.low, opened.high, opened.after.clone());
        self.workers[n].watch.open_chunk(opened);
        self.workers[n].scan = Scan::Opened { table, high, after: after.clone() };
        if mutation::without("low_watermark") {
            self.read_chunk(n, table, high, after);
            self.application(n);
        }
        self.sites[n].log.push(Entry::Watermark(low));
    }

    fn read_chunk(&mut self, n: usize, table: TableId, high: MarkerId, after: Option<Key>) {
        let from = after.map_or(i64::MIN, |key| number(&key.0[0]) + 1);
        let limit = self.random.of(&[1, 2, 10]);
        let has = self.plan.has(n);
        let range = self.sites[n].rows.range((table.0, from)..(table.0 + 1, i64::MIN));
        let rows: Vec<_> = range.take(limit).map(|((_, k), row)| (key(*k), image(*k, *row, &has))).collect();
        let at_end = rows.len() < limit;
        let last = rows.last().filter(|_| !at_end).map(|(key, _): &(Key, Image)| key.clone());
        self.workers[n].watch.fill_chunk(high, rows, at_end);
        self.workers[n].scan = Scan::Read { table, high, last };
    }

    /// The daemon is killed.
    pub fn crash(&mut self) {
        self.trace(|| "crash".into());
        self.ledger.reopen();
        for n in 0..self.workers.len() {
            self.workers[n] = Worker::new(self.workers[n].id, &self.plan, n);
            self.connect(n);
        }
        self.bind();
    }

    /// The connections to one site are lost and made anew, so that batches without an answer have to be asked about.
    pub fn reconnect(&mut self, n: usize) {
        self.trace(|| format!("site {n} reconnects"));
        let (site, markers) = (self.workers[n].id, self.sites[n].markers.clone());
        self.workers[n].watch.abandon_chunks();
        let worker = &mut self.workers[n];
        (worker.jobs, worker.scan, worker.retry) = (Default::default(), Scan::Idle, Retry::default());
        self.connect(n);
        self.durable(|ledger| {
            for marker in ledger.unheard(site) {
                if markers.contains_key(&marker) {
                    ledger.committed(site, marker);
                    continue;
                }
                let returned = ledger.returned(site, marker);
                ledger.bury_waiting(&returned)?;
                returned.into_iter().try_for_each(|id| ledger.requeue(site, id))?;
                ledger.heard(site, marker)?;
            }
            // As `recover` does: rows that the last session had put aside.
            ledger.rebuild_queues()
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
        (worker.jobs, worker.scan, worker.retry) = (Default::default(), Scan::Idle, Retry::default());
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
            if self.plan.focus == Focus::Fuse && self.random.chance(3.0) {
                self.operate(n);
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
                self.history.all_read(n);
            }
        }
    }

    fn settle_down(&mut self) {
        for step in 0..6000 {
            self.clock += 1;
            // A daemon that never lives for a minute does not come to hold back what it tries for a minute.
            self.calm = step >= 3000;
            let mut busy = false;
            for n in 0..self.sites.len() {
                busy |= self.capture(n) || self.apply(n) || self.reconcile(n);
            }
            let queued = self.workers.iter().any(|worker| self.ledger.queues(worker.id).is_some_and(|queues| !queues.is_empty()));
            let operated = !busy && !queued && (0..self.sites.len()).any(|n| self.operate(n));
            if !busy && !queued && !operated {
                self.calm = false;
                return;
            }
        }
        panic!("it does not settle");
    }

    /// The rows of the ledger by their place.
    pub fn ledger_rows(&self) -> BTreeMap<Place, (crate::ledger::RowId, crate::resolve::Row)> {
        let of_table = |table: TableId| {
            let slice = self.ledger.slice(table, 0, 1000).unwrap();
            slice.rows.into_iter().map(move |(id, key, row)| ((table.0, number(&key.0[0])), (id, row)))
        };
        TABLES.into_iter().flat_map(of_table).collect()
    }
}

impl Worker {
    fn new(id: SiteId, plan: &Plan, n: usize) -> Worker {
        let (has, names) = (plan.has(n), plan.is_unique());
        let site_table = |id: TableId| {
            let column = |(ordinal, name): (usize, &str)| {
                let number = ColumnType::Int { bits: 64, unsigned: false };
                let text = ColumnType::Text { chars_max: Some(60), bytes_max: 240, charset: Charset::Unicode };
                let ty = if names && name == "a" { text } else { number };
                has[ordinal].then(|| SiteColumn { name: name.into(), ty, ordinal, nullable: false, values: None })
            };
            let columns = ["k", "a", "b"].into_iter().enumerate().map(column).collect();
            let unique = UniqueKey { name: "a".into(), columns: vec!["a".into()], case_insensitive: false };
            let table = SiteTable {
                table: table(id, names),
                schema: "main".into(),
                name: table(id, names).name.clone(),
                columns,
                unique: if names { vec![unique] } else { Vec::new() },
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
            jobs: Default::default(),
            fence: 0,
            met: Vec::new(),
            scan: Scan::Idle,
        }
    }
}
