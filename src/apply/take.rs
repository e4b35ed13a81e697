//! Making a batch: the rows owed longest, closed over the source transactions that they took part in.

use std::collections::HashSet;

use super::aside::aside;
use super::settle::RENAME;
use super::{Job, Retry, Target};
use crate::capture::lag::Applied;
use crate::ledger::{Lane as Queue, Ledger, QuarantineKind, Result, RowId, Shared, claim};
use crate::model::{Key, Payload, Refusal, SharedUnique, SiteId, SiteTable, Value, WriteKind};
use crate::mutation;
use crate::resolve::{Row, Write, claimed, keeps, owed, sent_row, stands_at};
use crate::sites::{Batch, Lane, RowWrite, Statement};

/// Bounds of one batch.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub rows_max: usize,
    pub bytes_max: usize,
    /// A source transaction of up to this many rows leaves whole, in one batch.
    pub closure_rows_max: usize,
    /// While more than this many have been written and not been heard back, only rows of urgent tables are: it bounds the memory that
    /// waits for a site's log.
    pub unheard_rows_max: usize,
    /// The bulk lane helps with live changes when more than this many wait.
    pub backlog_rows: usize,
    /// Markers removed at the site by one batch.
    pub forget_max: usize,
}

impl Limits {
    pub fn new(rows_max: usize, bytes_max: usize) -> Limits {
        Limits {
            rows_max,
            bytes_max,
            closure_rows_max: rows_max * 8,
            unheard_rows_max: rows_max * 40,
            backlog_rows: rows_max * 4,
            forget_max: 64,
        }
    }
}

struct Picked {
    id: RowId,
    since: u64,
    /// Source transactions that the site may not have and that are not too large: the rows of each leave together.
    transactions: Vec<u64>,
    row: Row,
    write: Write,
    key: Key,
    rows: RowWrite,
}

/// The source transactions that a site which is owed the row since then may not have: the one that made it so, and later ones. What has
/// more rows than leave whole is not waited for.
fn owed_in(ledger: &Ledger, limits: &Limits, row: &Row, site: SiteId) -> Vec<u64> {
    let Some(held) = row.held(site) else { return Vec::new() };
    let later = row.transactions.partition_point(|transaction| *transaction < held.since);
    let transactions = row.transactions[later.saturating_sub(1)..].iter().copied();
    transactions.filter(|transaction| ledger.count_rows_of(*transaction) <= limits.closure_rows_max).collect()
}

/// Takes the next batch for a site out of the ledger's queues; None when nothing can be written there now.
pub fn take(ledger: &mut Ledger, target: &Target, lane: Lane, limits: &Limits, retry: &mut Retry, now_us: i64) -> Result<Option<Job>> {
    let mut picked: Vec<Picked> = Vec::new();
    let mut met: HashSet<RowId> = HashSet::new();
    // Rows that have met a lock have batches to themselves, so that no others wait with them.
    let (mut bytes, mut companions) = (0, retry.locked.next(limits.rows_max, now_us));
    let tries_locked = !companions.is_empty();
    let (mut closed, mut waiting) = (HashSet::new(), HashSet::new());
    loop {
        let full = picked.len() >= limits.rows_max || bytes >= limits.bytes_max;
        let id = match companions.pop_front() {
            Some(id) if picked.len() < limits.closure_rows_max => id,
            Some(_) => continue,
            None if full || (tries_locked && !picked.is_empty()) => break,
            None => match next(ledger, target, lane, limits) {
                Some(id) => id,
                None => break,
            },
        };
        if !met.insert(id) {
            continue;
        }
        if tries_locked {
            retry.locked.take(id);
        }
        match pick(ledger, target, limits, retry, id, now_us)? {
            Pick::Taken(row) if !tries_locked && retry.locked.is_shut(row.rows.table.table.id) => {
                retry.locked.put_aside(id);
                waiting.extend(row.transactions);
            }
            Pick::Taken(row) => {
                bytes += row.rows.columns.iter().map(|(_, value)| value.weight()).sum::<usize>();
                for transaction in row.transactions.iter().filter(|transaction| closed.insert(**transaction)) {
                    companions.extend(ledger.rows_of(*transaction).filter(|id| !met.contains(id)));
                }
                // Rows that are to swap their values can do so in one batch only, whichever lane they wait in.
                let table = row.rows.table.table.id;
                if retry.aside.contains(&table) {
                    companions.extend(retry.of_table(table).filter(|id| !met.contains(id)));
                }
                picked.push(*row);
            }
            Pick::InHand(transactions) => waiting.extend(transactions),
            Pick::Nothing => {}
        }
    }
    put_back(ledger, target, &mut picked, waiting)?;
    if picked.is_empty() {
        return Ok(None);
    }
    picked.sort_by_key(|picked| picked.since);
    if tries_locked {
        retry.locked.trying();
    }
    job(ledger, target, picked, limits, retry, tries_locked).map(Some)
}

