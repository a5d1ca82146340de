//! One's own session: logging in, who one is, a new password, logging out.

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::{Extension, Json};
use openfed_node::http::Peer;
use serde_json::{Value, json};

use super::Api;
use super::body::Object;
use super::fields::Fields;
use super::operation::Operation;
use super::problem::Problem;
use super::time::rfc3339_seconds;
use crate::access::{Actor, NewSession, OneTime, Session, fault_of_password};

pub(super) fn operations() -> Vec<Operation> {
    const ONE: &str = "/session";
    let begin = "Log in: the answer sets the cookie of a session, and has the token that changes \
                 must show in the header X-Csrf-Token";
    let password = "Change one's own password. All sessions of the user end, and a new one begins";
    vec![
        Operation::new(Method::POST, ONE, log_in, ("logIn", begin))
            .takes("LogIn")
            .answers(201, "Session"),
        Operation::get(ONE, show, ("getSession", "Who is logged in")).answers(200, "Session"),
        Operation::new(Method::DELETE, ONE, log_out, ("logOut", "End the session"))
            .answers_nothing(),
        Operation::new(
            Method::PUT,
            "/session/password",
            change_password,
            ("setOwnPassword", password),
        )
        .takes("OwnPassword")
        .answers(200, "Session"),
    ]
}

/// A session with a cookie; an earlier one of this browser ends.
async fn log_in(
    State(Api(api)): State<Api>,
    Extension(Peer(peer)): Extension<Peer>,
    Object(body): Object,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(body);
    let (name, password) = (fields.needed("name"), fields.needed("password"));
    let (name, password) = fields.finish((name, password))?;
    let (name, password) = (name.unwrap_or_default(), password.unwrap_or_default());
    let new = api.access.log_in(&name, &password, peer.ip()).await?;
    Ok(begun(StatusCode::CREATED, new))
}

async fn show(
    Extension(actor): Extension<Actor>,
    Extension(session): Extension<Session>,
    Extension(OneTime(must_change)): Extension<OneTime>,
) -> Json<Value> {
    Json(describe(&actor, &session, must_change))
}

async fn log_out(
    State(Api(api)): State<Api>,
    Extension(session): Extension<Session>,
) -> Result<Response, Problem> {
    let cookie = api.access.log_out(&session).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// All sessions of the user end; the answer begins a new one.
async fn change_password(
    State(Api(api)): State<Api>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(actor): Extension<Actor>,
    Extension(session): Extension<Session>,
    Object(body): Object,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(body);
    let (old, new) = (fields.needed("old"), fields.needed("new"));
    if let Some(fault) = new.as_deref().and_then(fault_of_password) {
        fields.error("new", fault);
    }
    if new.is_some() && new == old {
        fields.error("new", "is the old one");
    }
    let (old, new) = fields.finish((old, new))?;
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let new = api.access.change_password(&session, (&old, &new), peer.ip()).await?;
    api.audit.add(&actor.name, "change own password", &actor.name, None, None).await;
    Ok(begun(StatusCode::OK, new))
}

fn begun(status: StatusCode, new: NewSession) -> Response {
    let body = describe(&new.actor, &new.session, new.must_change);
    (status, AppendHeaders([(header::SET_COOKIE, new.cookie)]), Json(body)).into_response()
}

fn describe(actor: &Actor, session: &Session, must_change: bool) -> Value {
    json!({
        "name": actor.name,
        "role": actor.role.as_str(),
        "csrf": session.csrf(),
        "ends": rfc3339_seconds(session.ends()),
        "must_change_password": must_change,
    })
}
