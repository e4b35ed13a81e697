//! One site's session, from connecting to the first error.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::identity::identify;
use super::upkeep::{fence, upkeep};
use super::{Daemon, Member};
use crate::apply::lane::{LaneWorker, recover};
use crate::apply::{Limits, Target, TargetTable, Template, TemplatePiece};
use crate::capture::continuity::{self, Remembered};
use crate::capture::follow::{End, Follower, now_us};
use crate::capture::fuse;
use crate::capture::health::State;
use crate::capture::lock;
use crate::capture::numbers::Numbers;
use crate::capture::reconcile::{self, Scanner};
use crate::capture::{Watch, recover as lost};
use crate::config::{AfterApply, AfterApplyPiece, SiteConfig};
use crate::ledger::{self, Ledger, Mode};
use crate::model::{MarkerId, Position, SiteId, SiteTable, Table, TableId};
use crate::sites::binding;
use crate::sites::{Cause, Disposition, Error, Lane, LogMember, MarkerRow, TableDescription, Writer};

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Site(#[from] Error),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error("site {site}: {text}")]
    Other { site: String, text: String, stop: bool },
}

impl Failure {
    /// One word for what kind of error it is.
    pub fn cause(&self) -> &'static str {
        match self {
            Failure::Site(error) => error.cause.name(),
            Failure::Ledger(_) => "ledger",
            Failure::Other { .. } => "other",
        }
    }

    /// Nobody answers at the site.
    pub fn is_away(&self) -> bool {
        matches!(self, Failure::Site(error) if matches!(error.cause, Cause::Unreachable | Cause::Disconnected))
    }

    /// Nothing changes until somebody does something.
    pub fn is_final(&self) -> bool {
        match self {
            Failure::Site(error) => error.disposition() == Disposition::Stop,
            Failure::Ledger(error) => !error.may_pass(),
            Failure::Other { stop, .. } => *stop,
        }
    }
}

impl From<reconcile::Failure> for Failure {
    fn from(failure: reconcile::Failure) -> Failure {
        match failure {
            reconcile::Failure::Site(error) => Failure::Site(error),
            reconcile::Failure::Ledger(error) => Failure::Ledger(error),
        }
    }
}

/// What is remembered between a site's sessions of definitions that changed.
#[derive(Default)]
pub struct Definitions {
    /// Where each table's definition was looked at last.
    last: HashMap<TableId, Option<Position>>,
    /// Tables whose rows in the log were written under a definition that is not the live one: passed over up to the log's end as
    /// it is on connecting, and compared with the ledger then.
    passing: Vec<TableId>,
}

impl Definitions {
    fn altered(&mut self, tables: &[TableId], position: Option<Position>) {
        for table in tables {
            if self.last.get(table) == Some(&position) {
                self.passing.push(*table);
            }
            self.last.insert(*table, position.clone());
        }
    }

    /// The log's end has been reached. Gives whether a new session is needed to take up what was passed over.
    fn pass(&mut self) -> bool {
        !std::mem::take(&mut self.passing).is_empty()
    }
}

pub(super) type Control = Arc<tokio::sync::Mutex<Box<dyn Writer>>>;
type Markers = Vec<MarkerRow>;

/// How long the lanes may take to finish the batches in hand when a session is ended.
const CLOSE_MAX: Duration = Duration::from_secs(3);
/// How often a table that has stopped for its definition is looked at.
const MENDED: Duration = Duration::from_secs(3);

/// Runs a session to its end. None: it is to be begun anew at once, as a table's definition has changed.
pub async fn run(daemon: &Arc<Daemon>, member: &Arc<Member>) -> Option<Failure> {
    {
        let mut figures = member.health.figures();
        figures.connects += 1;
        figures.beating_us = None;
    }
    member.health.enter(State::Starting);
    session(daemon, member).await.err()
}

