//! Chunks of a site's tables in key order, with the same values as the log gives.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, IsolationLevel, Row, Statement};

use super::connect::{Connector, ident, qualified};
use super::errors::from_driver;
use super::values::{self, Param, Raw, encode};
use crate::model::{Cell, ColumnType, Image, Key, SiteColumn, SiteTable, Stretch, Sum, Unnamed, Value};
use crate::sites::{Cause, ChunkReader, Error, Result, TableDescription, TextRow};

const ENDING_WAIT_MAX: Duration = Duration::from_secs(2);
/// For a transaction that was waited for in vain before: it is long, and not in its commit all the time.
const ENDING_WAIT_AGAIN_MAX: Duration = Duration::from_millis(100);
const ENDING_POLL: Duration = Duration::from_millis(3);
/// Rows are fetched in steps, so that a chunk of large ones can end before it is all in memory.
const STEP_ROWS_FIRST: usize = 32;
const LOOKUP_KEYS_MAX: usize = 256;
const PREPARED_MAX: usize = 200;

struct Chunks {
    site: String,
    client: Client,
    prepared: HashMap<String, Statement>,
    /// Transactions that did not end while we waited.
    long: HashSet<String>,
    /// The session has been told to take rows in the order that their index has.
    keeps_order: bool,
}

pub(super) async fn open(connector: &Connector) -> Result<Box<dyn ChunkReader>> {
    let client = connector.client().await?;
    Ok(Box::new(Chunks { site: connector.site.clone(), client, prepared: HashMap::new(), long: HashSet::new(), keeps_order: false }))
}

impl Chunks {
    fn driver(&self, table: &SiteTable, error: tokio_postgres::Error) -> Error {
        from_driver(&self.site, "reading rows", error).table(&table.name)
    }

    async fn prepare(&mut self, table: &SiteTable, sql: String) -> Result<Statement> {
        if let Some(statement) = self.prepared.get(&sql) {
            return Ok(statement.clone());
        }
        if self.prepared.len() >= PREPARED_MAX {
            self.prepared.clear();
        }
        let statement = self.client.prepare(&sql).await.map_err(|error| self.driver(table, error))?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }

    /// A transaction's commit is in the log before other sessions see it. So that nothing whose commit stands before our
    /// watermark is missing from the chunk, everything that is in progress now has to end first; what is still at work
    /// after the wait was not in its commit. (With synchronous replication a commit may hang longer than this.)
    /// A transaction is visible before it lets go of the lock on its own number, which is why locks are looked at; a
    /// snapshot's list leaves out those that began after the last one that ended.
    async fn wait_for_commits(&mut self, table: &SiteTable) -> Result<()> {
        const SQL: &str = "SELECT l.transactionid::text FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
            WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted \
            AND (a.datname = current_database() OR a.datname IS NULL)";
        let running = self.running(table, SQL).await?;
        self.long.retain(|xid| running.contains(xid));
        let mut awaited = running;
        let started = Instant::now();
        while !awaited.is_empty() {
            let wait = if awaited.is_subset(&self.long) { ENDING_WAIT_AGAIN_MAX } else { ENDING_WAIT_MAX };
            if started.elapsed() > wait {
                self.long.extend(awaited);
                break;
            }
            sleep(ENDING_POLL).await;
            let running = self.running(table, SQL).await?;
            awaited.retain(|xid| running.contains(xid));
        }
        Ok(())
    }

