//! `openfed up`: the three services in one process, over real gRPC on loopback.

use std::process::ExitCode;
use std::sync::Arc;

use openfed_node::process;
use openfed_node::settings::Settings;
use openfed_node::shutdown::Shutdown;

/// Why one of the three has ended.
#[derive(Debug, thiserror::Error)]
#[error("{service}")]
pub(crate) struct Ended {
    service: &'static str,
    #[source]
    cause: Box<dyn std::error::Error + Send + Sync>,
}

/// Runs until a signal, like the single processes do.
pub(crate) fn run(settings: Settings) -> ExitCode {
    process::run("openfed", settings, serve)
}

/// Serves until `shutdown`. When one service fails, the others drain.
pub(crate) async fn serve(settings: Arc<Settings>, shutdown: Shutdown) -> Result<(), Ended> {
    let of = |service, ended: Result<(), Box<dyn std::error::Error + Send + Sync>>| {
        if ended.is_err() {
            shutdown.begin();
        }
        ended.map_err(|cause| Ended { service, cause })
    };
    let router = xcp_router::serve(settings.clone(), shutdown.clone());
    let xmpp = xmpp_cm::serve(settings.clone(), shutdown.clone());
    let sip = sip_cm::serve(settings, shutdown.clone());
    let (router, xmpp, sip) = tokio::join!(
        async { of("xcp-router", router.await.map_err(Into::into)) },
        async { of("xmpp-cm", xmpp.await.map_err(Into::into)) },
        async { of("sip-cm", sip.await.map_err(Into::into)) },
    );
    router.and(xmpp).and(sip)
}
