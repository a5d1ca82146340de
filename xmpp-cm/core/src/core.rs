//! The XMPP connection manager as one machine: streams, peers, packets, decisions.
//!
//! The shell calls one `handle_*` for each fact of the world, then takes every
//! [`Core::next_command`], and calls [`Core::handle_timeout`] at [`Core::poll_timeout`].
//!
//! ```text
//!   home server ══stream══▶ ┌──────────────┐ ══Submit══▶ router ══Outcome══▶ error stanza or nothing
//!   foreign server ═stream═▶│ stanzas      │
//!                           │   way known? │ ══stream══▶ home server, foreign server
//!   router ═════Attempt════▶│ attempts     │ ══stanza, fence══▶ … ══Ended══▶ router
//!                           └──────────────┘
//! ```
//! Inputs change state and leave streams with something to say; `settle` then takes the events of
//! those streams until there are none, and sends the pings of fences.

mod acknowledging;
mod astray;
mod command;
mod conn;
mod connections;
mod counting;
mod dialback;
mod dialing;
mod home_keys;
mod listing;
mod moment;
mod naming;
mod onward;
mod overdue;
mod packets;
mod places;
mod proof;
mod recent;
mod settings;
mod silence;
mod spelling;
mod stanzas;
mod timers;
mod turning_away;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use openfed_proto::admission::Admission;
use openfed_proto::domain::Domain;
use openfed_proto::packet::{Hop, PacketId, Role};

pub use command::{
    Command, ConnId, ConnectFailure, Endpoint, Fact, Found, RouterId, Target, TlsSide,
};
pub use home_keys::Fingerprint;
pub use settings::{Limits, Settings, Timing};

use crate::attempts::Attempts;
use crate::dialback::Secret;
use crate::fence::Fences;
use crate::home::Domains;
use crate::knowledge::{Knowledge, Way};
use crate::names::Names;
use crate::peers::{Counted, Pair, Peers};
use crate::routers::Routers;
use crate::stream::Name;
use acknowledging::Acknowledging;
use conn::{Conn, Deadlines, DialKey};
use dialback::{Claim, Verification};
use home_keys::HomeKeys;
use proof::Proof;
use recent::Recent;

/// Where the core's time and chance come from.
pub struct Start {
    /// Now.
    pub instant: Instant,
    /// The same moment in microseconds since the Unix epoch.
    pub unix_us: u64,
    /// Unpredictable numbers: stream ids, packet ids and fences are made of them.
    pub random: Box<dyn FnMut() -> u64 + Send>,
    /// The secret of the dialback keys, the same on every instance (XEP-0185).
    pub secret: Secret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Serving,
    /// Takes no new streams and no attempts for now, by the operator's word.
    Drained,
    /// Finishes what it has.
    Leaving,
    /// Only says goodbye.
    Stopped,
}

/// See the head of this file.
pub struct Core {
    settings: Settings,
    start: Start,
    domains: Domains,
    conns: BTreeMap<ConnId, Conn>,
    /// Streams that are over, until it is known what of their last bytes did not arrive.
    parting: BTreeMap<ConnId, (u64, Recent)>,
    next_conn: u64,
    /// Accepted connections on which nobody is authenticated.
    strangers: usize,
    /// Connections of ours that may take more pairs.
    dialed: BTreeMap<DialKey, ConnId>,
    /// Home servers that want a connection for each domain that we speak for.
    alone: BTreeSet<Domain>,
    /// What the fences of home servers are worth.
    proofs: BTreeMap<Domain, Proof>,
    /// Servers that offer SASL EXTERNAL and did not take our certificate.
    unproven: BTreeSet<Name>,
    /// Servers that write their own names in A-labels.
    in_ascii: BTreeSet<Domain>,
    verifications: BTreeMap<Claim, Verification>,
    peers: Peers,
    fences: Fences,
    knowledge: Knowledge,
    names: Names,
    routers: Routers,
    attempts: Attempts,
    /// Streams that may have something to say.
    dirty: BTreeSet<ConnId>,
    stream_timers: BTreeSet<(Instant, ConnId)>,
    pair_deadlines: Deadlines<Pair>,
    /// The shorter ones.
    miss_deadlines: Deadlines<Pair>,
    /// When pairs that failed may be tried again.
    retries: BTreeSet<(Instant, Pair)>,
    /// Connections of which more has come than was taken.
    unread: BTreeSet<ConnId>,
    /// Connections that are not read, by the pair whose answers are too many.
    held: BTreeMap<Pair, BTreeSet<ConnId>>,
    claim_deadlines: Deadlines<Claim>,
    /// The stanza that is being looked at, until somebody has it.
    in_hand: Option<Counted>,
    acknowledging: Acknowledging,
    home_keys: HomeKeys,
    commands: VecDeque<Command>,
    life: Life,
    admission: Admission,
}

