//! What a site's answer to a batch means.

use std::collections::{HashMap, HashSet};

use super::locked::Locked;
use super::{Job, Target};
use crate::ledger::{Ledger, QuarantineKind, Result, RowId};
use crate::model::TableId;
use crate::mutation;
use crate::sites::{Outcome, Rejection};

/// Rows that a site has refused for what may pass by itself: a change of theirs not captured yet, a parent still to come, a
/// value that another row is about to give up.
#[derive(Default)]
pub struct Retry {
    rows: HashMap<RowId, Waiting>,
    /// Tables whose next batch moves values of unique keys aside before it gives them to other rows.
    pub(super) aside: HashSet<TableId>,
    pub(super) locked: Locked,
}

struct Waiting {
    table: TableId,
    why: QuarantineKind,
    /// When the site refused it first for that reason, microseconds since 1970.
    first_us: i64,
    due_us: i64,
    /// Not put back into its queue yet.
    waits: bool,
}

/// How long a row that finds the site other than its log said is tried again before it is held back.
const ELSEWISE_US_MAX: i64 = 60_000_000;
/// How long a row whose parent is missing is tried again before it is held back.
const REFERENCE_US_MAX: i64 = 10_000_000;
/// How long a row whose value another row has, which is to give it up, is tried again before it is held back.
const UNIQUE_US_MAX: i64 = 10_000_000;
/// The waits between tries: as long as it has been tried already, within these bounds. Others are not held up meanwhile.
const WAIT_US: std::ops::RangeInclusive<i64> = 10_000..=1_000_000;

impl Retry {
    /// Nothing waits for its next try.
    pub fn is_empty(&self) -> bool {
        !self.rows.values().any(|row| row.waits) && self.locked.is_empty()
    }

    pub(super) fn waits(&self, id: RowId) -> bool {
        self.locked.waits(id) || self.rows.get(&id).is_some_and(|row| row.waits)
    }

    /// The row has been refused for its value of a unique key, and has been tried again for no other reason since.
    fn waits_for_a_value(&self, id: RowId) -> bool {
        self.rows.get(&id).is_some_and(|row| row.why == QuarantineKind::Unique)
    }

    /// Puts rows whose time has come back into their queues, with those of their table that wait too: two that are to swap
    /// their values can do so in one batch only.
    pub fn requeue(&mut self, ledger: &mut Ledger, target: &Target, now_us: i64) -> Result<()> {
        let due: HashSet<TableId> = self.rows.values().filter(|row| row.waits && row.due_us <= now_us).map(|row| row.table).collect();
        for (id, row) in self.rows.iter_mut().filter(|(_, row)| row.waits && due.contains(&row.table)) {
            row.waits = false;
            if !mutation::without("requeue") {
                ledger.requeue(target.site, *id)?;
            }
        }
        Ok(())
    }

    /// Rows of a table that have been refused and can be tried now.
    pub(super) fn of_table(&self, table: TableId) -> impl Iterator<Item = RowId> {
        self.rows.iter().filter(move |(_, row)| row.table == table && !row.waits).map(|(id, _)| *id)
    }

    fn again(&mut self, (id, table): (RowId, TableId), why: QuarantineKind, now_us: i64, us_max: i64) -> bool {
        let first = Waiting { table, why, first_us: now_us, due_us: now_us, waits: false };
        let row = self.rows.entry(id).or_insert(first);
        // When the site has found nothing wrong with it for so long, that was something else.
        if row.why != why || now_us - row.due_us > us_max {
            (row.why, row.first_us) = (why, now_us);
        }
        let tried_us = now_us - row.first_us;
        if tried_us > us_max {
            self.rows.remove(&id);
            return false;
        }
        (row.due_us, row.waits) = (now_us + tried_us.clamp(*WAIT_US.start(), *WAIT_US.end()), true);
        true
    }
}

/// What an operator can do about two rows with one value.
pub(super) const RENAME: &str = "give one of the two another one at its site, and this row goes on by itself";

