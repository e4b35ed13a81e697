//! Which unique keys of a site the roster shares.

use std::sync::Arc;

use crate::model::{Column, ColumnType, Family, SharedUnique, SiteColumn, SiteTable, Table, TableId, UniqueKey};

/// `users` with a key and a name, at a site with a column of its own behind them.
fn at_site(unique: &[&[&str]]) -> SiteTable {
    let column = |name: &str| Column { name: name.into(), family: Family::Integer, secret: false };
    let table = Table { id: TableId(1), name: "users".into(), columns: vec![column("uid"), column("name")], key: vec![0], urgent: false };
    let here = |(ordinal, name): (usize, &&str)| {
        Some(SiteColumn { name: (*name).into(), ty: ColumnType::Bool, ordinal, nullable: false, values: None })
    };
    let key = |columns: &&[&str]| UniqueKey {
        name: "u".into(),
        columns: columns.iter().map(|column| (*column).into()).collect(),
        case_insensitive: false,
    };
    SiteTable {
        table: Arc::new(table),
        schema: "s".into(),
        name: "users".into(),
        columns: ["member_no", "login", "kind"].iter().enumerate().map(here).collect(),
        unique: unique.iter().map(key).collect(),
        allocation: None,
        fills: vec![],
    }
}

#[test]
fn unique_keys_count_when_all_their_columns_are_shared() {
    let found = |unique: &[&[&str]]| at_site(unique).shared_unique();
    let by_name = SharedUnique { columns: vec![1], folds: false, chars_max: None };
    let by_name = [by_name];
    assert_eq!(found(&[&["login"]]), by_name);
    assert_eq!(found(&[&["kind", "login"], &["login"]]), by_name);
    assert_eq!(found(&[&["member_no"]]), []);
    assert_eq!(found(&[&["login", "member_no"]]), [SharedUnique { columns: vec![0, 1], folds: false, chars_max: None }]);
}
