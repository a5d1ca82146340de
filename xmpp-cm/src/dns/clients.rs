//! Who is answered, and how much.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use openfed_node::settings::Cidr;

/// Questions that one source may ask in a second over UDP before it is sent to TCP. A home server
/// asks three for each domain that it does not know yet.
pub(super) const MAX_PER_SECOND: u32 = 1_000;
/// Sources that are counted; others ask too much.
const MAX_SOURCES: usize = 4_096;
/// Strangers are logged so often.
const TELL: Duration = Duration::from_mins(1);

/// Whether a datagram is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// In full.
    Welcome,
    /// Briefly.
    Busy,
    /// Not at all: to a stranger the responder would be an amplifier for forged sources.
    Stranger,
}

/// The configured clients with what they ask.
#[derive(Debug)]
pub(super) struct Clients {
    ranges: Vec<Cidr>,
    counts: HashMap<IpAddr, u32>,
    counting_since: Option<Instant>,
    told: Option<Instant>,
}

impl Clients {
    /// Answers these ranges of addresses.
    pub(super) fn new(ranges: Vec<Cidr>) -> Self {
        Self { ranges, counts: HashMap::new(), counting_since: None, told: None }
    }

    /// Whether a source is one of the clients at all.
    pub(super) fn is_client(&self, source: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(source))
    }

    /// Counts a datagram and judges it.
    pub(super) fn judge(&mut self, source: IpAddr, now: Instant) -> Verdict {
        if !self.is_client(source) {
            return Verdict::Stranger;
        }
        let past = |since: Instant| now.duration_since(since) >= Duration::from_secs(1);
        if self.counting_since.is_none_or(past) {
            self.counts.clear();
            self.counting_since = Some(now);
        }
        if self.counts.len() >= MAX_SOURCES && !self.counts.contains_key(&source) {
            return Verdict::Busy;
        }
        let count = self.counts.entry(source).or_default();
        *count = count.saturating_add(1);
        if *count > MAX_PER_SECOND { Verdict::Busy } else { Verdict::Welcome }
    }

    /// Whether a stranger is worth a log line now: mostly a network is missing in the settings.
    pub(super) fn tells(&mut self, now: Instant) -> bool {
        let due = self.told.is_none_or(|told| now.duration_since(told) >= TELL);
        if due {
            self.told = Some(now);
        }
        due
    }
}
