//! What one of our transactions says about itself in the marker table, so that the site itself remembers it.

use super::{Dot, Fingerprint, Key, Life, Malformed, Reader, SiteId, TableId, Writer};

/// Number of one of our transactions at a site: unique there for all time, rising with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MarkerId(pub i64);

/// What a row of the marker table stands for; the letter is what the table's column `kind` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerKind {
    /// A batch of rows: the transaction is a landing.
    Batch,
    /// A watermark of reconcile, or the fence after a restart.
    Watermark,
    /// Takes the number of a batch whose outcome is unknown, so that it can't commit any more.
    Tombstone,
}

impl MarkerKind {
    pub fn letter(self) -> &'static str {
        match self {
            MarkerKind::Batch => "b",
            MarkerKind::Watermark => "w",
            MarkerKind::Tombstone => "t",
        }
    }

    pub fn from_letter(letter: &str) -> Option<MarkerKind> {
        Some(match letter {
            "b" => MarkerKind::Batch,
            "w" => MarkerKind::Watermark,
            "t" => MarkerKind::Tombstone,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteKind {
    /// The row must be absent.
    Insert,
    /// The row must be present; all its shared columns are written: a new life over an old one.
    Replace,
    /// The row must be present; some of its columns are written.
    Columns,
    /// The row may be present or not.
    Delete,
}

/// One row that a batch writes: which version, and the fingerprints of what it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentRow {
    pub table: TableId,
    pub key: Key,
    pub kind: WriteKind,
    pub life: Life,
    /// Column number, dot and fingerprint of each value written; empty for a delete.
    pub columns: Vec<(u16, Dot, Fingerprint)>,
}

/// Content of a batch's marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Which ledger the dots belong to: another ledger's marker is an application's write to us.
    pub ledger: u64,
    pub rows: Vec<SentRow>,
}

/// Content of a watermark: whose it is, so that a copy of the site's database can be told from another database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    pub ledger: u64,
    pub site: SiteId,
}

impl Watermark {
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.byte(FORMAT);
        w.u64(self.ledger);
        w.uint(self.site.0.into());
        w.into_bytes()
    }

    pub fn decode(bytes: &[u8]) -> Result<Watermark, Malformed> {
        let mut r = Reader::new(bytes);
        if r.byte()? != FORMAT {
            return Err(Malformed);
        }
        let (ledger, site) = (r.u64()?, SiteId(r.u16()?));
        r.end()?;
        Ok(Watermark { ledger, site })
    }
}

const FORMAT: u8 = 1;

impl Payload {
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.byte(FORMAT);
        w.u64(self.ledger);
        w.uint(self.rows.len() as u64);
        for row in &self.rows {
            w.uint(row.table.0.into());
            w.key(&row.key);
            w.byte(row.kind as u8);
            w.uint(row.life.0.into());
            w.uint(row.columns.len() as u64);
            for (column, dot, fingerprint) in &row.columns {
                w.uint((*column).into());
                w.uint(dot.site.0.into());
                w.uint(dot.counter);
                w.u64(fingerprint.0);
            }
        }
        w.into_bytes()
    }

    pub fn decode(bytes: &[u8]) -> Result<Payload, Malformed> {
        let mut r = Reader::new(bytes);
        if r.byte()? != FORMAT {
            return Err(Malformed);
        }
        let ledger = r.u64()?;
        let count = r.count()?;
        let mut rows = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            let table = TableId(r.u16()?);
            let key = r.key()?;
            let kind = match r.byte()? {
                0 => WriteKind::Insert,
                1 => WriteKind::Replace,
                2 => WriteKind::Columns,
                3 => WriteKind::Delete,
                _ => return Err(Malformed),
            };
            let life = Life(r.u32()?);
            let width = r.count()?;
            let mut columns = Vec::with_capacity(width.min(1024));
            for _ in 0..width {
                let column = r.u16()?;
                let dot = Dot { site: SiteId(r.u16()?), counter: r.uint()? };
                columns.push((column, dot, Fingerprint(r.u64()?)));
            }
            rows.push(SentRow { table, key, kind, life, columns });
        }
        r.end()?;
        Ok(Payload { ledger, rows })
    }
}
