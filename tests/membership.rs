//! A membership database with other names of tables and columns is the hub of Drupal sites, as docs/membership.md has it: members are
//! users there, what Drupal needs beside is filled, roles have numbers, and profiles are edited on both sides.

#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

use std::sync::Arc;

use roster::Engine::{self, *};
use roster::{ColumnKind::Plain, Roster, Site, Table};
use rosterd::config::Config;
use rosterd::daemon::connect;
use rosterd::model::SiteId;
use rosterd::ops::check::{self, Report};

/// As the roster has them; each site has its own.
const USERS: Table = Table::new("users", "", &[("uid", Plain)]);
const ROLES: Table = Table::new("users_roles", "", &[("uid", Plain), ("role", Plain)]);

const HUB: &str = r#"
[site.table.users]
name = "members"
columns = { uid = "member_no", name = "login", mail = "email", realname = "display_name", expires = "expires_on" }
constants = { kind = "person" }

[site.table.users_roles]
name = "member_roles"
columns = { uid = "member_no" }
"#;

const LACKS: &str = "\n[site.table.users]\nlacks = [\"realname\", \"expires\"]\n";
const DEFAULTS: &str =
    "defaults = { pass = \"!\", theme = \"\", signature = \"\", created = 0, status = 1, language = \"\", init = \"\" }\n";
const VALUES: &str = "\n[site.table.users_roles]\ncolumns = { role = \"rid\" }\nvalues = { role = { editor = 3, administrator = 4 } }\n";

/// A second Drupal with the names of people in a column of its own.
const OTHER: &str = r#"
[site.table.users]
lacks = ["expires"]
columns = { realname = "full_name" }
defaults = { pass = "!", theme = "", signature = "", created = 0, status = 1, language = "", init = "" }

[site.table.users_roles]
columns = { role = "rid" }
values = { role = { editor = 30, administrator = 40, treasurer = 50 } }
"#;

const USERS_RULE: &str = "exclude = [\"notes\"]\n\
                          filter = \"uid > 1 AND expires > '2026-01-01'\"\n\
                          direction = { default = \"from-hub\", mail = \"both\", realname = \"both\" }";
const ROLES_RULE: &str = "filter = \"uid > 1\"";

const MEMBERS: &str = "CREATE TABLE members (member_no INT PRIMARY KEY, login VARCHAR(60) NOT NULL UNIQUE, email VARCHAR(254),
    display_name VARCHAR(255) NOT NULL, expires_on DATE, kind VARCHAR(20) NOT NULL, notes VARCHAR(200), UNIQUE (kind, display_name));
  CREATE TABLE member_roles (member_no INT NOT NULL, role VARCHAR(40) NOT NULL, PRIMARY KEY (member_no, role));
  INSERT INTO members VALUES (1, 'office', 'office@x', 'Office', '2030-12-31', 'person', NULL),
    (10, 'ann', 'ann@x', 'Ann A.', '2030-12-31', 'person', 'hub only'), (11, 'bob', NULL, 'Bob B.', '2020-12-31', 'person', NULL),
    (12, 'acme', 'acme@x', 'Acme Ltd.', '2030-12-31', 'organisation', NULL), (13, 'cid', 'cid@x', 'Cid C.', '2030-12-31', 'person', NULL);
  INSERT INTO member_roles VALUES (1, 'administrator'), (10, 'editor'), (13, 'treasurer')";

