//! Finding out how an unknown domain is reached: one discovery per domain at a
//! time (rules §3, steps 7–13).
//!
//! ```text
//!        leader                              followers
//!  Reach | Probe ── Delivered ─▶ speaks XMPP ─┐   wait, in order,
//!      │ E in the fallback set                ├─▶ and are decided anew
//!  Discover | Accept ── failed ─▶ E ──────────┤   with what was learned
//!      │ Delivered                            │
//!   Insert ─▶ row ────────────────────────────┘
//! ```

use std::collections::VecDeque;

use openfed_proto::domain::Domain;
use openfed_proto::link::Instruction;
use openfed_proto::packet::{Cause, Direction, Ending, Failure, PacketId};

use crate::Map;
use crate::answers;
use crate::clock::Now;
use crate::command::{Command, Event};
use crate::core::Router;
use crate::decide::Decision;
use crate::deliveries::{Delivery, State};

/// The discoveries under way.
#[derive(Debug)]
pub(crate) struct Discoveries {
    running: Map<Domain, Discovery>,
}

#[derive(Debug)]
pub(crate) struct Discovery {
    leader: PacketId,
    waiting: VecDeque<PacketId>,
}

impl Discoveries {
    pub(crate) fn new(seed: u64) -> Self {
        Discoveries { running: Map::with_hasher(foldhash::fast::FixedState::with_seed(seed)) }
    }

    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// The domains under discovery, with their leaders, in the domains' order.
    pub(crate) fn leaders(&self) -> Vec<(Domain, PacketId)> {
        let mut leaders: Vec<_> =
            self.running.iter().map(|(domain, one)| (domain.clone(), one.leader)).collect();
        leaders.sort();
        leaders
    }

    /// The packets that wait for the discovery of `domain`.
    pub(crate) fn waiting(&self, domain: &Domain) -> Vec<PacketId> {
        self.running
            .get(domain)
            .map(|one| one.waiting.iter().copied().collect())
            .unwrap_or_default()
    }
}

impl Router {
    /// Whether this packet leads the discovery of its domain.
    pub(crate) fn leads(&self, delivery: &Delivery) -> bool {
        let running = self.discoveries.running.get(delivery.packet.foreign());
        running.is_some_and(|one| one.leader == delivery.packet.id)
    }

    pub(crate) fn try_xmpp(&mut self, id: PacketId, now: Now) {
        if !self.lead_or_wait(id, now) {
            return;
        }
        let Some(delivery) = self.deliveries.get(id) else { return };
        let packet = &delivery.packet;
        // What XMPP cannot carry only asks whether the domain speaks it.
        let delivers = packet.direction == Direction::Outbound
            && packet.can_go_by(openfed_proto::packet::Protocol::Xmpp);
        let instruction = if delivers { Instruction::Reach } else { Instruction::Probe };
        self.attempt(id, instruction, now);
    }

    pub(crate) fn try_sip(&mut self, id: PacketId, e: Failure, now: Now) {
        if !self.lead_or_wait(id, now) {
            return;
        }
        let direction = self.deliveries.change(id, |delivery| {
            delivery.xmpp = Some(e);
            delivery.packet.direction
        });
        let instruction = match direction {
            Some(Direction::Inbound) => Instruction::Accept,
            _ => Instruction::Discover,
        };
        self.attempt(id, instruction, now);
    }

    /// Whether the packet leads; otherwise it waits now, or was refused.
    fn lead_or_wait(&mut self, id: PacketId, now: Now) -> bool {
        let Some(delivery) = self.deliveries.get(id) else { return false };
        let domain = delivery.packet.foreign().clone();
        let direction = delivery.packet.direction;
        let Some(one) = self.discoveries.running.get(&domain) else {
            let discovery = Discovery { leader: id, waiting: VecDeque::new() };
            self.discoveries.running.insert(domain.clone(), discovery);
            let event = Event::DiscoveryBegan { id, domain, direction };
            self.commands.push_back(Command::Event(event));
            return true;
        };
        if one.leader == id {
            return true;
        }
        self.wait(id, &domain, now);
        false
    }

