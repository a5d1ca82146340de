//! Users: who logs in, with which role.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use openfed_node::store::{Store, User, Written};
use serde_json::{Value, json};

use super::Api;
use super::body::Object;
use super::fields::Fields;
use super::operation::Operation;
use super::pages::{MOST, page};
use super::problem::Problem;
use super::time::rfc3339_seconds;
use crate::access::{Actor, MOST_ACCOUNTS, Role, fault_of_password, one_time_password, random_hex};
use crate::now;

pub(super) fn operations() -> Vec<Operation> {
    const ALL: &str = "/users";
    const ONE: &str = "/users/{name}";
    let post = "Add a user. Without a password, one for one log-in is made, and told this once";
    let patch = "Give a user another role, which acts at once, or another password, which is for one \
                 log-in and ends the user's sessions: `new_password`: true has one made";
    let delete = "Remove a user, whose sessions end; the last administrator stays";
    vec![
        Operation::get(ALL, list, ("listUsers", "All users, sorted by name"))
            .paged(MOST, MOST)
            .answers(200, "Users"),
        Operation::new(Method::POST, ALL, create, ("addUser", post))
            .takes("UserCreate")
            .answers(201, "NewUser")
            .refuses(&[409]),
        Operation::get(ONE, show, ("getUser", "One user")).answers(200, "User").refuses(&[404]),
        Operation::new(Method::PATCH, ONE, change, ("changeUser", patch))
            .takes("UserChange")
            .answers(200, "NewUser")
            .refuses(&[404, 409]),
        Operation::new(Method::DELETE, ONE, remove, ("removeUser", delete))
            .answers_nothing()
            .refuses(&[404, 409]),
    ]
}

async fn list(
    State(api): State<Api>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Problem> {
    let users = api.listing(|listing| listing.users.clone())?;
    let items = users.iter().map(|user| (user.name.clone(), describe(user)));
    Ok(Json(page(&query, items.collect())?))
}

async fn show(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    Ok(Json(describe(&find(&api, &name)?)))
}

/// Without a password, one for one log-in is made, and told this once.
async fn create(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Object(body): Object,
) -> Result<Response, Problem> {
    let users = api.listing(|listing| listing.users.clone())?;
    let mut fields = Fields::new(body);
    let name = fields.needed("name").unwrap_or_default();
    if let Some(fault) = fault_of_name(&name) {
        fields.error("name", fault);
    }
    let role = role(&mut fields).unwrap_or(Role::Viewer);
    let password = password(&mut fields);
    let () = fields.finish(())?;
    if users.iter().any(|user| user.name == name) {
        return Err(conflict("There is a user of this name"));
    }
    if users.len() >= MOST_ACCOUNTS {
        return Err(conflict("There are 200 users: no more are possible"));
    }
    let (password, one_time) = match password {
        Some(password) => (password, false),
        None => (one_time_password(), true),
    };
    let user = User {
        name,
        hash: api.0.access.hash(&password).await?,
        role: role.as_str().to_owned(),
        created: now().unix_s(),
        epoch: random_hex::<8>(),
        one_time,
        version: 1,
    };
    put(&api, &user).await?;
    let mut shown = describe(&user);
    api.0.audit.add(&actor.name, "add user", &user.name, None, Some(shown.clone())).await;
    if one_time {
        shown["password"] = json!(password);
    }
    let location = [(header::LOCATION, format!("/api/v1/users/{}", user.name))];
    Ok((StatusCode::CREATED, location, Json(shown)).into_response())
}

/// A new role acts at once; a new password, which is for one log-in, ends the user's sessions.
async fn change(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Object(body): Object,
) -> Result<Json<Value>, Problem> {
    let old = find(&api, &name)?;
    let mut fields = Fields::new(body);
    let role = role(&mut fields);
    let renewed = fields.flag("new_password").unwrap_or(false);
    let password = password(&mut fields);
    fields.ignore(&["name", "created", "one_time"]);
    let () = fields.finish(())?;
    let mut user = User { version: old.version + 1, ..old.clone() };
    if let Some(role) = role {
        user.role = role.as_str().to_owned();
    }
    keeps_an_administrator(&api, &old, user.role == old.role)?;
    let password = password.or_else(|| renewed.then(one_time_password));
    if let Some(password) = &password {
        (user.hash, user.epoch) = (api.0.access.hash(password).await?, random_hex::<8>());
        user.one_time = true;
    }
    put(&api, &user).await?;
    if password.is_some() {
        api.0.access.forget_sessions(&user.name).await?;
    }
    let (before, mut shown) = (describe(&old), describe(&user));
    let action = if password.is_some() { "set password" } else { "change user" };
    api.0.audit.add(&actor.name, action, &user.name, Some(before), Some(shown.clone())).await;
    if let Some(password) = password.filter(|_| renewed) {
        shown["password"] = json!(password);
    }
    Ok(Json(shown))
}

/// The user's sessions end. The last administrator stays.
async fn remove(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let user = find(&api, &name)?;
    keeps_an_administrator(&api, &user, false)?;
    let store: &dyn Store = api.0.store.as_ref();
    if store.remove::<User>(&user.name).await? != Written::Done {
        return Err(missing(&name));
    }
    api.0.catalogue.settled(|listing| listing.users.iter().all(|one| one.name != name)).await;
    api.0.access.forget_sessions(&name).await?;
    api.0.audit.add(&actor.name, "remove user", name, Some(describe(&user)), None).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Nobody could let anybody in again.
fn keeps_an_administrator(api: &Api, user: &User, stays: bool) -> Result<(), Problem> {
    let administrator = Role::Administrator.as_str();
    let others = |listing: &crate::catalogue::Listing| {
        listing.users.iter().any(|one| one.name != user.name && one.role == administrator)
    };
    if stays || user.role != administrator || api.listing(others)? {
        return Ok(());
    }
    Err(conflict("This is the last administrator"))
}

/// Writes it, and waits until this node knows it.
async fn put(Api(api): &Api, user: &User) -> Result<(), Problem> {
    let store: &dyn Store = api.store.as_ref();
    match store.put(user).await? {
        Written::Done => {}
        Written::Conflict(_) => return Err(conflict("Somebody else changed it in the meantime")),
        Written::Missing => return Err(missing(&user.name)),
    }
    let same = |one: &User| one.name == user.name && one.version >= user.version;
    api.catalogue.settled(|listing| listing.users.iter().any(same)).await;
    Ok(())
}

fn find(api: &Api, name: &str) -> Result<User, Problem> {
    let found = |user: &&User| user.name == name;
    api.listing(|listing| listing.users.iter().find(found).cloned())?.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Problem {
    Problem::not_found(format!("There is no user {name}."))
}

fn conflict(title: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, title)
}

fn fault_of_name(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@-".contains(c);
    let fits = (1..=64).contains(&name.len()) && name.chars().all(allowed);
    (!fits).then_some("must be 1 to 64 lower-case letters, digits, dots, dashes, underscores or @")
}

fn role(fields: &mut Fields) -> Option<Role> {
    let text = fields.text("role")?;
    Role::parse(&text).or_else(|| fields.wrong("role", "must be viewer or administrator"))
}

fn password(fields: &mut Fields) -> Option<String> {
    let password = fields.text("password")?;
    match fault_of_password(&password) {
        Some(fault) => fields.wrong("password", fault),
        None => Some(password),
    }
}

fn describe(user: &User) -> Value {
    json!({
        "name": user.name,
        "role": user.role,
        "created": rfc3339_seconds(user.created),
        "one_time": user.one_time,
    })
}
