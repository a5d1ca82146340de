//! Presence › Inter-domain Federation › SIP Federation: the domain table, configured and cached.

mod page;

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use openfed_proto::domain::Domain;
use openfed_proto::finding::Finding;
use serde_json::json;

use super::Console;
use super::backend::escaped;
use super::confirm::Confirm;
use super::frame::{Frame, Refusal, Words, done, show, show_with};
use super::model::{SipDomain, moment};
use super::submitted::Submitted;
use super::visitor::Visitor;
use page::{Rows, Wanted};

const HERE: &str = "/federation/sip";

const TOLD: Words = &[
    ("added", "Added. The domain is configured, on every node."),
    ("saved", "Saved. The domain is configured, and stays until somebody removes it."),
    ("confirmed", "Confirmed. The domain is configured, and stays until somebody removes it."),
    ("removed", "Removed, on every node."),
];

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/federation/sip", get(list))
        .route("/federation/sip/new", get(blank).post(add))
        .route("/federation/sip/{domain}", get(open).post(edit))
        .route("/federation/sip/{domain}/confirm", post(confirm))
        .route("/federation/sip/{domain}/remove", get(ask).post(remove))
}

#[derive(Template)]
#[template(path = "sip_federation.html")]
struct List {
    frame: Frame,
    rows: Rows,
    /// Whether unknown domains are discovered now.
    is_open: bool,
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let rows = Rows::read(&console, &visitor, Wanted::of(&query)).await?;
    let frame = Frame::new(&console, &visitor, HERE).told(&query, TOLD);
    Ok(show(&List { frame, rows, is_open: is_open(&console) }))
}

fn is_open(console: &Console) -> bool {
    console.0.views.catalogue.read(|listing| listing.routes.iter().any(|route| route.is_open()))
}

#[derive(Template)]
#[template(path = "sip_domain_new.html")]
struct Blank {
    frame: Frame,
    domain: String,
    description: String,
    refusal: Option<Refusal>,
}

impl Blank {
    fn fault(&self, field: &str) -> Option<&str> {
        self.refusal.as_ref()?.errors.get(field).map(String::as_str)
    }
}

fn blank_page(console: &Console, visitor: &Visitor, submitted: &Submitted) -> Blank {
    let frame = Frame::new(console, visitor, HERE).heading("Add a SIP domain");
    let text = |field| submitted.exact(field).to_owned();
    Blank { frame, domain: text("domain"), description: text("description"), refusal: None }
}

async fn blank(State(console): State<Console>, visitor: Visitor) -> Response {
    show(&blank_page(&console, &visitor, &Submitted::default()))
}

async fn add(State(console): State<Console>, visitor: Visitor, submitted: Submitted) -> Response {
    let body = json!({
        "domain": submitted.text("domain"), "description": submitted.text("description"),
    });
    match console.0.backend.send(&visitor, Method::POST, "/sip-domains", Some(body)).await {
        Ok(_) => {
            let domain = submitted.text("domain");
            let name = Domain::parse(domain).map_or(domain.to_owned(), |name| name.to_string());
            done(&format!("{HERE}?search={}", escaped(&name)), "added")
        }
        Err(refusal) => {
            let (status, page) = (refusal.status, blank_page(&console, &visitor, &submitted));
            show_with(status, &Blank { refusal: Some(refusal), ..page })
        }
    }
}

#[derive(Template)]
#[template(path = "sip_domain.html")]
struct One {
    frame: Frame,
    row: SipDomain,
    /// With the letters that its users write, if those differ.
    letters: Option<String>,
    description: String,
    refusal: Option<Refusal>,
}

impl One {
    fn fault(&self) -> Option<&str> {
        self.refusal.as_ref()?.errors.get("description").map(String::as_str)
    }
}

async fn row(console: &Console, visitor: &Visitor, domain: &str) -> Result<SipDomain, Refusal> {
    console.0.backend.get(visitor, &format!("/sip-domains/{}", escaped(domain))).await
}

fn one_page(console: &Console, visitor: &Visitor, row: SipDomain) -> One {
    let frame = Frame::new(console, visitor, HERE).heading(&*row.domain);
    let letters = Domain::parse(&row.domain).ok().map(|domain| domain.to_unicode().into_owned());
    let letters = letters.filter(|letters| *letters != row.domain);
    let description = row.description.clone();
    One { frame, row, letters, description, refusal: None }
}

