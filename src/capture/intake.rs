//! What one item of a site's log means for the ledger.

use std::collections::HashMap;

use tracing::{error, warn};

use super::kin::{self, Kinship};
use super::net::{Net, net_effect};
use super::watch::Watch;
use super::{chunk, clash, fuse};
use crate::ledger::{Error, Freshness, Ledger, Mode, Phase, QuarantineKind, Result, RowId};
use crate::model::{Cell, Dot, Image, Key, LogItem, MarkerId, Origin, Payload, SentRow, SiteId, TableId, Transaction, Value, WriteKind};
use crate::mutation;
use crate::resolve::{self, ConflictKind, Observed, Reach, Register, Row};

/// What came of a batch of log items: for logs, metrics, and for waking those who wait.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Row changes made by applications.
    pub changes: u64,
    /// Transactions of ours that were heard back.
    pub landings: u64,
    pub scanned: u64,
    pub conflicts: Vec<ConflictKind>,
    /// Rows held back, with the reason.
    pub quarantined: Vec<(SiteId, TableId, String)>,
    /// Tables whose definition has to be looked at again.
    pub altered: Vec<TableId>,
    /// Rows that applications inserted under a number.
    pub inserted: Vec<(TableId, i64)>,
}

/// A transaction with more rows is not kept together: it would not leave in one batch anyhow.
const WHOLE_ROWS_MAX: usize = 10_000;

/// Takes one item of a site's log into the ledger. `now_us`: the daemon's clock.
pub fn absorb(ledger: &mut Ledger, watch: &mut Watch, item: LogItem, now_us: i64, report: &mut Report) -> Result<()> {
    let site = item.site();
    let position = item.position().cloned();
    let mut committed_us = None;
    match item {
        LogItem::Transaction(transaction) => {
            committed_us = Some(transaction.committed_us);
            take_transaction(ledger, watch, transaction, now_us, report)?;
        }
        LogItem::Watermark { marker, .. } => watermark(ledger, watch, site, marker, now_us, report)?,
        LogItem::Progress { .. } => {}
        LogItem::Altered { table, .. } => report.altered.push(table),
        LogItem::Emptied { table, .. } => {
            let why = fuse::emptied(ledger, table);
            stop_site(ledger, site, &why, report)?;
        }
        LogItem::Alarm { table, message, .. } => {
            // Whatever it was, comparing the table finds it.
            let name = ledger.shared(table).map_or("", |shared| shared.table.name.as_str());
            warn!(table = name, message, "the table may have changed unseen; it is compared with the ledger");
            watch.abandon_chunks();
            ledger.rescan_table(site, table, Mode::Gap)?;
        }
    }
    let claims = ledger.take_new_claims();
    clash::settle(ledger, &claims, now_us, report)?;
    if let Some(position) = position {
        ledger.advance(site, position, committed_us, now_us);
    }
    Ok(())
}

/// Stops a table at a site: nothing is captured from it or applied to it until it is compared anew.
pub fn stop(ledger: &mut Ledger, site: SiteId, table: TableId, why: &str, report: &mut Report) -> Result<()> {
    let mut progress = ledger.progress(site, table);
    if progress.stopped.is_none() {
        progress.stopped = Some(why.to_owned());
        ledger.set_progress(site, table, progress)?;
        report.altered.push(table);
    }
    Ok(())
}

/// The fuse has blown: all tables of the site stop until an operator has decided.
pub(super) fn stop_site(ledger: &mut Ledger, site: SiteId, why: &str, report: &mut Report) -> Result<()> {
    let name = ledger.site(site).map_or("", |record| record.name.as_str());
    error!(site = name, "{why}; `rosterd site resume {name} --accept` deletes it everywhere, `--reject` puts it back");
    ledger.tables_of(site).into_iter().try_for_each(|table| stop(ledger, site, table, why, report))?;
    crate::crash_point!("capture.stopping", ledger.site_name(site));
    Ok(())
}

fn watermark(ledger: &mut Ledger, watch: &mut Watch, site: SiteId, marker: MarkerId, now_us: i64, report: &mut Report) -> Result<()> {
    ledger.marked(site, marker)?;
    if let Some(chunk) = watch.come_to(marker) {
        chunk::close(ledger, site, chunk, now_us, now_us, report)?;
    }
    watch.passed(marker);
    Ok(())
}

