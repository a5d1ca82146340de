//! Sending: over a stream that is there, over one that is made for it, or not at all and said so.

use std::time::Instant;

use minidom::Element;
use openfed_proto::condition::Condition;
use openfed_proto::packet::{Cause, Failure, TraceContext};

use super::conn::{Conn, DialKey, Dialed, Side};
use super::onward::Search;
use super::stanzas::pair_of;
use super::{ConnId, Core, Fact, Life, Target};
use crate::error;
use crate::fence::{Line, Written};
use crate::iq;
use crate::message;
use crate::peers::{Outgoing, Pair, Queue, State, Waiting};
use crate::stanza::{Attributes, Head, Reply, set};
use crate::stream::{CloseReason, Features, SendError, StreamCondition, Verdict};
use crate::xml::ns;

impl Core {
    /// Sends it, queues it, or fails it: whoever waits for it is told.
    pub(super) fn send(&mut self, pair: Pair, item: Outgoing, now: Instant) {
        let (pair, item) = self.spelled(pair, item);
        if let Some(conn) = self.peers.route(&pair) {
            return self.write(conn, pair, item, now);
        }
        let (limits, item) = (self.settings.limits, self.queued(item, now));
        if let Some(waiting) = self.peers.waiting(&pair) {
            if let Some(item) = waiting.queue.push(item, limits.queue, limits.queue_bytes) {
                self.fail(item, error::busy(), now);
            }
            return;
        }
        match self.peers.failure(&pair, now) {
            Some((failure, answers)) => {
                if let Some(item) = answers.push(item, 0, 0) {
                    self.fail(item, failure, now);
                }
            }
            None => self.dial(pair, item, now),
        }
    }

    fn write(&mut self, id: ConnId, pair: Pair, item: Outgoing, now: Instant) {
        let sent = match (&item, self.stream(id)) {
            (_, None) => Err(SendError::NotOpen),
            (Outgoing::Answer { text, .. }, Some(stream)) => {
                stream.send_text(&pair.local, &pair.remote, text)
            }
            (item, Some(stream)) => item.stanza().map_or(Ok(()), |stanza| stream.send(stanza)),
        };
        match sent {
            Ok(()) => self.written(id, pair, item, now),
            Err(SendError::ImproperAddressing) => {
                let condition = Condition::JidMalformed;
                self.fail(item, error::refused(condition), now);
            }
            Err(SendError::NotOpen | SendError::NotAuthenticated) => {
                if self.peers.down(&pair, id) {
                    self.make_room(&pair, now);
                    self.note_down(&pair);
                }
                self.send(pair, item, now);
            }
        }
    }

