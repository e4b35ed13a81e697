//! One `[[table]]`: its words to a rule, and what a rule and those before it say together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use super::after_apply::after_apply;
use super::error::{Fault, Report};
use super::filter::filter;
use super::matching::{is_pattern, rule_for};
use super::raw::{RawDirection, RawTable, RawUnique};
use super::sequence::sequence;
use super::words::{self, COLUMN_POLICIES, DELETE_POLICIES, DIRECTIONS, INSERT_POLICIES, LOCAL_WRITES, word};
use super::{ColumnPolicy, Direction, TableRule};

/// Columns of a table at most, in any engine.
const COLUMNS_MAX: usize = 4096;

/// The rule, or None when it has no name; all problems go to `report`.
pub(super) fn rule(raw: Spanned<RawTable>, report: &mut Report<'_>) -> Option<TableRule> {
    let span = raw.span();
    let raw = raw.into_inner();
    let Some(name) = raw.name else {
        report.add(Some(span), "[[table]]", Fault::new("it has no name", "add name = \"...\", a table or a pattern such as field_data_*"));
        return None;
    };
    let place = format!("table \"{}\"", name.get_ref());
    if name.get_ref().trim().is_empty() {
        let fault = Fault::new("its name is empty", "name a table at the hub without prefix, or a pattern such as field_data_*");
        report.add(Some(name.span()), "[[table]]", fault);
        return None;
    }
    let mut at = Place { name: &place, report };
    let (direction, column_direction) = at.direction(raw.direction, raw.local_writes);
    let rule = TableRule {
        optional: raw.optional.unwrap_or(false),
        key: at.columns("key", raw.key, true),
        filter: at.read(raw.filter, filter),
        direction,
        column_direction,
        exclude: at.columns("exclude", raw.exclude, false),
        secret: at.columns("secret", raw.secret, false),
        urgent: raw.urgent,
        conflict: at.conflict(raw.conflict),
        delete: at.read(raw.delete, |text| word("delete", text, &DELETE_POLICIES)),
        insert: at.read(raw.insert, |text| word("insert", text, &INSERT_POLICIES)),
        unique: raw.unique.and_then(|unique| {
            at.check(
                unique.span(),
                match unique.get_ref() {
                    RawUnique::Word(text) => words::unique(text),
                    RawUnique::Rename { rename } => words::rename(rename),
                },
            )
        }),
        initial: at.read(raw.initial, words::initial),
        after_apply: raw.after_apply.map(|list| list.into_iter().filter_map(|text| at.read(Some(text), after_apply)).collect()),
        references: raw.references.map(|references| at.references(references)),
        sequence: at.read(raw.sequence, sequence),
        fuse_rows: at.read_number(raw.fuse_rows, |n| match u64::try_from(n) {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(Fault::new(format!("fuse_rows is {n}"), "give a number of rows from 1 up, or leave it out for no fuse")),
        }),
        fuse_percent: at.read_number(raw.fuse_percent, |n| match u8::try_from(n) {
            Ok(n @ 1..=100) => Ok(n),
            _ => Err(Fault::new(format!("fuse_percent is {n}"), "give a percentage of the table's rows from 1 to 100")),
        }),
        name: name.into_inner(),
    };
    Some(rule)
}

/// Where problems of one table go.
struct Place<'p, 'r> {
    name: &'p str,
    report: &'p mut Report<'r>,
}

impl Place<'_, '_> {
    fn check<T>(&mut self, span: Range<usize>, result: Result<T, Fault>) -> Option<T> {
        self.report.check(span, self.name, result)
    }

    fn read<T>(&mut self, raw: Option<Spanned<String>>, read: impl Fn(&str) -> Result<T, Fault>) -> Option<T> {
        raw.and_then(|raw| self.check(raw.span(), read(raw.get_ref())))
    }

    fn read_number<T>(&mut self, raw: Option<Spanned<i64>>, read: impl Fn(i64) -> Result<T, Fault>) -> Option<T> {
        raw.and_then(|raw| self.check(raw.span(), read(*raw.get_ref())))
    }

