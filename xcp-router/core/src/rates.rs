//! How fast new rows may appear: per node, and per source (rules §2).

use std::time::{Duration, Instant};

use openfed_proto::packet::Source;

use crate::expiring::Expiring;

const SOURCES: usize = 10_000;

/// A bucket that holds one second's worth of tokens.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    rate: u32,
    tokens: f64,
    filled: Option<Instant>,
}

impl Bucket {
    pub(crate) fn new(rate: u32) -> Self {
        Bucket { rate, tokens: f64::from(rate), filled: None }
    }

    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let has = self.has(now);
        if has {
            self.tokens -= 1.0;
        }
        has
    }

    fn has(&mut self, now: Instant) -> bool {
        let rate = f64::from(self.rate);
        let since = self.filled.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.tokens = (self.tokens + since.as_secs_f64() * rate).min(rate);
        self.filled = Some(now);
        self.tokens >= 1.0
    }
}

/// The insertion rates of this node.
#[derive(Debug)]
pub(crate) struct Rates {
    node: Bucket,
    fresh: Bucket,
    sources: Expiring<Source, Bucket>,
}

impl Rates {
    pub(crate) fn new(per_node: u32, per_source: u32, seed: u64) -> Self {
        // A bucket that nobody has touched for a second is full again.
        let sources = Expiring::new(Duration::from_secs(2), SOURCES, seed);
        Rates { node: Bucket::new(per_node), fresh: Bucket::new(per_source), sources }
    }

    /// Whether one more row may be inserted now for a packet from `source`. Nobody in particular
    /// is limited as part of the node only.
    pub(crate) fn admit(&mut self, source: Source, now: Instant) -> bool {
        if source == Source::default() {
            return self.node.take(now);
        }
        let mut bucket = self.sources.get(&source, now).unwrap_or(&self.fresh).clone();
        let admitted = bucket.has(now) && self.node.take(now) && bucket.take(now);
        self.sources.insert(&source, bucket, now);
        admitted
    }

    pub(crate) fn sweep(&mut self, now: Instant) {
        self.sources.sweep(now);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }
}
