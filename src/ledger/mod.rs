//! The embedded durable store: merged rows, held versions, positions, conflicts, quarantine. One SQLite file, one writer.
//!
//! Everything that one captured batch changes is one transaction here. Beside the file the ledger keeps what can be told
//! from it again after a restart: the queues of owed rows, and what is under way to the sites.

mod checkpoint;
mod claims;
mod error;
mod forget;
mod gathered;
mod history;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod hostile;
mod open;
mod owed;
mod progress;
mod reading;
mod records;
mod rows;
mod summary;
mod thread;
mod upgrade;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use gathered::Gathered;

pub use claims::{Claim, claim};
pub use error::{Error, Result};
pub use history::{ConflictRecord, QuarantineKind, QuarantineRecord};
pub use open::{FORMAT, SiteRecord};
pub use owed::{Lane, Queues, UnderWay};
pub use progress::{Mode, Phase, TableProgress};
pub use records::{Slice, Swept};
pub use rows::{Freshness, RowId};
pub use summary::{ConflictGroup, HeldBackGroup};
pub use thread::Handle;

use records::{Last, Scratch, Vouched};

use crate::model::{Cell, Key, MarkerId, Predicate, SharedUnique, SiteId, Table, TableId};
use crate::resolve::{Roster, Row, TablePolicy};

/// A shared table as the ledger works with it.
pub struct Shared {
    pub table: Arc<Table>,
    pub policy: TablePolicy,
    pub filter: Option<Predicate>,
    pub fuse: FuseLimits,
    /// The sites that have the table; `known` follows the scans.
    pub roster: Roster,
    /// Unique keys beside the table's own that some site has over shared columns, each as the strictest site has it.
    pub unique: Vec<SharedUnique>,
    pub unique_at: HashMap<SiteId, Vec<SharedUnique>>,
    /// Columns that hold the key of a row of another shared table.
    pub references: Vec<(usize, TableId)>,
}

/// When a table's fuse blows: more deletes than `rows` within a minute, or than `percent` of the table. Both None: never for
/// deletes one by one; a table that a scan finds empty is always asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FuseLimits {
    pub rows: Option<u64>,
    pub percent: Option<u8>,
}

pub struct Ledger {
    db: Connection,
    path: Option<PathBuf>,
    /// Names this ledger in markers, so that another's are not taken for ours.
    pub id: u64,
    shared: Vec<Shared>,
    sites: Vec<SiteRecord>,
    progress: HashMap<(SiteId, TableId), TableProgress>,
    queues: HashMap<SiteId, Queues>,
    under_way: HashMap<SiteId, UnderWay>,
    /// Rows of each multi-row source transaction that some site is still owed.
    transactions: HashMap<u64, BTreeSet<RowId>>,
    quarantined: BTreeSet<(SiteId, RowId)>,
    /// Tables of which a site has, or lately had, a row that stands apart.
    apart_in: HashSet<(SiteId, TableId)>,
    /// Number of the last change given out; rises for ever.
    order: u64,
    /// Markers heard back, to be removed at the site by its next transaction of ours.
    heard: HashMap<SiteId, BTreeSet<MarkerId>>,
    /// Sites whose landings of before a restart may not all have been heard.
    unheard_before: HashSet<SiteId>,
    /// Tombstones that are kept for a write of ours to be heard only.
    waiting_tombstones: HashSet<RowId>,
    new_claims: Vec<Claim>,
    gathered: Gathered,
    /// Those that several rows make.
    contested: HashSet<(TableId, i64)>,
    /// Sites whose positions are not written yet.
    advanced: BTreeSet<SiteId>,
    /// First sweeps that have not come to their ends.
    vouched: Vec<Vouched>,
    last: RefCell<Last>,
    scratch: Scratch,
    /// Commits are on disk when they return.
    durable: bool,
    /// This process writes no more after the transaction at hand.
    ends: bool,
    last_marker: i64,
    /// Numbers up to here are set aside for markers.
    markers_aside: i64,
    /// Those that were when the ledger was opened.
    markers_aside_before: i64,
    /// Numbers from here to `last_marker` have been given out since.
    first_marker: i64,
}

impl Shared {
    pub fn new(table: Arc<Table>, policy: TablePolicy, filter: Option<Predicate>, roster: Roster) -> Shared {
        Shared {
            table,
            policy,
            filter,
            fuse: FuseLimits::default(),
            roster,
            unique: Vec::new(),
            unique_at: HashMap::new(),
            references: Vec::new(),
        }
    }
}

impl Ledger {
    pub fn shared(&self, table: TableId) -> Option<&Shared> {
        self.shared.iter().find(|shared| shared.table.id == table)
    }

    pub fn tables(&self) -> &[Shared] {
        &self.shared
    }

    pub fn sites(&self) -> &[SiteRecord] {
        &self.sites
    }

    pub fn site(&self, id: SiteId) -> Option<&SiteRecord> {
        self.sites.iter().find(|site| site.id == id)
    }

    pub fn site_named(&self, name: &str) -> Option<&SiteRecord> {
        self.sites.iter().find(|site| site.name == name)
    }

    /// Whether a row with these cells is shared at all.
    pub fn is_shared(&self, table: TableId, key: &Key, content: Option<&[Cell]>) -> bool {
        let Some(shared) = self.shared(table) else { return false };
        let Some(filter) = shared.filter.as_ref().filter(|_| !crate::mutation::without("filter")) else { return true };
        let key_cells: Vec<Cell> = key.0.iter().cloned().map(Cell::Value).collect();
        let lookup = |name: &str| -> Option<&Cell> {
            let column = shared.table.column(name)?;
            match shared.table.key.iter().position(|k| *k == column) {
                Some(at) => key_cells.get(at),
                None => content.and_then(|content| content.get(column)),
            }
        };
        filter.evaluate(&lookup) == Some(true)
    }

    /// Whether a row that a site shows is shared. Where the filter reads a column that the image leaves out, or that has no canonical
    /// form, it is as shared as it was.
    pub fn is_shared_from(&self, site: SiteId, table: TableId, key: &Key, image: &[Cell], row: &Row) -> bool {
        let Some(shared) = self.shared(table) else { return false };
        let Some(filter) = &shared.filter else { return true };
        let untold = |cell: &Cell| matches!(cell, Cell::Unchanged | Cell::Refused(_));
        let left_out = |name: &&str| shared.table.column(name).and_then(|column| image.get(column)).is_some_and(untold);
        if filter.columns().iter().any(left_out) && !crate::mutation::without("left_out") {
            return row.life_at(site).exists();
        }
        self.is_shared(table, key, Some(image))
    }
}
