//! The encoding of values, keys and markers: what is written is read, and damage is an error, never a panic.

use super::{Random, samples};
use crate::model::*;

#[test]
fn values_and_keys_come_back() {
    let mut random = Random::new(3);
    for _ in 0..20_000 {
        let key = Key((0..random.below(4)).map(|_| samples::value(&mut random)).collect());
        let mut writer = Writer::new();
        writer.key(&key);
        writer.value(&Value::Null);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.key().as_ref(), Ok(&key));
        assert_eq!(reader.value(), Ok(Value::Null));
        assert_eq!(reader.end(), Ok(()));
        for cut in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..cut]);
            assert!(reader.key().and_then(|_| reader.value()).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn integers_come_back() {
    for n in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN] {
        let mut writer = Writer::new();
        writer.int(n);
        writer.uint(n as u64);
        writer.u64(n as u64);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.int(), reader.uint(), reader.u64(), reader.end()), (Ok(n), Ok(n as u64), Ok(n as u64), Ok(())));
    }
    assert_eq!(Reader::new(&[0xff; 10]).uint(), Err(Malformed), "more than 64 bits");
    assert_eq!(Reader::new(&[0xff; 9]).uint(), Err(Malformed), "cut off");
}

#[test]
fn any_bytes_are_survived() {
    let mut random = Random::new(4);
    let mut read = 0;
    for _ in 0..200_000 {
        let bytes: Vec<u8> = (0..random.below(40)).map(|_| (random.next() >> 32) as u8 >> *random.pick(&[0, 4, 5])).collect();
        read += usize::from(Reader::new(&bytes).value().is_ok());
        read += usize::from(Reader::new(&bytes).key().is_ok());
        let mut marker = vec![1];
        marker.extend(bytes);
        let _ = Payload::decode(&marker);
        let _ = Payload::decode(&marker[1..]);
    }
    assert!(read > 1000, "some of them are well-formed");
}

#[test]
fn what_is_read_is_canonical() {
    let decimal = |text: &str| {
        let mut bytes = vec![4, text.len() as u8];
        bytes.extend(text.bytes());
        Reader::new(&bytes).value()
    };
    assert_eq!(decimal("1.50"), Ok(Value::Decimal(Decimal::parse("1.5").expect("a number"))));
    assert_eq!(decimal("x"), Err(Malformed));
    assert_eq!(Reader::new(&[2, 5]).value(), Ok(Value::Int(5)), "a small unsigned number");
    assert_eq!(Reader::new(&[5, 1, 0xff]).value(), Err(Malformed), "text that is not UTF-8");
}

#[test]
fn equal_fingerprints_for_equal_values_only() {
    let mut random = Random::new(5);
    let mut seen = std::collections::HashMap::new();
    for _ in 0..20_000 {
        let value = samples::value(&mut random);
        let other = seen.entry(fingerprint(&value)).or_insert_with(|| value.clone());
        assert_eq!(*other, value);
    }
}

fn payload(random: &mut Random) -> Payload {
    let rows = (0..random.below(4)).map(|_| SentRow {
        table: TableId(random.next() as u16),
        key: Key((0..random.below(3)).map(|_| samples::value(random)).collect()),
        kind: *random.pick(&[WriteKind::Insert, WriteKind::Replace, WriteKind::Columns, WriteKind::Delete]),
        life: Life(random.next() as u32),
        columns: (0..random.below(4))
            .map(|_| {
                let dot = Dot { site: SiteId(random.next() as u16), counter: random.next() };
                (random.next() as u16, dot, Fingerprint(random.next()))
            })
            .collect(),
    });
    Payload { rows: rows.collect(), ledger: random.next() }
}

#[test]
fn markers_come_back_and_damage_is_seen() {
    let mut random = Random::new(6);
    for _ in 0..5_000 {
        let payload = payload(&mut random);
        let mut bytes = payload.encode();
        assert_eq!(Payload::decode(&bytes).as_ref(), Ok(&payload));
        for cut in 0..bytes.len() {
            assert!(Payload::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        bytes.push(0);
        assert_eq!(Payload::decode(&bytes), Err(Malformed), "a byte too many");
        bytes.pop();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        let _ = Payload::decode(&bytes);
        bytes[0] = 2;
        assert_eq!(Payload::decode(&bytes), Err(Malformed), "another format");
    }
}

#[test]
fn marker_letters_come_back() {
    for kind in [MarkerKind::Batch, MarkerKind::Watermark, MarkerKind::Tombstone] {
        assert_eq!(MarkerKind::from_letter(kind.letter()), Some(kind));
    }
    assert_eq!(MarkerKind::from_letter("x"), None);
}
