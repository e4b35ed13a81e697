//! Values between SQLite's five storage classes and the model, by column type.
//!
//! SQLite keeps in a column whatever it is given and its affinity leaves alone, so what a row holds may be of another
//! class than its column declares: that is refused by name, not guessed at. Two decisions:
//! - DECIMAL columns have NUMERIC affinity and hold integers and doubles. A double stands for the shortest decimal number
//!   that reads back as that double; a decimal number that is not the shortest of its double is refused on writing.
//! - A BLOB column may hold text (PHP's PDO binds strings so): its bytes are the value.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::model::{Cell, ColumnType, Date, DateTime, Decimal, Family, SiteColumn, Value};

/// A value exactly as SQLite stores it; text may be any bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Raw {
    Null,
    Integer(i64),
    /// Bits of a double.
    Real(u64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Raw {
    /// A key column's value. Equal numbers are equal in SQLite whatever their class, so a double that is an integer
    /// becomes one.
    pub fn of_key(stored: ValueRef<'_>) -> Raw {
        match stored {
            ValueRef::Null => Raw::Null,
            ValueRef::Integer(n) => Raw::Integer(n),
            ValueRef::Real(x) => Raw::Real(x.to_bits()).into_key(),
            ValueRef::Text(text) => Raw::Text(text.to_vec()),
            ValueRef::Blob(bytes) => Raw::Blob(bytes.to_vec()),
        }
    }

    /// Bytes of its content, for bounds.
    pub fn bytes(&self) -> usize {
        match self {
            Raw::Null | Raw::Integer(_) | Raw::Real(_) => 0,
            Raw::Text(bytes) | Raw::Blob(bytes) => bytes.len(),
        }
    }

    fn into_key(self) -> Raw {
        match self {
            Raw::Real(bits) => {
                let x = f64::from_bits(bits);
                if x.fract() == 0.0 && x.abs() < 9e15 { Raw::Integer(x as i64) } else { self }
            }
            other => other,
        }
    }

    fn stored(&self) -> ValueRef<'_> {
        match self {
            Raw::Null => ValueRef::Null,
            Raw::Integer(n) => ValueRef::Integer(*n),
            Raw::Real(bits) => ValueRef::Real(f64::from_bits(*bits)),
            Raw::Text(text) => ValueRef::Text(text),
            Raw::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

impl ToSql for Raw {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.stored()))
    }
}

/// The cell of a shared column.
pub fn cell(stored: ValueRef<'_>, column: &SiteColumn, family: Family) -> Cell {
    match decode(stored, &column.ty).and_then(|value| column.read(value, family).map_err(|refusal| refusal.0)) {
        Ok(value) => Cell::Value(value),
        Err(reason) => Cell::Refused(reason),
    }
}

/// The canonical value of a key column; refused unless writing it would find the same row again.
pub fn decode_key(raw: &Raw, column: &SiteColumn, family: Family) -> Result<Value, &'static str> {
    let value = column.read(decode(raw.stored(), &column.ty)?, family).map_err(|refusal| refusal.0)?;
    if value == Value::Null {
        return Err("NULL in a key column");
    }
    if encode_key(&value, column)? != *raw {
        return Err("a key that is stored in an unusual form");
    }
    Ok(value)
}

/// How a canonical value of a key column is stored.
pub fn encode_key(value: &Value, column: &SiteColumn) -> Result<Raw, &'static str> {
    match column.fit(value) {
        Ok(fitted) => encode(&fitted, &column.ty).map(Raw::into_key),
        Err(refusal) if column.values.is_some() => Err(refusal.0),
        Err(_) => encode(value, &column.ty).map(Raw::into_key),
    }
}

