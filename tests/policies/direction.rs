//! Accounts belong to the hub, profiles to everybody: `direction` per table and per column.

use crate::roster::{ColumnKind::Plain, Engine, Engine::*, Roster, Table};

const USERS: Table = Table::new(
    "users",
    "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL, status INT NOT NULL, access INT NOT NULL, note VARCHAR(60)",
    &[("uid", Plain), ("name", Plain), ("status", Plain), ("access", Plain), ("note", Plain)],
);
const ROLES: Table = Table::new("users_roles", "uid INT, role VARCHAR(60), PRIMARY KEY (uid, role)", &[("uid", Plain), ("role", Plain)]);
const CITY: Table = Table::new("field_city", "uid INT PRIMARY KEY, city VARCHAR(60) NOT NULL", &[("uid", Plain), ("city", Plain)]);

#[test]
fn a_clients_administrator_is_not_the_hubs_mariadb_and_postgres() {
    accounts_belong_to_the_hub(&[MariaDb118, Postgres18, MariaDb1011]);
}

#[test]
fn a_clients_administrator_is_not_the_hubs_postgres_and_mysql() {
    accounts_belong_to_the_hub(&[Postgres15, MySql97, Sqlite]);
}

fn accounts_belong_to_the_hub(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    roster.share(USERS, "direction = { default = \"from-hub\", access = \"both\", note = \"both\" }");
    roster.share(ROLES, "direction = \"from-hub\"");
    roster.share(CITY, "insert = \"merge\"");
    roster.sql(
        0,
        "INSERT INTO users VALUES (2, 'ann', 1, 100, NULL), (3, 'bob', 1, 100, NULL);
         INSERT INTO users_roles VALUES (2, 'editor'); INSERT INTO field_city VALUES (2, 'Trenton')",
    );
    roster.start();
    roster.settle_equal();
    // One transaction at a client: what is the hub's is put back, what is everybody's arrives.
    roster.sql(
        1,
        "BEGIN; UPDATE users SET status = 0, name = 'mallory', access = 200, note = 'seen at the client' WHERE uid = 2;
         INSERT INTO users_roles VALUES (2, 'administrator'); INSERT INTO users_roles VALUES (3, 'administrator');
         UPDATE field_city SET city = 'Newark' WHERE uid = 2; COMMIT",
    );
    roster
        .sql(2, "DELETE FROM users_roles WHERE uid = 2; DELETE FROM users WHERE uid = 3; INSERT INTO users VALUES (66, 'eve', 1, 1, NULL)");
    roster.settle_equal();
    for at in 0..roster.sites.len() {
        let name = &roster.sites[at].name;
        let expected = [["2", "ann", "1", "200", "seen at the client"], ["3", "bob", "1", "100", "NULL"]];
        let expected: Vec<Vec<String>> = expected
            .iter()
            .map(|row| row.iter().map(|cell| if *cell == "NULL" { "NULL".to_owned() } else { format!("{cell:?}") }).collect())
            .collect();
        assert_eq!(roster.rows(at, "users"), expected, "{name}");
        assert_eq!(roster.rows(at, "users_roles"), vec![vec!["\"2\"".to_owned(), "\"editor\"".to_owned()]], "{name}");
        assert_eq!(roster.rows(at, "field_city"), vec![vec!["\"2\"".to_owned(), "\"Newark\"".to_owned()]], "{name}");
    }
    assert!(roster.conflicts("users").iter().any(|kind| kind == "against_direction"), "{:?}", roster.conflicts("users"));
    roster.stop();
}
