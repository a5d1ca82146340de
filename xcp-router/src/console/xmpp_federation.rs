//! Presence › Inter-domain Federation › XMPP Federation: domains pinned to XMPP, what the settings
//! say, and the streams that stand.

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

const PINNED: Kind = Kind {
    here: "/federation/xmpp",
    api: "/xmpp-domains",
    undo: "Unpin",
    undone: "XMPP is still tried first. If it finds no server, SIP may be tried again.",
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/federation/xmpp", get(list).post(add))
        .route("/federation/xmpp/{domain}/remove", get(ask).post(remove))
}

#[derive(Template)]
#[template(path = "xmpp_federation.html")]
struct Page {
    frame: Frame,
    list: Listing,
    federation: bool,
    denied: Vec<String>,
    allowed: Option<Vec<String>>,
}

fn page(console: &Console, visitor: &Visitor, list: Listing, told: Option<&str>) -> Page {
    let xmpp = &console.0.views.settings.xmpp;
    Page {
        frame: Frame::new(console, visitor, PINNED.here).told(told),
        list,
        federation: xmpp.federation,
        denied: xmpp.deny.iter().map(ToString::to_string).collect(),
        allowed: xmpp.allow.as_ref().map(|allow| allow.iter().map(ToString::to_string).collect()),
    }
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let told = match query.get("done").map(String::as_str) {
        Some("added") => Some("Pinned to XMPP, on every node."),
        Some("removed") => Some("Unpinned, on every node."),
        _ => None,
    };
    let list = Listing::read(&console, &visitor, PINNED, &query).await?;
    Ok(show(&page(&console, &visitor, list, told)))
}

async fn add(
    State(console): State<Console>,
    visitor: Visitor,
    submitted: Submitted,
) -> Result<Response, Refusal> {
    Ok(match Listing::add(&console, &visitor, PINNED, &submitted).await? {
        None => done(PINNED.here, "added"),
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
    listed::ask(&console, &visitor, PINNED, &domain)
}

async fn remove(
    State(console): State<Console>,
    visitor: Visitor,
    Path(domain): Path<String>,
) -> Result<Response, Refusal> {
    listed::remove(&console, &visitor, PINNED, &domain).await
}
