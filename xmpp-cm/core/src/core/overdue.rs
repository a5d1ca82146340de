//! Pairs of domains that waited too long for a stream.

use std::time::{Duration, Instant};

use super::Core;
use super::conn::Conn;
use crate::error;
use crate::peers::{Pair, Waiting};

impl Core {
    /// Pairs that took too long.
    pub(super) fn expire_pairs(&mut self, now: Instant) {
        let timing = self.settings.timing;
        while let Some(pair) = self.pair_deadlines.pop_due(now) {
            self.expire_pair(pair, Duration::ZERO, now);
        }
        while let Some(pair) = self.miss_deadlines.pop_due(now) {
            self.expire_pair(pair, timing.connect.saturating_sub(timing.unfound), now);
        }
    }

    /// If not more than so much of its time is left.
    fn expire_pair(&mut self, pair: Pair, early: Duration, now: Instant) {
        let due = |it: &&mut Waiting| it.deadline <= now + early;
        let Some(waiting) = self.peers.waiting(&pair).filter(due) else { return };
        let asked = waiting.deadline - self.settings.timing.connect;
        waiting.shared = false;
        let conn = waiting.conn;
        if early.is_zero() {
            self.check(conn, asked, now);
        }
        let phase = self.conns.get(&conn).map(Conn::phase);
        let failure = phase.map_or_else(error::unconfirmed, error::of_phase);
        let failure = self.verdict(conn, failure);
        self.leave(conn, &pair);
        self.redial_or_fail(pair, failure, None, now);
        self.abandon(conn, now);
    }
}
