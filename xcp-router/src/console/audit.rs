//! Audit: who changed what, when, and what it was before.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;

use super::Console;
use super::backend::escaped;
use super::frame::{Frame, Refusal, show};
use super::model::{Items, moment};
use super::visitor::Visitor;

const HERE: &str = "/audit";
/// Entries of one page.
const PAGE: usize = 100;

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/audit", get(list))
}

#[derive(Debug, Deserialize)]
struct Entry {
    at: String,
    who: String,
    action: String,
    subject: String,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    before: Option<Value>,
    #[serde(default)]
    after: Option<Value>,
}

/// One field that a change has changed.
struct Difference {
    field: String,
    before: String,
    after: String,
}

impl Entry {
    fn time(&self) -> String {
        moment(&self.at)
    }

    /// The fields that are different, and those that are there on one side only.
    fn differences(&self) -> Vec<Difference> {
        let empty = serde_json::Map::new();
        let object = |value: &Option<Value>| match value {
            Some(Value::Object(object)) => object.clone(),
            _ => empty.clone(),
        };
        let (before, after) = (object(&self.before), object(&self.after));
        let mut fields: Vec<&String> = before.keys().chain(after.keys()).collect();
        fields.sort_unstable();
        fields.dedup();
        let differs =
            |field: &&&String| **field != "version" && before.get(**field) != after.get(**field);
        let difference = |field: &String| Difference {
            field: field.replace('_', " "),
            before: words(before.get(field)),
            after: words(after.get(field)),
        };
        fields.iter().filter(differs).map(|field| difference(field)).collect()
    }
}

/// A value for people; what is not there is a dash.
fn words(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(on)) => if *on { "yes" } else { "no" }.to_owned(),
        Some(other) => other.to_string(),
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    entries: Vec<Entry>,
    /// Where earlier ones are.
    earlier: Option<String>,
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let cursor = query.get("cursor").map(|cursor| format!("&cursor={}", escaped(cursor)));
    let path = format!("/audit?limit={PAGE}{}", cursor.unwrap_or_default());
    let page: Items<Entry> = console.0.backend.get(&visitor, &path).await?;
    let earlier = page.next_cursor.map(|cursor| format!("{HERE}?cursor={}", escaped(&cursor)));
    let frame = Frame::new(&console, &visitor, HERE);
    Ok(show(&Page { frame, entries: page.items, earlier }))
}
