//! Row images: one column's bytes in the log, cut out by the table map's type, decoded by the column's declared type.

use super::json::jsonb_text;
use super::values::{self, Decoded, clock_us};
use crate::model::{ColumnType, Date, DateTime, Decimal, Value};

/// A column's type in a table map: the code, and what it says about lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wire {
    pub code: u8,
    pub meta: u16,
}

/// Type codes of the protocol, as far as tables have them.
pub(super) mod code {
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const TIMESTAMP: u8 = 7;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const YEAR: u8 = 13;
    pub const NEWDATE: u8 = 14;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const TIMESTAMP2: u8 = 17;
    pub const DATETIME2: u8 = 18;
    pub const TIME2: u8 = 19;
    pub const BLOB_COMPRESSED: u8 = 140;
    pub const VARCHAR_COMPRESSED: u8 = 141;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const NEWDECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const BLOB: u8 = 252;
    pub const VAR_STRING: u8 = 253;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}

const SHORT_IMAGE: &str = "a row image that is cut short";
const UNKNOWN_TYPE: &str = "a column type that is not known in row images";
const DAMAGED_DECIMAL: &str = "a damaged decimal number";
/// Digits of a second that any type keeps.
const FRACTION_DIGITS_MAX: u8 = 6;

impl Wire {
    /// From the table map's type byte and its two bytes of metadata. ENUM and SET hide behind STRING.
    pub(super) fn new(code: u8, meta: [u8; 2]) -> Wire {
        if code != code::STRING {
            return Wire { code, meta: u16::from_le_bytes(meta) };
        }
        let [real, low] = meta;
        match real {
            code::ENUM | code::SET => Wire { code: real, meta: low.into() },
            // Lengths above 255 keep their upper two bits, inverted, in the type byte.
            _ if real & 0x30 != 0x30 => Wire { code, meta: u16::from(low) | u16::from((real & 0x30) ^ 0x30) << 4 },
            _ => Wire { code, meta: low.into() },
        }
    }

    /// How many bytes of metadata a type has in the table map.
    pub(super) fn meta_bytes(code: u8) -> usize {
        match code {
            code::FLOAT | code::DOUBLE | code::TIMESTAMP2 | code::DATETIME2 | code::TIME2 => 1,
            code::BLOB | code::JSON | code::GEOMETRY | code::VECTOR | code::BLOB_COMPRESSED | 249..=251 => 1,
            code::VARCHAR | code::VARCHAR_COMPRESSED | code::BIT | code::NEWDECIMAL | code::ENUM | code::SET => 2,
            code::VAR_STRING | code::STRING => 2,
            _ => 0,
        }
    }

    /// Whether a column declared as `ty` can look like this in the log.
    pub(super) fn is(self, ty: &ColumnType) -> bool {
        use code::*;
        match ty {
            ColumnType::Int { bits, .. } => {
                self.code
                    == match bits {
                        8 => TINY,
                        16 => SHORT,
                        24 => INT24,
                        32 => LONG,
                        _ => LONGLONG,
                    }
            }
            ColumnType::Bool => self.code == TINY,
            ColumnType::Bit { .. } => self.code == BIT,
            ColumnType::Decimal { digits: Some((digits, scale)) } => {
                self.code == NEWDECIMAL && self.meta == u16::from_le_bytes([*digits as u8, *scale as u8])
            }
            ColumnType::Float32(_) => self.code == FLOAT,
            ColumnType::Float64(_) => self.code == DOUBLE,
            ColumnType::Char { .. } | ColumnType::Uuid | ColumnType::Bytes { fixed: true, .. } => self.code == STRING,
            ColumnType::Text { .. } | ColumnType::Bytes { fixed: false, .. } => matches!(self.code, VARCHAR | VAR_STRING | BLOB),
            ColumnType::Date { .. } => matches!(self.code, DATE | NEWDATE),
            ColumnType::Time { .. } => matches!(self.code, TIME | TIME2),
            ColumnType::DateTime { .. } => matches!(self.code, DATETIME | DATETIME2 | TIMESTAMP | TIMESTAMP2),
            ColumnType::Year => self.code == YEAR,
            ColumnType::Enum(_) => self.code == ENUM,
            ColumnType::Set(_) => self.code == SET,
            ColumnType::Json { .. } => matches!(self.code, JSON | BLOB),
            _ => false,
        }
    }

