//! Types of every kind with narrow and wide limits, and values that crowd around their boundaries.

use super::Random;
use crate::model::*;

pub fn labels(list: &[&str]) -> Vec<String> {
    list.iter().map(|l| l.to_string()).collect()
}

pub fn text(chars_max: Option<u32>, bytes_max: u64, charset: Charset) -> ColumnType {
    ColumnType::Text { chars_max, bytes_max, charset }
}

pub fn types() -> Vec<ColumnType> {
    use ColumnType::*;
    let mut all = vec![Bool, Year, Uuid, Any, Unsupported("geometry".into())];
    for bits in [8, 16, 24, 32, 64] {
        all.extend([Int { bits, unsigned: false }, Int { bits, unsigned: true }]);
    }
    all.extend([1, 7, 8, 63, 64].map(|bits| Bit { bits }));
    all.extend(
        [None, Some((10, 0)), Some((5, 2)), Some((15, 3)), Some((65, 30)), Some((3, 3)), Some((2, 4)), Some((20, 0)), Some((38, 38))]
            .map(|digits| Decimal { digits }),
    );
    all.extend([Special::Finite, Special::Infinity, Special::Nan].map(Float32));
    all.extend([Special::Finite, Special::Infinity, Special::Nan].map(Float64));
    for charset in [Charset::Unicode, Charset::UnicodeNoNul, Charset::Bmp, Charset::Latin1, Charset::Ascii] {
        all.extend([1, 4, 36, 255].map(|chars| Char { chars, charset }));
        all.extend([
            text(Some(3), u64::MAX, charset),
            text(Some(60), 240, charset),
            text(None, 5, charset),
            text(None, 10, charset),
            text(Some(30), 65_535, charset),
            text(None, (1 << 30) - 1, charset),
            text(None, u64::from(u32::MAX), charset),
        ]);
    }
    for fixed in [false, true] {
        all.extend([0, 3, 4, 16].map(|bytes_max| Bytes { bytes_max, fixed }));
    }
    all.extend([65_535, u64::from(u32::MAX)].map(|bytes_max| Bytes { bytes_max, fixed: false }));
    let spans = [Span::YEARS_0_TO_9999, Span::UNIX_31_BITS, Span::UNIX_32_BITS, Span::JULIAN_DATES, Span::JULIAN_TIMESTAMPS];
    for span in spans {
        let zeros: &[ZeroDates] = match span {
            Span::JULIAN_DATES | Span::JULIAN_TIMESTAMPS => &[ZeroDates::No],
            Span::YEARS_0_TO_9999 => &[ZeroDates::Parts],
            _ => &[ZeroDates::No, ZeroDates::Whole],
        };
        for &zero in zeros {
            all.push(Date { zero, span });
            all.extend([0, 3, 6].map(|fraction| DateTime { fraction, zero, span }));
        }
    }
    for long in [false, true] {
        all.extend([0, 2, 6].map(|fraction| Time { fraction, long }));
    }
    all.extend([
        Enum(labels(&["a", "b", "", "€"])),
        Enum(labels(&["a", "b"])),
        Enum(labels(&["1", "null", "\"x\"", "b "])),
        Enum(vec!["x".repeat(70)]),
        Set(labels(&["a", "b", "c"])),
        Set(labels(&["c", "b", "a"])),
        Set(labels(&["a", "c"])),
        Set(labels(&["a", "é"])),
    ]);
    for doubles in [false, true] {
        all.extend([false, true].map(|nul| Json { doubles, nul }));
    }
    all
}

/// A raw value as some reader might give it, canonical or not.
pub fn value(random: &mut Random) -> Value {
    match random.below(16) {
        0..=2 => near_power(random),
        3..=4 => Value::Decimal(decimal(random)),
        5..=6 => Value::float(float(random)),
        7..=9 => Value::Text(words(random)),
        10 => Value::Bytes((0..random.below(20)).map(|_| *random.pick(&[0, 1, b'a', b'b', 0x80, 0xc3, 0xa9, 0xff])).collect()),
        11 => Value::Bytes(words(random).into_bytes()),
        12 => Value::Date(date(random)),
        13 => Value::Time(time(random)),
        14 => Value::DateTime(DateTime { date: date(random), us: *random.pick(&[0, 1, 1_000, 1_000_000, 11_647_999_999, 86_399_999_999]) }),
        _ => Value::json(&json(random, 0)).expect("it is JSON"),
    }
}

fn near_power(random: &mut Random) -> Value {
    let power = match random.below(4) {
        0 => i128::from(random.below(2200) as u64),
        1 => 10i128.pow(random.below(20) as u32),
        _ => 1i128 << random.below(65),
    };
    let sign = if random.below(2) == 0 { 1 } else { -1 };
    let n = sign * power + random.below(3) as i128 - 1;
    match (i64::try_from(n), u64::try_from(n)) {
        (Ok(n), _) => Value::Int(n),
        (_, Ok(n)) => Value::unsigned(n),
        _ => Value::Int(i64::MIN),
    }
}

