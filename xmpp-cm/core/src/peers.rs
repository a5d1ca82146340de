//! Which way stanzas go to each peer, and who waits for it.
//!
//! ```text
//!   (nothing) ──dial──▶ Waiting ──authenticated──▶ Up ──last stream gone──▶ (nothing)
//!                        ▲ └──failed──▶ Failed(until) ──time──▶ (nothing)
//!                        └──answers wait─────┘
//! ```
//!
//! A peer is a pair of domains: one that we speak for and one that we speak to. Towards a foreign
//! domain we speak for a local one, towards a home server for a foreign one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use minidom::Element;
use openfed_proto::domain::Domain;
use openfed_proto::packet::{Failure, TraceContext};

use crate::attempts::Key;
use crate::core::ConnId;
use crate::stanza::{is_answer, spell};
use crate::stream::Name;
use crate::xml::to_bytes;

/// The domain that we speak for and the one that we speak to, as the peer writes them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pair {
    pub(crate) local: Name,
    pub(crate) remote: Name,
}

impl Pair {
    pub(crate) fn new(local: impl Into<Name>, remote: impl Into<Name>) -> Self {
        Self { local: local.into(), remote: remote.into() }
    }

    /// The pair of the answers.
    pub(crate) fn reversed(&self) -> Self {
        Self::new(&self.remote, &self.local)
    }

    /// Whether both are of the same domains, however these are written.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        *self.local == *other.local && *self.remote == *other.remote
    }

    /// The pairs of the same domains, however these are written.
    pub(crate) fn alike(&self) -> BTreeSet<Self> {
        let forms = [(false, false), (false, true), (true, false), (true, true)];
        let spelled = |(local, remote)| Self {
            local: self.local.spelled(local),
            remote: self.remote.spelled(remote),
        };
        forms.map(spelled).into()
    }
}

/// A stanza that its server keeps until we have handled it (XEP-0198): the stream that it came on,
/// and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) conn: ConnId,
    pub(crate) number: u64,
}

/// Something on its way to a peer, and who is told how it went.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A stanza passing through: its sender gets an error stanza if it fails.
    Through(Element, Option<Counted>),
    /// An answer of ours, written out: nobody is told. It gets no third chance, either, and is
    /// kept until then while its way fails.
    Answer { text: Box<str>, again: bool, until: Instant },
    /// A stanza that did not arrive over a stream that broke. It gets no third chance.
    Again(Element),
    /// An attempt with a stanza that answers for itself: it has ended when it is written.
    Plain(Key, Element),
    /// An attempt that ends when the peer has taken the message.
    Fenced(Key, Element),
    /// An attempt to find out whether the peer can be reached.
    Probe(Key),
}

impl Outgoing {
    pub(crate) fn stanza(&self) -> Option<&Element> {
        match self {
            Self::Through(stanza, _) | Self::Again(stanza) => Some(stanza),
            Self::Plain(_, stanza) | Self::Fenced(_, stanza) => Some(stanza),
            Self::Answer { .. } | Self::Probe(_) => None,
        }
    }

    /// The same with the domains of its stanza written in this way. An answer is written as it was
    /// asked.
    pub(crate) fn spelled(mut self, pair: &Pair) -> Self {
        match &mut self {
            Self::Through(stanza, _)
            | Self::Again(stanza)
            | Self::Plain(_, stanza)
            | Self::Fenced(_, stanza) => spell(stanza, &pair.local, &pair.remote),
            Self::Answer { .. } | Self::Probe(_) => {}
        }
        self
    }

    /// The attempt that it belongs to.
    pub(crate) fn key(&self) -> Option<Key> {
        match self {
            Self::Through(..) | Self::Answer { .. } | Self::Again(_) => None,
            Self::Plain(key, _) | Self::Fenced(key, _) | Self::Probe(key) => Some(*key),
        }
    }

    /// The same once more, with nobody waiting for how it goes but its sender.
    pub(crate) fn again(self) -> Option<Self> {
        match self {
            Self::Through(stanza, _) | Self::Plain(_, stanza) | Self::Fenced(_, stanza) => {
                Some(Self::Again(stanza))
            }
            Self::Answer { text, again: false, until } => {
                Some(Self::Answer { text, again: true, until })
            }
            Self::Answer { again: true, .. } | Self::Again(_) | Self::Probe(_) => None,
        }
    }

