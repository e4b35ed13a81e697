//! How sites' databases give out numbers for keys, as `check` is told it.

use super::Finding;
use crate::model::Class;

/// One table's, at one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbering {
    pub given: Given,
    /// What else is to be said of it.
    pub notes: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// Numbers of one class.
    Class {
        class: Class,
        /// What says so: `auto_increment_increment = 10, auto_increment_offset = 3`.
        by: String,
        /// What makes it the class that was asked for.
        remedy: String,
    },
    /// Each number that comes after the highest: the engine knows no classes.
    Consecutive,
    /// Nothing in the database is known to.
    Unknown,
}
