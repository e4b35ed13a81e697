//! From the plugin's messages to log items: which relation is which shared table, rows to images, commits to transactions.
//! Decides only; the stream is `log.rs`'s.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::pgoutput::{Datum, Lsn, Message, Old, Relation, Tuple};
use super::values;
use crate::model::{
    Cell, Change, Image, LogItem, MarkerId, MarkerKind, Origin, Position, SiteId, SiteTable, TableId, Transaction, Unnamed,
};
use crate::sites::MARKER_TABLE;

/// A transaction that is larger than this comes in parts.
const PART_CHANGES_MAX: usize = 20_000;
const PART_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The columns of the shared tables as they were when the log was opened: by schema and table, then by name.
pub(super) type Declared = HashMap<(String, String), HashMap<String, DeclaredColumn>>;

#[derive(Clone, Copy, Debug)]
pub(super) struct DeclaredColumn {
    pub type_oid: u32,
    pub generated: bool,
}

pub(super) struct Assembly {
    site: SiteId,
    tables: Vec<Arc<SiteTable>>,
    marker_schema: String,
    declared: Declared,
    relations: HashMap<u32, Bound>,
    altered: HashSet<TableId>,
    alarmed: HashSet<TableId>,
    /// Everything that committed before it has been given.
    position: Lsn,
    open: Option<Open>,
    items: VecDeque<LogItem>,
}

enum Bound {
    Marker { id: usize, kind: usize, payload: usize },
    Shared(Arc<Binding>),
    Other,
}

struct Binding {
    table: Arc<SiteTable>,
    /// For each column of the shared table, where it is in the relation's tuples.
    places: Vec<Option<usize>>,
    /// For each column of the relation, whether the old tuple of a change has it.
    identifies: Vec<bool>,
}

/// A transaction that has begun.
struct Open {
    committed_us: i64,
    origin: Origin,
    changes: Vec<Change>,
    bytes: usize,
    /// Parts of it have been given already.
    parted: bool,
    /// Seen last, and given with the commit's position if nothing follows it.
    held: Option<Notice>,
}

#[derive(Clone, Copy)]
enum Notice {
    Watermark(MarkerId),
    Emptied(TableId),
}

impl Assembly {
    pub fn new(site: SiteId, tables: Vec<Arc<SiteTable>>, marker_schema: String, declared: Declared, from: Lsn) -> Assembly {
        Assembly {
            site,
            tables,
            marker_schema,
            declared,
            relations: HashMap::new(),
            altered: HashSet::new(),
            alarmed: HashSet::new(),
            position: from,
            open: None,
            items: VecDeque::new(),
        }
    }

    pub fn pop(&mut self) -> Option<LogItem> {
        self.items.pop_front()
    }

    /// Up to where the log has been read, between transactions.
    pub fn position(&self) -> Option<Lsn> {
        self.open.is_none().then_some(self.position)
    }

    /// The server has sent everything that committed before `sent`.
    pub fn keepalive(&mut self, sent: Lsn) {
        if self.open.is_none() {
            self.position = self.position.max(sent);
        }
    }