/// Drupal 7's tables, as far as they matter.
fn drupal(engine: Engine, more: &str) -> String {
    let (small, blob) = if engine.is_postgres() { ("SMALLINT", "BYTEA") } else { ("TINYINT", "LONGBLOB") };
    let unsigned = if engine.is_mysql_family() { "INT UNSIGNED" } else { "BIGINT" };
    format!(
        "CREATE TABLE users (uid {unsigned} PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE, pass VARCHAR(128) NOT NULL, mail VARCHAR(254),
            theme VARCHAR(255) NOT NULL, signature VARCHAR(255) NOT NULL, created INT NOT NULL, access INT NOT NULL DEFAULT 0,
            status {small} NOT NULL, timezone VARCHAR(32), language VARCHAR(12) NOT NULL, init VARCHAR(254) NOT NULL, data {blob}{more});
         CREATE TABLE users_roles (uid {unsigned} NOT NULL, rid {unsigned} NOT NULL, PRIMARY KEY (uid, rid));
         INSERT INTO users (uid, name, pass, theme, signature, created, status, language, init)
            VALUES (0, '', '', '', '', 0, 0, '', ''), (1, 'root', 'secret', '', '', 7, 1, '', '');
         INSERT INTO users_roles VALUES (0, 98), (0, 99), (1, 4), (5, 99), (900, 98)"
    )
}

fn membership(hub: Engine, first: Engine, second: Engine, users_rule: &str) -> Roster {
    let folder = tempfile::Builder::new().prefix("rosterd-roster-").tempdir().unwrap();
    let sections = [HUB.to_owned(), format!("{LACKS}{DEFAULTS}{VALUES}"), OTHER.to_owned()];
    let sites = [hub, first, second].into_iter().zip(roster::names(3)).zip(sections);
    let sites: Vec<Site> =
        sites.map(|((engine, name), sections)| Site { sections, ..Site::create(engine, &name, folder.path()) }).collect();
    sites[0].sql(MEMBERS);
    sites[1].sql(&drupal(first, ""));
    sites[2].sql(&drupal(second, ", full_name VARCHAR(255) NOT NULL DEFAULT ''"));
    let mut roster = Roster::of(sites, folder);
    // Rows that are not shared fill whole chunks.
    roster.set("chunk_rows_max = 1");
    roster.share_existing(USERS, users_rule);
    roster.share_existing(ROLES, ROLES_RULE);
    roster
}

#[test]
fn members_in_mariadb_are_users_in_postgres_and_mariadb() {
    members_are_users(MariaDb1011, Postgres15, MariaDb118);
}

#[test]
fn members_in_postgres_are_users_in_mariadb_and_sqlite() {
    members_are_users(Postgres18, MariaDb1011, Sqlite);
}

#[test]
fn members_in_sqlite_are_users_in_postgres_and_mysql() {
    members_are_users(Sqlite, Postgres18, MySql97);
}

fn members_are_users(hub: Engine, first: Engine, second: Engine) {
    let mut roster = membership(hub, first, second, USERS_RULE);
    roster.start();
    roster.settle();
    let names = "SELECT uid FROM users ORDER BY uid";
    expect(&roster, 1, names, "0 1 10 13");
    expect(&roster, 2, names, "0 1 10 13");
    expect(&roster, 1, "SELECT name, mail, pass, created, status, language FROM users WHERE uid = 10", "ann ann@x ! 0 1 ''");
    expect(&roster, 2, "SELECT name, full_name FROM users WHERE uid = 13", "cid Cid C.");
    expect(&roster, 1, "SELECT uid, rid FROM users_roles ORDER BY uid, rid", "0 98 0 99 1 4 5 99 10 3 900 98");
    expect(&roster, 2, "SELECT uid, rid FROM users_roles ORDER BY uid, rid", "0 98 0 99 1 4 5 99 10 30 13 50 900 98");
    profiles(&roster);
    memberships(&roster);
    roles(&roster);
    expect(&roster, 0, "SELECT count(*) FROM members", "5");
    expect(&roster, 0, "SELECT notes FROM members WHERE member_no = 10", "hub only");
    expect(&roster, 1, "SELECT name, pass FROM users WHERE uid = 1", "root secret");
    verified(&roster);
    roster.stop();
}

/// `rosterd verify` finds every site as the ledger says, rows that are not shared left out.
fn verified(roster: &Roster) {
    let mut verify = std::process::Command::new(env!("CARGO_BIN_EXE_rosterd"));
    let output = verify.arg("verify").arg("--config").arg(roster.folder().join("rosterd.toml")).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
}

