//! A row's key as an operator types it and reads it.

use crate::model::{Date, DateTime, Decimal, Family, Key, Table, Value, fingerprint, parse_time};

/// The key that `text` names in `table`: `42`, or `user,0,17` for several columns, or a JSON list where a text has commas.
/// The error says what was expected.
pub fn parse(table: &Table, text: &str) -> Result<Key, String> {
    let names: Vec<&str> = table.key.iter().map(|at| table.columns[*at].name.as_str()).collect();
    let pieces = pieces(text, names.len());
    if pieces.len() != names.len() {
        let example = if names.len() == 1 { "one value".to_owned() } else { format!("{} values with commas between", names.len()) };
        return Err(format!("the key of table {} is ({}): give {example}, or a JSON list", table.name, names.join(", ")));
    }
    let values = table.key.iter().zip(pieces).map(|(at, piece)| {
        let column = &table.columns[*at];
        value(column.family, &piece).ok_or_else(|| format!("key column {} of table {} is {}", column.name, table.name, noun(column.family)))
    });
    Ok(Key(values.collect::<Result<_, _>>()?))
}

fn pieces(text: &str, count: usize) -> Vec<String> {
    if text.starts_with('[')
        && let Ok(list) = serde_json::from_str::<Vec<serde_json::Value>>(text)
    {
        return list.into_iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
    }
    match count {
        1 => vec![text.to_owned()],
        _ => text.split(',').map(str::to_owned).collect(),
    }
}

fn value(family: Family, text: &str) -> Option<Value> {
    Some(match family {
        Family::Integer => match text.parse::<i64>() {
            Ok(n) => Value::Int(n),
            Err(_) => Value::unsigned(text.parse().ok()?),
        },
        Family::Decimal => Value::Decimal(Decimal::parse(text)?),
        Family::Float => Value::float(text.parse().ok()?),
        Family::Text => Value::text(text),
        Family::Bytes => Value::Bytes(match text.strip_prefix("0x") {
            Some(digits) => bytes(digits)?,
            None => text.as_bytes().to_vec(),
        }),
        Family::Date => Value::Date(Date::parse(text)?),
        Family::Time => Value::Time(parse_time(text)?),
        Family::DateTime => Value::DateTime(DateTime::parse(text)?),
        Family::Json => Value::json(text)?,
    })
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    if digits.len().is_multiple_of(2) { digits.as_bytes().chunks(2).map(pair).collect() } else { None }
}

fn noun(family: Family) -> &'static str {
    match family {
        Family::Integer => "a whole number",
        Family::Decimal => "a decimal number",
        Family::Float => "a number",
        Family::Text => "text",
        Family::Bytes => "bytes (text, or 0x and hexadecimal digits)",
        Family::Date => "a date (2026-01-31)",
        Family::Time => "a time (23:59:59)",
        Family::DateTime => "a date with time (2026-01-31 23:59:59)",
        Family::Json => "JSON",
    }
}

/// The key for people to read; secret columns show the beginning of their fingerprint.
pub fn shown(table: &Table, key: &Key) -> String {
    let piece = |(at, value): (&usize, &Value)| match table.columns[*at].secret {
        true => format!("#{:08x}", fingerprint(value).0 >> 32),
        false => value.reveal(),
    };
    table.key.iter().zip(&key.0).map(piece).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, TableId};

    fn table(families: &[(&str, Family, bool)]) -> Table {
        let columns: Vec<Column> =
            families.iter().map(|(name, family, secret)| Column { name: (*name).into(), family: *family, secret: *secret }).collect();
        Table { id: TableId(1), name: "field_data_x".into(), key: (0..columns.len()).collect(), columns, urgent: false }
    }

    #[test]
    fn keys_are_typed_by_their_columns() {
        let fields =
            table(&[("entity_type", Family::Text, false), ("deleted", Family::Integer, false), ("entity_id", Family::Integer, false)]);
        let key = Key(vec![Value::text("user"), Value::Int(0), Value::Int(17)]);
        assert_eq!(parse(&fields, "user,0,17").unwrap(), key);
        assert_eq!(parse(&fields, r#"["user",0,"17"]"#).unwrap(), key);
        assert_eq!(shown(&fields, &key), "user,0,17");
        assert_eq!(
            parse(&fields, "user,0").unwrap_err(),
            "the key of table field_data_x is (entity_type, deleted, entity_id): give 3 values with commas between, or a JSON list"
        );
        assert_eq!(parse(&fields, "user,zero,17").unwrap_err(), "key column deleted of table field_data_x is a whole number");
    }

    #[test]
    fn a_secret_key_is_never_shown() {
        let sessions = table(&[("sid", Family::Text, true)]);
        let key = parse(&sessions, "abc,def").unwrap();
        assert_eq!(key, Key(vec![Value::text("abc,def")]), "one column takes all of the text");
        assert!(shown(&sessions, &key).starts_with('#') && !shown(&sessions, &key).contains("abc"));
    }
}
