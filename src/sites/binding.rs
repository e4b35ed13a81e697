//! From the configuration's rules and the databases' descriptions to shared tables: which tables a pattern matches, which columns
//! are shared, and what each site calls them. Pure; the same for `run` and `check`.

use std::sync::Arc;

use super::mapping::Mapping;
use super::{ColumnDescription, Finding, TableDescription};
use crate::config::{self, Config, Direction, Endpoint, Initial, InsertPolicy, Sequence, SiteConfig, TableRule, UniquePolicy};
use crate::model::{Allocation, Column, ColumnType, Family, Misread, Predicate, SiteColumn, SiteTable, Table, TableId};
use crate::resolve::{InitialPolicy, TablePolicy};

/// A table that the configuration shares, as the hub has it.
#[derive(Clone, Debug)]
pub struct PlannedTable {
    /// Its name at the hub without prefix.
    pub name: String,
    pub key: Vec<String>,
    /// Shared columns in the hub's order.
    pub columns: Vec<Column>,
    /// The rule's filter, its literals in the form that the columns' values have.
    pub filter: Option<Predicate>,
    pub rule: TableRule,
}

/// The tables that are shared, and what is wrong with those that can't be.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub tables: Vec<PlannedTable>,
    pub problems: Vec<Finding>,
}

impl Plan {
    /// What the hub's tables make of the rules.
    pub fn new(config: &Config, hub: &[TableDescription]) -> Plan {
        let mut plan = Plan::default();
        let site = &config.sites[0];
        for name in shared_names(config, hub) {
            let Some(rule) = config::rule_for(&config.tables, &name) else { continue };
            match (find(site, &name, hub), rule.optional) {
                (Some(description), _) => plan.add(site, name, rule, description),
                (None, true) => {}
                (None, false) => {
                    let (schema, at_site) = place(site, &name);
                    let text = format!("the hub {:?} has no table {schema}.{at_site}", site.name);
                    let remedy = format!(
                        "create it, set its name in [site.table.{name}], the site's prefix or [[table]], or let the account see it (`rosterd grants`)"
                    );
                    plan.problems.push(Finding::error(format!("table {name}"), text, remedy));
                }
            }
        }
        plan.tables.sort_by_key(|table| !table.rule.urgent.unwrap_or(false));
        plan
    }

    fn add(&mut self, site: &SiteConfig, name: String, rule: TableRule, description: &TableDescription) {
        let columns = self.columns(site, &name, &rule, description);
        let key = match &rule.key {
            Some(key) => key.clone(),
            None => description.key.iter().map(|column| shared_column(site, &name, column)).collect(),
        };
        let checked = check_rule(&rule, &key, &columns, description).and_then(|()| typed_filter(&rule, &columns));
        match checked {
            Ok(filter) => self.tables.push(PlannedTable { name, key, columns, filter, rule }),
            Err((text, remedy)) => self.problems.push(Finding::error(format!("table {name}"), text, remedy)),
        }
    }

    /// What the hub's table has to share.
    fn columns(&mut self, site: &SiteConfig, name: &str, rule: &TableRule, description: &TableDescription) -> Vec<Column> {
        let excluded = rule.exclude.clone().unwrap_or_default();
        let secret = rule.secret.clone().unwrap_or_default();
        // A column that has one value in all shared rows of the hub tells the clients nothing.
        let constant = |column: &String| site.tables.get(name).is_some_and(|rule| rule.constants.contains_key(column));
        let mut columns = Vec::new();
        for column in description.columns.iter().filter(|column| !column.generated && !constant(&column.column.name)) {
            let shared = shared_column(site, name, &column.column.name);
            if excluded.contains(&shared) {
                continue;
            }
            match column.column.ty.family() {
                Some(family) => columns.push(Column { secret: secret.contains(&shared), name: shared, family }),
                None => self.problems.push(Finding::error(
                    format!("table {name}"),
                    format!("column {shared} has a type that can't be shared at the hub{}", unsupported(&column.column.ty)),
                    format!("exclude = [{shared:?}] in its [[table]]"),
                )),
            }
        }
        columns
    }
}

