//! What capture watches for at one site: watermarks that somebody waits for, and the chunks that a scan has open.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::chunk::Chunk;
use super::fuse::Fuse;
use crate::model::{Image, Key, MarkerId, TableId};

#[derive(Default)]
pub struct Watch {
    waiting: HashMap<MarkerId, oneshot::Sender<()>>,
    /// In the order of their watermarks: the next may be read before the log has come to the end of the last.
    chunks: VecDeque<Chunk>,
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
        self.chunks.push_back(chunk);
    }

    /// The rows of the chunk with this high watermark have been read; `last`: the table has no more.
    pub fn fill_chunk(&mut self, high: MarkerId, rows: Vec<(Key, Image)>, last: bool) {
        if let Some(chunk) = self.chunks.iter_mut().find(|chunk| chunk.high == high) {
            chunk.fill(rows, last);
        }
    }

    /// A chunk is between its watermarks.
    pub fn has_chunk(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// The log has come to a watermark; gives the chunk that ends there.
    pub(super) fn come_to(&mut self, marker: MarkerId) -> Option<Chunk> {
        if let Some(chunk) = self.chunks.iter_mut().find(|chunk| chunk.low == marker) {
            chunk.begin();
        }
        let ends = self.chunks.front().is_some_and(|chunk| chunk.high == marker);
        if ends { self.chunks.pop_front() } else { None }
    }

    /// All chunks are given up: the log or a connection was lost in between, or the table has to be read anew.
    pub fn abandon_chunks(&mut self) {
        self.chunks.clear();
    }

    pub(super) fn collecting(&mut self, table: TableId) -> Option<&mut Chunk> {
        self.chunks.iter_mut().find(|chunk| chunk.table == table && chunk.is_collecting())
    }
}

/// The mutex's content, also after a thread that held it panicked: what it guards is whole between its operations.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
