//! Connections that peers open.

use super::flows::Flows;
use super::stream::{Connection, tune};
use openfed_proto::route::Transport;
use rustls::ServerConfig;
use sip_cm_core::framing::Opener;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Connections that the kernel keeps until we take them.
const BACKLOG: i32 = 1024;
/// After an error of `accept`, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// Listens on an address, with TLS if `tls` is given, and says which one it became.
pub(super) fn bind(
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    flows: &Arc<Flows>,
) -> io::Result<SocketAddr> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Allows a restart while connections of the last run wait in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let local = listener.local_addr()?;
    let flows = Arc::clone(flows);
    tokio::spawn(async move {
        let stop = flows.stop.clone();
        stop.run_until_cancelled(accept(listener, tls.map(TlsAcceptor::from), flows)).await
    });
    Ok(local)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, flows: Arc<Flows>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => arrive(stream, peer, tls.clone(), &flows),
            Err(error) => {
                tracing::warn!(%error, "SIP connections cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Lets a connection in, or first asks the proxy that it comes from whose it is.
fn arrive(mut stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, flows: &Arc<Flows>) {
    if !flows.fronted.proxies.include(peer.ip()) {
        return enter(stream, peer, tls, flows);
    }
    let flows = Arc::clone(flows);
    tokio::spawn(async move {
        let client = flows.fronted.proxies.client(&mut stream, peer);
        if let Some(Some(client)) = flows.stop.run_until_cancelled(client).await {
            enter(stream, client, tls, &flows);
        }
    });
}

fn enter(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, flows: &Arc<Flows>) {
    let Some((place, waiting)) = flows.enter(peer.ip()) else {
        metrics::counter!("openfed_sip_connections_refused_total").increment(1);
        return;
    };
    tune(&stream);
    let flows = Arc::clone(flows);
    tokio::spawn(async move {
        let transport = if tls.is_some() { Transport::Tls } else { Transport::Tcp };
        let limit = flows.limits.connect;
        let opener = Opener::Peer;
        let connection = Connection { flows, place, transport, peer, opener, waiting };
        let Some(tls) = tls else { return connection.run(stream).await };
        match tokio::time::timeout(limit, tls.accept(stream)).await {
            Ok(Ok(stream)) => connection.run(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake of a SIP peer failed"),
            Err(_) => tracing::debug!("TLS handshake of a SIP peer took too long"),
        }
    });
}
