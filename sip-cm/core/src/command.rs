//! The words between the core and its shell: what arrives, and what the shell must do.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;
use bytestring::ByteString;
use openfed_proto::condition::Condition;
use openfed_proto::domain::Domain;
use openfed_proto::link::FromCm;
use openfed_proto::packet::{Conversation, PacketId, TraceContext};
use openfed_proto::route::Transport;

use crate::rule::Rule;

/// A TCP or TLS connection, or a UDP socket, as the shell numbers them. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// The link to one router replica, as the shell numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouterId(pub u64);

/// Names a [`Send`] or a [`Command::Resolve`] in the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The address that sent it.
    pub source: SocketAddr,
    /// How it came.
    pub transport: Transport,
    /// The connection it came on; for UDP the socket that received it.
    pub flow: FlowId,
}

/// Where a message goes to: over `flow` if that is open, else to `address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub transport: Transport,
    pub address: SocketAddr,
    /// Set for responses: they leave where their request came in (RFC 3261 §18.2.2).
    pub flow: Option<FlowId>,
    /// The name that a TLS certificate must show (RFC 5922 §7); the address, if there is none.
    pub name: Option<ByteString>,
}

/// A message for the wire. If it cannot be sent, [`crate::core::Core::handle_send_failed`] is
/// told its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    pub token: Token,
    pub to: Hop,
    pub bytes: Bytes,
}

/// What the caller of the core must do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Put a message on the wire.
    Send(Send),
    /// Put a refusal without a transaction on the wire; in no order with other messages.
    TurnAway(Send),
    /// A request that went there over a connection had no answer since then: if nothing at all came
    /// back on that connection, close it, so that the next request opens another.
    Suspect { to: Hop, since: Instant },
    /// Look a next hop up (RFC 3263) and answer with [`crate::core::Core::handle_resolved`].
    Resolve {
        token: Token,
        /// A host name, or an IP address without brackets.
        host: String,
        /// `None`: SRV, then addresses with the default port.
        port: Option<u16>,
        /// `None`: as NAPTR or SRV say, else UDP.
        transport: Option<Transport>,
    },
    /// Put a frame on the link. With `stage`, the trace context of that stage's span goes into
    /// the submitted packet.
    ToRouter { router: RouterId, frame: Box<FromCm>, stage: Option<StageId> },
    /// Something to show: a span, a metric, a log line.
    Fact(Fact),
}

/// One stage of a request's way through this service: a span, if the packet is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StageId(pub u64);

/// The stages, named as their spans are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StageKind {
    /// `sip.receive`: from a request's arrival to its final response.
    Receive,
    /// `xcp.send`: from a packet's submission to its outcome.
    Submit,
    /// `sip.forward`: a request that goes on as the SIP it came as.
    Forward,
    /// `sip.deliver`: a MESSAGE made from a packet.
    Deliver,
}

impl StageKind {
    /// The span's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StageKind::Receive => "sip.receive",
            StageKind::Submit => "xcp.send",
            StageKind::Forward => "sip.forward",
            StageKind::Deliver => "sip.deliver",
        }
    }
}

/// What a stage's span hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// A new trace; always sampled if the packet may become a discovery.
    None { may_discover: bool },
    /// Another stage of this service.
    Stage(StageId),
    /// The span of another service.
    Remote(TraceContext),
}

/// What a stage is about. No user parts, no bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    pub id: StageId,
    pub kind: StageKind,
    pub parent: Parent,
    pub method: ByteString,
    pub call_id: ByteString,
    /// The foreign domain.
    pub domain: Option<Domain>,
    pub packet: Option<PacketId>,
    pub conversation: Option<Conversation>,
    /// Which attempt of the packet this is; 0 outside of attempts.
    pub attempt: u32,
}

/// How a stage ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageEnd {
    pub id: StageId,
    pub kind: StageKind,
    /// The SIP status that was sent or received.
    pub status: Option<u16>,
    /// What went wrong, if something did.
    pub condition: Option<Condition>,
    /// `xcp.decision`, where one was taken here: `cached`, `configured`, `blocked`, `refused`.
    pub decision: Option<&'static str>,
}

/// Something that happened and that people may want to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    Began(Stage),
    Ended(StageEnd),
    /// A next hop stopped answering; told once per change.
    HopDown {
        next_hop: String,
        transport: Transport,
    },
    /// A next hop answers again.
    HopUp {
        next_hop: String,
        transport: Transport,
    },
    /// A request was refused before it began, because there is more to do than can be done.
    TurnedAway,
    /// A request was left for its sender to repeat: no tables had come yet.
    Unready,
    /// A rule of the edge refused a request.
    Refused {
        /// Who sent it.
        source: IpAddr,
        rule: Rule,
        /// Whether it is to be said in the log: a flood is not.
        line: bool,
    },
    /// A message was not understood or not wanted, and nothing could be answered.
    Discarded {
        reason: &'static str,
    },
}
