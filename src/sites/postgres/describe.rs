//! The site's tables as `pg_catalog` has them.

use std::collections::HashMap;

use tokio_postgres::{Client, Row};

use super::connect::{Connector, qualified};
use super::errors::from_driver;
use super::values::{Declared, column_type};
use crate::model::{ForeignKey, SiteColumn, UniqueKey};
use crate::sites::{ColumnDescription, Exactness, MARKER_TABLE, Result, TableDescription};

const TABLES: &str = "SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relpersistence::text, c.relreplident::text, \
    greatest(c.reltuples, 0)::bigint, row_security_active(c.oid), \
    EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid), \
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname <> $2 ORDER BY n.nspname, c.relname";

/// A domain counts as the type below it.
const COLUMNS: &str = "SELECT a.attrelid, a.attname, coalesce(b.typname, t.typname), \
    CASE WHEN b.oid IS NULL THEN format_type(t.oid, a.atttypmod) ELSE format_type(b.oid, t.typtypmod) END, \
    CASE WHEN b.oid IS NULL THEN a.atttypmod ELSE t.typtypmod END, coalesce(b.typtype, t.typtype)::text, \
    ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = coalesce(b.oid, t.oid) ORDER BY e.enumsortorder), \
    coalesce(b.typnamespace, t.typnamespace) = 'pg_catalog'::regnamespace, \
    a.attnotnull OR t.typnotnull, a.atthasdef AND a.attgenerated = '', a.attgenerated <> '', \
    a.attidentity <> '' OR EXISTS (SELECT FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' \
        WHERE d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.refclassid = 'pg_class'::regclass \
        AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) \
      OR coalesce(pg_get_expr(f.adbin, f.adrelid) LIKE 'nextval(%', false), \
    coalesce(b.typname, t.typname) = 'citext' OR coalesce(NOT l.collisdeterministic, false), \
    a.attcollation = 0 OR CASE l.collname WHEN 'default' THEN d.datcollate ELSE l.collcollate END ~ '^(C|POSIX)([.]|$)' \
      OR l.collname IN ('ucs_basic', 'pg_c_utf8') \
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
    LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype \
    LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum \
    LEFT JOIN pg_collation l ON l.oid = a.attcollation \
    LEFT JOIN pg_database d ON d.datname = current_database() \
    WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum";

/// Of an index on expressions the columns that they use; case counts not where they fold it.
const INDEXES: &str = "SELECT i.indrelid, x.relname, i.indisprimary, i.indpred IS NOT NULL, \
    ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, at) \
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE k.at <= i.indnkeyatts ORDER BY k.at), \
    ARRAY(SELECT DISTINCT a.attname::text FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
        WHERE i.indexprs IS NOT NULL AND d.objid = i.indexrelid AND d.classid = 'pg_class'::regclass AND d.refobjid = i.indrelid), \
    i.indexprs IS NOT NULL AND pg_get_indexdef(i.indexrelid) ~* '(lower|upper|citext)' \
      OR EXISTS (SELECT FROM unnest(i.indcollation::oid[]) u JOIN pg_collation l ON l.oid = u WHERE NOT l.collisdeterministic) \
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid \
    WHERE i.indrelid = ANY($1) AND i.indisunique AND i.indislive ORDER BY i.indrelid, x.relname";

const FOREIGN: &str = "SELECT c.conrelid, c.conname, p.relname, pn.nspname, \
    ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(number, at) \
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.at), \
    ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k(number, at) \
        JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number ORDER BY k.at), \
    c.confdeltype IN ('c', 'n', 'd') OR c.confupdtype IN ('c', 'n', 'd') \
    FROM pg_constraint c JOIN pg_class p ON p.oid = c.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace \
    WHERE c.conrelid = ANY($1) AND c.contype = 'f' ORDER BY c.conrelid, c.conname";

const TRIGGERS: &str =
    "SELECT tgrelid, tgname FROM pg_trigger WHERE tgrelid = ANY($1) AND NOT tgisinternal AND tgenabled <> 'D' ORDER BY tgrelid, tgname";

