//! Messages that are refused before they are read.
//!
//! While no router has room, a message that one would be asked about can only be refused. To look at
//! it costs a tenth of reading it, and that time is left to those messages that are served.

use std::time::Instant;

use super::{ConnId, Core, Life};
use crate::error;
use crate::knowledge::Way;
use crate::peers::Pair;
use crate::stanza::{Kind, write_error};

impl Core {
    /// Takes bytes from a peer as long as routers have no room. Gives back what is left when they
    /// have; whoever calls goes on with it.
    pub(super) fn take_sparingly<'a>(
        &mut self,
        conn: ConnId,
        bytes: &'a [u8],
        now: Instant,
    ) -> &'a [u8] {
        let mut rest = bytes;
        while !rest.is_empty() && self.routers.are_full() {
            if let Some(length) = self.turn_away(conn, rest, now) {
                rest = rest.get(length..).unwrap_or_default();
            } else if !self.stream(conn).is_some_and(|stream| stream.handle_next(&mut rest, now)) {
                return &[];
            }
        }
        rest
    }

    /// Refuses the message at the front of `bytes`, if it can be told that a router would be asked
    /// about it. Its length.
    fn turn_away(&mut self, conn: ConnId, bytes: &[u8], now: Instant) -> Option<usize> {
        let it = self.conns.get_mut(&conn)?;
        let (glimpse, local, remote) = it.stream.as_ref()?.glimpse(bytes)?;
        // Only names as they stand as keys are found here.
        let pair = Pair::new(local, remote);
        let pair = Pair { local: pair.local.spelled(true), remote: pair.remote.spelled(true) };
        let plain = matches!(glimpse.attributes.subtype, None | Some("chat" | "normal"));
        let asks = || match self.knowledge.way(&pair.remote, now) {
            Way::Sip | Way::Unknown => true,
            Way::Blocked | Way::Xmpp => false,
        };
        let serving = matches!(self.life, Life::Serving | Life::Drained);
        if !plain || !serving || !self.domains.is_local(&pair.local) || !asks() {
            return None;
        }
        it.used = now;
        let failure = error::busy();
        let text = write_error(Kind::Message, &glimpse.attributes, &failure, glimpse.said);
        self.tell_error(&pair, text, &failure, now);
        self.reserve(conn, &pair, true, now);
        if let Some(stream) = self.stream(conn) {
            stream.turned_away();
        }
        Some(glimpse.length)
    }
}