/// What is wrong, and what mends it.
type Fault = (String, String);

fn check_rule(rule: &TableRule, key: &[String], columns: &[Column], description: &TableDescription) -> Result<(), Fault> {
    let is_shared = |name: &str| columns.iter().any(|column| column.name == name);
    if key.is_empty() {
        let remedy = format!("ALTER TABLE {} ADD PRIMARY KEY (...), or name a unique key: key = [...] in its [[table]]", description.name);
        return Err(("it has no primary key, so its rows can't be told apart".into(), remedy));
    }
    if let Some(missing) = key.iter().find(|column| !is_shared(column)) {
        let text = format!("its key column {missing} is not among its shared columns");
        return Err((text, "correct `key` or `exclude` in its [[table]]".into()));
    }
    if let Some((why, remedy)) = &description.unfit {
        return Err((why.clone(), remedy.clone()));
    }
    let excluded = |name: &String| rule.exclude.as_ref().is_some_and(|excluded| excluded.contains(name));
    let named = rule.conflict.keys().filter(|name| *name != "default").chain(rule.column_direction.keys());
    if let Some(missing) = named.into_iter().find(|name| !is_shared(name) && !excluded(name)) {
        let text = format!("`conflict` or `direction` names the column {missing}, which the hub's table does not have");
        return Err((text, "correct the name in its [[table]]".into()));
    }
    Ok(())
}

/// The rule's filter for columns of these families.
fn typed_filter(rule: &TableRule, columns: &[Column]) -> Result<Option<Predicate>, Fault> {
    let Some(filter) = &rule.filter else { return Ok(None) };
    let family = |name: &str| columns.iter().find(|column| column.name == name).map(|column| column.family);
    if let Some(missing) = filter.predicate.columns().into_iter().find(|name| family(name).is_none()) {
        let text = format!("its filter names the column {missing}, which is not shared");
        return Err((text, "correct `filter` or `exclude` in its [[table]]".into()));
    }
    let typed = filter.predicate.typed(&family);
    typed.map(Some).map_err(|Misread { text, advice }| (format!("its filter {text}"), format!("{advice}: `filter` in its [[table]]")))
}

impl PlannedTable {
    /// The table under the ledger's number, its columns in the ledger's order.
    pub fn table(&self, id: TableId, columns: &[String]) -> Table {
        let column = |name: &String| {
            let known = self.columns.iter().find(|column| column.name == *name).cloned();
            known.unwrap_or(Column { name: name.clone(), family: Family::Text, secret: true })
        };
        let columns: Vec<Column> = columns.iter().map(column).collect();
        let key = self.key.iter().filter_map(|name| columns.iter().position(|c| c.name == *name)).collect();
        Table { id, name: self.name.clone(), key, columns, urgent: self.rule.urgent.unwrap_or(false) }
    }

    /// The policies by column number.
    pub fn policy(&self, table: &Table) -> TablePolicy {
        let mut policy = TablePolicy::plain(table.columns.len());
        let default = self.rule.conflict.get("default");
        for (column, of) in table.columns.iter().zip(&mut policy.columns) {
            if let Some(rule) = self.rule.conflict.get(&column.name).or(default) {
                *of = *rule;
            }
        }
        if let Some(Direction::FromHub { keep }) = self.rule.direction {
            policy.rows_from_hub = Some(keep);
        }
        for (column, of) in table.columns.iter().zip(&mut policy.from_hub) {
            if let Direction::FromHub { keep } = self.rule.direction_of(&column.name) {
                *of = Some(keep);
            }
        }
        let surrogate = table.key.len() == 1 && table.columns[table.key[0]].family == Family::Integer;
        policy.insert = self.rule.insert.unwrap_or(if surrogate { InsertPolicy::Quarantine } else { InsertPolicy::Merge });
        policy.unique = self.rule.unique.clone().unwrap_or(UniquePolicy::Quarantine);
        policy.delete = self.rule.delete.unwrap_or(policy.delete);
        policy.initial = match &self.rule.initial {
            Some(Initial::Newest { column }) => table.column(column).map_or(InitialPolicy::Hub, InitialPolicy::Newest),
            Some(Initial::Quarantine) => InitialPolicy::Quarantine,
            Some(Initial::Hub) | None => InitialPolicy::Hub,
        };
        policy
    }

