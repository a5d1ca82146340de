//! The stage: one router, scripted neighbours, one clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openfed_proto::address::Address;
use openfed_proto::condition::Condition;
use openfed_proto::domain::Domain;
use openfed_proto::finding::{Finding, Settled};
use openfed_proto::link::{
    Attempt, AttemptEnded, Era, FromCm, FromRouter, Hello, Instruction, StreamView, TrialStep,
};
use openfed_proto::packet::*;
use openfed_proto::route::{DomainPattern, DomainRow, Origin, Pattern, StaticRoute};
use xcp_router_core::*;

/// What the router asked for, without credit, usage, health and events.
#[derive(Debug)]
pub(crate) enum Act {
    Streams { node: String, streams: Vec<StreamView>, total: u32 },
    Tried { node: String, number: u64, steps: Vec<TrialStep> },
    Attempt { link: LinkId, attempt: Attempt, decision: Decision },
    Finished(Box<Finished>),
    Refused(Box<Finished>),
    Insert { id: PacketId, row: DomainRow },
    Claim { id: PacketId, domain: Domain, due: u64, next: u64 },
    Settle { domain: Domain, settled: Settled },
    Frame { link: LinkId, frame: FromRouter },
    Close(LinkId),
}

pub(crate) struct Scene {
    pub(crate) router: Router,
    pub(crate) now: Now,
    acts: VecDeque<Act>,
    pub(crate) events: Vec<Event>,
    pub(crate) health: BTreeMap<&'static str, &'static str>,
    pub(crate) uses: BTreeMap<String, u64>,
    /// When the store was asked what is due, and for how many.
    pub(crate) looked: Vec<(u64, usize)>,
    pub(crate) credit: BTreeMap<LinkId, u32>,
    /// What managers were told to be in the router's care.
    pub(crate) spans_open: i64,
    /// Rows that were given away to be dropped.
    pub(crate) discarded: usize,
    next_link: u64,
    next_packet: u8,
    version: u64,
}

pub(crate) const SIP: LinkId = LinkId(1);
pub(crate) const XMPP: LinkId = LinkId(2);

pub(crate) fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

pub(crate) fn open_route() -> StaticRoute {
    StaticRoute { blocked: false, ..StaticRoute::new(Pattern::Open, "sbc.example.net") }
}

pub(crate) fn route(pattern: &str) -> StaticRoute {
    StaticRoute { id: 1, ..StaticRoute::new(Pattern::domain(pattern).unwrap(), "192.0.2.9") }
}

pub(crate) fn failed(condition: Condition, cause: Cause) -> Ending {
    Ending::Failed(Failure::new(condition, cause))
}

/// DNS proves that there is no such service.
pub(crate) fn absent() -> Ending {
    found(Cause::NotFound, Finding::Absent)
}

/// XMPP did not reach the domain, and this is why.
pub(crate) fn found(cause: Cause, finding: Finding) -> Ending {
    Ending::Failed(Failure::new(Condition::RemoteServerNotFound, cause).with_finding(finding))
}

/// As an xmpp-cm of an older version says it.
pub(crate) fn not_found() -> Ending {
    failed(Condition::RemoteServerNotFound, Cause::NotFound)
}

pub(crate) fn unreachable() -> Ending {
    failed(Condition::RemoteServerTimeout, Cause::Unreachable)
}

pub(crate) fn delivered(by: Protocol) -> Ending {
    Ending::Delivered { by, status: 200 }
}

/// The condition and cause of a failure.
pub(crate) fn why(finished: &Finished) -> (Condition, Cause) {
    match &finished.outcome.ending {
        Ending::Failed(failure) => (failure.condition.clone(), failure.cause),
        Ending::Delivered { .. } => panic!("delivered: {finished:?}"),
    }
}

pub(crate) fn is_delivered(finished: &Finished) -> bool {
    matches!(finished.outcome.ending, Ending::Delivered { .. })
}

impl Scene {
    /// A router with an empty store, `.*` open, one sip-cm and one xmpp-cm.
    pub(crate) fn open() -> Self {
        Self::with(|_| {})
    }

    /// The same, which knows `known.example`.
    pub(crate) fn known() -> Self {
        let mut scene = Self::open();
        scene.change(vec![TableChange::Row(domain("known.example"), Origin::Discovered)]);
        scene.forget_frames();
        scene
    }

