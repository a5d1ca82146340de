//! The links to the routers, and the packets that came in here and wait for their ending.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use openfed_proto::link::{Grant, Hello, Window};
use openfed_proto::packet::{Conversation, Packet, PacketId};

use crate::core::RouterId;
use crate::peers::Counted;
use crate::stanza::Reply;

/// What a packet has, in all: the time of a SIP transaction (RFC 3261 §17.1.2).
pub(crate) const PACKET_TIME: Duration = Duration::from_secs(32);
/// What its router gets on top before we answer by ourselves.
const EDGE_GRACE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Router {
    node: String,
    /// Packets that it still takes.
    window: Window,
    /// Gives it back the room of the attempts that ended.
    grant: Grant,
    leaving: bool,
    /// Packets that went there, counted, until it says that it has them.
    submitted: u64,
    untaken: VecDeque<(u64, PacketId)>,
}

/// No link is up, or all routers have as much as they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRouter;

/// A packet that came in here.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) packet: Packet,
    /// The right to tell its sender.
    pub(crate) reply: Option<Reply>,
    /// Its server keeps it until a router has it, or it has ended.
    pub(crate) counted: Option<Counted>,
    /// Who has it; nobody while it waits for a link.
    router: Option<RouterId>,
    deadline: Instant,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Routers {
    links: BTreeMap<RouterId, Router>,
    packets: HashMap<PacketId, Submitted>,
    /// How many of them nobody has: they wait for a link.
    parked: usize,
    /// In the order in which they came; those that have ended stay until they are first.
    order: VecDeque<PacketId>,
    /// How many of each conversation are under way, and with whom.
    conversations: HashMap<Conversation, (usize, Option<RouterId>)>,
}

impl Routers {
    /// A link is there.
    pub(crate) fn up(&mut self, id: RouterId, hello: &Hello, capacity: u32) {
        let router = Router {
            node: hello.node.clone(),
            window: Window::new(hello.capacity),
            grant: Grant::new(capacity),
            leaving: false,
            submitted: 0,
            untaken: VecDeque::new(),
        };
        self.links.insert(id, router);
    }

    /// A link is gone: what it had waits for another.
    pub(crate) fn down(&mut self, id: RouterId) {
        self.links.remove(&id);
        for submitted in self.packets.values_mut().filter(|packet| packet.router == Some(id)) {
            submitted.router = None;
            self.parked += 1;
        }
        for (_, router) in self.conversations.values_mut() {
            if *router == Some(id) {
                *router = None;
            }
        }
    }

    pub(crate) fn is_up(&self, id: RouterId) -> bool {
        self.links.contains_key(&id)
    }

    pub(crate) fn all(&self) -> Vec<RouterId> {
        self.links.keys().copied().collect()
    }

    /// The router takes nothing new, or takes it again.
    pub(crate) fn set_leaving(&mut self, id: RouterId, leaving: bool) {
        if let Some(router) = self.links.get_mut(&id) {
            router.leaving = leaving;
        }
    }

    /// The router gave room back.
    pub(crate) fn refill(&mut self, id: RouterId, packets: u32) {
        if let Some(router) = self.links.get_mut(&id) {
            router.window.refill(packets);
        }
    }

    /// An attempt of this router ended. The credit to send, when it is time.
    pub(crate) fn finished(&mut self, id: RouterId) -> Option<u32> {
        self.links.get_mut(&id)?.grant.finished()
    }

    /// The router for what concerns no conversation: on every connection manager the same one, so
    /// that what one of them says arrives in order.
    pub(crate) fn any(&self) -> Option<RouterId> {
        let serving = self.links.iter().filter(|(_, router)| !router.leaving);
        serving.min_by_key(|(_, router)| &router.node).map(|(id, _)| *id)
    }

    /// Whether none takes any packet now, whatever conversation it belongs to.
    pub(crate) fn are_full(&self) -> bool {
        self.links.values().all(|router| router.leaving || router.window.open() == 0)
    }

    /// Room for another packet of ours.
    pub(crate) fn submitted(&self) -> usize {
        self.packets.len()
    }

    /// Whether packets of this conversation are under way: what comes behind them goes the same
    /// way, or it would overtake them (E-47).
    pub(crate) fn is_busy(&self, conversation: Conversation) -> bool {
        self.conversations.contains_key(&conversation)
    }

    /// Takes a packet in that has room at this router by [`Routers::choose`].
    pub(crate) fn submit(
        &mut self,
        router: RouterId,
        packet: Packet,
        (reply, counted): (Option<Reply>, Option<Counted>),
        now: Instant,
    ) {
        let entry = self.conversations.entry(packet.conversation).or_default();
        entry.0 += 1;
        entry.1 = Some(router);
        self.order.push_back(packet.id);
        let deadline = now + PACKET_TIME + EDGE_GRACE;
        self.sent(router, packet.id);
        let submitted = Submitted { packet, reply, counted, router: Some(router), deadline };
        self.packets.insert(submitted.packet.id, submitted);
    }

