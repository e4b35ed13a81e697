//! Printing answers: text for people, or JSON.

use serde::Serialize;

/// Pretty JSON on standard output.
pub fn json(answer: &impl Serialize) {
    match serde_json::to_string_pretty(answer) {
        Ok(text) => out(&format!("{text}\n")),
        Err(error) => eprintln!("{error}"),
    }
}

/// The same of an answer that has no version itself.
pub fn json_versioned(answer: &impl Serialize) {
    #[derive(Serialize)]
    struct Versioned<'a, T> {
        version: u32,
        #[serde(flatten)]
        answer: &'a T,
    }
    json(&Versioned { version: rosterd::ops::FORMAT, answer });
}

/// Text on standard output; a reader that has gone away (`| head`) is no error.
pub fn out(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