    /// Takes in one message; the error says in words what is wrong with it.
    pub fn message(&mut self, message: Message) -> Result<(), &'static str> {
        match message {
            Message::Begin { .. } if self.open.is_some() => return Err("a transaction that begins within another"),
            Message::Begin { committed_us } => {
                let (origin, changes) = (Origin::Local, Vec::new());
                self.open = Some(Open { committed_us, origin, changes, bytes: 0, parted: false, held: None });
            }
            Message::Commit { end } => self.commit(end)?,
            Message::Relation(relation) => self.relation(relation),
            Message::Insert { relation, new } => match self.bound(relation)? {
                Bound::Marker { id, kind, payload } => {
                    let (id, kind, payload) = (*id, *kind, *payload);
                    self.marker(&new, id, kind, Some(payload))?;
                }
                Bound::Shared(binding) => self.insert(binding.clone(), &new)?,
                Bound::Other => {}
            },
            Message::Update { relation, old, new } => match self.bound(relation)? {
                Bound::Marker { id, kind, .. } => {
                    let (id, kind) = (*id, *kind);
                    self.marker(&new, id, kind, None)?;
                }
                Bound::Shared(binding) => self.update(binding.clone(), old.as_ref(), &new)?,
                Bound::Other => {}
            },
            Message::Delete { relation, old } => {
                if let Bound::Shared(binding) = self.bound(relation)? {
                    self.delete(binding.clone(), &old)?;
                }
            }
            Message::Truncate { relations } => {
                for relation in relations {
                    if let Bound::Shared(binding) = self.bound(relation)? {
                        let table = binding.table.table.id;
                        self.notice(Notice::Emptied(table))?;
                    }
                }
            }
            Message::Other => {}
        }
        Ok(())
    }

    fn bound(&self, relation: u32) -> Result<&Bound, &'static str> {
        self.relations.get(&relation).ok_or("a change of a table that was not described before")
    }

    fn opened(&mut self) -> Result<&mut Open, &'static str> {
        self.open.as_mut().ok_or("a change outside a transaction")
    }

    fn relation(&mut self, relation: Relation) {
        let place = |name: &str| relation.columns.iter().position(|c| c.name == name);
        if relation.schema == self.marker_schema && relation.name == MARKER_TABLE {
            let bound = match (place("id"), place("kind"), place("payload")) {
                (Some(id), Some(kind), Some(payload)) => Bound::Marker { id, kind, payload },
                _ => Bound::Other,
            };
            self.relations.insert(relation.id, bound);
            return;
        }
        let table = self.tables.iter().find(|t| t.schema == relation.schema && t.name == relation.name).cloned();
        let bound = match table {
            Some(table) => self.bind(table, &relation).map_or(Bound::Other, |binding| Bound::Shared(Arc::new(binding))),
            None => Bound::Other,
        };
        self.relations.insert(relation.id, bound);
    }

    /// None, and an item that says so, when the table is no longer what it was when the log was opened.
    fn bind(&mut self, table: Arc<SiteTable>, relation: &Relation) -> Option<Binding> {
        let declared = self.declared.get(&(table.schema.clone(), table.name.clone()));
        let mut places = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let known = column.as_ref().map(|column| (column, declared.and_then(|d| d.get(&column.name))));
            let place = match known {
                None | Some((_, Some(DeclaredColumn { generated: true, .. }))) => Ok(None),
                Some((column, Some(known))) => {
                    relation.columns.iter().position(|c| c.name == column.name && c.type_oid == known.type_oid).map(Some).ok_or(())
                }
                Some((_, None)) => Err(()),
            };
            match place {
                Ok(place) => places.push(place),
                Err(()) => {
                    let id = table.table.id;
                    if self.altered.insert(id) {
                        self.items.push_back(LogItem::Altered { site: self.site, table: id, position: self.before() });
                    }
                    return None;
                }
            }
        }
        if self.altered.contains(&table.table.id) {
            return None;
        }
        Some(Binding { table, places, identifies: relation.columns.iter().map(|c| c.identifies).collect() })
    }

    fn marker(&mut self, row: &Tuple, id: usize, kind: usize, payload: Option<usize>) -> Result<(), &'static str> {
        const BAD: &str = "a row of the marker table that is not in its form";
        let id = MarkerId(text(row.get(id)).and_then(|id| id.parse().ok()).ok_or(BAD)?);
        match text(row.get(kind)).and_then(MarkerKind::from_letter) {
            Some(MarkerKind::Batch) => {
                // An update of a batch's marker is nobody's landing.
                let Some(payload) = payload else { return Ok(()) };
                let payload = text(row.get(payload)).and_then(|hex| values::unhex(hex.strip_prefix("\\x")?)).ok_or(BAD)?;
                self.opened()?.origin = Origin::Landing { marker: id, payload };
            }
            Some(MarkerKind::Watermark) => self.notice(Notice::Watermark(id))?,
            Some(MarkerKind::Tombstone) | None => {}
        }
        Ok(())
    }

    fn insert(&mut self, binding: Arc<Binding>, new: &Tuple) -> Result<(), &'static str> {
        let after = binding.image(new, None)?;
        match binding.table.key_in(&after) {
            Ok(key) => {
                let after = binding.table.shared(after);
                self.change(Change { table: binding.id(), key, before: None, after, moved_from: None })
            }
            // No row of the roster's.
            Err(Unnamed::Refused(_)) => Ok(()),
            Err(Unnamed::LeftOut) => self.alarm(&binding, "a row was inserted and the log does not tell which"),
        }
    }

    fn update(&mut self, binding: Arc<Binding>, old: Option<&Old>, new: &Tuple) -> Result<(), &'static str> {
        let after = binding.image(new, old)?;
        let new = binding.table.key_in(&after);
        if new == Err(Unnamed::LeftOut) {
            return self.alarm(&binding, "a row was updated and the log does not tell which");
        }
        let told = match old {
            Some(old) => Some(binding.old_image(old)?),
            None => None,
        };
        if !binding.keyed() && !matches!(old, Some(Old::Full(_))) {
            self.alarm(&binding, "its replica identity leaves out key columns, so that changes of keys can't be seen")?;
        }
        let named = told.as_ref().map(|image| binding.table.key_in(image));
        let full = matches!(old, Some(Old::Full(_))) && !matches!(named, Some(Err(Unnamed::Refused(_))));
        let before = told.filter(|_| full).and_then(|image| binding.table.shared(image));
        let after = binding.table.shared(after);
        match (named.and_then(Result::ok), new) {
            (Some(old_key), Ok(key)) if old_key != key => {
                self.change(Change { table: binding.id(), key: old_key.clone(), before, after: None, moved_from: None })?;
                self.change(Change { table: binding.id(), key, before: None, after, moved_from: Some(old_key) })
            }
            (_, Ok(key)) => self.change(Change { table: binding.id(), key, before, after, moved_from: None }),
            // It is no row of the roster's any more.
            (Some(key), Err(_)) => self.change(Change { table: binding.id(), key, before, after: None, moved_from: None }),
            (None, Err(_)) => Ok(()),
        }
    }

    fn delete(&mut self, binding: Arc<Binding>, old: &Old) -> Result<(), &'static str> {
        let image = binding.old_image(old)?;
        let key = match binding.table.key_in(&image) {
            Ok(key) => key,
            Err(Unnamed::Refused(_)) => return Ok(()),
            Err(Unnamed::LeftOut) => return self.alarm(&binding, "a row was deleted and the log does not tell which"),
        };
        let before = if matches!(old, Old::Full(_)) { binding.table.shared(image) } else { None };
        self.change(Change { table: binding.id(), key, before, after: None, moved_from: None })
    }

    fn change(&mut self, change: Change) -> Result<(), &'static str> {
        self.release_held();
        let open = self.opened()?;
        open.bytes += change.weight();
        open.changes.push(change);
        let full = open.changes.len() >= PART_CHANGES_MAX || open.bytes >= PART_BYTES_MAX;
        if full && open.origin == Origin::Local {
            self.part();
        }
        Ok(())
    }

    /// Gives what there is of the open transaction.
    fn part(&mut self) {
        let Some(open) = self.open.as_mut().filter(|open| !open.changes.is_empty()) else { return };
        open.parted = true;
        open.bytes = 0;
        let changes = std::mem::take(&mut open.changes);
        let (committed_us, origin) = (open.committed_us, open.origin.clone());
        self.items.push_back(LogItem::Transaction(Transaction { site: self.site, position: None, committed_us, origin, changes }));
    }

    /// Notices keep their place among the changes. Those in the middle of a transaction have the position before it:
    /// who takes up reading there meets all of it again.
    fn notice(&mut self, notice: Notice) -> Result<(), &'static str> {
        self.release_held();
        let open = self.opened()?;
        open.held = Some(notice);
        if open.origin == Origin::Local {
            self.part();
        }
        Ok(())
    }

    fn release_held(&mut self) {
        if let Some(notice) = self.open.as_mut().and_then(|open| open.held.take()) {
            let item = self.item(notice, self.before());
            self.items.push_back(item);
        }
    }

    fn item(&self, notice: Notice, position: Position) -> LogItem {
        let site = self.site;
        match notice {
            Notice::Watermark(marker) => LogItem::Watermark { site, marker, position },
            Notice::Emptied(table) => LogItem::Emptied { site, table, position },
        }
    }

    /// Once for each table while the log is open; the operator is told, not flooded.
    fn alarm(&mut self, binding: &Binding, message: &str) -> Result<(), &'static str> {
        let table = binding.id();
        if self.alarmed.insert(table) {
            let message = format!("{message}: ALTER TABLE {} REPLICA IDENTITY FULL, or share it by its primary key", binding.table.name);
            self.items.push_back(LogItem::Alarm { site: self.site, table, position: self.before(), message });
        }
        Ok(())
    }

    fn commit(&mut self, end: Lsn) -> Result<(), &'static str> {
        let alone = self.opened().map(|open| open.changes.is_empty() && !open.parted && open.origin == Origin::Local)?;
        if !alone {
            self.release_held();
        }
        let Some(open) = self.open.take() else { return Ok(()) };
        let position = Position(end.to_string());
        if let Some(notice) = open.held {
            let item = self.item(notice, position);
            self.items.push_back(item);
        } else if !alone {
            let Open { committed_us, origin, changes, .. } = open;
            self.items.push_back(LogItem::Transaction(Transaction {
                site: self.site,
                position: Some(position),
                committed_us,
                origin,
                changes,
            }));
        }
        self.position = self.position.max(end);
        Ok(())
    }

    /// Where reading goes on so that nothing of the open transaction is missed.
    pub fn before(&self) -> Position {
        Position(self.position.to_string())
    }
}