impl Core {
    /// A core that knows nobody yet.
    pub fn new(settings: Settings, start: Start) -> Self {
        let (timing, limits) = (settings.timing, settings.limits);
        Self {
            domains: Domains::new(&settings),
            names: Names::new(&settings),
            settings,
            start,
            conns: BTreeMap::new(),
            parting: BTreeMap::new(),
            next_conn: 0,
            strangers: 0,
            dialed: BTreeMap::new(),
            alone: BTreeSet::new(),
            proofs: BTreeMap::new(),
            unproven: BTreeSet::new(),
            in_ascii: BTreeSet::new(),
            verifications: BTreeMap::new(),
            peers: Peers::default(),
            fences: Fences::default(),
            knowledge: Knowledge::new(timing.memory, limits.domains),
            routers: Routers::default(),
            attempts: Attempts::new(timing.seen, limits.attempts),
            dirty: BTreeSet::new(),
            stream_timers: BTreeSet::new(),
            pair_deadlines: Deadlines::default(),
            miss_deadlines: Deadlines::default(),
            retries: BTreeSet::new(),
            unread: BTreeSet::new(),
            held: BTreeMap::new(),
            claim_deadlines: Deadlines::default(),
            in_hand: None,
            acknowledging: Acknowledging::default(),
            home_keys: HomeKeys::default(),
            commands: VecDeque::new(),
            life: Life::Serving,
            admission: Admission::default(),
        }
    }

    /// The next thing to do.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Whether every packet that came in or was handed over has its ending, and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.routers.submitted() == 0 && self.attempts.is_idle() && self.peers.is_idle()
    }

    /// Whether a domain is a known SIP domain, so that nothing is to be discovered about it.
    pub fn knows_sip(&self, domain: &Domain, now: Instant) -> bool {
        self.knowledge.way(domain, now) == Way::Sip
    }

    /// The process is to end: nothing new is taken, and [`Core::is_idle`] tells when all is
    /// answered. The shell tells the routers.
    pub fn handle_leaving(&mut self) {
        self.life = Life::Leaving;
    }

    /// Whether new work is welcome: neither taken out by the operator nor about to end.
    pub fn is_serving(&self) -> bool {
        self.life == Life::Serving
    }

    fn note(&mut self, fact: Fact) {
        self.commands.push_back(Command::Note(fact));
    }

    fn random_id(&mut self) -> PacketId {
        let (high, low) = ((self.start.random)(), (self.start.random)());
        PacketId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }

    /// Our own passage, to be added to a packet's hops.
    fn hop(&self, verdict: &str, now: Instant) -> Hop {
        let since = now.saturating_duration_since(self.start.instant);
        let since_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        Hop {
            node: self.settings.node.clone(),
            role: Role::XmppCm,
            verdict: verdict.to_owned(),
            at_us: self.start.unix_us.saturating_add(since_us),
        }
    }
}

#[cfg(test)]
mod tests;
