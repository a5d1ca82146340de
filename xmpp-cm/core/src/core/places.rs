//! The places of answers: every stanza that is taken gets its delivery or its answer.
//!
//! An answer may have to wait: until its way is there, as a server without XEP-0288 is answered on a
//! stream of our own, or until the peer reads what it is sent. No queue is too full for it. What
//! bounds them is that a peer is not read while so much waits for it:
//!
//! ```text
//!   reading ──answers crowd──▶ held ──they are gone──▶ reading
//! ```
//! A few more than there are places may come from what was read already. While the way back is being
//! made, its server may ask on a stream that is held whether it is us; that is why a way back is
//! begun before its first stanza comes ([`Core::on_claim`]), and why each failure of it lets
//! some more be read.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use openfed_proto::packet::Failure;

use super::{Command, ConnId, Core, Fact};
use crate::peers::{Outgoing, Pair, Queue};
use crate::stanza::is_answer;
use crate::xml::write_element;

/// Bytes that are taken at once; then it is looked whether there is room for more answers.
const SLICE: usize = 8_192;

/// Bytes that an answer takes, about.
const AN_ANSWER: usize = 600;

/// What came from a peer and was not taken yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: VecDeque<Bytes>,
    /// Nothing is taken until answers for this pair are gone.
    held: Option<Pair>,
}

impl Inbox {
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    fn next_slice(&mut self) -> Option<Bytes> {
        if self.held.is_some() {
            return None;
        }
        let first = self.waiting.front_mut()?;
        let slice = first.split_to(first.len().min(SLICE));
        if first.is_empty() {
            self.waiting.pop_front();
        }
        Some(slice)
    }

    /// All of it, in order.
    fn take_rest(&mut self) -> impl Iterator<Item = Bytes> + use<> {
        self.held = None;
        std::mem::take(&mut self.waiting).into_iter()
    }
}

impl Core {
    /// Bytes came from a peer.
    pub fn handle_bytes(&mut self, conn: ConnId, bytes: &[u8], now: Instant) {
        self.hear(conn, now);
        let Some(it) = self.conns.get_mut(&conn) else { return };
        let waits = it.inbox.held.is_some() || !it.inbox.waiting.is_empty();
        if !waits && bytes.len() <= SLICE {
            self.take(conn, bytes, now);
        } else {
            it.inbox.waiting.push_back(Bytes::copy_from_slice(bytes));
            self.unread.insert(conn);
        }
        self.settle(now);
    }

    fn take(&mut self, conn: ConnId, bytes: &[u8], now: Instant) {
        let rest = self.take_sparingly(conn, bytes, now);
        if let Some(stream) = self.stream(conn) {
            stream.handle_bytes(rest, now);
            self.dirty.insert(conn);
        }
    }

    /// Takes some more of what came and waits. False if nothing does.
    pub(super) fn take_more(&mut self, now: Instant) -> bool {
        let Some(conn) = self.unread.first().copied() else { return false };
        match self.conns.get_mut(&conn).and_then(|it| it.inbox.next_slice()) {
            Some(slice) => self.take(conn, &slice, now),
            None => {
                self.unread.remove(&conn);
            }
        }
        true
    }

    /// The connection is over: what its peer has sent is taken whatever waits.
    pub(super) fn take_last(&mut self, conn: ConnId, now: Instant) {
        let Some(it) = self.conns.get_mut(&conn) else { return };
        for bytes in it.inbox.take_rest() {
            self.take(conn, &bytes, now);
        }
    }

    /// A stanza of this pair was taken, and may want an answer. If there is no place for another one,
    /// no more are taken. Its way back stays open as long as stanzas come.
    pub(super) fn reserve(&mut self, conn: ConnId, asked: &Pair, wants: bool, now: Instant) {
        let back = asked.reversed();
        if let Some(way) = self.peers.route(&back).and_then(|way| self.conns.get_mut(&way)) {
            way.used = now;
        } else if wants {
            self.begin_way_back(conn, back.clone(), now);
            self.peers.owe(&back, AN_ANSWER);
        }
        if self.is_crowded(&back) {
            self.hold(conn, back);
        } else if self.is_crowded(asked) {
            // Who is written to does not keep up; cut off, it would take much with it.
            self.hold(conn, asked.clone());
        }
    }

