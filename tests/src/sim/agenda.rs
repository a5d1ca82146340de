//! What is still to happen, in order of time; at one moment, in order of planning.

use std::collections::BTreeMap;
use std::time::Instant;

/// See the head of this file.
#[derive(Debug)]
pub struct Agenda<T> {
    planned: BTreeMap<(Instant, u64), T>,
    count: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { planned: BTreeMap::new(), count: 0 }
    }
}

impl<T> Agenda<T> {
    /// Lets something happen at that time.
    pub fn plan(&mut self, at: Instant, what: T) {
        self.count += 1;
        self.planned.insert((at, self.count), what);
    }

    /// When the next thing happens.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.planned.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next thing that happens until then.
    pub fn take_due(&mut self, now: Instant) -> Option<T> {
        let (key, _) = self.planned.first_key_value().filter(|((at, _), _)| *at <= now)?;
        let key = *key;
        self.planned.remove(&key)
    }
}
