//! Packets of a conversation come in one after the other, and go on so (E-47): what comes behind one
//! whose instance is not linked, so that nobody knows whether it has it, waits until that is settled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use openfed_proto::packet::{Conversation, PacketId};

use crate::clock::Now;
use crate::core::Router;
use crate::deliveries::State;

/// The packets that others must not overtake, and those others.
#[derive(Debug, Default)]
pub(crate) struct Following {
    ahead: BTreeSet<(Conversation, PacketId)>,
    behind: BTreeMap<Conversation, VecDeque<PacketId>>,
}

impl Following {
    pub(crate) fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Whether one of the conversation goes ahead.
    fn any_ahead(&self, conversation: Conversation) -> bool {
        let first = (conversation, PacketId([0; 16]));
        self.ahead.range(first..).next().is_some_and(|(other, _)| *other == conversation)
    }

    /// Whether the packet has to wait: who goes ahead does not.
    fn is_behind(&self, conversation: Conversation, id: PacketId) -> bool {
        self.any_ahead(conversation) && !self.ahead.contains(&(conversation, id))
    }

    /// The packet is settled, or has ended: who has nobody ahead any more, in order.
    fn settled(&mut self, conversation: Conversation, id: PacketId) -> VecDeque<PacketId> {
        self.ahead.remove(&(conversation, id));
        if !self.any_ahead(conversation) {
            return self.behind.remove(&conversation).unwrap_or_default();
        }
        if let Some(behind) = self.behind.get_mut(&conversation) {
            behind.retain(|other| *other != id);
        }
        VecDeque::new()
    }
}

impl Router {
    /// What comes behind this packet waits.
    pub(crate) fn goes_ahead(&mut self, id: PacketId) {
        let conversation = self.deliveries.get(id).map(|delivery| delivery.packet.conversation);
        self.following.ahead.extend(conversation.map(|conversation| (conversation, id)));
    }

    /// Whether the packet waits now behind another one of its conversation.
    pub(crate) fn waits_behind(&mut self, id: PacketId, now: Now) -> bool {
        if self.following.is_empty() {
            return self.waits_behind_leader(id, now);
        }
        let Some(delivery) = self.deliveries.get(id) else { return false };
        let conversation = delivery.packet.conversation;
        // The second leg of an accepted request is what the first one waits for.
        if delivery.accepted_in.is_some() || !self.following.is_behind(conversation, id) {
            return self.waits_behind_leader(id, now);
        }
        self.following.behind.entry(conversation).or_default().push_back(id);
        self.deliveries.change(id, |delivery| delivery.state = State::Waiting);
        true
    }

    /// The packet is with somebody, or has ended: what is behind it goes on.
    pub(crate) fn is_settled(&mut self, id: PacketId) {
        if self.following.is_empty() {
            return;
        }
        let Some(delivery) = self.deliveries.get(id) else { return };
        for behind in self.following.settled(delivery.packet.conversation, id) {
            self.deliveries.change(behind, |delivery| delivery.state = State::Routing);
            self.ready.push_back(behind);
        }
    }
}
