//! Between a site's values and canonical ones, without loss or refused.
//!
//! The law: for a canonical value `v` of family `F`, what a column stores when it is given `fit(v, ty)` is, when it is
//! read back, canonical `v` again. What would come back changed is refused, by reason.

use super::civil::{LONG_TIME_MAX_US, fit_fraction, fit_moment, fit_time, parse_time};
use super::{Charset, ColumnType, Date, DateTime, Decimal, Family, Refusal, Special, Value, json};

const OTHER_KIND: Refusal = Refusal("a value of another kind than the column's");
const NOT_WHOLE: Refusal = Refusal("a number that is not a whole one");
const OUT_OF_RANGE: Refusal = Refusal("a number outside the column's range");
const INEXACT: Refusal = Refusal("a number that has no exact form in this column");
const NOT_UTF8: Refusal = Refusal("bytes that are not UTF-8");
const NOT_JSON: Refusal = Refusal("text that is not JSON");
const NOT_A_DATE: Refusal = Refusal("not a date");
const TOO_LONG: Refusal = Refusal("longer than the column");
const BAD_CHAR: Refusal = Refusal("a character that the column's character set does not have");
const NUL: Refusal = Refusal("text with a NUL character");

/// PostgreSQL's numeric without a precision.
const NUMERIC_DIGITS_MAX: (usize, usize) = (131_072, 16_383);

/// The canonical form in `family` of a value that a site's column of type `ty` holds: undoes the column's padding first,
/// so that it does not matter whether the engine shows it.
pub fn read(value: Value, ty: &ColumnType, family: Family) -> Result<Value, Refusal> {
    let value = match (ty, value) {
        (ColumnType::Char { .. }, Value::Text(mut text)) => {
            text.truncate(text.trim_end_matches(' ').len());
            Value::Text(text)
        }
        (ColumnType::Bytes { bytes_max, fixed: true }, Value::Bytes(mut bytes)) => {
            let width = usize::try_from(*bytes_max).unwrap_or(usize::MAX).min(FIXED_BYTES_MAX);
            if bytes.len() < width {
                bytes.resize(width, 0);
            }
            Value::Bytes(bytes)
        }
        (_, value) => value,
    };
    canonical(value, family)
}

/// No engine has wider BINARY columns; a wider declaration is not padded.
const FIXED_BYTES_MAX: usize = 65_535;

/// The canonical form in `family` of a value that a site's column holds, without loss. A reader gives the values of fixed
/// columns as [`read`] does: text without the trailing spaces, bytes with the trailing zeros.
pub fn canonical(value: Value, family: Family) -> Result<Value, Refusal> {
    let value = match (value, family) {
        (Value::Null, _) => return Ok(Value::Null),
        (Value::Text(text), Family::Decimal | Family::Date | Family::Time | Family::DateTime) => unspelled(&text, family)?,
        (value, _) => value,
    };
    Ok(match family {
        Family::Integer => {
            let n = whole(&value)?;
            match (i64::try_from(n), u64::try_from(n)) {
                (Ok(n), _) => Value::Int(n),
                (_, Ok(n)) => Value::UInt(n),
                _ => return Err(OUT_OF_RANGE),
            }
        }
        Family::Decimal => Value::Decimal(decimal(&value)?),
        Family::Float => Value::float(float(&value)?),
        Family::Text => match value {
            Value::Json(text) => Value::Text(json::canonical(&text).ok_or(NOT_JSON)?),
            value => Value::Text(text(value)?),
        },
        Family::Bytes => match value {
            Value::Bytes(bytes) => Value::Bytes(bytes),
            Value::Text(text) => Value::Bytes(text.into_bytes()),
            Value::Json(text) => Value::Bytes(json::canonical(&text).ok_or(NOT_JSON)?.into_bytes()),
            _ => return Err(OTHER_KIND),
        },
        Family::Date => Value::Date(date(&value)?),
        Family::Time => Value::Time(time(&value)?),
        Family::DateTime => Value::DateTime(date_time(&value)?),
        Family::Json => match value {
            Value::Json(text) => Value::json(&text),
            value => Value::json(&text(value)?),
        }
        .ok_or(NOT_JSON)?,
    })
}

