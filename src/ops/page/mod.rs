//! The page that the daemon serves: how every site is doing, for a browser, with or without JavaScript.
//!
//! It is told from the same status as `rosterd status`, from counts of what the ledger keeps, and from what the daemon
//! remembers. No row's key or value is in it, and nothing can be changed by it: it shows the commands that do.

mod assets;
mod open;
mod plot;
mod sites;
mod troubles;
mod words;
mod work;

use maud::{DOCTYPE, Markup, html};

use super::process::Process;
use super::readiness;
use super::samples::Samples;
use super::status::{Status, counted};
use super::text::age;
use super::verify::Passing;
use crate::capture::health::Trouble;
use crate::ledger::{self, FuseLimits, Ledger};

pub use assets::{Asset, asset};

/// Conflicts that are looked through for the page, the latest of those that are kept.
const CONFLICTS_MAX: u32 = 1000;

/// Lines at its head, at most.
const NEEDS_MAX: usize = 12;

/// Everything that the page tells.
pub struct Facts {
    pub status: Status,
    pub counted: Counted,
    /// By site, the oldest first.
    pub troubles: Vec<(String, Vec<Trouble>)>,
    pub samples: Samples,
    /// How far the daemon's own verification is, while there is one.
    pub verifying: Option<Vec<Passing>>,
    pub verify_every_s: Option<u64>,
    pub process: Option<Process>,
    /// On the file system of the ledger.
    pub free_bytes: Option<u64>,
}

/// What the ledger has of decisions to make or made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub held_back: Vec<HeldBack>,
    pub conflicts: Vec<Conflicts>,
    /// Names of shared tables, and when their fuses blow.
    pub tables: Vec<(String, FuseLimits)>,
}

/// Rows of one table that are held back from one site for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    pub kind: &'static str,
    pub site: String,
    pub table: String,
    pub count: u64,
    pub since_us: i64,
}

/// Conflicts of one kind about one table, between the same two sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts {
    pub kind: String,
    pub table: String,
    pub winner: String,
    pub loser: String,
    pub count: u64,
    pub last_us: i64,
    pub last_id: i64,
}

impl Counted {
    pub fn read(ledger: &Ledger) -> ledger::Result<Counted> {
        let table = |id| ledger.shared(id).map_or_else(|| "not shared any more".to_owned(), |shared| shared.table.name.clone());
        let held_back = ledger.held_back_groups()?.into_iter().map(|group| HeldBack {
            kind: group.kind.name(),
            site: ledger.site_name(group.site),
            table: table(group.table),
            count: group.count,
            since_us: group.since_us,
        });
        let conflicts = ledger.conflict_groups(CONFLICTS_MAX)?.into_iter().map(|group| Conflicts {
            kind: group.kind,
            table: table(group.table),
            winner: ledger.site_name(group.winner),
            loser: ledger.site_name(group.loser),
            count: group.count,
            last_us: group.last_us,
            last_id: group.last_id,
        });
        let tables = ledger.tables().iter().map(|shared| (shared.table.name.clone(), shared.fuse)).collect();
        Ok(Counted { held_back: held_back.collect(), conflicts: conflicts.collect(), tables })
    }
}

/// The whole document.
pub fn render(facts: &Facts) -> String {
    let (status, verdict) = (&facts.status, verdict(&facts.status));
    let page = html! {
        (DOCTYPE)
        html lang="en" data-assets=(assets::fingerprint()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (verdict.short) " – rosterd" }
                link rel="icon" type="image/svg+xml" href=(assets::path("icon.svg"));
                link rel="stylesheet" href=(assets::path("page.css"));
                script src=(assets::path("page.js")) defer {}
            }
            body {
                a.skip href="#main" { "Skip to what needs you" }
                p #silence.silence role="status" {}
                div #live {
                    (header(status, &verdict))
                    main #main tabindex="-1" {
                        (needs(status))
                        (sites::section(facts))
                        (plot::section(facts))
                        (work::section(facts))
                        (open::held_back(facts))
                        (open::conflicts(facts))
                        (open::fuse(facts))
                        (troubles::section(facts))
                        (daemon(facts))
                    }
                }
                footer {
                    p { "Nothing can be changed on this page; commands are typed where rosterd runs. It is refreshed every few seconds" noscript { ", with JavaScript; without it, reload it" } "." }
                    p { a href="/status.json" { "Status as JSON" } " · " a href="/metrics" { "metrics" } " · " a href="/readyz" { "ready?" } " · " a href="/healthz" { "healthy?" } }
                }
            }
        }
    };
    page.into_string()
}

struct Verdict {
    short: String,
    tone: &'static str,
}

fn verdict(status: &Status) -> Verdict {
    match status.news.len() as u64 {
        0 if readiness::missing(status).is_empty() => Verdict { short: "All is well".into(), tone: "good" },
        0 => Verdict { short: "Not everything is up yet".into(), tone: "doubt" },
        n => Verdict { short: format!("{} a look", counted(n, "thing needs", "things need")), tone: "bad" },
    }
}

fn header(status: &Status, verdict: &Verdict) -> Markup {
    html! {
        header.top {
            h1 { "rosterd" }
            p #verdict.verdict.(verdict.tone) role="status" { (words::symbol(verdict.tone)) (verdict.short) "." }
            p.as-of { "as of " (words::time(status.at_us)) }
        }
    }
}

/// What an operator has to look at; else what has still to come, if anything.
fn needs(status: &Status) -> Markup {
    let missing = readiness::missing(status);
    let (title, tone, lines) = match status.news.is_empty() {
        true => ("Under way", "doubt", &missing),
        false => ("What needs you", "bad", &status.news),
    };
    html! {
        @if !lines.is_empty() {
            section #needs.needs.(tone) aria-labelledby="needs-title" {
                h2 #needs-title { (title) }
                ul {
                    @for line in lines.iter().take(NEEDS_MAX) { li { (words::prose(line)) } }
                    @if lines.len() > NEEDS_MAX { li { "and " (lines.len() - NEEDS_MAX) " more; " code { "rosterd status" } " has them all" } }
                }
            }
        }
    }
}

fn daemon(facts: &Facts) -> Markup {
    let status = &facts.status;
    html! {
        section #daemon.half aria-labelledby="daemon-title" {
            h2 #daemon-title { "The daemon" }
            dl.facts {
                (words::fact("Version", html! { (env!("CARGO_PKG_VERSION")) }))
                @if let Some(started) = status.started_us {
                    (words::fact("Up for", html! { (age(started, status.at_us)) ", since " (words::time(started)) }))
                }
                (words::fact("Shares", html! { (counted(facts.counted.tables.len() as u64, "table", "tables")) " between " (counted(status.sites.len() as u64, "site", "sites")) }))
                (words::fact("Ledger", html! {
                    (bytes(status.ledger_bytes)) ", format " (ledger::FORMAT)
                    @if let Some(free) = facts.free_bytes { ", " (bytes(free)) " free on its disk" }
                }))
                @if let Some(process) = facts.process {
                    (words::fact("Process", html! { (bytes(process.resident_bytes)) " of memory, " (format!("{:.0}", process.cpu_seconds)) " s of processor time" }))
                }
            }
        }
    }
}

/// `46.0 MB`, `1.2 GB`; of 1000 bytes each.
fn bytes(bytes: u64) -> String {
    match bytes {
        ..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests;
