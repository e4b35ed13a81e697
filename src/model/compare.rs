//! Whether the values of one site's column have a place in another's, judged from the types alone, for `rosterd check`.
//!
//! A NUL character in text, which PostgreSQL refuses, is left out of account: it would be the answer for every text column of
//! the MySQL family, and no application stores it as text. A value that has one is refused when it comes.

use super::convert::fit;
use super::{Charset, ColumnType, Fit, Special, Value, ZeroDates};

/// No engine carries a single value of a gigabyte: limits from here on are none.
const UNBOUNDED_BYTES: u64 = (1 << 30) - 1;

/// Characters that a spelled date, moment or time takes.
const DATE_CHARS: u64 = 14;
const MOMENT_CHARS: u64 = 30;
const TIME_CHARS: u64 = 17;

/// Whether every value that a column of type `from` can hold fits one of type `to`.
pub fn compare_types(from: &ColumnType, to: &ColumnType) -> Fit {
    use ColumnType::*;
    match (from, to) {
        (Unsupported(name), _) | (_, Unsupported(name)) => Fit::Never(format!("{name} has no lossless form")),
        (Int { .. } | Bool | Bit { .. } | Year, _) => from_whole(from, to),
        (Decimal { digits }, _) => from_decimal(*digits, to),
        (Float32(special), _) => from_float(32, *special, to),
        (Float64(special), _) => from_float(64, *special, to),
        (Enum(labels), _) => from_enum(labels, to),
        (Set(labels), _) => from_set(labels, to),
        (Char { chars, charset }, _) => from_text(Words::chars(u64::from(*chars), *charset), from, to),
        (Text { chars_max, bytes_max, charset }, _) => from_text(Words::bounded(chars_max.map(u64::from), *bytes_max, *charset), from, to),
        (Uuid, _) => from_text(Words::chars(36, Charset::Ascii), from, to),
        (Json { .. }, _) => from_text(Words::bounded(None, u64::MAX, Charset::Unicode), from, to),
        (Bytes { bytes_max, fixed }, _) => from_bytes(*bytes_max, *fixed, to),
        (Date { .. } | DateTime { .. } | Time { .. }, _) => from_time(from, to),
        (Any, Any) => Fit::Always,
        (Any, _) => Fit::Sometimes("values of another kind, which a column without a type can hold, do not fit".into()),
    }
}

/// What does not fit, put into one sentence.
#[derive(Default)]
struct Misfits(Vec<String>);

impl Misfits {
    fn add(&mut self, when: bool, what: impl Into<String>) {
        if when {
            self.0.push(what.into());
        }
    }

    fn fit(self) -> Fit {
        let Some((last, before)) = self.0.split_last() else { return Fit::Always };
        let list = if before.is_empty() { last.clone() } else { format!("{} and {last}", before.join(", ")) };
        Fit::Sometimes(format!("{list} do not fit"))
    }
}

fn never(from: &str, to: &ColumnType) -> Fit {
    Fit::Never(format!("{from} can't be kept as {} without loss", noun(to)))
}

fn noun(ty: &ColumnType) -> &'static str {
    use ColumnType::*;
    match ty {
        Int { .. } | Year => "whole numbers",
        Bool => "true or false",
        Bit { .. } => "bits",
        Decimal { .. } => "decimal numbers",
        Float32(_) | Float64(_) => "floating-point numbers",
        Char { .. } | Text { .. } => "text",
        Bytes { .. } => "bytes",
        Date { .. } => "dates",
        Time { .. } => "times",
        DateTime { .. } => "dates with times",
        Enum(_) => "one of a list of labels",
        Set(_) => "a set of labels",
        Json { .. } => "JSON",
        Uuid => "UUIDs",
        Any | Unsupported(_) => "values of any kind",
    }
}

fn from_whole(from: &ColumnType, to: &ColumnType) -> Fit {
    let Some((low, high)) = from.whole_range() else { return never(noun(from), to) };
    let mut misfits = Misfits::default();
    match to {
        ColumnType::Year => misfits.add(*from != ColumnType::Year, "numbers other than 0 and 1901 to 2155"),
        ColumnType::Decimal { digits: Some((all, scale)) } => {
            let width = all.saturating_sub(*scale);
            let room = 10i128.checked_pow(width.into()).unwrap_or(i128::MAX);
            misfits.add(high >= room || -low >= room, format!("numbers of more than {width} digits"));
        }
        ColumnType::Decimal { digits: None } => {}
        ColumnType::Float32(_) | ColumnType::Float64(_) => {
            let exact = 1i128 << if matches!(to, ColumnType::Float32(_)) { 24 } else { 53 };
            misfits.add(high > exact || -low > exact, format!("numbers beyond {exact} that are not exact in floating point"));
        }
        ColumnType::Any => misfits.add(high > i128::from(i64::MAX), format!("values above {}", i64::MAX)),
        _ => {
            let Some((to_low, to_high)) = to.whole_range() else { return never(noun(from), to) };
            misfits.add(low < to_low, if to_low == 0 { "negative values".into() } else { format!("values below {to_low}") });
            misfits.add(high > to_high, format!("values above {to_high}"));
        }
    }
    misfits.fit()
}

