//! One `[site.table.NAME]`: where a site differs in a shared table.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::error::{Fault, Report};
use super::raw::{RawSiteTable, RawValue};
use super::{Role, SiteTableRule};
use crate::model::Value;

/// The rules of one site, by shared table; all problems go to `report`.
pub(super) fn site_tables(
    raw: BTreeMap<String, Spanned<RawSiteTable>>,
    site: &str,
    role: Option<Role>,
    report: &mut Report<'_>,
) -> BTreeMap<String, SiteTableRule> {
    let mut tables = BTreeMap::new();
    for (table, raw) in raw {
        let place = format!("{site}, table \"{table}\"");
        let rule = Place { name: &place, is_hub: role == Some(Role::Hub), report }.rule(raw.into_inner());
        tables.insert(table, rule);
    }
    tables
}

/// Where problems of one site's table go.
struct Place<'p, 'r> {
    name: &'p str,
    is_hub: bool,
    report: &'p mut Report<'r>,
}

impl Place<'_, '_> {
    fn fault(&mut self, span: Range<usize>, cause: impl Into<String>, advice: impl Into<String>) {
        self.report.add(Some(span), self.name, Fault::new(cause, advice));
    }

    fn rule(&mut self, raw: RawSiteTable) -> SiteTableRule {
        if let Some(name) = raw.name.as_ref().filter(|name| name.get_ref().is_empty()) {
            self.fault(name.span(), "its name here is empty", "name it, or leave `name` out");
        }
        self.columns(&raw.columns);
        self.lacks(&raw);
        for (column, constant) in &raw.constants {
            if raw.defaults.contains_key(column) || raw.columns.contains_key(column) {
                let cause = format!("column `{column}` is in constants and in defaults or columns");
                self.fault(constant.span(), cause, "a constant is for a column that this site alone has: keep one of the two");
            }
        }
        let values = raw.values.into_iter().map(|(column, map)| (column.clone(), self.values(&column, map))).collect();
        SiteTableRule {
            name: raw.name.map(Spanned::into_inner),
            columns: raw.columns.into_iter().map(|(shared, here)| (shared, here.into_inner())).collect(),
            lacks: raw.lacks.map(Spanned::into_inner).unwrap_or_default(),
            defaults: self.literals(raw.defaults),
            constants: self.literals(raw.constants),
            values,
        }
    }

    fn columns(&mut self, columns: &BTreeMap<String, Spanned<String>>) {
        let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
        for (shared, here) in columns {
            if here.get_ref().is_empty() {
                let cause = format!("column `{shared}` has an empty name here");
                self.fault(
                    here.span(),
                    cause,
                    "name it; `lacks` is for a column that this site has not, `exclude` leaves one out everywhere",
                );
            } else if let Some(other) = taken.insert(here.get_ref(), shared) {
                let cause = format!("columns `{other}` and `{shared}` are both called `{}` here", here.get_ref());
                self.fault(here.span(), cause, "give each its own");
            }
        }
    }

    fn lacks(&mut self, raw: &RawSiteTable) {
        let Some(lacks) = &raw.lacks else { return };
        if self.is_hub && !lacks.get_ref().is_empty() {
            let advice = "the hub's table says which columns are shared: `exclude` in [[table]] leaves one out";
            return self.fault(lacks.span(), "lacks is for clients", advice);
        }
        for (at, column) in lacks.get_ref().iter().enumerate() {
            let named = [("columns", raw.columns.contains_key(column)), ("defaults", raw.defaults.contains_key(column))];
            let named =
                named.into_iter().chain([("constants", raw.constants.contains_key(column)), ("values", raw.values.contains_key(column))]);
            if let Some((other, _)) = named.into_iter().find(|(_, is)| *is) {
                self.fault(lacks.span(), format!("column `{column}` is in lacks and in {other}"), "take it out of one of the two");
            } else if lacks.get_ref()[..at].contains(column) {
                self.fault(lacks.span(), format!("lacks has the column `{column}` twice"), "keep one");
            }
        }
    }

    /// Shared value and this site's, one to one.
    fn values(&mut self, column: &str, map: Spanned<BTreeMap<String, Spanned<RawValue>>>) -> Vec<(String, Value)> {
        let span = map.span();
        if self.is_hub {
            let advice = "the shared values are the hub's own: give `values` at the sites that have others";
            self.fault(span.clone(), format!("values of `{column}` at the hub"), advice);
        }
        if map.get_ref().is_empty() {
            self.fault(span, format!("values of `{column}` are empty"), "write shared value = value here, as in { editor = 4 }");
        }
        let mut pairs: Vec<(String, Value)> = Vec::new();
        for (shared, here) in map.into_inner() {
            let span = here.span();
            let Some(value) = self.literal(&shared, here) else { continue };
            if let Some((other, _)) = pairs.iter().find(|(_, known)| *known == value) {
                let cause = format!("values of `{column}`: `{other}` and `{shared}` are the same here");
                self.fault(span, cause, "give each its own, or the way back is not known");
            }
            pairs.push((shared, value));
        }
        pairs
    }

    fn literals(&mut self, raw: BTreeMap<String, Spanned<RawValue>>) -> BTreeMap<String, Value> {
        raw.into_iter().filter_map(|(column, value)| self.literal(&column.clone(), value).map(|value| (column, value))).collect()
    }

    fn literal(&mut self, name: &str, raw: Spanned<RawValue>) -> Option<Value> {
        let span = raw.span();
        Some(match raw.into_inner() {
            RawValue::Truth(truth) => Value::Int(truth.into()),
            RawValue::Whole(n) => Value::Int(n),
            RawValue::Float(x) if x.is_finite() => Value::float(x),
            RawValue::Float(_) => {
                self.fault(span, format!("`{name}` is infinite or not a number"), "write a finite number, or text in quotes");
                return None;
            }
            RawValue::Text(text) => Value::Text(text),
        })
    }
}
