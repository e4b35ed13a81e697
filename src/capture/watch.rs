//! What capture watches for at one site: watermarks that somebody waits for, and the chunk that a scan has open.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::chunk::Chunk;
use super::fuse::Fuse;
use crate::model::{Image, Key, MarkerId, TableId};

#[derive(Default)]
pub struct Watch {
    waiting: HashMap<MarkerId, oneshot::Sender<()>>,
    pub(super) chunk: Option<Chunk>,
    pub(super) fuse: Fuse,
}

impl Watch {
    /// Resolves when capture has come to the watermark. Ask before writing it.
    pub fn wait_for(&mut self, marker: MarkerId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(marker, sender);
        receiver
    }

    pub(super) fn passed(&mut self, marker: MarkerId) {
        if let Some(sender) = self.waiting.remove(&marker) {
            let _ = sender.send(());
        }
    }

    /// A scan begins a chunk; ask before writing its low watermark.
    pub fn open_chunk(&mut self, chunk: Chunk) {
        self.chunk = Some(chunk);
    }

    /// The open chunk's rows have been read; `last`: the table has no more.
    pub fn fill_chunk(&mut self, rows: Vec<(Key, Image)>, last: bool) {
        if let Some(chunk) = &mut self.chunk {
            chunk.fill(rows, last);
        }
    }

    /// A chunk is between its watermarks.
    pub fn has_chunk(&self) -> bool {
        self.chunk.is_some()
    }

    /// The chunk is given up: the log or a connection was lost in between.
    pub fn abandon_chunk(&mut self) {
        self.chunk = None;
    }

    pub(super) fn collecting(&mut self, table: TableId) -> Option<&mut Chunk> {
        self.chunk.as_mut().filter(|chunk| chunk.table == table && chunk.is_collecting())
    }
}

/// The mutex's content, also after a thread that held it panicked: what it guards is whole between its operations.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
