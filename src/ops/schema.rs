//! What `check` says of one site's tables, whatever its engine.

use std::sync::Arc;

use super::check::Subject;
use crate::model::{SiteTable, Table};
use crate::sites::binding::{self, PlannedTable};
use crate::sites::{Finding, TableDescription};

/// Judges each shared table that the site has.
pub fn judge(subject: &mut Subject, tables: &[(PlannedTable, Arc<Table>)]) {
    let mut found = Vec::new();
    let shared: Vec<(&str, &str)> = subject.bound.iter().map(|bound| (bound.schema.as_str(), bound.name.as_str())).collect();
    for (planned, _) in tables {
        let Some(bound) = subject.bound.iter().find(|bound| bound.table.name == planned.name) else { continue };
        let Some(description) = binding::find(&subject.config, &planned.name, &subject.tables) else { continue };
        let before = found.len();
        key(planned, bound, description, &mut found);
        triggers(planned, description, &mut found);
        parents(planned, description, &shared, &mut found);
        if found.len() == before {
            let columns = super::status::counted(bound.shared_columns().iter().flatten().count() as u64, "column", "columns");
            found.push(Finding::fine(
                format!("table {}", planned.name),
                format!("{columns} shared, about {} rows", description.rows_estimated),
            ));
        }
    }
    let ours: Vec<(&str, &TableDescription)> = subject
        .bound
        .iter()
        .filter_map(|bound| Some((bound.table.name.as_str(), binding::find(&subject.config, &bound.table.name, &subject.tables)?)))
        .collect();
    for child in subject.tables.iter().filter(|table| !shared.contains(&(table.schema.as_str(), table.name.as_str()))) {
        children(child, &ours, &mut found);
    }
    subject.found.extend(found);
}

/// Rows are found by their key at every site: it must be unique there.
pub(super) fn key(planned: &PlannedTable, bound: &SiteTable, description: &TableDescription, found: &mut Vec<Finding>) {
    let mut names: Vec<&str> =
        bound.table.key.iter().filter_map(|at| bound.columns[*at].as_ref()).map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    let same = |columns: &[String]| {
        let mut columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        columns.sort_unstable();
        columns == names
    };
    if !same(&description.key) && !description.unique.iter().any(|unique| same(&unique.columns)) {
        let text = format!("its key ({}) is not unique here: no primary or unique key has exactly these columns", planned.key.join(", "));
        let remedy = format!("ALTER TABLE {} ADD UNIQUE ({})", description.name, names.join(", "));
        found.push(Finding::error(subject_of(planned), text, remedy));
    }
}

fn triggers(planned: &PlannedTable, description: &TableDescription, found: &mut Vec<Finding>) {
    if !description.triggers.is_empty() {
        let text = format!(
            "applications' triggers run on rosterd's writes too ({}); what they change in shared tables is taken as a change made here",
            description.triggers.join(", ")
        );
        found.push(Finding::warning(subject_of(planned), text, "make sure that they do no harm when a row comes from another site"));
    }
}

/// Foreign keys of a shared table.
fn parents(planned: &PlannedTable, description: &TableDescription, shared: &[(&str, &str)], found: &mut Vec<Finding>) {
    for foreign in &description.foreign {
        let (schema, parent) = foreign.parent.rsplit_once('.').unwrap_or((&description.schema, &foreign.parent));
        let name = &foreign.name;
        if !shared.contains(&(schema, parent)) {
            let text =
                format!("its foreign key {name} points to {parent}, which is not shared: rows whose parent is missing here are held back");
            found.push(Finding::warning(
                subject_of(planned),
                text,
                format!("share {parent}, or ALTER TABLE {} DROP FOREIGN KEY {name}", description.name),
            ));
        } else if foreign.cascades {
            let text = format!("its foreign key {name} to {parent} changes rows by itself; engines don't all log that as changes of rows");
            let remedy = format!("let the application delete these rows, and make {name} ON DELETE RESTRICT ON UPDATE RESTRICT");
            found.push(Finding::warning(subject_of(planned), text, remedy));
        }
    }
}

/// Foreign keys of tables that stay local, onto shared ones.
fn children(child: &TableDescription, ours: &[(&str, &TableDescription)], found: &mut Vec<Finding>) {
    for foreign in child.foreign.iter() {
        let (schema, parent) = foreign.parent.rsplit_once('.').unwrap_or((&child.schema, &foreign.parent));
        let Some((shared, _)) = ours.iter().find(|(_, table)| table.schema == schema && table.name == parent) else { continue };
        let (text, remedy) = match foreign.cascades {
            true => (
                format!("a row deleted at another site changes rows of {} here too, by its foreign key {}", child.name, foreign.name),
                "nothing, if that is meant; else make it ON DELETE RESTRICT".to_owned(),
            ),
            false => (
                format!(
                    "a row deleted at another site is held back here while {} refers to it, by its foreign key {}",
                    child.name, foreign.name
                ),
                format!("make {} ON DELETE CASCADE or SET NULL, or delete such rows here first", foreign.name),
            ),
        };
        found.push(Finding::warning(format!("table {shared}"), text, remedy));
    }
}

fn subject_of(planned: &PlannedTable) -> String {
    format!("table {}", planned.name)
}
