//! Everything that happens because time passes.

use std::time::{Duration, Instant};

use super::{ConnId, Core, Life};
use crate::stream::Stream;

impl Core {
    /// Time has passed; see [`Core::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, conn)) = self.stream_timers.first().copied().filter(|it| it.0 <= now) {
            self.stream_timers.remove(&(at, conn));
            self.on_stream_timer(conn, now);
        }
        self.expire_pairs(now);
        self.retry_pairs(now);
        self.expire_claims(now);
        self.expire_fences(now);
        self.fences.ask_again(now);
        self.expire_packets(now);
        self.settle(now);
    }

    /// When [`Core::handle_timeout`] has to be called, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.stream_timers.first().map(|(at, _)| *at),
            self.pair_deadlines.next(),
            self.miss_deadlines.next(),
            self.retries.first().map(|(at, _)| *at),
            self.claim_deadlines.next(),
            self.fences.next_timer(),
            self.routers.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn on_stream_timer(&mut self, id: ConnId, now: Instant) {
        self.check_count(id, now);
        let idle = self.idle();
        // Taken out, it closes streams also in use, but not while answers may come on any of them.
        let drained = self.life == Life::Drained;
        let waits = drained && !self.fences.is_empty();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.armed = None;
        if waits {
            conn.used = now;
        }
        let over = (drained && !waits) || now >= conn.used + idle;
        let unused = conn.may_end(conn.is_negotiated() && over, now);
        let Some(stream) = conn.stream.as_mut() else { return };
        if unused {
            // What the peer still sends is still taken; it opens another when it needs one.
            stream.close(now);
            conn.used = now;
        }
        stream.handle_timeout(now);
        self.dirty.insert(id);
        if unused {
            self.retire(id);
        }
    }

    /// How long a stream stays open without use.
    fn idle(&self) -> Duration {
        match self.life {
            Life::Drained => self.settings.timing.drained,
            _ => self.settings.timing.idle,
        }
    }

    /// Sets the timer of a connection, if it is not set to an earlier time already.
    pub(super) fn arm(&mut self, id: ConnId) {
        let idle = self.idle();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let unused = conn.is_negotiated().then(|| match conn.unwanted {
            Some(unwanted) => unwanted.moment,
            None => conn.used + idle,
        });
        let uncounted = conn.uncounted.map(|since| since + self.settings.timing.count);
        let next = conn.stream.as_ref().and_then(Stream::poll_timeout);
        let Some(next) = next.into_iter().chain(unused).chain(uncounted).min() else { return };
        if conn.armed.is_some_and(|armed| armed <= next) {
            return;
        }
        if let Some(armed) = conn.armed.replace(next) {
            self.stream_timers.remove(&(armed, id));
        }
        self.stream_timers.insert((next, id));
    }
}