    /// Its key is a number that each site's applications give out by themselves: two must not give out the same.
    pub fn sites_give_out_keys(&self, table: &Table) -> bool {
        let number = table.key.len() == 1 && table.columns[table.key[0]].family == Family::Integer;
        let from_hub = matches!(self.rule.direction, Some(Direction::FromHub { .. }));
        number && !from_hub && self.rule.sequence != Some(Sequence::Application) && self.policy(table).insert == InsertPolicy::Quarantine
    }
}

/// How a site has a shared table, or why it can't take part in it.
pub fn bind(
    site: &SiteConfig,
    planned: &PlannedTable,
    table: &Arc<Table>,
    descriptions: &[TableDescription],
) -> Result<SiteTable, Finding> {
    let subject = format!("table {}", table.name);
    let Some(description) = find(site, &table.name, descriptions) else {
        let (schema, at_site) = place(site, &table.name);
        let remedy = format!(
            "create it, set its name in [site.table.{}] or the site's prefix, or let the account see it (`rosterd grants`)",
            table.name
        );
        return Err(Finding::error(subject, format!("there is no table {schema}.{at_site}"), remedy));
    };
    if let Some((why, remedy)) = &description.unfit {
        return Err(Finding::error(subject, why.clone(), remedy.clone()));
    }
    let rule = site.tables.get(&table.name).cloned().unwrap_or_default();
    let mapping = Mapping { site: &site.name, table, rule: &rule, description };
    let is_shared = |name: &str| planned.columns.iter().any(|c| c.name == name);
    mapping.check_names(is_shared)?;
    let mut columns = Vec::with_capacity(table.columns.len());
    for (number, column) in table.columns.iter().enumerate() {
        if !is_shared(&column.name) || mapping.lacks(number)? {
            columns.push(None);
            continue;
        }
        let at_site = site_column(site, &table.name, &column.name);
        match description.columns.iter().find(|c| c.column.name == at_site) {
            Some(ColumnDescription { column: found, generated: false, .. }) => {
                if let ColumnType::Unsupported(_) = found.ty {
                    let text = format!("column {at_site} has a type that can't be shared{}", unsupported(&found.ty));
                    return Err(Finding::error(subject, text, format!("exclude = [{:?}] in its [[table]]", column.name)));
                }
                let values = mapping.values(number, found)?;
                columns.push(Some(SiteColumn { values, ..found.clone() }));
            }
            Some(_) => {
                let text = format!("column {at_site} is computed by the database and can't be written");
                return Err(Finding::error(subject, text, format!("exclude = [{:?}] in its [[table]]", column.name)));
            }
            None => {
                let text = format!("there is no column {at_site}");
                let remedy = format!(
                    "add it, map it (columns = {{ {0} = \"...\" }} in [site.table.{1}]), say that this site has none (lacks = [{0:?}] there), \
                     or exclude it in its [[table]]",
                    column.name, table.name
                );
                return Err(Finding::error(subject, text, remedy));
            }
        }
    }
    let fills = mapping.fills(&mut columns)?;
    Ok(SiteTable {
        table: table.clone(),
        schema: description.schema.clone(),
        name: description.name.clone(),
        columns,
        unique: description.unique.clone(),
        allocation: allocation(site, planned, table, descriptions),
        fills,
    })
}

