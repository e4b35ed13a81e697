//! Checksums of many rows, which a database makes where they are: equal ones spare reading the rows.
//!
//! It is the SHA-256 (FIPS 180-4), which every server has, of the rows' texts one after the other, in the order of their keys. A row's
//! text is that of its values, each in a form that shows its end.

use sha2::{Digest, Sha256};

use super::value::bytes_of_hex;
use super::{ColumnType, Family, SiteTable, Value, View};

/// Rows of a table whose key is a whole number, from one key to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Exclusive. None: from the first on.
    pub after: Option<i64>,
    /// Inclusive. None: to the last.
    pub upto: Option<i64>,
}

/// How many rows there are, and the checksum of their texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    pub rows: u64,
    pub print: [u8; 32],
}

impl Sum {
    /// As servers tell it. None: that is no SHA-256.
    pub fn from_hex(rows: u64, print: &str) -> Option<Sum> {
        // Which takes a sign for a digit.
        let bytes = bytes_of_hex(print).filter(|_| print.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        Some(Sum { rows, print: bytes.try_into().ok()? })
    }
}

/// A checksum under way.
#[derive(Default)]
pub struct Summing {
    rows: u64,
    bytes: usize,
    /// Values of the row at hand.
    values: usize,
    text: Vec<u8>,
    digest: Sha256,
}

impl Summing {
    /// Bytes of text gathered until they go into the digest.
    const TEXT: usize = 1 << 14;

    /// Adds the next value of the row with the next key. False: it has no form here.
    pub fn value(&mut self, value: &View<'_>) -> bool {
        self.values += 1;
        match value {
            View::Null => self.text.push(b'N'),
            View::Int(n) => self.number(*n, b','),
            View::Other(Value::UInt(n)) => self.number(*n, b','),
            View::Text(text) => {
                self.number(text.len(), b':');
                self.text.extend_from_slice(text.as_bytes());
            }
            View::Bytes(bytes) => {
                self.number(2 * bytes.len(), b':');
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                self.text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
            }
            View::Other(_) => return false,
        }
        true
    }

    fn number(&mut self, n: impl itoa::Integer, end: u8) {
        self.text.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
        self.text.push(end);
    }

    /// The row at hand has been added. Gives how many values it has.
    pub fn end_row(&mut self) -> usize {
        self.rows += 1;
        if self.text.len() >= Summing::TEXT {
            self.digest.update(&self.text);
            self.bytes += self.text.len();
            self.text.clear();
        }
        std::mem::take(&mut self.values)
    }

    /// Of the text so far.
    pub fn bytes(&self) -> usize {
        self.bytes + self.text.len()
    }

    pub fn sum(mut self) -> Sum {
        self.digest.update(&self.text);
        Sum { rows: self.rows, print: self.digest.finalize().into() }
    }
}

impl SiteTable {
    /// The columns that a checksum is made of: all that are shared and at this site. None: rows have to be read, as the site has values in
    /// other forms than the roster, or not only shared rows, or the key is not one whole number.
    pub fn summed(&self) -> Option<Vec<usize>> {
        let [key] = self.table.key[..] else { return None };
        if !self.fills.is_empty() || self.table.columns[key].family != Family::Integer {
            return None;
        }
        let mut columns = Vec::new();
        for (at, column) in self.shared_columns().iter().enumerate() {
            let Some(column) = column else { continue };
            let plain = matches!(
                (&column.ty, self.family(at)),
                (ColumnType::Int { .. }, Family::Integer)
                    | (ColumnType::Char { .. } | ColumnType::Text { .. }, Family::Text)
                    | (ColumnType::Bytes { .. }, Family::Bytes)
            );
            if !plain || column.values.is_some() {
                return None;
            }
            columns.push(at);
        }
        columns.contains(&key).then_some(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(sum: &mut Summing, row: &[Value]) -> bool {
        row.iter().all(|value| sum.value(&View::of(value))) && sum.end_row() == row.len()
    }

    fn sum(rows: &[&[Value]]) -> Option<Sum> {
        let mut sum = Summing::default();
        rows.iter().all(|row| add(&mut sum, row)).then(|| sum.sum())
    }

    #[test]
    fn a_sum_is_of_all_values_in_the_order_of_the_rows() {
        let ash: &[Value] = &[Value::Int(1), Value::Text("ash".into()), Value::Bytes(vec![0, 255]), Value::Null];
        let oak: &[Value] = &[Value::Int(2), Value::Text("oak".into()), Value::Null, Value::Null];
        assert_ne!(sum(&[ash, oak]), sum(&[oak, ash]));
        assert_ne!(sum(&[ash]), sum(&[oak]));
        assert_eq!(sum(&[ash]), Sum::from_hex(1, "d46458fd5465e26250094d6674e95ac33b364591cc58e3d64d567a337e1bd797"));
        assert_eq!(sum(&[ash, oak]), Sum::from_hex(2, "2473722c3590d571326f296db3112749b8dc69cf2383fa2945d704b40cba1745"));
        assert_eq!(sum(&[]), Sum::from_hex(0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
        assert_eq!(sum(&[&[Value::Float(0)]]), None);
        let digits = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            (Sum::from_hex(0, &digits[1..]), Sum::from_hex(0, &digits.replacen('e', "+", 1)), Sum::from_hex(0, "")),
            (None, None, None)
        );
    }

    #[test]
    fn how_the_text_is_gathered_makes_no_difference() {
        let rows: Vec<Vec<Value>> = (0..3000).map(|n| vec![Value::Int(n), Value::Text("leaf".repeat(n as usize % 90))]).collect();
        let (mut summing, mut text) = (Summing::default(), String::new());
        for row in &rows {
            assert!(add(&mut summing, row));
            let [Value::Int(n), Value::Text(leaves)] = &row[..] else { panic!("two values") };
            text += &format!("{n},{}:{leaves}", leaves.len());
        }
        assert_eq!(summing.bytes(), text.len());
        assert_eq!(summing.sum(), Sum { rows: 3000, print: Sha256::digest(&text).into() });
    }

    #[test]
    fn what_is_in_one_column_is_not_taken_for_the_next_ones() {
        let text = |s: &str| Value::Text(s.into());
        let pairs =
            [(text("a1:"), text("b")), (text("a"), text("1:b")), (text(""), Value::Null), (Value::Null, text("")), (text("N"), text("N"))];
        let sums: std::collections::HashSet<[u8; 32]> = pairs.into_iter().filter_map(|(a, b)| Some(sum(&[&[a, b]])?.print)).collect();
        assert_eq!(sums.len(), 5);
    }
}