    async fn running(&mut self, table: &SiteTable, sql: &str) -> Result<HashSet<String>> {
        let statement = self.prepare(table, sql.to_owned()).await?;
        let rows = self.client.query(&statement, &[]).await.map_err(|error| self.driver(table, error))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Rows of `statement` until `bytes_max`.
    async fn fetch(
        &mut self,
        table: &SiteTable,
        statement: &Statement,
        params: &[Param],
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Page> {
        let site = self.site.clone();
        let refused = |error| from_driver(&site, "reading rows", error).table(&table.name);
        let begun = self.client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).read_only(true).start().await;
        let transaction = begun.map_err(refused)?;
        let portal = transaction.bind_raw(statement, params).await.map_err(refused)?;
        let (mut page, mut count, mut bytes, mut step, mut left_out) = (Page::default(), 0, 0, STEP_ROWS_FIRST, None);
        while count < rows_max && bytes < bytes_max {
            let step_rows = step.min(rows_max - count);
            let rows = transaction.query_portal(&portal, i32::try_from(step_rows).unwrap_or(i32::MAX)).await.map_err(refused)?;
            let ended = rows.len() < step_rows;
            for row in rows {
                bytes += row.raw_size_bytes();
                count += 1;
                let (key, image, raw) = decoded(&site, table, &row)?;
                page.last = Some(raw);
                match key {
                    Ok(key) => page.rows.extend(table.shared(image).map(|image| (key, image))),
                    Err(Unnamed::Refused(reason)) => left_out = Some(reason),
                    Err(Unnamed::LeftOut) => return Err(no_key(&site, table)),
                }
            }
            if ended {
                break;
            }
            step = (bytes_max.saturating_sub(bytes) / (bytes / count.max(1)).max(1)).clamp(1, 4 * step);
        }
        transaction.commit().await.map_err(refused)?;
        if let Some(reason) = left_out {
            tracing::warn!(site, table = table.name, "rows are left out because their key is {reason}");
        }
        Ok(page)
    }
}

/// Rows of one answer.
#[derive(Default)]
struct Page {
    rows: Vec<(Key, Image)>,
    /// The key of the last row as the site has it, also of one that is not shared.
    last: Option<Vec<Param>>,
}

type Decoded = (std::result::Result<Key, Unnamed>, Image, Vec<Param>);

/// Key, cells of all columns and the key as the site has it, of a query that selects `column_list`.
fn decoded(site: &str, table: &SiteTable, row: &Row) -> Result<Decoded> {
    let mut place = 0..;
    let mut image = Image::with_capacity(table.columns.len());
    let mut key = vec![Param::Null; table.table.key.len()];
    for (at, column) in table.columns.iter().enumerate() {
        let Some(column) = column else {
            image.push(Cell::Unchanged);
            continue;
        };
        let family = table.family(at);
        let raw: Option<Raw<'_>> =
            row.try_get(place.next().unwrap_or_default()).map_err(|error| from_driver(site, "reading rows", error))?;
        if let (Some(part), Some(Raw(bytes))) = (table.table.key.iter().position(|number| *number == at), &raw) {
            key[part] = match is_bytes(&column.ty) {
                true => Param::Bytes(bytes.to_vec()),
                false => Param::Text(String::from_utf8_lossy(bytes).into_owned()),
            };
        }
        image.push(match raw {
            None => values::cell(None, column, family),
            Some(Raw(bytes)) if is_bytes(&column.ty) => values::made_canonical(Value::Bytes(bytes.to_vec()), column, family),
            Some(Raw(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => values::cell(Some(text), column, family),
                Err(_) => Cell::Refused("text that is not UTF-8"),
            },
        });
    }
    Ok((table.key_in(&image), image, key))
}

fn is_bytes(ty: &ColumnType) -> bool {
    matches!(ty, ColumnType::Bytes { .. })
}

/// As text, which is what the log has; bytes as they are.
fn column_list(table: &SiteTable) -> String {
    let one = |column: &SiteColumn| {
        let name = ident(&column.name);
        if is_bytes(&column.ty) { name } else { format!("{name}::text") }
    };
    table.columns.iter().flatten().map(one).collect::<Vec<_>>().join(", ")
}

/// A value's text in a checksum, as a list of its parts.
fn sum_text(column: &SiteColumn) -> String {
    let name = ident(&column.name);
    let (length, body) = match column.ty {
        ColumnType::Int { .. } => return if column.nullable { format!("coalesce({name} || ',', 'N')") } else { format!("{name}, ','") },
        ColumnType::Bytes { .. } => (format!("2 * octet_length({name})"), format!("encode({name}, 'hex')")),
        _ => (format!("octet_length({name}::text)"), format!("{name}::text")),
    };
    // What is NULL adds nothing.
    if column.nullable { format!("coalesce({length} || ':', 'N'), {body}") } else { format!("{length}, ':', {body}") }
}

fn key_columns<'a>(site: &str, table: &'a SiteTable) -> Result<Vec<&'a SiteColumn>> {
    let columns: Option<Vec<_>> = table.table.key.iter().map(|number| table.columns[*number].as_ref()).collect();
    columns.ok_or_else(|| no_key(site, table))
}

fn no_key(site: &str, table: &SiteTable) -> Error {
    Error::new(Cause::Missing, site, "the site has not all columns of the key").table(&table.name)
}

fn key_params(key: &Key, columns: &[&SiteColumn]) -> Option<Vec<Param>> {
    key.0.iter().zip(columns).map(|(value, column)| Some(encode(&column.fit(value).ok()?, &column.ty))).collect()
}

