//! One attempt at a time per packet: started, lost and given to another
//! instance, ended, or overdue.

use std::sync::Arc;
use std::time::Instant;

use openfed_proto::condition::Condition;
use openfed_proto::link::{AttemptEnded, Instruction};
use openfed_proto::packet::{Cause, Ending, Failure, PacketId, Protocol, Role};

use crate::answers;
use crate::clock::Now;
use crate::command::Command;
use crate::core::Router;
use crate::decide::Decision;
use crate::deliveries::{Delivery, RESENDS, RETURN, Running, SLACK, State};
use crate::nodes::{Lack, LinkId};
use crate::routing::condition_of;

/// An instance that has room, by its link, name and life.
type Taken = (LinkId, Arc<str>, u64);

impl Router {
    /// Starts the next attempt of a packet, as a hop of its own.
    pub(crate) fn attempt(&mut self, id: PacketId, instruction: Instruction, now: Now) {
        let Self { config, deliveries, .. } = self;
        deliveries.change(id, |delivery| {
            let decision = delivery.decision.as_str();
            delivery.pass(&config.node, decision, now.unix_us);
        });
        if self.follows_a_recall(id) {
            self.deliveries.change(id, |delivery| delivery.again = true);
        }
        self.give_to_instance(id, instruction, None, 0, now);
    }

    /// Gives the attempt to the instance it belongs to, or to the one that the
    /// conversation goes to.
    pub(crate) fn give_to_instance(
        &mut self,
        id: PacketId,
        instruction: Instruction,
        except: Option<&str>,
        resent: u32,
        now: Now,
    ) {
        let Some(delivery) = self.deliveries.get(id) else { return };
        let native = delivery.is_native(instruction);
        if !native && delivery.wants_recall(instruction) && self.recall(id, instruction, now) {
            return;
        }
        let Some(delivery) = self.deliveries.get(id) else { return };
        let chosen = match (native, delivery.source.link) {
            (true, Some(link)) => Ok(link),
            (true, None) => return self.park(id, instruction, resent, now),
            (false, _) => {
                let role = role_for(instruction);
                self.nodes.pick(role, delivery.packet.conversation, except)
            }
        };
        let lack = match self.take_room(chosen) {
            Ok(taken) => return self.start_attempt(id, instruction, taken, resent, now),
            Err(lack) => lack,
        };
        // The router that had it may have given it to somebody who is not linked here yet.
        let had = self.deliveries.get(id).is_some_and(|delivery| delivery.again);
        let failure = match lack {
            _ if had && !native => answers::instance_died(),
            Lack::Room => answers::busy(),
            Lack::Nobody => answers::leaving(),
        };
        self.finish(id, Ending::Failed(failure), now);
    }

    /// Room for an attempt at this instance, and who that is in this life.
    pub(crate) fn take_room(&mut self, chosen: Result<LinkId, Lack>) -> Result<Taken, Lack> {
        let link = chosen?;
        let node = self.nodes.get_mut(link).ok_or(Lack::Nobody)?;
        match node.take() {
            true => Ok((link, node.node.clone(), node.epoch)),
            false => Err(Lack::Room),
        }
    }

    pub(crate) fn start_attempt(
        &mut self,
        id: PacketId,
        instruction: Instruction,
        (link, node, epoch): Taken,
        resent: u32,
        now: Now,
    ) {
        let until = self.until(id, instruction, now);
        let running = Running { instruction, node, epoch, until, resent };
        self.deliveries.change(id, |delivery| {
            delivery.attempts += 1;
            delivery.state = State::Attempting { link, running };
        });
        self.send_attempt(id, now);
        self.is_settled(id);
    }

    /// XMPP with an unknown domain has its budget, so that time is left for
    /// SIP; any other attempt has the packet's time.
    fn until(&self, id: PacketId, instruction: Instruction, now: Now) -> Instant {
        let Some(delivery) = self.deliveries.get(id) else { return now.instant };
        let whole = delivery.deadline - SLACK;
        match instruction {
            Instruction::Reach | Instruction::Probe if delivery.decision == Decision::Discover => {
                whole.min(now.after(self.config.xmpp_budget))
            }
            _ => whole,
        }
    }

    fn send_attempt(&mut self, id: PacketId, now: Now) {
        let Some(delivery) = self.deliveries.get(id) else { return };
        let State::Attempting { link, running } = &delivery.state else { return };
        let attempt = delivery.attempt(running.instruction, running.until, now.instant);
        let (link, decision) = (*link, delivery.decision);
        self.commands.push_back(Command::Attempt { link, attempt, decision });
    }

