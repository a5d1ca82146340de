//! How rows and routes are written, the same in both stores.

use openfed_proto::domain::Domain;
use openfed_proto::finding::{Finding, Ground};
use openfed_proto::packet::Direction;
use openfed_proto::route::{
    Credentials, DomainPattern, DomainRow, Origin, Pattern, StaticRoute, Transport,
};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::seal::Seal;

/// `.*` has this id; other routes count from 1.
pub(super) const OPEN_ROUTE_ID: u32 = 0;

/// Between the fields of a row. The scripts in `redis/` know this and the order of the fields.
const SEPARATOR: char = '\u{1f}';

/// A row without its domain: origin, direction, first seen, last seen, hits, last failure, route,
/// description, ground. Under 64 bytes without a description and a long failure, which keeps Redis's
/// hashes compact. Programs that know no ground leave it as it is, and rows of theirs have none.
pub(super) fn encode_row(row: &DomainRow) -> String {
    let direction = match row.direction {
        None => "",
        Some(Direction::Outbound) => "o",
        Some(Direction::Inbound) => "i",
        Some(Direction::Internal) => "l",
    };
    [
        encode_origin(row.origin),
        direction,
        &row.first_seen.to_string(),
        &row.last_seen.to_string(),
        &row.hits.to_string(),
        &clean(row.last_failure.as_deref().unwrap_or_default()),
        &clean(row.route.as_deref().unwrap_or_default()),
        &clean(&row.description),
        &row.ground.map(encode_ground).unwrap_or_default(),
    ]
    .join("\u{1f}")
}

/// The row of `domain`; none if the text was not written by us.
pub(super) fn decode_row(domain: &Domain, text: &str) -> Option<DomainRow> {
    let mut fields = text.split(SEPARATOR);
    let mut next = || fields.next();
    Some(DomainRow {
        domain: domain.clone(),
        origin: decode_origin(next()?)?,
        direction: match next()? {
            "" => None,
            "o" => Some(Direction::Outbound),
            "i" => Some(Direction::Inbound),
            "l" => Some(Direction::Internal),
            _ => return None,
        },
        first_seen: next()?.parse().ok()?,
        last_seen: next()?.parse().ok()?,
        hits: next()?.parse().ok()?,
        last_failure: filled(next()?),
        route: filled(next()?),
        description: next()?.to_owned(),
        ground: next().and_then(decode_ground),
    })
}

/// A letter for the finding; then, while XMPP is asked again, how often it was and when it is next:
/// `s3@1764550000`. The scripts in `redis/` know this.
pub(super) fn encode_ground(ground: Ground) -> String {
    let letter = letter_of(ground.finding);
    match ground.due {
        0 => letter.to_string(),
        due => format!("{letter}{}@{due}", ground.asked),
    }
}

/// `None` for what was not recorded, or by a newer program in another way.
fn decode_ground(text: &str) -> Option<Ground> {
    let letter = text.chars().next()?;
    let finding = Finding::ALL.into_iter().find(|finding| letter_of(*finding) == letter)?;
    let Some((asked, due)) = text.get(1..)?.split_once('@') else {
        return Some(Ground { finding, asked: 0, due: 0 });
    };
    Some(Ground { finding, asked: asked.parse().ok()?, due: due.parse().ok()? })
}

fn letter_of(finding: Finding) -> char {
    match finding {
        Finding::Absent => 'a',
        Finding::Refused => 'r',
        Finding::Silent => 's',
        Finding::DnsFault => 'd',
        Finding::HostUnknown => 'h',
        Finding::NotListed => 'l',
        Finding::NotAsked => 'n',
        Finding::Untold => 'u',
    }
}

pub(super) fn encode_origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Configured => "c",
        Origin::Discovered => "d",
    }
}

/// The origin that a row's text, or a change's detail, begins with.
pub(super) fn decode_origin(text: &str) -> Option<Origin> {
    match text.as_bytes().first() {
        Some(b'c') => Some(Origin::Configured),
        Some(b'd') => Some(Origin::Discovered),
        _ => None,
    }
}

/// A text as a field: at most 255 characters, none of them a control character.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(255).collect()
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The entries of the block list that would mean `domain`, as they are written there.
pub(super) fn blocking(domain: &Domain) -> Vec<String> {
    let mut patterns = vec![DomainPattern::Exact(domain.clone()).to_string()];
    let mut ancestor = Some(domain.clone());
    while let Some(current) = ancestor {
        ancestor = current.parent();
        patterns.push(DomainPattern::Subtree(current).to_string());
    }
    patterns
}

