//! The messages of PostgreSQL's `pgoutput` plugin, protocol version 1, in binary form. Decoding takes any bytes.

use bytes::Bytes;

/// A place in the write-ahead log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lsn(pub u64);

impl Lsn {
    pub fn parse(text: &str) -> Option<Lsn> {
        let (high, low) = text.split_once('/')?;
        let half = |text| u32::from_str_radix(text, 16).ok();
        Some(Lsn(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

impl std::fmt::Display for Lsn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 as u32)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    Begin {
        committed_us: i64,
    },
    Commit {
        end: Lsn,
    },
    Relation(Relation),
    Insert {
        relation: u32,
        new: Tuple,
    },
    Update {
        relation: u32,
        old: Option<Old>,
        new: Tuple,
    },
    Delete {
        relation: u32,
        old: Old,
    },
    Truncate {
        relations: Vec<u32>,
    },
    /// Type, origin and logical messages say nothing that we need.
    Other,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Relation {
    pub id: u32,
    pub schema: String,
    pub name: String,
    pub columns: Vec<RelationColumn>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct RelationColumn {
    /// Part of the replica identity: present in the old tuple of updates and deletes.
    pub identifies: bool,
    pub name: String,
    pub type_oid: u32,
}

/// What the log keeps of a row before the change.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Old {
    /// The columns of the replica identity; the others are not told (they look NULL).
    Key(Tuple),
    /// The whole row (REPLICA IDENTITY FULL).
    Full(Tuple),
}

impl Old {
    pub fn tuple(&self) -> &Tuple {
        match self {
            Old::Key(tuple) | Old::Full(tuple) => tuple,
        }
    }
}

pub(super) type Tuple = Vec<Datum>;

#[derive(Clone, PartialEq)]
pub(super) enum Datum {
    Null,
    /// A TOASTed value that the change left alone.
    Unchanged,
    Text(Bytes),
}

impl std::fmt::Debug for Datum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Datum::Null => f.write_str("NULL"),
            Datum::Unchanged => f.write_str("unchanged"),
            Datum::Text(text) => write!(f, "<{} B>", text.len()),
        }
    }
}

/// The bytes are not a message of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

pub(super) fn decode(bytes: Bytes) -> Result<Message, Malformed> {
    let mut r = Bite(bytes);
    let message = match r.u8()? {
        b'B' => {
            r.u64()?;
            let committed_us = r.time()?;
            r.u32()?;
            Message::Begin { committed_us }
        }
        b'C' => {
            r.u8()?;
            r.u64()?;
            let end = Lsn(r.u64()?);
            r.u64()?;
            Message::Commit { end }
        }
        b'R' => Message::Relation(r.relation()?),
        b'I' => {
            let relation = r.u32()?;
            r.expect(b'N')?;
            Message::Insert { relation, new: r.tuple()? }
        }
        b'U' => {
            let relation = r.u32()?;
            let old = match r.u8()? {
                b'K' => Some(Old::Key(r.tuple()?)),
                b'O' => Some(Old::Full(r.tuple()?)),
                b'N' => None,
                _ => return Err(Malformed),
            };
            if old.is_some() {
                r.expect(b'N')?;
            }
            Message::Update { relation, old, new: r.tuple()? }
        }
        b'D' => {
            let relation = r.u32()?;
            let old = match r.u8()? {
                b'K' => Old::Key(r.tuple()?),
                b'O' => Old::Full(r.tuple()?),
                _ => return Err(Malformed),
            };
            Message::Delete { relation, old }
        }
        b'T' => {
            let count = r.u32()?;
            r.u8()?;
            Message::Truncate { relations: (0..count).map(|_| r.u32()).collect::<Result<_, _>>()? }
        }
        b'Y' | b'O' | b'M' => return Ok(Message::Other),
        _ => return Err(Malformed),
    };
    if r.0.is_empty() { Ok(message) } else { Err(Malformed) }
}

/// Microseconds from 1970 to 2000, where PostgreSQL's clock starts.
pub(super) const EPOCH_2000_US: i64 = 946_684_800_000_000;

