//! What filters and after-apply statements share: faults in SQL text, with a caret under the place.

use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, TokenizerError};

use super::error::Fault;

/// Nesting that is read. The parser recurses, and takes some 50 KB of stack for each level in a build without optimization.
pub(super) const DEPTH_MAX: usize = 20;

/// Why SQL text is refused, with the line of `text` that `place` is on and a caret under it.
/// An empty `place` is the end of the text.
pub(super) fn fault_at(text: &str, place: Location, cause: impl Into<String>, advice: impl Into<String>) -> Fault {
    let mut fault = Fault::new(cause, advice);
    let (line, column) = match (place.line, place.column) {
        (0, _) | (_, 0) => (text.lines().last().unwrap_or_default(), text.lines().last().unwrap_or_default().chars().count()),
        (line, column) => (text.lines().nth(line as usize - 1).unwrap_or_default(), column as usize - 1),
    };
    let column = column.min(line.chars().count());
    // Tabs stay tabs, so that the caret stands below its place in any terminal.
    let indent: String = line.chars().take(column).map(|c| if c == '\t' { c } else { ' ' }).collect();
    fault.excerpt = Some(format!("{line}\n{indent}^"));
    fault
}

pub(super) fn token_fault(text: &str, what: &str, error: &TokenizerError) -> Fault {
    fault_at(text, error.location, format!("{what} can't be read: {}", error.message), "mend it at the caret")
}

/// The parser tells the place at the end of its message only.
pub(super) fn syntax_fault(text: &str, what: &str, error: &ParserError) -> Fault {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => "too deeply nested",
    };
    let (message, place) = split_place(message);
    fault_at(text, place, format!("{what} can't be read: {message}"), "mend it at the caret")
}

fn split_place(message: &str) -> (&str, Location) {
    let split = || {
        let (text, place) = message.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        Some((text, Location { line: line.parse().ok()?, column: column.parse().ok()? }))
    };
    split().unwrap_or((message, Location::empty()))
}
