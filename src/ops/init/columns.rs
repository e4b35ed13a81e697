//! Columns that sites call by other names or don't have.

use std::collections::BTreeMap;

use super::Seen;
use crate::config::TableRule;
use crate::sites::{ColumnDescription, TableDescription};

/// A table's columns that can't be shared as the rule has it.
#[derive(Debug, Default, PartialEq)]
pub struct Differences {
    /// Columns that some site lacks, with who lacks them.
    pub lacking: BTreeMap<String, Vec<String>>,
    /// At a site: a column that it lacks and one of its own that may be the same by another name.
    pub alike: Vec<(String, String, String)>,
    /// Columns that only one client has.
    pub own: Vec<(String, Vec<String>)>,
}

/// Gives columns that differ in letter case only their shared name, and says how the sites differ otherwise.
pub fn compare(table: &str, rule: &TableRule, sites: &mut [Seen]) -> Differences {
    let spelled = mentioned(rule);
    for site in sites.iter_mut() {
        let Some(description) = site.find(table).cloned() else { continue };
        map_case(site, table, &description, &spelled);
    }
    let Some(hub) = sites[0].find(table).cloned() else { return Differences::default() };
    let shared: Vec<ColumnDescription> = hub
        .columns
        .iter()
        .filter(|column| !column.generated)
        .map(|column| renamed(column, &shared_name(&sites[0], table, &column.column.name)))
        .filter(|column| !rule.exclude.iter().flatten().any(|excluded| *excluded == column.column.name))
        .collect();
    let names: Vec<String> = shared.iter().map(|column| column.column.name.clone()).collect();
    let mut differences = Differences::default();
    for site in &mut sites[1..] {
        let Some(description) = site.find(table).cloned() else { continue };
        map_case(site, table, &description, &names);
        one_site(table, rule, &shared, site, &description, &mut differences);
    }
    differences
}

fn one_site(
    table: &str,
    rule: &TableRule,
    shared: &[ColumnDescription],
    site: &Seen,
    description: &TableDescription,
    found: &mut Differences,
) {
    let here: Vec<ColumnDescription> =
        description.columns.iter().map(|column| renamed(column, &shared_name(site, table, &column.column.name))).collect();
    let is_in = |list: &[ColumnDescription], name: &str| list.iter().any(|column| column.column.name == name);
    let missing: Vec<&ColumnDescription> = shared.iter().filter(|column| !is_in(&here, &column.column.name)).collect();
    let excluded = |name: &str| rule.exclude.iter().flatten().any(|excluded| excluded == name);
    let own: Vec<&ColumnDescription> =
        here.iter().filter(|column| !is_in(shared, &column.column.name) && !excluded(&column.column.name)).collect();
    for column in &missing {
        if let Some(other) = alike(column, &missing, &own) {
            found.alike.push((site.name().to_owned(), column.column.name.clone(), other));
        }
        found.lacking.entry(column.column.name.clone()).or_default().push(site.name().to_owned());
    }
    if !own.is_empty() {
        found.own.push((site.name().to_owned(), own.iter().map(|column| column.column.name.clone()).collect()));
    }
}

/// A column that may be the missing one: alike in name, or the only one of its kind.
fn alike(column: &ColumnDescription, missing: &[&ColumnDescription], own: &[&ColumnDescription]) -> Option<String> {
    let same_kind = |other: &&&ColumnDescription| other.column.ty.family() == column.column.ty.family();
    let has = |a: &str, b: &str| a.to_ascii_lowercase().contains(&b.to_ascii_lowercase());
    let name = &column.column.name;
    let by_name = own.iter().filter(same_kind).find(|other| has(&other.column.name, name) || has(name, &other.column.name));
    let is_alone = missing.iter().filter(same_kind).count() == 1 && own.iter().filter(same_kind).count() == 1;
    let other = by_name.or_else(|| own.iter().find(same_kind).filter(|_| is_alone))?;
    Some(other.column.name.clone())
}

fn renamed(column: &ColumnDescription, name: &str) -> ColumnDescription {
    let mut column = column.clone();
    column.column.name = name.to_owned();
    column
}

/// The columns that a rule names.
fn mentioned(rule: &TableRule) -> Vec<String> {
    let lists = [&rule.key, &rule.exclude, &rule.secret].into_iter().flatten().flatten().cloned();
    let filtered = rule.filter.iter().flat_map(|filter| filter.predicate.columns()).map(str::to_owned);
    let others = rule.conflict.keys().filter(|name| *name != "default").chain(rule.references.iter().flat_map(|of| of.keys()));
    lists.chain(filtered).chain(others.cloned()).collect()
}

fn map_case(site: &mut Seen, table: &str, description: &TableDescription, names: &[String]) {
    let has = |name: &str| description.columns.iter().any(|column| column.column.name == name);
    for name in names.iter().filter(|name| !has(name)) {
        let other = description.columns.iter().find(|column| column.column.name.eq_ignore_ascii_case(name));
        if let Some(other) = other {
            let rule = site.config.tables.entry(table.to_owned()).or_default();
            rule.columns.insert(name.clone(), other.column.name.clone());
        }
    }
}

fn shared_name(site: &Seen, table: &str, column: &str) -> String {
    let mapped = site.config.tables.get(table).and_then(|rule| rule.columns.iter().find(|(_, here)| *here == column));
    mapped.map_or(column, |(shared, _)| shared).to_owned()
}
