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
    /// Bytes of the stream so far, the stanza, its domains.
    items: VecDeque<(u64, Pair, Outgoing)>,
}

impl Recent {
    /// A stanza is the last of `said` bytes.
    pub(super) fn wrote(&mut self, said: u64, pair: Pair, item: Outgoing) {
        self.items.push_back((said, pair, item));
    }

    /// All of the stream but its last bytes did arrive.
    pub(super) fn arrived(&mut self, said: u64, unconfirmed: usize) {
        let arrived = said.saturating_sub(u64::try_from(unconfirmed).unwrap_or(u64::MAX));
        while self.items.front().is_some_and(|(end, ..)| *end <= arrived) {
            self.items.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// In order.
    pub(super) fn into_items(self) -> impl Iterator<Item = (Pair, Outgoing)> {
        self.items.into_iter().map(|(_, pair, item)| (pair, item))
    }
}
