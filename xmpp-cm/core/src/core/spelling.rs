//! How names are written towards each server (see [`Name`]).
//!
//! A server's own name is written as it writes it itself. Towards a home server every other name is
//! written as it wrote it, for its users may write either way; towards a foreign server ours are
//! written in U-labels.

use super::Core;
use crate::peers::{Outgoing, Pair};
use crate::stream::Name;

impl Core {
    /// A server has proven its name, written in its way.
    pub(super) fn learn_spelling(&mut self, own: &Name) {
        if !own.is_ascii() {
            self.in_ascii.remove(own.domain());
        } else if self.in_ascii.len() < self.settings.limits.domains {
            self.in_ascii.insert(own.domain().clone());
        }
    }

    /// The pair, and what goes between its domains, as the server is to read them.
    pub(super) fn spelled(&self, pair: Pair, item: Outgoing) -> (Pair, Outgoing) {
        let is_answer = matches!(item, Outgoing::Answer { .. });
        if is_answer || !(pair.local.has_forms() || pair.remote.has_forms()) {
            return (pair, item);
        }
        let local = match self.domains.is_local(&pair.remote) {
            true => pair.local,
            false => pair.local.spelled(false),
        };
        let remote = pair.remote.spelled(self.in_ascii.contains(pair.remote.domain()));
        let pair = Pair { local, remote };
        let item = item.spelled(&pair);
        (pair, item)
    }
}
