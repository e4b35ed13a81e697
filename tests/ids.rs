//! Keys that are numbers which sites give out: `check` proves that they never meet, and rosterd keeps PostgreSQL's sequences so.
//!
//! Servers whose settings are changed are the test's own.

#[path = "support/registration.rs"]
mod registration;
#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Instant;

use registration::{Registered, Registrar};
use roster::Engine::{self, *};
use roster::{ColumnKind::Plain, Roster, Site, Table};
use rosterd::config::Config;
use rosterd::daemon;
use rosterd::model::SiteId;
use rosterd::ops::check::{self, Line, Report};
use servers::{Kind, Server};

/// Numbered by the applications, as Drupal 7 does it.
const USERS: Table = Table::new("users", "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL", &[("uid", Plain), ("name", Plain)]);
/// Numbered by the database.
const ACCOUNT: Table = Table::new("account", "", &[("id", Plain), ("name", Plain)]);

const BY_SEQUENCES: &str = "sequence = \"{sequences}_value_seq\"";
const REGISTRATIONS: usize = 1000;
const WORKERS: usize = 4;

/// A roster on servers of its own, with the tables in place.
fn roster(kinds: &[(Engine, Kind)]) -> (Vec<Server>, Roster) {
    let folder = tempfile::Builder::new().prefix("rosterd-roster-").tempdir().expect("a temporary folder");
    let servers: Vec<Server> = kinds.iter().map(|(_, kind)| Server::start(*kind)).collect();
    let names = roster::names(kinds.len());
    let sites = kinds.iter().zip(&servers).zip(&names).enumerate().map(|(at, (((engine, _), server), name))| {
        let mut site = Site::on(server, *engine, name);
        // As in the settings.php of a site that shares its database.
        site.prefix = if at == 1 { "d7_".into() } else { String::new() };
        site
    });
    let mut roster = Roster::of(sites.collect(), folder);
    roster.share(USERS, BY_SEQUENCES);
    roster.sites.iter().for_each(registration::create_tables);
    roster.share_existing(ACCOUNT, "");
    (servers, roster)
}

/// What `rosterd check` says.
#[track_caller]
fn report(roster: &Roster) -> Report {
    let config = Config::load(&roster.configure()).unwrap_or_else(|error| panic!("{error}"));
    let connect = |(at, site)| daemon::connect(SiteId(at as u16 + 1), site, &config.daemon);
    let connectors = config.sites.iter().enumerate().map(connect).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the system has threads");
    runtime.block_on(check::check(&config, connectors, &roster.state_dir().join("ledger.sqlite"), false))
}

/// Of one site and level, what is said about ids.
fn told<'r>(report: &'r Report, site: usize, level: &str) -> Vec<&'r Line> {
    report.sites[site].findings.iter().filter(|line| line.subject == "ids" && line.level == level).collect()
}

/// Does what `check` says, until it finds no error.
#[track_caller]
fn mend(roster: &Roster) {
    let before = report(roster);
    for (at, site) in roster.sites.iter().enumerate() {
        for line in told(&before, at, "error") {
            let remedy = line.remedy.as_deref().expect("an error has a remedy");
            let statements =
                remedy.lines().map(str::trim).filter(|line| line.starts_with("SET GLOBAL") || line.starts_with("ALTER SEQUENCE"));
            let count = statements.map(|sql| site.sql(sql)).count();
            assert!(count > 0, "nothing to be run in {remedy}");
        }
    }
    let after = report(roster);
    for at in 0..roster.sites.len() {
        assert!(told(&after, at, "error").is_empty(), "{:?}", told(&after, at, "error"));
        assert!(!told(&after, at, "fine").is_empty(), "{:?}", after.sites[at].findings);
    }
}

fn class_of(site: usize) -> i64 {
    site as i64 + 1
}

#[test]
fn a_thousand_registrations_at_mariadb_postgres_and_mariadb() {
    registrations(&[(MariaDb118, Kind::MariaDb118), (Postgres18, Kind::Postgres18), (MariaDb1011, Kind::MariaDb1011)]);
}

