//! What an operator decides about conflicts and rows that are held back.

use super::Daemon;
use crate::capture::follow::now_us;
use crate::ledger::{self, ConflictRecord, Freshness, Ledger, Mode, QuarantineKind, QuarantineRecord, SiteRecord, claim};
use crate::model::{Dot, Key, TableId};
use crate::ops::history;
use crate::resolve::{self, ConflictKind, Register, Row};

/// Settles a row that is held back: a sentence that says what comes of it, or why it can't be done.
pub(super) type Settle = fn(&mut Ledger, &str) -> ledger::Result<Result<String, String>>;

impl Daemon {
    pub(super) async fn settle(&self, name: String, how: Settle) -> Result<String, String> {
        let settled = self.ledger.call(move |ledger| how(ledger, &name)).await.map_err(|error| error.to_string())?;
        crate::crash_point!("quarantine.settled", "");
        self.wake();
        settled
    }

    /// Puts the values that lost a conflict back, as changes made now at the site that lost.
    pub(super) async fn undo(&self, number: i64) -> Result<String, String> {
        let undone = self.ledger.call(move |ledger| undo(ledger, number, now_us())).await.map_err(|error| error.to_string())?;
        crate::crash_point!("undo.noted", "");
        self.wake();
        undone
    }
}

fn found(ledger: &Ledger, name: &str) -> ledger::Result<Result<(SiteRecord, QuarantineRecord), String>> {
    Ok(history::named(ledger, name)?.ok_or_else(|| history::no_such_row(name)))
}

/// Lets a row go to its site again.
pub(super) fn retry(ledger: &mut Ledger, name: &str) -> ledger::Result<Result<String, String>> {
    let (site, record) = match found(ledger, name)? {
        Ok(found) => found,
        Err(text) => return Ok(Err(text)),
    };
    if record.kind == QuarantineKind::Apart {
        return Ok(Err(format!(
            "the row of site {} is another person's: `rosterd quarantine resolve {name} --rekey` gives it a key of its own, \
             `rosterd quarantine discard {name}` gives it up for the merged row",
            site.name
        )));
    }
    if record.row.0 < 0 {
        return Ok(Err("a value at the site has no lossless form; mend it there, and the row is shared again".into()));
    }
    ledger.let_go(site.id, record.row)?;
    Ok(Ok(format!("the row goes to site {} again; if it is refused again, it comes back to the list", site.name)))
}

/// Gives up a site's own row, with its own rows that belong to it.
pub(super) fn discard(ledger: &mut Ledger, name: &str) -> ledger::Result<Result<String, String>> {
    let (site, record) = match found(ledger, name)? {
        Ok(found) => found,
        Err(text) => return Ok(Err(text)),
    };
    if record.kind != QuarantineKind::Apart {
        return Ok(Err(format!(
            "there is nothing to give up at site {}: mend the cause, then `rosterd quarantine retry {name}`",
            site.name
        )));
    }
    let kin = ledger.kin_of(site.id, record.table, &record.key)?;
    let count = kin.len();
    let own = ledger.load_id(record.row)?.map(|(table, key, row)| (record.row, table, key, row));
    for (id, table, key, mut row) in own.into_iter().chain(kin) {
        resolve::give_up(&mut row, site.id);
        ledger.release_apart(site.id, id)?;
        ledger.store(table, &key, Some(id), row, Freshness::LIVE)?;
    }
    let with = if count == 0 { String::new() } else { format!(" with {count} of its rows in other tables") };
    Ok(Ok(format!("site {}'s own row is given up{with}; the merged row goes there", site.name)))
}

