//! What the merge has to know about the roster: who the sites are, how far each is known, and the table's policies.

use std::cmp::Ordering;

use super::Register;
use crate::config::{ColumnPolicy, DeletePolicy, InsertPolicy, UniquePolicy};
use crate::model::{Cell, SiteId};

/// One site as the merge of one table sees it.
#[derive(Clone, Debug)]
pub struct SiteView {
    pub id: SiteId,
    /// Lower wins ties: 0 is the hub, clients follow in the order of their names.
    pub rank: u16,
    /// Which of the table's columns the site has.
    pub has: Vec<bool>,
    pub known: Known,
}

impl SiteView {
    /// Whether an image leaves nothing out of what the site has.
    pub fn is_whole(&self, image: &[Cell]) -> bool {
        self.has.iter().zip(image).all(|(has, cell)| !has || *cell != Cell::Unchanged)
    }
}

/// What is known of a site's rows that have no record of what the site holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It holds the merged version.
    Merged,
    /// Scan `generation`, the site's first, is reading the table: rows that it has not come by are unknown.
    Unknown { generation: u32, restored: u32 },
    /// Scan `generation`, the site's first, has read all there is: other rows are not at the site.
    Absent { generation: u32, restored: u32 },
    /// Scan `generation` follows a gap: the site held the merged version, but may hold another by now.
    Unsure { generation: u32, restored: u32 },
}

impl Known {
    /// The scan under way, if any.
    pub fn generation(self) -> Option<u32> {
        match self {
            Known::Merged => None,
            Known::Unknown { generation, .. } | Known::Absent { generation, .. } | Known::Unsure { generation, .. } => Some(generation),
        }
    }

    /// The scan since which what is noted of the site's rows holds: before that one it came back from a backup. 0: it always does.
    pub fn restored(self) -> u32 {
        match self {
            Known::Merged => 0,
            Known::Unknown { restored, .. } | Known::Absent { restored, .. } | Known::Unsure { restored, .. } => restored,
        }
    }
}

/// The sites that share a table, the hub first.
#[derive(Clone, Debug)]
pub struct Roster {
    pub sites: Vec<SiteView>,
}

impl Roster {
    pub fn site(&self, id: SiteId) -> &SiteView {
        self.sites.iter().find(|site| site.id == id).expect("a site of this roster")
    }

    pub fn is_hub(&self, id: SiteId) -> bool {
        self.sites.iter().any(|site| site.id == id && site.rank == 0)
    }

    /// A removed site's dots outlive it; its rank is the lowest.
    pub(super) fn rank(&self, id: SiteId) -> u16 {
        self.sites.iter().find(|site| site.id == id).map_or(u16::MAX, |site| site.rank)
    }
}

/// A table's policies, by column number where they are per column.
#[derive(Clone, Debug)]
pub struct TablePolicy {
    pub columns: Vec<ColumnPolicy>,
    /// Per column: Some(keep) when only the hub's writes count; `keep` leaves a client's own value where it is.
    pub from_hub: Vec<Option<bool>>,
    /// Rows come and go at the hub only; Some(keep) as above.
    pub rows_from_hub: Option<bool>,
    pub delete: DeletePolicy,
    pub insert: InsertPolicy,
    pub initial: InitialPolicy,
    /// Two rows with one value of another unique key.
    pub unique: UniquePolicy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialPolicy {
    Hub,
    /// Column number whose larger value wins.
    Newest(usize),
    Quarantine,
}

impl TablePolicy {
    /// Everything by its default, for a table of `width` columns.
    pub fn plain(width: usize) -> TablePolicy {
        TablePolicy {
            columns: vec![ColumnPolicy::LastWriterWins; width],
            from_hub: vec![None; width],
            rows_from_hub: None,
            delete: DeletePolicy::DeleteWins,
            insert: InsertPolicy::Merge,
            initial: InitialPolicy::Hub,
            unique: UniquePolicy::Quarantine,
        }
    }
}

/// Outcome of a conflict on one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    New,
    Current,
    /// An operator decides; until then the register stays, and the site keeps what it has.
    Ask,
}

/// Decides between the register that a site has just written and the one it met. Both sides of every pair come to the same
/// outcome, in whichever order they arrive.
pub(super) fn decide(policy: ColumnPolicy, new: &Register, current: &Register, roster: &Roster) -> Verdict {
    let by_value = |wanted: Ordering| match new.value.compare(&current.value) {
        Some(order) if order == wanted => Verdict::New,
        Some(order) if order == wanted.reverse() => Verdict::Current,
        _ => last_writer(new, current, roster),
    };
    match policy {
        ColumnPolicy::LastWriterWins => last_writer(new, current, roster),
        ColumnPolicy::HubWins => match (roster.is_hub(new.dot.site), roster.is_hub(current.dot.site)) {
            (true, false) => Verdict::New,
            (false, true) => Verdict::Current,
            _ => last_writer(new, current, roster),
        },
        ColumnPolicy::Max => by_value(Ordering::Greater),
        ColumnPolicy::Min => by_value(Ordering::Less),
        ColumnPolicy::Quarantine => Verdict::Ask,
    }
}

fn last_writer(new: &Register, current: &Register, roster: &Roster) -> Verdict {
    let later = new.at_us.cmp(&current.at_us).then_with(|| roster.rank(current.dot.site).cmp(&roster.rank(new.dot.site)));
    if later.is_gt() { Verdict::New } else { Verdict::Current }
}
