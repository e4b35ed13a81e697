//! Column types as engines declare them, the canonical families they share, and the lossless way between.

use std::fmt;

use super::Value;

/// The canonical form that a shared column's values have in the ledger, whatever types the sites give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Integer,
    Decimal,
    Float,
    Text,
    Bytes,
    Date,
    Time,
    DateTime,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Any Unicode text (utf8mb4, UTF8, SQLite).
    Unicode,
    /// Unicode up to U+FFFF (MySQL's utf8/utf8mb3).
    Bmp,
    /// MySQL's latin1, which is Windows-1252 with the five holes filled.
    Latin1,
    Ascii,
}

/// A column's type at one site. Lengths in the unit that the engine counts: characters for text, bytes for bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// 8, 16, 24, 32 or 64 bits.
    Int {
        bits: u8,
        unsigned: bool,
    },
    Bool,
    /// A bit string as an unsigned integer; at most 64 bits.
    Bit {
        bits: u8,
    },
    /// `digits` in all, of which `scale` after the point; None: any (PostgreSQL's plain numeric).
    Decimal {
        digits: Option<(u16, u16)>,
    },
    Float32,
    Float64,
    /// Fixed length: trailing spaces do not count.
    Char {
        chars: u32,
        charset: Charset,
    },
    /// `chars_max` None: bounded by `bytes_max` only.
    Text {
        chars_max: Option<u32>,
        bytes_max: u64,
        charset: Charset,
    },
    /// `fixed`: padded with zero bytes to `bytes_max`.
    Bytes {
        bytes_max: u64,
        fixed: bool,
    },
    Date {
        zero: bool,
    },
    /// `fraction`: digits of a second kept, 0 to 6. `long`: beyond a day and negative (MySQL).
    Time {
        fraction: u8,
        long: bool,
    },
    /// `zero`: zero dates allowed. `from`/`to` years allowed.
    DateTime {
        fraction: u8,
        zero: bool,
        years: (i32, i32),
    },
    Year,
    Enum(Vec<String>),
    Set(Vec<String>),
    Json,
    Uuid,
    /// SQLite's column without a declared type: holds anything.
    Any,
    /// A type that has no lossless canonical form; the text is the engine's name of it.
    Unsupported(String),
}

/// Why a value has no lossless form at a site, or none that is canonical. Never the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub &'static str);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Whether every value of one type has a place in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    Always,
    /// Some values would be refused, for the reason given.
    Sometimes(String),
    Never(String),
}

impl ColumnType {
    /// The canonical family of this type's values; None for an unsupported one.
    pub fn family(&self) -> Option<Family> {
        todo!("see the conformance table")
    }
}

/// The canonical form in `family` of a value that a site's column holds, without loss.
pub fn canonical(_value: Value, _family: Family) -> Result<Value, Refusal> {
    todo!()
}

/// The form in which a canonical value is written into a column of type `ty`, such that reading it back and making it
/// canonical gives the same value.
pub fn fit(_value: &Value, _ty: &ColumnType) -> Result<Value, Refusal> {
    todo!()
}

/// Whether every value that a column of type `from` can hold fits one of type `to`.
pub fn compare_types(_from: &ColumnType, _to: &ColumnType) -> Fit {
    todo!()
}
