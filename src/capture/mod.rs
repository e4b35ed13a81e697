//! From a site's log to the ledger, and from its tables by reconcile.
//!
//! [`intake`] decides what a log item means for the ledger; [`chunk`] does the same for what a scan has read. Both are plain
//! functions on the ledger. [`follow`] and [`reconcile`] are the loops around them that talk to the site.

pub mod chunk;
mod clash;
pub mod continuity;
pub mod follow;
pub mod fuse;
pub mod health;
pub mod intake;
mod kin;
pub mod lag;
mod net;
pub mod numbers;
pub mod reconcile;
pub mod recover;
#[cfg(test)]
mod tests;
mod watch;

pub use intake::{Report, absorb};
pub use watch::{Watch, lock};
