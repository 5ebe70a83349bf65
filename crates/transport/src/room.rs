//! Backpressure: whether sockets may be read.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Says whether there is room for what a read may bring. Readers wait in line and are woken one after the other
/// for as long as there is room, so that room for one batch does not wake thousands of connections.
#[derive(Debug)]
pub struct Room {
    is_open: AtomicBool,
    line: Notify,
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

impl Room {
    /// There is room.
    #[must_use]
    pub fn new() -> Self {
        Self {
            is_open: AtomicBool::new(true),
            line: Notify::new(),
        }
    }

    /// There is room again.
    pub fn open(&self) {
        if !self.is_open.swap(true, Ordering::AcqRel) {
            self.line.notify_one();
        }
    }

    /// There is none: reads that come after this wait.
    pub fn close(&self) {
        self.is_open.store(false, Ordering::Release);
    }

    /// Whether there is room.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Waits for room. Cancel-safe, but a waiter that gives up loses its place.
    pub async fn wait(&self) {
        while !self.is_open() {
            self.line.notified().await;
            if self.is_open() {
                // The next in line looks for itself whether there is still room.
                self.line.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn room_lets_everybody_in_line_pass() {
        let room = Arc::new(Room::new());
        room.wait().await;
        room.close();
        let mut waiters = JoinSet::new();
        for _ in 0..100 {
            let room = Arc::clone(&room);
            waiters.spawn(async move { room.wait().await });
        }
        tokio::task::yield_now().await;
        assert!(waiters.try_join_next().is_none());
        room.open();
        assert_eq!(waiters.join_all().await.len(), 100);
    }

    #[tokio::test]
    async fn who_gives_up_hands_the_wake_up_on() {
        let room = Room::new();
        room.close();
        let mut first = Box::pin(room.wait());
        let mut second = Box::pin(room.wait());
        assert!(futures_poll(first.as_mut()).await.is_pending());
        assert!(futures_poll(second.as_mut()).await.is_pending());
        room.open();
        drop(first);
        second.await;
    }

    async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await
    }
}
