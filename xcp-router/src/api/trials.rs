//! Trying whether a domain can be reached: managers look, and no packet is involved.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use openfed_proto::domain::Domain;
use openfed_proto::link::TrialStep;
use openfed_proto::packet::Role;
use serde_json::{Value, json};
use xcp_router_core::WayTried;

use super::Api;
use super::insight::ask;
use super::operation::Operation;
use super::pages::wrong;
use super::problem::Problem;
use crate::engine::Ask;

pub(super) fn operations() -> Vec<Operation> {
    let attempt = "Try now whether the domain can be reached: over XMPP its servers (SRV, connection, \
                   TLS, stream), over SIP the next hop of its static route, blocked or not (SRV, \
                   connection, TLS, OPTIONS). Takes up to twelve seconds; no message is sent, and \
                   nothing is remembered";
    vec![
        Operation::new(Method::POST, "/explain/{domain}/trial", attempt_it, ("tryDomain", attempt))
            .answers(200, "Trial")
            .refuses(&[422]),
    ]
}

async fn attempt_it(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let domain = Domain::parse(&name).map_err(|error| wrong("domain", error.to_string()))?;
    let waiting = api.0.insight.trials.wait().ok_or_else(|| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many trials are under way")
    })?;
    let (number, asked) = (waiting.number, domain.clone());
    let ways = ask(&api, |reply| Ask::Try { domain: asked, number, reply }).await?;
    let looking = ways.iter().filter(|way| way.node.is_some()).count();
    let mut found = waiting.found(looking).await;
    let described = ways.into_iter().map(|way| {
        let steps = way.node.as_ref().and_then(|node| found.remove(node));
        describe(way, steps)
    });
    let ways: Vec<_> = described.collect();
    Ok(Json(json!({ "domain": domain.as_str(), "ways": ways })))
}

fn describe(way: WayTried, steps: Option<Vec<TrialStep>>) -> Value {
    let WayTried { role, node, route } = way;
    let problem = match (&steps, &node, &route, role) {
        (Some(_), ..) => None,
        (None, Some(_), ..) => Some("The connection manager did not answer in time"),
        (None, None, None, Role::SipCm) => Some("No static route with a next hop matches"),
        (None, None, ..) => Some("No connection manager of this protocol serves at this router"),
    };
    let protocol = if role == Role::SipCm { "sip" } else { "xmpp" };
    let steps: Vec<_> = steps.unwrap_or_default().iter().map(step).collect();
    json!({
        "protocol": protocol,
        "node": node,
        "route": route,
        "problem": problem,
        "steps": steps,
    })
}

fn step(step: &TrialStep) -> Value {
    json!({
        "what": step.what,
        "finding": step.finding,
        "good": step.good,
        "took_us": u64::try_from(step.took.as_micros()).unwrap_or(u64::MAX),
    })
}