fn decode(stored: ValueRef<'_>, ty: &ColumnType) -> Result<Value, &'static str> {
    use ColumnType as T;
    use ValueRef as S;
    Ok(match (ty, stored) {
        (_, S::Null) => Value::Null,
        (T::Decimal { .. }, S::Integer(n)) => Value::Decimal(Decimal::integer(n)),
        (T::Decimal { .. }, S::Real(x)) => Value::Decimal(shortest(x).ok_or("an infinite number in a decimal column")?),
        (T::Json { .. }, S::Integer(n)) => Value::json(&n.to_string()).ok_or("a number that is not JSON")?,
        (T::Json { .. }, S::Real(x)) => shortest(x).and_then(|d| Value::json(d.as_str())).ok_or("a number that is not JSON")?,
        (T::Json { .. }, S::Text(text)) => Value::json(unicode(text)?).ok_or("text that is not JSON in a JSON column")?,
        (T::Int { .. } | T::Bool | T::Bit { .. } | T::Year | T::Any, S::Integer(n)) => Value::Int(n),
        (T::Float32(_) | T::Float64(_), S::Integer(n)) if n.unsigned_abs() < 1 << 53 => Value::float(n as f64),
        (T::Float32(_) | T::Float64(_) | T::Any, S::Real(x)) => Value::float(x),
        (T::Text { .. } | T::Char { .. } | T::Uuid | T::Any | T::Enum(_) | T::Set(_), S::Text(text)) => Value::Text(unicode(text)?.into()),
        (T::Bytes { .. }, S::Text(bytes)) | (T::Bytes { .. } | T::Any, S::Blob(bytes)) => Value::Bytes(bytes.into()),
        (T::Date { .. }, S::Text(text)) => Value::Date(date(unicode(text)?).ok_or("text that is not a date in a date column")?),
        (T::Time { .. }, S::Text(text)) => Value::Time(clock(unicode(text)?).ok_or("text that is not a time in a time column")?),
        (T::DateTime { .. }, S::Text(text)) => Value::DateTime(
            datetime(unicode(text)?).ok_or("text that is not a date and time, or has a zone, in a column of dates and times")?,
        ),
        (T::Date { .. } | T::Time { .. } | T::DateTime { .. }, _) => return Err("a number or bytes in a column of dates or times"),
        (T::Unsupported(_), _) => return Err("a column type that SQLite does not keep losslessly"),
        (_, S::Integer(_)) => return Err("an integer in a column of another type"),
        (_, S::Real(_)) => return Err("a floating-point number in a column of another type"),
        (_, S::Text(_)) => return Err("text in a column of another type"),
        (_, S::Blob(_)) => return Err("bytes in a column of another type"),
    })
}

/// How a value that fits the column is stored.
pub fn encode(value: &Value, ty: &ColumnType) -> Result<Raw, &'static str> {
    use ColumnType as T;
    Ok(match (value, ty) {
        (Value::Null, _) => Raw::Null,
        (Value::Int(n), T::Text { .. }) => Raw::Text(n.to_string().into_bytes()),
        (Value::Int(n), _) => Raw::Integer(*n),
        (Value::UInt(n), T::Text { .. }) => Raw::Text(n.to_string().into_bytes()),
        (Value::UInt(_), _) => return Err("an integer above 9223372036854775807, which SQLite does not hold"),
        (Value::Float(bits), _) if f64::from_bits(*bits).is_nan() => return Err("not a number (NaN), which SQLite stores as NULL"),
        (Value::Float(bits), _) => Raw::Real(*bits),
        (Value::Decimal(d), T::Text { .. }) => Raw::Text(d.as_str().into()),
        (Value::Decimal(d), _) => number(d.as_str()).ok_or("a decimal number with more digits than SQLite's NUMERIC keeps")?,
        (Value::Text(s), T::Bytes { .. }) => Raw::Blob(s.clone().into_bytes()),
        (Value::Text(s), T::Uuid) if !s.contains('-') => return Err("a UUID without dashes, which SQLite may take for a number"),
        (Value::Text(s), _) => Raw::Text(s.clone().into_bytes()),
        (Value::Bytes(b), T::Text { .. }) => {
            Raw::Text(std::str::from_utf8(b).map_err(|_| "bytes that are not UTF-8 for a text column")?.into())
        }
        (Value::Bytes(b), _) => Raw::Blob(b.clone()),
        (Value::Date(d), _) => Raw::Text(d.to_string().into_bytes()),
        (Value::DateTime(t), _) => Raw::Text(t.to_string().into_bytes()),
        (Value::Time(us), _) => Raw::Text(spell_clock(*us).into_bytes()),
        (Value::Json(s), T::Json { .. }) if s.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            let raw = number(s).ok_or("a JSON number with more digits than SQLite's NUMERIC keeps")?;
            if decode(raw.stored(), ty).as_ref() != Ok(value) {
                return Err("a JSON number whose spelling SQLite's NUMERIC does not keep");
            }
            raw
        }
        (Value::Json(s), _) => Raw::Text(s.clone().into_bytes()),
    })
}

fn unicode(text: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(text).map_err(|_| "text that is not valid UTF-8")
}

/// The shortest decimal number that reads back as this double.
fn shortest(x: f64) -> Option<Decimal> {
    Decimal::parse(&x.to_string())
}

/// The integer or double that stands for exactly this decimal number.
fn number(digits: &str) -> Option<Raw> {
    if let Ok(n) = digits.parse::<i64>() {
        return Some(Raw::Integer(n));
    }
    let x: f64 = digits.parse().ok()?;
    (shortest(x)? == Decimal::parse(digits)?).then(|| Raw::Real(x.to_bits()))
}

