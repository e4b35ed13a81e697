//! How the ledger writes what it has most of: keys so that their bytes sort as they do, values in as few bytes as there can be.

use super::{Date, DateTime, Decimal, Key, Malformed, Reader, Value, View, Writer};

/// A value's first byte in a record. Below: the tags of [`Writer::value`], followed by what follows them there.
const KEY_PART: u8 = 16;
const KEY_PARTS_MAX: usize = 16;
/// And the number of bytes that follow, of a whole number of more than `SMALL_INT_MAX`: as many as it takes.
const BIG_INT: u8 = 0x20;
const BIG_INT_END: u8 = 0x28;
/// With the length in bytes.
const SHORT_TEXT: u8 = 0x40;
const SHORT_TEXT_MAX: usize = 0x3f;
/// With the number.
const SMALL_INT: u8 = 0x80;
const SMALL_INT_MAX: i64 = 0x7f;

/// The first byte of each part of a stored key. None is as small as the count of parts that [`Writer::key`] begins with.
const NULL: u8 = 0x41;
/// Less the number of bytes that follow.
const NEGATIVE: u8 = 0x4f;
/// And the number of bytes that follow.
const POSITIVE: u8 = 0x50;
const UNSIGNED: u8 = 0x59;
const FLOAT: u8 = 0x5c;
const DECIMAL: u8 = 0x60;
const TEXT: u8 = 0x61;
const BYTES: u8 = 0x62;
const JSON: u8 = 0x63;
const DATE: u8 = 0x68;
const TIME: u8 = 0x69;
const DATE_TIME: u8 = 0x6a;
/// Ends bytes of any number; a zero among them is followed by `ESCAPED`, which no part begins with.
const END: u8 = 0;
const ESCAPED: u8 = 0xff;

impl Writer {
    /// A value in a row's record. What equals a part of the row's key is not written twice.
    pub fn compact(&mut self, value: &Value, key: &Key) {
        if let Some(part) = key.0.iter().take(KEY_PARTS_MAX).position(|part| part == value) {
            return self.byte(KEY_PART + part as u8);
        }
        match value {
            Value::Int(n) if (0..=SMALL_INT_MAX).contains(n) => self.byte(SMALL_INT | *n as u8),
            Value::Int(n) if *n > SMALL_INT_MAX => self.int_behind(*n, |length| BIG_INT + length),
            Value::Text(text) if text.len() <= SHORT_TEXT_MAX => {
                self.byte(SHORT_TEXT | text.len() as u8);
                self.raw(text.as_bytes());
            }
            value => self.value(value),
        }
    }

    /// A key whose bytes sort as whole numbers, times and text by code points do. So rows that are read in the order of their keys have
    /// neighbouring places in an index.
    pub fn sortable(&mut self, key: &Key) {
        key.0.iter().for_each(|part| self.part(part));
    }

    fn part(&mut self, value: &Value) {
        match value {
            Value::Null => self.byte(NULL),
            Value::Int(n) => self.sortable_int(*n),
            Value::UInt(n) => {
                self.byte(UNSIGNED);
                self.raw(&n.to_be_bytes());
            }
            Value::Float(bits) => {
                self.byte(FLOAT);
                let flip = if bits >> 63 == 1 { u64::MAX } else { 1 << 63 };
                self.raw(&(bits ^ flip).to_be_bytes());
            }
            Value::Decimal(decimal) => self.ended(DECIMAL, decimal.as_str().as_bytes()),
            Value::Text(text) => self.ended(TEXT, text.as_bytes()),
            Value::Bytes(bytes) => self.ended(BYTES, bytes),
            Value::Json(text) => self.ended(JSON, text.as_bytes()),
            Value::Date(date) => {
                self.byte(DATE);
                self.sortable_date(*date);
            }
            Value::Time(us) => {
                self.byte(TIME);
                self.sortable_int(*us);
            }
            Value::DateTime(time) => {
                self.byte(DATE_TIME);
                self.sortable_date(time.date);
                self.sortable_int(time.us);
            }
        }
    }

    /// As few bytes as hold it, most significant first, behind one that tells sign and number of bytes. For negative numbers: how far
    /// above the lowest that so many bytes hold.
    fn sortable_int(&mut self, n: i64) {
        self.int_behind(n, |length| if n < 0 { NEGATIVE - length } else { POSITIVE + length });
    }

    /// In as few bytes as it takes; `tag` makes the byte before them from their number.
    fn int_behind(&mut self, n: i64, tag: impl FnOnce(u8) -> u8) {
        let magnitude = if n < 0 { !n } else { n } as u64;
        let length = (u64::BITS - magnitude.leading_zeros()).div_ceil(8) as u8;
        self.byte(tag(length));
        self.raw(&n.to_be_bytes()[8 - usize::from(length)..]);
    }

    fn sortable_date(&mut self, date: Date) {
        self.sortable_int(date.year.into());
        self.byte(date.month);
        self.byte(date.day);
    }

    fn ended(&mut self, tag: u8, bytes: &[u8]) {
        self.byte(tag);
        for run in bytes.split_inclusive(|byte| *byte == END) {
            self.raw(run);
            if run.ends_with(&[END]) {
                self.byte(ESCAPED);
            }
        }
        self.byte(END);
    }
}