/// All of a query's values in one line.
fn expect(roster: &Roster, site: usize, sql: &str, expected: &str) {
    let mut session = roster.sites[site].session();
    roster.wait(&format!("{sql} at {}", roster.sites[site].name), || {
        let cell = |cell: Option<String>| cell.map_or("NULL".into(), |text| if text.is_empty() { "''".into() } else { text });
        let found: Vec<String> = session.rows(sql).into_iter().flatten().map(cell).collect();
        (found.join(" ") != expected).then(|| format!("it is {:?}, not {expected:?}", found.join(" ")))
    });
}

/// Edits on both sides; names and what the office decides come from the hub.
fn profiles(roster: &Roster) {
    roster.sql(1, "UPDATE users SET mail = 'ann@new', theme = 'dark' WHERE uid = 10");
    expect(roster, 0, "SELECT email, display_name FROM members WHERE member_no = 10", "ann@new Ann A.");
    expect(roster, 2, "SELECT mail, theme FROM users WHERE uid = 10", "ann@new ''");
    roster.sql(0, "UPDATE members SET email = 'cid@new', display_name = 'Cid D.' WHERE member_no = 13");
    expect(roster, 1, "SELECT mail FROM users WHERE uid = 13", "cid@new");
    expect(roster, 2, "SELECT mail, full_name FROM users WHERE uid = 13", "cid@new Cid D.");
    roster.sql(2, "UPDATE users SET full_name = 'Cid E.' WHERE uid = 13");
    expect(roster, 0, "SELECT display_name FROM members WHERE member_no = 13", "Cid E.");
    roster.sql(1, "UPDATE users SET name = 'mallory' WHERE uid = 13");
    expect(roster, 1, "SELECT name FROM users WHERE uid = 13", "cid");
    roster.settle();
    expect(roster, 0, "SELECT login FROM members WHERE member_no = 13", "cid");
}

/// Members come with their membership and go with it, and so do rows of another kind.
fn memberships(roster: &Roster) {
    roster.sql(0, "UPDATE members SET expires_on = '2031-12-31' WHERE member_no = 11");
    for at in [1, 2] {
        expect(roster, at, "SELECT name, mail, status FROM users WHERE uid = 11", "bob NULL 1");
    }
    roster.sql(0, "UPDATE members SET expires_on = '2025-12-31' WHERE member_no = 11");
    roster.sql(0, "UPDATE members SET kind = 'organisation' WHERE member_no = 13");
    for at in [1, 2] {
        expect(roster, at, "SELECT uid FROM users ORDER BY uid", "0 1 10");
    }
    roster.sql(0, "UPDATE members SET kind = 'person' WHERE member_no IN (12, 13)");
    for at in [1, 2] {
        expect(roster, at, "SELECT name FROM users WHERE uid > 1 ORDER BY uid", "ann acme cid");
    }
    roster.sql(
        0,
        "DELETE FROM members WHERE member_no = 12; INSERT INTO members VALUES (14, 'dee', 'dee@x', 'Dee D.', '2030-12-31', 'person', NULL)",
    );
    for at in [1, 2] {
        expect(roster, at, "SELECT name FROM users WHERE uid > 1 ORDER BY uid", "ann cid dee");
    }
    // Whoever registers at Drupal is its own.
    roster.sql(1, "INSERT INTO users VALUES (900, 'guest', 'p', 'g@x', '', '', 1, 1, 1, NULL, '', '', NULL)");
    roster.settle();
    expect(roster, 0, "SELECT count(*) FROM members WHERE member_no = 900", "0");
    expect(roster, 1, "SELECT name FROM users WHERE uid = 900", "guest");
}

