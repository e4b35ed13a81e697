//! What a session does beside following and applying: fences, heartbeats, markers, and the numbers that the site gives out.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::session::{Control, Failure};
use super::{Daemon, Member};
use crate::capture::follow::now_us;
use crate::capture::numbers::{self, Numbers};
use crate::capture::{Watch, lock};
use crate::model::SiteTable;
use crate::sites::{Cause, ping};

/// Rows of the marker table removed at once.
const FORGET_MAX: usize = 256;
/// How often it is looked whether statements have to be repeated, while some have, and otherwise: each look wakes an idle daemon.
const UPKEEP: Duration = Duration::from_millis(250);
const UPKEEP_IDLE: Duration = Duration::from_secs(1);
/// A watermark every ten seconds at least, measured as a heartbeat or not: a backup of the site that is older than that can be told
/// by the one it lacks.
const WATERMARK: Duration = Duration::from_secs(10);
const PING: Duration = Duration::from_secs(5);
const FORGET: Duration = Duration::from_secs(5);
/// How long capture may take to come to a watermark when its log has nothing else.
const FENCE: Duration = Duration::from_secs(600);

/// After connecting, nothing is applied until capture has come to where the log ended: what landed before has then been heard.
pub(super) async fn fence(
    daemon: &Arc<Daemon>,
    member: &Member,
    watch: &Arc<Mutex<Watch>>,
    control: &Control,
) -> Result<(), Option<Failure>> {
    let (id, waiting) = (member.id, watch.clone());
    let marked = daemon.ledger.call(move |ledger| {
        let marker = ledger.next_marker()?;
        Ok((marker, ledger.watermark(id), lock(&waiting).wait_for(marker)))
    });
    let (marker, payload, reached) = marked.await.map_err(|error| Some(error.into()))?;
    crate::crash_point!("fence.drawn", member.config.name);
    let begun = Instant::now();
    control.lock().await.mark(marker, &payload).await.map_err(|error| Some(error.into()))?;
    crate::crash_point!("fence.marked", member.config.name);
    match tokio::time::timeout(FENCE, reached).await {
        Ok(Ok(())) => {
            if daemon.config.daemon.heartbeat.is_some() {
                member.health.heard(begun.elapsed(), now_us());
            }
            Ok(())
        }
        _ => Err(None),
    }
}

/// Removes markers that have been heard back, repeats after-apply statements, keeps numbers in the site's class, and proves that the
/// lock is still held.
pub(super) async fn upkeep(
    daemon: &Arc<Daemon>,
    member: &Arc<Member>,
    watch: &Arc<Mutex<Watch>>,
    control: &Control,
    numbers: (&Numbers, &[Arc<SiteTable>]),
) -> Result<(), Failure> {
    numbers::align(control, &member.config.name, numbers.1).await?;
    let id = member.id;
    let [mut ping_due, mut forget_due, mut beat_due] =
        [PING, FORGET, daemon.config.daemon.heartbeat.unwrap_or(WATERMARK)].map(|every| Due { every, at: Instant::now() + every });
    loop {
        tokio::time::sleep(if member.repeats.is_empty() { UPKEEP_IDLE } else { UPKEEP }).await;
        if ping_due.now() {
            // Before anything is written: that takes as long as the server likes, so that it does not tell a silent connection.
            ping(control.lock().await.as_mut(), &member.config.name).await?;
        }
        if beat_due.now() {
            heartbeat(daemon, member, watch, control).await?;
        }
        repeat(member, control).await?;
        realign(member, control, numbers).await?;
        if forget_due.now() {
            let heard = daemon.ledger.call(move |ledger| Ok(ledger.take_heard(id, FORGET_MAX))).await?;
            if heard.is_empty() {
                continue;
            }
            control.lock().await.forget(&heard).await?;
            crate::crash_point!("markers.removed", member.config.name);
            daemon.ledger.call(move |ledger| ledger.forgotten(id, &heard)).await?;
            crate::crash_point!("markers.forgotten", member.config.name);
        }
    }
}

/// Something to be done every so often.
struct Due {
    every: Duration,
    at: Instant,
}

impl Due {
    /// Whether it is time again. A look that comes a moment early counts: the next would be late.
    fn now(&mut self) -> bool {
        let due = Instant::now() + UPKEEP / 2 >= self.at;
        if due {
            self.at = Instant::now() + self.every;
        }
        due
    }
}

/// Writes a watermark, and has it measured how soon it comes back through the site's log, unless another one is still awaited.
async fn heartbeat(daemon: &Arc<Daemon>, member: &Arc<Member>, watch: &Arc<Mutex<Watch>>, control: &Control) -> Result<(), Failure> {
    let (id, waiting) = (member.id, watch.clone());
    let begun = Instant::now();
    let measured = daemon.config.daemon.heartbeat.is_some() && member.health.beat(now_us());
    let marked = daemon.ledger.call(move |ledger| {
        ledger.set_markers_aside()?;
        let marker = ledger.next_marker()?;
        Ok((marker, ledger.watermark(id), measured.then(|| lock(&waiting).wait_for(marker))))
    });
    let (marker, payload, reached) = marked.await?;
    if let Some(reached) = reached {
        let health = member.health.clone();
        // Ends with the session at the latest: whoever would answer goes with it.
        tokio::spawn(async move {
            if reached.await.is_ok() {
                health.heard(begun.elapsed(), now_us());
            }
        });
    }
    control.lock().await.mark(marker, &payload).await?;
    crate::crash_point!("heartbeat.marked", member.config.name);
    Ok(())
}

/// Runs after-apply statements once more whose time has come. One that fails is counted and logged, and does no other harm.
async fn repeat(member: &Arc<Member>, control: &Control) -> Result<(), Failure> {
    let due = member.repeats.take_due(Instant::now());
    if due.is_empty() {
        return Ok(());
    }
    let failed = match control.lock().await.run(&due).await {
        Ok(failed) => failed,
        Err(error) => {
            member.repeats.put_back(due, Instant::now());
            return if error.cause == Cause::Busy { Ok(()) } else { Err(error.into()) };
        }
    };
    crate::crash_point!("after-apply.repeated", member.config.name);
    member.health.statements_failed(&failed, now_us());
    for (_, reason) in failed {
        tracing::warn!(site = member.config.name, reason, "an after-apply statement failed when it was run once more");
    }
    Ok(())
}

/// An application has given out numbers that are another site's (Drupal 7 restarts its sequence when it is behind the highest uid).
async fn realign(member: &Arc<Member>, control: &Control, (numbers, tables): (&Numbers, &[Arc<SiteTable>])) -> Result<(), Failure> {
    for (id, first) in numbers.take_outside() {
        let Some(table) = tables.iter().find(|table| table.table.id == id) else { continue };
        let (site, class) = (&member.config.name, numbers.class(id).map(|class| class.to_string()).unwrap_or_default());
        if first {
            let table = &table.table.name;
            tracing::warn!(
                site,
                table,
                "a row was inserted here under a number that is another site's (this one's are {class}): an application restarted the \
                 sequence, or has a connection older than the server's settings; `rosterd check` looks at them, and the application \
                 should connect anew"
            );
        }
        numbers::align(control, site, std::slice::from_ref(table)).await?;
    }
    Ok(())
}