fn from_decimal(digits: Option<(u16, u16)>, to: &ColumnType) -> Fit {
    let mut misfits = Misfits::default();
    // Digits before and after the point.
    let (whole, scale) = digits.map_or((u16::MAX, u16::MAX), |(all, scale)| (all.saturating_sub(scale), scale));
    match to {
        ColumnType::Decimal { digits: None } | ColumnType::Any => {}
        ColumnType::Decimal { digits: to_digits } if *to_digits == digits => {}
        ColumnType::Decimal { digits: Some((all, to_scale)) } => {
            let room = all.saturating_sub(*to_scale);
            misfits.add(whole > room, format!("numbers of more than {room} digits before the point"));
            // A scale beyond the digits demands zeros after the point.
            let narrow = to_scale > all && digits != Some((*all, *to_scale));
            misfits.add(scale > *to_scale || narrow, format!("numbers of more than {} digits after the point", to_scale.min(all)));
        }
        ColumnType::Float64(_) => misfits.add(digits.is_none_or(|(all, _)| all > 15), "numbers of more than 15 digits"),
        ColumnType::Float32(_) => misfits.add(true, "numbers that are not exact in 32 bits of floating point"),
        ColumnType::Char { .. } | ColumnType::Text { .. } => {
            let longest = digits.map(|_| u64::from(whole.max(1)) + u64::from(scale) + 2);
            let room = room_chars(to);
            misfits.add(longest.is_none_or(|longest| longest > room), format!("numbers longer than {room} characters"));
            misfits.0.retain(|_| room < UNBOUNDED_BYTES);
        }
        _ => {
            let Some((low, high)) = to.whole_range() else { return never("decimal numbers", to) };
            misfits.add(scale > 0, "numbers with a fraction");
            misfits.add(low == 0, "negative values");
            let most = 10i128.checked_pow(whole.into()).unwrap_or(i128::MAX);
            misfits.add(most - 1 > high || (low < 0 && 1 - most < low), format!("values above {high}"));
            misfits.add(*to == ColumnType::Year, "numbers from 1 to 1900");
        }
    }
    misfits.fit()
}

fn from_float(bits: u8, special: Special, to: &ColumnType) -> Fit {
    let mut misfits = Misfits::default();
    let mut finite_only = |to: Special| {
        misfits.add(special >= Special::Infinity && to < Special::Infinity, "infinity");
        misfits.add(special >= Special::Nan && to < Special::Nan, "NaN");
    };
    match to {
        ColumnType::Float32(to) => {
            finite_only(*to);
            misfits.add(bits > 32, "numbers that are not exact in 32 bits of floating point");
        }
        ColumnType::Float64(to) => finite_only(*to),
        ColumnType::Any => finite_only(Special::Infinity),
        ColumnType::Decimal { digits } => {
            finite_only(Special::Finite);
            misfits.add(digits.is_some(), "numbers with more digits than the column keeps");
        }
        _ => {
            let Some((low, high)) = to.whole_range() else { return never("floating-point numbers", to) };
            finite_only(Special::Finite);
            misfits.add(true, format!("numbers with a fraction and values outside {low} to {high}"));
        }
    }
    misfits.fit()
}

fn from_enum(labels: &[String], to: &ColumnType) -> Fit {
    // Labels are part of the schema, so they may be shown.
    let refused: Vec<_> = labels.iter().filter_map(|label| fit(&Value::text(label.clone()), to).err().map(|why| (label, why))).collect();
    match refused.first() {
        None => Fit::Always,
        Some((_, why)) if refused.len() == labels.len() => Fit::Never(format!("none of its labels fits: {why}")),
        Some(_) => {
            let list: Vec<_> = refused.iter().map(|(label, _)| format!("`{label}`")).collect();
            let noun = if list.len() == 1 { "the label" } else { "the labels" };
            Fit::Sometimes(format!("{noun} {} {} not fit", list.join(", "), if list.len() == 1 { "does" } else { "do" }))
        }
    }
}

