//! One engine-neutral value, canonical: a value that two engines both hold is one and the same `Value`.

use std::cmp::Ordering;
use std::fmt;

/// A value of one column. `Debug` shows the kind and size only: values never reach logs by accident.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Value {
    Null,
    Int(i64),
    /// Only above `i64::MAX`: build with [`Value::unsigned`].
    UInt(u64),
    /// Bits of a double; never a negative zero, one NaN: build with [`Value::float`].
    Float(u64),
    Decimal(Decimal),
    Text(String),
    Bytes(Vec<u8>),
    Date(Date),
    /// Microseconds since midnight; MySQL's TIME goes from -838:59:59 to 838:59:59.
    Time(i64),
    /// Civil time in UTC.
    DateTime(DateTime),
    /// Canonical JSON text: keys sorted, no white space, one spelling per number.
    Json(String),
}

/// Calendar date. Month and day may be zero (MySQL's zero dates); years BC are negative (PostgreSQL), 0 = 1 BC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    pub year: i32,
    pub month: u8,
    pub day: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DateTime {
    pub date: Date,
    /// Microseconds since midnight, below 86,400,000,000.
    pub us: i64,
}

/// A decimal number as its digits: an optional `-`, digits without leading zeros, and a fraction without trailing zeros.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Decimal(String);

impl Decimal {
    /// Canonical form of plain decimal text such as `-0012.500`. None when `text` is not such a number.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty()) || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let mut out = String::with_capacity(digits.len() + 1);
        if negative && !(whole.is_empty() && fraction.is_empty()) {
            out.push('-');
        }
        out.push_str(if whole.is_empty() { "0" } else { whole });
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
        }
        Some(Decimal(out))
    }

    pub fn integer(n: i64) -> Decimal {
        Decimal(n.to_string())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Number of digits before and after the decimal point (a lone zero counts as none before it).
    pub fn digits(&self) -> (usize, usize) {
        let digits = self.0.trim_start_matches('-');
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        (if whole == "0" { 0 } else { whole.len() }, fraction.len())
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        fn magnitude(text: &str) -> (usize, &str, &str) {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            (whole.len(), whole, fraction)
        }
        match (self.0.strip_prefix('-'), other.0.strip_prefix('-')) {
            (None, None) => magnitude(&self.0).cmp(&magnitude(&other.0)),
            (Some(a), Some(b)) => magnitude(b).cmp(&magnitude(a)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        }
    }
}

impl Value {
    pub fn unsigned(n: u64) -> Value {
        i64::try_from(n).map_or(Value::UInt(n), Value::Int)
    }

    pub fn float(x: f64) -> Value {
        let canonical = if x.is_nan() {
            f64::NAN
        } else if x == 0.0 {
            0.0
        } else {
            x
        };
        Value::Float(canonical.to_bits())
    }

    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// Canonical JSON value of `text`, or None when it is not JSON. Equal numbers get one spelling and keep all their
    /// digits; object keys are sorted and the last of two equal keys counts, as in PostgreSQL's jsonb.
    pub fn json(text: &str) -> Option<Value> {
        super::json::canonical(text).map(Value::Json)
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "NULL",
            Value::Int(_) | Value::UInt(_) => "integer",
            Value::Float(_) => "floating-point number",
            Value::Decimal(_) => "decimal number",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
            Value::Date(_) => "date",
            Value::Time(_) => "time",
            Value::DateTime(_) => "date and time",
            Value::Json(_) => "JSON",
        }
    }

    /// Approximate bytes of memory, for bounds.
    pub fn weight(&self) -> usize {
        24 + match self {
            Value::Text(s) | Value::Json(s) => s.len(),
            Value::Bytes(b) => b.len(),
            Value::Decimal(d) => d.0.len(),
            _ => 0,
        }
    }

    /// Order of two values of one column, for the policies `max`, `min` and for filters; numbers of different kinds compare
    /// as numbers. None with NULL or across other kinds.
    pub fn compare(&self, other: &Value) -> Option<Ordering> {
        use Value::*;
        Some(match (self, other) {
            (Int(a), Int(b)) => a.cmp(b),
            (UInt(a), UInt(b)) => a.cmp(b),
            (Int(_), UInt(_)) => Ordering::Less,
            (UInt(_), Int(_)) => Ordering::Greater,
            (Float(a), Float(b)) => f64::from_bits(*a).total_cmp(&f64::from_bits(*b)),
            (Decimal(a), Decimal(b)) => a.cmp(b),
            (Float(_), Int(_) | UInt(_) | Decimal(_)) | (Int(_) | UInt(_) | Decimal(_), Float(_)) => {
                self.as_double()?.total_cmp(&other.as_double()?)
            }
            (Decimal(a), Int(_) | UInt(_)) => a.cmp(&other.as_decimal()?),
            (Int(_) | UInt(_), Decimal(b)) => self.as_decimal()?.cmp(b),
            (Text(a), Text(b)) | (Json(a), Json(b)) => a.cmp(b),
            (Bytes(a), Bytes(b)) => a.cmp(b),
            (Date(a), Date(b)) => a.cmp(b),
            (Time(a), Time(b)) => a.cmp(b),
            (DateTime(a), DateTime(b)) => a.cmp(b),
            _ => return None,
        })
    }
}

