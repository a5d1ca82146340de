//! What is to be written to a stream, from any thread.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, watch};

use super::super::mark::Mark;
use crate::Result;

/// See the head of this file.
pub(super) struct Outbox {
    waiting: Mutex<Vec<u8>>,
    /// What is being written: whether it arrives is not known yet.
    under_way: Mutex<Vec<u8>>,
    grew: Notify,
    open: watch::Sender<bool>,
}

impl Default for Outbox {
    fn default() -> Self {
        let open = watch::Sender::new(false);
        Self { waiting: Mutex::default(), under_way: Mutex::default(), grew: Notify::new(), open }
    }
}

impl Outbox {
    /// Adds to what is to be written.
    pub(super) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = lock(&self.waiting);
        let idle = waiting.is_empty();
        write(&mut waiting);
        drop(waiting);
        if idle {
            self.grew.notify_one();
        }
    }

    /// Whether there is a stream from now on.
    pub(super) fn open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Waits until there is one.
    pub(super) async fn opened(&self) {
        // The sender is our own: it does not go away.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    /// Writes all that comes until the stream breaks.
    pub(super) async fn write_to(&self, mut stream: impl AsyncWrite + Unpin) -> Result<()> {
        let mut chunk = Vec::new();
        loop {
            chunk.clear();
            std::mem::swap(&mut *lock(&self.waiting), &mut chunk);
            if chunk.is_empty() {
                self.grew.notified().await;
                continue;
            }
            lock(&self.under_way).clone_from(&chunk);
            stream.write_all(&chunk).await?;
            stream.flush().await?;
            lock(&self.under_way).clear();
        }
    }

    /// The marks in what was being written when the stream broke.
    pub(super) fn take_under_way(&self) -> Vec<Mark> {
        Mark::all(&std::mem::take(&mut *lock(&self.under_way))).collect()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
