//! The words spoken on a link, and its manners.
//!
//! Both ends greet with [`Hello`]. After that each side may have as many
//! packets in flight towards the other as the other's `capacity` says, and
//! gets room back by credit. Nothing is acknowledged twice: the outcome of a
//! packet is its acknowledgement.

use std::time::Duration;

use bytes::Bytes;

use crate::domain::Domain;
use crate::packet::{Direction, Failure, Outcome, Packet, PacketId, Role, TraceContext};
use crate::route::{DomainPattern, StaticRoute, Transport};

mod credit;
mod held;
pub use credit::{Exhausted, Grant, Window};
pub use held::Held;

/// The first frame in both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub role: Role,
    /// The node's name, unique in the installation.
    pub node: String,
    /// Changes with every start of the process.
    pub epoch: u64,
    /// Packets that the sender of this frame takes in flight.
    pub capacity: u32,
    pub version: String,
}

/// What a connection manager is to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// xmpp-cm: deliver it to the foreign domain over XMPP, if that speaks it.
    Reach,
    /// xmpp-cm: find out whether the foreign domain speaks XMPP; deliver nothing.
    Probe,
    /// xmpp-cm: deliver it to the local user's home server.
    Home,
    /// sip-cm: send it to a known domain by the best static route, else `.*`.
    Send,
    /// sip-cm: send it to a domain that is being discovered; `.*` must be open.
    Discover,
    /// sip-cm: an inbound request that came in here is accepted as SIP; let it
    /// go on to the local user.
    Accept,
}

/// A packet handed to a connection manager.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub packet: Packet,
    /// Counts the attempts of one packet from 1.
    pub number: u32,
    pub instruction: Instruction,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnded {
    pub outcome: Outcome,
    pub number: u32,
    /// Pattern of the static route that carried it.
    pub route: Option<String>,
}

/// A request that a connection manager has refused by itself, for people to see. There is no
/// packet: it has been answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// How it was answered, and by which rule: the last hop's verdict.
    pub outcome: Outcome,
    pub domain: Domain,
    pub direction: Direction,
    pub trace: TraceContext,
}

/// Traffic of a domain that passed a connection manager without the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainUse {
    pub domain: Domain,
    pub hits: u64,
    /// Seconds since the Unix epoch.
    pub last_seen: u64,
    /// Condition of the last failure, if the last word was one.
    pub last_failure: Option<String>,
}

/// Which history of the store a version belongs to: versions of two eras say nothing of each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Era {
    /// The store's identity, random; 0: a router of an older version did not tell.
    pub store: u64,
    /// Raised whenever the store has gone back, or another one took its place; 0 as above.
    pub number: u64,
}

/// What every connection manager must know to decide at the edge. Small; sent
/// whole on every change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    pub era: Era,
    /// Of the store, in this era.
    pub version: u64,
    pub routes: Vec<StaticRoute>,
    pub blocked: Vec<DomainPattern>,
    pub pinned: Vec<Domain>,
}

/// A stream of an xmpp-cm, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamView {
    /// The domain that we speak for by the stream's header, once it is known.
    pub local: Option<Domain>,
    /// The domain of the peer.
    pub remote: Option<Domain>,
    /// We opened it.
    pub dialed: bool,
    pub encrypted: bool,
    /// At least one pair of domains is authenticated on it (XEP-0220).
    pub authenticated: bool,
    /// Pairs of domains that use it or wait for it.
    pub pairs: u32,
    /// Stanzas that wait until it can carry them.
    pub queued: u32,
}

/// Where SIP for a domain goes, as its route says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    pub host: String,
    /// 0: look the SRV records up (RFC 3263).
    pub port: u16,
    pub transport: Transport,
}

/// The wish to see whether a domain can be reached, without a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The router's; the answer bears it.
    pub number: u64,
    pub domain: Domain,
    /// What a sip-cm is to try; an xmpp-cm finds the domain's servers itself.
    pub hop: Option<NextHop>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialStep {
    /// For people: `TLS with 192.0.2.1:5061`.
    pub what: String,
    /// What came of it, for people.
    pub finding: String,
    pub good: bool,
    pub took: Duration,
}

/// Steps that are told of one trial, at most.
pub const TRIAL_STEPS: usize = 64;

