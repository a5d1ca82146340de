//! The service's life: set up, run the engine, drain, close.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use openfed_node::http::{Health, Http};
use openfed_node::link::LinkClient;
use openfed_node::proxy::Proxies;
use openfed_node::settings::{HostPort, Listen, Settings};
use openfed_node::shutdown::Shutdown;
use openfed_node::telemetry::Tracer;
use openfed_node::trial::Trials;
use openfed_proto::link::Hello;
use openfed_proto::packet::Role;
use openfed_proto::route::Transport;
use sip_cm_core::config::{Config, Listener, Trusted};
use sip_cm_core::core::Core;
use sip_cm_core::random::Random;
use sip_cm_core::uri::Host;

use crate::engine::{Engine, Inputs};
use crate::resolve::{ResolveError, Resolver};
use crate::stages::Stages;
use crate::tls::{TlsConfigs, TlsError};
use crate::transport::{Limits, StartError, Transports};

/// Attempts that routers may have in flight here.
const CAPACITY: u32 = 8_192;
/// Transactions of each kind; what is beyond is refused.
const TRANSACTIONS: usize = 400_000;
/// Received requests without answer.
const REQUESTS: usize = 20_000;

/// Why the service could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("the listening addresses of [sip]")]
    Listen(#[from] StartError),
    #[error("the certificates of [sip.tls]")]
    Tls(#[from] TlsError),
    #[error("the DNS servers of [sip.resolver]")]
    Resolver(#[from] ResolveError),
    #[error("[sip] http")]
    Http(#[from] io::Error),
    #[error("the trace exporter of [telemetry] otlp: {0}")]
    Telemetry(String),
    #[error("'{0}' of [sip] advertise is no host")]
    Advertise(String),
}

/// Runs the service until `shutdown` has drained or stopped it.
///
/// # Errors
/// [`ServeError`] if it cannot start.
pub async fn serve(settings: Arc<Settings>, shutdown: Shutdown) -> Result<(), ServeError> {
    Service::start(&settings).await?.run(shutdown).await;
    Ok(())
}

/// The service, listening, before its first message.
struct Service {
    engine: Engine,
    inputs: Inputs,
    http: Http,
    tracer: Tracer,
    /// Where SIP is really listened for.
    #[cfg(test)]
    bound: Vec<Listen>,
}

impl Service {
    async fn start(settings: &Settings) -> Result<Self, ServeError> {
        let node = settings.node_name(Role::SipCm);
        let tracer = Tracer::new(settings, Role::SipCm)
            .map_err(|error| ServeError::Telemetry(error.to_string()))?;
        let resolver = Resolver::new(&settings.sip.resolver)?;
        let tls = TlsConfigs::load(&settings.sip.tls, None)?;
        let listen = &settings.sip.listen;
        let proxies = Proxies::of(&settings.sip.proxy_from).await;
        let (transports, sockets) = Transports::start(listen, proxies, tls, Limits::default())?;
        let bound = transports.bound();
        let health = Health::default();
        let http = Http::start(settings.sip.http, Default::default(), health.clone()).await?;
        let ranges = settings.sip.trusted.clone();
        let config = Config {
            node: node.clone(),
            local: settings.local.clone(),
            listeners: listeners(&bound, settings.sip.advertise.as_ref())?,
            trusted: Trusted::new(move |ip| ranges.iter().any(|range| range.contains(ip))),
            intradomain: settings.sip.intradomain,
            without_gr: settings.sip.without_gr.clone(),
            capacity: CAPACITY,
            max_transactions: TRANSACTIONS,
            max_requests: REQUESTS,
        };
        let core = Core::new(config, Random::new(rand::random::<u64>), Instant::now(), unix_us());
        let hello = Hello {
            role: Role::SipCm,
            node,
            epoch: unix_us(),
            capacity: CAPACITY,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let (links, routers) = LinkClient::start(settings.routers.clone(), hello);
        let stages = Stages::new(tracer.clone());
        Stages::limit(REQUESTS, TRANSACTIONS);
        let (trials, tried) = Trials::new();
        let engine = Engine { core, transports, links, resolver, stages, trials, health };
        Ok(Service {
            engine,
            inputs: Inputs { sockets, routers, tried },
            http,
            tracer,
            #[cfg(test)]
            bound,
        })
    }

    async fn run(self, shutdown: Shutdown) {
        self.engine.run(self.inputs, shutdown).await;
        self.http.close().await;
        self.tracer.shutdown().await;
    }
}

/// What the core is told about our addresses.
fn listeners(bound: &[Listen], advertise: Option<&HostPort>) -> Result<Vec<Listener>, ServeError> {
    // One port is said: that of UDP and TCP. TLS beside them is at the port that it listens at.
    let plain = bound.iter().any(|listen| listen.transport != Transport::Tls);
    let aside = |listen: &Listen| plain && listen.transport == Transport::Tls;
    let listener = |listen: &Listen| {
        let reached = reachable(listen.address);
        let advertised = match advertise {
            Some(own) => {
                let text = if own.host.contains(':') {
                    format!("[{}]", own.host)
                } else {
                    own.host.clone()
                };
                let host = Host::parse(&text.as_str().into())
                    .map_err(|_| ServeError::Advertise(own.host.clone()))?;
                (host, if aside(listen) { listen.address.port() } else { own.port })
            }
            None => (literal(reached), listen.address.port()),
        };
        let Listen { transport, address } = *listen;
        Ok(Listener { transport, address, reached, advertised })
    };
    bound.iter().map(listener).collect()
}

fn literal(ip: IpAddr) -> Host {
    match ip {
        IpAddr::V4(v4) => Host::V4(v4),
        IpAddr::V6(v6) => Host::V6(v6),
    }
}

/// The address that peers reach us at. Of an unspecified one: where packets to the outside leave
/// from, which connecting a UDP socket tells without sending anything.
fn reachable(bound: SocketAddr) -> IpAddr {
    if !bound.ip().is_unspecified() {
        return bound.ip();
    }
    let outside = if bound.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" };
    let local = UdpSocket::bind(SocketAddr::new(bound.ip(), 0)).and_then(|socket| {
        socket.connect(outside)?;
        socket.local_addr()
    });
    local.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
