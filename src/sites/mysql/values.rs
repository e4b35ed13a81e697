//! Values by column type: from result sets, and into SQL. From the log's row images: `image.rs`.

use std::fmt::Write;

use mysql_async::Value as Wire;

use crate::model::{Cell, Charset, ColumnType, Date, DateTime, Decimal, Family, Refusal, SiteColumn, Value};

pub(super) type Decoded = Result<Value, &'static str>;

const INVALID_UTF8: &str = "text that is not valid UTF-8";
const ALIEN: &str = "a value of another type than the column has";
const DAY_US: i64 = 86_400_000_000;

/// The canonical cell of what a column holds.
pub(super) fn cell(decoded: Decoded, column: &SiteColumn, family: Family) -> Cell {
    match decoded.and_then(|value| column.read(value, family).map_err(|Refusal(reason)| reason)) {
        Ok(value) => Cell::Value(value),
        Err(reason) => Cell::Refused(reason),
    }
}

/// From a prepared statement's result, over a connection in utf8mb4.
pub(super) fn from_wire(value: Wire, ty: &ColumnType) -> Decoded {
    Ok(match (value, ty) {
        (Wire::NULL, _) => Value::Null,
        (Wire::Int(n), ColumnType::Int { .. } | ColumnType::Year | ColumnType::Bool) => Value::Int(n),
        (Wire::UInt(n), ColumnType::Int { .. } | ColumnType::Year | ColumnType::Bool) => Value::unsigned(n),
        (Wire::Float(x), ColumnType::Float32(_)) => Value::float(f64::from(x)),
        (Wire::Double(x), ColumnType::Float64(_)) => Value::float(x),
        (Wire::Date(y, mo, d, h, mi, s, us), _) => {
            let date = Date { year: y.into(), month: mo, day: d };
            match ty {
                ColumnType::Date { .. } => Value::Date(date),
                _ => Value::DateTime(DateTime { date, us: clock_us(h.into(), mi.into(), s.into(), us.into()) }),
            }
        }
        (Wire::Time(negative, days, h, mi, s, us), _) => {
            let us = i64::from(days) * DAY_US + clock_us(h.into(), mi.into(), s.into(), us.into());
            Value::Time(if negative { -us } else { us })
        }
        (Wire::Bytes(bytes), ty) => from_bytes(bytes, ty)?,
        _ => return Err(ALIEN),
    })
}

fn from_bytes(bytes: Vec<u8>, ty: &ColumnType) -> Decoded {
    Ok(match ty {
        ColumnType::Bit { .. } => bits(&bytes),
        ColumnType::Bytes { .. } => Value::Bytes(bytes),
        ColumnType::Decimal { .. } => decimal(std::str::from_utf8(&bytes).map_err(|_| ALIEN)?)?,
        ColumnType::Char { .. } | ColumnType::Text { .. } | ColumnType::Enum(_) | ColumnType::Set(_) | ColumnType::Uuid => {
            Value::Text(utf8(bytes)?)
        }
        ColumnType::Json { .. } => json(&utf8(bytes)?)?,
        _ => return Err(ALIEN),
    })
}

pub(super) fn utf8(bytes: Vec<u8>) -> Result<String, &'static str> {
    String::from_utf8(bytes).map_err(|_| INVALID_UTF8)
}

/// Text as the table stores it.
pub(super) fn stored_text(bytes: &[u8], charset: Charset) -> Result<String, &'static str> {
    match charset {
        Charset::Latin1 if !bytes.is_ascii() => Ok(bytes.iter().map(|b| latin1(*b)).collect()),
        _ => std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| INVALID_UTF8),
    }
}

/// MySQL's latin1 is Windows-1252, with its five holes filled by the control characters of that number.
fn latin1(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•',
        '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// Big-endian bits as an integer.
pub(super) fn bits(bytes: &[u8]) -> Value {
    Value::unsigned(bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

pub(super) fn decimal(text: &str) -> Decoded {
    Decimal::parse(text).map(Value::Decimal).ok_or(ALIEN)
}

pub(super) fn json(text: &str) -> Decoded {
    Value::json(text).ok_or("JSON that can't be parsed")
}

pub(super) fn clock_us(h: i64, m: i64, s: i64, us: i64) -> i64 {
    ((h * 60 + m) * 60 + s) * 1_000_000 + us
}

/// Appends a fitted value as SQL that no value can break out of.
pub(super) fn push_literal(out: &mut String, value: &Value) {
    let _ = match value {
        Value::Null => write!(out, "NULL"),
        Value::Int(n) => write!(out, "{n}"),
        Value::UInt(n) => write!(out, "{n}"),
        Value::Float(bits) => write!(out, "{:e}", f64::from_bits(*bits)),
        Value::Decimal(digits) => write!(out, "{}", digits.as_str()),
        Value::Date(date) => write!(out, "'{date}'"),
        Value::Time(_) => write!(out, "'{}'", value.reveal()),
        Value::DateTime(at) => write!(out, "'{at}'"),
        Value::Text(text) | Value::Json(text) => {
            text_literal(out, text);
            Ok(())
        }
        Value::Bytes(bytes) => {
            out.push('x');
            push_hex(out, bytes);
            Ok(())
        }
    };
}

pub(super) fn text_literal(out: &mut String, text: &str) {
    // Short plain text is shorter to send, and readable in the server's own tools.
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b" _-.:@/".contains(&b)) && !text.is_empty() {
        let _ = write!(out, "_utf8mb4'{text}'");
    } else {
        out.push_str("_utf8mb4 x");
        push_hex(out, text.as_bytes());
    }
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2 + 2);
    out.push('\'');
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out.push('\'');
}

/// Bytes that `push_literal` takes, at most.
pub(super) fn literal_bytes(value: &Value) -> usize {
    2 * value.weight() + 16
}

/// A fitted value as a parameter.
pub(super) fn to_wire(value: &Value) -> Wire {
    match value {
        Value::Null => Wire::NULL,
        Value::Int(n) => Wire::Int(*n),
        Value::UInt(n) => Wire::UInt(*n),
        Value::Float(bits) => Wire::Double(f64::from_bits(*bits)),
        Value::Text(text) | Value::Json(text) => Wire::Bytes(text.clone().into_bytes()),
        Value::Bytes(bytes) => Wire::Bytes(bytes.clone()),
        Value::Decimal(_) | Value::Date(_) | Value::Time(_) | Value::DateTime(_) => Wire::Bytes(value.reveal().into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(value: Value) -> String {
        let mut out = String::new();
        push_literal(&mut out, &value);
        out
    }

    #[test]
    fn literals_are_closed() {
        assert_eq!(literal(Value::text("a'; DROP TABLE x --\\")), "_utf8mb4 x'61273b2044524f50205441424c452078202d2d5c'");
        assert_eq!(literal(Value::text("plain text")), "_utf8mb4'plain text'");
        assert_eq!(literal(Value::text("")), "_utf8mb4 x''");
        assert_eq!(literal(Value::Bytes(vec![0, 255])), "x'00ff'");
        assert_eq!(literal(Value::float(0.1)), "1e-1");
        assert_eq!(literal(Value::Time(-3_600_000_001)), "'-01:00:00.000001'");
        assert_eq!(literal(Value::UInt(u64::MAX)), "18446744073709551615");
    }

    #[test]
    fn stored_forms() {
        assert_eq!(stored_text(b"caf\xe9 \x80\x81", Charset::Latin1).unwrap(), "café €\u{81}");
        assert!(stored_text(b"\xff", Charset::Unicode).is_err());
        assert_eq!(bits(&[1, 0]), Value::Int(256));
    }
}
