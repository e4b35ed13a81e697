//! A batch's rows as SQL: runs of inserts and of deletes become one statement each.

use std::collections::HashSet;

use mysql_async::Value as Wire;

use super::connect::quoted;
use super::values::{literal_bytes, push_literal, to_wire};
use crate::model::{Key, SiteTable, Value, WriteKind};
use crate::sites::{Rejection, RowWrite};

/// Rows of one multi-row statement, at most; a failing one is tried again row by row.
const RUN_ROWS_MAX: usize = 500;
/// Each row of a joined update is compared with half of the others on average.
const UPDATE_ROWS_MAX: usize = 100;
/// Numbers up to here keep all digits among each other.
const JOINED_DIGITS_MAX: usize = 30;

/// One statement of a batch.
pub(super) struct Step {
    pub sql: Sql,
    /// First and number of the batch's rows that it writes; none: ours.
    pub first: usize,
    pub rows: usize,
    /// Rows need not be there; otherwise each must be.
    pub may_miss: bool,
}

pub(super) enum Sql {
    /// Sent together with others.
    Text(String),
    /// Values too large to be spelled out.
    Prepared(String, Vec<Wire>),
}

impl Step {
    pub(super) fn ours(sql: String) -> Step {
        Step { sql: Sql::Text(sql), first: 0, rows: 0, may_miss: true }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.sql {
            Sql::Text(sql) => sql.len() + 2,
            Sql::Prepared(..) => 0,
        }
    }
}

/// The statements for `rows`, which begin at `first` in their batch. `text_bytes_max`: longest statement sent as text.
pub(super) fn steps(rows: &[RowWrite], first: usize, text_bytes_max: usize, join: bool) -> (Vec<Step>, Vec<(usize, Rejection)>) {
    let (mut steps, mut refused) = (Vec::new(), Vec::new());
    let mut i = 0;
    while i < rows.len() {
        let run = if join { run_length(&rows[i..], text_bytes_max) } else { 1 };
        match step(&rows[i..i + run], first + i, text_bytes_max) {
            Ok(step) => steps.push(step),
            Err(_) if run > 1 => {
                // A key that does not fit the site: which one shows when each stands alone.
                let (singles, unfit) = self::steps(&rows[i..i + run], first + i, text_bytes_max, false);
                steps.extend(singles);
                refused.extend(unfit);
            }
            Err(reason) => refused.push((first + i, Rejection::Data(reason.to_owned()))),
        }
        i += run;
    }
    (steps, refused)
}

/// How many of the first rows go into one statement.
fn run_length(rows: &[RowWrite], text_bytes_max: usize) -> usize {
    let head = &rows[0];
    let (rows_max, per_row) = match head.kind {
        WriteKind::Insert => (RUN_ROWS_MAX, 0),
        WriteKind::Delete if head.table.table.key.len() == 1 => (RUN_ROWS_MAX, 0),
        WriteKind::Delete => return 1,
        WriteKind::Replace | WriteKind::Columns => (UPDATE_ROWS_MAX, head.key.0.iter().map(literal_bytes).sum::<usize>() + 64),
    };
    let is_update = matches!(head.kind, WriteKind::Replace | WriteKind::Columns);
    let mut keys = HashSet::new();
    let mut bytes = 0;
    let fitting = rows.iter().take(rows_max).take_while(|row| {
        bytes += weight(row) + per_row * row.columns.len();
        row.kind == head.kind
            && (!is_update || (!row.columns.is_empty() && row.columns.iter().all(|(_, value)| joins(value)) && keys.insert(&row.key)))
            && same_table(&row.table, &head.table)
            && row.columns.iter().map(|(c, _)| c).eq(head.columns.iter().map(|(c, _)| c))
            && bytes <= text_bytes_max / 2
    });
    fitting.count().max(1)
}

/// Whether a value keeps its type and all its digits as one of several results of a CASE.
fn joins(value: &Value) -> bool {
    match value {
        Value::UInt(_) => false,
        Value::Decimal(number) => {
            let (whole, fraction) = number.digits();
            whole <= JOINED_DIGITS_MAX && fraction <= JOINED_DIGITS_MAX
        }
        _ => true,
    }
}

fn same_table(a: &SiteTable, b: &SiteTable) -> bool {
    a.table.id == b.table.id
}

fn weight(row: &RowWrite) -> usize {
    row.columns.iter().map(|(_, value)| literal_bytes(value)).sum::<usize>() + row.key.0.iter().map(literal_bytes).sum::<usize>()
}

/// Text and values of a statement, spelled out or as parameters.
struct Builder {
    sql: String,
    params: Option<Vec<Wire>>,
}

impl Builder {
    fn value(&mut self, value: &Value) {
        match &mut self.params {
            Some(params) => {
                self.sql.push('?');
                params.push(to_wire(value));
            }
            None => push_literal(&mut self.sql, value),
        }
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, separator: &str, mut each: impl FnMut(&mut Builder, T)) {
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.sql.push_str(separator);
            }
            each(self, item);
        }
    }
}

