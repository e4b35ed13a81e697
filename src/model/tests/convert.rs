//! The law of conversions on random values of every type, and their boundaries in a table.

use super::Random;
use super::samples::{labels, text, types, value};
use crate::model::*;

/// What an engine gives back for a value that it was given in a column's own terms, with the padding that it shows.
fn stored(value: Value, ty: &ColumnType) -> Value {
    use ColumnType as T;
    match (ty, value) {
        (_, Value::Null) => Value::Null,
        (T::Int { .. } | T::Bool | T::Bit { .. } | T::Year, value @ (Value::Int(_) | Value::UInt(_))) => value,
        (T::Decimal { digits }, Value::Decimal(d)) => {
            let scale = digits.map_or(0, |(_, scale)| usize::from(scale));
            let (_, fraction) = d.digits();
            let dot = if fraction == 0 { "." } else { "" };
            let padded = format!("{}{dot}{}", d.as_str(), "0".repeat(scale.saturating_sub(fraction)));
            Value::Decimal(Decimal::parse(&padded).expect("a number"))
        }
        (T::Float32(_), Value::Float(bits)) => Value::float(f64::from(f64::from_bits(bits) as f32)),
        (T::Float64(_), Value::Float(bits)) => Value::float(f64::from_bits(bits)),
        (T::Char { chars, charset }, Value::Text(text)) => {
            let room = (*chars as usize).checked_sub(text.chars().count()).expect("it fits");
            Value::Text(recoded(&text, *charset) + &" ".repeat(room))
        }
        (T::Text { chars_max, bytes_max, charset }, Value::Text(text)) => {
            assert!(chars_max.is_none_or(|max| text.chars().count() <= max as usize) && charset.bytes(&text) <= *bytes_max);
            Value::Text(recoded(&text, *charset))
        }
        (T::Bytes { bytes_max, fixed }, Value::Bytes(mut bytes)) => {
            assert!(bytes.len() as u64 <= *bytes_max);
            if *fixed {
                // As the binlog has it; SELECT shows the zeros.
                bytes.truncate(bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1));
            }
            Value::Bytes(bytes)
        }
        (T::Date { .. }, value @ Value::Date(_)) | (T::Time { .. }, value @ Value::Time(_)) => value,
        (T::DateTime { .. }, value @ Value::DateTime(_)) => value,
        (T::Enum(labels), Value::Text(text)) => Value::Text(labels.iter().find(|l| **l == text).expect("a label").clone()),
        (T::Set(labels), Value::Text(text)) => {
            let held: Vec<_> = labels.iter().filter(|l| text.split(',').any(|part| part == *l)).map(String::as_str).collect();
            Value::Text(held.join(","))
        }
        (T::Uuid, Value::Text(text)) => Value::Text(text.to_lowercase()),
        (T::Json { doubles, nul }, Value::Json(text)) => {
            assert!(*nul || !text.replace("\\\\", "").contains("\\u0000"));
            if text.contains("private::Number") {
                return Value::Json(text); // serde_json takes that key for a number
            }
            let mut json = serde_json::from_str(&text).expect("JSON");
            if *doubles {
                to_doubles(&mut json);
            }
            Value::Json(serde_json::to_string_pretty(&json).expect("JSON"))
        }
        (T::Any, value @ (Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Bytes(_))) => value,
        (ty, value) => panic!("{} is not in the terms of {ty:?}", value.kind()),
    }
}

fn recoded(text: &str, charset: Charset) -> String {
    assert!(text.chars().all(|c| charset.holds(c)));
    let bytes = match charset {
        Charset::Latin1 => text.chars().map(|c| (0..=255).find(|b| charset.decode(&[*b]) == Ok(c.into())).expect("in latin1")).collect(),
        _ => text.as_bytes().to_vec(),
    };
    charset.decode(&bytes).expect("of this charset")
}

fn to_doubles(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::Number(n) if n.as_i64().is_none() && n.as_u64().is_none() => {
            let x = n.to_string().parse().expect("a number");
            *n = serde_json::Number::from_f64(x).expect("finite");
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(to_doubles),
        serde_json::Value::Object(members) => members.values_mut().for_each(to_doubles),
        _ => {}
    }
}

