//! A SQLite site in a temporary folder, applications that write to it, and a reader that keeps a replica.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rosterd::config::{Daemon, Endpoint, Prefix, Role, SiteConfig, Tls, TlsMode};
use rosterd::model::{
    Cell, Change, Column, Image, Key, LogItem, MarkerId, Origin, Payload, Position, SiteId, SiteTable, Table, TableId, Transaction, Value,
    WriteKind, fit,
};
use rosterd::sites::{Batch, LogMember, LogReader, RowWrite, Site, Writer, sqlite};
use rusqlite::Connection;
use tempfile::TempDir;

pub const SITE: SiteId = SiteId(1);
pub const DEADLINE: Duration = Duration::from_secs(20);

pub const SCHEMA: &str = "
    CREATE TABLE users (uid INTEGER PRIMARY KEY, name VARCHAR(60) NOT NULL, mail TEXT, login INT DEFAULT 0, data BLOB, UNIQUE (name));
    CREATE TABLE sessions (sid VARCHAR(128) NOT NULL PRIMARY KEY, uid INT, session BLOB, timestamp INT);
    CREATE TABLE users_roles (uid INTEGER NOT NULL, rid VARCHAR(10) NOT NULL, PRIMARY KEY (uid, rid)) WITHOUT ROWID;
    CREATE TABLE cache (cid TEXT PRIMARY KEY, data BLOB);";

pub const SHARED: [&str; 3] = ["users", "sessions", "users_roles"];

pub struct Bed {
    pub folder: TempDir,
    pub path: PathBuf,
    pub site: Arc<dyn Site>,
    pub tables: Vec<Arc<SiteTable>>,
}

impl Bed {
    pub async fn new(journal: &str) -> Bed {
        Bed::with(journal, SCHEMA, &SHARED).await
    }

    pub async fn with(journal: &str, schema: &str, shared: &[&str]) -> Bed {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("site.db");
        let db = Connection::open(&path).unwrap();
        db.query_row(&format!("PRAGMA journal_mode={journal}"), [], |_| Ok(())).unwrap();
        db.execute_batch(schema).unwrap();
        drop(db);
        let mut bed = Bed { site: site_at(path.clone(), Duration::from_secs(5)), folder, path, tables: Vec::new() };
        bed.tables = bed.describe(shared).await;
        bed.site.prepare(&bed.tables).await.unwrap();
        bed
    }

    pub async fn describe(&self, shared: &[&str]) -> Vec<Arc<SiteTable>> {
        let described = self.site.describe().await.unwrap();
        let found = |name: &&str| described.iter().find(|table| table.name == *name).unwrap_or_else(|| panic!("no table {name}"));
        let tables = shared.iter().map(found).enumerate().map(|(i, found)| {
            let columns =
                found.columns.iter().map(|c| Column { name: c.column.name.clone(), family: c.column.ty.family().unwrap(), secret: false });
            let table = Table {
                id: TableId(i as u16),
                name: found.name.clone(),
                key: found.key.iter().map(|key| found.columns.iter().position(|c| c.column.name == *key).unwrap()).collect(),
                columns: columns.collect(),
                urgent: false,
            };
            Arc::new(SiteTable {
                table: Arc::new(table),
                schema: found.schema.clone(),
                name: found.name.clone(),
                columns: found.columns.iter().map(|c| Some(c.column.clone())).collect(),
                unique: found.unique.clone(),
                allocation: None,
                fills: Vec::new(),
            })
        });
        tables.collect()
    }

    /// An application's connection.
    pub fn app(&self) -> Connection {
        let db = Connection::open(&self.path).unwrap();
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db
    }

    pub fn run(&self, sql: &str) {
        self.app().execute_batch(sql).unwrap();
    }

    pub fn table(&self, name: &str) -> Arc<SiteTable> {
        self.tables.iter().find(|table| table.name == name).unwrap().clone()
    }

    pub async fn open(&self, from: Position) -> rosterd::sites::Result<Box<dyn LogReader>> {
        let member = LogMember { site: SITE, name: "here".into(), tables: self.tables.clone(), marker_schema: "main".into(), from };
        self.site.open_log(vec![member]).await
    }

    pub async fn log(&self) -> Log {
        self.log_from(self.site.log_end().await.unwrap()).await
    }

    pub async fn log_from(&self, from: Position) -> Log {
        let reader = self.open(from.clone()).await.unwrap();
        Log { reader, position: from, replica: BTreeMap::new() }
    }

    pub async fn writer(&self, lane: rosterd::sites::Lane) -> Box<dyn Writer> {
        self.site.writer(lane, "the test").await.unwrap()
    }

    /// What the tables hold, as a replica would.
    pub async fn content(&self) -> Replica {
        let mut chunks = self.site.chunk_reader().await.unwrap();
        let mut content = Replica::new();
        for table in &self.tables {
            let mut after = None;
            loop {
                let chunk = chunks.chunk(table, after.as_ref(), 7, 1 << 20).await.unwrap();
                let Some((last, _)) = chunk.last() else { break };
                after = Some(last.clone());
                content.extend(chunk.into_iter().map(|(key, image)| ((table.name.clone(), key.reveal()), show(&image))));
            }
        }
        content
    }
}

