//! What `check` says of every two sites: types, unique keys, letter case.

use std::sync::Arc;

use super::check::Subject;
use crate::config::{Config, Direction};
use crate::model::{Fit, SiteColumn, SiteTable, Table, UniqueKey, compare_types};
use crate::sites::binding::{self, PlannedTable};
use crate::sites::{Finding, TableDescription};

/// Compares every two sites, in both directions; what is found is said at the site where values arrive.
pub fn compare(config: &Config, subjects: &mut [Subject], tables: &[(PlannedTable, Arc<Table>)]) {
    for to in 0..subjects.len() {
        let mut found = Vec::new();
        for from in (0..subjects.len()).filter(|from| *from != to) {
            for (planned, _) in tables {
                // Where only the hub's values travel, nothing comes from a client.
                if from != 0 && planned.columns.iter().all(|column| planned.rule.direction_of(&column.name) != Direction::Both) {
                    continue;
                }
                let (Some(there), Some(here)) = (table(&subjects[from], planned), table(&subjects[to], planned)) else { continue };
                types((&config.sites[from].name, from == 0), planned, there, here, &mut found);
                unique(&subjects[from], &subjects[to], planned, there, here, &mut found);
            }
        }
        subjects[to].found.extend(merged(found));
    }
}

/// Stand for the names of the other sites and of the columns until like findings have been put together.
const OTHERS: &str = "\u{1}";
const COLUMNS: &str = "\u{2}";

/// What was found about one other site and, where it is about one, one column.
#[derive(Clone, PartialEq)]
struct Found {
    site: String,
    column: String,
    finding: Finding,
}

/// The same finding about several sites and several columns is said once.
fn merged(found: Vec<Found>) -> Vec<Finding> {
    let mut by_column: Vec<(Vec<String>, String, Finding)> = Vec::new();
    for Found { site, column, finding } in found {
        match by_column.iter_mut().find(|(_, c, other)| *c == column && *other == finding) {
            Some((sites, ..)) if sites.contains(&site) => {}
            Some((sites, ..)) => sites.push(site),
            None => by_column.push((vec![site], column, finding)),
        }
    }
    let mut all: Vec<(Vec<String>, Vec<String>, Finding)> = Vec::new();
    for (sites, column, finding) in by_column {
        match all.iter_mut().find(|(s, _, other)| *s == sites && *other == finding) {
            Some((_, columns, _)) => columns.push(column),
            None => all.push((sites, vec![column], finding)),
        }
    }
    let spelled =
        |text: &str, sites: &[String], columns: &[String]| text.replace(OTHERS, &sites.join(", ")).replace(COLUMNS, &columns.join(", "));
    all.into_iter()
        .map(|(sites, columns, mut finding)| {
            finding.text = spelled(&finding.text, &sites, &columns);
            finding.remedy = finding.remedy.map(|remedy| spelled(&remedy, &sites, &columns));
            finding
        })
        .collect()
}

fn table<'a>(subject: &'a Subject, planned: &PlannedTable) -> Option<&'a Arc<SiteTable>> {
    subject.bound.iter().find(|bound| bound.table.name == planned.name)
}

fn types((site, from_hub): (&str, bool), planned: &PlannedTable, there: &SiteTable, here: &SiteTable, found: &mut Vec<Found>) {
    for (at, column) in here.table.columns.iter().enumerate() {
        if !from_hub && planned.rule.direction_of(&column.name) != Direction::Both {
            continue;
        }
        let (Some(from), Some(to)) = (&there.columns[at], &here.columns[at]) else { continue };
        let subject = format!("table {}", planned.name);
        let finding = match fit_through(from, to) {
            Fit::Always if from.nullable && !to.nullable && !here.table.key.contains(&at) => {
                let text = format!("{COLUMNS} may be NULL at {OTHERS} and not here: such rows are held back from this site");
                Finding::warning(subject, text, format!("make {COLUMNS} nullable here, or NOT NULL at {OTHERS} too"))
            }
            Fit::Always => continue,
            Fit::Sometimes(why) => {
                let text = format!("{COLUMNS} from {OTHERS}: {why}; such rows are held back from this site");
                Finding::warning(subject, text, format!("give {COLUMNS} a type here that holds all that {OTHERS} can"))
            }
            Fit::Never(why) => {
                let remedy = format!("give {COLUMNS} a type here like that at {OTHERS}, or name it in `exclude` of its [[table]]");
                Finding::error(subject, format!("{COLUMNS} from {OTHERS}: {why}"), remedy)
            }
        };
        found.push(Found { site: site.to_owned(), column: format!("{}.{}", planned.name, column.name), finding });
    }
}