fn from_set(labels: &[String], to: &ColumnType) -> Fit {
    let all = labels.join(",");
    match to {
        ColumnType::Set(to_labels) => {
            let mut misfits = Misfits::default();
            let missing: Vec<_> = labels.iter().filter(|l| !to_labels.contains(l)).map(|l| format!("`{l}`")).collect();
            misfits.add(!missing.is_empty(), format!("sets with {}", missing.join(" or ")));
            let mut rest = to_labels.iter();
            let ordered = labels.iter().filter(|l| to_labels.contains(l)).all(|l| rest.any(|t| t == l));
            misfits.add(!ordered, "sets whose labels the other column has in another order");
            misfits.fit()
        }
        ColumnType::Enum(_) => Fit::Sometimes("sets that are not one of its labels do not fit".into()),
        ColumnType::Uuid | ColumnType::Json { .. } => never("sets of labels", to),
        _ if fit(&Value::text(all), to).is_ok() => match to {
            ColumnType::Bytes { fixed: true, .. } => Fit::Sometimes("sets shorter than the column do not fit".into()),
            _ => Fit::Always,
        },
        ColumnType::Char { .. } | ColumnType::Text { .. } | ColumnType::Bytes { .. } => {
            Fit::Sometimes("sets that are too long or have other characters do not fit".into())
        }
        _ => never("sets of labels", to),
    }
}

/// The texts that a column can hold.
#[derive(Clone, Copy)]
struct Words {
    chars_max: u64,
    /// In UTF-8.
    bytes_max: u64,
    charset: Charset,
}

impl Words {
    fn chars(chars: u64, charset: Charset) -> Words {
        Words::bounded(Some(chars), u64::MAX, charset)
    }

    fn bounded(chars_max: Option<u64>, bytes_max: u64, charset: Charset) -> Words {
        let widest = match charset {
            Charset::Unicode | Charset::UnicodeNoNul => 4,
            Charset::Bmp | Charset::Latin1 => 3,
            Charset::Ascii => 1,
        };
        let chars_max = chars_max.unwrap_or(u64::MAX).min(bytes_max);
        let per_byte = if charset == Charset::Latin1 { 3 } else { 1 };
        Words { chars_max, bytes_max: bytes_max.saturating_mul(per_byte).min(chars_max.saturating_mul(widest)), charset }
    }
}

fn from_text(words: Words, from: &ColumnType, to: &ColumnType) -> Fit {
    let mut misfits = Misfits::default();
    let json = matches!(from, ColumnType::Json { .. });
    match to {
        ColumnType::Any => {}
        ColumnType::Char { .. } | ColumnType::Text { .. } => text_into(words, matches!(from, ColumnType::Text { .. }), to, &mut misfits),
        ColumnType::Bytes { bytes_max, fixed } => {
            misfits.add(*fixed, format!("texts of other than {bytes_max} bytes"));
            misfits.add(!fixed && words.bytes_max.min(UNBOUNDED_BYTES) > *bytes_max, format!("texts longer than {bytes_max} bytes"));
        }
        ColumnType::Json { doubles, nul } => match from {
            ColumnType::Json { doubles: from_doubles, nul: from_nul } => {
                misfits.add(*doubles && !from_doubles, "numbers that are neither 64-bit integers nor doubles");
                misfits.add(!nul && *from_nul, "strings with a NUL character");
            }
            _ => misfits.add(true, "texts that are not JSON in its shortest form, with sorted keys,"),
        },
        ColumnType::Uuid if *from == ColumnType::Uuid => {}
        ColumnType::Uuid if !json => misfits.add(true, "texts that are not UUIDs in lower case"),
        ColumnType::Enum(_) | ColumnType::Set(_) if !json => misfits.add(true, "texts other than its labels"),
        _ => return never(if json { "JSON" } else { "text" }, to),
    }
    misfits.fit()
}

/// Texts into a text column. `spaces`: they may end with one.
fn text_into(words: Words, spaces: bool, to: &ColumnType, misfits: &mut Misfits) {
    let (ColumnType::Char { charset, .. } | ColumnType::Text { charset, .. }) = to else { return };
    let foreign = match (words.charset, charset) {
        (_, Charset::Unicode | Charset::UnicodeNoNul) | (Charset::Ascii, _) | (Charset::Latin1, Charset::Latin1 | Charset::Bmp) => None,
        (Charset::Bmp, Charset::Bmp) => None,
        (_, Charset::Bmp) => Some("characters above U+FFFF (emoji)"),
        (_, Charset::Latin1) => Some("characters that latin1 does not have"),
        (_, Charset::Ascii) => Some("characters that are not ASCII"),
    };
    misfits.add(foreign.is_some(), foreign.unwrap_or_default());
    let chars = room_chars(to);
    if let ColumnType::Text { bytes_max, chars_max: None, charset } = to {
        let bytes = if *charset == Charset::Latin1 { words.chars_max } else { words.bytes_max };
        misfits.add(bytes.min(UNBOUNDED_BYTES) > *bytes_max, format!("texts longer than {bytes_max} bytes"));
    } else {
        misfits.add(words.chars_max.min(UNBOUNDED_BYTES) > chars, format!("texts longer than {chars} characters"));
    }
    misfits.add(spaces && matches!(to, ColumnType::Char { .. }), "texts that end with a space");
}

