//! The status as Prometheus reads it: the text exposition format, version 0.0.4.
//!
//! Everything is told anew at each scrape, from the same read model as `rosterd status`. The crate `prometheus-client` would
//! encode it too, but as OpenMetrics only (`_total` outside of the family's name, `# EOF`), which `promtool check metrics` does
//! not read; and it wants counters of its own beside ours. Three line forms are all that is needed here.

use std::fmt::Write;

use super::process::Process;
use super::status::{SiteState, SiteStatus, Status};
use super::verify::{TableVerification, Verification};
use crate::capture::lag::{BOUNDS_S, Histogram};
use crate::ledger::QuarantineKind;
use crate::resolve::ConflictKind;
use crate::sites::Cause;

/// What a scrape tells beside the status.
#[derive(Debug, Default)]
pub struct Beside {
    pub lags: Vec<Lag>,
    pub process: Option<Process>,
    /// Room on the ledger's file system.
    pub free_bytes: Option<u64>,
}

/// How far a site was behind one of the others in one group of tables.
#[derive(Clone, Debug)]
pub struct Lag {
    pub source: String,
    pub site: String,
    pub urgent: bool,
    pub histogram: Histogram,
}

/// One metric of every site: its name without prefix, type, help, and how it is told from the site's status.
type Metric = (&'static str, &'static str, &'static str, fn(&SiteStatus, &Status) -> Option<f64>);

const METRICS: [Metric; 15] = [
    ("site_following", "gauge", "Whether the site is followed (1) or not (0).", |site, _| {
        Some(f64::from(u8::from(site.state == SiteState::Following)))
    }),
    ("under_way_rows", "gauge", "Rows handed to the site whose landing has not been captured.", |site, _| Some(site.under_way as f64)),
    ("stopped_tables", "gauge", "Shared tables that have stopped at the site.", |site, _| Some(site.stopped_tables.len() as f64)),
    ("fuse_blown", "gauge", "Whether the site is stopped because it deleted too much (1) or not (0).", |site, _| {
        Some(f64::from(u8::from(site.blown().is_some())))
    }),
    ("copying_tables", "gauge", "Shared tables of the site that are being copied or compared, or wait for that.", |site, _| {
        Some(site.scans.len() as f64)
    }),
    ("log_position_age_seconds", "gauge", "Time since something of the site's log was captured last.", |site, status| {
        site.seen_us.map(|seen_us| (status.at_us - seen_us).max(0) as f64 / 1e6)
    }),
    ("heartbeat_seconds", "gauge", "Time until the last heartbeat written at the site had come back through its log.", |site, _| {
        site.heartbeat.map(|heartbeat| heartbeat.round_trip_us as f64 / 1e6)
    }),
    ("heartbeat_age_seconds", "gauge", "Time since that.", |site, status| {
        site.heartbeat.map(|heartbeat| (status.at_us - heartbeat.heard_us).max(0) as f64 / 1e6)
    }),
    ("lag_p50_seconds", "gauge", "Median lag from a source's commit to this site's, over the last 1024 rows applied.", |site, _| {
        site.lag_p50_us.map(|us| us as f64 / 1e6)
    }),
    ("lag_p99_seconds", "gauge", "99th percentile of that lag.", |site, _| site.lag_p99_us.map(|us| us as f64 / 1e6)),
    ("captured_changes_total", "counter", "Row changes of applications read from the site's log since the start.", |site, _| {
        site.counts.map(|counts| counts.captured_changes as f64)
    }),
    ("applied_rows_total", "counter", "Rows written to the site since the start.", |site, _| {
        site.counts.map(|counts| counts.applied_rows as f64)
    }),
    ("applied_batches_total", "counter", "Transactions by which they were written.", |site, _| {
        site.counts.map(|counts| counts.batches as f64)
    }),
    ("failed_statements_total", "counter", "After-apply statements that the site refused since the start.", |site, _| {
        site.counts.map(|counts| counts.failed_statements as f64)
    }),
    ("reconnects_total", "counter", "Sessions with the site begun again since the start.", |site, _| {
        site.counts.map(|counts| counts.connects.saturating_sub(1) as f64)
    }),
];

const STATES: [(SiteState, &str); 7] = [
    (SiteState::Starting, "starting"),
    (SiteState::CatchingUp, "catching-up"),
    (SiteState::Following, "following"),
    (SiteState::Retrying, "retrying"),
    (SiteState::Stopped, "stopped"),
    (SiteState::Paused, "paused"),
    (SiteState::NotRunning, "not-running"),
];

/// Errors that are not a site's.
const CAUSES_BESIDE: [&str; 2] = ["ledger", "other"];

/// All metrics, each with its help and type.
pub fn render(status: &Status, beside: &Beside) -> String {
    let mut page = Exposition::default();
    page.one("build_info", "gauge", "What runs.", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    for (name, kind, help, value) in METRICS {
        page.family(name, kind, help);
        for site in &status.sites {
            if let Some(value) = value(site, status) {
                page.sample(name, &[("site", &site.name)], value);
            }
        }
    }
    by_label(&mut page, status);
    lags(&mut page, &beside.lags);
    if let Some(verified) = &status.verified {
        verification(&mut page, verified, status);
    }
    page.one("kept_conflicts", "gauge", "Decided conflicts that are kept.", &[], status.conflicts as f64);
    page.one("ledger_bytes", "gauge", "Size of the ledger.", &[], status.ledger_bytes as f64);
    if let Some(free) = beside.free_bytes {
        page.one("ledger_free_bytes", "gauge", "Room on the file system that the ledger is on.", &[], free as f64);
    }
    if let Some(process) = &beside.process {
        own(&mut page, process);
    }
    page.0
}

/// Figures of a site that are told apart by one more label. Each value that the label can have is there from the start, so that
/// the first increase of a counter is one.
fn by_label(page: &mut Exposition, status: &Status) {
    let mut family = |(name, kind, help): (&str, &str, &str), label: &str, values: &[&str], of: fn(&SiteStatus, &str) -> u64| {
        page.family(name, kind, help);
        for site in &status.sites {
            for value in values {
                page.sample(name, &[("site", &site.name), (label, value)], of(site, value) as f64);
            }
        }
    };
    let states = ("site_state", "gauge", "1 for the state that the site is in.");
    family(states, "state", &STATES.map(|(_, name)| name), |site, value| {
        u64::from(STATES.iter().any(|(state, name)| *state == site.state && *name == value))
    });
    let owed = ("owed_rows", "gauge", "Rows that the site does not have as they should be, by the queue that they wait in.");
    family(owed, "queue", &["urgent", "live", "bulk"], |site, value| match value {
        "urgent" => site.owed.urgent,
        "live" => site.owed.live,
        _ => site.owed.bulk,
    });
    let kinds = QuarantineKind::ALL.map(QuarantineKind::name);
    family(("quarantined_rows", "gauge", "Rows held back from the site."), "kind", &kinds, |site, value| {
        site.quarantined_by.get(value).copied().unwrap_or(0)
    });
    let kinds = ConflictKind::ALL.map(ConflictKind::name);
    family(("conflicts_total", "counter", "Conflicts decided when the site was read, since the start."), "kind", &kinds, |site, value| {
        site.conflicts_by.get(value).copied().unwrap_or(0)
    });
    let causes: Vec<&str> = Cause::ALL.iter().map(|cause| cause.name()).chain(CAUSES_BESIDE).collect();
    family(("errors_total", "counter", "Errors that ended a session with the site, since the start."), "cause", &causes, |site, value| {
        site.errors_by.get(value).copied().unwrap_or(0)
    });
}

fn lags(page: &mut Exposition, lags: &[Lag]) {
    page.family("lag_seconds", "histogram", "Lag of rows from the commit at their source to the commit at the site, since the start.");
    for Lag { source, site, urgent, histogram } in lags {
        let group = if *urgent { "urgent" } else { "other" };
        let labels = [("source", source.as_str()), ("site", site.as_str()), ("group", group)];
        let bounds = BOUNDS_S.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(histogram.cumulative()) {
            let [source, site, group] = labels;
            page.sample("lag_seconds_bucket", &[source, site, group, ("le", &bound)], count as f64);
        }
        page.sample("lag_seconds_sum", &labels, histogram.sum_seconds());
        page.sample("lag_seconds_count", &labels, histogram.count() as f64);
    }
}

fn verification(page: &mut Exposition, verified: &Verification, status: &Status) {
    page.one("verify_timestamp_seconds", "gauge", "When the sites were verified last.", &[], (verified.at_us / 1_000_000) as f64);
    type Figure = (&'static str, &'static str, fn(&TableVerification) -> u64);
    let figures: [Figure; 2] = [
        ("verify_rows", "Rows of the site compared with the ledger then.", |table| table.rows),
        ("verify_different_rows", "Rows of the site that differed from the ledger then.", |table| table.different),
    ];
    for (name, help, figure) in figures {
        page.family(name, "gauge", help);
        for site in &status.sites {
            let rows: u64 = verified.tables.iter().filter(|table| table.site == site.name).map(figure).sum();
            page.sample(name, &[("site", &site.name)], rows as f64);
        }
    }
}

fn own(page: &mut Exposition, process: &Process) {
    let figures: [(&str, &str, &str, f64); 6] = [
        ("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", process.resident_bytes as f64),
        ("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", process.virtual_bytes as f64),
        ("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", process.cpu_seconds),
        ("process_open_fds", "gauge", "Number of open file descriptors.", process.open_fds as f64),
        ("process_max_fds", "gauge", "Maximum number of open file descriptors.", process.max_fds as f64),
        ("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", process.start_seconds),
    ];
    for (name, kind, help, value) in figures {
        let _ = writeln!(page.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
}

#[derive(Default)]
struct Exposition(String);

impl Exposition {
    /// The lines before a metric's samples. Its samples follow before another family begins.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP rosterd_{name} {help}\n# TYPE rosterd_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.0, "rosterd_{name}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if at == 0 { '{' } else { ',' }, escaped(value));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.family(name, kind, help);
        self.sample(name, labels, value);
    }
}

/// A label's value between its quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Exposition::default();
        page.sample("x", &[("a", "b\"c\\d\ne"), ("f", "")], 1.5);
        page.sample("x", &[], 2.0);
        assert_eq!(page.0, "rosterd_x{a=\"b\\\"c\\\\d\\ne\",f=\"\"} 1.5\nrosterd_x 2\n");
    }

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let mut histogram = Histogram::default();
        [1_000, 40_000, 40_000, 200_000_000_000].iter().for_each(|lag_us| histogram.add(*lag_us));
        let mut page = Exposition::default();
        lags(&mut page, &[Lag { source: "nj".into(), site: "ny".into(), urgent: true, histogram }]);
        for line in [
            "rosterd_lag_seconds_bucket{source=\"nj\",site=\"ny\",group=\"urgent\",le=\"0.002\"} 1\n",
            "le=\"0.05\"} 3\n",
            "le=\"86400\"} 3\n",
            "le=\"+Inf\"} 4\n",
            "rosterd_lag_seconds_sum{source=\"nj\",site=\"ny\",group=\"urgent\"} 200000.081\n",
            "rosterd_lag_seconds_count{source=\"nj\",site=\"ny\",group=\"urgent\"} 4\n",
        ] {
            assert!(page.0.contains(line), "`{line}` is missing in:\n{}", page.0);
        }
    }
}
