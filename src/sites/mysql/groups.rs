//! From events to transactions: a group of events between a GTID and its end, sorted by member. No I/O and no clock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use mysql_async::binlog::events::Event;

use super::ddl::{Act, Touch, act};
use super::events::{GroupStart, Parsed, Rows, RowsData, RowsKind, parse};
use super::gtid::GtidSet;
use super::parts::Part;
use super::shapes::{RawRow, Reader, Shape, Share, Shares, image, marker, next_row};
use crate::model::{Cell, Image, LogItem, MarkerId, MarkerKind, Origin, Position, SiteId, SiteTable, TableId, Transaction};
use crate::sites::LogMember;

/// A transaction of an application that is larger is given in parts.
const PART_CHANGES_MAX: usize = 20_000;
const PART_BYTES_MAX: usize = 16 << 20;
/// A member for which there is nothing is told so that often.
const PROGRESS_US: i64 = 2_000_000;
/// Table maps that are remembered from one group to the next.
const SHAPES_MAX: usize = 10_000;

pub(super) struct Groups {
    members: Vec<Member>,
    shares: Shares,
    /// By the log's number of a table; None: of no concern.
    shapes: HashMap<u64, Option<Arc<Shape>>>,
    group: Option<Group>,
    /// Of the last event, what has not been read yet.
    unread: Option<Unread>,
    out: VecDeque<LogItem>,
}

/// Rows of an event of which some are still to be read.
struct Unread {
    kind: RowsKind,
    data: RowsData,
    /// Where in the images the next row begins.
    at: usize,
    shape: Arc<Shape>,
    seconds: u32,
    now_us: i64,
}

struct Member {
    site: SiteId,
    captured: GtidSet,
    told_us: i64,
    untold: bool,
    /// Tables whose definition may have changed: their rows are not read any more.
    closed: HashSet<TableId>,
}

struct Group {
    start: GroupStart,
    /// Began with BEGIN or the like: it ends with a commit.
    open: bool,
    /// Came whole in one compressed event.
    packed: bool,
    parts: Vec<Part>,
    /// What else happened, in order: said after the transaction.
    notes: Vec<Note>,
}

struct Note {
    member: usize,
    table: TableId,
    what: What,
}

#[derive(Clone, PartialEq)]
enum What {
    Altered,
    Emptied,
    Alarm(String),
}

impl Groups {
    pub(super) fn new(members: &[LogMember], sets: Vec<GtidSet>, shares: Shares, now_us: i64) -> Groups {
        let members = members
            .iter()
            .zip(sets)
            .map(|(m, captured)| Member { site: m.site, captured, told_us: now_us, untold: false, closed: HashSet::new() })
            .collect();
        Groups { members, shares, shapes: HashMap::new(), group: None, unread: None, out: VecDeque::new() }
    }

