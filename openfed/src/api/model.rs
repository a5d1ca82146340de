//! What the API's answers hold, as far as the tables for people need it. `--json` shows the
//! answers themselves.

use serde::Deserialize;

/// A list, possibly one page of it.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// How many rows there are in all.
    #[serde(default)]
    pub total: Option<u64>,
}

/// A static route.
#[derive(Debug, Deserialize)]
pub struct Route {
    /// Its Destination Pattern, which is its name.
    pub pattern: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub next_hop: String,
    /// 0: SRV records of the next hop.
    pub port: u16,
    /// `domain` or `user`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `tcp`, `udp` or `tls`.
    pub protocol: String,
    pub priority: u16,
    pub weight: u16,
    pub allow_less_specific: bool,
    pub in_service: bool,
    pub blocked: bool,
    /// Whether it is the open route, which cannot be removed.
    #[serde(default)]
    pub predefined: bool,
    /// For a next hop that challenges.
    #[serde(default)]
    pub credentials: Option<Credentials>,
}

/// The name that a next hop is told; the API never says the password.
#[derive(Debug, Deserialize)]
pub struct Credentials {
    pub username: String,
}

/// A row of the domain table.
#[derive(Debug, Deserialize)]
pub struct SipDomain {
    pub domain: String,
    #[serde(default)]
    pub description: String,
    /// `configured` or `discovered`.
    pub origin: String,
    pub first_seen: Option<String>,
    pub last_seen: Option<String>,
    /// `inbound`, `outbound`, or nothing for a configured one.
    pub direction: Option<String>,
    /// Pattern of the route that it was discovered by.
    pub route: Option<String>,
    #[serde(default)]
    pub hits: u64,
    /// The last failure's condition.
    pub last_failure: Option<String>,
    /// Why XMPP did not reach it.
    #[serde(default)]
    pub finding: Option<String>,
    /// Whether that proves that it has no XMPP service.
    #[serde(default)]
    pub proven: Option<bool>,
}

/// What became of the rows of an import.
#[derive(Debug, Default, Deserialize)]
pub struct Imported {
    pub rows: u64,
    /// New ones.
    pub added: u64,
    /// Discovered ones that are configured now.
    pub configured: u64,
    /// Configured ones.
    pub unchanged: u64,
}

/// A blocked domain, or one pinned to XMPP.
#[derive(Debug, Deserialize)]
pub struct NotedDomain {
    pub domain: String,
    pub note: Option<String>,
}

/// What would happen to a packet for a domain now.
#[derive(Debug, Deserialize)]
pub struct Explanation {
    pub domain: String,
    pub decision: String,
    pub steps: Vec<Step>,
}

/// What came of trying whether a domain can be reached.
#[derive(Debug, Deserialize)]
pub struct Trial {
    pub domain: String,
    pub ways: Vec<TriedWay>,
}

/// One protocol.
#[derive(Debug, Deserialize)]
pub struct TriedWay {
    pub protocol: String,
    pub node: Option<String>,
    pub route: Option<String>,
    pub problem: Option<String>,
    pub steps: Vec<Tried>,
}

/// One thing that was tried.
#[derive(Debug, Deserialize)]
pub struct Tried {
    pub what: String,
    pub finding: String,
    pub good: bool,
    pub took_us: u64,
}

/// One question on the way to a decision.
#[derive(Debug, Deserialize)]
pub struct Step {
    pub step: u32,
    pub question: String,
    pub answer: String,
    /// The rule that is applied.
    #[serde(default)]
    pub rule: String,
}

/// A recent packet with its way.
#[derive(Debug, Clone, Deserialize)]
pub struct Flow {
    pub packet_id: String,
    pub started: String,
    pub domain: String,
    pub direction: String,
    pub decision: String,
    /// `delivered` or a condition; nothing while under way.
    pub outcome: Option<String>,
    pub trace_id: Option<String>,
    pub hops: Vec<FlowHop>,
}

/// A packet's passage through one service.
#[derive(Debug, Clone, Deserialize)]
pub struct FlowHop {
    pub node: String,
    pub role: String,
    pub verdict: String,
    /// Microseconds since the Unix epoch.
    pub at_us: u64,
}

/// A process linked to the router, or the router itself.
#[derive(Debug, Deserialize)]
pub struct Node {
    pub node: String,
    pub role: String,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub up_since: String,
    #[serde(default)]
    pub in_flight: u64,
    #[serde(default)]
    pub draining: bool,
}