    /// Whether the packet waits now because the first one of its conversation is finding out about
    /// its domain. Another router may know by now: then others go on, and it would overtake (E-47).
    pub(crate) fn waits_behind_leader(&mut self, id: PacketId, now: Now) -> bool {
        if self.discoveries.running.is_empty() {
            return false;
        }
        let Some(delivery) = self.deliveries.get(id) else { return false };
        let domain = delivery.packet.foreign();
        let Some(one) = self.discoveries.running.get(domain) else { return false };
        let leads = |leader: &Delivery| leader.packet.conversation == delivery.packet.conversation;
        // The second leg of an accepted request is the leader itself.
        let behind = one.leader != id
            && delivery.accepted_in.is_none()
            && self.deliveries.get(one.leader).is_some_and(leads);
        if behind {
            let domain = domain.clone();
            self.wait(id, &domain, now);
        }
        behind
    }

    fn wait(&mut self, id: PacketId, domain: &Domain, now: Now) {
        let Some(one) = self.discoveries.running.get_mut(domain) else { return };
        if one.waiting.len() >= self.config.waiting_per_domain {
            return self.stop(id, Decision::Refused, answers::busy(), now);
        }
        one.waiting.push_back(id);
        self.deliveries.change(id, |delivery| delivery.state = State::Waiting);
    }

    /// A packet of `domain` ended. If it led, the discovery is over, and those
    /// that waited are decided anew, in order; if it waited, it does no more.
    pub(crate) fn release(&mut self, domain: &Domain, id: PacketId) {
        let Some(one) = self.discoveries.running.get_mut(domain) else { return };
        if one.leader != id {
            one.waiting.retain(|waiting| *waiting != id);
            return;
        }
        let Some(one) = self.discoveries.running.remove(domain) else { return };
        for waiting in one.waiting {
            self.deliveries.change(waiting, |delivery| delivery.state = State::Routing);
            self.ready.push_back(waiting);
        }
    }

    /// Another router has found out: who waits for the domain goes on, before those that come
    /// after and need not wait. What is of the leader's own conversation stays behind it.
    pub(crate) fn release_waiting(&mut self, domain: &Domain) {
        let Self { discoveries, deliveries, ready, .. } = self;
        let Some(one) = discoveries.running.get_mut(domain) else { return };
        let conversation = |id| deliveries.get(id).map(|delivery| delivery.packet.conversation);
        let leading = conversation(one.leader);
        let (stay, go): (VecDeque<_>, VecDeque<_>) =
            one.waiting.drain(..).partition(|id| conversation(*id) == leading);
        one.waiting = stay;
        for waiting in go {
            deliveries.change(waiting, |delivery| delivery.state = State::Routing);
            ready.push_back(waiting);
        }
    }

    pub(crate) fn xmpp_attempt_ended(
        &mut self,
        id: PacketId,
        instruction: Instruction,
        ending: Ending,
        now: Now,
    ) {
        let Some(delivery) = self.deliveries.get(id) else { return };
        let domain = delivery.packet.foreign().clone();
        match (instruction, ending) {
            (Instruction::Probe, Ending::Delivered { .. }) => {
                self.memory.note_xmpp_worked(&domain, now.instant);
                self.ready.push_back(id);
            }
            (_, Ending::Failed(e)) if e.cause.is_local() => {
                self.memory.note_xmpp_failed(&domain, &e, now.instant);
                self.deliveries.change(id, |delivery| delivery.xmpp = Some(e));
                self.ready.push_back(id);
            }
            // Taken, or refused by the domain's own server: it speaks XMPP.
            (_, ending) => {
                self.memory.note_xmpp_worked(&domain, now.instant);
                self.finish(id, ending, now);
            }
        }
    }

    pub(crate) fn sip_attempt_ended(
        &mut self,
        id: PacketId,
        ending: Ending,
        route: Option<String>,
        now: Now,
    ) {
        let Some(delivery) = self.deliveries.get(id) else { return };
        // Without E it was no second attempt: the domain is known, or speaks both.
        let Some(e) = delivery.xmpp.clone().filter(|_| self.leads(delivery)) else {
            return self.finish(id, ending, now);
        };
        match ending {
            Ending::Delivered { .. } => self.remember_domain(id, ending, route, now),
            Ending::Failed(failure)
                if failure.cause == Cause::Unreachable
                    && delivery.packet.direction == Direction::Outbound =>
            {
                let domain = delivery.packet.foreign().clone();
                self.memory.note_sip_failed(&domain, &e, now.instant);
                self.finish(id, Ending::Failed(e), now);
            }
            // The remote side's word about one user, or our own trouble; inbound, a home server
            // that keeps silent is no user who does not exist.
            failed => self.finish(id, failed, now),
        }
    }
}
