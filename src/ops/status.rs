//! How every site is doing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::FORMAT;
use super::text::lag;
use super::verify::Verification;
use crate::capture::fuse;
use crate::capture::health::{Figures, State};
use crate::ledger::{Lane, Ledger, Mode, Phase, QuarantineKind, Result, SiteRecord, TableProgress};
use crate::model::SiteId;

/// The answer of `rosterd status`. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    #[serde(rename = "version")]
    pub format: u32,
    /// Whether the daemon answered; otherwise all is told from the ledger.
    pub running: bool,
    /// When this was told.
    pub at_us: i64,
    /// When the running daemon was started.
    pub started_us: Option<i64>,
    /// When a stopped daemon was last seen at work.
    pub seen_us: Option<i64>,
    pub ledger_bytes: u64,
    /// Decided conflicts that are kept, with the values that lost.
    pub conflicts: u64,
    /// Rows held back from a site.
    pub quarantined: u64,
    /// What the last verification by the daemon itself has found, since it was started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verified: Option<Verification>,
    /// What an operator should look at, one sentence each; none: all is well.
    pub news: Vec<String>,
    /// The hub first.
    pub sites: Vec<SiteStatus>,
}

/// One site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteStatus {
    pub name: String,
    /// `hub` or `client`.
    pub role: String,
    pub state: SiteState,
    /// Engine, server and database; None where the daemon does not run.
    pub address: Option<String>,
    /// Up to where its log is in the ledger.
    pub position: Option<String>,
    /// Commit time of its last captured transaction.
    pub captured_us: Option<i64>,
    /// When its log was last read.
    pub seen_us: Option<i64>,
    /// From the commit at a source to the commit here, over the last rows applied.
    pub lag_p50_us: Option<i64>,
    pub lag_p99_us: Option<i64>,
    /// How soon what is written there comes back through its log; None: not measured.
    pub heartbeat: Option<Heartbeat>,
    pub owed: Owed,
    /// Rows written, or about to be, whose landing has not been captured.
    pub under_way: u64,
    /// Kept conflicts in which its value lost.
    pub conflicts_lost: u64,
    pub quarantined: u64,
    /// Of those, rows of the site's own that wait for somebody to say whose key it is, or which value stands.
    pub apart: u64,
    /// All that are held back, by kind.
    pub quarantined_by: BTreeMap<String, u64>,
    pub scans: Vec<Scan>,
    pub stopped_tables: Vec<StoppedTable>,
    pub last_error: Option<LastError>,
    /// Errors that ended a session since the daemon was started, by cause.
    pub errors_by: BTreeMap<String, u64>,
    /// Conflicts decided by what it wrote since the daemon was started, by kind.
    pub conflicts_by: BTreeMap<String, u64>,
    /// Why an after-apply statement failed last, since the daemon was started.
    pub failed_statement: Option<LastError>,
    /// Since the daemon was started.
    pub counts: Option<Counts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SiteState {
    Starting,
    CatchingUp,
    Following,
    Retrying,
    Stopped,
    Paused,
    /// The daemon does not run.
    NotRunning,
}

impl SiteState {
    pub(super) fn in_words(self) -> &'static str {
        match self {
            SiteState::Starting => "starting",
            SiteState::CatchingUp => "catching up",
            SiteState::Following => "following",
            SiteState::Retrying => "retrying",
            SiteState::Stopped => "stopped",
            SiteState::Paused => "paused",
            SiteState::NotRunning => "not running",
        }
    }
}

/// The lag of a site's log, measured by a mark that is written there for this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// From writing the last one that came back until it was captured.
    pub round_trip_us: i64,
    /// When that was.
    pub heard_us: i64,
    /// When the oldest one was written that has not come back.
    pub waiting_since_us: Option<i64>,
}

/// Rows that the site does not have as they should be, by what they wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    pub total: u64,
    /// Of urgent tables.
    pub urgent: u64,
    pub live: u64,
    /// By a copy or a repair.
    pub bulk: u64,
}