/// Leaves out rows of source transactions with a row that another batch has in hand: they go when that has been answered.
fn put_back(ledger: &mut Ledger, target: &Target, picked: &mut Vec<Picked>, mut waiting: HashSet<u64>) -> Result<()> {
    while let Some(at) = picked.iter().position(|picked| picked.transactions.iter().any(|t| waiting.contains(t))) {
        let row = picked.swap_remove(at);
        ledger.requeue(target.site, row.id)?;
        waiting.extend(row.transactions);
    }
    Ok(())
}

fn next(ledger: &mut Ledger, target: &Target, lane: Lane, limits: &Limits) -> Option<RowId> {
    let site = target.site;
    if ledger.under_way(site).is_some_and(|under_way| under_way.rows() >= limits.unheard_rows_max) {
        return if lane == Lane::Bulk { None } else { ledger.pop(site, Queue::Urgent) };
    }
    match lane {
        Lane::Urgent | Lane::Control => ledger.pop(site, Queue::Urgent).or_else(|| ledger.pop(site, Queue::Live)),
        Lane::Bulk => {
            let backlog = ledger.queues(site).is_some_and(|queues| queues.len(Queue::Live) > limits.backlog_rows);
            ledger.pop(site, Queue::Bulk).or_else(|| if backlog { ledger.pop(site, Queue::Live) } else { None })
        }
    }
}

enum Pick {
    Taken(Box<Picked>),
    /// The site is owed more of it, and has not answered the batch that it is in, or has refused it a moment ago; its source
    /// transactions wait with it.
    InHand(Vec<u64>),
    Nothing,
}

fn pick(ledger: &mut Ledger, target: &Target, limits: &Limits, retry: &Retry, id: RowId, now_us: i64) -> Result<Pick> {
    let site = target.site;
    if ledger.is_quarantined(site, id) {
        return Ok(Pick::Nothing);
    }
    let Some((table, key, row)) = ledger.load_id(id)? else { return Ok(Pick::Nothing) };
    let (Some(at_site), Some(shared)) = (target.tables.get(&table), ledger.shared(table)) else { return Ok(Pick::Nothing) };
    if ledger.progress(site, table).stopped.is_some() {
        return Ok(Pick::Nothing);
    }
    let Some(view) = shared.roster.sites.iter().find(|view| view.id == site) else { return Ok(Pick::Nothing) };
    let sent = ledger.under_way(site).and_then(|under_way| under_way.sent(id));
    let Some(write) = owed(&row, view, sent) else { return Ok(Pick::Nothing) };
    let in_hand = ledger.under_way(site).is_some_and(|under_way| under_way.is_in_hand(id)) && !mutation::without("in_hand");
    if in_hand || retry.waits(id) {
        return Ok(Pick::InHand(owed_in(ledger, limits, &row, site)));
    }
    if rivalled(ledger, shared, site, id, &row, &write)? && !mutation::without("rival") {
        let reason = format!("another row has its value of a unique key; {RENAME}");
        ledger.quarantine(site, id, table, &key, QuarantineKind::Unique, &reason, now_us)?;
        tracing::warn!(site = target.name, table = at_site.table.name, reason, "a row is held back from this site");
        return Ok(Pick::Nothing);
    }
    if write.kind != WriteKind::Delete && belongs_apart(ledger, shared, site, &row)? && !mutation::without("belongs") {
        let reason = "it belongs to a row that is another person's at this site; it goes on when that has been settled";
        ledger.quarantine(site, id, table, &key, QuarantineKind::Kin, reason, now_us)?;
        return Ok(Pick::Nothing);
    }
    match row_write(&at_site.table, &key, &row, &write) {
        Ok(rows) => {
            let since = row.held(site).map_or(0, |held| held.since);
            let transactions = owed_in(ledger, limits, &row, site);
            Ok(Pick::Taken(Box::new(Picked { id, since, transactions, row, write, key, rows })))
        }
        Err((column, refusal)) => {
            let name = at_site.table.columns[column].as_ref().map_or("", |c| c.name.as_str());
            let reason = format!("column {name}: {refusal}");
            ledger.quarantine(site, id, table, &key, QuarantineKind::Value, &reason, now_us)?;
            tracing::warn!(site = target.name, table = at_site.table.name, reason, "a row is held back from this site");
            Ok(Pick::Nothing)
        }
    }
}

