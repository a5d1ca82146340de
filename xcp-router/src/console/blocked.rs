//! Blocked domains: denied in both directions, known or not, whatever the routes say.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::Console;
use super::frame::{Frame, Refusal, done, show, show_with};
use super::listed::{self, Kind, Listing};
use super::submitted::Submitted;
use super::visitor::Visitor;

const BLOCKED: Kind = Kind {
    here: "/federation/blocked",
    api: "/blocked-domains",
    undo: "Unblock",
    undone: "Its packets take the way again that routes and the domain table give them, at once \
             and on every node.",
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/federation/blocked", get(list).post(add))
        .route("/federation/blocked/{domain}/remove", get(ask).post(remove))
}

#[derive(Template)]
#[template(path = "blocked.html")]
struct Page {
    frame: Frame,
    list: Listing,
}

fn page(console: &Console, visitor: &Visitor, list: Listing, told: Option<&str>) -> Page {
    Page { frame: Frame::new(console, visitor, BLOCKED.here).told(told), list }
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let told = match query.get("done").map(String::as_str) {
        Some("added") => Some("Blocked, in both directions and on every node."),
        Some("removed") => Some("Unblocked, on every node."),
        _ => None,
    };
    let list = Listing::read(&console, &visitor, BLOCKED, &query).await?;
    Ok(show(&page(&console, &visitor, list, told)))
}

async fn add(
    State(console): State<Console>,
    visitor: Visitor,
    submitted: Submitted,
) -> Result<Response, Refusal> {
    Ok(match Listing::add(&console, &visitor, BLOCKED, &submitted).await? {
        None => done(BLOCKED.here, "added"),
        Some(list) => {
            let page = page(&console, &visitor, list, None);
            show_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    })
}

async fn ask(
    State(console): State<Console>,
    visitor: Visitor,
    Path(domain): Path<String>,
) -> Response {
    listed::ask(&console, &visitor, BLOCKED, &domain)
}

async fn remove(
    State(console): State<Console>,
    visitor: Visitor,
    Path(domain): Path<String>,
) -> Result<Response, Refusal> {
    listed::remove(&console, &visitor, BLOCKED, &domain).await
}
