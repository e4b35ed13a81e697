//! Tables as the server's catalogue has them.

use std::collections::BTreeMap;

use super::connect::{Flavor, Session, literal, number, text};
use crate::model::{Charset, ColumnType, ForeignKey, SiteColumn, Span, Special, UniqueKey, ZeroDates};
use crate::sites::{ColumnDescription, Exactness, MARKER_TABLE, Result, TableDescription};

type Named = (String, String);

/// Every table of `schemas`.
pub(super) async fn tables(session: &mut Session, schemas: &[String]) -> Result<Vec<TableDescription>> {
    let list = schemas.iter().map(|schema| literal(schema)).collect::<Vec<_>>().join(", ");
    let mut tables = BTreeMap::new();
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ({list})"
    );
    for mut row in session.rows("read the list of tables", sql).await? {
        let [schema, name, kind, engine] = [0, 1, 2, 3].map(|i| text(&mut row, i).unwrap_or_default());
        if name == MARKER_TABLE {
            continue;
        }
        let unfit = unfit(&schema, &name, &kind, &engine);
        let rows_estimated = number(&mut row, 4).unwrap_or(0);
        let table = TableDescription {
            schema: schema.clone(),
            name: name.clone(),
            columns: Vec::new(),
            key: Vec::new(),
            unique: Vec::new(),
            foreign: Vec::new(),
            triggers: Vec::new(),
            unfit,
            rows_estimated,
        };
        tables.insert((schema, name), table);
    }
    add_columns(session, &list, &mut tables).await?;
    add_keys(session, &list, &mut tables).await?;
    add_foreign_keys(session, &list, &mut tables).await?;
    add_triggers(session, &list, &mut tables).await?;
    Ok(tables.into_values().collect())
}

fn unfit(schema: &str, name: &str, kind: &str, engine: &str) -> Option<(String, String)> {
    if kind.contains("VIEW") {
        return Some(("it is a view".into(), "share the tables that the view reads instead".into()));
    }
    if kind == "SYSTEM VERSIONED" {
        let remedy = format!("ALTER TABLE `{schema}`.`{name}` DROP SYSTEM VERSIONING");
        return Some(("it is system-versioned, so its deletes are updates in the log".into(), remedy));
    }
    if !engine.eq_ignore_ascii_case("InnoDB") {
        let remedy = format!("ALTER TABLE `{schema}`.`{name}` ENGINE=InnoDB");
        let reason = format!("its engine is {engine}, which does not commit together with InnoDB tables");
        return Some((reason, remedy));
    }
    None
}

async fn add_columns(session: &mut Session, list: &str, tables: &mut BTreeMap<Named, TableDescription>) -> Result<()> {
    let json = json_checks(session, list).await?;
    let timestamps = timestamps(session);
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, \
         CHARACTER_MAXIMUM_LENGTH, CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, \
         IS_NULLABLE, EXTRA, COLUMN_DEFAULT IS NOT NULL \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN ({list}) ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
    );
    for mut row in session.rows("read the list of columns", sql).await? {
        let [schema, table, name, data_type, column_type, charset, collation] =
            [0, 1, 2, 3, 4, 5, 6].map(|i| text(&mut row, i).unwrap_or_default());
        let [chars, bytes, digits, scale, fraction] = [7, 8, 9, 10, 11].map(|i| number(&mut row, i).unwrap_or(0));
        let [nullable, extra, default] = [12, 13, 14].map(|i| text(&mut row, i).unwrap_or_default());
        let declared =
            Declared { flavor: session.flavor, data_type, column_type, charset, chars, bytes, digits, scale, fraction, timestamps };
        let is_json = json.iter().any(|(s, t, clause)| *s == schema && *t == table && clause.contains(&format!("`{name}`")));
        let ty = if is_json { ColumnType::Json { doubles: false, nul: true } } else { declared.column_type() };
        let Some(description) = tables.get_mut(&(schema, table)) else { continue };
        let extra = extra.to_ascii_uppercase();
        // `DEFAULT_GENERATED` is an expression as default, not a computed column.
        let generated = extra.contains("VIRTUAL") || extra.contains("STORED") || extra.contains("PERSISTENT") || extra == "GENERATED";
        let numbered = extra.contains("AUTO_INCREMENT");
        let nullable = nullable == "YES";
        description.columns.push(ColumnDescription {
            column: SiteColumn { name, ty, ordinal: description.columns.len(), nullable, values: None },
            has_default: nullable || numbered || default == "1",
            generated,
            numbered,
            case_insensitive: is_case_insensitive(&collation),
            exact: exactness(&collation),
        });
    }
    Ok(())
}