fn room_chars(ty: &ColumnType) -> u64 {
    match ty {
        ColumnType::Char { chars, .. } => u64::from(*chars),
        ColumnType::Text { chars_max, bytes_max, .. } => chars_max.map_or(*bytes_max, |n| u64::from(n).min(*bytes_max)),
        _ => 0,
    }
}

fn from_bytes(most: u64, fixed: bool, to: &ColumnType) -> Fit {
    let mut misfits = Misfits::default();
    match to {
        ColumnType::Any => {}
        ColumnType::Bytes { bytes_max, fixed: to_fixed } => {
            if fixed && (most > *bytes_max || (*to_fixed && most != *bytes_max)) {
                return Fit::Never(format!("{most} bytes do not fit where {bytes_max} are kept"));
            }
            misfits.add(!fixed && *to_fixed, format!("values of other than {bytes_max} bytes"));
            misfits.add(!fixed && !to_fixed && most.min(UNBOUNDED_BYTES) > *bytes_max, format!("values longer than {bytes_max} bytes"));
        }
        ColumnType::Char { .. } | ColumnType::Text { .. } => {
            misfits.add(true, "bytes that are not UTF-8 text");
            text_into(Words::bounded(None, most, Charset::Unicode), true, to, &mut misfits);
        }
        ColumnType::Enum(_) | ColumnType::Set(_) => misfits.add(true, "bytes other than its labels"),
        ColumnType::Json { .. } => misfits.add(true, "bytes that are not JSON in its shortest form, with sorted keys,"),
        ColumnType::Uuid => misfits.add(true, "bytes that are not the text of a UUID in lower case"),
        _ => return never("bytes", to),
    }
    misfits.fit()
}

fn from_time(from: &ColumnType, to: &ColumnType) -> Fit {
    use ColumnType::*;
    let mut misfits = Misfits::default();
    let chars = match from {
        Date { .. } => DATE_CHARS,
        DateTime { .. } => MOMENT_CHARS,
        _ => TIME_CHARS,
    };
    match (from, to) {
        (_, Any) => {}
        (_, Char { .. } | Text { .. }) => {
            let room = room_chars(to);
            misfits.add(chars > room, format!("some that take more than {room} characters"));
        }
        (Time { fraction, long }, Time { fraction: to_fraction, long: to_long }) => {
            misfits.add(*long && !to_long, "times below zero or above 24 hours");
            finer(*fraction, *to_fraction, &mut misfits);
        }
        (
            Date { zero, span } | DateTime { zero, span, .. },
            Date { zero: to_zero, span: to_span } | DateTime { zero: to_zero, span: to_span, .. },
        ) => {
            match (zero, to_zero) {
                (ZeroDates::No, _) | (_, ZeroDates::Parts) | (ZeroDates::Whole, ZeroDates::Whole) => {}
                (ZeroDates::Parts, ZeroDates::Whole) => misfits.add(true, "dates without a month or day"),
                (_, ZeroDates::No) => misfits.add(true, "zero dates"),
            }
            let first = to_span.from.date;
            let first = if first.has_zero() { "the year 0".into() } else { first.to_string() };
            misfits.add(span.from < to_span.from, format!("dates before {first}"));
            misfits.add(span.to.date > to_span.to.date, format!("dates after {}", to_span.to.date));
            match (from, to) {
                (DateTime { .. }, Date { .. }) => misfits.add(true, "times of day"),
                (DateTime { fraction, .. }, DateTime { fraction: to_fraction, .. }) => finer(*fraction, *to_fraction, &mut misfits),
                _ => {}
            }
        }
        _ => return never(noun(from), to),
    }
    misfits.fit()
}

fn finer(from: u8, to: u8, misfits: &mut Misfits) {
    misfits.add(from > to && to == 0, "fractions of a second");
    misfits.add(from > to && to > 0, format!("fractions of a second of more than {to} digits"));
}