async fn session(daemon: &Arc<Daemon>, member: &Arc<Member>) -> Result<(), Failure> {
    let mut paused = member.paused.subscribe();
    if *paused.borrow() {
        member.health.enter(State::Paused);
        tokio::select! {
            _ = paused.wait_for(|paused| !*paused) => {}
            () = daemon.stopped() => return Ok(()),
        }
        member.health.enter(State::Starting);
    }
    let site = &member.site;
    // Before anything is made there: it may not be the database that it was, or be another site's.
    let begins = identify(daemon, member).await?;
    let tables = bind(daemon, member, &site.describe().await?).await?;
    site.prepare(&tables).await?;
    crate::crash_point!("prepare.done", site.name());
    let holder = holder(daemon);
    let mut control = site.writer(Lane::Control, &holder).await?;
    let mut urgent = site.writer(Lane::Urgent, &holder).await?;
    let mut bulk = site.writer(Lane::Bulk, &holder).await?;
    crate::crash_point!("lanes.taken", site.name());
    let target = Arc::new(target(daemon, member, &tables));
    recover(&target, &daemon.ledger, control.as_mut()).await?;
    let markers = control.markers().await?;
    let control: Control = Arc::new(tokio::sync::Mutex::new(control));

    let watch = Arc::new(Mutex::new(Watch::default()));
    if let Some(mode) = member.wanted().or(begins.mode) {
        compare_anew(daemon, member, mode, begins.moved, &watch, &markers).await?;
    }
    let from = position(daemon, member).await?;
    let (schema, name) = (marker_schema(&member.config), member.config.name.clone());
    let log = LogMember { site: member.id, name, tables: tables.clone(), marker_schema: schema, from };
    let (mut subscription, acknowledge) = daemon.readers.subscribe(site.clone(), log);
    let numbers = Arc::new(Numbers::new(&tables));
    let follower = Arc::new(Follower {
        site: member.id,
        name: member.config.name.clone(),
        ledger: daemon.ledger.clone(),
        watch: watch.clone(),
        health: member.health.clone(),
        owed: daemon.owed.clone(),
        numbers: numbers.clone(),
    });
    member.health.enter(State::CatchingUp);

    let (closing, close) = tokio::sync::watch::channel(false);
    let (closed, lanes_closed) = tokio::sync::oneshot::channel();
    let applying = AtomicBool::new(false);
    let lane = |lane| LaneWorker {
        lane,
        target: target.clone(),
        ledger: daemon.ledger.clone(),
        limits: Limits::new(daemon.config.daemon.batch_rows_max, daemon.config.daemon.batch_bytes_max),
        owed: daemon.owed.clone(),
        health: member.health.clone(),
        repeats: member.repeats.clone(),
        close: close.clone(),
    };
    let (urgent_lane, bulk_lane) = (lane(Lane::Urgent), lane(Lane::Bulk));
    let scanner = Scanner {
        site: site.clone(),
        follower: follower.clone(),
        tables: tables.clone(),
        control: control.clone(),
        is_hub: member.id == daemon.members[0].id,
        rows_max: daemon.config.daemon.chunk_rows_max,
        bytes_max: daemon.config.daemon.batch_bytes_max * 8,
        rows_per_second_max: daemon.config.daemon.copy_rows_per_second_max,
        progressed: daemon.progressed.clone(),
        repairs: member.repairs.clone(),
    };
    let following = async {
        match follower.follow(&mut subscription.items, &acknowledge).await? {
            End::Altered(tables, position) => {
                tracing::info!(
                    site = member.config.name,
                    tables = tables.len(),
                    "a table's definition may have changed; looking at it again"
                );
                lock(&member.definitions).altered(&tables, position);
                Ok::<(), Failure>(())
            }
            End::Reader => {
                let failure = lock(&subscription.failure).take();
                Err(failure.map_or_else(|| other(member, "its log reader ended", false), Failure::Site))
            }
        }
    };
    let working = async {
        fence(daemon, member, &watch, &control)
            .await
            .map_err(|failure| failure.unwrap_or_else(|| other(member, "its log did not come to our watermark", false)))?;
        crate::crash_point!("fence.reached", member.config.name);
        forget_landed(daemon, member, &markers).await?;
        if lock(&member.definitions).pass() {
            return Ok(());
        }
        member.health.enter(State::Following);
        tracing::info!(site = member.config.name, tables = tables.len(), "following");
        daemon.wake();
        applying.store(true, Ordering::Relaxed);
        let lanes = async {
            tokio::try_join!(urgent_lane.run(urgent.as_mut()), bulk_lane.run(bulk.as_mut()))?;
            let _ = closed.send(());
            Ok::<(), Failure>(())
        };
        tokio::try_join!(
            lanes,
            async { Ok::<(), Failure>(scanner.run().await?) },
            upkeep(daemon, member, &watch, &control, (&numbers, &tables)),
        )?;
        Ok(())
    };
    let ending = async {
        tokio::select! {
            _ = paused.wait_for(|paused| *paused) => {}
            () = member.again.notified() => {}
            () = daemon.stopped() => {}
        }
        closing.send_replace(true);
        if applying.load(Ordering::Relaxed) {
            let _ = tokio::time::timeout(CLOSE_MAX, lanes_closed).await;
        }
        Ok(())
    };
    let ended = tokio::select! {
        ended = following => ended,
        ended = mended(daemon, member, tables.len()) => ended,
        ended = working => ended,
        ended = ending => ended,
    };
    match ended {
        Err(Failure::Site(error)) if error.disposition() == Disposition::Reconcile => {
            give_up_log(daemon, member, &watch, &control, &error).await
        }
        other => other,
    }
}

