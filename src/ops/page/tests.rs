//! The page as a document: what it says of a roster in each state, and that everything in it is escaped.

use super::*;
use crate::capture::health::Spread;
use crate::ops::samples::{KEPT_MAX, Sample};
use crate::ops::status::{Heartbeat, LastError, Owed, Scan, SiteState, SiteStatus, StoppedTable};
use crate::ops::status_text;
use crate::ops::verify::{TableVerification, Verification};

/// 2026-01-31 12:00:00Z.
const NOW_US: i64 = 1_769_860_800_000_000;
const MINUTE_US: i64 = 60_000_000;

fn site(name: &str, role: &str, address: &str) -> SiteStatus {
    SiteStatus {
        role: role.into(),
        address: Some(address.into()),
        position: Some("0-1-200000".into()),
        captured_us: Some(NOW_US - 4_000_000),
        seen_us: Some(NOW_US),
        lag_p50_us: Some(4_200),
        lag_p99_us: Some(31_000),
        heartbeat: Some(Heartbeat { round_trip_us: 3_100, heard_us: NOW_US - 2_000_000, waiting_since_us: None }),
        ..status_text::tests::site(name)
    }
}

/// All is well.
fn fine() -> Facts {
    let sites = vec![
        site("hub", "hub", "MariaDB at db1.example.net:3306, database main_db"),
        site("nj", "client", "MariaDB at db2.example.net:3306, database nj"),
        site("ny", "client", "PostgreSQL at db3.example.net:5432, database ny"),
        site("kiosk", "client", "SQLite at /srv/kiosk/site.db"),
    ];
    let mut samples = Samples::default();
    for (at, site) in sites.iter().enumerate() {
        for n in 0..KEPT_MAX as i64 {
            let wave = 1.0 + (n as f64 / 9.0 + at as f64).sin().abs() * 4.0;
            let median_us = (wave * 1_500.0) as i64 * (at as i64 + 1);
            let lag = (n % 37 != 5).then_some(Spread { median_us, longest_us: median_us * (2 + n % 5) });
            samples
                .add(&site.name, Sample { at_us: NOW_US - (KEPT_MAX as i64 - n) * 15_000_000, state: SiteState::Following, lag, owed: 0 });
        }
    }
    let tables = ["field_data_field_city", "sessions", "users", "users_roles"].map(|name| {
        let limits = if name == "users" { FuseLimits { rows: Some(50), percent: Some(10) } } else { FuseLimits::default() };
        (name.to_owned(), limits)
    });
    let status = Status {
        format: 1,
        running: true,
        at_us: NOW_US,
        started_us: Some(NOW_US - 26 * 60 * MINUTE_US),
        seen_us: Some(NOW_US),
        ledger_bytes: 48_000_000,
        conflicts: 0,
        quarantined: 0,
        verified: None,
        news: Vec::new(),
        sites,
    };
    Facts {
        status,
        counted: Counted { tables: tables.to_vec(), ..Counted::default() },
        troubles: Vec::new(),
        samples,
        verifying: None,
        verify_every_s: None,
        process: Some(Process {
            resident_bytes: 41 << 20,
            virtual_bytes: 0,
            cpu_seconds: 73.2,
            open_fds: 0,
            max_fds: 0,
            start_seconds: 0.0,
        }),
        free_bytes: Some(120 << 30),
    }
}

fn told(mut facts: Facts) -> Facts {
    let verified = facts.status.verified.take();
    facts.status.overlay(facts.status.started_us.unwrap_or(0), &[], verified);
    facts
}

