//! Holds the code to docs/ARCHITECTURE.md: which folder may import which, what the engines' folders have in common, and
//! what files are called and how long they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each may import what stands above it, and its own.
const ROOMS: [&str; 9] = ["model", "config", "resolve", "ledger", "sites", "capture", "apply", "ops", "daemon"];

/// Above it, and still none of its business.
const UNKNOWN_TO: [(&str, &str); 1] = [("sites", "ledger")];

const TWINS: [&str; 3] = ["mysql", "postgres", "sqlite"];
const TWIN_FILES: [&str; 10] =
    ["chunks.rs", "connect.rs", "describe.rs", "errors.rs", "log.rs", "mod.rs", "numbering.rs", "probe.rs", "values.rs", "writer.rs"];

/// Drivers, and the folders that may name them.
const DRIVERS: [(&str, &[&str]); 4] = [
    ("mysql_async", &["src/sites/mysql/", "src/cli/demo"]),
    ("tokio_postgres", &["src/sites/postgres/", "src/cli/demo"]),
    ("postgres_protocol", &["src/sites/postgres/"]),
    ("rusqlite", &["src/sites/sqlite/", "src/ledger/", "src/cli/demo"]),
];

/// Decisions are made without these.
const PURE: [&str; 2] = ["src/model/", "src/resolve/"];
const IMPURE: [&str; 8] = ["async", "std::fs", "std::io", "std::net", "std::thread", "std::time", "tokio", "tracing"];

const NAMES_TO_AVOID: [&str; 8] = ["util", "common", "core", "base", "helper", "manager", "handler", "types"];
const LINES_MAX: usize = 500;

struct Source {
    /// From the project's folder: `src/sites/mysql/log.rs`.
    path: String,
    text: String,
    /// Compiled for tests only.
    is_test: bool,
}

impl Source {
    /// `["sites", "mysql", "log"]`; a `mod.rs` has its folder's.
    fn module(&self) -> Vec<&str> {
        let inner = self.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")).unwrap_or(&self.path);
        let mut module: Vec<&str> = inner.split('/').collect();
        if module.last() == Some(&"mod") {
            module.pop();
        }
        module
    }

    /// The code without comments, line by line.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code))
    }

    /// Top-level modules of this crate that the code names.
    fn imports(&self) -> BTreeSet<String> {
        let code: String = self.code().flat_map(|line| [line, "\n"]).collect();
        let mut found = BTreeSet::new();
        for root in ["crate::", "rosterd::"] {
            for at in words(&code, root) {
                found.extend(first_names(&code[at + root.len()..]));
            }
        }
        let depth = self.module().len();
        for at in words(&code, "super::") {
            let rest = code[at..].trim_start_matches("super::");
            let supers = (code.len() - at - rest.len()) / "super::".len();
            if supers >= depth {
                found.extend(first_names(rest).into_iter().filter(|name| ROOMS.contains(&name.as_str())));
            }
        }
        found
    }

    /// Lines without a test module at the end.
    fn lines(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
        tests.unwrap_or(lines.len())
    }
}

/// Where `word` stands by itself: no part of a longer name or path.
fn words<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = usize> + 'c {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.match_indices(word).map(|(at, _)| at).filter(move |at| !code[..*at].ends_with(part))
}

/// The first name of a path, or of each path in a braced list.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(list) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                names.push(name(&list[start..at]));
                break;
            }
            ',' if depth == 0 => {
                names.push(name(&list[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    walk(&project().join("src"), &mut files);
    files.sort();
    let mut sources: Vec<Source> = files
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(project()).unwrap().to_str().unwrap().to_owned();
            Source { text: std::fs::read_to_string(&file).unwrap(), path, is_test: false }
        })
        .collect();
    let tests: Vec<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        source.is_test = tests.iter().any(|test| source.path == format!("{test}.rs") || source.path.starts_with(&format!("{test}/")));
    }
    sources
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Modules in files of their own that `source` declares for tests (and fuzzing) only, as paths without `.rs`.
fn test_modules(source: &Source) -> Vec<String> {
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let inner = match source.path.rsplit('/').next() {
        Some("mod.rs" | "lib.rs" | "main.rs") => folder.to_owned(),
        _ => source.path.trim_end_matches(".rs").to_owned(),
    };
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let mut found = Vec::new();
    let only = ["#[cfg(test)]", "#[cfg(any(test, feature = \"fuzzing\"))]"];
    for at in (0..lines.len()).filter(|at| only.contains(&lines[*at])) {
        let next = |n: usize| lines.get(at + n).copied().unwrap_or_default();
        let named = |line: &str| {
            let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            line.strip_prefix("mod ").and_then(|name| name.strip_suffix(';')).map(str::to_owned)
        };
        if let Some(path) = next(1).strip_prefix("#[path = \"").and_then(|path| path.strip_suffix("\"]")) {
            found.extend(named(next(2)).map(|_| format!("{folder}/{}", path.trim_end_matches(".rs"))));
        } else {
            found.extend(named(next(1)).map(|name| format!("{inner}/{name}")));
        }
    }
    found
}

fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn folders_import_only_what_stands_above_them() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module();
        let Some(room) = ROOMS.iter().position(|room| *room == module[0]) else { continue };
        for import in source.imports() {
            let hidden = UNKNOWN_TO.contains(&(ROOMS[room], import.as_str()));
            if hidden || ROOMS.iter().position(|room| *room == import).is_some_and(|other| other > room) {
                wrong.push(format!("{} imports {import}", source.path));
            }
        }
    }
    assert_none("imports against docs/ARCHITECTURE.md", wrong);
}

