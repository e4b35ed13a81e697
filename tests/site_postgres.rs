//! PostgreSQL sites against real servers, 15 and 18.

#[path = "support/servers.rs"]
mod servers;
#[path = "support/sums.rs"]
mod sums;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rosterd::config::{Daemon, Endpoint, Host, Prefix, Role, Secret, Server as Address, SiteConfig, Tls, TlsMode};
use rosterd::model::*;
use rosterd::sites::{
    Batch, Cause, Lane, Level, LogMember, LogReader, Outcome, Piece, Rejection, RowWrite, Site, Statement, Writer, postgres,
};
use servers::{Kind, Server};
use tokio::time::{sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(30);

struct Fixture {
    server: &'static Server,
    database: String,
    site: Arc<dyn Site>,
    tables: Vec<Arc<SiteTable>>,
}

/// A database of its own on the shared server of `kind`, with `schema` run in it and its tables shared.
async fn fixture(kind: Kind, name: &str, schema: &str) -> Fixture {
    let server = Server::shared(kind);
    let database = server.create_database("roster");
    if !schema.is_empty() {
        server.sql(&database, schema);
    }
    let site = site_for(server, &database, name, "postgres");
    let tables = shared(&*site).await;
    Fixture { server, database, site, tables }
}

fn daemon() -> Daemon {
    Daemon {
        state_dir: "/nonexistent".into(),
        listen: None,
        heartbeat: None,
        copy_rows_per_second_max: None,
        verify_every: None,
        verify_rows_per_second_max: None,
        batch_rows_max: 500,
        batch_bytes_max: 4 << 20,
        chunk_rows_max: 1000,
        connect_timeout: Duration::from_secs(10),
        lock_wait: Duration::from_millis(300),
        after_apply_repeat: Duration::from_secs(1),
        conflict_days: 30,
    }
}

/// Slots are the server's, not the database's: sites of different databases need different names.
fn site_for(server: &Server, database: &str, name: &str, user: &str) -> Arc<dyn Site> {
    let host = Host::Tcp { name: "127.0.0.1".into(), port: server.port() };
    let address = Address { host, user: user.into(), password: None, database: database.into(), schema: "public".into() };
    let config = SiteConfig {
        name: format!("{name}_{database}"),
        role: Role::Hub,
        endpoint: Endpoint::Postgres(address),
        tls: Tls { mode: TlsMode::Off, ca_file: None, cert_file: None, key_file: None },
        prefix: Prefix::default(),
        ids: Default::default(),
        tables: Default::default(),
    };
    postgres::site(SiteId(1), &config, &daemon())
}

async fn shared(site: &dyn Site) -> Vec<Arc<SiteTable>> {
    let described = site.describe().await.unwrap();
    let fit = described.into_iter().filter(|table| table.unfit.is_none() && !table.key.is_empty());
    let share = |(number, table): (usize, rosterd::sites::TableDescription)| {
        let columns: Vec<_> = table.columns.iter().filter(|c| c.column.ty.family().is_some()).collect();
        let key = table.key.iter().map(|name| columns.iter().position(|c| c.column.name == *name).unwrap()).collect();
        let column = |c: &&rosterd::sites::ColumnDescription| Column {
            name: c.column.name.clone(),
            family: c.column.ty.family().unwrap(),
            secret: false,
        };
        let roster = Table {
            id: TableId(number as u16 + 1),
            name: table.name.clone(),
            columns: columns.iter().map(column).collect(),
            key,
            urgent: false,
        };
        Arc::new(SiteTable {
            table: Arc::new(roster),
            schema: table.schema,
            name: table.name,
            columns: columns.iter().map(|c| Some(c.column.clone()).filter(|_| !c.generated)).collect(),
            unique: table.unique,
            allocation: None,
            fills: Vec::new(),
        })
    };
    fit.enumerate().map(share).collect()
}

impl Fixture {
    fn sql(&self, sql: &str) {
        self.server.sql(&self.database, sql);
    }

    fn scalar(&self, sql: &str) -> String {
        self.server.rows(&self.database, sql)[0][0].clone().unwrap_or_default()
    }

    fn table(&self, name: &str) -> Arc<SiteTable> {
        self.tables.iter().find(|table| table.name == name).unwrap().clone()
    }

    /// A reader from where the log ends now.
    async fn log(&self) -> Box<dyn LogReader> {
        self.site.prepare(&self.tables).await.unwrap();
        let from = self.site.log_end().await.unwrap();
        self.log_from(from).await.unwrap()
    }

    async fn log_from(&self, from: Position) -> rosterd::sites::Result<Box<dyn LogReader>> {
        let member =
            LogMember { site: SiteId(1), name: self.site.name().into(), tables: self.tables.clone(), marker_schema: "public".into(), from };
        self.site.open_log(vec![member]).await
    }

    async fn writer(&self) -> Box<dyn Writer> {
        self.site.writer(Lane::Urgent, "the test").await.unwrap()
    }

    fn slot(&self) -> String {
        self.scalar(&format!("SELECT slot_name FROM pg_replication_slots WHERE database = '{}'", self.database))
    }

    fn row(&self, table: &str, kind: WriteKind, key: i64, columns: Vec<(usize, Value)>) -> RowWrite {
        RowWrite { table: self.table(table), kind, key: Key(vec![Value::Int(key)]), columns }
    }
}

async fn next(log: &mut Box<dyn LogReader>) -> LogItem {
    timeout(DEADLINE, log.next()).await.expect("an item within the deadline").unwrap()
}

/// The next item that is not only progress.
async fn item(log: &mut Box<dyn LogReader>) -> LogItem {
    loop {
        match next(log).await {
            LogItem::Progress { .. } => {}
            item => return item,
        }
    }
}

async fn transaction(log: &mut Box<dyn LogReader>) -> Transaction {
    match item(log).await {
        LogItem::Transaction(transaction) => transaction,
        other => panic!("{other:?} instead of a transaction"),
    }
}

fn batch(marker: i64, rows: Vec<RowWrite>) -> Batch {
    Batch { marker: MarkerId(marker), payload: vec![1, 2, 0, 255], forget: Vec::new(), rows, statements: Vec::new() }
}

fn text(text: &str) -> Value {
    Value::text(text)
}

fn cell(value: Value) -> Cell {
    Cell::Value(value)
}

async fn eventually(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !fact() {
        assert!(Instant::now() < deadline, "{what} did not come true");
        sleep(Duration::from_millis(20)).await;
    }
}

const USERS: &str = "CREATE TABLE users (uid int PRIMARY KEY, name varchar(60) NOT NULL UNIQUE, mail text);";

async fn changes_come_in_order_with_their_commits(kind: Kind) {
    let f = fixture(kind, "order", USERS).await;
    let mut log = f.log().await;
    f.sql("INSERT INTO users VALUES (1, 'ann', 'a@x')");
    f.sql("BEGIN; UPDATE users SET mail = NULL WHERE uid = 1; DELETE FROM users WHERE uid = 1; COMMIT");
    let first = transaction(&mut log).await;
    assert_eq!(first.origin, Origin::Local);
    assert_eq!(first.changes[0].after, Some(vec![cell(Value::Int(1)), cell(text("ann")), cell(text("a@x"))]));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    assert!((now - first.committed_us).abs() < 60_000_000, "{} is not now", first.committed_us);
    let second = transaction(&mut log).await;
    assert_eq!(second.changes.len(), 2);
    assert_eq!(second.changes[0].after.as_ref().unwrap()[2], cell(Value::Null));
    assert_eq!((&second.changes[1].key, &second.changes[1].after), (&Key(vec![Value::Int(1)]), &None));

    // Read again from the first commit on: the second only, and the same one.
    drop(log);
    let mut log = f.log_from(first.position.unwrap()).await.unwrap();
    assert_eq!(transaction(&mut log).await.position, second.position);
}

async fn our_own_transactions_are_landings(kind: Kind) {
    let f = fixture(kind, "landing", USERS).await;
    let mut log = f.log().await;
    let mut writer = f.writer().await;
    let columns = vec![(0, Value::Int(7)), (1, text("joe")), (2, text("it's \\ \u{1F600}"))];
    let mut first = batch(10, vec![f.row("users", WriteKind::Insert, 7, columns)]);
    first.statements = vec![
        Statement(vec![Piece::Sql("DELETE FROM users WHERE name = concat('x', ".into()), Piece::Value(text("y")), Piece::Sql(")".into())]),
        Statement(vec![Piece::Sql("DELETE FROM nothing".into())]),
        Statement(vec![Piece::Sql("SELECT 1 / (uid - 7) FROM users".into())]),
    ];
    let Outcome::Committed { failed } = writer.apply(&first).await.unwrap() else { panic!("not committed") };
    assert_eq!(failed.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2]);
    let landed = transaction(&mut log).await;
    assert_eq!(landed.origin, Origin::Landing { marker: MarkerId(10), payload: vec![1, 2, 0, 255] });
    assert_eq!(landed.changes[0].after.as_ref().unwrap()[2], cell(text("it's \\ \u{1F600}")));
    assert!(landed.position.is_some());

    writer.mark(MarkerId(11), b"").await.unwrap();
    assert!(matches!(item(&mut log).await, LogItem::Watermark { marker: MarkerId(11), .. }));
    let kinds: Vec<_> = writer.markers().await.unwrap().into_iter().map(|(id, kind, _)| (id.0, kind)).collect();
    assert_eq!(kinds, [(10, MarkerKind::Batch), (11, MarkerKind::Watermark)]);

    let mut second = batch(12, vec![f.row("users", WriteKind::Columns, 7, vec![(2, Value::Null)])]);
    second.forget = vec![MarkerId(10), MarkerId(11)];
    assert_eq!(writer.apply(&second).await.unwrap(), Outcome::Committed { failed: vec![] });
    assert_eq!(writer.markers().await.unwrap().len(), 1);
    let landed = transaction(&mut log).await;
    assert_eq!((landed.origin, landed.changes.len()), (Origin::Landing { marker: MarkerId(12), payload: vec![1, 2, 0, 255] }, 1));
    writer.forget(&[MarkerId(12)]).await.unwrap();
    writer.ping().await.unwrap();
    f.sql("INSERT INTO users VALUES (8, 'eve', '')");
    assert_eq!(transaction(&mut log).await.changes[0].key, Key(vec![Value::Int(8)]));
}

