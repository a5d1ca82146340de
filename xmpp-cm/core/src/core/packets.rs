//! What comes over the links: endings of packets from here, and attempts for us to make.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use minidom::Element;
use openfed_proto::address::Address;
use openfed_proto::condition::Condition;
use openfed_proto::link::{Attempt, AttemptEnded, FromCm, FromRouter, Hello, Instruction};
use openfed_proto::packet::{
    Body, Direction, Ending, Failure, Outcome, Packet, PacketId, Protocol,
};

use super::stanzas::pair_of;
use super::{Command, Core, Fact, Life, RouterId};
use crate::attempts::{Asker, Begin, Key};
use crate::error;
use crate::message;
use crate::peers::{Outgoing, Pair};
use crate::xml::from_bytes;

impl Core {
    /// A link to a router is there, greeted with this. Packets that lost theirs go over it.
    pub fn handle_link_up(&mut self, router: RouterId, hello: &Hello, now: Instant) {
        self.routers.up(router, hello, self.settings.limits.capacity);
        if self.life != Life::Serving {
            let frame = FromCm::Leaving(Duration::ZERO);
            self.commands.push_back(Command::ToRouter { router, frame });
        }
        self.resubmit(now);
        self.settle(now);
    }

    /// A link is gone. What it had goes over another one, or waits for one until its time is up.
    pub fn handle_link_down(&mut self, router: RouterId, now: Instant) {
        self.routers.down(router);
        self.knowledge.lose_router(router);
        self.resubmit(now);
        self.settle(now);
    }

    /// A frame came over a link, and has waited so long for its turn.
    pub fn handle_frame(
        &mut self,
        router: RouterId,
        frame: FromRouter,
        waited: Duration,
        now: Instant,
    ) {
        self.admission.note(waited, now);
        match frame {
            FromRouter::Hello(hello) => {
                self.routers.up(router, &hello, self.settings.limits.capacity)
            }
            FromRouter::Attempt(attempt) => self.on_attempt(router, attempt, now),
            FromRouter::Outcome(outcome) => self.on_outcome(router, outcome, now),
            FromRouter::Taken { packets, held } => {
                let safe = self.routers.taken(router, packets);
                safe.iter().for_each(|counted| self.in_safety(*counted));
                if held {
                    // Behind what the servers are told.
                    self.settle(now);
                    let streams = safe.iter().map(|counted| counted.conn);
                    let told = streams.filter(|conn| self.conns.contains_key(conn)).collect();
                    self.acknowledge(router, packets, told);
                }
            }
            FromRouter::Credit(packets) => {
                self.routers.refill(router, packets);
                self.resubmit(now);
            }
            FromRouter::Tables(tables) => self.knowledge.learn_tables(router, tables),
            FromRouter::Verdict { domain, sip, lease } => {
                self.knowledge.learn_verdict(domain, sip, now + lease, now);
            }
            FromRouter::Invalidate(domains) => self.knowledge.forget(domains.as_deref()),
            FromRouter::Leaving(_) => self.routers.set_leaving(router, true),
            FromRouter::Serving => {
                self.routers.set_leaving(router, false);
                self.resubmit(now);
            }
            FromRouter::Drain(on) => self.drain(on),
            FromRouter::Astray(stanza) => self.on_astray(&stanza, now),
            FromRouter::Undelivered { stanza, failure } => {
                self.tell_undelivered(&stanza, &failure, now);
            }
            FromRouter::ListStreams => self.list_streams(router),
            FromRouter::Recall { packet, instruction } => {
                let known = self.attempts.knows(&(packet, instruction));
                let frame = FromCm::Recalled { packet, instruction, known };
                self.commands.push_back(Command::ToRouter { router, frame });
            }
            // Done beside the core: no packet is involved.
            FromRouter::Try(_) => {}
        }
        self.settle(now);
    }

    /// The operator takes this instance out, or back in. Peers find the port closed and take another
    /// instance; what they still send on their streams is still taken, until those are closed.
    fn drain(&mut self, on: bool) {
        let (life, frame) = match (self.life, on) {
            (Life::Serving, true) => (Life::Drained, FromCm::Leaving(Duration::ZERO)),
            (Life::Drained, false) => (Life::Serving, FromCm::Serving),
            _ => return,
        };
        self.life = life;
        self.commands.push_back(Command::Listen(!on));
        for router in self.routers.all() {
            self.commands.push_back(Command::ToRouter { router, frame: frame.clone() });
        }
        // Each gets its timer anew.
        self.dirty.extend(self.conns.keys().copied());
    }