const FAMILIES: [Family; 9] = [
    Family::Integer,
    Family::Decimal,
    Family::Float,
    Family::Text,
    Family::Bytes,
    Family::Date,
    Family::Time,
    Family::DateTime,
    Family::Json,
];

#[test]
fn what_is_written_is_read_back() {
    let mut random = Random::new(1);
    let types = types();
    let mut fitted = vec![0; types.len()];
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3_000 {
        let raw = value(&mut random);
        for family in FAMILIES {
            let Ok(v) = canonical(raw.clone(), family) else { continue };
            if !seen.insert(v.clone()) {
                continue;
            }
            assert_eq!(canonical(v.clone(), family).as_ref(), Ok(&v), "canonical once is canonical: {}", v.reveal());
            for (n, ty) in types.iter().enumerate() {
                let Ok(native) = fit(&v, ty) else { continue };
                fitted[n] += 1;
                let back = read(stored(native, ty), ty, family);
                let shown = back.as_ref().map(Value::reveal);
                assert_eq!(back.as_ref(), Ok(&v), "{family:?} {} in {ty:?} came back as {shown:?}", v.reveal());
            }
        }
    }
    for (ty, count) in types.iter().zip(fitted) {
        assert!(count > 0 || ty.family().is_none(), "no value ever fitted {ty:?}");
    }
}

#[test]
fn canonical_forms_by_family() {
    let ok = |raw: Value, family, wanted: Value| assert_eq!(canonical(raw, family), Ok(wanted));
    let no = |raw: Value, family| assert!(canonical(raw, family).is_err());
    let dec = |text: &str| Value::Decimal(Decimal::parse(text).expect("a number"));
    for family in FAMILIES {
        ok(Value::Null, family, Value::Null);
    }
    ok(Value::UInt(5), Family::Integer, Value::Int(5));
    ok(Value::unsigned(u64::MAX), Family::Integer, Value::UInt(u64::MAX));
    ok(dec("42.00"), Family::Integer, Value::Int(42));
    ok(Value::float(3.0), Family::Integer, Value::Int(3));
    no(dec("42.5"), Family::Integer);
    no(dec("18446744073709551616"), Family::Integer);
    no(dec(&"9".repeat(60)), Family::Integer);
    no(Value::float(f64::INFINITY), Family::Integer);
    no(Value::text("42"), Family::Integer);
    ok(Value::unsigned(u64::MAX), Family::Decimal, dec("18446744073709551615"));
    ok(Value::float(0.1), Family::Decimal, dec("0.1"));
    ok(Value::text("0.1"), Family::Decimal, dec("0.1"));
    no(Value::text("0.10"), Family::Decimal);
    no(Value::float(f64::NAN), Family::Decimal);
    ok(Value::Int(1 << 53), Family::Float, Value::float(9007199254740992.0));
    no(Value::Int((1 << 53) + 1), Family::Float);
    ok(Value::Float((-0.0f64).to_bits()), Family::Float, Value::float(0.0));
    ok(dec("0.1"), Family::Float, Value::float(0.1));
    no(dec("0.10000000000000000001"), Family::Float);
    ok(Value::text("a\0b"), Family::Text, Value::text("a\0b"));
    ok(Value::Bytes("é".into()), Family::Text, Value::text("é"));
    no(Value::Bytes(vec![0xff]), Family::Text);
    no(Value::Int(1), Family::Text);
    ok(Value::Json("{ \"b\":1.0}".into()), Family::Text, Value::text("{\"b\":1}"));
    ok(Value::text("é"), Family::Bytes, Value::Bytes("é".into()));
    no(Value::Int(1), Family::Bytes);
    let day = Date { year: 2020, month: 2, day: 29 };
    ok(Value::DateTime(DateTime { date: day, us: 0 }), Family::Date, Value::Date(day));
    no(Value::DateTime(DateTime { date: day, us: 1 }), Family::Date);
    ok(Value::Date(day), Family::DateTime, Value::DateTime(DateTime { date: day, us: 0 }));
    ok(Value::text("2020-02-29T00:00:00.5"), Family::DateTime, Value::DateTime(DateTime { date: day, us: 500_000 }));
    no(Value::text("2020-2-29"), Family::Date);
    no(Value::Date(Date { year: 2020, month: 13, day: 1 }), Family::Date);
    ok(Value::text("-100:00:00.000001"), Family::Time, Value::Time(-360_000_000_001));
    no(Value::Time(i64::MIN), Family::Time);
    ok(Value::text("[1.0]"), Family::Json, Value::Json("[1]".into()));
    no(Value::text("nope"), Family::Json);
}