/// How the site's database gives out the table's keys. None: they are not given out here, or nothing shows that the database does it.
fn allocation(site: &SiteConfig, planned: &PlannedTable, table: &Table, descriptions: &[TableDescription]) -> Option<Allocation> {
    if !planned.sites_give_out_keys(table) {
        return None;
    }
    let (rule, key) = (planned.rule.sequence.as_ref(), &table.columns[table.key[0]].name);
    let is_sqlite = matches!(site.endpoint, Endpoint::Sqlite { .. });
    let numbered = find(site, &table.name, descriptions)
        .is_some_and(|description| description.columns.iter().any(|c| c.numbered && c.column.name == site_column(site, &table.name, key)));
    let named = rule.is_some_and(|sequence| match sequence.tables().as_slice() {
        [] => matches!(site.endpoint, Endpoint::Postgres(_)),
        tables => tables.iter().any(|name| find(site, name, descriptions).is_some_and(|d| d.columns.iter().any(|column| column.numbered))),
    });
    // SQLite knows no classes: there the application keeps to its own if the file says so.
    if !site.ids.named && (is_sqlite || !(numbered || named)) {
        return None;
    }
    let sequence = rule.and_then(|sequence| sequence.at(&site.prefix)).map(|full| match full.split_once('.') {
        Some((schema, name)) => (schema.to_owned(), name.to_owned()),
        None => (default_schema(site).to_owned(), full),
    });
    Some(Allocation { class: site.ids.class, sequence })
}

/// Names of the shared tables: those that rules name, and the hub's tables that their patterns match, in the rules' order.
pub fn shared_names(config: &Config, hub: &[TableDescription]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let live: Vec<String> = hub.iter().filter_map(|description| shared_name(&config.sites[0], description)).collect();
    for rule in &config.tables {
        let matching: Vec<&String> = match config::is_pattern(&rule.name) {
            true => live.iter().filter(|name| config::matches(&rule.name, name)).collect(),
            false => vec![&rule.name],
        };
        for name in matching {
            if !names.contains(name) && !config.excepts(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// The shared name of a table of a site: without its prefix. None when it is not under the site's prefix, or is ours.
pub fn shared_name(site: &SiteConfig, description: &TableDescription) -> Option<String> {
    if description.name.starts_with("rosterd_") {
        return None;
    }
    if let Some((shared, _)) = site.tables.iter().find(|(_, rule)| rule.name.as_ref() == Some(&description.name)) {
        return Some(shared.clone());
    }
    let full = format!("{}.{}", description.schema, description.name);
    for (table, prefix) in &site.prefix.by_table {
        let named = format!("{prefix}{table}");
        if named == full || named == description.name {
            return Some(table.clone());
        }
    }
    let stripped = match site.prefix.default.contains('.') {
        true => full.strip_prefix(&site.prefix.default),
        false if description.schema == default_schema(site) => description.name.strip_prefix(&site.prefix.default),
        false => None,
    };
    stripped.map(str::to_owned)
}

/// Schema and name of a shared table at a site.
pub fn place(site: &SiteConfig, table: &str) -> (String, String) {
    let named = site.tables.get(table).and_then(|rule| rule.name.clone());
    let full = named.unwrap_or_else(|| site.prefix.apply(table));
    match full.split_once('.') {
        Some((schema, name)) => (schema.to_owned(), name.to_owned()),
        None => (default_schema(site).to_owned(), full),
    }
}

/// The schema of tables whose prefix names none.
pub fn default_schema(site: &SiteConfig) -> &str {
    match &site.endpoint {
        Endpoint::MySql(server) => &server.database,
        Endpoint::Postgres(server) => &server.schema,
        Endpoint::Sqlite { .. } => "main",
    }
}

/// The description of a shared table at a site.
pub fn find<'a>(site: &SiteConfig, table: &str, descriptions: &'a [TableDescription]) -> Option<&'a TableDescription> {
    let (schema, name) = place(site, table);
    descriptions.iter().find(|description| description.schema == schema && description.name == name)
}

fn site_column<'a>(site: &'a SiteConfig, table: &str, column: &'a str) -> &'a str {
    site.tables.get(table).and_then(|rule| rule.columns.get(column)).map_or(column, String::as_str)
}

fn shared_column(site: &SiteConfig, table: &str, column: &str) -> String {
    let mapped = site.tables.get(table).and_then(|rule| rule.columns.iter().find(|(_, at_site)| *at_site == column));
    mapped.map_or(column, |(shared, _)| shared).to_owned()
}

fn unsupported(ty: &ColumnType) -> String {
    match ty {
        ColumnType::Unsupported(name) => format!(" ({name})"),
        _ => String::new(),
    }
}
