//! `openfed front`: takes what comes in at fixed addresses to replicas that come and go, and tells them
//! by PROXY protocol 2 who it is from.
//!
//! ```text
//! client ─ TCP ─▶ listen ─ header, then all bytes ─▶ the replica with the fewest connections
//! client ─ UDP ─▶ listen ─ header before each one ─▶ the replica of its Call-ID
//!        ◀─────── listen ◀─ header before each one ─ whoever answers
//! ```
//! It knows no protocol but for the Call-ID of a SIP datagram, so that repetitions, ACK and CANCEL come
//! to the instance that has the transaction.

mod call_id;
mod connections;
mod datagrams;
mod kept;
mod replicas;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use openfed_node::http::{Health, Http};
use openfed_node::listening;
use openfed_node::proxy;
use openfed_node::settings::{Listen, Pass, Settings};
use openfed_node::shutdown::Shutdown;
use openfed_proto::route::Transport;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use connections::{Door, Places};
use datagrams::Datagrams;
use replicas::Replicas;

/// Before anything is passed on: those who know the front by name have looked it up by then.
const SETTLE: Duration = proxy::KNOWN_AFTER;
/// What connections have to end by themselves when the front ends; whoever has one opens another.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the front could not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrontError {
    #[error("[[front.pass]] is missing in the settings: name listen and to there")]
    NotConfigured,
    #[error("cannot listen at [[front.pass]] listen {listen}: {cause}")]
    Listen { listen: Listen, cause: io::Error },
    #[error("[front] http: {0}")]
    Http(#[from] io::Error),
}

/// Passes on until `shutdown`.
///
/// # Errors
/// [`FrontError`] if it cannot start.
pub(crate) async fn serve(settings: Arc<Settings>, shutdown: Shutdown) -> Result<(), FrontError> {
    let front = Front::bind(&settings.front.pass)?;
    let health = Health::default();
    let http = Http::start(settings.front.http, Default::default(), health.clone()).await?;
    let watch = health.watch();
    tokio::select! {
        () = sleep(SETTLE) => front.run(health.clone(), &shutdown).await,
        () = shutdown.draining() => {}
    }
    health.set_ready(false);
    drop(watch);
    http.close().await;
    Ok(())
}

/// All that it listens at. What comes before [`Front::run`] waits in the system's queues.
struct Front {
    doors: Vec<Door>,
    datagrams: Vec<Datagrams>,
    replicas: Vec<Arc<Replicas>>,
    /// Keep the replicas known, from the start.
    tasks: JoinSet<()>,
    end: CancellationToken,
}

impl Front {
    fn bind(passes: &[Pass]) -> Result<Self, FrontError> {
        if passes.is_empty() {
            return Err(FrontError::NotConfigured);
        }
        let (mut doors, mut datagrams, mut all) = (Vec::new(), Vec::new(), Vec::new());
        let (places, mut tasks) = (Arc::<Places>::default(), JoinSet::new());
        let named: Vec<Listen> = passes.iter().map(|pass| pass.listen).collect();
        for pass in passes {
            let Pass { listen, to, .. } = pass;
            let replicas = Arc::new(Replicas::of(pass));
            let mut bind = |address| -> io::Result<SocketAddr> {
                let at = match listen.transport {
                    Transport::Udp => {
                        datagrams.push(Datagrams::bind(address, &replicas)?);
                        datagrams.last().map(Datagrams::address)
                    }
                    Transport::Tcp | Transport::Tls => {
                        doors.push(Door::bind(address, &replicas, &places)?);
                        doors.last().map(Door::address)
                    }
                };
                let at = at.unwrap_or(address);
                let transport = listen.transport.as_str();
                tracing::info!(transport, address = %at, %to, "listening");
                Ok(at)
            };
            let failed = |cause| FrontError::Listen { listen: *listen, cause };
            let at = bind(listen.address).map_err(failed)?;
            if listening::takes_both_families(listen, &named) {
                bind((Ipv4Addr::UNSPECIFIED, at.port()).into()).map_err(failed)?;
            }
            tasks.spawn(replicas.clone().keep());
            all.push(replicas);
        }
        Ok(Self { doors, datagrams, replicas: all, tasks, end: CancellationToken::new() })
    }

    async fn run(self, health: Health, shutdown: &Shutdown) {
        let Self { doors, datagrams, replicas, mut tasks, end } = self;
        let carried = TaskTracker::new();
        tasks.spawn(replicas::watch(replicas, health));
        for one in datagrams {
            tasks.spawn(one.run());
        }
        let mut open = JoinSet::new();
        for door in doors {
            open.spawn(door.run(carried.clone(), end.clone()));
        }
        shutdown.draining().await;
        // Nobody new is let in; answers by UDP still go back.
        open.shutdown().await;
        carried.close();
        tokio::select! {
            _ = timeout(FAREWELL, carried.wait()) => {}
            () = shutdown.stopped() => {}
        }
        end.cancel();
        carried.wait().await;
    }
}
