//! Static routes, their patterns and the rows of the domain table.
//!
//! Selection lives here, not in the router: `sip-cm` forwards known domains
//! without asking, and both must come to the same verdict.

use std::fmt;

use crate::domain::Domain;
use crate::finding::Ground;
use crate::packet::Direction;

mod pattern;
mod select;

pub use pattern::{DomainPattern, Pattern, PatternError};
pub use select::{Refusal, RouteTable, Use};

/// How a next hop is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Transport {
    #[default]
    Tcp,
    Udp,
    Tls,
}

impl Transport {
    /// The name in settings, API and URIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Tls => "tls",
        }
    }

    /// The transport of that name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        [Transport::Tcp, Transport::Udp, Transport::Tls]
            .into_iter()
            .find(|transport| transport.as_str().eq_ignore_ascii_case(name))
    }
}

/// Digest credentials for a next hop that challenges. The password is never
/// printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// One static route, as the operator's page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// Unique in the store; 0 is the pre-defined open route.
    pub id: u32,
    pub pattern: Pattern,
    /// At most 255 characters.
    pub description: String,
    /// IPv4 or IPv6 address, host name or FQDN; empty only in a blocked `.*`.
    pub next_hop: String,
    /// 0: look the SRV records of the next hop up (RFC 3263).
    pub port: u16,
    pub transport: Transport,
    /// Lower first.
    pub priority: u16,
    /// Share among equal priorities.
    pub weight: u16,
    /// When this pattern's routes fail, shorter patterns may be tried.
    pub allow_less_specific: bool,
    pub in_service: bool,
    pub blocked: bool,
    pub credentials: Option<Credentials>,
    /// Counts the changes of this route, against lost updates.
    pub version: u64,
}

impl StaticRoute {
    /// A route with the defaults of the operator's page.
    pub fn new(pattern: Pattern, next_hop: impl Into<String>) -> Self {
        StaticRoute {
            id: 0,
            pattern,
            description: String::new(),
            next_hop: next_hop.into(),
            port: 0,
            transport: Transport::Tcp,
            priority: 1,
            weight: 1,
            allow_less_specific: true,
            in_service: true,
            blocked: false,
            credentials: None,
            version: 0,
        }
    }

    /// The open route as it is after first start: blocked, without a next hop.
    pub fn predefined() -> Self {
        StaticRoute {
            blocked: true,
            description: "Open federation: every domain that nothing else matches".into(),
            ..StaticRoute::new(Pattern::Open, "")
        }
    }

    /// Whether this is the pre-defined open route.
    pub fn is_open_route(&self) -> bool {
        self.pattern == Pattern::Open
    }

    /// OPEN of the rules: unblocked, in service, and it knows where to.
    pub fn is_open(&self) -> bool {
        self.is_open_route() && !self.blocked && self.can_carry()
    }

    /// In service and with a next hop.
    pub fn can_carry(&self) -> bool {
        self.in_service && !self.next_hop.is_empty()
    }
}

/// Where a row of the domain table comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The operator entered it.
    Configured,
    /// It appeared by correspondence over the open route.
    Discovered,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Configured => "configured",
            Origin::Discovered => "discovered",
        }
    }
}

/// One SIP domain that openfed knows. One row per exact host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRow {
    pub domain: Domain,
    pub description: String,
    pub origin: Origin,
    /// Seconds since the Unix epoch.
    pub first_seen: u64,
    /// Seconds since the Unix epoch.
    pub last_seen: u64,
    /// Which way the first correspondence went; none for configured rows.
    pub direction: Option<Direction>,
    /// Pattern of the static route that it was discovered by.
    pub route: Option<String>,
    pub hits: u64,
    /// Condition of the last failure, if the last word was one.
    pub last_failure: Option<String>,
    /// Why a discovered row is there; `None`: configured from the beginning, or not recorded, as in
    /// rows of older versions.
    pub ground: Option<Ground>,
}

impl DomainRow {
    /// What XMPP is asked again about: discovered without a proof, and not confirmed since.
    pub fn unproven(&self) -> Option<Ground> {
        let discovered = self.origin == Origin::Discovered;
        self.ground.filter(|ground| discovered && !ground.finding.is_proof() && ground.due > 0)
    }
}
