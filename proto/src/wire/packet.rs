//! Packets and outcomes on the wire.

use std::time::Duration;

use super::{WireError, required, v1};
use crate::address::Address;
use crate::condition::Condition;
use crate::finding::Finding;
use crate::packet::{
    Body, Cause, Conversation, Direction, Ending, Failure, Hop, Html, Message, Original, Outcome,
    Packet, PacketId, Protocol, Role, Source, Text, TraceContext,
};

impl From<Packet> for v1::Packet {
    fn from(packet: Packet) -> Self {
        v1::Packet {
            id: packet.id.0.to_vec(),
            conversation: packet.conversation.0,
            direction: direction_out(packet.direction).into(),
            from: Some(address_out(&packet.from)),
            to: Some(address_out(&packet.to)),
            body: Some(body_out(packet.body)),
            original: Some(v1::Original {
                protocol: protocol_out(packet.original.protocol).into(),
                bytes: packet.original.bytes,
            }),
            trace: Some(trace_out(packet.trace)),
            hops: packet.hops.into_iter().map(hop_out).collect(),
            remaining_ms: millis(packet.remaining),
            hops_left: packet.hops_left.into(),
            source: packet.source.0,
        }
    }
}

impl TryFrom<v1::Packet> for Packet {
    type Error = WireError;

    fn try_from(packet: v1::Packet) -> Result<Self, WireError> {
        let original = required(packet.original, "original")?;
        Ok(Packet {
            id: id_in(&packet.id)?,
            conversation: Conversation(packet.conversation),
            direction: direction_in(packet.direction)?,
            from: address_in(required(packet.from, "from")?)?,
            to: address_in(required(packet.to, "to")?)?,
            body: body_in(required(packet.body, "body")?)?,
            original: Original { protocol: protocol_in(original.protocol)?, bytes: original.bytes },
            trace: packet.trace.map(trace_in).transpose()?.unwrap_or_default(),
            hops: packet.hops.into_iter().map(hop_in).collect::<Result<_, _>>()?,
            remaining: Duration::from_millis(packet.remaining_ms.into()),
            hops_left: packet.hops_left.try_into().unwrap_or(u8::MAX),
            source: Source(packet.source),
        })
    }
}

impl From<Outcome> for v1::Outcome {
    fn from(outcome: Outcome) -> Self {
        let ending = match outcome.ending {
            Ending::Delivered { by, status } => v1::outcome::Ending::Delivered(v1::Delivered {
                by: protocol_out(by).into(),
                status: status.into(),
            }),
            Ending::Failed(failure) => v1::outcome::Ending::Failed(failure_out(failure)),
        };
        v1::Outcome {
            id: outcome.id.0.to_vec(),
            ending: Some(ending),
            hops: outcome.hops.into_iter().map(hop_out).collect(),
        }
    }
}

impl TryFrom<v1::Outcome> for Outcome {
    type Error = WireError;

    fn try_from(outcome: v1::Outcome) -> Result<Self, WireError> {
        let ending = match required(outcome.ending, "ending")? {
            v1::outcome::Ending::Delivered(delivered) => Ending::Delivered {
                by: protocol_in(delivered.by)?,
                status: delivered.status.try_into().map_err(|_| WireError::Malformed("status"))?,
            },
            v1::outcome::Ending::Failed(failed) => Ending::Failed(failure_in(failed)?),
        };
        Ok(Outcome {
            id: id_in(&outcome.id)?,
            ending,
            hops: outcome.hops.into_iter().map(hop_in).collect::<Result<_, _>>()?,
        })
    }
}

pub(super) fn failure_out(failure: Failure) -> v1::Failed {
    v1::Failed {
        condition: failure.condition.as_str().to_owned(),
        new_address: failure.condition.new_address().map(str::to_owned),
        text: failure.text,
        cause: cause_out(failure.cause).into(),
        retry_after_s: failure
            .retry_after
            .map(|after| after.as_secs().try_into().unwrap_or(u32::MAX)),
        finding: failure.finding.map_or(v1::Finding::Unspecified, finding_out).into(),
    }
}

pub(super) fn failure_in(failed: v1::Failed) -> Result<Failure, WireError> {
    let condition =
        Condition::parse(&failed.condition).ok_or(WireError::Unknown("failed.condition"))?;
    let condition = match condition {
        Condition::Gone(_) => Condition::Gone(failed.new_address),
        Condition::Redirect(_) => Condition::Redirect(failed.new_address),
        other => other,
    };
    Ok(Failure {
        condition,
        text: failed.text,
        cause: cause_in(failed.cause)?,
        retry_after: failed.retry_after_s.map(|after| Duration::from_secs(after.into())),
        // One that a newer version adds is none: it proves nothing here.
        finding: finding_in(failed.finding),
    })
}

pub(super) fn id_in(bytes: &[u8]) -> Result<PacketId, WireError> {
    bytes.try_into().map(PacketId).map_err(|_| WireError::Malformed("id"))
}

pub(super) fn millis(duration: Duration) -> u32 {
    duration.as_millis().try_into().unwrap_or(u32::MAX)
}

