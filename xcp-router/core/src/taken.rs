//! What xmpp-cm hear of packets that are here, before these go on. A server with stream management
//! (XEP-0198) keeps its stanzas until it hears that they are in safety, and bounces the rest when the
//! stream breaks: what arrived shall not be among that.
//!
//! ```text
//!   Submit, kept ─▶ Taken, held ─▶ <a/> to the server ─▶ Acknowledged ─▶ decided about
//!      │                      └─ link lost before that: not delivered, and told so
//!      └─ where very many come: decided about at once, and told of a little later
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use openfed_proto::link::FromRouter;
use openfed_proto::packet::PacketId;

use crate::clock::Now;
use crate::core::Router;
use crate::deliveries::{RETURN, State};
use crate::nodes::LinkId;
use crate::rates::Bucket;

/// Per second, packets are held so often: where more come, that would cost more than it saves.
const HOLDS: u32 = 200;
/// Of others it is told so much later, unless the outcome says it: that is mostly quicker.
const LATER: Duration = Duration::from_millis(5);
/// Of so many packets it is told at once in any case.
const UNTOLD: u64 = 32;
/// No packet is held for longer: an answer takes a millisecond, and more where the machine is busy.
const HELD: Duration = Duration::from_millis(100);

/// What one manager knows to be here.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Packets that it submitted in all, and how many of them it heard of.
    packets: u64,
    told: u64,
    /// When it is to hear so next.
    tell_at: Option<Instant>,
    holds: Bucket,
    /// Until when packets are held, and those that are, in order.
    held_until: Option<Instant>,
    held: VecDeque<Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    number: u64,
    id: PacketId,
    /// Whether its server keeps it.
    kept: bool,
}

/// What a manager is to hear now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    Nothing,
    /// So many packets are here.
    Taken {
        packets: u64,
        held: bool,
    },
}

impl Default for Taken {
    fn default() -> Self {
        Taken {
            packets: 0,
            told: 0,
            tell_at: None,
            holds: Bucket::new(HOLDS),
            held_until: None,
            held: VecDeque::new(),
        }
    }
}

impl Taken {
    /// It submitted a packet, which its server keeps or not.
    pub(crate) fn submitted(&mut self, kept: bool, now: Instant) -> Tell {
        self.packets += 1;
        match () {
            // It is held behind those that are, and told of when these go on.
            () if !kept || self.held_until.is_some() => Tell::Nothing,
            () if self.holds.take(now) => self.begin_hold(now),
            () if self.packets - self.told >= UNTOLD => self.tell(false),
            () => {
                self.tell_at.get_or_insert(now + LATER);
                Tell::Nothing
            }
        }
    }

    fn begin_hold(&mut self, now: Instant) -> Tell {
        self.held_until = Some(now + HELD);
        self.tell(true)
    }

    fn tell(&mut self, held: bool) -> Tell {
        self.told = self.packets;
        self.tell_at = None;
        Tell::Taken { packets: self.packets, held }
    }

    /// Takes a packet in if packets are held, behind those that are.
    fn hold(&mut self, id: PacketId, kept: bool) -> bool {
        let holds = self.held_until.is_some();
        if holds {
            self.held.push_back(Held { number: self.packets, id, kept });
        }
        holds
    }

    /// Nothing is held any more: what was, in order.
    fn release(&mut self) -> impl Iterator<Item = PacketId> {
        self.held_until = None;
        std::mem::take(&mut self.held).into_iter().map(|held| held.id)
    }

    /// The servers have been told of so many packets: those go on. The others have their turn now.
    fn acknowledged(&mut self, packets: u64, now: Instant) -> (Vec<PacketId>, Tell) {
        // An answer to some word before says nothing of those that are held now.
        if self.held_until.is_none() || packets < self.told {
            return (Vec::new(), Tell::Nothing);
        }
        let first = self.held.iter().take_while(|held| held.number <= packets).count();
        let mut on: Vec<PacketId> = self.held.drain(..first).map(|held| held.id).collect();
        if !self.held.is_empty() && self.holds.take(now) {
            return (on, self.begin_hold(now));
        }
        if !self.held.is_empty() {
            self.tell_at.get_or_insert(now + LATER);
        }
        on.extend(self.release());
        (on, Tell::Nothing)
    }

    fn next_timer(&self) -> Option<Instant> {
        [self.tell_at, self.held_until].into_iter().flatten().min()
    }
}

impl Router {
    /// A manager submitted a packet. It hears of it before the packet goes on.
    pub(crate) fn note_taken(&mut self, link: LinkId, kept: bool, now: Now) {
        let Some(node) = self.nodes.get_mut(link) else { return };
        let tell = node.taken.submitted(kept, now.instant);
        self.tell_taken(link, tell);
    }

    fn tell_taken(&mut self, link: LinkId, tell: Tell) {
        if let Tell::Taken { packets, held } = tell {
            self.send(link, FromRouter::Taken { packets, held });
        }
    }

    /// The packet is to be decided about: when its time has come.
    pub(crate) fn line_up(&mut self, link: LinkId, id: PacketId, kept: bool) {
        if !self.nodes.get_mut(link).is_some_and(|node| node.taken.hold(id, kept)) {
            self.ready.push_back(id);
        }
    }

    /// The link is gone. Of packets that it was to acknowledge it is not known whether their server
    /// keeps them. A server that does bounces them, so they do not go on: they come again over
    /// another link, or their xmpp-cm is gone, and the next life of it tells of them, which for some
    /// is told twice then, but true.
    pub(crate) fn taken_lost(&mut self, taken: Taken, now: Now) {
        for held in taken.held {
            if !held.kept {
                self.ready.push_back(held.id);
                continue;
            }
            let until = now.after(RETURN);
            self.deliveries.change(held.id, |it| it.state = State::Unacknowledged { until });
            self.goes_ahead(held.id);
        }
    }

    /// The servers have been told of so many packets.
    pub(crate) fn acknowledged(&mut self, link: LinkId, packets: u64, now: Now) {
        let Some(node) = self.nodes.get_mut(link) else { return };
        let (on, tell) = node.taken.acknowledged(packets, now.instant);
        self.ready.extend(on);
        self.tell_taken(link, tell);
    }

    /// Time to tell of packets that came since, and to hold others no longer.
    pub(crate) fn taken_due(&mut self, now: Now) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        let mut news = Vec::new();
        for node in self.nodes.iter_mut() {
            if due(node.taken.held_until) {
                self.ready.extend(node.taken.release());
            }
            if due(node.taken.tell_at.take_if(|at| *at <= now.instant)) && node.submitted > 0 {
                news.push((node.id, node.taken.tell(false)));
            }
        }
        for (link, tell) in news {
            self.tell_taken(link, tell);
        }
    }

    pub(crate) fn next_taken(&self) -> Option<Instant> {
        self.nodes.iter().filter_map(|node| node.taken.next_timer()).min()
    }
}
