//! A connection, as the owner has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, watch};

use super::task::Order;

pub(super) struct Handle {
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) reading: watch::Sender<bool>,
    pub(super) staged: BytesMut,
    /// Bytes ordered to be written that have not surely arrived.
    pub(super) unconfirmed: Arc<AtomicUsize>,
    pub(super) task: tokio::task::AbortHandle,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// The owner has said its last words.
    Closing,
    /// The peer does not read what it is sent: cut off.
    Cut,
}

impl Handle {
    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed.load(Ordering::Relaxed) + self.staged.len()
    }

    pub(super) fn order(&mut self, order: impl FnOnce(Bytes) -> Order) {
        let bytes = self.staged.split().freeze();
        self.unconfirmed.fetch_add(bytes.len(), Ordering::Relaxed);
        // A task that is gone has said so in a report.
        let _ = self.orders.send(order(bytes));
    }
}