/// Ends when the definition of a table that has stopped fits again: its changes are not in the log that is read.
async fn mended(daemon: &Arc<Daemon>, member: &Arc<Member>, fit: usize) -> Result<(), Failure> {
    let planned: Vec<_> = lock(&daemon.plan).clone();
    if fit == planned.len() || !lock(&member.definitions).passing.is_empty() {
        std::future::pending::<()>().await;
    }
    loop {
        tokio::time::sleep(MENDED).await;
        let descriptions = member.site.describe().await?;
        let fits = |(planned, table): &&(_, _)| binding::bind(&member.config, planned, table, &descriptions).is_ok();
        if planned.iter().filter(fits).count() > fit {
            tracing::info!(site = member.config.name, "a table that had stopped fits again");
            return Ok(());
        }
    }
}

/// The site's own tables for the shared ones. A table that does not fit stops here, with the reason; the others go on.
async fn bind(daemon: &Arc<Daemon>, member: &Arc<Member>, descriptions: &[TableDescription]) -> Result<Vec<Arc<SiteTable>>, Failure> {
    let (mut tables, mut unfit) = (Vec::new(), Vec::new());
    let planned: Vec<_> = lock(&daemon.plan).clone();
    let passing = lock(&member.definitions).passing.clone();
    for (planned, table) in &planned {
        if passing.contains(&table.id) {
            unfit.push((table.id, format!("{DEFINITION}a stretch of the log was written under another; it is compared anew behind it")));
            continue;
        }
        match binding::bind(&member.config, planned, table, descriptions) {
            Ok(table) => tables.push(Arc::new(table)),
            Err(finding) => unfit.push((table.id, format!("{DEFINITION}{}; {}", finding.text, finding.remedy.unwrap_or_default()))),
        }
    }
    let (id, fit): (_, Vec<_>) = (member.id, tables.clone());
    let stopped = daemon.ledger.call(move |ledger| settle_definitions(ledger, id, fit, unfit)).await?;
    crate::crash_point!("definitions.settled", member.config.name);
    let stopped: Vec<_> =
        stopped.into_iter().filter_map(|(table, why)| Some((planned.iter().find(|(_, t)| t.id == table)?.1.name.clone(), why))).collect();
    for (table, why) in &stopped {
        tracing::error!(site = member.config.name, table, why, "the table has stopped at this site; the others go on");
    }
    Ok(tables)
}

/// What a table's stop says when its definition is the reason; such a stop ends when the definition fits again.
const DEFINITION: &str = "its definition does not fit: ";

