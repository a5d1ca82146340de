//! What the operator decides, and the limits of this node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openfed_proto::address::Preparation;
use openfed_proto::domain::Domain;

use crate::policy::Policy;
use crate::stream;

/// What a core is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's name, for hops.
    pub node: String,
    /// The local domains.
    pub local: BTreeSet<Domain>,
    /// Those among them whose home server's address is configured.
    pub homes: BTreeSet<Domain>,
    /// How those home servers prepare addresses of which the operator has said so.
    pub names: BTreeMap<Domain, Preparation>,
    /// Whether the other home servers are asked.
    pub ask_names: bool,
    /// Whether it is tried what the fences of home servers are worth.
    pub ask_proof: bool,
    /// Whether foreign XMPP domains are tried and accepted.
    pub federation: bool,
    /// Which foreign XMPP domains.
    pub policy: Policy,
    /// Give messages of SIP origin `type='chat'` instead of none (S-103).
    pub chat: bool,
    /// Foreign servers are shown a certificate of the operator's.
    pub identity: bool,
    /// How streams are negotiated; `encrypted` and `external` are overridden for each connection.
    pub stream: stream::Settings,
    /// How long things may take.
    pub timing: Timing,
    /// How much may be held.
    pub limits: Limits,
}

impl Settings {
    /// Everything at its default for these local domains, each with a home server.
    pub fn new(node: impl Into<String>, local: impl IntoIterator<Item = Domain>) -> Self {
        let local: BTreeSet<Domain> = local.into_iter().collect();
        Self {
            node: node.into(),
            homes: local.clone(),
            names: BTreeMap::new(),
            ask_names: false,
            ask_proof: false,
            local,
            federation: true,
            policy: Policy::default(),
            chat: false,
            identity: false,
            stream: stream::Settings::default(),
            timing: Timing::default(),
            limits: Limits::default(),
        }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the wish to reach a domain until stanzas flow: within the XMPP budget of a discovery.
    pub connect: Duration,
    /// The same towards a home server that works, for a name that it may not find.
    pub unfound: Duration,
    /// How long a domain that failed is not tried again.
    pub failed: Duration,
    /// The same of a home server that cannot be connected to: the next message after it is back
    /// is to arrive.
    pub home_failed: Duration,
    /// How long an answer of ours is kept while its way back fails.
    pub answer: Duration,
    /// Until a fence must be answered.
    pub fence: Duration,
    /// Until a server that counts what it gets must say that it has it (XEP-0198).
    pub count: Duration,
    /// A stream without stanzas is closed after this.
    pub idle: Duration,
    /// Instead of that, while the operator has taken the instance out.
    pub drained: Duration,
    /// How long a domain with which XMPP worked is reached by XMPP without asking a router.
    pub memory: Duration,
    /// How long the ending of an attempt is remembered, to answer repetitions.
    pub seen: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(7_500),
            unfound: Duration::from_secs(2),
            failed: Duration::from_secs(5),
            home_failed: Duration::from_millis(200),
            answer: Duration::from_secs(60),
            fence: Duration::from_secs(10),
            count: Duration::from_secs(30),
            idle: Duration::from_secs(300),
            drained: Duration::from_millis(200),
            memory: Duration::from_secs(600),
            seen: Duration::from_secs(60),
        }
    }
}

/// How much may be held; what does not fit is refused aloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections, accepted and made.
    pub connections: usize,
    /// Connections on which nobody is authenticated, among the accepted ones.
    pub strangers: usize,
    /// Stanzas waiting for one pair of domains.
    pub queue: usize,
    /// Bytes of them.
    pub queue_bytes: usize,
    /// Bytes of answers that may wait for one pair of domains, or be unread by one peer: then
    /// nothing more is read that would get another.
    pub answer_bytes: usize,
    /// Pairs of domains with a state.
    pub pairs: usize,
    /// Packets that came in here and have no ending yet.
    pub submitted: usize,
    /// Attempts that each router may have in work here, for the greeting of its link.
    pub capacity: u32,
    /// Attempts in work or remembered, of all routers.
    pub attempts: usize,
    /// Domains remembered, in each of the near caches.
    pub domains: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            strangers: 2_000,
            queue: 1_000,
            queue_bytes: 4 << 20,
            answer_bytes: 1 << 20,
            pairs: 50_000,
            submitted: 50_000,
            capacity: 8_192,
            attempts: 300_000,
            domains: 200_000,
        }
    }
}
