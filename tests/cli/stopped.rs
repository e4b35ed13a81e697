//! What `status` says at once: a fuse that has blown, with the operator's decision; statements that failed.

use crate::roster::{Daemon, Roster};

const FUSED: &str = "
    [[table]]
    name = \"users\"
    fuse_rows = 5
    [[table]]
    name = \"sessions\"
";
const BLOWN: &str = "site nj is stopped, the fuse has blown: table users: 10 rows were deleted within a minute, more than fuse_rows = 5";

fn blow(roster: &Roster, daemon: &mut Daemon<'_>) {
    roster.sql("nj", "DELETE FROM users WHERE uid > 10");
    daemon.until(|| !roster.status()["news"].as_array().unwrap().is_empty());
    daemon.until(|| roster.status()["sites"][1]["state"] == "stopped");
    let status = roster.run(&["status"]);
    assert!(status.code == 1 && status.out.contains(&format!("! {BLOWN}")), "{status:?}");
    assert!(status.out.contains("`rosterd site resume nj --accept`") && status.out.contains("--reject"), "{status:?}");
    let json = roster.status();
    assert!(json["news"][0].as_str().unwrap().starts_with(BLOWN) && json["news"].as_array().unwrap().len() == 1, "{json:#}");
    let tables: Vec<_> = json["sites"][1]["stopped_tables"].as_array().unwrap().iter().map(|stopped| &stopped["table"]).collect();
    assert_eq!(tables, ["users", "sessions"], "the whole site stops");
    assert_eq!(roster.text("hub", "SELECT count(*) FROM users"), "20");
}

#[test]
fn a_site_whose_fuse_has_blown_is_resumed() {
    let roster = Roster::sharing(&["hub", "nj"], FUSED);
    roster.sql(
        "hub",
        "WITH n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 20) INSERT INTO users SELECT i, 'u' || i, 'x', 'm' FROM n",
    );
    let mut daemon = roster.start();
    daemon.settled();

    blow(&roster, &mut daemon);
    // What is done meanwhile at either site is not lost.
    roster.sql("nj", "UPDATE users SET mail = 'of nj' WHERE uid = 1; INSERT INTO users VALUES (30, 'new', 'x', 'm')");
    roster.sql("hub", "UPDATE users SET mail = 'of the hub' WHERE uid = 2");
    let asks = roster.run(&["site", "resume", "nj"]);
    assert!(asks.code == 0 && asks.out.contains("--accept") && asks.out.contains("--reject"), "{asks:?}");
    assert_eq!(roster.run(&["site", "resume", "nj", "--accept", "--reject"]).code, 2);
    daemon.until(|| roster.status()["sites"][1]["state"] == "stopped");
    assert_eq!(roster.text("hub", "SELECT count(*) FROM users"), "20", "nothing is decided yet");
    let rejected = roster.run(&["site", "resume", "nj", "--reject"]);
    assert!(rejected.code == 0 && rejected.out.contains("put back"), "{rejected:?}");
    daemon.until(|| roster.text("nj", "SELECT count(*) FROM users") == "21");
    daemon.settled();
    for site in ["hub", "nj"] {
        assert_eq!(roster.text(site, "SELECT group_concat(mail, ', ') FROM users WHERE uid < 3"), "of nj, of the hub", "{site}");
        assert_eq!(roster.text(site, "SELECT count(*) FROM users"), "21", "{site}");
    }
    let well = roster.run(&["status"]);
    assert!(well.code == 0 && well.out.contains("All is well."), "{well:?}");

    roster.sql("hub", "DELETE FROM users WHERE uid = 30");
    daemon.until(|| roster.text("nj", "SELECT count(*) FROM users") == "20");
    daemon.settled();
    blow(&roster, &mut daemon);
    daemon.stop();
    let stopped = roster.run(&["status"]);
    assert!(stopped.out.contains("! the daemon is not running") && stopped.out.contains(&format!("! {BLOWN}")), "{stopped:?}");
    let mut daemon = roster.start();
    daemon.until(|| roster.status()["sites"][1]["state"] == "stopped");
    let accepted = roster.run(&["site", "resume", "nj", "--accept"]);
    assert!(accepted.code == 0 && accepted.out.contains("taken as changed there"), "{accepted:?}");
    daemon.until(|| roster.text("hub", "SELECT count(*) FROM users") == "10");
    daemon.settled();
    assert_eq!(roster.text("nj", "SELECT count(*) FROM users"), "10");
    assert_eq!(roster.run(&["status"]).code, 0);
    daemon.stop();
}

#[test]
fn statements_that_fail_are_told() {
    let roster = Roster::sharing(
        &["hub", "nj"],
        "[[table]]\nname = \"users\"\nsecret = [\"pass\"]\nafter_apply = [\"DELETE FROM {cache} WHERE cid = :name\"]\n",
    );
    ["hub", "nj"].iter().for_each(|site| roster.sql(site, "CREATE TABLE cache (cid TEXT PRIMARY KEY)"));
    let mut daemon = roster.start();
    daemon.settled();
    roster.sql("nj", "DROP TABLE cache");
    roster.sql("hub", "INSERT INTO users VALUES (1, 'ann-o-nym', 'x', 'a')");
    daemon.until(|| roster.text("nj", "SELECT name FROM users") == "ann-o-nym");
    // With the row, and the second time.
    daemon.until(|| roster.status()["sites"][1]["counts"]["failed_statements"] == 2);
    let status = roster.run(&["status"]);
    assert!(status.code == 0 && status.out.contains("  2 after-apply statements failed; the last one, "), "{status:?}");
    let json = roster.status();
    assert_eq!((&json["quarantined"], &json["sites"][0]["counts"]["failed_statements"]), (&0.into(), &0.into()), "{json:#}");
    assert!(json["sites"][1]["failed_statement"]["text"].is_string(), "{json:#}");
    let log = roster.log();
    assert!(log.contains("an after-apply statement failed; the rows are in place") && log.contains("when it was run once more"), "{log}");
    assert!(!log.contains("ann-o-nym") && !status.out.contains("ann-o-nym"), "{log}");
    daemon.stop();
}
