//! API tokens: what programs show instead of a password.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use openfed_node::store::{Store, Token, Written};
use serde_json::{Value, json};

use super::Api;
use super::body::Object;
use super::fields::Fields;
use super::operation::Operation;
use super::pages::{MOST, page};
use super::problem::Problem;
use super::time::rfc3339_seconds;
use crate::access::{Actor, LOCAL, MOST_ACCOUNTS, Scope, mint};

pub(super) fn operations() -> Vec<Operation> {
    const ALL: &str = "/tokens";
    let post = "Add an API token; the answer has its secret, which nobody can be told again";
    let delete = ("removeToken", "Remove a token: it is refused from now on, by every router");
    vec![
        Operation::get(ALL, list, ("listTokens", "All API tokens, without their secrets"))
            .paged(MOST, MOST)
            .answers(200, "Tokens"),
        Operation::new(Method::POST, ALL, create, ("addToken", post))
            .takes("TokenCreate")
            .answers(201, "NewToken")
            .refuses(&[409]),
        Operation::new(Method::DELETE, "/tokens/{id}", remove, delete)
            .answers_nothing()
            .refuses(&[404]),
    ]
}

async fn list(
    State(api): State<Api>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Problem> {
    let tokens = api.listing(|listing| listing.tokens.clone())?;
    let items = tokens.iter().map(|token| (token.id.clone(), describe(token)));
    Ok(Json(page(&query, items.collect())?))
}

/// The answer has the secret, which nobody can be told again.
async fn create(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Object(body): Object,
) -> Result<Response, Problem> {
    let tokens = api.listing(|listing| listing.tokens.clone())?;
    let mut fields = Fields::new(body);
    let name = fields.needed("name").unwrap_or_default();
    if let Some(fault) = fault_of_name(&name) {
        fields.error("name", fault);
    }
    let scopes = scopes(&mut fields);
    let () = fields.finish(())?;
    if name == LOCAL || tokens.iter().any(|token| token.name == name) {
        return Err(Problem::new(StatusCode::CONFLICT, "There is a token of this name"));
    }
    if tokens.len() >= MOST_ACCOUNTS {
        let title = "There are 200 tokens: no more are possible";
        return Err(Problem::new(StatusCode::CONFLICT, title));
    }
    let (token, secret) = mint(name, &scopes);
    let store: &dyn Store = api.0.store.as_ref();
    if store.put(&token).await? != Written::Done {
        return Err(Problem::new(StatusCode::CONFLICT, "There is a token of this id"));
    }
    let same = |one: &Token| one.id == token.id;
    api.0.catalogue.settled(|listing| listing.tokens.iter().any(same)).await;
    let mut shown = describe(&token);
    api.0.audit.add(&actor.name, "add token", &token.name, None, Some(shown.clone())).await;
    shown["secret"] = json!(secret);
    let location = [(header::LOCATION, format!("/api/v1/tokens/{}", token.id))];
    Ok((StatusCode::CREATED, location, Json(shown)).into_response())
}

/// By id or name; it is refused from now on.
async fn remove(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
) -> Result<StatusCode, Problem> {
    let missing = || Problem::not_found(format!("There is no token {key}."));
    let meant = |token: &&Token| token.id == key || token.name == key;
    let token = api.listing(|listing| listing.tokens.iter().find(meant).cloned())?;
    let token = token.ok_or_else(missing)?;
    let store: &dyn Store = api.0.store.as_ref();
    if store.remove::<Token>(&token.id).await? != Written::Done {
        return Err(missing());
    }
    api.0.catalogue.settled(|listing| listing.tokens.iter().all(|one| one.id != token.id)).await;
    let before = Some(describe(&token));
    api.0.audit.add(&actor.name, "remove token", token.name, before, None).await;
    Ok(StatusCode::NO_CONTENT)
}

fn fault_of_name(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let fits = (1..=64).contains(&name.len()) && name.chars().all(allowed);
    (!fits).then_some("must be 1 to 64 letters, digits, dots, dashes or underscores")
}

fn scopes(fields: &mut Fields) -> Vec<Scope> {
    let all = Scope::ALL.map(Scope::as_str).join(", ");
    let Some(Value::Array(items)) = fields.value("scopes") else {
        fields.error("scopes", format!("must be a list of some of {all}"));
        return Vec::new();
    };
    let scopes: Option<Vec<_>> =
        items.iter().map(|item| item.as_str().and_then(Scope::parse)).collect();
    match scopes {
        Some(scopes) if (1..=Scope::ALL.len()).contains(&scopes.len()) => scopes,
        _ => {
            fields.error("scopes", format!("must be a list of some of {all}"));
            Vec::new()
        }
    }
}

fn describe(token: &Token) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes,
        "created": rfc3339_seconds(token.created),
        "last_used": (token.last_used > 0).then(|| rfc3339_seconds(token.last_used)),
    })
}
