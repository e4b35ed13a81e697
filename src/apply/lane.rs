//! The loop from the ledger's queues to a site.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::{Job, Limits, Retry, Target, settle, take};
use crate::capture::follow::now_us;
use crate::capture::health::Health;
use crate::capture::lock;
use crate::capture::reconcile::Failure;
use crate::ledger::{self, Handle};
use crate::sites::{Cause, Error, Lane, Outcome, Statement, Writer, ping};

/// How soon a row that the site refused for what may pass is tried again.
const RETRY: Duration = Duration::from_millis(20);
/// How often an idle connection proves that it lives.
const PING: Duration = Duration::from_secs(15);
/// Waits between tries of a batch that met a lock or a deadlock.
const BUSY_MS: [u64; 6] = [5, 20, 50, 100, 250, 500];

/// One lane to one site.
pub struct LaneWorker {
    pub lane: Lane,
    pub target: Arc<Target>,
    pub ledger: Handle,
    pub limits: Limits,
    pub owed: Arc<Notify>,
    pub health: Arc<Health>,
    pub repeats: Arc<Repeats>,
    /// True, or without its sender: the batch in hand is finished, and no other is begun.
    pub close: watch::Receiver<bool>,
}

impl LaneWorker {
    /// Applies what is owed until the connection fails, or until it is to close. A batch without an answer stays under way: see [`recover`].
    /// While one batch is written, the answer to the one before is noted and the next is made: the site waits for neither.
    pub async fn run(&self, writer: &mut dyn Writer) -> Result<(), Failure> {
        let retry = Arc::new(Mutex::new(Retry::default()));
        let (mut answered, mut next) = (None, None);
        let mut close = self.close.clone();
        loop {
            let owed = self.owed.notified();
            tokio::pin!(owed);
            owed.as_mut().enable();
            let job: Option<Job> = next.take();
            if let Some(job) = job {
                let (outcome, following) = tokio::join!(self.write(writer, &job), self.turn(&retry, answered.take()));
                next = following?;
                answered = Some(self.note(job, outcome?));
                continue;
            }
            if answered.is_none() && *close.borrow() {
                return Ok(());
            }
            next = self.turn(&retry, answered.take()).await?;
            if next.is_some() {
                continue;
            }
            let waiting = !lock(&retry).is_empty();
            let idle = tokio::select! {
                _ = close.wait_for(|close| *close) => return Ok(()),
                idle = tokio::time::timeout(if waiting { RETRY } else { PING }, owed) => idle.is_err(),
            };
            if idle && !waiting {
                ping(writer, &self.target.name).await?;
            }
        }
    }

    /// Notes in the ledger what came of a batch, if one was answered, and takes the next unless it is time to close.
    async fn turn(&self, retry: &Arc<Mutex<Retry>>, answered: Option<Answered>) -> Result<Option<Job>, Failure> {
        let (target, lane, limits, retry) = (self.target.clone(), self.lane, self.limits, retry.clone());
        let (settles, refused) = (answered.is_some(), answered.as_ref().is_some_and(Answered::is_refused));
        let close = *self.close.borrow();
        let job = self.ledger.call_soon_or_later(lane == Lane::Bulk, move |ledger| {
            let mut retry = lock(&retry);
            if let Some(Answered { job, outcome }) = &answered {
                settle(ledger, &target, &mut retry, job, outcome.as_ref(), now_us())?;
            }
            if close {
                return Ok(None);
            }
            retry.requeue(ledger, &target, now_us())?;
            take(ledger, &target, lane, &limits, &mut retry, now_us())
        });
        let job = job.await?;
        if settles {
            crate::crash_point!("batch.settled", self.target.name);
        }
        if job.is_some() {
            crate::crash_point!("batch.taken", self.target.name);
        }
        if refused {
            // The other lane may wait for a row of this batch; a committed one wakes it when the log shows it.
            self.owed.notify_waiters();
        }
        Ok(job)
    }

