//! Where one site differs in its columns: other values for the same things, columns of its own that rosterd fills, and columns
//! that always have one value there. Engines read and write through this, so that all of them differ alike.

use std::collections::HashSet;

use super::{Cell, Family, Image, Key, Refusal, SiteColumn, SiteTable, Value, fit, read};

const NO_ENTRY_HERE: Refusal = Refusal("a value that has no entry in the column's `values`");
const NO_ENTRY_SHARED: Refusal = Refusal("a shared value that has no entry in the column's `values` at this site");

/// Shared values and what stands for each at one site, one to one. NULL is NULL on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueMap {
    pairs: Vec<(Value, Value)>,
}

impl ValueMap {
    /// Of shared values and, in the canonical form of the site's own column, the site's. None when it is not one to one.
    pub fn new(pairs: Vec<(Value, Value)>) -> Option<ValueMap> {
        let (mut shared, mut here) = (HashSet::new(), HashSet::new());
        let once = pairs.iter().all(|pair| shared.insert(&pair.0) && here.insert(&pair.1));
        once.then_some(ValueMap { pairs })
    }

    pub fn shared_values(&self) -> impl Iterator<Item = &Value> {
        self.pairs.iter().map(|(shared, _)| shared)
    }

    fn shared(&self, value: &Value) -> Result<Value, Refusal> {
        let found = self.pairs.iter().find(|(_, here)| here == value);
        found.map(|(shared, _)| shared.clone()).ok_or(NO_ENTRY_HERE)
    }

    fn here(&self, value: &Value) -> Result<&Value, Refusal> {
        self.pairs.iter().find(|(shared, _)| shared == value).map(|(_, here)| here).ok_or(NO_ENTRY_SHARED)
    }
}

impl SiteColumn {
    /// The canonical form in `family` of what the column holds.
    pub fn read(&self, value: Value, family: Family) -> Result<Value, Refusal> {
        match (&self.values, self.ty.family()) {
            (Some(_), _) if value == Value::Null => Ok(Value::Null),
            (Some(map), Some(own)) => map.shared(&read(value, &self.ty, own)?),
            _ => read(value, &self.ty, family),
        }
    }

    /// The form in which a canonical value is written into the column.
    pub fn fit(&self, value: &Value) -> Result<Value, Refusal> {
        match &self.values {
            Some(map) if *value != Value::Null => fit(map.here(value)?, &self.ty),
            _ => fit(value, &self.ty),
        }
    }
}

/// What rosterd writes into a column when it inserts a row at the site and the roster has no value for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Number in [`SiteTable::columns`].
    pub column: usize,
    /// Fitted to the column's type.
    pub value: Value,
    /// What the column then gives back, in its own family. Some: rows with another value there are not shared from this site.
    pub constant: Option<Value>,
}

/// Why an image does not name its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unnamed {
    /// Its key has no canonical form, so it is no row of the roster's.
    Refused(&'static str),
    /// The image leaves out part of the key.
    LeftOut,
}

impl SiteTable {
    /// The canonical family of a column, also of one that is this site's own.
    pub fn family(&self, column: usize) -> Family {
        let own = || self.columns.get(column).and_then(Option::as_ref).and_then(|column| column.ty.family());
        self.table.columns.get(column).map(|shared| shared.family).or_else(own).unwrap_or(Family::Text)
    }

    /// The number of the shared column that the site calls so. Columns that are the site's own have none.
    pub fn shared_column(&self, name: &str) -> Option<usize> {
        self.shared_columns().iter().position(|column| column.as_ref().is_some_and(|column| column.name == name))
    }

    /// The shared columns, in their numbers' order.
    pub fn shared_columns(&self) -> &[Option<SiteColumn>] {
        &self.columns[..self.table.columns.len().min(self.columns.len())]
    }

    /// The row that an image of all columns shows to the roster: the shared ones. None: it has another value where this site's
    /// shared rows have a constant.
    pub fn shared(&self, mut image: Image) -> Option<Image> {
        let constants = self.fills.iter().filter_map(|fill| Some((fill.column, fill.constant.as_ref()?)));
        for (column, constant) in constants {
            if !matches!(image.get(column), Some(Cell::Value(value)) if value == constant) {
                return None;
            }
        }
        image.truncate(self.table.columns.len());
        Some(image)
    }

    /// The key in an image.
    pub fn key_in(&self, image: &Image) -> Result<Key, Unnamed> {
        let value = |column: &usize| match image.get(*column) {
            Some(Cell::Value(value)) => Ok(value.clone()),
            Some(Cell::Refused(reason)) => Err(Unnamed::Refused(reason)),
            Some(Cell::Unchanged) | None => Err(Unnamed::LeftOut),
        };
        self.table.key.iter().map(value).collect::<Result<_, _>>().map(Key)
    }

    /// What an insert writes beside the columns `given`.
    pub fn filled(&self, given: impl Fn(usize) -> bool) -> impl Iterator<Item = (usize, Value)> {
        self.fills.iter().filter(move |fill| !given(fill.column)).map(|fill| (fill.column, fill.value.clone()))
    }
}
