//! The server transaction (RFC 3261 §17.2, RFC 6026 §7.1).
//!
//! ```text
//! INVITE      Proceeding ──300–699──▶ Completed ──ACK──▶ Confirmed ──I──▶ over
//!                 └──2xx──▶ Accepted ──L──▶ over  └──H──▶ over
//! others      Proceeding ──final──▶ Completed ──J──▶ over
//! ```

use std::time::{Duration, Instant};

use bytes::Bytes;
use openfed_proto::route::Transport;

use super::key::ServerKey;
use super::{Kind, T1, T2, T4, TIMEOUT};
use crate::command::Hop;
use crate::wire::Message;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No final response yet.
    Proceeding,
    /// A failure is sent again until the ACK comes (timers G, H), or repeated if asked (J).
    Completed {
        resend: Option<(Instant, Duration)>,
        until: Instant,
    },
    /// Late ACKs are absorbed (timer I).
    Confirmed {
        until: Instant,
    },
    /// The user repeats the 2xx; INVITEs are absorbed (timer L).
    Accepted {
        until: Instant,
    },
    Over,
}

/// What a timer asks for.
pub(super) enum Due {
    Nothing,
    Trying,
    Resend(Bytes),
    Over,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) key: ServerKey,
    pub(super) merge: Option<u64>,
    pub(super) reply_to: Hop,
    kind: Kind,
    state: State,
    last: Option<Bytes>,
    timer: Option<Instant>,
}

impl Server {
    pub(super) fn new(kind: Kind, key: ServerKey, merge: Option<u64>, reply_to: Hop) -> Self {
        let state = State::Proceeding;
        Server { key, merge, reply_to, kind, state, last: None, timer: None }
    }

    pub(super) fn is_reliable(&self) -> bool {
        self.reply_to.transport != Transport::Udp
    }

    /// The bytes to send, unless the state lets no such response out.
    pub(super) fn respond(&mut self, response: &Message, now: Instant) -> Option<Bytes> {
        let code = response.code()?;
        let bytes = response.to_bytes();
        match (self.state, self.kind) {
            (State::Proceeding, _) if code < 200 => self.last = Some(bytes.clone()),
            (State::Proceeding, Kind::Invite) if code < 300 => {
                self.state = State::Accepted { until: self.arm(now + TIMEOUT) };
                self.last = None;
            }
            (State::Proceeding, Kind::Invite) => {
                let until = now + TIMEOUT;
                let resend = (!self.is_reliable()).then(|| (now + T1, T1));
                self.arm(resend.map_or(until, |(at, _)| at));
                self.state = State::Completed { resend, until };
                self.last = Some(bytes.clone());
            }
            (State::Proceeding, Kind::Other) if self.is_reliable() => self.state = State::Over,
            (State::Proceeding, Kind::Other) => {
                let until = self.arm(now + TIMEOUT);
                self.state = State::Completed { resend: None, until };
                self.last = Some(bytes.clone());
            }
            (State::Accepted { .. }, _) if (200..300).contains(&code) => {}
            _ => return None,
        }
        Some(bytes)
    }

    /// The last response, for a request that came again.
    pub(super) fn repeat(&self) -> Option<Bytes> {
        match self.state {
            State::Proceeding | State::Completed { .. } => self.last.clone(),
            State::Accepted { .. } | State::Confirmed { .. } | State::Over => None,
        }
    }

    /// An ACK came. Whether it ends here, rather than being one for a 2xx.
    pub(super) fn acknowledge(&mut self, now: Instant) -> bool {
        match self.state {
            State::Completed { .. } if self.is_reliable() => self.state = State::Over,
            State::Completed { .. } => {
                self.state = State::Confirmed { until: self.arm(now + T4) };
                self.last = None;
            }
            State::Confirmed { .. } => {}
            State::Proceeding | State::Accepted { .. } | State::Over => return false,
        }
        true
    }

    pub(super) fn due(&mut self, now: Instant) -> Due {
        match self.state {
            State::Over => Due::Over,
            State::Proceeding if self.kind == Kind::Other && self.last.is_none() => Due::Trying,
            State::Proceeding => Due::Nothing,
            State::Confirmed { until } | State::Accepted { until } if now >= until => Due::Over,
            State::Completed { until, .. } if now >= until => Due::Over,
            State::Completed { resend: Some((at, interval)), until } if now >= at => {
                let interval = (interval * 2).min(T2);
                let next = now + interval;
                self.arm(next.min(until));
                self.state = State::Completed { resend: Some((next, interval)), until };
                self.last.clone().map_or(Due::Nothing, Due::Resend)
            }
            State::Completed { .. } | State::Confirmed { .. } | State::Accepted { .. } => {
                Due::Nothing
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// An answered non-INVITE over UDP.
    pub(super) fn only_waits_for_copies(&self) -> bool {
        self.kind == Kind::Other && matches!(self.state, State::Completed { .. })
    }

    /// The timer that the last step asked for.
    pub(super) fn take_timer(&mut self) -> Option<Instant> {
        self.timer.take()
    }

    fn arm(&mut self, at: Instant) -> Instant {
        self.timer = Some(at);
        at
    }
}
