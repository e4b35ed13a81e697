//! What the ledger writes most of: it is read as it was written, keys sort, and damage is an error.

use super::{Random, samples};
use crate::model::*;

fn stored(key: &Key) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.sortable(key);
    writer.into_bytes()
}

#[test]
fn keys_come_back() {
    let mut random = Random::new(11);
    for _ in 0..20_000 {
        let key = Key((0..random.below(4)).map(|_| samples::value(&mut random)).collect());
        let bytes = stored(&key);
        assert_eq!(Key::from_sortable(&bytes).as_ref(), Ok(&key));
        for cut in 0..bytes.len() {
            assert_ne!(Key::from_sortable(&bytes[..cut]).as_ref(), Ok(&key), "cut at {cut}");
        }
        let mut counted = Writer::new();
        counted.key(&key);
        assert_ne!(counted.as_slice(), bytes, "a key as it stood in earlier formats is not taken for one of now");
    }
}

#[test]
fn keys_sort_as_their_values_do() {
    let mut random = Random::new(12);
    let mut ints: Vec<i64> = vec![0, -1, 1, 127, 128, 255, 256, -255, -256, -257, 65_535, 65_536, i64::MAX, i64::MIN, i64::MIN + 1];
    ints.extend((0..2000).map(|_| (random.next() as i64) >> random.below(64)));
    ints.sort_unstable();
    ints.dedup();
    let keys: Vec<Vec<u8>> = ints.iter().map(|n| stored(&Key(vec![Value::Int(*n)]))).collect();
    assert!(keys.is_sorted());
    let above = stored(&Key(vec![Value::unsigned(u64::MAX)]));
    assert!(keys.last() < Some(&above));
    let pair = |a: i64, b: &str| stored(&Key(vec![Value::Int(a), Value::Text(b.into())]));
    let pairs = [
        pair(-7, "z"),
        pair(2, ""),
        pair(2, "\0"),
        pair(2, "\0\0"),
        pair(2, "\0a"),
        pair(2, "a"),
        pair(2, "ab"),
        pair(2, "b"),
        pair(300, ""),
    ];
    assert!(pairs.is_sorted_by(|a, b| a < b));
    let float = |n: f64| stored(&Key(vec![Value::float(n)]));
    assert!([float(f64::NEG_INFINITY), float(-1.5), float(0.0), float(1e-9), float(2.0)].is_sorted_by(|a, b| a < b));
    let date = |year, month, day| stored(&Key(vec![Value::Date(Date { year, month, day })]));
    assert!([date(-40, 1, 1), date(1999, 12, 31), date(2000, 1, 1), date(2000, 2, 0)].is_sorted_by(|a, b| a < b));
}

#[test]
fn values_come_back_in_no_more_bytes_than_before() {
    let mut random = Random::new(13);
    for _ in 0..20_000 {
        let key = Key((0..random.below(3)).map(|_| samples::value(&mut random)).collect());
        let value = if random.below(4) > 0 || key.0.is_empty() { samples::value(&mut random) } else { random.pick(&key.0).clone() };
        let (mut compact, mut plain) = (Writer::new(), Writer::new());
        compact.compact(&value, &key);
        plain.value(&value);
        assert!(compact.as_slice().len() <= plain.as_slice().len());
        let bytes = [compact.as_slice(), &[7]].concat();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.compact(&key), Ok(value));
        assert_eq!((reader.byte(), reader.end()), (Ok(7), Ok(())));
        assert_eq!(Reader::new(&bytes).skip_compact(), Ok(compact.as_slice()));
        for cut in 0..compact.as_slice().len() {
            assert!(
                Reader::new(&bytes[..cut]).compact(&key).is_err() && Reader::new(&bytes[..cut]).skip_compact().is_err(),
                "cut at {cut}"
            );
        }
    }
    assert_eq!(Reader::new(&[17]).compact(&Key(vec![Value::Null])), Err(Malformed), "a part that the key has not");
    for (n, length) in [(0, 1), (127, 1), (128, 2), (255, 2), (256, 3), (1_767_225_600, 5), (i64::MAX, 9)] {
        let mut w = Writer::new();
        w.compact(&Value::Int(n), &Key(Vec::new()));
        assert_eq!((w.as_slice().len(), Reader::new(w.as_slice()).compact(&Key(Vec::new()))), (length, Ok(Value::Int(n))));
    }
    for bytes in [[0x20; 9].as_slice(), &[0x21, 127], &[0x22, 0, 200], &[0x28, 128, 0, 0, 0, 0, 0, 0, 0], &[0x29; 10], &[0x3f; 40]] {
        assert_eq!(Reader::new(bytes).compact(&Key(Vec::new())), Err(Malformed), "another spelling: {bytes:x?}");
    }
}

#[test]
fn any_bytes_are_survived_and_there_is_one_spelling() {
    let mut random = Random::new(14);
    let mut read = 0;
    for _ in 0..200_000 {
        let mut bytes: Vec<u8> = (0..random.below(12)).map(|_| (random.next() >> 32) as u8 >> *random.pick(&[0, 4, 5])).collect();
        if let Some(first) = bytes.first_mut() {
            *first = 0x41 + (*first & 0x2f);
        }
        let _ = Reader::new(&bytes).compact(&Key(vec![Value::Int(3)]));
        let _ = Reader::new(&bytes).skip_compact();
        if let Ok(key) = Key::from_sortable(&bytes) {
            read += 1;
            // Decimals are read in any spelling.
            if !key.0.iter().any(|part| matches!(part, Value::Decimal(_))) {
                assert_eq!(stored(&key), bytes);
            }
        }
    }
    assert!(read > 1000, "some of them are well-formed: {read}");
}
