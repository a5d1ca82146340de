//! Requests that were refused without a transaction, so that copies of them hear the same.
//!
//! A sender that hears 503 goes to the next instance (RFC 3263 §4.3). A copy that it had sent before
//! must not be done here when there is time again: the message would arrive twice.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::key::ServerKey;
use crate::random::Spread;

/// How long a generation collects. A copy comes at most 32 s after its request (Timer F, RFC 3261
/// §17.1.2.2), but before the 503 has reached its sender: what is remembered for 16 to 32 s lasts.
const GENERATION: Duration = Duration::from_secs(16);
/// At most so many in a generation: 4 MB; the next one begins early then.
const MOST: usize = 1 << 18;

/// See the head of this file. Keys are kept as one number each; who takes a new request for a
/// refused one, once in many millions, refuses it.
#[derive(Debug, Default)]
pub(super) struct TurnedAway {
    since: Option<Instant>,
    young: HashSet<u64, Spread>,
    old: HashSet<u64, Spread>,
}

impl TurnedAway {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    pub(super) fn contains(&self, key: ServerKey) -> bool {
        let number = key.number();
        self.young.contains(&number) || self.old.contains(&number)
    }

    pub(super) fn insert(&mut self, key: ServerKey, now: Instant) {
        if self.young.len() >= MOST {
            self.age(now);
        }
        self.since.get_or_insert(now);
        self.young.insert(key.number());
    }

    /// To be called at any time: lets go of what is old enough.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let over = |since: Instant| now.saturating_duration_since(since) >= GENERATION;
        if self.since.is_some_and(over) {
            self.age(now);
        }
    }

    fn age(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.since = (!self.old.is_empty()).then_some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, some_instant};

    fn key(number: usize) -> ServerKey {
        let text = format!("SIP/2.0/UDP a.example;branch=z9hG4bK{number}");
        let via = crate::headers::Via::parse(&text.as_str().into()).expect("a Via");
        ServerKey::by_branch(&via, "MESSAGE", Random::new(|| 7).seed()).expect("a key")
    }

    #[test]
    fn what_was_turned_away_is_known_for_16_to_32_s() {
        let start = some_instant();
        let mut turned_away = TurnedAway::default();
        turned_away.insert(key(1), start);
        turned_away.insert(key(2), start + GENERATION / 2);
        for (after, known) in [(0, true), (1, true), (2, false)] {
            turned_away.forget_old(start + GENERATION * after);
            assert_eq!(turned_away.contains(key(1)), known, "{after} generations");
            assert_eq!(turned_away.contains(key(2)), known, "{after} generations");
            assert_eq!(turned_away.is_empty(), !known);
        }
        assert!(!turned_away.contains(key(3)));
    }

    #[test]
    fn many_at_once_take_no_more_than_two_generations() {
        let start = some_instant();
        let mut turned_away = TurnedAway::default();
        for number in 0..=2 * MOST {
            turned_away.insert(key(number), start);
        }
        assert!(turned_away.young.len() + turned_away.old.len() <= 2 * MOST);
        assert!(turned_away.contains(key(2 * MOST)) && turned_away.contains(key(MOST)));
        assert!(!turned_away.contains(key(1)), "the oldest go first");
    }
}