/// A table that is being compared with the ledger, or waits for that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scan {
    pub table: String,
    /// `first copy`, `after a gap`, `after a restore`.
    pub why: String,
    /// `waiting`; `reading` the site's rows; `comparing` those that only the ledger has.
    pub phase: String,
    pub rows_read: u64,
    pub rows_estimated: u64,
    /// Of its phase.
    pub percent: u8,
    pub seconds_left: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedTable {
    pub table: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    pub text: String,
    pub at_us: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub captured_changes: u64,
    pub applied_rows: u64,
    pub batches: u64,
    pub conflicts: u64,
    pub connects: u64,
    pub failed_statements: u64,
}

impl Status {
    /// What the ledger alone says. Its tables must be bound.
    pub fn read(ledger: &Ledger, now_us: i64) -> Result<Status> {
        let mut sites = ledger.sites().iter().map(|record| site(ledger, record, now_us)).collect::<Result<Vec<_>>>()?;
        sites.sort_by_key(|site| site.role != "hub");
        let status = Status {
            format: FORMAT,
            running: false,
            at_us: now_us,
            started_us: None,
            seen_us: sites.iter().filter_map(|site| site.seen_us).max(),
            ledger_bytes: ledger.size_bytes(),
            conflicts: ledger.count_conflicts()?,
            quarantined: sites.iter().map(|site| site.quarantined).sum(),
            verified: None,
            news: Vec::new(),
            sites,
        };
        Ok(Status { news: status.bad_news(), ..status })
    }

    /// Lays over it what a running daemon knows of its sites.
    pub fn overlay(&mut self, started_us: i64, figures: &[(String, Figures)], verified: Option<Verification>) {
        (self.running, self.started_us, self.verified) = (true, Some(started_us), verified);
        for site in &mut self.sites {
            if let Some((_, figures)) = figures.iter().find(|(name, _)| *name == site.name) {
                site.overlay(figures);
            }
        }
        self.news = self.bad_news();
    }

    fn bad_news(&self) -> Vec<String> {
        let stopped = (!self.running).then(|| "the daemon is not running".to_owned());
        let verified = self.verified.iter().flat_map(|verified| &verified.tables).filter(|table| table.different > 0).map(|found| {
            let rows = counted(found.different, "row differs", "rows differ");
            format!(
                "{rows} from the ledger at site {}, table {}; `rosterd verify --repair` puts back what the ledger has",
                found.site, found.table
            )
        });
        stopped.into_iter().chain(self.sites.iter().flat_map(SiteStatus::bad_news)).chain(verified).collect()
    }

    /// One line for systemd: `3 sites followed, 0 owed, lag p99 12.0 ms`, or what is wrong.
    pub fn line(&self) -> String {
        let followed = self.sites.iter().filter(|site| site.state == SiteState::Following).count();
        let mut line = match followed == self.sites.len() {
            true => format!("{} followed", counted(followed as u64, "site", "sites")),
            false => {
                let others = self.sites.iter().filter(|site| site.state != SiteState::Following);
                let others: Vec<String> = others.map(|site| format!("{} {}", site.name, site.state_in_words())).collect();
                format!("{followed} of {} sites followed ({})", self.sites.len(), others.join(", "))
            }
        };
        let sum = |of: fn(&SiteStatus) -> u64| self.sites.iter().map(of).sum::<u64>();
        line += &format!(", {} owed", sum(|site| site.owed.total));
        let told = [
            (self.sites.iter().filter(|site| !site.scans.is_empty()).count() as u64, "copying at"),
            (sum(|site| site.stopped_tables.len() as u64), "tables stopped:"),
            (self.quarantined, "rows held back:"),
            (self.verified.as_ref().map_or(0, Verification::different), "rows differ:"),
        ];
        for (count, what) in told.into_iter().filter(|(count, _)| *count > 0) {
            line += &format!(", {what} {count}");
        }
        if let Some(lag_us) = self.sites.iter().filter_map(|site| site.lag_p99_us).max() {
            line += &format!(", lag p99 {}", lag(lag_us));
        }
        line
    }
}

