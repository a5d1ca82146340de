//! Connections come and go, and what their streams say is taken up.

use std::net::SocketAddr;
use std::time::Instant;

use openfed_proto::domain::Domain;
use openfed_proto::packet::Failure;

use super::conn::{Conn, Side};
use super::recent::Items;
use super::{
    Command, ConnId, ConnectFailure, Core, Fact, Fingerprint, Found, Life, Target, TlsSide,
};
use crate::error;
use crate::fence::Written;
use crate::peers::{Counted, Outgoing, Pair};
use crate::stream::{
    CloseReason, Direction, Event, InitiatorConfig, ResponderConfig, Settings, Stream,
    StreamCondition, StreamError, Verdict,
};

impl Core {
    /// A connection came in on the listening socket; `None`: there is no room, close it.
    pub fn handle_accepted(&mut self, peer: SocketAddr, now: Instant) -> Option<ConnId> {
        let limits = &self.settings.limits;
        let full = self.conns.len() >= limits.connections || self.strangers >= limits.strangers;
        if full || self.life != Life::Serving {
            return None;
        }
        let config = ResponderConfig { settings: self.settings.stream.clone() };
        let stream = Stream::responder(config, &mut self.start.random, now);
        self.strangers += 1;
        let id = self.add(Conn::new(Some(stream), Side::Accepted(peer), now));
        self.settle(now);
        Some(id)
    }

    pub(super) fn add(&mut self, conn: Conn) -> ConnId {
        self.next_conn += 1;
        let id = ConnId(self.next_conn);
        self.conns.insert(id, conn);
        self.dirty.insert(id);
        id
    }

    /// [`Command::Connect`] succeeded; `encrypted` if by direct TLS (XEP-0368).
    pub fn handle_connected(&mut self, conn: ConnId, encrypted: bool, found: Found, now: Instant) {
        let Some(it) = self.conns.get_mut(&conn).filter(|conn| conn.stream.is_none()) else {
            return;
        };
        let Some(dialed) = it.dialed() else { return };
        dialed.search.found(found);
        let Pair { local, remote } = dialed.first.clone();
        let shows = self.settings.identity || matches!(dialed.target, Target::Home(_));
        let external = shows && !self.unproven.contains(&remote);
        let settings = Settings { encrypted, external, ..self.settings.stream.clone() };
        it.stream = Some(Stream::initiator(InitiatorConfig { local, remote, settings }, now));
        self.dirty.insert(conn);
        self.settle(now);
    }

    /// [`Command::Connect`] failed.
    pub fn handle_connect_failed(&mut self, conn: ConnId, why: ConnectFailure, now: Instant) {
        if self.conns.get(&conn).is_some_and(|conn| conn.stream.is_none()) {
            self.lost(conn, error::of_connecting(why), None, now);
        }
        self.settle(now);
    }

    /// [`Command::StartTls`] is done, whether the handshake succeeded, and the certificate that the
    /// peer showed.
    pub fn handle_tls(
        &mut self,
        conn: ConnId,
        established: bool,
        certificate: Option<Fingerprint>,
        now: Instant,
    ) {
        self.look_at_certificate(conn, certificate.filter(|_| established), now);
        self.on_stream(conn, now, |stream| match established {
            true => stream.handle_tls_established(now),
            false => stream.handle_tls_failed(),
        });
    }

    /// All bytes that were transmitted over a connection did arrive, except for the last ones.
    pub fn handle_unconfirmed(&mut self, conn: ConnId, bytes: usize, now: Instant) {
        let Some(it) = self.conns.get_mut(&conn) else { return };
        let said = it.stream.as_ref().map_or(0, Stream::said);
        it.recent.confirmed(said, bytes);
        self.note_read(conn, now);
        if !self.unread.is_empty() {
            self.settle(now);
        }
    }

    /// A connection ended or broke, and the last bytes that were transmitted did not arrive.
    pub fn handle_closed(&mut self, conn: ConnId, unconfirmed: usize, now: Instant) {
        self.take_last(conn, now);
        self.acknowledges_no_more(conn);
        self.on_stream(conn, now, Stream::handle_closed);
        if let Some((said, recent)) = self.parting.remove(&conn) {
            let (doubtful, lost) = recent.end(said, unconfirmed);
            self.doubt(doubtful, now);
            self.send_again(lost, now);
            self.settle(now);
        }
    }

    /// What the peer's system took, though the peer did not say so: it may have been read or not.
    fn doubt(&mut self, doubtful: Items, now: Instant) {
        if self.life == Life::Stopped {
            return;
        }
        for (pair, item) in doubtful {
            if let Some(stanza) = item.stanza() {
                let failure = self.knowledge.judge(&pair.remote, error::unconfirmed(), now);
                self.answer(stanza, &failure, now);
            }
        }
    }