pub fn site_at(path: PathBuf, lock_wait: Duration) -> Arc<dyn Site> {
    let config = SiteConfig {
        name: "here".into(),
        role: Role::Client,
        endpoint: Endpoint::Sqlite { path },
        tls: Tls { mode: TlsMode::Off, ca_file: None, cert_file: None, key_file: None },
        prefix: Prefix::default(),
        ids: Default::default(),
        tables: BTreeMap::new(),
    };
    let daemon = Daemon {
        state_dir: PathBuf::new(),
        listen: None,
        heartbeat: None,
        copy_rows_per_second_max: None,
        verify_every: None,
        verify_rows_per_second_max: None,
        batch_rows_max: 500,
        batch_bytes_max: 1 << 22,
        chunk_rows_max: 1000,
        connect_timeout: Duration::from_secs(5),
        lock_wait,
        after_apply_repeat: Duration::from_secs(1),
        conflict_days: 1,
    };
    sqlite::site(SITE, &config, &daemon)
}

/// Table and key to the row's cells.
pub type Replica = BTreeMap<(String, String), Vec<String>>;

pub fn show(image: &Image) -> Vec<String> {
    let cell = |cell: &Cell| match cell {
        Cell::Value(value) => value.reveal(),
        Cell::Unchanged => "(unchanged)".into(),
        Cell::Refused(reason) => format!("(refused: {reason})"),
    };
    image.iter().map(cell).collect()
}

/// A reader, and what its items make of an empty replica.
pub struct Log {
    pub reader: Box<dyn LogReader>,
    pub position: Position,
    pub replica: Replica,
}

impl Log {
    pub async fn next(&mut self) -> rosterd::sites::Result<LogItem> {
        let item = tokio::time::timeout(DEADLINE, self.reader.next()).await.expect("an item in time")?;
        if let Some(position) = item.position() {
            self.position = position.clone();
        }
        Ok(item)
    }

    pub async fn transaction(&mut self) -> Transaction {
        loop {
            match self.next().await.unwrap() {
                LogItem::Transaction(transaction) => return transaction,
                LogItem::Progress { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Everything up to a watermark that is written now.
    pub async fn up_to(&mut self, bed: &Bed, writer: &mut Box<dyn Writer>, marker: i64) -> Vec<LogItem> {
        writer.mark(MarkerId(marker), b"").await.unwrap();
        let mut items = Vec::new();
        loop {
            let item = self.next().await.unwrap();
            match &item {
                LogItem::Watermark { marker: found, .. } if found.0 == marker => return items,
                LogItem::Transaction(transaction) => self.replay(bed, transaction),
                _ => {}
            }
            items.push(item);
        }
    }

    pub fn replay(&mut self, bed: &Bed, transaction: &Transaction) {
        for change in &transaction.changes {
            let name = bed.tables.iter().find(|table| table.table.id == change.table).unwrap().name.clone();
            match &change.after {
                Some(image) => self.replica.insert((name, change.key.reveal()), show(image)),
                None => self.replica.remove(&(name, change.key.reveal())),
            };
        }
    }

    pub async fn acknowledge(&mut self) {
        let position = self.position.clone();
        self.reader.acknowledge(SITE, &position).await.unwrap();
    }
}

pub fn changes(items: &[LogItem]) -> Vec<(&Origin, &Change)> {
    let transactions = items.iter().filter_map(|item| match item {
        LogItem::Transaction(transaction) => Some(transaction),
        _ => None,
    });
    transactions.flat_map(|t| t.changes.iter().map(|change| (&t.origin, change))).collect()
}

pub fn int_key(n: i64) -> Key {
    Key(vec![Value::Int(n)])
}

pub fn write(table: &Arc<SiteTable>, kind: WriteKind, key: Key, values: &[(&str, Value)]) -> RowWrite {
    let columns = values.iter().map(|(name, value)| {
        let i = table.table.column(name).unwrap();
        (i, fit(value, &table.columns[i].as_ref().unwrap().ty).unwrap())
    });
    RowWrite { table: table.clone(), kind, columns: columns.collect(), key }
}

pub fn user(table: &Arc<SiteTable>, uid: i64, name: &str) -> RowWrite {
    write(
        table,
        WriteKind::Insert,
        int_key(uid),
        &[("uid", Value::Int(uid)), ("name", Value::text(name)), ("mail", Value::text(format!("{name}@example.net")))],
    )
}

pub fn batch(marker: i64, rows: Vec<RowWrite>) -> Batch {
    let payload = Payload { ledger: 7, rows: Vec::new() }.encode();
    Batch { marker: MarkerId(marker), payload, forget: Vec::new(), rows, statements: Vec::new() }
}
