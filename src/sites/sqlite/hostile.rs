//! What reads the changelog and a site's file, given any bytes. For tests and fuzzers only.

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::describe;
use super::triggers::{CHANGELOG_TABLE, KEY_COLUMNS_MAX};
use super::uncaptured::Uncaptured;
use super::window::{Place, Seen, Window};
use crate::hostile::fields::{Field, fields};
use crate::model::{Column, LogItem, SiteColumn, SiteId, SiteTable, Table, TableId};
use crate::sites::MARKER_TABLE;

const LOOKS_MAX: usize = 100;
const USERS: [(&str, &str); 5] = [("uid", "INTEGER"), ("name", "VARCHAR(60)"), ("mail", "TEXT"), ("login", "DOUBLE"), ("data", "BLOB")];

impl ToSql for Field {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Field::Null => ValueRef::Null,
            Field::Integer(n) => ValueRef::Integer(*n),
            Field::Real(x) => ValueRef::Real(*x),
            Field::Text(bytes) => ValueRef::Text(bytes),
            Field::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Rows of the changelog, of the marker table and of a shared table, as somebody may write them who is not ours.
pub fn changelog(data: &[u8]) {
    let db = Connection::open_in_memory().expect("memory is there");
    make(&db).expect("the tables are made");
    let mut values = fields(data).peekable();
    while values.peek().is_some() {
        let row: Vec<Field> = values.by_ref().take(4 + KEY_COLUMNS_MAX).collect();
        let _ = insert(&db, CHANGELOG_TABLE, &row);
        let _ = insert(&db, "users", &row[row.len().min(4)..row.len().min(4 + USERS.len())]);
        let _ = insert(&db, MARKER_TABLE, &row[row.len().min(4)..row.len().min(7)]);
    }
    read(&db);
}

/// A site's whole file.
pub fn database(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("rosterd-hostile-{}-{:?}.db", std::process::id(), std::thread::current().id()));
    std::fs::write(&path, data).expect("the file can be written");
    if let Ok(db) = Connection::open(&path) {
        let _ = describe::tables(&db);
        read(&db);
    }
    let _ = std::fs::remove_file(&path);
}

/// As `prepare` makes them, without the constraints that an application may have dropped.
fn make(db: &Connection) -> rusqlite::Result<()> {
    let keys: Vec<String> = (0..KEY_COLUMNS_MAX).map(|n| format!("k{n}")).collect();
    let users: Vec<String> = USERS.iter().map(|(name, ty)| format!("{name} {ty}")).collect();
    db.execute_batch(&format!(
        "CREATE TABLE {MARKER_TABLE} (id, kind, payload);
         CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT);
         CREATE TABLE {CHANGELOG_TABLE} (id, at_ms, moved, tbl, {});
         CREATE TABLE users ({});",
        keys.join(", "),
        users.join(", ")
    ))
}

fn insert(db: &Connection, table: &str, row: &[Field]) -> rusqlite::Result<usize> {
    let marks = vec!["?"; row.len()].join(", ");
    let width = if table == "users" { USERS.len() } else if table == MARKER_TABLE { 3 } else { 4 + KEY_COLUMNS_MAX };
    let rest = ", NULL".repeat(width - row.len());
    let values = if row.is_empty() { vec!["NULL"; width].join(", ") } else { marks + &rest };
    db.execute(&format!("INSERT INTO {table} VALUES ({values})"), params_from_iter(row))
}

fn read(db: &Connection) {
    let tables = [Arc::new(users())];
    let mut window = Window::new(SiteId(1), "corpus", Place::default(), &tables);
    for _ in 0..LOOKS_MAX {
        let before = window.place;
        match window.look(db) {
            Ok(Seen::Items(items)) => items.iter().for_each(check),
            Ok(Seen::Nothing | Seen::Lost(_)) | Err(_) => break,
        }
        if window.place == before {
            break;
        }
    }
    let _ = Place::end(db);
    let _ = Uncaptured::default().catch_up(db, 0);
}

fn check(item: &LogItem) {
    if let Some(position) = item.position() {
        assert!(Place::parse(position).is_some(), "a position that is given can be read");
    }
    if let LogItem::Transaction(transaction) = item {
        assert!(transaction.committed_us >= 0);
        assert!(transaction.changes.iter().all(|change| change.after.as_ref().is_none_or(|image| image.len() == USERS.len())));
    }
}

fn users() -> SiteTable {
    let ty = |declared| describe::column_type(declared, false);
    let shared = USERS.map(|(name, declared)| Column { name: name.into(), family: ty(declared).family().expect("known"), secret: false });
    let here = USERS.into_iter().enumerate().map(|(ordinal, (name, declared))| {
        Some(SiteColumn { name: name.into(), ty: ty(declared), ordinal, nullable: true, values: None })
    });
    SiteTable {
        table: Arc::new(Table { id: TableId(1), name: "users".into(), columns: shared.into(), key: vec![0], urgent: false }),
        schema: "main".into(),
        name: "users".into(),
        columns: here.collect(),
        unique: Vec::new(),
        allocation: None,
        fills: Vec::new(),
    }
}
