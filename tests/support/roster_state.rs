//! What the ledger's file says, read from outside: it is the same whether the daemon runs here or is a process of its own.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

fn open(state_dir: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(state_dir.join("ledger.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.busy_timeout(Duration::from_secs(5))?;
    Ok(db)
}

/// What is left to do: tables that are not known yet, and rows that some site is owed. Rows held back are not waited for.
pub fn unsettled(state_dir: &Path, sites: usize, tables: usize) -> Option<String> {
    let read = || {
        let db = open(state_dir)?;
        let known = "SELECT count(*) FROM site_table WHERE phase = 'done' OR stopped IS NOT NULL";
        let known: i64 = db.query_row(known, [], |row| row.get(0))?;
        let owed =
            "SELECT count(*) FROM row JOIN held ON held.row = row.id WHERE held.open = 1 AND row.id NOT IN (SELECT row FROM quarantine)
                    AND tbl NOT IN (SELECT tbl FROM site_table WHERE stopped IS NOT NULL)";
        let owed: i64 = db.query_row(owed, [], |row| row.get(0))?;
        Ok::<_, rusqlite::Error>((known, owed))
    };
    match read() {
        Ok((known, 0)) if known == (sites * tables) as i64 => None,
        Ok((known, owed)) => Some(format!("{known} of {} tables are known, {owed} rows are owed", sites * tables)),
        Err(error) => Some(format!("the ledger can't be read: {error}")),
    }
}

pub fn quarantined(state_dir: &Path) -> Vec<[String; 4]> {
    let sql = "SELECT s.name, t.name, q.kind, q.reason FROM quarantine q JOIN site s ON s.id = q.site
               JOIN shared_table t ON t.id = q.tbl ORDER BY 1, 2, 3, 4";
    let db = open(state_dir).expect("the ledger is there");
    let mut query = db.prepare(sql).expect("the ledger's format is known");
    let rows = query.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])).expect("a query");
    rows.collect::<Result<_, _>>().expect("rows")
}

pub fn conflicts(state_dir: &Path, table: &str) -> Vec<String> {
    let db = open(state_dir).expect("the ledger is there");
    let sql = "SELECT c.kind FROM conflict c JOIN shared_table t ON t.id = c.tbl WHERE t.name = ?1 ORDER BY c.id";
    let mut query = db.prepare(sql).expect("the ledger's format is known");
    let rows = query.query_map([table], |row| row.get(0)).expect("a query");
    rows.collect::<Result<_, _>>().expect("rows")
}

pub fn stopped(state_dir: &Path, site: &str, table: &str) -> Option<String> {
    let sql = "SELECT p.stopped FROM site_table p JOIN site s ON s.id = p.site JOIN shared_table t ON t.id = p.tbl
               WHERE s.name = ?1 AND t.name = ?2";
    let db = open(state_dir).ok()?;
    db.query_row(sql, [site, table], |row| row.get(0)).ok().flatten()
}

/// Changes captured so far; 0 before there is a ledger.
pub fn captured(state_dir: &Path) -> i64 {
    let read = || open(state_dir)?.query_row("SELECT coalesce(sum(counter), 0) FROM site", [], |row| row.get(0));
    read().unwrap_or(0)
}

/// Pages of the ledger that hold something.
pub fn pages(state_dir: &Path) -> i64 {
    let db = open(state_dir).expect("the ledger is there");
    let count = |pragma: &str| -> i64 { db.pragma_query_value(None, pragma, |row| row.get(0)).expect("SQLite counts") };
    count("page_count") - count("freelist_count")
}

/// For messages of failed tests.
pub fn summary(state_dir: &Path) -> String {
    let Ok(db) = open(state_dir) else { return "no ledger\n".into() };
    let lines = |title: &str, sql: &str| -> String {
        let read = || {
            let mut query = db.prepare(sql)?;
            let rows = query.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok::<_, rusqlite::Error>(rows)
        };
        match read() {
            Ok(rows) => rows.into_iter().map(|row| format!("{title}: {row}\n")).collect(),
            Err(error) => format!("{title}: {error}\n"),
        }
    };
    let progress = "SELECT s.name || ' ' || t.name || ' ' || p.phase || coalesce(', stopped: ' || p.stopped, '') FROM site_table p
                    JOIN site s ON s.id = p.site JOIN shared_table t ON t.id = p.tbl WHERE phase <> 'done' OR stopped IS NOT NULL";
    let held = "SELECT s.name || ' ' || t.name || ' ' || q.kind || ': ' || q.reason FROM quarantine q
                JOIN site s ON s.id = q.site JOIN shared_table t ON t.id = q.tbl LIMIT 20";
    let owed = "SELECT t.name || ': ' || count(*) || ' rows' FROM row r JOIN held h ON h.row = r.id JOIN shared_table t ON t.id = r.tbl WHERE h.open = 1 GROUP BY t.name";
    let sites = "SELECT name || ' captured up to ' || coalesce(position, 'nothing') FROM site";
    lines("ledger, site", sites) + &lines("ledger, not done", progress) + &lines("ledger, held back", held) + &lines("ledger, owed", owed)
}
