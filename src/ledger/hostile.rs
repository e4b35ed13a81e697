//! The ledger's file, given any bytes. For tests only.

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::{Ledger, Result, Shared};
use crate::hostile::fields::{Field, fields};
use crate::model::{Column, Family, Key, SiteId, Table, TableId, Value};
use crate::resolve::{Known, Roster, SiteView, TablePolicy};

/// Tables that hold what came from outside, with the number of their columns.
const TABLES: [(&str, usize); 9] = [
    ("meta", 2),
    ("site", 9),
    ("shared_table", 5),
    ("site_table", 16),
    ("row", 4),
    ("claim", 3),
    ("conflict", 8),
    ("quarantine", 8),
    ("held", 3),
];
const ROWS_MAX: usize = 100;

/// The bytes of the file itself.
pub fn file(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("rosterd-hostile-{}-{:?}.sqlite", std::process::id(), std::thread::current().id()));
    std::fs::write(&path, data).expect("the file can be written");
    let _ = open(&path);
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
}

fn open(path: &Path) -> Result<()> {
    let mut stopped = Ledger::open_read_only(path)?;
    stopped.bind_registered(&[])?;
    read(&stopped)?;
    let mut running = Ledger::open(path)?;
    running.bind(vec![users()])?;
    read(&running)
}

/// Rows of the ledger's tables: a letter for the table, then its fields.
pub fn cells(data: &[u8]) {
    let _ = filled(data).and_then(|db| {
        let mut ledger = Ledger::prepare(db, None)?;
        ledger.register_sites(&["hub", "nj"])?;
        ledger.bind(vec![users()])?;
        read(&ledger)?;
        ledger.begin()?;
        ledger.bury(TableId(1), i64::MIN, ROWS_MAX)?;
        ledger.rescan(SiteId(1), super::Mode::Gap)?;
        ledger.caught_up(SiteId(2))?;
        ledger.commit()?;
        ledger.rollback()
    });
}

fn filled(data: &[u8]) -> Result<Connection> {
    let db = Connection::open_in_memory()?;
    db.execute_batch(include_str!("../../schemas/ledger.sql"))?;
    db.execute_batch("INSERT INTO meta VALUES ('format', 3), ('ledger', 1), ('order', 0), ('marker', 0)")?;
    db.execute_batch("INSERT INTO site (id, name, role) VALUES (1, 'hub', 'hub'), (2, 'nj', 'client')")?;
    db.execute_batch(r#"INSERT INTO shared_table (id, name, key, columns) VALUES (1, 'users', '["uid"]', '["uid", "name", "mail"]')"#)?;
    let mut values = fields(data);
    while let Some(first) = values.next() {
        let table = if let Field::Integer(n) = first { n.rem_euclid(TABLES.len() as i64) as usize } else { 4 };
        let (name, width) = TABLES[table];
        let mut row: Vec<Field> = values.by_ref().take(width).collect();
        row.resize_with(width, || Field::Null);
        let sql = format!("INSERT OR REPLACE INTO {name} VALUES ({})", vec!["?"; width].join(", "));
        // What the schema itself refuses can't be there.
        let _ = db.execute(&sql, params_from_iter(row.iter().map(Stored)));
    }
    Ok(db)
}

struct Stored<'f>(&'f Field);

impl ToSql for Stored<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Field::Null => ValueRef::Null,
            Field::Integer(n) => ValueRef::Integer(*n),
            Field::Real(x) => ValueRef::Real(*x),
            Field::Text(bytes) => ValueRef::Text(bytes),
            Field::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn read(ledger: &Ledger) -> Result<()> {
    let tables: Vec<TableId> = ledger.tables().iter().map(|shared| shared.table.id).collect();
    for table in tables {
        for (id, key, _) in ledger.slice(table, i64::MIN, ROWS_MAX)?.rows {
            let _ = (key.reveal(), ledger.load_id(id)?);
        }
        let _ = (ledger.count_rows(table)?, ledger.highest_key(table)?);
        let _ = ledger.conflicts_of(table, &Key(vec![Value::Int(1)]))?;
    }
    for record in ledger.conflicts(ROWS_MAX)? {
        let _ = (record.key.reveal(), ledger.site_name(record.winner));
    }
    let _ = ledger.quarantined()?;
    Ok(())
}

fn users() -> Shared {
    let column = |name: &str, family| Column { name: name.into(), family, secret: false };
    let columns = vec![column("uid", Family::Integer), column("name", Family::Text), column("mail", Family::Text)];
    let table = Table { id: TableId(1), name: "users".into(), columns, key: vec![0], urgent: false };
    let view = |id| SiteView { id: SiteId(id), rank: id, has: vec![true; 3], known: Known::Merged };
    Shared::new(Arc::new(table), TablePolicy::plain(3), None, Roster { sites: vec![view(1), view(2)] })
}

#[test]
fn what_the_ledger_never_writes_is_damage() {
    let damage = |sql: &str| {
        let db = filled(&[]).unwrap();
        db.execute_batch(sql).unwrap();
        let opened = Ledger::prepare(db, None).and_then(|mut ledger| {
            ledger.bind(vec![users()])?;
            read(&ledger)
        });
        assert!(matches!(opened, Err(super::Error::Damaged(_))), "{sql}: {opened:?}");
    };
    damage("UPDATE meta SET value = -1 WHERE name = 'order'");
    damage("UPDATE site SET counter = -5 WHERE id = 1");
    damage("UPDATE site SET counter = 'x' WHERE id = 1");
    damage("INSERT INTO row (id, tbl, key, record) VALUES (1, 1, x'00', x'0101000000000000')");
    damage("INSERT INTO row (id, tbl, key, record) VALUES (1, 1, x'010102ff', x'0101000000000000')");
    damage("INSERT INTO row (id, tbl, key, record) VALUES (1, 1, x'010102', x'ff')");
    damage("INSERT INTO row (id, tbl, key, record) VALUES (1, 1, x'010102', 'text')");
    damage("INSERT INTO row (id, tbl, key, record) VALUES (1, 1, x'010102', x'0201000000'); INSERT INTO held VALUES (1, x'ff', 1)");
    damage("INSERT INTO conflict VALUES (1, 1, 'k', 1, x'010102', 1, 2, x'ff')");
}