    fn written(&mut self, id: ConnId, pair: Pair, item: Outgoing, now: Instant) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.used = now;
            let counts = conn.stream.as_ref().is_some_and(|stream| stream.sent().is_some());
            if counts && conn.uncounted.is_none() {
                conn.uncounted = Some(now);
            }
        }
        self.dirty.insert(id);
        match item {
            Outgoing::Answer { .. } | Outgoing::Again(_) => self.remember(id, pair, item),
            Outgoing::Through(_, counted) => {
                self.handled(counted);
                let domain = self.foreign(&pair).clone();
                self.note(Fact::Passed { domain });
                self.remember(id, pair, item);
            }
            Outgoing::Plain(key, _) => {
                self.remember(id, pair, item);
                self.end_attempt(key, Ok(()), now);
            }
            Outgoing::Probe(key) => self.end_attempt(key, Ok(()), now),
            Outgoing::Fenced(key, stanza) => match Head::read(&stanza) {
                Ok(Head { id: Some(stanza_id), from, to, .. }) => {
                    let line = Line { pair, conn: id };
                    let written = Written { key, id: stanza_id, from, to, refused: None };
                    self.fences.wrote(line, written, now);
                }
                _ => self.end_attempt(key, Ok(()), now),
            },
        }
    }

    /// Keeps what nobody but TCP will confirm.
    fn remember(&mut self, id: ConnId, pair: Pair, item: Outgoing) {
        if let Some(conn) = self.conns.get_mut(&id) {
            let (said, number) =
                conn.stream.as_ref().map_or((0, None), |stream| (stream.said(), stream.sent()));
            conn.recent.wrote(said, number, pair, item);
        }
    }

    /// Pings whoever took messages. True if something was written.
    pub(super) fn send_fences(&mut self, now: Instant) -> bool {
        let mut wrote = false;
        while let Some(line) = self.fences.next_due() {
            let id = self.random_id().to_string();
            let mut ping = Element::bare("iq", ns::CLIENT);
            set(&mut ping, "type", "get");
            set(&mut ping, "id", &id);
            set(&mut ping, "from", &line.pair.local.written());
            set(&mut ping, "to", &line.pair.remote.written());
            ping.append_child(iq::ping());
            // If the stream takes no more, its end is near and ends the messages, too.
            if self.stream(line.conn).is_some_and(|stream| stream.send(&ping).is_ok()) {
                self.dirty.insert(line.conn);
                self.fences.sent(line, id, now, now + self.settings.timing.fence);
                wrote = true;
            }
        }
        wrote
    }

    /// It did not arrive: its sender is told.
    pub(super) fn fail(&mut self, item: Outgoing, failure: Failure, now: Instant) {
        match item {
            Outgoing::Through(stanza, counted) => {
                self.answer(&stanza, &failure, now);
                self.handled(counted);
            }
            Outgoing::Again(stanza) => self.answer(&stanza, &failure, now),
            Outgoing::Answer { .. } => self.note(Fact::Unanswered),
            Outgoing::Plain(key, _) | Outgoing::Fenced(key, _) | Outgoing::Probe(key) => {
                self.end_attempt(key, Err(failure), now);
            }
        }
    }

    /// Answers a stanza with an error, unless it is one itself or asks for no answer.
    pub(super) fn answer(&mut self, stanza: &Element, failure: &Failure, now: Instant) {
        if let Some(asked) = pair_of(stanza) {
            self.answer_as(&asked, stanza, failure, now);
        }
    }

    /// The same for a stanza that came between these two domains, whatever it says itself.
    pub(super) fn answer_as(
        &mut self,
        asked: &Pair,
        stanza: &Element,
        failure: &Failure,
        now: Instant,
    ) {
        let Some(reply) = Reply::to(stanza) else { return self.note_unsaid(stanza) };
        let said = message::said(stanza);
        self.tell_error(asked, reply.error(failure, said.as_deref()), failure, now);
    }

    /// A message that asks for no answer ends here.
    pub(super) fn note_unsaid(&mut self, stanza: &Element) {
        if stanza.name() == "message" && Attributes::of(stanza).subtype != Some("error") {
            self.note(Fact::Unsaid);
        }
    }

    fn dial(&mut self, pair: Pair, item: Outgoing, now: Instant) {
        let limits = self.settings.limits;
        let trace = item.key().and_then(|key| self.attempts.trace(&key));
        let mut queue = self.peers.take_answers(&pair);
        if let Some(item) = queue.push(item, limits.queue, limits.queue_bytes) {
            self.fail(item, error::busy(), now);
        }
        if !queue.is_empty() {
            self.dial_for(pair, queue, trace, now);
        }
    }

    /// Makes a connection for what is to wait for it.
    pub(super) fn dial_for(
        &mut self,
        pair: Pair,
        queue: Queue,
        trace: Option<TraceContext>,
        now: Instant,
    ) {
        let limits = self.settings.limits;
        if self.peers.len() >= limits.pairs {
            self.peers.prune(now);
        }
        let target = match self.domains.target(&pair) {
            _ if self.life == Life::Stopped => Err(error::leaving()),
            Ok(_) if self.peers.len() >= limits.pairs => Err(error::busy()),
            target => target,
        };
        match target {
            Ok(target) => {
                let deadline = now + self.settings.timing.connect;
                self.pair_deadlines.push(deadline, pair.clone());
                if self.may_miss(&pair) {
                    self.miss_deadlines.push(now + self.settings.timing.unfound, pair.clone());
                }
                self.wait(pair, &target, (queue, deadline, trace), Search::default(), now);
            }
            Err(failure) => {
                self.peers.remove(&pair);
                queue.into_items().for_each(|item| self.fail(item, failure.clone(), now));
                self.make_room(&pair, now);
            }
        }
    }

    /// Lets a queue wait for a connection, which is made if it is not there.
    pub(super) fn wait(
        &mut self,
        pair: Pair,
        target: &Target,
        (queue, deadline, trace): (Queue, Instant, Option<TraceContext>),
        search: Search,
        now: Instant,
    ) {
        let Some((conn, shared)) = self.connection(&pair, target, trace, search, now) else {
            return self.fail_queue(pair, queue, error::busy(), now);
        };
        let waiting = Waiting { conn, asked: false, shared, deadline, trace, queue };
        self.peers.insert(pair.clone(), State::Waiting(waiting));
        if let Some(it) = self.conns.get_mut(&conn) {
            it.pairs.insert(pair.clone());
        }
        self.ask(conn, pair, now);
    }

    /// The stream is negotiated: dialback can begin.
    pub(super) fn on_ready(&mut self, conn: ConnId, features: &Features, now: Instant) {
        self.note_unproven(conn, features);
        if let Some(home) = self.dialed_home(conn) {
            // Also one that has no TLS.
            self.home_is_met(&home, now);
        }
        let Some(it) = self.conns.get_mut(&conn) else { return };
        if let Some(dialed) = it.dialed() {
            dialed.ready = true;
        }
        for pair in it.pairs.clone() {
            self.ask(conn, pair, now);
        }
        self.ask_verifications(conn);
    }

    /// Sends our key for a pair, if that is what it waits for.
    fn ask(&mut self, conn: ConnId, pair: Pair, now: Instant) {
        let Some(it) = self.conns.get_mut(&conn).filter(|it| it.is_ready()) else { return };
        let Some(stream) = it.stream.as_mut() else { return };
        let Some(waiting) = self.peers.waiting(&pair) else { return };
        if waiting.conn != conn || std::mem::replace(&mut waiting.asked, true) {
            return;
        }
        let asked = stream.request_dialback(&pair.local, &pair.remote, &self.start.secret);
        self.dirty.insert(conn);
        if asked.is_err() {
            // Full, or about to end: whoever comes next gets a fresh one.
            self.retire(conn);
            self.leave(conn, &pair);
            self.redial_or_fail(pair, error::busy(), None, now);
        }
    }

    /// The peer does not let us speak for the pair's domain.
    pub(super) fn on_denied(&mut self, conn: ConnId, pair: Pair, verdict: &Verdict, now: Instant) {
        if self.peers.waiting(&pair).is_none_or(|waiting| waiting.conn != conn) {
            return;
        }
        self.leave(conn, &pair);
        let guest = self.conns.get_mut(&conn).and_then(Conn::dialed).and_then(|dialed| {
            let guest = dialed.first != pair && matches!(dialed.key, DialKey::Home(_));
            guest.then(|| dialed.target.clone())
        });
        if let Some(Target::Home(home)) = guest {
            self.alone.insert(home);
            if let Some(waiting) = self.peers.waiting(&pair) {
                waiting.shared = true;
            }
        } else if let Some(waiting) = self.peers.waiting(&pair) {
            waiting.shared = false;
        }
        let failure = error::of_verdict(verdict);
        let onward = self.onward(conn, &failure).filter(|_| failure.cause == Cause::HostUnknown);
        if onward.is_some() {
            self.retire(conn);
        }
        self.redial_or_fail(pair, self.verdict(conn, failure), onward, now);
        self.abandon(conn, now);
    }

    /// Whoever needs such a connection next gets a fresh one.
    pub(super) fn retire(&mut self, conn: ConnId) {
        let Some(Side::Dialed(dialed)) = self.conns.get(&conn).map(|conn| &conn.side) else {
            return;
        };
        if self.dialed.get(&dialed.key) == Some(&conn) {
            self.dialed.remove(&dialed.key);
        }
    }

    pub(super) fn leave(&mut self, conn: ConnId, pair: &Pair) {
        if let Some(it) = self.conns.get_mut(&conn) {
            it.pairs.remove(pair);
        }
    }

    /// All but answers fail; those wait until it is tried again.
    pub(super) fn fail_queue(&mut self, pair: Pair, queue: Queue, failure: Failure, now: Instant) {
        let failure = self.knowledge.judge(&pair.remote, failure, now);
        let failure = self.missed(&pair, failure, now);
        let timing = self.settings.timing;
        let is_home = self.domains.is_local(&pair.remote);
        let until = match failure.cause {
            Cause::Unreachable | Cause::Outage if is_home => now + timing.home_failed,
            _ => now + timing.failed,
        };
        let (answers, rest) = queue.keep_answers(now, self.settings.limits.answer_bytes);
        self.retries.insert((until, pair.clone()));
        self.peers.insert(pair.clone(), State::Failed { until, failure: failure.clone(), answers });
        for item in rest {
            self.fail(item, failure.clone(), now);
        }
        self.read_on(&pair, now);
    }

    /// A home server that ends the stream when a second domain speaks on it wants one for each.
    pub(super) fn note_preference(&mut self, conn: &Conn, reason: Option<&CloseReason>) {
        let Side::Dialed(Dialed { target: Target::Home(home), first, .. }) = &conn.side else {
            return;
        };
        let Some(CloseReason::Remote(error)) = reason else { return };
        let complaint = !matches!(
            error.condition,
            StreamCondition::ConnectionTimeout
                | StreamCondition::Reset
                | StreamCondition::ResourceConstraint
                | StreamCondition::SystemShutdown
        );
        let guest = conn.pairs.iter().any(|pair| {
            pair != first
                && matches!(self.peers.get(pair), Some(State::Waiting(waiting)) if waiting.asked)
        });
        if complaint && guest {
            self.alone.insert(home.clone());
        }
    }
}
