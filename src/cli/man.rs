//! `rosterd man`: manual pages, from the same definitions as the commands and their `--help`.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::{Cli, Exit, print};

/// The manual pages: rosterd(1), one for each command, and rosterd.toml(5)
///
/// They are made from what this program knows of its commands. The Debian package has them in place already.
#[derive(Args)]
#[command(after_help = "Example:\n  rosterd man --out ./man    then: man ./man/rosterd-status.1")]
pub struct Man {
    /// The folder to write them to; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Words and their meanings, as a list of a page.
type List<'t> = &'t [(&'t str, &'t str)];

const EXIT_STATUS: List = &[
    ("0", "All is well."),
    ("1", "The answer is bad news: differences, lag, conflicts, errors that were found."),
    ("2", "The usage or the configuration is wrong."),
    ("3", "Something can't be reached: a site, or the running daemon."),
];

const ENVIRONMENT: List = &[
    ("ROSTERD_CONFIG", "The configuration, where --config is not given."),
    ("ROSTERD_LOG", "What rosterd run logs: error, warn, info (the default), debug or trace, also by module."),
    ("NO_COLOR", "No colours, whatever the terminal is, where this is set and not empty."),
    ("CREDENTIALS_DIRECTORY", "Where systemd puts credentials: password files are looked for there by their name."),
];

const FILES: List = &[
    ("/etc/rosterd/rosterd.toml", "The configuration. Password files that it names stand beside it, or are systemd credentials."),
    (
        "/var/lib/rosterd",
        "The ledger (ledger.sqlite), which holds what people's rows hold, and the socket of the running daemon (admin.sock); for the daemon's account only.",
    ),
    (
        "/usr/share/doc/rosterd",
        "The documents, where the Debian package is installed: docs/operating.md to begin with, docs/configuration.md for each key.",
    ),
];

impl Man {
    pub fn run(&self) -> Exit {
        match write(&self.out) {
            Ok(count) => {
                print::out(&format!("{count} manual pages in {}\n", self.out.display()));
                Exit::Fine
            }
            Err(error) => Exit::Usage(format!("{} can't be written: {error}; name another folder with --out", self.out.display())),
        }
    }
}

fn write(folder: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let pages = pages()?;
    for (name, text) in &pages {
        std::fs::write(folder.join(format!("{name}.1")), text)?;
    }
    std::fs::write(folder.join("rosterd.toml.5"), configuration_page())?;
    Ok(pages.len() + 1)
}

/// Name and troff source of each page.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut found = Vec::new();
    walk(&root, None, &mut found)?;
    Ok(found)
}

/// rosterd.toml(5): the example that explains each key.
fn configuration_page() -> String {
    let mut page = Roff::new();
    let version = format!("rosterd {}", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["ROSTERD.TOML", "5", "", &version, "rosterd manual"]);
    page.control("SH", ["NAME"]).text([roman("rosterd.toml - configuration of rosterd")]);
    page.control("SH", ["DESCRIPTION"]).text([roman(
        "The configuration is a TOML file: the daemon, the sites, what they share, and rules for tables. rosterd init writes a first one from live databases, \
         and rosterd check proves it against them.",
    )]);
    page.control("SH", ["EXAMPLE"]).control("EX", []);
    for line in include_str!("../../config/rosterd.example.toml").lines() {
        page.text([roman(line)]);
    }
    page.control("EE", []);
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("rosterd"), roman("(1), "), bold("rosterd-init"), roman("(1), "), bold("rosterd-check"), roman("(1)")]);
    page.render()
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn walk(command: &Command, above: Option<&str>, found: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    found.push((name(command).to_owned(), page(command, above)?));
    command.get_subcommands().try_for_each(|below| walk(below, Some(name(command)), found))
}

