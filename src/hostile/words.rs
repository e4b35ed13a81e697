//! Targets that any engine has a part in: records, markers, JSON, filters and configurations.

use std::path::Path;

use crate::config::Config;
use crate::model::{Cell, Family, Key, Payload, Reader, SiteId, Value, Writer, canonical};
use crate::resolve::Row;

/// A row's record, a marker's payload, a key.
pub fn record(data: &[u8]) {
    for width in [0, 1, 7, 300] {
        // As a record, and as what stands beside one.
        let plain = [2, 1, 0, 0, 0];
        for (record, rest) in [(data, None), (plain.as_slice(), Some(data))] {
            let key = Key(vec![Value::Int(5), Value::Text("ash".into())]);
            if let Ok(row) = Row::decode(&key, record, rest, width) {
                let (mut again, mut beside) = (Writer::new(), Writer::new());
                row.encode(&key, &mut again, &mut beside, |_| false);
                let beside = Some(beside.as_slice()).filter(|beside| !beside.is_empty());
                assert_eq!(Row::decode(&key, again.as_slice(), beside, width).as_ref(), Ok(&row), "a record comes back");
                assert_eq!(Row::exists_in(record), row.life.exists());
                assert!(Row::values_in(record, &[0]).is_ok_and(|stored| stored.exists == row.life.exists() && stored.values(&key).is_ok()));
                assert!(Row::seen_in(record, SiteId(1)).is_ok());
            }
        }
    }
    if let Ok(payload) = Payload::decode(data) {
        assert_eq!(Payload::decode(&payload.encode()).as_ref(), Ok(&payload), "a payload comes back");
    }
    if let Ok(key) = Key::decode(data) {
        let mut writer = Writer::new();
        writer.key(&key);
        assert_eq!(Key::decode(writer.as_slice()).as_ref(), Ok(&key), "a key comes back");
        key.0.iter().for_each(|value| drop(value.reveal()));
    }
    if let Ok(key) = Key::from_sortable(data) {
        let mut writer = Writer::new();
        writer.sortable(&key);
        assert_eq!(Key::from_sortable(writer.as_slice()).as_ref(), Ok(&key), "a stored key comes back");
    }
    let mut reader = Reader::new(data);
    while let Ok(value) = reader.value() {
        for family in [Family::Integer, Family::Decimal, Family::Float, Family::Text, Family::Bytes, Family::Date, Family::DateTime] {
            if let Ok(made) = canonical(value.clone(), family) {
                assert_eq!(canonical(made.clone(), family).as_ref(), Ok(&made), "what is canonical stays as it is");
            }
        }
    }
}

/// JSON text.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(Value::Json(once)) = Value::json(text) {
        assert_eq!(Value::json(&once), Some(Value::Json(once)), "what is canonical stays as it is");
    }
    let _ = canonical(Value::text(text), Family::Json);
}

/// A filter, and what it makes of rows.
pub fn filter(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some(filter) = table(&format!("filter = {}", literal(&text))) else { return };
    let predicate = filter.filter.expect("a filter that was accepted").predicate;
    let cells = [
        Cell::Value(Value::Null),
        Cell::Value(Value::Int(i64::MIN)),
        Cell::Value(Value::text("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")),
        Cell::Value(Value::float(1e300)),
        Cell::Unchanged,
    ];
    for cell in &cells {
        let _ = predicate.evaluate(&|_| Some(cell));
    }
    for family in [Family::Integer, Family::Decimal, Family::Float, Family::Text, Family::Bytes, Family::Date, Family::Time, Family::Json] {
        if let Ok(typed) = predicate.typed(&|_| Some(family)) {
            let _ = typed.evaluate(&|_| Some(&cells[1]));
        }
    }
    let _ = (predicate.columns(), predicate.asks());
}

/// A statement that is run after rows have been applied.
pub fn after_apply(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = table(&format!("after_apply = [{}]", literal(&text)));
}

/// A configuration.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(error) = Config::parse(&text, Path::new("/nowhere/rosterd.toml")) {
        let _ = error.to_string();
    }
}

/// The rule of a table with one more line.
fn table(line: &str) -> Option<crate::config::TableRule> {
    let text = format!("[[site]]\nname = \"a\"\nrole = \"hub\"\nurl = \"sqlite:///a\"\n[[table]]\nname = \"users\"\n{line}\n");
    match Config::parse(&text, Path::new("/nowhere/rosterd.toml")) {
        Ok(mut config) => config.tables.pop(),
        Err(error) => {
            let _ = error.to_string();
            None
        }
    }
}

/// `text` as a string in TOML.
fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out + "\""
}
