//! The system simulated: the three real cores in one thread under one clock, without I/O.
//!
//! ```text
//!  SIP peers ══datagrams══ sip-cms ══links══ routers ══ the stand-in of the store
//!                                              ║
//!  XMPP servers ════connections════ xmpp-cms ══╝
//! ```
//! Every arrow has a latency; datagrams can be lost, links cut and mended, services killed or hung.
//! A scene plans what people write and what breaks ([`Sim::at`]), lets time pass ([`Sim::pass`]),
//! and looks at what arrived and what was answered. The same seed gives the same run.

pub mod agenda;
pub mod chance;
mod links;
mod network;
mod nodes;
pub mod sip_peer;
pub mod store;
pub mod xmpp_server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use openfed_proto::domain::Domain;
use openfed_proto::finding::Ground;
use openfed_proto::link::{FromCm, FromRouter};
use openfed_proto::packet::PacketId;
use openfed_proto::route::{Pattern, StaticRoute, Transport};
use xcp_router_core::{Command as RouterCommand, InsertResult, Now, StoreFact, TableChange};
use xmpp_cm_core::core::ConnectFailure;

use agenda::Agenda;
use chance::Chance;
use links::Cable;
use network::{Datagram, Wire};
use nodes::{RouterNode, SipNode, XmppNode};
use sip_peer::{Note, SipPeer};
use store::{Insert, Keeps, StoreStandIn};
use xmpp_server::{WireId, XmppServer};

pub use links::Cm;

/// The next hop of the open route.
pub const NEXT_HOP: &str = "192.0.2.20:5060";
/// A SIP user agent of the organisation: its address is trusted.
pub const OFFICE: &str = "10.1.0.10:5060";
/// The domain whose users are ours.
pub const LOCAL: &str = "corp.example";

/// What a simulation consists of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// All chance follows from it.
    pub seed: u64,
    /// How many of each service.
    pub sip_cms: usize,
    /// How many of each service.
    pub xmpp_cms: usize,
    /// How many of each service.
    pub routers: usize,
    /// Datagrams lost, of a thousand, in each direction.
    pub loss: u64,
    /// Whether the open route is open.
    pub open: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { seed: 1, sip_cms: 1, xmpp_cms: 1, routers: 1, loss: 0, open: true }
    }
}