fn settle_definitions(
    ledger: &mut Ledger,
    site: SiteId,
    fit: Vec<Arc<SiteTable>>,
    unfit: Vec<(TableId, String)>,
) -> ledger::Result<Vec<(TableId, String)>> {
    for fitting in fit {
        let table = fitting.table.id;
        ledger.set_columns(site, table, fitting.shared_columns().iter().map(Option::is_some).collect());
        ledger.set_unique(site, table, fitting.shared_unique())?;
        let progress = ledger.progress(site, table);
        if progress.stopped.as_ref().is_some_and(|why| why.starts_with(DEFINITION)) {
            ledger.resume(site, table, Mode::Gap)?;
        }
    }
    for (table, why) in &unfit {
        let mut progress = ledger.progress(site, *table);
        // A dropped table that is made anew fits again by itself; a fuse that has blown waits for somebody.
        if progress.stopped.as_ref().is_some_and(|stopped| stopped.starts_with(fuse::BLOWN)) {
            continue;
        }
        progress.stopped = Some(why.clone());
        ledger.set_progress(site, *table, progress)?;
    }
    Ok(unfit)
}

fn target(daemon: &Daemon, member: &Member, tables: &[Arc<SiteTable>]) -> Target {
    let planned = lock(&daemon.plan);
    let of = |table: &Arc<SiteTable>| {
        let rule = planned.iter().find(|(_, t)| t.id == table.table.id).and_then(|(planned, _)| planned.rule.after_apply.clone());
        let after_apply = rule.unwrap_or_default().iter().map(|statement| template(statement, &member.config, &table.table)).collect();
        (table.table.id, TargetTable { table: table.clone(), after_apply })
    };
    Target { site: member.id, name: member.config.name.clone(), tables: tables.iter().map(of).collect::<HashMap<_, _>>() }
}

fn template(statement: &AfterApply, site: &SiteConfig, table: &Table) -> Template {
    let piece = |piece: &AfterApplyPiece| match piece {
        AfterApplyPiece::Sql(sql) => TemplatePiece::Sql(sql.clone()),
        AfterApplyPiece::Table(name) => TemplatePiece::Sql(site.prefix.apply(name)),
        AfterApplyPiece::Column(name) => table.column(name).map_or(TemplatePiece::Sql("NULL".into()), TemplatePiece::Column),
    };
    Template(statement.0.iter().map(piece).collect())
}

/// Where capture goes on; a new site's begins at the end of its log as it is now.
async fn position(daemon: &Arc<Daemon>, member: &Arc<Member>) -> Result<Position, Failure> {
    let id = member.id;
    if let Some(position) = daemon.ledger.call(move |ledger| Ok(ledger.site(id).and_then(|site| site.position.clone()))).await? {
        return Ok(position);
    }
    let position = member.site.log_end().await?;
    let first = position.clone();
    let advance = move |ledger: &mut ledger::Ledger| {
        ledger.advance(id, first, None, now_us());
        Ok(())
    };
    daemon.ledger.call(advance).await?;
    crate::crash_point!("position.first", member.config.name);
    Ok(position)
}

/// The site's tables are compared with the ledger, as an operator wants or as it is another database by now, with another log.
async fn compare_anew(
    daemon: &Arc<Daemon>,
    member: &Arc<Member>,
    mode: Mode,
    moved: Option<String>,
    watch: &Arc<Mutex<Watch>>,
    markers: &Markers,
) -> Result<(), Failure> {
    let (id, watch, markers) = (member.id, watch.clone(), markers.clone());
    let now_at = member.site.log_end().await?;
    let begun = move |ledger: &mut Ledger| {
        let mut watch = lock(&watch);
        if let Some(identity) = &moved {
            ledger.identify(id, identity)?;
        }
        match mode {
            Mode::Restored => lost::restored(ledger, &mut watch, id, &markers, &now_at, now_us())?,
            _ if moved.is_some() => drop(lost::lost_log(ledger, &mut watch, id, &markers, &now_at, now_us())?),
            _ => ledger.rescan(id, Mode::Gap)?,
        }
        for table in ledger.tables_of(id) {
            if ledger.progress(id, table).stopped.is_some_and(|why| !why.starts_with(DEFINITION)) {
                ledger.resume(id, table, mode)?;
            }
        }
        Ok(())
    };
    daemon.ledger.call(begun).await?;
    crate::crash_point!("reconcile.begun", member.config.name);
    member.satisfied();
    tracing::info!(site = member.config.name, "its tables are compared with the ledger");
    Ok(())
}

