//! The XMPP connection manager as one machine: streams, peers, packets, decisions.
//!
//! The shell calls one `handle_*` for each fact of the world, then takes every
//! [`Core::next_command`], and calls [`Core::handle_timeout`] at [`Core::poll_timeout`].

mod command;
mod settings;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use openfed_proto::link::{FromRouter, Hello};

pub use command::{Command, ConnId, ConnectFailure, Fact, RouterId, Target, TlsSide};
pub use settings::{Limits, Settings, Timing};

use crate::dialback::Secret;

/// Where the core's time and chance come from.
pub struct Start {
    /// Now.
    pub instant: Instant,
    /// The same moment in microseconds since the Unix epoch.
    pub unix_us: u64,
    /// Unpredictable numbers: stream ids, packet ids and fences are made of them.
    pub random: Box<dyn FnMut() -> u64 + Send>,
    /// The secret of the dialback keys, the same on every instance (XEP-0185).
    pub secret: Secret,
}

/// See the head of this file.
pub struct Core {
    settings: Settings,
    start: Start,
    next_conn: u64,
    commands: VecDeque<Command>,
}

impl Core {
    /// A core that knows nobody yet.
    pub fn new(settings: Settings, start: Start) -> Self {
        Self { settings, start, next_conn: 0, commands: VecDeque::new() }
    }

    /// A connection came in on the listening socket; `None`: there is no room, close it.
    pub fn handle_accepted(&mut self, _peer: SocketAddr, _now: Instant) -> Option<ConnId> {
        self.next_conn += 1;
        Some(ConnId(self.next_conn))
    }

    /// [`Command::Connect`] succeeded; `encrypted` if by direct TLS (XEP-0368).
    pub fn handle_connected(&mut self, _conn: ConnId, _encrypted: bool, _now: Instant) {}

    /// [`Command::Connect`] failed.
    pub fn handle_connect_failed(&mut self, _conn: ConnId, _why: ConnectFailure, _now: Instant) {}

    /// Bytes came from a peer.
    pub fn handle_bytes(&mut self, _conn: ConnId, _bytes: &[u8], _now: Instant) {}

    /// [`Command::StartTls`] is done, and whether the handshake succeeded.
    pub fn handle_tls(&mut self, _conn: ConnId, _established: bool, _now: Instant) {}

    /// A connection ended or broke.
    pub fn handle_closed(&mut self, _conn: ConnId, _now: Instant) {}

    /// A link to a router is there, greeted with this.
    pub fn handle_link_up(&mut self, _router: RouterId, _hello: &Hello, _now: Instant) {}

    /// A link is gone.
    pub fn handle_link_down(&mut self, _router: RouterId, _now: Instant) {}

    /// A frame came over a link.
    pub fn handle_frame(&mut self, _router: RouterId, _frame: FromRouter, _now: Instant) {}

    /// The process is to end: nothing new is taken. [`Core::is_idle`] tells when all is answered.
    pub fn handle_leaving(&mut self, _now: Instant) {}

    /// Ends every stream; the last commands of a core.
    pub fn handle_stop(&mut self, _now: Instant) {}

    /// Time has passed; see [`Core::poll_timeout`].
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When [`Core::handle_timeout`] has to be called, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next thing to do.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Whether every packet that came in or was handed over has its ending.
    pub fn is_idle(&self) -> bool {
        true
    }
}
