//! Application-level credit: who may send how much.
//!
//! ```text
//! sender   Window { open }        take() ── packet ──▶ arrived()   Grant { capacity }
//!                  ▲                                                   │
//!                  └──── refill(n) ◀── Credit(n) ──── finished() ◀─────┘
//! ```
//! HTTP/2 flow control counts bytes and blocks the writer; credit counts
//! packets and refuses aloud, so that a busy peer is known before a packet is
//! queued for it.

use thiserror::Error;

/// The sender's side: how many packets the peer still takes.
#[derive(Debug)]
pub struct Window {
    open: u32,
}

/// The peer has no room; the packet must go elsewhere or be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the peer of the link takes no more packets now")]
pub struct Exhausted;

impl Window {
    /// Opens with the capacity of the peer's greeting.
    pub fn new(capacity: u32) -> Self {
        Window { open: capacity }
    }

    /// Takes room for one packet.
    pub fn take(&mut self) -> Result<(), Exhausted> {
        self.open = self.open.checked_sub(1).ok_or(Exhausted)?;
        Ok(())
    }

    /// The peer gave room back. More than can be counted is as good as all.
    pub fn refill(&mut self, packets: u32) {
        self.open = self.open.saturating_add(packets);
    }

    /// Packets that may be sent now.
    pub fn open(&self) -> u32 {
        self.open
    }
}

/// The receiver's side: gives room back in batches, so that credit costs one
/// frame per many packets.
#[derive(Debug)]
pub struct Grant {
    batch: u32,
    finished: u32,
}

impl Grant {
    /// For a window of `capacity` packets: credit goes back when a quarter is free.
    pub fn new(capacity: u32) -> Self {
        Grant { batch: (capacity / 4).max(1), finished: 0 }
    }

    /// One packet is done. Returns the credit to send, when it is time.
    pub fn finished(&mut self) -> Option<u32> {
        self.finished += 1;
        (self.finished >= self.batch).then(|| std::mem::take(&mut self.finished))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_refuses_until_credit_returns() {
        let mut window = Window::new(8);
        let mut grant = Grant::new(8);
        for _ in 0..8 {
            window.take().expect("room");
        }
        assert_eq!(window.take(), Err(Exhausted));
        assert_eq!(grant.finished(), None);
        let credit = grant.finished().expect("a quarter is free");
        window.refill(credit);
        assert_eq!(window.open(), 2);
    }

    #[test]
    fn every_packet_is_given_back_exactly_once() {
        let mut grant = Grant::new(10);
        let given: u32 = (0..100).filter_map(|_| grant.finished()).sum();
        assert_eq!(given, 100);
    }

    #[test]
    fn a_peer_that_grants_too_much_does_not_overflow() {
        let mut window = Window::new(u32::MAX);
        window.refill(u32::MAX);
        assert_eq!(window.open(), u32::MAX);
    }
}
