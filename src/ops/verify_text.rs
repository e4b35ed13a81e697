//! A verification as text.

use super::status::counted;
use super::text::{Page, Tone, grouped, keep, lines};
use super::verify::Verification;

/// `repairing`: what differs is put back anyhow.
pub fn render(verification: &Verification, page: Page, repairing: bool) -> String {
    let mut table = page.table(&["site", "table", "rows", "differ", "on the way or held back"]);
    for at in &verification.tables {
        table.add_row([
            page.cell(&at.site, Tone::Plain),
            page.cell(&at.table, Tone::Plain),
            page.cell(grouped(at.rows), Tone::Plain),
            page.cell(grouped(at.different), if at.different > 0 { Tone::Bad } else { Tone::Good }),
            page.cell(grouped(at.open), Tone::Plain),
        ]);
    }
    keep(&mut table, 4);
    let mut out = lines(&table);
    for at in verification.tables.iter().filter(|at| at.different > 0) {
        out += &format!("\n{}, {}:\n", at.site, at.table);
        at.named.iter().for_each(|row| out += &format!("  {}: {}\n", row.key, row.what));
        let more = at.different - at.named.len() as u64;
        if more > 0 {
            out += &format!("  and {} more\n", grouped(more));
        }
    }
    out += &match verification.different() {
        0 => "\nEvery site holds what the ledger says.\n".to_owned(),
        n if repairing => format!("\n{}.\n", counted(n, "row differs", "rows differ")),
        n => format!("\n{}; `rosterd verify --repair` puts back what the ledger has.\n", counted(n, "row differs", "rows differ")),
    };
    out
}