    /// Only the instance where the request is pending can do it, and it is not
    /// linked: it comes back and gets it, or the packet's time runs out.
    fn park(&mut self, id: PacketId, instruction: Instruction, resent: u32, now: Now) {
        let until = self.until(id, instruction, now);
        self.deliveries.change(id, |delivery| {
            delivery.attempts += 1;
            let (node, epoch) = (delivery.source.node.clone(), delivery.source.epoch);
            let running = Running { instruction, node, epoch, until, resent };
            delivery.state = State::Parked { running, until: until + SLACK };
        });
    }

    /// The instance is back: it gets the same attempt again, and knows by
    /// packet id and instruction whether it has it already.
    fn unpark(&mut self, id: PacketId, link: LinkId, now: Now) {
        let Some(node) = self.nodes.get_mut(link) else { return };
        if !node.take() {
            return self.finish(id, Ending::Failed(answers::busy()), now);
        }
        self.deliveries.change(id, |delivery| {
            if let State::Parked { running, .. } = &delivery.state {
                delivery.state = State::Attempting { link, running: running.clone() };
            }
        });
        self.send_attempt(id, now);
        self.is_settled(id);
    }

    /// The link is gone while the attempt was on it.
    pub(crate) fn attempt_lost(&mut self, id: PacketId, now: Now) {
        self.report_over(id, Some("link-lost"));
        let Some(delivery) = self.deliveries.get(id) else { return };
        let Some(running) = delivery.running().cloned() else { return };
        let is_native = delivery.is_native(running.instruction);
        let until = if is_native { running.until + SLACK } else { now.after(RETURN) };
        if !is_native {
            self.goes_ahead(id);
        }
        self.deliveries.change(id, |delivery| delivery.state = State::Parked { running, until });
    }

    /// The node that has a parked attempt is linked again, in this life or in a
    /// new one that knows nothing of it.
    pub(crate) fn node_is_back(&mut self, id: PacketId, link: LinkId, now: Now) {
        let Some(delivery) = self.deliveries.get(id) else { return };
        let State::Parked { running, .. } = &delivery.state else { return };
        let Some(node) = self.nodes.get(link).filter(|node| node.node == running.node) else {
            return;
        };
        let running = running.clone();
        if running.epoch == node.epoch {
            self.unpark(id, link, now);
        } else if delivery.is_native(running.instruction) {
            // The pending request died with the node.
            self.finish(id, Ending::Failed(answers::leaving()), now);
        } else {
            self.instance_died(id, &running, None, now);
        }
    }

    /// What an instance had when it died may have been delivered. Rather an error for a message
    /// that arrived than a message twice, and rather twice than lost without a word: it is given
    /// again if it delivers nothing, or if nobody is left who could tell the sender. A SIP sender
    /// always hears: it repeats its request, or its own time runs out (RFC 3261 §17.1.2.2).
    fn instance_died(&mut self, id: PacketId, running: &Running, except: Option<&str>, now: Now) {
        let told = self.deliveries.get(id).is_some_and(|delivery| {
            delivery.source.link.is_some() || delivery.packet.original.protocol == Protocol::Sip
        });
        match running.instruction {
            Instruction::Probe => self.give_again(id, running, except, now),
            _ if !told => self.give_again(id, running, except, now),
            _ => self.finish(id, Ending::Failed(answers::instance_died()), now),
        }
    }

    fn give_again(&mut self, id: PacketId, running: &Running, except: Option<&str>, now: Now) {
        self.deliveries.change(id, |delivery| delivery.state = State::Routing);
        if running.resent >= RESENDS {
            return self.finish(id, Ending::Failed(answers::leaving()), now);
        }
        self.give_to_instance(id, running.instruction, except, running.resent + 1, now);
        self.is_settled(id);
    }

