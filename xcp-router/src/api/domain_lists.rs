//! Blocked domains, and domains pinned to XMPP, with notes that say why.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use openfed_node::store::{Store, StoreError, Table};
use openfed_proto::domain::Domain;
use openfed_proto::route::DomainPattern;
use serde_json::{Value, json};

use super::Api;
use super::body::Object;
use super::fields::Fields;
use super::operation::Operation;
use super::pages::{MOST, page};
use super::precondition::{Precondition, etag, tag_of};
use super::problem::Problem;
use crate::access::Actor;
use crate::catalogue::Listing;

/// One of the two lists.
#[derive(Clone, Copy)]
enum List {
    Blocked,
    Pinned,
}

/// An entry of one of them.
#[derive(Debug, PartialEq)]
enum Entry {
    Blocked(DomainPattern),
    Pinned(Domain),
}

pub(super) fn operations() -> Vec<Operation> {
    let block = "Deny a domain in both directions; `*.example.com` denies it and every subdomain";
    let pin = "Pin a domain to XMPP: never SIP";
    let blocked = [
        ("listBlockedDomains", "All blocked domains, sorted"),
        ("addBlockedDomain", block),
        ("putBlockedDomain", "The same for a domain in the path; doing it twice changes nothing"),
        ("removeBlockedDomain", "Take it off the list"),
    ];
    let pinned = [
        ("listXmppDomains", "All domains pinned to XMPP, sorted"),
        ("addXmppDomain", pin),
        ("putXmppDomain", "The same for a domain in the path; doing it twice changes nothing"),
        ("removeXmppDomain", "Take it off the list"),
    ];
    [
        of(List::Blocked, ["/blocked-domains", "/blocked-domains/{domain}"], blocked),
        of(List::Pinned, ["/xmpp-domains", "/xmpp-domains/{domain}"], pinned),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of(
    list: List,
    [all, one]: [&'static str; 2],
    [listing, adding, putting, removing]: [(&'static str, &'static str); 4],
) -> Vec<Operation> {
    let show = move |api, query, precondition| show(list, api, query, precondition);
    let add = move |api, actor, body| add(list, api, actor, body);
    let put =
        move |api, actor, name, precondition, body| put(list, api, actor, name, precondition, body);
    let remove = move |api, actor, name, precondition| remove(list, api, actor, name, precondition);
    vec![
        Operation::get(all, show, listing)
            .paged(MOST, MOST)
            .answers(200, "NotedDomains")
            .answers_unchanged()
            .tagged(),
        Operation::new(Method::POST, all, add, adding)
            .takes("NotedDomain")
            .answers(201, "NotedDomain"),
        Operation::new(Method::PUT, one, put, putting)
            .takes("Note")
            .answers(200, "NotedDomain")
            .answers(201, "NotedDomain")
            .guarded()
            .creates_only(),
        Operation::new(Method::DELETE, one, remove, removing)
            .answers_nothing()
            .guarded()
            .refuses(&[404]),
    ]
}

async fn show(
    list: List,
    State(api): State<Api>,
    Query(query): Query<HashMap<String, String>>,
    precondition: Precondition,
) -> Result<Response, Problem> {
    let items = noted(&api, list).await?;
    let tag = tag_of_list(&items);
    if precondition.is_known(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, etag(&tag)).into_response());
    }
    let items = items.into_iter().map(|(name, note)| (name.clone(), item(&name, note.as_deref())));
    Ok((etag(&tag), Json(page(&query, items.collect())?)).into_response())
}

/// Doing it twice changes nothing but the note.
async fn add(
    list: List,
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Object(body): Object,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(body);
    let note = fields.note("note").filter(|note| !note.is_empty());
    let name = fields.needed("domain");
    let entry = name.and_then(|name| entry(&api, list, &mut fields, &name));
    let Some(entry) = fields.finish(entry)? else {
        return Err(Problem::not_found("no domain"));
    };
    let item = set(&api, &actor, &entry, note.as_deref()).await?;
    Ok((StatusCode::CREATED, Json(item)).into_response())
}

async fn put(
    list: List,
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    precondition: Precondition,
    Object(body): Object,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(body);
    let note = fields.note("note").filter(|note| !note.is_empty());
    let entry = entry(&api, list, &mut fields, &name);
    fields.ignore(&["domain"]);
    let Some(entry) = fields.finish(entry)? else {
        return Err(Problem::not_found("no domain"));
    };
    let items = noted(&api, list).await?;
    let old = items.iter().find(|(name, _)| *name == entry.to_string());
    precondition.check(old.map(|(name, note)| tag_of(&item(name, note.as_deref()))).as_deref())?;
    if let Some((name, _)) = old.filter(|(_, old)| *old == note) {
        return Ok(Json(item(name, note.as_deref())).into_response());
    }
    let status = if old.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let item = set(&api, &actor, &entry, note.as_deref()).await?;
    Ok((status, Json(item)).into_response())
}

/// 404 if it was not on the list by exactly this entry.
async fn remove(
    list: List,
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    precondition: Precondition,
) -> Result<StatusCode, Problem> {
    let missing = || Problem::not_found(format!("{name} is not on the list."));
    let entry = Entry::parse(list, &name).ok().ok_or_else(missing)?;
    if !api.listing(|listing| entry.is_in(listing))? {
        return Err(missing());
    }
    let items = noted(&api, list).await?;
    let old = items.iter().find(|(name, _)| *name == entry.to_string());
    let before = old.map(|(name, note)| item(name, note.as_deref()));
    precondition.check(before.as_ref().map(tag_of).as_deref())?;
    let Api(shared) = &api;
    entry.write(shared.store.as_ref(), false).await?;
    let action = match list {
        List::Blocked => "unblock domain",
        List::Pinned => "unpin domain",
    };
    shared.audit.add(&actor.name, action, entry.to_string(), before, None).await;
    keep_note(shared.store.as_ref(), list, &entry.to_string(), None).await?;
    shared.catalogue.settled(|listing| !entry.is_in(listing)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts it on its list, and waits until this node acts by it.
async fn set(
    Api(api): &Api,
    actor: &Actor,
    entry: &Entry,
    note: Option<&str>,
) -> Result<Value, Problem> {
    let (list, name) = (entry.list(), entry.to_string());
    keep_note(api.store.as_ref(), list, &name, note).await?;
    entry.write(api.store.as_ref(), true).await?;
    let (action, item) = match list {
        List::Blocked => ("block domain", item(&name, note)),
        List::Pinned => ("pin domain", item(&name, note)),
    };
    api.audit.add(&actor.name, action, name, None, Some(item.clone())).await;
    api.catalogue.settled(|listing| entry.is_in(listing)).await;
    Ok(item)
}

/// Makes both lists those of a backup.
pub(super) async fn replace(
    api: &Api,
    blocked: Vec<(DomainPattern, Option<String>)>,
    pinned: Vec<(Domain, Option<String>)>,
) -> Result<(), Problem> {
    let blocked = blocked.into_iter().map(|(pattern, note)| (Entry::Blocked(pattern), note));
    let pinned = pinned.into_iter().map(|(domain, note)| (Entry::Pinned(domain), note));
    let wanted: Vec<_> = blocked.chain(pinned).collect();
    let current = api.listing(|listing| {
        let blocked = listing.blocked.iter().cloned().map(Entry::Blocked);
        blocked.chain(listing.pinned.iter().cloned().map(Entry::Pinned)).collect::<Vec<_>>()
    })?;
    let store = api.0.store.as_ref();
    for (entry, note) in &wanted {
        keep_note(store, entry.list(), &entry.to_string(), note.as_deref()).await?;
        entry.write(store, true).await?;
    }
    for entry in current.iter().filter(|old| wanted.iter().all(|(new, _)| new != *old)) {
        entry.write(store, false).await?;
        keep_note(store, entry.list(), &entry.to_string(), None).await?;
    }
    Ok(())
}

/// The entry that a request names, if it may be one.
fn entry(Api(api): &Api, list: List, fields: &mut Fields, name: &str) -> Option<Entry> {
    let entry = match Entry::parse(list, name.trim()) {
        Ok(entry) => entry,
        Err(fault) => return fields.wrong("domain", fault),
    };
    let local = &api.settings.local;
    match &entry {
        Entry::Blocked(pattern) if local.iter().any(|own| pattern.matches(own)) => {
            fields.wrong("domain", "would block a domain of our own")
        }
        Entry::Pinned(domain) if local.contains(domain) => {
            fields.wrong("domain", "is a domain of our own")
        }
        _ => Some(entry),
    }
}

impl Entry {
    fn parse(list: List, name: &str) -> Result<Self, String> {
        match list {
            List::Blocked => {
                let pattern = name.parse::<DomainPattern>();
                pattern.map(Self::Blocked).map_err(|error| error.to_string())
            }
            List::Pinned => {
                Domain::parse(name).map(Self::Pinned).map_err(|error| error.to_string())
            }
        }
    }

    fn list(&self) -> List {
        match self {
            Self::Blocked(_) => List::Blocked,
            Self::Pinned(_) => List::Pinned,
        }
    }

    fn is_in(&self, listing: &Listing) -> bool {
        match self {
            Self::Blocked(pattern) => listing.blocked.contains(pattern),
            Self::Pinned(domain) => listing.pinned.contains(domain),
        }
    }

    async fn write(&self, store: &dyn Store, is_in: bool) -> Result<(), StoreError> {
        match self {
            Self::Blocked(pattern) => store.set_blocked(pattern, is_in).await,
            Self::Pinned(domain) => store.set_pinned(domain, is_in).await,
        }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blocked(pattern) => pattern.fmt(f),
            Self::Pinned(domain) => domain.fmt(f),
        }
    }
}

/// The names of a list with their notes, sorted. Without the store, the names alone.
async fn noted(api: &Api, list: List) -> Result<Vec<(String, Option<String>)>, Problem> {
    let mut names: Vec<String> = api.listing(|listing| match list {
        List::Blocked => listing.blocked.iter().map(ToString::to_string).collect(),
        List::Pinned => listing.pinned.iter().map(ToString::to_string).collect(),
    })?;
    names.sort_unstable();
    let notes = api.0.store.records(Table::Notes).await.unwrap_or_default();
    let notes: HashMap<String, String> = notes.into_iter().collect();
    let noted = |name: String| {
        let note = notes.get(&key_of_note(list, &name)).and_then(|json| text_of(json));
        (name, note)
    };
    Ok(names.into_iter().map(noted).collect())
}

fn item(name: &str, note: Option<&str>) -> Value {
    json!({ "domain": name, "note": note })
}

fn tag_of_list(items: &[(String, Option<String>)]) -> String {
    tag_of(&json!(items))
}

fn text_of(json: &str) -> Option<String> {
    let record = serde_json::from_str::<Value>(json).ok()?;
    record["note"].as_str().map(str::to_owned)
}

fn key_of_note(list: List, name: &str) -> String {
    match list {
        List::Blocked => format!("blocked {name}"),
        List::Pinned => format!("pinned {name}"),
    }
}

/// Keeps why a name is on a list, or forgets it.
async fn keep_note(
    store: &dyn Store,
    list: List,
    name: &str,
    note: Option<&str>,
) -> Result<(), StoreError> {
    let json = note.map(|note| json!({ "note": note, "version": 1 }).to_string());
    let key = key_of_note(list, name);
    store.write_record(Table::Notes, &key, None, json.as_deref()).await.map(drop)
}
