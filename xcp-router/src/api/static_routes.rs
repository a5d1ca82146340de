//! Static routes, with every field of the operator's page.

mod change;

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use openfed_node::settings::Settings;
use openfed_node::store::StoreError;
use openfed_proto::route::{Pattern, StaticRoute};
use serde_json::{Map, Value, json};

use super::Api;
use super::body::Object;
use super::operation::Operation;
use super::pages::{MOST, page};
use super::precondition::{CHANGED, Precondition, etag, required, tag_of_version};
use super::problem::Problem;
use crate::access::Actor;
use change::{Base, read};

pub(super) fn operations() -> Vec<Operation> {
    const ALL: &str = "/static-routes";
    const ONE: &str = "/static-routes/{key}";
    let put = "Replace a static route; fields that are left out get their defaults. Says which one \
               it replaces: by If-Match, or the version in the body";
    let patch = "Change fields of a static route; others stay. Unblocking `.*` needs its next hop, \
                 port and protocol";
    let list = ("listStaticRoutes", "All static routes, in the order they are tried");
    let create_one = ("createStaticRoute", "Add a static route");
    let removal = ("removeStaticRoute", "Remove a static route; `.*` cannot be removed");
    vec![
        Operation::get(ALL, self::list, list).paged(MOST, MOST).answers(200, "StaticRoutes"),
        Operation::new(Method::POST, ALL, create, create_one)
            .takes("StaticRouteCreate")
            .answers(201, "StaticRoute")
            .tagged()
            .refuses(&[409]),
        Operation::get(ONE, show, ("getStaticRoute", "One static route"))
            .answers(200, "StaticRoute")
            .tagged()
            .refuses(&[404, 409]),
        Operation::new(Method::PUT, ONE, replace, ("replaceStaticRoute", put))
            .takes("StaticRouteChange")
            .answers(200, "StaticRoute")
            .tagged()
            .guarded()
            .refuses(&[404, 409, 428]),
        Operation::new(Method::PATCH, ONE, change, ("changeStaticRoute", patch))
            .takes("StaticRouteChange")
            .answers(200, "StaticRoute")
            .tagged()
            .guarded()
            .refuses(&[404, 409]),
        Operation::new(Method::DELETE, ONE, remove, removal)
            .answers_nothing()
            .guarded()
            .refuses(&[404, 409]),
    ]
}

/// All routes, in the order in which they are tried.
async fn list(
    State(api): State<Api>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Problem> {
    let mut routes = api.listing(|listing| listing.routes.clone())?;
    routes.sort_by_key(|route| {
        (std::cmp::Reverse(route.pattern.specificity()), route.priority, route.id)
    });
    let items = routes.iter().map(|route| (route.id.to_string(), describe(route)));
    Ok(Json(page(&query, items.collect())?))
}

async fn show(State(api): State<Api>, Path(key): Path<String>) -> Result<Response, Problem> {
    Ok(shown(&find(&api, &key)?))
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
    Ok((StatusCode::CREATED, location, shown(&route)).into_response())
}

/// Fields that are left out get their defaults.
async fn replace(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    precondition: Precondition,
    Object(body): Object,
) -> Result<Response, Problem> {
    let old = find(&api, &key)?;
    if !precondition.is_given() && !body.contains_key("version") {
        return Err(required());
    }
    update(&api, &actor, precondition, body, Base::Replaced(&old)).await
}

/// Fields that are left out stay.
async fn change(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    precondition: Precondition,
    Object(body): Object,
) -> Result<Response, Problem> {
    let old = find(&api, &key)?;
    update(&api, &actor, precondition, body, Base::Changed(&old)).await
}

async fn update(
    api: &Api,
    actor: &Actor,
    precondition: Precondition,
    body: Map<String, Value>,
    base: Base<'_>,
) -> Result<Response, Problem> {
    let Api(shared) = api;
    let current = base.old().map(|old| tag_of_version(old.version));
    precondition.check(current.as_deref())?;
    let route = read(body, base, &shared.settings)?;
    // Between the look and the write, the store's own comparison of versions guards.
    let route = guarded(&precondition, shared.store.update_route(&route).await)?;
    let (subject, before) = (route.pattern.to_string(), base.old().map(describe));
    let after = Some(describe(&route));
    shared.audit.add(&actor.name, "change static route", subject, before, after).await;
    settle(api, &route).await;
    Ok(shown(&route))
}

/// Removes a route, but never `.*`: 409.
async fn remove(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    precondition: Precondition,
) -> Result<StatusCode, Problem> {
    let route = find(&api, &key)?;
    if route.is_open_route() {
        let title = "The open route .* cannot be removed";
        return Err(Problem::new(StatusCode::CONFLICT, title).detail("Block it instead."));
    }
    precondition.check(Some(&tag_of_version(route.version)))?;
    let Api(shared) = &api;
    guarded(&precondition, shared.store.delete_route(route.id, route.version).await)?;
    let (subject, before) = (route.pattern.to_string(), Some(describe(&route)));
    shared.audit.add(&actor.name, "remove static route", subject, before, None).await;
    let gone = |routes: &[StaticRoute]| routes.iter().all(|other| other.id != route.id);
    shared.catalogue.settled(|listing| gone(&listing.routes)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// A conflict is 412 for those who said what they expect, and 409 for others.
fn guarded<T>(precondition: &Precondition, done: Result<T, StoreError>) -> Result<T, Problem> {
    done.map_err(|error| match error {
        StoreError::Conflict(_) if precondition.is_given() => {
            Problem::new(StatusCode::PRECONDITION_FAILED, CHANGED).detail(error.to_string())
        }
        other => other.into(),
    })
}

fn shown(route: &StaticRoute) -> Response {
    (etag(&tag_of_version(route.version)), Json(describe(route))).into_response()
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

/// A route of a backup, by the same rules.
pub(super) fn from_backup(
    fields: Map<String, Value>,
    settings: &Settings,
) -> Result<StaticRoute, Problem> {
    let predefined = StaticRoute::predefined();
    let is_open = fields.get("predefined") == Some(&Value::Bool(true));
    read(fields, if is_open { Base::Replaced(&predefined) } else { Base::New }, settings)
}

/// As the API shows it: the password is never among it.
pub(crate) fn describe(route: &StaticRoute) -> Value {
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
