//! The bytes of a row in the ledger: a record with the row itself, and beside it, while there is any, what sites hold instead of it.
//!
//! Apart from each other because they change apart: that a site has come to hold the row leaves its record as it is.

use super::row::{Held, Register, Row};
use crate::model::{Dot, Fingerprint, Key, Life, Malformed, Reader, SiteId, Value, Writer};

/// A record's first byte, by which it is read. Records stay as they are until their rows change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// With all that sites hold instead.
    Whole = 1,
    /// Without what [`Row::encode`] puts beside it.
    Apart = 2,
    /// And with compact values.
    Compact = 3,
    /// And all columns are of one change: its stamp stands there once, and not at each.
    Uniform = 4,
}

/// Some values of a record as they are encoded there; None where one is not set.
pub struct Stored<'r> {
    form: Form,
    pub exists: bool,
    values: Vec<Option<&'r [u8]>>,
}

impl Stored<'_> {
    /// Whether the values are these.
    pub fn are<'v>(&self, now: impl Iterator<Item = Option<&'v Value>>, key: &Key) -> bool {
        let mut w = Writer::new();
        self.values.iter().zip(now).all(|(before, now)| match (before, now) {
            (Some(before), Some(now)) => {
                w.clear();
                self.form.write(&mut w, now, key);
                w.as_slice() == *before
            }
            (before, now) => before.is_none() && now.is_none(),
        })
    }

    pub fn values(&self, key: &Key) -> Result<Vec<Option<Value>>, Malformed> {
        let value = |bytes: &&[u8]| self.form.value(&mut Reader::new(bytes), key);
        self.values.iter().map(|bytes| bytes.as_ref().map(value).transpose()).collect()
    }
}

impl Form {
    fn read(r: &mut Reader<'_>) -> Result<Form, Malformed> {
        [Form::Whole, Form::Apart, Form::Compact, Form::Uniform].get(usize::from(r.byte()?).wrapping_sub(1)).copied().ok_or(Malformed)
    }

    /// Of the next column: None where it is not set, or the place of its stamp, counted from 0.
    fn stamp(self, r: &mut Reader<'_>) -> Result<Option<usize>, Malformed> {
        match self {
            Form::Uniform => Ok(Some(0)),
            _ => Ok(usize::try_from(r.uint()?).map_err(|_| Malformed)?.checked_sub(1)),
        }
    }

    fn write(self, w: &mut Writer, value: &Value, key: &Key) {
        match self {
            Form::Whole | Form::Apart => w.value(value),
            Form::Compact | Form::Uniform => w.compact(value, key),
        }
    }

    fn value(self, r: &mut Reader<'_>, key: &Key) -> Result<Value, Malformed> {
        match self {
            Form::Whole | Form::Apart => r.value(),
            Form::Compact | Form::Uniform => r.compact(key),
        }
    }

    fn skip<'r>(self, r: &mut Reader<'r>) -> Result<&'r [u8], Malformed> {
        match self {
            Form::Whole | Form::Apart => r.skip_value(),
            Form::Compact | Form::Uniform => r.skip_compact(),
        }
    }
}

