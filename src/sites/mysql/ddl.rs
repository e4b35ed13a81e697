//! What a statement in the log means for shared tables. Row changes are not among them, unless the log's format is wrong.

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Begin,
    Commit,
    Rollback,
    Savepoint(String),
    RollbackTo(String),
    /// Opens a transaction whose changes follow (`CREATE TABLE .. SELECT`, XA).
    Open(Vec<Touch>),
    Ddl(Vec<Touch>),
    /// Changes rows without naming them; all identifiers in it.
    Rows(Vec<String>),
    /// Of no concern.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Touch {
    /// None: the statement's default.
    pub schema: Option<String>,
    /// None: every table of the schema.
    pub table: Option<String>,
    pub emptied: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A bare word, in capitals, and as it was.
    Word(String, String),
    Quoted(String),
    Sign(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(upper, _) if upper == word)
    }

    fn name(&self) -> Option<&str> {
        match self {
            Token::Word(_, name) | Token::Quoted(name) => Some(name),
            Token::Sign(_) => None,
        }
    }
}

/// Statements are read this far for names: the names in a DDL stand at its beginning, a change of rows can be long.
const TOKENS_MAX: usize = 4000;

pub(super) fn act(sql: &str) -> Act {
    let tokens = tokens(sql);
    let Some(first) = tokens.first() else { return Act::Other };
    let Token::Word(verb, _) = first else { return Act::Other };
    let second = |word| tokens.get(1).is_some_and(|t| t.is(word));
    let rest = &tokens[1..];
    match verb.as_str() {
        "BEGIN" => Act::Begin,
        "START" if second("TRANSACTION") => Act::Begin,
        "COMMIT" => Act::Commit,
        "SAVEPOINT" => Act::Savepoint(rest.first().and_then(Token::name).unwrap_or_default().to_owned()),
        "ROLLBACK" => match rest.iter().position(|t| t.is("TO")) {
            Some(at) => {
                let name = rest[at + 1..].iter().find(|t| !t.is("SAVEPOINT")).and_then(Token::name);
                Act::RollbackTo(name.unwrap_or_default().to_owned())
            }
            None => Act::Rollback,
        },
        "XA" if second("START") || second("BEGIN") => Act::Open(Vec::new()),
        "TRUNCATE" => Act::Ddl(names(skip(rest, &["TABLE"]), true, 1)),
        "DROP" => drop(rest),
        "ALTER" => alter(rest),
        "RENAME" if second("TABLE") || second("TABLES") => Act::Ddl(names(skip(&rest[1..], &["IF", "EXISTS"]), false, usize::MAX)),
        "CREATE" => create(rest),
        "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "WITH" | "CALL" | "IMPORT" => {
            Act::Rows(tokens.iter().filter_map(Token::name).map(str::to_owned).collect())
        }
        _ => Act::Other,
    }
}

fn drop(rest: &[Token]) -> Act {
    let Some(kind) = rest.first() else { return Act::Other };
    if kind.is("TABLE") || kind.is("TABLES") {
        return Act::Ddl(names(skip(&rest[1..], &["IF", "EXISTS"]), true, usize::MAX));
    }
    if kind.is("DATABASE") || kind.is("SCHEMA") {
        let schema = skip(&rest[1..], &["IF", "EXISTS"]).first().and_then(Token::name).map(str::to_owned);
        return Act::Ddl(vec![Touch { schema, table: None, emptied: true }]);
    }
    if kind.is("INDEX") { Act::Ddl(after_on(rest)) } else { Act::Other }
}

fn alter(rest: &[Token]) -> Act {
    let rest = skip(rest, &["ONLINE", "OFFLINE", "IGNORE"]);
    let Some(kind) = rest.first() else { return Act::Other };
    if !kind.is("TABLE") {
        return Act::Other;
    }
    let body = skip(&rest[1..], &["IF", "EXISTS"]);
    let mut touches = names(body, false, 1);
    // The table may get a shared table's name.
    if let Some(at) = body.iter().position(|t| t.is("RENAME")) {
        touches.extend(names(skip(&body[at + 1..], &["TO", "AS"]), false, 1));
    }
    if body.iter().any(|t| t.is("TRUNCATE")) && body.iter().any(|t| t.is("PARTITION")) {
        touches.iter_mut().for_each(|touch| touch.emptied = true);
    }
    if let Some(at) = body.iter().position(|t| t.is("EXCHANGE")) {
        touches.extend(body[at..].iter().position(|t| t.is("TABLE")).into_iter().flat_map(|t| names(&body[at + t + 1..], false, 1)));
    }
    Act::Ddl(touches)
}

fn create(rest: &[Token]) -> Act {
    let rest = skip(rest, &["OR", "REPLACE", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "ONLINE", "OFFLINE"]);
    let Some(kind) = rest.first() else { return Act::Other };
    if kind.is("INDEX") {
        return Act::Ddl(after_on(rest));
    }
    if !kind.is("TABLE") {
        return Act::Other;
    }
    let touches = names(skip(&rest[1..], &["IF", "NOT", "EXISTS"]), false, 1);
    let opens = rest.windows(2).any(|pair| pair[0].is("START") && pair[1].is("TRANSACTION"));
    if opens { Act::Open(touches) } else { Act::Ddl(touches) }
}

fn skip<'a>(tokens: &'a [Token], words: &[&str]) -> &'a [Token] {
    let n = tokens.iter().take_while(|token| words.iter().any(|word| token.is(word))).count();
    &tokens[n..]
}

