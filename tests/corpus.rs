//! The corpus of `src/hostile`: what real servers, a real changelog and a real ledger hold. It is kept in `tests/corpus/`;
//! `ROSTERD_CORPUS=write cargo test --test corpus -- --test-threads=1` makes it anew from the servers of `tests/servers/fetch`.

#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

use std::path::{Path, PathBuf};

use roster::{ColumnKind, Engine, Roster, Table};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use servers::{Kind, Server};

const BYTES_MAX: u64 = 600_000;
/// Records and markers that are kept one by one.
const SINGLES_MAX: usize = 12;

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

fn is_written() -> bool {
    std::env::var("ROSTERD_CORPUS").is_ok_and(|word| word == "write")
}

fn keep(name: &str, bytes: &[u8]) {
    std::fs::write(place(name), bytes).expect("the corpus can be written");
}

/// The corpus is there, whole and small.
#[test]
fn every_engine_is_in_the_corpus() {
    let mut sum = 0;
    for name in [
        "mysql/mariadb-10.11",
        "mysql/mariadb-11.8",
        "mysql/mysql-9.7",
        "mysql/mysql-9.7-packed",
        "postgres/postgres-15",
        "postgres/postgres-18",
        "sqlite/site.db",
        "sqlite/cells",
        "ledger/ledger.sqlite",
        "ledger/cells",
        "ledger/record-0",
        "ledger/marker-0",
    ] {
        let bytes = std::fs::metadata(place(name)).unwrap_or_else(|error| panic!("{name}: {error}")).len();
        assert!(bytes > 0, "{name} is empty");
        sum += bytes;
    }
    assert!(sum < BYTES_MAX, "the corpus has {sum} bytes");
}

#[test]
fn binary_logs_of_the_mysql_family() {
    if !is_written() {
        return;
    }
    for (kind, options, name) in [
        (Kind::MariaDb1011, &["--binlog-row-metadata=FULL"][..], "mariadb-10.11"),
        (Kind::MariaDb118, &["--log-bin-compress=ON", "--log-bin-compress-min-len=10"], "mariadb-11.8"),
        (Kind::MySql97, &["--binlog-row-metadata=FULL"], "mysql-9.7"),
        (Kind::MySql97, &["--binlog-transaction-compression=ON"], "mysql-9.7-packed"),
    ] {
        let server = Server::start_with(kind, options);
        server.sql(server.main_database(), "CREATE DATABASE corpus");
        server.sql("corpus", MYSQL_TABLES);
        server.sql("corpus", "FLUSH BINARY LOGS");
        server.sql("corpus", MYSQL_WORK);
        let file = server.rows("corpus", "SHOW BINARY LOGS").pop().and_then(|row| row[0].clone()).expect("a log");
        server.sql("corpus", "FLUSH BINARY LOGS");
        keep(&format!("mysql/{name}"), &std::fs::read(server.data().join(file)).expect("the log can be read"));
    }
}

/// Columns as `src/sites/mysql/hostile.rs` has them.
const MYSQL_TABLES: &str = "
    CREATE TABLE users (uid INT UNSIGNED PRIMARY KEY, name VARCHAR(60) CHARACTER SET utf8mb4, mail VARCHAR(254) CHARACTER SET utf8mb4) ENGINE=InnoDB;
    CREATE TABLE rosterd_marker (id BIGINT NOT NULL PRIMARY KEY, kind CHAR(1) CHARACTER SET ascii NOT NULL, payload LONGBLOB NOT NULL) ENGINE=InnoDB;
    CREATE TABLE wide (id BIGINT PRIMARY KEY, i8 TINYINT, u16 SMALLINT UNSIGNED, i24 MEDIUMINT, u64 BIGINT UNSIGNED, bits BIT(20),
        amount DECIMAL(20,6), f FLOAT, d DOUBLE, c CHAR(20) CHARACTER SET utf8mb4, v VARCHAR(300) CHARACTER SET utf8mb4, t TEXT CHARACTER SET utf8mb4,
        latin VARCHAR(40) CHARACTER SET latin1, b VARBINARY(40), bf BINARY(4), da DATE, ti TIME(3), dt DATETIME(6), ts TIMESTAMP(2) NULL, y YEAR,
        e ENUM('a','b'), s SET('x','y','z'), j JSON) ENGINE=InnoDB";

