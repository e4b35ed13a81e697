//! What reads the log, given any bytes. For tests only.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use mysql_async::binlog::BinlogVersion;
use mysql_async::binlog::events::{Event, FormatDescriptionEvent, TransactionPayloadReader};

use super::connect::Flavor;
use super::groups::Groups;
use super::gtid::{GtidSet, NUMBERS};
use super::shapes::Shares;
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
