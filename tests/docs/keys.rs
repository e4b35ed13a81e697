//! The tables of keys in docs/configuration.md are those of the types that the file is read into, with their comments.
//! `ROSTERD_BLESS=1 cargo test --test docs` writes them anew.

use std::path::Path;

use rosterd::config::Config;
use syn::{Attribute, Expr, Field, Fields, Item, Lit, Meta, Type};

use crate::{HUB, SHARE, project};

/// Types of values in the file's words, where they are no plain ones.
const TYPES: [(&str, &str); 5] = [
    ("RawPrefix", "text or table"),
    ("RawIds", "table"),
    ("OneOrMany", "text or list of texts"),
    ("RawDirection", "text or table"),
    ("RawUnique", "text or table"),
];
const COUNTS: &str = "a reload";

/// A key of the configuration, as its field and the comment there have it.
struct Key {
    name: String,
    takes: String,
    default: String,
    counts: String,
    meaning: String,
}

impl Key {
    fn of(field: &Field) -> Key {
        let name = field.ident.as_ref().expect("fields have names").to_string();
        let mut key = Key { name, takes: kind(&field.ty), default: String::new(), counts: COUNTS.into(), meaning: String::new() };
        let mut part = &mut key.meaning;
        for line in comment(&field.attrs) {
            let (to, text) = match line.split_once(": ") {
                Some(("Takes", text)) => (&mut key.takes, format!("{}: {text}", kind(&field.ty))),
                Some(("Default", text)) => (&mut key.default, text.to_owned()),
                Some(("Counts", text)) => (&mut key.counts, text.trim_start_matches("after ").to_owned()),
                _ => {
                    *part += if part.is_empty() { "" } else { " " };
                    *part += &line;
                    continue;
                }
            };
            *to = text;
            part = to;
        }
        for (what, text) in [("meaning", &mut key.meaning), ("default", &mut key.default)] {
            assert!(!text.is_empty(), "src/config/raw.rs does not say the {what} of `{}`", key.name);
        }
        for text in [&mut key.takes, &mut key.default, &mut key.counts, &mut key.meaning] {
            *text = text.trim_end_matches('.').to_owned();
        }
        key
    }

    fn row(&self) -> String {
        format!("| `{}` | {} | {} | {} | {} |\n", self.name, self.takes, self.default, self.counts, self.meaning)
    }
}

fn comment(attributes: &[Attribute]) -> impl Iterator<Item = String> {
    attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}

/// What a field holds, in words; what may be left out and where it stood are no part of it.
fn kind(ty: &Type) -> String {
    let Type::Path(path) = ty else { panic!("a field of an unknown type") };
    let last = path.path.segments.last().expect("a type has a name");
    let name = last.ident.to_string();
    let inner = || match &last.arguments {
        syn::PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(syn::GenericArgument::Type(ty)) => kind(ty),
            _ => panic!("{name} of what?"),
        },
        _ => panic!("{name} of what?"),
    };
    match name.as_str() {
        "Option" | "Spanned" => inner(),
        "Vec" => format!("list of {}s", inner()),
        "BTreeMap" => "table".into(),
        "String" => "text".into(),
        "i64" => "whole number".into(),
        "bool" => "truth".into(),
        _ => TYPES.iter().find(|(own, _)| *own == name).unwrap_or_else(|| panic!("what is {name} in the file?")).1.into(),
    }
}

/// The keys of each struct that the page names.
fn keys(named: &str) -> Vec<Key> {
    let code = std::fs::read_to_string(project().join("src/config/raw.rs")).expect("it is there");
    let file = syn::parse_file(&code).expect("it is Rust");
    let found = file.items.iter().find_map(|item| match item {
        Item::Struct(item) if item.ident == named => Some(&item.fields),
        _ => None,
    });
    match found {
        Some(Fields::Named(fields)) => fields.named.iter().map(Key::of).collect(),
        _ => panic!("src/config/raw.rs has no struct {named}"),
    }
}

fn table(named: &str) -> String {
    let rows: String = keys(named).iter().map(Key::row).collect();
    format!("| key | type | default | counts after | meaning |\n|---|---|---|---|---|\n{rows}")
}

