//! The services: a core each, and what its shell would do.

use std::time::{Duration, Instant};

use openfed_proto::link::{FromCm, FromRouter, Hello};
use openfed_proto::packet::Role;
use openfed_proto::route::Transport;
use sip_cm_core::command::Command as SipCommand;
use sip_cm_core::config::Listener;
use sip_cm_core::core::Core as SipCore;
use sip_cm_core::random::Random;
use xcp_router_core::{Command as RouterCommand, Now, Router};
use xmpp_cm_core::core::{Command as XmppCommand, Core as XmppCore, Settings, Start};
use xmpp_cm_core::dialback::Secret;

use super::chance::Chance;
use super::links::Cm;
use super::network::Datagram;
use super::store::Insert;
use super::{Event, LOCAL, Node, Sim, domain, socket};

/// Wall time at the beginning.
pub(super) const UNIX_US: u64 = 1_700_000_000_000_000;

/// A router.
pub(super) struct RouterNode {
    pub(super) core: Router,
    pub(super) is_dead: bool,
}

impl RouterNode {
    pub(super) fn new(number: usize, chance: &mut Chance) -> Self {
        let mut config = xcp_router_core::Config::new(name("router", number), vec![domain(LOCAL)]);
        config.seed = chance.next();
        // Scenes discover many domains from one place.
        config.rows_per_second = 1_000;
        config.rows_per_source = 1_000;
        Self { core: Router::new(config), is_dead: false }
    }

    pub(super) fn if_alive(&mut self, fact: impl FnOnce(&mut Router, Now), now: Now) {
        if !self.is_dead {
            fact(&mut self.core, now);
        }
    }
}

/// A sip-cm.
pub(super) struct SipNode {
    pub(super) core: SipCore,
    pub(super) address: std::net::SocketAddr,
    pub(super) is_dead: bool,
}

impl SipNode {
    pub(super) fn new(number: usize, chance: &mut Chance, now: Instant) -> Self {
        let address = socket(&format!("10.0.0.{}:5060", number + 1));
        let host = sip_cm_core::uri::Host::parse(&address.ip().to_string().into()).expect("a host");
        let reached = address.ip();
        let advertised = (host, 5060);
        let listener =
            |transport| Listener { transport, address, reached, advertised: advertised.clone() };
        let config = sip_cm_core::config::Config {
            node: name("sip-cm", number),
            local: vec![domain(LOCAL)],
            listeners: vec![listener(Transport::Udp), listener(Transport::Tcp)],
            trusted: sip_cm_core::config::Trusted::new(|ip| ip.to_string().starts_with("10.1.")),
            intradomain: false,
            without_gr: Vec::new(),
            capacity: 4_096,
            max_transactions: 100_000,
            max_requests: 50_000,
        };
        let mut chance = chance.fork();
        let core = SipCore::new(config, Random::new(move || chance.next()), now, UNIX_US);
        Self { core, address, is_dead: false }
    }

    pub(super) fn if_alive(&mut self, fact: impl FnOnce(&mut SipCore, Instant), now: Instant) {
        if !self.is_dead {
            fact(&mut self.core, now);
        }
    }
}

/// An xmpp-cm.
pub(super) struct XmppNode {
    pub(super) core: XmppCore,
    pub(super) is_dead: bool,
}

impl XmppNode {
    pub(super) fn new(number: usize, chance: &mut Chance, now: Instant) -> Self {
        let mut settings = Settings::new(name("xmpp-cm", number), [domain(LOCAL)]);
        settings.identity = true;
        let mut chance = chance.fork();
        let start = Start {
            instant: now,
            unix_us: UNIX_US,
            random: Box::new(move || chance.next()),
            secret: Secret::new(b"the secret that all instances share"),
        };
        Self { core: XmppCore::new(settings, start), is_dead: false }
    }

    pub(super) fn if_alive(&mut self, fact: impl FnOnce(&mut XmppCore, Instant), now: Instant) {
        if !self.is_dead {
            fact(&mut self.core, now);
        }
    }
}

/// What a service says first on a link.
pub(super) fn hello(node: Node) -> Hello {
    let (role, node, capacity) = match node {
        Node::Cm(Cm::Sip(n)) => (Role::SipCm, name("sip-cm", n), 4_096),
        Node::Cm(Cm::Xmpp(n)) => (Role::XmppCm, name("xmpp-cm", n), 8_192),
        Node::Router(n) => (Role::Router, name("router", n), 4_096),
    };
    Hello { role, node, epoch: 1, capacity, version: "simulated".to_owned() }
}

fn name(role: &str, number: usize) -> String {
    format!("{role}-{number}")
}

