//! The two lanes of a site: batches are taken, carried out and settled, in any order that the daemon's workers allow.

use super::plan::Focus;
use super::world::World;
use crate::apply::{Job, Limits, settle, take};
use crate::mutation;
use crate::sites::{Lane, Outcome, Rejection};

const LANES: [Lane; 2] = [Lane::Urgent, Lane::Bulk];

pub enum InHand {
    Taken(Job),
    Answered(Job, Option<Outcome>),
}

impl World {
    pub fn apply(&mut self, n: usize) -> bool {
        let lane = self.random.below(2);
        self.step_lane(n, lane) || self.step_lane(n, 1 - lane)
    }

    fn step_lane(&mut self, n: usize, lane: usize) -> bool {
        let in_hand = &self.workers[n].jobs[lane];
        let untried = in_hand.iter().position(|in_hand| matches!(in_hand, InHand::Taken(_)));
        match (in_hand.len(), untried) {
            (0, _) => return self.take(n, lane),
            (1, _) if self.random.chance(30.0) && self.take(n, lane) => {}
            (_, Some(at)) if at == 0 || self.random.chance(50.0) => self.carry_out(n, lane, at),
            _ => self.settle(n, lane),
        }
        true
    }

    fn carry_out(&mut self, n: usize, lane: usize, at: usize) {
        let Some(InHand::Taken(job)) = self.workers[n].jobs[lane].remove(at) else { return };
        let (ts, shows_idle) = (self.committed(n), self.random.chance(50.0));
        let early = Rejection::Reference("a parent that is still to come".into());
        let outcome = match self.random.below(100) {
            0..3 => None,
            // Not where a row waits for a minute, with others of its transaction: that is too long for a parent.
            3..6 if self.plan.focus != Focus::Filter => Some(Outcome::Rejected(vec![(self.random.below(job.rows.len()), early)])),
            6..9 => Some(Outcome::Rejected(vec![(self.random.below(job.rows.len()), Rejection::Locked)])),
            _ => Some(self.sites[n].carry_out(&job.batch, ts, shows_idle)),
        };
        self.trace(|| format!("site {n} {:?} {outcome:?}", job.marker));
        self.check_written(n, &job, outcome.as_ref());
        self.workers[n].jobs[lane].insert(at, InHand::Answered(job, outcome));
        match self.random.below(100) {
            0..3 if !self.calm => self.crash(),
            3..6 if !self.calm => self.reconnect(n),
            _ => {}
        }
    }

    fn settle(&mut self, n: usize, lane: usize) {
        let now_us = self.clock * self.plan.tick_us();
        let worker = &mut self.workers[n];
        let Some(InHand::Answered(job, outcome)) = worker.jobs[lane].pop_front() else { return };
        settle(&mut self.ledger, &worker.target, &mut worker.retry, &job, outcome.as_ref(), now_us).unwrap();
    }

    fn take(&mut self, n: usize, lane: usize) -> bool {
        if self.position(n) < self.workers[n].fence && !mutation::without("fence") {
            return false;
        }
        let (site, met) = (self.workers[n].id, std::mem::take(&mut self.workers[n].met));
        for marker in met {
            if !self.ledger.unheard(site).contains(&marker) {
                self.ledger.heard(site, marker).unwrap();
            }
        }
        self.ledger.caught_up(site).unwrap();
        let waited = !self.workers[n].retry.is_empty();
        let worker = &mut self.workers[n];
        worker.retry.requeue(&mut self.ledger, &worker.target, self.clock * self.plan.tick_us()).unwrap();
        // Rows that wait for a lock are in no queue.
        if !waited && self.ledger.queues(site).is_none_or(|queues| queues.is_empty()) {
            return false;
        }
        let limits = Limits { unheard_rows_max: self.random.of(&[1, 3, 100]), ..Limits::new(self.random.of(&[1, 2, 10]), 1 << 20) };
        let owed = self.owed_rows(n);
        let worker = &mut self.workers[n];
        let job =
            take(&mut self.ledger, &worker.target, LANES[lane], &limits, &mut worker.retry, self.clock * self.plan.tick_us()).unwrap();
        // A row may have gone aside just now, as its table is locked.
        let Some(job) = job else { return waited || !self.workers[n].retry.is_empty() };
        self.trace(|| format!("site {n} takes {:?} {:?}", job.marker, job.rows));
        self.note_rows();
        self.check_job(n, &job, &owed, limits.closure_rows_max);
        self.workers[n].jobs[lane].push_back(InHand::Taken(job));
        true
    }
}
