//! From a domain to a connection: DNS, then the addresses, the next one beside a slow one
//! (RFC 8305), then TLS where it comes first (XEP-0368).

use std::io;
use std::net::SocketAddr;

use openfed_proto::domain::Domain;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use xmpp_cm_core::core::{ConnectFailure, Found, Target};

use super::counted::Counted;
use super::pipe::Pipe;
use super::{Means, task};
use crate::resolve::{Endpoint, Resolution};

/// Why one address was of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Miss {
    Refused,
    Silent,
    Untrusted,
    Busy,
}

/// A connection that came about.
pub(super) struct Reached {
    pub(super) pipe: Pipe,
    /// By direct TLS.
    pub(super) encrypted: bool,
    pub(super) found: Found,
}

/// A connection to the target, to none of those that were `tried` already.
pub(super) async fn dial(
    means: &Means,
    target: &Target,
    tried: &[Endpoint],
) -> Result<Reached, ConnectFailure> {
    let deadline = Instant::now() + means.limits.connect;
    let (domain, resolution) = match target {
        Target::Home(domain) => (domain, home(means, domain, deadline).await),
        Target::Foreign(domain) => (domain, means.resolver.resolve(domain, deadline).await),
    };
    let (endpoints, announced) = match resolution {
        Resolution::NotFound => return Err(ConnectFailure::NotFound),
        Resolution::Unanswered => return Err(ConnectFailure::Unresolved),
        Resolution::Announced(endpoints) => (endpoints, true),
        Resolution::Guessed(endpoints) => (endpoints, false),
        Resolution::Tried(endpoints) => (endpoints, true),
    };
    let endpoints = untried(endpoints, tried);
    let reach = reach(means, domain, &endpoints, announced);
    timeout_at(deadline, reach).await.unwrap_or(Err(ConnectFailure::Unreachable))
}

/// Each of these once, without those that were tried.
pub(super) fn untried(endpoints: Vec<Endpoint>, tried: &[Endpoint]) -> Vec<Endpoint> {
    let mut left: Vec<Endpoint> = Vec::new();
    for endpoint in endpoints {
        if !tried.contains(&endpoint) && !left.contains(&endpoint) {
            left.push(endpoint);
        }
    }
    left
}

/// The first of these addresses that can be had; `announced` if DNS says that a server is there, or
/// could not say that none is.
pub(super) async fn reach(
    means: &Means,
    domain: &Domain,
    endpoints: &[Endpoint],
    announced: bool,
) -> Result<Reached, ConnectFailure> {
    let (won, misses) = race(means, domain, endpoints).await;
    let why = verdict(&misses, announced);
    let (endpoint, pipe) = won.ok_or(why)?;
    let missed = (!misses.is_empty()).then_some(why);
    let tried: Vec<_> = misses.into_iter().map(|(at, _)| at).chain([endpoint]).collect();
    let more = tried.len() < endpoints.len();
    Ok(Reached { pipe, encrypted: endpoint.direct_tls, found: Found { tried, missed, more } })
}

/// The home server's address is configured; nothing is guessed and nothing looked up in its name.
pub(super) async fn home(means: &Means, domain: &Domain, deadline: Instant) -> Resolution {
    let Some(home) = means.homes.get(domain) else { return Resolution::NotFound };
    let addresses = match home.socket_addr() {
        Some(address) => vec![address.ip()],
        None => means.resolver.addresses(&home.host, deadline).await,
    };
    let endpoint = |ip| Endpoint { address: SocketAddr::new(ip, home.port), direct_tls: false };
    match addresses.is_empty() {
        true => Resolution::Unanswered,
        false => Resolution::Announced(addresses.into_iter().map(endpoint).collect()),
    }
}

/// The worst that happened decides: what may be downgraded to another way must not hide what must
/// not be.
fn verdict(misses: &[(Endpoint, Miss)], announced: bool) -> ConnectFailure {
    let any = |miss| misses.iter().any(|(_, it)| *it == miss);
    match () {
        () if any(Miss::Untrusted) => ConnectFailure::Untrusted,
        () if any(Miss::Busy) => ConnectFailure::Busy,
        () if any(Miss::Silent) => ConnectFailure::Unreachable,
        // E-44: an address alone is no promise, and nobody listens.
        () if !announced => ConnectFailure::Deserted,
        () => ConnectFailure::Refused,
    }
}

/// The first that answers wins, the others are dropped; and those that were of no use.
async fn race(
    means: &Means,
    domain: &Domain,
    endpoints: &[Endpoint],
) -> (Option<(Endpoint, Pipe)>, Vec<(Endpoint, Miss)>) {
    let mut attempts = JoinSet::new();
    let mut misses = Vec::new();
    let mut waiting = endpoints.iter();
    loop {
        if let Some(endpoint) = waiting.next() {
            let attempt = Attempt::new(means, domain, *endpoint);
            attempts.spawn(async move { (attempt.endpoint, attempt.run().await) });
        }
        if attempts.is_empty() {
            return (None, misses);
        }
        // The next one starts when one fails, or when none has answered in time.
        tokio::select! {
            Some(result) = attempts.join_next() => match result {
                Ok((endpoint, Ok(pipe))) => return (Some((endpoint, pipe)), misses),
                Ok((endpoint, Err(miss))) => misses.push((endpoint, miss)),
                // Its task panicked.
                Err(_) => {}
            },
            () = sleep(means.limits.stagger), if waiting.len() > 0 => {}
        }
    }
}

/// One address.
struct Attempt {
    endpoint: Endpoint,
    limits: super::Limits,
    tls: Result<Secured, Miss>,
}

type Secured = Option<(TlsConnector, rustls::pki_types::ServerName<'static>)>;

impl Attempt {
    fn new(means: &Means, domain: &Domain, endpoint: Endpoint) -> Self {
        let tls = match endpoint.direct_tls {
            false => Ok(None),
            true => match means.tls.client(domain, true, None) {
                Ok((config, name, _)) => Ok(Some((TlsConnector::from(config), name))),
                Err(_) => Err(Miss::Silent),
            },
        };
        Self { endpoint, limits: means.limits, tls }
    }

    async fn run(self) -> Result<Pipe, Miss> {
        let tls = self.tls?;
        let connect = TcpStream::connect(self.endpoint.address);
        let stream = timeout(self.limits.connect_address, connect)
            .await
            .map_err(|_| Miss::Silent)?
            .map_err(|error| miss(&error))?;
        task::prepare(&stream);
        let stream = Counted::new(stream);
        let Some((connector, name)) = tls else { return Ok(Pipe::Plain(stream)) };
        let handshake = timeout(self.limits.handshake, connector.connect(name, stream)).await;
        let stream = handshake.map_err(|_| Miss::Silent)?.map_err(|error| miss(&error))?;
        Ok(Pipe::Tls(Box::new(stream.into())))
    }
}

fn miss(error: &io::Error) -> Miss {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        (Some(rustls::Error::InvalidCertificate(_)), _) => Miss::Untrusted,
        (Some(_), _) => Miss::Silent,
        (None, io::ErrorKind::ConnectionRefused) => Miss::Refused,
        (None, io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory) => Miss::Busy,
        // EMFILE and ENFILE have no kind of their own.
        (None, _) if matches!(error.raw_os_error(), Some(23 | 24)) => Miss::Busy,
        (None, _) => Miss::Silent,
    }
}
