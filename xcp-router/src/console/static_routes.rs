//! Presence › Routing › Static Routes: find, list, configure, block and unblock, remove.

mod form;
mod words;

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::Console;
use super::confirm::Confirm;
use super::frame::{Frame, Refusal, Words, done, show, show_with};
use super::model::{Items, Route, State, thousands};
use super::submitted::Submitted;
use super::visitor::Visitor;
use form::RouteForm;

const HERE: &str = "/routing/static-routes";

const TOLD: Words = &[
    ("saved", "Saved. It acts at once, on every node."),
    ("created", "Added. It acts at once, on every node."),
    ("blocked", "Blocked, on every node."),
    ("unblocked", "Unblocked, on every node."),
    ("removed", "Removed. It is not used any more, on any node."),
];

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/routing/static-routes", get(list))
        .route("/routing/static-routes/new", get(blank).post(create))
        .route("/routing/static-routes/{id}", get(open).post(save))
        .route("/routing/static-routes/{id}/{action}", get(ask).post(act))
}

#[derive(Template)]
#[template(path = "static_routes.html")]
struct List {
    frame: Frame,
    routes: Vec<Route>,
    all: usize,
    by: String,
    find: String,
}

impl List {
    fn found(&self) -> String {
        let (found, all) = (self.routes.len(), thousands(self.all as u64));
        match (found, self.find.is_empty()) {
            (_, true) => format!("{all} static routes"),
            (0, false) => format!("None of {all} static routes matches"),
            (found, false) => format!("{found} of {all} static routes"),
        }
    }
}

/// All routes that contain what is sought, in the order in which they are tried.
async fn list(
    Shared(console): Shared<Console>,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let mut routes = all(&console, &visitor).await?;
    let find = query.get("find").map(|text| text.trim().to_lowercase()).unwrap_or_default();
    let by = query.get("by").cloned().unwrap_or_default();
    let count = routes.len();
    routes.retain(|route| {
        let text = if by == "next_hop" { &route.next_hop } else { &route.pattern };
        // `*` is another name of the open route.
        text.to_lowercase().contains(&find) || (find == "*" && route.predefined)
    });
    let frame = Frame::new(&console, &visitor, HERE).told(&query, TOLD);
    Ok(show(&List { frame, routes, all: count, by, find }))
}

async fn all(console: &Console, visitor: &Visitor) -> Result<Vec<Route>, Refusal> {
    let routes: Items<Route> = console.0.backend.get(visitor, "/static-routes").await?;
    Ok(routes.items)
}

async fn one(console: &Console, visitor: &Visitor, id: u32) -> Result<Route, Refusal> {
    console.0.backend.get(visitor, &format!("/static-routes/{id}")).await
}

/// The route that a path names.
async fn named(console: &Console, visitor: &Visitor, id: &str) -> Result<Route, Refusal> {
    match id.parse() {
        Ok(id) => one(console, visitor, id).await,
        Err(_) => Err(Refusal::new(StatusCode::NOT_FOUND, "There is no such route")),
    }
}

#[derive(Template)]
#[template(path = "static_route.html")]
struct Form {
    frame: Frame,
    form: RouteForm,
    refusal: Option<Refusal>,
}

fn form_page(console: &Console, visitor: &Visitor, form: RouteForm) -> Form {
    let frame = Frame::new(console, visitor, HERE).heading("Static Route Configuration");
    Form { frame, form, refusal: None }
}

async fn blank(Shared(console): Shared<Console>, visitor: Visitor) -> Response {
    show(&form_page(&console, &visitor, RouteForm::blank()))
}

async fn open(
    Shared(console): Shared<Console>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let route = named(&console, &visitor, &id).await?;
    Ok(show(&form_page(&console, &visitor, RouteForm::of(&route))))
}

async fn create(
    Shared(console): Shared<Console>,
    visitor: Visitor,
    submitted: Submitted,
) -> Response {
    let form = RouteForm::submitted(&submitted, None);
    let body = Some(form.body(&submitted));
    match console.0.backend.send(&visitor, Method::POST, "/static-routes", body).await {
        Ok(_) => done(HERE, "created"),
        Err(refusal) => again(&console, &visitor, form, refusal),
    }
}

async fn save(
    Shared(console): Shared<Console>,
    visitor: Visitor,
    Path(id): Path<String>,
    submitted: Submitted,
) -> Result<Response, Refusal> {
    let route = named(&console, &visitor, &id).await?;
    let mut form = RouteForm::submitted(&submitted, Some(&route));
    let (path, body) = (format!("/static-routes/{}", route.id), form.body(&submitted));
    match console.0.backend.send(&visitor, Method::PUT, &path, Some(body)).await {
        Ok(_) => Ok(done(HERE, "saved")),
        Err(refusal) => {
            if matches!(refusal.status, StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED) {
                form.beside(&one(&console, &visitor, route.id).await?);
            }
            Ok(again(&console, &visitor, form, refusal))
        }
    }
}

/// The form as it was sent, with what is wrong beside each field.
fn again(console: &Console, visitor: &Visitor, mut form: RouteForm, refusal: Refusal) -> Response {
    form.faults.clone_from(&refusal.errors);
    let status = refusal.status;
    let page = Form { refusal: Some(refusal), ..form_page(console, visitor, form) };
    show_with(status, &page)
}

/// What blocking, unblocking or removing a route will do.
async fn ask(
    Shared(console): Shared<Console>,
    visitor: Visitor,
    Path((id, action)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let route = named(&console, &visitor, &id).await?;
    let known = console.0.views.catalogue.read(|listing| listing.names.len());
    let (heading, button, sentences) = match action.as_str() {
        "block" => ("Block", "Block", words::block(&route, known)),
        "unblock" => ("Unblock", "Unblock", words::unblock(&route)),
        "remove" if !route.predefined => ("Remove", "Remove", words::remove(&route)),
        _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "There is no such page")),
    };
    let frame = Frame::new(&console, &visitor, HERE);
    Ok(show(&Confirm {
        frame: frame.heading(format!("{heading} the route {}", route.pattern)),
        fields: vec![("version", route.version.to_string())],
        warning: words::warning(&route, &action),
        sentences,
        button,
        danger: action == "remove",
        back: HERE.to_owned(),
    }))
}

async fn act(
    Shared(console): Shared<Console>,
    visitor: Visitor,
    Path((id, action)): Path<(String, String)>,
    submitted: Submitted,
) -> Result<Response, Refusal> {
    let route = named(&console, &visitor, &id).await?;
    let path = format!("/static-routes/{}", route.id);
    let version = submitted.number("version");
    let blocked = |blocked: bool| Some(json!({ "blocked": blocked, "version": version }));
    let (method, body, what): (Method, Option<Value>, &str) = match action.as_str() {
        "block" => (Method::PATCH, blocked(true), "blocked"),
        "unblock" => (Method::PATCH, blocked(false), "unblocked"),
        "remove" => (Method::DELETE, None, "removed"),
        _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "There is no such page")),
    };
    match console.0.backend.send(&visitor, method, &path, body).await {
        Ok(_) => Ok(done(HERE, what)),
        // What is missing is filled in on the form, with the fault beside each field.
        Err(refusal) if !refusal.errors.is_empty() => {
            let mut form = RouteForm::of(&route);
            form.set("blocked", "");
            Ok(again(&console, &visitor, form, refusal))
        }
        Err(refusal) => Ok(refusal.into_response()),
    }
}
