//! The fuse: a site that deletes too much of a shared table at once is stopped until an operator has looked.
//!
//! It blows before anything of the transaction in question has been taken into the ledger. Its log goes on being read and
//! acknowledged meanwhile, so that waiting for a decision pins nothing; what happened there since is found by comparing.

use std::collections::{HashMap, VecDeque};

use super::net::Net;
use crate::ledger::{FuseLimits, Ledger, Mode, Result, TableProgress};
use crate::model::{SiteId, TableId};
use crate::mutation;

/// How a blown fuse's reason begins, wherever it is shown.
pub const BLOWN: &str = "the fuse has blown: ";
/// Deletes of so long count together, microseconds of the site's commit times.
const WINDOW_US: i64 = 60_000_000;
/// Fewer deletes than this are never too large a part of a table.
const PERCENT_FROM_ROWS: u64 = 10;
/// How long the size of a table is taken to hold.
const SIZE_US_MAX: i64 = 60_000_000;

/// What a site has deleted lately, per table.
#[derive(Default)]
pub struct Fuse {
    lately: HashMap<TableId, VecDeque<(i64, u64)>>,
    sizes: HashMap<TableId, (i64, u64)>,
}

impl Fuse {
    /// An application's transaction is about to be taken: why it must not be, if so.
    pub fn meet(&mut self, ledger: &Ledger, site: SiteId, rows: &[Net], at_us: i64) -> Result<Option<String>> {
        let mut deleted: HashMap<TableId, u64> = HashMap::new();
        for net in rows {
            let limits = ledger.shared(net.table).map(|shared| shared.fuse).unwrap_or_default();
            if net.after.is_none() && limits != FuseLimits::default() && ledger.progress(site, net.table).stopped.is_none() {
                let (_, row) = ledger.load(net.table, &net.key)?;
                *deleted.entry(net.table).or_default() += u64::from(row.life_at(site).exists());
            }
        }
        for (table, count) in deleted.into_iter().filter(|(_, count)| *count > 0) {
            let lately = self.lately.entry(table).or_default();
            lately.push_back((at_us, count));
            while lately.front().is_some_and(|(then, _)| *then < at_us - WINDOW_US) {
                lately.pop_front();
            }
            let total = lately.iter().map(|(_, count)| count).sum();
            if let Some(limit) = self.exceeded(ledger, table, total, at_us)? {
                self.lately.clear();
                return Ok(Some(reason(ledger, table, &format!("{total} rows were deleted within a minute, {limit}"))));
            }
        }
        Ok(None)
    }

    fn exceeded(&mut self, ledger: &Ledger, table: TableId, deleted: u64, now_us: i64) -> Result<Option<String>> {
        let limits = ledger.shared(table).map(|shared| shared.fuse).unwrap_or_default();
        if mutation::without("fuse") {
            return Ok(None);
        }
        if let Some(rows) = limits.rows.filter(|rows| deleted > *rows) {
            return Ok(Some(format!("more than fuse_rows = {rows}")));
        }
        let Some(percent) = limits.percent.filter(|_| deleted >= PERCENT_FROM_ROWS) else { return Ok(None) };
        let known = self.sizes.get(&table).filter(|(at_us, _)| (now_us - at_us).abs() < SIZE_US_MAX).map(|(_, size)| *size);
        let size = match known {
            Some(size) => size,
            None => {
                let size = ledger.count_rows(table)?;
                self.sizes.insert(table, (now_us, size));
                size
            }
        };
        Ok((deleted * 100 > size * u64::from(percent)).then(|| format!("more than fuse_percent = {percent} of its {size} rows")))
    }
}

/// A scan has read a table after a gap, and `missing` rows of the ledger were not there: why they are not taken as deleted, if so.
pub fn scanned(ledger: &Ledger, table: TableId, progress: &TableProgress, missing: u64, now_us: i64) -> Result<Option<String>> {
    if progress.mode != Mode::Gap {
        return Ok(None);
    }
    if progress.rows_read == 0 && missing >= PERCENT_FROM_ROWS && !mutation::without("fuse") {
        return Ok(Some(reason(ledger, table, &format!("all its {missing} rows are gone there"))));
    }
    let limit = Fuse::default().exceeded(ledger, table, missing, now_us)?;
    Ok(limit.map(|limit| reason(ledger, table, &format!("{missing} rows are missing there after a gap in its log, {limit}"))))
}

/// All rows of a table were removed by one statement.
pub fn emptied(ledger: &Ledger, table: TableId) -> String {
    reason(ledger, table, "all its rows were removed at once (TRUNCATE or DROP)")
}

fn reason(ledger: &Ledger, table: TableId, what: &str) -> String {
    let name = ledger.shared(table).map_or("", |shared| shared.table.name.as_str());
    format!("{BLOWN}table {name}: {what}; nothing of this has gone anywhere else")
}