    /// The next item; None: the next event is needed. Reads a large event's rows as far as it takes, so that no more of them is in
    /// memory than one item has.
    ///
    /// # Errors
    /// What is damaged, in words.
    pub(super) fn take(&mut self) -> Result<Option<LogItem>, &'static str> {
        if self.out.is_empty() {
            self.read_on()?;
        }
        Ok(self.out.pop_front())
    }

    /// Takes the next event, after `take` has given all items of those before; `now_us` is the time of capture.
    ///
    /// # Errors
    /// What is damaged, in words. The log has to be opened anew.
    pub(super) fn feed(&mut self, event: &Event, now_us: i64) -> Result<(), &'static str> {
        let seconds = event.header().timestamp();
        match parse(event)? {
            Parsed::Gtid(start) => self.begin(start),
            Parsed::Restart => self.abandon(),
            Parsed::Query { schema, sql } => self.query(&schema, &sql, seconds, now_us),
            Parsed::Xid => self.end(seconds, now_us),
            Parsed::Prepared => {
                self.alarm_changed("an XA transaction was prepared, and what becomes of it is not followed");
                self.end(seconds, now_us)
            }
            Parsed::TableMap { id, body } => self.table_map(id, body),
            Parsed::Rows(head) => self.rows(&head, event.data(), seconds, now_us),
            Parsed::Packed => {
                if let Some(group) = &mut self.group {
                    group.packed = true;
                }
                Ok(())
            }
            Parsed::Heartbeat => {
                self.progress(now_us, true);
                Ok(())
            }
            Parsed::Other => Ok(()),
        }
    }

    fn begin(&mut self, start: GroupStart) -> Result<(), &'static str> {
        self.abandon()?;
        if self.shapes.len() > SHAPES_MAX {
            self.shapes.clear();
        }
        let parts = self.members.iter().map(|m| Part { skip: m.captured.contains(&start.gtid), ..Part::default() }).collect();
        self.group = Some(Group { start, open: false, packed: false, parts, notes: Vec::new() });
        Ok(())
    }

    /// A group without an end was cut off by a crash of the server, and never committed.
    fn abandon(&mut self) -> Result<(), &'static str> {
        match self.group.take() {
            Some(group) if group.parts.iter().any(|part| part.begun) => Err("a transaction that was given in parts has no end"),
            // The driver gives nothing of an event that it can't unpack.
            Some(group) if group.packed => Err("a compressed transaction that can't be unpacked"),
            _ => Ok(()),
        }
    }

    fn query(&mut self, schema: &str, sql: &str, seconds: u32, now_us: i64) -> Result<(), &'static str> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let was_open = group.open;
        match act(sql) {
            Act::Begin => group.open = true,
            Act::Open(touches) => {
                group.open = true;
                self.touch(schema, &touches);
            }
            Act::Commit => return self.end(seconds, now_us),
            Act::Rollback => {
                if group.parts.iter().any(|part| part.begun) {
                    return Err("a transaction that was given in parts was rolled back");
                }
                group.parts.iter_mut().for_each(|part| *part = Part { skip: part.skip, ..Part::default() });
                return self.end(seconds, now_us);
            }
            Act::Savepoint(name) => group.parts.iter_mut().for_each(|part| part.savepoints.push((name.clone(), part.changes.len()))),
            Act::RollbackTo(name) => group.parts.iter_mut().try_for_each(|part| part.roll_back_to(&name))?,
            Act::Ddl(touches) => {
                self.touch(schema, &touches);
                if !was_open && self.is_single() {
                    return self.end(seconds, now_us);
                }
            }
            Act::Rows(names) => {
                self.alarm(
                    schema,
                    &names,
                    "a change was logged as a statement, without its rows: binlog_format must be ROW in every session",
                );
                if !was_open && self.is_single() {
                    return self.end(seconds, now_us);
                }
            }
            Act::Other => {
                if !was_open && self.is_single() {
                    return self.end(seconds, now_us);
                }
            }
        }
        Ok(())
    }

    /// The one statement of the group ends it. In MySQL that is any that comes without BEGIN.
    fn is_single(&self) -> bool {
        self.group.as_ref().is_some_and(|g| g.start.standalone || matches!(g.start.gtid, super::gtid::Gtid::MySql { .. }))
    }

    fn touch(&mut self, default_schema: &str, touches: &[Touch]) {
        let Some(group) = &mut self.group else { return };
        for touch in touches {
            let schema = touch.schema.as_deref().unwrap_or(default_schema);
            let shares: Vec<&Share> = match &touch.table {
                Some(table) => self.shares.of(schema, table).iter().collect(),
                None => self.shares.tables_in(schema).collect(),
            };
            let what = if touch.emptied { What::Emptied } else { What::Altered };
            for share in shares {
                if let Share::Table { member, table } = share {
                    group.note(*member, table.table.id, what.clone());
                    if !touch.emptied && !group.parts[*member].skip {
                        self.members[*member].closed.insert(table.table.id);
                    }
                }
            }
        }
    }

    /// A statement may have changed every table that it names.
    fn alarm(&mut self, schema: &str, names: &[String], message: &str) {
        let Some(group) = &mut self.group else { return };
        for share in self.shares.named(schema, names) {
            if let Share::Table { member, table } = share {
                group.note(*member, table.table.id, What::Alarm(message.to_owned()));
            }
        }
    }

    fn alarm_changed(&mut self, message: &str) {
        let Some(group) = &mut self.group else { return };
        for member in 0..group.parts.len() {
            let tables: HashSet<TableId> = group.parts[member].changes.drain(..).map(|change| change.table).collect();
            tables.into_iter().for_each(|table| group.note(member, table, What::Alarm(message.to_owned())));
        }
    }

    fn table_map(&mut self, id: u64, body: &[u8]) -> Result<(), &'static str> {
        if let Some(Some(shape)) = self.shapes.get(&id)
            && shape.map == body
        {
            return Ok(());
        }
        let shape = self.shares.shape(body)?.map(Arc::new);
        self.shapes.insert(id, shape);
        Ok(())
    }

    fn rows(&mut self, head: &Rows, data: &[u8], seconds: u32, now_us: i64) -> Result<(), &'static str> {
        let Some(Some(shape)) = self.shapes.get(&head.table) else { return Ok(()) };
        let shape = shape.clone();
        let Some(group) = &self.group else { return Ok(()) };
        if shape.readers.iter().all(|reader| group.parts[reader.member()].skip) {
            return Ok(());
        }
        if head.kind == RowsKind::Partial {
            self.note_readers(&shape, "JSON was logged in parts: binlog_row_value_options must be empty");
            return Ok(());
        }
        let data = head.data(data)?;
        for reader in &shape.readers {
            if let Reader::Changed { member, table } = reader {
                self.changed(*member, table);
            }
        }
        self.unread = Some(Unread { kind: head.kind, data, at: 0, shape, seconds, now_us });
        Ok(())
    }

    /// Reads rows of the last event until there is an item to give.
    fn read_on(&mut self) -> Result<(), &'static str> {
        let Some(mut unread) = self.unread.take() else { return Ok(()) };
        while self.out.is_empty() {
            let Some(row) = next_row(&unread.shape, unread.kind, &unread.data, &mut unread.at)? else { return Ok(()) };
            for reader in &unread.shape.readers {
                match reader {
                    Reader::Marker { member } => self.marker(*member, &unread.shape, &row),
                    Reader::Table { member, table, plan } => self.change(*member, table, plan, &unread.shape, &row),
                    Reader::Changed { .. } => {}
                }
            }
            self.give_part(unread.seconds, unread.now_us);
        }
        self.unread = Some(unread);
        Ok(())
    }

    fn note_readers(&mut self, shape: &Shape, message: &str) {
        let Some(group) = &mut self.group else { return };
        for reader in &shape.readers {
            if let Reader::Table { member, table, .. } = reader {
                group.note(*member, table.table.id, What::Alarm(message.to_owned()));
            }
        }
    }

    /// Only inserts into the marker table say something.
    fn marker(&mut self, member: usize, shape: &Shape, row: &RawRow<'_>) {
        let (Some(group), None, Some(after)) = (&mut self.group, &row.before, &row.after) else { return };
        let part = &mut group.parts[member];
        let Some((id, letter, payload)) = marker(&shape.columns, after) else { return };
        match MarkerKind::from_letter(&letter) {
            Some(MarkerKind::Batch) if !part.begun => part.landing = Some((MarkerId(id), payload)),
            Some(MarkerKind::Watermark) => part.watermarks.push(MarkerId(id)),
            _ => {}
        }
    }

    /// The table is not what was described: reading goes on here, once it has been described anew.
    fn changed(&mut self, member: usize, table: &Arc<SiteTable>) {
        let skip = self.group.as_ref().is_none_or(|group| group.parts[member].skip);
        let m = &mut self.members[member];
        if !skip && m.closed.insert(table.table.id) {
            let position = Position(m.captured.to_string());
            self.out.push_back(LogItem::Altered { site: m.site, table: table.table.id, position });
        }
    }

    fn change(&mut self, member: usize, table: &Arc<SiteTable>, plan: &[Option<usize>], shape: &Shape, row: &RawRow<'_>) {
        let Some(group) = &mut self.group else { return };
        if group.parts[member].skip || self.members[member].closed.contains(&table.table.id) {
            return;
        }
        let before = row.before.as_ref().map(|raw| image(table, plan, &shape.columns, raw));
        let mut after = row.after.as_ref().map(|raw| image(table, plan, &shape.columns, raw));
        if let (Some(before), Some(after)) = (&before, &mut after) {
            fill_key(table, before, after);
        }
        if !group.parts[member].push(table, before, after) {
            group.note(member, table.table.id, What::Alarm("a row was changed and the log does not tell which".into()));
        }
    }

    /// Gives what there is of a very large transaction. What a landing wrote stays together.
    fn give_part(&mut self, seconds: u32, now_us: i64) {
        let Some(group) = &mut self.group else { return };
        let committed_us = committed_us(&group.start, seconds, now_us);
        for (part, member) in group.parts.iter_mut().zip(&self.members) {
            let large = part.changes.len() > PART_CHANGES_MAX || part.bytes > PART_BYTES_MAX;
            if large && part.landing.is_none() {
                let changes = std::mem::take(&mut part.changes);
                part.bytes = 0;
                part.begun = true;
                part.savepoints.clear();
                let transaction = Transaction { site: member.site, position: None, committed_us, origin: Origin::Local, changes };
                self.out.push_back(LogItem::Transaction(transaction));
            }
        }
    }

    fn end(&mut self, seconds: u32, now_us: i64) -> Result<(), &'static str> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let committed_us = committed_us(&group.start, seconds, now_us);
        let notes = group.notes;
        for (i, (part, member)) in group.parts.into_iter().zip(&mut self.members).enumerate() {
            if part.skip {
                continue;
            }
            member.captured.add(&group.start.gtid);
            let notes: Vec<&Note> = notes.iter().filter(|note| note.member == i).collect();
            if part.is_empty() && notes.is_empty() {
                member.untold = true;
                continue;
            }
            member.untold = false;
            member.told_us = now_us;
            let position = Position(member.captured.to_string());
            part.give(member.site, committed_us, &position, &mut self.out);
            self.out.extend(notes.into_iter().map(|note| note.item(member.site, position.clone())));
        }
        self.progress(now_us, false);
        Ok(())
    }

    /// Tells members for which there was nothing how far the log has come.
    fn progress(&mut self, now_us: i64, idle: bool) {
        if self.group.is_some() {
            return;
        }
        for member in self.members.iter_mut().filter(|m| m.untold) {
            if idle || now_us - member.told_us >= PROGRESS_US {
                member.untold = false;
                member.told_us = now_us;
                self.out.push_back(LogItem::Progress { site: member.site, position: Position(member.captured.to_string()) });
            }
        }
    }
}

