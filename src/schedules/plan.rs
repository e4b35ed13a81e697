//! What is drawn once for a whole schedule.

use super::names;
use super::random::Random;
use super::site::{Place, Row, TABLES};
use crate::config::{ColumnPolicy, DeletePolicy, InsertPolicy, UniquePolicy};
use crate::ledger::FuseLimits;
use crate::model::{Predicate, TableId};
use crate::resolve::{InitialPolicy, TablePolicy};

/// Column 0 is the key.
pub const WIDTH: usize = 3;
pub const KEYS: [i64; 3] = [1, 2, 3];
/// More deletes of one table than this within a minute blow the fuse.
pub const FUSE_ROWS: u64 = 2;
/// Rows of the first table with this in column a, or more, are each site's own.
const SHARED_BELOW: i64 = 4;
/// How many values column a has where it has few.
const POOL: usize = 6;

/// What a schedule is about beside the merge: one thing at a time, so that what must hold can be said exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    Merge,
    /// Column a is a unique text at every site.
    Unique {
        rename: bool,
    },
    /// Only the hub's writes and rows count.
    FromHub {
        keep: bool,
    },
    /// Only the hub's writes of column b count; a client's own stay where they are.
    KeptColumn,
    /// Column a says whether a row of the first table is shared.
    Filter,
    /// Column a of the second table names a row of the first.
    Kin,
    Fuse,
}

const FOCUSES: [Focus; 10] = [
    Focus::Unique { rename: false },
    Focus::Unique { rename: false },
    Focus::Unique { rename: true },
    Focus::Unique { rename: true },
    Focus::FromHub { keep: false },
    Focus::FromHub { keep: true },
    Focus::KeptColumn,
    Focus::Filter,
    Focus::Kin,
    Focus::Fuse,
];

#[derive(Clone)]
pub struct Plan {
    pub sites: usize,
    pub steps: usize,
    /// Percent of the steps that are an application's write.
    pub heat: f64,
    /// Percent of the steps that lose a log or restore a backup.
    pub ruin: f64,
    /// Rows are at the sites before the first copy.
    pub populated: bool,
    /// The first copies are over before anything else happens.
    pub copied: bool,
    /// Few values, so that sites write equal ones: nothing is told from a value then.
    pub small_values: bool,
    pub deletes: f64,
    /// Percent of the images before a change that the log has.
    pub images: f64,
    /// Percent of the unchanged columns that the log leaves out.
    pub left_out: f64,
    /// A client without the last column.
    pub lacking: Option<usize>,
    pub policy: TablePolicy,
    pub focus: Focus,
}

impl Plan {
    pub fn draw(seed: u64, random: &mut Random, disasters: bool) -> Plan {
        let sites = random.of(&[2, 3, 4]);
        let mut plan = Plan {
            sites,
            steps: random.of(&[20, 80, 80, 300]),
            heat: random.of(&[5.0, 30.0]),
            ruin: if disasters { random.of(&[0.5, 2.0, 2.0]) } else { 0.0 },
            copied: random.chance(50.0),
            populated: random.chance(50.0),
            small_values: random.chance(10.0),
            deletes: random.of(&[0.0, 12.0, 12.0, 25.0]),
            images: random.of(&[0.0, 50.0, 100.0]),
            left_out: random.of(&[0.0, 0.0, 50.0]),
            lacking: if random.chance(15.0) { Some(1 + random.below(sites - 1)) } else { None },
            policy: policy(random),
            focus: Focus::Merge,
        };
        // Drawn by itself, so that what a seed draws for the merge alone stays as it was.
        let mut own = Random::new(!seed);
        if own.chance(40.0) {
            plan.focus_on(own.of(&FOCUSES));
        }
        plan
    }

