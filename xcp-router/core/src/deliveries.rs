//! Packets on their way: each accepted one ends exactly once.
//!
//! ```text
//! Submit ─▶ Routing ─┬─▶ Attempting ─┬─▶ (ended) ─▶ Finished
//!             ▲      │    │   ▲      ├─▶ Inserting ─▶ Finished
//!             │      │    ▼   │      └─▶ Routing      (XMPP did not reach it)
//!             │      │  Parked        the instance that has it is not linked
//!             ├──────┴─▶ Waiting      another packet leads the discovery
//!             ├────────▶ Recalling    which instance has it? The router that knew is gone
//!             └◀── Unacknowledged       does its server keep it? The link that knew is gone
//! ```
//! Every state has an end in time: its own, or the packet's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openfed_proto::link::{Attempt, Instruction};
use openfed_proto::packet::{Ending, Failure, Hop, Packet, PacketId, Role};

use crate::Map;
use crate::decide::Decision;
use crate::nodes::LinkId;

/// The router waits this much longer than it told the others to, so that their
/// own answer comes first.
pub(crate) const SLACK: Duration = Duration::from_millis(500);
/// Hops beyond this are not kept: whoever makes them is looping.
const HOPS_KEPT: usize = 32;
/// How long an instance whose link was lost may take to come back, before what
/// it had goes to another one, which cannot know what was done already.
pub(crate) const RETURN: Duration = Duration::from_millis(1_500);
/// How often an attempt is given to another instance.
pub(crate) const RESENDS: u32 = 3;

/// The instance that a packet's outcome goes to.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) node: Arc<str>,
    pub(crate) epoch: u64,
    pub(crate) role: Role,
    /// `None` while it is not linked.
    pub(crate) link: Option<LinkId>,
    /// Whether the packet takes room in that link's window.
    pub(crate) charged: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum State {
    /// To be decided about before anything else happens.
    Routing,
    /// Another packet leads the discovery of its domain.
    Waiting,
    Attempting {
        link: LinkId,
        running: Running,
    },
    /// As `Attempting`, but its instance is not linked. It may come back: by then
    /// nobody else has to do what it may have done already.
    Parked {
        running: Running,
        until: Instant,
    },
    /// The link over which its server was to be told that it is here is gone: whether the server
    /// keeps it is not known. It may come again.
    Unacknowledged {
        until: Instant,
    },
    /// Another router gave it to an instance, and is gone: these have not said yet whether it is
    /// them.
    Recalling {
        instruction: Instruction,
        asked: Vec<LinkId>,
        until: Instant,
    },
    /// Delivered by SIP; the store is asked to remember the domain.
    Inserting {
        ending: Ending,
        /// See [`Domains::snapshots`](crate::domains::Domains::snapshots).
        snapshots: u64,
        until: Instant,
    },
}

/// One attempt under way.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) instruction: Instruction,
    pub(crate) node: Arc<str>,
    /// The life of the node that has it; a restarted one knows nothing of it.
    pub(crate) epoch: u64,
    pub(crate) until: Instant,
    /// Instances that lost it before.
    pub(crate) resent: u32,
}

/// One packet on its way.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) packet: Packet,
    pub(crate) accepted_in: Option<PacketId>,
    pub(crate) source: Source,
    /// Order of arrival, for everything that is done again in order.
    pub(crate) order: u64,
    pub(crate) started_us: u64,
    pub(crate) deadline: Instant,
    pub(crate) decision: Decision,
    /// E: why XMPP did not reach its domain.
    pub(crate) xmpp: Option<Failure>,
    /// Another router had it before.
    pub(crate) again: bool,
    /// What instances were asked about last.
    pub(crate) recalled: Option<Instruction>,
    /// Attempts made so far; the number of the current one.
    pub(crate) attempts: u32,
    pub(crate) state: State,
}

impl Delivery {
    /// The attempt under way, linked or parked.
    pub(crate) fn running(&self) -> Option<&Running> {
        match &self.state {
            State::Attempting { running, .. } | State::Parked { running, .. } => Some(running),
            State::Routing
            | State::Waiting
            | State::Unacknowledged { .. }
            | State::Recalling { .. }
            | State::Inserting { .. } => None,
        }
    }

    /// Whether an instance may have the attempt without our knowing.
    pub(crate) fn wants_recall(&self, instruction: Instruction) -> bool {
        self.again && self.recalled != Some(instruction)
    }

    /// Whether the attempt can only be made where the packet came in: there the
    /// very request is pending.
    pub(crate) fn is_native(&self, instruction: Instruction) -> bool {
        match instruction {
            Instruction::Accept => true,
            Instruction::Send | Instruction::Discover => self.source.role == Role::SipCm,
            Instruction::Reach | Instruction::Probe | Instruction::Home => false,
        }
    }

