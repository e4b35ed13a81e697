//! `check`'s answers about types, held against what fits really do.

use super::Random;
use super::samples::{labels, text, types, value};
use crate::model::*;

#[test]
fn always_and_never_mean_it() {
    let mut random = Random::new(2);
    let types = types();
    let verdicts: Vec<Vec<Fit>> = types.iter().map(|from| types.iter().map(|to| compare_types(from, to)).collect()).collect();
    for _ in 0..2_000 {
        let raw = value(&mut random);
        for (from, verdicts) in types.iter().zip(&verdicts) {
            let Some(family) = from.family() else { continue };
            let Ok(held) = canonical(raw.clone(), family).and_then(|v| fit(&v, from)) else { continue };
            let Ok(v) = read(held, from, family) else { panic!("{} in {from:?}", raw.reveal()) };
            for (to, verdict) in types.iter().zip(verdicts) {
                let fits = fit(&v, to);
                let nul = matches!(&v, Value::Text(t) if t.contains('\0'));
                match verdict {
                    Fit::Always if !nul => assert!(fits.is_ok(), "always {from:?} -> {to:?}, but not {}: {fits:?}", v.reveal()),
                    Fit::Never(_) => assert!(fits.is_err(), "never {from:?} -> {to:?}, but {}", v.reveal()),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn a_type_fits_itself() {
    for ty in types() {
        let wanted = ty.family().is_some();
        assert_eq!(compare_types(&ty, &ty) == Fit::Always, wanted, "{ty:?}: {:?}", compare_types(&ty, &ty));
    }
}

#[test]
fn answers_read_well() {
    use ColumnType::*;
    let int = |bits, unsigned| Int { bits, unsigned };
    let some = |reason: &str| Fit::Sometimes(reason.into());
    let never = |reason: &str| Fit::Never(reason.into());
    let varchar = |chars| text(Some(chars), u64::from(chars) * 4, Charset::Unicode);
    let pg_text = text(None, (1 << 30) - 1, Charset::UnicodeNoNul);
    let long_text = text(None, u64::from(u32::MAX), Charset::Unicode);
    let long_blob = Bytes { bytes_max: u64::from(u32::MAX), fixed: false };
    let bytea = Bytes { bytes_max: (1 << 30) - 1, fixed: false };
    let my_datetime = DateTime { fraction: 0, zero: ZeroDates::Parts, span: Span::YEARS_0_TO_9999 };
    let pg_timestamp = DateTime { fraction: 6, zero: ZeroDates::No, span: Span::JULIAN_TIMESTAMPS };
    let pg_varchar = text(Some(60), (1 << 30) - 1, Charset::UnicodeNoNul);
    let decimal = |all, scale| Decimal { digits: Some((all, scale)) };
    let my_json = Json { doubles: true, nul: true };
    let jsonb = Json { doubles: false, nul: false };
    let rows = [
        (int(32, true), int(64, false), Fit::Always),
        (int(64, false), int(32, true), some("negative values and values above 4294967295 do not fit")),
        (int(64, true), int(64, false), some("values above 9223372036854775807 do not fit")),
        (int(64, false), int(32, false), some("values below -2147483648 and values above 2147483647 do not fit")),
        (int(8, false), int(16, false), Fit::Always),
        (int(8, false), Bool, some("negative values and values above 1 do not fit")),
        (Bool, int(8, false), Fit::Always),
        (Bit { bits: 64 }, int(64, true), Fit::Always),
        (int(32, false), Year, some("numbers other than 0 and 1901 to 2155 do not fit")),
        (int(32, true), decimal(10, 0), Fit::Always),
        (int(64, true), Decimal { digits: None }, Fit::Always),
        (int(64, false), Float64(Special::Finite), some("numbers beyond 9007199254740992 that are not exact in floating point do not fit")),
        (int(32, false), pg_text.clone(), never("whole numbers can't be kept as text without loss")),
        (decimal(10, 2), decimal(8, 3), some("numbers of more than 5 digits before the point do not fit")),
        (
            Decimal { digits: None },
            decimal(65, 30),
            some("numbers of more than 35 digits before the point and numbers of more than 30 digits after the point do not fit"),
        ),
        (decimal(10, 0), int(32, true), some("negative values and values above 4294967295 do not fit")),
        (decimal(10, 2), Float64(Special::Finite), Fit::Always),
        (Float64(Special::Nan), Float64(Special::Finite), some("infinity and NaN do not fit")),
        (Float32(Special::Finite), Float64(Special::Nan), Fit::Always),
        (varchar(60), pg_varchar.clone(), Fit::Always),
        (varchar(255), pg_varchar, some("texts longer than 60 characters do not fit")),
        (varchar(60), text(Some(60), 60, Charset::Latin1), some("characters that latin1 does not have do not fit")),
        (varchar(60), Char { chars: 60, charset: Charset::Unicode }, some("texts that end with a space do not fit")),
        (long_text.clone(), pg_text.clone(), Fit::Always),
        (
            pg_text.clone(),
            text(None, 65_535, Charset::Bmp),
            some("characters above U+FFFF (emoji) and texts longer than 65535 bytes do not fit"),
        ),
        (long_blob.clone(), bytea.clone(), Fit::Always),
        (long_blob.clone(), pg_text.clone(), some("bytes that are not UTF-8 text do not fit")),
        (long_text, bytea, Fit::Always),
        (Bytes { bytes_max: 16, fixed: true }, long_blob, Fit::Always),
        (Bytes { bytes_max: 16, fixed: true }, Bytes { bytes_max: 8, fixed: false }, never("16 bytes do not fit where 8 are kept")),
        (my_datetime.clone(), pg_timestamp.clone(), some("zero dates do not fit")),
        (pg_timestamp, my_datetime, some("dates before the year 0, dates after 9999-12-31 and fractions of a second do not fit")),
        (
            Time { fraction: 6, long: true },
            Time { fraction: 3, long: false },
            some("times below zero or above 24 hours and fractions of a second of more than 3 digits do not fit"),
        ),
        (Enum(labels(&["a", "b"])), varchar(1), Fit::Always),
        (Enum(labels(&["a", "b"])), Enum(labels(&["b", "c"])), some("the label `a` does not fit")),
        (Enum(labels(&["a", "b"])), int(8, false), never("none of its labels fits: a value of another kind than the column's")),
        (varchar(1), Enum(labels(&["a", "b"])), some("texts other than its labels do not fit")),
        (Set(labels(&["a", "b"])), Set(labels(&["b", "a"])), some("sets whose labels the other column has in another order do not fit")),
        (Set(labels(&["a", "b"])), Set(labels(&["a", "c"])), some("sets with `b` do not fit")),
        (my_json.clone(), jsonb.clone(), some("strings with a NUL character do not fit")),
        (jsonb, my_json, some("numbers that are neither 64-bit integers nor doubles do not fit")),
        (Uuid, varchar(36), Fit::Always),
        (varchar(36), Uuid, some("texts that are not UUIDs in lower case do not fit")),
        (Unsupported("geometry".into()), pg_text, never("geometry has no lossless form")),
    ];
    for (from, to, wanted) in rows {
        assert_eq!(compare_types(&from, &to), wanted, "{from:?} -> {to:?}");
    }
}
