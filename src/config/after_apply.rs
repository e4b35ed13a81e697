//! After-apply statements: SQL with `{table}` names and `:column` parameters, taken apart without reading the SQL around
//! them as anything but text, string literals and quoted names.

use sqlparser::ast::Statement;
use sqlparser::dialect::{Dialect, GenericDialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Location;

use super::error::Fault;
use super::sql::{DEPTH_MAX, fault_at, syntax_fault};
use super::{AfterApply, AfterApplyPiece};

const STATEMENT_BYTES_MAX: usize = 8192;

/// The statement that `text` states.
pub(super) fn after_apply(text: &str) -> Result<AfterApply, Fault> {
    if text.len() > STATEMENT_BYTES_MAX {
        let cause = format!("after_apply has a statement of {} bytes, more than {STATEMENT_BYTES_MAX}", text.len());
        return Err(Fault::new(cause, "put it into a procedure and CALL that"));
    }
    let text = text.trim_end();
    let text = text.strip_suffix(';').unwrap_or(text).trim_end();
    if text.is_empty() {
        return Err(Fault::new("after_apply has an empty statement", "take it out"));
    }
    let (pieces, plain) = Scanner::new(text).pieces()?;
    check(text, &plain)?;
    Ok(AfterApply(pieces))
}

/// Proves that `plain`, which has `text`'s length with names where its parameters are, is one statement that may run.
fn check(text: &str, plain: &str) -> Result<(), Fault> {
    let dialects: [&dyn Dialect; 4] = [&GenericDialect {}, &MySqlDialect {}, &PostgreSqlDialect {}, &SQLiteDialect {}];
    let mut first = None;
    let statements = dialects.into_iter().find_map(|dialect| {
        match Parser::new(dialect).with_recursion_limit(DEPTH_MAX).try_with_sql(plain).and_then(|mut parser| parser.parse_statements()) {
            Ok(statements) => Some(statements),
            Err(error) => {
                first.get_or_insert(error);
                None
            }
        }
    });
    let Some(statements) = statements else {
        return Err(first.map_or_else(|| Fault::new("after_apply can't be read", "mend it"), |e| syntax_fault(text, "after_apply", &e)));
    };
    let allowed = "it takes one INSERT, UPDATE, DELETE, SELECT or CALL; the rows' own transaction must not end in it";
    match statements.as_slice() {
        [Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Query(_) | Statement::Call(_)] => Ok(()),
        [Statement::Truncate(_)] => {
            Err(fault_at(text, START, "after_apply has a TRUNCATE, which ends the transaction in MySQL", "write it as DELETE FROM"))
        }
        [_] => {
            let word = plain.split_whitespace().next().unwrap_or_default().to_uppercase();
            Err(fault_at(text, START, format!("after_apply has a statement that starts with {word}"), allowed))
        }
        several => Err(fault_at(text, START, format!("after_apply has {} statements in one text", several.len()), "list each by itself")),
    }
}

const START: Location = Location { line: 1, column: 1 };

struct Scanner<'t> {
    text: &'t str,
    chars: Vec<char>,
    at: usize,
    /// SQL read since the last parameter.
    sql: String,
    pieces: Vec<AfterApplyPiece>,
    /// The text with a plain name of the same length for each parameter, so that places in it are places in `text`.
    plain: String,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str) -> Scanner<'t> {
        Scanner { text, chars: text.chars().collect(), at: 0, sql: String::new(), pieces: Vec::new(), plain: String::new() }
    }

    fn pieces(mut self) -> Result<(Vec<AfterApplyPiece>, String), Fault> {
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('\'', _) => self.literal()?,
                ('"' | '`', _) => self.quoted_name(c)?,
                ('-', Some('-')) | ('/', Some('*')) => return Err(self.fault("after_apply has a comment", "move it out of the statement")),
                ('{', _) => self.table()?,
                ('}', _) => return Err(self.fault("after_apply has a `}` without its `{`", "name tables as {cache_field}")),
                ('?', _) => return Err(self.fault("after_apply has a bare `?`", "name the column, as in :uid")),
                ('$', _) => return Err(self.fault("after_apply has a `$`", "name the column, as in :uid, and quote strings with '")),
                // A cast and MySQL's assignment.
                (':', Some(':' | '=')) => self.copy(2),
                (':', Some(next)) if starts_name(next) => self.column(),
                (c, _) if starts_name(c) || c.is_ascii_digit() => self.copy_word(),
                _ => self.copy(1),
            }
        }
        self.flush();
        Ok((self.pieces, self.plain))
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn copy(&mut self, count: usize) {
        for c in self.chars.iter().skip(self.at).take(count) {
            self.sql.push(*c);
            self.plain.push(*c);
        }
        self.at += count;
    }

    /// Copies a whole word or number, so that a `$` inside a name is not taken for a parameter.
    fn copy_word(&mut self) {
        let length = self.chars[self.at..].iter().take_while(|c| in_name(**c)).count();
        self.copy(length);
    }

    /// Copies a string literal; nothing in it is a parameter.
    fn literal(&mut self) -> Result<(), Fault> {
        let length = self.quoted_length('\'')?;
        let body = &self.chars[self.at..self.at + length];
        if let Some(at) = body.windows(2).position(|pair| pair == ['\\', '\'']) {
            self.at += at;
            let cause = "after_apply has a backslash before a quote, which engines read differently";
            return Err(self.fault(cause, "write a quote in a string twice: ''"));
        }
        self.copy(length);
        Ok(())
    }

    fn quoted_name(&mut self, quote: char) -> Result<(), Fault> {
        let length = self.quoted_length(quote)?;
        let body = &self.chars[self.at..self.at + length];
        if let Some(at) = body.iter().position(|c| *c == '{') {
            self.at += at;
            return Err(self.fault("after_apply has a `{` between quotes", "write {table} without quotes: rosterd adds them"));
        }
        self.copy(length);
        Ok(())
    }

    /// Length from the opening quote to the closing one; a doubled quote is part of the text.
    fn quoted_length(&self, quote: char) -> Result<usize, Fault> {
        let mut at = self.at + 1;
        loop {
            match (self.chars.get(at), self.chars.get(at + 1)) {
                (None, _) => return Err(self.fault(format!("after_apply has a {quote} that is never closed"), "close it")),
                (Some(c), Some(next)) if *c == quote && *next == quote => at += 2,
                (Some(c), _) if *c == quote => return Ok(at + 1 - self.at),
                _ => at += 1,
            }
        }
    }

    fn table(&mut self) -> Result<(), Fault> {
        let name: String = self.chars[self.at + 1..].iter().take_while(|c| in_name(**c)).collect();
        let length = name.chars().count();
        if name.is_empty() || self.peek(length + 1) != Some('}') {
            return Err(self.fault("after_apply has a `{` that names no table", "name tables as {cache_field}, without prefix"));
        }
        self.flush();
        self.pieces.push(AfterApplyPiece::Table(name));
        self.stand_in(length + 2);
        Ok(())
    }

    fn column(&mut self) {
        let name: String = self.chars[self.at + 1..].iter().take_while(|c| in_name(**c)).collect();
        let length = name.chars().count();
        self.flush();
        self.pieces.push(AfterApplyPiece::Column(name));
        self.stand_in(length + 1);
    }

    /// Passes over `count` characters, which `plain` gets as a name that no engine reserves.
    fn stand_in(&mut self, count: usize) {
        for c in &self.chars[self.at..self.at + count] {
            self.plain.push(if in_name(*c) { *c } else { '_' });
        }
        self.at += count;
    }

    fn flush(&mut self) {
        if !self.sql.is_empty() {
            self.pieces.push(AfterApplyPiece::Sql(std::mem::take(&mut self.sql)));
        }
    }

    fn fault(&self, cause: impl Into<String>, advice: &str) -> Fault {
        let line = self.chars[..self.at].iter().filter(|c| **c == '\n').count() + 1;
        let column = self.chars[..self.at].iter().rev().take_while(|c| **c != '\n').count() + 1;
        fault_at(self.text, Location { line: line as u64, column: column as u64 }, cause, advice)
    }
}

fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use super::AfterApplyPiece::{Column, Sql, Table};
    use super::*;

    fn refusal(text: &str) -> String {
        let fault = after_apply(text).unwrap_err();
        format!("{}; {}\n{}", fault.cause, fault.advice, fault.excerpt.unwrap_or_default())
    }

    fn pieces(text: &str) -> Vec<AfterApplyPiece> {
        after_apply(text).unwrap_or_else(|_| panic!("{}", refusal(text))).0
    }

    #[test]
    fn tables_and_columns_are_taken_apart() {
        assert_eq!(
            pieces("DELETE FROM {cache_field} WHERE cid = concat('field:user:', :entity_id);"),
            [
                Sql("DELETE FROM ".into()),
                Table("cache_field".into()),
                Sql(" WHERE cid = concat('field:user:', ".into()),
                Column("entity_id".into()),
                Sql(")".into()),
            ]
        );
    }

    #[test]
    fn literals_casts_and_names_stay_as_they_are() {
        for text in [
            "DELETE FROM x WHERE a = ':uid {x} it''s ?'",
            "DELETE FROM x WHERE a = '1'::text",
            "SELECT a$b, \"c:d\" FROM x",
            "UPDATE `a:b` SET c = 1",
        ] {
            assert_eq!(pieces(text), [Sql(text.into())]);
        }
        assert_eq!(
            pieces("SELECT setval('users_uid_seq', :uid::bigint)"),
            [Sql("SELECT setval('users_uid_seq', ".into()), Column("uid".into()), Sql("::bigint)".into())]
        );
        assert_eq!(pieces("CALL forget(:uid)"), [Sql("CALL forget(".into()), Column("uid".into()), Sql(")".into())]);
        assert_eq!(pieces("INSERT IGNORE INTO {q} (u) VALUES (:or)").len(), 5);
        assert_eq!(pieces("INSERT INTO {q} (u) VALUES (:u) ON CONFLICT (u) DO NOTHING").len(), 5);
    }

    #[test]
    fn what_could_be_misread_is_refused_under_a_caret() {
        for (text, cause) in [
            ("", "empty"),
            ("DROP TABLE {x}", "starts with DROP"),
            ("TRUNCATE {x}", "TRUNCATE"),
            ("COMMIT", "starts with COMMIT"),
            ("DELETE FROM {x}; DELETE FROM {y}", "2 statements"),
            ("DELETE FROM {x} WHERE", "can't be read"),
            ("DELETE FROM {x WHERE a = 1", "names no table"),
            ("DELETE FROM {} WHERE a = 1", "names no table"),
            ("DELETE FROM x}", "without its `{`"),
            ("DELETE FROM `{x}`", "between quotes"),
            ("DELETE FROM x WHERE a = 'b", "never closed"),
            ("DELETE FROM x WHERE a = 'it\\'s :uid'", "backslash"),
            ("DELETE FROM x WHERE a = ?", "bare `?`"),
            ("DELETE FROM x WHERE a = $1", "`$`"),
            ("DELETE FROM x -- :uid", "a comment"),
            ("DELETE FROM x /* :uid */", "a comment"),
        ] {
            assert!(refusal(text).contains(cause), "{text}: {}", refusal(text));
        }
        assert!(refusal("DELETE FROM {x} WHERE a =").ends_with("\nDELETE FROM {x} WHERE a =\n                         ^"));
        assert!(refusal("DELETE FROM {x} WHERE a = ?").ends_with("\n                          ^"));
    }
}