    /// Cuts this column's bytes off the front of `row`, without the length before them.
    pub(super) fn cut<'a>(self, row: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
        use code::*;
        let [low, high] = self.meta.to_le_bytes();
        let n = match self.code {
            TINY | YEAR => 1,
            SHORT => 2,
            INT24 | DATE | NEWDATE | TIME => 3,
            LONG | FLOAT | TIMESTAMP => 4,
            LONGLONG | DOUBLE | DATETIME => 8,
            TIMESTAMP2 | DATETIME2 | TIME2 if low > FRACTION_DIGITS_MAX => return Err(UNKNOWN_TYPE),
            TIMESTAMP2 => 4 + fraction_bytes(low),
            DATETIME2 => 5 + fraction_bytes(low),
            TIME2 => 3 + fraction_bytes(low),
            BIT if high < 8 => usize::from(high) + usize::from(low > 0),
            BIT if high == 8 && low == 0 => 8,
            NEWDECIMAL => decimal_bytes(low.into(), high.into()),
            ENUM | SET if (1..=8).contains(&low) => usize::from(low),
            VARCHAR | VAR_STRING | STRING | VARCHAR_COMPRESSED => length(row, if self.meta < 256 { 1 } else { 2 })?,
            BLOB | JSON | GEOMETRY | VECTOR | BLOB_COMPRESSED | 249..=251 if (1..=4).contains(&low) => length(row, low.into())?,
            _ => return Err(UNKNOWN_TYPE),
        };
        take(row, n)
    }

    /// The value of bytes that `cut` gave, for a column that `is` of type `ty`.
    pub(super) fn decode(self, bytes: &[u8], ty: &ColumnType) -> Decoded {
        use code::*;
        let fraction = self.meta.to_le_bytes()[0];
        Ok(match ty {
            ColumnType::Int { unsigned, .. } => integer(bytes, *unsigned),
            ColumnType::Bool => integer(bytes, false),
            ColumnType::Bit { .. } => values::bits(bytes),
            ColumnType::Decimal { .. } => {
                let [digits, scale] = self.meta.to_le_bytes();
                decimal(bytes, digits.into(), scale.into())?
            }
            ColumnType::Float32(_) => Value::float(f32::from_le_bytes(bytes.try_into().map_err(|_| SHORT_IMAGE)?).into()),
            ColumnType::Float64(_) => Value::float(f64::from_le_bytes(bytes.try_into().map_err(|_| SHORT_IMAGE)?)),
            ColumnType::Char { charset, .. } | ColumnType::Text { charset, .. } => Value::Text(values::stored_text(bytes, *charset)?),
            ColumnType::Bytes { .. } => Value::Bytes(bytes.to_vec()),
            ColumnType::Uuid => Value::Text(stored_uuid(bytes)?),
            ColumnType::Date { .. } => Value::Date(date(bytes)),
            ColumnType::Time { .. } if self.code == TIME2 => Value::Time(time2(bytes, fraction)),
            ColumnType::Time { .. } => Value::Time(old_time(bytes)),
            ColumnType::DateTime { .. } => Value::DateTime(match self.code {
                TIMESTAMP2 => timestamp(big(&bytes[..4]), big_fraction(&bytes[4..], fraction)),
                TIMESTAMP => timestamp(little(bytes), 0),
                DATETIME2 => datetime2(bytes, fraction),
                _ => old_datetime(little(bytes)),
            }),
            ColumnType::Year => Value::Int(if bytes == [0] { 0 } else { 1900 + i64::from(bytes[0]) }),
            ColumnType::Enum(labels) => Value::Text(match little(bytes) as usize {
                0 => String::new(),
                n => labels.get(n - 1).ok_or("an ENUM index without a label")?.clone(),
            }),
            ColumnType::Set(labels) => Value::Text(set(little(bytes), labels)),
            ColumnType::Json { .. } if self.code == JSON => values::json(&jsonb_text(bytes)?)?,
            ColumnType::Json { .. } => values::json(&values::utf8(bytes.to_vec())?)?,
            _ => return Err("a column of a type that is not replicated"),
        })
    }
}

pub(super) fn take<'a>(row: &mut &'a [u8], n: usize) -> Result<&'a [u8], &'static str> {
    let (taken, rest) = row.split_at_checked(n).ok_or(SHORT_IMAGE)?;
    *row = rest;
    Ok(taken)
}

fn length(row: &mut &[u8], bytes: usize) -> Result<usize, &'static str> {
    Ok(little(take(row, bytes)?) as usize)
}

pub(super) fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