/// Streams that are told at once, at most.
pub const STREAMS_SHOWN: usize = 500;

/// From a connection manager to a router.
#[expect(
    clippy::large_enum_variant,
    reason = "packets are the common frame; a box would cost each"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum FromCm {
    Hello(Hello),
    /// A packet enters. `accepted_in` names the discovery whose
    /// [`Instruction::Accept`] lets it go on to the local user.
    Submit {
        packet: Packet,
        accepted_in: Option<PacketId>,
        /// Another router may have had it, by a link that is gone or from an instance that was
        /// restarted: a manager may have it, or have ended it.
        again: bool,
        /// Its server keeps it, and bounces it if its stream breaks before it hears that the packet
        /// is in safety (XEP-0198).
        kept: bool,
    },
    /// Answers [`FromRouter::Taken`] where packets are held: the servers that kept so many of those
    /// that were submitted on this link have been told, by words that this process cannot take with it.
    Acknowledged(u64),
    Ended(AttemptEnded),
    /// Room for this many more attempts.
    Credit(u32),
    Usage(Vec<DomainUse>),
    Refused(Box<Refused>),
    /// Send no more attempts; the stream ends when all is answered, at the
    /// latest after this time. Zero: it stays, and [`FromCm::Serving`] may follow.
    Leaving(Duration),
    /// Send attempts again, after [`FromCm::Leaving`].
    Serving,
    /// Whether this domain is known as SIP; [`FromRouter::Verdict`] answers.
    Ask(Domain),
    /// An answer, as XML, to a stanza that another xmpp-cm must have sent: a peer that answers on a
    /// stream of its own does not choose the instance. The router hands it to all others, in order.
    Astray(Bytes),
    /// Answers [`FromRouter::ListStreams`]: at most [`STREAMS_SHOWN`] of `total`.
    Streams {
        streams: Vec<StreamView>,
        total: u32,
    },
    /// Answers [`FromRouter::Recall`].
    Recalled {
        packet: PacketId,
        instruction: Instruction,
        known: bool,
    },
    /// Answers [`FromRouter::Try`]: at most [`TRIAL_STEPS`].
    Tried {
        number: u64,
        steps: Vec<TrialStep>,
    },
}

/// From a router to a connection manager.
#[expect(
    clippy::large_enum_variant,
    reason = "packets are the common frame; a box would cost each"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum FromRouter {
    Hello(Hello),
    Attempt(Attempt),
    /// The ending of a packet that this connection manager submitted.
    Outcome(Outcome),
    /// So many of the packets that were submitted on this link are in the router's care: it will
    /// see to their endings also if whoever submitted them is gone.
    Taken {
        packets: u64,
        /// They go on when [`FromCm::Acknowledged`] says so, or a little later; if the link is lost
        /// before that, those that a server keeps do not.
        held: bool,
    },
    /// Room for this many more submitted packets.
    Credit(u32),
    Tables(Tables),
    /// `domain` is (or is not) a known SIP domain, for the near cache, for as
    /// long as the lease runs and no invalidation comes.
    Verdict {
        domain: Domain,
        sip: bool,
        lease: Duration,
    },
    /// Forget what was said about these domains; about all, if `None`.
    Invalidate(Option<Vec<Domain>>),
    /// Submit nothing new here; zero: the stream stays, and [`FromRouter::Serving`] may follow.
    Leaving(Duration),
    /// Submit packets again, after [`FromRouter::Leaving`].
    Serving,
    /// The operator wants this node to take nothing new (`true`), or to take it again. The node
    /// tells all routers, by [`FromCm::Leaving`] or [`FromCm::Serving`].
    Drain(bool),
    /// An answer that came to another xmpp-cm; see [`FromCm::Astray`].
    Astray(Bytes),
    /// An operator wants to see the streams of this xmpp-cm.
    ListStreams,
    /// An operator wants to see whether a domain can be reached.
    Try(Trial),
    /// Whether this manager has an attempt of this packet, or has ended one: the router that gave
    /// it is gone.
    Recall {
        packet: PacketId,
        instruction: Instruction,
    },
    /// A stanza that this xmpp-cm submitted before it was restarted did not arrive: its sender is
    /// to be told.
    Undelivered {
        stanza: Bytes,
        failure: Failure,
    },
}
