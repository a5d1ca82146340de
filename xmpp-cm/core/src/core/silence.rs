//! Streams that fall silent (RFC 6120 §4.6).
//!
//! A connection may be dead while nobody says so: a process that hangs, a firewall that forgot it. As
//! long as people write, it is in use, so that no idle time ends it. So whatever waits for an answer
//! in vain is a check of the stream as well: one that gave no sign of life meanwhile has failed it. It
//! is closed, what was written on it ends as not confirmed, and what comes next takes a new one.

use std::collections::BTreeMap;
use std::time::Instant;

use openfed_proto::domain::Domain;

use super::conn::Conn;
use super::{ConnId, Core, Fact};
use crate::error;
use crate::fence::{Expired, Written};
use crate::stream::Stream;

impl Core {
    /// The peer gave a sign of life on a connection.
    pub(super) fn hear(&mut self, conn: ConnId, now: Instant) {
        if let Some(it) = self.conns.get_mut(&conn) {
            it.heard = now;
            if let Some(unwanted) = &mut it.unwanted {
                unwanted.hear(now);
            }
        }
    }

    /// Fences that were not answered in time: their messages may have been taken or not.
    pub(super) fn expire_fences(&mut self, now: Instant) {
        let expired = self.fences.expire(now);
        if expired.is_empty() {
            return;
        }
        for Expired { line, messages, .. } in &expired {
            // It was written to a server that speaks XMPP: no reason to try anything else.
            let remote = line.pair.remote.domain();
            let failure = self.knowledge.judge(remote, error::unconfirmed(), now);
            self.note(Fact::FenceExpired { domain: remote.clone() });
            for Written { key, refused, .. } in messages {
                let failure = refused.as_ref().unwrap_or(&failure);
                self.end_attempt(*key, Err(failure.clone()), now);
            }
        }
        for silent in self.silent_answerers(&expired) {
            self.close_silent(silent, now);
        }
        for Expired { line, sent, .. } in expired {
            self.check(line.conn, sent, now);
        }
    }

    /// The streams on which the answers should have come, if nothing at all came there since.
    fn silent_answerers(&self, expired: &[Expired]) -> Vec<ConnId> {
        let mut missed: BTreeMap<(&Domain, &Domain), Instant> = BTreeMap::new();
        for Expired { line, sent, .. } in expired {
            missed.insert((line.pair.remote.domain(), line.pair.local.domain()), *sent);
        }
        let is_silent = |stream: &Stream, heard: Instant| {
            let mut pairs = stream.inbound();
            pairs.any(|pair| missed.get(&pair).is_some_and(|sent| heard <= *sent))
        };
        // What is not read is not silent.
        let conns = self.conns.iter().filter(|(_, it)| it.is_accepted() && !it.inbox.is_held());
        let silent = conns.filter(|(_, conn)| {
            conn.stream.as_ref().is_some_and(|stream| is_silent(stream, conn.heard))
        });
        silent.map(|(id, _)| *id).collect()
    }

    /// Something that was wanted of a connection since then did not come: if nothing else came
    /// there either, it is given up.
    pub(super) fn check(&mut self, conn: ConnId, since: Instant, now: Instant) {
        let is_silent = |it: &Conn| it.is_negotiated() && it.heard <= since && !it.inbox.is_held();
        if self.conns.get(&conn).is_some_and(is_silent) {
            self.close_silent(conn, now);
        }
    }

    /// A server that counts what it gets did not say for too long that it has it.
    pub(super) fn check_count(&mut self, id: ConnId, now: Instant) {
        let time = self.settings.timing.count;
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some(since) = conn.uncounted.filter(|since| now >= *since + time) else { return };
        // What it has said meanwhile may be all that it came to.
        let heard = conn.heard > since;
        conn.uncounted = heard.then_some(now);
        match conn.stream.as_mut().filter(|_| heard) {
            Some(stream) => stream.ask_count_again(),
            None => self.close_silent(id, now),
        }
    }

    fn close_silent(&mut self, id: ConnId, now: Instant) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some(stream) = conn.stream.as_mut() else { return };
        if stream.close(now) {
            let domain = stream.domains().1.cloned();
            self.retire(id);
            self.dirty.insert(id);
            self.note(Fact::Silent { domain });
        }
    }
}