pub(super) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

impl SiteStatus {
    fn bad_news(&self) -> Vec<String> {
        let (mut news, name) = (Vec::new(), &self.name);
        match self.state {
            SiteState::Retrying => news.push(format!("site {name} can't be worked with and is tried again")),
            SiteState::Stopped if self.blown().is_none() => news.push(format!("site {name} waits for somebody to mend it")),
            SiteState::Paused => news.push(format!("site {name} is paused; `rosterd site resume {name}` lets it go on")),
            SiteState::Starting | SiteState::CatchingUp | SiteState::Following | SiteState::Stopped | SiteState::NotRunning => {}
        }
        if let Some(why) = self.blown() {
            news.push(format!(
                "site {name} is stopped, {why}; `rosterd site resume {name} --accept` deletes them everywhere, --reject puts them back"
            ));
        } else if !self.stopped_tables.is_empty() {
            let tables = counted(self.stopped_tables.len() as u64, "table has", "tables have");
            news.push(format!("{tables} stopped at site {name}; see `rosterd site resume --help`"));
        }
        if self.apart > 0 {
            let rows = counted(self.apart, "row of its own stands", "rows of its own stand");
            news.push(format!(
                "at site {name} {rows} apart: another person's key, or a conflict left to you; `rosterd quarantine list` has the names, \
                 `rosterd quarantine resolve` settles it"
            ));
        }
        if self.quarantined > self.apart {
            let rows = counted(self.quarantined - self.apart, "row is", "rows are");
            news.push(format!("{rows} held back from site {name}; see `rosterd quarantine list`"));
        }
        news
    }

    pub(super) fn state_in_words(&self) -> &'static str {
        match self.state {
            SiteState::Stopped if self.blown().is_some() => "stopped by its fuse",
            state => state.in_words(),
        }
    }

    /// Why its fuse has blown, if so.
    pub fn blown(&self) -> Option<&str> {
        self.stopped_tables.iter().map(|stopped| stopped.reason.as_str()).find(|reason| reason.starts_with(fuse::BLOWN))
    }

    fn overlay(&mut self, figures: &Figures) {
        self.state = match figures.state {
            State::Starting => SiteState::Starting,
            State::CatchingUp => SiteState::CatchingUp,
            // Its log is read and acknowledged meanwhile, and nothing is taken from it.
            State::Following if self.blown().is_some() => SiteState::Stopped,
            State::Following => SiteState::Following,
            State::Retrying => SiteState::Retrying,
            State::Stopped => SiteState::Stopped,
            State::Paused => SiteState::Paused,
        };
        self.address = Some(figures.address.clone());
        (self.lag_p50_us, self.lag_p99_us) = (figures.lag_us(50), figures.lag_us(99));
        let waiting_since_us = figures.beating_us;
        self.heartbeat = figures.heartbeat.map(|heartbeat| Heartbeat {
            round_trip_us: heartbeat.round_trip_us,
            heard_us: heartbeat.heard_us,
            waiting_since_us,
        });
        self.last_error = figures.last_error.clone().map(|text| LastError { text, at_us: figures.error_us });
        self.failed_statement = figures.failed_statement.clone().map(|(text, at_us)| LastError { text, at_us });
        let named = |counts: &BTreeMap<&'static str, u64>| counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        (self.errors_by, self.conflicts_by) = (named(&figures.errors), named(&figures.conflicts));
        self.counts = Some(Counts {
            captured_changes: figures.captured_changes,
            applied_rows: figures.applied_rows,
            batches: figures.batches,
            conflicts: figures.conflicts.values().sum(),
            connects: figures.connects,
            failed_statements: figures.failed_statements,
        });
    }
}

