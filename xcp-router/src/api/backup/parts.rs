//! The lines of a backup, both ways.

use std::collections::HashMap;

use openfed_node::settings::Settings;
use openfed_node::store::{Token, User};
use openfed_proto::domain::Domain;
use openfed_proto::finding::{Finding, Ground};
use openfed_proto::packet::Direction;
use openfed_proto::route::{DomainPattern, DomainRow, Origin, StaticRoute};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::api::problem::Problem;
use crate::api::static_routes;

/// What a line holds.
pub(super) enum Part {
    Route(StaticRoute),
    Blocked(DomainPattern, Option<String>),
    Pinned(Domain, Option<String>),
    User(User),
    Token(Token),
    Row(DomainRow),
    /// So many lines are before it, and itself.
    End(u64),
}

pub(super) fn route(route: &StaticRoute) -> Value {
    let mut line = static_routes::describe(route);
    line["kind"] = json!("static-route");
    if let Some(credentials) = &route.credentials {
        line["credentials"]["password"] = json!(credentials.password);
    }
    line
}

pub(super) fn noted(list: &str, name: &str, notes: &HashMap<String, String>) -> Value {
    let note = notes.get(&format!("{list} {name}"));
    let note = note.and_then(|json| serde_json::from_str::<Value>(json).ok());
    let note = note.map(|record| record["note"].clone());
    json!({ "kind": format!("{list}-domain"), "domain": name, "note": note })
}

/// A user or token as the store has it.
pub(super) fn record(kind: &str, record: &impl Serialize) -> Value {
    let mut line = json!(record);
    line["kind"] = json!(kind);
    line
}

pub(super) fn row(row: &DomainRow) -> Value {
    json!({
        "kind": "sip-domain",
        "domain": row.domain.as_str(),
        "description": row.description,
        "origin": row.origin.as_str(),
        "first_seen": row.first_seen,
        "last_seen": row.last_seen,
        "direction": row.direction.map(Direction::as_str),
        "route": row.route,
        "hits": row.hits,
        "last_failure": row.last_failure,
        "finding": row.ground.map(|ground| ground.finding.as_str()),
        "asked_again": row.ground.map(|ground| ground.asked),
        "asks_next": row.ground.map(|ground| ground.due),
    })
}

impl Part {
    /// Reads a line; what is wrong with it is told in words.
    pub(super) fn read(line: &str, settings: &Settings) -> Result<Self, String> {
        let object: Map<String, Value> =
            serde_json::from_str(line).map_err(|_| "is not a JSON object".to_owned())?;
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let name = || text("domain").unwrap_or_default();
        let note = || text("note").map(str::to_owned);
        match text("kind") {
            Some("static-route") => read_route(object, settings).map(Self::Route),
            Some("blocked-domain") => match name().parse::<DomainPattern>() {
                Ok(pattern) => Ok(Self::Blocked(pattern, note())),
                Err(error) => Err(format!("domain: {error}")),
            },
            Some("pinned-domain") => domain(name()).map(|name| Self::Pinned(name, note())),
            Some("user") => from(object).map(Self::User),
            Some("token") => from(object).map(Self::Token),
            Some("sip-domain") => read_row(&object, settings).map(Self::Row),
            Some("end") => {
                let lines = object.get("lines").and_then(Value::as_u64);
                lines.map(Self::End).ok_or_else(|| "has no number of lines".to_owned())
            }
            _ => Err("is of no kind that this program knows".to_owned()),
        }
    }
}

fn from<T: DeserializeOwned>(object: Map<String, Value>) -> Result<T, String> {
    // The error of serde would name values.
    serde_json::from_value(Value::Object(object)).map_err(|_| "lacks a field".to_owned())
}

fn domain(name: &str) -> Result<Domain, String> {
    Domain::parse(name).map_err(|error| format!("domain: {error}"))
}

/// By the rules that the API has for routes.
fn read_route(mut object: Map<String, Value>, settings: &Settings) -> Result<StaticRoute, String> {
    for name in ["kind", "version"] {
        object.remove(name);
    }
    static_routes::from_backup(object, settings).map_err(|problem: Problem| problem.in_words())
}

fn read_row(object: &Map<String, Value>, settings: &Settings) -> Result<DomainRow, String> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| object.get(name).and_then(Value::as_u64).unwrap_or_default();
    let domain = domain(&text("domain").unwrap_or_default())?;
    if let Some(fault) = crate::api::sip_domains::fault_of(settings, &domain) {
        return Err(format!("domain: {fault}"));
    }
    let origins = [Origin::Configured, Origin::Discovered];
    let origin = text("origin");
    let origin = origins.into_iter().find(|one| Some(one.as_str()) == origin.as_deref());
    let directions = [Direction::Outbound, Direction::Inbound, Direction::Internal];
    let direction = text("direction");
    Ok(DomainRow {
        domain,
        description: text("description").unwrap_or_default(),
        origin: origin.ok_or_else(|| "origin: must be configured or discovered".to_owned())?,
        first_seen: number("first_seen"),
        last_seen: number("last_seen"),
        direction: directions.into_iter().find(|one| Some(one.as_str()) == direction.as_deref()),
        route: text("route"),
        hits: number("hits"),
        last_failure: text("last_failure"),
        ground: text("finding").and_then(|name| Finding::parse(&name)).map(|finding| Ground {
            finding,
            asked: u32::try_from(number("asked_again")).unwrap_or(u32::MAX),
            due: if finding.is_proof() { 0 } else { number("asks_next").max(1) },
        }),
    })
}
