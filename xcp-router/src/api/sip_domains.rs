//! The domain table: configured and discovered SIP domains.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use openfed_node::settings::Settings;
use openfed_proto::domain::Domain;
use openfed_proto::packet::Direction;
use openfed_proto::route::{DomainRow, Origin};
use serde_json::{Value, json};

use super::Api;
use super::body::Object;
use super::fields::Fields;
use super::operation::Operation;
use super::pages::limit;
use super::precondition::{Precondition, etag, tag_of};
use super::problem::Problem;
use super::time::rfc3339_seconds;
use crate::access::Actor;
use crate::catalogue::Page;
use crate::now;

const PAGE: u32 = 100;
const LONGEST_PAGE: u32 = 1_000;

/// What an answer shows and a request may send back, without effect.
const SHOWN: [&str; 12] = [
    "domain",
    "origin",
    "first_seen",
    "last_seen",
    "direction",
    "route",
    "hits",
    "last_failure",
    "finding",
    "proven",
    "asked_again",
    "asks_next",
];

pub(super) fn operations() -> Vec<Operation> {
    const ALL: &str = "/sip-domains";
    const ONE: &str = "/sip-domains/{domain}";
    let list = ("listSipDomains", "The domain table, sorted by name, in pages");
    let post = "Configure a SIP domain; a discovered one becomes configured, its traffic goes on";
    let put = "The same for a domain that is named in the path; doing it twice changes nothing";
    let patch = "Edit the description; a discovered domain becomes configured, also by a change of \
                 nothing, which confirms it: a row without a proof stays then";
    let delete = "Remove a row. While `.*` is open the next packet discovers the domain again; while \
                  it is blocked its traffic stops";
    vec![
        Operation::get(ALL, self::list, list)
            .asks("search", "Only domains that contain this text", json!({ "type": "string" }))
            .paged(PAGE, LONGEST_PAGE)
            .answers(200, "SipDomains"),
        Operation::new(Method::POST, ALL, add, ("addSipDomain", post))
            .takes("SipDomainCreate")
            .answers(201, "SipDomain")
            .answers(200, "SipDomain")
            .tagged(),
        Operation::get(ONE, show, ("getSipDomain", "One row of the domain table"))
            .answers(200, "SipDomain")
            .tagged()
            .refuses(&[404]),
        Operation::new(Method::PUT, ONE, put_one, ("putSipDomain", put))
            .takes("SipDomainChange")
            .answers(201, "SipDomain")
            .answers(200, "SipDomain")
            .tagged()
            .guarded()
            .creates_only(),
        Operation::new(Method::PATCH, ONE, edit, ("editSipDomain", patch))
            .takes("SipDomainChange")
            .answers(200, "SipDomain")
            .tagged()
            .guarded()
            .refuses(&[404]),
        Operation::new(Method::DELETE, ONE, remove, ("removeSipDomain", delete))
            .answers_nothing()
            .guarded()
            .refuses(&[404]),
    ]
}

/// One page of the table, sorted by name. What the store counts is read now; names that went
/// between the two looks are left out.
async fn list(
    State(api): State<Api>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Problem> {
    let search = search(&query);
    let limit = limit(&query, PAGE, LONGEST_PAGE)?;
    let (names, cursor) =
        (api.listing(|listing| listing.names.clone())?, query.get("cursor").cloned());
    // A search over a million names takes some milliseconds.
    let look = move || Page::of(&names, &search, cursor.as_deref(), limit);
    let page = tokio::task::spawn_blocking(look).await.map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The search did not come to an end")
    })?;
    let rows = api.0.store.rows(&page.domains).await?;
    let mut by_name: HashMap<&str, &DomainRow> =
        rows.iter().map(|row| (row.domain.as_str(), row)).collect();
    let in_order = page.domains.iter().filter_map(|domain| by_name.remove(domain.as_str()));
    let mut shown = json!({
        "items": in_order.map(describe).collect::<Vec<_>>(),
        "next_cursor": page.next,
    });
    if let Some(total) = page.total {
        shown["total"] = json!(total);
    }
    Ok(Json(shown))
}

/// The query's `search`.
pub(super) fn search(query: &HashMap<String, String>) -> String {
    query.get("search").map(|text| text.trim().to_lowercase()).unwrap_or_default()
}

