//! What reads the log, given any bytes. For tests only.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use mysql_async::binlog::BinlogVersion;
use mysql_async::binlog::events::{Event, FormatDescriptionEvent, TransactionPayloadReader};

use super::connect::Flavor;
use super::events::{RowsData, RowsKind};
use super::groups::Groups;
use super::gtid::{GtidSet, NUMBERS};
use super::image::{Wire, take};
use super::shapes::{Raw, Shape, Shares, marker, next_row};
use crate::model::{
    Charset, Column, ColumnType, LogItem, Position, SiteColumn, SiteId, SiteTable, Span, Special, Table, TableId, Value, ZeroDates,
};
use crate::sites::LogMember;

const HEAD_BYTES: usize = 19;
const FORMAT_DESCRIPTION: u8 = 15;
const STOP: u8 = 3;
const PAYLOAD: u8 = 40;
const UNPACKED_BYTES_MAX: u64 = 1 << 20;

/// A file of the binary log.
pub fn binlog(data: &[u8]) {
    let _ = read(data, &mut check);
}

/// Gives the items of a file to `each`. The error says why it was not read to its end.
fn read(data: &[u8], each: &mut dyn FnMut(&LogItem)) -> Result<(), &'static str> {
    let members = [0, 1].map(|n| member(SiteId(n), Position(String::new())));
    let sets = vec![GtidSet::MySql(BTreeMap::new()), GtidSet::MariaDb(BTreeMap::new())];
    let mut groups = Groups::new(&members, sets, Shares::new(&members, BTreeMap::new()), 0);
    let data = data.strip_prefix(b"\xfebin").unwrap_or(data);
    follow(&mut groups, data, &mut 0, true, each)
}

/// Feeds the events that `data` has, until something is wrong with it. `checksum`: bytes behind each event.
fn follow(
    groups: &mut Groups,
    mut data: &[u8],
    checksum: &mut usize,
    outer: bool,
    each: &mut dyn FnMut(&LogItem),
) -> Result<(), &'static str> {
    while let Some(head) = data.get(..HEAD_BYTES) {
        let size = u32::from_le_bytes([head[9], head[10], head[11], head[12]]) as usize;
        let size = size.clamp(HEAD_BYTES, data.len());
        let (event, rest) = data.split_at(size);
        data = rest;
        if event[4] == FORMAT_DESCRIPTION {
            *checksum = if event.len() > 5 && event[event.len() - 5] == 1 { 4 } else { 0 };
        }
        let footer = if outer && event.len() >= HEAD_BYTES + *checksum { *checksum } else { 0 };
        let event = &event[..event.len() - footer];
        feed(groups, event, each)?;
        if event[4] == PAYLOAD && outer {
            let unpacked = unpack(&event[HEAD_BYTES..]).ok_or("a compressed transaction that can't be unpacked")?;
            follow(groups, &unpacked, checksum, false, each)?;
        }
    }
    Ok(())
}

fn feed(groups: &mut Groups, bytes: &[u8], each: &mut dyn FnMut(&LogItem)) -> Result<(), &'static str> {
    let mut bytes = bytes.to_vec();
    let size = bytes.len() as u32;
    bytes[9..13].copy_from_slice(&size.to_le_bytes());
    // Its content is the driver's business; to us it says that a file begins, as this does.
    if bytes[4] == FORMAT_DESCRIPTION {
        bytes[4] = STOP;
    }
    let plain = FormatDescriptionEvent::new(BinlogVersion::Version4);
    let event = Event::read(&plain, &bytes[..]).map_err(|_| "an event that is no event")?;
    groups.feed(&event, 1_700_000_000_000_000)?;
    while let Some(item) = groups.take()? {
        each(&item);
    }
    Ok(())
}