const MYSQL_WORK: &str = r#"
    SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION';
    INSERT INTO users VALUES (1, 'joe', 'joe@example.org'), (2, 'ann', NULL), (3, 'ünï 😀', '');
    INSERT INTO wide VALUES (1, -128, 65535, -8388608, 18446744073709551615, b'10101010101010101010', -12345678901234.567890, 1.5, -2.5e300, 'char',
        REPEAT('v', 280), 'text', 'café', X'00ff10', X'01020000', '2024-02-29', '-837:59:59.125', '2024-02-29 23:59:59.999999', '2024-02-29 23:59:59.5',
        2155, 'b', 'x,z', '{"a": [1, -2, 3.5, null, true, "x\\u0001y", {"b": {}}], "n": 12345678901234567890, "long": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}');
    INSERT INTO wide (id, da, y) VALUES (2, '0000-00-00', 0), (3, NULL, NULL);
    UPDATE users SET mail = 'new' WHERE uid = 1;
    UPDATE users SET uid = 7 WHERE uid = 2;
    UPDATE wide SET v = NULL, amount = 0.000001, j = '[]' WHERE id = 1;
    DELETE FROM users WHERE uid = 7;
    START TRANSACTION; INSERT INTO rosterd_marker VALUES (11, 'b', 'payload'); INSERT INTO users VALUES (4, 'ours', NULL); COMMIT;
    INSERT INTO rosterd_marker VALUES (12, 'w', '');
    START TRANSACTION; INSERT INTO users VALUES (5, 'a', 'b'); SAVEPOINT `s p`; INSERT INTO users VALUES (6, 'c', 'd'); ROLLBACK TO `s p`;
        INSERT INTO users VALUES (8, 'e', 'f'); COMMIT;
    XA START 'x'; INSERT INTO users VALUES (9, 'xa', NULL); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x';
    SET SESSION binlog_row_image = MINIMAL; UPDATE users SET mail = 'min' WHERE uid = 1; DELETE FROM users WHERE uid = 3; SET SESSION binlog_row_image = FULL;
    CREATE TABLE other (id INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO other VALUES (1); RENAME TABLE other TO another;
    CREATE INDEX names ON users (name); ALTER TABLE users ADD more INT; INSERT INTO users VALUES (10, 'after', NULL, 1); TRUNCATE TABLE wide"#;

#[test]
fn messages_of_postgres() {
    if !is_written() {
        return;
    }
    for (kind, name) in [(Kind::Postgres15, "postgres-15"), (Kind::Postgres18, "postgres-18")] {
        let server = Server::start(kind);
        server.sql(server.main_database(), "CREATE DATABASE corpus");
        server.sql("corpus", POSTGRES_TABLES);
        server.sql("corpus", "SELECT pg_create_logical_replication_slot('corpus', 'pgoutput')");
        POSTGRES_WORK.iter().for_each(|sql| server.sql("corpus", sql));
        let rows = server.rows(
            "corpus",
            "SELECT encode(data, 'hex') FROM pg_logical_slot_get_binary_changes('corpus', NULL, NULL, 'proto_version', '1', 'publication_names', 'corpus')",
        );
        let mut bytes = Vec::new();
        for row in rows {
            let message = unhex(row[0].as_deref().expect("a message"));
            bytes.extend((message.len() as u32).to_be_bytes());
            bytes.extend(message);
        }
        keep(&format!("postgres/{name}"), &bytes);
    }
}

/// Columns as `src/sites/postgres/hostile.rs` has them.
const POSTGRES_TABLES: &str = "
    CREATE TABLE users (uid int PRIMARY KEY, name varchar(60), mail varchar(254));
    CREATE TABLE rosterd_marker (id bigint PRIMARY KEY, kind char(1), payload bytea);
    CREATE TABLE wide (id bigint PRIMARY KEY, ok bool, i16 int2, n numeric(20,6), f real, d double precision, c char(20), t text, b bytea, da date,
        ti time, dt timestamp, tz timestamptz, u uuid, j jsonb, bits bit(20));
    ALTER TABLE wide REPLICA IDENTITY FULL; ALTER TABLE wide ALTER t SET STORAGE EXTERNAL;
    CREATE PUBLICATION corpus FOR TABLE users, rosterd_marker, wide";

const POSTGRES_WORK: &[&str] = &[
    "INSERT INTO users VALUES (1, 'joe', 'joe@example.org'), (2, 'ann', NULL), (3, 'ünï 😀', '')",
    "INSERT INTO wide VALUES (1, true, -32768, -12345678901234.567890, 1.5, 'NaN', 'char', repeat('t', 3000), '\\x00ff10', '0044-03-15 BC', '23:59:59.999999',
        '2024-02-29 23:59:59.999999', '2024-02-29 23:59:59+02', '3e11fa47-71ca-11e1-9e33-c80aa9429562', '{\"a\": [1, 2.50, null]}', B'10101010101010101010')",
    "INSERT INTO wide (id, n, dt) VALUES (2, 'NaN', 'infinity'), (3, NULL, NULL)",
    "UPDATE users SET mail = 'new' WHERE uid = 1",
    "UPDATE users SET uid = 7 WHERE uid = 2",
    "UPDATE wide SET ok = false WHERE id = 1",
    "DELETE FROM users WHERE uid = 7",
    "INSERT INTO rosterd_marker VALUES (11, 'b', 'payload'); INSERT INTO users VALUES (4, 'ours', NULL)",
    "INSERT INTO rosterd_marker VALUES (12, 'w', '')",
    "ALTER TABLE users ADD more int; INSERT INTO users VALUES (10, 'after', NULL, 1)",
    "DELETE FROM wide WHERE id = 1; TRUNCATE wide, users",
];

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits")).collect()
}

