//! The decisions: which of the preset's tables are shared, which stay, and what has to be settled by a person.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::lists::{self, Numbers};
use super::{OWNER, Preset, Seen, columns, has_owner};
use crate::config::{AfterApplyPiece, Config, Daemon, InsertPolicy, TableRule, is_pattern, rule_for};
use crate::model::TableId;
use crate::ops::schema;
use crate::sites::binding::{self, Plan, PlannedTable};
use crate::sites::{Finding, Level};

/// A configuration about to be written.
#[derive(Debug)]
pub struct Draft {
    pub presets: Vec<String>,
    /// The hub first.
    pub sites: Vec<Seen>,
    /// Shared tables with about how many rows the hub has of each.
    pub shared: Vec<(String, u64)>,
    /// Tables that stay where they are, with the reason.
    pub except: Vec<(String, String)>,
    /// Tables of which more columns stay than the preset says: all such columns, and why.
    pub excluded: Vec<(String, Vec<String>, String)>,
    /// At a site: a table, its shared column that is not there, and a column that may be the same.
    pub alike: Vec<(String, String, String, String)>,
    /// Tables whose key is a number that each site gives out, with that column.
    pub numbered: Vec<(String, String)>,
    /// What has to be run at a site, by its name.
    pub statements: Vec<(String, String)>,
    /// What `check` will refuse.
    pub faults: Vec<String>,
    /// What is good to know.
    pub notes: Vec<String>,
}

/// Decides what can be decided from outside. `doubts` are told among the notes.
pub fn draft(presets: &[Preset], sites: Vec<Seen>, doubts: Vec<String>) -> Draft {
    let rules: Vec<TableRule> = presets.iter().flat_map(|preset| preset.rules.clone()).collect();
    let mut draft = Draft {
        presets: presets.iter().map(|preset| preset.name.clone()).collect(),
        sites,
        shared: Vec::new(),
        except: Vec::new(),
        excluded: Vec::new(),
        alike: Vec::new(),
        numbered: Vec::new(),
        statements: Vec::new(),
        faults: Vec::new(),
        notes: doubts,
    };
    let names = binding::shared_names(&draft.config(&rules), &draft.sites[0].tables);
    draft.compare_lists(&rules);
    for name in &names {
        draft.decide(&rules, name, &names);
    }
    draft.clients_alone(&rules, &names);
    let mut rules = rules;
    let excluded = draft.excluded.iter().map(|(table, columns, _)| TableRule {
        name: table.clone(),
        exclude: Some(columns.clone()),
        ..TableRule::default()
    });
    rules.extend(excluded);
    draft.prove(&rules);
    draft
}

impl Draft {
    fn config(&self, rules: &[TableRule]) -> Config {
        Config {
            daemon: Daemon::default(),
            sites: self.sites.iter().map(|site| site.config.clone()).collect(),
            tables: rules.to_vec(),
            except: self.except.iter().map(|(table, _)| table.clone()).collect(),
        }
    }

    fn leave(&mut self, table: &str, why: String) {
        if self.except.iter().all(|(other, _)| other != table) {
            self.except.push((table.to_owned(), why));
        }
    }

    fn compare_lists(&mut self, rules: &[TableRule]) {
        for (list, numbers) in lists::compared(rules, &self.sites) {
            let Numbers::Different(lines) = numbers else { continue };
            for table in list.dependents.iter().filter(|table| rule_for(rules, table).is_some()) {
                self.leave(table, format!("sites number their {} differently", list.what));
            }
            self.notes.push(format!(
                "Sites number their {} differently, so {} stay where they are: {}. How to share them all the same is in docs/presets/{}.md",
                list.what,
                list.dependents.join(" and "),
                lines.join("; "),
                self.presets[0]
            ));
        }
    }

