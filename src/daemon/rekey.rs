//! Giving a row that stands apart a key of its own: at its home site, with everything there that refers to it.
//!
//! It is done in one transaction as an application would do it, without a marker: what comes back through the site's log is a
//! delete under the old key and an insert under the new one, and the merge does the rest.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Daemon, Member};
use crate::capture::lock;
use crate::config::SiteConfig;
use crate::ledger::{self, Ledger, QuarantineKind};
use crate::model::{Class, Key, SiteTable, Table, TableId, Value};
use crate::ops::history;
use crate::sites::binding::{self, PlannedTable};
use crate::sites::{Site, TableDescription};

/// A row and the key that it is to get.
struct Move {
    site: String,
    table: TableId,
    old: i64,
    new: i64,
}

impl Daemon {
    /// Gives the row another key, or says what would be done.
    pub(super) async fn rekey(&self, name: &str, to: Option<i64>, go: bool) -> Result<String, String> {
        let named = name.to_owned();
        let classes: HashMap<String, Class> =
            self.members.iter().map(|member| (member.config.name.clone(), member.config.ids.class)).collect();
        let planned = self.ledger.call(move |ledger| plan(ledger, &named, to, &classes)).await.map_err(|error| error.to_string())??;
        let member = self.member(&planned.site).ok_or_else(|| format!("site {} is not configured any more", planned.site))?;
        let descriptions = member.site.describe().await.map_err(|error| error.to_string())?;
        let tables: Vec<_> = lock(&self.plan).clone();
        let (mut sql, what) = statements(member, &tables, &descriptions, &planned)?;
        if !go {
            let command = format!("rosterd quarantine resolve {name} --rekey --to {} --yes", planned.new);
            sql.insert(0, format!("At site {}, in one transaction, {what}:", planned.site));
            sql.push(format!("To do it: {command}"));
            return Ok(sql.join("\n  ").replace("\n  To do it", "\nTo do it"));
        }
        member.site.transact(&sql).await.map_err(|error| format!("nothing has been changed: {error}"))?;
        crate::crash_point!("rekey.done", planned.site);
        Ok(format!("at site {} {what}; it goes to the other sites now, and the merged row to this one", planned.site))
    }
}

/// The new key is `to`, or the next of the site's own class above all there are.
fn plan(ledger: &mut Ledger, name: &str, to: Option<i64>, classes: &HashMap<String, Class>) -> ledger::Result<Result<Move, String>> {
    let Some((site, record)) = history::named(ledger, name)? else {
        return Ok(Err(history::no_such_row(name)));
    };
    if record.kind != QuarantineKind::Apart {
        return Ok(Err(format!("{name} does not stand apart: only a row that is another person's needs another key")));
    }
    let [Value::Int(old)] = record.key.0[..] else {
        return Ok(Err("the table's key is not one number: give the row another key at its site yourself; it is shared then".into()));
    };
    let highest = ledger.highest_key(record.table)?.max(old);
    let next = || classes.get(&site.name).and_then(|class| class.next_from(highest + 1)).unwrap_or(highest + 1);
    let new = to.unwrap_or_else(next);
    if ledger.load(record.table, &Key(vec![Value::Int(new)]))?.0.is_some() || new == old {
        return Ok(Err(format!("the key {new} is taken; leave --to out for a free one")));
    }
    Ok(Ok(Move { site: site.name, table: record.table, old, new }))
}

type Planned = [(PlannedTable, Arc<Table>)];

/// The statements, and what they do in words.
fn statements(
    member: &Member,
    tables: &Planned,
    descriptions: &[TableDescription],
    planned: &Move,
) -> Result<(Vec<String>, String), String> {
    let (site, config) = (member.site.as_ref(), &member.config);
    let unbound = |name: &str| format!("table {name} does not fit site {} as it is; see `rosterd check`", config.name);
    let bound =
        |(rule, table): &(PlannedTable, Arc<Table>)| binding::bind(config, rule, table, descriptions).map_err(|_| unbound(&table.name));
    let own = tables.iter().find(|(_, table)| table.id == planned.table).ok_or_else(|| unbound("of the row"))?;
    let table = bound(own)?;
    let mut sql = own_row(site, config, &table, descriptions, planned)?;
    let delete = sql.pop();
    let mut with = Vec::new();
    let target = format!("{}.{}", own.1.name, own.1.columns[own.1.key[0]].name);
    for child in tables {
        for (column, _) in child.0.rule.references.iter().flatten().filter(|(_, reference)| **reference == target) {
            let child = bound(child)?;
            let Some(at_site) = child.table.column(column).and_then(|column| child.columns[column].as_ref()) else { continue };
            let (name, column) = (full_name(site, &child), site.quoted(&at_site.name));
            sql.push(format!("UPDATE {name} SET {column} = {} WHERE {column} = {}", planned.new, planned.old));
            if !with.contains(&child.name) {
                with.push(child.name.clone());
            }
        }
    }
    sql.extend(delete);
    let with = if with.is_empty() { String::new() } else { format!(", with what refers to it in {}", with.join(", ")) };
    Ok((sql, format!("{} {} becomes {}{with}", own.1.name, planned.old, planned.new)))
}

/// A copy under the new key first, so that the database's own numbering takes note of it; the old row, last, is deleted. Texts
/// that are unique are out of the way meanwhile.
fn own_row(
    site: &dyn Site,
    config: &SiteConfig,
    table: &SiteTable,
    descriptions: &[TableDescription],
    planned: &Move,
) -> Result<Vec<String>, String> {
    let described = binding::find(config, &table.table.name, descriptions).ok_or("the table is not there any more")?;
    let key = table.columns[table.table.key[0]].as_ref().ok_or("the site has no key column")?.name.clone();
    let unique: Vec<&String> = described.unique.iter().flat_map(|unique| &unique.columns).filter(|column| **column != key).collect();
    let (name, quoted_key) = (full_name(site, table), site.quoted(&key));
    let mut sql = Vec::new();
    for column in &unique {
        let column = site.quoted(column);
        sql.push(format!("UPDATE {name} SET {column} = concat('~~', {column}) WHERE {quoted_key} = {}", planned.old));
    }
    let others =
        || described.columns.iter().filter(|column| !column.generated && column.column.name != key).map(|column| &column.column.name);
    let names: Vec<String> = others().map(|column| site.quoted(column)).collect();
    let value = |column: &String| match unique.contains(&column) {
        true => format!("substr({}, 3)", site.quoted(column)),
        false => site.quoted(column),
    };
    let values: Vec<String> = others().map(value).collect();
    let (names, values) = (names.join(", "), values.join(", "));
    let (old, new) = (planned.old, planned.new);
    sql.push(format!("INSERT INTO {name} ({quoted_key}, {names}) SELECT {new}, {values} FROM {name} WHERE {quoted_key} = {old}"));
    sql.push(format!("DELETE FROM {name} WHERE {quoted_key} = {old}"));
    Ok(sql)
}

fn full_name(site: &dyn Site, table: &SiteTable) -> String {
    format!("{}.{}", site.quoted(&table.schema), site.quoted(&table.name))
}
