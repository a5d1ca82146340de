//! The nodes that work together here, and taking one of them out and back in.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use xcp_router_core::NodeView;

use super::Api;
use super::body::Object;
use super::fields::Fields;
use super::insight::ask;
use super::operation::Operation;
use super::pages::{MOST, page};
use super::problem::Problem;
use super::time::rfc3339;
use crate::access::Actor;
use crate::engine::Ask;

/// How long a node may take to say that it has done so.
const CONFIRMED: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(super) fn operations() -> Vec<Operation> {
    let list = "This router and the connection managers that are linked to it";
    let drain = "Take a node out (`draining`: true) or back in. A node that drains takes no new \
                 packets, finishes what it has, is not ready, and keeps running; when it is \
                 restarted, it serves. A connection manager tells all routers, whichever is asked; \
                 another router is drained at its own API, and is not found here. Answered when the \
                 node has said so";
    vec![
        Operation::get("/nodes", self::list, ("listNodes", list))
            .paged(MOST, MOST)
            .answers(200, "Nodes"),
        Operation::new(Method::PATCH, "/nodes/{name}", change, ("drainNode", drain))
            .takes("NodeChange")
            .answers(200, "Node")
            .refuses(&[404, 504]),
    ]
}

/// This router, and the connection managers that are linked to it.
async fn list(
    State(api): State<Api>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Problem> {
    let nodes = views(&api).await?;
    let items = nodes.iter().map(|node| (node.node.clone(), describe(node)));
    Ok(Json(page(&query, items.collect())?))
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
