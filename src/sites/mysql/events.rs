//! The log's events, read from their bytes. MariaDB's own ones are unknown to the driver.

use std::io::Read;

use mysql_async::binlog::events::{Event, GtidEvent};

use super::gtid::{Gtid, Source};
use super::image::{Wire, take};

/// An event that matters.
pub(super) enum Parsed<'a> {
    Gtid(GroupStart),
    Query {
        schema: String,
        sql: String,
    },
    Xid,
    /// XA PREPARE: the changes before it are not committed yet.
    Prepared,
    TableMap {
        id: u64,
        body: &'a [u8],
    },
    Rows(Rows),
    /// A new file begins, or the stream: an unfinished group before it never was.
    Restart,
    Heartbeat,
    /// A whole transaction, compressed: the driver gives the events in it after this one.
    Packed,
    Other,
}

pub(super) struct GroupStart {
    pub gtid: Gtid,
    /// Microseconds since 1970, where the log has them.
    pub committed_us: Option<i64>,
    /// Exactly one statement follows, which ends the group.
    pub standalone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowsKind {
    Insert,
    Update,
    Delete,
    /// Holds parts of JSON documents.
    Partial,
}

pub(super) struct Rows {
    pub table: u64,
    pub kind: RowsKind,
    pub body: RowsBody,
}

/// Plain, or still compressed: rows of other tables are never decompressed.
pub(super) struct RowsBody {
    version: u8,
    compressed: bool,
}

const BAD: &str = "an event of the log is damaged";
/// Longer than any event that a server makes.
const UNCOMPRESSED_BYTES_MAX: usize = 1 << 30;
const MARIADB_STANDALONE: u8 = 1;

pub(super) fn parse(event: &Event) -> Result<Parsed<'_>, &'static str> {
    let header = event.header();
    let data = event.data();
    Ok(match header.event_type_raw() {
        2 => query(data)?,
        165 => query_compressed(data)?,
        15 | 3 => Parsed::Restart,
        16 => Parsed::Xid,
        38 => Parsed::Prepared,
        18 => load_query(data)?,
        19 => Parsed::TableMap { id: table_id(data)?, body: data },
        code @ (20..=25 | 30..=32 | 39 | 166..=171) => Parsed::Rows(rows_head(code, data)?),
        27 | 41 => Parsed::Heartbeat,
        33 => mysql_gtid(data)?,
        40 => Parsed::Packed,
        42 => mysql_tagged_gtid(event)?,
        34 => return Err("the server's log has no GTIDs (gtid_mode is not ON)"),
        162 => mariadb_gtid(header.server_id(), data)?,
        _ => Parsed::Other,
    })
}

fn number(data: &mut &[u8], bytes: usize) -> Result<u64, &'static str> {
    Ok(super::image::little(take(data, bytes)?))
}

fn table_id(mut data: &[u8]) -> Result<u64, &'static str> {
    number(&mut data, 6)
}

fn mariadb_gtid(server: u32, mut data: &[u8]) -> Result<Parsed<'static>, &'static str> {
    let (sequence, domain, flags) = (number(&mut data, 8)?, number(&mut data, 4)? as u32, number(&mut data, 1)? as u8);
    let gtid = Gtid::MariaDb { domain, server, sequence };
    Ok(Parsed::Gtid(GroupStart { gtid, committed_us: None, standalone: flags & MARIADB_STANDALONE != 0 }))
}

fn mysql_gtid(mut data: &[u8]) -> Result<Parsed<'static>, &'static str> {
    const LOGICAL_CLOCK: u64 = 2;
    const LOGICAL_CLOCK_BYTES: usize = 16;
    const TIME_BYTES: usize = 7;
    /// Says that the time of the first commit follows.
    const ORIGINAL_FOLLOWS: u64 = 1 << 55;
    let data = &mut data;
    take(data, 1)?;
    let uuid = take(data, 16)?.try_into().map_err(|_| BAD)?;
    let number = self::number(data, 8)?;
    let mut committed_us = 0;
    // Servers before 5.7 end here.
    if !data.is_empty() && self::number(data, 1)? == LOGICAL_CLOCK {
        take(data, LOGICAL_CLOCK_BYTES)?;
        if data.len() >= TIME_BYTES {
            committed_us = self::number(data, TIME_BYTES)? & !ORIGINAL_FOLLOWS;
        }
    }
    group(Source { uuid, tag: String::new() }, number, committed_us)
}