/// Lets a site's own row win: the site is read again, and what it holds is taken as changed there.
pub(super) fn site_wins(ledger: &mut Ledger, name: &str) -> ledger::Result<Result<String, String>> {
    let (site, record) = match found(ledger, name)? {
        Ok(found) => found,
        Err(text) => return Ok(Err(text)),
    };
    if record.kind != QuarantineKind::Apart {
        return Ok(Err(format!("{name} does not stand apart; `rosterd quarantine show {name}` says what can be done")));
    }
    let Some((table, key, mut row)) = ledger.load_id(record.row)? else { return Ok(Err(history::no_such_row(name))) };
    if !row.life.exists() {
        return Ok(Err(format!("the merged row is gone: change the row at site {}, and it is shared", site.name)));
    }
    resolve::let_win(&mut row, site.id);
    ledger.release_apart(site.id, record.row)?;
    ledger.store(table, &key, Some(record.row), row, Freshness::BULK)?;
    ledger.rescan_table(site.id, table, Mode::Gap)?;
    Ok(Ok(format!("the row of site {} wins: its table is read there again, and the row goes everywhere", site.name)))
}

fn undo(ledger: &mut Ledger, number: i64, now_us: i64) -> ledger::Result<Result<String, String>> {
    let Some(record) = ledger.conflict(number)? else {
        return Ok(Err(history::no_such_conflict(number)));
    };
    let (id, row) = ledger.load(record.table, &record.key)?;
    if let Some(why) = against_undo(ledger, &record, &row)? {
        return Ok(Err(why));
    }
    let (table, key, mut row) = (record.table, record.key.clone(), row);
    let Some(shared) = ledger.shared(table) else { return Ok(Err("its table is not shared any more".into())) };
    let roster = shared.roster.clone();
    let names: Vec<&str> = record.lost.iter().filter_map(|(column, _)| Some(shared.table.columns.get(*column)?.name.as_str())).collect();
    let text =
        format!("{} {}: what site {} wrote there goes everywhere", shared.table.name, names.join(", "), ledger.site_name(record.loser));
    let dot = Dot { site: record.loser, counter: ledger.next_counter(record.loser) };
    ledger.use_counter(record.loser);
    ledger.save_counters()?;
    let width = row.registers.len();
    for (column, value) in record.lost.iter().filter(|(column, _)| *column < width) {
        resolve::overwrite(&mut row, &roster, *column, Register { value: value.clone(), dot, at_us: now_us });
    }
    ledger.store(table, &key, id, row, Freshness::LIVE)?;
    Ok(Ok(text))
}

/// Why the values that lost can't be put back.
fn against_undo(ledger: &Ledger, record: &ConflictRecord, row: &Row) -> ledger::Result<Option<String>> {
    let Some(shared) = ledger.shared(record.table) else { return Ok(Some("its table is not shared any more".into())) };
    let is_key = record.lost.iter().any(|(column, _)| shared.table.key.contains(column));
    Ok(if !row.life.exists() {
        Some("the row has been deleted: put it back at a site, and it is shared".into())
    } else if record.kind == ConflictKind::InsertExists.name() && is_key {
        Some(
            "two people had one key: `rosterd quarantine list` has the one who stands apart, `quarantine resolve --rekey` gives a new key"
                .into(),
        )
    } else if ledger.site(record.loser).is_none() {
        Some(format!("site {} has left the roster", ledger.site_name(record.loser)))
    } else if rivalled(ledger, record.table, &record.key, record, row)? {
        Some("another row has that value of a unique key by now: change that one first".into())
    } else {
        None
    })
}

/// With the values that lost, the row would share a unique key with another one.
fn rivalled(ledger: &Ledger, table: TableId, key: &Key, record: &ConflictRecord, row: &Row) -> ledger::Result<bool> {
    let (own, _) = ledger.load(table, key)?;
    let mut wanted = row.clone();
    for (column, value) in &record.lost {
        if let Some(register) = wanted.registers.get_mut(*column).and_then(Option::as_mut) {
            register.value = value.clone();
        }
    }
    for unique in ledger.shared(table).map_or(&[][..], |shared| &shared.unique) {
        let Some(print) = claim(&wanted, unique) else { continue };
        if ledger.claimants(table, print)?.into_iter().any(|other| Some(other) != own) {
            return Ok(true);
        }
    }
    Ok(false)
}