fn placeholders(from: usize, count: usize) -> String {
    (from..from + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

#[async_trait]
impl ChunkReader for Chunks {
    async fn chunk(&mut self, table: &Arc<SiteTable>, after: Option<&Key>, rows_max: usize, bytes_max: usize) -> Result<Vec<(Key, Image)>> {
        let columns = key_columns(&self.site, table)?;
        // By the table's columns: a plain name would mean the result's column, which is text.
        let order = columns.iter().map(|column| format!("t.{}", ident(&column.name))).collect::<Vec<_>>().join(", ");
        let unfit = || Error::new(Cause::Unsupported, &self.site, "the key to go on from does not fit the table").table(&table.name);
        let mut after = after.map(|key| key_params(key, &columns).ok_or_else(unfit)).transpose()?;
        let from = qualified(&table.schema, &table.name);
        self.wait_for_commits(table).await?;
        loop {
            let above = match after {
                None => String::new(),
                Some(_) => format!(" WHERE ({order}) > ({})", placeholders(1, columns.len())),
            };
            let sql = format!("SELECT {} FROM {from} AS t{above} ORDER BY {order} LIMIT {rows_max}", column_list(table));
            let statement = self.prepare(table, sql).await?;
            let page = self.fetch(table, &statement, &after.unwrap_or_default(), rows_max.max(1), bytes_max.max(1)).await?;
            // A chunk is empty only at the table's end: what is not shared is passed over.
            if !page.rows.is_empty() || page.last.is_none() {
                return Ok(page.rows);
            }
            after = page.last;
        }
    }

    async fn rows(&mut self, table: &Arc<SiteTable>, keys: &[Key]) -> Result<Vec<(Key, Image)>> {
        let columns = key_columns(&self.site, table)?;
        let names = columns.iter().map(|column| ident(&column.name)).collect::<Vec<_>>().join(", ");
        let from = qualified(&table.schema, &table.name);
        self.wait_for_commits(table).await?;
        // A key that has no form at this site is not there.
        let wanted: Vec<Vec<Param>> = keys.iter().filter_map(|key| key_params(key, &columns)).collect();
        let mut found = Vec::new();
        for some in wanted.chunks(LOOKUP_KEYS_MAX) {
            // Powers of two, filled up with the last key, so that few statements serve any number of keys.
            let width = some.len().next_power_of_two();
            let filled = some.iter().chain(std::iter::repeat(&some[some.len() - 1])).take(width);
            let params: Vec<Param> = filled.flatten().cloned().collect();
            let list: Vec<String> = (0..width).map(|n| format!("({})", placeholders(1 + n * columns.len(), columns.len()))).collect();
            let sql = format!("SELECT {} FROM {from} WHERE ({names}) IN ({})", column_list(table), list.join(", "));
            let statement = self.prepare(table, sql).await?;
            found.extend(self.fetch(table, &statement, &params, usize::MAX, usize::MAX).await?.rows);
        }
        Ok(found)
    }

    async fn sum(&mut self, table: &Arc<SiteTable>, columns: &[usize], stretch: &Stretch) -> Result<Option<Sum>> {
        let Some(key) = key_columns(&self.site, table)?.pop().map(|column| ident(&column.name)) else { return Ok(None) };
        let texts = columns.iter().filter_map(|at| table.columns[*at].as_ref()).map(sum_text).collect::<Vec<_>>().join(", ");
        let bounds = [stretch.after.map(|after| (">", after)), stretch.upto.map(|upto| ("<=", upto))];
        let bounds: Vec<(&str, i64)> = bounds.into_iter().flatten().collect();
        let mut sql = format!(
            "SELECT count(*), encode(sha256(convert_to(coalesce(string_agg(concat({texts}), ''), ''), 'UTF8')), 'hex') FROM (SELECT * FROM {}",
            qualified(&table.schema, &table.name)
        );
        for (at, (relation, _)) in bounds.iter().enumerate() {
            sql.push_str(&format!(" {} {key} {relation} ${}::bigint", if at == 0 { "WHERE" } else { "AND" }, at + 1));
        }
        sql.push_str(&format!(" ORDER BY {key}) AS t"));
        if !self.keeps_order {
            // A table without statistics, as after a copy, would be sorted anew for each stretch.
            self.client.batch_execute("SET enable_sort = off").await.map_err(|error| self.driver(table, error))?;
            self.keeps_order = true;
        }
        let statement = self.prepare(table, sql).await?;
        let params: Vec<&(dyn ToSql + Sync)> = bounds.iter().map(|(_, bound)| bound as &(dyn ToSql + Sync)).collect();
        let row = match self.client.query_one(&statement, &params).await {
            Ok(row) => row,
            // More text than a value may have.
            Err(error) if error.code() == Some(&SqlState::PROGRAM_LIMIT_EXCEEDED) => return Ok(None),
            Err(error) => return Err(self.driver(table, error)),
        };
        Ok(Sum::from_hex(row.get::<_, i64>(0).cast_unsigned(), row.get(1)))
    }

    async fn estimate(&mut self, table: &Arc<SiteTable>) -> Result<u64> {
        const SQL: &str = "SELECT coalesce(nullif(greatest(s.n_live_tup, 0), 0), greatest(c.reltuples, 0)::bigint) FROM pg_class c \
            JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid WHERE n.nspname = $1 AND c.relname = $2";
        let row = self.client.query_opt(SQL, &[&table.schema, &table.name]).await.map_err(|error| self.driver(table, error))?;
        Ok(row.map_or(0, |row| row.get::<_, i64>(0).max(0) as u64))
    }

    async fn distinct(&mut self, table: &TableDescription, columns: &[&str], rows_max: usize) -> Result<Vec<TextRow>> {
        let list = columns.iter().map(|column| format!("{}::text", ident(column))).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT DISTINCT {list} FROM {} LIMIT {rows_max}", qualified(&table.schema, &table.name));
        let rows = self.client.query(&sql, &[]).await;
        let rows = rows.map_err(|error| from_driver(&self.site, "looking at what a table is used for", error).table(&table.name))?;
        Ok(rows.iter().map(|row| (0..columns.len()).map(|at| row.get(at)).collect()).collect())
    }
}
