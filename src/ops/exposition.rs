//! The status as Prometheus reads it: the text exposition format, version 0.0.4.

use std::fmt::Write;

use super::status::{SiteState, SiteStatus, Status};
use super::verify::{TableVerification, Verification};

/// One metric of every site: its name without prefix, type, help, and how it is told from the site's status.
type Metric = (&'static str, &'static str, &'static str, fn(&SiteStatus) -> Option<f64>);

const METRICS: [Metric; 11] = [
    ("site_following", "gauge", "Whether the site is followed (1) or not (0).", |site| {
        Some(f64::from(u8::from(site.state == SiteState::Following)))
    }),
    ("owed_rows", "gauge", "Rows that the site does not have as they should be.", |site| Some(site.owed.total as f64)),
    ("under_way_rows", "gauge", "Rows handed to the site whose landing has not been captured.", |site| Some(site.under_way as f64)),
    ("quarantined_rows", "gauge", "Rows held back from the site.", |site| Some(site.quarantined as f64)),
    ("apart_rows", "gauge", "Rows of the site's own that stand apart until somebody decides; quarantined_rows counts them too.", |site| {
        Some(site.apart as f64)
    }),
    ("stopped_tables", "gauge", "Shared tables that have stopped at the site.", |site| Some(site.stopped_tables.len() as f64)),
    ("lag_p50_seconds", "gauge", "Median lag from a source's commit to this site's, over the last rows applied.", |site| {
        site.lag_p50_us.map(|us| us as f64 / 1e6)
    }),
    ("lag_p99_seconds", "gauge", "99th percentile of that lag.", |site| site.lag_p99_us.map(|us| us as f64 / 1e6)),
    ("captured_changes_total", "counter", "Row changes of applications read from the site's log since the start.", |site| {
        site.counts.map(|counts| counts.captured_changes as f64)
    }),
    ("applied_rows_total", "counter", "Rows written to the site since the start.", |site| {
        site.counts.map(|counts| counts.applied_rows as f64)
    }),
    ("failed_statements_total", "counter", "After-apply statements that the site refused since the start.", |site| {
        site.counts.map(|counts| counts.failed_statements as f64)
    }),
];

fn verification(out: &mut String, verified: &Verification, status: &Status) {
    const AT: &str = "rosterd_verify_timestamp_seconds";
    let _ = writeln!(out, "# HELP {AT} When the sites were verified last.\n# TYPE {AT} gauge\n{AT} {}", verified.at_us / 1_000_000);
    type Figure = (&'static str, &'static str, fn(&TableVerification) -> u64);
    let figures: [Figure; 2] = [
        ("verify_rows", "Rows of the site compared with the ledger then.", |table| table.rows),
        ("verify_different_rows", "Rows of the site that differed from the ledger then.", |table| table.different),
    ];
    for (name, help, figure) in figures {
        let _ = writeln!(out, "# HELP rosterd_{name} {help}\n# TYPE rosterd_{name} gauge");
        for site in &status.sites {
            let rows: u64 = verified.tables.iter().filter(|table| table.site == site.name).map(figure).sum();
            let _ = writeln!(out, "rosterd_{name}{{site=\"{}\"}} {rows}", site.name);
        }
    }
}

/// All metrics, each with its help and type.
pub fn render(status: &Status) -> String {
    let mut out = String::new();
    for (name, kind, help, value) in METRICS {
        let _ = writeln!(out, "# HELP rosterd_{name} {help}\n# TYPE rosterd_{name} {kind}");
        for site in &status.sites {
            if let Some(value) = value(site) {
                let _ = writeln!(out, "rosterd_{name}{{site=\"{}\"}} {value}", site.name);
            }
        }
    }
    if let Some(verified) = &status.verified {
        verification(&mut out, verified, status);
    }
    let _ = writeln!(
        out,
        "# HELP rosterd_conflicts Decided conflicts that are kept.\n# TYPE rosterd_conflicts gauge\nrosterd_conflicts {}",
        status.conflicts
    );
    let _ = writeln!(
        out,
        "# HELP rosterd_ledger_bytes Size of the ledger.\n# TYPE rosterd_ledger_bytes gauge\nrosterd_ledger_bytes {}",
        status.ledger_bytes
    );
    out
}
