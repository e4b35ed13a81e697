//! Values, tables, changes, transactions, positions and versions: the words that every other folder speaks.
//!
//! Nothing here does I/O, reads a clock or knows an engine. A value has exactly one canonical form, so two sites hold
//! the same value if and only if the two `Value`s are equal, whatever engines they came from.

mod change;
mod civil;
mod class;
mod codec;
mod column;
mod compare;
mod convert;
mod json;
mod mapping;
mod marker;
mod predicate;
mod stored;
mod sum;
mod table;
mod typing;
mod value;
mod version;

#[cfg(test)]
pub(crate) mod tests;

pub use change::{Cell, Change, Image, LogItem, Origin, Position, Transaction, weight};
pub use civil::parse_time;
pub use class::{Allocation, Class};
pub use codec::{Malformed, Reader, View, Writer};
pub use column::{Charset, ColumnType, Family, Fit, Refusal, Span, Special, ZeroDates};
pub use compare::compare_types;
pub use convert::{canonical, fit, read};
pub use mapping::{Fill, Unnamed, ValueMap};
pub use marker::{MarkerId, MarkerKind, Payload, SentRow, Watermark, WriteKind};
pub use predicate::{Comparison, Operand, Predicate};
pub use sum::{Stretch, Sum, Summing};
pub use table::{Column, ForeignKey, SharedUnique, SiteColumn, SiteTable, Table, TableId, UniqueKey, folded};
pub use typing::{Asks, Misread};
pub use value::{Date, DateTime, Decimal, Key, Value};
pub use version::{Dot, Fingerprint, Life, SiteId, fingerprint};
