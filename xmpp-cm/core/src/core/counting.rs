//! Servers that say what they have got (XEP-0198), and SASL EXTERNAL, after which they do.

use std::time::Instant;

use openfed_proto::domain::Domain;

use super::conn::Conn;
use super::{ConnId, Core, Target};
use crate::stream::Features;

/// Servers that did not take our certificate, as many as are remembered.
const UNPROVEN: usize = 10_000;

impl Core {
    /// Of which foreign domain a certificate is to be shown on a connection of ours.
    pub(super) fn minted_for(&mut self, conn: ConnId) -> Option<Domain> {
        let dialed = self.conns.get_mut(&conn).and_then(Conn::dialed)?;
        let home = matches!(dialed.target, Target::Home(_));
        home.then(|| dialed.first.local.domain().clone())
    }

    /// A server that offers SASL EXTERNAL and does not let us in by it may close the stream: what
    /// waits gets another one, and dialback is begun with there.
    pub(super) fn note_unproven(&mut self, conn: ConnId, features: &Features) {
        let Some(dialed) = self.conns.get_mut(&conn).and_then(Conn::dialed) else { return };
        let shows = self.settings.identity || matches!(dialed.target, Target::Home(_));
        let first = dialed.first.clone();
        if !features.external || !features.encrypted || !shows || self.unproven.len() >= UNPROVEN {
            return;
        }
        if self.unproven.insert(first.remote.clone())
            && let Some(waiting) = self.peers.waiting(&first)
        {
            waiting.shared = true;
        }
    }

    /// The peer has so many of the stanzas that it counts.
    pub(super) fn on_arrived(&mut self, conn: ConnId, number: u64, now: Instant) {
        let Some(it) = self.conns.get_mut(&conn) else { return };
        it.recent.arrived(number);
        let all = it.stream.as_ref().and_then(|stream| stream.sent()) == Some(number);
        it.uncounted = (!all).then_some(now);
        self.note_read(conn, now);
    }

    /// The peer counts nothing after all.
    pub(super) fn on_uncounted(&mut self, conn: ConnId) {
        if let Some(it) = self.conns.get_mut(&conn) {
            it.recent.uncounted();
            it.uncounted = None;
        }
    }
}
