//! The operator's choices and the router's bounds.

use std::time::Duration;

use openfed_proto::domain::Domain;

/// What a [`Router`](crate::Router) is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The node's name, unique in the installation.
    pub node: String,
    /// Domains whose users are ours.
    pub local: Vec<Domain>,
    /// Whether foreign XMPP domains are tried at all.
    pub federation: bool,
    /// Whether open federation is refused while no XMPP federation works.
    pub require_xmpp: bool,
    /// Whether inbound SIP from a domain that speaks XMPP, too, is accepted.
    pub accept_dual: bool,
    /// Whether a domain whose XMPP server is unreachable may be tried by SIP.
    pub fallback_on_timeout: bool,
    /// Whether a domain that XMPP does not list may be tried by SIP.
    pub fallback_on_not_listed: bool,
    /// Time that the XMPP attempt of a discovery may take.
    pub xmpp_budget: Duration,
    /// After what time XMPP is asked again about a domain without a proof; doubled each time, up to
    /// a day.
    pub ask_again: Duration,
    /// New rows per second that this node inserts.
    pub rows_per_second: u32,
    /// New rows per second from one source.
    pub rows_per_source: u32,
    /// Rows that the domain table may hold.
    pub table_cap: u64,
    /// Packets that one link may have in flight towards the router.
    pub capacity: u32,
    /// How long a connection manager may rely on a verdict.
    pub lease: Duration,
    /// Packets that may wait for the discovery of one domain.
    pub waiting_per_domain: usize,
    /// Packets that may be on their way at once, waiting ones included.
    pub in_flight: usize,
    /// Seed of all hashing.
    pub seed: u64,
}

impl Config {
    /// The defaults for a node of this name with these local domains.
    pub fn new(node: impl Into<String>, local: Vec<Domain>) -> Self {
        Config {
            node: node.into(),
            local,
            federation: true,
            require_xmpp: true,
            accept_dual: true,
            fallback_on_timeout: true,
            fallback_on_not_listed: true,
            xmpp_budget: Duration::from_secs(8),
            ask_again: Duration::from_secs(600),
            rows_per_second: 50,
            rows_per_source: 5,
            table_cap: 1_000_000,
            capacity: 4_096,
            lease: Duration::from_secs(300),
            waiting_per_domain: 200,
            in_flight: 50_000,
            seed: 0,
        }
    }

    pub(crate) fn is_local(&self, domain: &Domain) -> bool {
        self.local.contains(domain)
    }

    /// Whether `domain` is below one of ours.
    pub(crate) fn is_below_local(&self, domain: &Domain) -> bool {
        self.local.iter().any(|own| domain.is_within(own) && domain != own)
    }

    /// Whether a row may stand for `domain` (rules §2): a real name, and not
    /// one of ours, nor above or below one.
    pub(crate) fn may_have_row(&self, domain: &Domain) -> bool {
        let kin = |own: &Domain| domain.is_within(own) || own.is_within(domain);
        domain.is_federable() && !self.local.iter().any(kin)
    }
}
