//! The TCP connections of the streams: made, taken, encrypted, read and written, each by a task of its
//! own, so that a peer that stalls stalls itself alone.
//!
//! The owner calls a method for each command of the core, [`Connections::flush`] when there is no
//! further one, and feeds what [`Connections::next`] reports back into the core. What is
//! transmitted is gathered until the flush: many stanzas become one write, and the last words before
//! a TLS handshake are never written while bytes of it could already be read as plain text.
//!
//! Memory is bounded: what one peer does not take is limited in bytes, then it is cut off; what we do
//! not take stays in the kernel and stops the peer.

mod admission;
mod arrival;
mod counted;
mod dial;
mod handle;
mod pipe;
mod task;
mod trial;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openfed_node::proxy::Proxies;
use openfed_node::settings::HostPort;
use openfed_proto::domain::Domain;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use xmpp_cm_core::core::{ConnId, ConnectFailure, Endpoint, Found, Target, TlsSide};

use crate::resolve::Resolver;
use crate::tls::Tls;
use admission::{Admission, Slot};
use arrival::Arrival;
use dial::Reached;
use handle::{Handle, State};
use task::{Order, Task};

/// Reports that wait for the owner; more stop the connections that have something to report.
const MAX_REPORTS: usize = 1_024;

/// How much and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Accepted connections.
    pub accepted: usize,
    /// Accepted connections from one address, except from home servers.
    pub per_address: usize,
    /// Bytes that one peer may leave unconfirmed.
    pub unconfirmed: usize,
    /// From the wish to connect until the connection stands, DNS and direct TLS included.
    pub connect: Duration,
    /// For one address.
    pub connect_address: Duration,
    /// Until the next address is tried beside the one before it (RFC 8305 §5).
    pub stagger: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// A peer that takes nothing for so long is cut off.
    pub stalled: Duration,
    /// After our last words, for the peer's.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            accepted: 20_000,
            per_address: 200,
            unconfirmed: 4 << 20,
            connect: Duration::from_millis(7_500),
            connect_address: Duration::from_secs(4),
            stagger: Duration::from_millis(250),
            handshake: Duration::from_secs(10),
            stalled: Duration::from_secs(30),
            linger: Duration::from_secs(2),
        }
    }
}

/// What every connection needs.
pub struct Means {
    /// Finds foreign servers.
    pub resolver: Resolver,
    /// Certificates and trust.
    pub tls: Tls,
    /// The server-to-server addresses of the home servers.
    pub homes: HashMap<Domain, HostPort>,
    /// How much and how long.
    pub limits: Limits,
}

/// What happened on the connections.
#[derive(Debug)]
pub enum Report {
    /// A peer connected. Give it a name with [`Connections::adopt`], or drop it.
    Accepted(Accepted),
    /// [`Connections::connect`] succeeded.
    Connected {
        /// The connection.
        conn: ConnId,
        /// By direct TLS.
        encrypted: bool,
        /// What else came of it.
        found: Found,
    },
    /// [`Connections::connect`] failed; the name is free.
    ConnectFailed {
        /// The connection.
        conn: ConnId,
        /// Why.
        why: ConnectFailure,
    },
    /// Bytes came.
    Bytes {
        /// The connection.
        conn: ConnId,
        /// Without TLS around them.
        bytes: Bytes,
    },
    /// Much of what was transmitted had not arrived for a while, and now has.
    Confirmed {
        /// The connection.
        conn: ConnId,
    },
    /// What was transmitted before [`Connections::mark`] is with the system.
    Written {
        /// The connection.
        conn: ConnId,
        /// Which mark.
        mark: u64,
    },
    /// [`Connections::start_tls`] is done.
    Tls {
        /// The connection.
        conn: ConnId,
        /// Whether the handshake succeeded.
        established: bool,
        /// Whether the peer's certificate proves its name; never for a peer that connected to us.
        verified: bool,
        /// SHA-256 of the certificate that the peer showed.
        certificate: Option<[u8; 32]>,
    },
    /// The connection ended or broke, whoever wanted it; the name is free.
    Closed {
        /// The connection.
        conn: ConnId,
        /// How many of the last bytes that were transmitted did not arrive.
        unconfirmed: usize,
    },
}

/// A connection that a peer made and that has no name yet.
#[derive(Debug)]
pub struct Accepted {
    stream: TcpStream,
    /// Where it comes from.
    pub peer: SocketAddr,
    slot: Slot,
}

/// All connections of the process. See the head of this file.
pub struct Connections {
    means: Arc<Means>,
    admission: Arc<Admission>,
    proxies: Proxies,
    /// Where peers connect to, and the task that lets them in.
    address: Option<SocketAddr>,
    accepting: Option<tokio::task::AbortHandle>,
    open: HashMap<ConnId, Handle>,
    /// Those with something to be written.
    staged: Vec<ConnId>,
    reporter: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
}

impl Connections {
    /// None yet.
    pub fn new(means: Means) -> Self {
        let (reporter, reports) = mpsc::channel(MAX_REPORTS);
        let admission = Arc::new(Admission::new(means.limits));
        Self {
            means: Arc::new(means),
            admission,
            proxies: Proxies::default(),
            address: None,
            accepting: None,
            open: HashMap::new(),
            staged: Vec::new(),
            reporter,
            reports,
        }
    }

    /// Lets as many connections in from these addresses as there is room at all: the home
    /// servers open a stream for every foreign domain.
    pub fn trust(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.admission.trust(addresses);
    }

    /// What happens next: never nothing, as `reporter` is held here. Cancelling loses nothing.
    pub async fn next(&mut self) -> Report {
        loop {
            let Some(report) = self.reports.recv().await else {
                return std::future::pending().await;
            };
            if let Some(report) = self.of_interest(report) {
                return report;
            }
        }
    }