/// The form in which a canonical value is written into a column of type `ty`, in that column's own terms: an `Int` for a
/// Bool, Bit or Year column, a `Decimal` for a decimal one, `Text` for an Enum, Set or Uuid, `Bytes` for a bytes column.
pub fn fit(value: &Value, ty: &ColumnType) -> Result<Value, Refusal> {
    if *value == Value::Null {
        return Ok(Value::Null);
    }
    match ty {
        ColumnType::Int { .. } | ColumnType::Bool | ColumnType::Bit { .. } | ColumnType::Year => fit_whole(whole(value)?, ty),
        ColumnType::Decimal { digits } => fit_decimal(decimal(value)?, *digits),
        ColumnType::Float32(special) => {
            let x = float(value)?;
            if !x.is_nan() && f64::from(x as f32) != x {
                return Err(INEXACT);
            }
            fit_float(x, *special)
        }
        ColumnType::Float64(special) => fit_float(float(value)?, *special),
        ColumnType::Char { chars, charset } => {
            let text = spelled(value)?;
            if text.ends_with(' ') {
                return Err(Refusal("text that ends with a space, which the column does not keep"));
            }
            fit_text(text, Some(*chars), u64::MAX, *charset)
        }
        ColumnType::Text { chars_max, bytes_max, charset } => fit_text(spelled(value)?, *chars_max, *bytes_max, *charset),
        ColumnType::Bytes { bytes_max, fixed } => {
            let bytes = match value {
                Value::Bytes(bytes) => bytes.clone(),
                value => words(value)?.into_bytes(),
            };
            match (bytes.len() as u64).cmp(bytes_max) {
                std::cmp::Ordering::Greater => Err(TOO_LONG),
                std::cmp::Ordering::Less if *fixed => Err(Refusal("shorter than the column, which would fill it with zero bytes")),
                _ => Ok(Value::Bytes(bytes)),
            }
        }
        ColumnType::Date { zero, span } => {
            let date = date(value)?;
            fit_moment(DateTime { date, us: 0 }, *zero, *span)?;
            Ok(Value::Date(date))
        }
        ColumnType::Time { fraction, long } => fit_time(time(value)?, *fraction, *long).map(Value::Time),
        ColumnType::DateTime { fraction, zero, span } => {
            let moment = date_time(value)?;
            fit_moment(moment, *zero, *span)?;
            fit_fraction(moment.us, *fraction)?;
            Ok(Value::DateTime(moment))
        }
        ColumnType::Enum(_) | ColumnType::Set(_) | ColumnType::Uuid => fit_word(text(value.clone())?, ty),
        ColumnType::Json { doubles, nul } => fit_json(words(value)?, *doubles, *nul),
        ColumnType::Any => match value {
            Value::UInt(_) => Err(OUT_OF_RANGE),
            Value::Float(bits) => fit_float(f64::from_bits(*bits), Special::Infinity),
            Value::Int(_) | Value::Bytes(_) => Ok(value.clone()),
            value => spelled(value).map(Value::Text),
        },
        ColumnType::Unsupported(_) => Err(Refusal("the column's type has no lossless canonical form")),
    }
}

fn whole(value: &Value) -> Result<i128, Refusal> {
    match value {
        Value::Int(n) => Ok(i128::from(*n)),
        Value::UInt(n) => Ok(i128::from(*n)),
        Value::Decimal(d) if d.digits().1 == 0 => d.as_str().parse().map_err(|_| OUT_OF_RANGE),
        Value::Float(bits) => {
            let x = f64::from_bits(*bits);
            if x.is_finite() && x.fract() == 0.0 { Ok(x as i128) } else { Err(NOT_WHOLE) }
        }
        Value::Decimal(_) => Err(NOT_WHOLE),
        _ => Err(OTHER_KIND),
    }
}

