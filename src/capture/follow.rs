//! The loop from a site's log to the ledger.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc};

use super::health::Health;
use super::numbers::Numbers;
use super::{Report, Watch, absorb, lock};
use crate::ledger::{Handle, Ledger, Result};
use crate::model::{LogItem, Position, SiteId, TableId};
use crate::sites::ahead::{Ahead, Receiver};

/// Log items taken into the ledger in one transaction, at most.
const ITEMS_MAX: usize = 1000;
/// Row changes in them: others wait for the ledger meanwhile, sessions among them.
const CHANGES_MAX: usize = 1000;

/// One site's capture.
pub struct Follower {
    pub site: SiteId,
    pub name: String,
    pub ledger: Handle,
    pub watch: Arc<Mutex<Watch>>,
    pub health: Arc<Health>,
    /// Woken when sites may be owed something new.
    pub owed: Arc<Notify>,
    pub numbers: Arc<Numbers>,
}

/// Why following came to an end.
pub enum End {
    /// The reader is gone; it has told why.
    Reader,
    /// These tables' definitions have to be looked at. Reading goes on from the position given: what came after was not taken.
    Altered(Vec<TableId>, Option<Position>),
}

impl Follower {
    /// Takes items into the ledger until the reader ends. `acknowledge` gets each position that is durable.
    pub async fn follow(&self, items: &mut Receiver<LogItem>, acknowledge: &mpsc::UnboundedSender<(SiteId, Position)>) -> Result<End> {
        let mut waiting = VecDeque::new();
        let mut durable: Option<Position> = None;
        loop {
            if waiting.is_empty() {
                let mut come = Vec::new();
                if items.recv_many(&mut come, ITEMS_MAX).await == 0 {
                    return Ok(End::Reader);
                }
                waiting.extend(come);
            }
            let items = piece(&mut waiting);
            let nothing_new =
                items.iter().all(|ahead| matches!(&ahead.item, LogItem::Progress { position, .. } if durable.as_ref() == Some(position)));
            let (report, position) = self.take(items, !nothing_new).await?;
            crate::crash_point!("capture.committed", self.name);
            if let Some(position) = &position {
                let _ = acknowledge.send((self.site, position.clone()));
                durable = Some(position.clone());
            }
            self.numbers.look(&report.inserted);
            self.tell(&report);
            if !report.altered.is_empty() {
                return Ok(End::Altered(report.altered, position));
            }
        }
    }

    /// Takes items up to the first that asks for a table's definition to be looked at; gives the last position taken.
    async fn take(&self, items: Vec<Ahead<LogItem>>, durable: bool) -> Result<(Report, Option<Position>)> {
        let (site, watch) = (self.site, self.watch.clone());
        let take = move |ledger: &mut Ledger| {
            let mut watch = lock(&watch);
            let mut report = Report::default();
            let now_us = now_us();
            let mut advanced = false;
            for item in items.into_iter().map(Ahead::take) {
                advanced |= item.position().is_some();
                absorb(ledger, &mut watch, item, now_us, &mut report)?;
                if !report.altered.is_empty() {
                    break;
                }
            }
            let position = ledger.site(site).filter(|_| advanced).and_then(|record| record.position.clone());
            crate::crash_point!("capture.taken", ledger.site_name(site));
            Ok((report, position))
        };
        if durable { self.ledger.call(take).await } else { self.ledger.call_soon(take).await }
    }

    /// Tells those who wait, and the log, what a batch has brought.
    pub fn tell(&self, report: &Report) {
        self.owed.notify_waiters();
        let mut figures = self.health.figures();
        figures.captured_changes += report.changes;
        for kind in &report.conflicts {
            figures.conflict(*kind);
            tracing::info!(site = self.name, kind = kind.name(), "a conflict was decided; `rosterd conflicts` has it");
        }
        for (_, _, reason) in &report.quarantined {
            tracing::warn!(site = self.name, reason, "a row is held back; `rosterd quarantine` has it");
        }
    }
}

/// The first of the items that wait, up to the one with which there are changes enough.
fn piece(waiting: &mut VecDeque<Ahead<LogItem>>) -> Vec<Ahead<LogItem>> {
    let (mut items, mut changes) = (Vec::new(), 0);
    while changes < CHANGES_MAX
        && let Some(ahead) = waiting.pop_front()
    {
        changes += if let LogItem::Transaction(transaction) = &ahead.item { transaction.changes.len() } else { 0 };
        items.push(ahead);
    }
    items
}

/// The daemon's clock: microseconds since 1970.
pub fn now_us() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, Key, Origin, Transaction, Value};

    fn transaction(changes: usize) -> LogItem {
        let change =
            |n: usize| Change { table: TableId(1), key: Key(vec![Value::Int(n as i64)]), before: None, after: None, moved_from: None };
        let changes = (0..changes).map(change).collect();
        LogItem::Transaction(Transaction { site: SiteId(1), position: None, committed_us: 0, origin: Origin::Local, changes })
    }

    #[test]
    fn a_burst_of_big_transactions_is_taken_in_pieces() {
        let mut waiting: VecDeque<_> = [1, 400, 700, 5000, 2, 3].map(|changes| Ahead::from(transaction(changes))).into();
        let pieces: Vec<usize> = std::iter::from_fn(|| (!waiting.is_empty()).then(|| piece(&mut waiting).len())).collect();
        assert_eq!(pieces, [3, 1, 2]);
    }
}