struct Bite(Bytes);

impl Bite {
    fn take(&mut self, count: usize) -> Result<Bytes, Malformed> {
        if count > self.0.len() { Err(Malformed) } else { Ok(self.0.split_to(count)) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.as_ref().try_into().map_err(|_| Malformed)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Microseconds since 1970; not before it, so that spans of time can be counted.
    fn time(&mut self) -> Result<i64, Malformed> {
        Ok((self.u64()? as i64).saturating_add(EPOCH_2000_US).max(0))
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.u8()? == byte { Ok(()) } else { Err(Malformed) }
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let end = self.0.iter().position(|b| *b == 0).ok_or(Malformed)?;
        let text = self.take(end)?;
        self.u8()?;
        String::from_utf8(text.into()).map_err(|_| Malformed)
    }

    fn relation(&mut self) -> Result<Relation, Malformed> {
        let (id, schema, name) = (self.u32()?, self.text()?, self.text()?);
        self.u8()?;
        let mut columns = Vec::new();
        for _ in 0..self.u16()? {
            let identifies = self.u8()? & 1 == 1;
            let (name, type_oid) = (self.text()?, self.u32()?);
            self.u32()?;
            columns.push(RelationColumn { identifies, name, type_oid });
        }
        // The system's own schema is spelled as nothing.
        let schema = if schema.is_empty() { "pg_catalog".into() } else { schema };
        Ok(Relation { id, schema, name, columns })
    }

    fn tuple(&mut self) -> Result<Tuple, Malformed> {
        let mut tuple = Vec::new();
        for _ in 0..self.u16()? {
            tuple.push(match self.u8()? {
                b'n' => Datum::Null,
                b'u' => Datum::Unchanged,
                b't' => {
                    let length = self.u32()? as usize;
                    Datum::Text(self.take(length)?)
                }
                _ => return Err(Malformed),
            });
        }
        Ok(tuple)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update() -> Vec<u8> {
        let mut bytes = b"U\0\0\0\x07K\0\x02t\0\0\0\x011nN\0\x02t\0\0\0\x012u".to_vec();
        bytes.shrink_to_fit();
        bytes
    }

    #[test]
    fn an_update_of_the_key_has_both_rows() {
        let text = |text: &'static str| Datum::Text(Bytes::from_static(text.as_bytes()));
        let expected =
            Message::Update { relation: 7, old: Some(Old::Key(vec![text("1"), Datum::Null])), new: vec![text("2"), Datum::Unchanged] };
        assert_eq!(decode(update().into()), Ok(expected));
    }

    #[test]
    fn positions_are_read_as_they_are_written() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(Lsn::parse(text).map(|lsn| lsn.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Lsn::parse("16"), None);
        assert_eq!(Lsn::parse("G/1"), None);
    }

    /// Each message cut short and with each byte changed, and bytes of a generator, seeded the same each time.
    #[test]
    fn any_bytes_are_taken_without_panic() {
        let relation = b"R\0\0\0\x01public\0users\0d\0\x01\x01uid\0\0\0\0\x17\xff\xff\xff\xff".to_vec();
        assert!(matches!(decode(relation.clone().into()), Ok(Message::Relation(_))));
        let truncate = b"T\0\0\0\x01\0\0\0\0\x07".to_vec();
        for message in [update(), relation, truncate, vec![b'B'; 21], vec![b'C'; 26]] {
            for cut in 0..message.len() {
                let _ = decode(Bytes::copy_from_slice(&message[..cut]));
                for byte in 0..=255 {
                    let mut changed = message.clone();
                    changed[cut] = byte;
                    let _ = decode(changed.into());
                }
            }
        }
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..200_000 {
            let mut bytes = Vec::new();
            for _ in 0..(state >> 58) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                bytes.push(if state & 1 == 0 { (state >> 20) as u8 } else { b"BCRIUDTKONtnu\0\x01"[(state >> 30) as usize % 15] });
            }
            state = state.wrapping_add(0x1234_5678_9ABC_DEF1);
            let _ = decode(bytes.into());
        }
    }
}