impl Value {
    fn as_double(&self) -> Option<f64> {
        Some(match self {
            Value::Int(n) => *n as f64,
            Value::UInt(n) => *n as f64,
            Value::Float(bits) => f64::from_bits(*bits),
            Value::Decimal(d) => d.0.parse().ok()?,
            _ => return None,
        })
    }

    fn as_decimal(&self) -> Option<Decimal> {
        match self {
            Value::Int(n) => Some(Decimal::integer(*n)),
            Value::UInt(n) => Some(Decimal(n.to_string())),
            _ => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}, {} B>", self.kind(), self.weight() - 24)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.date, clock(self.us))
    }
}

/// `HH:MM:SS[.ffffff]` with the sign and as many hours as it takes.
pub(super) fn clock(us: i64) -> String {
    let (sign, us) = if us < 0 { ("-", us.unsigned_abs()) } else { ("", us as u64) };
    let (seconds, fraction) = (us / 1_000_000, us % 1_000_000);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction == 0 { format!("{sign}{h:02}:{m:02}:{s:02}") } else { format!("{sign}{h:02}:{m:02}:{s:02}.{fraction:06}") }
}

impl Value {
    /// The value as an operator may read it, where showing it was asked for (`inspect --show-values`).
    pub fn reveal(&self) -> String {
        match self {
            Value::Null => "NULL".into(),
            Value::Int(n) => n.to_string(),
            Value::UInt(n) => n.to_string(),
            Value::Float(bits) => f64::from_bits(*bits).to_string(),
            Value::Decimal(d) => d.0.clone(),
            Value::Text(s) | Value::Json(s) => s.clone(),
            Value::Bytes(b) => match std::str::from_utf8(b) {
                Ok(s) if !s.contains(char::is_control) => s.into(),
                _ => format!("0x{}", b.iter().map(|b| format!("{b:02x}")).collect::<String>()),
            },
            Value::Date(d) => d.to_string(),
            Value::Time(us) => clock(*us),
            Value::DateTime(t) => t.to_string(),
        }
    }
}

/// The values of a row's key columns, in the table's key order. Shown by `Display` as an operator would type them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(pub Vec<Value>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl Key {
    /// The key as an operator types it (`42`, or `user,0,17`); tables whose key is a secret show it by its fingerprint.
    pub fn reveal(&self) -> String {
        self.0.iter().map(Value::reveal).collect::<Vec<_>>().join(",")
    }

    /// Its encoding, for messages between our own processes.
    pub fn to_hex(&self) -> String {
        let mut w = super::Writer::new();
        w.key(self);
        w.as_slice().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    pub fn from_hex(hex: &str) -> Option<Key> {
        Key::decode(&bytes_of_hex(hex)?).ok()
    }
}

/// The bytes that are written as two digits each. None: they are not.
pub(super) fn bytes_of_hex(hex: &str) -> Option<Vec<u8>> {
    let digit = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(digit).collect()
}
