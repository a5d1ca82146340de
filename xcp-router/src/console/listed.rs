//! Lists of domains that an operator keeps: what stands on them, putting on, taking off.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use serde_json::{Map, Value, json};

use super::Console;
use super::backend::escaped;
use super::confirm::Confirm;
use super::frame::{Frame, Refusal, Words, done, show};
use super::model::{Items, Listed};
use super::submitted::Submitted;
use super::visitor::Visitor;

/// One of the lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Its page.
    pub(super) here: &'static str,
    /// Its path below `/api/v1`.
    pub(super) api: &'static str,
    /// What to do to take a domain off, and what that will mean.
    pub(super) undo: &'static str,
    pub(super) undone: &'static str,
    /// What is said of what was done.
    pub(super) told: Words,
}

impl Kind {
    /// What leads from the list to one domain less.
    pub(super) fn removal(self) -> MethodRouter<Console> {
        let ask =
            async move |State(console): State<Console>, visitor, Path(domain): Path<String>| {
                ask(&console, &visitor, self, &domain)
            };
        let remove =
            async move |State(console): State<Console>, visitor, Path(domain): Path<String>| {
                remove(&console, &visitor, self, &domain).await
            };
        get(ask).post(remove)
    }
}

/// A list and the form below it, as they stand.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) items: Vec<Listed>,
    /// What is in the form.
    pub(super) domain: String,
    pub(super) note: String,
    pub(super) refusal: Option<Refusal>,
}

impl Listing {
    pub(super) async fn read(
        console: &Console,
        visitor: &Visitor,
        kind: Kind,
        query: &HashMap<String, String>,
    ) -> Result<Self, Refusal> {
        let list: Items<Listed> = console.0.backend.get(visitor, kind.api).await?;
        let domain = query.get("domain").cloned().unwrap_or_default();
        Ok(Listing { items: list.items, domain, note: String::new(), refusal: None })
    }

    /// Puts a domain on the list; gives the page with what is wrong, if anything is.
    pub(super) async fn add(
        console: &Console,
        visitor: &Visitor,
        kind: Kind,
        submitted: &Submitted,
    ) -> Result<Option<Self>, Refusal> {
        let mut body = Map::new();
        for field in ["domain", "note"] {
            body.insert(field.to_owned(), json!(submitted.text(field)));
        }
        let body = Some(Value::Object(body));
        match console.0.backend.send(visitor, Method::POST, kind.api, body).await {
            Ok(_) => Ok(None),
            Err(refusal) if refusal.errors.is_empty() => Err(refusal),
            Err(refusal) => {
                let listing = Self::read(console, visitor, kind, &HashMap::new()).await?;
                let text = |field| submitted.exact(field).to_owned();
                let (domain, note) = (text("domain"), text("note"));
                Ok(Some(Listing { domain, note, refusal: Some(refusal), ..listing }))
            }
        }
    }

    pub(super) fn fault(&self, field: &str) -> Option<&str> {
        self.refusal.as_ref()?.errors.get(field).map(String::as_str)
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }
}

/// What taking the domain off the list will do.
fn ask(console: &Console, visitor: &Visitor, kind: Kind, domain: &str) -> Response {
    let frame = Frame::new(console, visitor, kind.here);
    show(&Confirm {
        frame: frame.heading(format!("{} {domain}", kind.undo)),
        fields: Vec::new(),
        sentences: vec![kind.undone.to_owned()],
        warning: None,
        button: kind.undo,
        danger: false,
        back: kind.here.to_owned(),
    })
}

/// Takes a domain off the list.
async fn remove(
    console: &Console,
    visitor: &Visitor,
    kind: Kind,
    domain: &str,
) -> Result<Response, Refusal> {
    let path = format!("{}/{}", kind.api, escaped(domain));
    console.0.backend.send(visitor, Method::DELETE, &path, None).await?;
    Ok(done(kind.here, "removed"))
}
