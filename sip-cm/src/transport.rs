//! Sockets: UDP, TCP and TLS, in and out, as one stream of [`Event`]s and one [`Transports::send`].
//!
//! ```text
//! UDP socket ─┐ parse, mark source              ┌─▶ same UDP socket
//! TCP, TLS ───┴──▶ Event::Arrived ─▶ engine ─▶ send ─┼─▶ the flow it came on
//!                  (two bounded lanes)          └─▶ a connection by (transport, address, name)
//! ```
//! What comes by a proxy is its client's from here on, and answers go back by the proxy.
//! The engine never waits here: `send` queues or refuses. What cannot be read is answered or
//! counted here; the engine sees sound messages only. When the engine is behind, datagrams are
//! dropped and counted (their senders repeat them), streams are no longer read.

mod accept;
mod aside;
mod dial;
mod flows;
mod fronted;
mod lanes;
pub(crate) mod source;
mod stream;
mod udp;

#[cfg(test)]
mod tests;

use crate::tls::TlsConfigs;
use aside::Aside;
use bytes::Bytes;
use flows::Flows;
pub use lanes::Events;
use lanes::lanes;
use openfed_node::listening;
use openfed_node::proxy::Proxies;
use openfed_node::settings::Listen;
use openfed_proto::route::Transport;
use rustls::ClientConfig;
use sip_cm_core::command::{FlowId, Hop, Send, Token};
use sip_cm_core::wire::{Message, Rejected};
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use udp::UdpListener;

/// What is allowed, and how long it may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Events that may wait for the engine, in each lane.
    pub events: usize,
    /// Connections in both directions together.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_source: usize,
    /// Messages that may wait for one connection to take them.
    pub queue: usize,
    /// For a TCP connect, and again for a TLS handshake.
    pub connect: Duration,
    /// From the first byte of a message to its last.
    pub message: Duration,
    /// For the peer to take what is written.
    pub write: Duration,
    /// After which a connection that carries nothing is closed.
    pub idle: Duration,
    /// Silence after which we ping on connections that we opened (RFC 5626 §4.4.1).
    pub ping: Duration,
    /// Kernel buffer of each UDP socket in bytes, as far as the system allows.
    pub udp_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: 8192,
            connections: 8192,
            connections_per_source: 256,
            queue: 1024,
            // A third of what the 32 s of a transaction leave for three next hops.
            connect: Duration::from_secs(4),
            message: Duration::from_secs(20),
            write: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            ping: Duration::from_secs(95),
            udp_buffer: 4 << 20,
        }
    }
}

/// A sound message from the wire.
#[derive(Debug)]
pub struct Arrived {
    /// A request has its source marked in its top Via already (RFC 3261 §18.2.1, RFC 3581).
    pub message: Message,
    /// The address it came from.
    pub source: SocketAddr,
    /// How it came.
    pub transport: Transport,
    /// The connection it came on; for UDP the listening address.
    pub flow: FlowId,
    /// When it was read.
    pub at: Instant,
}

/// A datagram that nobody has read yet.
#[derive(Debug)]
pub struct Unread {
    /// All of it.
    pub bytes: Bytes,
    /// The address it came from.
    pub source: SocketAddr,
    /// The listening address.
    pub flow: FlowId,
    /// When it came.
    pub at: Instant,
}

/// What the sockets tell the engine.
#[derive(Debug)]
pub enum Event {
    /// A message came.
    Arrived(Box<Arrived>),
    /// A datagram came while the engine is behind: if it is not turned away, [`Transports::read`]
    /// makes a message of it.
    Unread(Unread),
    /// A message that [`Transports::send`] had taken did not get out.
    SendFailed {
        /// Of the [`Send`].
        token: Token,
        /// Why.
        error: SendError,
    },
    /// A connection is gone.
    Closed {
        /// Which; its number is not used again.
        flow: FlowId,
    },
}