    /// What has happened already.
    pub fn at_hand(&mut self) -> Option<Report> {
        loop {
            let report = self.reports.try_recv().ok()?;
            if let Some(report) = self.of_interest(report) {
                return Some(report);
            }
        }
    }

    /// Of a connection that the owner has closed only the end is reported.
    fn of_interest(&mut self, mut report: Report) -> Option<Report> {
        let is_open = |handle: &Handle| handle.state == State::Open;
        let of_interest = match &mut report {
            Report::Accepted(_) => true,
            Report::Closed { conn, unconfirmed } => {
                let handle = self.open.remove(conn)?;
                *unconfirmed = handle.unconfirmed();
                true
            }
            Report::ConnectFailed { conn, .. } => {
                self.open.remove(conn).as_ref().is_some_and(is_open)
            }
            Report::Connected { conn, .. }
            | Report::Bytes { conn, .. }
            | Report::Confirmed { conn }
            | Report::Written { conn, .. }
            | Report::Tls { conn, .. } => self.open.get(conn).is_some_and(is_open),
        };
        of_interest.then_some(report)
    }

    /// Names a connection that a peer made, and begins to read it.
    pub fn adopt(&mut self, conn: ConnId, accepted: Accepted) {
        let Accepted { stream, slot, .. } = accepted;
        self.spawn(conn, |task| async move {
            let _slot = slot;
            task.run(pipe::Pipe::Plain(counted::Counted::new(stream))).await;
        });
    }

    /// Stops reading a connection, or goes on. What was read is still reported.
    pub fn read(&self, conn: ConnId, on: bool) {
        if let Some(handle) = self.open.get(&conn) {
            handle.reading.send_replace(on);
        }
    }

    /// How many of the last bytes that were transmitted have not surely arrived.
    pub fn unconfirmed(&self, conn: ConnId) -> usize {
        self.open.get(&conn).map_or(0, Handle::unconfirmed)
    }

    /// Hands what was transmitted to the task; [`Report::Written`] tells when it is with the system.
    pub fn mark(&mut self, conn: ConnId, mark: u64) {
        if let Some(handle) = self.open.get_mut(&conn).filter(|it| it.state == State::Open) {
            handle.order(|bytes| Order::Mark(bytes, mark));
        }
    }

    /// Begins to connect, to none of those that were `tried` already.
    pub fn connect(&mut self, conn: ConnId, target: Target, tried: Vec<Endpoint>) {
        let means = self.means.clone();
        self.spawn(conn, |task| async move {
            match dial::dial(&means, &target, &tried).await {
                Ok(Reached { pipe, encrypted, found }) => {
                    task.report(Report::Connected { conn, encrypted, found }).await;
                    task.run(pipe).await;
                }
                Err(why) => task.report(Report::ConnectFailed { conn, why }).await,
            }
        });
    }

    fn spawn<F>(&mut self, conn: ConnId, body: impl FnOnce(Task) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (reading, gate) = watch::channel(true);
        let unconfirmed = Arc::new(AtomicUsize::new(0));
        let task = Task {
            conn,
            inbox,
            reading: gate,
            arrival: Arrival::new(unconfirmed.clone()),
            reporter: self.reporter.clone(),
            means: self.means.clone(),
        };
        let task = tokio::spawn(body(task)).abort_handle();
        let (staged, state) = (BytesMut::new(), State::Open);
        self.open.insert(conn, Handle { orders, reading, staged, unconfirmed, task, state });
    }

    /// Writes at the next flush. To a connection that is gone: nothing.
    pub fn transmit(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(handle) = self.open.get_mut(&conn).filter(|it| it.state != State::Closing) else {
            return;
        };
        if handle.staged.is_empty() {
            self.staged.push(conn);
        }
        if handle.unconfirmed() + bytes.len() > self.means.limits.unconfirmed {
            handle.state = State::Cut;
        }
        handle.staged.extend_from_slice(bytes);
    }

    /// Hands what was transmitted to the tasks; tells of each connection how many bytes have not
    /// surely arrived. Gives the connections whose peers have left too much unread: they are
    /// closed and their names free, and nothing more is reported of them.
    pub fn flush(&mut self, mut unconfirmed: impl FnMut(ConnId, usize)) -> Vec<(ConnId, usize)> {
        let mut cut = Vec::new();
        for conn in std::mem::take(&mut self.staged) {
            let Some(handle) = self.open.get_mut(&conn) else { continue };
            if handle.state == State::Cut {
                cut.push((conn, handle.unconfirmed()));
                handle.task.abort();
                self.open.remove(&conn);
            } else if !handle.staged.is_empty() {
                unconfirmed(conn, handle.unconfirmed());
                handle.order(Order::Write);
            }
        }
        cut
    }

    /// Writes what was transmitted, then does the handshake; [`Report::Tls`] tells how it went.
    pub fn start_tls(&mut self, conn: ConnId, side: TlsSide) {
        if let Some(handle) = self.open.get_mut(&conn) {
            handle.order(|last_words| Order::StartTls { last_words, side });
        }
    }

    /// Writes what was transmitted, then closes. Nothing but the end is reported from now on.
    pub fn close(&mut self, conn: ConnId) {
        let Some(handle) = self.open.get_mut(&conn).filter(|it| it.state == State::Open) else {
            return;
        };
        handle.order(Order::Close);
        handle.state = State::Closing;
    }

    /// How many are open, those being made included.
    pub fn count(&self) -> usize {
        self.open.values().filter(|handle| handle.state == State::Open).count()
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for handle in self.open.values() {
            handle.task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