fn big(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

fn integer(bytes: &[u8], unsigned: bool) -> Value {
    let n = little(bytes);
    if unsigned {
        return Value::unsigned(n);
    }
    match 64usize.checked_sub(8 * bytes.len()) {
        Some(shift @ 0..64) => Value::Int((n << shift) as i64 >> shift),
        _ => Value::Int(n as i64),
    }
}

fn fraction_bytes(digits: u8) -> usize {
    usize::from(digits).div_ceil(2)
}

/// Microseconds of a stored fraction, which has two digits per byte.
fn big_fraction(bytes: &[u8], digits: u8) -> i64 {
    big(bytes) as i64 * [0, 10_000, 100, 1][fraction_bytes(digits).min(3)]
}

fn date(bytes: &[u8]) -> Date {
    let n = little(bytes);
    Date { year: (n >> 9) as i32, month: (n >> 5 & 15) as u8, day: (n & 31) as u8 }
}

/// Hours, minutes and seconds are packed in bits; negative times are the two's complement of the whole.
fn time2(bytes: &[u8], digits: u8) -> i64 {
    let fraction = 8 * fraction_bytes(digits) as u32;
    let packed = big(bytes) as i64 - (0x80_0000 << fraction);
    let (magnitude, sign) = (packed.unsigned_abs() as i64, packed.signum());
    let (whole, part) = (magnitude >> fraction, magnitude & ((1 << fraction) - 1));
    let us = part * [0, 10_000, 100, 1][fraction_bytes(digits).min(3)];
    sign * clock_us(whole >> 12 & 0x3ff, whole >> 6 & 63, whole & 63, us)
}

fn old_time(bytes: &[u8]) -> i64 {
    let Value::Int(n) = integer(bytes, false) else { return 0 };
    let (sign, n) = (n.signum(), n.abs());
    sign * clock_us(n / 10_000, n / 100 % 100, n % 100, 0)
}

fn datetime2(bytes: &[u8], digits: u8) -> DateTime {
    let packed = big(&bytes[..5]) as i64 - 0x80_0000_0000;
    let (day, clock) = (packed >> 17, packed & 0x1_ffff);
    let (months, day) = (day >> 5, day & 31);
    DateTime {
        date: Date { year: (months / 13) as i32, month: (months % 13) as u8, day: day as u8 },
        us: clock_us(clock >> 12, clock >> 6 & 63, clock & 63, big_fraction(&bytes[5..], digits)),
    }
}

fn old_datetime(n: u64) -> DateTime {
    let (date, clock) = (n / 1_000_000, (n % 1_000_000) as i64);
    DateTime {
        date: Date { year: (date / 10_000) as i32, month: (date / 100 % 100) as u8, day: (date % 100) as u8 },
        us: clock_us(clock / 10_000, clock / 100 % 100, clock % 100, 0),
    }
}

/// Seconds since 1970 as civil time; zero is the zero date.
fn timestamp(seconds: u64, us: i64) -> DateTime {
    if seconds == 0 && us == 0 {
        return DateTime { date: Date { year: 0, month: 0, day: 0 }, us: 0 };
    }
    let (days, rest) = ((seconds / 86_400) as i64, (seconds % 86_400) as i64);
    // Howard Hinnant's civil_from_days, for days after 1970.
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let date = Date { year: year as i32, month: month as u8, day: (doy - (153 * mp + 2) / 5 + 1) as u8 };
    DateTime { date, us: rest * 1_000_000 + us }
}

fn set(bits: u64, labels: &[String]) -> String {
    let chosen: Vec<&str> = labels.iter().take(64).enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, l)| l.as_str()).collect();
    chosen.join(",")
}

/// Nine digits in four bytes, fewer in fewer.
const DIGIT_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

fn decimal_bytes(digits: usize, scale: usize) -> usize {
    let whole = digits.saturating_sub(scale);
    whole / 9 * 4 + DIGIT_BYTES[whole % 9] + scale / 9 * 4 + DIGIT_BYTES[scale % 9]
}

pub(super) fn decimal(bytes: &[u8], digits: usize, scale: usize) -> Decoded {
    let mut bytes = bytes.to_vec();
    let first = bytes.first_mut().ok_or(SHORT_IMAGE)?;
    let negative = *first & 0x80 == 0;
    *first ^= 0x80;
    if negative {
        bytes.iter_mut().for_each(|b| *b = !*b);
    }
    let whole = digits.saturating_sub(scale);
    let mut text = String::from(if negative { "-" } else { "" });
    let mut rest = &bytes[..];
    let mut group = |text: &mut String, digits: usize| {
        let part = big(take(&mut rest, DIGIT_BYTES[digits])?);
        if part >= 10u64.pow(digits as u32) {
            return Err(DAMAGED_DECIMAL);
        }
        if digits > 0 {
            text.push_str(&format!("{part:0digits$}"));
        }
        Ok::<(), &'static str>(())
    };
    group(&mut text, whole % 9)?;
    for _ in 0..whole / 9 {
        group(&mut text, 9)?;
    }
    text.push_str(if whole == 0 { "0." } else { "." });
    for _ in 0..scale / 9 {
        group(&mut text, 9)?;
    }
    group(&mut text, scale % 9)?;
    Decimal::parse(&text).filter(|_| rest.is_empty()).map(Value::Decimal).ok_or(DAMAGED_DECIMAL)
}

/// MariaDB's UUIDs are in the log as they are written, whatever order its pages have.
fn stored_uuid(bytes: &[u8]) -> Result<String, &'static str> {
    let mut raw = [0; 16];
    raw.get_mut(..bytes.len()).ok_or(SHORT_IMAGE)?.copy_from_slice(bytes);
    Ok(super::gtid::uuid_text(&raw))
}
