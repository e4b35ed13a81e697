//! What a site's `[site.table.NAME]` makes of its columns: value maps, defaults and constants, fitted to the live table's types.

use std::sync::Arc;

use super::{ColumnDescription, Finding, TableDescription};
use crate::config::SiteTableRule;
use crate::model::{ColumnType, Family, Fill, SiteColumn, Table, Value, ValueMap, canonical, fit, read};

/// One site's rule for one table, and the live table it is for.
pub struct Mapping<'a> {
    pub site: &'a str,
    pub table: &'a Table,
    pub rule: &'a SiteTableRule,
    pub description: &'a TableDescription,
}

impl Mapping<'_> {
    fn error(&self, text: impl Into<String>, key: &str) -> Finding {
        let remedy = format!("correct `{key}` in [site.table.{}] of site {:?}", self.table.name, self.site);
        Finding::error(format!("table {}", self.table.name), text, remedy)
    }

    /// Whether the rule says that the site has no such column.
    pub fn lacks(&self, column: usize) -> Result<bool, Finding> {
        let name = &self.table.columns[column].name;
        if !self.rule.lacks.contains(name) {
            return Ok(false);
        }
        if self.table.key.contains(&column) {
            return Err(self.error(format!("it lacks {name}, a column of the key"), "lacks"));
        }
        Ok(true)
    }

    /// Refuses names in the rule that are none of a shared column.
    pub fn check_names(&self, shared: impl Fn(&str) -> bool) -> Result<(), Finding> {
        let all = self.rule.lacks.iter().map(|name| ("lacks", name));
        let all =
            all.chain(self.rule.values.keys().map(|name| ("values", name))).chain(self.rule.columns.keys().map(|name| ("columns", name)));
        for (key, name) in all {
            // A mapped name that nothing shares does no harm; the rule may be for a column that is excluded for now.
            if key != "columns" && !shared(name) {
                return Err(self.error(format!("`{key}` names {name}, which is not a shared column"), key));
            }
        }
        Ok(())
    }

    /// The values that stand for the shared ones in a column of this site.
    pub fn values(&self, column: usize, here: &SiteColumn) -> Result<Option<Arc<ValueMap>>, Finding> {
        let shared = &self.table.columns[column];
        let Some(pairs) = self.rule.values.get(&shared.name) else { return Ok(None) };
        let mut known = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let shared_value = typed(name, shared.family)
                .ok_or_else(|| self.error(format!("values of {}: `{name}` is no value of the shared column", shared.name), "values"))?;
            let (_, reads) = stored(value, &here.ty).map_err(|why| {
                self.error(format!("values of {}: what stands for `{name}` does not fit here: {why}", shared.name), "values")
            })?;
            known.push((shared_value, reads));
        }
        match ValueMap::new(known) {
            Some(map) => Ok(Some(Arc::new(map))),
            None => Err(self.error(format!("values of {}: two of them are the same value", shared.name), "values")),
        }
    }

    /// What inserts here get, with columns of this site alone added behind `columns`.
    pub fn fills(&self, columns: &mut Vec<Option<SiteColumn>>) -> Result<Vec<Fill>, Finding> {
        let mut fills = Vec::with_capacity(self.rule.defaults.len() + self.rule.constants.len());
        for (name, value) in &self.rule.defaults {
            let shared = self.table.column(name).filter(|column| columns[*column].is_some());
            if shared.is_some_and(|column| self.table.key.contains(&column)) {
                return Err(self.error(format!("`defaults` has {name}, a column of the key"), "defaults"));
            }
            fills.push(self.fill(name, value, shared, false, columns)?);
        }
        for (name, value) in &self.rule.constants {
            let is_shared = self.table.column(name).is_some_and(|column| columns[column].is_some())
                || columns.iter().flatten().any(|column| column.name == *name);
            if is_shared {
                let text = format!("`constants` has {name}, which is shared: `filter` in its [[table]] leaves rows out");
                return Err(self.error(text, "constants"));
            }
            fills.push(self.fill(name, value, None, true, columns)?);
        }
        Ok(fills)
    }

    fn fill(
        &self,
        name: &str,
        value: &Value,
        shared: Option<usize>,
        constant: bool,
        columns: &mut Vec<Option<SiteColumn>>,
    ) -> Result<Fill, Finding> {
        let key = if constant { "constants" } else { "defaults" };
        let column = match shared {
            Some(column) => column,
            None => {
                columns.push(Some(self.own(name, key, columns)?));
                columns.len() - 1
            }
        };
        let ty = columns[column].as_ref().map_or(&ColumnType::Any, |column| &column.ty);
        let (value, reads) =
            stored(value, ty).map_err(|why| self.error(format!("`{key}`: the value for {name} does not fit: {why}"), key))?;
        Ok(Fill { column, value, constant: constant.then_some(reads) })
    }

    /// A column of this site alone.
    fn own(&self, name: &str, key: &str, columns: &[Option<SiteColumn>]) -> Result<SiteColumn, Finding> {
        if columns.iter().flatten().any(|column| column.name == name) {
            return Err(self.error(format!("`{key}` names {name} by its name here; a shared column has its shared name there"), key));
        }
        match self.description.columns.iter().find(|c| c.column.name == name) {
            Some(ColumnDescription { generated: true, .. }) => {
                Err(self.error(format!("`{key}`: column {name} is computed by the database and can't be written"), key))
            }
            Some(ColumnDescription { column, .. }) => match &column.ty {
                ColumnType::Unsupported(ty) => {
                    Err(self.error(format!("`{key}`: column {name} has a type that can't be written ({ty})"), key))
                }
                _ => Ok(column.clone()),
            },
            None => Err(self.error(format!("`{key}`: there is no column {name}"), key)),
        }
    }
}

