//! A service's HTTP side: `/metrics`, `/healthz`, `/readyz`, and whatever routes it adds.

mod connection;
mod tls;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::metrics::gauge;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::listening;
use crate::metrics;
use crate::proxy::Proxies;
use crate::settings::Identity;
use crate::thread::Thread;
use tls::Certificate;

use connection::Door;
pub use connection::Peer;

/// How often a service's thread shows that it turns.
const BEAT: Duration = Duration::from_secs(1);
/// One that has not shown it for so long hangs, and is to be started anew.
const HANGS_AFTER: Duration = Duration::from_secs(15);

/// How a service feels. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Health {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    ready: AtomicBool,
    beat: Mutex<Option<Instant>>,
    reasons: Mutex<BTreeMap<&'static str, String>>,
}

impl Health {
    /// Whether `/readyz` answers 200. A service starts as not ready.
    pub fn set_ready(&self, ready: bool) {
        if self.shared.ready.swap(ready, Ordering::Relaxed) != ready {
            gauge!("openfed_ready").increment(if ready { 1.0 } else { -1.0 });
        }
    }

    /// Whether the service is ready.
    pub fn is_ready(&self) -> bool {
        self.shared.ready.load(Ordering::Relaxed)
    }

    /// From now on the thread that this is called on is to show that it turns: if it hangs,
    /// `/healthz` and `/readyz` answer 503. Ends with what it gives.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let health = self.clone();
        let task = tokio::spawn(async move {
            let mut every = tokio::time::interval(BEAT);
            loop {
                every.tick().await;
                *health.beat() = Some(Instant::now());
            }
        });
        Watch { health: self.clone(), task }
    }

    /// Whether the service's thread has shown nothing for too long.
    fn hangs(&self) -> bool {
        self.beat().is_some_and(|at| at.elapsed() >= HANGS_AFTER)
    }

    fn beat(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.shared.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `part` works badly, for `reason`; logged when that is news.
    pub fn degrade(&self, part: &'static str, reason: impl Into<String>) {
        let reason = reason.into();
        let mut reasons = self.reasons();
        if reasons.get(part) != Some(&reason) {
            tracing::warn!(part, reason, "degraded");
            gauge!("openfed_degraded", "part" => part).set(1.0);
            reasons.insert(part, reason);
        }
    }

    /// `part` works well again; logged when that is news.
    pub fn recover(&self, part: &'static str) {
        if self.reasons().remove(part).is_some() {
            tracing::info!(part, "recovered");
            gauge!("openfed_degraded", "part" => part).set(0.0);
        }
    }

    /// What works badly, by part; empty when all is well.
    pub fn problems(&self) -> BTreeMap<&'static str, String> {
        self.reasons().clone()
    }

    fn reasons(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.shared.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Health::watch`].
#[derive(Debug)]
pub struct Watch {
    health: Health,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
        *self.health.beat() = None;
    }
}

/// A running HTTP server, on a thread of its own: no packet waits for a page.
#[derive(Debug)]
pub struct Http {
    address: SocketAddr,
    end: CancellationToken,
    task: JoinHandle<()>,
    _thread: Thread,
}

impl Http {
    /// Listens at `address` and serves `routes` beside [`pages`].
    ///
    /// # Errors
    /// If the address cannot be listened at.
    pub async fn start(address: SocketAddr, routes: Router, health: Health) -> io::Result<Self> {
        Self::serve(address, None, Proxies::default(), routes.merge(pages(health))).await
    }

    /// Listens at `address`, with TLS if there is a certificate for it, and serves `routes` alone;
    /// `proxies` say who is behind them.
    ///
    /// # Errors
    /// If the address cannot be listened at, or the certificate cannot be used.
    pub async fn serve(
        address: SocketAddr,
        identity: Option<&Identity>,
        proxies: Proxies,
        routes: Router,
    ) -> io::Result<Self> {
        let certificate = identity.map(Certificate::load).transpose()?;
        let thread = Thread::start("http")?;
        let handle = thread.handle().clone();
        let listener =
            handle.spawn(async move { listening::tcp(address) }).await.map_err(io::Error::other)?;
        let listener = listener.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen at http {address}: {error}"))
        })?;
        let address = listener.local_addr()?;
        tracing::info!(%address, tls = certificate.is_some(), "listening for http");
        let end = CancellationToken::new();
        let door = Door { certificate, proxies, routes };
        let task = handle.spawn(door.accept(listener, end.clone()));
        Ok(Self { address, end, task, _thread: thread })
    }

    /// The address that is really listened at, also when the system chose the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections and gives requests under way half a second. Endless answers go
    /// on until their handler ends them (it should watch `Shutdown`) or the process ends.
    pub async fn close(mut self) {
        self.end.cancel();
        let grace = std::time::Duration::from_millis(500);
        if tokio::time::timeout(grace, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `/metrics`, `/healthz` and `/readyz`.
pub fn pages(health: Health) -> Router {
    // Services of this process that are ready: to be seen from the start, also if none is.
    gauge!("openfed_ready").increment(0.0);
    Router::new()
        .route("/metrics", get(async || metrics_page()))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(health)
}

fn metrics_page() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::render()).into_response()
}

/// 503 only if the service hangs: a degraded one still works and must not be restarted for it.
async fn healthz(State(health): State<Health>) -> Response {
    let problems = health.problems();
    let (code, status) = match () {
        () if health.hangs() => (StatusCode::SERVICE_UNAVAILABLE, "hangs"),
        () if problems.is_empty() => (StatusCode::OK, "ok"),
        () => (StatusCode::OK, "degraded"),
    };
    let ready = health.is_ready();
    (code, Json(json!({ "status": status, "ready": ready, "problems": problems }))).into_response()
}

async fn readyz(State(health): State<Health>) -> Response {
    if health.is_ready() && !health.hangs() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

#[cfg(test)]
mod tests;