fn check(item: &LogItem) {
    if let Some(position) = item.position() {
        let flavor = if position.0.contains(':') { Flavor::MySql } else { Flavor::MariaDb };
        let set = GtidSet::parse(flavor, &position.0).expect("a position that is given can be read");
        assert_eq!(set.to_string(), position.0);
    }
    if let LogItem::Transaction(transaction) = item {
        for change in &transaction.changes {
            assert!(change.before.iter().chain(&change.after).all(|image| image.len() == table(change.table.0).table.columns.len()));
        }
    }
}

/// The events of a compressed transaction; the driver does this before we see it.
fn unpack(mut data: &[u8]) -> Option<Vec<u8>> {
    const END: u64 = 0;
    loop {
        let kind = super::events::lenenc(&mut data).ok()? as u64;
        if kind == END {
            break;
        }
        let bytes = super::events::lenenc(&mut data).ok()?;
        data = data.get(bytes..)?;
    }
    let mut out = Vec::new();
    TransactionPayloadReader::new_zstd(data).ok()?.take(UNPACKED_BYTES_MAX).read_to_end(&mut out).ok()?;
    Some(out)
}

/// Row images: a byte for what kind of change, one for the number of columns, for each its type and two bytes that say more of it; then
/// which columns the images have, and the images.
pub fn images(data: &[u8]) {
    let _ = images_read(data);
}

/// How many values were read.
fn images_read(mut data: &[u8]) -> Result<usize, &'static str> {
    let data = &mut data;
    let kind = [RowsKind::Insert, RowsKind::Update, RowsKind::Delete][usize::from(take(data, 1)?[0]) % 3];
    let n = usize::from(take(data, 1)?[0]);
    let columns = take(data, 3 * n)?.chunks(3).map(|three| Wire::new(three[0], [three[1], three[2]])).collect();
    let shape = Shape { map: Vec::new(), columns, readers: Vec::new() };
    let [present, present_after] = [take(data, n.div_ceil(8))?.to_vec(), take(data, n.div_ceil(8))?.to_vec()];
    let rows = RowsData { columns: n, present, present_after, images: data.to_vec() };
    let (mut at, mut values, types) = (0, 0, wide());
    while let Some(row) = next_row(&shape, kind, &rows, &mut at)? {
        for raw in row.before.iter().chain(&row.after) {
            let _ = marker(&shape.columns, raw);
            for (wire, raw) in shape.columns.iter().zip(raw) {
                let Raw::Bytes(bytes) = raw else { continue };
                for (_, ty) in types.iter().filter(|(_, ty)| wire.is(ty)) {
                    let family = ty.family().expect("a type that is replicated");
                    let read = wire.decode(bytes, ty).ok().and_then(|value| crate::model::read(value, ty, family).ok());
                    values += usize::from(read.is_some());
                }
            }
        }
    }
    Ok(values)
}

/// A binary JSON document.
pub fn jsonb(data: &[u8]) {
    if let Ok(text) = super::json::jsonb_text(data) {
        let _ = Value::json(&text);
    }
}

/// A statement in the log.
pub fn statement(data: &[u8]) {
    for line in data.split(|b| *b == b'\n') {
        let _ = super::ddl::act(&String::from_utf8_lossy(line));
    }
    let _ = super::ddl::act(&String::from_utf8_lossy(data));
}

/// Two positions, a line each.
pub fn gtids(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    for flavor in [Flavor::MariaDb, Flavor::MySql] {
        let [a, b] = [lines.next(), lines.next()].map(|line| GtidSet::parse(flavor, line.unwrap_or_default()));
        let (Some(a), Some(b)) = (a, b) else { continue };
        assert_eq!(GtidSet::parse(flavor, &a.to_string()).as_ref(), Some(&a), "a position comes back");
        let common = a.intersect(&b);
        assert_eq!(common, a.intersect(&common));
        assert!(!common.beyond(&a));
        assert!(a.sids().len() <= text.len() && NUMBERS.contains(&1));
    }
}

fn member(site: SiteId, from: Position) -> LogMember {
    let tables = (0..TABLES).map(|id| Arc::new(table(id))).collect();
    LogMember { site, name: "corpus".into(), tables, marker_schema: "corpus".into(), from }
}

const TABLES: u16 = 2;

