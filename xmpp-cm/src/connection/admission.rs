//! Who may connect to us, and how often at once.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openfed_node::listening;
use openfed_node::proxy::Proxies;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{Accepted, Connections, Limits, Report, task};

/// After an error of the listener itself, e.g. out of files.
const PAUSE: Duration = Duration::from_millis(50);

/// Between two attempts to listen again.
const LISTEN_AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Admission {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    trusted: HashSet<IpAddr>,
}

/// The room of one connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    pub(super) fn trust(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.state().trusted.extend(addresses.into_iter().map(|address| address.to_canonical()));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let address = address.to_canonical();
        let mut state = self.state();
        let trusted = state.trusted.contains(&address);
        if state.total >= self.limits.accepted {
            return None;
        }
        let count = state.by_address.entry(address).or_default();
        if !trusted && *count >= self.limits.per_address {
            return None;
        }
        *count += 1;
        state.total += 1;
        Some(Slot { admission: self.clone(), address })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.total = state.total.saturating_sub(1);
        if let Some(count) = state.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.by_address.remove(&self.address);
            }
        }
    }
}

impl Connections {
    /// Accepts connections from now on; `proxies` say who is behind them.
    pub fn listen(&mut self, listener: TcpListener, proxies: Proxies) {
        self.address = listener.local_addr().ok();
        self.proxies = proxies;
        self.accepting = Some(tokio::spawn(self.door().accept(listener)).abort_handle());
    }

    fn door(&self) -> Door {
        let (admission, proxies) = (self.admission.clone(), self.proxies.clone());
        Door { admission, proxies, reporter: self.reporter.clone() }
    }

    /// Closes the port: whoever connects is refused by the system, and goes elsewhere.
    pub fn pause(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            tracing::info!(address = ?self.address, "not listening for XMPP servers for now");
            accepting.abort();
        }
    }

    /// Listens again where it did; tries until the port is free.
    pub fn resume(&mut self) {
        let Some(address) = self.address.filter(|_| self.accepting.is_none()) else { return };
        let door = self.door();
        let accepting = tokio::spawn(async move {
            let listener = loop {
                match listening::tcp(address) {
                    Ok(listener) => break listener,
                    Err(error) => tracing::warn!(%address, %error, "cannot listen again yet"),
                }
                tokio::time::sleep(LISTEN_AGAIN).await;
            };
            tracing::info!(%address, "listening for XMPP servers");
            door.accept(listener).await;
        });
        self.accepting = Some(accepting.abort_handle());
    }
}

/// Where peers come in.
struct Door {
    admission: Arc<Admission>,
    proxies: Proxies,
    reporter: mpsc::Sender<Report>,
}

impl Door {
    /// Lets peers in, until nobody wants to hear of them.
    async fn accept(self, listener: TcpListener) {
        let door = Arc::new(self);
        while !door.reporter.is_closed() {
            match listening::accept(&listener).await {
                Ok((stream, proxy)) if door.proxies.include(proxy.ip()) => {
                    let door = door.clone();
                    tokio::spawn(async move { door.ask(stream, proxy).await });
                }
                Ok((stream, peer)) => door.enter(stream, peer).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// The proxy says whose connection it is.
    async fn ask(&self, mut stream: TcpStream, proxy: SocketAddr) {
        if let Some(client) = self.proxies.client(&mut stream, proxy).await {
            self.enter(stream, client).await;
        }
    }

    async fn enter(&self, stream: TcpStream, peer: SocketAddr) {
        // Without room the connection is closed at once: better than to let it wait.
        let Some(slot) = self.admission.admit(peer.ip()) else { return };
        task::prepare(&stream);
        // An error says that nobody wants to hear of it.
        let _ = self.reporter.send(Report::Accepted(Accepted { stream, peer, slot })).await;
    }
}
