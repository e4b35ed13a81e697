//! What people see in a browser: in each state, as it changes, on small screens, in the dark, without JavaScript, with a screen reader.

use rosterd::ops::admin::Request;
use serde_json::json;

use crate::browser::Browser;
use crate::http::{free_port, get};
use crate::roster::Engine::{MariaDb118, Postgres18, Sqlite};
use crate::roster::Roster;
use crate::stage::{NAME, PERSON, TOKEN, ready, start, two_people, write_token};

/// Every way of looking at the page as it is now.
#[track_caller]
fn look(browser: &mut Browser, port: u16, name: &str, words: &[(&str, &str)]) {
    for (width, dark, scripts) in [(1280, false, true), (1280, true, true), (360, false, true), (360, true, false)] {
        browser.open(port, json!({ "width": width, "dark": dark, "scripts": scripts }));
        for (selector, word) in words {
            browser.wait(selector, word);
        }
        browser.assert_fits();
        if scripts {
            browser.assert_accessible();
        }
        browser.assert_silent();
        browser.picture(&format!("{name}-{width}-{}", if dark { "dark" } else { "light" }));
    }
    browser.open(port, json!({}));
}

#[test]
fn each_state_can_be_read_by_everybody() {
    let (roster, port, daemon) = start(&[MariaDb118, Postgres18, Sqlite], "");
    ready(&roster, port);
    let names: Vec<String> = roster.sites.iter().map(|site| site.name.clone()).collect();
    let site = |at: usize| format!("#site-{}", names[at]);
    for uid in 0..20 {
        roster.sql(uid % 3, &format!("INSERT INTO person VALUES ({uid}, 'n{uid}')"));
    }
    roster.settle();
    let mut browser = Browser::start();
    look(
        &mut browser,
        port,
        "fine",
        &[("#verdict", "All is well."), (&site(0), "MariaDB"), (&site(1), "PostgreSQL"), (&site(2), "following")],
    );
    browser.open(port, json!({ "dark": true }));
    let dark = browser.run("getComputedStyle(document.body).backgroundColor");
    browser.open(port, json!({}));
    assert_ne!(browser.run("getComputedStyle(document.body).backgroundColor"), dark, "it follows the system's colours");
    browser.press("Tab");
    assert_eq!(browser.run("document.activeElement.className"), "skip", "the first key leads past the heading");

    // A site's database is away, and people write elsewhere.
    let file = std::path::PathBuf::from(roster.sites[2].database());
    let aside = file.with_extension("aside");
    roster.ask(&Request::Pause { site: names[2].clone() }).expect("it is paused");
    std::fs::rename(&file, &aside).expect("it can be moved");
    roster.ask(&Request::Resume { site: names[2].clone(), accept: None }).expect("it goes on");
    for uid in 100..140 {
        roster.sql(0, &format!("INSERT INTO person VALUES ({uid}, 'n{uid}')"));
    }
    browser.wait(&site(2), "retrying");
    browser.wait(&site(2), "40 changed lately");
    look(
        &mut browser,
        port,
        "away",
        &[("#verdict", "1 thing needs a look."), (&site(2), "retrying"), (".troubles", "Next step"), (".needs", &names[2])],
    );
    std::fs::rename(&aside, &file).expect("it can be moved");
    browser.wait("#verdict", "All is well.");

    // Two people under one number; and a site that deletes too much.
    two_people(&roster, 1);
    browser.wait("#verdict", "1 thing needs a look.");
    roster.sql(2, "DELETE FROM person WHERE uid < 140");
    browser.wait(&site(2), "stopped by its fuse");
    look(
        &mut browser,
        port,
        "open",
        &[
            ("#held-caption", "Rows that wait"),
            (".kinds", "another person"),
            ("main", &format!("rosterd site resume {} --reject", names[2])),
        ],
    );
    assert!(!browser.text("body").contains(NAME), "no values");
    assert!(daemon.stop().success());
}

