//! A filter's text to a predicate: the part of SQL that means the same in every engine, anything else refused by name.

use sqlparser::ast::{BinaryOperator, Expr, Spanned, UnaryOperator, Value as Literal};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::Filter;
use super::error::Fault;
use super::sql::{DEPTH_MAX, fault_at, syntax_fault, token_fault};
use crate::model::{Comparison, Decimal, Operand, Predicate, Value};

/// Keeps the depth of a predicate, which is walked by recursion, within a small stack.
const FILTER_BYTES_MAX: usize = 4096;
const ALLOWED: &str = "a filter has comparisons, IN, BETWEEN, LIKE, IS NULL, IS DISTINCT FROM, NOT, AND, OR, columns and literals";

/// The filter that `text` states.
pub(super) fn filter(text: &str) -> Result<Filter, Fault> {
    if text.len() > FILTER_BYTES_MAX {
        let cause = format!("filter has {} bytes, more than {FILTER_BYTES_MAX}", text.len());
        return Err(Fault::new(cause, "shorten it, with IN or BETWEEN"));
    }
    if text.trim().is_empty() {
        return Err(Fault::new("filter is empty", "leave it out to share every row"));
    }
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|e| token_fault(text, "filter", &e))?;
    let tokens = tokens.into_iter().map(|token| checked(token, text)).collect::<Result<Vec<_>, _>>()?;
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH_MAX).with_tokens_with_locations(tokens);
    let expression = parser.parse_expr().map_err(|e| syntax_fault(text, "filter", &e))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let cause = format!("filter can't be read: it is complete before `{}`", next.token);
        return Err(fault_at(text, next.span.start, cause, "join conditions with AND or OR"));
    }
    let predicate = Reading { text }.predicate(&expression)?;
    Ok(Filter { text: text.into(), predicate })
}

/// `token`, a number written as 0x1F made decimal: the parser would take it for the byte string X'1F'.
fn checked(mut token: TokenWithSpan, text: &str) -> Result<TokenWithSpan, Fault> {
    if let Token::HexStringLiteral(digits) = &token.token {
        let column = (token.span.start.column as usize).saturating_sub(1);
        let line = text.lines().nth((token.span.start.line as usize).saturating_sub(1)).unwrap_or_default();
        if line.chars().nth(column) == Some('0') {
            let number = u64::from_str_radix(digits, 16).map_err(|_| {
                fault_at(text, token.span.start, format!("`0x{digits}` is not a number of 64 bits"), "write it in decimal digits")
            })?;
            token.token = Token::Number(number.to_string(), false);
        }
    }
    Ok(token)
}

struct Reading<'t> {
    text: &'t str,
}