/// A whole second of the log is refined by the time of capture.
fn committed_us(start: &GroupStart, seconds: u32, now_us: i64) -> i64 {
    let from = i64::from(seconds) * 1_000_000;
    start.committed_us.unwrap_or_else(|| now_us.clamp(from, from + 999_999))
}

/// Images that leave out what did not change still have the key, before.
fn fill_key(table: &SiteTable, before: &Image, after: &mut Image) {
    for column in &table.table.key {
        if after[*column] == Cell::Unchanged {
            after[*column] = before[*column].clone();
        }
    }
}

impl Reader {
    fn member(&self) -> usize {
        match self {
            Reader::Marker { member } | Reader::Table { member, .. } | Reader::Changed { member, .. } => *member,
        }
    }
}

impl Group {
    fn note(&mut self, member: usize, table: TableId, what: What) {
        let known = self.notes.iter().any(|note| note.member == member && note.table == table && note.what == what);
        if !known && !self.parts[member].skip {
            self.notes.push(Note { member, table, what });
        }
    }
}

impl Note {
    fn item(&self, site: SiteId, position: Position) -> LogItem {
        let table = self.table;
        match &self.what {
            What::Altered => LogItem::Altered { site, table, position },
            What::Emptied => LogItem::Emptied { site, table, position },
            What::Alarm(message) => LogItem::Alarm { site, table, position, message: message.clone() },
        }
    }
}