pub(super) fn trace_out(trace: TraceContext) -> v1::Trace {
    v1::Trace {
        trace_id: trace.trace_id.to_vec(),
        span_id: trace.span_id.to_vec(),
        flags: trace.flags.into(),
    }
}

pub(super) fn trace_in(trace: v1::Trace) -> Result<TraceContext, WireError> {
    Ok(TraceContext {
        trace_id: trace
            .trace_id
            .as_slice()
            .try_into()
            .map_err(|_| WireError::Malformed("trace"))?,
        span_id: trace.span_id.as_slice().try_into().map_err(|_| WireError::Malformed("trace"))?,
        flags: trace.flags as u8,
    })
}

fn address_out(address: &Address) -> v1::Address {
    v1::Address {
        local: address.local().map(str::to_owned),
        domain: address.domain().as_str().to_owned(),
        resource: address.resource().map(str::to_owned),
    }
}

fn address_in(address: v1::Address) -> Result<Address, WireError> {
    Address::from_jid_parts(address.local.as_deref(), &address.domain, address.resource.as_deref())
        .map_err(|_| WireError::Malformed("address"))
}

fn text_out(text: Text) -> v1::Text {
    v1::Text { lang: text.lang, text: text.text }
}

fn text_in(text: v1::Text) -> Text {
    Text { lang: text.lang, text: text.text }
}

fn body_out(body: Body) -> v1::Body {
    let kind = match body {
        Body::Message(message) => v1::body::Kind::Message(v1::Message {
            id: message.id,
            thread: message.thread,
            chat: message.chat,
            subjects: message.subjects.into_iter().map(text_out).collect(),
            bodies: message.bodies.into_iter().map(text_out).collect(),
            html: message.html.map(|html| v1::Html { xhtml: html.0 }),
        }),
        Body::Opaque { kind } => v1::body::Kind::Opaque(v1::Opaque { kind }),
    };
    v1::Body { kind: Some(kind) }
}

fn body_in(body: v1::Body) -> Result<Body, WireError> {
    Ok(match required(body.kind, "body.kind")? {
        v1::body::Kind::Message(message) => Body::Message(Message {
            id: message.id,
            thread: message.thread,
            chat: message.chat,
            subjects: message.subjects.into_iter().map(text_in).collect(),
            bodies: message.bodies.into_iter().map(text_in).collect(),
            html: message.html.map(|html| Html(html.xhtml)),
        }),
        v1::body::Kind::Opaque(opaque) => Body::Opaque { kind: opaque.kind },
    })
}

fn finding_out(finding: Finding) -> v1::Finding {
    match finding {
        Finding::Absent => v1::Finding::Absent,
        Finding::Refused => v1::Finding::Refused,
        Finding::Silent => v1::Finding::Silent,
        Finding::DnsFault => v1::Finding::DnsFault,
        Finding::HostUnknown => v1::Finding::HostUnknown,
        Finding::NotListed => v1::Finding::NotListed,
        Finding::NotAsked => v1::Finding::NotAsked,
        Finding::Untold => v1::Finding::Unspecified,
    }
}

fn finding_in(wire: i32) -> Option<Finding> {
    Finding::ALL.into_iter().find(|finding| match finding_out(*finding) {
        v1::Finding::Unspecified => false,
        known => i32::from(known) == wire,
    })
}

fn hop_out(hop: Hop) -> v1::Hop {
    v1::Hop {
        node: hop.node,
        role: role_out(hop.role).into(),
        verdict: hop.verdict,
        at_us: hop.at_us,
    }
}

fn hop_in(hop: v1::Hop) -> Result<Hop, WireError> {
    Ok(Hop { node: hop.node, role: role_in(hop.role)?, verdict: hop.verdict, at_us: hop.at_us })
}

/// Maps an enum of this crate to its generated twin and back; the generated
/// `Unspecified`, and what a newer version may add, is an error on the way in.
macro_rules! twins {
    ($own:ident, $wire:ident, $out:ident, $into:ident, $name:literal: $($variant:ident),+) => {
        pub(super) fn $out(own: $own) -> v1::$wire {
            match own { $($own::$variant => v1::$wire::$variant),+ }
        }

        pub(super) fn $into(wire: i32) -> Result<$own, WireError> {
            match v1::$wire::try_from(wire) {
                $(Ok(v1::$wire::$variant) => Ok($own::$variant),)+
                _ => Err(WireError::Unknown($name)),
            }
        }
    };
}
pub(super) use twins;

twins!(Protocol, Protocol, protocol_out, protocol_in, "protocol": Sip, Xmpp);
twins!(Direction, Direction, direction_out, direction_in, "direction": Outbound, Inbound, Internal);
twins!(Role, Role, role_out, role_in, "role": SipCm, XmppCm, Router);
twins!(Cause, Cause, cause_out, cause_in, "cause": Remote, NotFound, Unreachable, HostUnknown,
    NotListed, Denied, Untrusted, Busy, Leaving, Outage, Policy, Unmappable);
