//! Connections: how many, how slow, how large.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::response::IntoResponse;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::tls::Certificate;
use crate::listening;
use crate::proxy::Proxies;

/// Connections at once; more wait in the system's queue.
const MOST: usize = 1_024;
/// The head of a request: its size in bytes, its lines, and how long it may take, which is also how
/// long a connection may do nothing.
const HEAD: (usize, usize, Duration) = (32 * 1024, 64, Duration::from_secs(30));
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After the system refused to accept: it may be out of files.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a request comes from, in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(
    /// The other end of the connection: the client's, if a proxy names him.
    pub SocketAddr,
);

/// Where a request comes in.
pub(super) struct Door {
    pub(super) certificate: Option<Certificate>,
    pub(super) proxies: Proxies,
    pub(super) routes: Router,
}

impl Door {
    /// Accepts until `end`; then waits for requests under way.
    pub(super) async fn accept(self, listener: TcpListener, end: CancellationToken) {
        let (places, graceful) = (Arc::new(Semaphore::new(MOST)), GracefulShutdown::new());
        // Dropped with this task: no connection outlives it.
        let mut connections = JoinSet::new();
        let door = Arc::new(self);
        loop {
            while connections.try_join_next().is_some() {}
            let next = async {
                let place = places.clone().acquire_owned().await.ok();
                (place, listening::accept(&listener).await)
            };
            let (place, accepted) = tokio::select! {
                next = next => next,
                () = end.cancelled() => break,
            };
            let Ok((stream, peer)) = accepted else {
                sleep(PAUSE).await;
                continue;
            };
            let connection = Connection { place, peer, door: door.clone() };
            connections.spawn(connection.run(stream, graceful.watcher()));
        }
        drop(listener);
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    }
}

/// RFC 9112 §3.2: a request of HTTP/1.1 has one Host that can be read, or hears 400.
fn names_its_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let sound = |host: &HeaderValue| {
        let text = host.to_str().unwrap_or("@");
        text.is_empty() || (!text.contains('@') && text.parse::<Authority>().is_ok())
    };
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => sound(host),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

struct Connection {
    /// Given back at the end.
    place: Option<OwnedSemaphorePermit>,
    peer: SocketAddr,
    door: Arc<Door>,
}

impl Connection {
    async fn run(mut self, mut stream: TcpStream, watcher: Watcher) {
        // Small answers go out at once.
        let _ = stream.set_nodelay(true);
        let Some(client) = self.door.proxies.client(&mut stream, self.peer).await else { return };
        self.peer = client;
        let Some(certificate) = &self.door.certificate else {
            return self.serve(stream, watcher).await;
        };
        let accepted = timeout(HANDSHAKE, certificate.acceptor().accept(stream)).await;
        // A peer that speaks no TLS, or not in time, is gone.
        if let Ok(Ok(stream)) = accepted {
            self.serve(stream, watcher).await;
        }
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        watcher: Watcher,
    ) {
        let Self { place: _place, peer, door } = self;
        let routes = TowerToHyperService::new(door.routes.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            let answer = names_its_host(&request).then(|| routes.call(request));
            async move {
                match answer {
                    Some(answer) => answer.await,
                    None => Ok(StatusCode::BAD_REQUEST.into_response()),
                }
            }
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(HEAD.2);
        server.max_buf_size(HEAD.0).max_headers(HEAD.1);
        // What a broken connection says is of no use to anybody.
        let _ = watcher.watch(server.serve_connection(TokioIo::new(stream), service)).await;
    }
}
