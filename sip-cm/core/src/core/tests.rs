//! Scenes: a SIP peer, a next hop and a router around one core, and a clock moved by hand.

mod accepted;
mod delivered;
mod known;
mod links;
mod overload;
mod random;
mod refused;
mod standing;
mod unknown;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openfed_proto::address::Address;
use openfed_proto::condition::Condition;
use openfed_proto::domain::Domain;
use openfed_proto::link::{
    Attempt, AttemptEnded, Era, FromCm, FromRouter, Hello, Instruction, Refused, Tables,
};
use openfed_proto::packet::{
    Body, Cause, Conversation, Direction, Ending, Failure, Message as InstantMessage, Original,
    Outcome, Packet, PacketId, Protocol, Role, Source, Text, TraceContext,
};
use openfed_proto::route::{DomainPattern, Pattern, StaticRoute, Transport};

use super::*;
use crate::command::{FlowId, Send, StageId, StageKind};
use crate::config::{Listener, Trusted};
use crate::uri::Host;

pub(super) const PEER: &str = "192.0.2.10:5060";
/// Where a user of ours has a phone.
pub(super) const PHONE: &str = "192.0.2.77:5060";
pub(super) const HOP: &str = "192.0.2.20:5060";
pub(super) const HOP_2: &str = "192.0.2.21:5060";
pub(super) const R1: RouterId = RouterId(1);
pub(super) const R2: RouterId = RouterId(2);

/// One core and everything that it said.
pub(super) struct World {
    pub(super) core: Core,
    pub(super) now: Instant,
    pub(super) sent: VecDeque<Send>,
    /// How many of those may leave in any order.
    pub(super) set_aside: usize,
    pub(super) frames: VecDeque<(RouterId, FromCm)>,
    pub(super) look_ups: VecDeque<(Token, String, Option<u16>)>,
    pub(super) facts: Vec<Fact>,
    /// Where requests had no answer, and since when.
    pub(super) suspected: Vec<(Hop, Instant)>,
    /// Refusals that people get to see.
    pub(super) refused: Vec<Refused>,
}

pub(super) fn config() -> Config {
    let address: SocketAddr = "198.51.100.1:5060".parse().expect("an address");
    let listener = |transport| Listener {
        transport,
        address,
        reached: address.ip(),
        advertised: (Host::parse(&"198.51.100.1".into()).expect("a host"), 5060),
    };
    Config {
        node: "here-sip-cm".into(),
        local: vec![domain("corp.example")],
        listeners: vec![listener(Transport::Udp), listener(Transport::Tcp)],
        trusted: Trusted::new(|ip| {
            [PEER, PHONE].iter().any(|own| ip.to_string() + ":5060" == **own)
        }),
        intradomain: false,
        without_gr: Vec::new(),
        capacity: 8,
        max_transactions: 1_000,
        max_requests: 1_000,
    }
}

pub(super) fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}

pub(super) fn address(jid: &str) -> Address {
    Address::from_jid(jid).expect("a JID")
}

impl World {
    /// A core without router and tables.
    pub(super) fn alone() -> Self {
        World::with(config())
    }

    pub(super) fn with(config: Config) -> Self {
        let world = World::just_started(config);
        // Nobody repeats any more what an instance before this one may have had.
        World { now: world.now + secs(60), ..world }
    }

