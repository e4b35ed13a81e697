//! The status as text: a line per site, then what needs a look.

use super::status::{Scan, SiteState, SiteStatus, Status, counted};
use super::text::{Page, Tone, age, grouped, keep, lag, lines, moment, seconds, shortened};

const POSITION_CHARS: usize = 24;
/// A heartbeat that has not come back after this is worth a word.
const LATE_US: i64 = 2_000_000;

/// For a terminal, or for a plain file.
pub fn render(status: &Status, page: Page) -> String {
    let mut out = headline(status);
    let mut table = page.table(&["site", "state", "lag p50/p99", "owed", "under way", "conflicts", "held back", "last commit"]);
    for site in &status.sites {
        let lag_of = |lag_us: Option<i64>| lag_us.map_or_else(|| "-".to_owned(), lag);
        table.add_row([
            page.cell(&site.name, Tone::Plain),
            page.cell(state(site), tone(site)),
            page.cell(format!("{} / {}", lag_of(site.lag_p50_us), lag_of(site.lag_p99_us)), Tone::Plain),
            page.cell(grouped(site.owed.total), if site.owed.total > 0 { Tone::Doubtful } else { Tone::Plain }),
            page.cell(grouped(site.under_way), Tone::Plain),
            page.cell(grouped(site.conflicts_lost), Tone::Plain),
            page.cell(grouped(site.quarantined), if site.quarantined > 0 { Tone::Bad } else { Tone::Plain }),
            page.cell(site.captured_us.map_or_else(|| "-".into(), |us| format!("{} ago", age(us, status.at_us))), Tone::Plain),
        ]);
    }
    keep(&mut table, 3);
    out += &lines(&table);
    for site in &status.sites {
        out += &details(site, status.at_us);
    }
    out.push('\n');
    match status.news.is_empty() {
        true => out += "All is well.\n",
        false => status.news.iter().for_each(|line| out += &format!("! {line}\n")),
    }
    out
}

fn headline(status: &Status) -> String {
    let kept = format!(
        "{} kept, {} held back, ledger {} kB",
        counted(status.conflicts, "conflict", "conflicts"),
        counted(status.quarantined, "row", "rows"),
        grouped(status.ledger_bytes / 1024)
    );
    match (status.started_us, status.seen_us) {
        (Some(started), _) => format!("rosterd runs since {} ({}); {kept}\n\n", moment(started), age(started, status.at_us)),
        (None, Some(seen)) => {
            format!("rosterd is not running; last seen at work {} ({} ago); {kept}\n\n", moment(seen), age(seen, status.at_us))
        }
        (None, None) => format!("rosterd is not running, and has not read any site's log yet; {kept}\n\n"),
    }
}

fn state(site: &SiteStatus) -> String {
    match site.scans.iter().any(|scan| scan.phase != "waiting") && site.state == SiteState::Following {
        true => "copying".into(),
        false if site.state == SiteState::Stopped => "stopped".into(),
        false => site.state_in_words().into(),
    }
}

fn tone(site: &SiteStatus) -> Tone {
    match site.state {
        SiteState::Following => Tone::Good,
        SiteState::Starting | SiteState::CatchingUp | SiteState::Paused => Tone::Doubtful,
        SiteState::Retrying | SiteState::Stopped | SiteState::NotRunning => Tone::Bad,
    }
}

/// How far a scan is: `reading, 60 %, 120,000 of about 200,000 rows, 31 s left`.
pub fn progress(scan: &Scan) -> String {
    let rows = || format!("{} of about {} rows", grouped(scan.rows_read), grouped(scan.rows_estimated));
    match scan.phase.as_str() {
        "waiting" => "waiting".into(),
        "reading" => {
            let left = scan.seconds_left.map_or_else(String::new, |s| format!(", {} left", seconds(s)));
            format!("reading, {} %, {}{left}", scan.percent, rows())
        }
        phase => format!("{phase} with the ledger, {} %", scan.percent),
    }
}