fn digits(text: &str, length: usize) -> Option<u32> {
    (text.len() == length && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `YYYY-MM-DD`; month and day may be zero.
fn date(text: &str) -> Option<Date> {
    Date::parse(text).filter(|date| date.year >= 0 && (date.is_day() || date.has_zero()))
}

/// `[-]H..:MM[:SS[.ffffff]]`
fn clock(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut parts = text.splitn(3, ':');
    let hours = parts.next()?;
    let hours = if (2..=3).contains(&hours.len()) { digits(hours, hours.len())? } else { return None };
    let minutes = digits(parts.next()?, 2).filter(|m| *m < 60)?;
    let (seconds, fraction) = parts.next().map_or(("00", ""), |s| s.split_once('.').unwrap_or((s, "")));
    let seconds = digits(seconds, 2).filter(|s| *s < 60)?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 6 {
        return None;
    }
    let micros = if fraction.is_empty() { 0 } else { digits(&format!("{fraction:0<6}"), 6)? };
    let total = (i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds)) * 1_000_000 + i64::from(micros);
    Some(sign * total)
}

/// A date, then `T` or a space and a time of day, as UTC.
fn datetime(text: &str) -> Option<DateTime> {
    let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00")).unwrap_or(text);
    let Some((day, time)) = text.split_once(['T', ' ']) else {
        return Some(DateTime { date: date(text)?, us: 0 });
    };
    let us = clock(time).filter(|us| (0..86_400_000_000).contains(us))?;
    Some(DateTime { date: date(day)?, us })
}

fn spell_clock(us: i64) -> String {
    let sign = if us < 0 { "-" } else { "" };
    let (seconds, fraction) = (us.unsigned_abs() / 1_000_000, us.unsigned_abs() % 1_000_000);
    let whole = format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction == 0 { whole } else { format!("{whole}.{fraction:06}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::sqlite::describe::column_type;
    use rusqlite::Connection;

    /// Through a real column of that declared type and back.
    fn through(declared: &str, ty: &ColumnType, value: &Value) -> Result<Value, &'static str> {
        let raw = encode(value, ty)?;
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&format!("CREATE TABLE t (c {declared})")).unwrap();
        db.execute("INSERT INTO t VALUES (?1)", [&raw]).unwrap();
        db.query_row("SELECT c FROM t", [], |row| Ok(decode(row.get_ref(0)?, ty))).unwrap()
    }

    #[test]
    fn decimals_keep_their_digits_or_are_refused() {
        let ty = ColumnType::Decimal { digits: None };
        for text in ["0", "1.1", "-12.34", "9223372036854775807", "123456789012.345", "0.000001", "99999999.99"] {
            let value = Value::Decimal(Decimal::parse(text).unwrap());
            assert_eq!(through("DECIMAL(20,6)", &ty, &value), Ok(value), "{text}");
        }
        let long = Value::Decimal(Decimal::parse("12345678901234567.89").unwrap());
        assert!(through("DECIMAL(20,6)", &ty, &long).is_err());
    }

    #[test]
    fn dates_times_and_json_come_back_as_they_went() {
        let ty = column_type("DATETIME", false);
        for text in ["2024-02-29 23:59:59.000001", "0000-00-00 00:00:00", "1970-01-01 00:00:00"] {
            let value = Value::DateTime(datetime(text).unwrap());
            assert_eq!(through("DATETIME", &ty, &value), Ok(value), "{text}");
        }
        assert!(datetime("2024-01-02T03:04:05Z") == datetime("2024-01-02 03:04:05"));
        assert!(datetime("2024-01-02 03:04:05+02:00").is_none() && date("2023-02-29").is_none());
        let long = Value::Time(-(838 * 3600 + 59 * 60 + 59) * 1_000_000);
        assert_eq!(through("TIME", &ColumnType::Time { fraction: 6, long: true }, &long), Ok(long));
        for text in ["{\"a\":1.10}", "17", "-2.5", "\"007\"", "null"] {
            let value = Value::json(text).unwrap();
            assert_eq!(through("JSON", &column_type("JSON", false), &value), Ok(value), "{text}");
        }
        assert!(encode(&Value::json("0.12345678901234567890123").unwrap(), &column_type("JSON", false)).is_err());
    }

    #[test]
    fn text_is_kept_whole_behind_a_nul() {
        let value = Value::text("a\0b");
        assert_eq!(through("VARCHAR(60)", &column_type("VARCHAR(60)", false), &value), Ok(value));
    }

    #[test]
    fn what_does_not_belong_is_refused() {
        let text = ColumnType::Text { chars_max: None, bytes_max: 9, charset: crate::model::Charset::Unicode };
        assert!(decode(ValueRef::Text(b"\xff"), &text).is_err());
        assert!(decode(ValueRef::Blob(b"a"), &text).is_err());
        assert!(decode(ValueRef::Text(b"x"), &ColumnType::Int { bits: 64, unsigned: false }).is_err());
        assert!(encode(&Value::UInt(u64::MAX), &ColumnType::Int { bits: 64, unsigned: false }).is_err());
        assert!(encode(&Value::float(f64::NAN), &column_type("REAL", false)).is_err());
        let bytes = ColumnType::Bytes { bytes_max: 9, fixed: false };
        assert_eq!(decode(ValueRef::Text(b"O:3:\"\0*\0\""), &bytes), Ok(Value::Bytes(b"O:3:\"\0*\0\"".to_vec())));
    }
}