fn after_on(tokens: &[Token]) -> Vec<Touch> {
    tokens.iter().position(|t| t.is("ON")).map_or_else(Vec::new, |at| names(&tokens[at + 1..], false, 1))
}

/// Table names separated by commas or TO, up to the first thing that is neither.
fn names(mut tokens: &[Token], emptied: bool, max: usize) -> Vec<Touch> {
    let mut touches = Vec::new();
    while touches.len() < max
        && let [first, rest @ ..] = tokens
        && let Some(name) = first.name()
    {
        let (schema, table, rest) = match rest {
            [Token::Sign('.'), table, rest @ ..] => (Some(name.to_owned()), table.name().map(str::to_owned), rest),
            _ => (None, Some(name.to_owned()), rest),
        };
        touches.push(Touch { schema, table, emptied });
        tokens = match rest {
            [Token::Sign(','), rest @ ..] => rest,
            [to, rest @ ..] if to.is("TO") => rest,
            // RENAME TABLE t WAIT 5 TO u
            [wait, _, to, rest @ ..] if wait.is("WAIT") && to.is("TO") => rest,
            _ => break,
        };
    }
    touches
}

fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        if tokens.len() >= TOKENS_MAX {
            break;
        }
        rest = match c {
            _ if c.is_whitespace() => &rest[c.len_utf8()..],
            '#' => after(rest, "\n"),
            '-' if rest.starts_with("-- ") || rest.starts_with("--\n") || rest.starts_with("--\t") => after(rest, "\n"),
            // Comments that are executed: what is in them counts.
            '/' if rest.starts_with("/*!") || rest.starts_with("/*M!") => {
                rest[3..].trim_start_matches(['!']).trim_start_matches(|c: char| c.is_ascii_digit())
            }
            '/' if rest.starts_with("/*") => after(&rest[2..], "*/"),
            '*' if rest.starts_with("*/") => &rest[2..],
            '`' | '"' | '\'' => {
                let (text, end) = quoted(rest, c);
                // A string is a value, except in ANSI mode.
                if c != '\'' {
                    tokens.push(Token::Quoted(text));
                }
                end
            }
            _ if is_word(c) => {
                let n = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..n].to_ascii_uppercase(), rest[..n].to_owned()));
                &rest[n..]
            }
            _ => {
                tokens.push(Token::Sign(c));
                &rest[c.len_utf8()..]
            }
        };
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn after<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text[1..].char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        if c == '\\' && quote != '`' {
            chars.next();
        } else if c != quote {
            name.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            name.push(quote);
        } else {
            return (name, &text[i + 2..]);
        }
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(schema: Option<&str>, table: &str, emptied: bool) -> Touch {
        Touch { schema: schema.map(str::to_owned), table: Some(table.to_owned()), emptied }
    }

    #[test]
    fn transactions() {
        assert_eq!(act("BEGIN"), Act::Begin);
        assert_eq!(act("/* x */ commit"), Act::Commit);
        assert_eq!(act("SAVEPOINT `a b`"), Act::Savepoint("a b".into()));
        assert_eq!(act("ROLLBACK TO `a b`"), Act::RollbackTo("a b".into()));
        assert_eq!(act("rollback to savepoint s"), Act::RollbackTo("s".into()));
        assert_eq!(act("ROLLBACK"), Act::Rollback);
        assert_eq!(act("XA START X'61',X'',1"), Act::Open(vec![]));
        assert_eq!(act(""), Act::Other);
    }

    #[test]
    fn tables_that_are_emptied() {
        assert_eq!(act("TRUNCATE users"), Act::Ddl(vec![touch(None, "users", true)]));
        assert_eq!(act("truncate table `a``b`.`c`"), Act::Ddl(vec![touch(Some("a`b"), "c", true)]));
        assert_eq!(
            act("DROP TABLE IF EXISTS `a`,d.`b` /* generated by server */"),
            Act::Ddl(vec![touch(None, "a", true), touch(Some("d"), "b", true)])
        );
        assert_eq!(act("DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `users`"), Act::Other);
        assert_eq!(act("DROP DATABASE d"), Act::Ddl(vec![Touch { schema: Some("d".into()), table: None, emptied: true }]));
    }

    #[test]
    fn tables_that_are_altered() {
        assert_eq!(act("ALTER TABLE users ADD x INT"), Act::Ddl(vec![touch(None, "users", false)]));
        assert_eq!(act("ALTER TABLE a RENAME TO d.users"), Act::Ddl(vec![touch(None, "a", false), touch(Some("d"), "users", false)]));
        assert_eq!(act("RENAME TABLE a TO b, c TO d"), Act::Ddl(["a", "b", "c", "d"].map(|t| touch(None, t, false)).to_vec()));
        assert_eq!(act("CREATE UNIQUE INDEX i ON users (x)"), Act::Ddl(vec![touch(None, "users", false)]));
        assert_eq!(act("CREATE TABLE IF NOT EXISTS t (x INT)"), Act::Ddl(vec![touch(None, "t", false)]));
        assert_eq!(act("CREATE TABLE t (x INT) START TRANSACTION"), Act::Open(vec![touch(None, "t", false)]));
        assert_eq!(act("CREATE TEMPORARY TABLE users (x INT)"), Act::Other);
        assert_eq!(act("ANALYZE TABLE users"), Act::Other);
    }

    #[test]
    fn statements_that_change_rows() {
        let Act::Rows(names) = act("UPDATE `users` u SET name = 'sessions' -- x\n WHERE id=1") else { panic!() };
        assert!(names.contains(&"users".to_owned()) && !names.contains(&"sessions".to_owned()));
    }
}
