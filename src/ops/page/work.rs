//! Copies, comparisons and verifications: how far they are, and what the last one found.

use maud::{Markup, html};

use super::{Facts, words};
use crate::ops::status::counted;
use crate::ops::status_text::progress;
use crate::ops::text::{age, grouped, seconds};

pub(super) fn section(facts: &Facts) -> Markup {
    let scans: Vec<_> = facts.status.sites.iter().flat_map(|site| site.scans.iter().map(move |scan| (&site.name, scan))).collect();
    html! {
        section #work.half[scans.is_empty()] aria-labelledby="work-title" {
            h2 #work-title { "Copies and comparisons" }
            @if scans.is_empty() {
                (words::none("No table is being copied or compared."))
            } @else {
                div.wide role="region" aria-labelledby="scans-caption" tabindex="0" {
                    table {
                        caption #scans-caption { "Tables that are being copied or compared with the ledger" }
                        thead { tr { th scope="col" { "Site" } th scope="col" { "Table" } th scope="col" { "Why" } th scope="col" { "How far" } } }
                        tbody {
                            @for (site, scan) in scans {
                                tr {
                                    th scope="row" { (site) }
                                    td { (scan.table) }
                                    td { (scan.why) }
                                    td.far { (bar(&format!("{} at {site}", scan.table), scan.percent)) " " (progress(scan)) }
                                }
                            }
                        }
                    }
                }
            }
            (verification(facts))
        }
    }
}

fn bar(what: &str, percent: u8) -> Markup {
    html! { progress max="100" value=(percent) aria-label=(what) {} }
}

fn verification(facts: &Facts) -> Markup {
    let now_us = facts.status.at_us;
    html! {
        h3 { "Verification" }
        @if let Some(passing) = &facts.verifying {
            p { "The sites are being compared with the ledger now." }
            ul.passing {
                @for table in passing {
                    li {
                        (bar(&format!("verifying {} at {}", table.table, table.site), table.percent())) " " (table.table) " at " (table.site) ": "
                        (table.percent()) " %, " (grouped(table.rows)) " of about " (grouped(table.rows_estimated)) " rows"
                        @if let Some(left) = table.seconds_left() { ", " (seconds(left)) " left" }
                    }
                }
            }
        }
        @match &facts.status.verified {
            Some(verified) => {
                @let rows: u64 = verified.tables.iter().map(|table| table.rows).sum();
                @let open: u64 = verified.tables.iter().map(|table| table.open).sum();
                p {
                    "The last one ended " (age(verified.at_us, now_us)) " ago, at " (words::time(verified.at_us)) ", after " (seconds(verified.seconds)) ": "
                    (counted(verified.different(), "row differs", "rows differ")) " of " (grouped(rows)) " read"
                    @if open > 0 { "; " (counted(open, "row", "rows")) " on the way or held back" }
                    "."
                }
                @if verified.different() > 0 {
                    ul {
                        @for table in verified.tables.iter().filter(|table| table.different > 0) {
                            li { (table.table) " at " (table.site) ": " (counted(table.different, "row differs", "rows differ")) }
                        }
                    }
                    p { code { "rosterd verify" } " names them; " code { "rosterd verify --repair" } " puts back what the ledger has." }
                }
            }
            None if facts.verifying.is_some() => {}
            None => p.none {
                "The daemon has not verified the sites since it was started. "
                @match facts.verify_every_s {
                    Some(every) => { "It does so every " (seconds(every)) "." }
                    None => { code { "rosterd verify" } " does it now; " code { "verify_every" } " in the configuration has the daemon do it by itself." }
                }
            }
        }
    }
}