#[test]
fn boundaries_type_by_type() {
    let int = |bits, unsigned| ColumnType::Int { bits, unsigned };
    let dec = |text: &str| Value::Decimal(Decimal::parse(text).expect("a number"));
    let date = |year, month, day| Date { year, month, day };
    let at = |date, us| Value::DateTime(DateTime { date, us });
    let char = |chars, charset| ColumnType::Char { chars, charset };
    let zero_day = date(0, 0, 0);
    let timestamp = ColumnType::DateTime { fraction: 0, zero: ZeroDates::Whole, span: Span::UNIX_31_BITS };
    let datetime = ColumnType::DateTime { fraction: 3, zero: ZeroDates::Parts, span: Span::YEARS_0_TO_9999 };
    let timestamptz = ColumnType::DateTime { fraction: 6, zero: ZeroDates::No, span: Span::JULIAN_TIMESTAMPS };
    let my_date = ColumnType::Date { zero: ZeroDates::Parts, span: Span::YEARS_0_TO_9999 };
    let pg_date = ColumnType::Date { zero: ZeroDates::No, span: Span::JULIAN_DATES };
    let time = |fraction, long| ColumnType::Time { fraction, long };
    let json = |doubles, nul| ColumnType::Json { doubles, nul };
    let binary = |bytes_max| ColumnType::Bytes { bytes_max, fixed: true };
    let blob = |bytes_max| ColumnType::Bytes { bytes_max, fixed: false };
    let yes = labels(&["a", "b"]);
    let days = 86_400_000_000;

    // Type, values that fit and are written as they are, values that are refused.
    let rows: Vec<(ColumnType, Vec<Value>, Vec<Value>)> = vec![
        (int(8, false), [-128, 0, 127].map(Value::Int).into(), [-129, 128].map(Value::Int).into()),
        (int(8, true), [0, 255].map(Value::Int).into(), [-1, 256].map(Value::Int).into()),
        (int(16, false), [-32768, 32767].map(Value::Int).into(), [-32769, 32768].map(Value::Int).into()),
        (int(24, false), [-8_388_608, -5, 8_388_607].map(Value::Int).into(), [-8_388_609, 8_388_608].map(Value::Int).into()),
        (int(24, true), [16_777_215].map(Value::Int).into(), [16_777_216, -5].map(Value::Int).into()),
        (int(32, true), [4_294_967_295].map(Value::Int).into(), vec![Value::Int(4_294_967_296)]),
        (int(64, false), [i64::MIN, i64::MAX].map(Value::Int).into(), vec![Value::unsigned(1 << 63), Value::text("1")]),
        (int(64, true), vec![Value::unsigned(u64::MAX), Value::Int(0)], vec![Value::Int(-1), Value::Null].into_iter().take(1).collect()),
        (ColumnType::Bool, [0, 1].map(Value::Int).into(), [-1, 2].map(Value::Int).into()),
        (ColumnType::Bit { bits: 1 }, [0, 1].map(Value::Int).into(), vec![Value::Int(2)]),
        (ColumnType::Bit { bits: 64 }, vec![Value::unsigned(u64::MAX)], vec![Value::Int(-1)]),
        (ColumnType::Year, [0, 1901, 2155].map(Value::Int).into(), [1, 1900, 2156, -1].map(Value::Int).into()),
        (
            ColumnType::Decimal { digits: Some((65, 30)) },
            vec![dec(&format!("-{}.{}", "9".repeat(35), "9".repeat(30))), dec("0"), dec("0.000000000000000000000000000001")],
            vec![dec(&format!("1{}", "0".repeat(35))), dec("0.0000000000000000000000000000001")],
        ),
        (
            ColumnType::Decimal { digits: Some((2, 4)) },
            vec![dec("0.0099"), dec("0")],
            vec![dec("0.01"), dec("0.1"), dec("0.00001"), dec("1")],
        ),
        (ColumnType::Decimal { digits: None }, vec![dec(&"9".repeat(131_072))], vec![dec(&"9".repeat(131_073)), Value::float(f64::NAN)]),
        (
            ColumnType::Float32(Special::Finite),
            vec![Value::float(0.5)],
            vec![Value::float(0.1), Value::float(1e300), Value::float(f64::NAN)],
        ),
        (ColumnType::Float32(Special::Nan), vec![Value::float(f64::NAN), Value::float(f64::NEG_INFINITY)], vec![Value::float(5e-324)]),
        (ColumnType::Float64(Special::Finite), vec![Value::float(5e-324), Value::float(f64::MAX)], vec![Value::float(f64::INFINITY)]),
        (ColumnType::Float64(Special::Infinity), vec![Value::float(f64::INFINITY)], vec![Value::float(f64::NAN)]),
        (
            char(3, Charset::Unicode),
            vec![Value::text(""), Value::text("😀 é")],
            vec![Value::text("a "), Value::text("abcd"), Value::text(" ")],
        ),
        (
            text(Some(60), 240, Charset::Bmp),
            vec![Value::text("中".repeat(60)), Value::text("a\0 ")],
            vec![Value::text("😀"), Value::text("a".repeat(61))],
        ),
        (
            text(None, 3, Charset::Latin1),
            vec![Value::text("€é\u{81}")],
            vec![Value::text("\u{80}"), Value::text("ā"), Value::text("éééé"), Value::text("中")],
        ),
        (text(None, 3, Charset::Ascii), vec![Value::text("\0~ ")], vec![Value::text("é")]),
        (text(None, 4, Charset::Unicode), vec![Value::text("😀")], vec![Value::text("😀a"), Value::Int(1)]),
        (text(None, 1 << 30, Charset::UnicodeNoNul), vec![Value::text("😀 ")], vec![Value::text("a\0b"), Value::Bytes(vec![0xff])]),
        (blob(3), vec![Value::Bytes(vec![]), Value::Bytes(vec![0, 0xff, 0])], vec![Value::Bytes(vec![1; 4]), Value::Int(0)]),
        (binary(3), vec![Value::Bytes(vec![0; 3])], vec![Value::Bytes(vec![1; 2]), Value::Bytes(vec![1; 4])]),
        (
            my_date,
            [zero_day, date(1980, 0, 0), date(0, 1, 1), date(9999, 12, 31)].map(Value::Date).into(),
            [date(2021, 2, 29), date(0, 2, 29), date(-1, 1, 1), date(10_000, 1, 1)].map(Value::Date).into(),
        ),
        (
            pg_date,
            [date(-4712, 11, 24), date(0, 2, 29), date(5_874_897, 12, 31)].map(Value::Date).into(),
            [zero_day, date(1980, 0, 0), date(2021, 2, 29), date(-4712, 11, 23)].map(Value::Date).into(),
        ),
        (
            timestamp,
            vec![at(zero_day, 0), at(date(1970, 1, 1), 1_000_000), at(date(2038, 1, 19), 11_647_000_000)],
            vec![at(date(1970, 1, 1), 0), at(date(2038, 1, 19), 11_648_000_000), at(date(1980, 0, 0), 0), at(date(2020, 1, 1), 500_000)],
        ),
        (
            datetime,
            vec![at(date(9999, 12, 31), days - 1000), at(date(1980, 0, 0), 0), at(zero_day, 0)],
            vec![at(date(2020, 1, 1), 1), at(date(-43, 3, 15), 0)],
        ),
        (
            timestamptz,
            vec![at(date(294_276, 12, 31), days - 1), at(date(-43, 3, 15), 0)],
            vec![at(zero_day, 0), at(date(294_277, 1, 1), 0)],
        ),
        (
            time(0, false),
            vec![Value::Time(0), Value::Time(days)],
            vec![Value::Time(-1_000_000), Value::Time(1), Value::Time(days + 1_000_000)],
        ),
        (time(6, true), vec![Value::Time(-3_020_399_000_000), Value::Time(1)], vec![Value::Time(3_020_399_000_001)]),
        (ColumnType::Enum(yes.clone()), vec![Value::text("b")], vec![Value::text("B"), Value::text(""), Value::text("c"), Value::Int(1)]),
        (ColumnType::Set(yes), ["", "a", "a,b"].map(Value::text).into(), ["b,a", "a,a", "a,", "c", ","].map(Value::text).into()),
        (
            ColumnType::Uuid,
            vec![Value::text("0f8fad5b-d9cb-469f-a165-70867728950e")],
            ["0F8FAD5B-D9CB-469F-A165-70867728950E", "0f8fad5bd9cb469fa16570867728950e", "", "0f8fad5b-d9cb-469f-a165-70867728950g"]
                .map(Value::text)
                .into(),
        ),
        (
            json(true, true),
            ["0.1", "18446744073709551615", "1e300", "\"\\u0000\""].map(|t| Value::Json(t.into())).into(),
            ["18446744073709551616", "0.12345678901234567", "1e400"].map(|t| Value::Json(t.into())).into(),
        ),
        (
            json(false, false),
            ["18446744073709551617", "\"\\\\u0000\""].map(|t| Value::Json(t.into())).into(),
            ["\"\\u0000\"", "{\"\\u0000\":1}"].map(|t| Value::Json(t.into())).into(),
        ),
        (
            ColumnType::Any,
            vec![Value::Int(i64::MIN), Value::float(0.1), Value::text("a\0"), Value::Bytes(vec![0xff])],
            vec![Value::unsigned(u64::MAX), Value::float(f64::NAN)],
        ),
        (ColumnType::Unsupported("point".into()), vec![], vec![Value::Int(1), Value::text("")]),
    ];
    for (ty, good, bad) in rows {
        assert_eq!(fit(&Value::Null, &ty), Ok(Value::Null));
        for value in good {
            assert_eq!(fit(&value, &ty), Ok(value.clone()), "{} in {ty:?}", value.reveal());
        }
        for value in bad {
            assert!(fit(&value, &ty).is_err(), "{} must not fit {ty:?}", value.reveal());
        }
    }
}