fn take_transaction(ledger: &mut Ledger, watch: &mut Watch, transaction: Transaction, now_us: i64, report: &mut Report) -> Result<()> {
    let Transaction { site, committed_us, origin, changes, .. } = transaction;
    let mut rows = net_effect(changes);
    fill_moved(ledger, site, &mut rows)?;
    if origin == Origin::Local
        && let Some(why) = watch.fuse.meet(ledger, site, &rows, committed_us)?
    {
        return stop_site(ledger, site, &why, report);
    }
    for net in &rows {
        if let Some(chunk) = watch.collecting(net.table) {
            chunk.touch(&net.key, net.after.as_ref());
        }
    }
    let several = (2..=WHOLE_ROWS_MAX).contains(&rows.len()).then(|| ledger.next_transaction());
    let fresh = Freshness { bulk: false, transaction: several };
    if let Origin::Landing { marker, payload } = &origin {
        match Payload::decode(payload) {
            Ok(_) if mutation::without("payload") && !ledger.unheard(site).contains(marker) => {}
            Ok(payload) if payload.ledger == ledger.id => {
                let ids = ledger.came_back(site, *marker)?;
                ledger.heard(site, *marker)?;
                report.landings += 1;
                landing(ledger, site, &payload, &ids, &mut rows, committed_us, now_us, report)?;
            }
            Ok(_) => warn!("a transaction of another ledger was read; it is taken as an application's"),
            Err(_) => warn!("a transaction with a damaged marker was read; it is taken as an application's"),
        }
    }
    for net in rows {
        let table = net.table;
        if changed(ledger, site, net, committed_us, now_us, fresh, report)? == Told::InPart {
            // A row that begins to match the filter, and the log leaves some of it out: the table has it.
            watch.abandon_chunks();
            ledger.rescan_table(site, table, Mode::Gap)?;
        }
    }
    Ok(())
}

/// Whether the log has told what there is to know of a change.
#[derive(PartialEq, Eq)]
pub(super) enum Told {
    Whole,
    InPart,
}

/// Our own transaction has come back: what it wrote is what the site holds now. Leaves in `rows` what it did not write. `ids`: where
/// this process has sent it, the numbers of the payload's rows.
#[allow(clippy::too_many_arguments)]
fn landing(
    ledger: &mut Ledger,
    site: SiteId,
    payload: &Payload,
    ids: &[RowId],
    rows: &mut Vec<Net>,
    at_us: i64,
    now_us: i64,
    report: &mut Report,
) -> Result<()> {
    let places = rows.iter().enumerate().map(|(at, net)| ((net.table, net.key.clone()), at));
    let places: HashMap<(TableId, Key), usize> = places.collect();
    let mut nets: Vec<Option<Net>> = std::mem::take(rows).into_iter().map(Some).collect();
    for (at, sent) in payload.rows.iter().enumerate() {
        let net = places.get(&(sent.table, sent.key.clone())).map(|at| &mut nets[*at]);
        // A key of another width is not one that we sent.
        if ledger.shared(sent.table).is_none_or(|shared| shared.table.key.len() != sent.key.0.len()) {
            continue;
        }
        let (id, mut row) = ledger.load_sent(sent.table, &sent.key, ids.get(at).copied())?;
        if let Some(Some(net)) = &net
            && comes_back_in(ledger, site, sent, &row, net)
        {
            continue;
        }
        // A row that came back in our delete, or went in our write, is a change made there (a trigger's work) on top of it.
        let shown = net.and_then(|net| {
            if let Some(net) = net.as_mut() {
                net.after = net.after.take().filter(|after| is_in(ledger, site, sent, &row, after));
            }
            net.take_if(|net| net.after.is_some() == sent.life.exists())
        });
        let dot = Dot { site, counter: ledger.next_counter(site) };
        let Some(shared) = ledger.shared(sent.table) else { continue };
        let content = shown.as_ref().and_then(|net| net.after.as_deref());
        let (observed, altered) = resolve::landed(&mut row, &shared.roster, &shared.policy, dot, sent, content, at_us);
        if !altered.is_empty() {
            let columns: Vec<&str> = altered.iter().map(|c| shared.table.columns[*c].name.as_str()).collect();
            warn!(
                table = shared.table.name,
                columns = columns.join(", "),
                "the site altered what was written (a trigger or a rounding column)"
            );
        }
        record(ledger, site, sent.table, &sent.key, id, row, observed, Freshness::LIVE, now_us, report)?;
    }
    rows.extend(nets.into_iter().flatten());
    crate::crash_point!("capture.landing", ledger.site_name(site));
    Ok(())
}

