//! A DNS responder that answers every name with the addresses of `xmpp-cm`: a home server whose
//! resolver is pointed here hands every foreign domain to `xmpp-cm`, whatever server it is.
//!
//! | question | answer |
//! |---|---|
//! | `A`, `AAAA` of any name | all addresses of that family, in turns; else no data |
//! | the same while no address is known | `SERVFAIL` |
//! | `SRV _xmpp-server._tcp.X` | `0 0 <port> X` |
//! | any other name with a label that begins with `_`, e.g. `_xmpps-server._tcp.X` | no such name |
//! | anything else | no data |
//!
//! It runs in `xmpp-cm`, or, where `xmpp-cm` has replicas that come and go, as a service of its
//! own (`openfed dns`), which looks the name of all replicas up again and again.

mod addresses;
mod answers;
mod clients;
mod responder;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use openfed_node::http::{Health, Http};
use openfed_node::settings::{DnsResponder, Settings};
use openfed_node::shutdown::Shutdown;
use tokio::sync::watch;
use tokio::task::JoinSet;

use addresses::Watched;
use answers::Zone;
use clients::Clients;
use responder::Responder;

/// Why the responder could not run.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    #[error("[xmpp.dns] is missing in the settings: name listen and answer there")]
    NotConfigured,
    #[error("cannot listen at [xmpp.dns] listen {address}: {cause}")]
    Listen { address: SocketAddr, cause: io::Error },
    #[error("the DNS servers of [xmpp.dns]: {0}")]
    Resolver(String),
    #[error("[xmpp.dns] http: {0}")]
    Http(#[from] io::Error),
}

/// The service `openfed dns`: answers until `shutdown` begins. Nothing is left to drain then: a
/// question whose answer is lost is asked again.
///
/// # Errors
/// [`DnsError`] if it cannot start.
pub async fn serve(settings: Arc<Settings>, shutdown: Shutdown) -> Result<(), DnsError> {
    let dns = settings.xmpp.dns.as_ref().ok_or(DnsError::NotConfigured)?;
    let health = Health::default();
    let mut serving = start(dns, settings.xmpp.listen.port(), health.clone()).await?;
    let http = Http::start(dns.http, Default::default(), health.clone()).await?;
    let watch = health.watch();
    tokio::select! {
        () = serving.keep_ready(&health) => {}
        () = shutdown.draining() => {}
    }
    health.set_ready(false);
    drop((serving, watch));
    http.close().await;
    Ok(())
}

/// The responder at work: it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    zone: watch::Receiver<Zone>,
    _tasks: JoinSet<()>,
}

impl Serving {
    /// Says "ready" as long as there is an address to answer with.
    async fn keep_ready(&mut self, health: &Health) {
        loop {
            health.set_ready(!self.zone.borrow_and_update().addresses.is_empty());
            if self.zone.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Starts answering, with `port` as that of the server-to-server service.
pub(crate) async fn start(
    dns: &DnsResponder,
    port: u16,
    health: Health,
) -> Result<Serving, DnsError> {
    let watched = Watched::new(&dns.answer, &dns.servers)
        .map_err(|error| DnsError::Resolver(error.to_string()))?;
    let clients = Clients::new(dns.clients.clone());
    let failed = |cause| DnsError::Listen { address: dns.listen, cause };
    let zone = watched.zone(port);
    let responder = Responder::bind(dns.listen, zone.clone(), clients).map_err(failed)?;
    let address = responder.local_addr().map_err(failed)?;
    tracing::info!(%address, answer = %dns.answer, "listening for the home server's DNS questions");
    let mut tasks = JoinSet::new();
    tasks.spawn(watched.keep(health));
    tasks.spawn(responder.run());
    Ok(Serving { zone, _tasks: tasks })
}

#[cfg(test)]
pub(crate) mod tests;
