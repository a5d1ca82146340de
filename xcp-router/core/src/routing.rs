//! A packet comes in, is decided about, and ends.

use openfed_proto::condition::Condition;
use openfed_proto::link::{FromRouter, Instruction, Refused};
use openfed_proto::packet::{
    Conversation, Direction, Ending, Failure, Original, Outcome, Packet, PacketId, Protocol, Role,
};

use crate::answers;
use crate::clock::Now;
use crate::command::{Command, Finished};
use crate::core::{Life, Router};
use crate::decide::{Accepted, Decision, Question, Way};
use crate::deliveries::{Delivery, SLACK, Source, State};
use crate::nodes::LinkId;

impl Router {
    pub(crate) fn submit(
        &mut self,
        link: LinkId,
        packet: Packet,
        (accepted_in, again, kept): (Option<PacketId>, bool, bool),
        now: Now,
    ) {
        let Some(origin) = self.nodes.get_mut(link) else { return };
        origin.submitted += 1;
        let over_window = origin.submitted > self.config.capacity.saturating_mul(2);
        let source = Source {
            node: origin.node.clone(),
            epoch: origin.epoch,
            role: origin.role,
            link: Some(link),
            charged: true,
        };
        self.note_taken(link, kept, now);
        if self.deliveries.get(packet.id).is_some() {
            return self.submitted_again(packet.id, source, (link, kept), now);
        }
        if let Some(outcome) = self.endings.repeat(packet.id, now.instant) {
            self.give_credit(link);
            return self.send(link, FromRouter::Outcome(outcome));
        }
        let id = packet.id;
        let deadline = now.after(packet.remaining) + SLACK;
        let order = self.deliveries.next_order();
        // The second leg of an accepted request is no new work.
        let admitted = accepted_in.is_some() || self.admission.admits(packet.original.protocol);
        let too_much = over_window || !admitted;
        let refusal = self.refusal_at_the_door(&packet, too_much);
        let started_us = packet.hops.first().map_or(now.unix_us, |hop| hop.at_us);
        self.deliveries.insert(Delivery {
            packet,
            accepted_in,
            source,
            order,
            started_us,
            deadline,
            decision: Decision::Refused,
            xmpp: None,
            again,
            recalled: None,
            attempts: 0,
            state: State::Routing,
        });
        match refusal {
            Some(failure) => self.stop(id, Decision::Refused, failure, now),
            None => self.line_up(link, id, kept),
        }
    }

    fn refusal_at_the_door(&self, packet: &Packet, too_much: bool) -> Option<Failure> {
        if packet.hops_left == 0 {
            return Some(answers::looping());
        }
        if self.life == Life::Ending {
            return Some(answers::leaving());
        }
        let full = too_much || self.deliveries.len() >= self.config.in_flight;
        full.then(answers::busy)
    }

    /// The same packet over another link, or twice: nothing starts anew.
    fn submitted_again(
        &mut self,
        id: PacketId,
        source: Source,
        (link, kept): (LinkId, bool),
        now: Now,
    ) {
        let before =
            self.deliveries.change(id, |delivery| std::mem::replace(&mut delivery.source, source));
        if before.is_some_and(|before| before.charged && before.link == Some(link)) {
            self.give_credit(link);
        }
        let is_open = |it: &Delivery| matches!(it.state, State::Unacknowledged { .. });
        if self.deliveries.get(id).is_some_and(is_open) {
            self.deliveries.change(id, |delivery| delivery.state = State::Routing);
            return self.line_up(link, id, kept);
        }
        self.node_is_back(id, link, now);
    }

    /// Routes everything that became ready, in order.
    pub(crate) fn route_ready(&mut self, now: Now) {
        while let Some(id) = self.ready.pop_front() {
            self.route(id, now);
        }
    }

    fn route(&mut self, id: PacketId, now: Now) {
        if self.waits_behind(id, now) {
            return;
        }
        let Some(delivery) = self.deliveries.get(id) else { return };
        let (decision, way) = self.decide(delivery, now);
        self.deliveries.change(id, |delivery| delivery.decision = decision);
        self.tell_verdict(id, decision, now);
        match way {
            Way::Stop(failure) => self.stop(id, decision, failure, now),
            Way::Home => self.attempt(id, Instruction::Home, now),
            Way::Send => self.attempt(id, Instruction::Send, now),
            Way::Reach => self.attempt(id, Instruction::Reach, now),
            Way::Accept => self.attempt(id, Instruction::Accept, now),
            Way::TryXmpp => self.try_xmpp(id, now),
            Way::TrySip(e) => self.try_sip(id, e, now),
        }
    }

    fn decide(&self, delivery: &Delivery, now: Now) -> (Decision, Way) {
        let packet = &delivery.packet;
        let accepted = match delivery.accepted_in {
            None => Accepted::No,
            Some(discovery) if self.deliveries.get(discovery).is_some() => Accepted::Running,
            Some(discovery) if self.endings.knows(discovery, now.instant) => Accepted::Over,
            Some(_) => Accepted::Elsewhere,
        };
        let other = match packet.direction {
            Direction::Inbound => packet.to.domain(),
            Direction::Outbound | Direction::Internal => packet.from.domain(),
        };
        let question = Question {
            domain: packet.foreign(),
            other: Some(other),
            direction: packet.direction,
            came_by_xmpp: packet.original.protocol == Protocol::Xmpp,
            by_xmpp: packet.can_go_by(Protocol::Xmpp),
            by_sip: packet.can_go_by(Protocol::Sip),
            xmpp: delivery.xmpp.as_ref(),
            accepted,
        };
        self.world(now).decide(&question, &mut |_, _| {})
    }

