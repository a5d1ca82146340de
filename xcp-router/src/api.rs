//! The operator's API (`/api/v1`): JSON in and out, problem documents for
//! everything that goes wrong, described at `/api/v1/openapi.json`.

mod audit;
mod body;
mod domain_lists;
mod fields;
mod insight;
mod openapi;
mod problem;
mod sip_domains;
mod static_routes;
pub(crate) mod time;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::routing::get;
use openfed_node::settings::Settings;
use openfed_node::store::Store;
use tokio::sync::mpsc;

use crate::catalogue::Catalogue;
use crate::engine::Ask;
use crate::flows::Flows;
use audit::Audit;
use problem::Problem;

/// No request of this API is larger.
const BODY: usize = 64 * 1024;

/// What the handlers need. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Arc<Settings>,
    store: Arc<dyn Store>,
    catalogue: Arc<Catalogue>,
    flows: Arc<Flows>,
    audit: Audit,
    engine: mpsc::Sender<Ask>,
}

impl Api {
    pub(crate) fn new(
        settings: &Arc<Settings>,
        store: Arc<dyn Store>,
        catalogue: Arc<Catalogue>,
        flows: Arc<Flows>,
        engine: mpsc::Sender<Ask>,
    ) -> Self {
        let (settings, audit) = (settings.clone(), Audit::default());
        Api(Arc::new(Shared { settings, store, catalogue, flows, audit, engine }))
    }

    pub(crate) fn routes(&self) -> Router {
        let nothing_there = async || Problem::new(StatusCode::NOT_FOUND, "There is nothing here");
        let api = Router::new()
            .merge(static_routes::routes())
            .merge(sip_domains::routes())
            .merge(domain_lists::routes())
            .merge(insight::routes())
            .route("/openapi.json", get(openapi::document))
            .fallback(nothing_there)
            .layer(DefaultBodyLimit::max(BODY))
            .layer(map_response(problem::instead_of_plain_text))
            .with_state(self.clone());
        Router::new().nest("/api/v1", api)
    }
}