/// Whether a row that our write shows is shared. What a new row's image leaves out, as the site may lack the column, is as merged.
fn is_in(ledger: &Ledger, site: SiteId, sent: &SentRow, row: &Row, after: &Image) -> bool {
    let merged = |(cell, register): (&Cell, &Option<Register>)| match (cell, register) {
        (Cell::Unchanged, Some(register)) => Cell::Value(register.value.clone()),
        (cell, _) => cell.clone(),
    };
    let whole = || after.iter().zip(&row.registers).map(merged).collect::<Image>();
    if row.life != sent.life && is_told_elsewhere(ledger, site, sent.table) {
        // It was in when it was sent, and its values of then are not known any more.
        return true;
    }
    ledger.is_shared_from(site, sent.table, &sent.key, after, row) || ledger.is_shared(sent.table, &sent.key, Some(&whole()))
}

/// The filter reads a column that the site lacks.
fn is_told_elsewhere(ledger: &Ledger, site: SiteId, table: TableId) -> bool {
    let Some(shared) = ledger.shared(table) else { return false };
    let has = &shared.roster.site(site).has;
    let lacks = |name: &&str| shared.table.column(name).is_some_and(|column| !has[column]);
    shared.filter.as_ref().is_some_and(|filter| filter.columns().iter().any(lacks))
}

/// Our write has gone over a row that had moved out of the filter, and has moved it back in: all that it shows is new to the others.
fn comes_back_in(ledger: &Ledger, site: SiteId, sent: &SentRow, row: &Row, net: &Net) -> bool {
    let Some(shared) = ledger.shared(sent.table).filter(|shared| shared.filter.is_some()) else { return false };
    let view = shared.roster.site(site);
    let is_in = |after: &Image| view.is_whole(after) && ledger.is_shared(sent.table, &sent.key, Some(after));
    sent.kind == WriteKind::Columns && !resolve::has_row(row, view) && net.after.as_ref().is_some_and(is_in)
}

/// One row that an application changed.
#[allow(clippy::too_many_arguments)]
fn changed(ledger: &mut Ledger, site: SiteId, net: Net, at_us: i64, now_us: i64, fresh: Freshness, report: &mut Report) -> Result<Told> {
    let Net { table, key, before, after, .. } = net;
    let progress = ledger.progress(site, table);
    if ledger.shared(table).is_none() || progress.stopped.is_some() {
        return Ok(Told::Whole);
    }
    let (id, mut row) = ledger.load(table, &key)?;
    if after.is_none() {
        let_in(ledger, site, id)?;
    }
    if after.is_none() && progress.puts_back() && ledger.shared(table).is_some_and(|shared| !row.is_seen(shared.roster.site(site))) {
        // Deleted before the scan has come by: it is put back with the others.
        return Ok(Told::Whole);
    }
    let after = if mutation::without("fingerprints") { changed_cells(before.as_ref(), after) } else { after };
    let content = after.filter(|after| ledger.is_shared_from(site, table, &key, after, &row));
    let absent = !row.life_at(site).exists();
    if absent && content.is_some() {
        let_in(ledger, site, id)?;
    }
    if let Some(content) = &content
        && refused(ledger, site, table, &key, content, now_us, report)?
    {
        return Ok(Told::Whole);
    }
    let Some(shared) = ledger.shared(table) else { return Ok(Told::Whole) };
    let view = shared.roster.site(site);
    if absent && row.is_seen(view) && content.as_ref().is_some_and(|content| !view.is_whole(content)) && !mutation::without("fingerprints")
    {
        return Ok(Told::InPart);
    }
    if let Some(content) = &content
        && let Some(told) = by_kinship(ledger, site, table, &key, id, &mut row, content, now_us, report)?
    {
        return Ok(told);
    }
    let Some(shared) = ledger.shared(table) else { return Ok(Told::Whole) };
    let dot = Dot { site, counter: ledger.next_counter(site) };
    let before = before.filter(|before| ledger.is_shared(table, &key, Some(before)));
    let reach = match progress.phase {
        Phase::Waiting => Reach::Nothing,
        Phase::Scanning => Reach::Part,
        Phase::Counting | Phase::Sweeping | Phase::Tidying | Phase::Done => Reach::All,
    };
    let images = (before.as_deref(), content.as_deref());
    let (was_there, is_there) = (row.life.exists(), content.is_some());
    let Some(observed) = resolve::logged(&mut row, &shared.roster, &shared.policy, dot, images, at_us, reach) else {
        return Ok(Told::Whole);
    };
    report.changes += observed.changes.min(1);
    // An update may look like an insert in a log without images of what was before.
    if let ([Value::Int(number)], true, true) = (key.0.as_slice(), is_there, !was_there || observed.apart) {
        report.inserted.push((table, *number));
    }
    record(ledger, site, table, &key, id, row, observed, fresh, now_us, report)?;
    Ok(Told::Whole)
}

