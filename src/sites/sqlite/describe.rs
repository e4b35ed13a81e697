//! The schema as SQLite's pragmas tell it, and the column types that its declarations stand for.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::model::{Charset, ColumnType, ForeignKey, SiteColumn, Span, Special, UniqueKey, ZeroDates};
use crate::sites::{ColumnDescription, Exactness, MARKER_TABLE, TableDescription};

use super::triggers::{CHANGELOG_TABLE, OURS};

/// SQLite's default limit of a text or blob.
const BYTES_MAX: u64 = 1_000_000_000;

/// Collations that every SQLite connection knows.
const COLLATIONS: [&str; 3] = ["BINARY", "NOCASE", "RTRIM"];

/// An index, or the primary key of a table whose rowid it is.
#[derive(Clone, Debug)]
pub struct Index {
    pub name: String,
    pub unique: bool,
    pub primary: bool,
    /// Made by a UNIQUE or PRIMARY KEY clause: its name is SQLite's own.
    pub automatic: bool,
    /// Has a WHERE clause.
    pub partial: bool,
    /// Name and collation; None: an expression.
    pub columns: Vec<Option<(String, String)>>,
}

impl Index {
    /// The columns, when each key value can be in one row only.
    pub fn unique_columns(&self) -> Option<Vec<&str>> {
        if !self.unique || self.partial {
            return None;
        }
        self.columns.iter().map(|column| column.as_ref().map(|(name, _)| name.as_str())).collect()
    }
}

pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Every table and view but SQLite's and ours.
pub fn tables(db: &Connection) -> rusqlite::Result<Vec<TableDescription>> {
    let mut list =
        db.prepare("SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")?;
    let found: Vec<(String, String, bool, bool)> =
        list.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?.collect::<Result<_, _>>()?;
    let mut described = Vec::new();
    for (name, kind, without_rowid, strict) in found {
        if name == MARKER_TABLE || name == CHANGELOG_TABLE || kind == "shadow" {
            continue;
        }
        described.push(table(db, name, &kind, without_rowid, strict)?);
    }
    Ok(described)
}

fn table(db: &Connection, name: String, kind: &str, without_rowid: bool, strict: bool) -> rusqlite::Result<TableDescription> {
    let is_table = kind == "table";
    let indexes = if is_table { indexes(db, &name)? } else { Vec::new() };
    let (columns, key) = columns(db, &name, without_rowid, strict, &indexes)?;
    Ok(TableDescription {
        schema: "main".into(),
        unfit: unfit(kind, &indexes),
        unique: indexes.iter().filter_map(|index| unique(index, &key)).collect(),
        foreign: if is_table { foreign(db, &name)? } else { Vec::new() },
        triggers: triggers(db, &name)?,
        rows_estimated: if is_table { estimate(db, &name, without_rowid)? } else { 0 },
        columns,
        key,
        name,
    })
}

fn unfit(kind: &str, indexes: &[Index]) -> Option<(String, String)> {
    match kind {
        "view" => return Some(("it is a view".into(), "share the tables that it is made of".into())),
        "virtual" => {
            return Some(("it is a virtual table, which can't have triggers".into(), "share the table that it is made from".into()));
        }
        _ => {}
    }
    let columns = indexes.iter().flat_map(|index| index.columns.iter().flatten());
    let strange = columns.map(|(_, collation)| collation).find(|c| !COLLATIONS.iter().any(|known| known.eq_ignore_ascii_case(c)))?;
    Some((
        format!("its index uses the collation {strange}, which only its application defines"),
        "declare the column with COLLATE NOCASE or BINARY".into(),
    ))
}

fn unique(index: &Index, key: &[String]) -> Option<UniqueKey> {
    let columns: Vec<String> = index.unique_columns()?.into_iter().map(String::from).collect();
    if index.primary && columns == key {
        return None;
    }
    let case_insensitive = index.columns.iter().flatten().any(|(_, collation)| collation.eq_ignore_ascii_case("NOCASE"));
    let name = if index.automatic { columns.join(", ") } else { index.name.clone() };
    Some(UniqueKey { name, columns, case_insensitive })
}

