//! The bytes of a row in the ledger: a record with the row itself, and beside it, while there is any, what sites hold instead of it.
//!
//! Apart from each other because they change apart: that a site has come to hold the row leaves its record as it is.

use super::row::{Held, Register, Row};
use crate::model::{Dot, Fingerprint, Key, Life, Malformed, Reader, SiteId, Value, View, Writer};

/// How a record is written, which its first byte says. Records stay as they are until their rows change.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Form {
    /// It ends with all that sites hold instead: there is nothing beside it.
    whole: bool,
    compact: bool,
    /// All columns are of one change: its stamp stands there once, and not at each.
    uniform: bool,
    /// What is the same in most rows is not written.
    brief: bool,
    /// Of a brief one: the row lives for the first time.
    first_life: bool,
    /// Of a brief one: nothing is known of when a value was written, as of rows that were copied.
    timeless: bool,
    /// Of a brief one: the site of its only stamp; 0: it stands there.
    site: u8,
}

/// The bits of a brief record's first byte.
const BRIEF: u8 = 0x80;
const UNIFORM: u8 = 1;
const FIRST_LIFE: u8 = 2;
const TIMELESS: u8 = 4;
/// From the fourth on, the site.
const SITE_SHIFT: u8 = 3;
const SITE_MAX: u16 = 15;

/// The scan by which sites have most rows.
const FIRST_SCAN: u32 = 1;
/// Sites of which a bit says that the first scan has come by.
const BIT_SITE_MAX: u16 = 12;

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
    fn of(byte: u8) -> Option<Form> {
        let (compact, has) = (true, |bit| byte & bit != 0);
        Some(match byte {
            1 => Form { whole: true, ..Form::default() },
            2 => Form::default(),
            3 => Form { compact, ..Form::default() },
            4 => Form { compact, uniform: true, ..Form::default() },
            _ if byte < BRIEF => return None,
            _ => Form {
                compact,
                brief: true,
                uniform: has(UNIFORM),
                first_life: has(FIRST_LIFE),
                timeless: has(TIMELESS),
                site: (byte & !BRIEF) >> SITE_SHIFT,
                whole: false,
            },
        })
    }

    /// Of a brief one.
    fn byte(self) -> u8 {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        BRIEF | bit(self.uniform, UNIFORM) | bit(self.first_life, FIRST_LIFE) | bit(self.timeless, TIMELESS) | self.site << SITE_SHIFT
    }

    /// The first bytes of a record.
    fn read(r: &mut Reader<'_>) -> Result<(Form, Life), Malformed> {
        let form = Form::of(r.byte()?).ok_or(Malformed)?;
        Ok((form, if form.first_life { Life::FIRST } else { Life(r.u32()?) }))
    }

    fn stamps(self, r: &mut Reader<'_>, mut each: impl FnMut(Dot, i64)) -> Result<(), Malformed> {
        let count = if self.brief && self.uniform { 1 } else { r.count()? };
        for _ in 0..count {
            let site = if self.site == 0 { SiteId(r.u16()?) } else { SiteId(self.site.into()) };
            let dot = Dot { site, counter: r.uint()? };
            each(dot, if self.timeless { 0 } else { r.int()? });
        }
        Ok(())
    }

    /// Of the next column: None where it is not set, or the place of its stamp, counted from 0.
    fn stamp(self, r: &mut Reader<'_>) -> Result<Option<usize>, Malformed> {
        match self.uniform {
            true => Ok(Some(0)),
            false => Ok(usize::try_from(r.uint()?).map_err(|_| Malformed)?.checked_sub(1)),
        }
    }

    fn write(self, w: &mut Writer, value: &Value, key: &Key) {
        if self.compact { w.compact(value, key) } else { w.value(value) }
    }

    fn value(self, r: &mut Reader<'_>, key: &Key) -> Result<Value, Malformed> {
        self.view(r, key).map(View::into_value)
    }

    fn view<'r: 'v, 'v>(self, r: &mut Reader<'r>, key: &'v Key) -> Result<View<'v>, Malformed> {
        if self.compact { r.compact_view(key) } else { r.view() }
    }

    fn skip<'r>(self, r: &mut Reader<'r>) -> Result<&'r [u8], Malformed> {
        if self.compact { r.skip_compact() } else { r.skip_value() }
    }

    /// What stands behind the values: of sites, and with all that they hold instead also the source transactions.
    fn end(self, r: &mut Reader<'_>, life: Life, width: usize) -> Result<(Vec<Held>, Vec<u64>), Malformed> {
        let held = match self.whole {
            true => decode_held(r, width)?,
            false => (self.quiet(r, life)?, Vec::new()),
        };
        r.end()?;
        Ok(held)
    }

    /// Sites of which only this is to be said: that a scan came by, and by which.
    fn quiet(self, r: &mut Reader<'_>, life: Life) -> Result<Vec<Held>, Malformed> {
        if self.brief && r.is_empty() {
            return Ok(Vec::new());
        }
        let head = if self.brief { r.uint()? } else { (r.count()? as u64) << 1 };
        if head & 1 == 1 {
            let bits = head >> 1;
            return Ok((0..u64::BITS as u16)
                .filter(|at| bits >> at & 1 == 1)
                .map(|at| Held::quiet(SiteId(at), FIRST_SCAN, life))
                .collect());
        }
        (0..head >> 1).map(|_| Ok(Held::quiet(SiteId(r.u16()?), r.u32()?, life))).collect()
    }
}

