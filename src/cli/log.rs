//! The daemon's log: for people on a terminal, without times under journald, which has its own.

use tracing_subscriber::EnvFilter;

/// `json`: one object per line.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_env("ROSTERD_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(super::progress::above_bars).with_target(false);
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    match (json, journal) {
        (true, _) => log.json().init(),
        (false, true) => log.with_ansi(false).without_time().init(),
        (false, false) => log.with_ansi(colours()).init(),
    }
}

fn colours() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