/// A static route as JSON. Keys that are missing (written by an older program) get defaults.
#[derive(Serialize, Deserialize)]
#[serde(default)]
struct RouteRecord {
    id: u32,
    pattern: String,
    user: bool,
    description: String,
    next_hop: String,
    port: u16,
    transport: String,
    priority: u16,
    weight: u16,
    allow_less_specific: bool,
    in_service: bool,
    blocked: bool,
    /// In clear where there is no key.
    username: Option<String>,
    password: Option<String>,
    /// Both, sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    version: u64,
}

impl Default for RouteRecord {
    fn default() -> Self {
        StaticRoute::predefined().into()
    }
}

impl From<StaticRoute> for RouteRecord {
    fn from(route: StaticRoute) -> Self {
        let (username, password) =
            route.credentials.map(|known| (known.username, known.password)).unzip();
        Self {
            id: route.id,
            pattern: route.pattern.to_string(),
            user: route.pattern.is_user(),
            description: route.description,
            next_hop: route.next_hop,
            port: route.port,
            transport: route.transport.as_str().to_owned(),
            priority: route.priority,
            weight: route.weight,
            allow_less_specific: route.allow_less_specific,
            in_service: route.in_service,
            blocked: route.blocked,
            username,
            password,
            sealed: None,
            version: route.version,
        }
    }
}

/// The JSON of a route; its credentials sealed, if there is a key.
pub(super) fn encode_route(route: &StaticRoute, seal: &Seal) -> Result<String, StoreError> {
    let credentials = route.credentials.as_ref();
    let sealed = credentials.and_then(|known| seal.seal(route.id, known));
    let mut record = RouteRecord::from(route.clone());
    if sealed.is_some() {
        record = RouteRecord { username: None, password: None, sealed, ..record };
    }
    // The error of serde would name values; a route may hold a password.
    serde_json::to_string(&record)
        .map_err(|_| StoreError::Damaged("a route that cannot be written".to_owned()))
}

/// Whether the JSON of a route holds credentials in clear.
pub(super) fn is_clear(text: &str) -> bool {
    serde_json::from_str(text).is_ok_and(|record: RouteRecord| record.password.is_some())
}

/// The route of a JSON text; without credentials if they cannot be opened.
pub(super) fn decode_route(text: &str, seal: &Seal) -> Result<StaticRoute, StoreError> {
    let damaged = || StoreError::Damaged("a static route that cannot be read".to_owned());
    let record: RouteRecord = serde_json::from_str(text).map_err(|_| damaged())?;
    let pattern =
        if record.user { Pattern::user(&record.pattern) } else { Pattern::domain(&record.pattern) };
    Ok(StaticRoute {
        id: record.id,
        pattern: pattern.map_err(|_| damaged())?,
        description: record.description,
        next_hop: record.next_hop,
        port: record.port,
        transport: Transport::parse(&record.transport).ok_or_else(damaged)?,
        priority: record.priority,
        weight: record.weight,
        allow_less_specific: record.allow_less_specific,
        in_service: record.in_service,
        blocked: record.blocked,
        credentials: match record.sealed {
            Some(sealed) => opened(record.id, &sealed, seal),
            None => record
                .username
                .zip(record.password)
                .map(|(username, password)| Credentials { username, password }),
        },
        version: record.version,
    })
}

fn opened(route: u32, sealed: &str, seal: &Seal) -> Option<Credentials> {
    let opened = seal.open(route, sealed);
    if opened.is_none() {
        tracing::warn!(route, "its password was sealed with another key than store.key_file");
    }
    opened
}

/// A configured row that nothing was counted for yet.
pub(super) fn configured(domain: &Domain, description: &str, now: u64) -> DomainRow {
    DomainRow {
        domain: domain.clone(),
        description: description.to_owned(),
        origin: Origin::Configured,
        first_seen: now,
        last_seen: 0,
        direction: None,
        route: None,
        hits: 0,
        last_failure: None,
        ground: None,
    }
}

/// A name that was written by us. One that was not must not stop everything else.
pub(super) fn parsed<T: std::str::FromStr>(name: &str) -> Option<T> {
    let parsed = name.parse().ok();
    if parsed.is_none() {
        tracing::warn!(name, "the store has an entry that is no domain; it is left out");
    }
    parsed
}
