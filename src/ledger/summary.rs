//! Conflicts and rows held back, counted by what they have in common: without keys and values.

use rusqlite::params;

use super::{Ledger, QuarantineKind, Result};
use crate::model::{SiteId, TableId};

/// Conflicts of one kind about one table, between the same two sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictGroup {
    pub kind: String,
    pub table: TableId,
    pub winner: SiteId,
    pub loser: SiteId,
    pub count: u64,
    /// When the latest was decided, microseconds since 1970, and its number.
    pub last_us: i64,
    pub last_id: i64,
}

/// Rows of one table that are held back from one site for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBackGroup {
    pub kind: QuarantineKind,
    pub site: SiteId,
    pub table: TableId,
    pub count: u64,
    /// Since when the first of them, microseconds since 1970.
    pub since_us: i64,
}

impl Ledger {
    /// Of the latest `latest_max` conflicts, the group with the latest one first.
    pub fn conflict_groups(&self, latest_max: u32) -> Result<Vec<ConflictGroup>> {
        let mut query = self.db.prepare_cached(
            "SELECT kind, tbl, winner, loser, count(*), max(at_us), max(id)
             FROM (SELECT id, at_us, kind, tbl, winner, loser FROM conflict ORDER BY id DESC LIMIT ?1)
             GROUP BY kind, tbl, winner, loser ORDER BY max(id) DESC",
        )?;
        let mut rows = query.query(params![latest_max])?;
        let mut groups = Vec::new();
        while let Some(r) = rows.next()? {
            groups.push(ConflictGroup {
                kind: r.get(0)?,
                table: TableId(r.get(1)?),
                winner: SiteId(r.get(2)?),
                loser: SiteId(r.get(3)?),
                count: r.get::<_, i64>(4)? as u64,
                last_us: r.get(5)?,
                last_id: r.get(6)?,
            });
        }
        Ok(groups)
    }

    /// By kind and site.
    pub fn held_back_groups(&self) -> Result<Vec<HeldBackGroup>> {
        let mut query =
            self.db.prepare_cached("SELECT kind, site, tbl, count(*), min(since_us) FROM quarantine GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")?;
        let mut rows = query.query([])?;
        let mut groups = Vec::new();
        while let Some(r) = rows.next()? {
            groups.push(HeldBackGroup {
                kind: QuarantineKind::named(r.get_ref(0)?.as_str().unwrap_or_default())?,
                site: SiteId(r.get(1)?),
                table: TableId(r.get(2)?),
                count: r.get::<_, i64>(3)? as u64,
                since_us: r.get(4)?,
            });
        }
        Ok(groups)
    }
}