/// Where a row that is seen at a site belongs to another one there that stands apart, it is noted and stands apart with it. None:
/// the merge decides.
#[allow(clippy::too_many_arguments)]
pub(super) fn by_kinship(
    ledger: &mut Ledger,
    site: SiteId,
    table: TableId,
    key: &Key,
    id: Option<RowId>,
    row: &mut Row,
    content: &Image,
    now_us: i64,
    report: &mut Report,
) -> Result<Option<Told>> {
    let kinship = kin::kinship(ledger, site, table, id, row, content)?;
    let Some(shared) = ledger.shared(table) else { return Ok(Some(Told::Whole)) };
    match kinship {
        Kinship::None => Ok(None),
        Kinship::Joins => {
            let dot = Dot { site, counter: ledger.next_counter(site) };
            let observed = resolve::stand_apart(row, &shared.roster, dot, content);
            report.changes += 1;
            record(ledger, site, table, key, id, row.clone(), observed, Freshness::LIVE, now_us, report)?;
            if let (Some(id), _) = ledger.load(table, key)? {
                ledger.quarantine(site, id, table, key, QuarantineKind::Kin, kin::REASON, now_us)?;
            }
            Ok(Some(Told::Whole))
        }
        Kinship::Leaves if !shared.roster.site(site).is_whole(content) => Ok(Some(Told::InPart)),
        Kinship::Leaves => {
            resolve::rejoin(row, &shared.roster, site);
            if let Some(id) = id {
                ledger.release(site, id)?;
            }
            Ok(None)
        }
    }
}

/// The site has no row that it does not share, or not any more: a merged one that it was in the way of can go there.
pub(super) fn let_in(ledger: &mut Ledger, site: SiteId, id: Option<RowId>) -> Result<()> {
    match id {
        Some(id) if ledger.quarantined_as(site, id)? == Some(QuarantineKind::Data) => ledger.let_go(site, id),
        _ => Ok(()),
    }
}

/// `after` without what `before` has too.
pub(super) fn changed_cells(before: Option<&Image>, after: Option<Image>) -> Option<Image> {
    let Some(before) = before else { return after };
    let cell = |(old, new): (&Cell, Cell)| if *old == new { Cell::Unchanged } else { new };
    after.map(|after| before.iter().zip(after).map(cell).collect())
}

/// A row that shows a value without canonical form is left alone, on both sides, until it changes. Gives whether it is one.
pub(super) fn refused(
    ledger: &mut Ledger,
    site: SiteId,
    table: TableId,
    key: &Key,
    content: &Image,
    now_us: i64,
    report: &mut Report,
) -> Result<bool> {
    let bad = content.iter().enumerate().find_map(|(column, cell)| match cell {
        Cell::Refused(reason) => Some((column, *reason)),
        _ => None,
    });
    if bad.is_none() && !ledger.holds_any_back(site) {
        return Ok(false);
    }
    let id = match ledger.load(table, key)?.0 {
        Some(id) => id,
        None => stand_in(table, key),
    };
    let Some((column, reason)) = bad else {
        ledger.release(site, stand_in(table, key))?;
        return Ok(false);
    };
    let name = ledger.shared(table).map_or("", |shared| shared.table.columns[column].name.as_str());
    let reason = format!("column {name}: {reason}; the row stays as it is at this site and is not shared");
    ledger.quarantine(site, id, table, key, QuarantineKind::Value, &reason, now_us)?;
    report.quarantined.push((site, table, reason));
    Ok(true)
}