    /// One table that the rules share if nothing speaks against it.
    fn decide(&mut self, rules: &[TableRule], name: &str, names: &[String]) {
        let Some(rule) = rule_for(rules, name) else { return };
        let Some(rows) = self.sites[0].find(name).map(|description| description.rows_estimated) else { return };
        if self.except.iter().any(|(table, _)| table == name) {
            return;
        }
        let missing: Vec<String> = self.sites.iter().filter(|site| site.find(name).is_none()).map(|site| site.name().to_owned()).collect();
        if let Some(mut owners) = self.owners(&rule, name) {
            // A field's values and its revisions belong to the same things, also where one of the two tables is empty.
            let companion = companion(name).filter(|other| names.contains(other));
            owners.extend(companion.and_then(|other| self.owners(&rule_for(rules, &other)?, &other)).into_iter().flatten());
            if !owners.is_empty() && !owners.contains(OWNER) {
                let owners: Vec<String> = owners.into_iter().collect();
                return self.leave(name, format!("only of: {}", owners.join(", ")));
            }
        }
        let fixed = rules.iter().any(|rule| !rule.optional && !is_pattern(&rule.name) && rule.name == name);
        if !missing.is_empty() && !fixed {
            return self.leave(name, format!("not at {}", missing.join(", ")));
        }
        self.shared.push((name.to_owned(), rows));
        self.compare_columns(&rule, name);
    }

    /// What the rows of a table of fields belong to, at all sites together; None for other tables.
    fn owners(&self, rule: &TableRule, name: &str) -> Option<BTreeSet<String>> {
        let there = self.sites.iter().filter_map(|site| Some((site, site.find(name)?)));
        let asked: Vec<_> = there.filter(|(_, description)| has_owner(rule, description)).collect();
        if asked.is_empty() {
            return None;
        }
        Some(asked.iter().flat_map(|(site, description)| site.answer(description)).filter_map(|row| row.first()?.clone()).collect())
    }

    fn compare_columns(&mut self, rule: &TableRule, name: &str) {
        let found = columns::compare(name, rule, &mut self.sites);
        for (site, columns) in found.own {
            self.notes.push(format!("{name}: {} is at {site} and not at the hub, and stays there", columns.join(", ")));
        }
        for (site, column, other) in found.alike {
            self.alike.push((site, name.to_owned(), column, other));
        }
        let needed = |column: &String| {
            rule.key.iter().flatten().any(|key| key == column)
                || rule.filter.iter().any(|filter| filter.predicate.columns().contains(&column.as_str()))
        };
        let (needed, spare): (Vec<_>, Vec<_>) = found.lacking.into_iter().partition(|(column, _)| needed(column));
        for (column, sites) in needed {
            self.faults.push(format!("{name}: {} has no column {column}, by which rows are told", sites.join(", ")));
        }
        if !spare.is_empty() {
            let why: Vec<String> = spare.iter().map(|(column, sites)| format!("{column} is not at {}", sites.join(", "))).collect();
            let columns = rule.exclude.iter().flatten().cloned().chain(spare.into_iter().map(|(column, _)| column)).collect();
            self.excluded.push((name.to_owned(), columns, why.join("; ")));
        }
    }

    /// Tables that rules match at a client and the hub does not have.
    fn clients_alone(&mut self, rules: &[TableRule], names: &[String]) {
        let mut notes = Vec::new();
        for site in &self.sites[1..] {
            let alone = site.matched(rules).filter(|(name, rule, description)| {
                let of_people = !has_owner(rule, description)
                    || site.answer(description).iter().any(|row| row.first().is_some_and(|cell| cell.as_deref() == Some(OWNER)));
                !(names.contains(name) && self.sites[0].find(name).is_some()) && of_people
            });
            let alone: Vec<String> = alone.map(|(name, ..)| name).collect();
            if !alone.is_empty() {
                notes.push(format!("only {} has {}: not shared, as the hub does not have it", site.name(), alone.join(", ")));
            }
        }
        self.notes.extend(notes);
    }

