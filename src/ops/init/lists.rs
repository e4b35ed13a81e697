//! Lists that number things, such as roles: where two sites number them differently, the numbers mean nothing elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::{Question, Seen, question};
use crate::config::{TableRule, rule_for};

pub struct List {
    pub table: &'static str,
    number: &'static str,
    label: &'static str,
    /// Tables that mean nothing at sites with other numbers.
    pub dependents: &'static [&'static str],
    pub what: &'static str,
}

const LISTS: [List; 3] = [
    List { table: "role", number: "rid", label: "name", dependents: &["role", "users_roles"], what: "roles" },
    List { table: "profile_fields", number: "fid", label: "name", dependents: &["profile_values"], what: "profile fields" },
    List { table: "profile_field", number: "fid", label: "name", dependents: &["profile_value"], what: "profile fields" },
];

/// How sites number a list.
#[derive(Debug, PartialEq)]
pub enum Numbers {
    Equal,
    /// Lines that name what differs.
    Different(Vec<String>),
}

pub fn questions(rules: &[TableRule], site: &Seen) -> Vec<Question> {
    let lists = LISTS.iter().filter(|list| counts(rules, list));
    lists.filter_map(|list| Some(question(site.find(list.table)?, &[list.number, list.label]))).collect()
}

/// The lists that the rules depend on and at least two sites have.
pub fn compared(rules: &[TableRule], sites: &[Seen]) -> Vec<(&'static List, Numbers)> {
    let known = |list: &&List| counts(rules, list) && sites.iter().filter(|site| site.find(list.table).is_some()).count() > 1;
    LISTS.iter().filter(known).map(|list| (list, numbers(list, sites))).collect()
}

fn counts(rules: &[TableRule], list: &List) -> bool {
    list.dependents.iter().any(|table| rule_for(rules, table).is_some())
}

fn numbers(list: &List, sites: &[Seen]) -> Numbers {
    let of_site: Vec<(&str, BTreeMap<String, String>)> = sites
        .iter()
        .filter_map(|site| {
            let rows = site.answer(site.find(list.table)?);
            let pair = |row: &Vec<Option<String>>| Some((row.first()?.clone()?, row.get(1)?.clone()?));
            Some((site.name(), rows.iter().filter_map(pair).collect()))
        })
        .collect();
    let labels: BTreeSet<&String> = of_site.iter().flat_map(|(_, rows)| rows.values()).collect();
    let numbers: BTreeSet<&String> = of_site.iter().flat_map(|(_, rows)| rows.keys()).collect();
    let mut lines = Vec::new();
    for label in labels {
        let at: Vec<(&str, &String)> =
            of_site.iter().filter_map(|(site, rows)| Some((*site, rows.iter().find(|(_, other)| *other == label)?.0))).collect();
        if at.windows(2).any(|pair| pair[0].1 != pair[1].1) {
            lines.push(format!("{label} is {}", spelled(&at)));
        }
    }
    for number in numbers {
        let at: Vec<(&str, &String)> = of_site.iter().filter_map(|(site, rows)| Some((*site, rows.get(number)?))).collect();
        if at.windows(2).any(|pair| pair[0].1 != pair[1].1) {
            lines.push(format!("{number} is {}", spelled(&at)));
        }
    }
    if lines.is_empty() { Numbers::Equal } else { Numbers::Different(lines) }
}

fn spelled(at: &[(&str, &String)]) -> String {
    at.iter().map(|(site, what)| format!("{what} at {site}")).collect::<Vec<_>>().join(", ")
}