/// MariaDB's JSON is text with a check: the checks, by table.
async fn json_checks(session: &mut Session, list: &str) -> Result<Vec<(String, String, String)>> {
    if session.flavor == Flavor::MySql {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA IN ({list}) AND LOWER(CHECK_CLAUSE) LIKE 'json_valid(%)'"
    );
    let rows = session.rows("read the list of checks", sql).await?;
    Ok(rows.into_iter().map(|mut row| <(String, String, String)>::from([0, 1, 2].map(|i| text(&mut row, i).unwrap_or_default()))).collect())
}

/// MariaDB's TIMESTAMP has 32 bits for what comes after 1970 from 11.5 on.
fn timestamps(session: &Session) -> Span {
    match session.flavor {
        Flavor::MariaDb if session.version >= (11, 5, 0) => Span::UNIX_32_BITS,
        _ => Span::UNIX_31_BITS,
    }
}

fn is_case_insensitive(collation: &str) -> bool {
    collation.ends_with("_ci") || collation.contains("_ci_")
}

/// Most collations, binary ones too, leave spaces at the end out of comparisons other than LIKE.
fn exactness(collation: &str) -> Exactness {
    let unpadded = collation.is_empty() || collation == "binary" || collation.ends_with("nopad_bin") || collation.ends_with("0900_bin");
    let pattern = collation.is_empty() || collation.ends_with("_bin") || !is_case_insensitive(collation) && collation.contains("_as_");
    Exactness { equality: unpadded, order: unpadded, pattern: pattern || unpadded }
}

/// A column as the catalogue spells it.
struct Declared {
    flavor: Flavor,
    data_type: String,
    column_type: String,
    charset: String,
    chars: u64,
    bytes: u64,
    digits: u64,
    scale: u64,
    fraction: u64,
    timestamps: Span,
}

impl Declared {
    fn column_type(&self) -> ColumnType {
        let int = |bits| ColumnType::Int { bits, unsigned: self.column_type.contains("unsigned") };
        let fraction = self.fraction.min(6) as u8;
        if self.column_type.contains("COMPRESSED") {
            return ColumnType::Unsupported(self.column_type.clone());
        }
        match self.data_type.as_str() {
            "tinyint" => int(8),
            "smallint" => int(16),
            "mediumint" => int(24),
            "int" | "integer" => int(32),
            "bigint" => int(64),
            "bit" => ColumnType::Bit { bits: self.digits as u8 },
            "decimal" | "numeric" => ColumnType::Decimal { digits: Some((self.digits as u16, self.scale as u16)) },
            "float" => ColumnType::Float32(Special::Finite),
            "double" => ColumnType::Float64(Special::Finite),
            "char" => self.text(|charset| ColumnType::Char { chars: self.chars as u32, charset }),
            "varchar" => self.text(|charset| ColumnType::Text { chars_max: Some(self.chars as u32), bytes_max: self.bytes, charset }),
            "tinytext" | "text" | "mediumtext" | "longtext" => {
                self.text(|charset| ColumnType::Text { chars_max: None, bytes_max: self.bytes, charset })
            }
            "binary" => ColumnType::Bytes { bytes_max: self.bytes, fixed: true },
            "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => ColumnType::Bytes { bytes_max: self.bytes, fixed: false },
            "date" => ColumnType::Date { zero: ZeroDates::Parts, span: Span::YEARS_0_TO_9999 },
            "time" => ColumnType::Time { fraction, long: true },
            "datetime" => ColumnType::DateTime { fraction, zero: ZeroDates::Parts, span: Span::YEARS_0_TO_9999 },
            "timestamp" => ColumnType::DateTime { fraction, zero: ZeroDates::Whole, span: self.timestamps },
            "year" => ColumnType::Year,
            "enum" => self.text(|_| ColumnType::Enum(labels(&self.column_type))),
            "set" => self.text(|_| ColumnType::Set(labels(&self.column_type))),
            "json" if self.flavor == Flavor::MySql => ColumnType::Json { doubles: true, nul: true },
            "uuid" => ColumnType::Uuid,
            _ => ColumnType::Unsupported(self.column_type.clone()),
        }
    }

    fn text(&self, ty: impl FnOnce(Charset) -> ColumnType) -> ColumnType {
        match self.charset.as_str() {
            "utf8mb4" => ty(Charset::Unicode),
            "utf8" | "utf8mb3" => ty(Charset::Bmp),
            "latin1" => ty(Charset::Latin1),
            "ascii" => ty(Charset::Ascii),
            other => ColumnType::Unsupported(format!("{} in the character set {other}", self.data_type)),
        }
    }
}

/// Of `enum('a','it''s')`.
fn labels(column_type: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let mut rest = column_type.split_once('(').map_or("", |(_, rest)| rest).chars().peekable();
    while rest.find(|c| *c == '\'').is_some() {
        let mut label = String::new();
        while let Some(c) = rest.next() {
            if c == '\'' && rest.next_if_eq(&'\'').is_none() {
                break;
            }
            label.push(c);
        }
        labels.push(label);
    }
    labels
}

