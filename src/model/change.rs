//! What a site's log says: transactions of changes, in the site's order.

use std::fmt;

use super::{Key, MarkerId, SiteId, TableId, Value};

/// A place in a site's change log, in the spelling of the engine that made it: a binlog GTID set, a WAL LSN, a changelog id.
/// Only that engine's folder reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position(pub String);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One column of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Value(Value),
    /// Not in the image: the site has no such column, or its log leaves out what did not change (TOAST).
    Unchanged,
    /// The site holds something that has no lossless canonical form; the reason names no value.
    Refused(&'static str),
}

/// A row's content, one cell for each column of the shared table, in its order.
pub type Image = Vec<Cell>;

/// Approximate bytes of memory of an image, for bounds.
pub fn weight(image: &Image) -> usize {
    let cells = image.iter().map(|cell| match cell {
        Cell::Value(value) => value.weight(),
        Cell::Unchanged | Cell::Refused(_) => 24,
    });
    cells.sum()
}

/// One row's insert, update or delete.
#[derive(Clone, Debug)]
pub struct Change {
    pub table: TableId,
    pub key: Key,
    /// The row before, where the log has it.
    pub before: Option<Image>,
    /// The row after; None: deleted.
    pub after: Option<Image>,
    /// For a row whose key was changed: the key that it had, which is deleted by another change of the same transaction.
    pub moved_from: Option<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An application's own transaction.
    Local,
    /// One of ours, read back: what the marker in it says.
    Landing { marker: MarkerId, payload: Vec<u8> },
}

/// Changes that one site committed together, each in the order of the log; one row may occur several times.
#[derive(Clone, Debug)]
pub struct Transaction {
    pub site: SiteId,
    /// Where reading goes on after it. None: more of this transaction follows (a very large one comes in parts).
    pub position: Option<Position>,
    /// Commit time in microseconds since 1970, by the site's clock.
    pub committed_us: i64,
    pub origin: Origin,
    pub changes: Vec<Change>,
}

/// What a log reader gives, in log order.
#[derive(Clone, Debug)]
pub enum LogItem {
    Transaction(Transaction),
    /// One of our watermarks.
    Watermark {
        site: SiteId,
        marker: MarkerId,
        position: Position,
    },
    /// The log has moved on to `position` without anything for `site`.
    Progress {
        site: SiteId,
        position: Position,
    },
    /// The definition of a shared table may have changed here.
    Altered {
        site: SiteId,
        table: TableId,
        position: Position,
    },
    /// All rows of a shared table were removed at once (TRUNCATE, DROP).
    Emptied {
        site: SiteId,
        table: TableId,
        position: Position,
    },
    /// Something that may have changed shared rows without saying which (a statement-format change).
    Alarm {
        site: SiteId,
        table: TableId,
        position: Position,
        message: String,
    },
}

impl Change {
    /// Approximate bytes of memory, for bounds.
    pub fn weight(&self) -> usize {
        let keys = [Some(&self.key), self.moved_from.as_ref()].into_iter().flatten();
        let keys: usize = keys.flat_map(|key| &key.0).map(Value::weight).sum();
        let images: usize = self.before.iter().chain(&self.after).map(weight).sum();
        size_of::<Change>() + keys + images
    }
}

impl LogItem {
    pub fn site(&self) -> SiteId {
        match self {
            LogItem::Transaction(t) => t.site,
            LogItem::Watermark { site, .. }
            | LogItem::Progress { site, .. }
            | LogItem::Altered { site, .. }
            | LogItem::Emptied { site, .. }
            | LogItem::Alarm { site, .. } => *site,
        }
    }

    /// Approximate bytes of memory, for bounds.
    pub fn weight(&self) -> usize {
        let changes = if let LogItem::Transaction(transaction) = self { &transaction.changes[..] } else { &[] };
        size_of::<LogItem>() + changes.iter().map(Change::weight).sum::<usize>()
    }

    /// Where reading goes on after this item.
    pub fn position(&self) -> Option<&Position> {
        match self {
            LogItem::Transaction(t) => t.position.as_ref(),
            LogItem::Watermark { position, .. }
            | LogItem::Progress { position, .. }
            | LogItem::Altered { position, .. }
            | LogItem::Emptied { position, .. }
            | LogItem::Alarm { position, .. } => Some(position),
        }
    }
}