pub(super) async fn describe(connector: &Connector, schemas: &[String]) -> Result<Vec<TableDescription>> {
    let client = connector.client().await?;
    let refused = |error| from_driver(&connector.site, "describing the tables", error);
    let tables = client.query(TABLES, &[&schemas, &MARKER_TABLE]).await.map_err(refused)?;
    let oids: Vec<u32> = tables.iter().map(|row| row.get(0)).collect();
    let mut columns = by_table(&client, COLUMNS, &oids).await.map_err(refused)?;
    let mut indexes = by_table(&client, INDEXES, &oids).await.map_err(refused)?;
    let mut foreign = by_table(&client, FOREIGN, &oids).await.map_err(refused)?;
    let mut triggers = by_table(&client, TRIGGERS, &oids).await.map_err(refused)?;
    let of = |oid, what: &mut HashMap<u32, Vec<Row>>| what.remove(&oid).unwrap_or_default();
    let described = tables.iter().map(|row| {
        let oid = row.get(0);
        let (columns, indexes) = (of(oid, &mut columns), of(oid, &mut indexes));
        let primary = indexes.iter().find(|row| row.get(2));
        let key: Vec<String> = primary.map(|row| row.get(4)).unwrap_or_default();
        let columns: Vec<ColumnDescription> = columns.iter().enumerate().map(|(ordinal, row)| column(row, ordinal)).collect();
        TableDescription {
            schema: row.get(1),
            name: row.get(2),
            unique: indexes.iter().filter(|row| !row.get::<_, bool>(2)).map(|row| unique(row, &columns)).collect(),
            foreign: of(oid, &mut foreign).iter().map(|reference| foreign_key(reference, row.get(1))).collect(),
            triggers: of(oid, &mut triggers).iter().map(|row| row.get(1)).collect(),
            unfit: unfit(row, &key),
            rows_estimated: row.get::<_, i64>(6).max(0) as u64,
            columns,
            key,
        }
    });
    Ok(described.collect())
}

async fn by_table(client: &Client, sql: &str, oids: &[u32]) -> Result<HashMap<u32, Vec<Row>>, tokio_postgres::Error> {
    let mut found: HashMap<u32, Vec<Row>> = HashMap::new();
    for row in client.query(sql, &[&oids]).await? {
        found.entry(row.get(0)).or_default().push(row);
    }
    Ok(found)
}

fn column(row: &Row, ordinal: usize) -> ColumnDescription {
    let declared = Declared {
        name: row.get(2),
        spelled: row.get(3),
        modifier: row.get(4),
        class: row.get(5),
        labels: row.get(6),
        builtin: row.get(7),
    };
    let (folds, sorts): (bool, Option<bool>) = (row.get(12), row.get(13));
    let padded = declared.name == "bpchar";
    ColumnDescription {
        column: SiteColumn { name: row.get(1), ty: column_type(&declared), ordinal, nullable: !row.get::<_, bool>(8), values: None },
        has_default: row.get(9),
        generated: row.get(10),
        numbered: row.get(11),
        case_insensitive: folds,
        exact: Exactness { equality: !folds, order: !folds && sorts == Some(true), pattern: !folds && !padded },
    }
}

fn unique(row: &Row, columns: &[ColumnDescription]) -> UniqueKey {
    let mut names: Vec<String> = row.get(4);
    for used in row.get::<_, Vec<String>>(5) {
        if !names.contains(&used) {
            names.push(used);
        }
    }
    let folded = columns.iter().any(|column| column.case_insensitive && names.contains(&column.column.name));
    UniqueKey { name: row.get(1), columns: names, case_insensitive: folded || row.get(6) }
}

fn foreign_key(row: &Row, schema: &str) -> ForeignKey {
    let (parent, parent_schema): (String, String) = (row.get(2), row.get(3));
    let parent = if parent_schema == schema { parent } else { format!("{parent_schema}.{parent}") };
    ForeignKey { name: row.get(1), columns: row.get(4), parent, parent_columns: row.get(5), cascades: row.get(6) }
}

/// Why the table's log can't be read row by row, and what mends it.
fn unfit(row: &Row, key: &[String]) -> Option<(String, String)> {
    let table = qualified(row.get(1), row.get(2));
    let (kind, persistence, identity): (&str, &str, &str) = (row.get(3), row.get(4), row.get(5));
    let (inherited, identity_index): (bool, bool) = (row.get(8), row.get(9));
    let because = |why: &str, remedy: String| Some((why.to_owned(), remedy));
    match kind {
        "v" | "m" => return because("it is a view", "share the tables below it".into()),
        "f" => return because("it is a foreign table, whose changes are in another server's log", "share it where it is stored".into()),
        "p" => {
            return because(
                "it is partitioned, and its rows change under its partitions' names",
                "share a table that is not partitioned".into(),
            );
        }
        _ => {}
    }
    if persistence != "p" {
        return because("it is unlogged: its changes are not in the log", format!("ALTER TABLE {table} SET LOGGED"));
    }
    if inherited {
        return because("other tables inherit from it, so that their rows look like its own", "share a table without heirs".into());
    }
    if row.get(7) {
        return because("row-level security hides rows from rosterd's account", "ALTER ROLE .. BYPASSRLS for that account".into());
    }
    match identity {
        "n" => because(
            "its replica identity is NOTHING: the log does not tell which row was changed",
            format!("ALTER TABLE {table} REPLICA IDENTITY DEFAULT"),
        ),
        "i" if !identity_index => {
            because("the index of its replica identity is gone", format!("ALTER TABLE {table} REPLICA IDENTITY DEFAULT"))
        }
        "d" if key.is_empty() => because(
            "it has no primary key, so that the log does not tell which row was changed",
            format!("add a primary key, or ALTER TABLE {table} REPLICA IDENTITY FULL and give its key in the configuration"),
        ),
        _ => None,
    }
}
