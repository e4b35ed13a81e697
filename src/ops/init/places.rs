//! Where a site has a preset's tables: prefix, schema, and single tables elsewhere, as in Drupal's `$db_prefix`.

use std::collections::BTreeSet;

use super::{Preset, required};
use crate::config::{Endpoint, SiteConfig, TableRule};
use crate::sites::TableDescription;
use crate::sites::binding::{default_schema, find};

/// The preset whose tables the site has, with those that go along with it; none when no preset's are all there.
pub fn guess(presets: &[Preset], site: &SiteConfig, tables: &[TableDescription]) -> Vec<String> {
    let schemas: BTreeSet<&str> = match site.endpoint {
        Endpoint::Postgres(_) => tables.iter().map(|table| table.schema.as_str()).collect(),
        _ => BTreeSet::from([default_schema(site)]),
    };
    let fits = |preset: &Preset| {
        let count = required(&preset.rules).count();
        let places = schemas.iter().filter_map(|schema| best(&preset.rules, schema, tables, site));
        places.filter(|place| place.present == count).max_by_key(|place| place.exact)
    };
    let mut main: Option<(&Preset, usize)> = None;
    for preset in presets.iter().filter(|preset| !preset.is_addition()) {
        // A newer version of an application has the tables of an older one too: the keys tell them apart.
        if let Some(place) = fits(preset)
            && main.is_none_or(|(_, exact)| place.exact > exact)
        {
            main = Some((preset, place.exact));
        }
    }
    let Some((main, _)) = main else { return Vec::new() };
    let additions = presets.iter().filter(|preset| preset.is_addition() && fits(preset).is_some());
    std::iter::once(main).chain(additions).map(|preset| preset.name.clone()).collect()
}

/// Whether tables that an application always has are not where the site's prefix says.
pub fn lacks(rules: &[TableRule], site: &SiteConfig, tables: &[TableDescription]) -> bool {
    required(rules).any(|rule| find(site, &rule.name, tables).is_none())
}

/// Sets the site's prefix and schema to where its tables are. What could not be told for certain is said.
pub fn settle(rules: &[TableRule], site: &mut SiteConfig, tables: &[TableDescription], wanted: Option<&str>) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Some(prefix) = wanted {
        site.prefix.default = prefix.into();
    } else {
        move_to_schema(rules, site, tables);
        if let Some(place) = best(rules, default_schema(site), tables, site) {
            site.prefix.default = place.prefix.clone();
            if !place.equals.is_empty() {
                doubts.push(format!(
                    "{} of the tables are there under the prefix {:?} too: init has taken {:?}; `--prefix {}={}` takes the other",
                    place.present, place.equals[0], place.prefix, site.name, place.equals[0]
                ));
            }
        }
    }
    for rule in required(rules) {
        if find(site, &rule.name, tables).is_some() {
            continue;
        }
        match elsewhere(rule, site, tables).as_slice() {
            [] => {}
            [only] => {
                site.prefix.by_table.insert(rule.name.clone(), only.clone());
            }
            several => doubts.push(format!(
                "{} is there as {}: put the right one into `prefix`, as in {} = {:?}",
                rule.name,
                several.iter().map(|prefix| format!("{prefix}{}", rule.name)).collect::<Vec<_>>().join(", "),
                rule.name,
                several[0]
            )),
        }
    }
    follow(rules, site, tables);
    doubts
}

/// Prefixes, with the schema where it is another, under which a table is there that is not where it should be.
fn elsewhere(rule: &TableRule, site: &SiteConfig, tables: &[TableDescription]) -> Vec<String> {
    let own = default_schema(site);
    let fits = tables.iter().filter(|table| holds(table, rule) && table.unfit.is_none());
    let prefix = |table: &TableDescription| {
        let prefix = table.name.strip_suffix(rule.name.as_str())?;
        Some(if table.schema == own { prefix.to_owned() } else { format!("{}.{prefix}", table.schema) })
    };
    let (inside, outside): (BTreeSet<String>, BTreeSet<String>) = fits.filter_map(prefix).partition(|prefix| !prefix.contains('.'));
    // Nearer is likelier: other schemas count only when the site's own has none.
    if inside.is_empty() { outside.into_iter().collect() } else { inside.into_iter().collect() }
}

