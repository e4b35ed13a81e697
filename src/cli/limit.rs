//! Log lines that repeat themselves: the first few, then one a minute, with how many were left out. An outage of days must not
//! fill a disk, nor hide what else happens.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines that pass before any is left out.
const FIRST: u32 = 5;
const PAUSE: Duration = Duration::from_secs(60);
/// What has been quiet for so long begins anew.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// Kinds of lines that are told apart at most: places in the code, by site, table and cause.
const KINDS_MAX: usize = 4096;

/// One place in the code, site, table and cause.
type Kind = (tracing::callsite::Identifier, Place);

#[derive(Default)]
pub struct Limit(Mutex<HashMap<Kind, Spoken>>);

struct Spoken {
    times: u32,
    last: Instant,
    left_out: u64,
}

thread_local! {
    /// Lines left out before the one that is being written.
    static LEFT_OUT: Cell<u64> = const { Cell::new(0) };
}

impl Spoken {
    /// Whether the next line passes, and how many before it did not; None: it does not.
    fn next(&mut self, now: Instant) -> Option<u64> {
        let quiet = now.saturating_duration_since(self.last);
        if quiet >= FORGOTTEN && self.left_out == 0 {
            self.times = 0;
        }
        if self.times >= FIRST && quiet < PAUSE {
            self.left_out += 1;
            return None;
        }
        (self.times, self.last) = (self.times.saturating_add(1), now);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// What is told apart by.
#[derive(Default, PartialEq, Eq, Hash)]
struct Place {
    site: String,
    table: String,
    cause: String,
}

impl Place {
    fn field(&mut self, name: &str) -> Option<&mut String> {
        match name {
            "site" => Some(&mut self.site),
            "table" => Some(&mut self.table),
            "cause" => Some(&mut self.cause),
            _ => None,
        }
    }
}

impl Visit for Place {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if let Some(known) = self.field(field.name()) {
            *known = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(known) = self.field(field.name()) {
            value.clone_into(known);
        }
    }
}

impl Limit {
    fn meet(&self, kind: Kind, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= KINDS_MAX && !kinds.contains_key(&kind) {
            kinds.clear();
        }
        kinds.entry(kind).or_insert(Spoken { times: 0, last: now, left_out: 0 }).next(now)
    }
}

fn place(event: &Event<'_>) -> Place {
    let mut place = Place::default();
    event.record(&mut place);
    place
}

/// Who asks for more than `info` gets all of it, and what this says itself is said once.
fn is_limited(event: &Event<'_>) -> bool {
    *event.metadata().level() <= Level::INFO && event.metadata().target() != module_path!()
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if !is_limited(event) {
            return true;
        }
        let left_out = self.meet((event.metadata().callsite(), place(event)), Instant::now());
        LEFT_OUT.set(left_out.unwrap_or(0));
        left_out.is_some()
    }

    /// The line has been written: this layer is the outermost.
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !is_limited(event) {
            return;
        }
        let more = LEFT_OUT.take();
        if more == 0 {
            return;
        }
        let Place { site, table, cause } = place(event);
        let named = |name: &'static str, value: String| if value.is_empty() { String::new() } else { format!(", {name} {value}") };
        let text = format!(
            "and {more} more like it since the one before{}{}{}",
            named("site", site),
            named("table", table),
            named("cause", cause)
        );
        match *event.metadata().level() {
            Level::ERROR => tracing::error!(more, "{text}"),
            Level::WARN => tracing::warn!(more, "{text}"),
            _ => tracing::info!(more, "{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_line_that_repeats_itself_is_told_five_times_and_then_once_a_minute() {
        let start = Instant::now();
        let mut spoken = Spoken { times: 0, last: start, left_out: 0 };
        let mut told = Vec::new();
        for second in 0..3600 {
            if let Some(left_out) = spoken.next(start + Duration::from_secs(second)) {
                told.push((second, left_out));
            }
        }
        assert_eq!(told[..5], [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);
        assert_eq!(told[5..7], [(64, 59), (124, 59)], "each says how many were left out");
        assert_eq!(told.len(), 5 + 59);
        assert_eq!(spoken.next(start + Duration::from_secs(9000)), Some(55), "what was left out last is still told");
        assert_eq!((0..9).filter(|n| spoken.next(start + Duration::from_secs(9700 + n)).is_some()).count(), 5, "it begins anew");
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_told_apart_by_place_site_table_and_cause() {
        let lines = Lines::default();
        let writer = lines.clone();
        let format = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).with_ansi(false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(format).with(Limit::default()), || {
            for n in 0..100 {
                let site = if n % 2 == 0 { "nj" } else { "ny" };
                tracing::warn!(site, error = n, "the session ended");
                tracing::warn!(site, table = "users", "a row is held back");
            }
            for _ in 0..7 {
                tracing::warn!("alone");
            }
            for cause in ["unreachable", "tls"] {
                (0..7).for_each(|_| tracing::warn!(site = "nj", cause, "why it ended"));
            }
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!((text.matches("the session ended").count(), text.matches("a row is held back").count()), (10, 10), "{text}");
        assert_eq!(text.matches("alone").count(), 5, "{text}");
        assert_eq!(text.matches("why it ended").count(), 10, "another cause is news: {text}");
    }
}