impl Key {
    /// The key that [`Writer::sortable`] wrote, and nothing behind it.
    pub fn from_sortable(bytes: &[u8]) -> Result<Key, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut parts = Vec::with_capacity(1);
        while reader.end().is_err() {
            parts.push(reader.part()?);
        }
        Ok(Key(parts))
    }
}

impl<'a> Reader<'a> {
    /// A value that [`Writer::compact`] wrote in the record of the row with this key.
    pub fn compact(&mut self, key: &Key) -> Result<Value, Malformed> {
        self.compact_view(key).map(View::into_value)
    }

    /// As [`Reader::compact`], without a copy.
    pub fn compact_view<'v>(&mut self, key: &'v Key) -> Result<View<'v>, Malformed>
    where
        'a: 'v,
    {
        let Some(first) = self.peek() else { return Err(Malformed) };
        if first < KEY_PART {
            return self.view();
        }
        self.byte()?;
        Ok(match first {
            SMALL_INT.. => View::Int((first & !SMALL_INT).into()),
            SHORT_TEXT.. => {
                let bytes = self.take((first & !SHORT_TEXT).into())?;
                View::Text(std::str::from_utf8(bytes).map_err(|_| Malformed)?)
            }
            BIG_INT_END.. if first > BIG_INT_END => return Err(Malformed),
            BIG_INT.. => View::Int(Some(self.int_behind(POSITIVE + (first - BIG_INT))?).filter(|n| *n > SMALL_INT_MAX).ok_or(Malformed)?),
            part => View::of(key.0.get(usize::from(part - KEY_PART)).ok_or(Malformed)?),
        })
    }

    /// Goes past a value and gives its bytes, as [`Writer::compact`] wrote them.
    pub fn skip_compact(&mut self) -> Result<&'a [u8], Malformed> {
        match self.peek().ok_or(Malformed)? {
            SMALL_INT.. => self.take(1),
            first @ SHORT_TEXT.. => self.take(1 + usize::from(first & !SHORT_TEXT)),
            first @ BIG_INT..=BIG_INT_END => self.take(1 + usize::from(first - BIG_INT)),
            first if first > BIG_INT_END => Err(Malformed),
            KEY_PART.. => self.take(1),
            _ => self.skip_value(),
        }
    }

    fn part(&mut self) -> Result<Value, Malformed> {
        let tag = self.byte()?;
        Ok(match tag {
            NULL => Value::Null,
            UNSIGNED => match u64::from_be_bytes(self.array()?) {
                n if i64::try_from(n).is_err() => Value::UInt(n),
                _ => return Err(Malformed),
            },
            FLOAT => {
                let bits = u64::from_be_bytes(self.array()?);
                let bits = bits ^ if bits >> 63 == 1 { 1 << 63 } else { u64::MAX };
                Some(Value::float(f64::from_bits(bits))).filter(|value| *value == Value::Float(bits)).ok_or(Malformed)?
            }
            DECIMAL => Value::Decimal(Decimal::parse(&self.ended_text()?).ok_or(Malformed)?),
            TEXT => Value::Text(self.ended_text()?),
            BYTES => Value::Bytes(self.ended()?),
            JSON => Value::Json(self.ended_text()?),
            DATE => Value::Date(self.sortable_date()?),
            TIME => Value::Time(self.sortable_int()?),
            DATE_TIME => Value::DateTime(DateTime { date: self.sortable_date()?, us: self.sortable_int()? }),
            tag => Value::Int(self.int_behind(tag)?),
        })
    }

    fn array(&mut self) -> Result<[u8; 8], Malformed> {
        self.take(8)?.try_into().map_err(|_| Malformed)
    }

    fn sortable_int(&mut self) -> Result<i64, Malformed> {
        let tag = self.byte()?;
        self.int_behind(tag)
    }

    fn int_behind(&mut self, tag: u8) -> Result<i64, Malformed> {
        let (fill, length) = match tag {
            tag if (POSITIVE..=POSITIVE + 8).contains(&tag) => (0, tag - POSITIVE),
            tag if (NEGATIVE - 8..=NEGATIVE).contains(&tag) => (0xff, NEGATIVE - tag),
            _ => return Err(Malformed),
        };
        let mut bytes = [fill; 8];
        let stored = self.take(length.into())?;
        bytes[8 - stored.len()..].copy_from_slice(stored);
        let n = i64::from_be_bytes(bytes);
        // In no more bytes than it takes, and with the sign that the tag says.
        let is_least = stored.first() != Some(&fill);
        if is_least && (n < 0) == (fill > 0) { Ok(n) } else { Err(Malformed) }
    }

    fn sortable_date(&mut self) -> Result<Date, Malformed> {
        let year = i32::try_from(self.sortable_int()?).map_err(|_| Malformed)?;
        Ok(Date { year, month: self.byte()?, day: self.byte()? })
    }

    fn ended(&mut self) -> Result<Vec<u8>, Malformed> {
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                END if self.peek() == Some(ESCAPED) => {
                    self.byte()?;
                    bytes.push(END);
                }
                END => return Ok(bytes),
                byte => bytes.push(byte),
            }
        }
    }

    fn ended_text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.ended()?).map_err(|_| Malformed)
    }
}
