//! The TCP connections of the streams: made, taken, encrypted, read and written, each by a task of
//! its own, so that a peer that stalls stalls itself alone.
//!
//! The owner calls a method for each command of the core, [`Connections::flush`] when there is no
//! further one, and feeds what [`Connections::next`] reports back into the core. What is
//! transmitted is gathered until the flush: many stanzas become one write, and the last words
//! before a TLS handshake are never written while bytes of the handshake could already be read as
//! plain text.
//!
//! Memory is bounded: what one peer does not take is limited in bytes, then it is cut off; what we
//! do not take stays in the kernel and stops the peer.

mod admission;
mod dial;
mod pipe;
mod task;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openfed_node::settings::HostPort;
use openfed_proto::domain::Domain;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use xmpp_cm_core::core::{ConnId, ConnectFailure, Target, TlsSide};

use crate::resolve::Resolver;
use crate::tls::Tls;
use admission::{Admission, Slot};
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
    /// Bytes that wait to be written to one peer.
    pub unwritten: usize,
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
            unwritten: 4 << 20,
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
    /// [`Connections::start_tls`] is done.
    Tls {
        /// The connection.
        conn: ConnId,
        /// Whether the handshake succeeded.
        established: bool,
        /// Whether the peer's certificate proves its name; never for a peer that connected to us.
        verified: bool,
    },
    /// The connection ended or broke; the name is free.
    Closed {
        /// The connection.
        conn: ConnId,
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

/// A peer leaves unread what we write, and has been cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not read what it is sent")]
pub struct Overflow;

/// All connections of the process. See the head of this file.
pub struct Connections {
    means: Arc<Means>,
    admission: Arc<Admission>,
    open: HashMap<ConnId, Handle>,
    /// Those with something to be written.
    staged: Vec<ConnId>,
    reporter: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
}

struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    staged: BytesMut,
    /// Bytes ordered to be written and not written yet.
    unwritten: Arc<AtomicUsize>,
    task: tokio::task::AbortHandle,
}

impl Connections {
    /// None yet.
    pub fn new(means: Means) -> Self {
        let (reporter, reports) = mpsc::channel(MAX_REPORTS);
        let admission = Arc::new(Admission::new(means.limits));
        Self {
            means: Arc::new(means),
            admission,
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

    /// Accepts connections until the returned task is aborted or all of this is dropped.
    pub fn listen(&self, listener: TcpListener) -> tokio::task::AbortHandle {
        let (admission, reporter) = (self.admission.clone(), self.reporter.clone());
        tokio::spawn(admission::accept(listener, admission, reporter)).abort_handle()
    }

    /// What happens next. Cancelling loses nothing.
    pub async fn next(&mut self) -> Report {
        loop {
            let Some(report) = self.reports.recv().await else {
                // Not while `reporter` is held here.
                return std::future::pending().await;
            };
            let ended = match &report {
                Report::Accepted(_) => return report,
                Report::Closed { conn } | Report::ConnectFailed { conn, .. } => {
                    self.open.remove(conn).is_some()
                }
                Report::Connected { conn, .. }
                | Report::Bytes { conn, .. }
                | Report::Tls { conn, .. } => self.open.contains_key(conn),
            };
            // Of a connection that the owner has closed nothing is reported any more.
            if ended {
                return report;
            }
        }
    }

    /// Names a connection that a peer made, and begins to read it.
    pub fn adopt(&mut self, conn: ConnId, accepted: Accepted) {
        let Accepted { stream, slot, .. } = accepted;
        self.spawn(conn, |task| async move {
            let _slot = slot;
            task.run(pipe::Pipe::Plain(stream)).await;
        });
    }

    /// Begins to connect.
    pub fn connect(&mut self, conn: ConnId, target: Target) {
        let means = self.means.clone();
        self.spawn(conn, |task| async move {
            match dial::dial(&means, &target).await {
                Ok((pipe, encrypted)) => {
                    task.report(Report::Connected { conn, encrypted }).await;
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
        let unwritten = Arc::new(AtomicUsize::new(0));
        let task = Task {
            conn,
            inbox,
            unwritten: unwritten.clone(),
            reporter: self.reporter.clone(),
            means: self.means.clone(),
        };
        let task = tokio::spawn(body(task)).abort_handle();
        self.open.insert(conn, Handle { orders, staged: BytesMut::new(), unwritten, task });
    }

    /// Writes at the next flush. To a connection that is gone: nothing.
    ///
    /// # Errors
    /// The peer has left too much unread. The connection is closed and its name free; nothing more
    /// is reported of it.
    pub fn transmit(&mut self, conn: ConnId, bytes: &[u8]) -> Result<(), Overflow> {
        let Some(handle) = self.open.get_mut(&conn) else { return Ok(()) };
        let unwritten = handle.unwritten.load(Ordering::Relaxed) + handle.staged.len();
        if unwritten + bytes.len() > self.means.limits.unwritten {
            self.abort(conn);
            return Err(Overflow);
        }
        if handle.staged.is_empty() {
            self.staged.push(conn);
        }
        handle.staged.extend_from_slice(bytes);
        Ok(())
    }

    /// Hands what was transmitted to the tasks.
    pub fn flush(&mut self) {
        for conn in std::mem::take(&mut self.staged) {
            if let Some(handle) = self.open.get_mut(&conn) {
                handle.order(Order::Write);
            }
        }
    }

    /// Writes what was transmitted, then does the handshake; [`Report::Tls`] tells how it went.
    pub fn start_tls(&mut self, conn: ConnId, side: TlsSide) {
        if let Some(handle) = self.open.get_mut(&conn) {
            handle.order(|last_words| Order::StartTls { last_words, side });
        }
    }

    /// Writes what was transmitted, then closes. The name is free, nothing more is reported.
    pub fn close(&mut self, conn: ConnId) {
        if let Some(mut handle) = self.open.remove(&conn) {
            handle.order(Order::Close);
        }
    }

    /// Closes at once.
    fn abort(&mut self, conn: ConnId) {
        if let Some(handle) = self.open.remove(&conn) {
            handle.task.abort();
        }
    }

    /// How many there are, those being made included.
    pub fn count(&self) -> usize {
        self.open.len()
    }
}

impl Handle {
    fn order(&mut self, order: impl FnOnce(Bytes) -> Order) {
        let bytes = self.staged.split().freeze();
        self.unwritten.fetch_add(bytes.len(), Ordering::Relaxed);
        // A task that is gone has said so in a report.
        let _ = self.orders.send(order(bytes));
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
