//! How far copies are: a bar for each table on a terminal, log lines otherwise.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rosterd::daemon::Daemon;
use rosterd::ops::status::{Scan, Status};
use rosterd::ops::status_text;
use rosterd::ops::verify::Progress;

const BARS_EVERY: Duration = Duration::from_millis(250);
const LINES_EVERY: Duration = Duration::from_secs(5);

/// All bars of the process: log lines are written above them.
static BARS: LazyLock<MultiProgress> = LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));

/// Where log lines go: standard error, above the bars.
pub fn above_bars() -> impl Write {
    AboveBars(Vec::new())
}

struct AboveBars(Vec<u8>);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for AboveBars {
    fn drop(&mut self) {
        let _ = match std::io::stderr().is_terminal() {
            true => BARS.suspend(|| std::io::stderr().write_all(&self.0)),
            false => std::io::stderr().write_all(&self.0),
        };
    }
}

/// Shows how far a verification is, for as long as it is polled.
pub async fn show_verification(so_far: &Progress, bars: bool) -> Infallible {
    let mut shown: HashMap<(String, String), ProgressBar> = HashMap::new();
    loop {
        tokio::time::sleep(if bars { BARS_EVERY } else { LINES_EVERY }).await;
        let now = so_far.now();
        for passing in &now {
            let percent = (passing.rows * 100 / passing.rows_estimated.max(1)).min(99);
            if !bars {
                eprintln!("{} {}: {percent} %, {} rows compared", passing.site, passing.table, passing.rows);
                continue;
            }
            let name = (passing.site.clone(), passing.table.clone());
            let bar = shown.entry(name).or_insert_with(|| bar(format!("{} {}", passing.site, passing.table)));
            bar.set_position(percent);
            bar.set_message(format!("{} rows, {} left", passing.rows, HumanDuration(bar.eta())));
        }
        shown.retain(|(site, table), bar| {
            let going = now.iter().any(|passing| passing.site == *site && passing.table == *table);
            if !going {
                bar.finish_and_clear();
                BARS.remove(bar);
            }
            going
        });
    }
}

/// Takes the bars away.
pub fn clear() {
    let _ = BARS.clear();
}

fn bar(name: String) -> ProgressBar {
    let bar = BARS.add(ProgressBar::new(100));
    let style = ProgressStyle::with_template("{prefix:>24} [{bar:20}] {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_prefix(name);
    bar
}

/// Shows how far copies are for as long as it is polled. `bars`: on a terminal, for people.
pub async fn show(daemon: Arc<Daemon>, bars: bool) {
    let mut shown = HashMap::new();
    loop {
        tokio::time::sleep(if bars { BARS_EVERY } else { LINES_EVERY }).await;
        let Ok(status) = daemon.status().await else { continue };
        match bars {
            true => draw(&status, &mut shown),
            false => log(&status),
        }
    }
}

fn under_way(status: &Status) -> impl Iterator<Item = (&str, &Scan)> {
    let scans = status.sites.iter().flat_map(|site| site.scans.iter().map(|scan| (site.name.as_str(), scan)));
    scans.filter(|(_, scan)| scan.phase != "waiting")
}

fn log(status: &Status) {
    for (site, scan) in under_way(status) {
        tracing::info!(site, table = scan.table, percent = scan.percent, "{}: {}", scan.why, status_text::progress(scan));
    }
}

fn draw(status: &Status, shown: &mut HashMap<(String, String), ProgressBar>) {
    shown.retain(|(site, table), bar| {
        let going = under_way(status).any(|(s, scan)| s == site && scan.table == *table);
        if !going {
            bar.finish_and_clear();
            BARS.remove(bar);
        }
        going
    });
    for (site, scan) in under_way(status) {
        let bar = shown.entry((site.to_owned(), scan.table.clone())).or_insert_with(|| bar(format!("{site} {}", scan.table)));
        bar.set_position(scan.percent.into());
        bar.set_message(status_text::progress(scan));
    }
}
