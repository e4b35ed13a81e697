//! Filters: which rows of a table are shared. Evaluated here, by one meaning, whatever the site's engine.
//!
//! Comparison is exact (text by code points, as canonical values are) and three-valued: a row is shared only when the
//! predicate is true, so NULL leaves a row out as WHERE does.

use std::cmp::Ordering;
use std::str::Chars;

use super::{Cell, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A column, by its name in the shared table.
    Column(String),
    Literal(Value),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predicate {
    Compare(Operand, Comparison, Operand),
    /// `IS DISTINCT FROM`, in which NULL is a value like others; negated: `<=>`.
    Distinct {
        a: Operand,
        b: Operand,
        negated: bool,
    },
    In {
        operand: Operand,
        list: Vec<Operand>,
        negated: bool,
    },
    Between {
        operand: Operand,
        low: Operand,
        high: Operand,
        negated: bool,
    },
    Like {
        operand: Operand,
        pattern: String,
        negated: bool,
    },
    IsNull {
        operand: Operand,
        negated: bool,
    },
    Not(Box<Predicate>),
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
}

impl Comparison {
    pub fn is_equality(self) -> bool {
        matches!(self, Comparison::Equal | Comparison::NotEqual)
    }
}

impl Predicate {
    /// True, false or unknown for the row whose columns `cell` looks up by name; unchanged cells count as unknown.
    pub fn evaluate<'a>(&'a self, cell: &dyn Fn(&str) -> Option<&'a Cell>) -> Option<bool> {
        let value = |operand: &'a Operand| -> Option<&'a Value> {
            match operand {
                Operand::Literal(value) => Some(value),
                Operand::Column(name) => match cell(name)? {
                    Cell::Value(value) => Some(value),
                    _ => None,
                },
            }
        };
        let compare = |a, b| -> Option<Ordering> { value(a)?.compare(value(b)?) };
        match self {
            Predicate::Compare(a, how, b) => compare(a, b).map(|order| match how {
                Comparison::Equal => order.is_eq(),
                Comparison::NotEqual => order.is_ne(),
                Comparison::Less => order.is_lt(),
                Comparison::LessOrEqual => order.is_le(),
                Comparison::Greater => order.is_gt(),
                Comparison::GreaterOrEqual => order.is_ge(),
            }),
            Predicate::Distinct { a, b, negated } => {
                let (a, b) = (value(a)?, value(b)?);
                let distinct = match (*a == Value::Null, *b == Value::Null) {
                    (false, false) => a.compare(b)?.is_ne(),
                    (a, b) => a != b,
                };
                Some(distinct != *negated)
            }
            Predicate::In { operand, list, negated } => {
                let mut unknown = false;
                for item in list {
                    match compare(operand, item) {
                        Some(order) if order.is_eq() => return Some(!negated),
                        Some(_) => {}
                        None => unknown = true,
                    }
                }
                if unknown { None } else { Some(*negated) }
            }
            Predicate::Between { operand, low, high, negated } => {
                let inside = and(compare(operand, low).map(Ordering::is_ge), compare(operand, high).map(Ordering::is_le));
                inside.map(|inside| inside != *negated)
            }
            Predicate::Like { operand, pattern, negated } => match value(operand)? {
                Value::Text(text) => Some(like(text, pattern) != *negated),
                _ => None,
            },
            Predicate::IsNull { operand, negated } => match operand {
                Operand::Literal(value) => Some((*value == Value::Null) != *negated),
                Operand::Column(name) => match cell(name)? {
                    Cell::Value(value) => Some((*value == Value::Null) != *negated),
                    _ => None,
                },
            },
            Predicate::Not(inner) => inner.evaluate(cell).map(|truth| !truth),
            Predicate::And(a, b) => and(a.evaluate(cell), b.evaluate(cell)),
            Predicate::Or(a, b) => match (a.evaluate(cell), b.evaluate(cell)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }

    /// Names of the columns it reads.
    pub fn columns(&self) -> Vec<&str> {
        fn named<'a>(operand: &'a Operand, out: &mut Vec<&'a str>) {
            if let Operand::Column(name) = operand {
                out.push(name);
            }
        }
        fn walk<'a>(predicate: &'a Predicate, out: &mut Vec<&'a str>) {
            match predicate {
                Predicate::Compare(a, _, b) | Predicate::Distinct { a, b, .. } => [a, b].into_iter().for_each(|o| named(o, out)),
                Predicate::In { operand, list, .. } => std::iter::once(operand).chain(list).for_each(|o| named(o, out)),
                Predicate::Between { operand, low, high, .. } => [operand, low, high].into_iter().for_each(|o| named(o, out)),
                Predicate::Like { operand, .. } | Predicate::IsNull { operand, .. } => named(operand, out),
                Predicate::Not(inner) => walk(inner, out),
                Predicate::And(a, b) | Predicate::Or(a, b) => [a, b].into_iter().for_each(|p| walk(p, out)),
            }
        }
        let mut out = Vec::new();
        walk(self, &mut out);
        out
    }
}

fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// SQL LIKE: `%` any run, `_` any one character, a backslash takes the next one literally.
/// Linear in text times pattern: one place to return to suffices, as for shell globs.
fn like(text: &str, pattern: &str) -> bool {
    let (mut text, mut pattern) = (text.chars(), pattern.chars());
    // Where to go on when a run takes one character more.
    let mut retry: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let mut next = pattern.clone();
        let wanted = next.next();
        if wanted == Some('%') {
            retry = Some((text.clone(), next.clone()));
            pattern = next;
            continue;
        }
        let mut rest = text.clone();
        let Some(c) = rest.next() else { return pattern.all(|c| c == '%') };
        let fits = match wanted {
            Some('_') => true,
            // At the end of the pattern it stands for itself.
            Some('\\') => next.next().unwrap_or('\\') == c,
            wanted => wanted == Some(c),
        };
        if fits {
            (text, pattern) = (rest, next);
            continue;
        }
        let Some((from, after)) = &mut retry else { return false };
        from.next();
        (text, pattern) = (from.clone(), after.clone());
    }
}
