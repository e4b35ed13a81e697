//! Texts as numbers, so that a row of the test is a few numbers whatever its columns are.

use std::cell::RefCell;

thread_local! {
    static NAMES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Larger than all numbers that are numbers.
const FIRST: i64 = 1 << 40;

/// The number that stands for a text.
pub fn number_of(text: &str) -> i64 {
    NAMES.with_borrow_mut(|names| {
        let at = names.iter().position(|name| name == text).unwrap_or_else(|| {
            names.push(text.to_owned());
            names.len() - 1
        });
        FIRST + at as i64
    })
}

/// The text that a number stands for, if it does.
pub fn text_of(number: i64) -> Option<String> {
    let at = usize::try_from(number.checked_sub(FIRST)?).ok()?;
    NAMES.with_borrow(|names| names.get(at).cloned())
}
