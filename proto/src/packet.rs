//! A packet on its way and the one ending it gets.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::address::Address;
use crate::condition::Condition;
use crate::domain::Domain;
use crate::finding::Finding;

/// Names a packet for its whole life: stable over retransmission and
/// re-sending, so that a receiver can drop duplicates.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PacketId(pub [u8; 16]);

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The key of ordering: packets of one conversation never overtake each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conversation(pub u64);

impl Conversation {
    /// The conversation from one bare address to another. It is a hash, so it
    /// may stand in logs and spans where an address may not.
    pub fn between(from: &Address, to: &Address) -> Self {
        let mut hash = Fnv::default();
        for part in [from.local(), Some(from.domain().as_str()), to.local()] {
            hash.write(part.unwrap_or_default().as_bytes());
        }
        hash.write(to.domain().as_str().as_bytes());
        Conversation(hash.0)
    }
}

/// Who sent a packet, for limits only: a hash of the address of the SIP peer that it came from, or
/// of the local user who wrote it. Zero if nobody in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(pub u64);

impl Source {
    /// A peer, by its address.
    pub fn peer(address: std::net::IpAddr) -> Self {
        let mut hash = Fnv::default();
        match address.to_canonical() {
            std::net::IpAddr::V4(v4) => hash.write(&v4.octets()),
            std::net::IpAddr::V6(v6) => hash.write(&v6.octets()),
        }
        Source(hash.0)
    }

    /// A local user, by the bare address.
    pub fn user(user: &Address) -> Self {
        Source(Conversation::between(user, user).0)
    }
}

/// FNV-1a, 64 bit: the same on every node and in every release.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain(&[0xff]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A protocol that a foreign domain may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Sip,
    Xmpp,
}

/// Which side of a packet is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From a local user to a foreign domain.
    Outbound,
    /// From a foreign domain to a local user.
    Inbound,
    /// Both sides are local.
    Internal,
}

impl Direction {
    /// The name used in the API and in rows of the domain table.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Outbound => "outbound",
            Direction::Inbound => "inbound",
            Direction::Internal => "internal",
        }
    }
}

/// What kind of service a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    SipCm,
    XmppCm,
    Router,
}

impl Role {
    /// The binary's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::SipCm => "sip-cm",
            Role::XmppCm => "xmpp-cm",
            Role::Router => "xcp-router",
        }
    }
}

/// A text with the language it is written in (RFC 5646 tag).
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    pub lang: Option<String>,
    pub text: String,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({:?}, {} bytes)", self.lang, self.text.len())
    }
}

/// A formatted text: well-formed XHTML without a root, of the elements p, br, a with href, strong, em,
/// cite, ul, ol, li and blockquote alone, each where XHTML lets it stand (S-107).
#[derive(Clone, PartialEq, Eq)]
pub struct Html(pub String);

impl fmt::Debug for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Html({} bytes)", self.0.len())
    }
}

/// An instant message in the words both protocols share (RFC 7572).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender's id of it: stanza id, or the transaction's branch (S-099, S-101).
    pub id: Option<String>,
    /// XMPP thread, SIP Call-ID (S-099, S-101).
    pub thread: Option<String>,
    /// XMPP `type='chat'`; SIP knows no such difference (S-103).
    pub chat: bool,
    pub subjects: Vec<Text>,
    /// Never empty. The first is the one to take where only one fits (S-109).
    pub bodies: Vec<Text>,
    /// The first body with its formatting, if it has any.
    pub html: Option<Html>,
}

/// The typed meaning of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Message(Message),
    /// No meaning across protocols: it may only go on in its own. `kind` names
    /// it for people: a SIP method, a stanza name with its type.
    Opaque {
        kind: String,
    },
}

/// The protocol and the bytes a packet came in as.
#[derive(Clone, PartialEq, Eq)]
pub struct Original {
    pub protocol: Protocol,
    pub bytes: Bytes,
}

impl fmt::Debug for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Original({:?}, {} bytes)", self.protocol, self.bytes.len())
    }
}

/// W3C trace context of the packet's trace: the span that the next one hangs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub flags: u8,
}

impl TraceContext {
    /// Whether spans are made for this packet at all.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

/// A packet's passage through one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub node: String,
    pub role: Role,
    /// What the service decided: a decision of the router, a condition, `delivered`.
    pub verdict: String,
    /// When, in microseconds since the Unix epoch.
    pub at_us: u64,
}