#[test]
fn the_page_changes_by_itself_and_disturbs_nobody() {
    let (roster, port, daemon) = start(&[Sqlite, Sqlite], "");
    ready(&roster, port);
    let nj = roster.sites[1].name.clone();
    let mut browser = Browser::start();
    browser.open(port, json!({ "height": 300 }));
    browser.wait("#verdict", "All is well.");
    // The window is this one as long as it has this; a reader is at the table, and has gone down to it.
    browser.run("window.kept = 'yes'; document.querySelector('summary').focus(); document.querySelector('summary').scrollIntoView(); 0");
    browser.press("Enter");
    let at = browser.run("[document.querySelector('#lag-table').open, document.activeElement.nodeName, scrollY > 0].join(' ')");
    assert_eq!(at, "true SUMMARY true");
    // While nothing changes, nothing is said: not even once in ten refreshes.
    browser.run(
        "window.said = 0; for (const spoken of document.querySelectorAll('[role=status]')) \
         new MutationObserver(() => window.said++).observe(spoken, { childList: true, characterData: true, subtree: true, attributes: true }); \
         window.seen = new Set(); new MutationObserver(() => window.seen.add(document.querySelector('.as-of').innerText)) \
         .observe(document.querySelector('.as-of'), { childList: true, characterData: true, subtree: true }); 0",
    );
    roster.wait("two refreshes", || {
        let seen = browser.run("window.seen.size");
        (seen.as_u64() < Some(2)).then(|| seen.to_string())
    });
    assert_eq!(browser.run("window.said"), 0, "a screen reader would have read something aloud");

    roster.ask(&Request::Pause { site: nj.clone() }).expect("it is paused");
    browser.wait(&format!("#site-{nj}"), "paused");
    browser.wait("#verdict", "1 thing needs a look.");
    browser.wait(".needs", &format!("rosterd site resume {nj}"));
    roster.sql(0, "INSERT INTO person VALUES (7, 'ann')");
    browser.wait(&format!("#site-{nj}"), "1 changed lately");
    roster.ask(&Request::Resume { site: nj.clone(), accept: None }).expect("it goes on");
    browser.wait("#verdict", "All is well.");
    browser.wait(&format!("#site-{nj}"), "following");
    assert_eq!(browser.run("window.said > 0 && window.said < 20"), true, "each change was said");
    let still = browser.run("[document.querySelector('#lag-table').open, document.activeElement.nodeName, scrollY > 0].join(' ')");
    assert_eq!((browser.run("window.kept"), still), (json!("yes"), at), "nothing was loaded anew, moved or closed");
    browser.assert_silent();
    assert_eq!(browser.run("document.title"), "All is well – rosterd");

    // The daemon ends: it is said since when, what was known stays, and it goes on with the next daemon.
    assert!(daemon.stop().success());
    browser.wait("#silence", "has not answered since");
    assert!(browser.text("main").contains(&nj));
    browser.assert_accessible();
    browser.picture("silent-1280-light");
    let daemon = roster.spawn();
    ready(&roster, port);
    browser.wait("body:not(.silent)", "All is well.");
    assert_eq!(browser.text("#silence"), "");
    assert!(daemon.stop().success());
}

/// The browser would have told: what the other tests find nothing of is found here.
#[test]
fn what_is_wrong_is_noticed() {
    let (roster, port, daemon) = start(&[Sqlite, Sqlite], "");
    ready(&roster, port);
    let mut browser = Browser::start();
    for (wrong, words) in [
        ("console.error('a mistake')", "a mistake"),
        ("setTimeout(() => nothing())", "nothing is not defined"),
        ("document.body.setAttribute('style', 'color: red')", "Content Security Policy"),
        ("document.body.innerHTML = '<img src=https://db1.example.net/x.png>'", "Content Security Policy"),
        ("document.head.append(Object.assign(document.createElement('script'), { text: 'window.ran = 1' }))", "Content Security Policy"),
    ] {
        browser.open(port, json!({}));
        browser.run(&format!("{wrong}; 0"));
        roster.wait(wrong, || {
            let said = browser.said().to_string();
            (!said.contains(words)).then_some(said)
        });
        assert_eq!(browser.run("typeof window.ran"), "undefined", "the policy holds");
    }
    browser.open(port, json!({ "width": 360 }));
    browser.run("document.body.append(document.createElement('img'), Object.assign(document.createElement('pre'), { textContent: 'x'.repeat(99) })); 0");
    assert!(browser.violations().to_string().contains("image-alt"));
    assert_eq!(browser.run("document.documentElement.scrollWidth > document.documentElement.clientWidth"), true);
    assert!(daemon.stop().success());
}

#[test]
fn a_copy_and_a_verification_are_followed() {
    let mut roster = Roster::new(&[Sqlite, Sqlite]);
    roster.share(PERSON, "");
    let port = free_port();
    roster.set(&format!("listen = \"127.0.0.1:{port}\"\nverify_every = \"1s\"\ncopy_rows_per_second_max = 60\nverify_rows_per_second_max = 300\nchunk_rows_max = 50"));
    let values: Vec<String> = (0..3000).map(|uid| format!("({uid}, 'n{uid}')")).collect();
    roster.sql(0, &format!("INSERT INTO person VALUES {}", values.join(", ")));
    let daemon = roster.spawn();
    roster.wait("the page", || get(port, "/").is_none().then(|| "nobody answers".into()));
    let mut browser = Browser::start();
    browser.open(port, json!({}));
    browser.wait("#verdict", "Not everything is up yet.");
    browser.wait("table:has(#scans-caption)", "of about 3,000 rows");
    let first = browser.run("document.querySelector('progress').value").as_u64().expect("it is a number");
    roster.wait("the bar to grow", || {
        let now = browser.run("document.querySelector('progress')?.value ?? 100").as_u64();
        (now <= Some(first)).then(|| format!("{now:?}"))
    });
    look(&mut browser, port, "copying", &[("main", "first copy")]);
    browser.open(port, json!({}));
    browser.wait("main", "The sites are being compared with the ledger now.");
    browser.wait("main", "The last one ended");
    browser.assert_accessible();
    browser.assert_silent();
    assert!(daemon.stop().success());
}

#[test]
fn a_browser_shows_the_token_by_itself() {
    let mut roster = Roster::new(&[Sqlite, Sqlite]);
    let port = free_port();
    roster.set(&format!("listen = \"127.0.0.1:{port}\"\nlisten_token_file = \"listen.token\""));
    write_token(&roster, &format!("{TOKEN}\n"), 0o600);
    let daemon = roster.spawn();
    ready(&roster, port);
    let mut browser = Browser::start();
    browser.open(port, json!({ "password": TOKEN }));
    roster.ask(&Request::Pause { site: roster.sites[1].name.clone() }).expect("it is paused");
    browser.wait("#verdict", "1 thing needs a look.");
    browser.assert_silent();
    assert!(daemon.stop().success());
}
