//! When there is more work than can be done: what has waited too long for its turn is refused, so
//! that the rest is served in time. The same rule at every edge and at both ends of a link.
//!
//! ```text
//!           waits ≥ LONG for PERSISTENCE
//!   Calm ──────────────────────────────▶ Overloaded: refuses new work that has waited ≥ LONG
//!    ▲                                       │
//!    └───────── something waited < SHORT ────┘
//! ```
//! A queue that is long for a moment is what queues are for: a machine that stood still for a few
//! hundred milliseconds catches up, and refuses nothing. A queue that stays long is more work than
//! can be done; then it is kept at [`LONG`], by refusing at a fraction of what the work would cost.
//! Nothing that is under way is refused: that would waste what was done already.

use std::time::{Duration, Instant};

/// New work that has waited so long is refused while overloaded: half of what is left until the
/// sender of a SIP request repeats it (T1, RFC 3261 §17.1.1.1), since the answer waits, too.
pub const LONG: Duration = Duration::from_millis(100);
/// Whoever waits so little shows that the queue has been empty.
const SHORT: Duration = Duration::from_millis(25);
/// How long the queue must have been long.
const PERSISTENCE: Duration = Duration::from_millis(400);

/// See the head of this file. One for each queue that work comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Admission {
    /// Since when nothing waited shortly.
    long_since: Option<Instant>,
}

impl Admission {
    /// Takes note of how long something has waited for its turn, whatever it is, and says whether
    /// it is taken if it is new work.
    pub fn admits(&mut self, waited: Duration, now: Instant) -> bool {
        if waited < SHORT {
            self.long_since = None;
            return true;
        }
        if waited < LONG {
            return true;
        }
        let since = *self.long_since.get_or_insert(now);
        now.saturating_duration_since(since) < PERSISTENCE
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
        for late in (0..=380).rev() {
            assert!(admission.admits(ms(late), start + ms(380 - late)), "{late} ms late");
        }
        assert!(admission.admits(ms(0), start + ms(1_000)));
    }

    #[test]
    fn a_queue_that_stays_long_is_cut_until_it_is_short() {
        let (start, mut admission) = (some_instant(), Admission::default());
        assert!(admission.admits(ms(120), start));
        assert!(admission.admits(ms(120), start + ms(399)));
        assert!(!admission.admits(ms(120), start + ms(400)), "long for too long");
        assert!(admission.admits(ms(99), start + ms(500)), "not longer than it may");
        assert!(!admission.admits(ms(101), start + ms(501)), "and still overloaded");
        assert!(admission.admits(ms(24), start + ms(600)), "short");
        assert!(admission.admits(ms(120), start + ms(601)), "the next long queue begins anew");
    }
}