    /// A packet goes to a router.
    fn sent(&mut self, router: RouterId, id: PacketId) {
        let Self { links, packets, .. } = self;
        let Some(router) = links.get_mut(&router) else { return };
        while router.untaken.front().is_some_and(|(_, first)| !packets.contains_key(first)) {
            router.untaken.pop_front();
        }
        router.submitted += 1;
        router.untaken.push_back((router.submitted, id));
    }

    /// The router has all packets up to this one, counted on its link. Those that servers keep
    /// for us need not be kept any more.
    pub(crate) fn taken(&mut self, id: RouterId, upto: u64) -> Vec<Counted> {
        let Self { links, packets, .. } = self;
        let Some(router) = links.get_mut(&id) else { return Vec::new() };
        let mut safe = Vec::new();
        while let Some((_, packet)) = router.untaken.pop_front_if(|(number, _)| *number <= upto) {
            safe.extend(packets.get_mut(&packet).and_then(|submitted| submitted.counted.take()));
        }
        safe
    }

    /// Whether another router than this one has the packet now.
    pub(crate) fn is_elsewhere(&self, id: PacketId, router: RouterId) -> bool {
        let holder = self.packets.get(&id).and_then(|submitted| submitted.router);
        holder.is_some_and(|holder| holder != router)
    }

    /// The packet has its ending.
    pub(crate) fn finish(&mut self, id: PacketId) -> Option<Submitted> {
        let submitted = self.packets.remove(&id)?;
        self.parked -= usize::from(submitted.router.is_none());
        let conversation = submitted.packet.conversation;
        if let Some(entry) = self.conversations.get_mut(&conversation) {
            entry.0 -= 1;
            if entry.0 == 0 {
                self.conversations.remove(&conversation);
            }
        }
        while self.order.front().is_some_and(|first| !self.packets.contains_key(first)) {
            self.order.pop_front();
        }
        Some(submitted)
    }

    /// Packets that wait for a link and now have one, in their order. The same id goes out again:
    /// whoever saw it before drops it. Each with whether its server keeps it.
    pub(crate) fn resubmit(&mut self, now: Instant) -> Vec<(RouterId, Packet, bool)> {
        let mut again = Vec::new();
        if self.parked == 0 || self.links.is_empty() {
            return again;
        }
        let parked: Vec<PacketId> = self
            .order
            .iter()
            .filter(|id| self.packets.get(id).is_some_and(|packet| packet.router.is_none()))
            .copied()
            .collect();
        for id in parked {
            let Some(conversation) = self.packets.get(&id).map(|it| it.packet.conversation) else {
                continue;
            };
            let Ok(router) = self.choose(conversation) else { continue };
            if let Some(entry) = self.conversations.get_mut(&conversation) {
                entry.1 = Some(router);
            }
            if let Some(submitted) = self.packets.get_mut(&id) {
                submitted.router = Some(router);
                self.parked -= 1;
                submitted.packet.remaining =
                    submitted.deadline.saturating_duration_since(now + EDGE_GRACE);
                again.push((router, submitted.packet.clone(), submitted.counted.is_some()));
            }
            self.sent(router, id);
        }
        again
    }

    /// The first packet whose sender must have an answer by now.
    pub(crate) fn overdue(&self, now: Instant) -> Option<PacketId> {
        let first = self.packets.get(self.order.front()?)?;
        (first.deadline <= now).then_some(first.packet.id)
    }

    /// When that is the case next. All packets get the same time, so the first is the next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.packets.get(self.order.front()?).map(|first| first.deadline)
    }

    /// All packets without ending.
    pub(crate) fn unfinished(&self) -> Vec<PacketId> {
        self.order.iter().filter(|id| self.packets.contains_key(id)).copied().collect()
    }

    /// The router for a packet of this conversation, and room in its window: the one that has packets of it, else
    /// the best by rendezvous hashing that has room.
    pub(crate) fn choose(&mut self, conversation: Conversation) -> Result<RouterId, NoRouter> {
        let bound = self.conversations.get(&conversation).and_then(|(_, router)| *router);
        if let Some((id, router)) = bound.and_then(|id| Some((id, self.links.get_mut(&id)?)))
            && !router.leaving
        {
            return router.window.take().map(|()| id).map_err(|_| NoRouter);
        }
        let mut best: Vec<(u64, RouterId)> = self
            .links
            .iter()
            .filter(|(_, router)| !router.leaving)
            .map(|(id, router)| (weight(conversation, &router.node), *id))
            .collect();
        best.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id) in best {
            if self.links.get_mut(&id).is_some_and(|router| router.window.take().is_ok()) {
                return Ok(id);
            }
        }
        Err(NoRouter)
    }
}

/// How much a conversation prefers a node: the same on every connection manager.
fn weight(conversation: Conversation, node: &str) -> u64 {
    let seed = conversation.0 ^ 0xcbf2_9ce4_8422_2325;
    let hash = node
        .bytes()
        .fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // FNV alone leaves the first bytes' influence in the low bits (Steele et al., SplitMix64).
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
