//! A shared table's rows in SQL: one statement text per purpose, and the way between its rows and images.

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params_from_iter};

use super::describe::quote;
use super::triggers::key_columns;
use super::values::{Raw, cell, decode_key, encode_key};
use crate::model::{Cell, ColumnType, Family, Image, Key, SiteColumn, SiteTable};

/// A key as SQLite stores it.
pub type RawKey = Vec<Raw>;

pub struct Rows {
    pub name: String,
    site: SiteTable,
    key: Vec<(SiteColumn, Family)>,
    columns: Vec<Option<(SiteColumn, Family)>>,
    one: String,
    present: String,
    first: String,
    following: String,
}

impl Rows {
    /// None: the site lacks a key column.
    pub fn new(table: &SiteTable) -> Option<Rows> {
        let family = |i: usize| table.family(i);
        let key: Vec<(SiteColumn, Family)> =
            key_columns(table)?.into_iter().cloned().zip(table.table.key.iter().map(|&i| family(i))).collect();
        let columns: Vec<_> = table.columns.iter().enumerate().map(|(i, c)| c.clone().map(|c| (c, family(i)))).collect();
        let key_list = key.iter().map(|(column, _)| quote(&column.name)).collect::<Vec<_>>().join(", ");
        let list: Vec<String> = columns.iter().map(|c| c.as_ref().map_or("NULL".into(), |(column, _)| quote(&column.name))).collect();
        let (list, from) = (list.join(", "), quote(&table.name));
        let parameters: Vec<String> = (1..=key.len()).map(|i| format!("?{i}")).collect();
        let limit = key.len() + 1;
        let all = format!("SELECT {list}, {key_list} FROM {from}");
        Some(Rows {
            name: table.name.clone(),
            site: table.clone(),
            one: format!("SELECT {list} FROM {from} WHERE {}", where_key(table)?),
            present: format!("SELECT 1 FROM {from} WHERE {}", where_key(table)?),
            first: format!("{all} ORDER BY {key_list} LIMIT ?1"),
            following: format!("{all} WHERE ({key_list}) > ({}) ORDER BY {key_list} LIMIT ?{limit}", parameters.join(", ")),
            key,
            columns,
        })
    }

    /// The row under a key, as the roster sees it: None also where this site does not share it.
    pub fn fetch(&self, db: &Connection, key: &[Raw]) -> rusqlite::Result<Option<Image>> {
        let found = db.prepare_cached(&self.one)?.query_row(params_from_iter(key), |row| self.image(row)).optional()?;
        Ok(found.and_then(|image| self.site.shared(image)))
    }

    pub fn exists(&self, db: &Connection, key: &[Raw]) -> rusqlite::Result<bool> {
        db.prepare_cached(&self.present)?.exists(params_from_iter(key))
    }

    /// Calls `each` with the rows above `after` in the order of keys (without an image where this site does not share it) until it
    /// returns false; how many rows there were.
    pub fn scan(
        &self,
        db: &Connection,
        after: Option<&[Raw]>,
        rows_max: usize,
        mut each: impl FnMut(RawKey, Option<Image>) -> bool,
    ) -> rusqlite::Result<usize> {
        let sql = if after.is_some() { &self.following } else { &self.first };
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        let mut statement = db.prepare_cached(sql)?;
        let mut rows =
            statement.query(params_from_iter(after.unwrap_or_default().iter().map(Parameter::Key).chain([Parameter::Limit(limit)])))?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            let start = self.columns.len();
            let key = (start..start + self.key.len()).map(|i| row.get_ref(i).map(Raw::of_key)).collect::<rusqlite::Result<_>>()?;
            if !each(key, self.site.shared(self.image(row)?)) {
                break;
            }
        }
        Ok(count)
    }

    fn image(&self, row: &Row<'_>) -> rusqlite::Result<Image> {
        let cells = self.columns.iter().enumerate().map(|(i, column)| match column {
            Some((column, family)) => Ok(cell(row.get_ref(i)?, column, *family)),
            None => Ok(Cell::Unchanged),
        });
        cells.collect()
    }

    /// The canonical key, or why it has none.
    pub fn key(&self, raw: &[Raw]) -> Result<Key, &'static str> {
        let values = self.key.iter().zip(raw).map(|((column, family), raw)| decode_key(raw, column, *family));
        values.collect::<Result<_, _>>().map(Key)
    }

    pub fn raw_key(&self, key: &Key) -> Result<RawKey, &'static str> {
        if key.0.len() != self.key.len() {
            return Err("a key of another width than the table's");
        }
        self.key.iter().zip(&key.0).map(|((column, _), value)| encode_key(value, column)).collect()
    }

    pub fn key_width(&self) -> usize {
        self.key.len()
    }
}

/// Finds a row by its key in parameters ?1, ?2, ...: through the index with the column's own collation, and then exactly.
pub fn where_key(table: &SiteTable) -> Option<String> {
    let conditions = key_columns(table)?.into_iter().enumerate().map(|(i, column)| {
        let (name, n) = (quote(&column.name), i + 1);
        match column.ty {
            ColumnType::Text { .. } | ColumnType::Any => format!("{name} = ?{n} AND {name} = ?{n} COLLATE BINARY"),
            _ => format!("{name} = ?{n}"),
        }
    });
    Some(conditions.collect::<Vec<_>>().join(" AND "))
}

enum Parameter<'a> {
    Key(&'a Raw),
    Limit(i64),
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Parameter::Key(raw) => raw.to_sql(),
            Parameter::Limit(n) => n.to_sql(),
        }
    }
}