impl Row {
    /// The record, and what stands beside it while some site holds something else or is owed something: `rest`, which is left empty
    /// where there is nothing of that kind. `implied`: entries that need not be written.
    pub fn encode(&self, key: &Key, record: &mut Writer, rest: &mut Writer, implied: impl Fn(&Held) -> bool) {
        record.clear();
        rest.clear();
        let mut stamps: Vec<(Dot, i64)> = Vec::new();
        for register in self.registers.iter().flatten() {
            if !stamps.contains(&(register.dot, register.at_us)) {
                stamps.push((register.dot, register.at_us));
            }
        }
        let form = if stamps.len() == 1 && self.registers.iter().all(Option::is_some) { Form::Uniform } else { Form::Compact };
        record.byte(form as u8);
        record.uint(self.life.0.into());
        record.uint(stamps.len() as u64);
        for (dot, at_us) in &stamps {
            encode_dot(record, *dot);
            record.int(*at_us);
        }
        record.uint(self.registers.len() as u64);
        for register in &self.registers {
            match register {
                None => record.uint(0),
                Some(register) => {
                    if form != Form::Uniform {
                        let stamp = stamps.iter().position(|s| *s == (register.dot, register.at_us)).unwrap_or_default();
                        record.uint(stamp as u64 + 1);
                    }
                    record.compact(&register.value, key);
                }
            }
        }
        let quiet = || self.held.iter().filter(|held| held.is_quiet(self.life) && !implied(held));
        record.uint(quiet().count() as u64);
        for held in quiet() {
            record.uint(held.site.0.into());
            record.uint(held.seen.into());
        }
        let loud = || self.held.iter().filter(|held| !held.is_quiet(self.life));
        if loud().next().is_some() || !self.transactions.is_empty() {
            encode_rest(rest, loud(), &self.transactions);
        }
    }

    /// Whether the row exists, from the first bytes of its record.
    pub fn exists_in(record: &[u8]) -> bool {
        let mut r = Reader::new(record);
        r.byte().is_ok() && r.u32().is_ok_and(|life| Life(life).exists())
    }

    /// Reads a record with what stands beside it; `width`: the table's columns now. Columns added to the share since are unset.
    pub fn decode(key: &Key, record: &[u8], rest: Option<&[u8]>, width: usize) -> Result<Row, Malformed> {
        let mut r = Reader::new(record);
        let form = Form::read(&mut r)?;
        let life = Life(r.u32()?);
        let count = r.count()?;
        let stamps = (0..count).map(|_| Ok((decode_dot(&mut r)?, r.int()?))).collect::<Result<Vec<_>, Malformed>>()?;
        let stored = r.count()?;
        if stored > width {
            return Err(Malformed);
        }
        let mut registers = Vec::with_capacity(width);
        for _ in 0..stored {
            registers.push(match form.stamp(&mut r)? {
                None => None,
                Some(stamp) => {
                    let (dot, at_us) = *stamps.get(stamp).ok_or(Malformed)?;
                    Some(Register { value: form.value(&mut r, key)?, dot, at_us })
                }
            });
        }
        registers.resize(width, None);
        let (mut held, mut transactions) = match form {
            Form::Whole => decode_held(&mut r, width)?,
            _ => (decode_quiet(&mut r, life)?, Vec::new()),
        };
        r.end()?;
        if let Some(rest) = rest {
            let (loud, of) = decode_rest(rest, width)?;
            held.extend(loud);
            held.sort_by_key(|held| held.site);
            transactions = of;
        }
        if !held.is_sorted_by(|a, b| a.site < b.site) {
            return Err(Malformed);
        }
        Ok(Row { life, registers, held, transactions })
    }

    /// Of a record: whether the row exists, and the values of some columns.
    pub fn values_in<'r>(record: &'r [u8], columns: &[usize]) -> Result<Stored<'r>, Malformed> {
        let mut r = Reader::new(record);
        let mut values = vec![None; columns.len()];
        let (form, life) = skip_stamps(&mut r)?;
        for at in 0..r.count()? {
            if form.stamp(&mut r)?.is_none() {
                continue;
            }
            let value = form.skip(&mut r)?;
            columns.iter().zip(&mut values).filter(|(column, _)| **column == at).for_each(|(_, found)| *found = Some(value));
        }
        Ok(Stored { form, exists: life.exists(), values })
    }

    /// Of a record: whether the row exists, and by which scan it was last seen at `site` while nothing else was to be said of that. None:
    /// the record alone does not tell.
    pub fn seen_in(record: &[u8], site: SiteId) -> Result<Option<(bool, u32)>, Malformed> {
        let mut r = Reader::new(record);
        let (form, life) = skip_stamps(&mut r)?;
        if form == Form::Whole {
            return Ok(None);
        }
        for _ in 0..r.count()? {
            if form.stamp(&mut r)?.is_some() {
                form.skip(&mut r)?;
            }
        }
        let quiet = decode_quiet(&mut r, life)?;
        Ok(Some((life.exists(), quiet.iter().find(|held| held.site == site).map_or(0, |held| held.seen))))
    }
}