/// The batch has an answer. None: it has not been carried out, for a reason that has nothing to do with its rows.
pub fn settle(ledger: &mut Ledger, target: &Target, retry: &mut Retry, job: &Job, outcome: Option<&Outcome>, now_us: i64) -> Result<()> {
    if job.tries_locked {
        retry.locked.tried(now_us);
    }
    let rejected: &[(usize, Rejection)] = match outcome {
        Some(Outcome::Committed { .. }) => {
            retry.locked.let_go(job.rows.iter().map(|(_, sent)| sent.table), job.tries_locked);
            ledger.committed(target.site, job.marker);
            if !retry.rows.is_empty() {
                for (done, _) in &job.rows {
                    retry.rows.remove(done);
                }
            }
            retry.aside.retain(|table| !job.rows.iter().any(|(_, sent)| sent.table == *table));
            return Ok(());
        }
        Some(Outcome::Rejected(rejected)) => rejected,
        None => &[],
    };
    let returned = ledger.returned(target.site, job.marker);
    ledger.bury_waiting(&returned)?;
    let rejected: Vec<(usize, &Rejection)> = rejected.iter().map(|(at, rejection)| (job.row_of(*at), rejection)).collect();
    meet_locks(target, retry, job, &rejected, now_us);
    for (at, rejection) in &rejected {
        if let Some((id, _)) = job.rows.get(*at) {
            refuse(ledger, target, retry, job, *at, *id, rejection, now_us)?;
        }
    }
    for (at, (id, _)) in job.rows.iter().enumerate() {
        if !rejected.iter().any(|(bad, _)| *bad == at) && !mutation::without("requeue") {
            ledger.requeue(target.site, *id)?;
        }
    }
    Ok(())
}

/// Notes in which tables the batch has met a lock, and tells of one that lasts.
fn meet_locks(target: &Target, retry: &mut Retry, job: &Job, rejected: &[(usize, &Rejection)], now_us: i64) {
    let locked = rejected.iter().filter(|(_, rejection)| matches!(rejection, Rejection::Locked));
    let tables: HashSet<TableId> = locked.filter_map(|(at, _)| Some(job.rows.get(*at)?.1.table)).collect();
    for id in tables {
        if retry.locked.met(id, now_us) {
            let table = target.tables.get(&id).map_or("", |t| t.table.name.as_str());
            tracing::warn!(
                site = target.name,
                table,
                "an application has kept rows of this table locked for 10 s and more: what they are owed waits and is tried again, other \
                 rows go on; end that transaction if it was forgotten"
            );
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn refuse(
    ledger: &mut Ledger,
    target: &Target,
    retry: &mut Retry,
    job: &Job,
    at: usize,
    id: RowId,
    rejection: &Rejection,
    now_us: i64,
) -> Result<()> {
    let sent = &job.rows[at].1;
    if matches!(rejection, Rejection::Unique(_)) && !retry.waits_for_a_value(id) {
        // Rows that are held back get one more try, together with it: it may have to swap its value with theirs.
        ledger.let_rivals_go_on(target.site, sent.table)?;
    }
    let (kind, reason) = match rejection {
        Rejection::Locked => {
            retry.locked.put_aside(id);
            return Ok(());
        }
        Rejection::Elsewise if retry.again((id, sent.table), QuarantineKind::Data, now_us, ELSEWISE_US_MAX) => return Ok(()),
        Rejection::Elsewise => {
            (QuarantineKind::Data, "the site's row is not what its log said: perhaps it has one under this key that it does not share; else compare it with `rosterd reconcile`".to_owned())
        }
        Rejection::Reference(_) if retry.again((id, sent.table), QuarantineKind::Reference, now_us, REFERENCE_US_MAX) => return Ok(()),
        Rejection::Reference(constraint) => {
            (QuarantineKind::Reference, format!("foreign key {constraint}: a row that it refers to is missing"))
        }
        Rejection::Unique(_) if retry.again((id, sent.table), QuarantineKind::Unique, now_us, UNIQUE_US_MAX) => {
            retry.aside.insert(sent.table);
            return Ok(());
        }
        Rejection::Unique(key) => {
            (QuarantineKind::Unique, format!("another row at the site has its value of the unique key {key}; {RENAME}"))
        }
        Rejection::Data(reason) => (QuarantineKind::Data, reason.clone()),
    };
    ledger.quarantine(target.site, id, sent.table, &sent.key, kind, &reason, now_us)?;
    let table = target.tables.get(&sent.table).map_or("", |t| t.table.name.as_str());
    tracing::warn!(site = target.name, table, reason, "a row is held back from this site");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_waited_for_its_parent_first_still_calls_its_rivals_when_another_has_its_value() {
        let (mut retry, id, table) = (Retry::default(), RowId(1), TableId(1));
        assert!(retry.again((id, table), QuarantineKind::Reference, 0, REFERENCE_US_MAX));
        assert!(!retry.waits_for_a_value(id), "those that are held back have not had their try with it");
        assert!(retry.again((id, table), QuarantineKind::Unique, 1, UNIQUE_US_MAX));
        assert!(retry.waits_for_a_value(id));
    }
}