    /// A core whose process has begun at this moment.
    pub(super) fn just_started(config: Config) -> Self {
        let now = crate::random::some_instant();
        let mut state = 7_u64;
        let random = Random::new(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
            state ^ (state >> 31)
        });
        let core = Core::new(config, random, now, 1_700_000_000_000_000);
        World {
            core,
            now,
            sent: VecDeque::new(),
            frames: VecDeque::new(),
            look_ups: VecDeque::new(),
            set_aside: 0,
            suspected: Vec::new(),
            facts: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// A core with one router, and the open route unblocked towards [`HOP`] over UDP.
    pub(super) fn open() -> Self {
        let mut world = World::alone();
        world.link(R1, "r1", 100);
        world.tables(vec![open_route(HOP, Transport::Udp)]);
        world
    }

    pub(super) fn link(&mut self, router: RouterId, node: &str, capacity: u32) {
        let hello = Hello {
            role: Role::Router,
            node: node.into(),
            epoch: 1,
            capacity,
            version: "0".into(),
        };
        self.core.handle_link_up(router, &hello, self.now);
        self.collect();
    }

    pub(super) fn tables(&mut self, routes: Vec<StaticRoute>) {
        let tables = Tables { version: 1, routes, ..Tables::default() };
        self.frame(R1, FromRouter::Tables(tables));
    }

    pub(super) fn frame(&mut self, router: RouterId, frame: FromRouter) {
        self.core.handle_frame(router, frame, Duration::ZERO, self.now);
        self.collect();
    }

    /// The near cache learns that `name` speaks SIP.
    pub(super) fn knows(&mut self, name: &str) {
        let lease = Duration::from_secs(3_600);
        self.frame(R1, FromRouter::Verdict { domain: domain(name), sip: true, lease });
    }

    /// A message arrives over UDP.
    pub(super) fn arrives(&mut self, from: &str, text: &str) {
        self.arrives_by(Transport::Udp, from, text.as_bytes());
    }

    /// It has waited so long for its turn.
    pub(super) fn arrives_late(&mut self, waited: Duration, from: &str, text: &str) {
        self.arrives_late_by(Transport::Udp, waited, from, text);
    }

    pub(super) fn arrives_late_by(
        &mut self,
        transport: Transport,
        waited: Duration,
        from: &str,
        text: &str,
    ) {
        let message = Message::parse(Bytes::from(text.to_owned())).expect("a sound message");
        let source = from.parse().expect("an address");
        let arrival = Arrival { source, transport, flow: FlowId(9) };
        self.core.handle_message(message, arrival, waited, self.now);
        self.collect();
    }

    pub(super) fn arrives_by(&mut self, transport: Transport, from: &str, bytes: &[u8]) {
        let source: SocketAddr = from.parse().expect("an address");
        let arrival = Arrival { source, transport, flow: FlowId(9) };
        self.core.handle_datagram(Bytes::copy_from_slice(bytes), arrival, self.now);
        self.collect();
    }

    /// Time passes; everything that falls due happens at its time.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.core.handle_timeout(self.now);
            self.collect();
        }
        self.now = until;
        self.core.handle_timeout(self.now);
        self.collect();
    }

    pub(super) fn collect(&mut self) {
        while let Some(command) = self.core.next_command() {
            match command {
                Command::Send(send) => self.sent.push_back(send),
                Command::TurnAway(send) => {
                    self.set_aside += 1;
                    self.sent.push_back(send);
                }
                Command::Suspect { to, since } => self.suspected.push((to, since)),
                Command::Resolve { token, host, port, .. } => {
                    self.look_ups.push_back((token, host, port));
                }
                Command::ToRouter { router, frame, .. } => match *frame {
                    FromCm::Refused(refused) => self.refused.push(*refused),
                    frame => self.frames.push_back((router, frame)),
                },
                Command::Fact(fact) => self.facts.push(fact),
            }
        }
    }

    /// The next message that left, and where it went.
    pub(super) fn next_sent(&mut self) -> (Message, Hop) {
        let send = self.sent.pop_front().expect("a message was sent");
        (Message::parse(send.bytes).expect("we send sound messages"), send.to)
    }

    /// The next message that left, which is a response of this status to the peer.
    pub(super) fn answered(&mut self, code: u16) -> Message {
        let (message, _) = self.next_sent();
        assert_eq!(
            message.code(),
            Some(code),
            "{:?}",
            String::from_utf8_lossy(&message.to_bytes())
        );
        message
    }

    /// The next message that left, which is a request that went to `to`.
    pub(super) fn requested(&mut self, method: &str, to: &str) -> Message {
        let (message, hop) = self.next_sent();
        assert_eq!(message.method(), Some(method));
        assert_eq!(hop.address, to.parse().expect("an address"));
        message
    }

    /// The next frame, which submits a packet.
    pub(super) fn submitted(&mut self) -> (RouterId, Packet, Option<PacketId>) {
        match self.frames.pop_front() {
            Some((router, FromCm::Submit { packet, accepted_in, .. })) => {
                (router, packet, accepted_in)
            }
            other => panic!("expected a submission, got {other:?}"),
        }
    }

    /// The next frame, which ends an attempt.
    pub(super) fn ended(&mut self) -> AttemptEnded {
        match self.frames.pop_front() {
            Some((_, FromCm::Ended(ended))) => ended,
            other => panic!("expected an ending, got {other:?}"),
        }
    }

    pub(super) fn attempt(&mut self, packet: &Packet, number: u32, instruction: Instruction) {
        let attempt = Attempt { packet: packet.clone(), number, instruction };
        self.frame(R1, FromRouter::Attempt(attempt));
    }

    pub(super) fn outcome(&mut self, id: PacketId, ending: Ending) {
        let hops = Vec::new();
        self.frame(R1, FromRouter::Outcome(Outcome { id, ending, hops }));
    }

    /// The peer answers the request that it was sent.
    pub(super) fn replies(&mut self, from: &str, request: &Message, code: u16) {
        self.arrives(from, &response(request, code, ""));
    }

    /// Nothing was said that the scene did not look at.
    #[track_caller]
    pub(super) fn silent(&mut self) {
        assert_eq!(self.sent, [], "sent");
        assert_eq!(self.frames, [], "frames");
        assert!(self.look_ups.is_empty(), "look-ups: {:?}", self.look_ups);
    }

    /// And nothing is left behind once all timers have run out.
    #[track_caller]
    pub(super) fn ends(mut self) {
        self.silent();
        self.pass(Duration::from_secs(400));
        self.frames.retain(|(_, frame)| !matches!(frame, FromCm::Usage(_) | FromCm::Credit(_)));
        self.silent();
        assert_eq!(self.core.load(), Load::default());
        assert!(self.core.is_idle());
        assert_eq!(stages(&self.facts, true), stages(&self.facts, false), "each stage ends once");
    }
}

