//! Single rows: insert, update, delete, a changed key, REPLACE and upserts; written at each site in turn.

use crate::roster::{ColumnKind::Plain, Engine, Roster, Table};

pub const NOTE: Table =
    Table::new("note", "k VARCHAR(40) PRIMARY KEY, body $text, n INT NOT NULL DEFAULT 0", &[("k", Plain), ("body", Plain), ("n", Plain)]);

pub fn prepare(roster: &mut Roster) {
    roster.share(NOTE, "");
}

pub fn run(roster: &Roster) {
    let sites = roster.sites.len();
    let next = |at: usize| (at + 1) % sites;
    for at in 0..sites {
        let rows: Vec<String> =
            ["plain", "gone", "old", "upsert", "replaced", "empty"].iter().map(|k| format!("('{k} {at}', 'it''s 2 ¢ 😀', {at})")).collect();
        roster.sql(at, &format!("INSERT INTO note (k, body, n) VALUES {}", rows.join(", ")));
    }
    roster.settle_equal();
    assert_eq!(roster.rows(0, "note").len(), 6 * sites);

    for at in 0..sites {
        // Each site goes on with rows that came from another one.
        let from = next(at);
        roster.sql(
            at,
            &format!(
                "UPDATE note SET body = 'by {at}', n = n + 100 WHERE k = 'plain {from}';
                 DELETE FROM note WHERE k = 'gone {from}';
                 UPDATE note SET k = 'new {from}' WHERE k = 'old {from}';
                 UPDATE note SET body = NULL WHERE k = 'empty {from}'"
            ),
        );
        for script in upserts(roster.sites[at].engine, from) {
            roster.sql(at, &script);
        }
    }
    roster.settle_equal();
    for at in 0..sites {
        let from = next(at);
        let value = |sql: &str| roster.value(0, sql);
        assert_eq!(value(&format!("SELECT body FROM note WHERE k = 'plain {from}'")).unwrap(), format!("by {at}"));
        assert_eq!(value(&format!("SELECT count(*) FROM note WHERE k IN ('gone {from}', 'old {from}')")).as_deref(), Some("0"));
        assert_eq!(value(&format!("SELECT body FROM note WHERE k = 'new {from}'")).as_deref(), Some("it's 2 ¢ 😀"));
        assert_eq!(value(&format!("SELECT count(*) FROM note WHERE k = 'empty {from}' AND body IS NULL")).as_deref(), Some("1"));
        assert_eq!(value(&format!("SELECT body FROM note WHERE k = 'upsert {from}'")).as_deref(), Some("upserted"));
        assert_eq!(value(&format!("SELECT body FROM note WHERE k = 'fresh {from}'")).as_deref(), Some("first"));
    }
    a_row_comes_back(roster);
    a_key_goes_around(roster);
}

/// What the engine has of INSERT ... ON CONFLICT and REPLACE: on a row that is there, and on one that is not.
fn upserts(engine: Engine, from: usize) -> Vec<String> {
    let conflict = match engine {
        engine if engine.is_mysql_family() => "ON DUPLICATE KEY UPDATE body = 'upserted'",
        _ => "ON CONFLICT (k) DO UPDATE SET body = 'upserted'",
    };
    let mut scripts = vec![
        format!("INSERT INTO note (k, body, n) VALUES ('upsert {from}', 'first', 1) {conflict}"),
        format!("INSERT INTO note (k, body, n) VALUES ('fresh {from}', 'first', 1) {conflict}"),
    ];
    if !engine.is_postgres() {
        scripts.push(format!("REPLACE INTO note (k, body, n) VALUES ('replaced {from}', 'replaced', 5)"));
        scripts.push(format!("REPLACE INTO note (k, body, n) VALUES ('put {from}', 'put', 6)"));
    }
    scripts
}

/// Deleted and inserted again with other values, in one transaction and in several; the same values again are no change.
fn a_row_comes_back(roster: &Roster) {
    let sites = roster.sites.len();
    for at in 0..sites {
        roster.sql(
            at,
            &format!(
                "DELETE FROM note WHERE k = 'upsert {at}'; INSERT INTO note (k, body, n) VALUES ('upsert {at}', 'back', 7);
                 BEGIN; DELETE FROM note WHERE k = 'plain {at}'; INSERT INTO note (k, body, n) VALUES ('plain {at}', 'back', 8); COMMIT;
                 BEGIN; INSERT INTO note (k, body, n) VALUES ('never {at}', 'x', 1); DELETE FROM note WHERE k = 'never {at}'; COMMIT"
            ),
        );
    }
    roster.settle_equal();
    assert_eq!(roster.value(0, "SELECT count(*) FROM note WHERE body = 'back'").unwrap(), (2 * sites).to_string());
    assert_eq!(roster.value(0, "SELECT count(*) FROM note WHERE k LIKE 'never%'").as_deref(), Some("0"));
}

/// One row takes the key that another one had a moment ago.
fn a_key_goes_around(roster: &Roster) {
    let sites = roster.sites.len();
    for at in 0..sites {
        roster.sql(
            at,
            &format!(
                "INSERT INTO note (k, body, n) VALUES ('a{at}', 'one', 1), ('b{at}', 'two', 2);
                 BEGIN; UPDATE note SET k = 'x{at}' WHERE k = 'a{at}'; UPDATE note SET k = 'a{at}' WHERE k = 'b{at}';
                 UPDATE note SET k = 'b{at}' WHERE k = 'x{at}'; COMMIT"
            ),
        );
    }
    roster.settle_equal();
    for at in 0..sites {
        assert_eq!(roster.value(0, &format!("SELECT body FROM note WHERE k = 'a{at}'")).as_deref(), Some("two"));
        assert_eq!(roster.value(0, &format!("SELECT body FROM note WHERE k = 'b{at}'")).as_deref(), Some("one"));
    }
}