    /// Binds the tables as `run` would: what does not fit is a fault.
    fn prove(&mut self, rules: &[TableRule]) {
        let config = self.config(rules);
        let plan = Plan::new(&config, &self.sites[0].tables);
        let mut found: Vec<(String, Finding)> =
            plan.problems.iter().map(|finding| (self.sites[0].name().to_owned(), finding.clone())).collect();
        let mut caches: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut unnamed = Vec::new();
        for (at, planned) in plan.tables.iter().enumerate() {
            for site in &self.sites {
                found.extend(bind(site, planned, at).into_iter().map(|finding| (site.name().to_owned(), finding)));
                let named = planned.rule.after_apply.iter().flatten().flat_map(|statement| &statement.0);
                let tables = named.filter_map(|piece| if let AfterApplyPiece::Table(table) = piece { Some(table) } else { None });
                unnamed.extend(site.unnamed_in_log(planned).map(|statement| (site.name().to_owned(), statement)));
                for table in tables.filter(|table| site.find(table).is_none()) {
                    caches.entry(table.clone()).or_default().insert(site.name().to_owned());
                }
            }
            self.number(planned);
            self.one_and_the_same(&planned.name);
        }
        for (table, sites) in caches {
            let sites: Vec<&str> = sites.iter().map(String::as_str).collect();
            self.notes.push(format!(
                "no table {table} at {}: the preset removes from it what is stale. Such statements fail there, and are logged. \
                 If the cache is elsewhere (Redis, memcached), a changed row may be seen late",
                sites.join(", ")
            ));
        }
        self.statements = unnamed;
        for (site, finding) in found.into_iter().filter(|(_, finding)| finding.level == Level::Error) {
            let remedy = finding.remedy.map_or(String::new(), |remedy| format!(": {remedy}"));
            self.faults.push(format!("{site}, {}: {}{remedy}", finding.subject, finding.text));
        }
    }

    /// Sites that read one table through `$db_prefix` share it already.
    fn one_and_the_same(&mut self, table: &str) {
        for (at, site) in self.sites.iter().enumerate() {
            if let Some(other) = self.sites[..at].iter().find(|other| other.has_the_very_table(site, table)) {
                self.faults.push(format!(
                    "{} and {} have {table} in one and the same place: they share it already. Let only one of them be a site, or give the other a table of its own",
                    other.name(),
                    site.name()
                ));
            }
        }
    }

    fn number(&mut self, planned: &PlannedTable) {
        let (Some(InsertPolicy::Quarantine), [key]) = (planned.rule.insert, planned.key.as_slice()) else { return };
        let numbered = self.sites.iter().any(|site| {
            let column = site.config.tables.get(&planned.name).and_then(|rule| rule.columns.get(key)).unwrap_or(key);
            let described = site.find(&planned.name).and_then(|table| table.columns.iter().find(|other| other.column.name == *column));
            described.is_some_and(|column| column.numbered)
        });
        let sequences = planned.name == "users" && self.sites.iter().any(|site| site.find("sequences").is_some());
        if numbered || sequences {
            self.numbered.push((planned.name.clone(), key.clone()));
        }
    }
}

fn bind(site: &Seen, planned: &PlannedTable, at: usize) -> Vec<Finding> {
    let names: Vec<String> = planned.columns.iter().map(|column| column.name.clone()).collect();
    let table = Arc::new(planned.table(TableId(at as u16 + 1), &names));
    let mut found = Vec::new();
    match binding::bind(&site.config, planned, &table, &site.tables) {
        Ok(bound) => {
            if let Some(description) = site.find(&planned.name) {
                schema::key(planned, &bound, description, &mut found);
            }
        }
        Err(finding) => found.push(finding),
    }
    found
}

/// The table of a field's revisions, or of its values.
fn companion(name: &str) -> Option<String> {
    let field = name.strip_prefix("field_data_").map(|field| format!("field_revision_{field}"));
    field.or_else(|| name.strip_prefix("field_revision_").map(|field| format!("field_data_{field}")))
}
