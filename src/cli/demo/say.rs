//! What the demo prints: plain lines of 80 columns, in colours only on a terminal that wants them.

use std::io::{IsTerminal, Write};
use std::time::Duration;

const WIDTH: usize = 80;
/// Where the figures of a line begin.
const FIGURES: usize = 54;

#[derive(Clone, Copy)]
pub struct Say {
    terminal: bool,
    colours: bool,
}

impl Say {
    pub fn new() -> Say {
        let terminal = std::io::stdout().is_terminal();
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Say { terminal, colours: terminal && wanted && std::env::var_os("TERM").is_none_or(|term| term != "dumb") }
    }

    pub fn title(self, text: &str) {
        put(&format!("\n{}\n", self.painted("1", text)));
    }

    pub fn scene(self, number: usize, text: &str) {
        put(&format!("\n{} {}\n", self.painted("1;36", &format!("{number}.")), self.painted("1", text)));
    }

    /// Free text, broken between words.
    pub fn line(self, text: &str) {
        put(&broken(text, "   "));
    }

    pub fn note(self, text: &str) {
        put(&self.painted("2", &broken(text, "     ")));
    }

    /// Something that was done, and a figure at the right.
    pub fn done(self, text: &str, figure: &str) {
        let text = format!(" {} {text}", self.painted("32", "*"));
        let shown = text.chars().count() - if self.colours { 9 } else { 0 };
        let room = WIDTH.saturating_sub(figure.chars().count());
        if figure.is_empty() {
            put(&format!("{text}\n"));
        } else if shown < FIGURES.min(room) {
            put(&format!("{text}{}{}\n", " ".repeat(FIGURES.min(room) - shown), self.painted("36", figure)));
        } else {
            let pad = " ".repeat(FIGURES.min(room));
            put(&format!("{text}\n{pad}{}\n", self.painted("36", figure)));
        }
    }

    pub fn good(self, text: &str) {
        put(&self.painted("1;32", &broken(text, "   ")));
    }

    pub fn bad(self, text: &str) {
        put(&self.painted("1;31", &broken(text, "   ")));
    }

    pub fn verbatim(self, text: &str) {
        put(&format!("{text}\n"));
    }

    /// A line that is written over by the next, on a terminal; nothing elsewhere.
    pub fn passing(self, text: &str) {
        if self.terminal {
            put(&format!("\r\x1b[2K   {text}"));
        }
    }

    pub fn passed(self) {
        if self.terminal {
            put("\r\x1b[2K");
        }
    }

    fn painted(self, code: &str, text: &str) -> String {
        if !self.colours {
            return text.into();
        }
        let end = if text.ends_with('\n') { "\n" } else { "" };
        format!("\x1b[{code}m{}\x1b[0m{end}", text.trim_end_matches('\n'))
    }
}

/// A closed pipe ends the output, not the demo: it has databases to tidy up.
fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn broken(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut line = String::from(indent);
    for word in text.split_whitespace() {
        if line.trim().is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            out.push_str(&line);
            out.push('\n');
            line = format!("{indent}{word}");
        }
    }
    out + &line + "\n"
}

/// A bar for a part of a whole.
pub fn bar(part: u64, whole: u64) -> String {
    const CELLS: u64 = 24;
    let full = (part * CELLS).checked_div(whole).unwrap_or(CELLS).min(CELLS);
    format!(
        "[{}{}] {:>3} %",
        "#".repeat(full as usize),
        ".".repeat((CELLS - full) as usize),
        (part * 100).checked_div(whole).unwrap_or(100).min(100)
    )
}

/// `<1 ms`, `8 ms`, `1.3 s`.
pub fn span(time: Duration) -> String {
    match time.as_micros() {
        us if us < 1_000 => "<1 ms".into(),
        us if us < 1_000_000 => format!("{} ms", us / 1_000),
        us => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// `1 conflict`, `5 conflicts`.
pub fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", number(count), if count == 1 { "" } else { "s" })
}

/// `6,250`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