/// What the row refers to is another person's at the site.
fn belongs_apart(ledger: &Ledger, shared: &Shared, site: SiteId, row: &Row) -> Result<bool> {
    for (column, parent) in &shared.references {
        if let Some(register) = &row.registers[*column]
            && ledger.is_apart(site, *parent, &Key(vec![register.value.clone()]))?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Another row is at the site, or has more right to be there, with a value that one of the site's unique keys gives to one row only.
fn rivalled(ledger: &Ledger, shared: &Shared, site: SiteId, id: RowId, row: &Row, write: &Write) -> Result<bool> {
    let at_site = shared.unique_at.get(&site).map_or(&[][..], Vec::as_slice);
    let written = |unique: &&SharedUnique| write.columns.iter().any(|(column, _)| unique.columns.contains(column));
    let view = shared.roster.site(site);
    // A value that the row has there already is in nobody's way but its rivals'.
    let gets = |unique: &&SharedUnique| !stands_at(row, view, &unique.columns);
    for unique in at_site.iter().filter(written).filter(gets) {
        let strictest = shared.unique.iter().find(|strictest| strictest.columns == unique.columns);
        let print = strictest.and_then(|strictest| claim(row, strictest)).filter(|print| ledger.is_contested(shared.table.id, *print));
        let Some(print) = print else { continue };
        for other in ledger.claimants(shared.table.id, print)?.into_iter().filter(|other| *other != id) {
            let Some((_, _, rival)) = ledger.load_id(other)? else { continue };
            if claim(&rival, unique) != claim(row, unique) {
                continue;
            }
            let (Some(ours), Some(theirs)) = (claimed(row, &unique.columns), claimed(&rival, &unique.columns)) else { continue };
            // A rival that is held back itself is not about to come.
            let comes = !ledger.is_quarantined(site, other) && keeps(&theirs, &ours, &shared.roster);
            if comes || stands_at(&rival, view, &unique.columns) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The row as the site's engine is asked to write it: values fitted to the site's types, or the column that refuses.
fn row_write(table: &std::sync::Arc<SiteTable>, key: &Key, row: &Row, write: &Write) -> std::result::Result<RowWrite, (usize, Refusal)> {
    let fitted = |column: usize, value: &Value| match &table.columns[column] {
        Some(at_site) => at_site.fit(value).map_err(|refusal| (column, refusal)),
        None => Ok(value.clone()),
    };
    table.table.key.iter().zip(&key.0).try_for_each(|(column, value)| fitted(*column, value).map(drop))?;
    let mut columns = Vec::with_capacity(write.columns.len());
    for (column, _) in &write.columns {
        if let Some(register) = &row.registers[*column] {
            columns.push((*column, fitted(*column, &register.value)?));
        }
    }
    if write.kind == WriteKind::Insert {
        let added: Vec<(usize, Value)> = table.filled(|column| columns.iter().any(|(given, _)| *given == column)).collect();
        columns.extend(added);
    }
    Ok(RowWrite { table: table.clone(), kind: write.kind, key: key.clone(), columns })
}

fn job(ledger: &mut Ledger, target: &Target, picked: Vec<Picked>, limits: &Limits, retry: &Retry, tries_locked: bool) -> Result<Job> {
    let marker = ledger.next_marker()?;
    let mut statements: Vec<Statement> = Vec::new();
    let mut seen = HashSet::new();
    let (mut rows, mut writes, mut sources) = (Vec::new(), Vec::new(), Vec::new());
    for Picked { id, row, write, key, rows: row_write, .. } in picked {
        let shared_table = row_write.table.table.clone();
        if let Some(at_site) = target.tables.get(&shared_table.id) {
            for template in &at_site.after_apply {
                if let Some(statement) = template.fill(&row_write.table, &key, &row)
                    && seen.insert(statement.clone())
                {
                    statements.push(statement);
                }
            }
        }
        sources.push(source(target.site, &row, &write, shared_table.urgent));
        rows.push((id, sent_row(&row, &write, shared_table.id, &key)));
        writes.push(row_write);
    }
    let payload = Payload { ledger: ledger.id, rows: rows.iter().map(|(_, sent)| sent.clone()).collect() }.encode();
    let forget = ledger.take_heard(target.site, limits.forget_max);
    ledger.send(target.site, marker, rows.clone(), forget.clone());
    let moves =
        !retry.aside.is_empty() && !mutation::without("aside") && writes.iter().any(|write| retry.aside.contains(&write.table.table.id));
    let (aside, mut first) = if moves { aside(&writes, marker) } else { Default::default() };
    first.extend(writes);
    Ok(Job { marker, rows, batch: Batch { marker, payload, forget, rows: first, statements }, aside, tries_locked, sources })
}

/// Where and when the latest of the written values was committed.
fn source(site: SiteId, row: &Row, write: &Write, urgent: bool) -> Applied {
    let latest = write.columns.iter().filter_map(|(c, _)| row.registers[*c].as_ref()).max_by_key(|register| register.at_us);
    let scanned = row.held(site).is_some_and(|held| held.bulk);
    match latest.filter(|_| write.kind != WriteKind::Delete && !scanned) {
        Some(register) => Applied { source: register.dot.site, committed_us: register.at_us, urgent },
        None => Applied { source: site, committed_us: 0, urgent },
    }
}