    /// The attempt as it is sent now.
    pub(crate) fn attempt(
        &self,
        instruction: Instruction,
        until: Instant,
        now: Instant,
    ) -> Attempt {
        let mut packet = self.packet.clone();
        packet.remaining = until.min(self.deadline).saturating_duration_since(now);
        packet.hops_left = packet.hops_left.saturating_sub(1);
        Attempt { packet, number: self.attempts, instruction }
    }

    /// Adds a hop of ours.
    pub(crate) fn pass(&mut self, node: &str, verdict: &str, at_us: u64) {
        self.add_hops(vec![Hop {
            node: node.to_owned(),
            role: Role::Router,
            verdict: verdict.to_owned(),
            at_us,
        }]);
    }

    /// Takes the hops of an ended attempt: either all since the packet's
    /// beginning, or only those that were added.
    pub(crate) fn merge_hops(&mut self, hops: Vec<Hop>) {
        if hops.starts_with(&self.packet.hops) {
            self.packet.hops = hops;
            self.packet.hops.truncate(HOPS_KEPT);
        } else {
            self.add_hops(hops);
        }
    }

    fn add_hops(&mut self, hops: Vec<Hop>) {
        let room = HOPS_KEPT.saturating_sub(self.packet.hops.len());
        self.packet.hops.extend(hops.into_iter().take(room));
    }

    fn wakes_at(&self) -> Instant {
        match &self.state {
            State::Parked { until, .. } | State::Unacknowledged { until } => {
                (*until).min(self.deadline)
            }
            State::Attempting { running, .. } => {
                running.until.checked_add(SLACK).unwrap_or(running.until).min(self.deadline)
            }
            State::Recalling { until, .. } => (*until).min(self.deadline),
            State::Inserting { until, .. } => *until,
            State::Routing | State::Waiting => self.deadline,
        }
    }
}

/// All packets on their way, and when each wants to be looked at.
#[derive(Debug)]
pub(crate) struct Deliveries {
    packets: Map<PacketId, Delivery>,
    timers: BTreeSet<(Instant, PacketId)>,
    arrived: u64,
}

impl Deliveries {
    pub(crate) fn new(seed: u64) -> Self {
        let packets = Map::with_hasher(foldhash::fast::FixedState::with_seed(seed));
        Deliveries { packets, timers: BTreeSet::new(), arrived: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn get(&self, id: PacketId) -> Option<&Delivery> {
        self.packets.get(&id)
    }

    pub(crate) fn iter_mut_sources(&mut self) -> impl Iterator<Item = &mut Source> {
        self.packets.values_mut().map(|delivery| &mut delivery.source)
    }

    /// The next place in the order of arrival.
    pub(crate) fn next_order(&mut self) -> u64 {
        self.arrived += 1;
        self.arrived
    }

    pub(crate) fn insert(&mut self, delivery: Delivery) {
        let id = delivery.packet.id;
        self.timers.insert((delivery.wakes_at(), id));
        self.packets.insert(id, delivery);
    }

    pub(crate) fn remove(&mut self, id: PacketId) -> Option<Delivery> {
        let delivery = self.packets.remove(&id)?;
        self.timers.remove(&(delivery.wakes_at(), id));
        Some(delivery)
    }

    /// Changes a delivery and keeps its timer true.
    pub(crate) fn change<T>(
        &mut self,
        id: PacketId,
        change: impl FnOnce(&mut Delivery) -> T,
    ) -> Option<T> {
        let delivery = self.packets.get_mut(&id)?;
        let before = delivery.wakes_at();
        let result = change(delivery);
        let after = delivery.wakes_at();
        if before != after {
            self.timers.remove(&(before, id));
            self.timers.insert((after, id));
        }
        Some(result)
    }

    /// The packets that `wanted` picks, in the order they came in.
    pub(crate) fn pick(&self, wanted: impl Fn(&Delivery) -> bool) -> Vec<PacketId> {
        let mut picked: Vec<(u64, PacketId)> = self
            .packets
            .values()
            .filter(|delivery| wanted(delivery))
            .map(|delivery| (delivery.order, delivery.packet.id))
            .collect();
        picked.sort_unstable();
        picked.into_iter().map(|(_, id)| id).collect()
    }

    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The next packet that wants to be looked at by now.
    pub(crate) fn due(&self, now: Instant) -> Option<PacketId> {
        self.timers.first().filter(|(at, _)| *at <= now).map(|(_, id)| *id)
    }
}