/// A double counts as the shortest decimal number that names it.
fn decimal(value: &Value) -> Result<Decimal, Refusal> {
    match value {
        Value::Decimal(d) => Ok(d.clone()),
        Value::Int(n) => Ok(Decimal::integer(*n)),
        Value::UInt(n) => Decimal::parse(&n.to_string()).ok_or(INEXACT),
        Value::Float(bits) => Decimal::parse(&f64::from_bits(*bits).to_string()).ok_or(INEXACT),
        _ => Err(OTHER_KIND),
    }
}

fn float(value: &Value) -> Result<f64, Refusal> {
    let exact = |n: i128| Some(n as f64).filter(|x| *x as i128 == n).ok_or(INEXACT);
    match value {
        Value::Float(bits) => Ok(f64::from_bits(*bits)),
        Value::Int(n) => exact(i128::from(*n)),
        Value::UInt(n) => exact(i128::from(*n)),
        Value::Decimal(d) => {
            let x: f64 = d.as_str().parse().map_err(|_| INEXACT)?;
            if x.is_finite() && decimal(&Value::float(x))? == *d { Ok(x) } else { Err(INEXACT) }
        }
        _ => Err(OTHER_KIND),
    }
}

fn text(value: Value) -> Result<String, Refusal> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Bytes(bytes) => String::from_utf8(bytes).map_err(|_| NOT_UTF8),
        _ => Err(OTHER_KIND),
    }
}

/// Text, and JSON as its text.
fn words(value: &Value) -> Result<String, Refusal> {
    match value {
        Value::Json(text) => Ok(text.clone()),
        value => text(value.clone()),
    }
}

/// What a text column can hold: dates, times and decimal numbers too, in the one spelling that is read back.
fn spelled(value: &Value) -> Result<String, Refusal> {
    match value {
        Value::Decimal(d) => Ok(d.as_str().into()),
        Value::Date(_) | Value::Time(_) | Value::DateTime(_) => Ok(value.reveal()),
        value => words(value),
    }
}

/// The value that [`spelled`] made the text of. A decimal number or a date is read in that one spelling only.
fn unspelled(text: &str, family: Family) -> Result<Value, Refusal> {
    match family {
        Family::Decimal => Decimal::parse(text).filter(|d| d.as_str() == text).map(Value::Decimal),
        Family::Date => Date::parse(text).map(Value::Date),
        Family::Time => parse_time(text).map(Value::Time),
        _ => DateTime::parse(text).map(Value::DateTime),
    }
    .ok_or(Refusal("text that is not a value of the column's kind in its one spelling"))
}

fn date(value: &Value) -> Result<Date, Refusal> {
    match value {
        Value::Date(date) if date.plausible() => Ok(*date),
        Value::DateTime(moment) if moment.us == 0 && moment.date.plausible() => Ok(moment.date),
        Value::DateTime(_) => Err(Refusal("a time of day, for which the column has no room")),
        Value::Date(_) => Err(NOT_A_DATE),
        _ => Err(OTHER_KIND),
    }
}

fn time(value: &Value) -> Result<i64, Refusal> {
    match value {
        Value::Time(us) if (-LONG_TIME_MAX_US..=LONG_TIME_MAX_US).contains(us) => Ok(*us),
        Value::Time(_) => Err(Refusal("a time that no column can hold")),
        _ => Err(OTHER_KIND),
    }
}

fn date_time(value: &Value) -> Result<DateTime, Refusal> {
    match value {
        Value::DateTime(moment) if moment.plausible() => Ok(*moment),
        Value::Date(date) if date.plausible() => Ok(DateTime { date: *date, us: 0 }),
        Value::DateTime(_) | Value::Date(_) => Err(NOT_A_DATE),
        _ => Err(OTHER_KIND),
    }
}