/// A number for a row that the ledger does not have: negative, from its key.
fn stand_in(table: TableId, key: &Key) -> RowId {
    let mut w = crate::model::Writer::new();
    w.uint(table.0.into());
    w.key(key);
    let print = crate::model::fingerprint(&crate::model::Value::Bytes(w.into_bytes()));
    RowId(-((print.0 >> 2) as i64) - 1)
}

/// Writes down what came of an observation.
#[allow(clippy::too_many_arguments)]
pub(super) fn record(
    ledger: &mut Ledger,
    site: SiteId,
    table: TableId,
    key: &Key,
    id: Option<RowId>,
    row: Row,
    observed: Observed,
    fresh: Freshness,
    now_us: i64,
    report: &mut Report,
) -> Result<()> {
    if let Some(id) = id.filter(|_| !resolve::is_apart(&row, site)) {
        ledger.release_apart(site, id)?;
    }
    if observed.changes > 0 {
        (0..observed.changes).for_each(|_| ledger.use_counter(site));
        if let Some(id) = id {
            let others: Vec<SiteId> = ledger.sites().iter().map(|record| record.id).collect();
            for other in others {
                if !resolve::is_apart(&row, other) {
                    ledger.release(other, id)?;
                }
            }
        }
    }
    for conflict in &observed.conflicts {
        ledger.record_conflict(table, key, conflict, now_us)?;
        report.conflicts.push(conflict.kind);
    }
    let apart = observed.apart && resolve::is_apart(&row, site);
    let frees = gives_up(ledger, site, table, id, &row)?;
    ledger.store(table, key, id, row, fresh)?;
    if frees && !mutation::without("goes_on") {
        ledger.let_rivals_go_on(site, table)?;
    }
    if apart {
        let id = id.map_or_else(|| Ok::<_, Error>(ledger.load(table, key)?.0), |id| Ok(Some(id)))?;
        let reason = "this site's own row under this key stands apart: it is another person's, or a conflict left to an operator";
        if let Some(id) = id {
            ledger.quarantine(site, id, table, key, QuarantineKind::Apart, reason, now_us)?;
            report.quarantined.push((site, table, reason.into()));
        }
    }
    Ok(())
}

/// The site's row, which is `row` now, had a value of a unique key that others may wait for, and has not any more.
fn gives_up(ledger: &Ledger, site: SiteId, table: TableId, id: Option<RowId>, row: &Row) -> Result<bool> {
    let Some(id) = id.filter(|_| ledger.holds_any_back(site)) else { return Ok(false) };
    if !ledger.holds_rivals_back(site, table)? {
        return Ok(false);
    }
    let (Some((_, _, before)), Some(shared)) = (ledger.load_id(id)?, ledger.shared(table)) else { return Ok(false) };
    let view = shared.roster.site(site);
    Ok(shared.unique.iter().any(|unique| resolve::gives_up(&before, row, view, &unique.columns)))
}

/// Completes rows whose key was changed and whose new image leaves out what did not change, from what the old key's row holds.
fn fill_moved(ledger: &Ledger, site: SiteId, rows: &mut [Net]) -> Result<()> {
    for net in rows.iter_mut() {
        let (Some(from), Some(after)) = (&net.moved_from, &mut net.after) else { continue };
        if !after.contains(&Cell::Unchanged) || ledger.shared(net.table).is_none() {
            continue;
        }
        let (_, old) = ledger.load(net.table, from)?;
        for (column, cell) in after.iter_mut().enumerate() {
            let has = ledger.shared(net.table).is_some_and(|shared| shared.roster.site(site).has[column]);
            if *cell != Cell::Unchanged || !has {
                continue;
            }
            let listed = old.held(site).is_some_and(|held| held.columns.iter().any(|(c, _)| usize::from(*c) == column));
            *cell = match &old.registers[column] {
                Some(register) if !listed => Cell::Value(register.value.clone()),
                _ => Cell::Refused("its key was changed and the log leaves this value out"),
            };
        }
    }
    Ok(())
}
