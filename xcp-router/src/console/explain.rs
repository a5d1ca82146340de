//! Explain: the decision about a domain, now, step by step, with the rule behind each step.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::Console;
use super::backend::{escaped, read};
use super::frame::{Frame, Refusal, show, show_with};
use super::submitted::Submitted;
use super::visitor::Visitor;

const HERE: &str = "/explain";

pub(super) fn routes() -> Router<Console> {
    Router::new().route(HERE, get(page).post(attempt))
}

#[derive(Debug, Deserialize)]
struct Explanation {
    domain: String,
    decision: String,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    question: String,
    answer: String,
    rule: String,
}

impl Step {
    fn is_result(&self) -> bool {
        self.rule == "result"
    }

    /// The rule behind the question, in a sentence.
    fn why(&self) -> &'static str {
        match self.rule.as_str() {
            "blocked-domain" => {
                "A blocked domain is refused in both directions, known or not, whatever routes say."
            }
            "local" => {
                "Messages between our own domains go to the home server, if that is allowed."
            }
            "pinned" => "With a pinned domain only XMPP is spoken, also if it has a row.",
            "blocked-route" => {
                "What a blocked route matches is refused, unless a more specific route matches."
            }
            "known" => {
                "A domain that an operator configured, that a static route names or that was \
                 discovered goes by SIP, without an attempt over XMPP."
            }
            "finding" => {
                "Only DNS proves that a domain has no XMPP service. Without a proof it goes by SIP, and \
                 XMPP is asked again: after ten minutes, then ever more seldom, up to a day."
            }
            "accepted" => "A request that a discovery let in goes on to the local user.",
            "store" => {
                "Without the store nobody knows whether the domain has a row: unknown domains are \
                 put off, known ones go on."
            }
            "xmpp-available" => {
                "Open federation needs a working XMPP federation beside it: XMPP is tried first."
            }
            "speaks-xmpp" => "A domain that was reached over XMPP is remembered for ten minutes.",
            "failed-just-now" => "A failure is remembered for five seconds, so that it costs once.",
            "fallback-set" => {
                "SIP is tried only if XMPP found no server. What the other side said, a bad \
                 certificate or an outage is the answer."
            }
            "mappable" => "What has no meaning in SIP (iq, groupchat) stays in XMPP.",
            "open-route" => {
                "Domains that nobody configured go by SIP only while the open route .* is \
                 unblocked, in service and has a next hop."
            }
            _ => "",
        }
    }
}

/// What came of the trial of a domain.
#[derive(Debug, Deserialize)]
struct Trial {
    ways: Vec<Way>,
}

#[derive(Debug, Deserialize)]
struct Way {
    protocol: String,
    node: Option<String>,
    route: Option<String>,
    problem: Option<String>,
    steps: Vec<Tried>,
}

#[derive(Debug, Deserialize)]
struct Tried {
    what: String,
    finding: String,
    good: bool,
    took_us: u64,
}

impl Way {
    fn heading(&self) -> String {
        let by = self.node.as_ref().map(|node| format!(", seen from {node}"));
        let by = by.unwrap_or_default();
        match &self.route {
            Some(route) => format!("SIP, by the route {route}{by}"),
            None => format!("{}{by}", self.protocol.to_uppercase()),
        }
    }
}

impl Tried {
    /// In milliseconds.
    fn took(&self) -> String {
        format!("{}.{} ms", self.took_us / 1_000, self.took_us % 1_000 / 100)
    }
}

#[derive(Template)]
#[template(path = "explain.html")]
struct Page {
    frame: Frame,
    domain: String,
    inbound: bool,
    fault: Option<String>,
    explanation: Option<Explanation>,
    trial: Option<Trial>,
}

impl Page {
    /// The decision as a sentence begins with it.
    fn decided(&self, explanation: &Explanation) -> &'static str {
        let pinned = |step: &Step| step.rule == "pinned" && step.answer.starts_with("yes");
        match explanation.decision.as_str() {
            "configured" if explanation.steps.iter().any(pinned) => "It is pinned to XMPP.",
            "local" => "It is one of our own domains.",
            "configured" => "It is a SIP domain that an operator named.",
            "cached" => "It is a SIP domain that was discovered before.",
            "discover" => "It is unknown: it is tried over XMPP first.",
            "fallback" => "It is unknown, and XMPP does not reach it: SIP is tried.",
            "blocked" => "It is blocked.",
            _ => "It is refused.",
        }
    }
}

async fn page(
    State(console): State<Console>,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    explained(&console, &visitor, &query, None).await
}

/// Tries the domain out, and shows what came of it below the decision.
async fn attempt(
    State(console): State<Console>,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
    _: Submitted,
) -> Result<Response, Refusal> {
    let domain = query.get("domain").map_or("", |text| text.trim());
    let path = format!("/explain/{}/trial", escaped(domain.trim_start_matches("*.")));
    let trial = console.0.backend.send(&visitor, Method::POST, &path, None).await?;
    explained(&console, &visitor, &query, Some(read(trial)?)).await
}

async fn explained(
    console: &Console,
    visitor: &Visitor,
    query: &HashMap<String, String>,
    trial: Option<Trial>,
) -> Result<Response, Refusal> {
    let domain = query.get("domain").map(|text| text.trim().to_owned()).unwrap_or_default();
    let inbound = query.get("direction").is_some_and(|direction| direction == "inbound");
    let frame = Frame::new(console, visitor, HERE);
    let mut page = Page { frame, domain, inbound, fault: None, explanation: None, trial };
    if page.domain.is_empty() {
        return Ok(show(&page));
    }
    let direction = if inbound { "inbound" } else { "outbound" };
    // A blocked wildcard is explained by a name below it.
    let name = page.domain.trim_start_matches("*.");
    let path = format!("/explain/{}?direction={direction}", escaped(name));
    match console.0.backend.get::<Explanation>(visitor, &path).await {
        Ok(explanation) => {
            page.explanation = Some(explanation);
            Ok(show(&page))
        }
        Err(refusal) => match refusal.errors.get("domain") {
            Some(fault) => {
                page.fault = Some(fault.clone());
                Ok(show_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
            }
            None => Err(refusal),
        },
    }
}
