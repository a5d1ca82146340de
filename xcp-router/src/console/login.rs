//! Logging in and out, and the first password that only its user knows.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::Console;
use super::frame::{Refusal, show, show_with};
use super::submitted::Submitted;
use super::visitor::Visitor;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/login", get(login).post(log_in))
        .route("/login/password", get(password).post(change))
        .route("/logout", post(log_out))
}

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    name: String,
    refusal: Option<Refusal>,
}

async fn login() -> Response {
    show(&Login { name: String::new(), refusal: None })
}

async fn log_in(
    State(console): State<Console>,
    visitor: Visitor,
    submitted: Submitted,
) -> Response {
    let name = submitted.text("name").to_owned();
    let body = json!({ "name": name, "password": submitted.exact("password") });
    match console.0.backend.call(&visitor, Method::POST, "/session", Some(body)).await {
        Ok((head, session)) => {
            let first = session["must_change_password"] == true;
            begun(&head, if first { "/login/password" } else { "/" })
        }
        Err(refusal) => {
            let status = refusal.status;
            show_with(status, &Login { name, refusal: Some(refusal) })
        }
    }
}

/// On, with what the API had the browser remember, or forget.
fn begun(head: &HeaderMap, path: &str) -> Response {
    let mut response = Redirect::to(path).into_response();
    for cookie in head.get_all(header::SET_COOKIE) {
        response.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    response
}

#[derive(Template)]
#[template(path = "password.html")]
struct Password {
    csrf: String,
    refusal: Option<Refusal>,
}

impl Password {
    fn fault(&self, field: &str) -> Option<&str> {
        self.refusal.as_ref()?.errors.get(field).map(String::as_str)
    }
}

async fn password(visitor: Visitor) -> Response {
    show(&Password { csrf: visitor.csrf, refusal: None })
}

async fn change(
    State(console): State<Console>,
    visitor: Visitor,
    submitted: Submitted,
) -> Response {
    let (old, new) = (submitted.exact("old"), submitted.exact("new"));
    let changed = if new == submitted.exact("again") {
        let body: Value = json!({ "old": old, "new": new });
        let path = "/session/password";
        console.0.backend.call(&visitor, Method::PUT, path, Some(body)).await
    } else {
        let title = "Some fields need to be corrected";
        let mut refusal = Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, title);
        refusal.errors.insert("again".to_owned(), "is not the same".to_owned());
        Err(refusal)
    };
    match changed {
        Ok((head, _)) => begun(&head, "/"),
        Err(refusal) => {
            let status = refusal.status;
            show_with(status, &Password { csrf: visitor.csrf, refusal: Some(refusal) })
        }
    }
}

async fn log_out(State(console): State<Console>, visitor: Visitor) -> Result<Response, Refusal> {
    let (head, _) = console.0.backend.call(&visitor, Method::DELETE, "/session", None).await?;
    Ok(begun(&head, "/login"))
}
