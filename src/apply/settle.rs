//! What a site's answer to a batch means.

use std::collections::HashMap;

use super::{Job, Target};
use crate::ledger::{Ledger, QuarantineKind, Result, RowId};
use crate::mutation;
use crate::sites::{Outcome, Rejection};

/// Rows that a site has refused for what may pass by itself: a change of theirs not captured yet, a parent still to come.
#[derive(Default)]
pub struct Retry {
    /// When each was refused first, microseconds since 1970.
    first_us: HashMap<RowId, i64>,
    /// To be put back into their queue at the next occasion.
    waiting: Vec<RowId>,
}

/// How long a row that finds the site other than its log said is tried again before it is held back.
const ELSEWISE_US_MAX: i64 = 60_000_000;
/// How long a row whose parent is missing is tried again before it is held back.
const REFERENCE_US_MAX: i64 = 10_000_000;

impl Retry {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts the waiting rows back into their queues.
    pub fn requeue(&mut self, ledger: &mut Ledger, target: &Target) -> Result<()> {
        for id in std::mem::take(&mut self.waiting) {
            if mutation::without("requeue") {
                continue;
            }
            ledger.requeue(target.site, id)?;
        }
        Ok(())
    }

    fn again(&mut self, id: RowId, now_us: i64, us_max: i64) -> bool {
        let first_us = *self.first_us.entry(id).or_insert(now_us);
        if now_us - first_us > us_max {
            self.first_us.remove(&id);
            return false;
        }
        self.waiting.push(id);
        true
    }
}

/// The batch has an answer. None: it has not been carried out, for a reason that has nothing to do with its rows.
pub fn settle(ledger: &mut Ledger, target: &Target, retry: &mut Retry, job: &Job, outcome: Option<&Outcome>, now_us: i64) -> Result<()> {
    let rejected: &[(usize, Rejection)] = match outcome {
        Some(Outcome::Committed { .. }) => {
            ledger.committed(target.site, job.marker);
            ledger.forgotten(target.site, &job.batch.forget)?;
            if !retry.first_us.is_empty() {
                retry.first_us.retain(|id, _| !job.rows.iter().any(|(done, _)| done == id));
            }
            return Ok(());
        }
        Some(Outcome::Rejected(rejected)) => rejected,
        None => &[],
    };
    ledger.returned(target.site, job.marker);
    ledger.bury_waiting()?;
    ledger.forget_later(target.site, &job.batch.forget);
    for (at, rejection) in rejected {
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
    let (kind, reason) = match rejection {
        Rejection::Elsewise if retry.again(id, now_us, ELSEWISE_US_MAX) => return Ok(()),
        Rejection::Elsewise => {
            (QuarantineKind::Data, "the site's row is not what its log said: perhaps it has one under this key that it does not share; else compare it with `rosterd reconcile`".to_owned())
        }
        Rejection::Reference(_) if retry.again(id, now_us, REFERENCE_US_MAX) => return Ok(()),
        Rejection::Reference(constraint) => {
            (QuarantineKind::Reference, format!("foreign key {constraint}: a row that it refers to is missing"))
        }
        Rejection::Unique(key) => (QuarantineKind::Unique, format!("another row at the site has its value of the unique key {key}")),
        Rejection::Data(reason) => (QuarantineKind::Data, reason.clone()),
    };
    let sent = &job.rows[at].1;
    ledger.quarantine(target.site, id, sent.table, &sent.key, kind, &reason, now_us)?;
    let table = target.tables.get(&sent.table).map_or("", |t| t.table.name.as_str());
    tracing::warn!(site = target.name, table, reason, "a row is held back from this site");
    Ok(())
}