/// Something that a scene plans.
#[derive(Clone, Debug)]
pub enum Step {
    /// A SIP peer sends a MESSAGE.
    Sip(&'static str, Note),
    /// A user of that XMPP server writes a message.
    Xmpp(&'static str, Note),
    /// A link breaks: what is in flight is lost. It comes back after this time.
    Cut(Cm, usize, Duration),
    /// The store stops answering, or answers again.
    Store(bool),
    /// What the store does from now on with rows that it is to keep.
    Keeps(Keeps),
    /// From now on looking up and connecting to this domain fails so (`None`: never ends), or does
    /// what it does without a fault.
    Dns(String, Option<Option<ConnectFailure>>),
    /// The store has only so many of the oldest changes, and the routers read it anew.
    GoBack(usize),
    /// The operator changes a table.
    Change(TableChange),
    /// A service ends without a word; its links and connections break.
    Kill(Node),
    /// A service stops doing anything; its links and connections stay.
    Hang(Node),
    /// A service is told to end within this time.
    Drain(Node, Duration),
}

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A connection manager.
    Cm(Cm),
    /// A router.
    Router(usize),
}

/// What happens later.
#[derive(Debug)]
enum Event {
    Step(Box<Step>),
    Datagram(Datagram),
    SendFailed(usize, sip_cm_core::command::Token),
    Dial(usize),
    CmUp { cable: usize, serial: u64 },
    ToRouter { cable: usize, serial: u64, frame: Box<FromCm> },
    ToCm { cable: usize, serial: u64, frame: Box<FromRouter> },
    CmNotices { cable: usize, serial: u64 },
    RouterNotices { cable: usize, serial: u64 },
    StoreInsert(Insert, u64),
    Inserted(Insert, InsertResult),
    Question(usize, Box<RouterCommand>),
    Due(usize, Vec<(Domain, Ground)>),
    Claimed(usize, PacketId, bool),
    StoreNews(usize, StoreFact),
    ConnectedToServer(WireId),
    ConnectFailed(WireId, ConnectFailure),
    ConnectedToCm(WireId),
    BytesToServer(WireId, bytes::Bytes),
    BytesToCm(WireId, bytes::Bytes),
    ClosedAtServer(WireId),
    ClosedAtCm(WireId),
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Packets and attempts on links, both ways, and their endings.
    pub frames: usize,
    /// Connections that xmpp-cms wanted, by domain.
    pub connects: BTreeMap<String, usize>,
    /// Datagrams that were lost.
    pub lost: usize,
    /// Frames that were lost in cut links.
    pub cut: usize,
    /// Times that an xmpp-cm stopped reading a connection.
    pub held: usize,
}

/// See the head of this file.
pub struct Sim {
    /// Now.
    pub now: Instant,
    /// When it began.
    pub began: Instant,
    /// What was counted.
    pub seen: Seen,
    /// The store.
    pub store: StoreStandIn,
    /// How long a frame, a datagram, a byte takes.
    pub latency: Duration,
    /// What looking up and connecting to a domain gives, where it fails otherwise than with
    /// NXDOMAIN; `None`: no answer at all.
    pub dns: BTreeMap<String, Option<ConnectFailure>>,
    loss: u64,
    chance: Chance,
    agenda: Agenda<Event>,
    routers: Vec<RouterNode>,
    sips: Vec<SipNode>,
    xmpps: Vec<XmppNode>,
    cables: Vec<Cable>,
    peers: BTreeMap<SocketAddr, SipPeer>,
    servers: BTreeMap<String, XmppServer>,
    wires: BTreeMap<WireId, Wire>,
    next_serial: u64,
}

impl Sim {
    /// Services that are linked and have read the store; [`NEXT_HOP`], [`OFFICE`] and the home
    /// server of [`LOCAL`] are there, nobody else.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let mut chance = Chance::new(plan.seed);
        // Only a beginning: time moves by hand from here on.
        let began = Instant::now();
        let open = if plan.open { vec![open_route()] } else { vec![StaticRoute::predefined()] };
        let mut sim = Self {
            now: began,
            began,
            seen: Seen::default(),
            store: StoreStandIn::new(open),
            latency: Duration::from_millis(1),
            dns: BTreeMap::new(),
            loss: plan.loss,
            agenda: Agenda::default(),
            routers: (0..plan.routers).map(|n| RouterNode::new(n, &mut chance)).collect(),
            sips: (0..plan.sip_cms).map(|n| SipNode::new(n, &mut chance, began)).collect(),
            xmpps: (0..plan.xmpp_cms).map(|n| XmppNode::new(n, &mut chance, began)).collect(),
            cables: Vec::new(),
            peers: BTreeMap::new(),
            servers: BTreeMap::new(),
            wires: BTreeMap::new(),
            next_serial: 0,
            chance,
        };
        for address in [NEXT_HOP, OFFICE] {
            sim.add_peer(address);
        }
        sim.add_server(LOCAL);
        for router in 0..plan.routers {
            let snapshot = sim.store.snapshot();
            sim.agenda.plan(began, Event::StoreNews(router, snapshot));
        }
        sim.lay_cables();
        sim.pass(Duration::from_millis(200));
        sim.seen = Seen::default();
        sim
    }

    /// A SIP peer at this address.
    pub fn add_peer(&mut self, address: &str) {
        let address = socket(address);
        self.peers.insert(address, SipPeer::new(address));
    }

    /// An XMPP server for this domain, which DNS leads to.
    pub fn add_server(&mut self, name: &str) {
        let number = self.servers.len();
        let server = XmppServer::new(name, number, self.chance.fork());
        self.servers.insert(name.to_owned(), server);
    }

    /// The SIP peer at this address.
    pub fn peer(&mut self, address: &str) -> &mut SipPeer {
        self.peers.get_mut(&socket(address)).expect("a peer of the simulation")
    }

    /// The XMPP server of this domain.
    pub fn server(&mut self, name: &str) -> &mut XmppServer {
        self.servers.get_mut(name).expect("a server of the simulation")
    }

    /// The home server.
    pub fn home(&mut self) -> &mut XmppServer {
        self.server(LOCAL)
    }