async fn show(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Problem> {
    Ok(shown(&row(&api, &name).await?))
}

/// Configures a domain: 201 if it is new to the table, 200 if it was there, discovered or not.
async fn add(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Object(body): Object,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(body);
    let description = fields.note("description").unwrap_or_default();
    let domain = fields.domain("domain");
    let domain = federable(&api, &mut fields, domain);
    let Some(domain) = fields.finish(domain)? else {
        return Err(Problem::not_found("no domain"));
    };
    let old = api.0.store.rows(std::slice::from_ref(&domain)).await?.pop();
    let status = if old.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let row = configure(&api, &actor, (&domain, old), &description).await?;
    let location = [(header::LOCATION, format!("/api/v1/sip-domains/{domain}"))];
    Ok((status, location, shown(&row)).into_response())
}

/// The same for the domain in the path.
async fn put_one(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    precondition: Precondition,
    Object(body): Object,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(body);
    let description = fields.note("description").unwrap_or_default();
    let domain = match Domain::parse(&name) {
        Ok(domain) => Some(domain),
        Err(error) => fields.wrong("domain", error.to_string()),
    };
    let domain = federable(&api, &mut fields, domain);
    fields.ignore(&SHOWN);
    let Some(domain) = fields.finish(domain)? else {
        return Err(Problem::not_found("no domain"));
    };
    let old = api.0.store.rows(std::slice::from_ref(&domain)).await?.pop();
    precondition.check(old.as_ref().map(tag).as_deref())?;
    let same = |old: &DomainRow| old.origin == Origin::Configured && old.description == description;
    if let Some(old) = old.as_ref().filter(|old| same(old)) {
        return Ok(shown(old));
    }
    let status = if old.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let row = configure(&api, &actor, (&domain, old), &description).await?;
    Ok((status, shown(&row)).into_response())
}

/// A discovered domain that is edited is the operator's from then on.
async fn edit(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    precondition: Precondition,
    Object(body): Object,
) -> Result<Response, Problem> {
    let old = row(&api, &name).await?;
    precondition.check(Some(&tag(&old)))?;
    let mut fields = Fields::new(body);
    let description = fields.note("description");
    if let Some(named) = fields.text("domain")
        && Domain::parse(&named).ok().as_ref() != Some(&old.domain)
    {
        fields.error("domain", "cannot be changed: add the other domain");
    }
    fields.ignore(&SHOWN);
    let description = fields.finish(description)?.unwrap_or_else(|| old.description.clone());
    let domain = old.domain.clone();
    Ok(shown(&configure(&api, &actor, (&domain, Some(old)), &description).await?))
}

/// The domain, if a row may stand for it.
fn federable(api: &Api, fields: &mut Fields, domain: Option<Domain>) -> Option<Domain> {
    let domain = domain?;
    match fault(api, &domain) {
        Some(fault) => fields.wrong("domain", fault),
        None => Some(domain),
    }
}

/// Makes the row configured, and waits until this node acts by it.
async fn configure(
    api: &Api,
    actor: &Actor,
    (domain, old): (&Domain, Option<DomainRow>),
    description: &str,
) -> Result<DomainRow, Problem> {
    let Api(shared) = api;
    shared.store.put_configured(domain, description, now().unix_s()).await?;
    shared.catalogue.settled(|listing| listing.names.contains(domain.as_str())).await;
    let row = row(api, domain.as_str()).await?;
    let (before, after) = (old.as_ref().map(describe), Some(describe(&row)));
    let action = "configure SIP domain";
    shared.audit.add(&actor.name, action, domain.as_str(), before, after).await;
    Ok(row)
}

/// Removes a row. Whether the domain comes back by itself, the open route decides.
async fn remove(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    precondition: Precondition,
) -> Result<StatusCode, Problem> {
    let old = row(&api, &name).await?;
    precondition.check(Some(&tag(&old)))?;
    let (Api(api), domain) = (api, &old.domain);
    let missing = || Problem::not_found(format!("{name} is not in the domain table."));
    api.store.remove_row(domain).await?.ok_or_else(missing)?;
    let before = Some(describe(&old));
    api.audit.add(&actor.name, "remove SIP domain", domain.as_str(), before, None).await;
    api.catalogue.settled(|listing| !listing.names.contains(domain.as_str())).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The full row, from the store.
async fn row(Api(api): &Api, name: &str) -> Result<DomainRow, Problem> {
    let missing = || Problem::not_found(format!("{name} is not in the domain table."));
    let domain = Domain::parse(name).map_err(|_| missing())?;
    api.store.rows(&[domain]).await?.into_iter().next().ok_or_else(missing)
}

/// Why no row may stand for the domain.
pub(super) fn fault(Api(api): &Api, domain: &Domain) -> Option<&'static str> {
    fault_of(&api.settings, domain)
}

/// One below a domain of ours appears for nobody, but the operator may enter it: of a system of his own
/// there, next hops may bring what it says.
pub(super) fn fault_of(settings: &Settings, domain: &Domain) -> Option<&'static str> {
    if !domain.is_federable() {
        Some("must have at least two labels and not end in a number")
    } else if settings.local.iter().any(|own| own.is_within(domain)) {
        Some("is a domain of our own, or above one")
    } else {
        None
    }
}

fn shown(row: &DomainRow) -> Response {
    (etag(&tag(row)), Json(describe(row))).into_response()
}

/// What an operator can change; what is counted does not change it.
fn tag(row: &DomainRow) -> String {
    tag_of(&json!([row.origin.as_str(), row.description]))
}

pub(crate) fn describe(row: &DomainRow) -> Value {
    json!({
        "domain": row.domain.as_str(),
        "description": row.description,
        "origin": row.origin.as_str(),
        "first_seen": rfc3339_seconds(row.first_seen),
        "last_seen": (row.last_seen > 0).then(|| rfc3339_seconds(row.last_seen)),
        "direction": row.direction.map(Direction::as_str),
        "route": row.route,
        "hits": row.hits,
        "last_failure": row.last_failure,
        "finding": row.ground.map(|ground| ground.finding.as_str()),
        "proven": row.ground.map(|ground| ground.finding.is_proof()),
        "asked_again": row.ground.map_or(0, |ground| ground.asked),
        "asks_next": row.unproven().map(|ground| rfc3339_seconds(ground.due)),
    })
}
