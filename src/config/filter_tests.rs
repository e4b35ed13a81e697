//! What filters mean, and how those that mean nothing are refused.

use super::*;
use crate::model::Cell;

fn refusal(text: &str) -> String {
    let fault = filter(text).map(|f| f.predicate).unwrap_err();
    format!("{}; {}\n{}", fault.cause, fault.advice, fault.excerpt.unwrap_or_default())
}

/// What `text` says of a row with uid 5, name `joe`, a NULL mail and a decimal score of -1.5.
fn says(text: &str) -> Option<bool> {
    let row = [
        ("uid", Value::Int(5)),
        ("name", Value::text("joe")),
        ("mail", Value::Null),
        ("score", Value::Decimal(Decimal::parse("-1.5").unwrap())),
        ("pic", Value::Bytes(vec![0x1f])),
    ]
    .map(|(name, value)| (name, Cell::Value(value)));
    let predicate = filter(text).unwrap_or_else(|f| panic!("{text}: {}; {}", f.cause, f.advice)).predicate;
    predicate.evaluate(&|name| row.iter().find(|(n, _)| *n == name).map(|(_, cell)| cell))
}

#[test]
fn everything_that_is_promised_is_understood() {
    for text in [
        "uid > 1",
        "1 < uid",
        "uid >= 5 AND uid <= 5 AND uid <> 4 AND uid != 6 AND NOT uid < 5",
        "uid = 4 OR (uid = 5 AND name = 'joe')",
        "uid IN (1, 5)",
        "uid NOT IN (1, 2)",
        "uid BETWEEN 5 AND 6",
        "uid NOT BETWEEN 1 AND 4",
        "name LIKE 'j%'",
        "name NOT LIKE '_o'",
        "name LIKE 'j__' AND name NOT LIKE 'j\\_e'",
        "mail <=> NULL AND NOT uid <=> NULL",
        "mail IS NOT DISTINCT FROM NULL",
        "uid IS DISTINCT FROM 4",
        "mail IS NULL",
        "uid IS NOT NULL",
        "score = -1.5",
        "score > - 2",
        "uid = 0x05",
        "uid < 18446744073709551615",
        "uid < 99999999999999999999999",
        "pic = X'1F'",
        "TRUE = 1",
        "`name` = 'joe' and `uid` = +5",
        "name\n=\n'joe'",
    ] {
        assert_eq!(says(text), Some(true), "{text}");
    }
    assert_eq!(says("name = 'it''s'"), Some(false));
    assert_eq!(says("mail = NULL"), None);
    assert_eq!(says("mail = 'a'"), None);
}

#[test]
fn or_binds_weaker_than_and() {
    assert_eq!(says("uid = 5 OR uid = 1 AND uid = 2"), Some(true));
    assert_eq!(says("(uid = 5 OR uid = 1) AND uid = 2"), Some(false));
}

#[test]
fn anything_else_is_refused_by_name() {
    for (text, name) in [
        ("lower(name) = 'joe'", "a function"),
        ("uid IN (SELECT 1)", "a subquery"),
        ("uid + 1 = 2", "arithmetic"),
        ("-uid = 1", "arithmetic"),
        ("uid = 1 = 1", "a condition inside a comparison"),
        ("uid % 2", "the operator `%`"),
        ("name ILIKE 'j%'", "ILIKE"),
        ("name LIKE 'j%' ESCAPE '!'", "ESCAPE"),
        ("name LIKE mail", "pattern that is not a string"),
        ("name REGEXP 'j'", "regular expression"),
        ("uid::text = '1'", "a cast"),
        ("uid IS TRUE", "IS TRUE"),
        ("users.uid = 1", "names a table"),
        ("\"uid\" = 1", "text in MySQL"),
        ("name = 'a\\b'", "backslash in a string"),
        ("name LIKE 'a\\b'", "not before % or _"),
        ("uid", "alone is not a condition"),
        ("NOT uid", "alone is not a condition"),
        ("uid = ?", "this kind of literal"),
        ("name = N'x'", "this kind of literal"),
        ("(uid, name) = (1, 'a')", "a list of columns"),
        ("uid = 0xFFFFFFFFFFFFFFFFF", "64 bits"),
        ("pic = X'1F2'", "half byte"),
        ("", "empty"),
    ] {
        assert!(refusal(text).contains(name), "{text}: {}", refusal(text));
    }
    assert!(refusal(&"uid = 1 OR ".repeat(1000)).contains("4096"));
    assert!(refusal(&format!("{}uid = 1{}", "(".repeat(500), ")".repeat(500))).contains("nested"));
}

#[test]
fn a_caret_stands_under_the_place() {
    for (text, under) in [("uid >", "     ^"), ("uid > 1 uid", "        ^"), ("uid IN 5", "       ^"), ("name = 'joe", "       ^")] {
        let shown = refusal(text);
        assert!(shown.ends_with(&format!("\n{text}\n{under}")), "{shown}");
    }
    assert!(refusal("uid > 1 AND\nlower(name) = 'x'").ends_with("\nlower(name) = 'x'\n^"), "{}", refusal("uid > 1 AND\nlower(name) = 'x'"));
}
