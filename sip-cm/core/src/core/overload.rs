//! More comes than can be done: who is turned away, and what peers that understand it are told
//! (RFC 7339: the loss algorithm).
//!
//! What waits too long for its turn here is turned away by how long it waited. What would wait too
//! long further on, at a router or an `xmpp-cm`, is turned away here as well, where it costs least:
//! of the packets under way there may be as many as a [`Window`] says, which is halved when packets
//! come back as too much, or links take no more, and opens again a little at a time when none do.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openfed_proto::admission::Thresholds;
use openfed_proto::domain::Domain;
use openfed_proto::packet::{Cause, Ending, Protocol};

use super::Core;
use crate::command::{Arrival, Command, Fact};
use crate::headers::Via;
use crate::random::stateless_tag;
use crate::status::Refusal;
use crate::transaction::{ServerKey, hop_by_via, response_hop};
use crate::wire::{Glance, Message};

/// How often the share that is too much is measured anew, and how long a peer keeps to it.
const PERIOD: Duration = Duration::from_millis(250);

/// Peers repeat what is not answered within half a second (T1, RFC 3261 §17.1.2.2): what has waited
/// for a fifth of that can still be done in time, and answers overtake what waits.
pub(super) const SOCKETS: Thresholds = Thresholds {
    long: Duration::from_millis(100),
    short: Duration::from_millis(25),
    persistence: Duration::from_millis(400),
};

/// By so many hundredths the share grows at most in a period: a queue that was too long for a moment
/// has all of it turned away.
const MORE_AT_ONCE: u32 = 10;
/// By so many it falls when there was time to spare, and when nothing was too much.
const LESS_WHEN_CALM: u32 = 8;
const LESS_WHEN_BUSY: u32 = 2;

/// How often the window is halved at most: as long as what was under way then may take to come back.
const CLOSES_EVERY: Duration = Duration::from_millis(250);
/// It opens by one for so many packets that came through.
const OPENS_AFTER: u32 = 16;
/// After so long without a packet that was too much, there may be as many as come.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// So many packets may always be under way.
const NARROWEST: usize = 64;

/// How many packets may be under way to routers and beyond.
#[derive(Debug)]
pub(super) struct Window {
    /// `None`: nothing has been too much lately.
    width: Option<usize>,
    closed: Option<Instant>,
    came_through: u32,
}

impl Window {
    pub(super) const OPEN: Self = Self { width: None, closed: None, came_through: 0 };

    /// A packet came back; with it, so many were under way.
    pub(super) fn note(&mut self, ending: &Ending, under_way: usize, now: Instant) {
        if matches!(ending, Ending::Failed(failure) if failure.cause == Cause::Busy) {
            self.narrow(under_way, now);
        } else if self.closed.is_some_and(|at| now.saturating_duration_since(at) >= FORGOTTEN) {
            *self = Self::OPEN;
        } else if let Some(width) = &mut self.width {
            self.came_through += 1;
            if self.came_through >= OPENS_AFTER {
                (*width, self.came_through) = (*width + 1, 0);
            }
        }
    }

    /// A packet was too much, while so many were under way.
    pub(super) fn narrow(&mut self, under_way: usize, now: Instant) {
        self.came_through = 0;
        let since = self.closed.map(|at| now.saturating_duration_since(at));
        if since.is_none_or(|since| since >= CLOSES_EVERY) {
            let width = self.width.map_or(under_way, |width| width.min(under_way));
            self.width = Some((width / 2).max(NARROWEST));
            self.closed = Some(now);
        }
    }

    /// Whether no more may be on their way.
    fn is_full(&self, under_way: usize) -> bool {
        self.width.is_some_and(|width| under_way >= width)
    }
}

/// What share of their requests peers should keep back.
///
/// Peers that keep back what they are told send the rest, so what is still too much comes on top.
/// Once nothing is, a little more is asked for each time; and much more when nothing has waited, for
/// then the rush is over.
#[derive(Debug, Default)]
pub(super) struct Control {
    period_ends: Option<Instant>,
    taken: u32,
    turned_away: u32,
    /// The longest that anything waited.
    waited: Duration,
    /// In hundredths.
    loss: u32,
}

impl Control {
    /// A request came. Gives the share in hundredths.
    fn note(&mut self, taken: bool, waited: Duration, now: Instant) -> u32 {
        if self.period_ends.is_none_or(|end| end <= now) {
            let (all, too_much) = (self.taken + self.turned_away, self.turned_away);
            let loss = match too_much {
                0 if self.waited < SOCKETS.short => self.loss.saturating_sub(LESS_WHEN_CALM),
                0 => self.loss.saturating_sub(LESS_WHEN_BUSY),
                _ => self.loss + ((100 - self.loss) * too_much / all).min(MORE_AT_ONCE),
            };
            self.loss = loss.min(99);
            (self.taken, self.turned_away, self.waited) = (0, 0, Duration::ZERO);
            self.period_ends = Some(now + PERIOD);
        }
        self.waited = self.waited.max(waited);
        let count = if taken { &mut self.taken } else { &mut self.turned_away };
        *count = count.saturating_add(1);
        self.loss
    }
}

