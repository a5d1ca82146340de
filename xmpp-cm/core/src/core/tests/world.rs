//! The core, its servers and routers, and the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use openfed_proto::link::{Attempt, AttemptEnded, FromCm, FromRouter, Hello, Instruction, Tables};
use openfed_proto::packet::{
    Body, Conversation, Direction, Ending, Failure, MAX_HOPS, Message, Original, Outcome, Packet,
    PacketId, Protocol, Role, Source, Text, TraceContext,
};
use openfed_proto::route::DomainPattern;

use super::super::{
    Command, ConnId, ConnectFailure, Core, Endpoint, Fact, Found, RouterId, Settings, Start, Target,
};
use super::server::{Fault, Server};
use super::{address, domain};
use crate::dialback::Secret;

pub(in crate::core) const ROUTER: RouterId = RouterId(1);

/// See the head of this file.
pub(in crate::core) struct World {
    pub(in crate::core) core: Core,
    pub(in crate::core) now: Instant,
    /// By the name that leads to them.
    pub(in crate::core) servers: BTreeMap<&'static str, Server>,
    /// Domains with several servers, by the names of those, in order.
    pub(in crate::core) several: BTreeMap<&'static str, Vec<&'static str>>,
    /// Names that fail otherwise than with NXDOMAIN.
    pub(in crate::core) broken: BTreeMap<&'static str, ConnectFailure>,
    /// What the routers got, oldest first.
    pub(in crate::core) frames: Vec<(RouterId, FromCm)>,
    pub(in crate::core) facts: Vec<Fact>,
    /// Whether the port is open.
    pub(in crate::core) listens: bool,
    /// Connections that the core does not want to be read.
    pub(in crate::core) unread: BTreeSet<ConnId>,
    /// What the core wrote to a peer that the scene plays itself.
    pub(in crate::core) typed: String,
    next_packet: u8,
}

