//! The MySQL family against real servers.

#[path = "support/mysql_site.rs"]
mod mysql_site;
#[path = "support/servers.rs"]
mod servers;
#[path = "support/sums.rs"]
mod sums;

use std::sync::Arc;

use mysql_site::*;
use rosterd::config::{Host, TlsMode};
use rosterd::model::{Cell, LogItem, MarkerId, MarkerKind, Origin, Position, SiteId, Value, WriteKind, fit};
use rosterd::sites::{Cause, Lane, Outcome, Piece, Rejection, RowWrite, Statement, Writer, mysql};
use servers::{Kind, Server};

/// How many transactions of this database wait for a lock.
const WAITING: &str = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT' \
    AND trx_mysql_thread_id IN (SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE())";

const USERS: &str = "CREATE TABLE users (uid INT UNSIGNED NOT NULL PRIMARY KEY, name VARCHAR(60) NOT NULL, mail VARCHAR(254), UNIQUE KEY name (name)) ENGINE=InnoDB";

async fn writer(place: &Place<'_>) -> Box<dyn Writer> {
    place.site.writer(Lane::Urgent, "test").await.expect("the writer opens")
}

fn user(table: &Arc<rosterd::model::SiteTable>, kind: WriteKind, uid: i64, name: &str) -> RowWrite {
    row(table, kind, &[(0, Value::Int(uid)), (1, text(name)), (2, Value::Null)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_tells_what_applications_did() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(USERS);
        let users = place.table(1, "users").await;
        let mut log = place.log(std::slice::from_ref(&users)).await;
        place.sql("INSERT INTO users VALUES (1, 'joe', 'joe@example.org'), (2, 'ann', NULL)");
        let t = log.transaction().await;
        assert_eq!(shown_all(&t.changes), ["1: - -> 1|joe|joe@example.org", "2: - -> 2|ann|NULL"]);
        assert_eq!((t.site, &t.origin), (place.site.id(), &Origin::Local));
        let now_us = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
        assert!((now_us - t.committed_us).abs() < 5_000_000, "committed at {} of {now_us}", t.committed_us);

        place.sql("UPDATE users SET mail = 'x' WHERE uid = 1; UPDATE users SET uid = 7 WHERE uid = 2; DELETE FROM users WHERE uid = 7");
        assert_eq!(shown_all(&log.transaction().await.changes), ["1: 1|joe|joe@example.org -> 1|joe|x"]);
        assert_eq!(shown_all(&log.transaction().await.changes), ["2: 2|ann|NULL -> -", "7: - -> 7|ann|NULL from 2"]);
        let after_move = log.transaction().await;
        assert_eq!(shown_all(&after_move.changes), ["7: 7|ann|NULL -> -"]);

        place.sql("REPLACE INTO users VALUES (1, 'joe', 'y'); INSERT INTO users VALUES (1, 'joe', 'q') ON DUPLICATE KEY UPDATE mail = 'z'");
        let replaced = shown_all(&log.transaction().await.changes);
        assert!(matches!(replaced.len(), 1 | 2) && replaced.last().unwrap().ends_with("-> 1|joe|y"), "{replaced:?}");
        assert_eq!(shown_all(&log.transaction().await.changes), ["1: 1|joe|y -> 1|joe|z"]);

        place.sql(
            "START TRANSACTION; INSERT INTO users VALUES (3, 'a', 'b'); SAVEPOINT `s p`; INSERT INTO users VALUES (4, 'c', 'd'); \
                   ROLLBACK TO `s p`; INSERT INTO users VALUES (5, 'e', 'f'); COMMIT",
        );
        place.sql("START TRANSACTION; INSERT INTO users VALUES (6, 'no', 'no'); ROLLBACK; DELETE FROM users WHERE uid = 5");
        assert_eq!(shown_all(&log.transaction().await.changes), ["3: - -> 3|a|b", "5: - -> 5|e|f"]);
        assert_eq!(shown_all(&log.transaction().await.changes), ["5: 5|e|f -> -"]);

        // From the middle: exactly what followed.
        let mut again = place.log_from(&[users], after_move.position.unwrap()).await;
        assert_eq!(shown_all(&again.transaction().await.changes), replaced);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn landings_and_watermarks_are_told_apart() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(USERS);
        let users = place.table(1, "users").await;
        let mut log = place.log(std::slice::from_ref(&users)).await;
        let mut writer = writer(&place).await;
        let outcome = writer
            .apply(&batch(11, vec![user(&users, WriteKind::Insert, 1, "joe"), user(&users, WriteKind::Insert, 2, "ann")]))
            .await
            .unwrap();
        assert_eq!(outcome, Outcome::Committed { failed: vec![] });
        let t = log.transaction().await;
        assert_eq!(t.origin, Origin::Landing { marker: MarkerId(11), payload: b"payload 11".to_vec() });
        assert_eq!(t.changes.len(), 2);
        writer.mark(MarkerId(12), b"").await.unwrap();
        log.find(|item| matches!(item, LogItem::Watermark { marker: MarkerId(12), .. }).then_some(())).await;
        assert_eq!(
            writer.markers().await.unwrap(),
            [(MarkerId(11), MarkerKind::Batch, b"payload 11".to_vec()), (MarkerId(12), MarkerKind::Watermark, vec![])]
        );
        // Forgetting says nothing; a batch that forgets says what it wrote.
        writer.forget(&[MarkerId(12)]).await.unwrap();
        let mut forgetting = batch(13, vec![user(&users, WriteKind::Delete, 2, "")]);
        forgetting.forget = vec![MarkerId(11)];
        writer.apply(&forgetting).await.unwrap();
        let t = log.transaction().await;
        assert_eq!(t.origin, Origin::Landing { marker: MarkerId(13), payload: b"payload 13".to_vec() });
        assert_eq!(shown_all(&t.changes), ["2: 2|ann|NULL -> -"]);
        assert_eq!(writer.markers().await.unwrap().len(), 1);
        // A batch without rows is a landing too.
        writer.apply(&batch(14, vec![])).await.unwrap();
        assert!(matches!(log.transaction().await.origin, Origin::Landing { marker: MarkerId(14), .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_and_culprits() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(USERS);
        place.sql(
            "CREATE TABLE roles (uid INT UNSIGNED NOT NULL, rid INT NOT NULL, note VARCHAR(3), PRIMARY KEY (uid, rid), \
             CONSTRAINT of_user FOREIGN KEY (uid) REFERENCES users (uid)) ENGINE=InnoDB",
        );
        place.sql("INSERT INTO users VALUES (1, 'joe', NULL), (2, 'ann', NULL); INSERT INTO roles VALUES (1, 4, NULL)");
        let (users, roles) = (place.table(1, "users").await, place.table(2, "roles").await);
        let role = |kind, uid: i64, rid: i64, note: &str| row(&roles, kind, &[(0, Value::Int(uid)), (1, Value::Int(rid)), (2, text(note))]);
        let mut writer = writer(&place).await;
        let rejected = writer
            .apply(&batch(
                1,
                vec![
                    user(&users, WriteKind::Insert, 3, "fine"),
                    user(&users, WriteKind::Insert, 1, "present"),
                    user(&users, WriteKind::Insert, 4, "ANN"),
                    user(&users, WriteKind::Columns, 99, "absent"),
                    user(&users, WriteKind::Delete, 1, ""),
                    user(&users, WriteKind::Delete, 98, ""),
                    role(WriteKind::Insert, 77, 1, "a"),
                    role(WriteKind::Insert, 2, 1, "too long"),
                    role(WriteKind::Insert, 2, 2, "ok"),
                    role(WriteKind::Replace, 9, 9, "no"),
                ],
            ))
            .await
            .unwrap();
        let Outcome::Rejected(found) = rejected else { panic!("{kind:?} committed") };
        let expected = [
            (1, Rejection::Elsewise),
            (2, Rejection::Unique("name".into())),
            (3, Rejection::Elsewise),
            (4, Rejection::Reference("of_user".into())),
            (6, Rejection::Reference("of_user".into())),
            (7, Rejection::Data("a value is too long (column note, error 1406)".into())),
            (9, Rejection::Elsewise),
        ];
        assert_eq!(found, expected, "{kind:?}");
        assert_eq!(place.value("SELECT COUNT(*) FROM users"), "2");
        assert_eq!(writer.markers().await.unwrap(), []);

        // Without them it commits; what matched without change counts as present.
        let rest = vec![
            user(&users, WriteKind::Insert, 3, "fine"),
            user(&users, WriteKind::Columns, 2, "ann"),
            user(&users, WriteKind::Replace, 1, "Joe"),
            user(&users, WriteKind::Delete, 98, ""),
            role(WriteKind::Insert, 2, 2, "ok"),
            role(WriteKind::Delete, 1, 4, ""),
        ];
        assert_eq!(writer.apply(&batch(1, rest)).await.unwrap(), Outcome::Committed { failed: vec![] });
        assert_eq!(place.value("SELECT GROUP_CONCAT(name ORDER BY uid) FROM users"), "Joe,ann,fine");
        assert_eq!(place.value("SELECT GROUP_CONCAT(uid) FROM roles"), "2");
        // The same number can't be taken twice.
        assert_eq!(writer.apply(&batch(1, vec![])).await.unwrap_err().cause, Cause::Protocol);
        assert_eq!(writer.apply(&batch(2, vec![])).await.unwrap(), Outcome::Committed { failed: vec![] });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_apply_statements_may_fail() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(USERS);
        place.sql(
            "CREATE TABLE cache (cid VARCHAR(60) PRIMARY KEY) ENGINE=InnoDB; INSERT INTO cache VALUES ('user:1'), ('user:2'), ('it''s')",
        );
        let users = place.table(1, "users").await;
        let mut writer = writer(&place).await;
        let delete = |value: Value| {
            let pieces =
                vec![Piece::Sql("DELETE FROM cache WHERE cid = concat('user:', ".into()), Piece::Value(value), Piece::Sql(") ; ".into())];
            Statement(pieces)
        };
        let mut one = batch(1, vec![user(&users, WriteKind::Insert, 1, "joe")]);
        one.statements = vec![
            delete(Value::Int(1)),
            Statement(vec![Piece::Sql("DELETE FROM no_such_table".into())]),
            Statement(vec![Piece::Sql("SELECT * FROM cache".into())]),
            Statement(vec![Piece::Sql("DELETE FROM cache WHERE cid = ".into()), Piece::Value(text("it's"))]),
            Statement(vec![Piece::Sql("nonsense".into())]),
        ];
        let Outcome::Committed { failed } = writer.apply(&one).await.unwrap() else { panic!("rejected") };
        assert_eq!(failed.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(place.value("SELECT GROUP_CONCAT(cid) FROM cache"), "user:2");
        assert_eq!(place.value("SELECT name FROM users"), "joe");
        assert_eq!(writer.run(&[delete(Value::Int(2)), delete(Value::text("x"))]).await.unwrap(), []);
        assert_eq!(place.value("SELECT COUNT(*) FROM cache"), "0");
    }
}

const TYPES: &str = "CREATE TABLE types (
    id INT NOT NULL PRIMARY KEY,
    t8 TINYINT, u8 TINYINT UNSIGNED, t16 SMALLINT, u16 SMALLINT UNSIGNED, t24 MEDIUMINT, u24 MEDIUMINT UNSIGNED,
    t32 INT, u32 INT UNSIGNED, t64 BIGINT, u64 BIGINT UNSIGNED,
    bits BIT(11), yes TINYINT(1), dec1 DECIMAL(30,10), dec2 DECIMAL(5,0), dec3 DECIMAL(3,3), dec4 DECIMAL(65,30),
    f FLOAT, d DOUBLE,
    g INT AS (t32 + 1) STORED,
    c CHAR(10), c_latin CHAR(10) CHARACTER SET latin1, v VARCHAR(300), v_latin VARCHAR(20) CHARACTER SET latin1, v_bmp VARCHAR(20) CHARACTER SET utf8mb3,
    tx TEXT, ltx LONGTEXT, bin BINARY(5), vbin VARBINARY(20), bl BLOB, longchar CHAR(200),
    da DATE, ti TIME, ti3 TIME(3), ti6 TIME(6), dt DATETIME, dt2 DATETIME(2), dt6 DATETIME(6), ts TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL, y YEAR,
    en ENUM('a','it''s','c'), se SET('x','y','z'), js JSON
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";

fn type_rows(kind: Kind) -> Vec<String> {
    let json = if kind.is_mariadb() {
        r#"'{"b": [1, 2.50, "\\u20ac", null, true], "a": {"x": -1e20}}'"#
    } else {
        r#"'{"b": [1, 2.50, "€", null, true, 70000, -5000000000, 18446744073709551615, 1e300, 1e-7, 0.1], "a": {"x": -1e20}}'"#
    };
    vec![
        format!("(1, -128,255,-32768,65535,-8388608,16777215,-2147483648,4294967295,-9223372036854775808,18446744073709551615, b'10000000001', 1, \
          -12345678901234567890.0123456789, -99999, -0.999, 12345678901234567890123456789012345.123456789012345678901234567890, \
          1.5, -1.7976931348623157e308, DEFAULT, 'é€😀  ', 'café€', REPEAT('ж', 300), 'naïve œ', '€ж', 'text', REPEAT('long', 20000), \
          x'0100', x'00ff00', x'0001020304fffefd', REPEAT('Ω', 200), '2024-02-29', '-838:59:59', '-00:00:00.001', '12:34:56.789012', \
          '9999-12-31 23:59:59', '2024-01-01 00:00:00.25', '1000-01-01 00:00:00.000001', '1970-01-01 00:00:01', '2038-01-19 03:14:07.999999', 2155, \
          'it''s', 'x,z', {json})"),
        "(2, 0,0,0,0,-5,0,0,0,0,0, b'0', 0, 0, 0, 0, 0, 0, 0, DEFAULT, '', '', '', '', '', '', '', '', '', '', '', '0000-00-00', '00:00:00', '838:59:59.000', '00:00:00.000001', \
          '0000-00-00 00:00:00', '0000-00-00 00:00:00', '2024-02-00 00:00:00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', 0, 'a', '', '{}')".into(),
        "(3, NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,DEFAULT,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,\
          NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL)".into(),
        "(4, -1,128,-1,32768,-1,8388608,-1,2147483648,-1,9223372036854775808, b'11111111111', -128, 0.1, 7, 0.5, -0.000000000000000000000000000001, \
          0.1, 0.1, DEFAULT, 'x', 'x', 'x''\\\\\\0\\n;--', 'x', 'x', 'x', 'x', x'ffffffffff', x'', x'', 'x', '1980-00-00', '01:02:03', '-01:02:03.456', '-838:59:58.999999', \
          '1980-00-00 01:02:03', '1999-12-31 23:59:59.99', '0001-01-01 00:00:00', '2001-09-09 01:46:40', '2001-09-09 01:46:40.123456', 1901, 'c', 'x,y,z', '[[], {}, \"\\\\\"\"]')".into(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_read_alike_and_written_back() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(TYPES);
        place.sql("CREATE TABLE copy LIKE types");
        let (types, copy) = (place.table(1, "types").await, place.table(2, "copy").await);
        let mut log = place.log(std::slice::from_ref(&types)).await;
        let mode = "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES'";
        place.sql(&format!("{mode}; INSERT INTO types VALUES {}", type_rows(kind).join(", ")));
        let logged: Vec<_> = log.transaction().await.changes.into_iter().map(|c| (c.key, c.after.unwrap())).collect();
        let mut reader = place.site.chunk_reader().await.unwrap();
        let read = reader.chunk(&types, None, 100, 1 << 30).await.unwrap();
        assert_eq!(read.len(), 4);
        for ((key, logged), (_, read)) in logged.iter().zip(&read) {
            for ((column, logged), read) in types.table.columns.iter().zip(cells(logged)).zip(cells(read)) {
                assert_eq!(logged, read, "{kind:?}, row {}, column {}", key.reveal(), column.name);
                assert!(!logged.starts_with("refused") && logged != "unchanged", "{kind:?} {}: {logged}", column.name);
            }
        }
        let by_name = |row: usize, name: &str| cells(&logged[row].1)[types.table.column(name).unwrap()].clone();
        assert_eq!(by_name(0, "u64"), "integer 18446744073709551615");
        assert_eq!(by_name(1, "t24"), "integer -5");
        assert_eq!(by_name(0, "c"), "text é€😀");
        assert_eq!(by_name(0, "c_latin"), "text café€");
        assert_eq!(by_name(0, "dec1"), "decimal number -12345678901234567890.0123456789");
        assert_eq!(by_name(0, "ti"), "time -838:59:59");
        assert_eq!(by_name(0, "ti3"), "time -00:00:00.001000");
        assert_eq!(by_name(1, "y"), "integer 0");
        assert_eq!(by_name(1, "dt"), "date and time 0000-00-00 00:00:00");
        assert_eq!(by_name(0, "se"), "text x,z");

        // Written through our own hands into a copy, and read again.
        let mut rows = Vec::new();
        for (_, image) in &read {
            let values: Vec<(usize, Value)> = image
                .iter()
                .enumerate()
                .map(|(i, cell)| {
                    let Cell::Value(value) = cell else { panic!("no value") };
                    let column = copy.columns[i].as_ref().unwrap();
                    (i, fit(value, &column.ty).unwrap_or_else(|refusal| panic!("{kind:?} {}: {refusal}", column.name)))
                })
                .collect();
            rows.push(row(&copy, WriteKind::Insert, &values));
        }
        let mut writer = writer(&place).await;
        assert_eq!(writer.apply(&batch(1, rows.clone())).await.unwrap(), Outcome::Committed { failed: vec![] });
        let copied = reader.chunk(&copy, None, 100, 1 << 30).await.unwrap();
        assert_eq!(copied, read, "{kind:?}");
        rows.iter_mut().for_each(|row| row.kind = WriteKind::Replace);
        assert_eq!(writer.apply(&batch(2, rows)).await.unwrap(), Outcome::Committed { failed: vec![] });
        assert_eq!(reader.chunk(&copy, None, 100, 1 << 30).await.unwrap(), read, "{kind:?}");
        assert_eq!(
            place.value("SELECT COUNT(*) FROM types t JOIN copy c ON t.id = c.id WHERE t.d <=> c.d AND t.f <=> c.f AND t.tx <=> c.tx"),
            "4"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_change_are_told() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(USERS);
        place.sql("CREATE TABLE other (id INT PRIMARY KEY) ENGINE=InnoDB");
        let users = place.table(1, "users").await;
        let start = place.site.log_end().await.unwrap();
        let mut log = place.log_from(std::slice::from_ref(&users), start.clone()).await;
        place.sql("INSERT INTO users VALUES (1, 'a', 'a'); TRUNCATE TABLE users; TRUNCATE other; INSERT INTO users VALUES (2, 'b', 'b')");
        assert_eq!(log.transaction().await.changes.len(), 1);
        let emptied = log.find(|item| matches!(item, LogItem::Emptied { .. }).then(|| item.position().cloned().unwrap())).await;
        assert_eq!(shown_all(&log.transaction().await.changes), ["2: - -> 2|b|b"]);
        place.sql("ALTER TABLE users ADD picture INT AFTER name; INSERT INTO users VALUES (3, 'c', 4, 'c'); INSERT INTO other VALUES (1)");
        let altered = log.find(|item| matches!(item, LogItem::Altered { .. }).then(|| item.position().cloned().unwrap())).await;

        // Described anew, reading goes on behind the change; described as it is now, what was before it is not read.
        let now = place.table(1, "users").await;
        let mut again = place.log_from(std::slice::from_ref(&now), altered).await;
        assert_eq!(shown_all(&again.transaction().await.changes), ["3: - -> 3|c|4|c"]);
        let mut old = place.log_from(std::slice::from_ref(&now), emptied.clone()).await;
        let at = old.find(|item| matches!(item, LogItem::Altered { .. }).then(|| item.position().cloned().unwrap())).await;
        // The place is before the rows that can't be read.
        let mut older = place.log_from(std::slice::from_ref(&now), at.clone()).await;
        let same = older.find(|item| matches!(item, LogItem::Altered { .. }).then(|| item.position().cloned().unwrap())).await;
        assert_eq!(same, at);
        place.sql("RENAME TABLE users TO moved; DROP TABLE moved; DROP TABLE other");
        again.find(|item| matches!(item, LogItem::Altered { .. }).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_instead_of_rows_are_an_alarm() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(USERS);
        place.sql("CREATE TABLE other (id INT PRIMARY KEY) ENGINE=InnoDB");
        let users = place.table(1, "users").await;
        let mut log = place.log(std::slice::from_ref(&users)).await;
        place.sql("SET SESSION transaction_isolation = 'REPEATABLE-READ', binlog_format = 'STATEMENT'; INSERT INTO other VALUES (1); INSERT INTO users VALUES (1, 'a', 'secret value')".replace(
            "transaction_isolation", if kind.is_mariadb() { "tx_isolation" } else { "transaction_isolation" }).as_str());
        let message = log
            .find(|item| match item {
                LogItem::Alarm { message, .. } => Some(message.clone()),
                _ => None,
            })
            .await;
        assert!(message.contains("binlog_format") && !message.contains("secret"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_on_one_server_share_a_reader() {
    for kind in KINDS {
        // Its own, so that nothing else is in the log.
        let server = &Server::start(kind);
        let (a, b) = (Place::new(server, 1).await, Place::new(server, 2).await);
        assert_eq!(a.site.log_key(), b.site.log_key());
        // A site that asks for TLS does not have its log read through a connection without.
        let mut encrypted = config(Host::Tcp { name: "127.0.0.1".into(), port: server.port() }, "root", None, &b.database);
        encrypted.tls.mode = TlsMode::VerifyFull;
        assert_ne!(a.site.log_key(), mysql::site(SiteId(3), &encrypted, &daemon()).log_key());
        assert_ne!(a.site.identity().await.unwrap(), b.site.identity().await.unwrap());
        a.sql(USERS);
        b.sql(USERS);
        let (of_a, of_b) = (a.table(1, "users").await, b.table(1, "users").await);
        let start = a.site.log_end().await.unwrap();
        let mut log = Log(a
            .site
            .open_log(vec![a.member(std::slice::from_ref(&of_a), start.clone()), b.member(std::slice::from_ref(&of_b), start.clone())])
            .await
            .unwrap());
        let both = format!(
            "START TRANSACTION; INSERT INTO users VALUES (1, 'a', 'a'); INSERT INTO {}.users VALUES (2, 'b', 'b'); COMMIT",
            b.database
        );
        a.sql(&both);
        let (first, second) = (log.transaction().await, log.transaction().await);
        assert_eq!((first.site, shown_all(&first.changes)), (a.site.id(), vec!["1: - -> 1|a|a".to_owned()]));
        assert_eq!((second.site, shown_all(&second.changes)), (b.site.id(), vec!["2: - -> 2|b|b".to_owned()]));
        assert_eq!(first.position, second.position);
        a.sql("INSERT INTO users VALUES (3, 'c', 'c')");
        let third = log.transaction().await;
        // The other one learns that the log has moved on, from the idle server too.
        let progress = log
            .find(|item| match item {
                LogItem::Progress { site, position } if *site == b.site.id() => Some(position.clone()),
                _ => None,
            })
            .await;
        assert_eq!(Some(progress), third.position);
        // One is behind: the other is not told anything twice.
        let mut log = Log(a
            .site
            .open_log(vec![a.member(std::slice::from_ref(&of_a), third.position.unwrap()), b.member(std::slice::from_ref(&of_b), start)])
            .await
            .unwrap());
        let again = log.transaction().await;
        assert_eq!((again.site, shown_all(&again.changes)), (b.site.id(), vec!["2: - -> 2|b|b".to_owned()]));
        a.sql("DELETE FROM users WHERE uid = 3");
        assert_eq!(shown_all(&log.transaction().await.changes), ["3: 3|c|c -> -"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tables_are_progress() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(USERS);
        place.sql("CREATE TABLE other (id INT AUTO_INCREMENT PRIMARY KEY, x TEXT) ENGINE=InnoDB");
        let users = place.table(1, "users").await;
        let mut log = place.log(&[users]).await;
        place.sql("INSERT INTO other (x) VALUES ('x'); INSERT INTO other (x) VALUES ('y')");
        let end = place.site.log_end().await.unwrap();
        // Also when nothing follows.
        loop {
            let item = log.next().await;
            assert!(matches!(item, LogItem::Progress { .. }), "{item:?}");
            if item.position() == Some(&end) || kind_moved_on(&place, &end).await {
                break;
            }
        }
    }
}

/// Other tests write to the same server, so its log may have gone beyond `end` at once.
async fn kind_moved_on(place: &Place<'_>, end: &Position) -> bool {
    place.site.log_end().await.unwrap() != *end
}

#[tokio::test(flavor = "multi_thread")]
async fn large_transactions_come_in_parts_and_landings_whole() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql("CREATE TABLE t (id INT PRIMARY KEY, x INT) ENGINE=InnoDB; CREATE TABLE digits (d INT) ENGINE=InnoDB; INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)");
        let t = place.table(1, "t").await;
        let mut log = place.log(std::slice::from_ref(&t)).await;
        let fill = "INSERT INTO t SELECT a.d + 10*b.d + 100*c.d + 1000*d.d + 10000*e.d, 0 FROM digits a, digits b, digits c, digits d, digits e WHERE e.d < 5";
        place.sql(fill);
        let (mut rows, mut parts) = (0, 0);
        loop {
            let t = log.transaction().await;
            rows += t.changes.len();
            parts += 1;
            assert!(t.changes.len() < 25_000);
            if t.position.is_some() {
                break;
            }
        }
        assert_eq!((rows, parts), (50_000, 3));
        // What the marker begins stays in one piece.
        place.sql(&format!("DELETE FROM t; START TRANSACTION; INSERT INTO rosterd_marker VALUES (5, 'b', 'p'); {fill}; COMMIT"));
        while log.transaction().await.position.is_none() {}
        let landing = log.transaction().await;
        assert_eq!((landing.changes.len(), &landing.origin), (50_000, &Origin::Landing { marker: MarkerId(5), payload: b"p".to_vec() }));
        assert!(landing.position.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_settled_both_ways() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(USERS);
        let users = place.table(1, "users").await;
        let mut first = writer(&place).await;
        first.apply(&batch(1, vec![user(&users, WriteKind::Insert, 1, "joe")])).await.unwrap();
        let held = place.site.writer(Lane::Urgent, "second").await.err().expect("the lock is taken");
        assert_eq!(held.cause, Cause::Held);
        assert!(held.message.contains("test"), "{held}");
        let mut bulk = place.site.writer(Lane::Bulk, "other lane").await.unwrap();
        bulk.ping().await.unwrap();

        let id = place.value(&format!("SELECT IS_USED_LOCK('rosterd:{}:urgent')", place.database));
        place.sql(&format!("KILL {id}"));
        let lost = first.apply(&batch(2, vec![user(&users, WriteKind::Insert, 2, "ann")])).await.unwrap_err();
        assert_eq!(lost.cause, Cause::Disconnected, "{lost}");
        assert_eq!(first.ping().await.unwrap_err().cause, Cause::Disconnected);
        // The server may still be at ending the old connection.
        let opened = async {
            loop {
                match place.site.writer(Lane::Urgent, "second").await {
                    Err(error) if error.cause == Cause::Held => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                    other => return other.expect("the writer opens"),
                }
            }
        };
        let mut second = tokio::time::timeout(DEADLINE, opened).await.expect("the lock is given back");
        assert!(second.settle(MarkerId(1)).await.unwrap());
        assert!(!second.settle(MarkerId(2)).await.unwrap());
        assert!(!second.settle(MarkerId(2)).await.unwrap(), "its own tombstone");
        assert_eq!(second.apply(&batch(2, vec![])).await.unwrap_err().cause, Cause::Protocol);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_waits_for_a_transaction_in_progress() {
    use mysql_async::prelude::Queryable;
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        let mut writer = writer(&place).await;
        let options = mysql_async::OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(place.server.port())
            .user(Some("root"))
            .db_name(Some(&place.database));
        let mut conn = mysql_async::Conn::new(options).await.unwrap();
        conn.query_drop("START TRANSACTION; INSERT INTO rosterd_marker VALUES (1, 'b', ''), (2, 'b', '')").await.unwrap();
        let (settled, _) = tokio::join!(writer.settle(MarkerId(1)), async {
            // Until the other one waits for its lock.
            while place.value(WAITING) == "0" {
                // The server renews that table only when it was not read for 100 ms.
                tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            }
            conn.query_drop("COMMIT").await.unwrap();
        });
        assert!(settled.unwrap());
        conn.query_drop("START TRANSACTION; INSERT INTO rosterd_marker VALUES (3, 'b', '')").await.unwrap();
        let (settled, _) = tokio::join!(writer.settle(MarkerId(3)), async { conn.query_drop("ROLLBACK").await.unwrap() });
        assert!(!settled.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_make_a_batch_give_way() {
    use mysql_async::prelude::Queryable;
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(USERS);
        place.sql("INSERT INTO users VALUES (1, 'a', 'a'), (2, 'b', 'b')");
        let users = place.table(1, "users").await;
        let mut writer = writer(&place).await;
        let options = mysql_async::OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(place.server.port())
            .user(Some("root"))
            .db_name(Some(&place.database));
        let mut conn = mysql_async::Conn::new(options).await.unwrap();
        conn.query_drop("START TRANSACTION; UPDATE users SET mail = 'x' WHERE uid = 2").await.unwrap();
        let rows = vec![user(&users, WriteKind::Replace, 1, "c"), user(&users, WriteKind::Replace, 2, "d")];
        // Both are written by one statement.
        let locked = Outcome::Rejected(vec![(0, Rejection::Locked), (1, Rejection::Locked)]);
        assert_eq!(writer.apply(&batch(1, rows.clone())).await.unwrap(), locked);
        assert_eq!(place.value("SELECT name FROM users WHERE uid = 1"), "a", "rolled back");
        conn.query_drop("ROLLBACK").await.unwrap();
        assert_eq!(writer.apply(&batch(1, rows)).await.unwrap(), Outcome::Committed { failed: vec![] });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_larger_than_a_packet() {
    for kind in KINDS {
        let server = Server::start_with(
            kind,
            &[
                "--max-allowed-packet=32M",
                if kind.is_mariadb() { "--innodb-log-file-size=512M" } else { "--innodb-redo-log-capacity=512M" },
            ],
        );
        let place = Place::new(&server, 1).await;
        place.sql("CREATE TABLE big (id INT PRIMARY KEY, b LONGBLOB, t LONGTEXT) ENGINE=InnoDB");
        let big = place.table(1, "big").await;
        let mut log = place.log(std::slice::from_ref(&big)).await;
        let mut writer = writer(&place).await;
        let bytes: Vec<u8> = (0..20u32 << 20).map(|i| ((i * 7) >> 3) as u8).collect();
        let rows = vec![
            row(&big, WriteKind::Insert, &[(0, Value::Int(1)), (1, Value::Bytes(bytes.clone())), (2, text("x"))]),
            row(&big, WriteKind::Insert, &[(0, Value::Int(2)), (1, Value::Null), (2, text("small"))]),
        ];
        assert_eq!(writer.apply(&batch(1, rows)).await.unwrap(), Outcome::Committed { failed: vec![] });
        let landing = log.transaction().await;
        assert_eq!(landing.changes.len(), 2);
        assert!(landing.changes[0].after.as_ref().unwrap()[1] == Cell::Value(Value::Bytes(bytes.clone())), "{kind:?}");
        let mut reader = place.site.chunk_reader().await.unwrap();
        let chunk = reader.chunk(&big, None, 10, 1 << 20).await.unwrap();
        assert_eq!(chunk.len(), 1, "one row is more than the bound");
        assert!(chunk[0].1[1] == Cell::Value(Value::Bytes(bytes)));
        let rest = reader.chunk(&big, Some(&chunk[0].0), 10, 1 << 20).await.unwrap();
        assert_eq!(cells(&rest[0].1), ["integer 2", "NULL NULL", "text small"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_log_is_lost() {
    for kind in KINDS {
        let server = Server::start(kind);
        let place = Place::new(&server, 1).await;
        place.sql(USERS);
        let users = place.table(1, "users").await;
        let start = place.site.log_end().await.unwrap();
        place.sql("INSERT INTO users VALUES (1, 'a', 'a'); FLUSH BINARY LOGS; INSERT INTO users VALUES (2, 'b', 'b'); FLUSH BINARY LOGS");
        let last = server.rows("mysql", "SHOW BINARY LOGS").last().unwrap()[0].clone().unwrap();
        server.sql("mysql", &format!("PURGE BINARY LOGS TO '{last}'"));
        let lost = match place.site.open_log(vec![place.member(std::slice::from_ref(&users), start)]).await {
            Err(error) => error,
            Ok(mut log) => log.next().await.unwrap_err(),
        };
        assert_eq!(lost.cause, Cause::LogLost, "{lost}");
        // The end is still good, a place beyond it is not.
        let end = place.site.log_end().await.unwrap();
        let mut log = place.log_from(std::slice::from_ref(&users), end.clone()).await;
        place.sql("DELETE FROM users WHERE uid = 1");
        assert_eq!(log.transaction().await.changes.len(), 1);
        let (head, number) = end.0.rsplit_once(['-', ':']).unwrap();
        let sign = "-";
        let beyond = Position(format!("{head}{sign}{}", number.parse::<u64>().unwrap() + 1000));
        let lost = match place.site.open_log(vec![place.member(&[users], beyond)]).await {
            Err(error) => error,
            Ok(mut log) => log.next().await.unwrap_err(),
        };
        assert_eq!(lost.cause, Cause::LogLost, "{lost}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_events_and_many_domains() {
    for kind in KINDS {
        let server = Server::start(kind);
        let place = Place::new(&server, 1).await;
        place.sql("CREATE TABLE t (id INT PRIMARY KEY, x TEXT) ENGINE=InnoDB");
        let t = place.table(1, "t").await;
        let mut log = place.log(std::slice::from_ref(&t)).await;
        let compress = if kind.is_mariadb() {
            "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10"
        } else {
            "SET GLOBAL binlog_transaction_compression = ON"
        };
        place.sql(compress);
        place.sql("INSERT INTO t VALUES (1, REPEAT('x', 3000)); UPDATE t SET x = REPEAT('y', 3000); DELETE FROM t; TRUNCATE TABLE t /* a comment that is long enough to be compressed */");
        let long = |c: char| c.to_string().repeat(3000);
        assert_eq!(shown_all(&log.transaction().await.changes), [format!("1: - -> 1|{}", long('x'))]);
        assert_eq!(shown_all(&log.transaction().await.changes), [format!("1: 1|{} -> 1|{}", long('x'), long('y'))]);
        let deleted = log.transaction().await;
        assert_eq!(deleted.changes.len(), 1);
        log.find(|item| matches!(item, LogItem::Emptied { .. }).then_some(())).await;
        if kind.is_mariadb() {
            place.sql("SET gtid_domain_id = 7; INSERT INTO t VALUES (2, 'seven')");
            place.sql("SET gtid_domain_id = 3, server_id = 99; INSERT INTO t VALUES (3, 'three')");
            place.sql("INSERT INTO t VALUES (4, 'zero')");
            let positions: Vec<Position> =
                [log.transaction().await, log.transaction().await, log.transaction().await].map(|t| t.position.unwrap()).into();
            assert!(positions[2].0.contains("7-") && positions[2].0.contains("3-99-1"), "{}", positions[2]);
            // Resuming in the middle, with domains that the position does not know yet.
            let mut again = place.log_from(std::slice::from_ref(&t), positions[0].clone()).await;
            let rest = [again.transaction().await, again.transaction().await].map(|t| t.changes[0].key.reveal());
            assert_eq!(rest, ["3", "4"]);
        } else {
            place.sql("SET gtid_next = 'AUTOMATIC:a_tag'; INSERT INTO t VALUES (2, 'tagged'); SET gtid_next = 'AUTOMATIC'; INSERT INTO t VALUES (3, 'plain')");
            let tagged = log.transaction().await.position.unwrap();
            assert!(tagged.0.contains(":a_tag:1"), "{tagged}");
            assert_eq!(log.transaction().await.changes[0].key.reveal(), "3");
            let mut again = place.log_from(std::slice::from_ref(&t), tagged).await;
            assert_eq!(again.transaction().await.changes[0].key.reveal(), "3");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_go_through_a_table_in_key_order() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql("CREATE TABLE t (a VARCHAR(20) CHARACTER SET latin1, b INT, c ENUM('z','a'), x TEXT, PRIMARY KEY (a, b, c)) ENGINE=InnoDB; \
                   INSERT INTO t VALUES ('é', 1, 'z', 'x'), ('E', 1, 'a', 'x'), ('b', -1, 'z', 'x'), ('B ', 2, 'a', 'x'), ('b', 2, 'z', 'x'), ('', 0, 'a', 'x'), ('ö', 5, 'a', 'x')");
        let t = place.table(1, "t").await;
        let mut reader = place.site.chunk_reader().await.unwrap();
        let whole = reader.chunk(&t, None, 100, 1 << 20).await.unwrap();
        assert_eq!(whole.len(), 7);
        for size in 1..4 {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let chunk = reader.chunk(&t, after.as_ref(), size, 1 << 20).await.unwrap();
                let Some((key, _)) = chunk.last() else { break };
                after = Some(key.clone());
                found.extend(chunk);
            }
            assert_eq!(found, whole, "{kind:?} by {size}");
        }
        let keys: Vec<_> = whole.iter().take(3).map(|(k, _)| k.clone()).chain([key([text("none"), Value::Int(1), text("a")])]).collect();
        let mut rows = reader.rows(&t, &keys).await.unwrap();
        rows.sort_by_key(|(key, _)| whole.iter().position(|(k, _)| k == key));
        assert_eq!(rows, whole[..3]);
        reader.estimate(&t).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_is_of_the_values_that_are_read() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(
            "CREATE TABLE sums (id BIGINT UNSIGNED PRIMARY KEY, small TINYINT, name VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
                latin VARCHAR(60) CHARACTER SET latin1, narrow CHAR(10) CHARACTER SET ascii, folded VARCHAR(20) CHARACTER SET utf8mb4,
                old TEXT CHARACTER SET utf8, body LONGBLOB, fixed BINARY(4)) ENGINE=InnoDB;
             INSERT INTO sums VALUES (1, -3, 'żółw 🐢', 'Grüße €', 'ab', 'Joe', 'žluť', x'00ff', 'ab'), (3, 0, '', '', '', '', '', '', ''),
                (12, 127, 'a,b:N', 'N', '1:a', ' x ', '0', 'ab', x'01020304'), (18446744073709551615, 1, 'last', 'é', 'z', 'z', 'z', 'z', 'z');
             INSERT INTO sums (id) VALUES (2)",
        );
        sums::agree(&*place.site, &place.table(1, "sums").await).await;
        place.sql("CREATE TABLE other (id INT PRIMARY KEY, price DECIMAL(8,2)) ENGINE=InnoDB; CREATE TABLE pair (a INT, b INT, PRIMARY KEY (a, b)) ENGINE=InnoDB");
        for name in ["other", "pair"] {
            assert_eq!(place.table(1, name).await.summed(), None, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_described() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql("CREATE TABLE p (id INT PRIMARY KEY) ENGINE=InnoDB; CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM; CREATE VIEW w AS SELECT * FROM p; \
            CREATE TABLE t (a INT AUTO_INCREMENT, b VARCHAR(9) COLLATE utf8mb4_bin NOT NULL DEFAULT 'x', c VARCHAR(9) NOT NULL, p INT, g INT AS (p+1), \
            PRIMARY KEY (b, c), KEY (a), UNIQUE KEY u (c, p), CONSTRAINT f FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE) ENGINE=InnoDB; \
            CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.c = 'c'");
        let all = place.site.describe().await.unwrap();
        let names: Vec<&str> = all.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["m", "p", "t", "w"]);
        assert!(all[0].unfit.as_ref().unwrap().1.contains("ENGINE=InnoDB") && all[1].unfit.is_none() && all[3].unfit.is_some());
        let t = &all[2];
        assert_eq!((t.key.clone(), t.triggers.clone()), (vec!["b".into(), "c".into()], vec!["tr".to_owned()]));
        assert_eq!((t.unique[0].name.as_str(), t.unique[0].columns.len(), t.unique[0].case_insensitive), ("u", 2, true));
        assert!(t.foreign[0].cascades && t.foreign[0].parent == "p" && t.foreign[0].columns == ["p"]);
        let flags: Vec<_> =
            t.columns.iter().map(|c| (c.numbered, c.generated, c.has_default, c.case_insensitive, c.column.ordinal)).collect();
        assert_eq!(flags[0], (true, false, true, false, 0));
        assert_eq!(flags[1], (false, false, true, false, 1));
        assert_eq!(flags[2], (false, false, false, true, 2));
        assert!(flags[4].1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_account_with_the_printed_grants_does_everything() {
    for kind in KINDS {
        let server = Server::start(kind);
        let place = Place::new(&server, 1).await;
        place.sql(USERS);
        let users = place.table(1, "users").await;
        place.site.dismantle().await.unwrap();
        let host = rosterd::config::Host::Tcp { name: "127.0.0.1".into(), port: server.port() };
        let plain = rosterd::sites::mysql::site(
            place.site.id(),
            &config(host, "roster", Some("a-long-random-password"), &place.database),
            &daemon(),
        );
        let refused = plain.describe().await.unwrap_err();
        assert_eq!(refused.cause, Cause::Credentials, "{refused}");
        let grants = plain.grants(std::slice::from_ref(&users));
        server.sql("mysql", &grants.join(";\n"));
        let findings = plain.probe(std::slice::from_ref(&users), None).await.unwrap();
        let bad: Vec<_> = findings.iter().filter(|f| f.level == rosterd::sites::Level::Error).collect();
        assert!(bad.is_empty(), "{kind:?}: {bad:#?}");
        plain.prepare(&[]).await.unwrap();
        assert_eq!(plain.describe().await.unwrap().len(), 1);
        let end = plain.log_end().await.unwrap();
        let mut log = Log(plain.open_log(vec![place.member(std::slice::from_ref(&users), end.clone())]).await.unwrap());
        let mut writer = plain.writer(Lane::Control, "plain").await.unwrap();
        assert_eq!(
            writer.apply(&batch(1, vec![user(&users, WriteKind::Insert, 1, "joe")])).await.unwrap(),
            Outcome::Committed { failed: vec![] }
        );
        assert_eq!(log.transaction().await.changes.len(), 1);
        let mut reader = plain.chunk_reader().await.unwrap();
        assert_eq!(reader.chunk(&users, None, 10, 1 << 20).await.unwrap().len(), 1);
        assert!(
            plain.probe(std::slice::from_ref(&users), Some(&end)).await.unwrap().iter().all(|f| f.level != rosterd::sites::Level::Error)
        );

        // A right less, and check says which.
        server.sql(
            "mysql",
            &format!(
                "REVOKE UPDATE ON {}.users FROM 'roster'@'localhost'; REVOKE REPLICATION SLAVE ON *.* FROM 'roster'@'localhost'",
                place.database
            ),
        );
        let bad: Vec<_> = plain
            .probe(std::slice::from_ref(&users), None)
            .await
            .unwrap()
            .into_iter()
            .filter(|f| f.level == rosterd::sites::Level::Error)
            .collect();
        let subjects: Vec<_> = bad.iter().map(|f| f.subject.as_str()).collect();
        assert_eq!(subjects, ["privileges", "log access"], "{kind:?} {bad:#?}");
        plain.dismantle().await.unwrap();
        plain.dismantle().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unfit_settings_are_found() {
    for kind in KINDS {
        let server = Server::start_with(kind, &["--binlog-format=MIXED", "--binlog-row-image=MINIMAL", "--max-allowed-packet=1M"]);
        let place = Place::new(&server, 1).await;
        place.sql("SET GLOBAL read_only = ON; SET GLOBAL binlog_expire_logs_seconds = 3600");
        let findings = place.site.probe(&[], Some(&Position("nonsense".into()))).await.unwrap();
        let bad: Vec<&str> = findings.iter().filter(|f| f.level != rosterd::sites::Level::Fine).map(|f| f.text.as_str()).collect();
        for word in ["binlog_format = MIXED", "binlog_row_image = MINIMAL", "read-only", "3600", "max_allowed_packet = 1048576", "position"]
        {
            assert!(bad.iter().any(|text| text.contains(word)), "{kind:?}: {word} in {bad:#?}");
        }
        assert!(findings.iter().filter(|f| f.level != rosterd::sites::Level::Fine).all(|f| f.remedy.is_some()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_servers_are_named() {
    let host = rosterd::config::Host::Tcp { name: "127.0.0.1".into(), port: 1 };
    let nowhere = rosterd::sites::mysql::site(rosterd::model::SiteId(1), &config(host, "x", None, "x"), &daemon());
    let error = nowhere.log_end().await.unwrap_err();
    assert!(error.cause == Cause::Unreachable && error.to_string().contains("127.0.0.1:1"), "{error}");
    // Takes connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = rosterd::config::Host::Tcp { name: "127.0.0.1".into(), port: silent.local_addr().unwrap().port() };
    let mut hasty = daemon();
    hasty.connect_timeout = std::time::Duration::from_millis(300);
    let error = rosterd::sites::mysql::site(rosterd::model::SiteId(1), &config(host, "x", None, "x"), &hasty).log_end().await.unwrap_err();
    assert!(error.cause == Cause::Unreachable && error.to_string().contains("0.3 s"), "{error}");
}

/// Prints rates; run with `--ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn rates() {
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(USERS);
        let users = place.table(1, "users").await;
        let mut log = place.log(std::slice::from_ref(&users)).await;
        let mut writer = writer(&place).await;
        const BATCHES: i64 = 40;
        for what in [WriteKind::Insert, WriteKind::Columns, WriteKind::Delete] {
            let begin = std::time::Instant::now();
            for b in 0..BATCHES {
                let rows = (0..500)
                    .map(|i| b * 500 + i)
                    .map(|uid| {
                        row(
                            &users,
                            what,
                            &[(0, Value::Int(uid)), (1, text(&format!("user {uid} {what:?}"))), (2, text("mail@example.org"))],
                        )
                    })
                    .collect();
                let mut one = batch(b + 1 + 1000 * what as i64, rows);
                one.payload = vec![7; 500 * 80];
                assert_eq!(writer.apply(&one).await.unwrap(), Outcome::Committed { failed: vec![] });
            }
            println!("{kind:?} {what:?}: {:.0} rows/s", (BATCHES * 500) as f64 / begin.elapsed().as_secs_f64());
        }
        let begin = std::time::Instant::now();
        let mut rows = 0;
        while rows < 3 * 500 * BATCHES as usize {
            rows += log.transaction().await.changes.len();
        }
        println!("{kind:?} read behind: {:.2} s after", begin.elapsed().as_secs_f64());
        let begin = std::time::Instant::now();
        let mut again = place.log_from(std::slice::from_ref(&users), Position(place.site.log_end().await.unwrap().0)).await;
        drop(again.0.acknowledge(place.site.id(), &Position(String::new())).await);
        println!("{kind:?} open log: {:?}", begin.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlocks_make_a_batch_give_way() {
    use mysql_async::prelude::Queryable;
    for kind in KINDS {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql(USERS);
        place.sql("INSERT INTO users VALUES (1, 'a', 'a'), (2, 'b', 'b'), (3, 'c', 'c'), (4, 'd', 'd')");
        let users = place.table(1, "users").await;
        let host = rosterd::config::Host::Tcp { name: "127.0.0.1".into(), port: place.server.port() };
        let mut patient = daemon();
        patient.lock_wait = DEADLINE;
        let site = rosterd::sites::mysql::site(place.site.id(), &config(host, "root", None, &place.database), &patient);
        let mut writer = site.writer(Lane::Urgent, "deadlock").await.unwrap();
        let options = mysql_async::OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(place.server.port())
            .user(Some("root"))
            .db_name(Some(&place.database));
        let mut conn = mysql_async::Conn::new(options).await.unwrap();
        // The heavier one survives, and ours is the lighter one.
        conn.query_drop("START TRANSACTION; UPDATE users SET mail = 'x' WHERE uid > 1; INSERT INTO users VALUES (10, 'x', 'x'), (11, 'y', 'y'), (12, 'z', 'z')").await.unwrap();
        let one = batch(1, vec![user(&users, WriteKind::Columns, 1, "first"), user(&users, WriteKind::Columns, 2, "second")]);
        let (applied, _) = tokio::join!(writer.apply(&one), async {
            while place.value(WAITING) == "0" {
                // The server renews that table only when it was not read for 100 ms.
                tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            }
            conn.query_drop("UPDATE users SET mail = 'y' WHERE uid = 1; COMMIT").await.unwrap();
        });
        assert_eq!(applied.unwrap_err().cause, Cause::Busy, "{kind:?}");
        assert_eq!(place.value("SELECT CONCAT(name, mail) FROM users WHERE uid = 1"), "ay");
        assert_eq!(writer.apply(&one).await.unwrap(), Outcome::Committed { failed: vec![] });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uuids_of_mariadb() {
    for kind in [Kind::MariaDb1011, Kind::MariaDb118] {
        let place = Place::new(Server::shared(kind), 1).await;
        place.sql("CREATE TABLE t (id UUID PRIMARY KEY, n INT) ENGINE=InnoDB");
        let t = place.table(1, "t").await;
        let mut log = place.log(std::slice::from_ref(&t)).await;
        place.sql("INSERT INTO t VALUES ('123e4567-e89b-12d3-a456-426655440000', 1), ('018f4567-e89b-72d3-a456-426655440000', 7), ('123e4567-e89b-42d3-0456-426655440000', 3), \
                   ('00000000-0000-0000-0000-000000000000', 0), ('ffffffff-ffff-ffff-ffff-ffffffffffff', 15), ('123e4567-e89b-62d3-a456-4266554400ab', 6), ('123e4567-e89b-c2d3-a456-4266554400ab', 12), \
                   ('123e4567-e89b-82d3-c456-4266554400ab', 8), ('123e4567-e89b-02d3-8456-4266554400ab', 100)");
        let mut logged: Vec<_> = log.transaction().await.changes.into_iter().map(|c| cells(&c.after.unwrap())).collect();
        let mut reader = place.site.chunk_reader().await.unwrap();
        let mut read: Vec<_> = reader.chunk(&t, None, 100, 1 << 20).await.unwrap().into_iter().map(|(_, image)| cells(&image)).collect();
        logged.sort();
        read.sort();
        assert_eq!(logged, read, "{kind:?}");
    }
}
