//! A filter's literals in the form that its columns' values have. What engines read differently, such as a number compared with
//! text, is refused by name, so that a filter means the same at every site and here.

use super::{Date, DateTime, Family, Operand, Predicate, Value, canonical};

/// Why a filter has no one meaning. Never the value of a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread {
    /// What it does: `compares uid, a whole number, with text`.
    pub text: String,
    pub advice: String,
}

/// What a filter asks of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asks {
    Presence,
    Equality,
    Order,
    Pattern,
}

impl Predicate {
    /// The same predicate for columns of these families. A column that `family` does not know is left as it is.
    pub fn typed(&self, family: &dyn Fn(&str) -> Option<Family>) -> Result<Predicate, Misread> {
        let typing = Typing { family };
        Ok(match self {
            Predicate::Compare(a, how, b) => {
                let (a, b) = typing.pair(a, b)?;
                Predicate::Compare(a, *how, b)
            }
            Predicate::Distinct { a, b, negated } => {
                let (a, b) = typing.pair(a, b)?;
                Predicate::Distinct { a, b, negated: *negated }
            }
            Predicate::In { operand, list, negated } => {
                let list = list.iter().map(|item| Ok(typing.pair(operand, item)?.1)).collect::<Result<_, _>>()?;
                Predicate::In { operand: operand.clone(), list, negated: *negated }
            }
            Predicate::Between { operand, low, high, negated } => {
                let (low, high) = (typing.pair(operand, low)?.1, typing.pair(operand, high)?.1);
                Predicate::Between { operand: operand.clone(), low, high, negated: *negated }
            }
            Predicate::Like { operand, .. } => {
                typing.pattern(operand)?;
                self.clone()
            }
            Predicate::IsNull { .. } => self.clone(),
            Predicate::Not(inner) => Predicate::Not(Box::new(inner.typed(family)?)),
            Predicate::And(a, b) => Predicate::And(Box::new(a.typed(family)?), Box::new(b.typed(family)?)),
            Predicate::Or(a, b) => Predicate::Or(Box::new(a.typed(family)?), Box::new(b.typed(family)?)),
        })
    }

    /// What it asks of each column that it reads.
    pub fn asks(&self) -> Vec<(&str, Asks)> {
        match self {
            Predicate::Compare(a, how, b) => of(&[a, b], if how.is_equality() { Asks::Equality } else { Asks::Order }),
            Predicate::Distinct { a, b, .. } => of(&[a, b], Asks::Equality),
            Predicate::In { operand, list, .. } => {
                let all: Vec<&Operand> = std::iter::once(operand).chain(list).collect();
                of(&all, Asks::Equality)
            }
            Predicate::Between { operand, low, high, .. } => of(&[operand, low, high], Asks::Order),
            Predicate::Like { operand, .. } => of(&[operand], Asks::Pattern),
            Predicate::IsNull { operand, .. } => of(&[operand], Asks::Presence),
            Predicate::Not(inner) => inner.asks(),
            Predicate::And(a, b) | Predicate::Or(a, b) => a.asks().into_iter().chain(b.asks()).collect(),
        }
    }
}

fn of<'a>(operands: &[&'a Operand], asks: Asks) -> Vec<(&'a str, Asks)> {
    let named = |operand: &&'a Operand| match operand {
        Operand::Column(name) => Some((name.as_str(), asks)),
        Operand::Literal(_) => None,
    };
    operands.iter().filter_map(named).collect()
}

struct Typing<'f> {
    family: &'f dyn Fn(&str) -> Option<Family>,
}

