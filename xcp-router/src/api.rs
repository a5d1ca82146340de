//! The operator's API (`/api/v1`): JSON in and out, problem documents for
//! everything that goes wrong, described at `/api/v1/openapi.json`.

mod audit;
mod backup;
mod body;
mod domain_lists;
mod fields;
mod insight;
mod nodes;
mod openapi;
mod operation;
mod pages;
mod precondition;
mod problem;
mod session;
mod sip_domains;
mod static_routes;
pub(crate) mod time;
mod tokens;
mod transfer;
mod trials;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::map_response;
use openfed_node::settings::Settings;
use openfed_node::store::Store;
use tokio::sync::{Mutex, mpsc};

use crate::Insight;
use crate::access::Access;
use crate::catalogue::{Catalogue, Listing};
use crate::engine::Ask;
pub(crate) use audit::Audit;
pub(crate) use sip_domains::describe as describe_row;

pub(crate) use problem::Problem;

/// No request of this API is larger, except for an import, which is taken in as it comes.
const BODY: usize = 64 * 1024;

/// Everything that the API can do.
fn operations() -> Vec<operation::Operation> {
    [
        static_routes::operations(),
        sip_domains::operations(),
        transfer::operations(),
        domain_lists::operations(),
        insight::operations(),
        trials::operations(),
        nodes::operations(),
        session::operations(),
        users::operations(),
        tokens::operations(),
        backup::operations(),
        openapi::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What the handlers need. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Arc<Settings>,
    /// Every change goes there first; this node acts by it like all others.
    store: Arc<dyn Store>,
    /// Lists are read here, also while the store is away.
    catalogue: Arc<Catalogue>,
    insight: Insight,
    audit: Audit,
    access: Access,
    /// One import at a time.
    importing: Mutex<()>,
    /// For questions that only the router's core can answer.
    engine: mpsc::Sender<Ask>,
}

impl Api {
    pub(crate) fn new(
        settings: &Arc<Settings>,
        store: Arc<dyn Store>,
        catalogue: Arc<Catalogue>,
        (access, insight): (Access, Insight),
        engine: mpsc::Sender<Ask>,
    ) -> Self {
        let (settings, audit) = (settings.clone(), Audit::new(store.clone()));
        let importing = Mutex::default();
        Api(Arc::new(Shared {
            settings,
            store,
            catalogue,
            insight,
            audit,
            access,
            importing,
            engine,
        }))
    }

    /// Everything below `/api/v1`.
    pub(crate) fn routes(&self) -> Router {
        let nothing_there = async || Problem::new(StatusCode::NOT_FOUND, "There is nothing here");
        let api = operation::routed(operations())
            .fallback(nothing_there)
            .layer(DefaultBodyLimit::max(BODY))
            .layer(map_response(problem::instead_of_plain_text))
            .with_state(self.clone());
        Router::new().nest("/api/v1", api)
    }

    /// Looks at the tables, once there are any: an empty list would be a lie.
    fn listing<T>(&self, look: impl FnOnce(&Listing) -> T) -> Result<T, Problem> {
        let looked = self.0.catalogue.read(|listing| listing.loaded.then(|| look(listing)));
        let unread = "The store has not been read since this router started";
        looked.ok_or_else(|| Problem::new(StatusCode::SERVICE_UNAVAILABLE, unread))
    }
}