    pub(crate) fn attempt_ended(&mut self, link: LinkId, ended: AttemptEnded, now: Now) {
        if self.question_answered(link, &ended, now) {
            return;
        }
        let AttemptEnded { outcome, number, route } = ended;
        let Some(delivery) = self.deliveries.get(outcome.id) else { return };
        let Some(running) = delivery.running().cloned() else { return };
        let same_node = self.nodes.get(link).is_some_and(|node| node.node == running.node);
        if number != delivery.attempts || !same_node {
            return; // An attempt that is not waited for any more.
        }
        let native = delivery.is_native(running.instruction);
        if is_leaving(&outcome.ending) && !native && self.has_another(delivery, &running) {
            self.attempt_is_over(outcome.id, &outcome.ending);
            return self.give_again(outcome.id, &running, Some(&running.node), now);
        }
        self.deliveries.change(outcome.id, |delivery| delivery.merge_hops(outcome.hops));
        self.conclude(outcome.id, running.instruction, outcome.ending, route, now);
    }

    fn has_another(&self, delivery: &Delivery, running: &Running) -> bool {
        let role = role_for(running.instruction);
        self.nodes.pick(role, delivery.packet.conversation, Some(&running.node)).is_ok()
    }

    /// What an attempt's end means for its packet.
    fn conclude(
        &mut self,
        id: PacketId,
        instruction: Instruction,
        ending: Ending,
        route: Option<String>,
        now: Now,
    ) {
        self.attempt_is_over(id, &ending);
        self.deliveries.change(id, |delivery| delivery.state = State::Routing);
        match instruction {
            Instruction::Reach | Instruction::Probe => {
                self.xmpp_attempt_ended(id, instruction, ending, now);
            }
            Instruction::Discover | Instruction::Accept => {
                self.sip_attempt_ended(id, ending, route, now);
            }
            Instruction::Home | Instruction::Send => self.finish(id, ending, now),
        }
        self.is_settled(id);
    }

    /// The moment that a packet, or what it waits for, has run out of time.
    pub(crate) fn delivery_due(&mut self, id: PacketId, now: Now) {
        let Some(delivery) = self.deliveries.get(id) else { return };
        let out_of_time = delivery.deadline <= now.instant;
        match &delivery.state {
            // The store was too slow: delivered all the same, without a row.
            State::Inserting { ending, .. } => {
                let ending = ending.clone();
                self.no_row(id, "the store did not answer in time");
                self.finish(id, ending, now);
            }
            State::Parked { running, .. } if !delivery.is_native(running.instruction) => {
                let running = running.clone();
                self.instance_died(id, &running, Some(&running.node), now);
            }
            State::Parked { .. } | State::Unacknowledged { .. } => {
                self.finish(id, Ending::Failed(answers::leaving()), now)
            }
            State::Attempting { running, .. } => {
                let instruction = running.instruction;
                let failure = match instruction {
                    Instruction::Reach | Instruction::Probe => answers::silent_node(),
                    _ => answers::timeout(),
                };
                self.conclude(id, instruction, Ending::Failed(failure), None, now);
                // Whatever that led to, nothing goes on without time.
                if out_of_time && self.deliveries.get(id).is_some() {
                    self.finish(id, Ending::Failed(answers::timeout()), now);
                }
            }
            &State::Recalling { instruction, .. } if !out_of_time => {
                self.nobody_knows(id, instruction, now);
            }
            State::Routing | State::Waiting | State::Recalling { .. } => {
                self.finish(id, Ending::Failed(answers::timeout()), now);
            }
        }
    }

    /// Frees the instance's place and ends the span of the running attempt.
    pub(crate) fn attempt_is_over(&mut self, id: PacketId, ending: &Ending) {
        self.report_over(id, condition_of(ending));
        let Some(delivery) = self.deliveries.get(id) else { return };
        if let State::Attempting { link, .. } = &delivery.state
            && let Some(node) = self.nodes.get_mut(*link)
        {
            node.attempt_over();
        }
    }

    fn report_over(&mut self, id: PacketId, condition: Option<&'static str>) {
        let Some(delivery) = self.deliveries.get(id) else { return };
        if matches!(delivery.state, State::Attempting { .. }) && delivery.packet.trace.is_sampled()
        {
            let number = delivery.attempts;
            self.commands.push_back(Command::AttemptOver { id, number, condition });
        }
    }
}

pub(crate) fn role_for(instruction: Instruction) -> Role {
    match instruction {
        Instruction::Reach | Instruction::Probe | Instruction::Home => Role::XmppCm,
        Instruction::Send | Instruction::Discover | Instruction::Accept => Role::SipCm,
    }
}

/// The instance is shutting down and did nothing with the packet.
fn is_leaving(ending: &Ending) -> bool {
    matches!(
        ending,
        Ending::Failed(Failure {
            cause: Cause::Leaving,
            condition: Condition::ResourceConstraint,
            ..
        })
    )
}
