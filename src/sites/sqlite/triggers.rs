//! The changelog, and the triggers that write it: the SQL of what `prepare` makes in a site's database.
//!
//! A changelog row says that a row may have changed, and holds its key only: the reader takes the content from the table.
//! To log a key too often is harmless, to miss one is not. SQLite's REPLACE removes the rows in its way without firing
//! their delete triggers, so BEFORE triggers log the keys of rows that hold the new values of another unique index.

use rusqlite::Connection;

use super::describe::{self, Index, literal, quote};
use crate::model::{SiteColumn, SiteTable};
use crate::sites::MARKER_TABLE;

pub const CHANGELOG_TABLE: &str = "rosterd_changelog";

/// How names of our triggers begin.
pub const OURS: &str = "rosterd_";

/// Columns of a key at most.
pub const KEY_COLUMNS_MAX: usize = 8;

/// First column of the changelog's rows whose `tbl` is empty: our own transactions and marks.
pub mod mark {
    pub const BEGIN: &str = "b";
    pub const END: &str = "e";
    pub const WATERMARK: &str = "w";
    /// A table's triggers were made here: changes before it may not have been logged.
    pub const GAP: &str = "g";
}

/// The time in milliseconds since 1970, for any SQLite since 3.24.
const NOW: &str = "CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)";

/// Key columns have no declared type, so that any value is kept exactly.
pub fn tables_sql() -> String {
    let keys: Vec<String> = (0..KEY_COLUMNS_MAX).map(|i| format!("k{i}")).collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {MARKER_TABLE} (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, payload BLOB NOT NULL);
         CREATE TABLE IF NOT EXISTS {CHANGELOG_TABLE} (id INTEGER PRIMARY KEY AUTOINCREMENT, tbl TEXT NOT NULL,
             at_ms INTEGER NOT NULL, moved INTEGER NOT NULL DEFAULT 0, {});",
        keys.join(", ")
    )
}

/// Inserts a mark: ?1 is the kind, ?2 the marker's id or the table.
pub fn mark_sql() -> String {
    format!("INSERT INTO {CHANGELOG_TABLE} (tbl, at_ms, k0, k1) VALUES ('', {NOW}, ?1, ?2)")
}

/// A trigger's name and the whole statement that makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    pub name: String,
    pub sql: String,
}

/// Whether a table's changes are logged as they must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    Complete,
    /// All triggers are there, but not as they should be: a unique index is new, or a column was renamed.
    Outdated,
    /// A trigger is missing: changes may have gone by unlogged.
    Missing,
}

/// The key's columns, in the key's order; None where the site lacks one.
pub fn key_columns(table: &SiteTable) -> Option<Vec<&SiteColumn>> {
    table.table.key.iter().map(|&i| table.columns[i].as_ref()).collect()
}

/// Why the triggers can't be made, in words for the operator.
pub fn obstacle(table: &SiteTable, indexes: &[Index]) -> Option<String> {
    let Some(key) = key_columns(table) else {
        return Some("a key column is missing at this site".into());
    };
    if key.is_empty() || key.len() > KEY_COLUMNS_MAX {
        return Some(format!("its key has {} columns; 1 to {KEY_COLUMNS_MAX} are possible", key.len()));
    }
    let names: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
    let usable = indexes.iter().filter_map(Index::unique_columns).any(|columns| same_set(&columns, &names));
    (!usable).then(|| format!("no primary key or unique index over exactly {}", names.join(", ")))
}

/// The triggers that a table must have. Its key has been found usable.
pub fn wanted(table: &SiteTable, indexes: &[Index]) -> Vec<Trigger> {
    let key: Vec<String> = key_columns(table).unwrap_or_default().iter().map(|column| quote(&column.name)).collect();
    let rivals: Vec<&Index> = indexes.iter().filter(|index| is_rival(index, &key)).collect();
    let log = Log { table: &table.name, key: &key };
    let mut made = vec![
        log.trigger("ai", "AFTER INSERT", &[log.values("NEW")]),
        log.trigger("ad", "AFTER DELETE", &[log.values("OLD")]),
        log.trigger("au", "AFTER UPDATE", &log.update()),
    ];
    if !rivals.is_empty() {
        let inserted: Vec<String> = rivals.iter().map(|index| log.rows_in_the_way(index, false)).collect();
        let updated: Vec<String> = rivals.iter().map(|index| log.rows_in_the_way(index, true)).collect();
        made.push(log.trigger("bi", "BEFORE INSERT", &inserted));
        made.push(log.trigger("bu", "BEFORE UPDATE", &updated));
    }
    made
}

/// A unique index through which REPLACE can remove a row of another key: another set of columns, or one in which two
/// different keys are equal (NOCASE).
fn is_rival(index: &Index, key: &[String]) -> bool {
    let Some(columns) = index.unique_columns() else { return false };
    let columns: Vec<String> = columns.into_iter().map(quote).collect();
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    let exact = index.columns.iter().flatten().all(|(_, collation)| collation.eq_ignore_ascii_case("BINARY"));
    !exact || !same_set(&names, &key.iter().map(String::as_str).collect::<Vec<_>>())
}

fn same_set(a: &[&str], b: &[&str]) -> bool {
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names
    };
    sorted(a) == sorted(b)
}

struct Log<'a> {
    table: &'a str,
    /// Quoted.
    key: &'a [String],
}