async fn open(
    State(console): State<Console>,
    visitor: Visitor,
    Path(domain): Path<String>,
) -> Result<Response, Refusal> {
    let row = row(&console, &visitor, &domain).await?;
    Ok(show(&one_page(&console, &visitor, row)))
}

/// A discovered domain that is edited is the operator's from then on.
async fn edit(
    State(console): State<Console>,
    visitor: Visitor,
    Path(domain): Path<String>,
    submitted: Submitted,
) -> Result<Response, Refusal> {
    let path = format!("/sip-domains/{}", escaped(&domain));
    let body = Some(json!({ "description": submitted.text("description") }));
    match console.0.backend.send(&visitor, Method::PATCH, &path, body).await {
        Ok(_) => Ok(done(&format!("{HERE}?search={}", escaped(&domain)), "saved")),
        Err(refusal) if !refusal.errors.is_empty() => {
            let page = one_page(&console, &visitor, row(&console, &visitor, &domain).await?);
            let description = submitted.exact("description").to_owned();
            let status = refusal.status;
            Ok(show_with(status, &One { description, refusal: Some(refusal), ..page }))
        }
        Err(refusal) => Err(refusal),
    }
}

/// A row without a proof stays, whatever XMPP answers: to change nothing is enough.
async fn confirm(
    State(console): State<Console>,
    visitor: Visitor,
    Path(domain): Path<String>,
    _: Submitted,
) -> Result<Response, Refusal> {
    let path = format!("/sip-domains/{}", escaped(&domain));
    console.0.backend.send(&visitor, Method::PATCH, &path, Some(json!({}))).await?;
    Ok(done(&format!("{HERE}?search={}", escaped(&domain)), "confirmed"))
}

/// What the removal of a row will do depends on the open route (rules §2).
async fn ask(
    State(console): State<Console>,
    visitor: Visitor,
    Path(domain): Path<String>,
) -> Result<Response, Refusal> {
    let row = row(&console, &visitor, &domain).await?;
    let (sentence, warning) = if is_open(&console) {
        let again = "The open route .* is open: the next packet of this domain discovers it again, \
                     and the row comes back. To keep the domain out, block it instead.";
        ("Its row and its counters are removed, on every node.", Some(again.to_owned()))
    } else {
        let stops = "The open route .* is blocked, so its traffic stops at once: messages to it \
                     end as not found, messages from it are refused (403), and its subscriptions \
                     and sessions end.";
        ("Its row and its counters are removed, on every node.", Some(stops.to_owned()))
    };
    let frame = Frame::new(&console, &visitor, HERE);
    Ok(show(&Confirm {
        frame: frame.heading(format!("Remove {}", row.domain)),
        fields: Vec::new(),
        sentences: vec![sentence.to_owned()],
        warning,
        button: "Remove",
        danger: true,
        back: HERE.to_owned(),
    }))
}

async fn remove(
    State(console): State<Console>,
    visitor: Visitor,
    Path(domain): Path<String>,
) -> Result<Response, Refusal> {
    let path = format!("/sip-domains/{}", escaped(&domain));
    console.0.backend.send(&visitor, Method::DELETE, &path, None).await?;
    Ok(done(HERE, "removed"))
}

impl List {
    fn open_words(&self) -> &'static str {
        if self.is_open {
            "The open route .* is open: domains that nobody configured appear here by \
             correspondence."
        } else {
            "The open route .* is not open: the domains below work, and no new one appears."
        }
    }
}

impl One {
    /// Why XMPP did not reach it, and whether that proves anything.
    fn finding(&self) -> Option<String> {
        let finding = Finding::parse(self.row.finding.as_deref()?)?;
        let proof = if finding.is_proof() { "proven" } else { "not proven" };
        Some(format!("{proof}: {}", finding.in_words()))
    }

    /// When, and how often it was.
    fn asks_next(&self) -> Option<String> {
        let (next, asked) = (moment(self.row.asks_next.as_deref()?), self.row.asked_again);
        Some(format!("{next}; {asked} times so far. When it answers, the row is removed"))
    }

    fn first_seen(&self) -> String {
        moment(&self.row.first_seen)
    }

    fn last_seen(&self) -> String {
        self.row.last_seen.as_deref().map_or_else(|| "not yet".to_owned(), moment)
    }
}