#[test]
fn a_thousand_registrations_at_postgres_mysql_and_postgres() {
    registrations(&[(Postgres15, Kind::Postgres15), (MySql97, Kind::MySql97), (Postgres18, Kind::Postgres18)]);
}

fn registrations(kinds: &[(Engine, Kind)]) {
    let (_servers, mut roster) = roster(kinds);
    mend(&roster);
    // People of before, by numbers of any class, at every site, whose sequences don't know of them.
    let before = [(0, 2..42), (1, 1000..1020), (2, 507..527)];
    for (site, uids) in &before {
        let p = &roster.sites[*site].prefix;
        let rows: Vec<String> = uids.clone().map(|uid| format!("({uid}, 'before {uid}')")).collect();
        roster.sql(*site, &format!("INSERT INTO {p}users (uid, name) VALUES {}", rows.join(", ")));
        roster.sql(*site, &format!("INSERT INTO {p}account (id, name) VALUES {}", rows.join(", ")));
    }
    let people: usize = before.iter().map(|(_, uids)| uids.len()).sum();
    roster.start();
    roster.settle_equal();
    let begun = Instant::now();
    let registered = register_everywhere(&roster);
    println!("{} registrations took {:?}", registered.iter().map(Vec::len).sum::<usize>(), begun.elapsed());
    roster.settle_equal();
    println!("all were everywhere after {:?}", begun.elapsed());
    let (mut uids, mut accounts) = (BTreeSet::new(), BTreeSet::new());
    for (site, registered) in registered.iter().enumerate() {
        for Registered { uid, account, restarted } in registered {
            assert!(!restarted, "Drupal found the sequence of {} behind at uid {uid}", roster.sites[site].name);
            assert_eq!((uid % 10, account % 10), (class_of(site), class_of(site)), "numbers of {}", roster.sites[site].name);
            assert!(uids.insert(*uid) && accounts.insert(*account), "uid {uid} or account {account} was given out twice");
        }
    }
    assert_eq!((uids.len(), accounts.len()), (REGISTRATIONS, REGISTRATIONS));
    for site in 0..roster.sites.len() {
        assert_eq!(roster.rows(site, "users").len(), REGISTRATIONS + people);
        assert_eq!(roster.rows(site, "account").len(), REGISTRATIONS + people);
    }
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
    for table in ["users", "account"] {
        assert_eq!(roster.conflicts(table), Vec::<String>::new(), "{table}");
    }
    roster.stop();
}

/// At all sites at once, by several people at each.
fn register_everywhere(roster: &Roster) -> Vec<Vec<Registered>> {
    let (sites, start) = (roster.sites.len(), Arc::new(Barrier::new(roster.sites.len() * WORKERS)));
    let worker = |number: usize| {
        let (site, start) = (roster.sites[number % sites].clone(), start.clone());
        let share = REGISTRATIONS / (sites * WORKERS) + usize::from(number < REGISTRATIONS % (sites * WORKERS));
        std::thread::spawn(move || {
            let mut registrar = Registrar::new(&site);
            start.wait();
            (0..share).map(|n| registrar.register(&format!("{} {number} {n}", site.name))).collect::<Vec<_>>()
        })
    };
    let workers: Vec<_> = (0..sites * WORKERS).map(worker).collect();
    let mut registered: Vec<Vec<Registered>> = (0..sites).map(|_| Vec::new()).collect();
    for (number, worker) in workers.into_iter().enumerate() {
        registered[number % sites].extend(worker.join().expect("everybody can register"));
    }
    registered
}

