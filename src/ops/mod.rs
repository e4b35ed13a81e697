//! One read model for all surfaces: the command line, the admin socket, the status page, metrics.
//!
//! [`status`], [`inspect`] and [`history`] are told from the ledger, so they hold for a stopped daemon too; a running one lays
//! its sites' [`crate::capture::health::Figures`] over them and answers on its socket ([`admin`]). [`check`] proves a
//! configuration against live databases. Shapes are serialized as they are: each has a `version` number that
//! rises when a field changes its meaning or goes (docs/json.md). Values of rows are in them only where they were asked for.

pub mod admin;
pub mod check;
pub mod check_text;
pub mod exposition;
mod filling;
mod filters;
pub mod history;
pub mod history_text;
pub mod ids;
pub mod init;
pub mod inspect;
pub mod inspect_text;
pub mod joining;
pub mod joining_text;
pub mod keys;
pub mod page;
pub mod pairs;
pub mod process;
pub mod readiness;
pub mod samples;
pub mod schema;
pub mod status;
pub mod status_text;
pub mod sums;
pub mod text;
pub mod verify;
pub mod verify_text;

/// Version of the JSON shapes.
pub const FORMAT: u32 = 1;