    /// Carries the batch out. None: the site was busy every time, and nothing was done.
    async fn write(&self, writer: &mut dyn Writer, job: &Job) -> Result<Option<Outcome>, Error> {
        for wait_ms in BUSY_MS {
            match writer.apply(&job.batch).await {
                Ok(outcome) => return Ok(Some(outcome)),
                Err(error) if error.cause == Cause::Busy => {
                    tracing::debug!(%error, "the site is busy; trying again");
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Tells those who wait, and the log, how a batch went.
    fn note(&self, job: Job, outcome: Option<Outcome>) -> Answered {
        if let Some(Outcome::Committed { failed }) = &outcome {
            self.health.applied(&job.sources, now_us());
            self.health.statements_failed(failed, now_us());
            for (_, reason) in failed {
                tracing::warn!(site = self.target.name, reason, "an after-apply statement failed; the rows are in place");
            }
            self.repeats.add(&job.batch.statements, Instant::now());
        }
        if matches!(outcome, Some(Outcome::Rejected(_))) {
            crate::crash_point!("batch.refused", self.target.name);
        }
        Answered { job, outcome }
    }
}

/// A batch that the site has answered; None: it was busy every time, and nothing was done.
struct Answered {
    job: Job,
    outcome: Option<Outcome>,
}

impl Answered {
    fn is_refused(&self) -> bool {
        !matches!(self.outcome, Some(Outcome::Committed { .. }))
    }
}

/// After a lost connection: finds out what became of each batch without an answer, and puts back the rows of those that did not commit.
/// The lanes' new writers must be open: their locks prove that the old ones have ended.
pub async fn recover(target: &Arc<Target>, ledger: &Handle, control: &mut dyn Writer) -> Result<(), Failure> {
    let site = target.site;
    for marker in ledger.call(move |ledger| Ok(ledger.unheard(site))).await? {
        let committed = control.settle(marker).await?;
        crate::crash_point!("recover.settled", target.name);
        let settled = move |ledger: &mut ledger::Ledger| {
            if committed {
                ledger.committed(site, marker);
            } else {
                let returned = ledger.returned(site, marker);
                ledger.bury_waiting(&returned)?;
                returned.into_iter().try_for_each(|id| ledger.requeue(site, id))?;
                ledger.heard(site, marker)?;
            }
            Ok(())
        };
        ledger.call(settled).await?;
        crate::crash_point!("recover.noted", target.name);
    }
    // Rows that the last session's lanes had put aside.
    Ok(ledger.call(|ledger| ledger.rebuild_queues()).await?)
}

/// After-apply statements that are run once more after a while: a request in flight may put an old value back into a cache. One
/// for all sessions of a site: a connection that is lost meanwhile changes nothing about it.
#[derive(Default)]
pub struct Repeats {
    due: Mutex<HashMap<Statement, Instant>>,
    after: Duration,
}

impl Repeats {
    pub fn new(after: Duration) -> Repeats {
        Repeats { due: Mutex::default(), after }
    }

    fn add(&self, statements: &[Statement], now: Instant) {
        if !self.after.is_zero() && !statements.is_empty() {
            let at = now + self.after;
            lock(&self.due).extend(statements.iter().cloned().map(|statement| (statement, at)));
        }
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.due).is_empty()
    }

    /// Statements whose time has come.
    pub fn take_due(&self, now: Instant) -> Vec<Statement> {
        let mut due = lock(&self.due);
        let ready: Vec<Statement> = due.iter().filter(|(_, at)| **at <= now).map(|(statement, _)| statement.clone()).collect();
        due.retain(|_, at| *at > now);
        ready
    }

    /// They could not be run: they stay due.
    pub fn put_back(&self, statements: Vec<Statement>, now: Instant) {
        let mut due = lock(&self.due);
        for statement in statements {
            due.entry(statement).or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::Piece;

    fn statement(sql: &str) -> Statement {
        Statement(vec![Piece::Sql(sql.into())])
    }

    #[test]
    fn each_statement_is_repeated_once_after_its_time() {
        let (repeats, start) = (Repeats::new(Duration::from_millis(1000)), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        repeats.add(&[statement("a"), statement("b")], start);
        repeats.add(&[statement("b")], at(999));
        assert!(repeats.take_due(at(999)).is_empty());
        assert_eq!(repeats.take_due(at(1000)), [statement("a")]);
        assert_eq!(repeats.take_due(at(1999)), [statement("b")], "later work by the same statement puts it off");
        assert!(repeats.take_due(at(9999)).is_empty());
        repeats.put_back(vec![statement("b")], at(2000));
        assert_eq!(repeats.take_due(at(2000)), [statement("b")], "the site could not be asked");
    }

    #[test]
    fn nothing_is_repeated_where_the_time_is_zero() {
        let repeats = Repeats::new(Duration::ZERO);
        repeats.add(&[statement("a")], Instant::now());
        assert!(repeats.take_due(Instant::now()).is_empty());
    }
}