#[test]
fn check_proves_what_servers_give_out_and_prints_what_mends_it() {
    let server = Server::start(Kind::MariaDb118);
    let folder = tempfile::Builder::new().prefix("rosterd-roster-").tempdir().expect("a temporary folder");
    let names = roster::names(2);
    let sites = vec![Site::on(&server, MariaDb118, &names[0]), Site::create(Postgres15, &names[1], folder.path())];
    let mut roster = Roster::of(sites, folder);
    roster.sites.iter().for_each(registration::create_tables);
    roster.share_existing(ACCOUNT, "");
    roster.share(USERS, "");
    roster.sql(1, "INSERT INTO account (id, name) VALUES (17, 'ann')");

    let wrong = report(&roster);
    let [hub] = told(&wrong, 0, "error")[..] else { panic!("{:#?}", wrong.sites[0].findings) };
    let expected = format!(
        "account: auto_increment_increment = 1, auto_increment_offset = 1, so {} may give out the same numbers; this site's are 1, 11, 21 and so on",
        names[1]
    );
    assert_eq!(hub.text, expected);
    let remedy = hub.remedy.as_deref().unwrap();
    for line in [
        "    auto_increment_increment = 10\n    auto_increment_offset = 1\n",
        "SET GLOBAL auto_increment_increment = 10, GLOBAL auto_increment_offset = 1;\n",
        "keep the old values",
    ] {
        assert!(remedy.contains(line), "{remedy}");
    }
    let [client] = told(&wrong, 1, "error")[..] else { panic!("{:#?}", wrong.sites[1].findings) };
    assert_eq!(client.remedy.as_deref(), Some("ALTER SEQUENCE \"public\".\"account_id_seq\" INCREMENT BY 10 RESTART WITH 22"));
    let [users] = told(&wrong, 0, "warning")[..] else { panic!("{:#?}", wrong.sites[0].findings) };
    assert!(users.text.starts_with("users: nothing at any site is known"), "{}", users.text);

    mend(&roster);
    let fine = report(&roster);
    assert_eq!(
        told(&fine, 1, "fine")[0].text,
        "account: 2, 12, 22 and so on (sequence \"public\".\"account_id_seq\" with INCREMENT BY 10)"
    );
    roster.sql(1, "INSERT INTO account (name) VALUES ('bob')");
    assert_eq!(roster.value(1, "SELECT max(id) FROM account").as_deref(), Some("22"));

    roster.sql(0, "SET GLOBAL auto_increment_offset = 2");
    let equal = report(&roster);
    assert!(told(&equal, 0, "error")[0].text.contains(&format!("auto_increment_offset = 2, so {} may give out", names[1])));
    roster.sql(0, "SET GLOBAL auto_increment_increment = 5");
    assert!(!told(&report(&roster), 0, "error").is_empty(), "12 is in both");
    roster.sql(0, "SET GLOBAL auto_increment_offset = 1");
    let apart = report(&roster);
    assert!(told(&apart, 0, "error").is_empty() && told(&apart, 0, "warning")[0].text.contains("no other site gives out too"));
    // A site that names its class means it.
    roster.sites[0].settings = "ids = { offset = 3 }\n".into();
    roster.sql(0, "SET GLOBAL auto_increment_increment = 1");
    let named = report(&roster);
    assert!(told(&named, 0, "error").iter().any(|line| line.text.contains("users")), "{:#?}", told(&named, 0, "error"));
}

#[test]
fn check_looks_at_sequences_and_privileges() {
    let mut roster = Roster::new(&[Postgres18, Postgres15]);
    roster.sites.iter().for_each(registration::create_tables);
    roster.share_existing(ACCOUNT, "");
    roster.share(USERS, "sequence = \"nowhere_seq\"");
    mend_sequences(&roster);
    roster.sql(0, "ALTER SEQUENCE account_id_seq CACHE 20 RESTART WITH 55");
    let role = format!("limited_{}", roster.sites[1].database());
    roster.sql(1, &format!("CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"));
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let plain = report(&roster);
        roster.sites[1].url = Some(roster.sites[1].url().replace("postgres@", &format!("{role}@")));
        (plain, report(&roster))
    }));
    roster.sql(1, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    let (plain, limited) = found.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let errors = told(&plain, 0, "error");
    assert!(errors.iter().any(|line| line.text == "users: there is no sequence \"public\".\"nowhere_seq\""), "{errors:#?}");
    let warnings = told(&plain, 0, "warning");
    assert!(warnings.iter().any(|line| line.text.contains("has CACHE 20")), "{warnings:#?}");
    assert!(told(&plain, 0, "fine")[0].text.contains("account: 1, 11, 21"), "rosterd brings it back into its class");
    let errors = told(&limited, 1, "error");
    let grant = format!("GRANT SELECT, UPDATE ON SEQUENCE \"public\".\"account_id_seq\" TO \"{role}\"");
    assert!(errors.iter().any(|line| line.remedy.as_deref() == Some(&grant)), "{errors:#?}");
}

