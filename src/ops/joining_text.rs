//! What would happen if a site joined, as text.

use super::joining::Joining;
use super::text::{Page, Tone, grouped, keep, lines};

pub fn render(joining: &Joining, page: Page) -> String {
    let mut table = page.table(&["table", "equal", "copied there", "only there", "roster wins", "it wins", "apart"]);
    for at in &joining.tables {
        let tone = |n: u64| if n > 0 { Tone::Bad } else { Tone::Plain };
        table.add_row([
            page.cell(&at.table, Tone::Plain),
            page.cell(grouped(at.equal), Tone::Plain),
            page.cell(grouped(at.copied), Tone::Plain),
            page.cell(grouped(at.joining), Tone::Plain),
            page.cell(grouped(at.overwritten), tone(at.overwritten)),
            page.cell(grouped(at.winning), tone(at.winning)),
            page.cell(grouped(at.apart), tone(at.apart)),
        ]);
    }
    keep(&mut table, 7);
    let mut out = lines(&table);
    let name = &joining.site;
    for at in joining.tables.iter().filter(|at| at.clashing > 0) {
        out += &format!(
            "\n{}: {} of the rows that only {name} has share a value of a unique key with another row; see `unique` in docs/conflicts.md",
            at.table,
            grouped(at.clashing)
        );
    }
    for (table, why) in &joining.unfit {
        out += &format!("\n{table}: not shared with {name} as it is: {why}");
    }
    if out.ends_with('\n') {
        out + &format!("\nNothing was changed. `rosterd site add {name}` does it; rows that lose are kept in `rosterd conflicts`.\n")
    } else {
        out + &format!("\n\nNothing was changed. `rosterd site add {name}` does it; rows that lose are kept in `rosterd conflicts`.\n")
    }
}
