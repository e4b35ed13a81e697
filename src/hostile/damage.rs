//! Damaged copies of well-formed input: cut, flipped, joined, repeated, and with lengths that are not true.

use crate::model::tests::Random;

/// Numbers that lengths, counts and times break at.
const NUMBERS: [u64; 14] =
    [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, i64::MIN as u64, u64::MAX];
/// So that what grows from copy to copy does not become slow.
const BYTES_MAX: usize = 1 << 17;

/// A damaged copy of one of `seeds`, or bytes of no meaning.
pub fn damaged(random: &mut Random, seeds: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    if random.below(20) == 0 {
        return (0..random.below(200)).map(|_| random.next() as u8 >> random.pick(&[0, 0, 4, 6])).collect();
    }
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        step(random, &mut bytes, seeds, words);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn step(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str]) {
    let (at, end) = range(random, bytes.len());
    match random.below(12) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let part = bytes[at..end].to_vec();
            let times = *random.pick(&[1, 2, 50]);
            insert(bytes, at, &part.repeat(times.min(BYTES_MAX / part.len().max(1))));
        }
        3 => {
            let other = &seeds[random.below(seeds.len())];
            let (from, to) = range(random, other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        4 => bytes.splice(at.., seeds[random.below(seeds.len())].iter().skip(at).copied()).for_each(drop),
        5 | 6 if !words.is_empty() => insert(bytes, at, random.pick(words).repeat(*random.pick(&[1, 1, 1, 100])).as_bytes()),
        5..=8 => number(random, bytes, at),
        9 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        _ => {
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    bytes.splice(at..at, part.iter().copied()).for_each(drop);
}

/// A number of one to eight bytes, in either order, over what is there.
fn number(random: &mut Random, bytes: &mut [u8], at: usize) {
    let n = random.pick(&NUMBERS).wrapping_add(random.below(3) as u64).wrapping_sub(1);
    let width = (*random.pick(&[1, 2, 3, 4, 8])).min(bytes.len() - at);
    let (little, big) = (n.to_le_bytes(), n.to_be_bytes());
    let part = if random.below(2) == 0 { &little[..width] } else { &big[8 - width..] };
    bytes[at..at + width].copy_from_slice(part);
}

/// Mostly short, sometimes most of it.
fn range(random: &mut Random, length: usize) -> (usize, usize) {
    let at = random.below(length + 1);
    let span = *random.pick(&[1, 2, 4, 8, 19, 64, 1000, usize::MAX]);
    let end = at + random.below(span.min(length - at) + 1);
    (at, end)
}