fn digits(random: &mut Random, most: usize) -> String {
    (0..random.below(most + 1)).map(|_| *random.pick(&['0', '0', '1', '5', '9', '9'])).collect()
}

fn decimal(random: &mut Random) -> Decimal {
    let most = *random.pick(&[1, 2, 3, 8, 16, 36]);
    let sign = *random.pick(&["", "", "-"]);
    let scale = *random.pick(&[0, 0, 2, 4, 12, 31]);
    let plain = format!("{sign}{}.{}", digits(random, most), digits(random, scale));
    Decimal::parse(&plain).unwrap_or(Decimal::integer(random.next() as i64))
}

fn float(random: &mut Random) -> f64 {
    match random.below(8) {
        0 => *random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, 5e-324, -0.0]),
        1 => f64::from_bits(random.next()),
        2 => f64::from(f32::from_bits(random.next() as u32)),
        3 => random.below(1000) as f64 / 100.0,
        4 => (1u64 << random.below(64)) as f64,
        5 => random.below(3000) as f64,
        6 => f64::from(random.below(1000) as f32 / 8.0),
        _ => -(random.below(100) as f64) / 7.0,
    }
}

fn words(random: &mut Random) -> String {
    const CHARS: [char; 17] = ['a', 'b', 'c', 'Z', ' ', 'é', '€', '\u{81}', '\u{80}', '中', '\u{ffff}', '😀', '\0', '"', ',', '\\', '7'];
    const FIXED: [&str; 18] = [
        "",
        "a,b",
        "a,c",
        "c,b,a",
        "b ",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "0F8FAD5B-D9CB-469F-A165-70867728950E",
        "{\"a\":1}",
        "{\"b\":1,\"a\":2}",
        "1e2",
        "12.50",
        "-12.5",
        "2020-02-29",
        "2020-02-30",
        "1980-00-00",
        "2020-02-29 12:00:00.5",
        "-838:59:59",
        "null",
    ];
    match random.below(5) {
        0 => random.pick(&FIXED).to_string(),
        1 => random.pick(&['x', 'é', '😀']).to_string().repeat(*random.pick(&[3, 4, 30, 36, 60, 61, 70, 240, 256])),
        _ => (0..random.below(8)).map(|_| *random.pick(&CHARS)).collect(),
    }
}

fn date(random: &mut Random) -> Date {
    let year = match random.below(4) {
        0 => *random.pick(&[0, -4712, -4713, -44, 9999, 10_000, 294_276, 294_277, 5_874_897, 5_874_898]),
        1 => *random.pick(&[1969, 1970, 2038, 2039, 2106, 2107]),
        _ => random.below(3000) as i32,
    };
    let month = *random.pick(&[0, 1, 2, 2, 4, 11, 12, 13]);
    let day = *random.pick(&[0, 1, 7, 19, 23, 24, 28, 29, 30, 31, 32]);
    if random.below(12) == 0 { Date { year: 0, month: 0, day: 0 } } else { Date { year, month, day } }
}

fn time(random: &mut Random) -> i64 {
    const MAX: i64 = 3_020_399_000_000;
    match random.below(3) {
        0 => *random.pick(&[0, -1, 1, 10_000, 86_399_999_999, 86_400_000_000, 86_400_000_001, MAX, MAX + 1, -MAX, -MAX - 1, i64::MIN]),
        1 => random.below(86_400) as i64 * 1_000_000,
        _ => random.next() as i64 % (2 * MAX),
    }
}

pub fn json(random: &mut Random, depth: usize) -> String {
    const LEAVES: [&str; 22] = [
        "null",
        "true",
        "0",
        "-0",
        "-0.0",
        "1",
        "1.0",
        "1.50",
        "1e2",
        "1E-2",
        "100",
        "0.1",
        "1e300",
        "1e-300",
        "5e-324",
        "1e400",
        "\"\"",
        "\"\\u0000\"",
        "\"\\\\u0000\"",
        "\"\\u00e9\\/\"",
        "\"😀\\ud83d\\ude00\"",
        "12345678901234567890123",
    ];
    let kind = if depth > 3 { 0 } else { random.below(5) };
    match kind {
        3 => format!("[{}]", (0..random.below(3)).map(|_| json(random, depth + 1)).collect::<Vec<_>>().join(" , ")),
        4 => {
            let members = (0..random.below(4)).map(|_| {
                let key = *random.pick(&["a", "b", "é", "", "\\u0061", "\\u0000", "$serde_json::private::Number"]);
                format!("\"{key}\" : {}", json(random, depth + 1))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        2 => format!("{}{}.{}e{}", random.pick(&["", "-"]), random.next(), random.below(1_000_000), random.below(700) as i64 - 350),
        _ => random.pick(&LEAVES).to_string(),
    }
}