    fn hold(&mut self, conn: ConnId, back: Pair) {
        let Some(it) = self.conns.get_mut(&conn).filter(|it| it.inbox.held.is_none()) else {
            return;
        };
        it.inbox.held = Some(back.clone());
        self.held.entry(back).or_default().insert(conn);
        self.commands.push_back(Command::Read { conn, on: false });
    }

    fn is_crowded(&self, back: &Pair) -> bool {
        let max = self.settings.limits.answer_bytes;
        match self.peers.route(back) {
            Some(conn) => self
                .conns
                .get(&conn)
                .is_some_and(|it| it.recent.answers() >= max || it.recent.pending() >= max),
            None => self.peers.is_crowded(back, max),
        }
    }

    /// Answers for the pair are gone, or its stream is: whoever was held for it may be read.
    pub(super) fn make_room(&mut self, back: &Pair, now: Instant) {
        if !self.held.is_empty() && !self.is_crowded(back) {
            self.read_on(back, now);
        }
    }

    /// Reads on whoever was held for the pair, also if that makes a crowd larger.
    pub(super) fn read_on(&mut self, back: &Pair, now: Instant) {
        for conn in self.held.remove(back).unwrap_or_default() {
            if let Some(it) = self.conns.get_mut(&conn) {
                it.inbox.held = None;
                it.heard = now;
                self.unread.insert(conn);
                self.commands.push_back(Command::Read { conn, on: true });
            }
        }
    }

    /// The peer has read: what was held for that may be read.
    pub(super) fn note_read(&mut self, conn: ConnId, now: Instant) {
        if self.held.is_empty() {
            return;
        }
        let Some(it) = self.conns.get(&conn) else { return };
        let pairs: BTreeSet<Pair> = it.pairs.clone();
        for pair in pairs {
            self.make_room(&pair, now);
        }
    }

    /// A foreign server sends stanzas, or is about to, and takes no answers on its own stream.
    pub(super) fn begin_way_back(&mut self, conn: ConnId, pair: Pair, now: Instant) {
        let bidi = self.stream(conn).is_some_and(|stream| stream.is_bidi());
        if !bidi && !self.domains.is_local(&pair.remote) && self.peers.get(&pair).is_none() {
            self.dial_for(pair, Queue::default(), None, now);
        }
    }

    /// Sends an error of ours, written out, to who asked.
    pub(super) fn tell_error(
        &mut self,
        asked: &Pair,
        text: String,
        failure: &Failure,
        now: Instant,
    ) {
        self.note(Fact::Answered { condition: failure.condition.as_str() });
        self.send_answer(asked, text, now);
    }

    /// Sends an answer of ours, written out, to who asked.
    pub(super) fn send_answer(&mut self, asked: &Pair, text: String, now: Instant) {
        let until = now + self.settings.timing.answer;
        let item = Outgoing::Answer { text: text.into(), again: false, until };
        self.send(asked.reversed(), item, now);
    }

    /// What answers and goes by keeps its place like an answer of ours: who sent it is told nothing.
    pub(super) fn queued(&mut self, item: Outgoing, now: Instant) -> Outgoing {
        match item {
            Outgoing::Through(stanza, counted) if is_answer(&stanza) => {
                self.handled(counted);
                let mut text = String::new();
                write_element(&stanza, &mut text);
                let until = now + self.settings.timing.answer;
                Outgoing::Answer { text: text.into(), again: false, until }
            }
            item => item,
        }
    }

    /// Pairs that failed and for which answers wait are tried again.
    pub(super) fn retry_pairs(&mut self, now: Instant) {
        while self.retries.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, pair)) = self.retries.pop_first() else { return };
            if self.peers.has_failed(&pair, now) {
                let answers = self.peers.take_answers(&pair);
                if !answers.is_empty() {
                    self.dial_for(pair, answers, None, now);
                }
            }
        }
    }
}
