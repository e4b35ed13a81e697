//! Looking at the sites: their tables, and what some of them are used for. Nothing is changed.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use rosterd::config::{Daemon, Endpoint, SiteConfig, TableRule};
use rosterd::daemon;
use rosterd::model::SiteId;
use rosterd::ops::init::{ANSWER_ROWS_MAX, Preset, Seen, guess, lacks, questions, settle};
use rosterd::sites::{Site, TableDescription};

use super::sites::Wanted;

/// Databases of one server that are searched for a table which is not in the site's own.
const SCHEMAS_MAX: usize = 50;

/// A site, and the prefix that the person named.
pub type Looked = (Seen, Option<String>);

/// The tables of every site's own schema.
pub async fn describe(wanted: Vec<Wanted>) -> Result<Vec<Looked>, String> {
    let described = join_all(wanted.into_iter().enumerate().map(|(at, wanted)| one(at, wanted))).await;
    let failed: Vec<&String> = described.iter().filter_map(|site| site.as_ref().err()).collect();
    if !failed.is_empty() {
        return Err(failed.into_iter().cloned().collect::<Vec<_>>().join("\n"));
    }
    Ok(described.into_iter().flatten().collect())
}

async fn one(at: usize, wanted: Wanted) -> Result<Looked, String> {
    let Wanted { config, url, password, prefix } = wanted;
    let site = connector(at, &config);
    let tables = site.describe().await.map_err(|error| error.to_string())?;
    Ok((Seen { config, url, address: site.address(), password, tables, answers: Default::default() }, prefix))
}

fn connector(at: usize, config: &SiteConfig) -> Arc<dyn Site> {
    daemon::connect(SiteId(at as u16 + 1), config, &Daemon::default())
}

/// Names of the presets that fit the hub's tables, wherever in its database they are.
pub async fn guessed((hub, _): &Looked) -> Result<Vec<String>, String> {
    let all = Preset::all();
    let names = guess(&all, &hub.config, &hub.tables);
    if !names.is_empty() || !matches!(hub.config.endpoint, Endpoint::Postgres(_)) {
        return Ok(names);
    }
    let tables = elsewhere(0, &hub.config).await?;
    Ok(tables.map_or_else(Vec::new, |tables| guess(&all, &hub.config, &tables)))
}

/// Finds the presets' tables at each site, and asks what has to be asked of them. The texts are what could not be told for certain.
pub async fn closely(sites: Vec<Looked>, presets: &[Preset]) -> Result<(Vec<Seen>, Vec<String>), String> {
    let rules: Vec<TableRule> = presets.iter().flat_map(|preset| preset.rules.clone()).collect();
    let looked = try_join_all(sites.into_iter().enumerate().map(|(at, site)| at_one(at, site, &rules))).await?;
    let (sites, doubts): (Vec<Seen>, Vec<Vec<String>>) = looked.into_iter().unzip();
    Ok((sites, doubts.concat()))
}

async fn at_one(at: usize, (mut seen, prefix): Looked, rules: &[TableRule]) -> Result<(Seen, Vec<String>), String> {
    let plain = seen.config.clone();
    let mut doubts = settle(rules, &mut seen.config, &seen.tables, prefix.as_deref());
    if lacks(rules, &seen.config, &seen.tables)
        && let Some(tables) = elsewhere(at, &plain).await?
    {
        (seen.config, seen.tables) = (plain, tables);
        doubts = settle(rules, &mut seen.config, &seen.tables, prefix.as_deref());
    }
    let wanted = questions(rules, &seen);
    if !wanted.is_empty() {
        let mut reader = connector(at, &seen.config).chunk_reader().await.map_err(|error| error.to_string())?;
        for question in wanted {
            let is_it = |table: &&TableDescription| (&table.schema, &table.name) == (&question.table.0, &question.table.1);
            let Some(table) = seen.tables.iter().find(is_it) else { continue };
            let columns: Vec<&str> = question.columns.iter().map(String::as_str).collect();
            let rows = reader.distinct(table, &columns, ANSWER_ROWS_MAX).await.map_err(|error| error.to_string())?;
            seen.answers.insert(question.table, rows);
        }
    }
    let doubts = doubts.into_iter().map(|doubt| format!("{}: {doubt}", seen.config.name)).collect();
    Ok((seen, doubts))
}

/// The tables of every schema of the server; None when there are no others, or too many.
async fn elsewhere(at: usize, config: &SiteConfig) -> Result<Option<Vec<TableDescription>>, String> {
    let schemas = connector(at, config).schemas().await.map_err(|error| error.to_string())?;
    if !(2..=SCHEMAS_MAX).contains(&schemas.len()) {
        return Ok(None);
    }
    let mut wide = config.clone();
    // A site is described with the schemas that its prefixes name.
    wide.prefix.by_table = schemas.into_iter().map(|schema| (schema.clone(), format!("{schema}."))).collect();
    connector(at, &wide).describe().await.map(Some).map_err(|error| error.to_string())
}
