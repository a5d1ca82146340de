//! The world outside: datagrams between SIP peers and sip-cms, connections between XMPP servers
//! and xmpp-cms.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use openfed_proto::route::Transport;
use sip_cm_core::command::{Arrival, FlowId};
use xmpp_cm_core::core::{Command, ConnId, ConnectFailure, Core, Found, Target};

use super::sip_peer::Note;
use super::xmpp_server::{Act, WireId};
use super::{Event, LOCAL, Sim};

/// A SIP message on its way.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) transport: Transport,
    pub(super) bytes: Bytes,
}

/// A connection between a server and an xmpp-cm.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    server: String,
    cm: usize,
    /// `None` until the xmpp-cm has accepted it.
    conn: Option<ConnId>,
    /// Whether the xmpp-cm reads it, and what came while it does not.
    is_read: bool,
    unread: VecDeque<Bytes>,
    /// Bytes on their way to the server.
    on_way: usize,
}

impl Wire {
    fn new(server: String, cm: usize, conn: Option<ConnId>) -> Self {
        Self { server, cm, conn, is_read: true, unread: VecDeque::new(), on_way: 0 }
    }

    /// What is still on its way to the server, and what the xmpp-cm reads now.
    fn take(&mut self, event: &Event) -> (usize, VecDeque<Bytes>) {
        match event {
            Event::BytesToServer(_, bytes) => self.on_way -= bytes.len(),
            Event::BytesToCm(_, bytes) => self.unread.push_back(bytes.clone()),
            // Who closes has said everything before.
            Event::ClosedAtCm(_) => self.is_read = true,
            _ => {}
        }
        let read = if self.is_read { std::mem::take(&mut self.unread) } else { VecDeque::new() };
        (self.on_way, read)
    }
}

impl Sim {
    /// The sip-cm that a peer sends a conversation to.
    pub(super) fn sip_cm_for(&self, note: &Note) -> SocketAddr {
        let sum: usize = note.from.bytes().chain(note.to.bytes()).map(usize::from).sum();
        let alive: Vec<SocketAddr> =
            self.sips.iter().filter(|it| !it.is_dead).map(|it| it.address).collect();
        *alive.get(sum % alive.len().max(1)).unwrap_or(&self.sips[0].address)
    }

    pub(super) fn send(&mut self, datagram: Datagram) {
        if datagram.transport == Transport::Udp && self.chance.happens(self.loss) {
            self.seen.lost += 1;
            return;
        }
        self.agenda.plan(self.now + self.latency, Event::Datagram(datagram));
    }

