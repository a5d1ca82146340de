//! Time, as it is handed in.

use std::time::{Duration, Instant};

/// One moment by both clocks: the steady one for deadlines, the wall clock for
/// what people and other nodes read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub instant: Instant,
    /// Microseconds since the Unix epoch.
    pub unix_us: u64,
}

impl Now {
    /// Seconds since the Unix epoch.
    pub fn unix_s(self) -> u64 {
        self.unix_us / 1_000_000
    }

    /// The moment `later` after this one.
    pub(crate) fn after(self, later: Duration) -> Instant {
        self.instant + later
    }
}