    /// A list of column names, each once; a key has at least one.
    fn columns(&mut self, what: &str, raw: Option<Spanned<Vec<String>>>, is_key: bool) -> Option<Vec<String>> {
        let raw = raw?;
        let span = raw.span();
        let columns = raw.into_inner();
        let mut seen = BTreeSet::new();
        let fault = if is_key && columns.is_empty() {
            Some(Fault::new("key is empty", "name its columns, or leave key out for the primary key"))
        } else if columns.len() > COLUMNS_MAX {
            Some(Fault::new(
                format!("{what} has {} columns", columns.len()),
                format!("no table has more than {COLUMNS_MAX}: take some out"),
            ))
        } else if columns.iter().any(|column| column.is_empty()) {
            Some(Fault::new(format!("{what} has an empty column name"), "take it out"))
        } else {
            let twice = columns.iter().find(|column| !seen.insert(column.as_str()));
            twice.map(|column| Fault::new(format!("{what} has the column `{column}` twice"), "keep one"))
        };
        match fault {
            Some(fault) => self.check(span, Err(fault)),
            None => Some(columns),
        }
    }

    /// The table's direction, and those of columns that have their own.
    fn direction(
        &mut self,
        raw: Option<Spanned<RawDirection>>,
        local_writes: Option<Spanned<String>>,
    ) -> (Option<Direction>, BTreeMap<String, Direction>) {
        let writes_span = local_writes.as_ref().map(Spanned::span);
        let keep = self.read(local_writes, |text| word("local_writes", text, &LOCAL_WRITES)).unwrap_or(false);
        let span = raw.as_ref().map_or(0..0, Spanned::span);
        let mut words = match raw.map(Spanned::into_inner) {
            None => BTreeMap::new(),
            Some(RawDirection::All(text)) => BTreeMap::from([("default".to_owned(), text)]),
            Some(RawDirection::ByColumn(words)) => words,
        };
        let default = words.remove("default");
        let mut read = |text: String| {
            let from_hub = self.check(span.clone(), word("direction", &text, &DIRECTIONS))?;
            Some(if from_hub { Direction::FromHub { keep } } else { Direction::Both })
        };
        let default = default.and_then(&mut read);
        let by_column: BTreeMap<_, _> = words.into_iter().filter_map(|(column, text)| Some((column, read(text)?))).collect();
        let from_hub = |direction: &Direction| matches!(direction, Direction::FromHub { .. });
        if let Some(span) = writes_span
            && !default.iter().chain(by_column.values()).any(from_hub)
        {
            let fault =
                Fault::new("local_writes without direction = \"from-hub\"", "give that direction here too, or take local_writes out");
            self.check::<()>(span, Err(fault));
        }
        (default, by_column)
    }

    fn conflict(&mut self, raw: BTreeMap<String, Spanned<String>>) -> BTreeMap<String, ColumnPolicy> {
        let read = |(column, text): (String, Spanned<String>)| {
            let policy = word("conflict policy", text.get_ref(), &COLUMN_POLICIES);
            Some((column, self.check(text.span(), policy)?))
        };
        raw.into_iter().filter_map(read).collect()
    }

    fn references(&mut self, raw: BTreeMap<String, Spanned<String>>) -> BTreeMap<String, String> {
        let mut references = BTreeMap::new();
        for (column, target) in raw {
            match target.get_ref().split_once('.') {
                Some((table, parent)) if !column.is_empty() && !table.is_empty() && !parent.is_empty() && !parent.contains('.') => {
                    references.insert(column, target.into_inner());
                }
                _ => {
                    let cause = format!("references has `{}` for column `{column}`", target.get_ref());
                    self.check::<()>(target.span(), Err(Fault::new(cause, "write table.column, as in { uid = \"users.uid\" }")));
                }
            }
        }
        references
    }
}

/// What the rules for one table, taken together, contradict themselves in. `rules` ends with the one in question.
pub(super) fn contradiction(rules: &[TableRule]) -> Option<Fault> {
    let last = rules.last()?;
    let merged = if is_pattern(&last.name) { last.clone() } else { rule_for(rules, &last.name)? };
    let excluded = merged.exclude.unwrap_or_default();
    let key = merged.key.unwrap_or_default();
    if let Some(column) = excluded.iter().find(|column| key.contains(column)) {
        return Some(Fault::new(format!("its key column `{column}` is in exclude"), "take it out of one of the two"));
    }
    let filter = merged.filter?;
    let column = excluded.iter().find(|column| filter.predicate.columns().contains(&column.as_str()))?;
    Some(Fault::new(format!("its filter reads the column `{column}`, which is in exclude"), "take it out of one of the two"))
}