    fn resubmit(&mut self, now: Instant) {
        for (router, packet, kept) in self.routers.resubmit(now) {
            let frame = FromCm::Submit { packet, accepted_in: None, again: true, kept };
            self.commands.push_back(Command::ToRouter { router, frame });
        }
    }

    /// What a router says of a packet that it lost to another one counts only if the packet did
    /// arrive: the other one may still deliver it.
    fn on_outcome(&mut self, router: RouterId, outcome: Outcome, now: Instant) {
        let failed = matches!(outcome.ending, Ending::Failed(_));
        if !failed || !self.routers.is_elsewhere(outcome.id, router) {
            self.finish(outcome.id, outcome.ending, now);
        }
    }

    /// A packet from here has its ending: the sender of a failed one is told.
    pub(super) fn finish(&mut self, id: PacketId, ending: Ending, now: Instant) {
        let Some(submitted) = self.routers.finish(id) else { return };
        match &ending {
            Ending::Delivered { by: Protocol::Xmpp, .. } => {
                self.knowledge.confirm_xmpp(submitted.packet.foreign(), now);
            }
            Ending::Delivered { .. } => {}
            Ending::Failed(failure) => {
                if let Some(reply) = submitted.reply {
                    let said = self.said(&submitted.packet);
                    let text = reply.error(failure, said.as_deref());
                    if let Some(asked) = reply.asked() {
                        self.tell_error(&asked, text, failure, now);
                    }
                }
            }
        }
        self.handled(submitted.counted);
        self.note(Fact::Ended { id, ending });
    }

    /// An earlier life of this instance took the stanza, and nobody else can tell its sender.
    fn tell_undelivered(&mut self, stanza: &Bytes, failure: &Failure, now: Instant) {
        if let Ok(stanza) = from_bytes(stanza, self.settings.stream.limits) {
            self.answer(&stanza, failure, now);
        }
    }