fn page(command: &Command, above: Option<&str>) -> io::Result<Vec<u8>> {
    let version = format!("rosterd {}", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command.clone()).title(name(command).to_uppercase()).source(version).manual("rosterd manual");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let help = After::read(&help);
    let mut rest = Roff::new();
    help.notes(&mut rest);
    rest.control("SH", ["EXIT STATUS"]);
    match help.exit_code {
        Some(own) => rest
            .text([roman(own)])
            .control("PP", [])
            .text([roman("Everywhere 2 means usage or configuration, and 3 that something can't be reached.")]),
        None => list(&mut rest, EXIT_STATUS),
    };
    list(rest.control("SH", ["ENVIRONMENT"]), ENVIRONMENT);
    list(rest.control("SH", ["FILES"]), FILES);
    help.examples(&mut rest);
    see_also(&mut rest, command, above);
    rest.to_writer(&mut text)?;
    Ok(text)
}

fn list<'r>(roff: &'r mut Roff, items: List) -> &'r mut Roff {
    for (word, meaning) in items {
        roff.control("TP", []).text([bold(*word)]).text([roman(*meaning)]);
    }
    roff
}

fn see_also(roff: &mut Roff, command: &Command, above: Option<&str>) {
    let mut others: Vec<&str> = above.into_iter().chain(command.get_subcommands().map(name)).collect();
    if above.is_some_and(|above| above != "rosterd") {
        others.insert(0, "rosterd");
    }
    let mut line = Vec::new();
    for (at, other) in others.iter().enumerate() {
        line.extend([roman(if at == 0 { "" } else { ", " }), bold(*other), roman("(1)")]);
    }
    if above.is_none() {
        line.extend([roman(", "), bold("rosterd.toml"), roman("(5)")]);
    }
    roff.control("SH", ["SEE ALSO"]).text(line);
}

/// What `--help` has at its end, by kind.
#[derive(Default)]
struct After<'h> {
    examples: Vec<&'h str>,
    notes: Vec<&'h str>,
    exit_code: Option<&'h str>,
}

impl<'h> After<'h> {
    fn read(help: &'h str) -> After<'h> {
        let mut after = After::default();
        for line in help.lines().filter(|line| !line.is_empty()) {
            match (line.strip_prefix("  "), line.strip_prefix("Exit code: ")) {
                (Some(example), _) => after.examples.push(example),
                (_, Some(codes)) => after.exit_code = Some(codes),
                _ if line.starts_with("Example") => {}
                _ => after.notes.push(line),
            }
        }
        after
    }

    fn notes(&self, roff: &mut Roff) {
        for (at, note) in self.notes.iter().enumerate() {
            if at == 0 {
                roff.control("SH", ["NOTES"])
            } else {
                roff.control("PP", [])
            };
            roff.text([roman(*note)]);
        }
    }

    /// As they are typed; what is said of one stands behind it in italics.
    fn examples(&self, roff: &mut Roff) {
        roff.control("SH", ["EXAMPLES"]);
        for line in &self.examples {
            let indent = line.len() - line.trim_start().len();
            let (typed, said) = match line[indent..].split_once("  ") {
                Some((typed, said)) if !typed.is_empty() => (&line[..indent + typed.len()], said.trim()),
                _ => (*line, ""),
            };
            roff.control("EX", []).text([bold(typed)]).control("EE", []);
            if !said.is_empty() {
                roff.control("RS", []).text([italic(said)]).control("RE", []);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_with_all_that_is_said_of_it() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for expected in ["rosterd", "rosterd-run", "rosterd-site-add", "rosterd-quarantine-resolve"] {
            assert!(names.contains(&expected), "{names:?}");
        }
        for (name, text) in &pages {
            let text = std::str::from_utf8(text).unwrap();
            let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
            for section in ["NAME", "SYNOPSIS", "OPTIONS", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES", "EXAMPLES", "\"SEE ALSO\""] {
                assert!(sections.contains(&section), "{name} has no {section}, but {sections:?}");
            }
            assert!(!text.contains("Exit code:"), "{name} does not tell its exit codes as a section");
        }
    }

    #[test]
    fn a_help_text_falls_into_examples_notes_and_exit_codes() {
        let after = After::read("Examples:\n  rosterd a\n  rosterd b   said\n\nA note.\nExit code: 0 fine.");
        assert_eq!(after.examples, ["rosterd a", "rosterd b   said"]);
        assert_eq!(after.notes, ["A note."]);
        assert_eq!(after.exit_code, Some("0 fine."));
    }
}
