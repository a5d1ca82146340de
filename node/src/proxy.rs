//! PROXY protocol, version 2 (HAProxy's `proxy-protocol.txt`): a proxy says who is behind it, and all
//! that looks at addresses sees the client: trust, limits, logs, `received` and the audit.
//!
//! | from | what begins with a header | what does not |
//! |---|---|---|
//! | an address that `proxy_from` names | the client that the header names | refused |
//! | any other | taken as it is, which is garbage in every protocol here | as it is |
//!
//! Nothing is guessed (the text's §2): if a header could be left out, whoever gets his own bytes
//! through such an address first could name himself anybody.
//!
//! Of a connection the header comes once, before all else, TLS too. Over UDP every datagram has one,
//! in both directions, and the answer's is that of the question: it names the client and the address
//! that he asked.

mod header;

#[cfg(test)]
mod tests;

pub use header::{Header, LONGEST, Malformed, SIGNATURE};

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use crate::settings::{Cidr, ProxySource};

/// How often names in `proxy_from` are looked up.
const LOOK_UP: Duration = Duration::from_secs(1);
/// For one look-up: the DNS that knows the name is next door.
const ANSWER: Duration = Duration::from_secs(1);
/// A start waits no longer for the first one. The proxy may come later.
const FIRST: Duration = Duration::from_millis(250);
/// A proxy that has just got its name is known to everybody after this.
pub const KNOWN_AFTER: Duration = Duration::from_millis(2_200);
/// How long the last addresses of a name hold when it does not resolve any more.
const STALE: Duration = Duration::from_secs(60);
/// From the connection to the end of its header. It is the first that a proxy sends; the text asks for
/// three seconds at least (§2).
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections at once whose header has not come yet.
const WAITING: usize = 1_024;

/// The proxies of one listener, by `proxy_from`. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    named: Option<Arc<Named>>,
}

#[derive(Debug)]
struct Named {
    ranges: Vec<Cidr>,
    found: Arc<RwLock<Vec<IpAddr>>>,
    waiting: Semaphore,
    /// Looks the names up.
    task: Option<AbortHandle>,
}

impl Proxies {
    /// Those of a setting. Their names are looked up before this ends, if that is done soon, and again
    /// and again then. To be called within the runtime.
    pub async fn of(sources: &[ProxySource]) -> Self {
        if sources.is_empty() {
            return Self::default();
        }
        let (mut ranges, mut names) = (Vec::new(), Vec::new());
        for source in sources {
            match source {
                ProxySource::Range(range) => ranges.push(*range),
                ProxySource::Name(name) => names.push(name.clone()),
            }
        }
        let found = Arc::<RwLock<Vec<IpAddr>>>::default();
        let mut task = None;
        if !names.is_empty() {
            let (looked_up, once) = oneshot::channel();
            let followed = Followed { names, found: found.clone(), good: Instant::now() };
            task = Some(tokio::spawn(followed.keep(looked_up)).abort_handle());
            // An error says that it takes longer.
            let _ = timeout(FIRST, once).await;
        }
        let waiting = Semaphore::new(WAITING);
        Self { named: Some(Arc::new(Named { ranges, found, waiting, task })) }
    }

    /// Whether there can be any.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.named.is_none()
    }

    /// Whether this is the address of one: what comes from it begins with a header.
    #[must_use]
    pub fn include(&self, address: IpAddr) -> bool {
        let Some(named) = &self.named else { return false };
        named.ranges.iter().any(|range| range.contains(address))
            || read(&named.found).contains(&address.to_canonical())
    }

    /// Who is at the other end of a connection from `peer`: he himself, or the client that a proxy
    /// names. Nothing behind the header is read. `None`: it is to be closed; that is counted.
    pub async fn client(&self, stream: &mut TcpStream, peer: SocketAddr) -> Option<SocketAddr> {
        let Some(named) = self.named.as_ref().filter(|_| self.include(peer.ip())) else {
            return Some(peer);
        };
        let Ok(_place) = named.waiting.try_acquire() else {
            refused("busy");
            return None;
        };
        let header = timeout(PATIENCE, head(stream)).await;
        match header.ok().flatten() {
            Some(Header::Of { client, .. }) => Some(client),
            // The proxy speaks for itself: it looks whether we are well.
            Some(Header::Own) => Some(peer),
            None => {
                tracing::debug!(proxy = %peer.ip(), "a connection without a PROXY header");
                refused("header");
                None
            }
        }
    }
}

/// Counts what came from a proxy and was not taken. Of a datagram its reader says so.
pub fn refused(reason: &'static str) {
    metrics::counter!("openfed_proxied_refused_total", "reason" => reason).increment(1);
}

/// The header that a connection begins with, and nothing more.
async fn head(stream: &mut TcpStream) -> Option<Header> {
    let mut buffer = [0; LONGEST];
    let fixed = buffer.get_mut(..header::FIXED)?;
    stream.read_exact(fixed).await.ok()?;
    let length = header::length(fixed).ok()?;
    stream.read_exact(buffer.get_mut(header::FIXED..length)?).await.ok()?;
    Header::split(buffer.get(..length)?).ok().map(|(header, _)| header)
}

struct Followed {
    names: Vec<String>,
    found: Arc<RwLock<Vec<IpAddr>>>,
    good: Instant,
}

impl Followed {
    async fn keep(mut self, looked_up: oneshot::Sender<()>) {
        let mut every = tokio::time::interval(LOOK_UP);
        every.tick().await;
        self.look_up().await;
        // Whoever has waited may have given up.
        let _ = looked_up.send(());
        loop {
            every.tick().await;
            self.look_up().await;
        }
    }

    /// A name without an answer keeps what all had for a while: a DNS that restarts is no reason to
    /// refuse everybody.
    async fn look_up(&mut self) {
        let mut addresses = Vec::new();
        let mut failed = false;
        for name in &self.names {
            match timeout(ANSWER, tokio::net::lookup_host((name.as_str(), 0))).await {
                Ok(Ok(found)) => addresses.extend(found.map(|at| at.ip().to_canonical())),
                Ok(Err(_)) | Err(_) => failed = true,
            }
        }
        let now = Instant::now();
        if failed && now.duration_since(self.good) < STALE {
            addresses.extend(read(&self.found).iter().copied());
        } else if !failed {
            self.good = now;
        }
        addresses.sort_unstable();
        addresses.dedup();
        if *read(&self.found) != addresses {
            tracing::info!(names = ?self.names, ?addresses, "the addresses of proxies");
            *self.found.write().unwrap_or_else(PoisonError::into_inner) = addresses;
        }
    }
}

fn read(found: &RwLock<Vec<IpAddr>>) -> std::sync::RwLockReadGuard<'_, Vec<IpAddr>> {
    found.read().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Named {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
