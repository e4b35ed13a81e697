//! MySQL's binary JSON as the text that the server makes of it.

use std::fmt::Write;

use super::image::{decimal, little, take};
use crate::model::Value;

const DAMAGED: &str = "damaged binary JSON";
/// As deep as the server allows.
const DEPTH_MAX: usize = 101;

/// Type bytes of binary JSON.
const SMALL_OBJECT: u8 = 0;
const LARGE_OBJECT: u8 = 1;
const SMALL_ARRAY: u8 = 2;
const LARGE_ARRAY: u8 = 3;
const LITERAL: u8 = 4;
const INT16: u8 = 5;
const UINT16: u8 = 6;
const INT32: u8 = 7;
const UINT32: u8 = 8;
const INT64: u8 = 9;
const UINT64: u8 = 10;
const DOUBLE: u8 = 11;
const STRING: u8 = 12;
const OPAQUE: u8 = 15;

/// The text of a binary JSON document.
///
/// # Errors
/// Why there is none, in words without its content.
pub(super) fn jsonb_text(bytes: &[u8]) -> Result<String, &'static str> {
    let mut document = Document { text: String::with_capacity(bytes.len()), bytes_max: bytes.len().saturating_mul(TEXT_PER_BYTE_MAX) };
    match bytes.split_first() {
        None => document.text.push_str("null"),
        Some((kind, value)) => document.push(*kind, value, 0)?,
    }
    Ok(document.text)
}

/// Text that one byte of a document becomes at most: a control character is `\u0001`, an empty list three bytes in its list and four of
/// its own, a number of three bytes up to seven.
const TEXT_PER_BYTE_MAX: usize = 8;

/// The text made so far. Parts of a damaged document may stand for each other, so that a few bytes would be text without end: longer
/// than `bytes_max` it can't be.
struct Document {
    text: String,
    bytes_max: usize,
}

impl Document {
    fn push(&mut self, kind: u8, value: &[u8], depth: usize) -> Result<(), &'static str> {
        if depth > DEPTH_MAX || self.text.len() > self.bytes_max {
            return Err(DAMAGED);
        }
        let mut rest = value;
        let out = &mut self.text;
        let _ = match kind {
            SMALL_OBJECT | LARGE_OBJECT => return self.push_container(value, kind == LARGE_OBJECT, true, depth),
            SMALL_ARRAY | LARGE_ARRAY => return self.push_container(value, kind == LARGE_ARRAY, false, depth),
            LITERAL => {
                out.push_str(match take(&mut rest, 1)?[0] {
                    0 => "null",
                    1 => "true",
                    2 => "false",
                    _ => return Err(DAMAGED),
                });
                Ok(())
            }
            INT16 => write!(out, "{}", little(take(&mut rest, 2)?) as i16),
            UINT16 => write!(out, "{}", little(take(&mut rest, 2)?)),
            INT32 => write!(out, "{}", little(take(&mut rest, 4)?) as i32),
            UINT32 => write!(out, "{}", little(take(&mut rest, 4)?)),
            INT64 => write!(out, "{}", little(take(&mut rest, 8)?) as i64),
            UINT64 => write!(out, "{}", little(take(&mut rest, 8)?)),
            DOUBLE => {
                push_double(out, f64::from_bits(little(take(&mut rest, 8)?)));
                Ok(())
            }
            STRING => {
                let n = varlen(&mut rest)?;
                return self.push_string(take(&mut rest, n)?);
            }
            OPAQUE => return self.push_opaque(rest),
            _ => return Err(DAMAGED),
        };
        Ok(())
    }

    fn push_container(&mut self, value: &[u8], large: bool, object: bool, depth: usize) -> Result<(), &'static str> {
        let width = if large { 4 } else { 2 };
        let mut head = value;
        let count = little(take(&mut head, width)?) as usize;
        take(&mut head, width)?;
        let mut keys = if object { take(&mut head, count.checked_mul(width + 2).ok_or(DAMAGED)?)? } else { &[] };
        self.text.push(if object { '{' } else { '[' });
        for i in 0..count {
            if i > 0 {
                self.text.push(',');
            }
            if object {
                let (at, n) = (little(take(&mut keys, width)?) as usize, little(take(&mut keys, 2)?) as usize);
                self.push_string(value.get(at..at.saturating_add(n)).ok_or(DAMAGED)?)?;
                self.text.push(':');
            }
            let kind = take(&mut head, 1)?[0];
            let entry = take(&mut head, width)?;
            let inline = matches!(kind, LITERAL | INT16 | UINT16) || large && matches!(kind, INT32 | UINT32);
            let inner = if inline { entry } else { value.get(little(entry) as usize..).ok_or(DAMAGED)? };
            self.push(kind, inner, depth + 1)?;
        }
        self.text.push(if object { '}' } else { ']' });
        Ok(())
    }

    fn push_string(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        if self.text.len() > self.bytes_max {
            return Err(DAMAGED);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| DAMAGED)?;
        self.text.push_str(&serde_json::to_string(text).map_err(|_| DAMAGED)?);
        Ok(())
    }

    /// SQL types inside JSON.
    fn push_opaque(&mut self, mut rest: &[u8]) -> Result<(), &'static str> {
        let kind = take(&mut rest, 1)?[0];
        let n = varlen(&mut rest)?;
        let data = take(&mut rest, n)?;
        if kind == super::image::code::NEWDECIMAL {
            let [digits, scale, packed @ ..] = data else { return Err(DAMAGED) };
            let Value::Decimal(number) = decimal(packed, (*digits).into(), (*scale).into())? else { return Err(DAMAGED) };
            self.text.push_str(number.as_str());
            return Ok(());
        }
        Err("JSON that holds an SQL value (a date, a time or bytes)")
    }
}

/// As the server prints doubles: shortest digits, with an exponent from 1e15 on.
fn push_double(out: &mut String, x: f64) {
    let scientific = format!("{x:e}");
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let start = out.len();
    let _ = if x != 0.0 && !(-5..15).contains(&exponent) { write!(out, "{scientific}") } else { write!(out, "{x}") };
    if !out[start..].contains(['.', 'e']) {
        out.push_str(".0");
    }
}

fn varlen(rest: &mut &[u8]) -> Result<usize, &'static str> {
    let mut n = 0usize;
    for shift in (0..35).step_by(7) {
        let byte = take(rest, 1)?[0];
        n |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(n);
        }
    }
    Err(DAMAGED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_as_the_server_prints_them() {
        let text = |x| {
            let mut out = String::new();
            push_double(&mut out, x);
            out
        };
        assert_eq!([1.0, 0.1, -2.5, 1e15, 1e100, 0.0].map(text), ["1.0", "0.1", "-2.5", "1e15", "1e100", "0.0"]);
    }

    #[test]
    fn damage_is_refused() {
        assert_eq!(jsonb_text(&[]).unwrap(), "null");
        assert_eq!(jsonb_text(&[LITERAL, 1]).unwrap(), "true");
        assert_eq!(jsonb_text(&[STRING, 1, b'"']).unwrap(), "\"\\\"\"");
        // A list of itself, twice.
        let endless = [SMALL_ARRAY, 2, 0, 10, 0, SMALL_ARRAY, 0, 0, SMALL_ARRAY, 0, 0];
        for bytes in
            [&endless[..], &[STRING, 9, b'a'], &[LARGE_OBJECT, 255, 255, 255, 255], &[99], &[SMALL_ARRAY, 1, 0, 9, 0, SMALL_ARRAY, 0, 0]]
        {
            assert!(jsonb_text(bytes).is_err());
        }
    }
}