fn mysql_tagged_gtid(event: &Event) -> Result<Parsed<'static>, &'static str> {
    let gtid: GtidEvent = event.read_event().map_err(|_| BAD)?;
    let source = Source { uuid: gtid.sid(), tag: gtid.tag().map(|tag| tag.to_string()).unwrap_or_default() };
    group(source, gtid.gno(), gtid.immediate_commit_timestamp())
}

/// `committed_us` 0: the log does not tell.
fn group(source: Source, number: u64, committed_us: u64) -> Result<Parsed<'static>, &'static str> {
    if !super::gtid::NUMBERS.contains(&number) {
        return Err(BAD);
    }
    let committed_us = i64::try_from(committed_us).map_err(|_| BAD)?;
    let committed_us = (committed_us > 0).then_some(committed_us);
    Ok(Parsed::Gtid(GroupStart { gtid: Gtid::MySql { source, number }, committed_us, standalone: false }))
}

fn query(data: &[u8]) -> Result<Parsed<'static>, &'static str> {
    let (schema, sql) = query_parts(data)?;
    Ok(Parsed::Query { schema, sql: String::from_utf8_lossy(sql).into_owned() })
}

fn query_compressed(data: &[u8]) -> Result<Parsed<'static>, &'static str> {
    let (schema, sql) = query_parts(data)?;
    Ok(Parsed::Query { schema, sql: String::from_utf8_lossy(&inflate(sql)?).into_owned() })
}

/// `LOAD DATA` logged as a statement: a query that names its file in more bytes of head.
fn load_query(data: &[u8]) -> Result<Parsed<'static>, &'static str> {
    const FILE_BYTES: usize = 13;
    let (schema, sql) = query_parts_behind(data, FILE_BYTES)?;
    Ok(Parsed::Query { schema, sql: String::from_utf8_lossy(sql).into_owned() })
}

fn query_parts(data: &[u8]) -> Result<(String, &[u8]), &'static str> {
    query_parts_behind(data, 0)
}

fn query_parts_behind(mut data: &[u8], more: usize) -> Result<(String, &[u8]), &'static str> {
    let data = &mut data;
    take(data, 8)?;
    let schema_bytes = number(data, 1)? as usize;
    take(data, 2)?;
    let status_bytes = number(data, 2)? as usize;
    take(data, more + status_bytes)?;
    let schema = String::from_utf8_lossy(take(data, schema_bytes)?).into_owned();
    take(data, 1)?;
    Ok((schema, data))
}

fn rows_head(code: u8, data: &[u8]) -> Result<Rows, &'static str> {
    let kind = match code {
        20 | 23 | 30 | 166 | 169 => RowsKind::Insert,
        21 | 24 | 31 | 167 | 170 => RowsKind::Update,
        39 => RowsKind::Partial,
        _ => RowsKind::Delete,
    };
    let version = if matches!(code, 30..=32 | 39 | 169..=171) { 2 } else { 1 };
    Ok(Rows { table: table_id(data)?, kind, body: RowsBody { version, compressed: code >= 166 } })
}

/// Number of columns, and which of them the images before and after have, then the images.
pub(super) struct RowsData {
    pub columns: usize,
    pub present: Vec<u8>,
    /// Of an update's image after.
    pub present_after: Vec<u8>,
    pub images: Vec<u8>,
}

impl Rows {
    pub(super) fn data(&self, mut data: &[u8]) -> Result<RowsData, &'static str> {
        let data = &mut data;
        take(data, 8)?;
        if self.body.version == 2 {
            let extra = number(data, 2)? as usize;
            take(data, extra.saturating_sub(2))?;
        }
        let columns = lenenc(data)?;
        let present = take(data, columns.div_ceil(8))?.to_vec();
        let present_after = if self.kind == RowsKind::Update { take(data, columns.div_ceil(8))?.to_vec() } else { present.clone() };
        let images = if self.body.compressed { inflate(data)? } else { data.to_vec() };
        Ok(RowsData { columns, present, present_after, images })
    }
}