    /// A connection manager that asks about a known domain did not know it:
    /// its near cache is filled before the packet goes on. For messages from
    /// XMPP it has to ask anyway.
    fn tell_verdict(&mut self, id: PacketId, decision: Decision, now: Now) {
        let Some(delivery) = self.deliveries.get(id) else { return };
        let known = matches!(decision, Decision::Cached | Decision::Configured);
        let packet = &delivery.packet;
        let asks_anyway = delivery.source.role == Role::XmppCm && packet.can_go_by(Protocol::Sip);
        let Some(link) = delivery.source.link else { return };
        if !known || asks_anyway || self.domains.is_pinned(packet.foreign()) {
            return;
        }
        let (domain, lease) = (packet.foreign().clone(), self.config.lease);
        let Some(node) = self.nodes.get_mut(link) else { return };
        if node.should_tell(&domain, now.instant, lease) {
            self.send(link, FromRouter::Verdict { domain, sip: true, lease });
        }
    }

    /// Ends a packet by a decision of ours, which is a hop of its own.
    pub(crate) fn stop(&mut self, id: PacketId, decision: Decision, why: Failure, now: Now) {
        self.deliveries.change(id, |delivery| {
            delivery.decision = decision;
            delivery.pass(&self.config.node, decision.as_str(), now.unix_us);
        });
        self.finish(id, Ending::Failed(why), now);
    }

    /// The one place where a packet ends.
    pub(crate) fn finish(&mut self, id: PacketId, ending: Ending, now: Now) {
        self.attempt_is_over(id, &ending);
        self.recall_is_over(id);
        self.is_settled(id);
        let Some(delivery) = self.deliveries.remove(id) else { return };
        let Delivery { packet, source, decision, attempts, started_us, .. } = delivery;
        let domain = packet.foreign().clone();
        let condition = condition_of(&ending);
        if matches!(decision, Decision::Cached | Decision::Configured)
            && !self.domains.is_pinned(&domain)
        {
            self.usage.count(&domain, condition, now);
        }
        let ordinary = condition.is_none() && !matches!(decision, Decision::Fallback);
        let show = !ordinary || self.shown.take(now.instant);
        let outcome = Outcome { id, ending, hops: packet.hops };
        match source.link {
            Some(link) => {
                self.endings.sent(&outcome, now.instant);
                if source.charged {
                    self.give_credit(link);
                }
            }
            None => self.owe(&outcome, &packet.original, &source, now),
        }
        self.commands.push_back(Command::Finished(Box::new(Finished {
            link: source.link,
            outcome,
            domain: domain.clone(),
            direction: packet.direction,
            decision,
            conversation: packet.conversation,
            trace: packet.trace,
            attempts,
            started_us,
            ended_us: now.unix_us,
            show,
        })));
        self.release(&domain, id);
    }

    /// What no router has seen is shown like what a router refused; bounded by the managers.
    pub(crate) fn refused(&mut self, refused: Refused, now: Now) {
        let Refused { outcome, domain, direction, trace } = refused;
        let blocked = condition_of(&outcome.ending) == Some(Condition::PolicyViolation.as_str());
        let since = outcome.hops.first().map_or(now.unix_us, |hop| hop.at_us);
        self.commands.push_back(Command::Refused(Box::new(Finished {
            link: None,
            outcome,
            domain,
            direction,
            decision: if blocked { Decision::Blocked } else { Decision::Refused },
            conversation: Conversation(0),
            trace,
            attempts: 0,
            started_us: since,
            ended_us: now.unix_us,
            show: self.shown.take(now.instant),
        })));
    }

    /// An origin that is not linked now is told when it is back, the next life of it at once.
    fn owe(&mut self, outcome: &Outcome, original: &Original, source: &Source, now: Now) {
        let by_xmpp = source.role == Role::XmppCm && original.protocol == Protocol::Xmpp;
        let stanza = by_xmpp.then(|| original.bytes.clone());
        let restarted = self.nodes.of(&source.node).map(|link| (link.id, link.epoch));
        self.endings.owe(outcome.clone(), stanza, (source.node.clone(), source.epoch), now.instant);
        if let Some((link, epoch)) = restarted {
            self.settle_endings(link, &source.node, epoch);
        }
    }

    fn give_credit(&mut self, link: LinkId) {
        let credit = self.nodes.get_mut(link).and_then(crate::nodes::Link::submitted_over);
        if let Some(packets) = credit {
            self.send(link, FromRouter::Credit(packets));
        }
    }
}

/// The condition of a failure; `None` for a delivery.
pub(crate) fn condition_of(ending: &Ending) -> Option<&'static str> {
    match ending {
        Ending::Delivered { .. } => None,
        Ending::Failed(failure) => Some(failure.condition.as_str()),
    }
}
