//! The pictures in docs/pictures: of a real roster at work, over as long as is asked for.

use std::time::{Duration, Instant};

use rosterd::ops::admin::Request;
use serde_json::json;

use crate::browser::Browser;
use crate::http::free_port;
use crate::roster::{Engine, Roster, Site};
use crate::servers::{Kind, Server};
use crate::stage::{PERSON, ready, two_people};

/// People write this often.
const TURN: Duration = Duration::from_millis(400);
/// The part of the time in which a site is away, in hundredths of the whole.
const AWAY: std::ops::Range<u128> = 62..68;

/// A small generator: the same work each time.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
#[ignore = "takes an hour: ROSTERD_PICTURES=docs/pictures ROSTERD_PICTURES_MINUTES=60 cargo test --test page pictures -- --ignored --nocapture"]
fn pictures_for_the_documents() {
    let whole = std::env::var("ROSTERD_PICTURES_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let whole = Duration::from_secs(60 * whole);
    let folder = tempfile::Builder::new().prefix("rosterd-roster-").tempdir().expect("a temporary folder");
    let mut away = Server::start(Kind::Postgres18);
    let sites = vec![
        Site::on(Server::shared(Kind::MariaDb118), Engine::MariaDb118, "hub"),
        Site::on(Server::shared(Kind::MariaDb1011), Engine::MariaDb1011, "nj"),
        Site::on(&away, Engine::Postgres18, "ny"),
    ];
    let mut roster = Roster::of(sites, folder);
    roster.share(PERSON, "insert = \"quarantine\"\nfuse_rows = 500\nfuse_percent = 20");
    let port = free_port();
    roster.set(&format!("listen = \"127.0.0.1:{port}\"\nverify_every = \"20m\""));
    let daemon = roster.spawn();
    ready(&roster, port);
    println!("http://127.0.0.1:{port}/");

    let (begun, mut state, mut uid) = (Instant::now(), 7, 1);
    let mut is_away = false;
    while begun.elapsed() < whole {
        let now = begun.elapsed().as_millis() * 100 / whole.as_millis();
        if AWAY.contains(&now) != is_away {
            is_away = !is_away;
            if is_away { away.stop() } else { away.restart() }
        }
        // The work comes in waves, and now and then much comes at once.
        let many = if next(&mut state).is_multiple_of(40) { 60 } else { 1 + next(&mut state) % 4 };
        let site = next(&mut state) % if is_away { 2 } else { 3 };
        let values: Vec<String> = (0..many).map(|n| format!("({}, 'n{}')", (uid + n) * 10 + site, uid + n)).collect();
        uid += many;
        roster.sql(site, &format!("INSERT INTO person VALUES {}", values.join(", ")));
        std::thread::sleep(TURN);
    }
    roster.settle();
    let mut browser = Browser::start();
    browser.open(port, json!({ "width": 1180, "height": 790 }));
    browser.wait("#verdict", "All is well.");
    browser.view("page-light");

    two_people(&roster, 1);
    browser.wait("#verdict", "1 thing needs a look.");
    roster.ask(&Request::Pause { site: "nj".into() }).expect("it is paused");
    away.stop();
    for n in 0..400 {
        roster.sql(0, &format!("INSERT INTO person VALUES ({}, 'n{n}')", (uid + n) * 10));
    }
    browser.wait("#site-ny", "400 changed lately");
    roster.ask(&Request::Resume { site: "nj".into(), accept: None }).expect("it goes on");
    browser.open(port, json!({ "width": 1180, "height": 790, "dark": true }));
    browser.wait("#site-nj", "following");
    browser.view("page-dark");
    away.restart();
    assert!(daemon.stop().success());
}
