//! Packets that a router handed over: each is worked on once, however often it comes.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use openfed_proto::link::Instruction;
use openfed_proto::packet::{Ending, Hop, PacketId, TraceContext};

use crate::core::RouterId;

/// What is done once: one packet under one instruction.
pub(crate) type Key = (PacketId, Instruction);

/// Who waits for the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) router: RouterId,
    /// The number of the attempt, to be repeated in its ending.
    pub(crate) number: u32,
}

#[derive(Debug)]
enum State {
    Running { trace: TraceContext, hops: Vec<Hop> },
    Ended(Ending),
}

#[derive(Debug)]
struct Attempt {
    asker: Asker,
    state: State,
}

/// What to do with an attempt that came.
#[derive(Debug, PartialEq)]
pub(crate) enum Begin {
    /// Work on it.
    New,
    /// It is being worked on; the asker will be told.
    Running,
    /// It came before, and this is how it ended.
    Ended(Ending),
    /// There is no room.
    Full,
}

/// Attempts in work, and the endings of those of the last minute.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// Boxed, so that little moves when the table grows.
    attempts: HashMap<Key, Box<Attempt>>,
    /// Ended ones, oldest first.
    ended: VecDeque<(Instant, Key)>,
    remembered: Duration,
    max: usize,
}

impl Attempts {
    /// Endings are remembered for `remembered`; with the running ones at most `max`.
    pub(crate) fn new(remembered: Duration, max: usize) -> Self {
        Self { attempts: HashMap::new(), ended: VecDeque::new(), remembered, max }
    }

    /// Whether it came before.
    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.attempts.contains_key(key)
    }

    /// An attempt came. The last one to ask for the same is the one who is told.
    pub(crate) fn begin(
        &mut self,
        key: Key,
        asker: Asker,
        trace: TraceContext,
        hops: &[Hop],
        now: Instant,
    ) -> Begin {
        self.forget(now);
        if let Some(attempt) = self.attempts.get_mut(&key) {
            attempt.asker = asker;
            return match &attempt.state {
                State::Running { .. } => Begin::Running,
                State::Ended(ending) => Begin::Ended(ending.clone()),
            };
        }
        if self.attempts.len() >= self.max && !self.forget_oldest() {
            return Begin::Full;
        }
        let state = State::Running { trace, hops: hops.to_vec() };
        self.attempts.insert(key, Box::new(Attempt { asker, state }));
        Begin::New
    }

    /// The trace of a running attempt.
    pub(crate) fn trace(&self, key: &Key) -> Option<TraceContext> {
        match self.attempts.get(key)?.state {
            State::Running { trace, .. } => Some(trace),
            State::Ended(_) => None,
        }
    }

    /// A running attempt has ended: who is to be told, and the hops up to here with `hop`. `None`
    /// for one that had ended before.
    pub(crate) fn end(
        &mut self,
        key: Key,
        ending: &Ending,
        hop: Hop,
        now: Instant,
    ) -> Option<(Asker, Vec<Hop>)> {
        let attempt = self.attempts.get_mut(&key)?;
        let State::Running { hops, .. } = &mut attempt.state else { return None };
        let mut hops = std::mem::take(hops);
        hops.push(hop);
        attempt.state = State::Ended(ending.clone());
        self.ended.push_back((now, key));
        Some((attempt.asker, hops))
    }

    /// Those that have not ended.
    pub(crate) fn running(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| matches!(attempt.state, State::Running { .. }))
            .map(|(key, _)| *key)
            .collect();
        keys.sort_by_key(|key| key.0);
        keys
    }

    /// Whether all have ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.attempts.len() == self.ended.len()
    }

    fn forget(&mut self, now: Instant) {
        while self.ended.front().is_some_and(|(at, _)| now >= *at + self.remembered) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, key)) = self.ended.pop_front() else { return false };
        self.attempts.remove(&key);
        true
    }
}