fn step(rows: &[RowWrite], first: usize, text_bytes_max: usize) -> Result<Step, &'static str> {
    let head = &rows[0];
    let large = rows.len() == 1 && weight(head) > text_bytes_max;
    let mut b = Builder {
        sql: String::with_capacity(if large { 256 } else { 64 + rows.iter().map(weight).sum::<usize>() }),
        params: large.then(Vec::new),
    };
    match head.kind {
        WriteKind::Insert => insert(&mut b, rows),
        WriteKind::Delete => delete(&mut b, rows)?,
        WriteKind::Replace | WriteKind::Columns if rows.len() == 1 => update(&mut b, head)?,
        WriteKind::Replace | WriteKind::Columns => update_joined(&mut b, rows)?,
    }
    let sql = match b.params {
        Some(params) => Sql::Prepared(b.sql, params),
        None => Sql::Text(b.sql),
    };
    Ok(Step { sql, first, rows: rows.len(), may_miss: head.kind == WriteKind::Delete })
}

fn insert(b: &mut Builder, rows: &[RowWrite]) {
    let table = &rows[0].table;
    b.sql.push_str("INSERT INTO ");
    b.sql.push_str(&full_name(table));
    b.sql.push_str(" (");
    b.list(&rows[0].columns, ", ", |b, (column, _)| b.sql.push_str(&column_name(table, *column)));
    b.sql.push_str(") VALUES ");
    b.list(rows, ", ", |b, row| {
        b.sql.push('(');
        b.list(&row.columns, ", ", |b, (_, value)| b.value(value));
        b.sql.push(')');
    });
}

fn update(b: &mut Builder, row: &RowWrite) -> Result<(), &'static str> {
    b.sql.push_str("UPDATE ");
    b.sql.push_str(&full_name(&row.table));
    b.sql.push_str(" SET ");
    b.list(&row.columns, ", ", |b, (column, value)| {
        b.sql.push_str(&column_name(&row.table, *column));
        b.sql.push_str(" = ");
        b.value(value);
    });
    if row.columns.is_empty() {
        let key = column_name(&row.table, row.table.table.key[0]);
        b.sql.push_str(&format!("{key} = {key}"));
    }
    b.sql.push_str(" WHERE ");
    key_condition(b, &row.table, &row.key)
}

/// One statement for rows that get values in the same columns: `SET c = CASE k WHEN 1 THEN .. END WHERE k IN (..)`.
fn update_joined(b: &mut Builder, rows: &[RowWrite]) -> Result<(), &'static str> {
    let table = &rows[0].table;
    b.sql.push_str("UPDATE ");
    b.sql.push_str(&full_name(table));
    b.sql.push_str(" SET ");
    // Assignments are made from left to right, and the cases ask for the key: it comes last.
    let mut order: Vec<usize> = (0..rows[0].columns.len()).collect();
    order.sort_by_key(|i| table.table.key.contains(&rows[0].columns[*i].0));
    let mut failed = None;
    b.list(order, ", ", |b, i| {
        b.sql.push_str(&column_name(table, rows[0].columns[i].0));
        b.sql.push_str(" = CASE");
        for row in rows {
            b.sql.push_str(" WHEN ");
            failed = failed.or(key_condition(b, table, &row.key).err());
            b.sql.push_str(" THEN ");
            b.value(&row.columns[i].1);
        }
        b.sql.push_str(" END");
    });
    b.sql.push_str(" WHERE ");
    b.list(rows, " OR ", |b, row| failed = failed.or(key_condition(b, table, &row.key).err()));
    failed.map_or(Ok(()), Err)
}

fn delete(b: &mut Builder, rows: &[RowWrite]) -> Result<(), &'static str> {
    let table = &rows[0].table;
    b.sql.push_str("DELETE FROM ");
    b.sql.push_str(&full_name(table));
    b.sql.push_str(" WHERE ");
    if rows.len() == 1 {
        return key_condition(b, table, &rows[0].key);
    }
    b.sql.push_str(&column_name(table, table.table.key[0]));
    b.sql.push_str(" IN (");
    let keys = rows.iter().map(|row| fitted_key(table, &row.key)).collect::<Result<Vec<_>, _>>()?;
    b.list(keys.iter().flatten(), ", ", |b, value| b.value(value));
    b.sql.push(')');
    Ok(())
}

fn key_condition(b: &mut Builder, table: &SiteTable, key: &Key) -> Result<(), &'static str> {
    let values = fitted_key(table, key)?;
    b.sql.push('(');
    b.list(table.table.key.iter().zip(&values), " AND ", |b, (column, value)| {
        b.sql.push_str(&column_name(table, *column));
        b.sql.push_str(" = ");
        b.value(value);
    });
    b.sql.push(')');
    Ok(())
}

/// A key's values as the site's key columns take them.
pub(super) fn fitted_key(table: &SiteTable, key: &Key) -> Result<Vec<Value>, &'static str> {
    table
        .table
        .key
        .iter()
        .zip(&key.0)
        .map(|(column, value)| {
            let column = table.columns[*column].as_ref().ok_or("the site has no such key column")?;
            column.fit(value).map_err(|refusal| refusal.0)
        })
        .collect()
}

pub(super) fn full_name(table: &SiteTable) -> String {
    format!("{}.{}", quoted(&table.schema), quoted(&table.name))
}

pub(super) fn column_name(table: &SiteTable, column: usize) -> String {
    // A column that the site does not have is refused by the server, by name.
    let here = table.columns.get(column).and_then(Option::as_ref).map(|c| c.name.as_str());
    quoted(here.unwrap_or_else(|| table.table.columns[column].name.as_str()))
}