/// Markers that were there on connecting have been heard by now; those of batches in hand excepted.
async fn forget_landed(daemon: &Arc<Daemon>, member: &Arc<Member>, markers: &Markers) -> Result<(), Failure> {
    let (id, all): (_, Vec<MarkerId>) = (member.id, markers.iter().map(|(marker, ..)| *marker).collect());
    let heard = move |ledger: &mut Ledger| {
        let mut kept = ledger.unheard(id);
        kept.extend(ledger.site(id).and_then(|record| record.marked));
        all.into_iter().filter(|marker| !kept.contains(marker)).try_for_each(|marker| ledger.heard(id, marker))?;
        ledger.caught_up(id)
    };
    daemon.ledger.call(heard).await?;
    crate::crash_point!("landed.noted", member.config.name);
    Ok(())
}

/// The log can't be followed any more: what the site's markers say is noted, and its tables are compared with the ledger.
async fn give_up_log(
    daemon: &Arc<Daemon>,
    member: &Arc<Member>,
    watch: &Arc<Mutex<Watch>>,
    control: &Control,
    error: &Error,
) -> Result<(), Failure> {
    member.health.failed(State::Retrying, error.cause.name(), error, now_us());
    let tables: Vec<_> = bind(daemon, member, &member.site.describe().await?).await?;
    member.site.prepare(&tables).await?;
    let markers = control.lock().await.markers().await?;
    let now_at = member.site.log_end().await?;
    let (id, watch) = (member.id, watch.clone());
    let recovered = daemon.ledger.call(move |ledger| {
        let mut watch = lock(&watch);
        let marked = ledger.site(id).and_then(|record| record.marked);
        let older = continuity::is_older(&Remembered { ledger: ledger.id, site: id, identity: None, marked }, &markers);
        match older {
            true => lost::restored(ledger, &mut watch, id, &markers, &now_at, now_us())?,
            false => drop(lost::lost_log(ledger, &mut watch, id, &markers, &now_at, now_us())?),
        }
        crate::crash_point!("log-lost.noting", ledger.site_name(id));
        Ok(older)
    });
    let older = recovered.await?;
    crate::crash_point!("log-lost.noted", member.config.name);
    match older {
        true => {
            tracing::warn!(site = member.config.name, %error, "the site is older than the ledger (a backup?); what it lacks is put back")
        }
        false => {
            tracing::warn!(site = member.config.name, %error, "its log is lost; what people changed there meanwhile is found by comparing")
        }
    }
    Ok(())
}

pub(super) fn other(member: &Member, text: &str, stop: bool) -> Failure {
    Failure::Other { site: member.config.name.clone(), text: text.into(), stop }
}

fn marker_schema(config: &SiteConfig) -> String {
    use crate::config::Endpoint;
    match &config.endpoint {
        Endpoint::MySql(server) => server.database.clone(),
        Endpoint::Postgres(server) => server.schema.clone(),
        Endpoint::Sqlite { .. } => "main".into(),
    }
}

/// Who we are, for a second daemon that tries; no other daemon, nor this one after a restart, says the same.
fn holder(daemon: &Daemon) -> String {
    let (process, host, state_dir) = (std::process::id(), host_name(), daemon.config.daemon.state_dir.display());
    let since = jiff::Timestamp::from_microsecond(daemon.started_us).unwrap_or_default();
    format!("rosterd, process {process} on {host}, state_dir {state_dir}, since {since}")
}

fn host_name() -> String {
    let mut name = [0u8; 256];
    // SAFETY: the buffer is as long as it is said to be; the last byte stays zero.
    let known = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) == 0 };
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    if known && end > 0 { String::from_utf8_lossy(&name[..end]).into_owned() } else { "this host".into() }
}