const USERS: Table = Table::new(
    "users",
    "uid INT PRIMARY KEY, name VARCHAR(60), mail VARCHAR(254)",
    &[("uid", ColumnKind::Plain), ("name", ColumnKind::Plain), ("mail", ColumnKind::Plain)],
);

#[test]
fn a_changelog_and_a_ledger() {
    if !is_written() {
        return;
    }
    let mut roster = Roster::new(&[Engine::MariaDb1011, Engine::Postgres18, Engine::Sqlite]);
    roster.share(USERS, "insert = \"quarantine\"");
    for at in 0..3 {
        roster.sql(at, &format!("INSERT INTO users VALUES ({at}, 'name {at}', 'é@{at}'), (40, 'same key {at}', NULL)"));
    }
    roster.start();
    roster.sql(0, "INSERT INTO users VALUES (7, 'seven', NULL), (8, 'eight', 'x')");
    roster.settle();
    for at in 0..3 {
        roster.sql(at, &format!("UPDATE users SET mail = 'by {at}' WHERE uid = 7; DELETE FROM users WHERE uid = {at}"));
    }
    roster.settle();
    let site = roster.sites[2].url().trim_start_matches("sqlite://").to_owned();
    roster.stop();
    let copy = |from: &Path, name: &str| {
        let db = Connection::open(from).expect("a database");
        let _ = std::fs::remove_file(place(name));
        db.execute("VACUUM INTO ?1", [place(name).to_str().expect("a path in UTF-8")]).expect("it is copied");
        db
    };
    let db = copy(Path::new(&site), "sqlite/site.db");
    keep(
        "sqlite/cells",
        &fields(&db, "SELECT id, at_ms, moved, tbl, k0, k1, k2, k3, k4, k5, k6, k7 FROM rosterd_changelog ORDER BY id", None),
    );
    singles(&db, "SELECT payload FROM rosterd_marker WHERE kind = 'b'", "marker");
    let ledger = copy(&roster.state_dir().join("ledger.sqlite"), "ledger/ledger.sqlite");
    singles(&ledger, "SELECT record FROM row ORDER BY length(record) DESC", "record");
    let tables = ["meta", "site", "shared_table", "site_table", "row", "claim", "conflict", "quarantine"];
    let cells = tables.iter().enumerate().flat_map(|(n, table)| fields(&ledger, &format!("SELECT * FROM {table}"), Some(n as i64)));
    keep("ledger/cells", &cells.collect::<Vec<u8>>());
}

fn singles(db: &Connection, sql: &str, name: &str) {
    let mut query = db.prepare(sql).expect("a query");
    let found: Vec<Vec<u8>> = query.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("blobs");
    assert!(!found.is_empty(), "no {name}");
    found.iter().take(SINGLES_MAX).enumerate().for_each(|(n, bytes)| keep(&format!("ledger/{name}-{n}"), bytes));
}

/// Rows in the form that `src/hostile/fields.rs` reads, each behind a number of its table if there is one.
fn fields(db: &Connection, sql: &str, table: Option<i64>) -> Vec<u8> {
    let mut query = db.prepare(sql).expect("a query");
    let width = query.column_count();
    let mut rows = query.query([]).expect("rows");
    let mut out = Vec::new();
    while let Some(row) = rows.next().expect("a row") {
        if let Some(table) = table {
            push(&mut out, ValueRef::Integer(table));
        }
        (0..width).for_each(|column| push(&mut out, row.get_ref(column).expect("a column")));
    }
    out
}

fn push(out: &mut Vec<u8>, value: ValueRef<'_>) {
    let mut long = |letter: u8, bytes: &[u8]| {
        out.push(letter);
        out.extend((bytes.len() as u16).to_le_bytes());
        out.extend(&bytes[..usize::from(bytes.len() as u16)]);
    };
    match value {
        ValueRef::Null => out.push(b'n'),
        ValueRef::Integer(n) => {
            out.push(b'i');
            out.extend(n.to_le_bytes());
        }
        ValueRef::Real(x) => {
            out.push(b'r');
            out.extend(x.to_le_bytes());
        }
        ValueRef::Text(bytes) => long(b't', bytes),
        ValueRef::Blob(bytes) => long(b'b', bytes),
    }
}
