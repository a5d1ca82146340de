//! More comes than can be done: who is turned away, and what peers that understand it are told
//! (RFC 7339: the loss algorithm).

use std::time::{Duration, Instant};

use openfed_proto::packet::Protocol;

use super::Core;
use crate::command::{Arrival, Fact};
use crate::status::Refusal;
use crate::transaction::response_hop;
use crate::wire::Message;

/// How often the share that is too much is measured anew, and how long a peer keeps to it.
const PERIOD: Duration = Duration::from_millis(500);

/// What share of their requests peers should keep back.
///
/// Peers that keep back what they are told send the rest, so what is still too much comes on top;
/// and once nothing is, a little more is asked for each time.
#[derive(Debug, Default)]
pub(super) struct Control {
    period_ends: Option<Instant>,
    taken: u32,
    turned_away: u32,
    /// In hundredths.
    loss: u32,
}

impl Control {
    /// A request came. Gives the share in hundredths.
    fn note(&mut self, taken: bool, now: Instant) -> u32 {
        if self.period_ends.is_none_or(|end| end <= now) {
            let (all, too_much) = (self.taken + self.turned_away, self.turned_away);
            self.loss = match too_much {
                0 => self.loss * 9 / 10,
                _ => (self.loss + (100 - self.loss) * too_much / all).min(99),
            };
            (self.taken, self.turned_away) = (0, 0);
            self.period_ends = Some(now + PERIOD);
        }
        let count = if taken { &mut self.taken } else { &mut self.turned_away };
        *count = count.saturating_add(1);
        self.loss
    }
}

impl Core {
    /// A request came. Gives it back if it is to be done.
    pub(super) fn admit(
        &mut self,
        mut message: Message,
        arrival: &Arrival,
        now: Instant,
    ) -> Option<Message> {
        let taken = self.from_sockets.admits(Protocol::Sip) || !self.transactions.is_new(&message);
        let loss = self.control.note(taken, now);
        // Every response repeats the Via of its request, so it is written there.
        message.mark_control(loss, PERIOD, self.wall_us(now));
        if taken {
            return Some(message);
        }
        // Without a transaction: a copy is turned away again, or comes in a better moment.
        let tag = self.random.token();
        let response = Refusal::Overloaded.answer().to_message(&message, &tag);
        self.transactions.send_stateless(response.to_bytes(), response_hop(&message, arrival));
        self.fact(Fact::TurnedAway);
        None
    }
}
