//! One request of ours on its way: over the next hops, one after the other, until one answers.
//!
//! ```text
//! Queued ─▶ Resolving ─▶ Sent ──final──▶ over          (a 2xx to an INVITE: Answered ─▶ over)
//!              ▲           │
//!              └── 503, no answer, transport error: the next address or the next hop
//! ```

use std::collections::VecDeque;
use std::time::Instant;

use openfed_proto::domain::Domain;
use openfed_proto::packet::PacketId;

use super::attempts::AttemptKey;
use crate::command::{Arrival, Hop, StageId, StageKind};
use crate::digest::Answered;
use crate::headers::HeaderId;
use crate::message::Outbound;
use crate::proxy::NextHop;
use crate::proxy::loops::forward_branch;
use crate::random::{mixed, stable_hash};
use crate::status::Refusal;
use crate::transaction::{ClientId, ServerId};
use crate::wire::Message;

/// Names a [`Forward`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ForwardId(pub(super) u64);

/// Who waits for the answer. Nobody, if both are gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upstream {
    pub(super) request: Option<ServerId>,
    pub(super) attempt: Option<AttemptKey>,
}

/// Whose request it is.
#[derive(Debug)]
pub(super) enum Made {
    /// A peer's, passed on. `hash` shows us when it comes back, `origin` is that of its transaction.
    There { arrival: Arrival, hash: u64, origin: u64 },
    /// Ours, from a packet; in the queue of this URI (S-110).
    Here { message: Outbound, uri: Box<str>, packet: PacketId },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Another message to the same URI is under way.
    Queued,
    Resolving,
    /// `since` it waits for an answer until `give_up`; it `rings` once there was a provisional.
    Sent {
        client: ClientId,
        rings: bool,
        since: Instant,
        give_up: Instant,
    },
    /// A 2xx to an INVITE went back; more copies of it may come.
    Answered,
}

/// How the last way failed.
#[derive(Debug)]
pub(super) enum Failed {
    Refused(Refusal),
    /// 503, or 482 because it came back to us.
    Response(Box<Message>),
}

#[derive(Debug)]
pub(super) struct Forward {
    pub(super) upstream: Upstream,
    pub(super) made: Made,
    /// The request but for Record-Route and Via.
    pub(super) base: Message,
    /// The CSeq number that the peer knows, once ours is another (RFC 3261 §22.2).
    pub(super) peer_cseq: Option<String>,
    pub(super) domain: Option<Domain>,
    /// Ways not tried yet.
    pub(super) next_hops: VecDeque<NextHop>,
    pub(super) current: Option<NextHop>,
    pub(super) addresses: VecDeque<Address>,
    /// Where it went last.
    pub(super) sent_to: Option<Hop>,
    pub(super) state: State,
    pub(super) failed: Failed,
    /// How often it was sent.
    pub(super) tries: u32,
    /// Challenges answered at the current next hop.
    pub(super) challenges: u8,
    /// For which realms, and the request as it was before the first of them.
    pub(super) answered: Answered,
    pub(super) unanswered: Option<Box<Message>>,
    pub(super) cancelled: bool,
    pub(super) deadline: Instant,
    pub(super) stage: StageId,
    pub(super) kind: StageKind,
}

/// What its end is told about.
pub(super) struct Told {
    pub(super) stage: StageId,
    pub(super) kind: StageKind,
    /// The foreign domain, if no router sees this traffic.
    pub(super) direct: Option<Domain>,
}

/// A place to send to.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) hop: Hop,
    /// UDP even for a large request: TCP was tried (RFC 3261 §18.1.1).
    pub(super) tcp_failed: bool,
}

impl Forward {
    /// The branch of this try. Made of what is tried, as a stateless proxy does it (RFC 3261
    /// §16.11): a copy that comes when this instance has died and is back is a copy to the next
    /// hop, too. It is as hard to guess as the peer's own branch, or the packet's id.
    pub(super) fn branch(&self, hop: &Hop) -> String {
        let (tries, address) = (self.tries.to_be_bytes(), hop.address.to_string());
        let unique = |origin: &[u8]| {
            let parts = [origin, &tries, address.as_bytes(), hop.transport.as_str().as_bytes()];
            format!("{:016x}", mixed(stable_hash(parts)))
        };
        match &self.made {
            Made::There { hash, origin, .. } => {
                forward_branch(&unique(&origin.to_be_bytes()), *hash)
            }
            Made::Here { message, packet, .. } => message.branch(&unique(&packet.0)),
        }
    }

    /// Another next hop comes: what one was told to be let in is not for the others.
    pub(super) fn forget_answers(&mut self) {
        (self.challenges, self.answered) = (0, Answered::default());
        if let Some(mut before) = self.unanswered.take() {
            // Numbers of a dialog go up alone.
            if let Ok(cseq) = self.base.cseq() {
                before.set(HeaderId::CSeq, &cseq.to_string());
            }
            self.base = *before;
        }
    }

    pub(super) fn is_invite(&self) -> bool {
        self.base.method() == Some("INVITE")
    }

    pub(super) fn client(&self) -> Option<ClientId> {
        match self.state {
            State::Sent { client, .. } => Some(client),
            State::Queued | State::Resolving | State::Answered => None,
        }
    }

    pub(super) fn told(&self) -> Told {
        let direct = self.domain.clone().filter(|_| self.upstream.attempt.is_none());
        Told { stage: self.stage, kind: self.kind, direct }
    }

    /// Pattern of the static route that carries it now.
    pub(super) fn route(&self) -> Option<String> {
        self.current.as_ref().and_then(|hop| hop.route.clone())
    }

    /// Ways left to try, after the current address.
    pub(super) fn ways_left(&self) -> u32 {
        u32::try_from(self.next_hops.len() + self.addresses.len()).unwrap_or(u32::MAX)
    }
}
