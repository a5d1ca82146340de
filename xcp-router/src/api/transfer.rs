//! The domain table in one piece, as CSV: taken in and given out as a stream, some thousand rows at
//! a time, so that a million of them need no more memory than a few.

mod csv;
mod import;
mod lines;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{Stream, StreamExt, stream};
use openfed_node::store::Store;
use openfed_proto::domain::Domain;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Api;
use super::operation::Operation;
use super::pages::wrong;
use super::problem::Problem;
use crate::access::Actor;
use crate::catalogue::Names;
use import::Import;

pub(super) use lines::Lines;

/// Rows of an export that are read from the store at once.
const PIECE: usize = 1_000;
/// Nobody who sends or takes rows may pause for longer.
const PAUSE: Duration = Duration::from_secs(30);
/// How long a body that is of no use any more is still read: only then its sender hears why.
const REST: Duration = Duration::from_secs(10);

pub(super) fn operations() -> Vec<Operation> {
    let text = || json!({ "type": "string" });
    let dry_run = json!({ "type": "boolean", "default": false });
    let taking = "Configure many SIP domains: a CSV body (RFC 4180, UTF-8, a row a line of at most \
                  4,096 bytes) of any length, with the columns of the export; only `domain` and \
                  `description` are read. Discovered domains become configured, configured ones stay \
                  as they are. Lines with faults are left out and told with 422, each as the field \
                  `line N`, at most a hundred of them; all others count. One import at a time, others \
                  are answered with 503";
    let giving = "The domain table as CSV, sorted by name: domain, description, origin, first_seen, \
                  last_seen, direction, route, hits, last_failure, finding";
    vec![
        Operation::new(Method::POST, "/sip-domains/import", import, ("importSipDomains", taking))
            .asks("dry_run", "Only check, and count what would be done", dry_run)
            .takes_as("text/csv", text())
            .answers(200, "ImportedSipDomains"),
        Operation::get("/sip-domains/export", export, ("exportSipDomains", giving))
            .asks("search", "Only domains that contain this text", text())
            .answers_with(200, "text/csv", text()),
    ]
}

/// Configures the domains of a CSV body. Lines with faults are left out and told, the first hundred
/// of them; all others count. With `dry_run`, nothing is changed.
async fn import(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let dry_run = match query.get("dry_run").map(String::as_str) {
        None | Some("false") => false,
        Some("true" | "") => true,
        Some(_) => {
            return Err(wrong("dry_run", "must be true or false"));
        }
    };
    // A web page of somebody else cannot send this without asking first.
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.and_then(|kind| kind.split(';').next()).map(str::trim) != Some("text/csv") {
        let title = "The body must be text/csv";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, title));
    }
    let busy = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Another import is under way");
    let _turn = api.0.importing.try_lock().map_err(|_| busy())?;
    let mut import = Import::new(&api, dry_run);
    let mut body = body.into_data_stream();
    let done = read(&mut import, &mut body).await;
    if done.is_err() {
        let _ = timeout(REST, async { while let Some(Ok(_)) = body.next().await {} }).await;
    }
    import.conclude(&actor, done).await.map(Json)
}

async fn read(
    import: &mut Import<'_>,
    body: &mut (impl Stream<Item = Result<Bytes, axum::Error>> + Unpin),
) -> Result<(), Problem> {
    loop {
        match timeout(PAUSE, body.next()).await {
            Ok(Some(Ok(chunk))) => import.take(&chunk).await?,
            Ok(Some(Err(error))) => {
                let title = "The body broke off";
                return Err(Problem::new(StatusCode::BAD_REQUEST, title).detail(error.to_string()));
            }
            Ok(None) => return import.finish().await,
            Err(_) => {
                let title = "The body did not go on for 30 s";
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, title));
            }
        }
    }
}

/// All rows, or those whose name contains `search`, in order. If the store stops answering on the
/// way, the answer breaks off: it has no proper end then.
async fn export(
    State(api): State<Api>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Problem> {
    let search = super::sip_domains::search(&query);
    let names = api.listing(|listing| listing.names.clone())?;
    let rest = Rest { names, search, cursor: None, store: api.0.store.clone() };
    // The first rows tell whether the store answers at all, while that can still be said.
    let (first, rest) = rest.piece(csv::header()).await?;
    let pieces = stream::unfold(rest, async |rest| {
        let piece = rest?.piece(String::new()).await;
        Some(match piece {
            Ok((text, rest)) => (Ok(Bytes::from(text)), rest),
            Err(_) => (Err(io::Error::other("the store does not answer any more")), None),
        })
    });
    let first = stream::iter([Ok(Bytes::from(first))]);
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"sip-domains.csv\""),
    ];
    Ok((headers, Body::from_stream(first.chain(pieces))).into_response())
}

/// What is still to be exported.
struct Rest {
    names: Arc<Names>,
    search: String,
    /// The last name so far.
    cursor: Option<String>,
    store: Arc<dyn Store>,
}

impl Rest {
    /// Adds the next rows to `text`; names whose rows are gone by now are left out.
    async fn piece(mut self, mut text: String) -> Result<(String, Option<Self>), Problem> {
        let found = self.names.after(self.cursor.as_deref(), &self.search).take(PIECE);
        let domains: Vec<Domain> = found.filter_map(|name| Domain::parse(name).ok()).collect();
        for row in self.store.rows(&domains).await? {
            csv::write(&row, &mut text);
        }
        let last = domains.last().filter(|_| domains.len() == PIECE).map(ToString::to_string);
        let rest = last.map(|last| {
            self.cursor = Some(last);
            self
        });
        Ok((text, rest))
    }
}
