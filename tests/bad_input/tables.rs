//! Tables that can't be shared.

use crate::pair::Pair;

#[test]
fn a_table_without_a_key_is_refused() {
    let pair = Pair::new();
    pair.sql("hub", "CREATE TABLE notes (text TEXT)");
    pair.sql("nj", "CREATE TABLE notes (text TEXT)");
    pair.configure("", &[("hub", "sqlite:hub.db", ""), ("nj", "sqlite:nj.db", "")], "[[table]]\nname = \"notes\"\n");
    pair.expect(&["run"], 2, &["hub", "notes", "no primary key", "ALTER TABLE"]);
}

#[test]
fn a_missing_table_and_a_missing_column_are_refused() {
    let pair = Pair::new();
    pair.sql("nj", "ALTER TABLE users RENAME COLUMN name TO login");
    pair.expect(&["run"], 2, &["nj", "users", "no column name", "exclude it"]);
    pair.sql("nj", "DROP TABLE users");
    pair.expect(&["run"], 2, &["nj", "no table main.users", "create it"]);
}