/// Columns of a table in order, and its primary key.
fn columns(
    db: &Connection,
    table: &str,
    without_rowid: bool,
    strict: bool,
    indexes: &[Index],
) -> rusqlite::Result<(Vec<ColumnDescription>, Vec<String>)> {
    let mut info =
        db.prepare_cached("SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid")?;
    let mut rows = info.query([table])?;
    let (mut columns, mut key) = (Vec::new(), BTreeMap::new());
    while let Some(row) = rows.next()? {
        let (name, declared): (String, String) = (row.get(0)?, row.get(1)?);
        let (not_null, has_default, pk, hidden): (bool, bool, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
        if pk > 0 {
            key.insert(pk, name.clone());
        }
        let collations = indexes.iter().flat_map(|index| index.columns.iter().flatten()).filter(|(column, _)| *column == name);
        let case_insensitive = collations.into_iter().any(|(_, collation)| collation.eq_ignore_ascii_case("NOCASE"));
        columns.push(ColumnDescription {
            case_insensitive,
            // LIKE takes no heed of case there, and knows no escape.
            exact: Exactness { equality: !case_insensitive, order: !case_insensitive, pattern: false },
            column: SiteColumn {
                ty: column_type(&declared, strict),
                ordinal: columns.len(),
                nullable: !(not_null || (pk > 0 && without_rowid)),
                values: None,
                name,
            },
            has_default,
            generated: hidden == 2 || hidden == 3,
            numbered: false,
        });
    }
    let key: Vec<String> = key.into_values().collect();
    if let Some(rowid) = rowid_alias(db, table)? {
        for column in columns.iter_mut().filter(|c| c.column.name == rowid) {
            (column.numbered, column.has_default, column.column.nullable) = (true, true, false);
        }
    }
    Ok((columns, key))
}

/// The column that is another name of the rowid: INTEGER PRIMARY KEY, and no index for it.
fn rowid_alias(db: &Connection, table: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT name FROM pragma_table_xinfo(?1) WHERE pk = 1 AND type = 'INTEGER' COLLATE NOCASE
        AND (SELECT max(pk) FROM pragma_table_xinfo(?1)) = 1
        AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk')";
    let mut found = db.prepare_cached(sql)?;
    let mut rows = found.query([table])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}

/// Every index of a table, and the rowid where it is the primary key.
pub fn indexes(db: &Connection, table: &str) -> rusqlite::Result<Vec<Index>> {
    let mut list = db.prepare_cached("SELECT name, \"unique\", origin, partial FROM pragma_index_list(?1) ORDER BY seq")?;
    let mut found: Vec<Index> = list
        .query_map([table], |row| {
            let origin: String = row.get(2)?;
            Ok(Index {
                name: row.get(0)?,
                unique: row.get(1)?,
                primary: origin == "pk",
                automatic: origin != "c",
                partial: row.get(3)?,
                columns: Vec::new(),
            })
        })?
        .collect::<Result<_, _>>()?;
    let mut parts = db.prepare_cached("SELECT cid, name, coll FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno")?;
    for index in &mut found {
        let columns = parts.query_map([&index.name], |row| {
            Ok(if row.get::<_, i64>(0)? < 0 {
                None
            } else {
                Some((row.get(1)?, row.get::<_, Option<String>>(2)?.unwrap_or_else(|| "BINARY".into())))
            })
        })?;
        index.columns = columns.collect::<Result<_, _>>()?;
    }
    if let Some(rowid) = rowid_alias(db, table)? {
        let columns = vec![Some((rowid, "BINARY".into()))];
        found.push(Index { name: "rowid".into(), unique: true, primary: true, automatic: true, partial: false, columns });
    }
    Ok(found)
}

fn foreign(db: &Connection, table: &str) -> rusqlite::Result<Vec<ForeignKey>> {
    let sql = "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete FROM pragma_foreign_key_list(?1) ORDER BY id, seq";
    let mut list = db.prepare_cached(sql)?;
    let mut rows = list.query([table])?;
    let mut keys: BTreeMap<i64, ForeignKey> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let actions: [String; 2] = [row.get(4)?, row.get(5)?];
        let key = keys.entry(row.get(0)?).or_insert(ForeignKey {
            name: String::new(),
            columns: Vec::new(),
            parent: row.get(1)?,
            parent_columns: Vec::new(),
            cascades: actions.iter().any(|action| action != "NO ACTION" && action != "RESTRICT"),
        });
        key.columns.push(row.get(2)?);
        key.parent_columns.extend(row.get::<_, Option<String>>(3)?);
    }
    let mut keys: Vec<ForeignKey> = keys.into_values().collect();
    for key in &mut keys {
        key.name = format!("{table}({}) to {}", key.columns.join(", "), key.parent);
        if key.parent_columns.is_empty() {
            let mut parent = db.prepare_cached("SELECT name FROM pragma_table_xinfo(?1) WHERE pk > 0 ORDER BY pk")?;
            key.parent_columns = parent.query_map([&key.parent], |row| row.get(0))?.collect::<Result<_, _>>()?;
        }
    }
    Ok(keys)
}

