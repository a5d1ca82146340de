//! Messages of XMPP users on their way to SIP: one at a time per destination URI (S-110).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use openfed_proto::packet::{Body, Failure, Packet};
use openfed_proto::route::Use;

use super::Core;
use super::attempts::{AttemptKey, unmappable};
use super::forward::{Failed, Forward, ForwardId, Made, State, Upstream};
use super::submissions::busy;
use crate::command::{Fact, Parent, Stage, StageKind};
use crate::digest::Answered;
use crate::message::{self, Outbound};
use crate::random::Random;
use crate::status::Refusal;

/// Messages that may wait for one URI.
const MAX_LINE: usize = 64;
/// As for what peers send: an answer later than this is of no use.
const ALL_WAYS: Duration = Duration::from_secs(31);
/// The end of an attempt must reach the router before the packet's time is over.
const MARGIN: Duration = Duration::from_millis(500);

impl Core {
    /// Makes a MESSAGE of the packet and sends it by the domain's routes.
    pub(super) fn deliver(
        &mut self,
        key: AttemptKey,
        number: u32,
        packet: Packet,
        purpose: Use,
        now: Instant,
    ) -> Result<(), Failure> {
        let Body::Message(message) = &packet.body else {
            return Err(unmappable());
        };
        let from = match self.config.shows_gr_to(packet.foreign()) {
            true => Cow::Borrowed(&packet.from),
            false => Cow::Owned(packet.from.bare()),
        };
        let outbound = message::write(&packet, &from, message, &mut Random::of_packet(packet.id))?;
        message::check_size(&outbound.request)?;
        let user = packet.to.to_sip_user().ok().flatten();
        let user = user.as_deref().and_then(crate::uri::percent_decode);
        let next_hops = self
            .next_hops_for(packet.foreign(), user.as_deref(), purpose, false)
            .map_err(|refusal| refusal.failure())?;
        if !self.transactions.has_room() {
            return Err(busy());
        }
        let uri = packet.to.to_sip_uri().unwrap_or_default().into_boxed_str();
        let line = self.serial.get(&uri).map_or(0, VecDeque::len);
        if line >= MAX_LINE {
            return Err(busy());
        }
        let stage = self.begin_delivery(&packet, &outbound, number);
        let forward = Forward {
            upstream: Upstream { request: None, attempt: Some(key) },
            base: outbound.request.clone(),
            made: Made::Here { message: outbound, uri: uri.clone(), packet: packet.id },
            tries: 0,
            peer_cseq: None,
            domain: Some(packet.foreign().clone()),
            next_hops: next_hops.into(),
            current: None,
            addresses: VecDeque::new(),
            sent_to: None,
            state: State::Queued,
            failed: Failed::Refused(Refusal::Unreachable),
            challenges: 0,
            answered: Answered::default(),
            unanswered: None,
            cancelled: false,
            deadline: now + packet.remaining.saturating_sub(MARGIN).min(ALL_WAYS),
            stage: stage.id,
            kind: stage.kind,
        };
        self.fact(Fact::Began(stage));
        let id = self.keep_forward(forward);
        self.serial.entry(uri).or_default().push_back(id);
        if line == 0 {
            self.advance(id, now);
        }
        Ok(())
    }

    fn begin_delivery(&mut self, packet: &Packet, outbound: &Outbound, attempt: u32) -> Stage {
        let call_id = outbound.request.call_id().unwrap_or_default();
        let parent = Parent::Remote(packet.trace);
        let stage = self.begin(StageKind::Deliver, parent, "MESSAGE".into(), call_id);
        Stage {
            domain: Some(packet.foreign().clone()),
            packet: Some(packet.id),
            conversation: Some(packet.conversation),
            attempt,
            ..stage
        }
    }

    /// A message to `uri` is over: the next one may go.
    pub(super) fn next_in_line(&mut self, uri: &str, over: ForwardId, now: Instant) {
        let Some(line) = self.serial.get_mut(uri) else { return };
        let was_first = line.front() == Some(&over);
        line.retain(|id| *id != over);
        let next = line.front().copied();
        if line.is_empty() {
            self.serial.remove(uri);
        }
        if let Some(next) = next.filter(|_| was_first) {
            self.advance(next, now);
        }
    }
}
