//! Which numbers each site gives out: `ids` of the sites, and what counts for a site that says nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::error::{Fault, Report};
use super::raw::RawIds;
use super::{Ids, SiteConfig};
use crate::model::Class;

const INCREMENT_DEFAULT: i64 = 10;
/// The most that MySQL takes for `auto_increment_increment`.
const INCREMENT_MAX: i64 = 65_535;

impl Default for Ids {
    /// The first site's.
    fn default() -> Ids {
        Ids { class: Class { offset: 1, increment: INCREMENT_DEFAULT }, named: false }
    }
}

type Named = BTreeMap<String, Spanned<RawIds>>;

/// Gives each site its class. `sites`: the hub first; `named`: what the file says of each.
pub(super) fn settle(sites: &mut [SiteConfig], named: &Named, report: &mut Report<'_>) {
    let increment = increment(sites, named, report).unwrap_or_else(|| default_increment(sites.len()));
    for (at, site) in sites.iter_mut().enumerate() {
        let said = named.get(&site.name);
        let offset = match said.and_then(|ids| ids.get_ref().offset.as_ref()) {
            Some(offset) if (1..=increment).contains(offset.get_ref()) => *offset.get_ref(),
            Some(offset) => {
                let fault = Fault::new(
                    format!("the offset of its ids is {}", offset.get_ref()),
                    format!("give a number from 1 to {increment}, the increment"),
                );
                report.add(Some(offset.span()), &place(&site.name), fault);
                return;
            }
            None => at as i64 + 1,
        };
        site.ids = Ids { class: Class { offset, increment }, named: said.is_some() };
    }
    for (at, site) in sites.iter().enumerate() {
        if let Some(other) = sites[..at].iter().find(|other| other.ids.class == site.ids.class) {
            same(site, other, named, report);
        }
    }
}

/// The one that the file names; None: none, or none that can be.
fn increment(sites: &[SiteConfig], named: &Named, report: &mut Report<'_>) -> Option<i64> {
    let mut first: Option<(&str, i64)> = None;
    for site in sites {
        let Some(increment) = named.get(&site.name).and_then(|ids| ids.get_ref().increment.as_ref()) else { continue };
        let (n, least) = (*increment.get_ref(), sites.len() as i64);
        let fault = match first {
            _ if !(least..=INCREMENT_MAX).contains(&n) => Some(Fault::new(
                format!("the increment of its ids is {n}"),
                format!("give a number from {least}, so many sites there are, to {INCREMENT_MAX}"),
            )),
            Some((other, m)) if m != n => Some(Fault::new(
                format!("the increment of its ids is {n}, and that of site \"{other}\" is {m}"),
                "all sites have one increment: name it once, or the same everywhere",
            )),
            Some(_) => None,
            None => {
                first = Some((&site.name, n));
                None
            }
        };
        if let Some(fault) = fault {
            report.add(Some(increment.span()), &place(&site.name), fault);
        }
    }
    first.map(|(_, increment)| increment)
}

/// 10, or as many digits as it takes for each site to have its own.
fn default_increment(sites: usize) -> i64 {
    let mut increment = INCREMENT_DEFAULT;
    while increment < sites as i64 {
        increment *= 10;
    }
    increment
}

fn same(site: &SiteConfig, other: &SiteConfig, named: &Named, report: &mut Report<'_>) {
    // Told of the one whose line is there to be changed.
    let (site, other) = if named.contains_key(&site.name) { (site, other) } else { (other, site) };
    let offset = |site: &SiteConfig| named.get(&site.name).and_then(|ids| ids.get_ref().offset.as_ref());
    let by_place = if offset(other).is_none() { ", by its place among the sites" } else { "" };
    let cause = format!("the offset of its ids is {}, and so is that of site \"{}\"{by_place}", site.ids.class.offset, other.name);
    let span: Option<Range<usize>> = offset(site).map(Spanned::span).or_else(|| named.get(&site.name).map(Spanned::span));
    report.add(span, &place(&site.name), Fault::new(cause, "give each site its own, as in ids = { offset = 2 }"));
}

fn place(site: &str) -> String {
    format!("site \"{site}\"")
}