fn triggers(db: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut list =
        db.prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE ORDER BY name")?;
    let names: Vec<String> = list.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names.into_iter().filter(|name| !name.starts_with(OURS)).collect())
}

/// Cheap: the highest rowid, which is the number of rows where none was removed.
fn estimate(db: &Connection, table: &str, without_rowid: bool) -> rusqlite::Result<u64> {
    let what = if without_rowid { "count(*)" } else { "coalesce(max(rowid), 0)" };
    let n: i64 = db.query_row(&format!("SELECT {what} FROM {}", quote(table)), [], |row| row.get(0))?;
    let rows = if without_rowid || n < 1000 {
        n
    } else {
        db.query_row("SELECT stat FROM sqlite_stat1 WHERE tbl = ?1 LIMIT 1", [table], |row| row.get::<_, String>(0))
            .ok()
            .and_then(|stat| stat.split(' ').next()?.parse().ok())
            .unwrap_or(n)
    };
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// The number of rows of one table.
pub fn rows_estimated(db: &Connection, table: &str) -> rusqlite::Result<u64> {
    let without_rowid = db.query_row("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1", [table], |row| row.get(0))?;
    estimate(db, table, without_rowid)
}

pub fn has_table(db: &Connection, name: &str) -> rusqlite::Result<bool> {
    db.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE)", [name], |row| row.get(0))
}

/// Names and types of a table's columns, to see whether they are still what they were.
pub fn column_types(db: &Connection, table: &str) -> rusqlite::Result<BTreeMap<String, ColumnType>> {
    let strict = db
        .query_row("SELECT strict FROM pragma_table_list WHERE schema = 'main' AND name = ?1", [table], |row| row.get(0))
        .or_else(|e| if e == rusqlite::Error::QueryReturnedNoRows { Ok(false) } else { Err(e) })?;
    let mut info = db.prepare_cached("SELECT name, type FROM pragma_table_xinfo(?1)")?;
    let rows = info.query_map([table], |row| Ok((row.get(0)?, column_type(&row.get::<_, String>(1)?, strict))))?;
    rows.collect()
}

