//! What reads the log, given any bytes. For tests only.

use std::collections::HashMap;
use std::future::Future;
use std::io::Cursor;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::assembly::{Assembly, Declared, DeclaredColumn};
use super::pgoutput::{self, Lsn};
use super::replication::{Frame, Replication};
use super::values::{self, decode, encode};
use crate::model::{Charset, Column, ColumnType, LogItem, SiteColumn, SiteId, SiteTable, Span, Special, Table, TableId, ZeroDates};

/// Messages of the plugin, each behind its length in four bytes.
pub fn messages(data: &[u8]) {
    items(data, &mut check);
}

/// Gives the items of all messages to `each`; how many messages were refused.
fn items(mut data: &[u8], each: &mut dyn FnMut(&LogItem)) -> usize {
    let mut refused = 0;
    let mut assembly = assembly();
    while let Some((head, rest)) = data.split_at_checked(4) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (message, rest) = rest.split_at(length.min(rest.len()));
        data = rest;
        let taken =
            pgoutput::decode(Bytes::copy_from_slice(message)).map_err(|_| "no message").and_then(|message| assembly.message(message));
        while let Some(item) = assembly.pop() {
            each(&item);
        }
        if taken.is_err() {
            refused += 1;
            assembly = self::assembly();
        }
    }
    refused
}

fn check(item: &LogItem) {
    if let Some(position) = item.position() {
        assert!(Lsn::parse(&position.0).is_some(), "a position that is given can be read");
    }
    if let LogItem::Transaction(transaction) = item {
        assert!(transaction.committed_us >= 0);
        for change in &transaction.changes {
            assert!(change.before.iter().chain(&change.after).all(|image| image.len() == columns(change.table.0).len()));
        }
    }
}

/// What a server sends on a connection.
pub fn stream(data: &[u8]) {
    let mut input = Vec::with_capacity(data.len() * 2);
    let mut rest = data;
    // Messages as in a corpus of the plugin's, framed; what is not of their form goes as it is.
    while let Some((head, tail)) = rest.split_at_checked(4) {
        let length = (u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize).min(tail.len());
        input.push(b'd');
        input.extend((length as u32 + 29).to_be_bytes());
        input.push(b'w');
        input.extend([0; 24]);
        input.extend(&tail[..length]);
        rest = &tail[length..];
    }
    read(&input);
    read(data);
}

fn read(bytes: &[u8]) {
    let stream = Box::new(Cursor::new(bytes.to_vec()));
    let mut session = Replication::over("corpus", stream);
    loop {
        let mut frames = Box::pin(session.read_frames());
        // It has all its bytes, and never waits.
        match frames.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(frames)) => frames.into_iter().for_each(|frame| {
                if let Frame::Data(bytes) = frame {
                    let _ = pgoutput::decode(bytes);
                }
            }),
            Poll::Ready(Err(error)) => {
                let _ = error.to_string();
                return;
            }
            Poll::Pending => unreachable!("bytes in memory are there at once"),
        }
    }
}

/// The text of values, a line each, read as every type.
pub fn values(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines() {
        for (_, _, ty) in wide() {
            let Ok(value) = decode(line, &ty) else { continue };
            let _ = encode(&value, &ty);
            let _ = values::typed(&value);
            if let (Ok(fitted), Some(family)) = (crate::model::fit(&value, &ty), ty.family()) {
                assert!(crate::model::read(fitted, &ty, family).is_ok(), "what fits can be read back");
            }
        }
        let _ = Lsn::parse(line);
    }
}

fn assembly() -> Assembly {
    let tables: Vec<Arc<SiteTable>> = ["users", "wide"].iter().enumerate().map(|(id, name)| Arc::new(table(id as u16, name))).collect();
    let mut declared = Declared::new();
    for (id, table) in tables.iter().enumerate() {
        let known =
            columns(id as u16).into_iter().map(|(name, type_oid, _)| (name.to_owned(), DeclaredColumn { type_oid, generated: false }));
        declared.insert((table.schema.clone(), table.name.clone()), known.collect::<HashMap<_, _>>());
    }
    Assembly::new(SiteId(1), tables, "public".into(), declared, Lsn(1))
}

