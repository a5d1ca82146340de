//! The link between a connection manager and a router: one long-lived gRPC stream per pair.
//!
//! ```text
//!  LinkClient (connection manager)                      LinkServer (router)
//!  engine ── send ──▶ queue ─▶ writer ══ HTTP/2 ══▶ reader ─▶ events ──▶ engine
//!  engine ◀── events ◀─ reader ◀══ HTTP/2 ══ writer ◀─ queue ◀── send ── engine
//! ```
//! Sending never waits: a full queue is an answer ([`NotSent::Busy`]). A reader waits for its own
//! engine only; as no engine ever waits for a link, nothing waits in a circle, and a slow engine
//! is felt by its peers as a full queue. Reader and writer of a link end together, also when one
//! of them panics, and the engine hears [`LinkEvent::Down`] exactly once.
//!
//! The router greets first. The manager so learns whom it has reached before it introduces
//! itself, and a second way to a router that is already linked is left without a trace.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use openfed_proto::link::Hello;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

mod client;
mod reader;
mod server;
mod wire;

pub use client::LinkClient;
pub use server::LinkServer;

/// Names one link for as long as it is up; never used again in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// News of the links; `F` is the frame of the other end.
#[derive(Debug)]
pub enum LinkEvent<F> {
    /// A peer is linked and has introduced itself.
    Up {
        /// The new link.
        link: LinkId,
        /// Who it is.
        hello: Hello,
        /// Its address.
        address: SocketAddr,
    },
    /// The peer said something; never a `Hello`.
    Frame {
        /// The link it came by.
        link: LinkId,
        /// What it said.
        frame: F,
        /// When it came.
        at: Instant,
    },
    /// The link is gone; what was in flight has to go another way.
    Down {
        /// The link that was.
        link: LinkId,
        /// Why, for people.
        reason: String,
    },
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotSent {
    /// The link's queue is full.
    #[error("the link is busy")]
    Busy,
    /// There is no such link any more.
    #[error("the link is down")]
    Down,
}

/// Times and sizes of a link.
#[derive(Clone, Copy, Debug)]
struct Manners {
    /// HTTP/2 pings on a quiet link, and how long their answer may take.
    keepalive: Duration,
    keepalive_answer: Duration,
    /// Shortest and longest wait before dialling again.
    redial: (Duration, Duration),
    /// How often configured names are resolved.
    resolve: Duration,
    /// How long connecting, and then the peer's greeting, may take.
    greeting: Duration,
    /// Frames that may wait for the writer, and events that may wait for the engine.
    queue: usize,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            keepalive: Duration::from_secs(5),
            keepalive_answer: Duration::from_secs(3),
            redial: (Duration::from_millis(100), Duration::from_secs(3)),
            resolve: Duration::from_secs(5),
            greeting: Duration::from_secs(3),
            queue: 8_192,
        }
    }
}

/// Flow-control window of a stream: 64 KiB would hold some 70 packets only.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 22;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The links that are up at one end; `F` is the frame that this end sends.
#[derive(Debug)]
struct Links<F> {
    entries: Mutex<HashMap<LinkId, Entry<F>>>,
}

#[derive(Debug)]
struct Entry<F> {
    /// None once nothing more may be said.
    queue: Option<mpsc::Sender<F>>,
    node: String,
    end: CancellationToken,
}

impl<F> Links<F> {
    fn new() -> Arc<Self> {
        // To be seen from the start, also if no link ever comes up.
        metrics::gauge!("openfed_links").increment(0.0);
        Arc::new(Self { entries: Mutex::default() })
    }

    fn send(&self, link: LinkId, frame: F) -> Result<(), NotSent> {
        let entries = self.entries();
        let queue = entries.get(&link).and_then(|entry| entry.queue.as_ref());
        queue.ok_or(NotSent::Down)?.try_send(frame).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                metrics::counter!("openfed_link_busy_total").increment(1);
                NotSent::Busy
            }
            mpsc::error::TrySendError::Closed(_) => NotSent::Down,
        })
    }

    /// A new link to `node`; none if `only_one` and there is one already.
    fn add(
        &self,
        node: &str,
        only_one: bool,
        queue: mpsc::Sender<F>,
        end: CancellationToken,
    ) -> Option<LinkId> {
        let mut entries = self.entries();
        if only_one && entries.values().any(|entry| entry.node == node) {
            return None;
        }
        let link = LinkId(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        entries.insert(link, Entry { queue: Some(queue), node: node.to_owned(), end });
        metrics::gauge!("openfed_links").increment(1.0);
        Some(link)
    }

    /// Says nothing more; the writer ends once it has written what is queued.
    fn hush(&self, link: LinkId) {
        if let Some(entry) = self.entries().get_mut(&link) {
            entry.queue = None;
        }
    }

    fn remove(&self, link: LinkId) {
        if self.entries().remove(&link).is_some() {
            metrics::gauge!("openfed_links").decrement(1.0);
        }
    }

    /// Ends the link; its engine hears `Down`.
    fn close(&self, link: LinkId) {
        if let Some(entry) = self.entries().get(&link) {
            entry.end.cancel();
        }
    }

    fn close_all(&self) {
        self.entries().values().for_each(|entry| entry.end.cancel());
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<LinkId, Entry<F>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
