//! The domain table: configured and discovered SIP domains.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use openfed_proto::domain::Domain;
use openfed_proto::packet::Direction;
use openfed_proto::route::DomainRow;
use serde_json::{Value, json};

use super::Api;
use super::body::Object;
use super::fields::Fields;
use super::problem::Problem;
use super::time::rfc3339_seconds;
use crate::access::Actor;
use crate::catalogue::Page;
use crate::now;

const PAGE: usize = 100;
const LONGEST_PAGE: usize = 1_000;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/sip-domains", get(list).post(add))
        .route("/sip-domains/{domain}", get(show).patch(edit).delete(remove))
}

/// One page of the table, sorted by name. What the store counts is read now; names that went
/// between the two looks are left out.
async fn list(
    State(api): State<Api>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Problem> {
    let search = search(&query);
    let limit = super::insight::limit(&query, PAGE, LONGEST_PAGE)?;
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
    Ok(Json(json!({
        "items": in_order.map(describe).collect::<Vec<_>>(),
        "next_cursor": page.next,
        "total": page.total,
    })))
}

/// The query's `search`.
pub(super) fn search(query: &HashMap<String, String>) -> String {
    query.get("search").map(|text| text.trim().to_lowercase()).unwrap_or_default()
}

async fn show(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    Ok(Json(describe(&row(&api, &name).await?)))
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
    if let Some(fault) = domain.as_ref().and_then(|domain| fault(&api, domain)) {
        fields.error("domain", fault);
    }
    let Some(domain) = fields.finish(domain)? else {
        return Err(Problem::not_found("no domain"));
    };
    let Api(shared) = &api;
    let old = shared.store.rows(std::slice::from_ref(&domain)).await?.pop();
    let known = old.is_some();
    let row = configure(&api, &actor, (&domain, old), &description).await?;
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    let location = [(header::LOCATION, format!("/api/v1/sip-domains/{domain}"))];
    Ok((status, location, Json(describe(&row))).into_response())
}

/// A discovered domain that is edited is the operator's from then on.
async fn edit(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Object(body): Object,
) -> Result<Json<Value>, Problem> {
    let old = row(&api, &name).await?;
    let mut fields = Fields::new(body);
    let description = fields.note("description");
    if let Some(named) = fields.text("domain")
        && Domain::parse(&named).ok().as_ref() != Some(&old.domain)
    {
        fields.error("domain", "cannot be changed: add the other domain");
    }
    fields.ignore(&["origin", "first_seen", "last_seen", "direction", "route", "hits"]);
    fields.ignore(&["last_failure"]);
    let description = fields.finish(description)?.unwrap_or_else(|| old.description.clone());
    let domain = old.domain.clone();
    let row = configure(&api, &actor, (&domain, Some(old)), &description).await?;
    Ok(Json(describe(&row)))
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
) -> Result<StatusCode, Problem> {
    let old = row(&api, &name).await?;
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
    let kin = |own: &Domain| domain.is_within(own) || own.is_within(domain);
    if !domain.is_federable() {
        Some("must have at least two labels and not end in a number")
    } else if api.settings.local.iter().any(kin) {
        Some("is a domain of our own, or above or below one")
    } else {
        None
    }
}

fn describe(row: &DomainRow) -> Value {
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
    })
}
