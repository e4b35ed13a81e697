//! What reads the changelog and a site's file, given any bytes. For tests only.

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::describe;
use super::triggers::{self, CHANGELOG_TABLE, KEY_COLUMNS_MAX};
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
    read(&filled(data).expect("any field can be stored"), &mut check);
}

fn filled(data: &[u8]) -> rusqlite::Result<Connection> {
    let db = Connection::open_in_memory()?;
    make(&db)?;
    let mut values = fields(data).peekable();
    let mut rows = Vec::new();
    while values.peek().is_some() {
        rows.push(values.by_ref().take(4 + KEY_COLUMNS_MAX).collect::<Vec<Field>>());
    }
    for row in &rows {
        insert(&db, "users", &row[row.len().min(4)..row.len().min(4 + USERS.len())])?;
        insert(&db, MARKER_TABLE, &row[row.len().min(4)..row.len().min(7)])?;
    }
    // What the triggers have logged of that.
    db.execute_batch(&format!("DELETE FROM {CHANGELOG_TABLE}"))?;
    for row in &rows {
        insert(&db, CHANGELOG_TABLE, row)?;
    }
    Ok(db)
}

/// A site's whole file.
pub fn database(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("rosterd-hostile-{}-{:?}.db", std::process::id(), std::thread::current().id()));
    std::fs::write(&path, data).expect("the file can be written");
    if let Ok(db) = Connection::open(&path) {
        let _ = describe::tables(&db);
        read(&db, &mut check);
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
    ))?;
    let table = self::users();
    triggers::install(db, &[(&table, triggers::wanted(&table, &[]))])
}

fn insert(db: &Connection, table: &str, row: &[Field]) -> rusqlite::Result<usize> {
    let marks = vec!["?"; row.len()].join(", ");
    let width = if table == "users" {
        USERS.len()
    } else if table == MARKER_TABLE {
        3
    } else {
        4 + KEY_COLUMNS_MAX
    };
    let rest = ", NULL".repeat(width - row.len());
    let values = if row.is_empty() { vec!["NULL"; width].join(", ") } else { marks + &rest };
    db.execute(&format!("INSERT INTO {table} VALUES ({values})"), params_from_iter(row))
}

fn read(db: &Connection, each: &mut dyn FnMut(&LogItem)) {
    let tables = [Arc::new(users())];
    let mut window = Window::new(SiteId(1), "corpus", Place::default(), &tables);
    for _ in 0..LOOKS_MAX {
        let before = window.place;
        match window.look(db) {
            Ok(Seen::Items(items)) => items.iter().for_each(&mut *each),
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
    let here = USERS
        .into_iter()
        .enumerate()
        .map(|(ordinal, (name, declared))| Some(SiteColumn { name: name.into(), ty: ty(declared), ordinal, nullable: true, values: None }));
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

/// The targets see what our triggers logged: were it refused at once, damaged copies of it would prove nothing.
#[test]
fn the_corpus_is_read_whole() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/sqlite");
    let (mut transactions, mut changes, mut watermarks) = (0, 0, 0);
    let db = filled(&std::fs::read(corpus.join("cells")).unwrap()).unwrap();
    read(&db, &mut |item| match item {
        LogItem::Transaction(transaction) => (transactions, changes) = (transactions + 1, changes + transaction.changes.len()),
        LogItem::Watermark { .. } => watermarks += 1,
        _ => {}
    });
    assert!(transactions > 1 && changes > 1 && watermarks > 0, "{transactions} transactions, {changes} changes, {watermarks} watermarks");
}
