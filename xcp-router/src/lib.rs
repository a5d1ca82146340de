//! The router's service around `xcp-router-core`: links, store, spans, metrics
//! and the API (design §10–§12).

mod access;
mod api;
mod asking;
mod catalogue;
mod console;
mod engine;
mod flows;
mod perform;
mod store;
mod streams;
mod traffic;
mod trials;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router as Routes;
use openfed_node::http::{Health, Http, pages};
use openfed_node::link::LinkServer;
use openfed_node::proxy::Proxies;
use openfed_node::settings::{Dual, Settings};
use openfed_node::shutdown::Shutdown;
use openfed_node::store::{self as node_store, Closed};
use openfed_node::telemetry::Tracer;
use openfed_node::thread::Thread;
use openfed_proto::link::Hello;
use openfed_proto::packet::Role;
use thiserror::Error;
use tokio::sync::mpsc;
use xcp_router_core::{Config, NodeView, Now, Router};

use crate::access::Access;
use crate::api::Api;
use crate::catalogue::Catalogue;
use crate::console::{Console, Views};
use crate::engine::Engine;
use crate::flows::Flows;
use crate::perform::Performer;
use crate::streams::Streams;
use crate::traffic::Traffic;
use crate::trials::Trials;

/// Questions of the API that may wait for the engine.
const ASKS: usize = 64;

/// How long the store may take over its last work.
const CLOSE: Duration = Duration::from_secs(1);

/// Why the service could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address could not be listened at.
    #[error(transparent)]
    Listen(#[from] io::Error),
    /// The store cannot be used.
    #[error("the store cannot be used")]
    Store(#[from] node_store::StoreError),
    /// The exporter of traces could not be made.
    #[error("traces cannot be exported: {0}")]
    Traces(String),
}

/// A router that listens and is about to run.
#[derive(Debug)]
pub struct Service {
    engine: Engine,
    http: Http,
    /// `router.metrics`.
    metrics: Option<Http>,
    health: Health,
    link: SocketAddr,
    /// Of the store.
    closed: Closed,
    /// Where the store is read and written, so that no packet waits for it.
    _beside: Thread,
}

/// What the engine lets people see, besides what it does.
#[derive(Clone, Debug, Default)]
struct Insight {
    flows: Arc<Flows>,
    traffic: Arc<Traffic>,
    streams: Arc<Streams>,
    trials: Arc<Trials>,
}

/// Starts the router and runs it until `shutdown` has drained it.
///
/// # Errors
/// If it could not start.
pub async fn serve(settings: Arc<Settings>, shutdown: Shutdown) -> Result<(), StartError> {
    Service::start(settings, shutdown).await?.run().await;
    Ok(())
}

impl Service {
    /// Opens the store and listens for links and HTTP.
    ///
    /// # Errors
    /// If the store is unusable or an address is taken. A Redis that is down is
    /// no error: `/readyz` waits for it.
    pub async fn start(settings: Arc<Settings>, shutdown: Shutdown) -> Result<Self, StartError> {
        let beside = Thread::start("store")?;
        let own = settings.clone();
        let open = async move { node_store::open(&own.store, own.store_key.as_deref()).await };
        let opened = beside.handle().spawn(open);
        let store = opened.await.map_err(io::Error::other)??;
        let tracer = Tracer::new(&settings, Role::Router)
            .map_err(|error| StartError::Traces(error.to_string()))?;
        let config = config(&settings);
        perform::limit(config.table_cap);
        let hello = hello(&config);
        let (links, link_events) = LinkServer::start(settings.router.link, hello.clone()).await?;
        let link = links.address();
        let (health, insight) = (Health::default(), Insight::default());
        let catalogue = Arc::new(Catalogue::default());
        let (asks, asked) = mpsc::channel(ASKS);
        let token = access::begin(&settings)?;
        let access = Access::new(&settings, store.clone(), catalogue.clone(), token);
        let views = Views {
            settings: settings.clone(),
            node: hello.node.clone(),
            catalogue: catalogue.clone(),
            insight: insight.clone(),
            health: health.clone(),
            engine: asks.clone(),
        };
        let api = (access.clone(), insight.clone());
        let api = Api::new(&settings, store.clone(), catalogue.clone(), api, asks);
        let routes = api.routes().merge(Console::new(api.routes(), views).routes());
        let (http, metrics) = listen(&settings, &access, routes, &health).await?;
        let own = (hello.node.clone(), health.clone());
        let store_facts = store::follow(&beside, store.clone(), catalogue.clone(), own);
        if settings.router.first_administrator {
            let (first, shutdown) = (access.first_administrator(), shutdown.clone());
            beside.handle().spawn(async move {
                tokio::select! { () = first => {} () = shutdown.draining() => {} }
            });
        }
        let closed = store.closed();
        let (performer, store_answers) = Performer::new(
            links,
            (store, beside.handle().clone()),
            tracer,
            insight,
            (health.clone(), hello.node.clone()),
        );
        let engine = Engine {
            router: Router::new(config),
            own: view(&hello, link),
            performer,
            link_events,
            store_facts,
            store_answers,
            asked,
            catalogue,
            shutdown,
            draining: false,
        };
        Ok(Self { engine, http, metrics, health, link, closed, _beside: beside })
    }

    /// Where the links listen.
    pub fn link_address(&self) -> SocketAddr {
        self.link
    }

    /// Where API, metrics and health listen.
    pub fn http_address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Where metrics and health are there for everybody.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Http::address)
    }

    /// Runs until the end of the drain.
    pub async fn run(self) {
        let watch = self.health.watch();
        let performer = self.engine.run().await;
        drop(watch);
        self.health.set_ready(false);
        self.http.close().await;
        if let Some(metrics) = self.metrics {
            metrics.close().await;
        }
        performer.close().await;
        // The last uses are still being written, and an embedded store is locked
        // until nobody holds it any more.
        if tokio::time::timeout(CLOSE, self.closed.cancelled()).await.is_err() {
            tracing::warn!("the store was not closed in time");
        }
    }
}