/// A site does not answer, and is owed rows.
fn away() -> Facts {
    let mut facts = fine();
    let ny = &mut facts.status.sites[2];
    (ny.state, ny.owed) = (SiteState::Retrying, Owed { total: 12_480, urgent: 310, live: 12_170, bulk: 0 });
    let text = "site ny: the connection was refused; see that the server at db3.example.net:5432 runs, `rosterd check` tries it";
    ny.last_error = Some(LastError { text: text.into(), at_us: NOW_US - 9_000_000 });
    for n in (0..48).rev() {
        let state = if n < 40 { SiteState::Retrying } else { SiteState::Following };
        facts.samples.add("ny", Sample { at_us: NOW_US - n * 15_000_000, state, lag: None, owed: 12_480 });
    }
    let trouble =
        Trouble { cause: "unreachable", text: text.into(), times: 31, first_us: NOW_US - 10 * MINUTE_US, last_us: NOW_US - 9_000_000 };
    facts.troubles = vec![("hub".into(), Vec::new()), ("ny".into(), vec![trouble])];
    told(facts)
}

/// Two people under one number, a name that is taken, conflicts, a blown fuse, differences found.
fn open_questions() -> Facts {
    let mut facts = fine();
    let nj = &mut facts.status.sites[1];
    (nj.quarantined, nj.apart) = (4, 2);
    let kiosk = &mut facts.status.sites[3];
    let reason = "the fuse has blown: 412 rows were deleted within a minute, more than 50 (table users)";
    kiosk.stopped_tables = ["sessions", "users"].map(|table| StoppedTable { table: table.into(), reason: reason.into() }).into();
    kiosk.state = SiteState::Stopped;
    facts.status.conflicts = 1_312;
    let held = |kind, table: &str, count, minutes| HeldBack {
        kind,
        site: "nj".into(),
        table: table.into(),
        count,
        since_us: NOW_US - minutes * MINUTE_US,
    };
    facts.counted.held_back = vec![held("apart", "users", 2, 190), held("kin", "users_roles", 1, 190), held("unique", "users", 1, 3)];
    let conflict = |kind: &str, table: &str, count, last_id| Conflicts {
        kind: kind.into(),
        table: table.into(),
        winner: "hub".into(),
        loser: "nj".into(),
        count,
        last_us: NOW_US - 3 * MINUTE_US,
        last_id,
    };
    facts.counted.conflicts = vec![
        conflict("update_origin_differs", "users", 961, 1_312),
        conflict("insert_exists", "users", 37, 1_290),
        conflict("delete_origin_differs", "sessions", 2, 1_201),
    ];
    let table =
        TableVerification { site: "ny".into(), table: "users".into(), rows: 48_210, different: 3, open: 2, ..TableVerification::default() };
    facts.status.verified = Some(Verification::new(vec![table], NOW_US - 40 * MINUTE_US, std::time::Duration::from_secs(19)));
    told(facts)
}

/// A first copy, and a verification under way.
fn copying() -> Facts {
    let mut facts = fine();
    let scan = |table: &str, phase: &str, percent: u8| Scan {
        table: table.into(),
        why: "first copy".into(),
        phase: phase.into(),
        rows_read: u64::from(percent) * 4_100,
        rows_estimated: 410_000,
        percent,
        seconds_left: (phase == "reading").then_some(48),
    };
    let ny = &mut facts.status.sites[2];
    ny.scans = vec![scan("users", "comparing", 71), scan("sessions", "reading", 34), scan("field_data_field_city", "waiting", 0)];
    ny.owed = Owed { total: 81_020, urgent: 0, live: 12, bulk: 81_008 };
    for at in [90_i64, 75, 60, 45, 30, 15] {
        facts
            .samples
            .add("ny", Sample { at_us: NOW_US - at * 1_000_000, state: SiteState::Following, lag: None, owed: 81_020 + at as u64 * 900 });
    }
    facts.verifying = Some(vec![Passing { site: "hub".into(), table: "users".into(), rows: 120_000, rows_estimated: 410_000, seconds: 9 }]);
    told(facts)
}

fn has(page: &str, words: &[&str]) {
    for word in words {
        assert!(page.contains(word), "`{word}` is missing in:\n{page}");
    }
}