impl Reading<'_> {
    fn predicate(&self, expression: &Expr) -> Result<Predicate, Fault> {
        Ok(match expression {
            Expr::Nested(inner) => self.predicate(inner)?,
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Predicate::Not(self.boxed(expr)?),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => Predicate::And(self.boxed(left)?, self.boxed(right)?),
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => Predicate::Or(self.boxed(left)?, self.boxed(right)?),
            Expr::BinaryOp { left, op: BinaryOperator::Spaceship, right } => self.distinct(left, right, true)?,
            Expr::IsDistinctFrom(left, right) => self.distinct(left, right, false)?,
            Expr::IsNotDistinctFrom(left, right) => self.distinct(left, right, true)?,
            Expr::BinaryOp { left, op, right } => {
                let how = comparison(op).ok_or_else(|| self.refused(expression, &format!("the operator `{op}`")))?;
                Predicate::Compare(self.operand(left)?, how, self.operand(right)?)
            }
            Expr::InList { expr, list, negated } => {
                let list = list.iter().map(|item| self.operand(item)).collect::<Result<_, _>>()?;
                Predicate::In { operand: self.operand(expr)?, list, negated: *negated }
            }
            Expr::Between { expr, negated, low, high } => {
                let (low, high) = (self.operand(low)?, self.operand(high)?);
                Predicate::Between { operand: self.operand(expr)?, low, high, negated: *negated }
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                let pattern = self.pattern(pattern)?;
                Predicate::Like { operand: self.operand(expr)?, pattern, negated: *negated }
            }
            Expr::IsNull(expr) => Predicate::IsNull { operand: self.operand(expr)?, negated: false },
            Expr::IsNotNull(expr) => Predicate::IsNull { operand: self.operand(expr)?, negated: true },
            Expr::Identifier(_) | Expr::Value(_) => {
                let advice = format!("compare it, as in `{expression} = 1`");
                return Err(fault_at(self.text, expression.span().start, format!("`{expression}` alone is not a condition"), advice));
            }
            other => return Err(self.refused(other, name(other))),
        })
    }

    fn distinct(&self, left: &Expr, right: &Expr, negated: bool) -> Result<Predicate, Fault> {
        Ok(Predicate::Distinct { a: self.operand(left)?, b: self.operand(right)?, negated })
    }

    /// In a pattern a backslash takes the wildcard behind it literally. Before anything else engines differ.
    fn pattern(&self, expression: &Expr) -> Result<String, Fault> {
        let Expr::Value(value) = expression else { return Err(self.refused(expression, "a LIKE pattern that is not a string")) };
        let Literal::SingleQuotedString(pattern) = &value.value else {
            return Err(self.refused(expression, "a LIKE pattern that is not a string"));
        };
        if pattern.split('\\').skip(1).any(|rest| !rest.starts_with(['%', '_'])) {
            let cause = "a LIKE pattern has a backslash that is not before % or _";
            return Err(fault_at(self.text, expression.span().start, cause, "engines read it differently: take it out, or write _ for it"));
        }
        Ok(pattern.clone())
    }

    fn boxed(&self, expression: &Expr) -> Result<Box<Predicate>, Fault> {
        self.predicate(expression).map(Box::new)
    }

    fn operand(&self, expression: &Expr) -> Result<Operand, Fault> {
        match expression {
            Expr::Nested(inner) => self.operand(inner),
            Expr::Identifier(ident) if ident.quote_style.is_none_or(|quote| quote == '`') => Ok(Operand::Column(ident.value.clone())),
            Expr::Identifier(ident) => {
                let cause = format!("`{expression}` is a column in some engines and text in MySQL");
                let advice = format!("write `{}` without quotes for the column, '{}' for text", ident.value, ident.value);
                Err(fault_at(self.text, expression.span().start, cause, advice))
            }
            Expr::Value(value) => self.literal(&value.value, false, expression).map(Operand::Literal),
            Expr::UnaryOp { op: sign @ (UnaryOperator::Minus | UnaryOperator::Plus), expr } => match expr.as_ref() {
                Expr::Value(value) if matches!(value.value, Literal::Number(..)) => {
                    self.literal(&value.value, *sign == UnaryOperator::Minus, expr).map(Operand::Literal)
                }
                _ => Err(self.refused(expression, "arithmetic")),
            },
            Expr::CompoundIdentifier(_) => {
                let cause = format!("`{expression}` names a table");
                Err(fault_at(self.text, expression.span().start, cause, "name the column alone: a filter sees one row"))
            }
            other => Err(self.refused(other, name(other))),
        }
    }

    fn literal(&self, literal: &Literal, negative: bool, expression: &Expr) -> Result<Value, Fault> {
        Ok(match literal {
            Literal::Null => Value::Null,
            Literal::Boolean(truth) => Value::Int(i64::from(*truth)),
            Literal::SingleQuotedString(text) if text.contains('\\') => {
                let cause = "filter has a backslash in a string";
                let advice =
                    "MySQL reads it as the beginning of an escape, others as itself: compare with something else, or by LIKE and _";
                return Err(fault_at(self.text, expression.span().start, cause, advice));
            }
            Literal::SingleQuotedString(text) => Value::Text(text.clone()),
            Literal::HexStringLiteral(digits) => {
                Value::Bytes(bytes(digits).ok_or_else(|| self.refused(expression, "a half byte in X'..'"))?)
            }
            Literal::Number(digits, _) => {
                let signed = if negative { format!("-{digits}") } else { digits.clone() };
                number(&signed).ok_or_else(|| self.refused(expression, "this number"))?
            }
            _ => return Err(self.refused(expression, "this kind of literal")),
        })
    }

    fn refused(&self, expression: &Expr, what: &str) -> Fault {
        let place = expression.span().start;
        // Some nodes don't know their place; a caret at the end would point at the wrong one.
        if place == Location::empty() {
            let mut fault = Fault::new(format!("filter has {what} in it"), ALLOWED);
            fault.excerpt = Some(self.text.into());
            return fault;
        }
        fault_at(self.text, place, format!("filter has {what} in it"), ALLOWED)
    }
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    Some(match op {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn number(digits: &str) -> Option<Value> {
    if let Ok(n) = digits.parse() {
        return Some(Value::Int(n));
    }
    if let Ok(n) = digits.parse() {
        return Some(Value::unsigned(n));
    }
    if let Some(decimal) = Decimal::parse(digits) {
        return Some(Value::Decimal(decimal));
    }
    digits.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::float)
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

/// What an expression that is refused is called.
fn name(expression: &Expr) -> &'static str {
    match expression {
        Expr::Function(_) | Expr::Substring { .. } | Expr::Trim { .. } | Expr::Extract { .. } | Expr::Position { .. } => "a function",
        Expr::Ceil { .. } | Expr::Floor { .. } | Expr::Overlay { .. } | Expr::Convert { .. } => "a function",
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => "a subquery",
        Expr::AnyOp { .. } | Expr::AllOp { .. } => "ANY or ALL",
        Expr::Cast { .. } => "a cast",
        Expr::Case { .. } => "CASE",
        Expr::Like { .. } => "LIKE with ANY or ESCAPE",
        Expr::ILike { .. } => "ILIKE",
        Expr::SimilarTo { .. } | Expr::RLike { .. } => "a regular expression",
        Expr::IsTrue(_) | Expr::IsFalse(_) | Expr::IsNotTrue(_) | Expr::IsNotFalse(_) => "IS TRUE or IS FALSE",
        Expr::IsUnknown(_) | Expr::IsNotUnknown(_) => "IS UNKNOWN",
        Expr::Collate { .. } => "COLLATE",
        Expr::Interval(_) => "an INTERVAL",
        Expr::Tuple(_) => "a list of columns",
        Expr::TypedString(_) | Expr::Prefixed { .. } => "a literal with a type",
        Expr::BinaryOp { .. } | Expr::UnaryOp { .. } => "arithmetic, or a condition inside a comparison,",
        _ => "an expression that engines don't share",
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
