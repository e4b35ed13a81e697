//! What an operator can ask of the running daemon.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use tokio::time::Instant;

use super::{Daemon, Member, decide};
use crate::capture::follow::now_us;
use crate::capture::fuse;
use crate::capture::health::State;
use crate::capture::lock;
use crate::ledger::{self, Ledger, Mode};
use crate::model::Key;
use crate::ops::admin::{Operator, Request};
use crate::ops::history;
use crate::ops::inspect::{self, Refusal};
use crate::ops::status::Status;

/// How long `site pause` waits for the site's session to end, and how often it looks.
const PAUSE_MAX: Duration = Duration::from_secs(15);
const PAUSE_LOOK: Duration = Duration::from_millis(5);
/// A ledger that answers more slowly than this hangs.
const WORKS_MAX: Duration = Duration::from_secs(10);

#[async_trait]
impl Operator for Daemon {
    async fn answer(&self, request: Request) -> Result<serde_json::Value, String> {
        match request {
            Request::Status => json(&self.status().await.map_err(told)?),
            Request::Inspect { table, key, values } => {
                let inspected = self.ledger.call(move |ledger| Ok(inspect::inspect(ledger, &table, &key, values))).await.map_err(told)?;
                match inspected {
                    Ok(row) => json(&row),
                    Err(refusal @ (Refusal::Usage(_) | Refusal::Ledger(_))) => Err(refusal.to_string()),
                }
            }
            Request::Conflicts { table, limit, values } => {
                json(&self.ledger.call(move |ledger| history::conflicts(ledger, table.as_deref(), limit, values)).await.map_err(told)?)
            }
            Request::Conflict { number, values } => {
                let shown = self.ledger.call(move |ledger| history::one_conflict(ledger, number, values)).await.map_err(told)?;
                json(&shown.ok_or_else(|| history::no_such_conflict(number))?)
            }
            Request::Quarantine => json(&self.ledger.call(|ledger| history::quarantine(ledger)).await.map_err(told)?),
            Request::Retry { name } => json(&self.settle(name, decide::retry).await?),
            Request::Discard { name } => json(&self.settle(name, decide::discard).await?),
            Request::SiteWins { name } => json(&self.settle(name, decide::site_wins).await?),
            Request::Rekey { name, to, go } => json(&self.rekey(&name, to, go).await?),
            Request::Undo { number } => json(&self.undo(number).await?),
            Request::Pause { site } => self.pause(&site).await,
            Request::Resume { site, accept } => self.resume(&site, accept).await,
            Request::Reconcile { site, restored } => self.reconcile(&site, restored),
            Request::Reload => json(&self.reload().await?),
            Request::Repair { site, table, keys } => self.repair(&site, &table, &keys).await,
        }
    }
}

fn json(answer: &impl Serialize) -> Result<serde_json::Value, String> {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}

fn told(error: ledger::Error) -> String {
    error.to_string()
}

impl Daemon {
    /// How every site is doing now.
    pub async fn status(&self) -> ledger::Result<Status> {
        let mut status = self.ledger.call(|ledger| Status::read(ledger, now_us())).await?;
        let figures = |member: &Arc<Member>| (member.config.name.clone(), member.health.figures().clone());
        let verified = lock(&self.verified).clone();
        status.overlay(self.started_us, &self.members.iter().map(figures).collect::<Vec<_>>(), verified);
        Ok(status)
    }

    /// Whether the daemon works: the ledger's thread, which everything goes through, answers. Else what is wrong, in words.
    pub async fn works(&self) -> Result<(), String> {
        match tokio::time::timeout(WORKS_MAX, self.ledger.call(|_| Ok(()))).await {
            Ok(Ok(())) => Ok(()),
            // A full disk is the operator's to mend; a restart would not.
            Ok(Err(error)) if error.may_pass() => Ok(()),
            Ok(Err(error)) => Err(format!("the ledger does not work: {error}")),
            Err(_) => Err("the ledger does not answer".into()),
        }
    }

    fn known(&self, name: &str) -> Result<&Arc<Member>, String> {
        let names = || self.members.iter().map(|member| member.config.name.as_str()).collect::<Vec<_>>().join(", ");
        self.member(name).ok_or_else(|| format!("there is no site {name}; the sites are {}", names()))
    }