fn table(id: u16) -> SiteTable {
    if id == 0 { declared(id, "users", users()) } else { declared(id, "wide", wide()) }
}

fn declared(id: u16, name: &str, columns: Vec<(&str, ColumnType)>) -> SiteTable {
    let shared = columns.iter().map(|(name, ty)| Column {
        name: (*name).into(),
        family: ty.family().expect("a type that is replicated"),
        secret: false,
    });
    let table = Table { id: TableId(id), name: name.into(), columns: shared.collect(), key: vec![0], urgent: false };
    let here = columns
        .into_iter()
        .enumerate()
        .map(|(ordinal, (name, ty))| Some(SiteColumn { name: name.into(), ty, ordinal, nullable: true, values: None }));
    SiteTable {
        table: Arc::new(table),
        schema: "corpus".into(),
        name: name.into(),
        columns: here.collect(),
        unique: Vec::new(),
        allocation: None,
        fills: Vec::new(),
    }
}

fn users() -> Vec<(&'static str, ColumnType)> {
    vec![("uid", int(32, true)), ("name", text(Some(60), Charset::Unicode)), ("mail", text(Some(254), Charset::Unicode))]
}

/// As `tests/corpus.rs` makes the table.
fn wide() -> Vec<(&'static str, ColumnType)> {
    let moment = |fraction, zero, span| ColumnType::DateTime { fraction, zero, span };
    vec![
        ("id", int(64, false)),
        ("i8", int(8, false)),
        ("u16", int(16, true)),
        ("i24", int(24, false)),
        ("u64", int(64, true)),
        ("bits", ColumnType::Bit { bits: 20 }),
        ("amount", ColumnType::Decimal { digits: Some((20, 6)) }),
        ("f", ColumnType::Float32(Special::Finite)),
        ("d", ColumnType::Float64(Special::Finite)),
        ("c", ColumnType::Char { chars: 20, charset: Charset::Unicode }),
        ("v", text(Some(300), Charset::Unicode)),
        ("t", text(None, Charset::Unicode)),
        ("latin", text(Some(40), Charset::Latin1)),
        ("b", ColumnType::Bytes { bytes_max: 40, fixed: false }),
        ("bf", ColumnType::Bytes { bytes_max: 4, fixed: true }),
        ("da", ColumnType::Date { zero: ZeroDates::Parts, span: Span::YEARS_0_TO_9999 }),
        ("ti", ColumnType::Time { fraction: 3, long: true }),
        ("dt", moment(6, ZeroDates::Parts, Span::YEARS_0_TO_9999)),
        ("ts", moment(2, ZeroDates::Whole, Span::UNIX_31_BITS)),
        ("y", ColumnType::Year),
        ("e", ColumnType::Enum(vec!["a".into(), "b".into()])),
        ("s", ColumnType::Set(vec!["x".into(), "y".into(), "z".into()])),
        ("j", ColumnType::Json { doubles: false, nul: true }),
    ]
}

fn int(bits: u8, unsigned: bool) -> ColumnType {
    ColumnType::Int { bits, unsigned }
}

fn text(chars_max: Option<u32>, charset: Charset) -> ColumnType {
    ColumnType::Text { chars_max, bytes_max: 65_535, charset }
}

#[cfg(test)]
mod tests {
    use mysql_async::binlog::BinlogChecksumAlg;
    use mysql_async::binlog::events::BinlogEventFooter;

    use super::*;
    use crate::sites::mysql::image::{self, code};
    use crate::sites::mysql::log::is_intact;