fn details(site: &SiteStatus, now_us: i64) -> String {
    let mut out = format!("\n{} ({})", site.name, site.role);
    if let Some(address) = &site.address {
        out += &format!(": {address}");
    }
    if let Some(position) = &site.position {
        out += &format!(", log at {}", shortened(position, POSITION_CHARS));
    }
    out.push('\n');
    if let Some(heartbeat) = &site.heartbeat {
        out += &format!("  heartbeat {}", lag(heartbeat.round_trip_us));
        let waiting = heartbeat.waiting_since_us.filter(|since| now_us - since > LATE_US);
        out += &match waiting {
            Some(since) => format!(", heard {} ago; one waits since {}\n", age(heartbeat.heard_us, now_us), age(since, now_us)),
            None => format!(", heard {} ago\n", age(heartbeat.heard_us, now_us)),
        };
    }
    for scan in &site.scans {
        out += &format!("  {}, {}: {}\n", scan.table, scan.why, progress(scan));
    }
    for (at, stopped) in site.stopped_tables.iter().enumerate() {
        if site.stopped_tables[..at].iter().any(|earlier| earlier.reason == stopped.reason) {
            continue;
        }
        let alike = site.stopped_tables.iter().filter(|other| other.reason == stopped.reason).map(|other| other.table.as_str());
        out += &format!("  {} stopped: {}\n", alike.collect::<Vec<_>>().join(", "), stopped.reason);
    }
    if let Some(counts) = site.counts.filter(|counts| counts.failed_statements > 0) {
        out += &format!("  {} failed", counted(counts.failed_statements, "after-apply statement", "after-apply statements"));
        if let Some(last) = &site.failed_statement {
            out += &format!("; the last one, {} ago: {}", age(last.at_us, now_us), last.text);
        }
        out.push('\n');
    }
    if let Some(error) = &site.last_error {
        out += &format!("  last error, {} ago: {}\n", age(error.at_us, now_us), error.text);
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ops::status::{Counts, Heartbeat, LastError, Owed, StoppedTable};

    /// A client where all is well.
    pub fn site(name: &str) -> SiteStatus {
        SiteStatus {
            name: name.into(),
            role: "client".into(),
            state: SiteState::Following,
            address: Some(format!("SQLite at /srv/{name}.db")),
            position: Some("12/3456".into()),
            captured_us: Some(1),
            seen_us: Some(60_000_000),
            lag_p50_us: Some(3_200),
            lag_p99_us: Some(21_500),
            heartbeat: Some(Heartbeat { round_trip_us: 3_100, heard_us: 60_500_000, waiting_since_us: None }),
            owed: Owed::default(),
            under_way: 0,
            conflicts_lost: 0,
            quarantined: 0,
            apart: 0,
            quarantined_by: BTreeMap::new(),
            scans: Vec::new(),
            stopped_tables: Vec::new(),
            last_error: None,
            errors_by: BTreeMap::new(),
            conflicts_by: BTreeMap::new(),
            failed_statement: None,
            counts: Some(Counts::default()),
        }
    }

    fn status() -> Status {
        let hub = SiteStatus { role: "hub".into(), ..site("hub") };
        let scan = Scan {
            table: "users".into(),
            why: "first copy".into(),
            phase: "reading".into(),
            rows_read: 120_000,
            rows_estimated: 200_000,
            percent: 60,
            seconds_left: Some(31),
        };
        let nj = SiteStatus { scans: vec![scan], owed: Owed { total: 1234, urgent: 2, live: 0, bulk: 1232 }, ..site("nj") };
        let pa = SiteStatus {
            state: SiteState::Retrying,
            quarantined: 3,
            apart: 2,
            failed_statement: Some(LastError { text: "error 1146 (42S02)".into(), at_us: 51_000_000 }),
            counts: Some(Counts { failed_statements: 4, ..Counts::default() }),
            stopped_tables: vec![StoppedTable { table: "sessions".into(), reason: "its definition does not fit".into() }],
            last_error: Some(LastError { text: "site pa: no answer".into(), at_us: 55_000_000 }),
            ..site("pa")
        };
        let mut status = Status {
            format: 1,
            running: false,
            at_us: 61_000_000,
            started_us: Some(1_000_000),
            seen_us: Some(60_000_000),
            ledger_bytes: 4_194_304,
            conflicts: 3,
            quarantined: 3,
            verified: None,
            news: Vec::new(),
            sites: vec![hub, nj, pa],
        };
        status.overlay(1_000_000, &[], None);
        status
    }

    #[test]
    fn a_page_of_80_columns() {
        let text = render(&status(), Page::PLAIN);
        let expected = "\
rosterd runs since 1970-01-01 00:00:01Z (60 s); 3 conflicts kept, 3 rows held back, ledger 4,096 kB
";
        assert!(text.starts_with(expected), "{text}");
        for line in [
            "  heartbeat 3.1 ms, heard 0 s ago\n",
            "  users, first copy: reading, 60 %, 120,000 of about 200,000 rows, 31 s left\n",
            "  sessions stopped: its definition does not fit\n",
            "  last error, 6 s ago: site pa: no answer\n",
            "  4 after-apply statements failed; the last one, 10 s ago: error 1146 (42S02)\n",
            "! site pa can't be worked with and is tried again\n",
            "! 1 table has stopped at site pa; see `rosterd site resume --help`\n",
            "! 1 row is held back from site pa; see `rosterd quarantine list`\n",
            "! at site pa 2 rows of its own stand apart: another person's key, or a conflict left to you; \
             `rosterd quarantine list` has the names, `rosterd quarantine resolve` settles it\n",
        ] {
            assert!(text.contains(line), "`{line}` is missing in:\n{text}");
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("nj  ")).count(), 1, "a site has one line:\n{text}");
        assert!(text.lines().skip(1).filter(|line| !line.starts_with('!')).all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn the_shape_of_the_json_is_fixed() {
        let json = serde_json::to_value(status()).unwrap();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(keys(&json), "at_us conflicts ledger_bytes news quarantined running seen_us sites started_us version");
        assert_eq!(
            keys(&json["sites"][1]),
            "address apart captured_us conflicts_by conflicts_lost counts errors_by failed_statement heartbeat lag_p50_us lag_p99_us \
             last_error name owed position quarantined quarantined_by role scans seen_us state stopped_tables under_way"
        );
        assert_eq!(keys(&json["sites"][1]["heartbeat"]), "heard_us round_trip_us waiting_since_us");
        assert_eq!(keys(&json["sites"][1]["owed"]), "bulk live total urgent");
        assert_eq!(keys(&json["sites"][1]["scans"][0]), "percent phase rows_estimated rows_read seconds_left table why");
        assert_eq!(json["sites"][2]["state"], "retrying");
        assert_eq!(serde_json::from_value::<Status>(json).unwrap(), status());
    }

    #[test]
    fn one_line_for_systemd() {
        assert_eq!(
            status().line(),
            "2 of 3 sites followed (pa retrying), 1234 owed, copying at 1, tables stopped: 1, rows held back: 3, lag p99 21.5 ms"
        );
    }
}
