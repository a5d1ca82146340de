//! Connections that we open, one for each [`Lead`] at a time.

use super::flows::{Flows, Lead, Outgoing};
use super::stream::{Connection, close, tune};
use super::{SendError, source};
use crate::tls::TlsConfigs;
use bytes::Bytes;
use openfed_node::settings::Listen;
use openfed_proto::route::Transport;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sip_cm_core::command::Token;
use sip_cm_core::framing::Opener;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Which connection leads there. On TCP nothing is verified, and any name leads to the same one.
pub(super) fn lead(transport: Transport, address: SocketAddr, name: Option<String>) -> Lead {
    let name = match transport {
        Transport::Tls => {
            let name = name.unwrap_or_else(|| address.ip().to_string());
            Some(name.trim_end_matches('.').to_ascii_lowercase())
        }
        _ => None,
    };
    (transport, address, name)
}

/// Queues a message on the connection that leads there, which is opened if it is not, from where we
/// listen.
pub(super) fn send(
    flows: &Arc<Flows>,
    tls: &TlsConfigs,
    (lead, listening): (Lead, &[Listen]),
    bytes: Bytes,
    token: Token,
) -> Result<(), SendError> {
    let (transport, address, name) = lead.clone();
    let wanted = match &name {
        Some(name) => {
            let parsed = ServerName::try_from(name.clone()).map_err(|_| SendError::BadName)?;
            Some((parsed, Arc::clone(&tls.client)))
        }
        None => None,
    };
    let mut out = Outgoing { bytes, token: Some(token) };
    if let Some(queue) = flows.queue_to(&lead) {
        match queue.offer(out) {
            Ok(()) => return Ok(()),
            // It ends this very moment: a new one takes its place.
            Err((back, SendError::Closed)) => out = back,
            Err((_, error)) => return Err(error),
        }
    }
    let (place, waiting) = flows.lead(lead).ok_or(SendError::TooManyConnections)?;
    if let Some(queue) = flows.queue(place.flow) {
        queue.offer(out).map_err(|(_, error)| error)?;
    }
    let from = source::towards(listening, transport, address);
    let flows = Arc::clone(flows);
    tokio::spawn(async move {
        let stop = flows.stop.clone();
        let limit = flows.limits.connect;
        let opened = stop.run_until_cancelled(open((from, address), wanted, limit)).await;
        match opened.unwrap_or(Err(SendError::Closed)) {
            Ok(opened) => {
                let opener = Opener::Us;
                let connection =
                    Connection { flows, place, transport, peer: address, opener, waiting };
                match opened {
                    Opened::Tcp(stream) => connection.run(stream).await,
                    Opened::Tls(stream) => connection.run(*stream).await,
                }
            }
            Err(error) => {
                tracing::debug!(%error, transport = transport.as_str(), "SIP next hop not reached");
                close(&flows, place, waiting, &error).await;
            }
        }
    });
    Ok(())
}

enum Opened {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

async fn open(
    (from, address): (Option<SocketAddr>, SocketAddr),
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    limit: Duration,
) -> Result<Opened, SendError> {
    let stream = timeout(limit, source::connect(from, address))
        .await
        .map_err(|_| SendError::ConnectTimeout)?
        .map_err(|error| SendError::Connect(error.to_string()))?;
    tune(&stream);
    let Some((name, config)) = tls else { return Ok(Opened::Tcp(stream)) };
    let stream = timeout(limit, TlsConnector::from(config).connect(name, stream))
        .await
        .map_err(|_| SendError::ConnectTimeout)?
        .map_err(|error| SendError::Tls(error.to_string()))?;
    Ok(Opened::Tls(Box::new(stream)))
}
