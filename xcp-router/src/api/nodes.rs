//! The nodes that work together here, and taking one of them out and back in.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, patch};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use xcp_router_core::NodeView;

use super::Api;
use super::body::Object;
use super::fields::Fields;
use super::insight::ask;
use super::problem::Problem;
use super::time::rfc3339;
use crate::access::Actor;
use crate::engine::Ask;

/// How long a node may take to say that it has done so.
const CONFIRMED: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/nodes", get(list)).route("/nodes/{name}", patch(change))
}

/// This router, and the connection managers that are linked to it.
async fn list(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let nodes = views(&api).await?;
    Ok(Json(json!({ "items": nodes.iter().map(describe).collect::<Vec<_>>() })))
}

/// `draining`: the node takes no new packets (any more), finishes what it has, and keeps running.
async fn change(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Object(body): Object,
) -> Result<Json<Value>, Problem> {
    let mut fields = Fields::new(body);
    let draining = fields.flag("draining");
    if draining.is_none() && !fields.names("draining") {
        fields.error("draining", "is missing");
    }
    let Some(on) = fields.finish(draining)? else {
        return Err(Problem::not_found("no state"));
    };
    let known = ask(&api, |reply| Ask::Drain { node: name.clone(), on, reply }).await?;
    let deadline = Instant::now() + CONFIRMED;
    loop {
        let found = views(&api).await?.into_iter().find(|view| view.node == name);
        match found.filter(|_| known) {
            None => return Err(unknown(&name)),
            Some(view) if view.draining == on => {
                let action = if on { "drain node" } else { "resume node" };
                api.0.audit.add(&actor.name, action, name, None, None).await;
                return Ok(Json(describe(&view)));
            }
            Some(_) if Instant::now() >= deadline => {
                let title = "The node was told, but has not confirmed it yet";
                return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, title));
            }
            Some(_) => sleep(LOOK_EVERY).await,
        }
    }
}

fn unknown(name: &str) -> Problem {
    Problem::not_found(format!(
        "No node {name} is linked to this router. Another router is drained at its own API."
    ))
}

async fn views(api: &Api) -> Result<Vec<NodeView>, Problem> {
    ask(api, |reply| Ask::Nodes { reply }).await
}

fn describe(node: &NodeView) -> Value {
    json!({
        "node": node.node,
        "role": node.role.as_str(),
        "version": node.version,
        "address": node.address,
        "up_since": rfc3339(node.up_since_us),
        "in_flight": node.in_flight,
        "draining": node.draining,
    })
}
