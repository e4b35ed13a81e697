//! An inspected row as text.

use super::history_text::conflict_table;
use super::inspect::{Inspection, SiteVersion};
use super::text::{Page, Tone, lines, moment};

pub fn render(row: &Inspection, page: Page) -> String {
    let state = if row.exists { "exists" } else { "is deleted" };
    let vector = row.version_vector.iter().map(|(site, counter)| format!("{site}:{counter}")).collect::<Vec<_>>().join(", ");
    let mut out = format!("{} {} {state}; life {}; version vector {{{vector}}}\n", row.table, row.key, row.life);
    if !row.columns.is_empty() {
        out += &format!("\n{}", lines(&columns(row, page)));
    }
    out += &format!("\n{}", lines(&sites(row, page)));
    for site in &row.sites {
        if let Some(held) = &site.quarantined {
            out += &format!("  held back from {} ({}): {}\n", site.site, held.kind, held.reason);
        }
    }
    if !row.conflicts.is_empty() {
        out += &format!("\nConflicts:\n{}", lines(&conflict_table(&row.conflicts, page)));
    }
    out
}

fn columns(row: &Inspection, page: Page) -> comfy_table::Table {
    let with_values = row.columns.iter().any(|column| column.value.is_some());
    let mut heads = vec!["column", "won", "dot", "committed"];
    heads.extend(with_values.then_some("value"));
    let mut table = page.table(&heads);
    for column in &row.columns {
        let at = if column.at_us == 0 { "found by a first copy".to_owned() } else { moment(column.at_us) };
        let mut cells = vec![column.name.clone(), column.site.clone(), format!("{}:{}", column.site, column.counter), at];
        if with_values {
            cells.push(column.value.clone().unwrap_or_else(|| "(secret)".into()));
        }
        table.add_row(cells);
    }
    table
}

fn sites(row: &Inspection, page: Page) -> comfy_table::Table {
    let mut table = page.table(&["site", "holds", "life", "differs in", "owed", "under way"]);
    for site in &row.sites {
        let (holds, tone) = holds(site);
        table.add_row([
            page.cell(&site.site, Tone::Plain),
            page.cell(holds, tone),
            page.cell(site.life.map_or_else(|| "?".into(), |life| life.to_string()), Tone::Plain),
            page.cell(or_dash(&site.differs.join(", ")), Tone::Plain),
            page.cell(or_dash(site.owed.as_deref().unwrap_or_default()), Tone::Plain),
            page.cell(if site.under_way { "yes" } else { "no" }, Tone::Plain),
        ]);
    }
    table
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn holds(site: &SiteVersion) -> (&'static str, Tone) {
    match site.holds.as_str() {
        "merged" => ("the merged row", Tone::Good),
        "older" => ("another version", Tone::Doubtful),
        "apart" => ("a row of its own", Tone::Bad),
        "nothing" => ("nothing", Tone::Doubtful),
        "unsure" => ("not sure: being compared", Tone::Doubtful),
        _ => ("not read yet", Tone::Doubtful),
    }
}