    fn focus_on(&mut self, focus: Focus) {
        (self.focus, self.small_values) = (focus, false);
        let policy = &mut self.policy;
        match focus {
            Focus::Unique { rename: true } => {
                // A row that stands apart keeps its value for ever, and is in the way of others with it.
                (policy.insert, policy.initial) = (InsertPolicy::Merge, InitialPolicy::Hub);
                policy.unique = UniquePolicy::Rename("{value}-{site}".into());
            }
            Focus::FromHub { keep } => {
                policy.from_hub = vec![Some(keep); WIDTH];
                policy.rows_from_hub = Some(keep);
            }
            Focus::KeptColumn => policy.from_hub[2] = Some(true),
            Focus::Kin => {
                // Rows stand apart from the first copy on, and others are made for them.
                (policy.insert, policy.initial) = (InsertPolicy::Quarantine, InitialPolicy::Quarantine);
                (self.populated, self.copied, self.steps) = (true, true, self.steps.max(80));
                (self.heat, self.deletes) = (30.0, self.deletes.max(12.0));
            }
            // A row that moves into the filter behind a scan, with an image in part, waits for its next change.
            Focus::Filter if self.ruin == 0.0 => (self.left_out, self.copied) = (50.0, true),
            Focus::Filter => self.left_out = 0.0,
            Focus::Merge | Focus::Unique { rename: false } | Focus::Fuse => {}
        }
    }

    pub fn has(&self, site: usize) -> Vec<bool> {
        (0..WIDTH).map(|column| column < WIDTH - 1 || self.lacking != Some(site)).collect()
    }

    pub fn is_unique(&self) -> bool {
        matches!(self.focus, Focus::Unique { .. })
    }

    /// The values that applications give to column a; None: each a new one, by which it is known again.
    pub fn pool(&self) -> Option<Vec<i64>> {
        match self.focus {
            Focus::Unique { .. } => Some((0..POOL).map(|n| names::number_of(&format!("n{n}"))).collect()),
            Focus::Filter => Some((1..=POOL as i64).collect()),
            Focus::Kin => Some(KEYS.to_vec()),
            _ => None,
        }
    }

    pub fn filter(&self, table: TableId) -> Option<Predicate> {
        use crate::model::{Comparison, Operand, Value};
        let below = || Predicate::Compare(Operand::Column("a".into()), Comparison::Less, Operand::Literal(Value::Int(SHARED_BELOW)));
        (self.focus == Focus::Filter && table == TABLES[0]).then(below)
    }

    /// Whether the filter takes a row in.
    pub fn shares(&self, place: Place, row: Row) -> bool {
        self.focus != Focus::Filter || place.0 != TABLES[0].0 || row[0] < SHARED_BELOW
    }

    pub fn references(&self, table: TableId) -> Vec<(usize, TableId)> {
        if self.focus == Focus::Kin && table == TABLES[1] { vec![(1, TABLES[0])] } else { Vec::new() }
    }

    pub fn fuse(&self) -> FuseLimits {
        FuseLimits { rows: (self.focus == Focus::Fuse).then_some(FUSE_ROWS), percent: None }
    }

    /// What a step takes of the time that rows wait for their next try.
    pub fn tick_us(&self) -> i64 {
        // A row that a site's own is in the way of is tried for a minute.
        if self.focus == Focus::Filter { 500_000 } else { 20_000 }
    }

    /// What a step takes of the sites' commit times.
    pub fn commit_tick_us(&self) -> i64 {
        if self.focus == Focus::Fuse { 1_000_000 } else { 1 }
    }
}

fn policy(random: &mut Random) -> TablePolicy {
    let mut policy = TablePolicy::plain(WIDTH);
    if random.chance(50.0) {
        return policy;
    }
    policy.columns[1] = match random.below(4) {
        0 => ColumnPolicy::LastWriterWins,
        1 => ColumnPolicy::Max,
        2 => ColumnPolicy::HubWins,
        _ => ColumnPolicy::Min,
    };
    policy.from_hub[2] = random.chance(15.0).then_some(false);
    policy.delete = if random.chance(50.0) { DeletePolicy::DeleteWins } else { DeletePolicy::UpdateWins };
    policy.insert = if random.chance(50.0) { InsertPolicy::Merge } else { InsertPolicy::Quarantine };
    policy.initial = match random.below(3) {
        0 => InitialPolicy::Hub,
        1 => InitialPolicy::Newest(1),
        _ => InitialPolicy::Quarantine,
    };
    policy
}
