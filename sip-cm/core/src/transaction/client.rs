//! The client transaction (RFC 3261 §17.1, RFC 6026 §7.2).
//!
//! ```text
//! INVITE      Trying(A,B) ──1xx──▶ Proceeding ──300–699──▶ Completed(D) ──▶ over
//!                 │                    └──2xx──▶ Accepted(M) ──▶ over
//! others      Trying(E,F) ──1xx──▶ Proceeding(E,F) ──final──▶ Completed(K) ──▶ over
//! ```

use std::time::{Duration, Instant};

use bytes::Bytes;
use openfed_proto::route::Transport;

use super::derived::ack_of;
use super::key::ClientKey;
use super::{Kind, T1, T2, T4, TIMEOUT};
use crate::command::Hop;
use crate::random::Seed;
use crate::wire::Message;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
    Accepted,
    Over,
}

/// What a timer asks for.
pub(super) enum Due {
    Nothing,
    Resend(Bytes),
    TimedOut,
    Over,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) key: ClientKey,
    pub(super) to: Hop,
    kind: Kind,
    state: State,
    bytes: Bytes,
    /// Of an INVITE: ACK and CANCEL are made from it.
    invite: Option<Message>,
    ack: Option<Bytes>,
    ack_due: bool,
    /// When to send again, and the interval after that; only over UDP.
    resend: Option<(Instant, Duration)>,
    /// When the state ends; an INVITE that rings has no such time.
    until: Option<Instant>,
    timer: Option<Instant>,
}

impl Client {
    pub(super) fn new(request: &Message, to: Hop, seed: Seed, now: Instant) -> Self {
        let method = request.method().unwrap_or_default();
        let kind = Kind::of(method);
        let branch = request.top_via().ok();
        let branch = branch.as_ref().and_then(|via| via.branch()).unwrap_or_default();
        let resend = (to.transport == Transport::Udp).then(|| (now + T1, T1));
        let until = now + TIMEOUT;
        Client {
            key: ClientKey::new(branch, method, seed),
            kind,
            state: State::Trying,
            bytes: request.to_bytes(),
            invite: (kind == Kind::Invite).then(|| request.clone()),
            ack: None,
            ack_due: false,
            resend,
            until: Some(until),
            timer: Some(resend.map_or(until, |(at, _)| at)),
            to,
        }
    }

    pub(super) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    pub(super) fn invite(&self) -> Option<&Message> {
        self.invite.as_ref()
    }

    pub(super) fn awaits_final(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }

    /// Takes a response; whether the user must see it.
    pub(super) fn receive(&mut self, response: &Message, now: Instant) -> bool {
        let code = response.code().unwrap_or_default();
        match (self.state, self.kind) {
            (State::Trying | State::Proceeding, kind) if code < 200 => {
                if kind == Kind::Invite {
                    self.resend = None;
                    self.until = None;
                } else if let Some((at, _)) = self.resend {
                    // Timer E runs on, at its longest interval (RFC 3261 §17.1.2.2).
                    self.resend = Some((at, T2));
                }
                self.state = State::Proceeding;
                true
            }
            (State::Trying | State::Proceeding, Kind::Invite) if code < 300 => {
                self.linger(State::Accepted, TIMEOUT, now);
                true
            }
            (State::Trying | State::Proceeding, Kind::Invite) => {
                self.ack = self.invite.as_ref().map(|invite| ack_of(invite, response).to_bytes());
                self.ack_due = true;
                self.linger(State::Completed, self.over_udp(TIMEOUT), now);
                true
            }
            (State::Trying | State::Proceeding, Kind::Other) => {
                self.linger(State::Completed, self.over_udp(T4), now);
                true
            }
            (State::Completed, Kind::Invite) => {
                self.ack_due = code >= 300;
                false
            }
            (State::Accepted, _) => (200..300).contains(&code),
            (State::Completed | State::Over, _) => false,
        }
    }

    /// Timers D and K: late copies only come over UDP.
    fn over_udp(&self, time: Duration) -> Duration {
        if self.to.transport == Transport::Udp { time } else { Duration::ZERO }
    }

    fn linger(&mut self, state: State, time: Duration, now: Instant) {
        self.state = if time.is_zero() { State::Over } else { state };
        self.resend = None;
        self.until = Some(now + time);
        self.timer = self.until;
        self.bytes = Bytes::new();
    }

    /// The ACK that the last response asks for.
    pub(super) fn ack_to_send(&mut self) -> Option<Bytes> {
        std::mem::take(&mut self.ack_due).then(|| self.ack.clone()).flatten()
    }

    pub(super) fn due(&mut self, now: Instant) -> Due {
        if self.until.is_some_and(|until| now >= until) {
            let unanswered = self.awaits_final();
            self.state = State::Over;
            return if unanswered { Due::TimedOut } else { Due::Over };
        }
        match self.resend {
            Some((at, interval)) if now >= at => {
                let longest = if self.kind == Kind::Invite { TIMEOUT } else { T2 };
                let interval = (interval * 2).min(longest);
                let next = now + interval;
                self.resend = Some((next, interval));
                self.timer = Some(self.until.map_or(next, |until| until.min(next)));
                Due::Resend(self.bytes.clone())
            }
            _ => Due::Nothing,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The timer that the last step asked for.
    pub(super) fn take_timer(&mut self) -> Option<Instant> {
        self.timer.take()
    }
}
