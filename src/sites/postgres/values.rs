//! PostgreSQL's types and the text form of their values. Text both ways: it is what `pgoutput` sends, and the server
//! itself reads and writes it for every type, so that chunks and the log give one and the same value.

use std::error::Error as StdError;
use std::fmt;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type};

use crate::model::{Cell, Charset, ColumnType, Date, DateTime, Decimal, Family, SiteColumn, Span, Special, Value, ZeroDates};

/// What the catalog says about a column's type; for a domain, about the type below it.
pub(super) struct Declared {
    pub name: String,
    /// As PostgreSQL spells the whole type: `numeric(5,2)`.
    pub spelled: String,
    pub modifier: i32,
    /// `pg_type.typtype`: `b` base, `e` enum, `c` composite, ...
    pub class: String,
    pub labels: Vec<String>,
    pub builtin: bool,
}

const TEXT_BYTES_MAX: u64 = (1 << 30) - 5;

pub(super) fn column_type(declared: &Declared) -> ColumnType {
    let modifier = declared.modifier;
    let unsupported = || ColumnType::Unsupported(declared.spelled.clone());
    let text = |chars_max| ColumnType::Text { chars_max, bytes_max: TEXT_BYTES_MAX, charset: Charset::UnicodeNoNul };
    let length = (modifier >= 4).then(|| (modifier - 4) as u32);
    let fraction = u8::try_from(modifier).unwrap_or(6).min(6);
    if declared.class == "e" {
        return ColumnType::Enum(declared.labels.clone());
    }
    if !declared.builtin {
        return if declared.name == "citext" { text(None) } else { unsupported() };
    }
    match declared.name.as_str() {
        "bool" => ColumnType::Bool,
        "int2" => ColumnType::Int { bits: 16, unsigned: false },
        "int4" => ColumnType::Int { bits: 32, unsigned: false },
        "int8" => ColumnType::Int { bits: 64, unsigned: false },
        "oid" => ColumnType::Int { bits: 32, unsigned: true },
        "float4" => ColumnType::Float32(Special::Nan),
        "float8" => ColumnType::Float64(Special::Nan),
        "numeric" => numeric(modifier).map_or_else(unsupported, |digits| ColumnType::Decimal { digits }),
        "text" => text(None),
        "varchar" => text(length),
        "name" => ColumnType::Text { chars_max: None, bytes_max: 63, charset: Charset::UnicodeNoNul },
        "bpchar" => length.map_or_else(unsupported, |chars| ColumnType::Char { chars, charset: Charset::UnicodeNoNul }),
        "bytea" => ColumnType::Bytes { bytes_max: TEXT_BYTES_MAX, fixed: false },
        "date" => ColumnType::Date { zero: ZeroDates::No, span: Span::JULIAN_DATES },
        "time" => ColumnType::Time { fraction, long: false },
        "timestamp" | "timestamptz" => ColumnType::DateTime { fraction, zero: ZeroDates::No, span: Span::JULIAN_TIMESTAMPS },
        "uuid" => ColumnType::Uuid,
        "json" => ColumnType::Json { doubles: false, nul: true },
        "jsonb" => ColumnType::Json { doubles: false, nul: false },
        "bit" => match u8::try_from(modifier) {
            Ok(bits @ 1..=64) => ColumnType::Bit { bits },
            _ => unsupported(),
        },
        _ => unsupported(),
    }
}

/// Precision and scale of a numeric's modifier. None where rounding to the left of the point is declared (15+).
fn numeric(modifier: i32) -> Option<Option<(u16, u16)>> {
    if modifier < 4 {
        return Some(None);
    }
    let digits = ((modifier - 4) >> 16) as u16;
    // Eleven bits, signed.
    let scale = ((modifier - 4) & 0x7ff ^ 0x400) - 0x400;
    Some(Some((digits, u16::try_from(scale).ok()?)))
}

