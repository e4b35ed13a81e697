//! What an operator decides, with a daemon that dies before it answers.

use rosterd::ops::admin::Request;

use crate::roster::Binary;
use crate::stage::Stage;

fn ask(stage: &Stage, request: Request) -> serde_json::Value {
    stage.roster.ask(&request).unwrap_or_else(|error| panic!("{request:?} is refused: {error}"))
}

fn pause(stage: &Stage) {
    ask(stage, Request::Pause { site: stage.site() });
}

fn resume(stage: &Stage) {
    ask(stage, Request::Resume { site: stage.site(), accept: None });
}

fn state(stage: &Stage) -> String {
    ask(stage, Request::Status)["sites"][stage.at]["state"].as_str().expect("a state").to_owned()
}

pub fn paused(stage: &mut Stage) {
    let load = stage.load();
    let site = stage.site();
    stage.die_asked("pause.noted", Request::Pause { site: site.clone() });
    let daemon = stage.up();
    assert_eq!(state(stage), "paused", "after a crash too");
    load.wait_written(30);
    daemon.kill();
    for point in ["resume.deciding", "resume.noted"] {
        stage.die_asked(point, Request::Resume { site: site.clone(), accept: None });
    }
    let daemon = stage.up();
    assert_eq!(state(stage), "following", "after a crash too");
    daemon.kill();
    stage.assert_all_well(load);
}

/// The hub and the site write without having seen each other.
fn at_odds(stage: &Stage, hub: &str, site: &str) -> Binary {
    let daemon = stage.up();
    pause(stage);
    stage.roster.sql(0, hub);
    stage.roster.sql(stage.at, site);
    resume(stage);
    daemon
}

fn value_of(stage: &Stage, at: usize, k: usize) -> Option<String> {
    stage.roster.value(at, &format!("SELECT v FROM memo WHERE k = {k}"))
}

pub fn undone(stage: &mut Stage) {
    let load = stage.load();
    let k = 1;
    let daemon =
        at_odds(stage, &format!("INSERT INTO memo VALUES ({k}, 'the hub')"), &format!("INSERT INTO memo VALUES ({k}, 'the site')"));
    stage.roster.wait("a conflict", || stage.roster.conflicts("memo").is_empty().then(|| "there is none".into()));
    let conflicts = ask(stage, Request::Conflicts { table: Some("memo".into()), limit: 10, values: true });
    let conflict = &conflicts["conflicts"][0];
    let number = conflict["id"].as_i64().expect("a number");
    let lost = conflict["lost"][0]["value"].as_str().expect("a value").to_owned();
    daemon.kill();
    stage.die_anywhere_asked("undo.noted", Request::Undo { number });
    let daemon = stage.up();
    for at in 0..stage.roster.sites.len() {
        let is_back = || value_of(stage, at, k).is_some_and(|value| lost.contains(&value));
        stage.roster.wait("what lost to be everywhere", || (!is_back()).then(|| format!("{:?} and not {lost}", value_of(stage, at, k))));
    }
    assert_eq!(stage.roster.conflicts("memo").len(), 1, "putting it back is no conflict");
    daemon.kill();
    stage.assert_all_well(load);
}

/// Two people under one number: the one of the site stands apart. Gives the name under which the row is held back.
fn stands_apart(stage: &Stage, uid: u32) -> String {
    let person = |whose: &str| format!("INSERT INTO person VALUES ({uid}, 'of the {whose}')");
    let daemon = stage.up();
    pause(stage);
    stage.roster.sql(0, &person("hub"));
    let third = (0..stage.roster.sites.len()).find(|at| *at != 0 && *at != stage.at).expect("three sites");
    stage.roster.wait_value(third, &format!("SELECT name FROM person WHERE uid = {uid}"), "of the hub");
    stage.roster.sql(stage.at, &person("site"));
    resume(stage);
    stage.roster.wait("a row to stand apart", || stage.roster.quarantined().is_empty().then(|| "none is held back".into()));
    let name = held_back_as(stage);
    daemon.kill();
    name
}

fn held_back_as(stage: &Stage) -> String {
    ask(stage, Request::Quarantine)["rows"][0]["name"].as_str().expect("a row is held back").to_owned()
}

fn wait_none_held_back(stage: &Stage) {
    stage.roster.wait("nothing to be held back", || {
        let held = stage.roster.quarantined();
        (!held.is_empty()).then(|| format!("{held:?}"))
    });
}

fn person(stage: &Stage, uid: u32) -> [Option<String>; 2] {
    [0, stage.at].map(|at| stage.roster.value(at, &format!("SELECT name FROM person WHERE uid = {uid}")))
}

