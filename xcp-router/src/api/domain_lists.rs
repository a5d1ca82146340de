//! Blocked domains, and domains pinned to XMPP. The store keeps the names; why they are there
//! is in the audit.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use openfed_proto::domain::Domain;
use openfed_proto::route::DomainPattern;
use serde_json::{Value, json};

use super::Api;
use super::body::Object;
use super::fields::Fields;
use super::problem::Problem;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/blocked-domains", get(list_blocked).post(block))
        .route("/blocked-domains/{domain}", delete(unblock))
        .route("/xmpp-domains", get(list_pinned).post(pin))
        .route("/xmpp-domains/{domain}", delete(unpin))
}

async fn list_blocked(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let item = |name: String| {
        let note = api.0.audit.note("block domain", &name);
        json!({ "domain": name, "note": note })
    };
    let names: Vec<String> =
        api.listing(|listing| listing.blocked.iter().map(ToString::to_string).collect())?;
    Ok(Json(json!({ "items": names.into_iter().map(item).collect::<Vec<_>>() })))
}

/// Denies a domain in both directions; doing it twice changes nothing.
async fn block(State(Api(api)): State<Api>, Object(body): Object) -> Result<Response, Problem> {
    let mut fields = Fields::new(body);
    let note = fields.note("note").filter(|note| !note.is_empty());
    let pattern = match fields.text("domain").map(|text| text.parse::<DomainPattern>()) {
        Some(Ok(pattern)) => Some(pattern),
        Some(Err(error)) => fields.wrong("domain", error.to_string()),
        None => fields.wrong("domain", "is missing"),
    };
    let ours =
        |pattern: &DomainPattern| api.settings.local.iter().any(|domain| pattern.matches(domain));
    if pattern.as_ref().is_some_and(ours) {
        fields.error("domain", "would block a domain of our own");
    }
    let Some(pattern) = fields.finish(pattern)? else {
        return Err(Problem::not_found("no domain"));
    };
    api.store.set_blocked(&pattern, true).await?;
    api.audit.add("block domain", pattern.to_string(), note.clone());
    api.catalogue.settled(|listing| listing.blocked.contains(&pattern)).await;
    let item = json!({ "domain": pattern.to_string(), "note": note });
    Ok((StatusCode::CREATED, Json(item)).into_response())
}

/// 404 if it was not blocked by exactly this entry.
async fn unblock(
    State(Api(api)): State<Api>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let blocked =
        |pattern: &DomainPattern| api.catalogue.read(|listing| listing.blocked.contains(pattern));
    let pattern = name.parse::<DomainPattern>().ok().filter(blocked);
    let pattern = pattern.ok_or_else(|| Problem::not_found(format!("{name} is not blocked.")))?;
    api.store.set_blocked(&pattern, false).await?;
    api.audit.add("unblock domain", pattern.to_string(), None);
    api.catalogue.settled(|listing| !listing.blocked.contains(&pattern)).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_pinned(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let item = |domain: Domain| {
        let note = api.0.audit.note("pin domain", domain.as_str());
        json!({ "domain": domain.as_str(), "note": note })
    };
    let domains = api.listing(|listing| listing.pinned.clone())?;
    Ok(Json(json!({ "items": domains.into_iter().map(item).collect::<Vec<_>>() })))
}

/// XMPP only from now on; doing it twice changes nothing.
async fn pin(State(Api(api)): State<Api>, Object(body): Object) -> Result<Response, Problem> {
    let mut fields = Fields::new(body);
    let note = fields.note("note").filter(|note| !note.is_empty());
    let domain = fields.domain("domain");
    if domain.as_ref().is_some_and(|domain| api.settings.local.contains(domain)) {
        fields.error("domain", "is a domain of our own");
    }
    let Some(domain) = fields.finish(domain)? else {
        return Err(Problem::not_found("no domain"));
    };
    api.store.set_pinned(&domain, true).await?;
    api.audit.add("pin domain", domain.to_string(), note.clone());
    api.catalogue.settled(|listing| listing.pinned.contains(&domain)).await;
    let item = json!({ "domain": domain.as_str(), "note": note });
    Ok((StatusCode::CREATED, Json(item)).into_response())
}

/// 404 if it was not pinned.
async fn unpin(
    State(Api(api)): State<Api>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let pinned = |domain: &Domain| api.catalogue.read(|listing| listing.pinned.contains(domain));
    let domain = Domain::parse(&name).ok().filter(pinned);
    let domain = domain.ok_or_else(|| Problem::not_found(format!("{name} is not pinned.")))?;
    api.store.set_pinned(&domain, false).await?;
    api.audit.add("unpin domain", domain.to_string(), None);
    api.catalogue.settled(|listing| !listing.pinned.contains(&domain)).await;
    Ok(StatusCode::NO_CONTENT)
}
