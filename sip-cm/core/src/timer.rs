//! The queue of what is due when.
//!
//! ```text
//!  set ─▶ far: a bucket for each 128 ms ahead, unsorted ─▶ near: the bucket at hand, a heap ─▶ due
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Instant;

/// A bucket is this long: as many milliseconds as a shift by so many bits takes away.
const BUCKET_BITS: u32 = 7;

/// Due times of keys, earliest first.
///
/// Nothing is ever taken out before it is due: whoever gets a key looks whether it still has
/// something to do. That is cheaper than finding entries, as most timers of SIP never matter. A
/// transaction's last timer is 32 s ahead, so there are half a million of them at 4,000 messages a
/// second: what is far ahead is only put aside, and sorted when its time has nearly come.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    near: BinaryHeap<Reverse<Entry<K>>>,
    far: BTreeMap<u128, Bucket<K>>,
    /// The first moment that a timer was set for: buckets are counted from there.
    base: Option<Instant>,
    set: u64,
}

/// Equal times come out in the order in which they were set.
type Entry<K> = (Instant, u64, K);

#[derive(Debug)]
struct Bucket<K> {
    earliest: Instant,
    entries: Vec<Reverse<Entry<K>>>,
}

impl<K: Ord> Timers<K> {
    pub(crate) fn new() -> Self {
        Timers { near: BinaryHeap::new(), far: BTreeMap::new(), base: None, set: 0 }
    }

    /// Equal times come out in the order in which they were set.
    pub(crate) fn set(&mut self, at: Instant, key: K) {
        self.set += 1;
        let entry = Reverse((at, self.set, key));
        let base = *self.base.get_or_insert(at);
        let number = at.saturating_duration_since(base).as_millis() >> BUCKET_BITS;
        let bucket =
            self.far.entry(number).or_insert_with(|| Bucket { earliest: at, entries: Vec::new() });
        bucket.earliest = bucket.earliest.min(at);
        bucket.entries.push(entry);
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        let near = self.near.peek().map(|Reverse((at, ..))| *at);
        let far = self.far.first_key_value().map(|(_, bucket)| bucket.earliest);
        near.into_iter().chain(far).min()
    }

    /// The next key that is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        while let Some(bucket) = self.far.first_entry().filter(|it| it.get().earliest <= now) {
            self.near.extend(bucket.remove().entries);
        }
        self.near.pop().map(|Reverse((.., key))| key)
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

    #[test]
    fn whatever_is_set_comes_out_at_its_time_and_in_order() {
        let start = crate::random::some_instant();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (mut timers, mut model) = (Timers::new(), Vec::new());
        let mut steps = 0..;
        let mut set = |timers: &mut Timers<u64>, model: &mut Vec<(u64, u64)>, ms| {
            let step = steps.next().unwrap();
            timers.set(at(ms), step);
            model.push((ms, step));
        };
        // The first is not the earliest, and many fall on one moment.
        set(&mut timers, &mut model, 500);
        for now in (0..40_000).step_by(37) {
            for ahead in [0, 1, 90, 500, 500, 3_500, 32_000] {
                set(&mut timers, &mut model, now + ahead * (now % 5));
            }
            model.sort_unstable();
            let due = model.partition_point(|(ms, _)| *ms <= now);
            let wanted: Vec<u64> = model.drain(..due).map(|(_, step)| step).collect();
            let came: Vec<u64> = std::iter::from_fn(|| timers.due(at(now))).collect();
            assert_eq!(came, wanted, "at {now}");
            assert_eq!(timers.next(), model.first().map(|(ms, _)| at(*ms)));
        }
    }
}