async fn rows_that_are_not_as_they_must_be_are_told(kind: Kind) {
    let schema = format!(
        "{USERS} CREATE TABLE roles (rid int PRIMARY KEY, uid int REFERENCES users (uid) DEFERRABLE INITIALLY DEFERRED, kind int CHECK (kind < 10));
         INSERT INTO users VALUES (1, 'ann', ''), (2, 'bob', '')"
    );
    let f = fixture(kind, "verdicts", &schema).await;
    f.site.prepare(&f.tables).await.unwrap();
    let mut writer = f.writer().await;
    let insert = |uid: i64, name: &str| f.row("users", WriteKind::Insert, uid, vec![(0, Value::Int(uid)), (1, text(name))]);
    let rows = vec![
        insert(1, "other"),
        insert(3, "bob"),
        insert(4, "dan"),
        f.row("users", WriteKind::Columns, 99, vec![(2, text("x"))]),
        f.row("users", WriteKind::Delete, 98, vec![]),
        f.row("roles", WriteKind::Insert, 1, vec![(0, Value::Int(1)), (1, Value::Int(1)), (2, Value::Int(70))]),
        f.row("users", WriteKind::Columns, 2, vec![(1, text(&"long".repeat(30)))]),
    ];
    let Outcome::Rejected(mut rejected) = writer.apply(&batch(1, rows.clone())).await.unwrap() else { panic!("not rejected") };
    assert_eq!(rejected.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1, 3, 5, 6]);
    assert_eq!(rejected[1].1, Rejection::Unique("users_name_key".into()));
    assert_eq!((&rejected[0].1, &rejected[2].1), (&Rejection::Elsewise, &Rejection::Elsewise));
    let Rejection::Data(why) = rejected.remove(4).1 else { panic!("a value too long is the row's fault") };
    assert!(why.contains("22001") && !why.contains("longlong"), "{why}");
    assert_eq!(f.scalar("SELECT count(*) FROM users"), "2");
    assert!(writer.markers().await.unwrap().is_empty());

    let good: Vec<RowWrite> = [2, 4].map(|at| rows[at].clone()).into();
    assert_eq!(writer.apply(&batch(1, good)).await.unwrap(), Outcome::Committed { failed: vec![] });
    assert_eq!(f.scalar("SELECT count(*) FROM users"), "3");
    let twice = writer.apply(&batch(1, vec![])).await.unwrap_err();
    assert!(twice.to_string().contains("given up"), "{twice}");
    // Absent rows show as such without an error of the server, too.
    let absent = vec![f.row("users", WriteKind::Replace, 50, vec![(0, Value::Int(50)), (1, text("x"))])];
    assert_eq!(writer.apply(&batch(2, absent)).await.unwrap(), Outcome::Rejected(vec![(0, Rejection::Elsewise)]));
    writer.apply(&batch(2, vec![])).await.unwrap();
    // Among many of a kind, which go together, too.
    let mut many: Vec<RowWrite> = (100..140).map(|uid| insert(uid, &format!("u{uid}"))).collect();
    many[7] = insert(2, "u107");
    many[30] = insert(130, "ann");
    let verdict = Outcome::Rejected(vec![(7, Rejection::Elsewise), (30, Rejection::Unique("users_name_key".into()))]);
    assert_eq!(writer.apply(&batch(3, many.clone())).await.unwrap(), verdict);
    many.remove(30);
    many.remove(7);
    assert_eq!(writer.apply(&batch(3, many)).await.unwrap(), Outcome::Committed { failed: vec![] });
    let gone = (90..140).map(|uid| f.row("users", WriteKind::Delete, uid, vec![])).collect();
    assert_eq!(writer.apply(&batch(4, gone)).await.unwrap(), Outcome::Committed { failed: vec![] });
    assert_eq!(f.scalar("SELECT count(*) FROM users"), "3");
}

