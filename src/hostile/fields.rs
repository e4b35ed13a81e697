//! Bytes as fields of a SQLite table, which takes any value in any column. `tests/corpus.rs` writes real tables in this form.

/// A value in one of SQLite's storage classes.
pub enum Field {
    Null,
    Integer(i64),
    Real(f64),
    /// Any bytes.
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

/// A letter each, then 8 bytes of a number, or the length in 2 bytes and so many bytes; all little-endian. What is cut off is NULL.
pub fn fields(data: &[u8]) -> impl Iterator<Item = Field> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let letter = take(&mut rest, 1)?[0];
        Some(field(letter, &mut rest).unwrap_or(Field::Null))
    })
}

fn field(letter: u8, rest: &mut &[u8]) -> Option<Field> {
    Some(match letter {
        b'i' => Field::Integer(i64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        b'r' => Field::Real(f64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        b't' | b'b' => {
            let length = u16::from_le_bytes(take(rest, 2)?.try_into().ok()?);
            let bytes = take(rest, length.into())?.to_vec();
            if letter == b't' { Field::Text(bytes) } else { Field::Blob(bytes) }
        }
        _ => Field::Null,
    })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}