#[test]
fn a_roster_that_is_well_says_so() {
    let page = render(&told(fine()));
    has(
        &page,
        &[
            "All is well.",
            "<h3 id=\"name-kiosk\">kiosk</h3>",
            "No row is held back",
            "No fuse has blown.",
            "50 rows or 10 % of the table",
            "Up for",
            "26 h",
        ],
    );
    has(&page, &["4.2 ms", "31.0 ms", "<td class=\"number\">", "−45 min", "100 ms"]);
    assert!(!page.contains("What needs you"), "{page}");
    assert!(!page.contains("style=") && !page.contains("<style") && !page.contains("onclick"), "the policy forbids them");
    assert_eq!(page.matches("<script").count(), 1, "and scripts of the document's own");
}

#[test]
fn a_site_that_is_away_has_its_state_and_the_next_step() {
    let page = render(&away());
    has(
        &page,
        &[
            "1 thing needs a look.",
            "What needs you",
            "retrying",
            "12,480",
            "310 urgent, 12,170 changed lately",
            "31 times",
            "Next step",
            "<code>rosterd check</code> tries it now",
        ],
    );
    has(&page, &["It was not followed for about", "url(#hatch-ny)"]);
}

#[test]
fn what_is_left_to_decide_has_its_commands() {
    let page = render(&open_questions());
    has(
        &page,
        &[
            "stopped by its fuse",
            "412 rows were deleted within a minute",
            "rosterd site resume kiosk --reject",
            "rosterd site resume kiosk --accept",
        ],
    );
    has(&page, &["<td class=\"number\">961</td>", "The latest 1,000 of 1,312", "another person", "rosterd conflicts undo NUMBER"]);
    has(&page, &["3 rows differ of 48,210 read", "users at ny: 3 rows differ", "rosterd verify --repair"]);
}

#[test]
fn a_copy_says_how_far_it_is() {
    let page = render(&copying());
    has(
        &page,
        &[
            "Not everything is up yet.",
            "following, copying",
            "reading, 34 %",
            "48 s left",
            "value=\"71\"",
            "81,008 from a copy or repair",
            "At the pace of the last minute",
        ],
    );
    has(&page, &["29 %, 120,000 of about 410,000 rows, 21 s left"]);
}

#[test]
fn everything_is_escaped() {
    let mut facts = away();
    let evil = "<script>alert('x')</script>\"&`<b>`";
    facts.status.sites[1].address = Some(evil.into());
    facts.status.sites[1].stopped_tables = vec![StoppedTable { table: evil.into(), reason: evil.into() }];
    facts.troubles[1].1[0].text = evil.into();
    facts.counted.tables.push((evil.into(), FuseLimits { rows: Some(1), percent: None }));
    facts.counted.held_back = vec![HeldBack { kind: "data", site: evil.into(), table: evil.into(), count: 1, since_us: 0 }];
    let page = render(&told(facts));
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(!page.contains("<b>`") && !page.contains("<code><b></code>"), "{page}");
}

#[test]
fn many_sites_and_samples_are_one_page_of_bounded_size() {
    let mut facts = fine();
    for n in 0..96 {
        facts.status.sites.push(site(&format!("site{n}"), "client", "SQLite"));
        for at in 0..KEPT_MAX as i64 {
            let lag = Some(Spread { median_us: 1_000, longest_us: 9_000_000 });
            let at_us = NOW_US - at * 15_000_000;
            facts.samples.add(&format!("site{n}"), Sample { at_us, state: SiteState::Following, lag, owed: 0 });
        }
    }
    let page = render(&told(facts));
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}

#[test]
#[ignore = "writes pages to look at: cargo test --lib page -- --ignored"]
fn pages_to_look_at() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    for (name, facts) in [("fine", told(fine())), ("away", away()), ("open", open_questions()), ("copying", copying())] {
        std::fs::write(folder.join(format!("{name}.html")), render(&facts)).expect("it can be written");
    }
}