/// What the site refuses, and takes when its cause is mended.
fn refusal(stage: &Stage) -> [&'static str; 2] {
    match stage.engine {
        "sqlite" => {
            ["CREATE TRIGGER no BEFORE INSERT ON memo WHEN new.v = 'refused' BEGIN SELECT RAISE(ABORT, 'no'); END", "DROP TRIGGER no"]
        }
        _ => ["ALTER TABLE memo ADD CONSTRAINT no_refused CHECK (v <> 'refused')", "ALTER TABLE memo DROP CONSTRAINT no_refused"],
    }
}

pub fn held_back(stage: &mut Stage) {
    let load = stage.load();
    let [refuse, mend] = refusal(stage);
    stage.roster.sql(stage.at, refuse);
    stage.roster.sql(0, "INSERT INTO memo VALUES (100, 'refused')");
    stage.die("batch.refused");
    let daemon = stage.up();
    stage.roster.wait("a row to be held back", || stage.roster.quarantined().is_empty().then(|| "none is".into()));
    let name = held_back_as(stage);
    daemon.kill();
    stage.roster.sql(stage.at, mend);
    stage.die_anywhere_asked("quarantine.settled", Request::Retry { name });
    let daemon = stage.up();
    stage.roster.wait_value(stage.at, "SELECT v FROM memo WHERE k = 100", "refused");
    daemon.kill();

    let [first, second] = [1000, 1001];
    let name = stands_apart(stage, first);
    let rekey = Request::Rekey { name, to: Some(i64::from(first) + 1000), go: true };
    stage.die_asked("rekey.written", rekey.clone());
    stage.die_asked("rekey.done", rekey);
    let daemon = stage.up();
    wait_none_held_back(stage);
    stage.roster.settle_fences(&[0, 1, 2]);
    let of = |whose: &str| [(); 2].map(|()| Some(format!("of the {whose}")));
    assert_eq!((person(stage, first), person(stage, first + 1000)), (of("hub"), of("site")), "both people have a number of their own");
    daemon.kill();

    let name = stands_apart(stage, second);
    stage.die_anywhere_asked("quarantine.settled", Request::Discard { name });
    let daemon = stage.up();
    wait_none_held_back(stage);
    stage.roster.settle_fences(&[0, 1, 2]);
    assert_eq!(person(stage, second), of("hub"), "the site's own is given up");
    daemon.kill();
    stage.assert_all_well(load);
}

const FUSED_ROWS: u32 = 40;

fn count_fused(stage: &Stage, at: usize) -> Option<String> {
    stage.roster.value(at, "SELECT count(*) FROM fused")
}

fn blow(stage: &Stage) {
    stage.roster.sql(stage.at, "DELETE FROM fused");
}

/// A site deletes too much at once, which the operator accepts, and the next time does not.
pub fn stopped(stage: &mut Stage) {
    let all: Vec<String> = (0..FUSED_ROWS).map(|k| format!("({k}, 0)")).collect();
    let fill = format!("INSERT INTO fused VALUES {}", all.join(", "));
    stage.roster.sql(0, &fill);
    let load = stage.load();
    filled(stage);
    let mut blown = false;
    stage.die_while("capture.stopping", |stage| {
        if !std::mem::replace(&mut blown, true) {
            blow(stage);
        }
    });
    decide(stage, true, &["resume.deciding", "resume.noted"]);
    let daemon = stage.up();
    for at in 0..stage.roster.sites.len() {
        stage.roster.wait("the deletes to be everywhere", || {
            let left = count_fused(stage, at);
            (left.as_deref() != Some("0")).then(|| format!("{left:?} rows are left at {}", stage.roster.sites[at].name))
        });
    }
    daemon.kill();
    stage.assert_all_well(load);

    // What is put back is put back for all that was deleted there meanwhile: nobody else deletes.
    let load = stage.load_elsewhere();
    stage.roster.sql(0, &fill);
    filled(stage);
    blow(stage);
    decide(stage, false, &["resume.deciding", "resume.noted"]);
    let daemon = stage.up();
    stage.roster.wait_value(stage.at, "SELECT count(*) FROM fused", &FUSED_ROWS.to_string());
    assert_eq!(count_fused(stage, 0), Some(FUSED_ROWS.to_string()));
    daemon.kill();
    stage.assert_all_well(load);
}

/// The rows are at the site.
fn filled(stage: &Stage) {
    let daemon = stage.up();
    stage.roster.settle_fences(&[0, 1, 2]);
    assert_eq!(count_fused(stage, stage.at), Some(FUSED_ROWS.to_string()));
    daemon.kill();
}

fn decide(stage: &mut Stage, accept: bool, points: &[&'static str]) {
    let daemon = stage.up();
    stage.roster.wait("the fuse to blow", || stage.roster.stopped(stage.at, "fused").is_none().then(|| "it does not".into()));
    daemon.kill();
    for point in points {
        let site = stage.site();
        stage.die_asked(point, Request::Resume { site, accept: Some(accept) });
    }
}