fn site(ledger: &Ledger, record: &SiteRecord, now_us: i64) -> Result<SiteStatus> {
    let (mut scans, mut stopped_tables) = (Vec::new(), Vec::new());
    for shared in ledger.tables() {
        let (table, progress) = (shared.table.name.clone(), ledger.progress(record.id, shared.table.id));
        match progress.stopped.clone() {
            Some(reason) => stopped_tables.push(StoppedTable { table, reason }),
            None if progress.phase != Phase::Done => scans.push(scan(table, &progress, ledger.last_row()?, now_us)),
            None => {}
        }
    }
    let mut quarantined_by = BTreeMap::new();
    let quarantined = ledger.count_quarantined(record.id) as u64;
    for kind in QuarantineKind::ALL.into_iter().filter(|_| quarantined > 0) {
        let count = ledger.count_quarantined_as(record.id, kind)?;
        (count > 0).then(|| quarantined_by.insert(kind.name().to_owned(), count));
    }
    Ok(SiteStatus {
        name: record.name.clone(),
        role: if record.hub { "hub" } else { "client" }.into(),
        state: SiteState::NotRunning,
        address: None,
        position: record.position.as_ref().map(|position| position.0.clone()),
        captured_us: record.captured_us,
        seen_us: record.seen_us,
        lag_p50_us: None,
        lag_p99_us: None,
        heartbeat: None,
        owed: owed(ledger, record.id),
        under_way: ledger.under_way(record.id).map_or(0, |under_way| under_way.rows() as u64),
        conflicts_lost: ledger.count_conflicts_lost_by(record.id)?,
        quarantined,
        apart: quarantined_by.get(QuarantineKind::Apart.name()).copied().unwrap_or(0),
        quarantined_by,
        scans,
        stopped_tables,
        last_error: None,
        errors_by: BTreeMap::new(),
        conflicts_by: BTreeMap::new(),
        failed_statement: None,
        counts: None,
    })
}

fn owed(ledger: &Ledger, site: SiteId) -> Owed {
    let count = |lane| ledger.queues(site).map_or(0, |queues| queues.len(lane) as u64);
    let (urgent, live, bulk) = (count(Lane::Urgent), count(Lane::Live), count(Lane::Bulk));
    Owed { total: urgent + live + bulk, urgent, live, bulk }
}

fn scan(table: String, progress: &TableProgress, last_row: i64, now_us: i64) -> Scan {
    let (read, estimated) = (progress.rows_read, progress.rows_estimated.max(progress.rows_read));
    let why = match progress.mode {
        Mode::First => "first copy",
        Mode::Gap => "after a gap",
        Mode::Restored => "after a restore",
        Mode::Accepted => "deletes accepted",
        Mode::PutBack => "deletes rejected",
    };
    let phase = match progress.phase {
        Phase::Waiting => "waiting",
        Phase::Scanning => "reading",
        Phase::Counting | Phase::Sweeping | Phase::Tidying | Phase::Done => "comparing",
    };
    let percent = match progress.phase {
        Phase::Waiting => 0,
        // An estimate is one: a scan that goes on is not complete.
        Phase::Scanning => (read * 100 / estimated.max(1)).min(99) as u8,
        Phase::Counting | Phase::Sweeping => (progress.swept.max(0) * 100 / last_row.max(1)).min(99) as u8,
        Phase::Tidying | Phase::Done => 100,
    };
    let took_us = progress.started_us.map_or(0, |started| (now_us - started).max(0)) as u64;
    let left_us =
        (progress.phase == Phase::Scanning && read > 0).then(|| u128::from(took_us) * u128::from(estimated - read) / u128::from(read));
    Scan {
        table,
        why: why.into(),
        phase: phase.into(),
        rows_read: read,
        rows_estimated: estimated,
        percent,
        seconds_left: left_us.map(|us| (us / 1_000_000) as u64),
    }
}