fn fit_whole(n: i128, ty: &ColumnType) -> Result<Value, Refusal> {
    let (low, high) = ty.whole_range().ok_or(OTHER_KIND)?;
    if n < low || n > high || (*ty == ColumnType::Year && (1..1901).contains(&n)) {
        return Err(OUT_OF_RANGE);
    }
    match (i64::try_from(n), u64::try_from(n)) {
        (Ok(n), _) => Ok(Value::Int(n)),
        (_, Ok(n)) => Ok(Value::UInt(n)),
        _ => Err(OUT_OF_RANGE),
    }
}

fn fit_decimal(d: Decimal, digits: Option<(u16, u16)>) -> Result<Value, Refusal> {
    let (whole, fraction) = d.digits();
    let fits = match digits {
        None => whole <= NUMERIC_DIGITS_MAX.0 && fraction <= NUMERIC_DIGITS_MAX.1,
        Some((all, scale)) if all >= scale => whole <= usize::from(all - scale) && fraction <= usize::from(scale),
        // A scale beyond the digits: zeros must follow the point.
        Some((all, scale)) => {
            let zeros = d.as_str().split_once('.').map_or(usize::MAX, |(_, f)| f.len() - f.trim_start_matches('0').len());
            whole == 0 && fraction <= usize::from(scale) && zeros >= usize::from(scale - all)
        }
    };
    if fits { Ok(Value::Decimal(d)) } else { Err(Refusal("more digits than the column keeps")) }
}

fn fit_float(x: f64, special: Special) -> Result<Value, Refusal> {
    if (x.is_nan() && special < Special::Nan) || (x.is_infinite() && special < Special::Infinity) {
        return Err(Refusal("NaN or infinity, which the engine does not have"));
    }
    Ok(Value::float(x))
}

fn fit_text(text: String, chars_max: Option<u32>, bytes_max: u64, charset: Charset) -> Result<Value, Refusal> {
    if let Some(c) = text.chars().find(|c| !charset.holds(*c)) {
        return Err(if c == '\0' { NUL } else { BAD_CHAR });
    }
    if chars_max.is_some_and(|max| text.chars().count() > max as usize) || charset.bytes(&text) > bytes_max {
        return Err(TOO_LONG);
    }
    Ok(Value::Text(text))
}

fn fit_word(text: String, ty: &ColumnType) -> Result<Value, Refusal> {
    match ty {
        ColumnType::Enum(labels) if labels.contains(&text) => Ok(Value::Text(text)),
        ColumnType::Enum(_) => Err(Refusal("not one of the column's labels")),
        ColumnType::Set(labels) => {
            if !text.is_empty() {
                let mut rest = labels.iter();
                for label in text.split(',') {
                    rest.find(|l| *l == label).ok_or(Refusal("not a list of the column's labels in their order"))?;
                }
            }
            Ok(Value::Text(text))
        }
        ColumnType::Uuid => {
            let hyphens = [8, 13, 18, 23];
            let canonical = text.len() == 36
                && text.bytes().enumerate().all(|(at, b)| match b {
                    b'-' => hyphens.contains(&at),
                    _ => matches!(b, b'0'..=b'9' | b'a'..=b'f') && !hyphens.contains(&at),
                });
            if canonical { Ok(Value::Text(text)) } else { Err(Refusal("text that is not a UUID in lower case")) }
        }
        _ => Err(OTHER_KIND),
    }
}

fn fit_json(text: String, doubles: bool, nul: bool) -> Result<Value, Refusal> {
    let canonical = json::canonical(&text).ok_or(NOT_JSON)?;
    if canonical != text {
        return Err(Refusal("JSON text that the column would respell"));
    }
    if doubles && !json::numbers_are_doubles(&text) {
        return Err(INEXACT);
    }
    if !nul && json::has_nul(&text) { Err(NUL) } else { Ok(Value::Json(text)) }
}
