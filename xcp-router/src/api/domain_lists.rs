//! Blocked domains, and domains pinned to XMPP, with notes that say why.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Extension, Json, Router};
use openfed_node::store::{Store, StoreError, Table};
use openfed_proto::domain::Domain;
use openfed_proto::route::DomainPattern;
use serde_json::{Value, json};

use super::Api;
use super::body::Object;
use super::fields::Fields;
use super::problem::Problem;
use crate::access::Actor;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/blocked-domains", get(list_blocked).post(block))
        .route("/blocked-domains/{domain}", delete(unblock))
        .route("/xmpp-domains", get(list_pinned).post(pin))
        .route("/xmpp-domains/{domain}", delete(unpin))
}

async fn list_blocked(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let names: Vec<String> =
        api.listing(|listing| listing.blocked.iter().map(ToString::to_string).collect())?;
    Ok(Json(json!({ "items": noted(&api, "blocked", names).await })))
}

/// Denies a domain in both directions; doing it twice changes nothing.
async fn block(
    State(Api(api)): State<Api>,
    Extension(actor): Extension<Actor>,
    Object(body): Object,
) -> Result<Response, Problem> {
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
    let name = pattern.to_string();
    keep_note(api.store.as_ref(), "blocked", &name, note.as_deref()).await?;
    api.store.set_blocked(&pattern, true).await?;
    let item = json!({ "domain": name, "note": note });
    api.audit.add(&actor.name, "block domain", name, None, Some(item.clone())).await;
    api.catalogue.settled(|listing| listing.blocked.contains(&pattern)).await;
    Ok((StatusCode::CREATED, Json(item)).into_response())
}

/// 404 if it was not blocked by exactly this entry.
async fn unblock(
    State(Api(api)): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let blocked =
        |pattern: &DomainPattern| api.catalogue.read(|listing| listing.blocked.contains(pattern));
    let pattern = name.parse::<DomainPattern>().ok().filter(blocked);
    let pattern = pattern.ok_or_else(|| Problem::not_found(format!("{name} is not blocked.")))?;
    api.store.set_blocked(&pattern, false).await?;
    api.audit.add(&actor.name, "unblock domain", pattern.to_string(), None, None).await;
    keep_note(api.store.as_ref(), "blocked", &pattern.to_string(), None).await?;
    api.catalogue.settled(|listing| !listing.blocked.contains(&pattern)).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_pinned(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let names: Vec<String> =
        api.listing(|listing| listing.pinned.iter().map(ToString::to_string).collect())?;
    Ok(Json(json!({ "items": noted(&api, "pinned", names).await })))
}

/// XMPP only from now on; doing it twice changes nothing.
async fn pin(
    State(Api(api)): State<Api>,
    Extension(actor): Extension<Actor>,
    Object(body): Object,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(body);
    let note = fields.note("note").filter(|note| !note.is_empty());
    let domain = fields.domain("domain");
    if domain.as_ref().is_some_and(|domain| api.settings.local.contains(domain)) {
        fields.error("domain", "is a domain of our own");
    }
    let Some(domain) = fields.finish(domain)? else {
        return Err(Problem::not_found("no domain"));
    };
    keep_note(api.store.as_ref(), "pinned", domain.as_str(), note.as_deref()).await?;
    api.store.set_pinned(&domain, true).await?;
    let item = json!({ "domain": domain.as_str(), "note": note });
    api.audit.add(&actor.name, "pin domain", domain.as_str(), None, Some(item.clone())).await;
    api.catalogue.settled(|listing| listing.pinned.contains(&domain)).await;
    Ok((StatusCode::CREATED, Json(item)).into_response())
}

/// 404 if it was not pinned.
async fn unpin(
    State(Api(api)): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let pinned = |domain: &Domain| api.catalogue.read(|listing| listing.pinned.contains(domain));
    let domain = Domain::parse(&name).ok().filter(pinned);
    let domain = domain.ok_or_else(|| Problem::not_found(format!("{name} is not pinned.")))?;
    api.store.set_pinned(&domain, false).await?;
    api.audit.add(&actor.name, "unpin domain", domain.as_str(), None, None).await;
    keep_note(api.store.as_ref(), "pinned", domain.as_str(), None).await?;
    api.catalogue.settled(|listing| !listing.pinned.contains(&domain)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The names of a list with their notes. Without the store, the names alone.
async fn noted(Api(api): &Api, list: &str, names: Vec<String>) -> Vec<Value> {
    let notes = api.store.records(Table::Notes).await.unwrap_or_default();
    let notes: HashMap<String, String> = notes.into_iter().collect();
    let item = |name: String| {
        let note = notes.get(&format!("{list} {name}")).and_then(|json| text_of(json));
        json!({ "domain": name, "note": note })
    };
    names.into_iter().map(item).collect()
}

fn text_of(json: &str) -> Option<Value> {
    serde_json::from_str::<Value>(json).ok().map(|record| record["note"].clone())
}

/// Keeps why a name is on a list, or forgets it.
async fn keep_note(
    store: &dyn Store,
    list: &str,
    name: &str,
    note: Option<&str>,
) -> Result<(), StoreError> {
    let json = note.map(|note| json!({ "note": note, "version": 1 }).to_string());
    let key = format!("{list} {name}");
    store.write_record(Table::Notes, &key, None, json.as_deref()).await.map(drop)
}