/// Whether the values of one site's column have a place in another's, by way of the values that stand for them.
fn fit_through(from: &SiteColumn, to: &SiteColumn) -> Fit {
    let Some(map) = &from.values else {
        // What has no entry there is said of that site alone.
        return if to.values.is_some() { Fit::Always } else { compare_types(&from.ty, &to.ty) };
    };
    let refused: Vec<String> =
        map.shared_values().filter(|value| to.fit(value).is_err()).map(|value| format!("`{}`", value.reveal())).collect();
    match refused.len() {
        0 => Fit::Always,
        n if n == map.shared_values().count() => Fit::Never("none of the shared values in its `values` fits".into()),
        _ => Fit::Sometimes(format!("{} in its `values` do not fit", refused.join(", "))),
    }
}

/// Unique keys beside the table's own key, by shared column names.
fn unique(from: &Subject, to: &Subject, planned: &PlannedTable, there: &SiteTable, here: &SiteTable, found: &mut Vec<Found>) {
    let mut add = |finding| found.push(Found { site: from.config.name.clone(), column: String::new(), finding });
    for (columns, key) in &keys(here) {
        let listed = columns.join(", ");
        let subject = format!("table {}", planned.name);
        match keys(there).iter().find(|(other, _)| other == columns) {
            None => {
                let text = format!("({listed}) is unique here and not at {OTHERS}: rows that clash are held back from this site");
                add(Finding::warning(subject, text, format!("make it unique at every site, or drop {} here", key.name)));
            }
            Some((_, other)) if key.case_insensitive && !other.case_insensitive => {
                let text =
                    format!("({listed}) is unique here without regard to letter case, and with it at {OTHERS}: Joe and joe clash here");
                let remedy = "make the unique key compare alike at every site (a NOCASE or _ci collation, or an index on lower(...))";
                add(Finding::warning(subject, text, remedy));
            }
            Some(_) => {}
        }
    }
    let (Some(described_there), Some(described_here)) = (described(from, planned), described(to, planned)) else { return };
    for at in &here.table.key {
        let (Some(a), Some(b)) = (&there.columns[*at], &here.columns[*at]) else { continue };
        if !ignores_case(described_there, &a.name) && ignores_case(described_here, &b.name) {
            let name = &here.table.columns[*at].name;
            let text = format!(
                "key column {name} compares here without regard to letter case, and with it at {OTHERS}: two rows there are one here"
            );
            let remedy = format!("give column {} a binary (_bin, _cs) collation here", b.name);
            add(Finding::warning(format!("table {}", planned.name), text, remedy));
        }
    }
}

fn described<'a>(subject: &'a Subject, planned: &PlannedTable) -> Option<&'a TableDescription> {
    binding::find(&subject.config, &planned.name, &subject.tables)
}

fn ignores_case(table: &TableDescription, column: &str) -> bool {
    table.columns.iter().any(|c| c.column.name == column && c.case_insensitive)
}

/// Shared names of the columns of each unique key, sorted; keys with a column that is not shared are the site's own.
fn keys(table: &SiteTable) -> Vec<(Vec<&str>, &UniqueKey)> {
    let shared = |column: &String| Some(table.table.columns[table.shared_column(column)?].name.as_str());
    let mut all = Vec::new();
    for key in &table.unique {
        if let Some(mut columns) = key.columns.iter().map(shared).collect::<Option<Vec<&str>>>() {
            columns.sort_unstable();
            all.push((columns, key));
        }
    }
    all
}
