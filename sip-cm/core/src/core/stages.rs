//! What the core says of its own steps: stages for spans and metrics, its entry in a packet's way.

use std::time::Instant;

use bytestring::ByteString;
use openfed_proto::packet::{Hop as PacketHop, Role};

use super::Core;
use crate::command::{Fact, Parent, Stage, StageEnd, StageId, StageKind};

impl Core {
    /// Opens a stage.
    pub(super) fn begin(
        &mut self,
        kind: StageKind,
        parent: Parent,
        method: ByteString,
        call_id: ByteString,
    ) -> Stage {
        self.next_stage += 1;
        Stage {
            id: StageId(self.next_stage),
            kind,
            parent,
            method,
            call_id,
            domain: None,
            packet: None,
            conversation: None,
            attempt: 0,
        }
    }

    pub(super) fn end(&mut self, end: StageEnd) {
        self.fact(Fact::Ended(end));
    }

    pub(super) fn wall_us(&self, now: Instant) -> u64 {
        let (instant, unix_us) = self.started;
        let since = now.saturating_duration_since(instant).as_micros();
        unix_us.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// This node's entry in a packet's way.
    pub(super) fn hop(&self, verdict: &str, now: Instant) -> PacketHop {
        PacketHop {
            node: self.config.node.clone(),
            role: Role::SipCm,
            verdict: verdict.to_owned(),
            at_us: self.wall_us(now),
        }
    }
}