    /// The same as [`Scene::open`], configured otherwise.
    pub(crate) fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut scene = Self::bare(configure);
        scene.snapshot(vec![open_route()], &[]);
        scene.link(Role::SipCm, "sip-1");
        scene.link(Role::XmppCm, "xmpp-1");
        scene.forget_frames();
        scene
    }

    /// The same, but `.*` is blocked.
    pub(crate) fn closed() -> Self {
        let mut scene = Self::open();
        scene.change(vec![TableChange::Routes(vec![StaticRoute::predefined()])]);
        scene.forget_frames();
        scene
    }

    /// A router that has seen nothing yet.
    #[allow(clippy::disallowed_methods, reason = "a scene begins at any moment")]
    pub(crate) fn bare(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("router-1", vec![domain("corp.example")]);
        config.seed = 42;
        configure(&mut config);
        Scene {
            router: Router::new(config),
            now: Now { instant: Instant::now(), unix_us: 1_700_000_000_000_000 },
            acts: VecDeque::new(),
            events: Vec::new(),
            health: BTreeMap::new(),
            uses: BTreeMap::new(),
            looked: Vec::new(),
            credit: BTreeMap::new(),
            spans_open: 0,
            discarded: 0,
            next_link: 0,
            next_packet: 0,
            version: 0,
        }
    }

    pub(crate) fn snapshot(&mut self, routes: Vec<StaticRoute>, rows: &[(&str, Origin)]) {
        self.version += 1;
        let mut table = Rows::new(42);
        table.extend(rows.iter().map(|(name, origin)| (domain(name), *origin)));
        let fact = StoreFact::Snapshot {
            era: Era { store: 1, number: 1 },
            version: self.version,
            rows: table,
            routes,
            blocked: Vec::new(),
            pinned: Vec::new(),
        };
        self.store(fact);
    }

    /// Everything anew, of the store as it was (or is, in another era) at this version.
    pub(crate) fn snapshot_of(&mut self, era: u64, version: u64, blocked: Vec<DomainPattern>) {
        self.version = version;
        let (era, rows) = (Era { store: 1, number: era }, Rows::new(42));
        let (routes, pinned) = (vec![open_route()], Vec::new());
        self.store(StoreFact::Snapshot { era, version, rows, routes, blocked, pinned });
    }

    pub(crate) fn change(&mut self, changes: Vec<TableChange>) {
        self.version += 1;
        self.store(StoreFact::Changes { version: self.version, changes });
    }

    pub(crate) fn store(&mut self, fact: StoreFact) {
        self.router.handle_store(fact, self.now);
        self.collect();
    }

    pub(crate) fn link(&mut self, role: Role, node: &str) -> LinkId {
        self.link_as(role, node, 1, 1_000)
    }

    pub(crate) fn link_as(&mut self, role: Role, node: &str, epoch: u64, capacity: u32) -> LinkId {
        self.next_link += 1;
        let link = LinkId(self.next_link);
        let hello = Hello { role, node: node.into(), epoch, capacity, version: "1".into() };
        self.router.handle_link_up(link, hello, "192.0.2.1:1".into(), self.now);
        self.collect();
        link
    }

    pub(crate) fn unlink(&mut self, link: LinkId) {
        self.router.handle_link_down(link, self.now);
        self.collect();
    }

    pub(crate) fn frame(&mut self, link: LinkId, frame: FromCm) {
        self.router.handle_frame(link, frame, Duration::ZERO, self.now);
        self.collect();
    }

    /// The packet's server keeps it until it is in safety.
    pub(crate) fn submit_kept(&mut self, link: LinkId, packet: Packet) {
        self.frame(link, FromCm::Submit { packet, accepted_in: None, again: false, kept: true });
    }

    pub(crate) fn submit(&mut self, link: LinkId, packet: Packet) -> PacketId {
        let id = packet.id;
        self.frame(link, FromCm::Submit { packet, accepted_in: None, again: false, kept: false });
        id
    }

    /// The packet has waited so long for its turn.
    pub(crate) fn submit_late(&mut self, waited: Duration, link: LinkId, packet: Packet) {
        let frame = FromCm::Submit { packet, accepted_in: None, again: false, kept: false };
        self.router.handle_frame(link, frame, waited, self.now);
        self.collect();
    }

    /// The attempt ends at the node it was given to, which adds its own hop.
    pub(crate) fn end(&mut self, link: LinkId, attempt: &Attempt, ending: Ending) {
        self.end_by(link, attempt, ending, None);
    }

    pub(crate) fn end_by(
        &mut self,
        link: LinkId,
        attempt: &Attempt,
        ending: Ending,
        route: Option<&str>,
    ) {
        let role = match attempt.instruction {
            Instruction::Reach | Instruction::Probe | Instruction::Home => Role::XmppCm,
            _ => Role::SipCm,
        };
        let verdict = match &ending {
            Ending::Delivered { .. } => "delivered".to_owned(),
            Ending::Failed(failure) => failure.condition.to_string(),
        };
        let mut hops = attempt.packet.hops.clone();
        let at_us = self.now.unix_us;
        hops.push(Hop { node: role.as_str().into(), role, verdict, at_us });
        let outcome = Outcome { id: attempt.packet.id, ending, hops };
        let route = route.map(str::to_owned);
        self.frame(link, FromCm::Ended(AttemptEnded { outcome, number: attempt.number, route }));
    }

    /// Time passes; what is due happens on its way.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.instant + time;
        while let Some(at) = self.router.poll_timeout().filter(|at| *at <= end) {
            self.advance_to(at.max(self.now.instant));
            self.router.handle_timeout(self.now);
            self.collect();
        }
        self.advance_to(end);
    }

    fn advance_to(&mut self, at: Instant) {
        let passed = at.saturating_duration_since(self.now.instant);
        let passed_us = u64::try_from(passed.as_micros()).unwrap();
        self.now = Now { instant: at, unix_us: self.now.unix_us + passed_us };
    }

    pub(crate) fn collect(&mut self) {
        while let Some(command) = self.router.next_command() {
            match command {
                Command::Attempt { link, attempt, decision } => {
                    self.spans_open += i64::from(attempt.packet.trace.is_sampled());
                    self.acts.push_back(Act::Attempt { link, attempt, decision });
                }
                Command::AttemptOver { .. } => self.spans_open -= 1,
                Command::Finished(finished) => self.acts.push_back(Act::Finished(finished)),
                Command::Insert { id, row, .. } => self.acts.push_back(Act::Insert { id, row }),
                Command::Send { link, frame: FromRouter::Credit(packets) } => {
                    *self.credit.entry(link).or_default() += packets;
                }
                Command::Send { link, frame } => self.acts.push_back(Act::Frame { link, frame }),
                Command::Touch(uses) => {
                    for used in uses {
                        *self.uses.entry(used.domain.to_string()).or_default() += used.hits;
                    }
                }
                Command::FindDue { now, limit } => self.looked.push((now, limit)),
                Command::Claim { id, domain, due, next } => {
                    self.acts.push_back(Act::Claim { id, domain, due, next });
                }
                Command::Settle { domain, settled } => {
                    self.acts.push_back(Act::Settle { domain, settled });
                }
                Command::Discard(rows) => self.discarded += rows.len(),
                Command::Close { link, .. } => self.acts.push_back(Act::Close(link)),
                Command::Health { part, problem } => {
                    match problem {
                        Some(problem) => self.health.insert(part, problem),
                        None => self.health.remove(part),
                    };
                }
                Command::Streams { node, streams, total } => {
                    self.acts.push_back(Act::Streams { node, streams, total });
                }
                Command::Refused(refused) => self.acts.push_back(Act::Refused(refused)),
                Command::Tried { node, number, steps } => {
                    self.acts.push_back(Act::Tried { node, number, steps });
                }
                Command::Event(event) => self.events.push(event),
            }
        }
    }

    #[track_caller]
    pub(crate) fn act(&mut self) -> Act {
        self.acts.pop_front().expect("the router should have done something")
    }

    /// The next act is an attempt.
    #[track_caller]
    pub(crate) fn attempt(&mut self) -> (LinkId, Attempt, Decision) {
        match self.act() {
            Act::Attempt { link, attempt, decision } => (link, attempt, decision),
            other => panic!("no attempt but {other:?}"),
        }
    }

    /// The next act is an attempt of this kind; it stays open.
    #[track_caller]
    pub(crate) fn expect(&mut self, instruction: Instruction, link: LinkId) -> Attempt {
        let (to, attempt, _) = self.attempt();
        assert_eq!((attempt.instruction, to), (instruction, link));
        attempt
    }

    /// The next act is an attempt of this kind, which ends at once.
    #[track_caller]
    pub(crate) fn play(
        &mut self,
        instruction: Instruction,
        link: LinkId,
        ending: Ending,
    ) -> Attempt {
        let attempt = self.expect(instruction, link);
        self.end(link, &attempt, ending);
        attempt
    }

    /// The next act is an insert, which the store does.
    #[track_caller]
    pub(crate) fn insert(&mut self) -> DomainRow {
        let Act::Insert { id, row } = self.act() else { panic!("no insert") };
        self.version += 1;
        let result = InsertResult::Present { version: self.version };
        self.router.handle_inserted(id, result, self.now);
        self.collect();
        row
    }

    /// The next act is an insert that ends so.
    #[track_caller]
    pub(crate) fn insert_fails(&mut self, result: InsertResult) {
        let Act::Insert { id, .. } = self.act() else { panic!("no insert") };
        self.router.handle_inserted(id, result, self.now);
        self.collect();
    }

    /// The next act is a packet's end.
    #[track_caller]
    pub(crate) fn finished(&mut self) -> Finished {
        match self.act() {
            Act::Finished(finished) => *finished,
            other => panic!("no end but {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn frame_to(&mut self, link: LinkId) -> FromRouter {
        match self.act() {
            Act::Frame { link: to, frame } if to == link => frame,
            other => panic!("no frame to {link:?} but {other:?}"),
        }
    }

    /// The next frame that tells a manager of what did not arrive; other acts before it are dropped.
    pub(crate) fn undelivered(&mut self) -> Option<FromRouter> {
        while let Some(act) = self.acts.pop_front() {
            if let Act::Frame { frame: frame @ FromRouter::Undelivered { .. }, .. } = act {
                return Some(frame);
            }
        }
        None
    }

    /// The next acts tell everybody that the domain is a SIP domain.
    #[track_caller]
    pub(crate) fn announced(&mut self, name: &str) {
        for _ in 0..self.router.nodes().len() {
            let act = self.act();
            let Act::Frame { frame: FromRouter::Verdict { domain, sip: true, .. }, .. } = act
            else {
                panic!("no verdict but {act:?}");
            };
            assert_eq!(domain.as_str(), name);
        }
    }

    /// Frames that the scene is not about.
    pub(crate) fn forget_frames(&mut self) {
        self.acts.retain(|act| !matches!(act, Act::Frame { .. }));
    }

    #[track_caller]
    pub(crate) fn quiet(&self) {
        assert!(self.acts.is_empty(), "left over: {:?}", self.acts);
    }

    pub(crate) fn acts(&self) -> &VecDeque<Act> {
        &self.acts
    }

    /// A discovery by a SIP user of ours, to its good end.
    #[track_caller]
    pub(crate) fn discover(&mut self, name: &str) -> DomainRow {
        self.discover_after(name, absent())
    }

    /// The same, after XMPP has ended so.
    #[track_caller]
    pub(crate) fn discover_after(&mut self, name: &str, xmpp: Ending) -> DomainRow {
        let packet = self.sip_out(name);
        self.submit(SIP, packet);
        self.play(Instruction::Reach, XMPP, xmpp);
        self.play(Instruction::Discover, SIP, delivered(Protocol::Sip));
        let row = self.insert();
        self.announced(name);
        assert!(is_delivered(&self.finished()));
        row
    }

    /// A message of a local XMPP user.
    pub(crate) fn xmpp_out(&mut self, to: &str) -> Packet {
        self.packet(Direction::Outbound, Protocol::Xmpp, "romeo@corp.example", to)
    }

    /// A message of a local SIP user.
    pub(crate) fn sip_out(&mut self, to: &str) -> Packet {
        self.packet(Direction::Outbound, Protocol::Sip, "alice@corp.example", to)
    }

    /// A message by SIP to a local user.
    pub(crate) fn sip_in(&mut self, from: &str) -> Packet {
        self.packet(Direction::Inbound, Protocol::Sip, "romeo@corp.example", from)
    }

    fn packet(&mut self, direction: Direction, by: Protocol, ours: &str, theirs: &str) -> Packet {
        let ours = Address::from_jid(ours).unwrap();
        let theirs = Address::from_jid(&format!("bob@{theirs}")).unwrap();
        let (from, to) = match direction {
            Direction::Inbound => (theirs, ours),
            _ => (ours, theirs),
        };
        self.next_packet = self.next_packet.wrapping_add(1);
        let mut id = [0; 16];
        id[0] = self.next_packet;
        let role = if by == Protocol::Sip { Role::SipCm } else { Role::XmppCm };
        let at_us = self.now.unix_us;
        Packet {
            id: PacketId(id),
            conversation: Conversation::between(&from, &to),
            direction,
            from,
            to,
            body: Body::Message(Message {
                id: None,
                thread: None,
                chat: true,
                subjects: Vec::new(),
                bodies: vec![Text { lang: None, text: "hello".into() }],
                html: None,
            }),
            original: Original { protocol: by, bytes: Bytes::from_static(b"as it came") },
            trace: TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 },
            hops: vec![Hop { node: "edge".into(), role, verdict: "submitted".into(), at_us }],
            remaining: Duration::from_secs(32),
            hops_left: MAX_HOPS,
            source: Source::default(),
        }
    }
}

/// The packet as something that only its own protocol understands.
pub(crate) fn opaque(packet: Packet, kind: &str) -> Packet {
    Packet { body: Body::Opaque { kind: kind.into() }, ..packet }
}

/// Leftover outputs fail the scene, and so do packets and spans without an end.
impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.quiet();
        assert_eq!(self.router.in_flight(), 0, "packets without an end");
        assert_eq!(self.spans_open, 0, "spans without an end");
    }
}
