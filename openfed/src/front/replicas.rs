//! The replicas of one service: found by name, asked whether they take work, left out while they
//! refuse.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use openfed_node::http::Health;
use openfed_node::settings::{HostPort, HttpUrl, Pass};
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};

use crate::api::Api;

/// How often the name is looked up, and the replicas are asked.
const LOOK_UP: Duration = Duration::from_secs(1);
/// For one look-up: the DNS that knows the name is next door.
const ANSWER: Duration = Duration::from_secs(1);
/// For one answer of a replica.
const READY: Duration = Duration::from_secs(1);
/// How long one is left out that has refused.
const REST: Duration = Duration::from_secs(1);
/// How long the last addresses hold when the name does not resolve any more.
const STALE: Duration = Duration::from_secs(60);
/// Replicas that are used.
const MOST: usize = 64;
/// The part of the health that is told about.
const PART: &str = "replicas";

/// See the head of this file.
pub(super) struct Replicas {
    name: HostPort,
    ready: Option<u16>,
    known: watch::Sender<Arc<[Replica]>>,
    used: Mutex<HashMap<SocketAddr, Use>>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replica {
    pub(super) address: SocketAddr,
    /// It says that it takes work.
    ready: bool,
}

#[derive(Default)]
struct Use {
    connections: usize,
    /// How many it has had: whose turn it is among those that have as many.
    turns: u64,
    rests: Option<Instant>,
}

/// A connection counts as long as it is held.
pub(super) struct Counted {
    replicas: Arc<Replicas>,
    address: SocketAddr,
}

impl Replicas {
    /// None is known yet.
    pub(super) fn of(pass: &Pass) -> Self {
        let (name, ready) = (pass.to.clone(), pass.ready);
        Self { name, ready, known: watch::Sender::new(Arc::from([])), used: Mutex::default() }
    }

    /// Those of the name, each time they change.
    pub(super) fn follow(&self) -> watch::Receiver<Arc<[Replica]>> {
        self.known.subscribe()
    }

    /// Who is to be tried now: who takes work and has refused nothing just now; if there is nobody
    /// like that, whoever there is.
    pub(super) fn usable(&self) -> Vec<SocketAddr> {
        let (known, used, now) = (self.known.borrow().clone(), self.used(), Instant::now());
        let rests =
            |at| used.get(at).and_then(|it: &Use| it.rests).is_some_and(|until| until > now);
        let good = known.iter().filter(|it| it.ready && !rests(&it.address));
        let good: Vec<_> = good.map(|it| it.address).collect();
        if good.is_empty() { known.iter().map(|it| it.address).collect() } else { good }
    }

    /// The same, the one with the fewest connections first.
    pub(super) fn by_connections(&self) -> Vec<SocketAddr> {
        let mut usable = self.usable();
        let used = self.used();
        usable.sort_by_key(|at| used.get(at).map(|it| (it.connections, it.turns)));
        usable
    }

    /// It gets a connection.
    pub(super) fn count(self: &Arc<Self>, address: SocketAddr) -> Counted {
        let mut used = self.used();
        let own = used.entry(address).or_default();
        own.connections += 1;
        own.turns += 1;
        Counted { replicas: self.clone(), address }
    }

    /// It has refused: others are tried for a while.
    pub(super) fn rest(&self, address: SocketAddr) {
        self.used().entry(address).or_default().rests = Some(Instant::now() + REST);
    }

    /// Keeps them known until it is dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        let (mut every, mut good) = (interval(LOOK_UP), Instant::now());
        loop {
            every.tick().await;
            let name = (self.name.host.as_str(), self.name.port);
            let found = match timeout(ANSWER, tokio::net::lookup_host(name)).await {
                Ok(Ok(found)) => {
                    good = Instant::now();
                    Some(found.collect())
                }
                _ if good.elapsed() > STALE => Some(Vec::new()),
                _ => None,
            };
            if let Some(found) = found {
                self.are(found);
            }
            self.ask().await;
        }
    }

    /// These are the addresses of the name. Whoever is new has said nothing yet.
    pub(super) fn are(&self, mut addresses: Vec<SocketAddr>) {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MOST);
        let known = self.known.borrow().clone();
        let was_ready = |at| known.iter().any(|it| it.address == at && it.ready);
        let ready = |at| self.ready.is_none() || was_ready(at);
        let now = addresses.iter().map(|at| Replica { address: *at, ready: ready(*at) });
        self.publish(now.collect());
        // Whoever is gone leaves nothing behind but connections that still end.
        self.used().retain(|at, it| it.connections > 0 || addresses.contains(at));
    }

    /// Asks all at once whether they take work.
    pub(super) async fn ask(&self) {
        let Some(port) = self.ready else { return };
        let known = self.known.borrow().clone();
        let asked = known.iter().map(|it| async move {
            let host = it.address.ip().to_string();
            let api = Api::new(HttpUrl(HostPort { host, port }));
            let ready = timeout(READY, api.agrees("/readyz")).await;
            Replica { ready: matches!(ready, Ok(Ok(true))), ..*it }
        });
        let asked = join_all(asked).await;
        self.publish(asked);
    }

    fn publish(&self, now: Vec<Replica>) {
        let changed = self.known.send_if_modified(|known| {
            let changed = **known != *now;
            if changed {
                *known = now.into();
            }
            changed
        });
        if changed {
            let known = self.known.borrow().clone();
            let ready = known.iter().filter(|it| it.ready).count();
            tracing::info!(name = %self.name, known = known.len(), ready, "replicas");
            let count = u32::try_from(ready).unwrap_or(u32::MAX);
            metrics::gauge!("openfed_front_replicas", "to" => self.name.to_string()).set(count);
        }
    }

    fn used(&self) -> MutexGuard<'_, HashMap<SocketAddr, Use>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(own) = self.replicas.used().get_mut(&self.address) {
            own.connections = own.connections.saturating_sub(1);
        }
    }
}

/// The front is ready while every service has a replica that takes work.
pub(super) async fn watch(all: Vec<Arc<Replicas>>, health: Health) {
    let mut followed: Vec<_> = all.iter().map(|replicas| replicas.follow()).collect();
    loop {
        let mut names = Vec::new();
        for (replicas, known) in all.iter().zip(&mut followed) {
            if !known.borrow_and_update().iter().any(|it| it.ready) {
                names.push(replicas.name.to_string());
            }
        }
        names.dedup();
        health.set_ready(names.is_empty());
        match names.is_empty() {
            true => health.recover(PART),
            false => health.degrade(PART, format!("none is ready: {}", names.join(", "))),
        }
        let changes = followed.iter_mut().map(|known| Box::pin(known.changed()));
        // Nothing more can change when the last one of them is gone.
        if select_all(changes).await.0.is_err() {
            return;
        }
    }
}