/// The cell for a column's text.
pub(super) fn cell(text: Option<&str>, column: &SiteColumn, family: Family) -> Cell {
    let Some(text) = text else { return Cell::Value(Value::Null) };
    match decode(text, &column.ty) {
        Ok(value) => made_canonical(value, column, family),
        Err(reason) => Cell::Refused(reason),
    }
}

pub(super) fn made_canonical(value: Value, column: &SiteColumn, family: Family) -> Cell {
    match column.read(value, family) {
        Ok(value) => Cell::Value(value),
        Err(refusal) => Cell::Refused(refusal.0),
    }
}

/// A value from the text form of its type.
pub(super) fn decode(text: &str, ty: &ColumnType) -> Result<Value, &'static str> {
    const BAD: &str = "the server sent a value that is not in its type's form";
    Ok(match ty {
        ColumnType::Bool => match text {
            "t" | "true" => Value::Int(1),
            "f" | "false" => Value::Int(0),
            _ => return Err(BAD),
        },
        ColumnType::Int { .. } | ColumnType::Year => Value::Int(text.parse().map_err(|_| BAD)?),
        ColumnType::Bit { .. } => Value::unsigned(u64::from_str_radix(text, 2).map_err(|_| BAD)?),
        ColumnType::Decimal { .. } => match text {
            "NaN" => return Err("numeric NaN has no form that every engine holds"),
            "Infinity" | "-Infinity" => return Err("numeric infinity has no form that every engine holds"),
            _ => Value::Decimal(Decimal::parse(text).ok_or(BAD)?),
        },
        // Through f32: the text is the shortest that names this float, not the nearest double.
        ColumnType::Float32(_) => Value::float(f64::from(text.parse::<f32>().map_err(|_| BAD)?)),
        ColumnType::Float64(_) => Value::float(text.parse().map_err(|_| BAD)?),
        ColumnType::Char { .. } => Value::text(text.trim_end_matches(' ')),
        ColumnType::Text { .. } | ColumnType::Enum(_) | ColumnType::Uuid => Value::text(text),
        ColumnType::Bytes { .. } => Value::Bytes(unhex(text.strip_prefix("\\x").ok_or(BAD)?).ok_or(BAD)?),
        ColumnType::Date { .. } => Value::Date(date(finite(text)?).ok_or(BAD)?),
        ColumnType::Time { .. } => Value::Time(clock(text).ok_or(BAD)?),
        ColumnType::DateTime { .. } => Value::DateTime(date_time(finite(text)?).ok_or(BAD)?),
        ColumnType::Json { .. } => Value::json(text).ok_or("JSON that has no canonical form")?,
        ColumnType::Set(_) | ColumnType::Any | ColumnType::Unsupported(_) => return Err("a type that has no canonical form"),
    })
}

fn finite(text: &str) -> Result<&str, &'static str> {
    if text.ends_with("infinity") { Err("an infinite date has no form that every engine holds") } else { Ok(text) }
}

fn date_time(text: &str) -> Option<DateTime> {
    let (body, era) = match text.strip_suffix(" BC") {
        Some(body) => (body, " BC"),
        None => (text, ""),
    };
    let (day, time) = body.split_once(' ')?;
    // The session's time zone is UTC.
    let time = time.strip_suffix("+00").unwrap_or(time);
    Some(DateTime { date: date(&format!("{day}{era}"))?, us: clock(time)? })
}