/// MariaDB's compressed record: a byte with algorithm and length of length, the length, then zlib.
fn inflate(mut data: &[u8]) -> Result<Vec<u8>, &'static str> {
    let data = &mut data;
    let head = number(data, 1)? as u8;
    if head & 0x80 == 0 || head >> 4 & 7 != 0 {
        return Err(BAD);
    }
    let bytes = take(data, usize::from(head & 7))?.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
    if bytes > UNCOMPRESSED_BYTES_MAX {
        return Err(BAD);
    }
    // It grows with what there is, not with what is claimed.
    let mut out = Vec::with_capacity(bytes.min(data.len().saturating_mul(4)));
    flate2::read::ZlibDecoder::new(*data).take(bytes as u64).read_to_end(&mut out).map_err(|_| BAD)?;
    if out.len() == bytes { Ok(out) } else { Err(BAD) }
}

pub(super) fn lenenc(data: &mut &[u8]) -> Result<usize, &'static str> {
    Ok(match number(data, 1)? {
        0xfc => number(data, 2)?,
        0xfd => number(data, 3)?,
        0xfe => number(data, 8)?,
        n => n,
    } as usize)
}

/// A table's shape as the log tells it before its rows.
pub(super) struct TableMap {
    pub schema: String,
    pub table: String,
    pub columns: Vec<Wire>,
    /// Only with binlog_row_metadata=FULL.
    pub names: Option<Vec<String>>,
}

impl TableMap {
    /// Schema and table only, which is enough to leave most tables alone.
    pub(super) fn name(mut body: &[u8]) -> Result<(&str, &str), &'static str> {
        let body = &mut body;
        take(body, 8)?;
        let schema = short_text(body)?;
        Ok((schema, short_text(body)?))
    }

    pub(super) fn parse(mut body: &[u8]) -> Result<TableMap, &'static str> {
        let body = &mut body;
        take(body, 8)?;
        let (schema, table) = (short_text(body)?.to_owned(), short_text(body)?.to_owned());
        let n = lenenc(body)?;
        let codes = take(body, n)?;
        let meta_bytes = lenenc(body)?;
        let mut meta = take(body, meta_bytes)?;
        let mut columns = Vec::with_capacity(n);
        for code in codes {
            let mut two = [0; 2];
            let bytes = take(&mut meta, Wire::meta_bytes(*code))?;
            two[..bytes.len()].copy_from_slice(bytes);
            columns.push(Wire::new(*code, two));
        }
        take(body, n.div_ceil(8))?;
        Ok(TableMap { schema, table, columns, names: names(body, n) })
    }
}

fn short_text<'a>(body: &mut &'a [u8]) -> Result<&'a str, &'static str> {
    let n = number(body, 1)? as usize;
    let bytes = take(body, n)?;
    take(body, 1)?;
    std::str::from_utf8(bytes).map_err(|_| BAD)
}

/// Column names among the optional metadata (type 4).
fn names(body: &mut &[u8], n: usize) -> Option<Vec<String>> {
    const COLUMN_NAMES: u64 = 4;
    while !body.is_empty() {
        let kind = number(body, 1).ok()?;
        let bytes = lenenc(body).ok()?;
        let mut field = take(body, bytes).ok()?;
        if kind == COLUMN_NAMES {
            let mut names = Vec::with_capacity(n);
            while !field.is_empty() && names.len() <= n {
                let length = lenenc(&mut field).ok()?;
                names.push(String::from_utf8_lossy(take(&mut field, length).ok()?).into_owned());
            }
            return (names.len() == n).then_some(names);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_records() {
        use std::io::Write;
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all(&[7; 300]).unwrap();
        let mut record = vec![0x82, 1, 44];
        record.extend(zlib.finish().unwrap());
        assert_eq!(inflate(&record).unwrap(), [7; 300]);
        record[2] = 43;
        assert!(inflate(&[0x01, 2]).is_err() && inflate(&[]).is_err());
    }

    #[test]
    fn damage_is_an_error() {
        assert!(TableMap::parse(&[1; 12]).is_err());
        assert!(query_parts(&[0; 5]).is_err());
        assert!(rows_head(23, &[1]).is_err());
    }
}