/// Tables that an application may have or not, kept together with those that are elsewhere.
fn follow(rules: &[TableRule], site: &mut SiteConfig, tables: &[TableDescription]) {
    let used: BTreeSet<String> = site.prefix.by_table.values().cloned().collect();
    for prefix in used {
        let (schema, before) = prefix.split_once('.').unwrap_or((default_schema(site), &prefix));
        let here = tables.iter().filter(|table| table.schema == schema).filter_map(|table| table.name.strip_prefix(before));
        let names: Vec<String> = here
            .filter(|name| rules.iter().any(|rule| crate::config::matches(&rule.name, name)))
            .filter(|name| find(site, name, tables).is_none())
            .map(str::to_owned)
            .collect();
        site.prefix.by_table.extend(names.into_iter().map(|name| (name, prefix.clone())));
    }
}

/// PostgreSQL: a site may live in a schema that the URL does not name.
fn move_to_schema(rules: &[TableRule], site: &mut SiteConfig, tables: &[TableDescription]) {
    if !matches!(site.endpoint, Endpoint::Postgres(_)) || best(rules, default_schema(site), tables, site).is_some() {
        return;
    }
    let count = required(rules).count();
    let schemas: BTreeSet<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let whole: Vec<&str> =
        schemas.into_iter().filter(|schema| best(rules, schema, tables, site).is_some_and(|place| place.present == count)).collect();
    if let ([schema], Endpoint::Postgres(server)) = (whole.as_slice(), &mut site.endpoint) {
        server.schema = (*schema).to_owned();
    }
}

/// A prefix and how many of the preset's tables are under it.
#[derive(Debug)]
struct Place {
    prefix: String,
    present: usize,
    /// Those whose key is the preset's.
    exact: usize,
    /// Prefixes that are as good.
    equals: Vec<String>,
}

fn best(rules: &[TableRule], schema: &str, tables: &[TableDescription], site: &SiteConfig) -> Option<Place> {
    let here: Vec<&TableDescription> = tables.iter().filter(|table| table.schema == schema).collect();
    let ending = |rule: &TableRule| {
        here.iter().filter_map(|table| table.name.strip_suffix(rule.name.as_str()).map(str::to_owned)).collect::<Vec<_>>()
    };
    let prefixes: BTreeSet<String> = required(rules).flat_map(ending).collect();
    let mut places: Vec<Place> = prefixes
        .into_iter()
        .map(|prefix| {
            let at = |rule: &&TableRule| here.iter().find(|table| table.name == format!("{prefix}{}", rule.name) && holds(table, rule));
            let found: Vec<(&TableRule, &&TableDescription)> = required(rules).filter_map(|rule| Some((rule, at(&rule)?))).collect();
            let exact = found.iter().filter(|(rule, table)| is_key(table, rule)).count();
            Place { prefix, present: found.len(), exact, equals: Vec::new() }
        })
        .filter(|place| place.present > 0)
        .collect();
    let own = |place: &Place| !site.name.is_empty() && place.prefix.starts_with(&site.name);
    places.sort_by(|a, b| {
        (b.present, b.exact).cmp(&(a.present, a.exact)).then(own(b).cmp(&own(a))).then(a.prefix.len().cmp(&b.prefix.len()))
    });
    let mut places = places.into_iter();
    let mut first = places.next()?;
    first.equals = places.filter(|place| (place.present, place.exact) == (first.present, first.exact)).map(|place| place.prefix).collect();
    Some(first)
}

/// Has the columns that tell a row, in whatever letter case.
fn holds(table: &TableDescription, rule: &TableRule) -> bool {
    let has = |name: &String| table.columns.iter().any(|column| column.column.name.eq_ignore_ascii_case(name));
    rule.key.as_ref().is_none_or(|key| key.iter().all(has))
}

fn is_key(table: &TableDescription, rule: &TableRule) -> bool {
    let lower = |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase()).collect::<BTreeSet<_>>();
    rule.key.as_ref().is_none_or(|key| lower(key) == lower(&table.key))
}
