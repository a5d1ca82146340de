//! Presence › Inter-domain Federation › XMPP Federation: domains pinned to XMPP, what the settings
//! say, and the streams that stand.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use openfed_proto::domain::Domain;
use openfed_proto::link::StreamView;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Console;
use super::frame::{Frame, Refusal, done, show, show_with};
use super::listed::{Kind, Listing};
use super::submitted::Submitted;
use super::visitor::Visitor;
use crate::engine::Ask;

/// The engine answers between two packets; this is for one that hangs.
const ANSWER: Duration = Duration::from_secs(2);

const PINNED: Kind = Kind {
    here: "/federation/xmpp",
    api: "/xmpp-domains",
    undo: "Unpin",
    undone: "XMPP is still tried first. If it finds no server, SIP may be tried again.",
    told: &[("added", "Pinned to XMPP, on every node."), ("removed", "Unpinned, on every node.")],
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/federation/xmpp", get(list).post(add))
        .route("/federation/xmpp/{domain}/remove", PINNED.removal())
}

#[derive(Template)]
#[template(path = "xmpp_federation.html")]
struct Page {
    frame: Frame,
    list: Listing,
    federation: bool,
    streams: Vec<Stream>,
    /// Streams that are not shown.
    more: u32,
    denied: Vec<String>,
    allowed: Option<Vec<String>>,
}

/// A stream of an xmpp-cm, in words.
struct Stream {
    node: String,
    local: String,
    remote: String,
    direction: &'static str,
    encrypted: bool,
    authenticated: bool,
    pairs: u32,
    queued: u32,
}

/// The streams of all xmpp-cm that are linked, and how many of them are left out. One that is silent
/// is left out: the page is not to wait for it.
async fn streams(console: &Console) -> (Vec<Stream>, u32) {
    let (views, since) = (&console.0.views, Instant::now());
    let (reply, asked) = oneshot::channel();
    // An engine that has no time has none for a look at streams.
    if views.engine.try_send(Ask::Streams { reply }).is_err() {
        return (Vec::new(), 0);
    }
    let asked = timeout(ANSWER, asked).await.ok().and_then(Result::ok).unwrap_or_default();
    let (mut streams, mut more) = (Vec::new(), 0);
    for told in views.insight.streams.told(&asked, since).await {
        let shown = u32::try_from(told.streams.len()).unwrap_or(u32::MAX);
        more += told.total.saturating_sub(shown);
        let node = told.node;
        streams.extend(told.streams.into_iter().map(|view| in_words(&node, view)));
    }
    (streams, more)
}

fn in_words(node: &str, view: StreamView) -> Stream {
    let name = |domain: Option<Domain>| domain.map_or("–".to_owned(), |name| name.to_string());
    Stream {
        node: node.to_owned(),
        local: name(view.local),
        remote: name(view.remote),
        direction: if view.dialed { "outgoing" } else { "incoming" },
        encrypted: view.encrypted,
        authenticated: view.authenticated,
        pairs: view.pairs,
        queued: view.queued,
    }
}

async fn page(console: &Console, frame: Frame, list: Listing) -> Page {
    let xmpp = &console.0.views.settings.xmpp;
    let (streams, more) = streams(console).await;
    Page {
        frame,
        list,
        federation: xmpp.federation,
        streams,
        more,
        denied: xmpp.deny.iter().map(ToString::to_string).collect(),
        allowed: xmpp.allow.as_ref().map(|allow| allow.iter().map(ToString::to_string).collect()),
    }
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let list = Listing::read(&console, &visitor, PINNED, &query).await?;
    let frame = Frame::new(&console, &visitor, PINNED.here).told(&query, PINNED.told);
    Ok(show(&page(&console, frame, list).await))
}

async fn add(
    State(console): State<Console>,
    visitor: Visitor,
    submitted: Submitted,
) -> Result<Response, Refusal> {
    Ok(match Listing::add(&console, &visitor, PINNED, &submitted).await? {
        None => done(PINNED.here, "added"),
        Some(list) => {
            let frame = Frame::new(&console, &visitor, PINNED.here);
            let page = page(&console, frame, list).await;
            show_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    })
}
