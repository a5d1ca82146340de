//! Fewer wake-ups under load, as network cards have fewer interrupts.
//!
//! ```text
//!           woken more than 3,000 times a second
//!   Slow ────────────────────────────────────────▶ Fast: stands still for 0.3 ms before it waits
//!    ▲                                              │
//!    └──────── woken fewer than 1,500 times ────────┘
//! ```
//! A thread that is woken for each packet pays more for the waking than for the packet. Where
//! packets come fast, the thread that has done all there was stands still for a moment; what comes
//! meanwhile is one batch. Where they come slowly, nothing is held up.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wake-ups a second that make a thread fast, and slow again. Standing still, it cannot be woken
/// more often than some 2,500 times.
const FAST: f64 = 3_000.0;
const SLOW: f64 = 1_500.0;
/// How long the rate is measured.
const WINDOW: Duration = Duration::from_millis(20);
/// How long the thread stands still: little beside a network's delay.
const PAUSE: Duration = Duration::from_micros(300);

/// The pace of one thread.
#[derive(Debug)]
pub(crate) struct Moderation(Mutex<Pace>);

#[derive(Debug)]
struct Pace {
    window_began: Instant,
    waits: u32,
    fast: bool,
}

impl Moderation {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Pace { window_began: Instant::now(), waits: 0, fast: false }))
    }

    /// The thread has nothing to do, and is about to wait.
    pub(crate) fn rest(&self) {
        let fast = self.0.lock().unwrap_or_else(PoisonError::into_inner).is_fast_at(Instant::now());
        if fast {
            std::thread::sleep(PAUSE);
        }
    }
}

impl Pace {
    fn is_fast_at(&mut self, now: Instant) -> bool {
        self.waits = self.waits.saturating_add(1);
        let length = now.saturating_duration_since(self.window_began);
        if length >= WINDOW {
            let rate = f64::from(self.waits) / length.as_secs_f64();
            self.fast = rate > if self.fast { SLOW } else { FAST };
            self.waits = 0;
            self.window_began = now;
        }
        self.fast
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stands_still_while_it_would_be_woken_too_often() {
        let window_began = Instant::now();
        let mut pace = Pace { window_began, waits: 0, fast: false };
        let mut us = 0;
        let mut waits = |each_us: u64, times: u64| {
            let fast = (0..times).filter(|_| {
                us += each_us;
                pace.is_fast_at(window_began + Duration::from_micros(us))
            });
            fast.count()
        };
        assert_eq!(waits(400, 500), 0, "2,500 a second are slow");
        assert!(waits(250, 500) > 400, "4,000 a second are fast");
        assert_eq!(waits(500, 500), 500, "and 2,000 still are");
        assert!(waits(1_000, 200) < 50, "1,000 a second are slow again");
    }
}