    /// Whether it is an answer, of ours or of another one that goes by.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Self::Answer { .. } => true,
            Self::Through(stanza, _) | Self::Again(stanza) => is_answer(stanza),
            Self::Plain(..) | Self::Fenced(..) | Self::Probe(_) => false,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Answer { text, .. } => text.len(),
            _ => self.stanza().map_or(0, |stanza| to_bytes(stanza).len()),
        }
    }
}

/// What waits for a stream, in order.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<(usize, Outgoing)>,
    /// Bytes of what is no answer.
    bytes: usize,
    /// Answers, and bytes of them.
    answers: (usize, usize),
    /// What those will take that are owed for stanzas that were taken meanwhile.
    owed: usize,
    /// So many more of them may wait.
    more: usize,
}

impl Queue {
    /// Gives the item back if there is no room. There is always room for an answer: what it answers
    /// would not have been taken else ([`Queue::is_crowded`]).
    #[must_use]
    pub(crate) fn push(
        &mut self,
        item: Outgoing,
        max: usize,
        max_bytes: usize,
    ) -> Option<Outgoing> {
        let bytes = item.bytes();
        if matches!(item, Outgoing::Answer { .. }) {
            self.answers = (self.answers.0 + 1, self.answers.1 + bytes);
            self.owed = self.owed.saturating_sub(bytes);
        } else if self.items.len() - self.answers.0 >= max || self.bytes + bytes > max_bytes {
            return Some(item);
        } else {
            self.bytes += bytes;
        }
        self.items.push_back((bytes, item));
        None
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn has_answers(&self) -> bool {
        self.answers.0 > 0
    }

    /// Whether so many answers wait that nothing more that wants one may be taken.
    pub(crate) fn is_crowded(&self, max_bytes: usize) -> bool {
        self.answers.1 + self.owed >= max_bytes + self.more
    }

    /// The answers that are still worth a try, and the rest. So many `more` bytes of answers may
    /// wait for that, twice at most.
    pub(crate) fn keep_answers(self, now: Instant, more: usize) -> (Self, Vec<Outgoing>) {
        let more = (self.more + more).min(2 * more);
        let (mut kept, mut rest) = (Self { more, ..Self::default() }, Vec::new());
        for item in self.into_items() {
            match &item {
                Outgoing::Answer { until, .. } if *until > now => {
                    rest.extend(kept.push(item, 0, 0));
                }
                _ => rest.push(item),
            }
        }
        (kept, rest)
    }

    pub(crate) fn into_items(self) -> impl Iterator<Item = Outgoing> {
        self.items.into_iter().map(|(_, item)| item)
    }
}

/// A pair that is to come up.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The connection that is to carry it.
    pub(crate) conn: ConnId,
    /// Our dialback key was sent.
    pub(crate) asked: bool,
    /// The connection carried other pairs before this one; if it fails us, a fresh one may not.
    pub(crate) shared: bool,
    /// Fails then, whatever happens.
    pub(crate) deadline: Instant,
    /// Trace of the packet that began it.
    pub(crate) trace: Option<TraceContext>,
    pub(crate) queue: Queue,
}

/// See the diagram at the head of this file.
#[derive(Debug)]
pub(crate) enum State {
    Waiting(Waiting),
    /// The streams that can be used; the last is the best.
    Up(Vec<ConnId>),
    Failed {
        until: Instant,
        failure: Failure,
        /// They go when it is tried again.
        answers: Queue,
    },
}

/// All pairs that have a state.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    pairs: BTreeMap<Pair, State>,
}

impl Peers {
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    pub(crate) fn get(&self, pair: &Pair) -> Option<&State> {
        self.pairs.get(pair)
    }

    pub(crate) fn insert(&mut self, pair: Pair, state: State) -> Option<State> {
        self.pairs.insert(pair, state)
    }

    pub(crate) fn remove(&mut self, pair: &Pair) -> Option<State> {
        self.pairs.remove(pair)
    }

    pub(crate) fn waiting(&mut self, pair: &Pair) -> Option<&mut Waiting> {
        match self.pairs.get_mut(pair) {
            Some(State::Waiting(waiting)) => Some(waiting),
            _ => None,
        }
    }

    /// How many stanzas wait for the pair, and for which connection.
    pub(crate) fn queued(&self, pair: &Pair) -> Option<(ConnId, usize)> {
        match self.pairs.get(pair) {
            Some(State::Waiting(waiting)) => Some((waiting.conn, waiting.queue.items.len())),
            _ => None,
        }
    }

