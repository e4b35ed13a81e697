//! What is left to decide or was decided: rows held back, conflicts, the fuse. Counted by kind, table and site, without keys.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::{Facts, words};
use crate::ledger::FuseLimits;
use crate::ops::text::{age, grouped};

/// Lines of a table at most; what is left out is counted.
const LINES_MAX: usize = 100;

pub(super) fn held_back(facts: &Facts) -> Markup {
    let (groups, now_us) = (&facts.counted.held_back, facts.status.at_us);
    let kinds: BTreeSet<&str> = groups.iter().map(|group| group.kind).collect();
    html! {
        section #held.half[groups.is_empty()] aria-labelledby="held-title" {
            h2 #held-title { "Rows held back" }
            @if groups.is_empty() {
                (words::none("No row is held back from any site."))
            } @else {
                div.wide role="region" aria-labelledby="held-caption" tabindex="0" {
                    table {
                        caption #held-caption { "Rows that wait, by kind" }
                        thead { tr { th scope="col" { "Kind" } th scope="col" { "Site" } th scope="col" { "Table" } th.number scope="col" { "Rows" } th scope="col" { "Since" } } }
                        tbody {
                            @for group in groups.iter().take(LINES_MAX) {
                                tr {
                                    th scope="row" { (group.kind) }
                                    td { (group.site) }
                                    td { (group.table) }
                                    td.number { (grouped(group.count)) }
                                    td { (age(group.since_us, now_us)) " ago" }
                                }
                            }
                        }
                    }
                }
                (left_out(groups.len()))
                dl.kinds {
                    @for kind in kinds {
                        @let (why, what) = words::held_back(kind);
                        div { dt { (kind) } dd { (why) ". " b { "What to do: " } (words::prose(what)) "." } }
                    }
                }
            }
        }
    }
}

pub(super) fn conflicts(facts: &Facts) -> Markup {
    let (groups, status) = (&facts.counted.conflicts, &facts.status);
    let looked: u64 = groups.iter().map(|group| group.count).sum();
    let kinds: BTreeSet<&str> = groups.iter().map(|group| group.kind.as_str()).collect();
    html! {
        section #conflicts.half[groups.is_empty()] aria-labelledby="conflicts-title" {
            h2 #conflicts-title { "Conflicts" }
            @if groups.is_empty() {
                (words::none("No conflicts are kept."))
            } @else {
                p {
                    @if looked < status.conflicts { "The latest " (grouped(looked)) " of " (grouped(status.conflicts)) " that are kept, all decided." }
                    @else { (grouped(status.conflicts)) " kept, all decided." }
                }
                div.wide role="region" aria-labelledby="conflicts-caption" tabindex="0" {
                    table {
                        caption #conflicts-caption { "Conflicts that were decided, the latest first" }
                        thead { tr {
                            th scope="col" { "Kind" } th scope="col" { "Table" } th scope="col" { "Won" } th scope="col" { "Lost" }
                            th.number scope="col" { "Count" } th scope="col" { "Last" } th.number scope="col" { "Its number" }
                        } }
                        tbody {
                            @for group in groups.iter().take(LINES_MAX) {
                                tr {
                                    th scope="row" { (group.kind) }
                                    td { (group.table) }
                                    td { (group.winner) }
                                    td { (group.loser) }
                                    td.number { (grouped(group.count)) }
                                    td { (age(group.last_us, status.at_us)) " ago" }
                                    td.number { (group.last_id) }
                                }
                            }
                        }
                    }
                }
                (left_out(groups.len()))
                dl.kinds { @for kind in kinds { div { dt { (kind) } dd { (words::prose(words::conflict(kind))) "." } } } }
                p {
                    b { "What to do: " } "nothing, as a rule. " code { "rosterd conflicts show NUMBER" } " says what lost, "
                    code { "rosterd conflicts undo NUMBER" } " puts it back."
                }
            }
        }
    }
}

fn left_out(lines: usize) -> Markup {
    let left = lines.saturating_sub(LINES_MAX);
    html! { @if left > 0 { p { "And " (grouped(left as u64)) " more lines." } } }
}

pub(super) fn fuse(facts: &Facts) -> Markup {
    let blown: Vec<_> = facts.status.sites.iter().filter_map(|site| Some((&site.name, site.blown()?))).collect();
    let limited: Vec<&(String, FuseLimits)> = facts.counted.tables.iter().filter(|(_, limits)| *limits != FuseLimits::default()).collect();
    html! {
        section #fuse.half aria-labelledby="fuse-title" {
            h2 #fuse-title { "The fuse" }
            @if blown.is_empty() { p { "No fuse has blown." } }
            @for (site, why) in blown {
                p.bad { (words::symbol("bad")) "Site " b { (site) } " is stopped: " (words::prose(why)) "." }
                dl.commands {
                    div { dt { code { "rosterd site resume " (site) " --reject" } } dd { "puts the rows back at " (site) "." } }
                    div { dt { code { "rosterd site resume " (site) " --accept" } } dd { "deletes them at every site." } }
                }
            }
            @if limited.is_empty() {
                p.none { "No table has a limit; one that is found empty or truncated stops its site all the same." }
            } @else {
                p { "It blows when within a minute a site deletes more than:" }
                ul.limits {
                    @for (table, limits) in limited.iter().take(LINES_MAX) {
                        li {
                            b { (table) } ": "
                            @if let Some(rows) = limits.rows { (grouped(rows)) " rows" }
                            @if limits.rows.is_some() && limits.percent.is_some() { " or " }
                            @if let Some(percent) = limits.percent { (percent) " % of the table" }
                        }
                    }
                }
                (left_out(limited.len()))
            }
        }
    }
}
