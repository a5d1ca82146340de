//! When there is more work than can be done: what has waited too long for its turn is refused, so
//! that the rest is served in time. The same rule at every edge and at both ends of a link.
//!
//! ```text
//!           nothing waits < long for `persistence`
//!   Calm ───────────────────────────────────────▶ Overloaded: refuses new work
//!    ▲                                              │        that has waited too long
//!    └────────── something waited < short ──────────┘
//! ```
//! A queue that is long for a moment is what queues are for: a machine that stood still, or a burst
//! of messages, is caught up with, and nothing is refused. A queue that stays long is more work than
//! can be done; then it is kept short, by refusing at a fraction of what the work would cost.
//! Nothing that is under way is refused: that would waste what was done already.

use std::time::{Duration, Instant};

use crate::packet::Protocol;

/// What is long for a queue.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// A queue is long when things wait so long in it.
    pub long: Duration,
    /// Whoever waits so little shows that the queue has been empty.
    pub short: Duration,
    /// How long the queue must have been long.
    pub persistence: Duration,
}

/// Between our own services, who take each other's work by credit.
impl Default for Thresholds {
    fn default() -> Self {
        Self {
            long: Duration::from_millis(200),
            short: Duration::from_millis(50),
            persistence: Duration::from_secs(1),
        }
    }
}

/// What the sender of an XMPP stanza is made to wait: nobody repeats it, and a stream that is read
/// slowly slows its sender down.
const PATIENT: Duration = Duration::from_secs(3);

/// See the head of this file. One for each queue that work comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Admission {
    thresholds: Thresholds,
    /// Since when everything waited long.
    long_since: Option<Instant>,
    overloaded: bool,
    /// What came last.
    waited: Duration,
}

impl Admission {
    /// Nothing has waited yet.
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, ..Self::default() }
    }

    /// Something has come to its turn, whatever it is, and has waited so long for it.
    pub fn note(&mut self, waited: Duration, now: Instant) {
        self.waited = waited;
        let Thresholds { long, short, persistence } = self.thresholds;
        if waited < short {
            (self.long_since, self.overloaded) = (None, false);
        } else if waited >= long {
            let since = *self.long_since.get_or_insert(now);
            self.overloaded |= now.saturating_duration_since(since) >= persistence;
        } else if !self.overloaded {
            self.long_since = None;
        }
    }

    /// How long what came last has waited.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Whether what waits long is refused.
    pub fn is_overloaded(&self) -> bool {
        self.overloaded
    }

    /// Whether what has come is taken if it is new work. Who sends SIP repeats it after half a
    /// second (T1, RFC 3261 §17.1.2.2).
    pub fn admits(&self, origin: Protocol) -> bool {
        let limit = match origin {
            Protocol::Sip => self.thresholds.long,
            Protocol::Xmpp => PATIENT,
        };
        !self.overloaded || self.waited < limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn some_instant() -> Instant {
        Instant::now()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_machine_that_stood_still_catches_up_and_refuses_nothing() {
        let (start, mut admission) = (some_instant(), Admission::default());
        for late in (0..=1_100).rev() {
            admission.note(ms(late), start + ms(1_100 - late));
            assert!(admission.admits(Protocol::Sip), "{late} ms late");
        }
    }

    #[test]
    fn a_burst_that_is_worked_off_in_time_refuses_nothing() {
        let (start, mut admission) = (some_instant(), Admission::default());
        for (waited, at) in [(250, 0), (199, 900), (250, 950), (250, 1_900)] {
            admission.note(ms(waited), start + ms(at));
            assert!(admission.admits(Protocol::Sip), "at {at}");
        }
    }

    #[test]
    fn a_queue_that_stays_long_is_cut_until_it_is_short() {
        let (start, mut admission) = (some_instant(), Admission::default());
        let mut takes = |waited, at, origin| {
            admission.note(ms(waited), start + ms(at));
            admission.admits(origin)
        };
        assert!(takes(220, 0, Protocol::Sip));
        assert!(takes(220, 999, Protocol::Sip));
        assert!(!takes(220, 1_000, Protocol::Sip), "long for too long");
        assert!(takes(2_999, 1_001, Protocol::Xmpp), "who is not in a hurry may wait");
        assert!(!takes(3_000, 1_002, Protocol::Xmpp), "but not for ever");
        assert!(takes(199, 1_100, Protocol::Sip), "not longer than it may");
        assert!(!takes(201, 1_101, Protocol::Sip), "and still overloaded");
        assert!(takes(49, 1_200, Protocol::Sip), "short");
        assert!(takes(220, 1_201, Protocol::Sip), "the next long queue begins anew");
    }
}