impl World {
    /// The same, where traffic went by the routers and is reported to them.
    #[track_caller]
    pub(super) fn ends_after_usage(mut self) {
        self.pass(Duration::from_secs(2));
        let before = self.frames.len();
        self.frames.retain(|(_, frame)| !matches!(frame, FromCm::Usage(_)));
        assert!(self.frames.len() < before, "usage is reported");
        self.ends();
    }
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn stages(facts: &[Fact], began: bool) -> Vec<StageId> {
    let id = |fact: &Fact| match fact {
        Fact::Began(stage) if began => Some(stage.id),
        Fact::Ended(end) if !began => Some(end.id),
        _ => None,
    };
    let mut ids: Vec<StageId> = facts.iter().filter_map(id).collect();
    ids.sort_unstable();
    ids
}

pub(super) fn open_route(next_hop: &str, transport: Transport) -> StaticRoute {
    let next_hop: SocketAddr = next_hop.parse().expect("an address");
    StaticRoute {
        port: next_hop.port(),
        transport,
        ..StaticRoute::new(Pattern::Open, next_hop.ip().to_string())
    }
}

pub(super) fn route(pattern: &str, next_hop: &str, priority: u16) -> StaticRoute {
    StaticRoute {
        id: u32::from(priority),
        pattern: Pattern::domain(pattern).expect("a pattern"),
        priority,
        ..open_route(next_hop, Transport::Udp)
    }
}

/// A request as a peer at [`PEER`] sends it.
pub(super) fn request(method: &str, from: &str, to: &str, more: &str, body: &str) -> String {
    format!(
        "{method} sip:{to} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKpeer1;rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:{from}>;tag=a1\r\n\
         To: <sip:{to}>\r\n\
         Call-ID: call1\r\n\
         CSeq: 1 {method}\r\n\
         {more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A text message.
pub(super) fn message(from: &str, to: &str) -> String {
    request("MESSAGE", from, to, "Content-Type: text/plain\r\n", "hello")
}

/// The response that a user agent gives to `request`.
pub(super) fn response(request: &Message, code: u16, more: &str) -> String {
    let mut response = Message::response_to(request, code, "Any Words");
    response.set_to_tag("b1");
    let text = String::from_utf8_lossy(&response.to_bytes()).into_owned();
    text.replacen("Content-Length", &format!("{more}Content-Length"), 1)
}

/// An address that a name leads to.
pub(super) fn hop(address: &str) -> Hop {
    let address = address.parse().expect("an address");
    Hop { transport: Transport::Udp, address, flow: None, name: None }
}

/// A packet of an XMPP user, as a router hands it over.
pub(super) fn packet_from_xmpp(number: u8, to: &str, text: &str) -> Packet {
    let (from, to) = (address("alice@corp.example/desk"), address(to));
    Packet {
        id: PacketId([number; 16]),
        conversation: Conversation::between(&from, &to),
        direction: Direction::Outbound,
        from,
        to,
        body: Body::Message(InstantMessage {
            id: Some(format!("stanza-{number}")),
            thread: Some("thread 1".into()),
            chat: true,
            subjects: Vec::new(),
            bodies: vec![Text { lang: Some("en".into()), text: text.into() }],
            html: None,
        }),
        original: Original { protocol: Protocol::Xmpp, bytes: Bytes::from_static(b"<message/>") },
        trace: TraceContext::default(),
        hops: Vec::new(),
        remaining: Duration::from_secs(30),
        hops_left: 16,
        source: Source::default(),
    }
}

pub(super) fn delivered() -> Ending {
    Ending::Delivered { by: Protocol::Xmpp, status: 200 }
}

pub(super) fn failed(condition: Condition, cause: Cause) -> Ending {
    Ending::Failed(Failure::new(condition, cause))
}

pub(super) fn header(message: &Message, id: crate::headers::HeaderId) -> String {
    let value = message.header(id).map(|header| header.value().to_vec()).unwrap_or_default();
    String::from_utf8_lossy(&value).into_owned()
}

pub(super) fn blocked(patterns: &[&str]) -> Vec<DomainPattern> {
    patterns.iter().map(|pattern| pattern.parse().expect("a pattern")).collect()
}
