//! Makes the state that of a backup.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::{Extension, Json};
use futures_util::StreamExt;
use openfed_node::store::{LAYOUT, Record, Store, Token, User, Written};
use openfed_proto::domain::Domain;
use openfed_proto::route::{DomainPattern, DomainRow, StaticRoute};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::parts::Part;
use super::{FORM, KIND};
use crate::access::Actor;
use crate::api::problem::{FieldError, Problem};
use crate::api::transfer::Lines;
use crate::api::{Api, domain_lists};

/// Nobody who sends a backup may pause for longer.
const PAUSE: Duration = Duration::from_secs(30);
/// The longest line: a route with its description and credentials.
const LONGEST: usize = 64 * 1024;
/// Rows that go into the store at once.
const BATCH: usize = 4_000;
/// Routes, listed domains, users and tokens that a backup may have, together: they are held until
/// its last line was read.
const MOST: usize = 100_000;

/// A backup that is being read.
struct Restore<'a> {
    api: &'a Api,
    lines: u64,
    /// Of the store that the backup was taken of; none before the first line.
    layout: Option<u64>,
    rows: Vec<DomainRow>,
    /// Digests of all names of rows, so that others can be removed.
    names: HashSet<u64>,
    hasher: RandomState,
    small: Small,
    ended: bool,
}

#[derive(Default)]
struct Small {
    routes: Vec<StaticRoute>,
    blocked: Vec<(DomainPattern, Option<String>)>,
    pinned: Vec<(Domain, Option<String>)>,
    users: Vec<User>,
    tokens: Vec<Token>,
}

pub(super) async fn restore(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.and_then(|kind| kind.split(';').next()).map(str::trim) != Some("application/x-ndjson") {
        let title = "The body must be application/x-ndjson";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, title));
    }
    let busy = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "An import is under way");
    let _turn = api.0.importing.try_lock().map_err(|_| busy())?;
    let mut restore = Restore::new(&api);
    restore.read(body).await?;
    let done = restore.finish().await?;
    api.0.audit.add(&actor.name, "restore backup", "all", None, Some(done.clone())).await;
    Ok(Json(done))
}

impl<'a> Restore<'a> {
    fn new(api: &'a Api) -> Self {
        Restore {
            api,
            lines: 0,
            layout: None,
            rows: Vec::new(),
            names: HashSet::new(),
            hasher: RandomState::new(),
            small: Small::default(),
            ended: false,
        }
    }

