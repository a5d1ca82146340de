//! What was written to a connection and may not have arrived.
//!
//! TCP confirms bytes: the shell says how many of the last ones are not confirmed. A peer that counts
//! what it gets (XEP-0198) confirms stanzas, and then its word is waited for. When the connection
//! breaks, what TCP did not confirm is sent once more, and if it does not arrive then either, its
//! sender is told; what TCP did, but the peer did not, is in doubt.

use std::collections::VecDeque;

use crate::peers::{Outgoing, Pair};

/// In order.
pub(super) type Items = Vec<(Pair, Outgoing)>;

#[derive(Debug)]
struct Item {
    /// Bytes of the stream at its end.
    end: u64,
    /// Bytes of it, if it is an answer.
    answer: u64,
    /// Its number, if the peer counts.
    number: Option<u64>,
    pair: Pair,
    outgoing: Outgoing,
}

/// The stanzas at the end of a stream, as many as the shell lets be unconfirmed.
#[derive(Debug, Default)]
pub(super) struct Recent {
    items: VecDeque<Item>,
    /// Bytes of the answers among them.
    answers: u64,
    /// Bytes of the stream at the end of the last one.
    said: u64,
}

impl Recent {
    /// A stanza is the last of `said` bytes, and has this number if the peer counts.
    pub(super) fn wrote(&mut self, said: u64, number: Option<u64>, pair: Pair, outgoing: Outgoing) {
        let bytes = said.saturating_sub(std::mem::replace(&mut self.said, said));
        let answer = if outgoing.is_answer() { bytes } else { 0 };
        self.answers += answer;
        self.items.push_back(Item { end: said, answer, number, pair, outgoing });
    }

    /// All of the stream but its last bytes did arrive, as TCP says.
    pub(super) fn confirmed(&mut self, said: u64, unconfirmed: usize) {
        let confirmed = confirmed(said, unconfirmed);
        self.forget(|item| item.number.is_none() && item.end <= confirmed);
    }

    /// So many stanzas did arrive, as the peer says.
    pub(super) fn arrived(&mut self, number: u64) {
        self.forget(|item| item.number.is_none_or(|it| it <= number));
    }

    /// The peer does not count after all.
    pub(super) fn uncounted(&mut self) {
        self.items.iter_mut().for_each(|item| item.number = None);
    }

    fn forget(&mut self, has_arrived: impl Fn(&Item) -> bool) {
        while self.items.front().is_some_and(&has_arrived) {
            self.answers -= self.items.pop_front().map_or(0, |item| item.answer);
        }
    }

    /// Bytes of answers that the peer may not have read.
    pub(super) fn answers(&self) -> usize {
        usize::try_from(self.answers).unwrap_or(usize::MAX)
    }

    /// Bytes since the first that may not have arrived.
    pub(super) fn pending(&self) -> usize {
        let first = self.items.front().map_or(self.said, |item| item.end);
        usize::try_from(self.said - first).unwrap_or(usize::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The connection is over: what is in doubt, and what did not arrive.
    pub(super) fn end(mut self, said: u64, unconfirmed: usize) -> (Items, Items) {
        self.confirmed(said, unconfirmed);
        let confirmed = confirmed(said, unconfirmed);
        let (doubtful, lost): (Vec<_>, Vec<_>) =
            self.items.into_iter().partition(|item| item.end <= confirmed);
        let items = |items: Vec<Item>| items.into_iter().map(|it| (it.pair, it.outgoing)).collect();
        (items(doubtful), items(lost))
    }
}

fn confirmed(said: u64, unconfirmed: usize) -> u64 {
    said.saturating_sub(u64::try_from(unconfirmed).unwrap_or(u64::MAX))
}
