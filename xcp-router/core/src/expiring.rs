//! A bounded map whose entries are over after a fixed time.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::Map;

/// Every entry lives equally long, so the queue of ends is in order by itself.
#[derive(Debug)]
pub(crate) struct Expiring<K, V> {
    entries: Map<K, (Instant, V)>,
    /// May name an entry more than once; the map's time is the true one.
    order: VecDeque<(Instant, K)>,
    life: Duration,
    most: usize,
}

impl<K: Clone + Eq + Hash, V> Expiring<K, V> {
    /// Entries live for `life`; when there are `most`, the oldest goes first.
    pub(crate) fn new(life: Duration, most: usize, seed: u64) -> Self {
        let entries = Map::with_hasher(foldhash::fast::FixedState::with_seed(seed));
        Expiring { entries, order: VecDeque::new(), life, most }
    }

    pub(crate) fn get<Q: ?Sized + Eq + Hash>(&self, key: &Q, now: Instant) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// Sets the value and begins its life anew. An entry that is still young
    /// keeps its end, so that the queue grows with time and not with traffic.
    pub(crate) fn insert(&mut self, key: &K, value: V, now: Instant) {
        let until = now + self.life;
        if let Some((end, old)) = self.entries.get_mut(key) {
            *old = value;
            if *end + self.life / 10 >= until {
                return;
            }
            *end = until;
        } else {
            self.make_room();
            self.entries.insert(key.clone(), (until, value));
        }
        self.order.push_back((until, key.clone()));
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }

    /// Drops what is over.
    pub(crate) fn sweep(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.drop_oldest();
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, (_, value))| (key, value))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a sweep is still due.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn make_room(&mut self) {
        while self.entries.len() >= self.most && !self.order.is_empty() {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((until, key)) = self.order.pop_front() else { return };
        if self.entries.get(&key).is_some_and(|(end, _)| *end == until) {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
