//! Which tables of the log are shared, by whom, and how their row images are read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::events::{RowsData, RowsKind, TableMap};
use super::image::{Wire, take};
use super::values::cell;
use crate::model::{Cell, ColumnType, Image, SiteTable, Value};
use crate::sites::{LogMember, MARKER_TABLE};

/// Whose a table is: a member of the reader, and one of its shared tables or its marker table.
#[derive(Clone)]
pub(super) enum Share {
    Table { member: usize, table: Arc<SiteTable> },
    Marker { member: usize },
}

type Named = (String, String);

/// Every table that concerns a member.
pub(super) struct Shares {
    by_name: HashMap<Named, Vec<Share>>,
    widths: BTreeMap<Named, usize>,
}

/// A table map that was understood: how rows of that table are read from here on.
pub(super) struct Shape {
    /// The bytes of the table map, to know it when it comes again.
    pub map: Vec<u8>,
    pub columns: Vec<Wire>,
    pub readers: Vec<Reader>,
}

pub(super) enum Reader {
    Marker {
        member: usize,
    },
    Table {
        member: usize,
        table: Arc<SiteTable>,
        plan: Vec<Option<usize>>,
    },
    /// The table does not look as it was described.
    Changed {
        member: usize,
        table: Arc<SiteTable>,
    },
}

/// One row of an event: all columns, as ranges of the event's bytes.
pub(super) type RawImage<'a> = Vec<Raw<'a>>;

/// Images of a row before and after its change.
pub(super) struct RawRow<'a> {
    pub before: Option<RawImage<'a>>,
    pub after: Option<RawImage<'a>>,
}

#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    Absent,
    Null,
    Bytes(&'a [u8]),
}

impl Shares {
    pub(super) fn new(members: &[LogMember], widths: BTreeMap<Named, usize>) -> Shares {
        let mut by_name: HashMap<Named, Vec<Share>> = HashMap::new();
        for (member, m) in members.iter().enumerate() {
            by_name.entry((m.marker_schema.clone(), MARKER_TABLE.to_owned())).or_default().push(Share::Marker { member });
            for table in &m.tables {
                let share = Share::Table { member, table: table.clone() };
                by_name.entry((table.schema.clone(), table.name.clone())).or_default().push(share);
            }
        }
        Shares { by_name, widths }
    }

    pub(super) fn of(&self, schema: &str, table: &str) -> &[Share] {
        self.by_name.get(&(schema.to_owned(), table.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Shared tables that a statement may mean: by schema and name, or every one of a schema.
    pub(super) fn tables_in(&self, schema: &str) -> impl Iterator<Item = &Share> {
        self.by_name.iter().filter(move |((s, _), _)| s == schema).flat_map(|(_, shares)| shares)
    }

    /// Shared tables with one of these names, in the statement's own schema or in one that it names.
    pub(super) fn named(&self, schema: &str, names: &[String]) -> impl Iterator<Item = &Share> {
        let named = move |name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        self.by_name.iter().filter(move |((s, table), _)| named(table) && (s == schema || named(s))).flat_map(|(_, shares)| shares)
    }

    pub(super) fn shape(&self, body: &[u8]) -> Result<Option<Shape>, &'static str> {
        let (schema, table) = TableMap::name(body)?;
        if self.of(schema, table).is_empty() {
            return Ok(None);
        }
        let map = TableMap::parse(body)?;
        let width = self.widths.get(&(map.schema.clone(), map.table.clone())).copied();
        let readers = self.of(&map.schema, &map.table).iter().map(|share| reader(share, &map, width)).collect();
        Ok(Some(Shape { map: body.to_vec(), columns: map.columns, readers }))
    }
}

fn reader(share: &Share, map: &TableMap, width: Option<usize>) -> Reader {
    match share {
        Share::Marker { member } => Reader::Marker { member: *member },
        Share::Table { member, table } => match plan(table, map, width) {
            Some(plan) => Reader::Table { member: *member, table: table.clone(), plan },
            None => Reader::Changed { member: *member, table: table.clone() },
        },
    }
}

/// For each column in the log the shared column that it is; None when the table does not look as described.
fn plan(table: &SiteTable, map: &TableMap, width: Option<usize>) -> Option<Vec<Option<usize>>> {
    if width.is_some_and(|width| width != map.columns.len()) {
        return None;
    }
    let mut plan = vec![None; map.columns.len()];
    for (shared, column) in table.columns.iter().enumerate() {
        let Some(column) = column else { continue };
        let fits = map.columns.get(column.ordinal)?.is(&column.ty);
        let named = map.names.as_ref().is_none_or(|names| names[column.ordinal].eq_ignore_ascii_case(&column.name));
        if !fits || !named {
            return None;
        }
        plan[column.ordinal] = Some(shared);
    }
    Some(plan)
}

/// Cuts one image off the front of `images`.
fn cut_image<'a>(columns: &[Wire], present: &[u8], images: &mut &'a [u8]) -> Result<RawImage<'a>, &'static str> {
    let bit = |bits: &[u8], i: usize| bits.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 == 1);
    let count = (0..columns.len()).filter(|i| bit(present, *i)).count();
    let nulls = take(images, count.div_ceil(8))?;
    let mut raw = Vec::with_capacity(columns.len());
    let mut nth = 0;
    for (i, column) in columns.iter().enumerate() {
        if !bit(present, i) {
            raw.push(Raw::Absent);
            continue;
        }
        raw.push(if bit(nulls, nth) { Raw::Null } else { Raw::Bytes(column.cut(images)?) });
        nth += 1;
    }
    Ok(raw)
}

