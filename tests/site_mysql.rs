//! The MySQL family against real servers.

#[path = "support/mysql_site.rs"]
mod mysql_site;
#[path = "support/servers.rs"]
mod servers;

use std::sync::Arc;

use mysql_site::*;
use rosterd::model::{Cell, LogItem, MarkerId, MarkerKind, Origin, Position, Value, WriteKind, fit};
use rosterd::sites::{Cause, Lane, Outcome, Piece, Rejection, RowWrite, Site, Statement, Writer};
use servers::{Kind, Server};

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
        let mut log = place.log(&[users.clone()]).await;
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

        place.sql("START TRANSACTION; INSERT INTO users VALUES (3, 'a', 'b'); SAVEPOINT `s p`; INSERT INTO users VALUES (4, 'c', 'd'); \
                   ROLLBACK TO `s p`; INSERT INTO users VALUES (5, 'e', 'f'); COMMIT");
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
        let mut log = place.log(&[users.clone()]).await;
        let mut writer = writer(&place).await;
        let outcome = writer.apply(&batch(11, vec![user(&users, WriteKind::Insert, 1, "joe"), user(&users, WriteKind::Insert, 2, "ann")])).await.unwrap();
        assert_eq!(outcome, Outcome::Committed { failed: vec![] });
        let t = log.transaction().await;
        assert_eq!(t.origin, Origin::Landing { marker: MarkerId(11), payload: b"payload 11".to_vec() });
        assert_eq!(t.changes.len(), 2);
        writer.mark(MarkerId(12)).await.unwrap();
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
        place.sql("CREATE TABLE cache (cid VARCHAR(60) PRIMARY KEY) ENGINE=InnoDB; INSERT INTO cache VALUES ('user:1'), ('user:2'), ('it''s')");
        let users = place.table(1, "users").await;
        let mut writer = writer(&place).await;
        let delete = |value: Value| {
            let pieces = vec![Piece::Sql("DELETE FROM cache WHERE cid = concat('user:', ".into()), Piece::Value(value), Piece::Sql(") ; ".into())];
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
    let json = if kind.is_mariadb() { r#"'{"b": [1, 2.50, "\\u20ac", null, true], "a": {"x": -1e20}}'"# } else { r#"'{"b": [1, 2.50, "€", null, true, 70000, -5000000000, 18446744073709551615, 1e300, 1e-7, 0.1], "a": {"x": -1e20}}'"# };
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
        let mut log = place.log(&[types.clone()]).await;
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
            let values: Vec<(usize, Value)> = image.iter().enumerate().map(|(i, cell)| {
                let Cell::Value(value) = cell else { panic!("no value") };
                let column = copy.columns[i].as_ref().unwrap();
                (i, fit(value, &column.ty).unwrap_or_else(|refusal| panic!("{kind:?} {}: {refusal}", column.name)))
            }).collect();
            rows.push(row(&copy, WriteKind::Insert, &values));
        }
        let mut writer = writer(&place).await;
        assert_eq!(writer.apply(&batch(1, rows.clone())).await.unwrap(), Outcome::Committed { failed: vec![] });
        let copied = reader.chunk(&copy, None, 100, 1 << 30).await.unwrap();
        assert_eq!(copied, read, "{kind:?}");
        rows.iter_mut().for_each(|row| row.kind = WriteKind::Replace);
        assert_eq!(writer.apply(&batch(2, rows)).await.unwrap(), Outcome::Committed { failed: vec![] });
        assert_eq!(reader.chunk(&copy, None, 100, 1 << 30).await.unwrap(), read, "{kind:?}");
        assert_eq!(place.value("SELECT COUNT(*) FROM types t JOIN copy c ON t.id = c.id WHERE t.d <=> c.d AND t.f <=> c.f AND t.tx <=> c.tx"), "4");
    }
}