impl Binding {
    fn id(&self) -> TableId {
        self.table.table.id
    }

    /// The row as `tuple` has it. What it leaves out as unchanged TOAST may be in the old tuple.
    fn image(&self, tuple: &Tuple, old: Option<&Old>) -> Result<Image, &'static str> {
        self.cells(tuple, |place| match old {
            Some(Old::Full(old)) => old.get(place),
            Some(Old::Key(old)) if self.identifies.get(place) == Some(&true) => old.get(place),
            _ => None,
        })
    }

    fn old_image(&self, old: &Old) -> Result<Image, &'static str> {
        let mut image = self.cells(old.tuple(), |_| None)?;
        if let Old::Key(_) = old {
            for (cell, place) in image.iter_mut().zip(&self.places) {
                if place.is_some_and(|place| self.identifies.get(place) != Some(&true)) {
                    *cell = Cell::Unchanged;
                }
            }
        }
        Ok(image)
    }

    fn cells<'a>(&'a self, tuple: &'a Tuple, instead: impl Fn(usize) -> Option<&'a Datum>) -> Result<Image, &'static str> {
        let mut image = Vec::with_capacity(self.places.len());
        for (number, place) in self.places.iter().enumerate() {
            let (Some(place), Some(column)) = (*place, self.table.columns[number].as_ref()) else {
                image.push(Cell::Unchanged);
                continue;
            };
            let mut datum = tuple.get(place).ok_or("a row with fewer columns than its table")?;
            if *datum == Datum::Unchanged {
                datum = instead(place).unwrap_or(datum);
            }
            image.push(match datum {
                Datum::Unchanged => Cell::Unchanged,
                Datum::Null => values::cell(None, column, self.table.family(number)),
                Datum::Text(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => values::cell(Some(text), column, self.table.family(number)),
                    Err(_) => Cell::Refused("text that is not UTF-8"),
                },
            });
        }
        Ok(image)
    }

    /// Whether the old tuple of a change has the whole key.
    fn keyed(&self) -> bool {
        self.table.table.key.iter().all(|n| self.places[*n].is_some_and(|place| self.identifies[place]))
    }
}

fn text(datum: Option<&Datum>) -> Option<&str> {
    match datum? {
        Datum::Text(bytes) => std::str::from_utf8(bytes).ok(),
        Datum::Null | Datum::Unchanged => None,
    }
}
