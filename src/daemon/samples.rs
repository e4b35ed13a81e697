//! What the page's plots are drawn from: a sample of each site every few seconds. The sites are not asked for it.

use std::sync::Arc;

use tokio::time::MissedTickBehavior;

use super::Daemon;
use crate::capture::follow::now_us;
use crate::capture::lock;
use crate::ops::samples::{EVERY, Sample};

impl Daemon {
    /// Takes samples until the daemon stops.
    pub(super) async fn keep_sampling(self: Arc<Daemon>) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stopped() => return,
                _ = ticks.tick() => {}
            }
            // A ledger that does not answer leaves a gap in the plots.
            let Ok(status) = self.status().await else { continue };
            let mut samples = lock(&self.samples);
            for site in &status.sites {
                let lag = self.member(&site.name).and_then(|member| member.health.take_lately());
                samples.add(&site.name, Sample { at_us: now_us(), state: site.state, lag, owed: site.owed.total });
            }
        }
    }
}