impl Sim {
    /// When something happens next.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let routers = self.routers.iter().filter(|it| !it.is_dead);
        let sips = self.sips.iter().filter(|it| !it.is_dead);
        let xmpps = self.xmpps.iter().filter(|it| !it.is_dead);
        let timers = routers
            .filter_map(|it| it.core.poll_timeout())
            .chain(sips.filter_map(|it| it.core.poll_timeout()))
            .chain(xmpps.filter_map(|it| it.core.poll_timeout()))
            .chain(self.peers.values().filter_map(super::SipPeer::poll_timeout))
            .chain(self.servers.values().filter_map(super::XmppServer::poll_timeout));
        timers.chain(self.agenda.next_at()).min()
    }

    /// Everybody looks at the clock.
    pub(super) fn tick(&mut self) {
        let (now, both) = (self.now, self.both_clocks());
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        for node in self.routers.iter_mut().filter(|it| is_due(it.core.poll_timeout())) {
            node.if_alive(Router::handle_timeout, both);
        }
        for node in self.sips.iter_mut().filter(|it| is_due(it.core.poll_timeout())) {
            node.if_alive(SipCore::handle_timeout, now);
        }
        for node in self.xmpps.iter_mut().filter(|it| is_due(it.core.poll_timeout())) {
            node.if_alive(XmppCore::handle_timeout, now);
        }
        self.peers.values_mut().for_each(|peer| peer.handle_timeout(now));
        self.servers.values_mut().for_each(|server| server.handle_timeout(now));
    }

    /// Takes what everybody wants to have done, until nobody wants anything.
    pub(super) fn settle(&mut self) {
        for n in 0..self.routers.len() {
            while let Some(command) = self.routers[n].core.next_command() {
                self.obey_router(n, command);
            }
        }
        for n in 0..self.sips.len() {
            while let Some(command) = self.sips[n].core.next_command() {
                self.obey_sip(n, command);
            }
        }
        for n in 0..self.xmpps.len() {
            while let Some(command) = self.xmpps[n].core.next_command() {
                self.obey_xmpp(n, command);
            }
        }
        self.settle_outside();
    }

    fn obey_router(&mut self, router: usize, command: RouterCommand) {
        match command {
            RouterCommand::Send { link, frame } => self.send_to_cm(link.0, frame),
            RouterCommand::Attempt { link, attempt, .. } => {
                self.send_to_cm(link.0, FromRouter::Attempt(attempt));
            }
            RouterCommand::Finished(finished) => {
                if let Some(link) = finished.link {
                    self.send_to_cm(link.0, FromRouter::Outcome(finished.outcome));
                }
            }
            RouterCommand::Insert { id, row, cap } => {
                let at = self.now + self.store.latency;
                self.agenda.plan(at, Event::StoreInsert(Insert { router, id, row }, cap));
            }
            RouterCommand::FindDue { .. }
            | RouterCommand::Claim { .. }
            | RouterCommand::Settle { .. } => {
                self.agenda.plan(
                    self.now + self.store.latency,
                    Event::Question(router, Box::new(command)),
                );
            }
            RouterCommand::Close { link, .. } => self.break_link(link.0),
            RouterCommand::AttemptOver { .. }
            | RouterCommand::Refused(_)
            | RouterCommand::Touch(_)
            | RouterCommand::Discard(_)
            | RouterCommand::Health { .. }
            | RouterCommand::Streams { .. }
            | RouterCommand::Tried { .. }
            | RouterCommand::Event(_) => {}
        }
    }

    fn obey_sip(&mut self, cm: usize, command: SipCommand) {
        match command {
            SipCommand::Send(send) | SipCommand::TurnAway(send) => {
                let is_reliable = send.to.transport != Transport::Udp;
                if is_reliable && !self.peers.contains_key(&send.to.address) {
                    let at = self.now + self.latency;
                    return self.agenda.plan(at, Event::SendFailed(cm, send.token));
                }
                let (from, to) = (self.sips[cm].address, send.to.address);
                self.send(Datagram { from, to, transport: send.to.transport, bytes: send.bytes });
            }
            // Scenes name next hops by their addresses.
            SipCommand::Resolve { token, .. } => {
                self.sips[cm].core.handle_resolved(token, Vec::new(), self.now);
            }
            SipCommand::ToRouter { router, frame, .. } => self.send_to_router(router.0, *frame),
            SipCommand::Suspect { .. } | SipCommand::Fact(_) => {}
        }
    }

    fn obey_xmpp(&mut self, cm: usize, command: XmppCommand) {
        match command {
            XmppCommand::ToRouter { router, frame } => self.send_to_router(router.0, frame),
            XmppCommand::Listen(_) | XmppCommand::Note(_) => {}
            command => self.obey_on_wire(cm, command),
        }
    }

    /// A service does nothing any more.
    pub(super) fn set_dead(&mut self, node: Node) {
        match node {
            Node::Cm(Cm::Sip(n)) => self.sips[n].is_dead = true,
            Node::Cm(Cm::Xmpp(n)) => self.xmpps[n].is_dead = true,
            Node::Router(n) => self.routers[n].is_dead = true,
        }
    }

    /// It is dead, and everybody who was connected with it gets to know.
    pub(super) fn kill(&mut self, node: Node) {
        self.set_dead(node);
        self.unplug(node);
        if let Node::Cm(Cm::Xmpp(n)) = node {
            self.close_wires_of(n);
        }
    }

    /// It is told to end, and no longer takes new work.
    pub(super) fn drain(&mut self, node: Node, grace: Duration) {
        let now = self.both_clocks();
        match node {
            Node::Router(n) => self.routers[n].core.handle_shutdown(grace, now),
            Node::Cm(Cm::Sip(n)) => self.sips[n].core.handle_draining(grace, self.now),
            Node::Cm(Cm::Xmpp(n)) => {
                self.xmpps[n].core.handle_leaving();
                for serial in self.links_of(node) {
                    self.send_to_router(serial, FromCm::Leaving(grace));
                }
            }
        }
    }
}
