//! Static routes, with every field of the operator's page.

mod change;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use openfed_proto::route::{Pattern, StaticRoute};
use serde_json::{Map, Value, json};

use super::Api;
use super::body::Object;
use super::problem::Problem;
use crate::access::Actor;
use change::{Base, read};

pub(super) fn routes() -> Router<Api> {
    let one = get(show).put(replace).patch(change).delete(remove);
    Router::new().route("/static-routes", get(list).post(create)).route("/static-routes/{key}", one)
}

/// All routes, in the order in which they are tried.
async fn list(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let mut routes = api.listing(|listing| listing.routes.clone())?;
    routes.sort_by_key(|route| {
        (std::cmp::Reverse(route.pattern.specificity()), route.priority, route.id)
    });
    Ok(Json(json!({ "items": routes.iter().map(describe).collect::<Vec<_>>() })))
}

async fn show(State(api): State<Api>, Path(key): Path<String>) -> Result<Json<Value>, Problem> {
    Ok(Json(describe(&find(&api, &key)?)))
}

/// Adds a route. `.*` is there already, so a second one is refused with 409.
async fn create(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Object(body): Object,
) -> Result<Response, Problem> {
    let Api(shared) = &api;
    let route = read(body, Base::New, &shared.settings)?;
    if route.is_open_route() {
        let title = "The open route .* exists already, exactly once";
        return Err(Problem::new(StatusCode::CONFLICT, title).detail("Change it instead."));
    }
    let route = shared.store.create_route(&route).await?;
    let (subject, after) = (route.pattern.to_string(), Some(describe(&route)));
    shared.audit.add(&actor.name, "create static route", subject, None, after).await;
    settle(&api, &route).await;
    let location = [(header::LOCATION, format!("/api/v1/static-routes/{}", route.id))];
    Ok((StatusCode::CREATED, location, Json(describe(&route))).into_response())
}

/// Fields that are left out get their defaults.
async fn replace(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    Object(body): Object,
) -> Result<Json<Value>, Problem> {
    let old = find(&api, &key)?;
    update(&api, &actor, body, Base::Replaced(&old)).await
}

/// Fields that are left out stay.
async fn change(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    Object(body): Object,
) -> Result<Json<Value>, Problem> {
    let old = find(&api, &key)?;
    update(&api, &actor, body, Base::Changed(&old)).await
}

async fn update(
    api: &Api,
    actor: &Actor,
    body: Map<String, Value>,
    base: Base<'_>,
) -> Result<Json<Value>, Problem> {
    let Api(shared) = api;
    let route = shared.store.update_route(&read(body, base, &shared.settings)?).await?;
    let (subject, before) = (route.pattern.to_string(), base.old().map(describe));
    let after = Some(describe(&route));
    shared.audit.add(&actor.name, "change static route", subject, before, after).await;
    settle(api, &route).await;
    Ok(Json(describe(&route)))
}

/// Removes a route, but never `.*`: 409.
async fn remove(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
) -> Result<StatusCode, Problem> {
    let route = find(&api, &key)?;
    if route.is_open_route() {
        let title = "The open route .* cannot be removed";
        return Err(Problem::new(StatusCode::CONFLICT, title).detail("Block it instead."));
    }
    let Api(shared) = &api;
    shared.store.delete_route(route.id, route.version).await?;
    let (subject, before) = (route.pattern.to_string(), Some(describe(&route)));
    shared.audit.add(&actor.name, "remove static route", subject, before, None).await;
    let gone = |routes: &[StaticRoute]| routes.iter().all(|other| other.id != route.id);
    shared.catalogue.settled(|listing| gone(&listing.routes)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Waits until this node routes by it.
async fn settle(Api(api): &Api, route: &StaticRoute) {
    let same = |other: &StaticRoute| other.id == route.id && other.version >= route.version;
    api.catalogue.settled(|listing| listing.routes.iter().any(same)).await;
}

/// The route that a key means: its id, or its pattern if only one has that.
///
/// # Errors
/// 404 if there is none, 409 if several have the pattern.
fn find(api: &Api, key: &str) -> Result<StaticRoute, Problem> {
    let routes = api.listing(|listing| listing.routes.clone())?;
    let id: Option<u32> = key.parse().ok();
    let pattern = Pattern::domain(key).or_else(|_| Pattern::user(key)).ok();
    let mut meant = routes.into_iter().filter(|route| match id {
        Some(id) => route.id == id,
        None => Some(&route.pattern) == pattern.as_ref(),
    });
    match (meant.next(), meant.next()) {
        (Some(route), None) => Ok(route),
        (None, _) => Err(Problem::not_found(format!("There is no route {key}."))),
        (Some(_), Some(_)) => {
            let title = "Several routes have this pattern";
            Err(Problem::new(StatusCode::CONFLICT, title).detail("Name the one meant by its id."))
        }
    }
}

/// As the API shows it: the password is never among it.
fn describe(route: &StaticRoute) -> Value {
    let credentials =
        route.credentials.as_ref().map(|credentials| json!({ "username": credentials.username }));
    json!({
        "id": route.id,
        "pattern": route.pattern.to_string(),
        "description": route.description,
        "next_hop": route.next_hop,
        "port": route.port,
        "type": if route.pattern.is_user() { "user" } else { "domain" },
        "protocol": route.transport.as_str(),
        "priority": route.priority,
        "weight": route.weight,
        "allow_less_specific": route.allow_less_specific,
        "in_service": route.in_service,
        "blocked": route.blocked,
        "predefined": route.is_open_route(),
        "credentials": credentials,
        "version": route.version,
    })
}