    async fn pause(&self, name: &str) -> Result<serde_json::Value, String> {
        let member = self.known(name)?;
        let id = member.id;
        self.ledger.call(move |ledger| ledger.set_paused(id, true)).await.map_err(told)?;
        crate::crash_point!("pause.noted", name);
        member.paused.send_replace(true);
        let at_rest = || matches!(member.health.figures().state, State::Paused | State::Retrying | State::Stopped);
        let deadline = Instant::now() + PAUSE_MAX;
        while !at_rest() && Instant::now() < deadline {
            tokio::time::sleep(PAUSE_LOOK).await;
        }
        if !at_rest() {
            return Err(format!("site {name} is being paused, and what is under way there has not ended yet; see `rosterd status`"));
        }
        json(&format!("site {name} is paused: nothing is read from it or written to it until `rosterd site resume {name}`"))
    }

    /// `accept`: what tables that have stopped show is taken as changed there; Some(false): the ledger is put back there.
    async fn resume(&self, name: &str, accept: Option<bool>) -> Result<serde_json::Value, String> {
        let member = self.known(name)?;
        let id = member.id;
        let resumed = move |ledger: &mut Ledger| {
            ledger.set_paused(id, false)?;
            let mut stopped = Vec::new();
            for table in ledger.tables_of(id) {
                let Some(why) = ledger.progress(id, table).stopped else { continue };
                let by_fuse = why.starts_with(fuse::BLOWN);
                stopped.extend(ledger.shared(table).map(|shared| shared.table.name.clone()));
                match accept {
                    Some(true) => ledger.resume(id, table, Mode::Accepted)?,
                    Some(false) if by_fuse => ledger.resume(id, table, Mode::PutBack)?,
                    Some(false) => ledger.resume(id, table, Mode::Restored)?,
                    None => {}
                }
            }
            crate::crash_point!("resume.deciding", ledger.site_name(id));
            Ok(stopped)
        };
        let stopped = self.ledger.call(resumed).await.map_err(told)?.join(", ");
        crate::crash_point!("resume.noted", name);
        let was_paused = member.paused.send_replace(false);
        if !was_paused {
            member.again();
        }
        json(&match accept {
            _ if stopped.is_empty() => format!("site {name} goes on"),
            Some(true) => format!("site {name} goes on; {stopped}: what differs there is taken as changed there"),
            Some(false) => format!("site {name} goes on; {stopped}: what the ledger has is put back there"),
            None => format!(
                "site {name} goes on, without {stopped}: --accept takes what is there now as changed there, missing rows as deleted; \
                 --reject puts back what the ledger has"
            ),
        })
    }

    async fn reload(&self) -> Result<String, String> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let nobody = || "this daemon can't read its configuration again; restart it".to_owned();
        self.reloads.send(answer).await.map_err(|_| nobody())?;
        answered.await.map_err(|_| nobody())?
    }

    async fn repair(&self, name: &str, table: &str, keys: &[String]) -> Result<serde_json::Value, String> {
        let member = self.known(name)?;
        if *member.paused.borrow() {
            return Err(format!("site {name} is paused; `rosterd site resume {name}` first"));
        }
        let named = table.to_owned();
        let found =
            self.ledger.call(move |ledger| Ok(ledger.tables().iter().find(|shared| shared.table.name == named).map(|s| s.table.id)));
        let id = found.await.map_err(told)?.ok_or_else(|| format!("table {table} is not shared"))?;
        let keys: Option<Vec<Key>> = keys.iter().map(|key| Key::from_hex(key)).collect();
        member.repairs.add(id, keys.ok_or("a key that can't be read")?);
        self.wake();
        if let Some(verified) = lock(&self.verified).as_mut() {
            verified.tables.retain(|found| found.site != name || found.table != table);
        }
        json(&())
    }

    fn reconcile(&self, name: &str, restored: bool) -> Result<serde_json::Value, String> {
        let member = self.known(name)?;
        if *member.paused.borrow() {
            return Err(format!("site {name} is paused; `rosterd site resume {name}` first"));
        }
        member.ask_reconcile(if restored { Mode::Restored } else { Mode::Gap });
        json(&match restored {
            true => format!("the tables of site {name} are compared with the ledger, which wins; `rosterd status` shows how far it is"),
            false => format!("the tables of site {name} are compared with the ledger; what differs is taken as changed there"),
        })
    }
}
