//! Names of changes: sites, dots, lives, and the fingerprints by which a held value is recognised.

use sha2::{Digest, Sha256};

use super::{Value, Writer};

/// A site's number in the ledger. It never changes and is never given to another site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u16);

/// The name of one captured change: the site where it was made and that site's counter, which starts at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dot {
    pub site: SiteId,
    pub counter: u64,
}

/// How often a row has come and gone (causal length): odd while it exists, even while it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Life(pub u32);

impl Life {
    pub const NONE: Life = Life(0);
    pub const FIRST: Life = Life(1);

    pub fn exists(self) -> bool {
        self.0 % 2 == 1
    }

    pub fn next(self) -> Life {
        // Only a forged marker or a damaged record comes to the end of the numbers; what is odd stays odd there.
        Life(self.0.checked_add(1).unwrap_or(u32::MAX - 1))
    }
}

/// The first 64 bits of the SHA-256 of a value's canonical encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u64);

/// Fingerprint of `value`: equal values have equal fingerprints; two different values of a person share one with
/// a probability of 2^-64.
pub fn fingerprint(value: &Value) -> Fingerprint {
    let mut bytes = Writer::new();
    bytes.value(value);
    let digest = Sha256::digest(bytes.as_slice());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    Fingerprint(u64::from_le_bytes(first))
}
