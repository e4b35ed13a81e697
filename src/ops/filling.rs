//! What `check` says of columns that nobody gives a value when rosterd inserts a row: those of one site alone, and shared ones that
//! another site lacks. Each finding has the line that mends it.

use std::sync::Arc;

use super::check::Subject;
use crate::config::Direction;
use crate::model::{ColumnType, Family, SiteTable, Table, Value};
use crate::sites::binding::{self, PlannedTable};
use crate::sites::{ColumnDescription, Finding};

/// Judges every shared table at every site.
pub fn judge(subjects: &mut [Subject], tables: &[(PlannedTable, Arc<Table>)]) {
    for at in 0..subjects.len() {
        let mut found = Vec::new();
        for (planned, _) in tables {
            let Some(bound) = table(&subjects[at], planned) else { continue };
            found.extend(unfilled(&subjects[at], planned, bound));
            found.extend(lacked(subjects, at, planned, bound));
            mapped(planned, bound, &mut found);
        }
        subjects[at].found.extend(found);
    }
}

fn table<'a>(subject: &'a Subject, planned: &PlannedTable) -> Option<&'a Arc<SiteTable>> {
    subject.bound.iter().find(|bound| bound.table.name == planned.name)
}

/// May be left out of an insert, as far as the database is concerned.
fn may_be_left_out(column: &ColumnDescription) -> bool {
    column.has_default || column.generated || column.numbered || column.column.nullable
}

/// Columns of this site alone.
fn unfilled(subject: &Subject, planned: &PlannedTable, bound: &SiteTable) -> Option<Finding> {
    let description = binding::find(&subject.config, &planned.name, &subject.tables)?;
    let written = |column: &&ColumnDescription| bound.columns.iter().flatten().any(|written| written.name == column.column.name);
    let missing: Vec<(&str, &ColumnType)> = description
        .columns
        .iter()
        .filter(|column| !written(column) && !may_be_left_out(column))
        .map(|column| (column.column.name.as_str(), &column.column.ty))
        .collect();
    let text = "not shared, may not be NULL and without a default: inserts will fail here";
    finding(subject, planned, &missing, text)
}

/// Shared columns that some other site lacks: its rows come without a value for them.
fn lacked(subjects: &[Subject], at: usize, planned: &PlannedTable, bound: &SiteTable) -> Option<Finding> {
    // Only what the hub inserts goes anywhere, and the hub has all of it.
    if matches!(planned.rule.direction, Some(Direction::FromHub { .. })) {
        return None;
    }
    let subject = &subjects[at];
    let description = binding::find(&subject.config, &planned.name, &subject.tables)?;
    let others =
        || subjects.iter().enumerate().filter(|(other, _)| *other != at).filter_map(|(_, other)| Some((other, table(other, planned)?)));
    let (mut missing, mut lacking): (Vec<(&str, &ColumnType)>, Vec<&str>) = (Vec::new(), Vec::new());
    for (number, column) in bound.shared_columns().iter().enumerate() {
        let Some(column) = column else { continue };
        let filled = bound.fills.iter().any(|fill| fill.column == number);
        let described = description.columns.iter().find(|described| described.column.name == column.name);
        if filled || bound.table.key.contains(&number) || described.is_none_or(may_be_left_out) {
            continue;
        }
        let sites: Vec<&str> =
            others().filter(|(_, there)| there.columns[number].is_none()).map(|(other, _)| other.config.name.as_str()).collect();
        if !sites.is_empty() {
            missing.push((&bound.table.columns[number].name, &column.ty));
            lacking.extend(sites.into_iter().filter(|site| !lacking.contains(site)).collect::<Vec<_>>());
        }
    }
    let text = format!("lacking at {}, not NULL here and without a default: rows inserted there will fail here", lacking.join(", "));
    finding(subject, planned, &missing, &text)
}

fn finding(subject: &Subject, planned: &PlannedTable, missing: &[(&str, &ColumnType)], what: &str) -> Option<Finding> {
    if missing.is_empty() {
        return None;
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    let noun = if names.len() == 1 { "column" } else { "columns" };
    let text = format!("{noun} {}: {what}", names.join(", "));
    let known = subject.config.tables.get(&planned.name).map(|rule| rule.defaults.iter()).into_iter().flatten();
    let mut entries: Vec<String> = known.map(|(name, value)| entry(name, &written(value))).collect();
    entries.extend(missing.iter().map(|(name, ty)| entry(name, &example(ty))));
    let remedy = format!("in [site.table.{}] of site {:?}: defaults = {{ {} }}", planned.name, subject.config.name, entries.join(", "));
    Some(Finding::error(format!("table {}", planned.name), text, remedy))
}

/// Columns whose values are others here.
fn mapped(planned: &PlannedTable, bound: &SiteTable, found: &mut Vec<Finding>) {
    for (column, here) in bound.table.columns.iter().zip(bound.shared_columns()) {
        if let Some(values) = here.as_ref().and_then(|here| here.values.as_ref()) {
            let text = format!(
                "{} of {} have an entry in `values`; rows with others are held back from this site, and not shared from it",
                super::status::counted(values.shared_values().count() as u64, "value", "values"),
                column.name
            );
            found.push(Finding::fine(format!("table {}", planned.name), text));
        }
    }
}

fn entry(name: &str, value: &str) -> String {
    let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') && !name.is_empty();
    if bare { format!("{name} = {value}") } else { format!("{name:?} = {value}") }
}

/// A configured value as the configuration spells it.
fn written(value: &Value) -> String {
    match value {
        Value::Float(bits) => format!("{:?}", f64::from_bits(*bits)),
        Value::Text(text) => format!("{text:?}"),
        other => other.reveal(),
    }
}

/// A value that the type takes: the emptiest.
fn example(ty: &ColumnType) -> String {
    if let ColumnType::Enum(labels) = ty {
        return format!("{:?}", labels.first().map_or("", String::as_str));
    }
    match ty.family() {
        Some(Family::Integer) => "0",
        Some(Family::Decimal | Family::Float) => "0.0",
        Some(Family::Date) => "\"1970-01-01\"",
        Some(Family::Time) => "\"00:00:00\"",
        Some(Family::DateTime) => "\"1970-01-02 00:00:00\"",
        Some(Family::Json) => "\"{}\"",
        Some(Family::Text | Family::Bytes) | None => "\"\"",
    }
    .to_owned()
}
