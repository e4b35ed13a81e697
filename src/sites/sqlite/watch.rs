//! Wakes the log reader when the database's files change.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// What the reader's thread is woken for.
pub enum Signal {
    /// One of the database's files was written to.
    Changed,
    /// The ledger has everything up to this id.
    Acknowledged(i64),
    Stop,
}

/// Watches as long as it lives. At most one `Changed` is under way at a time.
pub struct Watch {
    _watcher: RecommendedWatcher,
    pending: Arc<AtomicBool>,
}

impl Watch {
    /// Watches the folder, because journal files come and go. Not the -shm file: reading writes to it.
    pub fn start(path: &Path, wake: Sender<Signal>) -> notify::Result<Watch> {
        let name = path.file_name().unwrap_or_default().to_os_string();
        let names = ["", "-wal", "-journal"].map(|suffix| {
            let mut name = name.clone();
            name.push(suffix);
            name
        });
        let pending = Arc::new(AtomicBool::new(false));
        let flag = pending.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may stand for events that were lost.
            let ours = event.map_or(true, |event| {
                !matches!(event.kind, EventKind::Access(_))
                    && event.paths.iter().any(|path| path.file_name().is_some_and(|n| names.iter().any(|m| m == n)))
            });
            if ours && !flag.swap(true, Ordering::AcqRel) {
                let _ = wake.send(Signal::Changed);
            }
        })?;
        watcher.watch(path.parent().unwrap_or(Path::new("/")), RecursiveMode::NonRecursive)?;
        Ok(Watch { _watcher: watcher, pending })
    }

    /// To be called on a `Changed`, before looking at the database.
    pub fn rearm(&self) {
        self.pending.store(false, Ordering::Release);
    }
}
