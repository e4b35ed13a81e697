//! Two people edit one profile at the same time: other columns, other fields. Both edits are at every site afterwards, also where a
//! save deletes and inserts every field again.

use crate::roster::{ColumnKind::Plain, Engine, Engine::*, Roster, Session, Table};
use crate::{at_once, cells, commit};

const PEOPLE: Table = Table::new(
    "people",
    "uid INT PRIMARY KEY, c0 INT NOT NULL, c1 INT NOT NULL, c2 INT NOT NULL",
    &[("uid", Plain), ("c0", Plain), ("c1", Plain), ("c2", Plain)],
);
const USERS: Table = Table::new(
    "users",
    "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL, status INT NOT NULL",
    &[("uid", Plain), ("name", Plain), ("status", Plain)],
);

const COLUMNS: &str = "entity_type VARCHAR(32) NOT NULL, deleted SMALLINT NOT NULL, entity_id INT NOT NULL, revision_id INT NOT NULL,
    language VARCHAR(12) NOT NULL, delta INT NOT NULL, body VARCHAR(200), ";

/// As Drupal 7 and Backdrop have them: the revision is in the key of `field_revision_*` only.
fn fields() -> Vec<Table> {
    let shared: &'static [_] = &[
        ("entity_type", Plain),
        ("deleted", Plain),
        ("entity_id", Plain),
        ("revision_id", Plain),
        ("language", Plain),
        ("delta", Plain),
        ("body", Plain),
    ];
    let table = |kind: &str, field: &str, key: &str| {
        let ddl = format!("{COLUMNS} PRIMARY KEY (entity_type, entity_id, {key}deleted, delta, language)");
        Table { name: format!("field_{kind}_{field}").leak(), ddl: ddl.leak(), columns: shared, filter: "entity_type = 'user'" }
    };
    FIELDS.iter().flat_map(|field| [table("data", field, ""), table("revision", field, "revision_id, ")]).collect()
}

const FIELDS: [&str; 3] = ["city", "bio", "tags"];
/// The last field has several values.
const TAGS: usize = 3;

#[test]
fn profiles_of_mariadb_postgres_and_mariadb() {
    all(&[MariaDb118, Postgres18, MariaDb1011]);
}

#[test]
fn profiles_of_postgres_mariadb_and_mysql() {
    all(&[Postgres15, MariaDb118, MySql97]);
}

fn all(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    roster.share(PEOPLE, "");
    roster.share(USERS, "");
    for table in fields() {
        roster.share(table, "filter = \"entity_type = 'user'\"\nreferences = { entity_id = \"users.uid\" }");
    }
    for uid in 2..2 + PERSONS {
        roster.sql(0, &format!("INSERT INTO people VALUES ({uid}, 0, 0, 0); INSERT INTO users VALUES ({uid}, 'user {uid}', 1)"));
        roster.sql(0, &insert_all(uid, ["old", "old", "old"]));
    }
    // A page uses the same table, and is nobody's.
    for at in 0..roster.sites.len() {
        roster.sql(at, &format!("INSERT INTO field_data_city VALUES ('node', 0, 2, 2, 'und', 0, 'page of {at}')"));
    }
    roster.start();
    roster.settle_equal();
    other_columns(&roster);
    other_fields(&roster);
    one_field_again_and_again(&roster);
    roster.stop();
}

const PERSONS: usize = 10;
const ROUNDS: usize = 30;

/// Each site counts in a column of its own, in everybody's row, as fast as it can. A lost edit is a count that falls short.
fn other_columns(roster: &Roster) {
    std::thread::scope(|scope| {
        for (at, site) in roster.sites.iter().enumerate() {
            scope.spawn(move || {
                let mut session = site.session();
                for _ in 0..ROUNDS {
                    (2..2 + PERSONS)
                        .for_each(|uid| commit(&mut session, &format!("UPDATE people SET c{at} = c{at} + 1 WHERE uid = {uid}")));
                }
            });
        }
    });
    roster.settle_equal();
    let all = ROUNDS.to_string();
    let mut expected: Vec<_> = (2..2 + PERSONS).map(|uid| cells([&uid.to_string(), &all, &all, &all])).collect();
    expected.sort();
    for at in 0..roster.sites.len() {
        assert_eq!(roster.rows(at, "people"), expected, "{}", roster.sites[at].name);
    }
    assert_eq!(roster.conflicts("people"), Vec::<String>::new());
}

fn insert_all(uid: usize, values: [&str; 3]) -> String {
    let mut script = Vec::new();
    for (field, value) in FIELDS.iter().zip(values) {
        for kind in ["data", "revision"] {
            for delta in 0..if *field == "tags" { TAGS } else { 1 } {
                script.push(format!("INSERT INTO field_{kind}_{field} VALUES ('user', 0, {uid}, {uid}, 'und', {delta}, '{value}')"));
            }
        }
    }
    script.join("; ")
}

