//! The queue of what is due when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Due times of keys, earliest first; setting and taking cost O(log n).
///
/// Nothing is ever taken out before it is due: whoever gets a key looks whether it still has
/// something to do. That is cheaper than finding entries, as most timers of SIP never matter.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Instant, u64, K)>>,
    set: u64,
}

impl<K: Ord> Timers<K> {
    pub(crate) fn new() -> Self {
        Timers { heap: BinaryHeap::new(), set: 0 }
    }

    /// Equal times come out in the order in which they were set.
    pub(crate) fn set(&mut self, at: Instant, key: K) {
        self.set += 1;
        self.heap.push(Reverse((at, self.set, key)));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next key that is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((.., key))| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn keys_come_out_when_due_and_in_order() {
        let start = crate::random::some_instant();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new();
        timers.set(at(20), 'c');
        timers.set(at(10), 'a');
        timers.set(at(10), 'b');
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.due(at(9)), None);
        let due: Vec<char> = std::iter::from_fn(|| timers.due(at(15))).collect();
        assert_eq!(due, ['a', 'b']);
        assert_eq!(timers.due(at(20)), Some('c'));
        assert_eq!(timers.next(), None);
    }
}