/// Why a message did not get out. Except for [`SendError::NoSocket`], the next hop's fault or the
/// network's: another address may be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing listens on UDP in the destination's address family, so nothing can be sent.
    #[error("no UDP socket for this address family")]
    NoSocket,
    /// The peer takes less than it is sent: its queue, or the kernel's buffer, is full.
    #[error("peer too slow")]
    Busy,
    /// As many connections as allowed.
    #[error("too many connections")]
    TooManyConnections,
    /// The next hop's name cannot stand in a certificate.
    #[error("bad TLS name")]
    BadName,
    /// No connection within [`Limits::connect`].
    #[error("connect timed out")]
    ConnectTimeout,
    /// The address refused, or cannot be reached.
    #[error("connect: {0}")]
    Connect(String),
    /// The handshake failed; among others for a certificate that does not name the hop.
    #[error("TLS: {0}")]
    Tls(String),
    /// The connection ended, or took nothing for [`Limits::write`], with the message under way.
    #[error("connection closed")]
    Closed,
    /// The kernel refused the datagram.
    #[error("UDP: {0}")]
    Udp(String),
}

/// Why listening failed. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be used.
    #[error("{listen}: {error}")]
    Bind {
        /// As configured.
        listen: Listen,
        /// The system's word.
        error: std::io::Error,
    },
    /// `tls:` without a certificate.
    #[error("{0}: needs a certificate and its key in [sip.tls]")]
    NoCertificate(Listen),
    /// The system gives no thread.
    #[error("a thread: {0}")]
    Thread(std::io::Error),
}

/// All sockets of this process. Dropping it closes them.
pub struct Transports {
    bound: Vec<Listen>,
    udp: Vec<UdpListener>,
    aside: Aside,
    flows: Arc<Flows>,
    tls: TlsConfigs,
    stop: CancellationToken,
    ending: bool,
}

impl Transports {
    /// Binds `listen` and begins to read; `proxies` say who is behind them. To be called inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left open.
    pub fn start(
        listen: &[Listen],
        proxies: Proxies,
        tls: TlsConfigs,
        limits: Limits,
    ) -> Result<(Self, Events), StartError> {
        let (events, receiver) = lanes(limits.events);
        let stop = CancellationToken::new();
        let flows = Arc::new(Flows::new(events, limits, proxies, stop.clone()));
        let aside = Aside::start().map_err(StartError::Thread)?;
        let (bound, udp, ending) = (Vec::new(), Vec::new(), false);
        let mut transports = Self { bound, udp, aside, flows, tls, stop, ending };
        for one in listen {
            let port = transports.bind(*one)?;
            if listening::takes_both_families(one, listen) {
                let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                transports.bind(Listen { transport: one.transport, address })?;
            }
        }
        for bound in &transports.bound {
            tracing::info!(address = %bound, "listening for SIP");
        }
        Ok((transports, receiver))
    }

    /// The addresses that are really listened on, in the order they were given, ports included.
    #[must_use]
    pub fn bound(&self) -> Vec<Listen> {
        self.bound.clone()
    }

    /// Puts a message on its way: over its flow if that is open, else to its address.
    ///
    /// Never waits. A later failure comes as [`Event::SendFailed`].
    ///
    /// # Errors
    /// [`SendError`] if the message is refused at once; there is no event then.
    pub fn send(&self, send: Send) -> Result<(), SendError> {
        let Send { token, to, bytes } = send;
        match to.transport {
            Transport::Udp if self.withholds(to.flow, &bytes) => Ok(()),
            Transport::Udp => {
                let (socket, bytes, to) = self.by_udp(to.flow, to.address, bytes)?;
                udp::send(socket, &bytes, to)
            }
            transport => {
                if let Some(open) = to.flow.and_then(|flow| self.flows.queue(flow)) {
                    return open.push(bytes, token);
                }
                let name = to.name.as_deref().map(str::to_owned);
                let lead = dial::lead(transport, to.address, name);
                dial::send(&self.flows, &self.tls, (lead, &self.bound), bytes, token)
            }
        }
    }