    /// What did not arrive is sent once more; if that was the second time, its sender is told.
    fn send_again(&mut self, lost: Items, now: Instant) {
        for (pair, item) in lost {
            match item {
                Outgoing::Again(_) => {
                    let failure = self.knowledge.judge(&pair.remote, error::unconfirmed(), now);
                    self.fail(item, failure, now);
                }
                item => {
                    if let Some(again) = item.again() {
                        self.send(pair, again, now);
                    }
                }
            }
        }
    }

    fn on_stream(&mut self, conn: ConnId, now: Instant, input: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.stream(conn) {
            input(stream);
            self.dirty.insert(conn);
        }
        self.settle(now);
    }

    pub(super) fn stream(&mut self, conn: ConnId) -> Option<&mut Stream> {
        self.conns.get_mut(&conn)?.stream.as_mut()
    }

    /// Ends every stream, after everything that has no ending got one. The last input of a core.
    pub fn handle_stop(&mut self, now: Instant) {
        self.life = Life::Stopped;
        self.give_up(now);
        self.settle(now);
        let all: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in all {
            match self.stream(conn) {
                Some(stream) => {
                    let error = StreamError::new(StreamCondition::SystemShutdown);
                    stream.close_with_error(error);
                    self.dirty.insert(conn);
                }
                None => self.lost(conn, error::leaving(), None, now),
            }
        }
        self.settle(now);
    }

    /// Takes the events of all streams that have any, until nothing happens any more.
    pub(super) fn settle(&mut self, now: Instant) {
        loop {
            while let Some(conn) = self.dirty.pop_first() {
                while let Some(event) = self.stream(conn).and_then(Stream::next_event) {
                    self.on_event(conn, event, now);
                }
                self.arm(conn);
            }
            if !self.send_fences(now) && !self.take_more(now) {
                break;
            }
        }
    }

    fn on_event(&mut self, conn: ConnId, event: Event, now: Instant) {
        match event {
            Event::Transmit(bytes) => self.commands.push_back(Command::Transmit { conn, bytes }),
            Event::StartTls { domain } => self.on_start_tls(conn, domain),
            Event::Opened { from, to, .. } => self.on_opened(conn, from, to, now),
            Event::Ready(features) => self.on_ready(conn, &features, now),
            Event::DialbackRequested { from, to, id, key } => {
                self.on_claim(conn, (from, to), (id, key), now);
            }
            Event::DialbackVerifyRequested { from, to, id, key } => {
                self.on_question(conn, (&from, &to), (&id, &key));
            }
            Event::DialbackVerified { local, remote, id, verdict } => {
                self.on_verified(conn, &Pair { local, remote }, &id, &verdict, now);
            }
            Event::DialbackResult { verdict: Verdict::Valid, .. } | Event::BidiEnabled => {}
            Event::DialbackResult { local, remote, verdict } => {
                self.on_denied(conn, Pair { local, remote }, &verdict, now);
            }
            Event::Authenticated { local, remote, direction } => {
                self.on_authenticated(conn, Pair { local, remote }, direction, now);
            }
            Event::Stanza(stanza) => self.on_stanza(conn, stanza, now),
            Event::Misaddressed { local, remote, stanza, condition } => {
                let pair = Pair::new(remote, local);
                self.on_misaddressed(conn, &pair, stanza, condition, now);
            }
            Event::Bounced(stanza) => self.on_bounced(conn, stanza, now),
            Event::Ignored => self.ignore(conn),
            Event::Arrived(number) => self.on_arrived(conn, number, now),
            Event::Uncounted => self.on_uncounted(conn),
            Event::Counted(stanza, number) => {
                self.on_counted(Counted { conn, number }, stanza, now);
            }
            Event::Closed(reason) => {
                let phase = self.conns.get(&conn).map(Conn::phase);
                if let Some(phase) = phase {
                    self.lost(conn, error::of_stream(&reason, phase), Some(&reason), now);
                }
            }
        }
    }

    fn on_start_tls(&mut self, conn: ConnId, domain: Domain) {
        let accepted = self.conns.get(&conn).is_some_and(Conn::is_accepted);
        let side = match (accepted, self.domains.is_local(&domain)) {
            (false, _) => TlsSide::Client { domain, minted: self.minted_for(conn) },
            (true, true) => TlsSide::Public { domain },
            (true, false) => TlsSide::Home { domain },
        };
        self.commands.push_back(Command::StartTls { conn, side });
    }

