//! The documents are true where a machine can tell: configurations in them are valid, links lead somewhere, and every key of
//! the configuration is explained.

#[path = "docs/keys.rs"]
mod keys;
#[path = "docs/messages.rs"]
mod messages;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rosterd::config::Config;

/// Stands before a part of a configuration, to make a whole of it.
const HUB: &str = "[[site]]\nname = \"hub\"\nrole = \"hub\"\nurl = \"mysql://rosterd@db1.example.net/main_db\"\n";
const SHARE: &str = "[share]\npreset = \"drupal7\"\n";

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Path and text of each document.
fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in [project(), project().join("docs"), project().join("docs/presets")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(found.len() > 5, "the documents are not where they were: {found:?}");
    found
}

fn named(path: &Path) -> String {
    path.strip_prefix(project()).unwrap_or(path).display().to_string()
}

/// Blocks between ```language and ```.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let mut found = Vec::new();
    let mut rest = text;
    let opening = format!("```{language}\n");
    while let Some((_, after)) = rest.split_once(&opening) {
        let (block, after) = after.split_once("\n```").expect("a block that ends");
        found.push(block);
        rest = after;
    }
    found
}

/// The text without blocks and inline code, in which brackets are no links.
fn prose(text: &str) -> String {
    let outside: String = text.split("```").step_by(2).collect();
    outside.split('`').step_by(2).collect()
}

#[test]
fn configurations_are_valid() {
    let mut count = 0;
    for (path, text) in documents() {
        for block in blocks(&text, "toml") {
            let whole = block.contains("role = \"hub\"");
            let mut config = if whole { block.to_owned() } else { format!("{HUB}{block}\n") };
            if !config.contains("[share]") && !whole {
                config.push_str(SHARE);
            }
            let folder = tempfile::tempdir().unwrap();
            let secrets =
                config.lines().filter_map(|line| line.split_once("password_file = \"").or(line.split_once("listen_token_file = \"")));
            for file in secrets.filter_map(|(_, rest)| rest.split('"').next()) {
                let file = folder.path().join(file);
                std::fs::write(&file, "correct-horse-battery\n").unwrap();
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            }
            if let Err(error) = Config::parse(&config, &folder.path().join("rosterd.toml")) {
                panic!("{}: {error}\n{config}", named(&path));
            }
            count += usize::from(whole);
        }
    }
    assert!(count > 0, "no document has a whole configuration");
}

#[test]
fn the_readme_shows_a_configuration_of_thirty_lines() {
    let text = std::fs::read_to_string(project().join("README.md")).unwrap();
    let block = blocks(&text, "toml")[0];
    assert!(block.contains("[[site]]") && block.lines().count() <= 30, "{} lines", block.lines().count());
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in documents() {
        for link in prose(&text).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let there = match (target.exists(), anchor) {
                (false, _) => false,
                (true, "") => true,
                (true, anchor) => anchors(&std::fs::read_to_string(&target).unwrap()).contains(anchor),
            };
            if !there {
                broken.push(format!("{}: {link}", named(&path)));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n  {}", broken.join("\n  "));
}

/// What a document's headings are called in links: small letters, digits and hyphens.
fn anchors(text: &str) -> BTreeSet<String> {
    let outside: String = text.split("```").step_by(2).collect();
    let headings = outside.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim().to_lowercase());
    headings
        .map(|heading| {
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_key_of_the_configuration_is_explained() {
    let raw = std::fs::read_to_string(project().join("src/config/raw.rs")).unwrap();
    let text = std::fs::read_to_string(project().join("docs/configuration.md")).unwrap();
    let keys = raw.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(": "));
    let missing: Vec<&str> =
        keys.map(|(key, _)| key).filter(|key| ![format!("`{key}`"), format!("[{key}]")].iter().any(|form| text.contains(form))).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not have {missing:?}");
}

/// Tests and benchmarks that a document has run are there.
#[test]
fn cargo_is_asked_for_what_is_there() {
    let mut gone = Vec::new();
    let mut asked = 0;
    for (path, text) in documents() {
        for (option, place) in [("--test ", "tests/{}.rs"), ("--bench ", "benches/{}/main.rs")] {
            for name in text.split(option).skip(1).filter(|_| text.contains("cargo ")) {
                let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                asked += 1;
                if name != "NAME" && !project().join(place.replace("{}", &name)).exists() {
                    gone.push(format!("{}: {option}{name}", named(&path)));
                }
            }
        }
    }
    assert!(gone.is_empty() && asked > 5, "of {asked}: {gone:?}");
}

/// A page that nothing leads to is not found by anybody.
#[test]
fn the_index_has_every_page() {
    let index = std::fs::read_to_string(project().join("docs/README.md")).unwrap();
    let pages = documents()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with(project().join("docs")) && !path.ends_with("README.md"));
    let missing: Vec<String> = pages
        .filter_map(|path| path.strip_prefix(project().join("docs")).ok().map(|path| path.display().to_string()))
        .filter(|page| !index.contains(&format!("]({page})")))
        .collect();
    assert!(missing.is_empty(), "docs/README.md does not lead to {missing:?}");
}
