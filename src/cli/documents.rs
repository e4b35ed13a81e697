//! Commands of rosterd in README.md and docs/ are right: each is parsed by the program's own definitions.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::Cli;

/// A command as a document has it.
struct Found {
    document: String,
    text: String,
    /// Within a sentence, where what is required may be left out: `rosterd site add`.
    is_inline: bool,
}

fn documents() -> Vec<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![project.join("README.md")];
    for folder in ["docs", "docs/presets"] {
        let entries = std::fs::read_dir(project.join(folder)).expect("the documents are there");
        found.extend(entries.map(|entry| entry.expect("it can be read").path()).filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    found
}

fn commands(document: &Path) -> Vec<Found> {
    let mut text = std::fs::read_to_string(document).expect("it can be read");
    let name = document.file_name().expect("it has a name").to_string_lossy().into_owned();
    if name == "troubleshooting.md" {
        // The first column has what rosterd says, not what is said to it.
        text = text
            .lines()
            .map(|line| if line.starts_with("| ") { line.split_once(" | ").map_or(line, |(_, rest)| rest) } else { line })
            .fold(String::new(), |text, line| text + line + "\n");
    }
    let found = |text: &str, is_inline| Found { document: name.clone(), text: text.trim().to_owned(), is_inline };
    let mut all = Vec::new();
    for (at, part) in text.split("```").enumerate() {
        match part.strip_prefix("sh\n") {
            Some(block) if at % 2 == 1 => {
                let lines = block.replace("\\\n", " ");
                all.extend(lines.lines().flat_map(shell).map(|command| found(&command, false)));
            }
            None if at % 2 == 0 => {
                let spans = part.split('`').skip(1).step_by(2);
                all.extend(spans.map(|span| span.replace('\n', " ")).filter(|span| is_ours(span)).map(|span| found(&span, true)));
            }
            _ => {}
        }
    }
    all
}

fn is_ours(command: &str) -> bool {
    command.starts_with("rosterd ")
}

/// The commands of rosterd in a line of a shell, without remarks, pipes and redirections.
fn shell(line: &str) -> Vec<String> {
    let line = line.split(" #").next().unwrap_or_default();
    let commands = line.split([';', '|']).flat_map(|part| part.split("&&")).map(|part| {
        let part = part.trim().trim_start_matches("sudo ").replace("cargo run --release -- ", "rosterd ");
        part.split([' ']).take_while(|word| !word.starts_with(['>', '<'])).collect::<Vec<_>>().join(" ")
    });
    commands.filter(|command| is_ours(command)).collect()
}

/// Every way to read what is in brackets or left to choose: `resume NAME [--accept|--reject]`.
fn ways(text: &str) -> Vec<String> {
    let text = text.replace("\\|", "|");
    let Some((before, rest)) = text.split_once('[') else { return vec![text] };
    let Some((choice, after)) = rest.split_once(']') else { return vec![text] };
    let without = std::iter::once("");
    without.chain(choice.split('|')).flat_map(|chosen| ways(&format!("{before}{chosen}{after}"))).collect()
}

fn refusal(command: &str, is_inline: bool) -> Option<String> {
    // N stands for a number, `...` for more of the same.
    let words = command
        .split_whitespace()
        .filter(|word| *word != "...")
        .map(|word| if word == "N" { "17" } else { word.trim_matches(['\'', '"']) });
    let error = Cli::command().try_get_matches_from(words).err()?;
    let is_fine = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            is_inline
        }
        _ => false,
    };
    (!is_fine).then(|| error.to_string())
}

#[test]
fn commands_in_the_documents_are_right() {
    let all: Vec<Found> = documents().iter().flat_map(|document| commands(document)).collect();
    assert!(all.iter().filter(|found| !found.is_inline).count() > 20 && all.len() > 100, "{} commands", all.len());
    let mut wrong = Vec::new();
    for found in &all {
        for way in ways(&found.text) {
            wrong.extend(refusal(&way, found.is_inline).map(|error| format!("{}: `{}`: {error}", found.document, found.text)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_command_is_noticed() {
    for wrong in ["rosterd statsu", "rosterd status --wacth", "rosterd conflicts show x", "rosterd site resume nj --accept --reject"] {
        assert!(refusal(wrong, true).is_some(), "{wrong}");
    }
    assert!(refusal("rosterd site add", false).is_some() && refusal("rosterd site add", true).is_none());
    assert_eq!(shell("sudo rosterd grants hub | mariadb -h x   # remark"), ["rosterd grants hub"]);
    assert_eq!(ways("a [x|y] b"), ["a  b", "a x b", "a y b"]);
}
