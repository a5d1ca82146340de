//! Nodes: who works together here, and taking one of them out and back in.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::Console;
use super::backend::escaped;
use super::confirm::Confirm;
use super::frame::{Frame, Refusal, Words, done, show};
use super::model::{Items, Node, moment};
use super::visitor::Visitor;

const HERE: &str = "/nodes";

const TOLD: Words = &[
    ("drain", "Drained: the node takes nothing new and finishes what it has."),
    ("resume", "Resumed: the node takes packets again."),
];

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/nodes", get(list)).route("/nodes/{node}/{action}", get(ask).post(act))
}

#[derive(Template)]
#[template(path = "nodes.html")]
struct Page {
    frame: Frame,
    nodes: Vec<Node>,
}

pub(super) async fn all(console: &Console, visitor: &Visitor) -> Result<Vec<Node>, Refusal> {
    let nodes: Items<Node> = console.0.backend.get(visitor, "/nodes").await?;
    Ok(nodes.items)
}

impl Node {
    pub(super) fn since(&self) -> String {
        moment(&self.up_since)
    }
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let frame = Frame::new(&console, &visitor, HERE).told(&query, TOLD);
    Ok(show(&Page { frame, nodes: all(&console, &visitor).await? }))
}

fn no_page() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "There is no such page")
}

async fn ask(
    State(console): State<Console>,
    visitor: Visitor,
    Path((name, action)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let nodes = all(&console, &visitor).await?;
    let node = nodes.iter().find(|node| node.node == name).ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, format!("No node {name} is linked to this router"))
    })?;
    let last = nodes.iter().filter(|other| other.role == node.role && !other.draining).count() == 1;
    let (button, sentence) = match action.as_str() {
        "drain" => (
            "Drain",
            match node.role.as_str() {
                "sip-cm" => {
                    "It refuses new SIP requests with 503, so that they go to the next \
                         instance; requests of dialogs go on."
                }
                "xmpp-cm" => "It closes its port and then its streams, each when it is idle.",
                _ => "Connection managers go to other routers; what still comes is still routed.",
            },
        ),
        "resume" => ("Resume", "It takes packets again."),
        _ => return Err(no_page()),
    };
    let alone = format!("It is the only {} that serves at this router.", node.role);
    let frame = Frame::new(&console, &visitor, HERE);
    Ok(show(&Confirm {
        frame: frame.heading(format!("{button} {name}")),
        fields: Vec::new(),
        sentences: vec![sentence.to_owned()],
        warning: Some(alone).filter(|_| last && action == "drain"),
        button,
        danger: false,
        back: HERE.to_owned(),
    }))
}

async fn act(
    State(console): State<Console>,
    visitor: Visitor,
    Path((name, action)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let draining = match action.as_str() {
        "drain" => true,
        "resume" => false,
        _ => return Err(no_page()),
    };
    let (path, body) = (format!("/nodes/{}", escaped(&name)), json!({ "draining": draining }));
    console.0.backend.send(&visitor, Method::PATCH, &path, Some(body)).await?;
    Ok(done(HERE, &action))
}