/// What an application writes when a form is saved: everything, changed or not.
fn save(uid: usize, values: [&str; 3]) -> String {
    let mut script = vec![format!("UPDATE users SET status = 1 WHERE uid = {uid}")];
    for field in FIELDS {
        for kind in ["data", "revision"] {
            script.push(format!("DELETE FROM field_{kind}_{field} WHERE entity_type = 'user' AND entity_id = {uid}"));
        }
    }
    script.push(insert_all(uid, values));
    script.join("; ")
}

/// Each pair of sites saves each person's form at the same moment, one the city and one the bio. The ledger has exactly the rows
/// that became others, and no conflict.
fn other_fields(roster: &Roster) {
    let sites = roster.sites.len();
    let mut city = "old".to_owned();
    let mut bio = "old".to_owned();
    for one in 0..sites {
        let other = (one + 1) % sites;
        let (new_city, new_bio) = (format!("city of {one}"), format!("bio of {other}"));
        roster.settle();
        let before = roster.captured();
        for uid in 2..2 + PERSONS {
            at_once(roster, &[(one, save(uid, [&new_city, &bio, "old"])), (other, save(uid, [&city, &new_bio, "old"]))]);
        }
        roster.settle_equal();
        (city, bio) = (new_city, new_bio);
        for at in 0..sites {
            for uid in 2..2 + PERSONS {
                holds(roster, at, uid, [&city, &bio, "old"]);
            }
        }
        // A row of field_data_* and one of field_revision_* for each edit, and the fences by which the test waits.
        assert_eq!(roster.captured() - before, (PERSONS * 4 + sites) as i64, "rows that did not change are no changes");
    }
    for table in fields().iter().map(|table| table.name).chain(["users"]) {
        assert_eq!(roster.conflicts(table), Vec::<String>::new(), "{table}");
    }
    assert_eq!(roster.quarantined(), Vec::<[String; 4]>::new());
}

#[track_caller]
fn holds(roster: &Roster, at: usize, uid: usize, values: [&str; 3]) {
    for (field, value) in FIELDS.iter().zip(values) {
        for kind in ["data", "revision"] {
            let query = |what: &str| format!("SELECT {what} FROM field_{kind}_{field} WHERE entity_type = 'user' AND entity_id = {uid}");
            let (least, most) = (roster.value(at, &query("min(body)")), roster.value(at, &query("max(body)")));
            let expected = (Some(value), Some(value));
            assert_eq!((least.as_deref(), most.as_deref()), expected, "{kind} {field} of {uid} at {}", roster.sites[at].name);
            let rows = if *field == "tags" { TAGS } else { 1 };
            assert_eq!(roster.value(at, &query("count(*)")), Some(rows.to_string()), "{kind} {field} of {uid}");
        }
    }
}

/// A site saves the whole form all the time, with what it reads, while another one writes one field's rows in place: no field is
/// empty in between, and when it is quiet all sites are equal.
fn one_field_again_and_again(roster: &Roster) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut session = roster.sites[0].session();
            for round in 0..ROUNDS {
                for uid in 2..6 {
                    let tags = read(&mut session, "tags", uid);
                    let bio = read(&mut session, "bio", uid);
                    commit(&mut session, &save(uid, [&format!("round {round}"), &bio, &tags]));
                }
            }
        });
        scope.spawn(|| {
            let mut session = roster.sites[1].session();
            for round in 0..ROUNDS {
                for uid in 6..10 {
                    let script = ["data", "revision"].map(|kind| {
                        format!("UPDATE field_{kind}_bio SET body = 'bio {round}' WHERE entity_type = 'user' AND entity_id = {uid}")
                    });
                    commit(&mut session, &script.join("; "));
                }
            }
        });
    });
    roster.settle_equal();
    let (last_city, last_bio) = (format!("round {}", ROUNDS - 1), format!("bio {}", ROUNDS - 1));
    for at in 0..roster.sites.len() {
        for uid in 2..6 {
            let bio = format!("bio of {}", 0);
            holds(roster, at, uid, [&last_city, &bio, "old"]);
        }
        for uid in 6..10 {
            let city = format!("city of {}", roster.sites.len() - 1);
            holds(roster, at, uid, [&city, &last_bio, "old"]);
        }
    }
}

fn read(session: &mut Session, field: &str, uid: usize) -> String {
    let rows = session.rows(&format!("SELECT body FROM field_data_{field} WHERE entity_type = 'user' AND entity_id = {uid}"));
    rows.first().and_then(|row| row[0].clone()).expect("a person's fields are never gone for a moment")
}