    pub(super) fn deliver(&mut self, datagram: Datagram) {
        let Datagram { from, to, transport, bytes } = datagram;
        let now = self.now;
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.datagram(from, bytes, now);
        } else if let Some(node) = self.sips.iter_mut().find(|node| node.address == to) {
            let arrival = Arrival { source: from, transport, flow: FlowId(1) };
            node.if_alive(|core, now| core.handle_datagram(bytes, arrival, now), now);
        }
    }

    /// Takes what peers and servers want to have done.
    pub(super) fn settle_outside(&mut self) {
        let mut sent = Vec::new();
        for peer in self.peers.values_mut() {
            let from = peer.address;
            sent.extend(peer.take_out().into_iter().map(|(to, bytes)| Datagram {
                from,
                to,
                transport: Transport::Udp,
                bytes,
            }));
        }
        sent.into_iter().for_each(|datagram| self.send(datagram));
        let now = self.now;
        let mut acts = Vec::new();
        for (name, server) in &mut self.servers {
            acts.extend(server.take_acts(now).into_iter().map(|act| (name.clone(), act)));
        }
        acts.into_iter().for_each(|(server, act)| self.act(server, act));
    }

    fn act(&mut self, server: String, act: Act) {
        let at = self.now + self.latency;
        match act {
            Act::Dial(wire) => {
                let alive = self.xmpps.iter().position(|node| !node.is_dead);
                self.wires.insert(wire, Wire::new(server, alive.unwrap_or_default(), None));
                self.agenda.plan(at, Event::ConnectedToCm(wire));
            }
            Act::Bytes(wire, bytes) => self.agenda.plan(at, Event::BytesToCm(wire, bytes)),
            Act::HangUp(wire) => self.agenda.plan(at, Event::ClosedAtCm(wire)),
        }
    }

    fn wire_of(&self, cm: usize, conn: ConnId) -> Option<WireId> {
        let is_it = |wire: &Wire| wire.cm == cm && wire.conn == Some(conn);
        self.wires.iter().find(|(_, wire)| is_it(wire)).map(|(id, _)| *id)
    }

    /// What an xmpp-cm wants to have done with its connections.
    pub(super) fn obey_on_wire(&mut self, cm: usize, command: Command) {
        let at = self.now + self.latency;
        match command {
            Command::Connect { conn, target, .. } => self.connect(cm, conn, &target),
            Command::Transmit { conn, bytes } => {
                if let Some(id) = self.wire_of(cm, conn) {
                    self.wires.entry(id).and_modify(|wire| wire.on_way += bytes.len());
                    self.agenda.plan(at, Event::BytesToServer(id, bytes));
                }
            }
            // The handshake itself is not simulated: it succeeds, and takes no time.
            Command::StartTls { conn, .. } => {
                self.xmpps[cm].core.handle_tls(conn, true, None, self.now);
            }
            Command::Mark { conn, mark } => self.xmpps[cm].core.handle_written(conn, mark),
            Command::Close { conn } => {
                if let Some(wire) = self.wire_of(cm, conn) {
                    self.agenda.plan(at, Event::ClosedAtServer(wire));
                }
            }
            Command::Read { conn, on } => {
                if let Some(id) = self.wire_of(cm, conn) {
                    self.seen.held += usize::from(!on);
                    self.wires.entry(id).and_modify(|wire| wire.is_read = on);
                    self.agenda.plan(self.now, Event::BytesToCm(id, Bytes::new()));
                }
            }
            Command::ToRouter { .. } | Command::Listen(_) | Command::Note(_) => {}
        }
    }

    fn connect(&mut self, cm: usize, conn: ConnId, target: &Target) {
        let (Target::Home(domain) | Target::Foreign(domain)) = target;
        let name = domain.as_str().to_owned();
        *self.seen.connects.entry(name.clone()).or_default() += 1;
        self.next_serial += 1;
        let wire = WireId(self.next_serial);
        self.wires.insert(wire, Wire::new(name.clone(), cm, Some(conn)));
        let at = self.now + self.latency;
        match self.dns.get(&name) {
            Some(Some(why)) => self.agenda.plan(at, Event::ConnectFailed(wire, *why)),
            Some(None) => {}
            None if self.servers.contains_key(&name) => {
                self.agenda.plan(at, Event::ConnectedToServer(wire));
            }
            None => self.agenda.plan(at, Event::ConnectFailed(wire, ConnectFailure::NotFound)),
        }
    }

    pub(super) fn happen_on_wire(&mut self, event: Event) {
        let (Event::ConnectedToServer(id)
        | Event::ConnectFailed(id, _)
        | Event::ConnectedToCm(id)
        | Event::BytesToServer(id, _)
        | Event::BytesToCm(id, _)
        | Event::ClosedAtServer(id)
        | Event::ClosedAtCm(id)) = &event
        else {
            return;
        };
        let id = *id;
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let (server, cm, conn) = (wire.server.clone(), wire.cm, wire.conn);
        let (on_way, read) = wire.take(&event);
        let now = self.now;
        let node = &mut self.xmpps[cm];
        if let (Event::ConnectFailed(_, why), Some(conn)) = (&event, conn) {
            self.wires.remove(&id);
            return node.if_alive(|core, now| core.handle_connect_failed(conn, *why, now), now);
        }
        let Some(server) = self.servers.get_mut(&server) else { return };
        let take = |core: &mut Core, conn, now| {
            read.iter().for_each(|bytes| core.handle_bytes(conn, bytes, now));
        };
        match (event, conn) {
            (Event::ConnectedToServer(_), Some(conn)) => {
                server.accept(id, now);
                node.if_alive(|core, now| connected(core, conn, now), now);
            }
            (Event::ConnectedToCm(_), None) => {
                let peer = "192.0.2.1:40000".parse().expect("an address");
                let core = Some(node).filter(|node| !node.is_dead).map(|node| &mut node.core);
                match core.and_then(|core| core.handle_accepted(peer, now)) {
                    None => self.forget_wire(id),
                    conn => {
                        server.connected(id, now);
                        self.wires.entry(id).and_modify(|wire| wire.conn = conn);
                    }
                }
            }
            (Event::BytesToServer(_, bytes), conn) => {
                server.bytes(id, &bytes, now);
                let confirm = |core: &mut Core, now| {
                    conn.into_iter().for_each(|conn| core.handle_unconfirmed(conn, on_way, now));
                };
                node.if_alive(confirm, now);
            }
            (Event::BytesToCm(..), Some(conn)) => {
                node.if_alive(|core, now| take(core, conn, now), now)
            }
            (Event::ClosedAtServer(_), _) => self.forget_wire(id),
            (Event::ClosedAtCm(_), Some(conn)) => {
                node.if_alive(|core, now| take(core, conn, now), now);
                node.if_alive(|core, now| core.handle_closed(conn, 0, now), now);
                self.wires.remove(&id);
            }
            _ => {}
        }
    }

    /// The server's end of a connection is over.
    fn forget_wire(&mut self, id: WireId) {
        let Some(wire) = self.wires.remove(&id) else { return };
        let now = self.now;
        self.servers.get_mut(&wire.server).into_iter().for_each(|server| server.closed(id, now));
    }

    pub(super) fn close_wires_of(&mut self, cm: usize) {
        let at = self.now + self.latency;
        for (id, _) in self.wires.iter().filter(|(_, wire)| wire.cm == cm) {
            self.agenda.plan(at, Event::ClosedAtServer(*id));
        }
    }

    /// The connections that xmpp-cms made to a server break, and no new one comes about.
    pub fn lose_way_to(&mut self, name: &str, why: ConnectFailure) {
        self.dns.insert(name.to_owned(), Some(why));
        let at = self.now + self.latency;
        // Servers number their own from here on.
        let ours = self.wires.range(..WireId(1 << 32)).filter(|(_, wire)| wire.server == name);
        for (id, _) in ours {
            self.agenda.plan(at, Event::ClosedAtCm(*id));
        }
    }

    /// Every connection of the home server breaks, and no new one comes about.
    pub fn lose_home(&mut self, why: ConnectFailure) {
        self.dns.insert(LOCAL.to_owned(), Some(why));
        let at = self.now + self.latency;
        for (id, _) in self.wires.iter().filter(|(_, wire)| wire.server == LOCAL) {
            self.agenda.plan(at, Event::ClosedAtCm(*id));
        }
    }
}

fn connected(core: &mut Core, conn: ConnId, now: Instant) {
    core.handle_connected(conn, false, Found::default(), now);
}