fn table(id: u16, name: &str) -> SiteTable {
    let shared = columns(id).into_iter().map(|(name, _, ty)| Column {
        name: name.into(),
        family: ty.family().expect("a type that is replicated"),
        secret: false,
    });
    let table = Table { id: TableId(id), name: name.into(), columns: shared.collect(), key: vec![0], urgent: false };
    let here = columns(id)
        .into_iter()
        .enumerate()
        .map(|(ordinal, (name, _, ty))| Some(SiteColumn { name: name.into(), ty, ordinal, nullable: true, values: None }));
    SiteTable {
        table: Arc::new(table),
        schema: "public".into(),
        name: name.into(),
        columns: here.collect(),
        unique: Vec::new(),
        allocation: None,
        fills: Vec::new(),
    }
}

/// Name, number of the type, and type.
type Declaration = (&'static str, u32, ColumnType);

fn columns(id: u16) -> Vec<Declaration> {
    match id {
        0 => vec![("uid", 23, int(32)), ("name", 1043, text(Some(60))), ("mail", 1043, text(Some(254)))],
        _ => wide(),
    }
}

/// As `tests/corpus.rs` makes the table.
fn wide() -> Vec<Declaration> {
    let moment = ColumnType::DateTime { fraction: 6, zero: ZeroDates::No, span: Span::JULIAN_TIMESTAMPS };
    vec![
        ("id", 20, int(64)),
        ("ok", 16, ColumnType::Bool),
        ("i16", 21, int(16)),
        ("n", 1700, ColumnType::Decimal { digits: Some((20, 6)) }),
        ("f", 700, ColumnType::Float32(Special::Nan)),
        ("d", 701, ColumnType::Float64(Special::Nan)),
        ("c", 1042, ColumnType::Char { chars: 20, charset: Charset::UnicodeNoNul }),
        ("t", 25, text(None)),
        ("b", 17, ColumnType::Bytes { bytes_max: 1 << 30, fixed: false }),
        ("da", 1082, ColumnType::Date { zero: ZeroDates::No, span: Span::JULIAN_DATES }),
        ("ti", 1083, ColumnType::Time { fraction: 6, long: false }),
        ("dt", 1114, moment.clone()),
        ("tz", 1184, moment),
        ("u", 2950, ColumnType::Uuid),
        ("j", 3802, ColumnType::Json { doubles: false, nul: false }),
        ("bits", 1560, ColumnType::Bit { bits: 20 }),
    ]
}

fn int(bits: u8) -> ColumnType {
    ColumnType::Int { bits, unsigned: false }
}

fn text(chars_max: Option<u32>) -> ColumnType {
    ColumnType::Text { chars_max, bytes_max: 1 << 30, charset: Charset::UnicodeNoNul }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    #[test]
    fn every_value_of_the_corpus_is_of_some_type() {
        let accepted = |line: &str| wide().iter().filter(|(_, _, ty)| decode(line, ty).is_ok_and(|value| value != Value::Null)).count();
        let text = include_str!("../../../tests/corpus/text/values");
        assert!(text.lines().all(|line| accepted(line) > 1), "each is text, and something else");
    }

    /// The targets see what the servers sent: were it refused at once, damaged copies of it would prove nothing.
    #[test]
    fn the_corpus_is_read_whole() {
        use crate::model::Origin;
        for name in ["postgres-15", "postgres-18"] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/postgres").join(name);
            let (mut changes, mut landings, mut others) = (0, 0, std::collections::BTreeSet::new());
            let mut each = |item: &LogItem| match item {
                LogItem::Transaction(transaction) => {
                    changes += transaction.changes.len();
                    landings += usize::from(transaction.origin != Origin::Local);
                }
                other => others.extend(format!("{other:?}").split(' ').next().map(str::to_owned)),
            };
            assert_eq!(items(&std::fs::read(path).unwrap(), &mut each), 0, "{name}");
            assert!(changes >= 12, "{name} has {changes} changes");
            assert_eq!(landings, 1, "{name}");
            assert_eq!(others.into_iter().collect::<Vec<_>>(), ["Emptied", "Watermark"], "{name}");
        }
    }
}
