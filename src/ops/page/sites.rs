//! The sites: the hub with its clients below it, each with its state in words and its figures in line.

use maud::{Markup, html};

use super::{Facts, words};
use crate::ops::status::{SiteState, SiteStatus, counted};
use crate::ops::text::{age, grouped, lag, seconds};

/// A heartbeat that has not come back after this is worth a word.
const LATE_US: i64 = 2_000_000;

pub(super) fn section(facts: &Facts) -> Markup {
    let (hubs, clients): (Vec<&SiteStatus>, Vec<&SiteStatus>) = facts.status.sites.iter().partition(|site| site.role == "hub");
    html! {
        section #sites aria-labelledby="sites-title" {
            h2 #sites-title { "Sites" }
            ul.tree {
                @for hub in hubs {
                    li.hub {
                        (row(facts, hub))
                        @if !clients.is_empty() {
                            ul aria-label={ "Clients of " (hub.name) } { @for client in &clients { li { (row(facts, client)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn row(facts: &Facts, site: &SiteStatus) -> Markup {
    let (now_us, tone) = (facts.status.at_us, words::tone(site.state));
    let lag_of = |lag_us: Option<i64>| lag_us.map_or_else(|| "–".to_owned(), lag);
    let ago = |us: Option<i64>| us.map_or_else(|| "–".to_owned(), |us| format!("{} ago", age(us, now_us)));
    html! {
        article.site id={ "site-" (site.name) } aria-labelledby={ "name-" (site.name) } {
            div.who {
                h3 id={ "name-" (site.name) } { (site.name) }
                p.role { (site.role) }
                p.state.(tone) { (words::symbol(tone)) (words::state(site)) }
                @if let Some(address) = &site.address { p.address { (address) } }
            }
            dl.figures {
                (figure("Lag, median", &lag_of(site.lag_p50_us), None))
                (figure("Lag, 99 %", &lag_of(site.lag_p99_us), None))
                (figure("Rows owed", &grouped(site.owed.total), (site.owed.total > 0).then_some("doubt")))
                (figure("Under way", &grouped(site.under_way), None))
                (figure("Held back", &grouped(site.quarantined), (site.quarantined > 0).then_some("bad")))
                (figure("Last commit", &ago(site.captured_us), None))
                (figure("Heartbeat", &lag_of(site.heartbeat.map(|heartbeat| heartbeat.round_trip_us)), None))
            }
            (notes(facts, site))
        }
    }
}

fn figure(name: &str, value: &str, tone: Option<&str>) -> Markup {
    html! { div class=[tone] { dt { (name) } dd { (value) } } }
}

/// What is out of the ordinary, a line each.
fn notes(facts: &Facts, site: &SiteStatus) -> Markup {
    let now_us = facts.status.at_us;
    let mut lines: Vec<Markup> = Vec::new();
    if let Some(since) = site.heartbeat.and_then(|heartbeat| heartbeat.waiting_since_us).filter(|since| now_us - since > LATE_US) {
        lines.push(html! { "Its log stands still: a heartbeat written " (age(since, now_us)) " ago has not come back." });
    }
    if site.owed.total > 0 {
        let left = facts.samples.seconds_until_settled(&site.name, site.owed.total, now_us);
        let parts = [(site.owed.urgent, "urgent"), (site.owed.live, "changed lately"), (site.owed.bulk, "from a copy or repair")];
        let parts: Vec<String> =
            parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{} {what}", grouped(count))).collect();
        lines.push(html! {
            "Rows owed: " (parts.join(", ")) "."
            @if let Some(left) = left { " At the pace of the last minute it has them in " (seconds(left)) "." }
        });
    }
    for (at, stopped) in site.stopped_tables.iter().enumerate() {
        if site.stopped_tables[..at].iter().any(|earlier| earlier.reason == stopped.reason) {
            continue;
        }
        let alike: Vec<&str> =
            site.stopped_tables.iter().filter(|other| other.reason == stopped.reason).map(|other| other.table.as_str()).collect();
        lines.push(html! { (counted(alike.len() as u64, "table has", "tables have")) " stopped (" (alike.join(", ")) "): " (words::prose(&stopped.reason)) });
    }
    let ails = matches!(site.state, SiteState::Retrying | SiteState::Stopped) && site.blown().is_none();
    if let Some(error) = site.last_error.as_ref().filter(|_| ails) {
        lines.push(html! { "Last error, " (age(error.at_us, now_us)) " ago: " (words::prose(&error.text)) });
    }
    html! { @if !lines.is_empty() { ul.notes { @for line in &lines { li { (line) } } } } }
}
