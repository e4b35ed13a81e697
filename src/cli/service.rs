//! What the daemon tells systemd: that it is ready, how it is doing, and that it is alive. Without systemd, nothing.

use std::sync::Arc;
use std::time::Duration;

use rosterd::daemon::Daemon;
use sd_notify::NotifyState;

const STATUS_EVERY: Duration = Duration::from_secs(3);

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
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let mut last = String::new();
    loop {
        let line = match daemon.status().await {
            Ok(status) => status.line(),
            Err(error) => format!("the ledger does not work: {error}"),
        };
        if line != last {
            tell(&[NotifyState::Status(&line)]);
            last = line;
        }
        tokio::time::sleep(STATUS_EVERY).await;
    }
}

async fn alive(daemon: &Daemon) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    loop {
        match daemon.works().await {
            Ok(()) => tell(&[NotifyState::Watchdog]),
            Err(text) => tracing::error!("{text}"),
        }
        tokio::time::sleep(interval / 2).await;
    }
}
