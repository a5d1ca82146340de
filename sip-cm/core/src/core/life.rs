//! Whether this instance takes new requests: it serves, is taken out by the operator, or ends.
//!
//! ```text
//! Serving ◀── Drain(false) ── Drained
//!    │  ─── Drain(true) ───▶     │
//!    └──▶ Ending ◀── shutdown ───┘
//! ```

use std::time::{Duration, Instant};

use openfed_proto::link::FromCm;
use openfed_proto::route::Transport;

use super::Core;
use crate::command::Arrival;
use crate::edge::Way;

/// A sender repeats a request over UDP for so long (64*T1, RFC 3261 §17.1.2.2), also to an instance
/// that was restarted meanwhile.
const COPIES: Duration = Duration::from_secs(32);
/// The first tables come within this, if there is a router at all.
const WAKING: Duration = Duration::from_secs(2);

/// Whether new requests are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Serving,
    /// Not for now, by the operator's word. Dialogs go on.
    Drained,
    /// Not any more: the process ends.
    Ending,
}

impl Core {
    /// The service is to end within `grace`: routers are told, new requests are refused.
    pub fn handle_draining(&mut self, grace: Duration, now: Instant) {
        self.life = Life::Ending;
        for router in self.links.all() {
            self.tell_router(router, FromCm::Leaving(grace));
        }
        self.report_usage(now);
        self.settle(now);
    }

    /// Whether requests for unknown domains can be decided: a router's tables have come.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.held.is_empty() && self.life == Life::Serving
    }

    /// Whether a request may be the copy of one that this instance took before it was restarted. What
    /// became of that one is not known here: routers are told that it may come again, and if it
    /// cannot be done, nothing final can be said but that time ran out.
    pub(super) fn may_be_a_copy(&self, arrival: &Arrival, now: Instant) -> bool {
        arrival.transport == Transport::Udp && self.age(now) < COPIES
    }

    /// Whether this instance knows too little to answer yet, and the request will come once more.
    pub(super) fn is_waking(&self, arrival: &Arrival, now: Instant) -> bool {
        !self.next_hops.are_known() && arrival.transport == Transport::Udp && self.age(now) < WAKING
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started.0)
    }

    /// The operator takes this instance out, or back in.
    pub(super) fn drain(&mut self, on: bool) {
        let (life, frame) = match (self.life, on) {
            (Life::Serving, true) => (Life::Drained, FromCm::Leaving(Duration::ZERO)),
            (Life::Drained, false) => (Life::Serving, FromCm::Serving),
            _ => return,
        };
        self.life = life;
        for router in self.links.all() {
            self.tell_router(router, frame.clone());
        }
    }

    /// Whether somebody else is to have it.
    pub(super) fn refuses(&self, way: &Way) -> bool {
        match self.life {
            Life::Serving => false,
            // The requests of a dialog cannot go elsewhere.
            Life::Drained => !matches!(way, Way::Dialog { .. }),
            Life::Ending => true,
        }
    }
}
