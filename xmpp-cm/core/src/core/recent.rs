//! What was written to a connection and may not have arrived.
//!
//! XMPP does not confirm stanzas, but TCP confirms bytes. The shell says how many of the last ones
//! are not confirmed; when the connection breaks, the stanzas in them are sent once more, and if
//! they do not arrive then either, their senders are told.

use std::collections::VecDeque;

use crate::peers::{Outgoing, Pair};

/// The stanzas at the end of a stream, as many as the shell lets be unconfirmed.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Bytes of the stream so far, those of an answer, the stanza, its domains.
    items: VecDeque<(u64, u64, Pair, Outgoing)>,
    /// Bytes of the answers among them.
    answers: u64,
    /// Bytes of the stream at the end of the last one.
    said: u64,
}

impl Recent {
    /// A stanza is the last of `said` bytes.
    pub(super) fn wrote(&mut self, said: u64, pair: Pair, item: Outgoing) {
        let bytes = said.saturating_sub(std::mem::replace(&mut self.said, said));
        let answer = if item.is_answer() { bytes } else { 0 };
        self.answers += answer;
        self.items.push_back((said, answer, pair, item));
    }

    /// All of the stream but its last bytes did arrive.
    pub(super) fn arrived(&mut self, said: u64, unconfirmed: usize) {
        let arrived = said.saturating_sub(u64::try_from(unconfirmed).unwrap_or(u64::MAX));
        while self.items.front().is_some_and(|(end, ..)| *end <= arrived) {
            self.answers -= self.items.pop_front().map_or(0, |(_, answer, ..)| answer);
        }
    }

    /// Bytes of answers that the peer may not have read.
    pub(super) fn answers(&self) -> usize {
        usize::try_from(self.answers).unwrap_or(usize::MAX)
    }

    /// Bytes since the first that may not have arrived.
    pub(super) fn pending(&self) -> usize {
        let first = self.items.front().map_or(self.said, |(said, ..)| *said);
        usize::try_from(self.said - first).unwrap_or(usize::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// In order.
    pub(super) fn into_items(self) -> impl Iterator<Item = (Pair, Outgoing)> {
        self.items.into_iter().map(|(.., pair, item)| (pair, item))
    }
}