/// The row of an event at `at`, which moves on behind it; None: there are no more. One at a time, because a row may take a
/// byte in the log and thousands of columns here.
pub(super) fn next_row<'a>(shape: &Shape, kind: RowsKind, data: &'a RowsData, at: &mut usize) -> Result<Option<RawRow<'a>>, &'static str> {
    if data.columns != shape.columns.len() {
        return Err("a row has another number of columns than its table map");
    }
    let mut rest = data.images.get(*at..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    let before = if kind == RowsKind::Insert { None } else { Some(cut_image(&shape.columns, &data.present, &mut rest)?) };
    let after = if kind == RowsKind::Delete { None } else { Some(cut_image(&shape.columns, &data.present_after, &mut rest)?) };
    let next = data.images.len() - rest.len();
    // Without a column there would be rows without end.
    if next == *at {
        return Err("a row image without columns");
    }
    *at = next;
    Ok(Some(RawRow { before, after }))
}

/// The cells of a shared table's columns, this site's own ones behind them.
pub(super) fn image(table: &SiteTable, plan: &[Option<usize>], columns: &[Wire], raw: &RawImage<'_>) -> Image {
    let mut image = vec![Cell::Unchanged; table.columns.len()];
    for ((shared, wire), raw) in plan.iter().zip(columns).zip(raw) {
        let Some(shared) = *shared else { continue };
        let Some(column) = &table.columns[shared] else { continue };
        image[shared] = match raw {
            Raw::Absent => Cell::Unchanged,
            Raw::Null => Cell::Value(Value::Null),
            Raw::Bytes(bytes) => cell(wire.decode(bytes, &column.ty), column, table.family(shared)),
        };
    }
    image
}

/// Number, kind and payload of a marker's row.
pub(super) fn marker(columns: &[Wire], raw: &RawImage<'_>) -> Option<(i64, String, Vec<u8>)> {
    let bytes = |i: usize| match raw.get(i) {
        Some(Raw::Bytes(bytes)) => Some(*bytes),
        _ => None,
    };
    const NUMBER: ColumnType = ColumnType::Int { bits: 64, unsigned: false };
    let Ok(Value::Int(id)) = columns.first().filter(|wire| wire.is(&NUMBER))?.decode(bytes(0)?, &NUMBER) else { return None };
    Some((id, String::from_utf8_lossy(bytes(1)?).into_owned(), bytes(2)?.to_vec()))
}
