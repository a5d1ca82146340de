//! The open connections: found by flow for answers, by who they lead to for requests, counted.

use super::fronted::Fronted;
use super::lanes::Entry;
use super::{Event, Limits, SendError};
use bytes::Bytes;
use openfed_node::proxy::Proxies;
use openfed_proto::route::Transport;
use sip_cm_core::command::{FlowId, Token};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Whom a connection of ours leads to. The TLS name is part of it: a connection verified for one
/// name is never used for another, whatever its address (RFC 5923 §9).
pub(super) type Lead = (Transport, SocketAddr, Option<String>);

/// A message that waits to be written.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) bytes: Bytes,
    /// `None` for what nobody waits for: keep-alives, answers to malformed messages.
    pub(super) token: Option<Token>,
}

/// The way into one connection.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Outgoing>,
    pub(super) pulse: Arc<Pulse>,
}

/// The signs of life of one connection.
#[derive(Debug)]
pub(super) struct Pulse {
    began: Instant,
    /// Milliseconds from then to when the peer last sent something, rounded up; 0: it never did.
    last: AtomicU64,
    /// Nothing comes any more: it is to end.
    pub(super) given_up: CancellationToken,
}

impl Pulse {
    fn new() -> Self {
        let (last, given_up) = (AtomicU64::new(0), CancellationToken::new());
        Self { began: Instant::now(), last, given_up }
    }

    /// The peer sent something.
    pub(super) fn beat(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis.saturating_add(1), Ordering::Relaxed);
    }

    /// Whether the peer ever sent anything.
    pub(super) fn is_alive(&self) -> bool {
        self.last.load(Ordering::Relaxed) > 0
    }

    fn since(&self, then: Instant) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last > 0 && self.began + Duration::from_millis(last) >= then
    }
}

impl Queue {
    pub(super) fn push(&self, bytes: Bytes, token: Token) -> Result<(), SendError> {
        self.offer(Outgoing { bytes, token: Some(token) }).map_err(|(_, error)| error)
    }

    /// Queues a message, or gives it back with the reason.
    pub(super) fn offer(&self, out: Outgoing) -> Result<(), (Outgoing, SendError)> {
        use mpsc::error::TrySendError;
        self.sender.try_send(out).map_err(|error| match error {
            TrySendError::Full(out) => (out, SendError::Busy),
            TrySendError::Closed(out) => (out, SendError::Closed),
        })
    }
}

/// What all sockets share.
pub(super) struct Flows {
    pub(super) events: Entry,
    pub(super) limits: Limits,
    pub(super) stop: CancellationToken,
    /// The engine is behind: it looks at datagrams before they are read.
    pub(super) behind: AtomicBool,
    pub(super) fronted: Fronted,
    last_id: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    flows: HashMap<FlowId, Queue>,
    leads: HashMap<Lead, FlowId>,
    sources: HashMap<IpAddr, usize>,
}

/// One connection's place among the flows; dropping it gives the place back and tells the engine.
pub(super) struct Place {
    flows: Arc<Flows>,
    pub(super) flow: FlowId,
    origin: Origin,
}

enum Origin {
    /// The peer opened it.
    Source(IpAddr),
    /// We opened it.
    Lead(Lead),
}

impl Flows {
    pub(super) fn new(
        events: Entry,
        limits: Limits,
        proxies: Proxies,
        stop: CancellationToken,
    ) -> Self {
        let (last_id, behind) = (AtomicU64::new(0), AtomicBool::new(false));
        let fronted = Fronted::new(proxies);
        Self { events, limits, stop, behind, fronted, last_id, open: Mutex::default() }
    }

    pub(super) fn next_id(&self) -> FlowId {
        FlowId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The queue of an open connection.
    pub(super) fn queue(&self, flow: FlowId) -> Option<Queue> {
        self.open().flows.get(&flow).cloned()
    }

    /// The queue of the connection that leads there, if one is open.
    pub(super) fn queue_to(&self, lead: &Lead) -> Option<Queue> {
        let open = self.open();
        open.leads.get(lead).and_then(|flow| open.flows.get(flow)).cloned()
    }

    /// Ends the connection that leads there, if nothing came on it since then.
    pub(super) fn suspect(&self, lead: &Lead, since: Instant) {
        let mut open = self.open();
        let Some(flow) = open.leads.get(lead).copied() else { return };
        let Some(pulse) = open.flows.get(&flow).map(|queue| queue.pulse.clone()) else { return };
        if pulse.since(since) {
            return;
        }
        // From now on another one leads there.
        open.leads.remove(lead);
        pulse.given_up.cancel();
        metrics::counter!("openfed_sip_silent_total").increment(1);
        tracing::info!(next_hop = %lead.1, "closing a SIP connection on which nothing comes any more");
    }

    /// A place for a connection that a peer opened, within the limits.
    pub(super) fn enter(
        self: &Arc<Self>,
        source: IpAddr,
    ) -> Option<(Place, mpsc::Receiver<Outgoing>)> {
        let mut open = self.open();
        let from_source = open.sources.get(&source).copied().unwrap_or(0);
        if open.flows.len() >= self.limits.connections
            || from_source >= self.limits.connections_per_source
        {
            return None;
        }
        open.sources.insert(source, from_source + 1);
        Some(self.place(&mut open, Origin::Source(source)))
    }

    /// A place for a connection that we open, within the limits.
    pub(super) fn lead(self: &Arc<Self>, lead: Lead) -> Option<(Place, mpsc::Receiver<Outgoing>)> {
        let mut open = self.open();
        if open.flows.len() >= self.limits.connections {
            return None;
        }
        let placed = self.place(&mut open, Origin::Lead(lead.clone()));
        open.leads.insert(lead, placed.0.flow);
        Some(placed)
    }

    /// Tells the engine that these messages did not get out.
    pub(super) async fn fail(
        &self,
        tokens: impl IntoIterator<Item = Option<Token>>,
        error: &SendError,
    ) {
        for token in tokens.into_iter().flatten() {
            // An error means that the engine is gone, and with it who waits for the token.
            let _ = self.events.send(Event::SendFailed { token, error: error.clone() }).await;
        }
    }

    fn place(
        self: &Arc<Self>,
        open: &mut Open,
        origin: Origin,
    ) -> (Place, mpsc::Receiver<Outgoing>) {
        let flow = self.next_id();
        let (sender, receiver) = mpsc::channel(self.limits.queue);
        open.flows.insert(flow, Queue { sender, pulse: Arc::new(Pulse::new()) });
        metrics::gauge!("openfed_sip_connections").increment(1);
        (Place { flows: Arc::clone(self), flow, origin }, receiver)
    }

    /// A panic while the lock was held leaves the maps sound: each change is one insert or remove.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("openfed_sip_connections").decrement(1);
        let mut open = self.flows.open();
        open.flows.remove(&self.flow);
        match &self.origin {
            Origin::Source(ip) => match open.sources.get_mut(ip) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(open.sources.remove(ip)),
            },
            // A later connection to the same place may stand there already.
            Origin::Lead(lead) if open.leads.get(lead) == Some(&self.flow) => {
                open.leads.remove(lead);
            }
            Origin::Lead(_) => {}
        }
        drop(open);
        let event = Event::Closed { flow: self.flow };
        if let Err(mpsc::error::TrySendError::Full(event)) = self.flows.events.try_send(event) {
            let events = self.flows.events.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { events.send(event).await });
            }
        }
    }
}