/// What a declaration stands for: SQLite's affinity decides what is kept, the name what is meant by it.
pub fn column_type(declared: &str, strict: bool) -> ColumnType {
    let upper = declared.trim().to_ascii_uppercase();
    let name = upper.split(['(', ' ']).next().unwrap_or_default();
    let has = |part: &str| upper.contains(part);
    let integer = ColumnType::Int { bits: 64, unsigned: false };
    let bytes = ColumnType::Bytes { bytes_max: BYTES_MAX, fixed: false };
    if upper.is_empty() || (strict && upper == "ANY") {
        return ColumnType::Any;
    }
    // The order of these tests is SQLite's own: the first that holds gives the affinity.
    if has("INT") {
        return integer;
    }
    if has("CHAR") || has("CLOB") || has("TEXT") {
        return ColumnType::Text { chars_max: None, bytes_max: BYTES_MAX, charset: Charset::Unicode };
    }
    if has("BLOB") {
        return bytes;
    }
    if has("REAL") || has("FLOA") || has("DOUB") {
        return ColumnType::Float64(Special::Infinity);
    }
    match name {
        "BOOL" | "BOOLEAN" => ColumnType::Bool,
        "YEAR" | "BIT" => integer,
        "DECIMAL" | "DEC" | "NUMERIC" | "NUMBER" | "MONEY" => ColumnType::Decimal { digits: kept_digits(&upper) },
        "DATE" => ColumnType::Date { zero: ZeroDates::Parts, span: Span::YEARS_0_TO_9999 },
        "TIME" => ColumnType::Time { fraction: 6, long: true },
        "DATETIME" | "TIMESTAMP" | "TIMESTAMPTZ" => {
            ColumnType::DateTime { fraction: 6, zero: ZeroDates::Parts, span: Span::YEARS_0_TO_9999 }
        }
        "JSON" => ColumnType::Json { doubles: false, nul: true },
        "UUID" | "GUID" | "UNIQUEIDENTIFIER" => ColumnType::Uuid,
        "BINARY" | "VARBINARY" | "BYTEA" => bytes,
        _ => ColumnType::Unsupported(format!("{declared}: SQLite gives it NUMERIC affinity, which changes text that looks like a number")),
    }
}

/// Digits in all and after the point. A double keeps 15 of them, whatever is declared.
fn kept_digits(declared: &str) -> Option<(u16, u16)> {
    let inside = declared.split_once('(')?.1.split_once(')')?.0;
    let mut numbers = inside.split(',').map(|n| n.trim().parse::<u16>());
    let digits = numbers.next()?.ok()?;
    let scale = numbers.next().and_then(Result::ok).unwrap_or(0);
    Some(if scale == 0 { (digits.min(18), 0) } else { (digits.min(15), scale.min(15)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_mean_what_sqlite_keeps() {
        let integer = ColumnType::Int { bits: 64, unsigned: false };
        for declared in ["INTEGER", "int unsigned", "bigint", "tinyint(1)", "UNSIGNED BIG INT"] {
            assert_eq!(column_type(declared, false), integer, "{declared}");
        }
        for declared in ["varchar(60)", "text", "longtext", "CHARACTER(20)", "clob"] {
            assert!(matches!(column_type(declared, false), ColumnType::Text { chars_max: None, .. }), "{declared}");
        }
        assert!(matches!(column_type("longblob", false), ColumnType::Bytes { .. }));
        assert!(matches!(column_type("VARBINARY(16)", false), ColumnType::Bytes { .. }));
        assert_eq!(column_type("decimal(10,2)", false), ColumnType::Decimal { digits: Some((10, 2)) });
        assert_eq!(column_type("DECIMAL(30,4)", false), ColumnType::Decimal { digits: Some((15, 4)) });
        assert_eq!(column_type("numeric", false), ColumnType::Decimal { digits: None });
        assert!(matches!(column_type("double precision", false), ColumnType::Float64(_)));
        assert_eq!(column_type("", false), ColumnType::Any);
        assert!(matches!(column_type("STRING", false), ColumnType::Unsupported(_)));
        assert!(matches!(column_type("ANY", false), ColumnType::Unsupported(_)));
        assert_eq!(column_type("ANY", true), ColumnType::Any);
    }
}