/// One message or request on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    pub id: PacketId,
    pub conversation: Conversation,
    pub direction: Direction,
    pub from: Address,
    pub to: Address,
    pub body: Body,
    pub original: Original,
    pub trace: TraceContext,
    pub hops: Vec<Hop>,
    /// Time left until its sender must have an answer.
    pub remaining: Duration,
    /// Services it may still pass; a packet without any is looping.
    pub hops_left: u8,
    pub source: Source,
}

/// Services that a packet may pass before it counts as looping: the documented
/// hop has five, the delivery of an accepted request three more.
pub const MAX_HOPS: u8 = 16;

impl Packet {
    /// The foreign domain of the packet: D in the rules of behaviour. For an
    /// internal packet, the domain it goes to.
    pub fn foreign(&self) -> &Domain {
        match self.direction {
            Direction::Inbound => self.from.domain(),
            Direction::Outbound | Direction::Internal => self.to.domain(),
        }
    }

    /// Whether the packet can be put into `protocol`: a typed meaning can,
    /// anything else only stays in the protocol it came in.
    pub fn can_go_by(&self, protocol: Protocol) -> bool {
        !matches!(self.body, Body::Opaque { .. }) || self.original.protocol == protocol
    }
}

/// Why a packet failed: whose word it is, and so whether another way may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The remote side said so. Final.
    Remote,
    /// The domain has no such service: NXDOMAIN, no SRV and no address, SRV target ".".
    NotFound,
    /// Found, but refused, unreachable or silent.
    Unreachable,
    /// The host that answered does not serve the domain (host-unknown, host-gone).
    HostUnknown,
    /// Not listed where only listed domains may go (XMPP default-deny).
    NotListed,
    /// The operator denied it by name.
    Denied,
    /// Certificate or authentication failure; going on elsewhere would be a downgrade.
    Untrusted,
    /// A queue here is full or a limit is reached.
    Busy,
    /// A service here is shutting down or gone.
    Leaving,
    /// Unreachable now, but it worked in the last ten minutes.
    Outage,
    /// Our rules refuse it: relay, blocked, loop.
    Policy,
    /// The packet has no meaning in the other protocol.
    Unmappable,
}

impl Cause {
    /// Whether the failure is our own finding, not the remote side's word.
    pub fn is_local(self) -> bool {
        self != Cause::Remote
    }
}

/// A failure, told so that its origin can answer precisely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub condition: Condition,
    pub text: Option<String>,
    pub cause: Cause,
    /// After what time a retry may help.
    pub retry_after: Option<Duration>,
    /// What was found about the domain, where the cause alone does not say it.
    pub finding: Option<Finding>,
}

impl Failure {
    /// A failure without text and without a time to retry.
    pub fn new(condition: Condition, cause: Cause) -> Self {
        Failure { condition, text: None, cause, retry_after: None, finding: None }
    }

    /// The same failure, explained to the sender.
    pub fn with_text(self, text: impl Into<String>) -> Self {
        Failure { text: Some(text.into()), ..self }
    }

    /// The same failure, with what was found about the domain.
    pub fn with_finding(self, finding: Finding) -> Self {
        Failure { finding: Some(finding), ..self }
    }

    /// The same failure, with the time after which a retry may help.
    pub fn retry_after(self, after: Duration) -> Self {
        Failure { retry_after: Some(after), ..self }
    }
}

/// How a packet ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The other side took it. `status` is the SIP status, or 200 for XMPP.
    Delivered {
        by: Protocol,
        status: u16,
    },
    Failed(Failure),
}

/// A packet's one ending, on its way back to where the packet came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub id: PacketId,
    pub ending: Ending,
    pub hops: Vec<Hop>,
}

impl Outcome {
    /// The packet failed.
    pub fn failed(id: PacketId, failure: Failure) -> Self {
        Outcome { id, ending: Ending::Failed(failure), hops: Vec::new() }
    }

    /// The packet was taken by the other side.
    pub fn delivered(id: PacketId, by: Protocol, status: u16) -> Self {
        Outcome { id, ending: Ending::Delivered { by, status }, hops: Vec::new() }
    }
}
