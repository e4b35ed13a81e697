//! Watches the numbers that a site's applications give out: those outside the site's class are other sites' too.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::watch::lock;
use crate::model::{Class, SiteTable, TableId};
use crate::sites::{Finding, Level, Result, Writer};

/// One site's.
#[derive(Default)]
pub struct Numbers {
    classes: HashMap<TableId, Class>,
    outside: Mutex<Outside>,
}

#[derive(Default)]
struct Outside {
    seen: HashSet<TableId>,
    told: HashSet<TableId>,
}

impl Numbers {
    pub fn new(tables: &[Arc<SiteTable>]) -> Numbers {
        let class = |table: &Arc<SiteTable>| Some((table.table.id, table.allocation.as_ref()?.class));
        Numbers { classes: tables.iter().filter_map(class).collect(), outside: Mutex::default() }
    }

    /// Notes tables into which applications have inserted rows with numbers of other sites.
    pub fn look(&self, inserted: &[(TableId, i64)]) {
        let is_outside =
            |(table, number): &&(TableId, i64)| *number > 0 && self.class(*table).is_some_and(|class| !class.contains(*number));
        for (table, _) in inserted.iter().filter(is_outside) {
            lock(&self.outside).seen.insert(*table);
        }
    }

    /// Tables seen since the last call, with whether it is the first time.
    pub fn take_outside(&self) -> Vec<(TableId, bool)> {
        let mut outside = lock(&self.outside);
        let seen = std::mem::take(&mut outside.seen);
        seen.into_iter().map(|table| (table, outside.told.insert(table))).collect()
    }

    pub fn class(&self, table: TableId) -> Option<Class> {
        self.classes.get(&table).copied()
    }
}

/// Moves what gives out the tables' keys on to the site's own numbers, and tells what came of it.
pub async fn align(control: &tokio::sync::Mutex<Box<dyn Writer>>, site: &str, tables: &[Arc<SiteTable>]) -> Result<()> {
    let told = control.lock().await.align(tables).await?;
    crate::crash_point!("numbers.aligned", site);
    for Finding { level, subject, text, remedy } in told {
        match level {
            Level::Fine => tracing::info!(site, "{subject}: {text}"),
            Level::Warning | Level::Error => tracing::warn!(site, "{subject}: {text}; {}", remedy.unwrap_or_default()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_are_seen_each_time_and_told_once() {
        let (table, other) = (TableId(1), TableId(2));
        let numbers = Numbers { classes: [(table, Class { offset: 3, increment: 10 })].into(), outside: Mutex::default() };
        numbers.look(&[(table, 13), (table, 0), (other, 14)]);
        assert!(numbers.take_outside().is_empty());
        numbers.look(&[(table, 13), (table, 14)]);
        assert_eq!(numbers.take_outside(), [(table, true)]);
        numbers.look(&[(table, 24)]);
        assert_eq!(numbers.take_outside(), [(table, false)]);
        assert!(numbers.take_outside().is_empty());
    }
}
