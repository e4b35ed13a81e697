//! What `init` makes of live databases: which preset fits, where its tables are, which of them all sites have, and where sites
//! differ. Pure: descriptions and answers in, a draft of a configuration out.

mod columns;
mod draft;
mod lists;
mod places;
mod text;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Config, Endpoint, SiteConfig, TableRule, is_pattern, rule_for};
use crate::sites::binding::{self, PlannedTable};
use crate::sites::{TableDescription, TextRow};

pub use draft::{Draft, draft};
pub use places::{guess, lacks, settle};

/// Kinds of things that a table of fields belongs to, and rows of a list such as `role`: more than any site has.
pub const ANSWER_ROWS_MAX: usize = 1000;

/// Says what a row of a table of fields belongs to.
const OWNER_COLUMN: &str = "entity_type";
const OWNER: &str = "user";

/// The rules that come with rosterd for one application.
#[derive(Clone, Debug)]
pub struct Preset {
    pub name: String,
    pub rules: Vec<TableRule>,
}

impl Preset {
    pub fn all() -> Vec<Preset> {
        Config::preset_names().into_iter().filter_map(Preset::named).collect()
    }

    pub fn named(name: &str) -> Option<Preset> {
        Config::preset_rules(name).map(|rules| Preset { name: name.into(), rules })
    }

    /// Goes along with another one.
    fn is_addition(&self) -> bool {
        !self.rules.iter().any(|rule| rule.name == "users")
    }
}

/// The tables that an application always has.
fn required(rules: &[TableRule]) -> impl Iterator<Item = &TableRule> {
    rules.iter().filter(|rule| !rule.optional && !is_pattern(&rule.name))
}

/// How rosterd is to get in, as the file will say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordLine {
    /// No password was needed.
    None,
    /// One was given and is not written down: this file is to hold it.
    ToBeWritten(String),
    File(String),
    Env(String),
}

/// A site as it was found. The hub is the first.
#[derive(Clone, Debug)]
pub struct Seen {
    pub config: SiteConfig,
    /// Without a password.
    pub url: String,
    /// What it is and where, in words.
    pub address: String,
    pub password: PasswordLine,
    pub tables: Vec<TableDescription>,
    /// By schema and name of the table.
    pub answers: BTreeMap<(String, String), Vec<TextRow>>,
}

/// What a table has to be asked that its description does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub table: (String, String),
    pub columns: Vec<String>,
}

impl Seen {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn find(&self, table: &str) -> Option<&TableDescription> {
        binding::find(&self.config, table, &self.tables)
    }

    /// Its tables that rules match, by shared name.
    fn matched<'s>(&'s self, rules: &'s [TableRule]) -> impl Iterator<Item = (String, TableRule, &'s TableDescription)> {
        self.tables.iter().filter_map(|description| {
            let name = binding::shared_name(&self.config, description)?;
            let rule = rule_for(rules, &name)?;
            Some((name, rule, description))
        })
    }

    /// The statement without which its log does not say which row of the table was changed or deleted.
    fn unnamed_in_log(&self, planned: &PlannedTable) -> Option<String> {
        let (Endpoint::Postgres(_), Some(table)) = (&self.config.endpoint, self.find(&planned.name)) else { return None };
        let mapped = self.config.tables.get(&planned.name);
        let here = |column: &String| mapped.and_then(|rule| rule.columns.get(column)).unwrap_or(column).clone();
        let key: BTreeSet<String> = planned.key.iter().map(here).collect();
        let is_primary = key == table.key.iter().cloned().collect();
        (!is_primary).then(|| format!("ALTER TABLE \"{}\".\"{}\" REPLICA IDENTITY FULL", table.schema, table.name))
    }

    fn has_the_very_table(&self, other: &Seen, table: &str) -> bool {
        let (a, b) = match (&self.config.endpoint, &other.config.endpoint) {
            (Endpoint::MySql(a), Endpoint::MySql(b)) => (a, b),
            (Endpoint::Postgres(a), Endpoint::Postgres(b)) if a.database == b.database => (a, b),
            _ => return false,
        };
        let place = |site: &Seen| site.find(table).map(|table| (table.schema.clone(), table.name.clone()));
        a.host == b.host && place(self).is_some() && place(self) == place(other)
    }

    fn answer(&self, description: &TableDescription) -> &[TextRow] {
        self.answers.get(&(description.schema.clone(), description.name.clone())).map_or(&[], Vec::as_slice)
    }
}

/// What a site whose tables have been placed has to be asked.
pub fn questions(rules: &[TableRule], site: &Seen) -> Vec<Question> {
    let owners = site.matched(rules).filter(|(_, rule, description)| has_owner(rule, description));
    let owners = owners.map(|(.., description)| question(description, &[OWNER_COLUMN]));
    owners.chain(lists::questions(rules, site)).collect()
}

fn question(description: &TableDescription, columns: &[&str]) -> Question {
    Question {
        table: (description.schema.clone(), description.name.clone()),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
    }
}

fn has_owner(rule: &TableRule, description: &TableDescription) -> bool {
    let filtered = rule.filter.as_ref().is_some_and(|filter| filter.predicate.columns().contains(&OWNER_COLUMN));
    filtered && description.columns.iter().any(|column| column.column.name == OWNER_COLUMN)
}
