//! How we learn that a message was taken, in a protocol that never says so.
//!
//! ```text
//!   write message ──▶ Unfenced ──ping (one at a time per line)──▶ Fenced ──answer──▶ Delivered
//!                        └── error stanza for it, on any stream ────┴──▶ Failed(Remote)
//!                        └────── stream lost, no answer in time ────┴──▶ Failed(unconfirmed)
//! ```
//!
//! After the messages, one ping (XEP-0199) goes to the server that took them, on the same stream.
//! Streams are in order, so the ping's answer, result or error, proves that everything before it
//! was processed; an error stanza that came before the answer is the message's own ending. All
//! messages written while a ping is in flight share the next one. Its answer may be lost, with the
//! stream that it was to come on: so the next one waits for a moment only ([`PATIENCE`]), and proves
//! what was written since the one before, no more.
//!
//! A line is one pair of domains on one stream, not the stream: without XEP-0288 the answers of
//! each pair come back on a stream of their own, and only within one of these there is an order.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use openfed_proto::address::Address;
use openfed_proto::condition::Condition;
use openfed_proto::packet::Failure;

use crate::attempts::Key;
use crate::core::ConnId;
use crate::peers::Pair;

/// How long the next ping waits for the answer to the one before.
const PATIENCE: Duration = Duration::from_millis(250);

/// A message that was written and whose ending is not known yet.
#[derive(Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) key: Key,
    /// The stanza's id, as an error for it repeats it.
    pub(crate) id: String,
    pub(crate) from: Address,
    pub(crate) to: Address,
    /// The server said that there is nobody; whether it says so of the whole domain, the answer to
    /// the ping tells.
    pub(crate) refused: Option<Failure>,
}

/// Where a ping goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) pair: Pair,
    pub(crate) conn: ConnId,
}

#[derive(Debug, Default)]
struct Messages {
    unfenced: Vec<Written>,
    /// In the order in which the pings went out.
    flights: VecDeque<Flight>,
}

/// A ping in flight, and the messages that its answer proves to be taken.
#[derive(Debug)]
struct Flight {
    ping: String,
    sent: Instant,
    fenced: Vec<Written>,
}

impl Messages {
    /// Whether the next ping may go.
    fn may_ask(&self, now: Instant) -> bool {
        self.flights.back().is_none_or(|last| now >= last.sent + PATIENCE)
    }

    fn take(&mut self, ping: &str) -> Vec<Written> {
        let at = self.flights.iter().position(|flight| flight.ping == ping);
        at.and_then(|at| self.flights.remove(at)).map(|flight| flight.fenced).unwrap_or_default()
    }
}

/// A ping that was not answered in time.
#[derive(Debug, PartialEq)]
pub(crate) struct Expired {
    pub(crate) line: Line,
    /// When it was written.
    pub(crate) sent: Instant,
    /// The messages that it would have proved to be taken.
    pub(crate) messages: Vec<Written>,
}

/// All lines with messages on them.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    lines: BTreeMap<Line, Messages>,
    /// Lines that need a ping.
    due: BTreeSet<Line>,
    pings: HashMap<String, Line>,
    /// In the order in which the pings went out, with when that was and until when each has time;
    /// answered ones stay until then.
    expiries: VecDeque<(Instant, Instant, String)>,
    /// In the same order: when what was written since asks anew.
    patience: VecDeque<(Instant, String)>,
}

impl Fences {
    /// A message was written on this line.
    pub(crate) fn wrote(&mut self, line: Line, message: Written, now: Instant) {
        let messages = self.lines.entry(line.clone()).or_default();
        messages.unfenced.push(message);
        if messages.may_ask(now) {
            self.due.insert(line);
        }
    }

    /// A line that needs a ping now.
    pub(crate) fn next_due(&mut self) -> Option<Line> {
        self.due.pop_first()
    }

    /// The ping with this id was written on the line.
    pub(crate) fn sent(&mut self, line: Line, ping: String, now: Instant, expires: Instant) {
        let Some(messages) = self.lines.get_mut(&line) else { return };
        let fenced = std::mem::take(&mut messages.unfenced);
        messages.flights.push_back(Flight { ping: ping.clone(), sent: now, fenced });
        self.pings.insert(ping.clone(), line);
        self.patience.push_back((now + PATIENCE, ping.clone()));
        self.expiries.push_back((now, expires, ping));
    }

    /// An answer to an iq came from `pair.remote`. If it is a ping's, the stream that the ping was
    /// written on, and the messages that it proves to be taken.
    pub(crate) fn answered(&mut self, pair: &Pair, id: &str) -> Option<(ConnId, Vec<Written>)> {
        if !self.pings.get(id)?.pair.is_like(pair) {
            return None;
        }
        let line = self.pings.remove(id)?;
        Some((line.conn, self.finish(&line, id)))
    }

    /// Lines that have waited for an answer long enough ask anew, if there is anything to ask.
    pub(crate) fn ask_again(&mut self, now: Instant) {
        while let Some((at, ping)) = self.patience.front() {
            let line = self.pings.get(ping);
            if *at > now && line.is_some() {
                break;
            }
            let waits = |line: &&Line| {
                let messages = self.lines.get(line);
                messages.is_some_and(|it| !it.unfenced.is_empty() && it.may_ask(now))
            };
            self.due.extend(line.filter(waits).cloned());
            self.patience.pop_front();
        }
    }

