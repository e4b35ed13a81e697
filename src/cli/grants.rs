//! `rosterd grants`: what an administrator has to allow.

use std::sync::Arc;

use clap::Args;
use rosterd::config::{Config, SiteConfig};
use rosterd::daemon;
use rosterd::model::{SiteId, SiteTable, TableId};
use rosterd::sites::binding::{self, Plan};
use rosterd::sites::{Error, TableDescription};

use super::{Cli, Exit, print};

/// The statements that an administrator runs once at each server
#[derive(Args)]
#[command(
    after_help = "Example:\n  rosterd grants hub | mariadb\n\nTables are looked up where rosterd's account can already connect; else those that the configuration names are taken."
)]
pub struct Grants {
    /// Of this site only
    site: Option<String>,
}

impl Grants {
    pub async fn run(&self, cli: &Cli) -> Exit {
        let config = match cli.load() {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let wanted = |site: &SiteConfig| self.site.as_ref().is_none_or(|name| *name == site.name);
        if !config.sites.iter().any(wanted) {
            let names: Vec<&str> = config.sites.iter().map(|site| site.name.as_str()).collect();
            return Exit::Usage(format!(
                "there is no site {}; the sites are {}",
                self.site.as_deref().unwrap_or_default(),
                names.join(", ")
            ));
        }
        let hub = describe(&config, 0).await;
        for (at, site) in config.sites.iter().enumerate().filter(|(_, site)| wanted(site)) {
            let connector = daemon::connect(SiteId(at as u16 + 1), site, &config.daemon);
            let own = match (&hub, at) {
                (Ok(hub), 0) => Ok(hub.clone()),
                (Ok(_), _) => describe(&config, at).await,
                (Err(_), _) => Ok(Vec::new()),
            };
            let (tables, note) = match (&hub, &own) {
                (Ok(hub), Ok(own)) => (tables(&config, site, hub, own), None),
                (Err(error), _) | (_, Err(error)) => (named(&config, site), Some(error)),
            };
            print::out(&format!("-- site {}: {}\n", site.name, connector.address()));
            if let Some(error) = note {
                print::out(&format!(
                    "-- its tables could not be looked up ({}): those that the configuration names are taken\n",
                    error.message
                ));
            }
            connector.grants(&tables).iter().for_each(|statement| print::out(&format!("{}\n", ended(statement))));
            print::out("\n");
        }
        Exit::Fine
    }
}

async fn describe(config: &Config, at: usize) -> Result<Vec<TableDescription>, Error> {
    daemon::connect(SiteId(at as u16 + 1), &config.sites[at], &config.daemon).describe().await
}

/// The shared tables as the site has them, and those that the configuration names.
fn tables(config: &Config, site: &SiteConfig, hub: &[TableDescription], own: &[TableDescription]) -> Vec<Arc<SiteTable>> {
    let plan = Plan::new(config, hub);
    let bound = plan.tables.iter().enumerate().filter_map(|(at, planned)| {
        let names: Vec<String> = planned.columns.iter().map(|column| column.name.clone()).collect();
        let table = Arc::new(planned.table(TableId(at as u16 + 1), &names));
        binding::bind(site, planned, &table, own).ok().map(Arc::new)
    });
    let mut all: Vec<Arc<SiteTable>> = bound.collect();
    // What the account may not see yet looks as if it were not there.
    let hidden: Vec<_> = named(config, site).into_iter().filter(|table| all.iter().all(|bound| bound.name != table.name)).collect();
    all.extend(hidden);
    all
}

/// Without a look at the database: the tables that the configuration names, patterns left out.
fn named(config: &Config, site: &SiteConfig) -> Vec<Arc<SiteTable>> {
    let names = config.tables.iter().map(|rule| &rule.name);
    let names = names.filter(|name| !rosterd::config::is_pattern(name) && !config.excepts(name));
    let mut seen: Vec<&String> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    let table = |(at, shared): (usize, &String)| {
        let (schema, name) = binding::place(site, shared);
        let table = rosterd::model::Table { id: TableId(at as u16 + 1), name: shared.clone(), key: vec![], columns: vec![], urgent: false };
        Arc::new(SiteTable { table: Arc::new(table), schema, name, columns: vec![], unique: vec![], allocation: None, fills: vec![] })
    };
    seen.into_iter().enumerate().map(table).collect()
}

/// SQL ends with a semicolon; comments and shell commands stay as they are.
fn ended(statement: &str) -> String {
    let sql = ["GRANT", "CREATE", "ALTER", "SET", "REVOKE"].iter().any(|word| statement.starts_with(word));
    if sql && !statement.ends_with(';') { format!("{statement};") } else { statement.to_owned() }
}
