//! The links to the routers: who is there, how much each still takes, who gets which packet.

use std::collections::BTreeMap;

use openfed_proto::link::{Grant, Hello, Window};
use openfed_proto::packet::Conversation;

use crate::command::RouterId;
use crate::random::stable_hash;

#[derive(Debug)]
struct Link {
    node: String,
    /// Packets that the router still takes.
    window: Window,
    /// Attempts that we give back.
    grant: Grant,
    leaving: bool,
}

/// Why no router takes a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRouter {
    /// None is linked.
    None,
    /// All are linked, but take nothing now.
    Full,
}

#[derive(Debug)]
pub(super) struct Links {
    capacity: u32,
    links: BTreeMap<RouterId, Link>,
}

impl Links {
    pub(super) fn new(capacity: u32) -> Self {
        Links { capacity, links: BTreeMap::new() }
    }

    pub(super) fn up(&mut self, router: RouterId, hello: &Hello) {
        let link = Link {
            node: hello.node.clone(),
            window: Window::new(hello.capacity),
            grant: Grant::new(self.capacity),
            leaving: false,
        };
        self.links.insert(router, link);
    }

    pub(super) fn down(&mut self, router: RouterId) {
        self.links.remove(&router);
    }

    pub(super) fn set_leaving(&mut self, router: RouterId, leaving: bool) {
        if let Some(link) = self.links.get_mut(&router) {
            link.leaving = leaving;
        }
    }

    pub(super) fn refill(&mut self, router: RouterId, packets: u32) {
        if let Some(link) = self.links.get_mut(&router) {
            link.window.refill(packets);
        }
    }

    /// One attempt of this router is done; the credit that goes back, when it is time.
    pub(super) fn finished(&mut self, router: RouterId) -> Option<u32> {
        self.links.get_mut(&router)?.grant.finished()
    }

    pub(super) fn is_up(&self, router: RouterId) -> bool {
        self.links.contains_key(&router)
    }

    pub(super) fn first(&self) -> Option<RouterId> {
        self.links.keys().next().copied()
    }

    pub(super) fn all(&self) -> Vec<RouterId> {
        self.links.keys().copied().collect()
    }

    /// The router for a conversation, by rendezvous: every packet of it goes the same way as long
    /// as the same routers are there. Takes room for one packet.
    pub(super) fn choose(&mut self, conversation: Conversation) -> Result<RouterId, NoRouter> {
        let mut order: Vec<(u64, RouterId)> = self
            .links
            .iter()
            .filter(|(_, link)| !link.leaving)
            .map(|(id, link)| (rendezvous(conversation, &link.node), *id))
            .collect();
        if order.is_empty() {
            return Err(NoRouter::None);
        }
        order.sort_unstable_by(|a, b| b.cmp(a));
        let mut links = order.into_iter().map(|(_, router)| router);
        let taken = links.find(|router| {
            self.links.get_mut(router).is_some_and(|link| link.window.take().is_ok())
        });
        taken.ok_or(NoRouter::Full)
    }
}

fn rendezvous(conversation: Conversation, node: &str) -> u64 {
    let hash = stable_hash([&conversation.0.to_be_bytes()[..], node.as_bytes()]);
    // FNV's last bytes hardly reach its high bits, which decide here.
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
