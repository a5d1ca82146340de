//! Dialback across streams (XEP-0220): a claim on one is verified over another.

use std::time::Instant;

use openfed_proto::packet::Failure;

use super::conn::Conn;
use super::onward::Search;
use super::{ConnId, Core, Fact};
use crate::error;
use crate::peers::Pair;
use crate::stream::{Name, StanzaCondition, Stream, Verdict, Written};

/// Somebody on a stream claims to speak for a domain towards another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    conn: ConnId,
    from: Name,
    to: Name,
}

/// The claim on its way to the server that knows.
#[derive(Debug)]
pub(super) struct Verification {
    /// The connection to that server.
    conn: ConnId,
    /// That connection was there before; if it fails us, a fresh one may not.
    shared: bool,
    asked: bool,
    /// When it was wanted.
    since: Instant,
    /// The domains as the claim wrote them.
    written: Written,
    id: String,
    key: String,
}

impl Core {
    /// Receiving server: a peer sent a key. A local domain is verified at its configured home
    /// address and nowhere else, so nobody outside can be us.
    pub(super) fn on_claim(
        &mut self,
        conn: ConnId,
        (from, to): (Name, Name),
        (id, key): (String, String),
        now: Instant,
    ) {
        let blocked = !self.domains.is_local(&from) && self.knowledge.is_blocked(&from);
        let claim = Claim { conn, from, to };
        let target = match self.domains.judge_claim(&claim.from, &claim.to) {
            Ok(_) if blocked => Err(StanzaCondition::PolicyViolation),
            judged => judged,
        };
        let pair = Pair::new(&claim.to, &claim.from);
        let written = self.stream(conn).and_then(|it| it.asked_as(&claim.from, &claim.to));
        let Some(written) = written else { return };
        match target {
            Ok(target) => match self.connection(&pair, &target, None, Search::default(), now) {
                Some((conn, shared)) => {
                    let deadline = now + self.settings.timing.connect;
                    self.claim_deadlines.push(deadline, claim.clone());
                    let (asked, since) = (false, now);
                    let verification =
                        Verification { conn, shared, asked, since, written, id, key };
                    self.begin_way_back(claim.conn, pair, now);
                    self.verifications.insert(claim, verification);
                    self.ask_verifications(conn);
                }
                None => self.answer_claim(&claim, &error::to_verdict(&error::busy())),
            },
            Err(condition) => self.answer_claim(&claim, &Verdict::Error(condition)),
        }
    }

    /// Asks what is to be asked over a connection, once it is ready.
    pub(super) fn ask_verifications(&mut self, conn: ConnId) {
        let Some(it) = self.conns.get_mut(&conn).filter(|it| it.is_ready()) else { return };
        let Some(stream) = it.stream.as_mut() else { return };
        for (claim, verification) in &mut self.verifications {
            if verification.conn == conn && !verification.asked {
                verification.asked = true;
                // Not taken: the deadline answers the claim.
                let _ = stream.request_verify_as(
                    &verification.written,
                    (&claim.to, &claim.from),
                    &verification.id,
                    &verification.key,
                );
            }
        }
        self.dirty.insert(conn);
    }

    /// Receiving server: the authoritative server answered.
    pub(super) fn on_verified(
        &mut self,
        conn: ConnId,
        pair: &Pair,
        id: &str,
        verdict: &Verdict,
        now: Instant,
    ) {
        self.note_dialed(conn, now);
        let found = self.verifications.iter().find(|(claim, verification)| {
            verification.conn == conn
                && verification.id == id
                && claim.from == pair.remote
                && claim.to == pair.local
        });
        if let Some(claim) = found.map(|(claim, _)| claim.clone()) {
            self.verifications.remove(&claim);
            self.answer_claim(&claim, verdict);
        }
    }

    fn answer_claim(&mut self, claim: &Claim, verdict: &Verdict) {
        if *verdict == Verdict::Valid {
            self.learn_spelling(&claim.from);
        } else {
            let condition = match verdict {
                Verdict::Error(condition) => error::name_of(condition.clone()),
                _ => "invalid".to_owned(),
            };
            let peer = self.conns.get(&claim.conn).and_then(Conn::peer);
            self.note(Fact::Refused {
                peer,
                claimed: Some(claim.from.domain().clone()),
                condition,
            });
        }
        if let Some(stream) = self.stream(claim.conn) {
            stream.answer_dialback(&claim.from, &claim.to, verdict);
            self.dirty.insert(claim.conn);
        }
    }

    /// Authoritative server: is this key one of ours? The key alone tells: it names the receiving
    /// domain, and keys are only made on streams to that domain's own servers.
    pub(super) fn on_question(
        &mut self,
        conn: ConnId,
        (from, to): (&Name, &Name),
        (id, key): (&str, &str),
    ) {
        let verdict = match self.start.secret.verify(from, to, id, key) {
            true => Verdict::Valid,
            false => Verdict::Invalid,
        };
        if let Some(stream) = self.stream(conn) {
            stream.answer_verify(from, to, id, &verdict);
        }
    }

    /// A connection is gone: claims on it need no answer, claims verified over it do.
    pub(super) fn lost_verifications(
        &mut self,
        conn: ConnId,
        failure: &Failure,
        onward: Option<&Search>,
        now: Instant,
    ) {
        self.verifications.retain(|claim, _| claim.conn != conn);
        let affected: Vec<Claim> = self
            .verifications
            .iter()
            .filter(|(_, verification)| verification.conn == conn)
            .map(|(claim, _)| claim.clone())
            .collect();
        for claim in affected {
            let Some(mut verification) = self.verifications.remove(&claim) else { continue };
            let pair = Pair::new(&claim.to, &claim.from);
            let search =
                if verification.shared { Some(Search::default()) } else { onward.cloned() };
            let again = match (self.domains.judge_claim(&claim.from, &claim.to), search) {
                (Ok(target), Some(search)) => self.connection(&pair, &target, None, search, now),
                _ => None,
            };
            let Some((conn, _)) = again else {
                self.answer_claim(&claim, &error::to_verdict(failure));
                continue;
            };
            verification = Verification { conn, shared: false, asked: false, ..verification };
            self.verifications.insert(claim, verification);
            self.ask_verifications(conn);
        }
    }

    pub(super) fn expire_claims(&mut self, now: Instant) {
        while let Some(claim) = self.claim_deadlines.pop_due(now) {
            if let Some(verification) = self.verifications.remove(&claim) {
                let verdict = Verdict::Error(StanzaCondition::RemoteServerTimeout);
                self.answer_claim(&claim, &verdict);
                self.check(verification.conn, verification.since, now);
                self.abandon(verification.conn, now);
            }
        }
    }

    /// Whether claims are being verified over this connection.
    pub(super) fn verifies(&self, conn: ConnId) -> bool {
        self.verifications.values().any(|verification| verification.conn == conn)
    }

    /// Closes a connection of ours that nobody waits for and that carries nothing.
    pub(super) fn abandon(&mut self, conn: ConnId, now: Instant) {
        let Some(it) = self.conns.get_mut(&conn) else { return };
        if it.is_accepted() || !it.pairs.is_empty() || self.verifies(conn) {
            return;
        }
        match self.stream(conn) {
            Some(stream) => {
                Stream::close(stream, now);
                self.retire(conn);
                self.dirty.insert(conn);
            }
            None => self.lost(conn, error::unconfirmed(), None, now),
        }
    }
}
