//! docs/troubleshooting.md quotes what the program says: a message that is changed in `src` has to be changed there.

use std::path::Path;
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::project;

/// Stands in the page for what differs: names, numbers, a server's own words.
const DIFFERS: char = '…';
/// A message has a piece of so many words, or it could be anything.
const WORDS_MIN: usize = 3;

/// The texts in the program's code, tests left out, with `…` for each `{...}` in them.
fn texts(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            texts(&path, found);
        } else if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(".rs") && !name.contains("test")) {
            let code = std::fs::read_to_string(&path).expect("it can be read");
            collect(TokenStream::from_str(&code).unwrap_or_else(|error| panic!("{}: {error}", path.display())), found);
        }
    }
}

fn collect(tokens: TokenStream, found: &mut Vec<String>) {
    let mut before = [None, None];
    for token in tokens {
        let name = match &token {
            TokenTree::Ident(ident) => Some(ident.to_string()),
            _ => None,
        };
        match &token {
            // Doc comments are attributes, and a test's texts are not the program's.
            TokenTree::Group(group) if is_doc(group) || before == [Some("mod".to_owned()), Some("tests".to_owned())] => {}
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found.push(generalized(&text.value()));
                }
            }
            _ => {}
        }
        before = [before[1].take(), name];
    }
}

fn is_doc(group: &proc_macro2::Group) -> bool {
    let first = group.stream().into_iter().next();
    group.delimiter() == Delimiter::Bracket && matches!(first, Some(TokenTree::Ident(ident)) if ident == "doc")
}

/// As the page writes it: `{name}` and `{}` differ, `{{` is a brace.
fn generalized(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        out += before;
        match (after.strip_prefix('{'), after.split_once('}')) {
            (Some(after), _) => {
                out.push('{');
                rest = after;
            }
            (None, Some((_, after))) => {
                out.push(DIFFERS);
                rest = after;
            }
            (None, None) => return text.to_owned(),
        }
    }
    (out + rest).replace("}}", "}")
}

/// Whether a message of the page is (a part of) a text of the program: the same words, with the same places that differ.
fn is_in(message: &str, text: &str) -> bool {
    // At its ends a message may stop anywhere.
    text.contains(message.trim_matches(DIFFERS))
}

/// Code spans of the first column of the page's tables.
fn quoted(page: &str) -> Vec<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")).filter_map(|line| line.split_once(" |")).map(|(first, _)| first);
    rows.flat_map(spans).collect()
}

fn spans(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('`') {
        let fence = if rest[at..].starts_with("``") { "``" } else { "`" };
        let (span, after) = rest[at + fence.len()..].split_once(fence).expect("a span that ends");
        // As Markdown has it, a space on both sides keeps backticks apart.
        let inner = if fence == "``" { span.strip_prefix(" `").map_or(span.into(), |rest| format!("`{rest}")) } else { span.to_owned() };
        found.push(if fence == "``" { inner.strip_suffix("` ").map_or(inner.clone(), |rest| format!("{rest}`")) } else { inner });
        rest = after;
    }
    found
}

#[test]
fn every_message_of_the_page_on_troubleshooting_is_in_the_program() {
    let mut all = Vec::new();
    texts(&project().join("src"), &mut all);
    assert!(all.len() > 1000, "{} texts", all.len());
    let page = std::fs::read_to_string(project().join("docs/troubleshooting.md")).expect("the page is there");
    let messages = quoted(&page);
    assert!(messages.len() > 100, "{messages:?}");
    let longest = |message: &String| message.split(DIFFERS).map(|part| part.split_whitespace().count()).max();
    let is_vague = |message: &&String| longest(message) < Some(WORDS_MIN) && !VAGUE.contains(&message.as_str());
    let vague: Vec<&String> = messages.iter().filter(is_vague).collect();
    assert!(vague.is_empty(), "messages that could be anything: {vague:#?}");
    let gone: Vec<&String> = messages.iter().filter(|message| !all.iter().any(|text| is_in(message, text))).collect();
    assert!(gone.is_empty(), "docs/troubleshooting.md has messages that src has not: {gone:#?}");
}

/// Short ones that are what they are.
const VAGUE: [&str; 6] =
    ["unknown … `…`", "filter has … in it", "can't …: … (error …)", "can't reach …", "TLS with … failed: …", "wal_level is …"];

#[test]
fn messages_are_read_as_they_are_written() {
    assert_eq!(generalized("site {name}: {{ x }} {}"), "site …: { x } …");
    assert!(
        is_in("site … is paused", "site … is paused; `rosterd site resume …` lets it go on")
            && !is_in("site … was paused", "site … is paused")
    );
    assert_eq!(spans("`a b`, `` `c` d ``x `` `e` ``"), ["a b", "`c` d ", "`e`"].map(|s: &str| s.to_owned()));
    let mut found = Vec::new();
    collect(
        TokenStream::from_str("/// \"no\"\nfn a() { b!(\"ye\\\n   s {c}\"); }\nmod tests { const X: &str = \"no\"; }").unwrap(),
        &mut found,
    );
    assert_eq!(found, ["yes …"]);
}
