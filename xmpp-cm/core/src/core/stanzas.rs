//! Stanzas from peers: which way each goes.

use std::time::Instant;

use minidom::Element;
use openfed_proto::address::Address;
use openfed_proto::condition::Condition;
use openfed_proto::domain::Domain;
use openfed_proto::link::{FromCm, Instruction};
use openfed_proto::packet::{
    Body, Conversation, Direction, MAX_HOPS, Original, Packet, Protocol, Source, TraceContext,
};

use super::conn::Conn;
use super::{Command, ConnId, Core, Fact, Life, Target};
use crate::content::Content;
use crate::error;
use crate::fence::{Place, Written};
use crate::iq;
use crate::knowledge::Way;
use crate::message;
use crate::peers::{Counted, Outgoing, Pair};
use crate::resource;
use crate::routers::PACKET_TIME;
use crate::stanza::{Attributes, Head, Kind, Reply, domain_of, is_answer};
use crate::stream::Stream;
use crate::xml::to_bytes;

/// Multi-user chat: presence that asks for something (XEP-0045).
const MUC: &str = "http://jabber.org/protocol/muc";

impl Core {
    /// A stanza that its server keeps until it is handled: when that is so, unless whoever has got
    /// it says so later.
    pub(super) fn on_counted(&mut self, counted: Counted, stanza: Element, now: Instant) {
        self.in_hand = Some(counted);
        self.on_stanza(counted.conn, stanza, now);
        let left = self.in_hand.take();
        self.handled(left);
    }

    /// The stanza is answered, was passed on, or is with a router.
    pub(super) fn handled(&mut self, counted: Option<Counted>) {
        let Some(Counted { conn, number }) = counted else { return };
        if let Some(stream) = self.stream(conn) {
            stream.handled(number);
            self.dirty.insert(conn);
        }
    }

    /// A router has the stanza: its server hears so at once.
    pub(super) fn in_safety(&mut self, counted: Counted) {
        self.handled(Some(counted));
        if let Some(stream) = self.stream(counted.conn) {
            stream.tell_handled();
        }
    }

    pub(super) fn on_stanza(&mut self, conn: ConnId, stanza: Element, now: Instant) {
        // The stream let it through, so both domains are what they say (E-45).
        let Some(pair) = pair_of(&stanza) else { return };
        if let Some(it) = self.conns.get_mut(&conn) {
            it.used = now;
        }
        if self.settles(&pair, &stanza, now) || self.is_astray(&stanza) {
            return;
        }
        let (asked, wants) = (pair.clone(), !is_answer(&stanza));
        if self.domains.is_local(&pair.local) {
            self.route_outbound(conn, pair, stanza, now);
        } else {
            self.pass_inbound(pair, stanza, now);
        }
        self.reserve(conn, &asked, wants, now);
    }

    /// Whether the stanza answers a question of ours, or a message before a fence.
    pub(super) fn settles(&mut self, pair: &Pair, stanza: &Element, now: Instant) -> bool {
        self.settles_names(pair, stanza) || self.settles_fence(pair, stanza, now)
    }

    fn settles_fence(&mut self, pair: &Pair, stanza: &Element, now: Instant) -> bool {
        if self.fences.is_empty() {
            return false;
        }
        let Attributes { id: Some(id), subtype: Some(subtype), .. } = Attributes::of(stanza) else {
            return false;
        };
        let asked = pair.reversed();
        match (stanza.name(), subtype) {
            ("iq", "result" | "error") => match self.fences.answered(&asked, id) {
                Some((conn, messages)) => {
                    self.hear(conn, now);
                    let is_away = error::says_away(stanza);
                    for Written { key, refused, .. } in messages {
                        let ending = match refused {
                            _ if is_away => Err(error::away()),
                            Some(failure) => Err(failure),
                            None => Ok(()),
                        };
                        self.end_attempt(key, ending, now);
                    }
                    true
                }
                None => false,
            },
            ("message", "error") => {
                let Ok(head) = Head::read(stanza) else { return false };
                match self.fences.refused(&asked, id, &head.from, &head.to) {
                    Some(place) => {
                        self.refuse(&place, stanza, now);
                        true
                    }
                    None => false,
                }
            }
            _ => false,
        }
    }

    /// A server's error for a message that waits for its outcome.
    fn refuse(&mut self, place: &Place, stanza: &Element, now: Instant) {
        self.hear(place.line.conn, now);
        let failure = error::from_stanza(stanza);
        let failure = match place.key.1 {
            Instruction::Home => error::of_home(failure, &place.to),
            _ => failure,
        };
        if let Some(key) = self.fences.refuse(place, &failure) {
            self.end_attempt(key, Err(failure), now);
        }
    }

