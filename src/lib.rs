//! rosterd: one roster of people, many databases. See docs/ARCHITECTURE.md for the code map and the invariants.
//!
//! Data flows one way; each folder may import only what stands above it in this list, and its own
//! (`tests/architecture.rs` holds the code to it).

pub mod apply;
pub mod capture;
pub mod config;
pub mod crash;
pub mod daemon;
pub mod ledger;
pub mod model;
pub mod ops;
pub mod resolve;
pub mod sites;

#[cfg(any(test, feature = "fuzzing"))]
pub mod hostile;
mod mutation;
#[cfg(test)]
mod schedules;