/// A configured value as a column of type `ty` is given it, and as it gives it back in its own family.
fn stored(value: &Value, ty: &ColumnType) -> Result<(Value, Value), &'static str> {
    let family = ty.family().ok_or("its type can't be shared")?;
    let through = |value| {
        let fitted = fit(&canonical(value, family)?, ty)?;
        let reads = read(fitted.clone(), ty, family)?;
        Ok((fitted, reads))
    };
    through(value.clone()).map_err(|refusal: crate::model::Refusal| refusal.0)
}

/// A shared value from its name in the configuration.
fn typed(text: &str, family: Family) -> Option<Value> {
    let value = match family {
        Family::Integer => Value::Decimal(crate::model::Decimal::parse(text)?),
        Family::Float => Value::float(text.parse().ok().filter(|x: &f64| x.is_finite())?),
        _ => Value::text(text),
    };
    canonical(value, family).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_as_the_column_keeps_them() {
        let small = ColumnType::Int { bits: 8, unsigned: false };
        assert_eq!(stored(&Value::Int(1), &small), Ok((Value::Int(1), Value::Int(1))));
        assert!(stored(&Value::Int(300), &small).is_err());
        assert!(stored(&Value::text("1"), &small).is_err());
        let day = ColumnType::Date { zero: crate::model::ZeroDates::No, span: crate::model::Span::JULIAN_DATES };
        assert!(stored(&Value::text("2026-01-31"), &day).is_ok() && stored(&Value::text("31.1.2026"), &day).is_err());
        let label = ColumnType::Enum(vec!["member".into()]);
        assert!(stored(&Value::text("member"), &label).is_ok() && stored(&Value::text("guest"), &label).is_err());
    }

    #[test]
    fn shared_values_are_of_the_shared_column_s_family() {
        assert_eq!(typed("3", Family::Integer), Some(Value::Int(3)));
        assert_eq!(typed("editor", Family::Integer), None);
        assert_eq!(typed("editor", Family::Text), Some(Value::text("editor")));
        assert_eq!(typed("1.50", Family::Decimal), None, "one spelling only");
    }
}
