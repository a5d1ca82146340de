//! The operator's console: pages made here, which work without script as well.
//!
//! What they show and change goes through the API's own handlers, in process ([`backend`]): one
//! validation, one permission, one audit. Script only adds what a page cannot do by itself: rows
//! and flows that come while somebody looks ([`live`]).

mod assets;
mod audit;
mod backend;
mod blocked;
mod confirm;
mod explain;
mod flows;
mod frame;
mod listed;
mod live;
mod login;
mod model;
mod nodes;
mod overview;
mod sip_federation;
mod static_routes;
mod submitted;
mod visitor;
mod xmpp_federation;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::get;
use openfed_node::http::Health;
use openfed_node::settings::Settings;
use tokio::sync::{Semaphore, mpsc};

use crate::Insight;
use crate::catalogue::Catalogue;
use crate::engine::Ask;
use backend::Backend;
use frame::Refusal;

/// No form of the console is larger.
const BODY: usize = 64 * 1024;
/// Pages that may watch for changes at once; each holds a connection.
const WATCHERS: usize = 256;

/// What the pages need. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Console(Arc<Shared>);

/// What the console looks at besides the API.
#[derive(Debug)]
pub(crate) struct Views {
    pub(crate) settings: Arc<Settings>,
    /// This router's name.
    pub(crate) node: String,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) insight: Insight,
    pub(crate) health: Health,
    /// Closed when the router ends, and so are the pages that watch.
    pub(crate) engine: mpsc::Sender<Ask>,
}

#[derive(Debug)]
struct Shared {
    views: Views,
    backend: Backend,
    watchers: Arc<Semaphore>,
}

impl Console {
    /// Pages over the API whose routes these are.
    pub(crate) fn new(api: Router, views: Views) -> Self {
        let (backend, watchers) = (Backend::new(api), Arc::new(Semaphore::new(WATCHERS)));
        Console(Arc::new(Shared { views, backend, watchers }))
    }

    /// Every page, and what pages are made of.
    pub(crate) fn routes(&self) -> Router {
        let nothing_there = async || Refusal::new(StatusCode::NOT_FOUND, "There is no such page");
        Router::new()
            .route("/", get(overview::page))
            .merge(static_routes::routes())
            .merge(sip_federation::routes())
            .merge(blocked::routes())
            .merge(xmpp_federation::routes())
            .merge(explain::routes())
            .merge(flows::routes())
            .merge(nodes::routes())
            .merge(audit::routes())
            .merge(live::routes())
            .merge(login::routes())
            .merge(assets::routes())
            .fallback(nothing_there)
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(self.clone())
    }
}