    /// The targets see what the servers logged: were it refused at once, damaged copies of it would prove nothing.
    #[test]
    fn the_corpus_is_read_whole() {
        use crate::model::Origin;
        for name in ["mariadb-10.11", "mariadb-11.8", "mysql-9.7", "mysql-9.7-packed"] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/mysql").join(name);
            let (mut changes, mut landings, mut others) = (0, 0, std::collections::BTreeSet::new());
            let mut each = |item: &LogItem| match item {
                LogItem::Transaction(transaction) => {
                    changes += transaction.changes.len();
                    landings += usize::from(transaction.origin != Origin::Local);
                }
                other => others.extend(format!("{other:?}").split(' ').next().map(str::to_owned)),
            };
            read(&std::fs::read(path).unwrap(), &mut each).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(changes >= 24, "{name} has {changes} changes for two members");
            assert_eq!(landings, 2, "{name}");
            assert_eq!(others.into_iter().collect::<Vec<_>>(), ["Alarm", "Altered", "Emptied", "Watermark"], "{name}");
        }
    }

    #[test]
    fn every_value_of_a_row_image_is_read() {
        let seed = include_bytes!("../../../tests/corpus/text/rows1");
        assert!(images_read(seed).unwrap() >= 44, "22 columns of two rows, some as several types");
    }

    #[test]
    fn images_that_are_none_are_refused() {
        let one = |ty: u8, meta: [u8; 2], image: &[u8]| {
            let head = [0, 1, ty, meta[0], meta[1], 1, 1, 0];
            images_read(&[&head[..], image].concat())
        };
        assert_eq!(one(code::LONGLONG, [0, 0], &[1, 0, 0, 0, 0, 0, 0, 0]), Ok(2), "signed and unsigned");
        assert!(one(code::LONGLONG, [0, 0], &[1, 0, 0]).is_err(), "cut short");
        for (ty, meta, image) in [
            (code::TIME2, [200, 0], &[9; 103][..]),
            (code::TIMESTAMP2, [7, 0], &[9; 8]),
            (code::BIT, [0, 255], &[9; 255]),
            (code::BLOB, [9, 0], &[0; 9]),
            (99, [0, 0], &[0; 9]),
        ] {
            assert!(one(ty, meta, image).is_err(), "type {ty}");
        }
        // No column of the table is in the images: rows without end.
        assert!(images_read(&[0, 1, code::LONG, 0, 0, 0, 0, 1]).is_err());
        // Digits above 9.
        assert!(image::decimal(&[0xff, 0xff, 0xff, 0xff], 9, 0).is_err());
    }

    /// The driver gives nothing of a compressed transaction that is damaged: it must not be taken for one that never was.
    #[test]
    fn a_compressed_transaction_without_its_events_is_an_error() {
        let members = [member(SiteId(0), Position(String::new()))];
        let mut groups = Groups::new(&members, vec![GtidSet::MySql(BTreeMap::new())], Shares::new(&members, BTreeMap::new()), 0);
        let event = |code: u8, body: &[u8]| [&[0, 0, 0, 0, code][..], &[0; 14], body].concat();
        let gtid = event(33, &[&[0; 17][..], &7u64.to_le_bytes()].concat());
        assert_eq!(feed(&mut groups, &gtid, &mut |_| {}), Ok(()));
        assert_eq!(feed(&mut groups, &event(PAYLOAD, &[]), &mut |_| {}), Ok(()));
        assert!(feed(&mut groups, &gtid, &mut |_| {}).is_err());
    }

    #[test]
    fn damaged_events_lose_their_checksum() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/mysql/mysql-9.7");
        let file = std::fs::read(path).unwrap();
        let fde = FormatDescriptionEvent::new(BinlogVersion::Version4)
            .with_footer(BinlogEventFooter::new(BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32));
        let (mut at, mut seen) = (4, 0);
        while at + HEAD_BYTES < file.len() {
            let size = u32::from_le_bytes(file[at + 9..at + 13].try_into().unwrap()) as usize;
            let mut bytes = file[at..at + size].to_vec();
            at += size;
            if bytes[4] == FORMAT_DESCRIPTION {
                continue;
            }
            assert!(is_intact(&Event::read(&fde, &bytes[..]).unwrap()));
            bytes[HEAD_BYTES] ^= 4;
            assert!(!is_intact(&Event::read(&fde, &bytes[..]).unwrap()));
            seen += 1;
        }
        assert!(seen > 50, "{seen} events");
    }
}