pub(in crate::core) fn hello(node: &str) -> Hello {
    Hello {
        role: Role::Router,
        node: node.to_owned(),
        epoch: 1,
        capacity: 1_000,
        version: String::new(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a scene needs some instant to count from")]
pub(in crate::core) fn core(settings: Settings) -> (Core, Instant) {
    let now = Instant::now();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let random = Box::new(move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed
    });
    let secret = Secret::new(b"the secret of this scene");
    let start = Start { instant: now, unix_us: 1_000_000, random, secret };
    (Core::new(settings, start), now)
}

impl World {
    /// `corp.example` with its home server, one router, nobody else.
    pub(in crate::core) fn new() -> Self {
        Self::with(Settings::new("here", [domain("corp.example")]))
    }

    pub(in crate::core) fn with(settings: Settings) -> Self {
        let (core, now) = core(settings);
        let mut world = Self {
            core,
            now,
            servers: BTreeMap::from([("corp.example", Server::new("corp.example"))]),
            several: BTreeMap::new(),
            broken: BTreeMap::new(),
            frames: Vec::new(),
            facts: Vec::new(),
            listens: true,
            unread: BTreeSet::new(),
            typed: String::new(),
            next_packet: 0,
        };
        world.core.handle_link_up(ROUTER, &hello("r1"), now);
        world
    }

    /// A foreign server, found under its own name.
    pub(in crate::core) fn add(&mut self, name: &'static str) {
        self.servers.insert(name, Server::new(name));
    }

    pub(in crate::core) fn break_name(&mut self, name: &'static str, how: ConnectFailure) {
        self.broken.insert(name, how);
    }

    pub(in crate::core) fn home(&mut self) -> &mut Server {
        self.server("corp.example")
    }

    pub(in crate::core) fn server(&mut self, name: &str) -> &mut Server {
        self.servers.get_mut(name).unwrap()
    }

    /// Runs until nothing happens any more.
    pub(in crate::core) fn run(&mut self) {
        loop {
            let mut busy = false;
            while let Some(command) = self.core.next_command() {
                busy = true;
                self.obey(command);
            }
            for server in self.servers.values_mut() {
                busy |= server.pump(&mut self.core, self.now);
            }
            if !busy {
                return;
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.now;
        match command {
            Command::Connect { conn, target, tried } => {
                let (Target::Home(name) | Target::Foreign(name)) = &target;
                if let Some(servers) = self.several.get(name.as_str()).cloned() {
                    return self.connect_to_one(conn, &servers, tried);
                }
                if let Some(why) = self.broken.get(name.as_str()) {
                    return self.core.handle_connect_failed(conn, *why, now);
                }
                match self.servers.get_mut(name.as_str()) {
                    Some(server) => {
                        server.accept(conn, now);
                        self.core.handle_connected(conn, false, Found::default(), now);
                    }
                    None => {
                        let why = ConnectFailure::NotFound;
                        self.core.handle_connect_failed(conn, why, now);
                    }
                }
            }
            Command::Transmit { conn, bytes } => {
                match self.servers.values_mut().find(|it| it.has(conn)) {
                    Some(server) => server.bytes(conn, &bytes, now),
                    None => self.typed.push_str(std::str::from_utf8(&bytes).unwrap()),
                }
            }
            Command::Mark { conn, mark } => self.core.handle_written(conn, mark),
            Command::StartTls { conn, .. } => {
                let server = self.servers.values_mut().find(|it| it.has(conn));
                if let Some(server) = server.filter(|it| it.fault == Some(Fault::Tls)) {
                    server.closed(conn);
                    return self.core.handle_tls(conn, false, None, now);
                }
                let shown =
                    self.servers.values().find(|it| it.has(conn)).and_then(|it| it.certificate);
                self.core.handle_tls(conn, true, shown, now);
            }
            Command::Close { conn } => {
                for server in self.servers.values_mut().filter(|it| it.has(conn)) {
                    server.pump(&mut self.core, now);
                    server.closed(conn);
                    self.core.handle_closed(conn, 0, now);
                }
            }
            Command::ToRouter { router, frame } => self.frames.push((router, frame)),
            Command::Read { conn, on } => {
                let _ = if on { self.unread.remove(&conn) } else { self.unread.insert(conn) };
            }
            Command::Listen(on) => self.listens = on,
            Command::Note(fact) => self.facts.push(fact),
        }
    }

    /// Looks for a server as the shell does: the first one that can be connected to.
    fn connect_to_one(&mut self, conn: ConnId, servers: &[&'static str], mut tried: Vec<Endpoint>) {
        let (before, now, mut missed) = (tried.len(), self.now, None);
        let place = |number: usize| {
            let host = u8::try_from(number).unwrap();
            Endpoint { address: ([192, 0, 2, host], 5269).into(), direct_tls: false }
        };
        for (number, name) in servers.iter().enumerate() {
            if tried.contains(&place(number)) {
                continue;
            }
            tried.push(place(number));
            if let Some(why) = self.broken.get(name) {
                missed = missed.or(Some(*why));
                continue;
            }
            let server = self.servers.get_mut(name).unwrap();
            server.accept(conn, now);
            let closes = server.fault == Some(Fault::Closes);
            let more = tried.len() < servers.len();
            let found = Found { tried: tried.split_off(before), missed, more };
            self.core.handle_connected(conn, false, found, now);
            if closes {
                self.server(name).closed(conn);
                self.core.handle_closed(conn, 0, now);
            }
            return;
        }
        let why = missed.expect("nowhere is looked twice");
        self.core.handle_connect_failed(conn, why, now);
    }

    /// Time passes, and everything that it brings about happens.
    pub(in crate::core) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.core.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
        self.run();
    }

    pub(in crate::core) fn frame(&mut self, frame: FromRouter) {
        self.core.handle_frame(ROUTER, frame, Duration::ZERO, self.now);
        self.run();
    }

    pub(in crate::core) fn block(&mut self, pattern: DomainPattern) {
        let tables = Tables { version: 1, blocked: vec![pattern], ..Tables::default() };
        self.frame(FromRouter::Tables(tables));
    }

    pub(in crate::core) fn knows_sip(&mut self, name: &str) {
        let lease = Duration::from_secs(60);
        self.frame(FromRouter::Verdict { domain: domain(name), sip: true, lease });
    }

    /// The home user of the scene says a stanza, and what follows from it happens.
    pub(in crate::core) fn home_says(&mut self, stanza: &str) {
        self.home().say(stanza);
        self.run();
    }

    /// Bytes from the home server, as they are, on its open stream to a foreign domain.
    pub(in crate::core) fn home_types(&mut self, to: &str, text: &str) {
        let conn = self.home().opened_to(to).unwrap();
        let now = self.now;
        self.core.handle_bytes(conn, text.as_bytes(), now);
        self.run();
    }

    /// Bytes from a server, as they are, on the stream that the core opened to it.
    pub(in crate::core) fn types_back(&mut self, name: &str, text: &str) {
        let conn = self.server(name).opened_here().unwrap();
        let now = self.now;
        self.core.handle_bytes(conn, text.as_bytes(), now);
        self.run();
    }

    /// The packets that were submitted since the last time.
    pub(in crate::core) fn submitted(&mut self) -> Vec<Packet> {
        let (mut packets, mut rest) = (Vec::new(), Vec::new());
        for (router, frame) in std::mem::take(&mut self.frames) {
            match frame {
                FromCm::Submit { packet, .. } => packets.push(packet),
                frame => rest.push((router, frame)),
            }
        }
        self.frames = rest;
        packets
    }

    /// The attempts that ended since the last time.
    pub(in crate::core) fn ended(&mut self) -> Vec<AttemptEnded> {
        let (mut ended, mut rest) = (Vec::new(), Vec::new());
        for (router, frame) in std::mem::take(&mut self.frames) {
            match frame {
                FromCm::Ended(it) => ended.push(it),
                FromCm::Credit(_) => {}
                frame => rest.push((router, frame)),
            }
        }
        self.frames = rest;
        ended
    }

    /// The answers that were handed on since the last time.
    pub(in crate::core) fn astray(&mut self) -> Vec<bytes::Bytes> {
        let (mut astray, mut rest) = (Vec::new(), Vec::new());
        for (router, frame) in std::mem::take(&mut self.frames) {
            match frame {
                FromCm::Astray(stanza) => astray.push(stanza),
                frame => rest.push((router, frame)),
            }
        }
        self.frames = rest;
        astray
    }

    /// What another instance handed on comes here.
    pub(in crate::core) fn hears_astray(&mut self, other: &mut World) {
        for stanza in other.astray() {
            self.frame(FromRouter::Astray(stanza));
        }
    }

    /// The endings alone.
    pub(in crate::core) fn endings(&mut self) -> Vec<Ending> {
        self.ended().into_iter().map(|it| it.outcome.ending).collect()
    }

    pub(in crate::core) fn fails(&mut self, id: PacketId, failure: Failure) {
        self.frame(FromRouter::Outcome(Outcome::failed(id, failure)));
    }

    /// A SIP message, as a router hands it over.
    pub(in crate::core) fn sip_message(&mut self, from: &str, to: &str, text: &str) -> Packet {
        self.next_packet += 1;
        let (from, to) = (address(from), address(to));
        let inbound = *to.domain() == domain("corp.example");
        let message = Message {
            id: Some(format!("z9hG4bK{}", self.next_packet)),
            thread: Some("call-1".to_owned()),
            chat: false,
            subjects: Vec::new(),
            bodies: vec![Text { lang: None, text: text.to_owned() }],
            html: None,
        };
        Packet {
            id: PacketId([self.next_packet; 16]),
            conversation: Conversation::between(&from, &to),
            direction: if inbound { Direction::Inbound } else { Direction::Outbound },
            from,
            to,
            body: Body::Message(message),
            original: Original { protocol: Protocol::Sip, bytes: "MESSAGE …".into() },
            trace: TraceContext::default(),
            hops: Vec::new(),
            remaining: Duration::from_secs(30),
            hops_left: MAX_HOPS,
            source: Source::default(),
        }
    }

    /// A router wants this done.
    pub(in crate::core) fn attempt(&mut self, packet: &Packet, instruction: Instruction) {
        let attempt = Attempt { packet: packet.clone(), number: 1, instruction };
        self.frame(FromRouter::Attempt(attempt));
    }
}

impl Drop for World {
    /// What a scene did not look at, it did not expect.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let left: Vec<_> =
            self.frames.iter().filter(|(_, frame)| !matches!(frame, FromCm::Credit(_))).collect();
        assert!(left.is_empty(), "frames that no one expected: {left:?}");
        for (name, server) in &self.servers {
            let texts: Vec<String> = server.got.iter().map(String::from).collect();
            assert!(texts.is_empty(), "{name} got what no one expected: {texts:?}");
        }
    }
}

/// Stanzas that came to a server since the last time, without the pings of fences.
pub(in crate::core) fn taken(server: &mut Server) -> Vec<String> {
    let got = std::mem::take(&mut server.got);
    got.iter().filter(|it| !it.has_child("ping", "urn:xmpp:ping")).map(String::from).collect()
}
