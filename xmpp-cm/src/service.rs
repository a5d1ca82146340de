//! The service's life: set up, run the engine, drain, close.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use openfed_node::http::{Health, Http};
use openfed_node::link::LinkClient;
use openfed_node::listening;
use openfed_node::proxy::Proxies;
use openfed_node::settings::{Home, HostPort, MessageType, Settings};
use openfed_node::shutdown::Shutdown;
use openfed_node::telemetry::Tracer;
use openfed_proto::domain::Domain;
use openfed_proto::link::Hello;
use openfed_proto::packet::Role;
use xmpp_cm_core::core::{self, Core, Start};
use xmpp_cm_core::dialback::Secret;
use xmpp_cm_core::policy::Policy;

use crate::connection::{Connections, Limits, Means};
use crate::dns::{self, DnsError};
use crate::engine::Engine;
use crate::resolve::Resolver;
use crate::shown::Shown;
use crate::tls::{Tls, TlsError};

/// How often the home servers' names are resolved, to let their connections in without limit.
const RESOLVE_HOMES: Duration = Duration::from_secs(30);

/// Why the service could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen at [xmpp] listen {address}: {cause}")]
    Listen { address: std::net::SocketAddr, cause: io::Error },
    #[error(transparent)]
    Dns(#[from] DnsError),
    #[error("the certificates of [xmpp.tls]: {0}")]
    Tls(#[from] TlsError),
    #[error("the DNS servers of [xmpp.resolver]: {0}")]
    Resolver(String),
    #[error("[xmpp] http: {0}")]
    Http(#[from] io::Error),
    #[error("the trace exporter of [telemetry] otlp: {0}")]
    Telemetry(String),
}

/// Runs the service until `shutdown` has drained or stopped it.
///
/// # Errors
/// [`ServeError`] if it cannot start.
pub async fn serve(settings: Arc<Settings>, shutdown: Shutdown) -> Result<(), ServeError> {
    let node = settings.node_name(Role::XmppCm);
    let tracer = Tracer::new(&settings, Role::XmppCm)
        .map_err(|error| ServeError::Telemetry(error.to_string()))?;
    let xmpp = &settings.xmpp;
    let resolver =
        Resolver::new(&xmpp.resolver, Box::new(|below| rand::random_range(0..below.max(1))))
            .map_err(|error| ServeError::Resolver(error.to_string()))?;
    let homes: HashMap<Domain, HostPort> =
        xmpp.home.iter().map(|home| (home.domain.clone(), home.address.clone())).collect();
    let tls = Tls::load(&xmpp.tls, &xmpp.tls_directory, false)?;
    let secret = Secret::new(tls.authority().secret());
    let limits = Limits::default();
    let mut connections = Connections::new(Means { resolver, tls, homes: homes.clone(), limits });

    let listener = listening::tcp(xmpp.listen);
    let listener = listener.map_err(|cause| ServeError::Listen { address: xmpp.listen, cause })?;
    let listening = listener.local_addr()?;
    tracing::info!(address = %listening, "listening for XMPP servers");
    connections.listen(listener, Proxies::of(&xmpp.proxy_from).await);
    let health = Health::default();
    // Kept until the end, as it ends when it is dropped.
    let _dns = match xmpp.dns.as_ref().filter(|dns| !dns.apart) {
        Some(dns) => Some(dns::start(dns, listening.port(), health.clone()).await?),
        None => None,
    };
    let http = Http::start(xmpp.http, Default::default(), health.clone()).await?;

    let core_settings = core_settings(&settings, &node, homes.keys().cloned());
    let capacity = core_settings.limits.capacity;
    let core = Core::new(core_settings, start(secret));
    let version = env!("CARGO_PKG_VERSION").into();
    let hello = Hello { role: Role::XmppCm, node, epoch: unix_us(), capacity, version };
    let (links, link_events) = LinkClient::start(settings.routers.clone(), hello);
    let shown = Shown::new(tracer.clone(), settings.local.iter().cloned(), health.clone());
    let engine =
        Engine::new(core, connections, links, (shown, health.clone()), settings.local.clone());
    let homes = watch_homes(homes.into_values().collect());
    let watch = health.watch();
    engine.run(link_events, homes, shutdown).await;
    drop(watch);
    http.close().await;
    tracer.shutdown().await;
    Ok(())
}

fn core_settings(
    settings: &Settings,
    node: &str,
    homes: impl Iterator<Item = Domain>,
) -> core::Settings {
    let mut own = core::Settings::new(node, settings.local.iter().cloned());
    own.homes = homes.collect();
    let said = |home: &Home| Some((home.domain.clone(), home.names?));
    own.names = settings.xmpp.home.iter().filter_map(said).collect();
    own.ask_names = true;
    own.ask_proof = true;
    own.identity = settings.xmpp.tls.identity.is_some();
    own.federation = settings.xmpp.federation;
    own.chat = settings.xmpp.message_type == MessageType::Chat;
    own.policy = Policy { deny: settings.xmpp.deny.clone(), allow: settings.xmpp.allow.clone() };
    own
}

fn start(secret: Secret) -> Start {
    Start {
        instant: Instant::now(),
        unix_us: unix_us(),
        random: Box::new(rand::random::<u64>),
        secret,
    }
}

/// The addresses of the home servers, each time they were resolved.
fn watch_homes(homes: Vec<HostPort>) -> tokio::sync::mpsc::Receiver<Vec<IpAddr>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let mut again = tokio::time::interval(RESOLVE_HOMES);
        loop {
            again.tick().await;
            let mut addresses = Vec::new();
            for home in &homes {
                match tokio::net::lookup_host(home.to_string()).await {
                    Ok(found) => addresses.extend(found.map(|address| address.ip())),
                    Err(error) => tracing::warn!(%home, %error, "the home server has no address"),
                }
            }
            if sender.send(addresses).await.is_err() {
                return;
            }
        }
    });
    receiver
}

fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
