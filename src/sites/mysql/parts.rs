//! One member's part in a group of the log, as it is put together.

use std::collections::VecDeque;

use crate::model::{Change, Image, LogItem, MarkerId, Origin, Position, SiteId, SiteTable, Transaction, Unnamed, weight};

/// One member's part in a group.
#[derive(Default)]
pub(super) struct Part {
    /// The member has captured this group before.
    pub skip: bool,
    pub changes: Vec<Change>,
    pub bytes: usize,
    /// Some of the transaction has been given already.
    pub begun: bool,
    pub landing: Option<(MarkerId, Vec<u8>)>,
    pub watermarks: Vec<MarkerId>,
    pub savepoints: Vec<(String, usize)>,
}

impl Part {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.begun && self.landing.is_none() && self.watermarks.is_empty()
    }

    /// Adds a row's change, and a second one when its key changed. False: its key can't be told.
    pub(super) fn push(&mut self, table: &SiteTable, before: Option<Image>, after: Option<Image>) -> bool {
        let id = table.table.id;
        self.bytes += before.iter().chain(&after).map(weight).sum::<usize>();
        let named = |image: Option<Image>| match image.map(|image| (table.key_in(&image), image)) {
            Some((Ok(key), image)) => Ok((Some(key), table.shared(image))),
            Some((Err(Unnamed::LeftOut), _)) => Err(()),
            // No row of the roster's: as if it were not there.
            Some((Err(Unnamed::Refused(_)), _)) | None => Ok((None, None)),
        };
        let (Ok((old, before)), Ok((new, after))) = (named(before), named(after)) else { return false };
        match (old, new) {
            (Some(old), Some(new)) if old != new => {
                self.changes.push(Change { table: id, key: old.clone(), before, after: None, moved_from: None });
                self.changes.push(Change { table: id, key: new, before: None, after, moved_from: Some(old) });
            }
            (_, Some(key)) | (Some(key), None) => self.changes.push(Change { table: id, key, before, after, moved_from: None }),
            (None, None) => {}
        }
        true
    }

    pub(super) fn roll_back_to(&mut self, name: &str) -> Result<(), &'static str> {
        let found = self.savepoints.iter().rposition(|(n, _)| n == name);
        match found {
            Some(at) => {
                self.changes.truncate(self.savepoints[at].1);
                self.savepoints.truncate(at + 1);
                Ok(())
            }
            None if self.begun => Err("a transaction that was given in parts was rolled back to a savepoint"),
            None => Ok(()),
        }
    }

    pub(super) fn give(self, site: SiteId, committed_us: i64, position: &Position, out: &mut VecDeque<LogItem>) {
        let position = position.clone();
        if !self.changes.is_empty() || self.begun || self.landing.is_some() {
            let origin = self.landing.map_or(Origin::Local, |(marker, payload)| Origin::Landing { marker, payload });
            let transaction = Transaction { site, position: Some(position.clone()), committed_us, origin, changes: self.changes };
            out.push_back(LogItem::Transaction(transaction));
        }
        out.extend(self.watermarks.into_iter().map(|marker| LogItem::Watermark { site, marker, position: position.clone() }));
    }
}