    /// Nothing came back for what was sent there since then. A connection of ours on which nothing
    /// else came either is closed, and the next message opens another.
    pub fn suspect(&self, to: Hop, since: Instant) {
        let Hop { transport, address, name, .. } = to;
        let name = name.as_deref().map(str::to_owned);
        self.flows.suspect(&dial::lead(transport, address, name), since);
    }

    /// As [`Self::send`], for a refusal, which need not leave in order. It may be kept until
    /// [`Self::hand_over`].
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn turn_away(&mut self, send: Send) -> Result<(), SendError> {
        if send.to.transport != Transport::Udp {
            return self.send(send);
        }
        let Send { to, bytes, .. } = send;
        if self.withholds(to.flow, &bytes) {
            return Ok(());
        }
        let (socket, bytes, to) = self.by_udp(to.flow, to.address, bytes)?;
        let socket = Arc::clone(socket);
        self.aside.push(socket, bytes, to);
        Ok(())
    }

    /// Lets the refusals go that were collected.
    pub fn hand_over(&mut self) {
        self.aside.hand_over();
    }

    /// Our side of TLS towards next hops.
    #[must_use]
    pub fn tls_client(&self) -> Arc<ClientConfig> {
        self.tls.client.clone()
    }

    /// Whether the engine wants to look at datagrams before they are read, because it is behind.
    pub fn set_behind(&self, behind: bool) {
        self.flows.behind.store(behind, Ordering::Relaxed);
    }

    /// Reads a datagram that was left unread. What cannot be read is answered or counted.
    #[must_use]
    pub fn read(&self, unread: Unread) -> Option<Arrived> {
        let Unread { source, flow, .. } = unread;
        match udp::read(unread)? {
            Ok(arrived) => Some(arrived),
            Err(answer) => {
                // As good as lost, if it fails.
                let (socket, answer, to) = self.by_udp(Some(flow), source, answer).ok()?;
                let _ = udp::send(socket, &answer, to);
                None
            }
        }
    }

    /// Ends listening and all connections; queued messages fail with their events.
    pub fn close(&self) {
        self.stop.cancel();
    }

    /// Binds an address, and says which port it became.
    fn bind(&mut self, listen: Listen) -> Result<u16, StartError> {
        let failed = |error| StartError::Bind { listen, error };
        let flow = self.flows.next_id();
        let address = match listen.transport {
            Transport::Udp => {
                let udp = udp::bind(listen.address, flow, &self.flows).map_err(failed)?;
                let local = udp.local;
                self.udp.push(udp);
                local
            }
            Transport::Tcp => accept::bind(listen.address, None, &self.flows).map_err(failed)?,
            Transport::Tls => {
                let server = self.tls.server.clone();
                let server = server.ok_or(StartError::NoCertificate(listen))?;
                accept::bind(listen.address, Some(server), &self.flows).map_err(failed)?
            }
        };
        self.bound.push(Listen { transport: listen.transport, address });
        Ok(address.port())
    }
}

impl Drop for Transports {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Reads a datagram; a panic in the parser ends this message, not the socket.
fn parse(bytes: Bytes) -> Option<Result<Message, Rejected>> {
    contained(|| Message::parse(bytes))
}

fn contained<T>(read: impl FnOnce() -> T) -> Option<T> {
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(read));
    if outcome.is_err() {
        metrics::counter!("openfed_sip_parser_panics_total").increment(1);
        tracing::warn!("a SIP message made the parser fail and was dropped");
    }
    outcome.ok()
}

/// The answer to a message that cannot be used, counted.
fn answer(rejected: &Rejected, source: SocketAddr) -> Option<Bytes> {
    let (code, _) = rejected.error.status();
    metrics::counter!("openfed_sip_malformed_total", "status" => code.to_string()).increment(1);
    rejected.answer(source).map(|response| response.to_bytes())
}

/// A message from the wire, its source marked.
fn arrived(
    mut message: Message,
    source: SocketAddr,
    transport: Transport,
    flow: FlowId,
    at: Instant,
) -> Option<Arrived> {
    if message.is_request() {
        // The top Via was read when the message was; it cannot fail now.
        message.mark_source(source).ok()?;
    }
    Some(Arrived { message, source, transport, flow, at })
}