/// Roles by name and by number; what has no entry stays where it is.
fn roles(roster: &Roster) {
    roster.sql(0, "INSERT INTO member_roles VALUES (14, 'editor')");
    expect(roster, 1, "SELECT rid FROM users_roles WHERE uid = 14", "3");
    expect(roster, 2, "SELECT rid FROM users_roles WHERE uid = 14", "30");
    roster.sql(2, "INSERT INTO users_roles VALUES (14, 40), (14, 99); DELETE FROM users_roles WHERE uid = 14 AND rid = 30");
    expect(roster, 0, "SELECT role FROM member_roles WHERE member_no = 14", "administrator");
    expect(roster, 1, "SELECT rid FROM users_roles WHERE uid = 14", "4");
    // An unmapped number becomes a mapped one, and back.
    roster.sql(2, "UPDATE users_roles SET rid = 30 WHERE uid = 14 AND rid = 99");
    expect(roster, 0, "SELECT role FROM member_roles WHERE member_no = 14 ORDER BY role", "administrator editor");
    roster.sql(2, "UPDATE users_roles SET rid = 99 WHERE uid = 14 AND rid = 30");
    expect(roster, 0, "SELECT role FROM member_roles WHERE member_no = 14 ORDER BY role", "administrator");
    roster.settle();
    expect(roster, 2, "SELECT rid FROM users_roles WHERE uid = 14 ORDER BY rid", "40 99");
    // The first site has no number for a treasurer: held back there by name, and nowhere else.
    let held = roster.quarantined();
    let [[site, table, kind, reason]] = &held[..] else { panic!("held back: {held:?}") };
    assert_eq!((site, table.as_str(), kind.as_str()), (&roster.sites[1].name, "users_roles", "value"));
    assert!(reason.contains("rid") && reason.contains("no entry") && !reason.contains("treasurer"), "{reason}");
}

fn checked(roster: &Roster) -> Report {
    let config = Config::load(&roster.configure()).expect("it is valid");
    let site = |(at, site)| connect(SiteId(at as u16 + 1), site, &config.daemon);
    let sites: Vec<Arc<dyn rosterd::sites::Site>> = config.sites.iter().enumerate().map(site).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(check::check(&config, sites, &roster.folder().join("none"), false))
}

/// What is said at level error of tables at a site.
fn errors(report: &Report, site: usize) -> Vec<(String, String)> {
    let findings = report.sites[site].findings.iter().filter(|line| line.level == "error" && line.subject.starts_with("table "));
    findings.map(|line| (line.text.clone(), line.remedy.clone().unwrap_or_default())).collect()
}

#[test]
fn check_gives_the_line_that_mends() {
    let mut roster = membership(Sqlite, Postgres18, Sqlite, USERS_RULE);
    let report = checked(&roster);
    assert_eq!((errors(&report, 0), errors(&report, 1), errors(&report, 2)), Default::default());
    let said = |at: usize, text: &str| report.sites[at].findings.iter().any(|line| line.text.contains(text));
    assert!(said(1, "2 values of role have an entry in `values`"), "{:?}", report.sites[1].findings);

    roster.sites[1].sections = format!("{LACKS}defaults = {{ status = 1 }}\n{VALUES}");
    let found = errors(&checked(&roster), 1);
    let [(text, remedy)] = &found[..] else { panic!("{found:?}") };
    assert!(text.contains("pass, theme, signature, created, language, init"), "{text}");
    let line = remedy.split_once(": ").expect("a line").1;
    assert!(line.starts_with("defaults = { status = 1, pass = \"\", "), "{line}");
    roster.sites[1].sections = format!("{LACKS}{line}\n{VALUES}");
    assert_eq!(errors(&checked(&roster), 1), []);

    for (sections, words) in [
        (format!("{LACKS}defaults = {{ statsu = 1 }}\n{VALUES}"), "there is no column statsu"),
        (format!("{LACKS}defaults = {{ status = \"on\" }}\n{VALUES}"), "the value for status does not fit"),
        (format!("{LACKS}defaults = {{ uid = 5 }}\n{VALUES}"), "a column of the key"),
        (format!("{LACKS}{DEFAULTS}constants = {{ name = \"x\" }}\n{VALUES}"), "name, which is shared"),
        (format!("{}{DEFAULTS}{VALUES}", LACKS.replace("\"expires\"", "\"expires\", \"uid\"")), "it lacks uid, a column of the key"),
        (format!("{}{DEFAULTS}{VALUES}", LACKS.replace("expires", "expiry")), "`lacks` names expiry"),
        (format!("\n[site.table.users]\n{DEFAULTS}{VALUES}"), "there is no column realname"),
        (format!("{LACKS}{DEFAULTS}{}", VALUES.replace("= 3", "= \"three\"")), "`editor` does not fit here"),
        (format!("{LACKS}{DEFAULTS}{}", VALUES.replace("values = { role", "values = { roll")), "`values` names roll"),
    ] {
        roster.sites[1].sections = sections;
        let found = errors(&checked(&roster), 1);
        assert!(found.iter().any(|(text, _)| text.contains(words)), "{words}: {found:?}");
    }
}