fn date(text: &str) -> Option<Date> {
    let (text, before_christ) = match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut parts = text.split('-');
    let year: i32 = parts.next()?.parse().ok()?;
    let (month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let year = if before_christ { 1 - year } else { year };
    parts.next().is_none().then_some(Date { year, month, day })
}

fn clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    if parts.next().is_some() || fraction.len() > 6 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole = hours.parse::<u8>().ok()? as i64 * 3600 + minutes.parse::<u8>().ok()? as i64 * 60 + seconds.parse::<u8>().ok()? as i64;
    let us = format!("{fraction:0<6}").parse::<i64>().ok()?;
    Some(whole * 1_000_000 + us)
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let bytes = text.as_bytes();
    if bytes.len() % 2 == 1 {
        return None;
    }
    bytes.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// A value on its way to the server. `Debug` is what the driver writes into its debug log: no content.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Param {
    Null,
    Text(String),
    /// For bytea only: half the size of its text.
    Bytes(Vec<u8>),
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl ToSql for Param {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Param::Null => return Ok(IsNull::Yes),
            Param::Text(text) => out.put_slice(text.as_bytes()),
            Param::Bytes(bytes) => out.put_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        self.to_sql(ty, out)
    }

    fn encode_format(&self, _: &Type) -> Format {
        match self {
            Param::Bytes(_) => Format::Binary,
            Param::Null | Param::Text(_) => Format::Text,
        }
    }
}

/// A column of a result as it came: text for everything cast to text, content for bytea.
pub(super) struct Raw<'a>(pub &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Raw<'a>, Box<dyn StdError + Sync + Send>> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A fitted value for a column of type `ty`.
pub(super) fn encode(value: &Value, ty: &ColumnType) -> Param {
    match (value, ty) {
        (Value::Null, _) => Param::Null,
        (Value::Bytes(bytes), ColumnType::Bytes { .. }) => Param::Bytes(bytes.clone()),
        (Value::Text(text), ColumnType::Bytes { .. }) => Param::Bytes(text.clone().into_bytes()),
        (Value::Bytes(bytes), _) => Param::Text(String::from_utf8_lossy(bytes).into_owned()),
        (Value::Int(_) | Value::UInt(_), ColumnType::Bit { bits }) => {
            let n = match value {
                Value::Int(n) => *n as u64,
                Value::UInt(n) => *n,
                _ => 0,
            };
            Param::Text(format!("{n:0width$b}", width = usize::from(*bits)))
        }
        (Value::Float(bits), ColumnType::Float32(_)) => Param::Text(float(f64::from_bits(*bits), true)),
        (Value::Float(bits), _) => Param::Text(float(f64::from_bits(*bits), false)),
        (Value::Date(date), _) => Param::Text(dated(*date, "")),
        (Value::DateTime(at), _) => Param::Text(dated(at.date, &format!(" {}", Value::Time(at.us).reveal()))),
        (other, _) => Param::Text(other.reveal()),
    }
}

/// A value in an after-apply statement, with the type that its parameter has to be given there.
pub(super) fn typed(value: &Value) -> (&'static str, Param) {
    let (name, ty) = match value {
        Value::Null => ("text", ColumnType::Any),
        Value::Int(_) => ("bigint", ColumnType::Any),
        Value::UInt(_) | Value::Decimal(_) => ("numeric", ColumnType::Any),
        Value::Float(_) => ("double precision", ColumnType::Float64(Special::Nan)),
        Value::Text(_) => ("text", ColumnType::Any),
        Value::Bytes(_) => ("bytea", ColumnType::Bytes { bytes_max: TEXT_BYTES_MAX, fixed: false }),
        Value::Date(_) => ("date", ColumnType::Any),
        Value::Time(_) => ("time", ColumnType::Any),
        Value::DateTime(_) => ("timestamp", ColumnType::Any),
        Value::Json(_) => ("jsonb", ColumnType::Any),
    };
    (name, encode(value, &ty))
}

fn float(x: f64, single: bool) -> String {
    if x.is_nan() {
        "NaN".into()
    } else if x.is_infinite() {
        if x > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else if single {
        format!("{:e}", x as f32)
    } else {
        format!("{x:e}")
    }
}

fn dated(date: Date, time: &str) -> String {
    match date.year {
        year if year <= 0 => format!("{:04}-{:02}-{:02}{time} BC", 1 - i64::from(year), date.month, date.day),
        year => format!("{year:04}-{:02}-{:02}{time}", date.month, date.day),
    }
}
