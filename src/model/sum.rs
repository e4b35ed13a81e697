//! Checksums of many rows, which a database makes where they are: equal ones spare reading the rows.
//!
//! A row's text is that of its values one after the other, each in a form that shows its end, and its print the first 64 bits of that
//! text's SHA-256 (FIPS 180-4), which every server has; MD5 is not in all of MySQL's any more.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::{ColumnType, Family, SiteTable, Value};

/// Rows of a table whose key is a whole number, from one key to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Exclusive. None: from the first on.
    pub after: Option<i64>,
    /// Inclusive. None: to the last.
    pub upto: Option<i64>,
}

/// How many rows there are, and all of their prints in one, by exclusive or.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub rows: u64,
    pub print: u64,
}

impl Sum {
    /// Adds a row; `text` is room to write in. False: some value has no form here.
    pub fn add<'v>(&mut self, values: impl Iterator<Item = &'v Value>, text: &mut String) -> bool {
        text.clear();
        for value in values {
            let _ = match value {
                Value::Null => write!(text, "N"),
                Value::Int(n) => write!(text, "{n},"),
                Value::UInt(n) => write!(text, "{n},"),
                Value::Text(s) => write!(text, "{}:{s}", s.len()),
                Value::Bytes(bytes) => {
                    let _ = write!(text, "{}:", 2 * bytes.len());
                    bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}"))
                }
                _ => return false,
            };
        }
        let digest = Sha256::digest(text.as_bytes());
        let first = digest.first_chunk().copied().unwrap_or_default();
        self.print ^= u64::from_be_bytes(first);
        self.rows += 1;
        true
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

    fn sum(rows: &[&[Value]]) -> Option<Sum> {
        let (mut sum, mut text) = (Sum::default(), String::new());
        rows.iter().all(|row| sum.add(row.iter(), &mut text)).then_some(sum)
    }

    #[test]
    fn a_sum_is_of_rows_in_any_order() {
        let ash: &[Value] = &[Value::Int(1), Value::Text("ash".into()), Value::Bytes(vec![0, 255]), Value::Null];
        let oak: &[Value] = &[Value::Int(2), Value::Text("oak".into()), Value::Null, Value::Null];
        assert_eq!(sum(&[ash, oak]), sum(&[oak, ash]));
        assert_ne!(sum(&[ash]), sum(&[oak]));
        // The SHA-256 of `1,3:ash4:00ffN`.
        assert_eq!(sum(&[ash]), Some(Sum { rows: 1, print: 0xd464_58fd_5465_e262 }));
        assert_eq!(sum(&[&[Value::Float(0)]]), None);
    }

    #[test]
    fn what_is_in_one_column_is_not_taken_for_the_next_ones() {
        let text = |s: &str| Value::Text(s.into());
        let pairs =
            [(text("a1:"), text("b")), (text("a"), text("1:b")), (text(""), Value::Null), (Value::Null, text("")), (text("N"), text("N"))];
        let sums: std::collections::HashSet<u64> = pairs.into_iter().map(|(a, b)| sum(&[&[a, b]]).map_or(0, |sum| sum.print)).collect();
        assert_eq!(sums.len(), 5);
    }
}
