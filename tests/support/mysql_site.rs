//! A site of the MySQL family on a test server, and what its log says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rosterd::config::{Daemon, Endpoint, Host, Prefix, Role, Secret, Server as Address, SiteConfig, Tls, TlsMode};
use rosterd::model::{Cell, Change, Column, Image, Key, LogItem, MarkerId, Position, SiteId, SiteTable, Table, TableId, Value, WriteKind};
use rosterd::sites::{Batch, LogMember, LogReader, RowWrite, Site, mysql};

use crate::servers::{Kind, Server};

pub const KINDS: [Kind; 3] = [Kind::MariaDb1011, Kind::MariaDb118, Kind::MySql97];

/// What the daemon waits for may take that long on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(40);

pub fn daemon() -> Daemon {
    Daemon {
        state_dir: "/nowhere".into(),
        listen: None,
        heartbeat: None,
        copy_rows_per_second_max: None,
        verify_every: None,
        verify_rows_per_second_max: None,
        batch_rows_max: 500,
        batch_bytes_max: 4 << 20,
        chunk_rows_max: 1000,
        connect_timeout: Duration::from_secs(10),
        lock_wait: Duration::from_secs(1),
        after_apply_repeat: Duration::ZERO,
        conflict_days: 1,
    }
}

pub fn config(host: Host, user: &str, password: Option<&str>, database: &str) -> SiteConfig {
    let address = Address {
        host,
        user: user.into(),
        password: password.map(|text| Secret::new(text.into())),
        database: database.into(),
        schema: "public".into(),
    };
    SiteConfig {
        name: format!("site-{database}"),
        role: Role::Client,
        endpoint: Endpoint::MySql(address),
        tls: Tls { mode: TlsMode::Off, ca_file: None, cert_file: None, key_file: None },
        prefix: Prefix::default(),
        ids: Default::default(),
        tables: BTreeMap::new(),
    }
}

/// A database of its own, and the site that it is.
pub struct Place<'a> {
    pub server: &'a Server,
    pub database: String,
    pub site: Arc<dyn Site>,
}

impl<'a> Place<'a> {
    pub async fn new(server: &'a Server, id: u16) -> Place<'a> {
        let database = server.create_database("site");
        let host = Host::Tcp { name: "127.0.0.1".into(), port: server.port() };
        let site = mysql::site(SiteId(id), &config(host, "root", None, &database), &daemon());
        site.prepare(&[]).await.expect("the marker table is made");
        Place { server, database, site }
    }

    pub fn sql(&self, sql: &str) {
        self.server.sql(&self.database, sql);
    }

    pub fn value(&self, sql: &str) -> String {
        self.server.rows(&self.database, sql)[0][0].clone().unwrap_or_default()
    }

    /// The shared table that a table of this site is, with every column that can be replicated.
    pub async fn table(&self, id: u16, name: &str) -> Arc<SiteTable> {
        let all = self.site.describe().await.expect("tables are described");
        let description = all.into_iter().find(|t| t.name == name && t.schema == self.database).expect("the table is there");
        let key_names = description.key.clone();
        let columns: Vec<_> = description.columns.into_iter().filter(|c| !c.generated).map(|c| c.column).collect();
        let key = key_names.iter().map(|k| columns.iter().position(|c| c.name == *k).unwrap()).collect();
        let shared = columns.iter().map(|c| Column { name: c.name.clone(), family: c.ty.family().unwrap(), secret: false }).collect();
        Arc::new(SiteTable {
            table: Arc::new(Table { id: TableId(id), name: name.into(), columns: shared, key, urgent: false }),
            schema: description.schema,
            name: description.name,
            columns: columns.into_iter().map(Some).collect(),
            unique: description.unique,
            allocation: None,
            fills: Vec::new(),
        })
    }

    pub fn member(&self, tables: &[Arc<SiteTable>], from: Position) -> LogMember {
        LogMember {
            site: self.site.id(),
            name: self.site.name().into(),
            tables: tables.to_vec(),
            marker_schema: self.database.clone(),
            from,
        }
    }

    /// A reader of what comes from now on.
    pub async fn log(&self, tables: &[Arc<SiteTable>]) -> Log {
        let end = self.site.log_end().await.unwrap();
        self.log_from(tables, end).await
    }

    pub async fn log_from(&self, tables: &[Arc<SiteTable>], from: Position) -> Log {
        Log(self.site.open_log(vec![self.member(tables, from)]).await.expect("the log opens"))
    }
}

pub struct Log(pub Box<dyn LogReader>);

impl Log {
    pub async fn next(&mut self) -> LogItem {
        tokio::time::timeout(DEADLINE, self.0.next()).await.expect("the log says something in time").expect("the log is fine")
    }

    /// The next item that `wanted` takes; what comes before it is dropped, Progress only.
    pub async fn find<T>(&mut self, wanted: impl Fn(&LogItem) -> Option<T>) -> T {
        loop {
            let item = self.next().await;
            if let Some(found) = wanted(&item) {
                return found;
            }
            assert!(matches!(item, LogItem::Progress { .. }), "unexpected {item:?}");
        }
    }

    pub async fn transaction(&mut self) -> rosterd::model::Transaction {
        self.find(|item| match item {
            LogItem::Transaction(t) => Some(t.clone()),
            _ => None,
        })
        .await
    }
}

pub fn text(value: &str) -> Value {
    Value::text(value)
}

pub fn key(values: impl IntoIterator<Item = Value>) -> Key {
    Key(values.into_iter().collect())
}

pub fn cells(image: &Image) -> Vec<String> {
    image
        .iter()
        .map(|cell| match cell {
            Cell::Value(value) => format!("{} {}", value.kind(), value.reveal()),
            Cell::Unchanged => "unchanged".into(),
            Cell::Refused(reason) => format!("refused: {reason}"),
        })
        .collect()
}

pub fn shown(change: &Change) -> String {
    let image = |image: &Option<Image>| {
        image.as_ref().map_or("-".to_owned(), |image| {
            image
                .iter()
                .map(|cell| match cell {
                    Cell::Value(value) => value.reveal(),
                    other => format!("{other:?}"),
                })
                .collect::<Vec<_>>()
                .join("|")
        })
    };
    let moved = change.moved_from.as_ref().map_or(String::new(), |key| format!(" from {}", key.reveal()));
    format!("{}: {} -> {}{moved}", change.key.reveal(), image(&change.before), image(&change.after))
}

pub fn shown_all(changes: &[Change]) -> Vec<String> {
    changes.iter().map(shown).collect()
}

pub fn row(table: &Arc<SiteTable>, kind: WriteKind, values: &[(usize, Value)]) -> RowWrite {
    let key = table.table.key.iter().map(|k| values.iter().find(|(c, _)| c == k).expect("key values are given").1.clone()).collect();
    let columns = match kind {
        WriteKind::Delete => Vec::new(),
        WriteKind::Columns => values.iter().filter(|(c, _)| !table.table.key.contains(c)).cloned().collect(),
        _ => values.to_vec(),
    };
    RowWrite { table: table.clone(), kind, key: Key(key), columns }
}

pub fn batch(marker: i64, rows: Vec<RowWrite>) -> Batch {
    Batch { marker: MarkerId(marker), payload: format!("payload {marker}").into_bytes(), forget: Vec::new(), rows, statements: Vec::new() }
}
