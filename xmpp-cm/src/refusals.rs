//! Which of the peers that were not let in are told of in the log: whoever knocks must not fill it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// One line for each address and condition in this time.
const ONCE_IN: Duration = Duration::from_secs(60);
/// Lines in that time, in all.
const LINES: usize = 60;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    since: Option<Instant>,
    told: HashSet<(Option<IpAddr>, String)>,
    untold: u64,
}

impl Refusals {
    /// Whether to tell of this one; then how many were not told of since the last line.
    pub(crate) fn tells(
        &mut self,
        peer: Option<IpAddr>,
        condition: &str,
        now: Instant,
    ) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= ONCE_IN) {
            self.since = Some(now);
            self.told.clear();
        }
        let full = self.told.len() >= LINES;
        if full || !self.told.insert((peer, condition.to_owned())) {
            self.untold += 1;
            return None;
        }
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_address_and_condition_is_told_and_no_flood() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let peer = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        let improper = "improper-addressing";
        assert_eq!(refusals.tells(peer(1), improper, now), Some(0));
        assert_eq!(refusals.tells(peer(1), improper, now), None);
        assert_eq!(refusals.tells(peer(1), "not-authorized", now), Some(1));
        assert_eq!(refusals.tells(peer(2), improper, now), Some(0));
        let lines = (3..=250).filter(|n| refusals.tells(peer(*n), improper, now).is_some());
        assert_eq!(lines.count(), LINES - 3);
        let later = now + ONCE_IN;
        assert_eq!(refusals.tells(peer(1), improper, later), Some(248 + 3 - LINES as u64));
    }
}
