//! How much of what a connection was told to write has not surely arrived at the peer.
//!
//! The owner counts the bytes of XML that it orders to be written; the kernel counts the bytes
//! below TLS that are acknowledged. After each write the two are noted together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::counted::Totals;
use super::pipe::Pipe;

/// How long a peer's kernel may take to acknowledge the last bytes, or to reset the connection.
const SETTLES: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// From so many bytes on it is looked again and again until they have arrived: somebody may not be
/// read for as long.
const MUCH: usize = 512 << 10;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    /// Bytes ordered that have not surely arrived; the owner adds to it.
    unconfirmed: Arc<AtomicUsize>,
    totals: Arc<Totals>,
    /// Written below TLS so far, and the bytes of XML that came last.
    marks: VecDeque<(u64, usize)>,
}

impl Arrival {
    pub(super) fn new(unconfirmed: Arc<AtomicUsize>) -> Self {
        Self { unconfirmed, ..Self::default() }
    }

    pub(super) fn follow(&mut self, pipe: &Pipe) {
        self.totals = pipe.socket().totals();
    }

    /// These bytes of XML were written and flushed.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.marks.push_back((self.totals.written(), bytes));
        self.confirm();
    }

    /// The connection was looked at.
    pub(super) fn looked(&mut self) {
        self.confirm();
    }

    /// Whether much has not arrived.
    pub(super) fn is_much(&self) -> bool {
        self.unconfirmed.load(Ordering::Relaxed) >= MUCH
    }

    /// These are of no interest any more.
    pub(super) fn forget(&self, bytes: usize) {
        self.unconfirmed.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn confirm(&mut self) {
        let acknowledged = self.totals.acknowledged();
        while let Some((written, bytes)) = self.marks.front().copied()
            && written <= acknowledged
        {
            self.marks.pop_front();
            self.forget(bytes);
        }
    }

    /// The connection is at its end: waits until it is known what became of the last bytes.
    pub(super) async fn settle(&mut self, pipe: &Pipe) {
        let over = Instant::now() + SETTLES;
        loop {
            pipe.socket().look();
            self.confirm();
            if self.marks.is_empty() || pipe.socket().is_broken() || Instant::now() >= over {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