#[test]
fn every_top_level_module_has_its_place() {
    let known = |name: &str| ROOMS.contains(&name) || ["cli", "crash", "lib", "main", "mutation", "schedules"].contains(&name);
    let strangers: BTreeSet<String> =
        sources().iter().filter(|s| !s.is_test).map(|s| s.module()[0].to_owned()).filter(|name| !known(name)).collect();
    assert_none("not in docs/ARCHITECTURE.md", strangers.into_iter().collect());
}

#[test]
fn engines_do_not_know_each_other() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module();
        let ["sites", twin, ..] = module[..] else { continue };
        for other in TWINS.iter().filter(|other| TWINS.contains(&twin) && **other != twin) {
            let named = |path: &str| source.code().any(|line| line.contains(&format!("{path}{other}::")));
            if named("sites::") || named("super::") {
                wrong.push(format!("{} knows {other}", source.path));
            }
        }
    }
    assert_none("an engine that knows another", wrong);
}

#[test]
fn engines_have_the_same_files() {
    let sources = sources();
    let mut missing = Vec::new();
    for twin in TWINS {
        for file in TWIN_FILES {
            let path = format!("src/sites/{twin}/{file}");
            if !sources.iter().any(|source| source.path == path) {
                missing.push(path);
            }
        }
    }
    assert_none("files that each engine has", missing);
}

#[test]
fn drivers_are_named_in_their_folders_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (driver, folders) in DRIVERS {
            let path = format!("{driver}::");
            let named = source.code().any(|line| words(line, &path).next().is_some() || line.contains(&format!("use {driver};")));
            if named && !folders.iter().any(|folder| source.path.starts_with(folder)) {
                wrong.push(format!("{} names {driver}", source.path));
            }
        }
    }
    assert_none("drivers outside of their folders", wrong);
}

#[test]
fn decisions_are_pure() {
    let mut wrong = Vec::new();
    for source in sources().into_iter().filter(|source| PURE.iter().any(|folder| source.path.starts_with(folder)) && !source.is_test) {
        let code: Vec<&str> = source.code().take(source.lines()).collect();
        for thing in IMPURE {
            if code
                .iter()
                .any(|line| words(line, thing).any(|at| !line[at + thing.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')))
            {
                wrong.push(format!("{} has {thing}", source.path));
            }
        }
    }
    assert_none("I/O, clocks or async where decisions are made", wrong);
}

#[test]
fn files_say_what_they_hold() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//! ")).map(|source| source.path);
    assert_none("files that do not begin with a //! line", silent.collect());
}

#[test]
fn names_mean_something() {
    let vague = |path: &&String| {
        path.split(['/', '.', '_']).any(|part| NAMES_TO_AVOID.iter().any(|name| part == *name || part.strip_suffix('s') == Some(name)))
    };
    let paths: Vec<String> = sources().into_iter().map(|source| source.path).collect();
    assert_none("names that say nothing", paths.iter().filter(vague).cloned().collect());
}

#[test]
fn files_stay_short() {
    let long = sources().into_iter().filter(|source| !source.is_test && source.lines() > LINES_MAX);
    assert_none(
        &format!("files of more than {LINES_MAX} lines, tests not counted"),
        long.map(|source| format!("{} has {}", source.path, source.lines())).collect(),
    );
}

#[test]
fn imports_are_read_from_every_way_of_writing_them() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into(), is_test: false };
    let imports = |path: &str, text: &str| source(path, text).imports().into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(imports("src/model/a.rs", "use crate::ledger::Row;\n// crate::sites\nlet x = crate::apply::f();"), "apply ledger");
    assert_eq!(imports("src/model/a.rs", "use crate::{ledger::{Row, Id},\n  sites, model::*};"), "ledger model sites");
    assert_eq!(imports("src/model/a.rs", "use super::super::ledger::Row;"), "ledger");
    assert_eq!(imports("src/sites/mysql/a.rs", "use super::super::ledger::Row;"), "");
    assert_eq!(imports("src/model/mod.rs", "use super::ledger;"), "ledger");
    assert_eq!(imports("src/cli/a.rs", "use rosterd::daemon::Daemon;"), "daemon");
    let lib = source("src/lib.rs", "pub mod model;\n#[cfg(test)]\nmod schedules;\n#[cfg(test)]\n#[path = \"x_tests.rs\"]\nmod tests;");
    assert_eq!(test_modules(&lib), ["src/schedules", "src/x_tests"]);
}