/// A role that may not turn triggers and foreign keys off.
async fn foreign_keys_reject_rows_where_they_are_checked(kind: Kind) {
    let schema = format!("{USERS} CREATE TABLE roles (rid int PRIMARY KEY, uid int REFERENCES users (uid) DEFERRABLE INITIALLY DEFERRED)");
    let f = fixture(kind, "foreign", &schema).await;
    f.site.prepare(&f.tables).await.unwrap();
    let role = format!("plain_{}", f.database);
    f.sql(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"));
    let site = site_for(f.server, &f.database, "foreign", &role);
    let mut writer = site.writer(Lane::Bulk, "x").await.unwrap();
    let rows = vec![
        f.row("users", WriteKind::Insert, 1, vec![(0, Value::Int(1)), (1, text("ann"))]),
        f.row("roles", WriteKind::Insert, 1, vec![(0, Value::Int(1)), (1, Value::Int(1))]),
        f.row("roles", WriteKind::Insert, 2, vec![(0, Value::Int(2)), (1, Value::Int(44))]),
    ];
    let rejected = writer.apply(&batch(1, rows)).await.unwrap();
    assert_eq!(rejected, Outcome::Rejected(vec![(2, Rejection::Reference("roles_uid_fkey".into()))]));

    let findings = site.probe(&f.tables, None).await.unwrap();
    let found = |subject: &str| findings.iter().find(|finding| finding.subject == subject).unwrap();
    assert_eq!(found("replication").level, Level::Error);
    assert_eq!(found("triggers").level, Level::Warning);
    assert!(found("triggers").remedy.as_ref().unwrap().contains("GRANT SET ON PARAMETER"));
    assert_eq!(found("privileges on users").level, Level::Fine);
}

async fn toasted_values_that_stay_are_unchanged_or_told(kind: Kind) {
    let schema = "CREATE TABLE bios (id int PRIMARY KEY, bio text, note text); ALTER TABLE bios ALTER bio SET STORAGE EXTERNAL;
        INSERT INTO bios VALUES (1, repeat('x', 9000), 'a')";
    let f = fixture(kind, "toast", schema).await;
    let mut log = f.log().await;
    f.sql("UPDATE bios SET note = 'b'");
    let change = transaction(&mut log).await.changes.remove(0);
    assert_eq!(change.after.unwrap()[1..], [Cell::Unchanged, cell(text("b"))]);
    assert_eq!(change.before, None);

    f.sql("UPDATE bios SET id = 2");
    let moved = transaction(&mut log).await.changes;
    assert_eq!((&moved[0].key, &moved[0].after), (&Key(vec![Value::Int(1)]), &None));
    assert_eq!((&moved[1].key, &moved[1].moved_from), (&Key(vec![Value::Int(2)]), &Some(Key(vec![Value::Int(1)]))));
    assert_eq!(moved[1].after.as_ref().unwrap()[1], Cell::Unchanged);

    f.sql("ALTER TABLE bios REPLICA IDENTITY FULL");
    f.sql("UPDATE bios SET note = 'c'");
    let change = transaction(&mut log).await.changes.remove(0);
    assert_eq!(change.after.unwrap()[1], cell(text(&"x".repeat(9000))));
    assert_eq!(change.before.unwrap()[2], cell(text("b")));
    f.sql("DELETE FROM bios");
    let change = transaction(&mut log).await.changes.remove(0);
    assert_eq!((change.key, change.before.unwrap()[2].clone()), (Key(vec![Value::Int(2)]), cell(text("c"))));
}

async fn truncation_and_alteration_are_told(kind: Kind) {
    let f = fixture(
        kind,
        "ddl",
        &format!("{USERS} CREATE TABLE pets (id int PRIMARY KEY, name text, age int); INSERT INTO pets VALUES (1, 'rex', 3)"),
    )
    .await;
    let mut log = f.log().await;
    f.sql("TRUNCATE pets, users");
    let (pets, users) = (f.table("pets").table.id, f.table("users").table.id);
    let mut emptied = Vec::new();
    for _ in 0..2 {
        match item(&mut log).await {
            LogItem::Emptied { table, .. } => emptied.push(table),
            other => panic!("{other:?}"),
        }
    }
    emptied.sort();
    assert_eq!(emptied, [pets, users]);

    f.sql("ALTER TABLE pets ADD owner text DEFAULT 'x'; INSERT INTO pets VALUES (2, 'tom', 1)");
    assert_eq!(transaction(&mut log).await.changes[0].after.as_ref().unwrap().len(), 3);
    f.sql("BEGIN; INSERT INTO users VALUES (1, 'ann'); ALTER TABLE pets DROP age; INSERT INTO pets VALUES (3, 'kit'); COMMIT");
    let LogItem::Altered { table, position, .. } = item(&mut log).await else { panic!("not told as altered") };
    assert_eq!(table, pets);
    let rest = transaction(&mut log).await;
    assert_eq!(rest.changes.len(), 1);
    assert_eq!(rest.changes[0].table, users);
    // Whoever opens the log there again, with the table as it is now, gets all of that transaction.
    drop(log);
    let f = Fixture { tables: shared(&*f.site).await, ..f };
    let mut log = f.log_from(position).await.unwrap();
    assert_eq!(transaction(&mut log).await.changes.len(), 2);
    f.sql("ALTER TABLE pets ALTER name TYPE varchar(10); UPDATE pets SET name = 'kat'");
    assert!(matches!(item(&mut log).await, LogItem::Altered { table, .. } if table == f.table("pets").table.id));
}

async fn a_table_made_anew_is_told_as_emptied(kind: Kind) {
    let f = fixture(kind, "anew", USERS).await;
    let mut log = f.log().await;
    f.sql("INSERT INTO users VALUES (1, 'ann')");
    assert_eq!(transaction(&mut log).await.changes.len(), 1);
    f.sql(&format!("DROP TABLE users; {USERS} INSERT INTO users VALUES (1, 'ann')"));
    assert!(matches!(item(&mut log).await, LogItem::Emptied { .. }));
    f.site.prepare(&f.tables).await.unwrap();
    drop(log);
    let mut log = f.log_from(f.site.log_end().await.unwrap()).await.unwrap();
    f.sql("UPDATE users SET mail = 'x'");
    assert_eq!(transaction(&mut log).await.changes.len(), 1);
}

async fn undone_work_is_not_seen(kind: Kind) {
    let f = fixture(kind, "savepoints", USERS).await;
    let mut log = f.log().await;
    f.sql("BEGIN; INSERT INTO users VALUES (1, 'ann'); ROLLBACK");
    f.sql("BEGIN; INSERT INTO users VALUES (2, 'bob'); SAVEPOINT a; INSERT INTO users VALUES (3, 'cy'); ROLLBACK TO a; INSERT INTO users VALUES (4, 'dan'); COMMIT");
    let keys: Vec<Key> = transaction(&mut log).await.changes.into_iter().map(|change| change.key).collect();
    assert_eq!(keys, [Key(vec![Value::Int(2)]), Key(vec![Value::Int(4)])]);
}

async fn a_large_transaction_comes_in_parts(kind: Kind) {
    let f = fixture(kind, "large", USERS).await;
    let mut log = f.log().await;
    f.sql("INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 50000) n");
    let (mut parts, mut rows) = (0, 0);
    loop {
        let part = transaction(&mut log).await;
        assert!(part.changes.len() <= 20_000);
        parts += 1;
        rows += part.changes.len();
        if part.position.is_some() {
            break;
        }
    }
    assert_eq!((parts, rows), (3, 50_000));
    f.sql("UPDATE users SET mail = repeat('y', 20000000) WHERE uid = 1");
    let big = transaction(&mut log).await;
    let last = transaction(&mut log).await;
    assert_eq!((big.position, big.changes.len(), last.changes.len()), (None, 1, 0));
    assert!(last.position.is_some());
    let Cell::Value(Value::Text(mail)) = &big.changes[0].after.as_ref().unwrap()[2] else { panic!("no text") };
    assert_eq!(mail.len(), 20_000_000);
}

async fn a_landing_is_never_parted(kind: Kind) {
    let f = fixture(kind, "whole", USERS).await;
    let mut log = f.log().await;
    let mut writer = f.writer().await;
    let row = |n: i64| f.row("users", WriteKind::Insert, n, vec![(0, Value::Int(n)), (1, text(&format!("u{n}"))), (2, Value::Null)]);
    let huge = f.row("users", WriteKind::Insert, 0, vec![(0, Value::Int(0)), (1, text("huge")), (2, text(&"z".repeat(20_000_000)))]);
    let rows: Vec<RowWrite> = (1..100).map(row).chain([huge]).collect();
    assert_eq!(writer.apply(&batch(5, rows)).await.unwrap(), Outcome::Committed { failed: vec![] });
    let landed = transaction(&mut log).await;
    assert_eq!(landed.changes.len(), 100);
    assert!(landed.position.is_some());
}

async fn an_idle_slot_pins_nothing(kind: Kind) {
    let f = fixture(kind, "idle", USERS).await;
    f.sql("CREATE TABLE elsewhere (n int)");
    let mut log = f.log().await;
    f.sql("INSERT INTO elsewhere SELECT generate_series(1, 20000)");
    let wanted = Lsn::parse(&f.scalar("SELECT pg_current_wal_flush_lsn()"));
    let slot = f.slot();
    let confirmed = || Lsn::parse(&f.scalar(&format!("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'")));
    loop {
        let LogItem::Progress { position, site } = next(&mut log).await else { panic!("only progress was to come") };
        log.acknowledge(site, &position).await.unwrap();
        if Lsn::parse(&position.0) >= wanted {
            break;
        }
    }
    eventually("the slot's confirmed position moves on", || confirmed() >= wanted).await;
}

/// Enough of a position to compare two of them.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
struct Lsn(u64, u64);

impl Lsn {
    fn parse(text: &str) -> Option<Lsn> {
        let (high, low) = text.split_once('/')?;
        Some(Lsn(u64::from_str_radix(high, 16).ok()?, u64::from_str_radix(low, 16).ok()?))
    }
}

async fn a_lost_slot_is_a_lost_log(kind: Kind) {
    let f = fixture(kind, "lost", USERS).await;
    f.site.prepare(&f.tables).await.unwrap();
    let from = f.site.log_end().await.unwrap();
    let mut log = f.log_from(from.clone()).await.unwrap();
    f.sql("INSERT INTO users VALUES (1, 'ann')");
    let last = transaction(&mut log).await.position.unwrap();
    log.acknowledge(SiteId(1), &last).await.unwrap();
    let slot = f.slot();
    let confirmed = || f.scalar(&format!("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'"));
    eventually("the acknowledgement arrives", || confirmed() == last.0).await;

    // The connection is ended at the server.
    f.sql(&format!("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{slot}'"));
    let error = timeout(DEADLINE, async {
        loop {
            if let Err(error) = log.next().await {
                return error;
            }
        }
    });
    assert_eq!(error.await.unwrap().cause, Cause::Disconnected);

    // Beyond where we left off; gone; of another server.
    assert_eq!(f.log_from(from).await.err().unwrap().cause, Cause::LogLost);
    assert_eq!(f.log_from(Position("FFFFFFF/0".into())).await.err().unwrap().cause, Cause::LogLost);
    assert!(f.log_from(last.clone()).await.is_ok());
    let dropping = format!("SELECT pg_drop_replication_slot('{slot}')");
    eventually("the slot is idle", || f.scalar(&format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'")) == "f")
        .await;
    f.sql(&dropping);
    let error = f.log_from(last).await.err().unwrap();
    assert_eq!(error.cause, Cause::LogLost);
    assert!(error.to_string().contains("is gone"), "{error}");
    f.site.prepare(&f.tables).await.unwrap();
    assert!(f.log_from(f.site.log_end().await.unwrap()).await.is_ok());
    f.site.dismantle().await.unwrap();
    f.site.dismantle().await.unwrap();
    assert_eq!(f.scalar("SELECT count(*) FROM pg_publication"), "0");
    assert_eq!(f.scalar("SELECT count(*) FROM pg_class WHERE relname = 'rosterd_marker'"), "0");
}

async fn a_batch_of_unknown_outcome_is_settled(kind: Kind) {
    let f = fixture(kind, "settle", USERS).await;
    f.site.prepare(&f.tables).await.unwrap();
    let mut writer = f.writer().await;
    writer.apply(&batch(1, vec![])).await.unwrap();
    assert!(writer.settle(MarkerId(1)).await.unwrap());
    assert!(!writer.settle(MarkerId(2)).await.unwrap());
    assert!(!writer.settle(MarkerId(2)).await.unwrap());
    assert!(writer.apply(&batch(2, vec![])).await.is_err());

    // One that another session has not ended yet is waited for, and then settled by how it ended.
    let (client, connection) = tokio_postgres::connect(&f.server.url(&f.database), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; INSERT INTO rosterd_marker VALUES (3, 'b', '')").await.unwrap();
    assert_eq!(writer.settle(MarkerId(3)).await.unwrap_err().cause, Cause::Busy);
    let waiting = tokio::spawn(async move { (writer.settle(MarkerId(3)).await, writer) });
    eventually("it waits", || f.scalar("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0").await;
    client.batch_execute("COMMIT").await.unwrap();
    let (settled, mut writer) = waiting.await.unwrap();
    assert!(settled.unwrap());

    // A lock that is not given in time: the batch gives way, and works later.
    f.sql("INSERT INTO users VALUES (1, 'ann')");
    client.batch_execute("BEGIN; UPDATE users SET mail = 'x'").await.unwrap();
    let rows = vec![f.row("users", WriteKind::Columns, 1, vec![(2, text("y"))])];
    assert_eq!(writer.apply(&batch(4, rows.clone())).await.unwrap(), Outcome::Rejected(vec![(0, Rejection::Locked)]));
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(writer.apply(&batch(4, rows)).await.unwrap(), Outcome::Committed { failed: vec![] });

    f.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rosterd'");
    let error = writer.apply(&batch(5, vec![])).await.unwrap_err();
    assert_eq!(error.cause, Cause::Disconnected, "{error}");
    assert!(!f.writer().await.settle(MarkerId(5)).await.unwrap());
}

async fn a_second_writer_is_told_who_holds_the_lane(kind: Kind) {
    let f = fixture(kind, "held", USERS).await;
    f.site.prepare(&f.tables).await.unwrap();
    let first = f.site.writer(Lane::Urgent, "host db7, process 4711").await.unwrap();
    let _bulk = f.site.writer(Lane::Bulk, "x").await.unwrap();
    let error = f.site.writer(Lane::Urgent, "me").await.err().unwrap();
    assert_eq!(error.cause, Cause::Held);
    assert!(error.message.contains("process 4711") && error.message.contains("rosterd"), "{error}");
    drop(first);
    let deadline = Instant::now() + DEADLINE;
    while f.site.writer(Lane::Urgent, "me").await.is_err() {
        assert!(Instant::now() < deadline, "the lock is not let go of");
        sleep(Duration::from_millis(20)).await;
    }
}

const EVERY: &str = "CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN posint AS int CHECK (VALUE > 0);
    CREATE TABLE every (id bigint PRIMARY KEY, b bool, i2 int2, o oid, f4 float4, f8 float8, n numeric, n2 numeric(8,3), c char(5), v varchar(9),
        ci citext, by bytea, d date, t time, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, b64 bit(64), m mood, p posint,
        doubled bigint GENERATED ALWAYS AS (id * 2) STORED, unfit int[]);
    INSERT INTO every VALUES
        (1, true, -3, 4000000000, 0.1, 1e300, 12345678901234567890.1230, -0.5, 'ab', 'a', 'Joe', '\\x00ff', '2024-02-29', '23:59:59.000001',
         '2024-01-02 03:04:05.5', '2024-01-02 03:04:05+05', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{\"b\": 1, \"a\": [1.50]}', '{\"x\":null}',
         B'1111111111111111111111111111111111111111111111111111111111111111', 'ok', 5),
        (3, false, 0, 0, 'NaN', '-Infinity', 'NaN', 0, '', '', '', '', 'infinity', '24:00:00', '-infinity', '0044-03-15 12:00:00+00 BC',
         NULL, NULL, NULL, NULL, NULL, NULL);
    INSERT INTO every (id) VALUES (2)";

async fn the_log_and_the_tables_give_the_same_values(kind: Kind) {
    let f = fixture(kind, "values", EVERY).await;
    let mut log = f.log().await;
    let table = f.table("every");
    let mut reader = f.site.chunk_reader().await.unwrap();
    let chunk = reader.chunk(&table, None, 100, 1 << 20).await.unwrap();
    assert_eq!(chunk.len(), 3);
    f.sql(
        "INSERT INTO every SELECT id + 10, b, i2, o, f4, f8, n, n2, c, v, ci, by, d, t, ts, tz, u, j, jb, b64, m, p FROM every ORDER BY id",
    );
    let changes = transaction(&mut log).await.changes;
    let at = |name: &str| table.table.column(name).unwrap();
    for ((key, mut row), change) in chunk.into_iter().zip(changes) {
        let Value::Int(id) = key.0[0] else { panic!("not a number") };
        assert_eq!(change.key, Key(vec![Value::Int(id + 10)]));
        row[0] = cell(Value::Int(id + 10));
        assert_eq!(Some(&row), change.after.as_ref());
        if id == 1 {
            assert_eq!(row[at("b")], cell(Value::Int(1)));
            assert_eq!(row[at("b64")], cell(Value::UInt(u64::MAX)));
            assert_eq!(row[at("c")], cell(text("ab")));
            assert_eq!(row[at("n")], cell(Value::Decimal(Decimal::parse("12345678901234567890.123").unwrap())));
            assert_eq!(row[at("j")], cell(Value::json("{\"a\":[1.5],\"b\":1}").unwrap()));
            assert_eq!(row[at("tz")], cell(Value::DateTime(DateTime { date: Date { year: 2024, month: 1, day: 1 }, us: 79_445_000_000 })));
            assert_eq!(row[at("doubled")], Cell::Unchanged);
        }
        if id == 3 {
            assert!(matches!(row[at("d")], Cell::Refused(_)) && matches!(row[at("n")], Cell::Refused(_)));
            assert_eq!(row[at("tz")], cell(Value::DateTime(DateTime { date: Date { year: -43, month: 3, day: 15 }, us: 43_200_000_000 })));
        }
    }

    // Written by us, the values come back as they were.
    let mut writer = f.writer().await;
    let read = reader.rows(&table, &[Key(vec![Value::Int(1)]), Key(vec![Value::Int(3)]), Key(vec![Value::Int(77)])]).await.unwrap();
    assert_eq!(read.len(), 2);
    let mut rows = Vec::new();
    for (key, image) in &read {
        let Value::Int(id) = key.0[0] else { panic!("not a number") };
        let mut columns = vec![(0, Value::Int(id + 100))];
        for (number, cell) in image.iter().enumerate().skip(1) {
            if let (Cell::Value(value), Some(column)) = (cell, &table.columns[number]) {
                columns.push((number, fit(value, &column.ty).unwrap()));
            }
        }
        rows.push(RowWrite { table: table.clone(), kind: WriteKind::Insert, key: Key(vec![Value::Int(id + 100)]), columns });
    }
    assert_eq!(writer.apply(&batch(1, rows)).await.unwrap(), Outcome::Committed { failed: vec![] });
    let written = transaction(&mut log).await.changes;
    for ((_, image), change) in read.iter().zip(written) {
        for (number, (read, written)) in image.iter().zip(change.after.unwrap()).enumerate().skip(1) {
            if let Cell::Value(_) = read {
                assert_eq!(*read, written, "column {}", table.table.columns[number].name);
            }
        }
    }
}

async fn tables_are_described_as_they_are(kind: Kind) {
    let schema = "CREATE SCHEMA shared; CREATE EXTENSION citext;
        CREATE TABLE users (uid serial PRIMARY KEY, name citext UNIQUE, mail text, created int GENERATED ALWAYS AS IDENTITY);
        CREATE UNIQUE INDEX users_mail ON users (lower(mail)) WHERE mail <> '';
        CREATE TABLE roles (uid int REFERENCES users ON DELETE CASCADE, rid int, PRIMARY KEY (rid, uid));
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER noise BEFORE INSERT ON roles FOR EACH ROW EXECUTE FUNCTION f();
        CREATE UNLOGGED TABLE cache (cid text PRIMARY KEY); CREATE VIEW v AS SELECT 1 AS one; CREATE TABLE keyless (a int);
        CREATE TABLE nothing (a int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING; CREATE TABLE shared.other (a int PRIMARY KEY)";
    let f = fixture(kind, "describe", schema).await;
    let described = f.site.describe().await.unwrap();
    let table = |name: &str| described.iter().find(|table| table.name == name).unwrap();
    let users = table("users");
    assert_eq!(users.key, ["uid"]);
    assert!(users.columns[0].numbered && users.columns[3].numbered && users.columns[1].case_insensitive);
    assert_eq!(users.unique.len(), 2);
    assert_eq!((users.unique[0].columns.as_slice(), users.unique[0].case_insensitive), (["mail".to_owned()].as_slice(), true));
    assert_eq!((users.unique[1].columns.as_slice(), users.unique[1].case_insensitive), (["name".to_owned()].as_slice(), true));
    let roles = table("roles");
    assert_eq!(roles.key, ["rid", "uid"]);
    assert_eq!((roles.foreign[0].parent.as_str(), roles.foreign[0].cascades), ("users", true));
    assert_eq!(roles.triggers, ["noise"]);
    for name in ["cache", "v", "keyless", "nothing"] {
        assert!(table(name).unfit.is_some(), "{name}");
    }
    assert!(!described.iter().any(|table| table.schema == "shared"));
    assert!(f.site.identity().await.unwrap().contains("public"));
    assert_eq!(f.site.identity().await.unwrap(), f.site.identity().await.unwrap());

    // Numbers from other sites are not drawn again here.
    f.site.prepare(&f.tables).await.unwrap();
    let mut writer = f.writer().await;
    let row = f.row("users", WriteKind::Insert, 41, vec![(0, Value::Int(41)), (1, text("ann")), (3, Value::Int(8))]);
    assert_eq!(writer.apply(&batch(1, vec![row])).await.unwrap(), Outcome::Committed { failed: vec![] });
    f.sql("INSERT INTO users (name) VALUES ('bob')");
    assert_eq!(f.scalar("SELECT uid || ',' || created FROM users WHERE name = 'bob'"), "42,9");
}

async fn a_checksum_is_of_the_values_that_are_read(kind: Kind) {
    let schema = "CREATE EXTENSION IF NOT EXISTS citext;
        CREATE TABLE sums (id bigint PRIMARY KEY, small smallint, name varchar(60), narrow char(10), folded citext, body text, raw bytea);
        INSERT INTO sums VALUES (-5, -3, 'żółw 🐢', 'ab', 'Joe', 'Grüße €', '\\x00ff'), (3, 0, '', '', '', '', ''),
            (12, 127, 'a,b:N', '1:a', ' x ', '0', 'ab');
        INSERT INTO sums (id) VALUES (2);
        CREATE TABLE other (id int PRIMARY KEY, price numeric(8,2)); CREATE TABLE pair (a int, b int, PRIMARY KEY (a, b));
        CREATE TABLE flags (id int PRIMARY KEY, flag bool)";
    let f = fixture(kind, "sums", schema).await;
    sums::agree(&*f.site, &f.table("sums")).await;
    for name in ["other", "pair", "flags"] {
        assert_eq!(f.table(name).summed(), None, "{name}");
    }
}

async fn chunks_go_through_a_table_in_key_order(kind: Kind) {
    let schema = "CREATE TABLE pairs (a int, b text, body text, PRIMARY KEY (a, b));
        INSERT INTO pairs SELECT n / 10, 'k' || n % 10, repeat('x', 1000) FROM generate_series(0, 999) n";
    let f = fixture(kind, "chunks", schema).await;
    let table = f.table("pairs");
    let mut reader = f.site.chunk_reader().await.unwrap();
    let (mut after, mut keys, mut chunks) = (None, Vec::new(), 0);
    loop {
        let chunk = reader.chunk(&table, after.as_ref(), 130, 1 << 20).await.unwrap();
        let Some((last, _)) = chunk.last() else { break };
        after = Some(last.clone());
        chunks += 1;
        keys.extend(chunk.into_iter().map(|(key, _)| key.reveal()));
    }
    assert_eq!((keys.len(), chunks), (1000, 8));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 1000);
    let small = reader.chunk(&table, None, 500, 50_000).await.unwrap();
    assert!((32..80).contains(&small.len()), "{}", small.len());
    assert!(!reader.chunk(&table, None, 10, 1).await.unwrap().is_empty());
    f.sql("ANALYZE pairs");
    assert_eq!(reader.estimate(&table).await.unwrap(), 1000);

    // A transaction that goes on for long delays a chunk, and does not stop it.
    let (client, connection) = tokio_postgres::connect(&f.server.url(&f.database), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; DELETE FROM pairs WHERE a = 0").await.unwrap();
    let started = Instant::now();
    let waiting = tokio::spawn(async move { (reader.chunk(&table, None, 5, 1 << 20).await.unwrap(), reader, table) });
    sleep(Duration::from_millis(200)).await;
    client.batch_execute("COMMIT").await.unwrap();
    let (chunk, ..) = waiting.await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(chunk[0].0.0[0], Value::Int(1), "a commit that was under way is seen");
}

async fn what_check_asks_for_is_enough(kind: Kind) {
    let f = fixture(kind, "check", USERS).await;
    let role = format!("rosterd_{}", f.database);
    f.sql(&format!("CREATE ROLE {role}"));
    let site = site_for(f.server, &f.database, "check", &role);
    for statement in site.grants(&f.tables) {
        f.sql(&statement);
    }
    site.prepare(&f.tables).await.unwrap();
    let from = site.log_end().await.unwrap();
    let findings = site.probe(&f.tables, Some(&from)).await.unwrap();
    let bad: Vec<_> = findings.iter().filter(|finding| finding.level != Level::Fine).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let f = Fixture { site, ..f };
    let mut log = f.log_from(from).await.unwrap();
    let mut writer = f.writer().await;
    writer.apply(&batch(1, vec![f.row("users", WriteKind::Insert, 1, vec![(0, Value::Int(1)), (1, text("ann"))])])).await.unwrap();
    assert_eq!(transaction(&mut log).await.changes.len(), 1);
}

/// A certificate authority and a certificate for `localhost` in the server's data directory, made by openssl.
fn certificates(server: &Server) {
    use std::os::unix::fs::{MetadataExt, chown};
    let data = server.data();
    let openssl = |line: &str| {
        let done = std::process::Command::new("openssl").args(line.split(' ')).current_dir(&data).output().expect("openssl runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=roster -keyout ca.key -out ca.pem -addext basicConstraints=critical,CA:true",
    );
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr -addext subjectAltName=DNS:localhost");
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out server.crt");
    let owner = std::fs::metadata(&data).unwrap();
    for file in ["server.key", "server.crt"] {
        chown(data.join(file), Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

/// Both connections of a site, the driver's and the one in replication mode, by every way to authenticate.
async fn every_way_in_works(kind: Kind) {
    let server = Server::start(kind);
    certificates(&server);
    let rules = "local all all trust\nhostssl all scrammed 127.0.0.1/32 scram-sha-256\nhost all hashed 127.0.0.1/32 md5\n\
        host all plain 127.0.0.1/32 password\nhostssl all all ::1/128 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n";
    std::fs::write(server.data().join("pg_hba.conf"), rules).unwrap();
    server.sql(
        "postgres",
        "CREATE ROLE scrammed LOGIN REPLICATION PASSWORD 'päss w0rd'; CREATE ROLE plain LOGIN REPLICATION PASSWORD 'plain'",
    );
    server.sql("postgres", "SET password_encryption = 'md5'; CREATE ROLE hashed LOGIN REPLICATION PASSWORD 'hashed'");
    server.sql("postgres", "ALTER SYSTEM SET ssl = on");
    server.sql("postgres", "SELECT pg_reload_conf()");
    let tcp = |name: &str| Host::Tcp { name: name.into(), port: server.port() };
    let site = |host: Host, user: &str, password: Option<&str>, mode: TlsMode| {
        let password = password.map(|password| Secret::new(password.into()));
        let ca_file = (mode != TlsMode::Off).then(|| server.data().join("ca.pem"));
        let config = SiteConfig {
            name: "ways".into(),
            role: Role::Hub,
            endpoint: Endpoint::Postgres(Address {
                host,
                user: user.into(),
                password,
                database: "postgres".into(),
                schema: "public".into(),
            }),
            tls: Tls { mode, ca_file, cert_file: None, key_file: None },
            prefix: Prefix::default(),
            ids: Default::default(),
            tables: Default::default(),
        };
        postgres::site(SiteId(1), &config, &daemon())
    };
    let ready = site(Host::Socket(server.socket().join(format!(".s.PGSQL.{}", server.port()))), "postgres", None, TlsMode::Off);
    let deadline = Instant::now() + DEADLINE;
    while server.rows("postgres", "SHOW ssl")[0][0].as_deref() != Some("on") {
        assert!(Instant::now() < deadline, "TLS is not on");
        sleep(Duration::from_millis(20)).await;
    }
    let ways = [
        ready,
        site(tcp("127.0.0.1"), "postgres", None, TlsMode::Off),
        site(tcp("127.0.0.1"), "plain", Some("plain"), TlsMode::Off),
        site(tcp("127.0.0.1"), "hashed", Some("hashed"), TlsMode::Off),
        site(tcp("localhost"), "scrammed", Some("päss w0rd"), TlsMode::VerifyFull),
        site(tcp("127.0.0.1"), "scrammed", Some("päss w0rd"), TlsMode::VerifyCa),
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let findings = way.probe(&[], None).await.unwrap_or_else(|error| panic!("way {number}: {error}"));
        let found = findings.iter().find(|finding| finding.subject == "replication").unwrap();
        assert_eq!(found.level, Level::Fine, "way {number}: {found:?}");
    }
    let refused = [
        (site(tcp("127.0.0.1"), "scrammed", Some("päss w0rd"), TlsMode::VerifyFull), Cause::Tls),
        (site(tcp("localhost"), "scrammed", Some("wrong"), TlsMode::VerifyFull), Cause::Credentials),
        (site(tcp("localhost"), "scrammed", None, TlsMode::VerifyFull), Cause::Credentials),
        (site(tcp("127.0.0.1"), "stranger", Some("x"), TlsMode::Off), Cause::Credentials),
        (site(Host::Tcp { name: "127.0.0.1".into(), port: 1 }, "postgres", None, TlsMode::Off), Cause::Unreachable),
    ];
    for (number, (site, cause)) in refused.into_iter().enumerate() {
        let error = site.describe().await.err().unwrap_or_else(|| panic!("{number} is let in"));
        assert_eq!(error.cause, cause, "{number}: {error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

/// A measurement: `cargo test --test site_postgres -- --ignored --nocapture rates`.
async fn rates(kind: Kind) {
    let f = fixture(
        kind,
        "rates",
        "CREATE TABLE users (uid int PRIMARY KEY, name varchar(60) NOT NULL UNIQUE, mail text, pass text, created int, status int)",
    )
    .await;
    let mut log = f.log().await;
    let mut writer = f.writer().await;
    const ROWS: i64 = 30_000;
    let columns = |n: i64| {
        let name = text(&format!("user {n}"));
        vec![
            (0, Value::Int(n)),
            (1, name),
            (2, text(&format!("u{n}@example.net"))),
            (3, text(&"h".repeat(60))),
            (4, Value::Int(n)),
            (5, Value::Int(1)),
        ]
    };
    let mut marker = 0;
    for (what, kind) in [("insert", WriteKind::Insert), ("update", WriteKind::Replace)] {
        let started = Instant::now();
        for first in (0..ROWS).step_by(500) {
            let rows = (first..first + 500).map(|n| f.row("users", kind, n, columns(n))).collect();
            marker += 1;
            let mut batch = batch(marker, rows);
            batch.payload = vec![7; 500 * 60];
            assert_eq!(writer.apply(&batch).await.unwrap(), Outcome::Committed { failed: vec![] });
        }
        println!("{what}: {:.0} rows/s", ROWS as f64 / started.elapsed().as_secs_f64());
    }
    let started = Instant::now();
    let mut rows = 0;
    while rows < 2 * ROWS as usize {
        rows += transaction(&mut log).await.changes.len();
    }
    println!("log: {:.0} rows/s", rows as f64 / started.elapsed().as_secs_f64());
    let (mut reader, table, mut after, mut read) = (f.site.chunk_reader().await.unwrap(), f.table("users"), None, 0);
    let started = Instant::now();
    loop {
        let chunk = reader.chunk(&table, after.as_ref(), 1000, 4 << 20).await.unwrap();
        let Some((last, _)) = chunk.last() else { break };
        read += chunk.len();
        after = Some(last.clone());
    }
    println!("chunks: {:.0} rows/s", read as f64 / started.elapsed().as_secs_f64());
    let started = Instant::now();
    for n in 0..300 {
        writer.apply(&batch(marker + 1 + n, vec![f.row("users", WriteKind::Columns, n, vec![(2, text("new"))])])).await.unwrap();
    }
    println!("one row per batch: {:.0} batches/s", 300.0 / started.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn rates_15() {
    rates(Kind::Postgres15).await;
}

macro_rules! on_each_server {
    ($($name:ident),* $(,)?) => {
        mod postgres_15 { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() { super::$name(super::Kind::Postgres15).await; })* }
        mod postgres_18 { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() { super::$name(super::Kind::Postgres18).await; })* }
    };
}

on_each_server!(
    changes_come_in_order_with_their_commits,
    our_own_transactions_are_landings,
    rows_that_are_not_as_they_must_be_are_told,
    foreign_keys_reject_rows_where_they_are_checked,
    toasted_values_that_stay_are_unchanged_or_told,
    truncation_and_alteration_are_told,
    undone_work_is_not_seen,
    a_table_made_anew_is_told_as_emptied,
    a_large_transaction_comes_in_parts,
    a_landing_is_never_parted,
    an_idle_slot_pins_nothing,
    a_lost_slot_is_a_lost_log,
    a_batch_of_unknown_outcome_is_settled,
    a_second_writer_is_told_who_holds_the_lane,
    the_log_and_the_tables_give_the_same_values,
    tables_are_described_as_they_are,
    a_checksum_is_of_the_values_that_are_read,
    chunks_go_through_a_table_in_key_order,
    what_check_asks_for_is_enough,
    every_way_in_works,
);