    /// Plans a step, so long from now.
    pub fn at(&mut self, later: Duration, step: Step) {
        self.agenda.plan(self.now + later, Event::Step(Box::new(step)));
    }

    /// Does a step now, and what follows at once.
    pub fn step(&mut self, step: Step) {
        self.take(step);
        self.settle();
    }

    /// Time passes, and everything that it brings about happens at its time.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        self.settle();
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            while let Some(event) = self.agenda.take_due(self.now) {
                self.happen(event);
                self.settle();
            }
            self.tick();
            self.settle();
        }
        self.now = until;
    }

    /// How long it runs.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.now - self.began
    }

    /// Packets and requests without an ending, in all services.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        let routers: usize = self.routers.iter().map(|node| node.core.in_flight()).sum();
        let sips = self.sips.iter().filter(|node| !node.core.is_idle()).count();
        let xmpps = self.xmpps.iter().filter(|node| !node.core.is_idle()).count();
        routers + sips + xmpps
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Sip(peer, note) => {
                let towards = self.sip_cm_for(&note);
                let now = self.now;
                self.peer(peer).say(note, towards, now);
            }
            Step::Xmpp(server, note) => self.server(server).say(&note),
            Step::Cut(cm, router, time) => self.cut(cm, router, time),
            Step::Store(is_up) => self.switch_store(is_up),
            Step::Keeps(keeps) => self.store.keeps = keeps,
            Step::Dns(name, Some(fault)) => drop(self.dns.insert(name, fault)),
            Step::Dns(name, None) => drop(self.dns.remove(&name)),
            Step::GoBack(kept) => self.go_back(kept),
            Step::Change(change) => {
                self.store.change(change);
                self.tell_news();
            }
            Step::Kill(node) => self.kill(node),
            Step::Hang(node) => self.set_dead(node),
            Step::Drain(node, grace) => self.drain(node, grace),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Step(step) => self.take(*step),
            Event::Datagram(datagram) => self.deliver(datagram),
            Event::SendFailed(cm, token) => {
                let node = &mut self.sips[cm];
                node.if_alive(|core, now| core.handle_send_failed(token, now), self.now);
            }
            Event::Dial(cable) => self.dial(cable),
            Event::CmUp { cable, serial } => self.cm_up(cable, serial),
            Event::ToRouter { cable, serial, frame } => {
                self.arrive_at_router(cable, serial, *frame)
            }
            Event::ToCm { cable, serial, frame } => self.arrive_at_cm(cable, serial, *frame),
            Event::CmNotices { cable, serial } => self.cm_notices(cable, serial),
            Event::RouterNotices { cable, serial } => self.router_notices(cable, serial),
            Event::StoreInsert(insert, cap) => self.store_insert(insert, cap),
            Event::Inserted(insert, result) => {
                let now = self.both_clocks();
                let router = &mut self.routers[insert.router];
                router.if_alive(|core, now| core.handle_inserted(insert.id, result, now), now);
            }
            Event::StoreNews(router, fact) => {
                let now = self.both_clocks();
                self.routers[router].if_alive(|core, now| core.handle_store(fact, now), now);
            }
            event @ (Event::Question(..) | Event::Due(..) | Event::Claimed(..)) => {
                self.happen_at_store(event);
            }
            event => self.happen_on_wire(event),
        }
    }

    /// Both clocks at once.
    fn both_clocks(&self) -> Now {
        let passed = u64::try_from(self.age().as_micros()).unwrap_or(u64::MAX);
        Now { instant: self.now, unix_us: nodes::UNIX_US + passed }
    }
}

/// The open route, unblocked, towards [`NEXT_HOP`] over UDP.
#[must_use]
pub fn open_route() -> StaticRoute {
    let next_hop = socket(NEXT_HOP);
    StaticRoute {
        port: next_hop.port(),
        transport: Transport::Udp,
        ..StaticRoute::new(Pattern::Open, next_hop.ip().to_string())
    }
}

/// A domain by its name.
#[must_use]
pub fn domain(name: &str) -> Domain {
    Domain::parse(name).expect("a domain")
}

fn socket(address: &str) -> SocketAddr {
    address.parse().expect("an address with a port")
}
