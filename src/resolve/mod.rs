//! The merge: pure functions from what a site shows to the new state of a row. No I/O, no clock, no async.
//!
//! [`Row`] is the ledger's record of one row: the merged registers, and what each site holds where that differs. The
//! four things that can happen to it are one file each: a site is seen to hold something ([`observe`]), a site
//! is seen for the first time or after a gap ([`scan`]), one of our own writes is read back ([`landed`]), and a site asks what it
//! is owed ([`owed`]).

mod apart;
mod clash;
mod landed;
mod observe;
mod owed;
mod policy;
mod record;
mod row;
mod scan;
#[cfg(test)]
mod tests;

pub use apart::{give_up, has_row, is_apart, let_win, rejoin, stand_apart};
pub use clash::{claimed, gives_up, keeps, other_name, overwrite, stands_at};
pub use landed::landed;
pub use observe::{Conflict, ConflictKind, Observed, observe};
pub use owed::{Write, owed, sent_row};
pub use policy::{InitialPolicy, Known, Roster, SiteView, TablePolicy};
pub use record::{decode_rest, encode_rest};
pub use row::{Held, Register, Row};
pub use scan::{Reach, logged, put_back, restored, scan};
