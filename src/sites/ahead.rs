//! What is read ahead of the ledger, bounded in memory: transactions are of any size.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// A queue with room for `items` items and, together, `kb` KiB; one item that is larger has it to itself.
pub fn queue<T>(items: usize, kb: u32) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(items);
    (Sender { items: sender, room: Arc::new(Semaphore::new(kb as usize)), kb }, Receiver(receiver))
}

pub struct Sender<T> {
    items: mpsc::Sender<Ahead<T>>,
    room: Arc<Semaphore>,
    kb: u32,
}

pub struct Receiver<T>(mpsc::Receiver<Ahead<T>>);

/// An item that keeps its room in the queue until it is dropped.
pub struct Ahead<T> {
    pub item: T,
    _room: Option<OwnedSemaphorePermit>,
}

impl<T> Ahead<T> {
    /// The item, whose room is free from now on.
    pub fn take(self) -> T {
        self.item
    }
}

impl<T> From<T> for Ahead<T> {
    /// An item that has never waited.
    fn from(item: T) -> Ahead<T> {
        Ahead { item, _room: None }
    }
}

impl<T> Sender<T> {
    /// Waits for room for an item of `bytes`. False: nobody wants more.
    pub async fn send(&self, item: T, bytes: usize) -> bool {
        let kb = u32::try_from(bytes >> 10).map_or(self.kb, |kb| kb.min(self.kb));
        // The semaphore is never closed.
        let acquire = self.room.clone().acquire_many_owned(kb);
        let room = tokio::select! {
            room = acquire => room.ok(),
            () = self.items.closed() => return false,
        };
        self.items.send(Ahead { item, _room: room }).await.is_ok()
    }

    pub async fn closed(&self) {
        self.items.closed().await;
    }

    pub fn is_closed(&self) -> bool {
        self.items.is_closed()
    }
}

impl<T> Receiver<T> {
    /// None: the sender is gone.
    pub async fn recv(&mut self) -> Option<Ahead<T>> {
        self.0.recv().await
    }

    /// Waits for an item and adds what there is by then, up to `limit`, to `items`. 0: the sender is gone.
    pub async fn recv_many(&mut self, items: &mut Vec<Ahead<T>>, limit: usize) -> usize {
        self.0.recv_many(items, limit).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn room_comes_back_when_an_item_is_dropped() {
        let (sender, mut receiver) = queue(100, 10);
        assert!(sender.send("small", 4 << 10).await && sender.send("small", 6 << 10).await);
        let late = tokio::time::timeout(Duration::from_millis(20), sender.send("no room", 1 << 10));
        assert!(late.await.is_err());
        let first = receiver.recv().await.expect("an item");
        let late = tokio::time::timeout(Duration::from_millis(20), sender.send("no room yet", 1 << 10));
        assert!(late.await.is_err(), "the item is still held");
        drop(first);
        assert!(sender.send("room", 1 << 10).await);
        assert!(sender.send("costs nothing", 0).await);
    }

    #[tokio::test]
    async fn one_item_larger_than_all_room_has_it_to_itself() {
        let (sender, mut receiver) = queue(100, 10);
        assert!(sender.send(1, usize::MAX).await);
        let waiting = tokio::spawn(async move { sender.send(2, 1 << 10).await });
        assert_eq!(receiver.recv().await.map(|ahead| ahead.item), Some(1));
        assert_eq!(receiver.recv().await.map(|ahead| ahead.item), Some(2));
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn who_waits_for_room_learns_that_nobody_wants_more() {
        let (sender, receiver) = queue(100, 10);
        assert!(sender.send(1, 10 << 10).await);
        let waiting = tokio::spawn(async move { sender.send(2, 1 << 10).await });
        drop(receiver);
        assert!(!waiting.await.unwrap());
    }
}