/// Opens `router.http`, all of it behind the gate, and `router.metrics`.
async fn listen(
    settings: &Settings,
    access: &Access,
    routes: Routes,
    health: &Health,
) -> io::Result<(Http, Option<Http>)> {
    let own = &settings.router;
    let routes = access::guard(access, routes.merge(pages(health.clone())));
    let proxies = Proxies::of(&own.proxy_from).await;
    let http = Http::serve(own.http, own.tls.as_ref(), proxies, routes).await?;
    let metrics = match own.metrics {
        Some(address) => Some(Http::start(address, Routes::new(), health.clone()).await?),
        None => None,
    };
    Ok((http, metrics))
}

/// This moment by both clocks.
fn now() -> Now {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let unix_us = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
    Now { instant: Instant::now(), unix_us }
}

/// The core's part of the settings.
fn config(settings: &Settings) -> Config {
    let discovery = &settings.discovery;
    Config {
        federation: settings.xmpp.federation,
        require_xmpp: discovery.require_xmpp,
        accept_dual: discovery.dual == Dual::Accept,
        fallback_on_timeout: discovery.fallback_on_timeout,
        fallback_on_not_listed: discovery.fallback_on_not_listed,
        xmpp_budget: discovery.xmpp_attempt,
        ask_again: discovery.ask_again,
        rows_per_second: discovery.rate_per_node,
        rows_per_source: discovery.rate_per_source,
        table_cap: discovery.table_cap,
        seed: rand::random(),
        ..Config::new(settings.node_name(Role::Router), settings.local.clone())
    }
}

/// How this router is listed among the nodes.
fn view(hello: &Hello, link: SocketAddr) -> NodeView {
    NodeView {
        node: hello.node.clone(),
        role: hello.role,
        version: hello.version.clone(),
        address: link.to_string(),
        up_since_us: hello.epoch,
        in_flight: 0,
        draining: false,
    }
}

/// How this router greets. Its start is its epoch.
fn hello(config: &Config) -> Hello {
    Hello {
        role: Role::Router,
        node: config.node.clone(),
        epoch: now().unix_us,
        capacity: config.capacity,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