    /// An error came back on a stream that we opened, for something that went over it: the outcome
    /// of a message that waits for one, or else on its way back to who wrote that.
    pub(super) fn on_bounced(&mut self, conn: ConnId, stanza: Element, now: Instant) {
        let Attributes { id, from, to, .. } = Attributes::of(&stanza);
        if let ("message", Some(id)) = (stanza.name(), id) {
            // As far as they can be read: that they cannot may be why it came back.
            let addresses = [from, to].into_iter().flatten().map(Address::from_jid);
            let addresses: Vec<Address> = addresses.filter_map(Result::ok).collect();
            if let Some(place) = self.fences.bounced(conn, id, &addresses) {
                return self.refuse(&place, &stanza, now);
            }
        }
        let is_whole = Head::read(&stanza).is_ok();
        let pair = pair_of(&stanza);
        // ejabberd says here that it does not take an address.
        if pair.as_ref().is_some_and(|pair| self.settles_names(pair, &stanza)) {
            return;
        }
        match pair.filter(|pair| is_whole && self.goes_back(conn, pair, now)) {
            Some(pair) => self.send(pair, Outgoing::Through(stanza, None), now),
            None => self.ignore(conn),
        }
    }

    /// Whether an error for what went over this stream goes on to who wrote that, by XMPP.
    fn goes_back(&mut self, conn: ConnId, pair: &Pair, now: Instant) -> bool {
        let went = |stream: &mut Stream| stream.may_send(&pair.remote, &pair.local);
        let foreign = self.foreign(pair).clone();
        self.stream(conn).is_some_and(went)
            && !self.knowledge.is_blocked(&foreign)
            && self.knowledge.spoke_xmpp(&foreign, now)
    }

    /// A server said something that counts for nothing, on a stream that we opened.
    pub(super) fn ignore(&mut self, conn: ConnId) {
        let target = self.conns.get_mut(&conn).and_then(Conn::dialed).map(|it| it.target.clone());
        if let Some(Target::Home(domain) | Target::Foreign(domain)) = target {
            self.note(Fact::Ignored { domain });
        }
    }

    /// A stanza goes on as it is, but for a resource of ours.
    fn pass(&mut self, pair: Pair, stanza: Element, now: Instant) {
        let item = Outgoing::Through(resource::taken_off_stanza(stanza), self.in_hand.take());
        self.send(pair, item, now);
    }

    /// From a foreign domain to a local user: passed on untouched.
    fn pass_inbound(&mut self, pair: Pair, stanza: Element, now: Instant) {
        self.knowledge.learn_xmpp(&pair.local, now);
        if self.knowledge.is_blocked(&pair.local) {
            return self.answer(&stanza, &error::refused(Condition::PolicyViolation), now);
        }
        if let Err(failure) = self.domains.check(&pair.local) {
            return self.answer(&stanza, &failure, now);
        }
        let head = match Head::read(&stanza) {
            Ok(head) => head,
            Err(malformed) => {
                return self.answer(&stanza, &error::refused(malformed.condition()), now);
            }
        };
        if let Err(failure) = self.check_names(&head.from, &head.to, now) {
            return self.answer(&stanza, &failure, now);
        }
        if stanza.name() == "message" && Attributes::of(&stanza).subtype == Some("error") {
            // Perhaps for a message from SIP; whom it is for says the one that sent it.
            self.pass_on(&stanza);
        }
        self.pass(pair, stanza, now);
    }

    /// From a local user to a foreign domain.
    fn route_outbound(&mut self, conn: ConnId, pair: Pair, stanza: Element, now: Instant) {
        let head = match Head::read(&stanza) {
            Ok(head) => Head { to: resource::taken_off(&head.to), ..head },
            Err(malformed) => {
                return self.answer(&stanza, &error::refused(malformed.condition()), now);
            }
        };
        if let Err(failure) = self.check_names(&head.from, &head.to, now) {
            return self.answer(&stanza, &failure, now);
        }
        if head.kind == Kind::Iq
            && let Err(condition) = iq::check(&head, &stanza)
        {
            return self.answer(&stanza, &error::refused(condition), now);
        }
        let conversation = Conversation::between(&head.from, &head.to);
        let busy = self.routers.is_busy(conversation);
        match self.knowledge.way(&pair.remote, now) {
            Way::Blocked => {
                self.answer(&stanza, &error::refused(Condition::PolicyViolation), now);
            }
            // An answer goes back the way the question came, and it has nothing to overtake.
            _ if head.is_answer() && self.knowledge.spoke_xmpp(&pair.remote, now) => {
                self.pass(pair, stanza, now);
            }
            _ if head.is_answer() => self.drop_answer(&head, &stanza),
            Way::Xmpp if !busy => {
                self.pass(pair, stanza, now);
            }
            Way::Sip => self.serve_sip_domain(conn, &head, &stanza, now),
            // It is no correspondence by which a domain would be discovered.
            Way::Unknown if is_quiet(&head, &stanza) => self.note_unsaid(&stanza),
            Way::Xmpp | Way::Unknown => self.submit(conn, &head, &stanza, now),
        }
    }