    /// The stream to use for the pair.
    pub(crate) fn route(&self, pair: &Pair) -> Option<ConnId> {
        match self.pairs.get(pair) {
            Some(State::Up(conns)) => conns.last().copied(),
            _ => None,
        }
    }

    /// A stream can be used for the pair; gives back what waited for it. True if it is the first.
    pub(crate) fn up(&mut self, pair: &Pair, conn: ConnId) -> (bool, Queue) {
        if let Some(State::Up(conns)) = self.pairs.get_mut(pair) {
            if !conns.contains(&conn) {
                conns.push(conn);
            }
            return (false, Queue::default());
        }
        match self.pairs.insert(pair.clone(), State::Up(vec![conn])) {
            Some(State::Waiting(Waiting { queue, .. }) | State::Failed { answers: queue, .. }) => {
                (true, queue)
            }
            _ => (true, Queue::default()),
        }
    }

    /// A stream can no longer be used for the pair. True if it was the last.
    pub(crate) fn down(&mut self, pair: &Pair, conn: ConnId) -> bool {
        let Some(State::Up(conns)) = self.pairs.get_mut(pair) else { return false };
        conns.retain(|other| *other != conn);
        let last = conns.is_empty();
        if last {
            self.pairs.remove(pair);
        }
        last
    }

    /// Why the pair is not tried again yet, and the answers that wait until it is.
    pub(crate) fn failure(&mut self, pair: &Pair, now: Instant) -> Option<(Failure, &mut Queue)> {
        match self.pairs.get_mut(pair) {
            Some(State::Failed { until, failure, answers }) if *until > now => {
                Some((failure.clone(), answers))
            }
            _ => None,
        }
    }

    /// Whether a failure of the pair is over, and nothing was tried since.
    pub(crate) fn has_failed(&self, pair: &Pair, now: Instant) -> bool {
        matches!(self.pairs.get(pair), Some(State::Failed { until, .. }) if *until <= now)
    }

    /// The answers that wait for the end of a failure.
    pub(crate) fn take_answers(&mut self, pair: &Pair) -> Queue {
        match self.pairs.get_mut(pair) {
            Some(State::Failed { answers, .. }) => std::mem::take(answers),
            _ => Queue::default(),
        }
    }

    /// A stanza was taken that may be answered over this pair, with so many bytes.
    pub(crate) fn owe(&mut self, pair: &Pair, bytes: usize) {
        if let Some(State::Waiting(Waiting { queue, .. }) | State::Failed { answers: queue, .. }) =
            self.pairs.get_mut(pair)
        {
            queue.owed += bytes;
        }
    }

    /// Whether so many answers wait for the pair that no more are to be owed.
    pub(crate) fn is_crowded(&self, pair: &Pair, max_bytes: usize) -> bool {
        match self.pairs.get(pair) {
            Some(State::Waiting(Waiting { queue, .. }) | State::Failed { answers: queue, .. }) => {
                queue.is_crowded(max_bytes)
            }
            Some(State::Up(_)) | None => false,
        }
    }

    /// Whether a stream to this domain can be used, whoever speaks on it.
    pub(crate) fn speaks_to(&self, remote: &Domain) -> bool {
        let up = |(pair, state): (&Pair, &State)| {
            pair.remote.domain() == remote && matches!(state, State::Up(_))
        };
        self.pairs.iter().any(up)
    }

    /// Forgets failures that are over.
    pub(crate) fn prune(&mut self, now: Instant) {
        self.pairs.retain(|_, state| {
            !matches!(state, State::Failed { until, answers, .. }
                if *until <= now && !answers.has_answers())
        });
    }

    /// Whether nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        !self.pairs.values().any(|state| match state {
            State::Waiting(_) => true,
            State::Failed { answers, .. } => answers.has_answers(),
            State::Up(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn there_is_room_for_every_answer_and_it_takes_none_from_others() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let text: Box<str> = "x".repeat(60).into();
        let answer = || Outgoing::Answer { text: text.clone(), again: false, until: now };
        let stanza =
            || Outgoing::Through("<message xmlns='jabber:client'/>".parse().unwrap(), None);
        for _ in 0..3 {
            assert!(queue.push(answer(), 1, 100).is_none());
        }
        assert!(queue.is_crowded(180) && !queue.is_crowded(181));
        assert!(queue.push(stanza(), 1, 100).is_none());
        assert!(queue.push(stanza(), 1, 100).is_some(), "one is its share");
        let (kept, rest) = queue.keep_answers(now, 0);
        assert!(!kept.has_answers() && rest.len() == 4, "their time is over");
    }
}