impl Log<'_> {
    /// The text is compared with what SQLite kept of it, which is all from the name on after `CREATE TRIGGER `.
    fn trigger(&self, suffix: &str, when: &str, actions: &[String]) -> Trigger {
        let name = format!("{OURS}{suffix}_{}", self.table);
        let body: String = actions.iter().map(|action| format!(" {action};")).collect();
        let sql = format!("CREATE TRIGGER {} {when} ON {} BEGIN{body} END", quote(&name), quote(self.table));
        Trigger { name, sql }
    }

    fn insert(&self) -> String {
        let columns: Vec<String> = (0..self.key.len()).map(|i| format!("k{i}")).collect();
        format!("INSERT INTO {CHANGELOG_TABLE} (tbl, at_ms, moved, {})", columns.join(", "))
    }

    fn of(&self, row: &str) -> String {
        self.key.iter().map(|column| format!("{row}.{column}")).collect::<Vec<_>>().join(", ")
    }

    fn values(&self, row: &str) -> String {
        format!("{} VALUES ({}, {NOW}, 0, {})", self.insert(), literal(self.table), self.of(row))
    }

    /// A key that changes is logged as it was, then as it is: `moved` says so of the second.
    fn update(&self) -> [String; 2] {
        let changed: Vec<String> = self.key.iter().map(|column| format!("OLD.{column} IS NOT NEW.{column} COLLATE BINARY")).collect();
        let changed = changed.join(" OR ");
        let (insert, table) = (self.insert(), literal(self.table));
        [
            format!("{insert} SELECT {table}, {NOW}, 0, {} WHERE {changed}", self.of("OLD")),
            format!("{insert} VALUES ({table}, {NOW}, ({changed}), {})", self.of("NEW")),
        ]
    }

    fn rows_in_the_way(&self, index: &Index, updating: bool) -> String {
        let columns: Vec<(String, &String)> = index.columns.iter().flatten().map(|(name, collation)| (quote(name), collation)).collect();
        let same: Vec<String> = columns.iter().map(|(name, coll)| format!("r.{name} = NEW.{name} COLLATE {}", quote(coll))).collect();
        let mut condition = same.join(" AND ");
        if updating {
            let changed: Vec<String> = columns.iter().map(|(name, _)| format!("NEW.{name} IS NOT OLD.{name} COLLATE BINARY")).collect();
            condition = format!("({}) AND {condition}", changed.join(" OR "));
        }
        let table = quote(self.table);
        format!("{} SELECT {}, {NOW}, 0, {} FROM {table} AS r WHERE {condition}", self.insert(), literal(self.table), self.of("r"))
    }
}

/// How a table is tracked now.
pub fn tracking(db: &Connection, wanted: &[Trigger], table: &str) -> rusqlite::Result<Tracking> {
    let mut find =
        db.prepare_cached("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ?1 AND tbl_name = ?2 COLLATE NOCASE")?;
    let mut state = Tracking::Complete;
    for trigger in wanted {
        let found: Option<String> = find.query([&trigger.name, table])?.next()?.map(|row| row.get(0)).transpose()?;
        match found {
            None if is_essential(trigger) => return Ok(Tracking::Missing),
            Some(sql) if sql == trigger.sql => {}
            _ => state = Tracking::Outdated,
        }
    }
    Ok(state)
}

/// The triggers against REPLACE come with a unique index, and an application may add one at any time.
fn is_essential(trigger: &Trigger) -> bool {
    trigger.name.starts_with("rosterd_a")
}

/// Makes the triggers of every table anew where they differ, and notes the gap in the changelog.
/// Runs within the caller's transaction.
pub fn install(db: &Connection, tables: &[(&SiteTable, Vec<Trigger>)]) -> rusqlite::Result<()> {
    db.execute_batch(&tables_sql())?;
    for name in stale(db, tables)? {
        db.execute_batch(&format!("DROP TRIGGER {}", quote(&name)))?;
    }
    for (table, wanted) in tables {
        if tracking(db, wanted, &table.name)? == Tracking::Complete {
            continue;
        }
        for trigger in wanted {
            db.execute_batch(&format!("DROP TRIGGER IF EXISTS {}; {}", quote(&trigger.name), trigger.sql))?;
        }
        db.execute(&mark_sql(), [mark::GAP, table.name.as_str()])?;
    }
    Ok(())
}

/// Whether `install` has nothing to do, so that it need not take the write lock.
pub fn installed(db: &Connection, tables: &[(&SiteTable, Vec<Trigger>)]) -> rusqlite::Result<bool> {
    if !describe::has_table(db, MARKER_TABLE)? || !describe::has_table(db, CHANGELOG_TABLE)? || !stale(db, tables)?.is_empty() {
        return Ok(false);
    }
    for (table, wanted) in tables {
        if tracking(db, wanted, &table.name)? != Tracking::Complete {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Our triggers that no table is to have any more.
fn stale(db: &Connection, tables: &[(&SiteTable, Vec<Trigger>)]) -> rusqlite::Result<Vec<String>> {
    let wanted: Vec<&str> = tables.iter().flat_map(|(_, triggers)| triggers.iter().map(|trigger| trigger.name.as_str())).collect();
    Ok(ours(db)?.into_iter().filter(|name| !wanted.contains(&name.as_str())).collect())
}

fn ours(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut list = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '%rosterd_changelog%'")?;
    let names: Vec<String> = list.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names.into_iter().filter(|name| name.starts_with(OURS)).collect())
}

/// Removes all that `install` made, triggers first so that no statement of an application fails in between.
pub fn uninstall(db: &Connection) -> rusqlite::Result<()> {
    for name in ours(db)? {
        db.execute_batch(&format!("DROP TRIGGER {}", quote(&name)))?;
    }
    db.execute_batch(&format!("DROP TABLE IF EXISTS {CHANGELOG_TABLE}; DROP TABLE IF EXISTS {MARKER_TABLE}"))
}