impl Typing<'_> {
    fn pair(&self, a: &Operand, b: &Operand) -> Result<(Operand, Operand), Misread> {
        Ok(match (a, b) {
            (Operand::Column(name), Operand::Literal(value)) => (a.clone(), Operand::Literal(self.literal(name, value)?)),
            (Operand::Literal(value), Operand::Column(name)) => (Operand::Literal(self.literal(name, value)?), b.clone()),
            (Operand::Column(one), Operand::Column(other)) => {
                self.columns(one, other)?;
                (a.clone(), b.clone())
            }
            (Operand::Literal(one), Operand::Literal(other)) => {
                let plain = |value: &Value| is_number(value) || *value == Value::Null;
                if !plain(one) || !plain(other) {
                    return Err(misread("compares two literals that are no numbers", "compare a column"));
                }
                (a.clone(), b.clone())
            }
        })
    }

    fn columns(&self, one: &str, other: &str) -> Result<(), Misread> {
        let (Some(a), Some(b)) = ((self.family)(one), (self.family)(other)) else { return Ok(()) };
        let number = |family| matches!(family, Family::Integer | Family::Decimal | Family::Float);
        if a == Family::Json || b == Family::Json {
            return Err(json(if a == Family::Json { one } else { other }));
        }
        if a != b && !(number(a) && number(b)) {
            let text = format!("compares {one}, {}, with {other}, {}", noun(a), noun(b));
            return Err(misread(text, "compare columns of one kind"));
        }
        Ok(())
    }

    fn pattern(&self, operand: &Operand) -> Result<(), Misread> {
        match operand {
            Operand::Column(name) => match (self.family)(name) {
                None | Some(Family::Text) => Ok(()),
                Some(other) => Err(misread(format!("has LIKE for {name}, {}", noun(other)), "LIKE is for text: compare it otherwise")),
            },
            Operand::Literal(_) => Err(misread("has LIKE for a literal", "name a column before LIKE")),
        }
    }

    /// A literal that is compared with the column.
    fn literal(&self, column: &str, value: &Value) -> Result<Value, Misread> {
        let Some(family) = (self.family)(column) else { return Ok(value.clone()) };
        if family == Family::Json {
            return Err(json(column));
        }
        let refused = |advice: &str| {
            let what = match value {
                Value::Float(_) => "a number with an exponent",
                Value::Text(_) => "text",
                Value::Bytes(_) => "bytes",
                _ => "a number",
            };
            Err(misread(format!("compares {column}, {}, with {what}", noun(family)), advice))
        };
        match (family, value) {
            (_, Value::Null) => Ok(Value::Null),
            (Family::Integer | Family::Decimal, Value::Float(_)) => refused("write all its digits: with an exponent some engines round"),
            // A whole number's column compares exactly with a fraction too.
            (Family::Integer, value) if is_number(value) => Ok(canonical(value.clone(), family).unwrap_or_else(|_| value.clone())),
            (Family::Decimal, value) if is_number(value) => canonical(value.clone(), family).or_else(|_| refused("write its digits")),
            (Family::Float, value) if is_number(value) => nearest(value).map_or_else(|| refused("write a finite number"), Ok),
            (Family::Integer | Family::Decimal | Family::Float, _) => {
                refused("write the number without quotes: engines make other numbers of text")
            }
            (Family::Text, Value::Text(_)) | (Family::Bytes, Value::Bytes(_)) => Ok(value.clone()),
            (Family::Text, _) => refused("write it in single quotes: engines compare text with other kinds differently"),
            (Family::Bytes, _) => refused("write the bytes as X'1F'"),
            (Family::Date, Value::Text(text)) => match Date::parse(text).filter(|date| is_one_day(*date)) {
                Some(date) => Ok(Value::Date(date)),
                None => refused("write it as '2026-01-31'"),
            },
            (Family::Time, Value::Text(_)) => canonical(value.clone(), family).or_else(|_| refused("write it as '23:59:59'")),
            (Family::DateTime, Value::Text(text)) => {
                let midnight = || Date::parse(text).map(|date| DateTime { date, us: 0 });
                match DateTime::parse(text).or_else(midnight).filter(|moment| is_one_day(moment.date)) {
                    Some(moment) => Ok(Value::DateTime(moment)),
                    None => refused("write it as '2026-01-31 23:59:59', in UTC"),
                }
            }
            (Family::Date | Family::Time | Family::DateTime, _) => refused("write it in single quotes, as '2026-01-31'"),
            (Family::Json, _) => Err(json(column)),
        }
    }
}

fn misread(text: impl Into<String>, advice: impl Into<String>) -> Misread {
    Misread { text: text.into(), advice: advice.into() }
}

fn json(column: &str) -> Misread {
    misread(format!("compares {column}, which is JSON"), "IS NULL is all that can be asked of JSON: engines compare it differently")
}

/// A day of the calendar, or a zero date: engines that know it agree on it.
fn is_one_day(date: Date) -> bool {
    date.is_day() || date.has_zero()
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Decimal(_))
}

/// The double that a number is compared as with floating point.
fn nearest(value: &Value) -> Option<Value> {
    let x: f64 = match value {
        Value::Float(bits) => f64::from_bits(*bits),
        value => value.reveal().parse().ok()?,
    };
    x.is_finite().then(|| Value::float(x))
}

fn noun(family: Family) -> &'static str {
    match family {
        Family::Integer => "a whole number",
        Family::Decimal => "a decimal number",
        Family::Float => "floating point",
        Family::Text => "text",
        Family::Bytes => "bytes",
        Family::Date => "a date",
        Family::Time => "a time",
        Family::DateTime => "a date and time",
        Family::Json => "JSON",
    }
}
