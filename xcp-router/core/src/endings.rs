//! The endings of recent packets, for packets that are submitted again and for
//! origins that come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openfed_proto::link::FromRouter;
use openfed_proto::packet::{Ending, Outcome, PacketId};

use crate::expiring::Expiring;

/// Longer than a packet lives at its edge (32 s and a second).
const REMEMBERED: Duration = Duration::from_secs(60);
/// 60 s at some 3,000 packets a second; beyond, the oldest go.
const MOST: usize = 200_000;

#[derive(Debug)]
pub(crate) struct Endings {
    /// Boxed, so that little moves when the table grows.
    ended: Expiring<PacketId, Box<Ended>>,
    owed: usize,
}

#[derive(Debug)]
struct Ended {
    outcome: Outcome,
    owed: Option<Owed>,
}

#[derive(Debug)]
struct Owed {
    /// The instance that has not got it: node and epoch.
    to: (Arc<str>, u64),
    /// What it submitted, for its next life: nobody else can tell an XMPP sender of a failure.
    stanza: Option<Bytes>,
}

impl Endings {
    pub(crate) fn new(seed: u64) -> Self {
        Endings { ended: Expiring::new(REMEMBERED, MOST, seed), owed: 0 }
    }

    /// Remembers an outcome that was sent. Its hops went with it.
    pub(crate) fn sent(&mut self, outcome: &Outcome, now: Instant) {
        let outcome = Outcome { id: outcome.id, ending: outcome.ending.clone(), hops: Vec::new() };
        let ended = Ended { outcome, owed: None };
        self.ended.insert(&ended.outcome.id.clone(), Box::new(ended), now);
    }

    /// Keeps an outcome whose origin, a node in its epoch, is not linked now.
    pub(crate) fn owe(
        &mut self,
        outcome: Outcome,
        stanza: Option<Bytes>,
        to: (Arc<str>, u64),
        now: Instant,
    ) {
        self.owed += 1;
        let ended = Ended { outcome, owed: Some(Owed { to, stanza }) };
        self.ended.insert(&ended.outcome.id.clone(), Box::new(ended), now);
    }

    pub(crate) fn knows(&self, id: PacketId, now: Instant) -> bool {
        self.ended.get(&id, now).is_some()
    }

    /// The outcome of a packet that is submitted again.
    pub(crate) fn repeat(&mut self, id: PacketId, now: Instant) -> Option<Outcome> {
        let outcome = self.ended.get(&id, now)?.outcome.clone();
        if let Some(ended) = self.ended.get_mut(&id) {
            self.owed = self.owed.saturating_sub(usize::from(ended.owed.take().is_some()));
        }
        Some(outcome)
    }

    /// What a node that came back has still to get, in order. A restarted one has forgotten its
    /// packets: it hears of those XMPP stanzas that did not arrive.
    pub(crate) fn settle(&mut self, node: &str, epoch: u64) -> Vec<FromRouter> {
        if self.owed == 0 {
            return Vec::new();
        }
        let mut due = Vec::new();
        for (id, ended) in self.ended.iter_mut() {
            let Some(owed) = ended.owed.take_if(|owed| *owed.to.0 == *node) else { continue };
            self.owed = self.owed.saturating_sub(1);
            let frame = match (&ended.outcome.ending, owed.stanza) {
                _ if owed.to.1 == epoch => FromRouter::Outcome(ended.outcome.clone()),
                (Ending::Failed(failure), Some(stanza)) => {
                    FromRouter::Undelivered { stanza, failure: failure.clone() }
                }
                _ => continue,
            };
            due.push((*id, frame));
        }
        due.sort_by_key(|(id, _)| *id);
        due.into_iter().map(|(_, frame)| frame).collect()
    }

    /// Drops what is over.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.ended.sweep(now);
        if self.ended.is_empty() {
            self.owed = 0;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ended.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.ended.len()
    }
}
