//! Conflicts and quarantine as text.

use super::history::{Conflict, Conflicts, HeldBack, Quarantine};
use super::status::counted;
use super::text::{Page, Tone, age, grouped, lines, moment, shortened, wrap_last};

const KEY_CHARS: usize = 24;
/// Reasons and values can be read on narrow terminals too.
const LAST_CHARS_MIN: u16 = 40;

pub fn conflicts(conflicts: &Conflicts, page: Page) -> String {
    if conflicts.conflicts.is_empty() {
        return "No conflicts are kept.\n".into();
    }
    let mut out = lines(&conflict_table(&conflicts.conflicts, page));
    let left = conflicts.kept.saturating_sub(conflicts.conflicts.len() as u64);
    if left > 0 {
        out += &format!("\n{} of {} kept; --limit shows more\n", conflicts.conflicts.len(), grouped(conflicts.kept));
    }
    out
}

pub(super) fn conflict_table(conflicts: &[Conflict], page: Page) -> comfy_table::Table {
    let mut table = page.table(&["number", "when", "kind", "table", "key", "won", "lost", "columns that lost"]);
    for conflict in conflicts {
        let lost = conflict.lost.iter().map(|lost| match &lost.value {
            Some(value) => format!("{} = {value}", lost.column),
            None => lost.column.clone(),
        });
        table.add_row([
            conflict.id.to_string(),
            moment(conflict.at_us),
            conflict.kind.clone(),
            conflict.table.clone(),
            shortened(&conflict.key, KEY_CHARS),
            conflict.winner.clone(),
            conflict.loser.clone(),
            lost.collect::<Vec<_>>().join(", "),
        ]);
    }
    wrap_last(&mut table, LAST_CHARS_MIN);
    table
}

/// One conflict in words.
pub fn conflict(conflict: &Conflict) -> String {
    let (winner, loser) = (&conflict.winner, &conflict.loser);
    let what = match conflict.kind.as_str() {
        "insert_exists" => format!("{winner} and {loser} inserted the same key"),
        "update_origin_differs" => format!("{winner} and {loser} changed the same column without having seen each other's value"),
        "update_deleted" => format!("{loser} changed a row that had been deleted at {winner}"),
        "delete_origin_differs" => format!("a row was deleted at one of {winner} and {loser}, and changed at the other"),
        "initial_differs" => {
            format!("the row differed at {loser} when it was first copied; the table's `initial` policy decided for {winner}")
        }
        "restored_differs" => format!("{loser} came back from an older backup; what the roster had since was kept"),
        "against_direction" => format!("{loser} wrote what belongs to the hub"),
        "multiple_unique_conflicts" => {
            format!("rows of {winner} and {loser} have the same value of a unique key; the earlier one keeps it")
        }
        _ => format!("{winner} won over {loser}"),
    };
    let mut out = format!("conflict {} at {}: {}\n", conflict.id, moment(conflict.at_us), conflict.kind);
    out += &format!("  table {}, key {}\n  {what}\n", conflict.table, conflict.key);
    for lost in &conflict.lost {
        out += &match &lost.value {
            Some(value) => format!("  lost at {loser}: {} = {value}\n", lost.column),
            None => format!("  lost at {loser}: {}\n", lost.column),
        };
    }
    out + &format!("  `rosterd conflicts undo {}` puts back what lost\n", conflict.id)
}

pub fn quarantine(quarantine: &Quarantine, page: Page, now_us: i64) -> String {
    if quarantine.rows.is_empty() {
        return "No row is held back.\n".into();
    }
    let mut table = page.table(&["name", "table", "key", "kind", "since", "tries", "reason"]);
    for row in &quarantine.rows {
        table.add_row([
            page.cell(&row.name, Tone::Bad),
            page.cell(&row.table, Tone::Plain),
            page.cell(shortened(&row.key, KEY_CHARS), Tone::Plain),
            page.cell(&row.kind, Tone::Plain),
            page.cell(age(row.since_us, now_us), Tone::Plain),
            page.cell(row.tries, Tone::Plain),
            page.cell(&row.reason, Tone::Plain),
        ]);
    }
    wrap_last(&mut table, LAST_CHARS_MIN);
    lines(&table)
}

/// One row, with what can be done about it.
pub fn held_back(row: &HeldBack, now_us: i64) -> String {
    let what = match row.kind.as_str() {
        "apart" => format!(
            "`rosterd quarantine resolve {name} --rekey` gives a person of its own another number there; `--site-wins` lets the site's row go everywhere; \
             `rosterd quarantine discard {name}` gives it up for the merged one",
            name = row.name
        ),
        "kin" => "settle the row that it belongs to, and it goes on by itself".into(),
        "unique" => {
            format!("give one of the two another value at its site, and it goes on; `rosterd quarantine retry {}` tries at once", row.name)
        }
        "value" => "mend the value at its site: the row is shared again when it changes".into(),
        _ => format!("mend the cause, then `rosterd quarantine retry {}`", row.name),
    };
    let tries = counted(u64::from(row.tries), "time", "times");
    format!(
        "{}: table {}, key {}, held back from site {} since {} ({}), {tries}\n  {}: {}\n  {what}\n",
        row.name,
        row.table,
        row.key,
        row.site,
        moment(row.since_us),
        age(row.since_us, now_us),
        row.kind,
        row.reason
    )
}