    async fn read(&mut self, body: Body) -> Result<(), Problem> {
        let (mut lines, mut body) = (Lines::new(LONGEST), body.into_data_stream());
        loop {
            let mut fault = None;
            let next = timeout(PAUSE, body.next()).await;
            let is_last = match next {
                Ok(Some(Ok(chunk))) => {
                    lines.take(&chunk, |line| {
                        if fault.is_none() {
                            fault = self.line(line).err();
                        }
                    });
                    false
                }
                Ok(Some(Err(error))) => {
                    let problem = Problem::new(StatusCode::BAD_REQUEST, "The body broke off");
                    return Err(problem.detail(error.to_string()));
                }
                Ok(None) => {
                    lines.finish(|line| fault = self.line(line).err());
                    true
                }
                Err(_) => {
                    let title = "The body did not go on for 30 s";
                    return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, title));
                }
            };
            if let Some(message) = fault {
                let field = format!("line {}", self.lines).into();
                return Err(Problem::lines(vec![FieldError { field, message }]));
            }
            if self.rows.len() >= BATCH || is_last {
                self.api.0.store.put_rows(&mem::take(&mut self.rows)).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn line(&mut self, line: Option<&[u8]>) -> Result<(), String> {
        self.lines += 1;
        let line = line.ok_or_else(|| format!("is longer than {LONGEST} bytes"))?;
        let line = std::str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?;
        if self.layout.is_none() {
            return self.first(line);
        }
        if self.ended {
            return Err("comes after the end".to_owned());
        }
        let small = &mut self.small;
        match Part::read(line, &self.api.0.settings)? {
            Part::Row(row) => {
                self.names.insert(self.hasher.hash_one(row.domain.as_str()));
                self.rows.push(row);
                return Ok(());
            }
            Part::Route(route) => small.routes.push(route),
            Part::Blocked(pattern, note) => small.blocked.push((pattern, note)),
            Part::Pinned(domain, note) => small.pinned.push((domain, note)),
            Part::User(user) => small.users.push(user),
            Part::Token(token) => small.tokens.push(token),
            Part::End(lines) if lines == self.lines => self.ended = true,
            Part::End(lines) => return Err(format!("says that there are {lines} lines")),
        }
        if self.small.len() > MOST {
            return Err(format!("is one of more than {MOST} that are not domains"));
        }
        Ok(())
    }

    /// What it is, and whether this program understands it.
    fn first(&mut self, line: &str) -> Result<(), String> {
        let head: Value = serde_json::from_str(line).unwrap_or_default();
        let number = |name: &str| head[name].as_u64();
        let (Some(form), Some(layout), Some(KIND)) =
            (number("form"), number("layout"), head["kind"].as_str())
        else {
            return Err("is not the first line of a backup of openfed".to_owned());
        };
        if form > FORM || layout > LAYOUT {
            return Err(format!(
                "the backup has form {form} and layout {layout}; this program knows forms up to \
                 {FORM} and layouts up to {LAYOUT}: update it"
            ));
        }
        self.layout = Some(layout);
        Ok(())
    }

    /// Everything was read: now what is small, and what goes.
    async fn finish(self) -> Result<Value, Problem> {
        if !self.ended {
            let title = "The backup is not whole: its last line is missing";
            let detail = "Domains that it has were written; nothing else was changed.";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title).detail(detail));
        }
        let removed = self.remove_others().await?;
        let Restore { api, layout, names, small, .. } = self;
        let counts = json!({
            "routes": small.routes.len(),
            "blocked_domains": small.blocked.len(),
            "xmpp_domains": small.pinned.len(),
            "sip_domains": names.len(),
            "sip_domains_removed": removed,
            "users": small.users.len(),
            "tokens": small.tokens.len(),
        });
        routes(api, small.routes).await?;
        domain_lists::replace(api, small.blocked, small.pinned).await?;
        if layout > Some(1) {
            let (users, tokens) = api.listing(|now| (now.users.clone(), now.tokens.clone()))?;
            records(api, users, small.users).await?;
            records(api, tokens, small.tokens).await?;
        }
        Ok(counts)
    }

    /// Removes rows that the backup does not have.
    async fn remove_others(&self) -> Result<u64, Problem> {
        let names = self.api.listing(|listing| listing.names.clone())?;
        let mut removed = 0;
        for name in names.after(None, "") {
            if self.names.contains(&self.hasher.hash_one(name)) {
                continue;
            }
            if let Ok(domain) = Domain::parse(name) {
                removed += u64::from(self.api.0.store.remove_row(&domain).await?.is_some());
            }
        }
        Ok(removed)
    }
}

impl Small {
    fn len(&self) -> usize {
        let lists = self.blocked.len() + self.pinned.len();
        self.routes.len() + lists + self.users.len() + self.tokens.len()
    }
}

/// New ones come before old ones go: there is no moment without.
async fn routes(api: &Api, wanted: Vec<StaticRoute>) -> Result<(), Problem> {
    let current = api.listing(|listing| listing.routes.clone())?;
    let bare = |route: &StaticRoute| StaticRoute { id: 0, version: 0, ..route.clone() };
    let same = |a: &StaticRoute, b: &StaticRoute| bare(a) == bare(b);
    let store = &api.0.store;
    for route in &wanted {
        if current.iter().any(|one| same(one, route)) {
            continue;
        }
        match current.iter().find(|one| one.is_open_route() && route.is_open_route()) {
            Some(open) => {
                let route = StaticRoute { id: open.id, version: open.version, ..route.clone() };
                store.update_route(&route).await?;
            }
            None => drop(store.create_route(route).await?),
        }
    }
    for route in current.iter().filter(|route| !route.is_open_route()) {
        if !wanted.iter().any(|one| same(one, route)) {
            store.delete_route(route.id, route.version).await?;
        }
    }
    Ok(())
}

/// Makes the records of a table those of the backup.
async fn records<T: Record>(
    Api(api): &Api,
    current: Vec<T>,
    wanted: Vec<T>,
) -> Result<(), Problem> {
    let store: &dyn Store = api.store.as_ref();
    for record in &wanted {
        // Somebody who changes it at this very moment is first; then comes the backup.
        for _ in 0..3 {
            let version = store.find::<T>(record.key()).await?.map_or(0, |old| old.version());
            let new = record.at_version(version + 1);
            if store.put(&new).await? == Written::Done {
                break;
            }
        }
    }
    for record in current {
        if !wanted.iter().any(|one| one.key() == record.key()) {
            store.remove::<T>(record.key()).await?;
        }
    }
    Ok(())
}
