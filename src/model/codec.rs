//! Compact binary encoding of values and keys, for the ledger and for markers: LEB128 integers, a tag byte per value.
//! Reading takes any bytes: it fails with [`Malformed`], and never allocates more than its input is long.

use thiserror::Error;

use super::{Date, DateTime, Decimal, Key, Value};

/// The bytes are not what the encoding writes.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the stored bytes are damaged or of another format")]
pub struct Malformed;

/// A value where it stands: the kinds that most columns have are not copied.
#[derive(Clone, Debug)]
pub enum View<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Other(Value),
}

impl<'a> View<'a> {
    pub fn of(value: &'a Value) -> View<'a> {
        match value {
            Value::Null => View::Null,
            Value::Int(n) => View::Int(*n),
            Value::Text(text) => View::Text(text),
            Value::Bytes(bytes) => View::Bytes(bytes),
            other => View::Other(other.clone()),
        }
    }

    pub fn into_value(self) -> Value {
        match self {
            View::Null => Value::Null,
            View::Int(n) => Value::Int(n),
            View::Text(text) => Value::Text(text.into()),
            View::Bytes(bytes) => Value::Bytes(bytes.into()),
            View::Other(value) => value,
        }
    }
}

#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn new() -> Writer {
        Writer(Vec::with_capacity(128))
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Empties it, and keeps its room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn byte(&mut self, b: u8) {
        self.0.push(b);
    }

    /// Bytes as they are, whose length something else tells.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub fn u64(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    pub fn uint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    pub fn int(&mut self, n: i64) {
        self.uint(((n << 1) ^ (n >> 63)) as u64);
    }

    pub fn bytes(&mut self, b: &[u8]) {
        self.uint(b.len() as u64);
        self.0.extend_from_slice(b);
    }

    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.byte(0),
            Value::Int(n) => {
                self.byte(1);
                self.int(*n);
            }
            Value::UInt(n) => {
                self.byte(2);
                self.uint(*n);
            }
            Value::Float(bits) => {
                self.byte(3);
                self.u64(*bits);
            }
            Value::Decimal(d) => {
                self.byte(4);
                self.bytes(d.as_str().as_bytes());
            }
            Value::Text(s) => {
                self.byte(5);
                self.bytes(s.as_bytes());
            }
            Value::Bytes(b) => {
                self.byte(6);
                self.bytes(b);
            }
            Value::Date(d) => {
                self.byte(7);
                self.date(*d);
            }
            Value::Time(us) => {
                self.byte(8);
                self.int(*us);
            }
            Value::DateTime(t) => {
                self.byte(9);
                self.date(t.date);
                self.int(t.us);
            }
            Value::Json(s) => {
                self.byte(10);
                self.bytes(s.as_bytes());
            }
        }
    }

    pub fn key(&mut self, key: &Key) {
        self.uint(key.0.len() as u64);
        for value in &key.0 {
            self.value(value);
        }
    }

    fn date(&mut self, d: Date) {
        self.int(d.year.into());
        self.byte(d.month);
        self.byte(d.day);
    }
}

pub struct Reader<'a>(&'a [u8]);

impl Key {
    /// The key that [`Writer::key`] wrote, and nothing behind it.
    pub fn decode(bytes: &[u8]) -> Result<Key, Malformed> {
        let mut reader = Reader::new(bytes);
        let key = reader.key()?;
        reader.end()?;
        Ok(key)
    }
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// Everything has been read.
    pub fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte, which is left there.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Malformed)?))
    }

    pub fn uint(&mut self) -> Result<u64, Malformed> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            let part = u64::from(b & 0x7f);
            if shift == 63 && part > 1 {
                return Err(Malformed);
            }
            n |= part << shift;
            if b & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(Malformed)
    }

    pub fn int(&mut self) -> Result<i64, Malformed> {
        let n = self.uint()?;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.uint()?.try_into().map_err(|_| Malformed)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.uint()?.try_into().map_err(|_| Malformed)
    }

    /// A number of things that follow, each at least one byte long.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        let n = usize::try_from(self.uint()?).map_err(|_| Malformed)?;
        if n > self.0.len() { Err(Malformed) } else { Ok(n) }
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let n = self.count()?;
        self.take(n)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub fn value(&mut self) -> Result<Value, Malformed> {
        self.view().map(View::into_value)
    }

    /// As [`Reader::value`], without a copy.
    pub fn view(&mut self) -> Result<View<'a>, Malformed> {
        Ok(match self.byte()? {
            0 => View::Null,
            1 => View::Int(self.int()?),
            2 => match Value::unsigned(self.uint()?) {
                Value::Int(n) => View::Int(n),
                value => View::Other(value),
            },
            3 => View::Other(self.float()?),
            4 => View::Other(Value::Decimal(Decimal::parse(self.text()?).ok_or(Malformed)?)),
            5 => View::Text(self.text()?),
            6 => View::Bytes(self.bytes()?),
            7 => View::Other(Value::Date(self.date()?)),
            8 => View::Other(Value::Time(self.int()?)),
            9 => View::Other(Value::DateTime(DateTime { date: self.date()?, us: self.int()? })),
            10 => View::Other(Value::Json(self.text()?.into())),
            _ => return Err(Malformed),
        })
    }

    /// Goes past a value and gives its bytes, as [`Writer::value`] wrote them.
    pub fn skip_value(&mut self) -> Result<&'a [u8], Malformed> {
        let from = self.0;
        match self.byte()? {
            0 => {}
            1 | 2 | 8 => drop(self.uint()?),
            3 => drop(self.u64()?),
            4..=6 | 10 => drop(self.bytes()?),
            7 => drop(self.date()?),
            9 => {
                self.date()?;
                self.uint()?;
            }
            _ => return Err(Malformed),
        }
        Ok(&from[..from.len() - self.0.len()])
    }

    pub fn key(&mut self) -> Result<Key, Malformed> {
        let n = self.count()?;
        (0..n).map(|_| self.value()).collect::<Result<Vec<_>, _>>().map(Key)
    }

    fn float(&mut self) -> Result<Value, Malformed> {
        let bits = self.u64()?;
        Some(Value::float(f64::from_bits(bits))).filter(|value| *value == Value::Float(bits)).ok_or(Malformed)
    }

    fn date(&mut self) -> Result<Date, Malformed> {
        let year = i32::try_from(self.int()?).map_err(|_| Malformed)?;
        Ok(Date { year, month: self.byte()?, day: self.byte()? })
    }
}