    /// An error stanza came for a message with this id from `to` to `from`: the one that waits
    /// here, if one does.
    ///
    /// The id decides, the addresses only choose between several: a server may answer in the form
    /// that its own preparation makes of an address (Prosody: RFC 3920, where ß becomes ss).
    pub(crate) fn refused(
        &self,
        pair: &Pair,
        id: &str,
        from: &Address,
        to: &Address,
    ) -> Option<Place> {
        let alike = pair.alike();
        let lines = alike.iter().flat_map(|pair| {
            let first = Line { pair: pair.clone(), conn: ConnId(0) };
            self.lines.range(first..).take_while(move |(it, _)| it.pair == *pair)
        });
        find(lines, id, &[from.bare(), to.bare()])
    }

    /// An error stanza for a message with this id came back on the very stream that it was written
    /// on, between these addresses as far as they can be read: the one that waits there, if one does.
    pub(crate) fn bounced(&self, conn: ConnId, id: &str, addresses: &[Address]) -> Option<Place> {
        let lines = self.lines.iter().filter(|(line, _)| line.conn == conn);
        let bare: Vec<Address> = addresses.iter().map(Address::bare).collect();
        find(lines, id, &bare)
    }

    /// A message has failed. Its key, unless its ending waits for the answer to the ping.
    pub(crate) fn refuse(&mut self, place: &Place, failure: &Failure) -> Option<Key> {
        let messages = self.lines.get_mut(&place.line)?;
        let list = match place.flight {
            Some(flight) => &mut messages.flights.get_mut(flight)?.fenced,
            None => &mut messages.unfenced,
        };
        if failure.condition == Condition::ItemNotFound {
            list.get_mut(place.index)?.refused = Some(failure.clone());
            return None;
        }
        (place.index < list.len()).then(|| list.remove(place.index).key)
    }

    /// Pings that were not answered in time.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Expired> {
        let mut expired = Vec::new();
        while let Some((_, at, ping)) = self.expiries.front() {
            if *at > now && self.pings.contains_key(ping) {
                break;
            }
            let Some((sent, _, ping)) = self.expiries.pop_front() else { break };
            if let Some(line) = self.pings.remove(&ping) {
                let messages = self.finish(&line, &ping);
                expired.push(Expired { line, sent, messages });
            }
        }
        expired
    }

    /// When the next ping expires, or loses patience.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let expiry = self.expiries.front().map(|(_, at, _)| *at);
        let patience = self.patience.front().map(|(at, _)| *at);
        expiry.into_iter().chain(patience).min()
    }

    /// The stream is gone: what was written on it may have been taken or not. Each message with
    /// its domains.
    pub(crate) fn lost(&mut self, conn: ConnId) -> Vec<(Pair, Written)> {
        let mut lost = Vec::new();
        let lines: Vec<Line> =
            self.lines.keys().filter(|line| line.conn == conn).cloned().collect();
        for line in lines {
            self.due.remove(&line);
            let Some(messages) = self.lines.remove(&line) else { continue };
            for flight in &messages.flights {
                self.pings.remove(&flight.ping);
            }
            let fenced = messages.flights.into_iter().flat_map(|flight| flight.fenced);
            let all = fenced.chain(messages.unfenced);
            lost.extend(all.map(|message| (line.pair.clone(), message)));
        }
        lost
    }

    /// Whether no message waits for its ending.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Ends the flight of a ping; what was written after the last one is due for the next.
    fn finish(&mut self, line: &Line, ping: &str) -> Vec<Written> {
        let Some(messages) = self.lines.get_mut(line) else { return Vec::new() };
        let fenced = messages.take(ping);
        match (messages.unfenced.is_empty(), messages.flights.is_empty()) {
            (true, true) => drop(self.lines.remove(line)),
            (false, true) => drop(self.due.insert(line.clone())),
            (_, false) => {}
        }
        fenced
    }
}

/// Where a message waits.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) line: Line,
    /// To whom it is.
    pub(crate) to: Address,
    /// What it belongs to.
    pub(crate) key: Key,
    /// Behind which of the pings in flight, if any.
    flight: Option<usize>,
    index: usize,
}

/// The message of these lines that an error with this id and these addresses is most likely for.
fn find<'a>(
    lines: impl Iterator<Item = (&'a Line, &'a Messages)>,
    id: &str,
    bare: &[Address],
) -> Option<Place> {
    let mut best: Option<(u8, &Line, Option<usize>, usize, &Written)> = None;
    for (line, messages) in lines {
        let flights = messages.flights.iter().enumerate();
        let fenced = flights.map(|(at, flight)| (&flight.fenced, Some(at)));
        for (list, flight) in fenced.chain([(&messages.unfenced, None)]) {
            for (index, message) in list.iter().enumerate() {
                if message.id != id || message.refused.is_some() {
                    continue;
                }
                let ours = bare.contains(&message.from.bare());
                let theirs = bare.contains(&message.to.bare());
                let likeness = u8::from(ours) + u8::from(theirs);
                if best.as_ref().is_none_or(|(most, ..)| likeness > *most) {
                    best = Some((likeness, line, flight, index, message));
                }
            }
        }
    }
    let (_, line, flight, index, Written { to, key, .. }) = best?;
    Some(Place { line: line.clone(), to: to.clone(), key: *key, flight, index })
}

#[cfg(test)]
mod tests;
