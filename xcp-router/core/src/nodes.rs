//! The connection managers that are linked: who they are, how much they take,
//! and which of them a conversation goes to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openfed_proto::domain::Domain;
use openfed_proto::link::{Grant, Hello, Window};
use openfed_proto::packet::{Conversation, Role};

use crate::Map;
use crate::taken::Taken;

/// Names one link for as long as it is up; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A linked node, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    pub node: String,
    pub role: Role,
    pub version: String,
    pub address: String,
    /// Microseconds since the Unix epoch.
    pub up_since_us: u64,
    /// Packets it submitted and attempts it was given that have not ended.
    pub in_flight: u32,
    pub draining: bool,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) node: Arc<str>,
    pub(crate) role: Role,
    pub(crate) epoch: u64,
    pub(crate) draining: bool,
    /// Packets it submitted that have not ended.
    pub(crate) submitted: u32,
    /// What it knows of the packets that it submitted.
    pub(crate) taken: Taken,
    /// Attempts it was given that have not ended.
    attempts: u32,
    version: String,
    address: String,
    up_since_us: u64,
    window: Window,
    grant: Grant,
    /// Domains it was told the verdict of, and when to tell it again.
    told: Map<Domain, Instant>,
}

/// Why no instance takes a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// None of that role is linked.
    Nobody,
    /// All windows are full.
    Room,
}

/// Domains that are remembered as told, per link.
const TOLD: usize = 4_096;

#[derive(Debug, Default)]
pub(crate) struct Nodes {
    links: BTreeMap<LinkId, Link>,
}

impl Link {
    pub(crate) fn new(
        id: LinkId,
        hello: Hello,
        address: String,
        up_since_us: u64,
        capacity: u32,
        seed: u64,
    ) -> Self {
        Link {
            id,
            node: hello.node.into(),
            role: hello.role,
            epoch: hello.epoch,
            draining: false,
            submitted: 0,
            taken: Taken::default(),
            attempts: 0,
            version: hello.version,
            address,
            up_since_us,
            window: Window::new(hello.capacity),
            grant: Grant::new(capacity),
            told: Map::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
        }
    }

    /// Takes room for one attempt; false if the window is full.
    pub(crate) fn take(&mut self) -> bool {
        let taken = self.window.take().is_ok();
        self.attempts += u32::from(taken);
        taken
    }

    /// The peer gave room back.
    pub(crate) fn refill(&mut self, packets: u32) {
        self.window.refill(packets);
    }

    /// One attempt ended, or is not waited for any more.
    pub(crate) fn attempt_over(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
    }

    /// One submitted packet ended; returns the credit that is due.
    pub(crate) fn submitted_over(&mut self) -> Option<u32> {
        self.submitted = self.submitted.saturating_sub(1);
        self.grant.finished()
    }

    /// Whether to tell this node the verdict on `domain` again. A connection
    /// manager asks with every packet that needs the router anyway, so telling
    /// it each time would double the frames.
    pub(crate) fn should_tell(&mut self, domain: &Domain, now: Instant, lease: Duration) -> bool {
        if self.told.get(domain).is_some_and(|again| *again > now) {
            return false;
        }
        if self.told.len() >= TOLD {
            self.told.clear();
        }
        self.told.insert(domain.clone(), now + lease / 10);
        true
    }

    /// The node was told to forget the domain, or all of them.
    pub(crate) fn forgot(&mut self, domain: Option<&Domain>) {
        match domain {
            Some(domain) => drop(self.told.remove(domain)),
            None => self.told.clear(),
        }
    }

    fn view(&self) -> NodeView {
        NodeView {
            node: self.node.to_string(),
            role: self.role,
            version: self.version.clone(),
            address: self.address.clone(),
            up_since_us: self.up_since_us,
            in_flight: self.submitted + self.attempts,
            draining: self.draining,
        }
    }
}

impl Nodes {
    pub(crate) fn insert(&mut self, link: Link) {
        self.links.insert(link.id, link);
    }

    pub(crate) fn remove(&mut self, link: LinkId) -> Option<Link> {
        self.links.remove(&link)
    }

    pub(crate) fn get(&self, link: LinkId) -> Option<&Link> {
        self.links.get(&link)
    }

    pub(crate) fn get_mut(&mut self, link: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&link)
    }

    /// The link of the node of that name.
    pub(crate) fn of(&self, node: &str) -> Option<&Link> {
        self.links.values().find(|link| *link.node == *node)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.links.values_mut()
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.links.values().any(|link| link.role == role && !link.draining)
    }

    pub(crate) fn views(&self) -> Vec<NodeView> {
        self.links.values().map(Link::view).collect()
    }

    /// The instance that a conversation goes to, by rendezvous hashing: the
    /// same one as long as it is linked and has room, and when it goes, only
    /// its own conversations move.
    pub(crate) fn pick(
        &self,
        role: Role,
        conversation: Conversation,
        except: Option<&str>,
    ) -> Result<LinkId, Lack> {
        let fit = |link: &&Link| {
            link.role == role && !link.draining && except.is_none_or(|name| *link.node != *name)
        };
        let mut candidates = self.links.values().filter(fit).peekable();
        if candidates.peek().is_none() {
            return Err(Lack::Nobody);
        }
        candidates
            .filter(|link| link.window.open() > 0)
            .max_by_key(|link| weight(conversation, &link.node))
            .map(|link| link.id)
            .ok_or(Lack::Room)
    }
}

/// How much a conversation is drawn to a node: FNV-1a over the name, then
/// mixed (splitmix64), the same on every router and in every release.
fn weight(conversation: Conversation, node: &str) -> u64 {
    let name = node.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut mixed = (conversation.0 ^ name).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
