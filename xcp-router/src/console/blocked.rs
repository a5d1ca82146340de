//! Blocked domains: denied in both directions, known or not, whatever the routes say.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::Console;
use super::frame::{Frame, Refusal, done, show, show_with};
use super::listed::{Kind, Listing};
use super::submitted::Submitted;
use super::visitor::Visitor;

const BLOCKED: Kind = Kind {
    here: "/federation/blocked",
    api: "/blocked-domains",
    undo: "Unblock",
    undone: "Its packets take the way again that routes and the domain table give them, at once \
             and on every node.",
    told: &[
        ("added", "Blocked, in both directions and on every node."),
        ("removed", "Unblocked, on every node."),
    ],
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/federation/blocked", get(list).post(add))
        .route("/federation/blocked/{domain}/remove", BLOCKED.removal())
}

#[derive(Template)]
#[template(path = "blocked.html")]
struct Page {
    frame: Frame,
    list: Listing,
}

fn frame(console: &Console, visitor: &Visitor) -> Frame {
    Frame::new(console, visitor, BLOCKED.here)
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let list = Listing::read(&console, &visitor, BLOCKED, &query).await?;
    Ok(show(&Page { frame: frame(&console, &visitor).told(&query, BLOCKED.told), list }))
}

async fn add(
    State(console): State<Console>,
    visitor: Visitor,
    submitted: Submitted,
) -> Result<Response, Refusal> {
    Ok(match Listing::add(&console, &visitor, BLOCKED, &submitted).await? {
        None => done(BLOCKED.here, "added"),
        Some(list) => {
            let page = Page { frame: frame(&console, &visitor), list };
            show_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    })
}
