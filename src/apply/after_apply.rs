//! After-apply statements: a table's templates, filled with a row's columns.

use crate::model::{Key, SiteTable, Value};
use crate::resolve::Row;
use crate::sites::{Piece, Statement};

/// A statement of the configuration with the site's table names in place and its columns looked up.
#[derive(Clone, Debug)]
pub struct Template(pub Vec<TemplatePiece>);

#[derive(Clone, Debug)]
pub enum TemplatePiece {
    Sql(String),
    /// Column number in the shared table.
    Column(usize),
}

impl Template {
    /// The statement for one row; None when a column that it needs is not known (a deleted row has its key only).
    pub(super) fn fill(&self, site: &SiteTable, key: &Key, row: &Row) -> Option<Statement> {
        let merged = |column: usize| -> Option<Value> {
            match site.table.key.iter().position(|k| *k == column) {
                Some(at) => key.0.get(at).cloned(),
                None => row.registers.get(column)?.as_ref().map(|register| register.value.clone()),
            }
        };
        // Where the site has another value for it, the statement is about that one.
        let value = |column: usize| match site.columns.get(column)?.as_ref().filter(|here| here.values.is_some()) {
            Some(here) => here.fit(&merged(column)?).ok(),
            None => merged(column),
        };
        let piece = |piece: &TemplatePiece| match piece {
            TemplatePiece::Sql(sql) => Some(Piece::Sql(sql.clone())),
            TemplatePiece::Column(column) => value(*column).map(Piece::Value),
        };
        self.0.iter().map(piece).collect::<Option<Vec<_>>>().map(Statement)
    }
}