#[test]
fn the_tables_of_keys_are_those_of_the_types() {
    let path = project().join("docs/configuration.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let (mut written, mut rest, mut names) = (String::new(), page.as_str(), Vec::new());
    while let Some((before, after)) = rest.split_once("<!-- keys of ") {
        let (named, after) = after.split_once(", written by a test -->\n").expect("it says of what");
        let (_, after) = after.split_once("<!-- end of keys -->").expect("it ends");
        written += &format!("{before}<!-- keys of {named}, written by a test -->\n{}<!-- end of keys -->", table(named));
        names.push(named.to_owned());
        rest = after;
    }
    written += rest;
    assert_eq!(names, ["RawDaemon", "RawSite", "RawIds", "RawSiteTable", "RawShare", "RawTable"]);
    if std::env::var_os("ROSTERD_BLESS").is_some() {
        std::fs::write(&path, &written).expect("it can be written");
        return;
    }
    let first = page.lines().zip(written.lines()).find(|(page, written)| page != written);
    assert!(first.is_none() && page == written, "docs/configuration.md is not as the types are; ROSTERD_BLESS=1 writes it: {first:#?}");
}

fn parsed(daemon: &str) -> Result<Config, String> {
    let text = format!("[daemon]\n{daemon}\n{HUB}{SHARE}");
    Config::parse(&text, Path::new("/etc/rosterd/rosterd.toml")).map_err(|error| error.to_string())
}

/// The program's own defaults are those that the comments say, and the bounds are.
#[test]
fn defaults_and_bounds_are_what_the_program_has() {
    let daemon = parsed("").expect("it is valid").daemon;
    let (mut defaults, mut bounds) = (0, 0);
    for key in keys("RawDaemon") {
        let name = key.name.as_str();
        let said = key.default.trim_matches('`').trim_matches('"');
        let has = match name {
            "state_dir" => daemon.state_dir.display().to_string(),
            "listen" => daemon.listen.as_ref().map_or_else(|| "no".into(), |listen| listen.address.to_string()),
            "copy_rows_per_second_max" => daemon.copy_rows_per_second_max.map_or_else(|| "no limit".into(), |n| n.to_string()),
            "verify_rows_per_second_max" => daemon.verify_rows_per_second_max.map_or_else(|| "no limit".into(), |n| n.to_string()),
            "verify_every" => daemon.verify_every.map_or_else(|| "never".into(), |every| format!("{}s", every.as_secs())),
            "heartbeat" => daemon.heartbeat.map_or_else(|| "never".into(), |every| format!("{}s", every.as_secs())),
            "batch_rows_max" => daemon.batch_rows_max.to_string(),
            "batch_bytes_max" => daemon.batch_bytes_max.to_string(),
            "chunk_rows_max" => daemon.chunk_rows_max.to_string(),
            "connect_timeout_ms" => daemon.connect_timeout.as_millis().to_string(),
            "lock_wait_ms" => daemon.lock_wait.as_millis().to_string(),
            "after_apply_repeat_ms" => daemon.after_apply_repeat.as_millis().to_string(),
            "conflict_days" => daemon.conflict_days.to_string(),
            // Paths and names, which are not there unless somebody gives them.
            _ if ["none", "no token"].contains(&said) => continue,
            other => panic!("which default has {other}?"),
        };
        assert_eq!(said, has, "{name}");
        defaults += 1;
        let Some((least, most)) = key.takes.rsplit_once(" to ").filter(|_| key.takes.starts_with("whole number")) else { continue };
        let least: i64 = least.rsplit(' ').next().expect("a word").parse().expect("a number");
        let most: i64 = most.parse().expect("a number");
        for (value, is_taken) in [(least, true), (most, true), (least - 1, false), (most + 1, false)] {
            let taken = parsed(&format!("{name} = {value}"));
            assert_eq!(taken.is_ok(), is_taken, "{name} = {value}: {taken:?}");
        }
        bounds += 1;
    }
    assert!(defaults >= 13 && bounds >= 7, "{defaults} defaults, {bounds} bounds");
}