    /// An answer to something that is not known here (any more).
    fn drop_answer(&mut self, head: &Head, stanza: &Element) {
        if head.is(Kind::Message, "error") {
            self.note(Fact::LateError);
            self.pass_on(stanza);
        }
    }

    /// To a domain that speaks SIP: messages go on, requests are answered for it, and what has no
    /// meaning there ends here (S-113).
    fn serve_sip_domain(&mut self, conn: ConnId, head: &Head, stanza: &Element, now: Instant) {
        match head.kind {
            Kind::Iq => match iq::answer(head, stanza) {
                Ok(payload) => {
                    let reply = Reply::to(stanza);
                    if let Some((reply, asked)) = reply.and_then(|it| it.asked().map(|at| (it, at)))
                    {
                        self.send_answer(&asked, reply.result(payload.as_ref()), now);
                    }
                }
                Err(condition) => self.answer(stanza, &error::unmappable(condition), now),
            },
            Kind::Presence => {
                let asks = head.is(Kind::Presence, "subscribe") || stanza.has_child("x", MUC);
                if asks {
                    let condition = Condition::ServiceUnavailable;
                    self.answer(stanza, &error::unmappable(condition), now);
                }
            }
            Kind::Message => match Content::of(stanza) {
                Content::Text => self.submit(conn, head, stanza, now),
                Content::Quiet => self.note_unsaid(stanza),
                Content::Unsayable => {
                    let condition = Condition::FeatureNotImplemented;
                    self.answer(stanza, &error::unmappable(condition), now);
                }
            },
        }
    }

    /// Hands a stanza to a router, as a packet.
    fn submit(&mut self, conn: ConnId, head: &Head, stanza: &Element, now: Instant) {
        if !matches!(self.life, Life::Serving | Life::Drained) {
            return self.answer(stanza, &error::leaving(), now);
        }
        if self.routers.submitted() >= self.settings.limits.submitted {
            return self.answer(stanza, &error::busy(), now);
        }
        // First of all: where there is no room, all the rest would be work for nothing.
        let Ok(router) = self.routers.choose(Conversation::between(&head.from, &head.to)) else {
            return self.answer(stanza, &error::busy(), now);
        };
        let packet = self.packet(conn, head, stanza, now);
        let counted = self.in_hand.take();
        let kept = counted.is_some();
        self.routers.submit(router, packet.clone(), (Reply::to(stanza), counted), now);
        let frame = FromCm::Submit { packet, accepted_in: None, again: false, kept };
        self.commands.push_back(Command::ToRouter { router, frame });
    }

    fn packet(&mut self, conn: ConnId, head: &Head, stanza: &Element, now: Instant) -> Packet {
        let default = self.conns.get(&conn).and_then(|conn| conn.stream.as_ref()?.lang());
        let meaning = match head.kind {
            Kind::Message => message::read(stanza, default),
            Kind::Presence | Kind::Iq => None,
        };
        let original = match resource::bare_recipient(stanza) {
            Some(_) => to_bytes(&resource::taken_off_stanza(stanza.clone())),
            None => to_bytes(stanza),
        };
        Packet {
            id: self.random_id(),
            conversation: Conversation::between(&head.from, &head.to),
            direction: Direction::Outbound,
            from: head.from.clone(),
            to: head.to.clone(),
            body: match meaning {
                Some(message) => Body::Message(message),
                None => Body::Opaque { kind: head.describe() },
            },
            original: Original { protocol: Protocol::Xmpp, bytes: original },
            trace: TraceContext::default(),
            hops: vec![self.hop("received", now)],
            remaining: PACKET_TIME,
            hops_left: MAX_HOPS,
            source: Source::user(&head.from),
        }
    }

    /// The foreign one of a pair's domains.
    pub(super) fn foreign<'a>(&self, pair: &'a Pair) -> &'a Domain {
        if self.domains.is_local(&pair.remote) { pair.local.domain() } else { pair.remote.domain() }
    }
}

fn is_quiet(head: &Head, stanza: &Element) -> bool {
    head.kind == Kind::Message && Content::of(stanza) == Content::Quiet
}

/// The domains that a stanza goes from and to.
pub(super) fn pair_of(stanza: &Element) -> Option<Pair> {
    let Attributes { from, to, .. } = Attributes::of(stanza);
    Some(Pair { local: domain_of(from?)?, remote: domain_of(to?)? })
}
