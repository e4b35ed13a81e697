//! From what a site is owed to rows at the site.
//!
//! [`take`] makes a job of what has been owed longest, [`Job::batch`] is what the site is asked to do, and [`settle`] says
//! what its answer means. All decisions are plain functions on the ledger; [`lane`] is the loop around them that talks to the site.

mod after_apply;
mod aside;
pub mod lane;
mod locked;
mod settle;
mod take;

use std::collections::HashMap;
use std::sync::Arc;

pub use after_apply::{Template, TemplatePiece};
pub use settle::{Retry, settle};
pub use take::{Limits, take};

use crate::capture::lag::Applied;
use crate::ledger::RowId;
use crate::model::{MarkerId, SentRow, SiteId, SiteTable, TableId};
use crate::sites::Batch;

/// A site as apply works with it.
pub struct Target {
    pub site: SiteId,
    pub name: String,
    pub tables: HashMap<TableId, TargetTable>,
}

pub struct TargetTable {
    pub table: Arc<SiteTable>,
    pub after_apply: Vec<Template>,
}

/// A batch on its way, and the rows of the ledger that it stands for.
pub struct Job {
    pub marker: MarkerId,
    pub rows: Vec<(RowId, SentRow)>,
    pub batch: Batch,
    /// For each of the batch's first writes, which only move a value of a unique key out of the way, the place of its row in
    /// `rows`. The writes of `rows` themselves follow.
    pub aside: Vec<usize>,
    /// Its first rows are those that waited for a lock and have their turn.
    pub tries_locked: bool,
    /// For each row where and when its latest value was written. When is not known of deletes and of what a scan has read.
    pub sources: Vec<Applied>,
}

impl Job {
    /// The place in `rows` of the row that the batch's write `at` is about.
    pub fn row_of(&self, at: usize) -> usize {
        self.aside.get(at).copied().unwrap_or_else(|| at - self.aside.len())
    }
}
