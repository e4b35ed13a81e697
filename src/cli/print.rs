//! Printing answers: text for people, or JSON.

use serde::Serialize;

/// Pretty JSON on standard output.
pub fn json(answer: &impl Serialize) {
    match serde_json::to_string_pretty(answer) {
        Ok(text) => out(&format!("{text}\n")),
        Err(error) => eprintln!("{error}"),
    }
}

/// Text on standard output; a reader that has gone away (`| head`) is no error.
pub fn out(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