    /// The text of a message that came in here, also of one that means nothing elsewhere.
    fn said<'a>(&self, packet: &'a Packet) -> Option<Cow<'a, str>> {
        if let Body::Message(message) = &packet.body {
            return message.bodies.first().map(|body| Cow::Borrowed(body.text.as_str()));
        }
        let stanza = from_bytes(&packet.original.bytes, self.settings.stream.limits).ok()?;
        message::said(&stanza).map(Cow::Owned)
    }

    /// Packets whose router kept silent for too long.
    pub(super) fn expire_packets(&mut self, now: Instant) {
        while let Some(id) = self.routers.overdue(now) {
            self.finish(id, Ending::Failed(error::unconfirmed()), now);
        }
    }

    fn on_attempt(&mut self, router: RouterId, attempt: Attempt, now: Instant) {
        let Attempt { packet, number, instruction } = attempt;
        let packet = as_seen_at_home(packet);
        let key = (packet.id, instruction);
        let asker = Asker { router, number };
        let admitted = self.admission.admits(packet.original.protocol);
        if !admitted && !self.attempts.knows(&key) {
            return self.tell(asker, outcome(&packet, Ending::Failed(error::busy())));
        }
        match self.attempts.begin(key, asker, packet.trace, &packet.hops, now) {
            Begin::New => {
                if let Err(failure) = self.work(key, &packet, now) {
                    self.end_attempt(key, Err(failure), now);
                }
            }
            Begin::Running => {}
            Begin::Ended(ending) => self.tell(asker, outcome(&packet, ending)),
            Begin::Full => self.tell(asker, outcome(&packet, Ending::Failed(error::busy()))),
        }
    }

    fn work(&mut self, key: Key, packet: &Packet, now: Instant) -> Result<(), Failure> {
        if packet.hops_left == 0 {
            return Err(error::refused(Condition::NotAcceptable));
        }
        if self.knowledge.is_blocked(packet.foreign()) {
            return Err(error::refused(Condition::PolicyViolation));
        }
        self.check_names(&packet.from, &packet.to, now)?;
        let pair = Pair::new(packet.from.domain(), packet.to.domain());
        match key.1 {
            Instruction::Probe => {
                let pair = if self.domains.is_local(&pair.local) { pair } else { pair.reversed() };
                if self.knowledge.spoke_xmpp(&pair.remote, now) {
                    self.end_attempt(key, Ok(()), now);
                } else {
                    self.send(pair, Outgoing::Probe(key), now);
                }
            }
            Instruction::Reach | Instruction::Home => {
                let item = self.outgoing(key, packet)?;
                self.send(pair, item, now);
            }
            Instruction::Send | Instruction::Discover | Instruction::Accept => {
                return Err(error::unmappable(Condition::FeatureNotImplemented));
            }
        }
        Ok(())
    }

    /// The stanza for a packet: its original if that is one, else built from the meaning. An
    /// original answers for itself; what was built is fenced, for someone waits for its ending.
    fn outgoing(&self, key: Key, packet: &Packet) -> Result<Outgoing, Failure> {
        match (&packet.original.protocol, &packet.body) {
            (Protocol::Xmpp, _) => {
                let limits = self.settings.stream.limits;
                let stanza = from_bytes(&packet.original.bytes, limits).ok();
                let stanza = stanza.filter(|stanza| is_of(stanza, packet));
                let stanza = stanza.ok_or_else(|| error::refused(Condition::BadRequest))?;
                Ok(Outgoing::Plain(key, stanza))
            }
            (Protocol::Sip, Body::Message(message)) => {
                let stanza = message::write(packet, message, self.settings.chat);
                Ok(Outgoing::Fenced(key, stanza))
            }
            (Protocol::Sip, Body::Opaque { .. }) => {
                Err(error::unmappable(Condition::FeatureNotImplemented))
            }
        }
    }

    /// An attempt has ended; those that ended before stay as they were.
    pub(super) fn end_attempt(&mut self, key: Key, how: Result<(), Failure>, now: Instant) {
        self.settle_proof(key.0, &how);
        let ending = match how {
            Ok(()) => Ending::Delivered { by: Protocol::Xmpp, status: 200 },
            Err(failure) => Ending::Failed(failure),
        };
        let hop = self.hop(verdict(&ending), now);
        if let Some((asker, hops)) = self.attempts.end(key, &ending, hop, now) {
            self.tell(asker, Outcome { id: key.0, ending, hops });
        }
    }

    fn tell(&mut self, asker: Asker, outcome: Outcome) {
        let Asker { router, number } = asker;
        // Gone: another router asks again and gets the remembered ending.
        if !self.routers.is_up(router) {
            return self.note(Fact::Unheard { id: outcome.id, ending: outcome.ending });
        }
        let frame = FromCm::Ended(AttemptEnded { outcome, number, route: None });
        self.commands.push_back(Command::ToRouter { router, frame });
        if let Some(credit) = self.routers.finished(router) {
            let frame = FromCm::Credit(credit);
            self.commands.push_back(Command::ToRouter { router, frame });
        }
    }

    /// Everything that has no ending gets one.
    pub(super) fn give_up(&mut self, now: Instant) {
        for id in self.routers.unfinished() {
            self.finish(id, Ending::Failed(error::leaving()), now);
        }
        for key in self.attempts.running() {
            self.end_attempt(key, Err(error::leaving()), now);
        }
    }
}

/// A home server takes nothing over server-to-server streams from a domain that it serves itself.
/// So a local user who writes by SIP is shown to it under the subdomain `sip`, which by DNS is
/// ours; an operator who routes that subdomain gets the answers.
fn as_seen_at_home(packet: Packet) -> Packet {
    if packet.direction != Direction::Internal {
        return packet;
    }
    let domain = format!("sip.{}", packet.from.domain());
    match Address::from_jid_parts(packet.from.local(), &domain, packet.from.resource()) {
        Ok(from) => Packet { from, ..packet },
        // The name is too long; the home server will say no.
        Err(_) => packet,
    }
}

fn outcome(packet: &Packet, ending: Ending) -> Outcome {
    Outcome { id: packet.id, ending, hops: packet.hops.clone() }
}

fn verdict(ending: &Ending) -> &'static str {
    match ending {
        Ending::Delivered { .. } => "delivered",
        Ending::Failed(failure) => failure.condition.as_str(),
    }
}

/// Whether the stanza goes from and to where the packet says.
fn is_of(stanza: &Element, packet: &Packet) -> bool {
    let pair = Pair::new(packet.from.domain(), packet.to.domain());
    pair_of(stanza).is_some_and(|its| its.is_like(&pair))
}