fn mend_sequences(roster: &Roster) {
    for site in &roster.sites {
        site.sql("ALTER SEQUENCE account_id_seq INCREMENT BY 10; ALTER SEQUENCE sequences_value_seq INCREMENT BY 10");
    }
}

/// The hub's numbers jump while an application at the client draws: it always gets a number above all that it sees, in its class.
#[test]
fn sequences_move_forward_only_while_applications_draw() {
    let mut roster = Roster::new(&[Postgres15, Postgres18]);
    roster.sites.iter().for_each(registration::create_tables);
    roster.share_existing(ACCOUNT, "");
    mend_sequences(&roster);
    roster.start();
    roster.settle();
    let stop = Arc::new(AtomicBool::new(false));
    let (site, ended) = (roster.sites[1].clone(), stop.clone());
    let drawing = std::thread::spawn(move || {
        let mut session = site.session();
        let mut number = |sql: &str| session.rows(sql)[0][0].clone().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let (mut last, mut count) = (0, 0u32);
        while !ended.load(Ordering::Relaxed) {
            let highest = number("SELECT max(id) FROM account");
            let drawn = number("SELECT nextval('account_id_seq')");
            assert!(drawn > highest && drawn > last && drawn % 10 == 2, "{drawn} after {last}, with {highest} in the table");
            (last, count) = (drawn, count + 1);
        }
        (last, count)
    });
    for id in [51, 5_001, 91_001, 900_001, 5_000_001, 5_000_011, 80_000_001, 2_000_000_001] {
        roster.sql(0, &format!("INSERT INTO account (id, name) VALUES ({id}, 'far')"));
        roster.wait_value(1, &format!("SELECT count(*) FROM account WHERE id = {id}"), "1");
    }
    stop.store(true, Ordering::Relaxed);
    let (last, count) = drawing.join().expect("every number is above the one before");
    assert!(last > 2_000_000_000 && count > 100, "{count} numbers up to {last}");
    roster.stop();
}

#[test]
fn a_sequence_that_an_application_restarts_is_brought_back() {
    let mut roster = Roster::new(&[Postgres18, Postgres15]);
    roster.sites.iter().for_each(registration::create_tables);
    roster.share_existing(ACCOUNT, "");
    roster.share(USERS, BY_SEQUENCES);
    mend_sequences(&roster);
    roster.sql(0, "INSERT INTO users VALUES (41, 'ann')");
    roster.start();
    roster.settle_equal();
    // An administrator's import, behind the sequence's back, makes Drupal restart it.
    roster.sql(1, "INSERT INTO users VALUES (700, 'imported')");
    let first = Registrar::new(&roster.sites[1]).register("bob");
    assert!(first.restarted || first.uid > 700, "{}", first.uid);
    let next = |sequence: &str| format!("SELECT (last_value + CASE WHEN is_called THEN 10 ELSE 0 END) % 10 FROM {sequence}");
    roster.wait_value(1, &next("sequences_value_seq"), "2");
    roster.sql(1, "ALTER SEQUENCE account_id_seq RESTART WITH 777; INSERT INTO account (name) VALUES ('carol')");
    roster.wait_value(1, &next("account_id_seq"), "2");
    let second = Registrar::new(&roster.sites[1]).register("dave");
    assert!(!second.restarted && second.uid > first.uid && second.uid % 10 == 2, "{}", second.uid);
    assert!(second.account > 777 && second.account % 10 == 2, "{}", second.account);
    roster.settle_equal();
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
    roster.stop();
}