/// A column that another site lacks comes without a value from there.
#[test]
fn check_knows_what_other_sites_lack() {
    let mut roster = membership(Sqlite, Sqlite, Sqlite, "exclude = [\"notes\"]\nfilter = \"uid > 1 AND expires > '2026-01-01'\"");
    let report = checked(&roster);
    let found = errors(&report, 0);
    let [(text, remedy)] = &found[..] else { panic!("{found:?}") };
    assert!(text.contains("realname: lacking at") && remedy.ends_with("defaults = { realname = \"\" }"), "{found:?}");
    let warned = |line: &&check::Line| line.level == "warning" && line.text.contains("its filter reads expires, which this site lacks");
    assert_eq!(report.sites[1].findings.iter().filter(warned).count(), 1);
    roster.sites[0].sections = HUB.replace("constants", "defaults = { realname = \"\" }\nconstants");
    assert_eq!(errors(&checked(&roster), 0), []);
}

/// A shared column that the site of a new row lacks: where it may not be NULL, the site's default is what it begins with.
#[test]
fn what_nobody_has_spoken_of_is_filled_and_then_said() {
    let folder = tempfile::Builder::new().prefix("rosterd-roster-").tempdir().unwrap();
    let sites = [
        (MariaDb118, "[site.table.card]\ndefaults = { colour = \"grey\" }\n"),
        (Postgres15, "[site.table.card]\nlacks = [\"colour\", \"size\"]\n"),
        (Sqlite, "[site.table.card]\ndefaults = { colour = \"grey\" }\n"),
    ];
    let sites: Vec<Site> = sites
        .into_iter()
        .zip(roster::names(3))
        .map(|((engine, sections), name)| Site { sections: sections.into(), ..Site::create(engine, &name, folder.path()) })
        .collect();
    sites[0].sql("CREATE TABLE card (id INT PRIMARY KEY, word VARCHAR(20), colour VARCHAR(20) NOT NULL, size INT)");
    sites[1].sql("CREATE TABLE card (id INT PRIMARY KEY, word VARCHAR(20))");
    sites[2].sql("CREATE TABLE card (id INT PRIMARY KEY, word VARCHAR(20), colour VARCHAR(20) NOT NULL, size INT)");
    let mut roster = Roster::of(sites, folder);
    roster.share_existing(Table::new("card", "", &[("id", Plain), ("word", Plain)]), "insert = \"merge\"");
    roster.sql(1, "INSERT INTO card VALUES (1, 'old')");
    roster.start();
    roster.settle_equal();
    roster.sql(1, "INSERT INTO card VALUES (2, 'new')");
    roster.settle_equal();
    // What the site filled is its own word, and goes to the others that have the column.
    for at in [0, 2] {
        expect(&roster, at, "SELECT word, colour FROM card ORDER BY id", "old grey new grey");
    }
    roster.sql(0, "UPDATE card SET colour = 'red', size = 5 WHERE id = 2");
    expect(&roster, 2, "SELECT colour, size FROM card WHERE id = 2", "red 5");
    roster.sql(1, "UPDATE card SET word = 'newer' WHERE id = 2; DELETE FROM card WHERE id = 1");
    expect(&roster, 2, "SELECT word, colour FROM card", "newer red");
    expect(&roster, 0, "SELECT word, colour FROM card", "newer red");
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
    verified(&roster);
    roster.stop();
}