/// Goes past what stands before a record's columns; gives its form and its life.
fn skip_stamps(r: &mut Reader<'_>) -> Result<(Form, Life), Malformed> {
    let (form, life) = (Form::read(r)?, Life(r.u32()?));
    for _ in 0..r.count()? {
        decode_dot(r)?;
        r.int()?;
    }
    Ok((form, life))
}

fn decode_quiet(r: &mut Reader<'_>, life: Life) -> Result<Vec<Held>, Malformed> {
    let count = r.count()?;
    (0..count).map(|_| Ok(Held::quiet(SiteId(r.u16()?), r.u32()?, life))).collect()
}

/// What stands beside a record: entries of sites and source transactions.
pub fn encode_rest<'h>(w: &mut Writer, held: impl Iterator<Item = &'h Held> + Clone, transactions: &[u64]) {
    w.uint(held.clone().count() as u64);
    held.for_each(|held| held.encode(w));
    w.uint(transactions.len() as u64);
    transactions.iter().for_each(|transaction| w.uint(*transaction));
}

pub fn decode_rest(bytes: &[u8], width: usize) -> Result<(Vec<Held>, Vec<u64>), Malformed> {
    let mut r = Reader::new(bytes);
    let rest = decode_held(&mut r, width)?;
    r.end()?;
    Ok(rest)
}

fn decode_held(r: &mut Reader<'_>, width: usize) -> Result<(Vec<Held>, Vec<u64>), Malformed> {
    let count = r.count()?;
    let held = (0..count).map(|_| Held::decode(r, width)).collect::<Result<_, _>>()?;
    let count = r.count()?;
    let transactions = (0..count).map(|_| r.uint()).collect::<Result<_, _>>()?;
    Ok((held, transactions))
}

impl Held {
    fn encode(&self, w: &mut Writer) {
        w.uint(self.site.0.into());
        w.uint(self.seen.into());
        w.uint(self.life.0.into());
        w.uint(self.since);
        w.byte(u8::from(self.bulk) | u8::from(self.apart) << 1);
        w.uint(self.columns.len() as u64);
        for (column, version) in &self.columns {
            w.uint(u64::from(*column) << 1 | u64::from(version.is_some()));
            if let Some((dot, print)) = version {
                encode_dot(w, *dot);
                w.u64(print.0);
            }
        }
    }

    fn decode(r: &mut Reader<'_>, width: usize) -> Result<Held, Malformed> {
        let (site, seen, life, since, flags) = (SiteId(r.u16()?), r.u32()?, Life(r.u32()?), r.uint()?, r.byte()?);
        let count = r.count()?;
        let mut columns = Vec::with_capacity(count.min(width));
        for _ in 0..count {
            let head = r.u32()?;
            let column = u16::try_from(head >> 1).map_err(|_| Malformed)?;
            if usize::from(column) >= width {
                return Err(Malformed);
            }
            let version = if head & 1 == 1 { Some((decode_dot(r)?, Fingerprint(r.u64()?))) } else { None };
            columns.push((column, version));
        }
        // Where nothing is owed, nothing says how.
        Ok(Held { site, seen, life, since, bulk: flags & 1 == 1 && since > 0, apart: flags & 2 == 2, columns })
    }
}

fn encode_dot(w: &mut Writer, dot: Dot) {
    w.uint(dot.site.0.into());
    w.uint(dot.counter);
}

fn decode_dot(r: &mut Reader<'_>) -> Result<Dot, Malformed> {
    Ok(Dot { site: SiteId(r.u16()?), counter: r.uint()? })
}
