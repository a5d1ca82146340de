//! Flows: packets as they end, each drawn as the way it took: SIP CM · router · XMPP CM.

mod picture;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Console;
use super::backend::escaped;
use super::frame::{Frame, Refusal, show};
use super::live;
use super::model::{Items, moment};
use super::visitor::Visitor;
use picture::Picture;

const HERE: &str = "/flows";
/// Flows that are looked through, as many as are kept, and those that a page shows of them.
const KEPT: usize = 1_000;
const SHOWN: usize = 30;

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/flows", get(page)).route("/flows/stream", get(stream_flows))
}

/// A packet and its way, as the API tells of it.
#[derive(Debug, Deserialize)]
struct Flow {
    packet_id: String,
    started: String,
    domain: String,
    direction: String,
    decision: String,
    outcome: String,
    trace_id: Option<String>,
    hops: Vec<Hop>,
}

#[derive(Debug, Deserialize)]
struct Hop {
    node: String,
    role: String,
    verdict: String,
    at_us: u64,
}

impl Flow {
    fn time(&self) -> String {
        moment(&self.started)
    }

    fn delivered(&self) -> bool {
        self.outcome == "delivered"
    }
}

/// Which flows are of interest.
#[derive(Clone, Debug, Default)]
struct Filter {
    /// Part of the domain; empty: all.
    domain: String,
    /// `delivered`, `failed`, or empty: both.
    outcome: String,
}

impl Filter {
    fn of(query: &HashMap<String, String>) -> Self {
        let text = |name: &str| query.get(name).map_or("", |text| text.trim()).to_lowercase();
        Filter { domain: text("domain"), outcome: text("outcome") }
    }

    fn takes(&self, flow: &Flow) -> bool {
        let outcome = match self.outcome.as_str() {
            "delivered" => flow.delivered(),
            "failed" => !flow.delivered(),
            _ => true,
        };
        outcome && flow.domain.contains(&self.domain)
    }

    fn is_empty(&self) -> bool {
        self.domain.is_empty() && self.outcome.is_empty()
    }
}

/// One flow as it is drawn.
#[derive(Template)]
#[template(path = "flow.html")]
struct Drawn {
    flow: Flow,
    picture: Picture,
    /// Where its trace is shown, if that is known.
    trace: Option<String>,
    /// Whether it comes while somebody looks.
    new: bool,
}

impl Drawn {
    fn of(console: &Console, flow: Flow, new: bool) -> Self {
        let place = console.0.views.settings.telemetry.traces_url.as_ref();
        let trace = place.zip(flow.trace_id.as_deref()).map(|(place, id)| place.of(id));
        Drawn { picture: Picture::of(&flow.hops), flow, trace, new }
    }
}

#[derive(Template)]
#[template(path = "flows.html")]
struct Page {
    frame: Frame,
    filter: Filter,
    flows: Vec<Drawn>,
}

impl Page {
    /// Where more of them come from.
    fn stream(&self) -> String {
        let Filter { domain, outcome } = &self.filter;
        format!("/flows/stream?domain={}&outcome={}", escaped(domain), escaped(outcome))
    }
}

async fn page(
    State(console): State<Console>,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let filter = Filter::of(&query);
    let path = format!("/flows?limit={KEPT}");
    let kept: Items<Flow> = console.0.backend.get(&visitor, &path).await?;
    let wanted = kept.items.into_iter().filter(|flow| filter.takes(flow)).take(SHOWN);
    let flows = wanted.map(|flow| Drawn::of(&console, flow, false)).collect();
    Ok(show(&Page { frame: Frame::new(&console, &visitor, HERE), filter, flows }))
}

/// Flows as they end, each as an event that holds it as it is drawn.
async fn stream_flows(
    State(console): State<Console>,
    _visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let (filter, place) = (Filter::of(&query), live::place(&console)?);
    let watch = (console.0.views.insight.flows.watch(), console, filter, place);
    let events = stream::unfold(watch, async |mut watch| {
        let (flows, console, filter, _place) = &mut watch;
        let text = tokio::select! {
            text = next(flows, console, filter) => text?,
            // The router has ended, and so does the page's stream.
            () = console.0.views.engine.closed() => return None,
        };
        Some((Ok::<_, Infallible>(Event::default().data(text)), watch))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// The next flow that is of interest, drawn; a page that is too slow misses some.
async fn next(
    flows: &mut Receiver<Arc<Value>>,
    console: &Console,
    filter: &Filter,
) -> Option<String> {
    loop {
        let flow = match flows.recv().await {
            Ok(flow) => Flow::deserialize(&*flow).ok().filter(|flow| filter.takes(flow)),
            Err(RecvError::Lagged(_)) => None,
            Err(RecvError::Closed) => return None,
        };
        if let Some(flow) = flow {
            // An event has lines, and a carriage return would be no part of one.
            return Drawn::of(console, flow, true).render().ok().map(|text| text.replace('\r', ""));
        }
    }
}