impl Core {
    /// Whether new requests may be too much, so that it pays to look at them before they are read.
    pub fn is_overloaded(&self) -> bool {
        self.from_sockets.is_overloaded() || self.window.width.is_some()
    }

    /// A datagram has waited so long for its turn. Whether it was turned away at a glance; if not,
    /// it is to be read and handled as any other.
    pub fn turns_away(
        &mut self,
        datagram: &Bytes,
        arrival: &Arrival,
        waited: Duration,
        now: Instant,
    ) -> bool {
        self.from_sockets.note(waited, now);
        let too_late = !self.from_sockets.admits(Protocol::Sip);
        let full = self.window.is_full(self.submissions.len());
        if !too_late && !full && !self.transactions.remembers(now) {
            return false;
        }
        let Some(glance) = Glance::at(datagram) else { return false };
        let Some(key) = self.transactions.new_key_at_a_glance(&glance) else { return false };
        let beyond = || full && glance.method == "MESSAGE" && self.is_local(glance.host);
        if !too_late && !beyond() && !self.transactions.was_turned_away(key) {
            return false;
        }
        self.control.note(false, waited, now);
        let tag = tag_for(Some(&glance.via));
        let answer =
            self.too_much_for(arrival, now).answer().to_bytes(&glance, &tag, arrival.source);
        let hop = hop_by_via(Some(&glance.via), arrival);
        let send = self.transactions.turn_away(key, answer, hop, now);
        self.commands.push_back(Command::TurnAway(send));
        self.fact(Fact::TurnedAway);
        true
    }

    /// A request came. Gives it back if it is to be done.
    pub(super) fn admit(
        &mut self,
        mut message: Message,
        arrival: &Arrival,
        now: Instant,
    ) -> Option<Message> {
        let refused = self.too_much(&message, now);
        let loss = self.control.note(refused.is_none(), self.from_sockets.waited(), now);
        // Every response repeats the Via of its request, so it is written there.
        message.mark_control(loss, PERIOD, self.wall_us(now));
        let Some(key) = refused else { return Some(message) };
        self.turn_away(key, &self.too_much_for(arrival, now), &message, arrival, now);
        self.fact(Fact::TurnedAway);
        None
    }

    /// What is told to whoever sent more than can be done.
    fn too_much_for(&self, arrival: &Arrival, now: Instant) -> Refusal {
        if self.may_be_a_copy(arrival, now) { Refusal::Doubtful } else { Refusal::Overloaded }
    }

    /// Refuses a request without a transaction.
    pub(super) fn turn_away(
        &mut self,
        key: ServerKey,
        refusal: &Refusal,
        message: &Message,
        arrival: &Arrival,
        now: Instant,
    ) {
        let tag = tag_for(message.top_via().ok().as_ref());
        let answer = refusal.answer().to_message(message, &tag).to_bytes();
        let hop = response_hop(message, arrival);
        let send = self.transactions.turn_away(key, answer, hop, now);
        self.commands.push_back(Command::TurnAway(send));
    }

    /// The key of a new request that is not taken: more than can be done, or the copy of one that
    /// was.
    fn too_much(&mut self, message: &Message, now: Instant) -> Option<ServerKey> {
        let too_much = !self.from_sockets.admits(Protocol::Sip) || self.is_too_much_beyond(message);
        if !too_much && !self.transactions.remembers(now) {
            return None;
        }
        let key = self.transactions.new_key(message)?;
        (too_much || self.transactions.was_turned_away(key)).then_some(key)
    }

    /// Whether the request is a message for a local user, which a router will get, and they have
    /// enough.
    fn is_too_much_beyond(&self, message: &Message) -> bool {
        self.window.is_full(self.submissions.len())
            && message.method() == Some("MESSAGE")
            && message
                .uri()
                .and_then(Result::ok)
                .is_some_and(|uri| uri.host().is_some_and(|host| self.is_local(&host.to_string())))
    }

    fn is_local(&self, host: &str) -> bool {
        Domain::parse(host).is_ok_and(|domain| self.config.is_local(&domain))
    }
}

/// Our tag for a request that is refused without a transaction: its branch is the same in each copy,
/// whether that is read or only looked at (RFC 3261 §8.2.7).
fn tag_for(via: Option<&Via>) -> String {
    let unique = via.map(|via| match via.branch() {
        Some(branch) => Cow::Borrowed(branch),
        None => via.host().to_string().into(),
    });
    stateless_tag(unique.as_ref().map(|unique| unique.as_bytes()))
}
