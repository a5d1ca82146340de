//! What the router does and would do: explain, flows, audit.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use openfed_proto::domain::Domain;
use openfed_proto::finding::Ground;
use openfed_proto::packet::Direction;
use openfed_proto::route::DomainRow;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, oneshot};
use tokio::time::timeout;
use xcp_router_core::{Explanation, Step};

use super::Api;
use super::operation::Operation;
use super::pages::{MOST, limit, wrong};
use super::problem::Problem;
use super::time::rfc3339_seconds;
use crate::engine::Ask;

/// The engine answers between two packets; this is for one that hangs.
const ANSWER: Duration = Duration::from_secs(2);

pub(super) fn operations() -> Vec<Operation> {
    let direction = json!({ "type": "string", "enum": ["outbound", "inbound"] });
    let explanation = ("explain", "What would happen to a message now, and why");
    let flows = ("listFlows", "Recent packets with their hops, newest first");
    let stream = "Packets as they end: server-sent events, the data of each is one Flow";
    let audit = "Who changed what, when, and what it was before and after; newest first, the last \
                 10,000 changes";
    vec![
        Operation::get("/explain/{domain}", explain, explanation)
            .asks("direction", "Whose message; default outbound", direction)
            .answers(200, "Explanation"),
        Operation::get("/flows", self::flows, flows).paged(100, MOST).answers(200, "Flows"),
        Operation::get("/flows/stream", flow_stream, ("streamFlows", stream)).answers_with(
            200,
            "text/event-stream",
            json!({ "type": "string" }),
        ),
        Operation::get("/audit", self::audit, ("listAudit", audit))
            .paged(100, MOST)
            .answers(200, "Audit"),
    ]
}

/// What would happen now to a message to (or from) the domain: nothing is sent.
async fn explain(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Problem> {
    let domain = Domain::parse(&name).map_err(|error| wrong("domain", error.to_string()))?;
    let direction = match query.get("direction").map(String::as_str) {
        None | Some("outbound") => Direction::Outbound,
        Some("inbound") => Direction::Inbound,
        Some(_) => return Err(wrong("direction", "must be outbound or inbound")),
    };
    let mut explanation = ask(&api, |reply| Ask::Explain { domain, direction, reply }).await?;
    explain_row(&api, &mut explanation).await;
    let step = |(index, step): (usize, &Step)| {
        json!({
            "step": index + 1,
            "question": step.question,
            "answer": step.answer,
            "rule": step.rule,
        })
    };
    Ok(Json(json!({
        "domain": explanation.domain.as_str(),
        "decision": explanation.decision.as_str(),
        "steps": explanation.steps.iter().enumerate().map(step).collect::<Vec<_>>(),
    })))
}

/// Says why the domain has a row, if the store tells: the engine knows only that it has one.
async fn explain_row(Api(api): &Api, explanation: &mut Explanation) {
    let known = explanation.steps.iter().position(|step| step.rule == "known");
    let (Some(known), "cached") = (known, explanation.decision.as_str()) else { return };
    let rows = api.store.rows(std::slice::from_ref(&explanation.domain)).await.unwrap_or_default();
    let question = "Why was it taken for a SIP domain?";
    let step = rows.first().map(|row| Step { question, answer: why_there(row), rule: "finding" });
    explanation.steps.splice(known + 1..known + 1, step);
}

fn why_there(row: &DomainRow) -> String {
    let Some(Ground { finding, asked, .. }) = row.ground else {
        return "not recorded: it was discovered before findings were, and stays".to_owned();
    };
    let words = finding.in_words();
    match row.unproven() {
        None => format!("proven: {words}"),
        Some(ground) => format!(
            "not proven: {words}. XMPP was asked again {asked} times, next at {}; when it answers, \
             the row is removed, unless you confirm it",
            rfc3339_seconds(ground.due)
        ),
    }
}

/// Asks the engine.
///
/// # Errors
/// 503 if too many questions wait already, or it does not answer.
pub(super) async fn ask<T>(
    Api(api): &Api,
    question: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Result<T, Problem> {
    let busy = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The router has no time now");
    let (reply, answer) = oneshot::channel();
    api.engine.try_send(question(reply)).map_err(|_| busy())?;
    timeout(ANSWER, answer).await.ok().and_then(Result::ok).ok_or_else(busy)
}

/// The last packets, newest first.
async fn flows(
    State(Api(api)): State<Api>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Problem> {
    let limit = limit(&query, 100, MOST)?;
    let cursor = query.get("cursor").map(String::as_str);
    let mut flows = api.insight.flows.recent(cursor, limit + 1);
    let more = flows.len() > limit;
    flows.truncate(limit);
    let next = flows.last().filter(|_| more).map(|flow| flow["packet_id"].clone());
    let items: Vec<Value> = flows.iter().map(|flow| (**flow).clone()).collect();
    Ok(Json(json!({ "items": items, "next_cursor": next })))
}

/// Packets as they end, each as one event; a comment every 15 s keeps proxies patient.
async fn flow_stream(
    State(Api(api)): State<Api>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let watch = (api.insight.flows.watch(), api.engine.clone());
    let events = stream::unfold(watch, async |(mut flows, engine)| {
        let flow = tokio::select! {
            flow = next(&mut flows) => flow?,
            // The router has ended; an endless answer would keep the store open.
            () = engine.closed() => return None,
        };
        Some((Ok(Event::default().data(flow.to_string())), (flows, engine)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// The next flow; a reader that is too slow misses some.
async fn next(watch: &mut broadcast::Receiver<Arc<Value>>) -> Option<Arc<Value>> {
    loop {
        match watch.recv().await {
            Ok(flow) => return Some(flow),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

/// The last changes, newest first, in pages.
async fn audit(
    State(Api(api)): State<Api>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Problem> {
    let limit = limit(&query, 100, MOST)?;
    let cursor = match query.get("cursor").map(|text| text.parse()) {
        None => None,
        Some(Ok(number)) => Some(number),
        Some(Err(_)) => return Err(wrong("cursor", "must be the next_cursor of another page")),
    };
    let (items, next) = api.audit.page(cursor, limit).await?;
    Ok(Json(json!({ "items": items, "next_cursor": next.map(|number| number.to_string()) })))
}
