//! The daemon's log: lines for people, JSON, or journald's own fields. What repeats itself is limited in each of them.

use std::os::unix::fs::MetadataExt;

use clap::ValueEnum;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::limit::Limit;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines on standard error
    Human,
    /// One JSON object per line on standard error
    Json,
    /// Entries of the systemd journal with fields such as ROSTERD_SITE
    Journald,
}

impl Format {
    /// What is not asked for: journald's own where standard error leads to it anyhow.
    pub fn guessed() -> Format {
        if is_journal() { Format::Journald } else { Format::Human }
    }
}

pub fn start(format: Format) {
    let filter = EnvFilter::try_from_env("ROSTERD_LOG").unwrap_or_else(|_| "info".into());
    let lines = || tracing_subscriber::fmt::layer().with_writer(super::progress::above_bars).with_target(false);
    // The journal has times of its own.
    let human = || match is_journal() {
        true => lines().with_ansi(false).without_time().boxed(),
        false => lines().with_ansi(colours()).boxed(),
    };
    let mut unreached = None;
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        Format::Human => human(),
        Format::Json => lines().json().boxed(),
        Format::Journald => match tracing_journald::layer() {
            Ok(journal) => journal.with_field_prefix(Some("ROSTERD".into())).with_syslog_identifier("rosterd".into()).boxed(),
            Err(error) => {
                unreached = Some(error);
                human()
            }
        },
    };
    tracing_subscriber::registry().with(layer).with(filter).with(Limit::default()).init();
    if let Some(error) = unreached {
        tracing::warn!(%error, "the journal can't be written to; these lines go to standard error");
    }
}

fn colours() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether systemd has connected standard error to its journal.
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|stream| is_stream(&named, stream.dev(), stream.ino()))
}

/// `JOURNAL_STREAM` is inherited by programs whose output goes elsewhere: it counts only if it names this stream.
fn is_stream(named: &str, dev: u64, ino: u64) -> bool {
    named.split_once(':').is_some_and(|(a, b)| a.parse() == Ok(dev) && b.parse() == Ok(ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journals_stream_is_known_by_device_and_inode() {
        assert!(is_stream("9:4711", 9, 4711));
        for other in ["9:4712", "8:4711", "9", "", "9:", ":4711", "a:b"] {
            assert!(!is_stream(other, 9, 4711), "{other}");
        }
    }
}
