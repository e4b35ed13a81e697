//! Shared tables as the roster sees them, and as each site has them.

use std::sync::Arc;

use super::{Allocation, ColumnType, Family, Fill, ValueMap};

/// A shared table's number in the ledger. It never changes and is never given to another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u16);

/// A table that the configuration shares between sites, under its name at the hub without prefix.
#[derive(Clone, Debug)]
pub struct Table {
    pub id: TableId,
    pub name: String,
    /// Every shared column, key columns included. A column's index here is its number in images and in the ledger.
    pub columns: Vec<Column>,
    /// Indexes of the key's columns.
    pub key: Vec<usize>,
    /// Its rows go before those of other tables.
    pub urgent: bool,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    /// The canonical family that values of this column have in the ledger.
    pub family: Family,
    /// Never shown, not even where values are asked for (password hashes, session ids).
    pub secret: bool,
}

impl Table {
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }
}

/// How one site has a shared table.
#[derive(Clone, Debug)]
pub struct SiteTable {
    pub table: Arc<Table>,
    /// MySQL family: the database; PostgreSQL: the schema; SQLite: `main`.
    pub schema: String,
    pub name: String,
    /// For each column of `table`: the site's column, or None where the site has none. Behind them columns of this site alone,
    /// which `fills` names.
    pub columns: Vec<Option<SiteColumn>>,
    /// Other unique keys, as lists of the site's column names.
    pub unique: Vec<UniqueKey>,
    /// How its keys are given out here; None: every site's applications give out none, or the database has no part in it.
    pub allocation: Option<Allocation>,
    /// What rosterd adds to the rows that it inserts here.
    pub fills: Vec<Fill>,
}

#[derive(Clone, Debug)]
pub struct SiteColumn {
    pub name: String,
    pub ty: ColumnType,
    /// Place in the table at the site, counted from 0 over all its columns.
    pub ordinal: usize,
    pub nullable: bool,
    /// Other values for the same things than the shared column has.
    pub values: Option<Arc<ValueMap>>,
}

/// A unique key or constraint other than the primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueKey {
    pub name: String,
    pub columns: Vec<String>,
    /// Compares text without regard to case.
    pub case_insensitive: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    pub name: String,
    pub columns: Vec<String>,
    pub parent: String,
    pub parent_columns: Vec<String>,
    /// Deletes or changes children by itself (CASCADE, SET NULL, SET DEFAULT).
    pub cascades: bool,
}

/// A unique key beside the table's own whose columns are all shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedUnique {
    /// Column numbers, ascending.
    pub columns: Vec<usize>,
    /// Compares text by its folded form: see [`folded`].
    pub folds: bool,
    /// Characters that its last text column holds at most; None: any number, as far as is known.
    pub chars_max: Option<usize>,
}

/// Text as the engines' case-insensitive collations compare it, or more alike: without letter case, accents and trailing spaces.
pub fn folded(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    use unicode_normalization::char::is_combining_mark;
    text.trim_end_matches(' ').nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}

impl SiteTable {
    /// The site's unique keys whose columns are all shared, its own key excepted.
    pub fn shared_unique(&self) -> Vec<SharedUnique> {
        let chars = |column: &usize| match self.columns[*column].as_ref()?.ty {
            ColumnType::Char { chars, .. } => Some(Some(chars as usize)),
            ColumnType::Text { chars_max, .. } => Some(chars_max.map(|chars| chars as usize)),
            _ => None,
        };
        let shared = |unique: &UniqueKey| {
            let mut columns = unique.columns.iter().map(|name| self.shared_column(name)).collect::<Option<Vec<_>>>()?;
            columns.sort_unstable();
            let is_key = columns.len() == self.table.key.len() && columns.iter().all(|column| self.table.key.contains(column));
            let chars_max = columns.iter().rev().find_map(chars).flatten();
            (!is_key).then_some(SharedUnique { columns, folds: unique.case_insensitive, chars_max })
        };
        self.unique.iter().filter_map(shared).collect()
    }
}
