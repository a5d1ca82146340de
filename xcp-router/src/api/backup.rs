//! All state in one file: routes with their credentials, domains, lists, users, tokens. JSON, one
//! object a line, streamed: a million rows need no more memory than a few.

mod parts;
mod restore;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use openfed_node::store::{LAYOUT, Store, Table};
use openfed_proto::domain::Domain;
use serde_json::{Value, json};

use super::Api;
use super::operation::Operation;
use super::problem::Problem;
use super::time::rfc3339;
use crate::access::Actor;
use crate::catalogue::Names;
use crate::now;

/// The form of the file. A program refuses a newer one.
const FORM: u64 = 1;
/// What the first line says it is.
const KIND: &str = "openfed-backup";
/// Rows that are read from the store at once.
const PIECE: usize = 1_000;

pub(super) fn operations() -> Vec<Operation> {
    const PATH: &str = "/backup";
    let text = || json!({ "type": "string" });
    let get = "All state: static routes with their credentials, the domain table, blocked and pinned \
               domains, users with the hashes of their passwords, API tokens with their digests. One \
               JSON object a line; the first has the version of the form and of the store's layout, \
               the last the number of lines";
    let put = "Make the state that of a backup. A backup of a newer form or layout, or one that is \
               not whole, is refused. Domains are written as they come; everything else when the last \
               line was read. A backup without accounts (layout 1) leaves those that there are";
    vec![
        Operation::get(PATH, backup, ("getBackup", get)).answers_with(
            200,
            "application/x-ndjson",
            text(),
        ),
        Operation::new(Method::PUT, PATH, restore::restore, ("putBackup", put))
            .takes_as("application/x-ndjson", text())
            .answers(200, "Restored"),
    ]
}

/// If the store stops answering on the way, the answer breaks off: its last line is missing then.
async fn backup(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    let names = api.listing(|listing| listing.names.clone())?;
    let head = head(&api).await?;
    api.0.audit.add(&actor.name, "take backup", "all", None, None).await;
    let lines = head.bytes().filter(|byte| *byte == b'\n').count();
    let rest = Rest { names, cursor: None, lines, store: api.0.store.clone() };
    let pieces = stream::unfold(Some(rest), async |rest| {
        Some(match rest?.piece().await {
            Ok((text, rest)) => (Ok(Bytes::from(text)), rest),
            Err(_) => (Err(io::Error::other("the store does not answer any more")), None),
        })
    });
    let body = Body::from_stream(stream::iter([Ok(Bytes::from(head))]).chain(pieces));
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"openfed-backup.ndjson\""),
    ];
    Ok((headers, body).into_response())
}

/// All that is small.
async fn head(api: &Api) -> Result<String, Problem> {
    let first = json!({
        "kind": KIND,
        "form": FORM,
        "layout": LAYOUT,
        "program": env!("CARGO_PKG_VERSION"),
        "at": rfc3339(now().unix_us),
    });
    let notes: HashMap<String, String> =
        api.0.store.records(Table::Notes).await?.into_iter().collect();
    let rest = api.listing(|listing| {
        let routes = listing.routes.iter().map(parts::route);
        let blocked = listing.blocked.iter();
        let blocked = blocked.map(|name| parts::noted("blocked", &name.to_string(), &notes));
        let pinned = listing.pinned.iter();
        let pinned = pinned.map(|name| parts::noted("pinned", name.as_str(), &notes));
        let users = listing.users.iter().map(|user| parts::record("user", user));
        let tokens = listing.tokens.iter().map(|token| parts::record("token", token));
        routes.chain(blocked).chain(pinned).chain(users).chain(tokens).collect::<Vec<Value>>()
    })?;
    let lines = [first].into_iter().chain(rest);
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

/// What is still to be written.
struct Rest {
    names: Arc<Names>,
    /// The last name so far.
    cursor: Option<String>,
    lines: usize,
    store: Arc<dyn Store>,
}

impl Rest {
    /// The next rows; after the last one, the end. Names whose rows are gone by now are left out.
    async fn piece(mut self) -> Result<(String, Option<Self>), Problem> {
        let found = self.names.after(self.cursor.as_deref(), "").take(PIECE);
        let domains: Vec<Domain> = found.filter_map(|name| Domain::parse(name).ok()).collect();
        let mut text = String::new();
        for row in self.store.rows(&domains).await? {
            text.push_str(&format!("{}\n", parts::row(&row)));
            self.lines += 1;
        }
        if domains.len() < PIECE {
            text.push_str(&format!("{}\n", json!({ "kind": "end", "lines": self.lines + 1 })));
            return Ok((text, None));
        }
        self.cursor = domains.last().map(ToString::to_string);
        Ok((text, Some(self)))
    }
}