#[test]
fn values_are_written_in_the_columns_own_terms() {
    let dec = |text: &str| Value::Decimal(Decimal::parse(text).expect("a number"));
    let long = text(None, 1 << 30, Charset::UnicodeNoNul);
    let rows = [
        (Value::Int(7), ColumnType::Decimal { digits: Some((10, 0)) }, dec("7")),
        (Value::unsigned(u64::MAX), ColumnType::Decimal { digits: None }, dec("18446744073709551615")),
        (dec("7"), ColumnType::Int { bits: 32, unsigned: false }, Value::Int(7)),
        (Value::Int(7), ColumnType::Float64(Special::Finite), Value::float(7.0)),
        (Value::float(7.0), ColumnType::Bit { bits: 8 }, Value::Int(7)),
        (Value::text("é"), ColumnType::Bytes { bytes_max: 9, fixed: false }, Value::Bytes("é".into())),
        (Value::Bytes("é".into()), long.clone(), Value::text("é")),
        (Value::Json("[1]".into()), long.clone(), Value::text("[1]")),
        (Value::text("[1]"), ColumnType::Json { doubles: true, nul: true }, Value::Json("[1]".into())),
        (Value::Bytes("b".into()), ColumnType::Enum(labels(&["a", "b"])), Value::text("b")),
        (Value::Date(Date { year: -43, month: 3, day: 15 }), long.clone(), Value::text("-043-03-15")),
        (Value::Time(-1), ColumnType::Any, Value::text("-00:00:00.000001")),
        (dec("0.10"), ColumnType::Any, Value::text("0.1")),
    ];
    for (value, ty, wanted) in rows {
        let got = fit(&value, &ty);
        assert_eq!(got, Ok(wanted), "{} in {ty:?}", value.reveal());
    }
}

#[test]
fn latin1_has_all_256_bytes() {
    let all: Vec<u8> = (0..=255).collect();
    let text = Charset::Latin1.decode(&all).expect("any byte is latin1");
    assert!(text.chars().all(|c| Charset::Latin1.holds(c)));
    assert_eq!(text.chars().collect::<std::collections::HashSet<_>>().len(), 256);
    assert_eq!((0..=0x10_ffff).filter_map(char::from_u32).filter(|c| Charset::Latin1.holds(*c)).count(), 256);
    assert_eq!(Charset::Latin1.decode(&[0x80, 0x81, 0x9f, 0xe9]).as_deref(), Ok("€\u{81}Ÿé"));
    assert!(Charset::Unicode.decode(&[0xff]).is_err() && Charset::Ascii.decode(&[0x80]).is_err());
}
