//! What decodes bytes from outside, taken by itself: each target takes any bytes, and must come back without a panic, in bounded
//! memory and time.
//!
//! `cargo test --lib hostile` feeds each target for a moment with damaged copies of what real servers wrote (`tests/corpus/`);
//! `ROSTERD_HOSTILE_SECONDS=600 cargo test --lib hostile::tests::pgoutput -- --nocapture` does so for longer, and
//! `ROSTERD_SEED=17` in another order. An input that fails is kept as `target/hostile-NAME`. `fuzz/run` lets libFuzzer look for inputs
//! that go where none has been.

#[cfg(test)]
mod damage;
pub(crate) mod fields;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod tests;
mod words;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::ledger;
use crate::sites::{mysql, postgres, sqlite};

/// Something that takes bytes from outside.
pub struct Target {
    pub name: &'static str,
    /// Folders and files under `tests/corpus/` that hold what it takes.
    pub corpus: &'static [&'static str],
    /// Words that its input is made of.
    pub words: &'static [&'static str],
    /// Panics when something that must hold does not.
    pub run: fn(&[u8]),
}

impl Target {
    /// The files that it starts from: a folder's, or those whose names begin so.
    pub fn corpus_files(&self) -> Vec<PathBuf> {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
        let mut found = Vec::new();
        for place in self.corpus {
            let place = corpus.join(place);
            let (folder, start) =
                if place.is_dir() { (place.as_path(), "".into()) } else { (place.parent().expect("a folder"), name(&place)) };
            let files = std::fs::read_dir(folder).expect("the corpus is there").map(|entry| entry.expect("a file").path());
            let mut files: Vec<PathBuf> = files.filter(|file| file.is_file() && name(file).starts_with(&*start)).collect();
            files.sort();
            found.extend(files);
        }
        found
    }
}

fn name(path: &Path) -> Cow<'_, str> {
    path.file_name().expect("a name").to_string_lossy()
}

const SQL: &[&str] = &[
    "BEGIN",
    "COMMIT",
    "ROLLBACK TO ",
    "SAVEPOINT ",
    "ALTER TABLE ",
    "RENAME ",
    "TO ",
    "CREATE TABLE ",
    "START TRANSACTION",
    "TRUNCATE ",
    "DROP TABLE ",
    "XA START ",
    "UPDATE ",
    "/*!",
    "*/",
    "-- ",
    "`",
    "''",
    "\\",
    ",",
    ".",
    "EXCHANGE PARTITION p WITH TABLE ",
];
const FILTER: &[&str] = &[
    "(",
    ")",
    "NOT ",
    " AND ",
    " OR ",
    " IN (",
    " BETWEEN ",
    " LIKE '%a_'",
    " IS NULL",
    " IS NOT DISTINCT FROM ",
    "<=>",
    "uid",
    "`",
    "'",
    "\"",
    "X'1F'",
    "0x",
    "1e999",
    "-",
    "::",
    "CASE WHEN ",
    " COLLATE ",
    "INTERVAL ",
    "EXISTS (SELECT ",
    "/*",
    "--",
    "\n",
    "é",
];
const CONFIG: &[&str] = &[
    "[[site]]\n",
    "[[table]]\n",
    "[daemon]\n",
    "[share]\n",
    "name = ",
    "role = \"hub\"\n",
    "url = \"mysql://a:b@c/d\"\n",
    "filter = \"",
    "= {",
    "[",
    "]",
    "}",
    "\"\"\"",
    "'",
    "\\u0000",
    ".",
    "a.",
    "9223372036854775808",
    "password",
    "ids = { offset = 0 }\n",
    "values = {",
];
const DIGITS: &[&str] =
    &["9223372036854775807", "18446744073709551615", "-", ":", ",", "3e11fa47-71ca-11e1-9e33-c80aa9429562", "0-1-1", "tag_a"];
const JSON: &[&str] =
    &["{", "}", "[", "]", "\"", "\\u0000", "\\ud800", ":", ",", "null", "true", "1e308", "-0.0", "1E-99999", "12345678901234567890"];

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "binlog", corpus: &["mysql"], words: SQL, run: mysql::hostile::binlog },
    Target { name: "images", corpus: &["text/rows"], words: &[], run: mysql::hostile::images },
    Target { name: "jsonb", corpus: &["text/jsonb"], words: &[], run: mysql::hostile::jsonb },
    Target { name: "statement", corpus: &["text/statements.sql"], words: SQL, run: mysql::hostile::statement },
    Target { name: "gtids", corpus: &["text/gtids"], words: DIGITS, run: mysql::hostile::gtids },
    Target { name: "pgoutput", corpus: &["postgres"], words: &["\\x", "NaN", "infinity", " BC"], run: postgres::hostile::messages },
    Target { name: "stream", corpus: &["postgres"], words: &[], run: postgres::hostile::stream },
    Target {
        name: "pgvalues",
        corpus: &["text/values"],
        words: &["\\x", "NaN", "-infinity", " BC", "24:00:00"],
        run: postgres::hostile::values,
    },
    Target { name: "changelog", corpus: &["sqlite/cells"], words: &["users", "b", "e", "w", "g"], run: sqlite::hostile::changelog },
    Target { name: "database", corpus: &["sqlite/site.db"], words: &[], run: sqlite::hostile::database },
    Target { name: "ledger", corpus: &["ledger/ledger.sqlite"], words: &[], run: ledger::hostile::file },
    Target { name: "cells", corpus: &["ledger/cells"], words: &["users", "hub"], run: ledger::hostile::cells },
    Target { name: "record", corpus: &["ledger/record", "ledger/marker"], words: &[], run: words::record },
    Target { name: "json", corpus: &["text/json1", "text/json2"], words: JSON, run: words::json },
    Target { name: "filter", corpus: &["text/filters"], words: FILTER, run: words::filter },
    Target { name: "config", corpus: &["../../config", "text/config"], words: CONFIG, run: words::config },
    Target { name: "after_apply", corpus: &["text/statements.sql"], words: FILTER, run: words::after_apply },
];
