//! What is wrong with a configuration: every problem with its file, place, cause and next step.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::redact::redacted;

/// A configuration that can't be used. Its message is complete: it has no source to print beside it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: cannot be read: {cause}; name the configuration with --config FILE, and see that this account may read it", path.display())]
    Unreadable { path: PathBuf, cause: String },
    /// All that was found, in the order of the file.
    #[error("{}", joined(.0))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong. `Display` gives `file:line: place: cause; advice`, and under it the line itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// Counted from 1, with the line's text; a password in it is starred out.
    pub line: Option<(usize, String)>,
    /// What it is about: `site "nj"`, `table "users"`.
    pub place: String,
    pub cause: String,
    pub advice: String,
    /// SQL text with a caret under the place in it, where that is known.
    pub excerpt: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((number, _)) = &self.line {
            write!(f, ":{number}")?;
        }
        if !self.place.is_empty() {
            write!(f, ": {}", self.place)?;
        }
        write!(f, ": {}; {}", self.cause, self.advice)?;
        match (&self.excerpt, &self.line) {
            (Some(excerpt), _) => excerpt.lines().try_for_each(|line| write!(f, "\n       | {line}")),
            (None, Some((number, text))) if !text.is_empty() => write!(f, "\n  {number:>4} | {text}"),
            _ => Ok(()),
        }
    }
}

fn joined(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Why one value is refused, before it is known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub cause: String,
    pub advice: String,
    pub excerpt: Option<String>,
}

impl Fault {
    pub fn new(cause: impl Into<String>, advice: impl Into<String>) -> Fault {
        Fault { cause: cause.into(), advice: advice.into(), excerpt: None }
    }

    /// A word that is none of `known`: the nearest is named, or all of them when none is near.
    pub fn unknown(what: &str, word: &str, known: &[&str]) -> Fault {
        let advice = match nearest(word, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
        };
        Fault::new(format!("unknown {what} `{word}`"), advice)
    }
}

/// Likeness takes time and memory by the product of both lengths: longer words are not like any.
const WORD_BYTES_MAX: usize = 100;
/// Problems that are told of one file at most.
const PROBLEMS_MAX: usize = 100;
/// Characters of a line, and of any other part of a problem.
const LINE_CHARS_MAX: usize = 200;
const TEXT_CHARS_MAX: usize = 1000;

/// The candidate that is most like `word`, if any is like it at all.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let likeness = |candidate: &str| match candidate.to_lowercase() {
        near if near.replace(['-', '_'], "") == word.replace(['-', '_'], "") => 1.0,
        near if word.len() >= 3 && (near.starts_with(&word) || word.starts_with(&near)) => 0.9,
        near => strsim::normalized_damerau_levenshtein(&word, &near),
    };
    let mut best: Option<(f64, &'a str)> = None;
    for candidate in candidates.iter().filter(|candidate| candidate.len() <= WORD_BYTES_MAX) {
        let score = likeness(candidate);
        if score >= 0.5 && best.is_none_or(|(top, _)| score > top) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// A text with problems found in it so far, each placed by its byte range.
pub(super) struct Report<'a> {
    pub file: String,
    /// The folder that relative paths start from.
    pub folder: &'a Path,
    text: &'a str,
    found: Vec<(usize, Problem)>,
    more: usize,
}

impl<'a> Report<'a> {
    pub fn new(file: String, folder: &'a Path, text: &'a str) -> Report<'a> {
        Report { file, folder, text, found: Vec::new(), more: 0 }
    }

    pub fn add(&mut self, span: Option<Range<usize>>, place: &str, fault: Fault) {
        if self.is_full() {
            self.more += 1;
            return;
        }
        let start = span.map(|s| s.start.min(self.text.len()));
        let line = start.map(|start| self.line(start));
        let Fault { cause, advice, excerpt } = fault;
        let (place, cause, advice) =
            (shortened(place, TEXT_CHARS_MAX), shortened(&cause, TEXT_CHARS_MAX), shortened(&advice, TEXT_CHARS_MAX));
        let problem = Problem { file: self.file.clone(), line, place, cause, advice, excerpt };
        self.found.push((start.unwrap_or(usize::MAX), problem));
    }

    /// The value, or None with the fault on record.
    pub fn check<T>(&mut self, span: Range<usize>, place: &str, result: Result<T, Fault>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                self.add(Some(span), place, fault);
                None
            }
        }
    }

    fn line(&self, offset: usize) -> (usize, String) {
        let before = &self.text.as_bytes()[..offset];
        let number = before.iter().filter(|b| **b == b'\n').count() + 1;
        let text = self.text.lines().nth(number - 1).unwrap_or_default();
        (number, shortened(&redacted(text.trim()), LINE_CHARS_MAX))
    }

    /// True when a problem on the line of `offset` is on record already.
    pub fn knows_line(&self, offset: usize) -> bool {
        let (number, _) = self.line(offset.min(self.text.len()));
        self.found.iter().any(|(_, p)| p.line.as_ref().is_some_and(|(n, _)| *n == number))
    }

    /// No more problems are taken down.
    pub fn is_full(&self) -> bool {
        self.found.len() >= PROBLEMS_MAX
    }

    pub fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// All problems, in the order of the file; those without a place in it come last.
    pub fn finish(mut self) -> Vec<Problem> {
        if self.more > 0 {
            let cause = format!("{} more problems", self.more);
            let problem = Problem {
                file: self.file.clone(),
                line: None,
                place: String::new(),
                cause,
                advice: "mend these first".into(),
                excerpt: None,
            };
            self.found.push((usize::MAX, problem));
        }
        self.found.sort_by_key(|(start, _)| *start);
        self.found.into_iter().map(|(_, problem)| problem).collect()
    }
}

/// `text`, or its beginning.
fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named_and_far_ones_are_not() {
        let known = ["password_file", "password_env", "prefix", "url"];
        assert_eq!(nearest("pasword_file", &known), Some("password_file"));
        assert_eq!(nearest("PasswordFile", &known), Some("password_file"));
        assert_eq!(nearest("pref", &known), Some("prefix"));
        assert_eq!(nearest("colour", &known), None);
        assert!(Fault::unknown("key", "colour", &known).advice.contains("known are `password_file`, `password_env`"));
    }

    #[test]
    fn problems_come_in_the_order_of_the_file_with_their_lines() {
        let mut report = Report::new("f.toml".into(), Path::new("/"), "a = 1\nb = 2\n");
        report.add(None, "", Fault::new("none", "add one"));
        report.add(Some(6..7), "daemon", Fault::new("bad b", "mend it"));
        report.add(Some(0..1), "daemon", Fault::new("bad a", "mend it"));
        assert!(report.knows_line(8) && report.knows_line(2));
        let text = Error::Invalid(report.finish()).to_string();
        assert_eq!(
            text,
            "f.toml:1: daemon: bad a; mend it\n     1 | a = 1\nf.toml:2: daemon: bad b; mend it\n     2 | b = 2\nf.toml: none; add one"
        );
    }
}