    fn on_opened(&mut self, conn: ConnId, from: Option<Domain>, to: Domain, now: Instant) {
        let blocked = from.as_ref().is_some_and(|from| self.knowledge.is_blocked(from));
        let verdict = match self.domains.judge_header(from.as_ref(), &to) {
            Ok(()) if blocked => Err(StreamCondition::PolicyViolation),
            verdict => verdict,
        };
        match verdict {
            Ok(()) => self.accept_header(conn, (from, to), now),
            Err(condition) => {
                if let Some(stream) = self.stream(conn) {
                    stream.refuse_header(StreamError::new(condition));
                }
            }
        }
    }

    fn on_authenticated(&mut self, id: ConnId, pair: Pair, direction: Direction, now: Instant) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if !std::mem::replace(&mut conn.authenticated, true) && conn.is_accepted() {
            self.strangers -= 1;
        }
        conn.used = now;
        let encrypted = conn.is_encrypted();
        if !self.domains.is_local(&pair.remote) {
            self.knowledge.learn_xmpp(&pair.remote, now);
        }
        if direction == Direction::Inbound {
            return;
        }
        conn.pairs.insert(pair.clone());
        self.note_dialed(id, now);
        let (first, queue) = self.peers.up(&pair, id);
        if first {
            let (local, remote) = (pair.local.domain().clone(), pair.remote.domain().clone());
            self.note(Fact::Up { local, remote, encrypted });
            self.ask_names(&pair);
            self.ask_proof(&pair, now);
        }
        for item in queue.into_items() {
            self.send(pair.clone(), item, now);
        }
        self.make_room(&pair, now);
    }

    pub(super) fn note_down(&mut self, pair: &Pair) {
        let (local, remote) = (pair.local.domain().clone(), pair.remote.domain().clone());
        self.note(Fact::Down { local, remote });
    }

    /// A connection of ours did what it was made for.
    pub(super) fn note_dialed(&mut self, id: ConnId, now: Instant) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.used = now;
        let dialed = conn.dialed();
        if dialed.is_some_and(|dialed| !std::mem::replace(&mut dialed.told, true)) {
            self.note(Fact::Dialed { conn: id, failure: None });
        }
    }

    /// A stream that we did not go on with: whoever looks for the reason finds it.
    fn note_refused(&mut self, conn: &Conn, reason: Option<&CloseReason>) {
        let stranger = conn.is_accepted() && !conn.authenticated;
        let condition = match reason {
            Some(CloseReason::Local(error)) if self.life != Life::Stopped => {
                error::name_of(error.condition.clone())
            }
            Some(CloseReason::TlsFailed) if stranger => "tls-failed".to_owned(),
            Some(CloseReason::Deadline(_)) if stranger => "connection-timeout".to_owned(),
            _ => return,
        };
        let claimed = conn.stream.as_ref().and_then(|stream| stream.domains().1.cloned());
        self.note(Fact::Refused { peer: conn.peer(), claimed, condition });
    }

    /// The connection is gone: everything that hung on it is answered or goes another way.
    pub(super) fn lost(
        &mut self,
        id: ConnId,
        failure: Failure,
        reason: Option<&CloseReason>,
        now: Instant,
    ) {
        self.retire(id);
        self.home_key_is_late(id, now);
        let Some(mut conn) = self.conns.remove(&id) else { return };
        self.commands.push_back(Command::Close { conn: id });
        if let Some(armed) = conn.armed {
            self.stream_timers.remove(&(armed, id));
        }
        if conn.is_accepted() && !conn.authenticated {
            self.strangers -= 1;
        }
        if conn.dialed().is_some_and(|dialed| !dialed.told) {
            self.note(Fact::Dialed { conn: id, failure: Some(failure.clone()) });
        }
        let onward = conn.onward(&failure);
        let failure = conn.verdict(failure);
        for (pair, Written { key, refused, .. }) in self.fences.lost(id) {
            let unconfirmed = self.knowledge.judge(&pair.remote, error::unconfirmed(), now);
            self.end_attempt(key, Err(refused.unwrap_or(unconfirmed)), now);
        }
        self.note_refused(&conn, reason);
        self.note_preference(&conn, reason);
        if !conn.recent.is_empty() {
            let said = conn.stream.as_ref().map_or(0, Stream::said);
            self.parting.insert(id, (said, conn.recent));
        }
        for pair in conn.pairs {
            let was_last = self.peers.down(&pair, id);
            self.make_room(&pair, now);
            if was_last {
                self.note_down(&pair);
            } else if self.peers.waiting(&pair).is_some_and(|waiting| waiting.conn == id) {
                self.redial_or_fail(pair, failure.clone(), onward.clone(), now);
            }
        }
        self.lost_verifications(id, &failure, onward.as_ref(), now);
    }
}