async fn add_keys(session: &mut Session, list: &str, tables: &mut BTreeMap<Named, TableDescription>) -> Result<()> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA IN ({list}) AND NON_UNIQUE = 0 ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
    );
    for mut row in session.rows("read the list of keys", sql).await? {
        let [schema, table, index] = [0, 1, 2].map(|i| text(&mut row, i).unwrap_or_default());
        let column = text(&mut row, 3);
        let Some(description) = tables.get_mut(&(schema, table)) else { continue };
        if index == "PRIMARY" {
            description.key.extend(column);
            continue;
        }
        let case_insensitive = description.columns.iter().any(|c| Some(&c.column.name) == column.as_ref() && c.case_insensitive);
        match description.unique.last_mut().filter(|unique| unique.name == index) {
            Some(unique) => {
                unique.columns.extend(column);
                unique.case_insensitive |= case_insensitive;
            }
            None => description.unique.push(UniqueKey { name: index, columns: column.into_iter().collect(), case_insensitive }),
        }
    }
    Ok(())
}

async fn add_foreign_keys(session: &mut Session, list: &str, tables: &mut BTreeMap<Named, TableDescription>) -> Result<()> {
    let sql = format!(
        "SELECT k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, \
         k.REFERENCED_COLUMN_NAME, r.UPDATE_RULE, r.DELETE_RULE \
         FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r \
         ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME \
         WHERE k.TABLE_SCHEMA IN ({list}) AND k.REFERENCED_TABLE_NAME IS NOT NULL \
         ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION"
    );
    for mut row in session.rows("read the list of foreign keys", sql).await? {
        let [schema, table, name, column, parent_schema, parent, parent_column, on_update, on_delete] =
            [0, 1, 2, 3, 4, 5, 6, 7, 8].map(|i| text(&mut row, i).unwrap_or_default());
        let parent = if parent_schema == schema { parent } else { format!("{parent_schema}.{parent}") };
        let Some(description) = tables.get_mut(&(schema, table)) else { continue };
        if description.foreign.last().is_none_or(|key| key.name != name) {
            let cascades = [&on_update, &on_delete].iter().any(|rule| !matches!(rule.as_str(), "RESTRICT" | "NO ACTION"));
            description.foreign.push(ForeignKey { name, columns: Vec::new(), parent, parent_columns: Vec::new(), cascades });
        }
        if let Some(key) = description.foreign.last_mut() {
            key.columns.push(column);
            key.parent_columns.push(parent_column);
        }
    }
    Ok(())
}

async fn add_triggers(session: &mut Session, list: &str, tables: &mut BTreeMap<Named, TableDescription>) -> Result<()> {
    let sql = format!(
        "SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS \
         WHERE EVENT_OBJECT_SCHEMA IN ({list}) ORDER BY TRIGGER_NAME"
    );
    for mut row in session.rows("read the list of triggers", sql).await? {
        let [schema, table, name] = [0, 1, 2].map(|i| text(&mut row, i).unwrap_or_default());
        if let Some(description) = tables.get_mut(&(schema, table)) {
            description.triggers.push(name);
        }
    }
    Ok(())
}

/// How many columns each table has in the log: those of the catalogue, and what MariaDB keeps hidden beside them.
pub(super) async fn widths(session: &mut Session, schemas: &[String]) -> Result<BTreeMap<Named, usize>> {
    let list = schemas.iter().map(|schema| literal(schema)).collect::<Vec<_>>().join(", ");
    let mut widths = BTreeMap::new();
    let mut sql = vec![format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN ({list}) GROUP BY 1, 2"
    )];
    if session.flavor == Flavor::MariaDb {
        sql.push(format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COUNT(DISTINCT INDEX_NAME) FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA IN ({list}) AND INDEX_TYPE = 'HASH' GROUP BY 1, 2"
        ));
    }
    for sql in sql {
        for mut row in session.rows("count the columns", sql).await? {
            let [schema, name] = [0, 1].map(|i| text(&mut row, i).unwrap_or_default());
            *widths.entry((schema, name)).or_insert(0) += number(&mut row, 2).unwrap_or(0) as usize;
        }
    }
    Ok(widths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_enums() {
        assert_eq!(labels("enum('a','it''s','','x,y')"), ["a", "it's", "", "x,y"]);
        assert!(is_case_insensitive("utf8mb4_0900_ai_ci") && is_case_insensitive("latin1_swedish_ci"));
        assert!(exactness("utf8mb4_nopad_bin").order && exactness("").equality && exactness("utf8mb4_bin").pattern);
        assert!(!exactness("utf8mb4_bin").equality && !exactness("utf8mb4_general_ci").pattern);
        assert!(!is_case_insensitive("utf8mb4_bin") && !is_case_insensitive("utf8mb4_0900_as_cs"));
    }
}
