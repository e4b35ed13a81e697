//! Column types as engines declare them, and the canonical families that they share. The way between the two is in `convert`.

use std::fmt;

use super::{Date, DateTime};

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

/// Which characters a text column can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Any Unicode text (utf8mb4, SQLite).
    Unicode,
    /// Any Unicode text without the NUL character (PostgreSQL).
    UnicodeNoNul,
    /// Unicode up to U+FFFF (MySQL's utf8/utf8mb3).
    Bmp,
    /// MySQL's latin1, which is Windows-1252 with the five holes filled.
    Latin1,
    Ascii,
}

/// What Windows-1252 has at 0x80 to 0x9F; MySQL fills its five holes with the C1 controls of the same number.
const LATIN1_UPPER: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–',
    '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

impl Charset {
    /// Whether `c` is in it.
    pub fn holds(self, c: char) -> bool {
        match self {
            Charset::Unicode => true,
            Charset::UnicodeNoNul => c != '\0',
            Charset::Bmp => c <= '\u{ffff}',
            Charset::Latin1 => c < '\u{80}' || ('\u{a0}'..='\u{ff}').contains(&c) || LATIN1_UPPER.contains(&c),
            Charset::Ascii => c.is_ascii(),
        }
    }

    /// Bytes that `text`, all of it in this charset, takes there.
    pub fn bytes(self, text: &str) -> u64 {
        match self {
            Charset::Latin1 => text.chars().count() as u64,
            _ => text.len() as u64,
        }
    }

    /// Text of the raw bytes that a log has of a column in this charset.
    pub fn decode(self, bytes: &[u8]) -> Result<String, Refusal> {
        match self {
            Charset::Latin1 => Ok(bytes
                .iter()
                .map(|b| match b {
                    0x80..=0x9f => LATIN1_UPPER[usize::from(b - 0x80)],
                    _ => char::from(*b),
                })
                .collect()),
            Charset::Ascii if !bytes.is_ascii() => Err(Refusal("bytes that are not ASCII")),
            _ => String::from_utf8(bytes.to_vec()).map_err(|_| Refusal("bytes that are not UTF-8")),
        }
    }
}

/// Whether a floating-point column can hold more than finite numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Special {
    /// Finite numbers only (MySQL).
    Finite,
    /// Infinity too (SQLite, which makes NULL of NaN).
    Infinity,
    /// Infinity and NaN (PostgreSQL).
    Nan,
}

/// Whether a date may have zeros for what is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ZeroDates {
    /// Days of the calendar only.
    No,
    /// The zero date as a whole (MySQL's TIMESTAMP).
    Whole,
    /// Also dates without month or day, such as 1980-00-00 (MySQL's DATE and DATETIME).
    Parts,
}

/// First and last moment that a column can hold, both included; the zero date is not counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: DateTime,
    pub to: DateTime,
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

const fn moment(year: i32, month: u8, day: u8, us: i64) -> DateTime {
    DateTime { date: Date { year, month, day }, us }
}

const SECOND_US: i64 = 1_000_000;
pub(super) const DAY_US: i64 = 86_400 * SECOND_US;

impl Span {
    /// MySQL's DATE and DATETIME.
    pub const YEARS_0_TO_9999: Span = Span { from: moment(0, 0, 0, 0), to: moment(9999, 12, 31, DAY_US - 1) };
    /// MySQL's TIMESTAMP, and MariaDB's before 11.5: 1970-01-01 00:00:01 to 2038-01-19 03:14:07.
    pub const UNIX_31_BITS: Span = Span { from: moment(1970, 1, 1, SECOND_US), to: moment(2038, 1, 19, 11_648 * SECOND_US - 1) };
    /// MariaDB's TIMESTAMP from 11.5 on, on 64-bit systems: to 2106-02-07 06:28:15.
    pub const UNIX_32_BITS: Span = Span { from: moment(1970, 1, 1, SECOND_US), to: moment(2106, 2, 7, 23_296 * SECOND_US - 1) };
    /// PostgreSQL's date.
    pub const JULIAN_DATES: Span = Span { from: moment(-4712, 11, 24, 0), to: moment(5_874_897, 12, 31, DAY_US - 1) };
    /// PostgreSQL's timestamp and timestamptz.
    pub const JULIAN_TIMESTAMPS: Span = Span { from: moment(-4712, 11, 24, 0), to: moment(294_276, 12, 31, DAY_US - 1) };
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
    Float32(Special),
    Float64(Special),
    /// Fixed length: trailing spaces do not count, and values are canonical without them.
    Char {
        chars: u32,
        charset: Charset,
    },
    /// `chars_max` None: bounded by `bytes_max` only, which counts bytes in the column's charset.
    Text {
        chars_max: Option<u32>,
        bytes_max: u64,
        charset: Charset,
    },
    /// `fixed`: padded with zero bytes to `bytes_max`, and values are canonical with them.
    Bytes {
        bytes_max: u64,
        fixed: bool,
    },
    Date {
        zero: ZeroDates,
        span: Span,
    },
    /// `fraction`: digits of a second kept, 0 to 6. `long`: -838:59:59 to 838:59:59 (MySQL); else midnight to 24:00:00.
    Time {
        fraction: u8,
        long: bool,
    },
    DateTime {
        fraction: u8,
        zero: ZeroDates,
        span: Span,
    },
    /// 1901 to 2155, and 0.
    Year,
    Enum(Vec<String>),
    /// Labels in the order of the definition.
    Set(Vec<String>),
    /// `doubles`: numbers other than 64-bit integers are kept as doubles (MySQL). `nul`: strings may have `\u0000` (not in jsonb).
    Json {
        doubles: bool,
        nul: bool,
    },
    Uuid,
    /// SQLite's column without a declared type: holds 64-bit integers, doubles, text and bytes, each as it is.
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
        Some(match self {
            ColumnType::Int { .. } | ColumnType::Bool | ColumnType::Bit { .. } | ColumnType::Year => Family::Integer,
            ColumnType::Decimal { .. } => Family::Decimal,
            ColumnType::Float32(_) | ColumnType::Float64(_) => Family::Float,
            ColumnType::Char { .. } | ColumnType::Text { .. } => Family::Text,
            ColumnType::Enum(_) | ColumnType::Set(_) | ColumnType::Uuid | ColumnType::Any => Family::Text,
            ColumnType::Bytes { .. } => Family::Bytes,
            ColumnType::Date { .. } => Family::Date,
            ColumnType::Time { .. } => Family::Time,
            ColumnType::DateTime { .. } => Family::DateTime,
            ColumnType::Json { .. } => Family::Json,
            ColumnType::Unsupported(_) => return None,
        })
    }

    /// Least and greatest whole number of an integer type.
    pub(super) fn whole_range(&self) -> Option<(i128, i128)> {
        let unsigned = |bits: u8| (0, (1i128 << bits.clamp(1, 64)) - 1);
        Some(match self {
            ColumnType::Int { bits, unsigned: true } | ColumnType::Bit { bits } => unsigned(*bits),
            ColumnType::Int { bits, unsigned: false } => {
                let half = 1i128 << (bits.clamp(&1, &64) - 1);
                (-half, half - 1)
            }
            ColumnType::Bool => (0, 1),
            ColumnType::Year => (0, 2155),
            _ => return None,
        })
    }
}
