//! What the daemon tells systemd: that it is ready, how it is doing, and that it is alive. Without systemd, nothing.

use std::sync::Arc;
use std::time::Duration;

use rosterd::daemon::Daemon;
use sd_notify::NotifyState;

const STATUS_EVERY: Duration = Duration::from_secs(3);
/// A ledger that answers more slowly than this is reported as hanging.
const ANSWER_MAX: Duration = Duration::from_secs(10);

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd can't be told");
    }
}

pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing the batches in hand")]);
}

/// Tells systemd for as long as it is polled.
pub async fn notify(daemon: Arc<Daemon>) {
    tell(&[NotifyState::Ready, NotifyState::Status("starting")]);
    tokio::join!(status(&daemon), alive(&daemon));
}

async fn status(daemon: &Daemon) {
    let mut last = String::new();
    loop {
        if let Ok(status) = daemon.status().await {
            let line = status.line();
            if line != last {
                tell(&[NotifyState::Status(&line)]);
                last = line;
            }
        }
        tokio::time::sleep(STATUS_EVERY).await;
    }
}

/// The ledger's thread is what everything goes through: the daemon is alive while it answers.
async fn alive(daemon: &Daemon) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    loop {
        match tokio::time::timeout(ANSWER_MAX, daemon.ledger.call(|_| Ok(()))).await {
            Ok(Ok(())) => tell(&[NotifyState::Watchdog]),
            // A full disk is the operator's to mend; a restart would not.
            Ok(Err(error)) if error.may_pass() => tell(&[NotifyState::Watchdog]),
            Ok(Err(error)) => tracing::error!(%error, "the ledger does not work"),
            Err(_) => tracing::error!("the ledger does not answer"),
        }
        tokio::time::sleep(interval / 2).await;
    }
}