/// As [`Form::quiet`] reads them.
fn encode_quiet<'h>(w: &mut Writer, quiet: impl Iterator<Item = &'h Held> + Clone) {
    let count = quiet.clone().count() as u64;
    if count == 0 {
        return;
    }
    if quiet.clone().all(|held| held.seen == FIRST_SCAN && held.site.0 <= BIT_SITE_MAX) {
        return w.uint(quiet.fold(0, |bits, held| bits | 1 << held.site.0) << 1 | 1);
    }
    w.uint(count << 1);
    for held in quiet {
        w.uint(held.site.0.into());
        w.uint(held.seen.into());
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
        let only = stamps.first().filter(|_| stamps.len() == 1);
        let site = only.map_or(0, |(dot, _)| dot.site.0);
        let form = Form {
            compact: true,
            brief: true,
            uniform: only.is_some() && self.registers.iter().all(Option::is_some),
            site: if site <= SITE_MAX { site as u8 } else { 0 },
            first_life: self.life == Life::FIRST,
            timeless: stamps.iter().all(|(_, at_us)| *at_us == 0),
            whole: false,
        };
        record.byte(form.byte());
        if !form.first_life {
            record.uint(self.life.0.into());
        }
        if !form.uniform {
            record.uint(stamps.len() as u64);
        }
        for (dot, at_us) in &stamps {
            if form.site == 0 {
                record.uint(dot.site.0.into());
            }
            record.uint(dot.counter);
            if !form.timeless {
                record.int(*at_us);
            }
        }
        record.uint(self.registers.len() as u64);
        for register in &self.registers {
            match register {
                None => record.uint(0),
                Some(register) => {
                    if !form.uniform {
                        let stamp = stamps.iter().position(|s| *s == (register.dot, register.at_us)).unwrap_or_default();
                        record.uint(stamp as u64 + 1);
                    }
                    record.compact(&register.value, key);
                }
            }
        }
        encode_quiet(record, self.held.iter().filter(|held| held.is_quiet(self.life) && !implied(held)));
        let loud = || self.held.iter().filter(|held| !held.is_quiet(self.life));
        if loud().next().is_some() || !self.transactions.is_empty() {
            encode_rest(rest, loud(), &self.transactions);
        }
    }

    /// Whether the row exists, from the first bytes of its record.
    pub fn exists_in(record: &[u8]) -> bool {
        Form::read(&mut Reader::new(record)).is_ok_and(|(_, life)| life.exists())
    }

    /// Reads a record with what stands beside it; `width`: the table's columns now. Columns added to the share since are unset.
    pub fn decode(key: &Key, record: &[u8], rest: Option<&[u8]>, width: usize) -> Result<Row, Malformed> {
        let mut r = Reader::new(record);
        let (form, life) = Form::read(&mut r)?;
        let mut stamps = Vec::with_capacity(1);
        form.stamps(&mut r, |dot, at_us| stamps.push((dot, at_us)))?;
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
        let (mut held, mut transactions) = form.end(&mut r, life, width)?;
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
        let (form, life) = Form::read(&mut r)?;
        form.stamps(&mut r, |_, _| ())?;
        for at in 0..r.count()? {
            if form.stamp(&mut r)?.is_none() {
                continue;
            }
            let value = form.skip(&mut r)?;
            columns.iter().zip(&mut values).filter(|(column, _)| **column == at).for_each(|(_, found)| *found = Some(value));
        }
        Ok(Stored { form, exists: life.exists(), values })
    }

    /// Of a record: shows `see` the value of each column that is set, in their order. Refuses what [`Row::decode`] does.
    pub fn see_values<'v>(record: &'v [u8], key: &'v Key, width: usize, mut see: impl FnMut(usize, View<'v>)) -> Result<(), Malformed> {
        let mut r = Reader::new(record);
        let (form, life) = Form::read(&mut r)?;
        let mut stamps = 0;
        form.stamps(&mut r, |_, _| stamps += 1)?;
        let stored = r.count()?;
        if stored > width {
            return Err(Malformed);
        }
        for at in 0..stored {
            match form.stamp(&mut r)? {
                None => {}
                Some(stamp) if stamp < stamps => see(at, form.view(&mut r, key)?),
                Some(_) => return Err(Malformed),
            }
        }
        let (held, _) = form.end(&mut r, life, width)?;
        if held.is_sorted_by(|a, b| a.site < b.site) { Ok(()) } else { Err(Malformed) }
    }

    /// Of a record: whether the row exists, and by which scan it was last seen at `site` while nothing else was to be said of that. None:
    /// the record alone does not tell.
    pub fn seen_in(record: &[u8], site: SiteId) -> Result<Option<(bool, u32)>, Malformed> {
        let mut r = Reader::new(record);
        let (form, life) = Form::read(&mut r)?;
        form.stamps(&mut r, |_, _| ())?;
        if form.whole {
            return Ok(None);
        }
        for _ in 0..r.count()? {
            if form.stamp(&mut r)?.is_some() {
                form.skip(&mut r)?;
            }
        }
        let quiet = form.quiet(&mut r, life)?;
        Ok(Some((life.exists(), quiet.iter().find(|held| held.site == site).map_or(0, |held| held.seen))))
    }
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
