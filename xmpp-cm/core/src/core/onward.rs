//! One server of several does not decide for its domain: when a stream ends before it was of any use,
//! the next server is tried before anything is said. RFC 6120 §3.2.1 asks for that where a connection
//! fails; a load balancer that accepts and closes, or a host that does not know its domain yet, is
//! nothing else to who writes.

use std::time::Instant;

use openfed_proto::packet::{Failure, TraceContext};

use super::conn::{Conn, DialKey, Dialed, Side};
use super::{Command, ConnId, Core, Endpoint, Fact, Found, Life, Target};
use crate::error;
use crate::peers::{Pair, State, Waiting};

/// Servers of one domain that a stream is begun with, as long as the time lasts.
const MAX_SERVERS: u8 = 4;

/// How far the search for a server of use has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    tried: Vec<Endpoint>,
    /// With how many a stream was begun.
    begun: u8,
    /// The most telling of what was found in vain.
    worst: Option<Failure>,
    /// There are others.
    more: bool,
}

impl Search {
    /// A connection came about.
    pub(super) fn found(&mut self, found: Found) {
        self.tried.extend(found.tried);
        self.begun += 1;
        self.more = found.more;
        if let Some(why) = found.missed {
            self.worst = Some(self.verdict(error::of_connecting(why)));
        }
    }

    /// The most telling failure, now that there is this one.
    fn verdict(&self, failure: Failure) -> Failure {
        error::most_telling(self.worst.clone(), failure)
    }
}

impl Conn {
    /// Where to go on if this is how the connection ends: nowhere, if it was of use, or if there is
    /// no other server.
    pub(super) fn onward(&self, failure: &Failure) -> Option<Search> {
        let Side::Dialed(dialed) = &self.side else { return None };
        let search = &dialed.search;
        let is_foreign = matches!(dialed.target, Target::Foreign(_));
        let others = search.more && search.begun < MAX_SERVERS;
        // What is found next says whether there are more.
        let onward = || Search {
            worst: Some(search.verdict(failure.clone())),
            more: false,
            ..Search::clone(search)
        };
        (is_foreign && others && !self.authenticated).then(onward)
    }

    /// What is told if this is how the connection ends.
    pub(super) fn verdict(&self, failure: Failure) -> Failure {
        match &self.side {
            Side::Dialed(dialed) => dialed.search.verdict(failure),
            Side::Accepted(_) => failure,
        }
    }
}

impl Core {
    pub(super) fn onward(&self, conn: ConnId, failure: &Failure) -> Option<Search> {
        self.conns.get(&conn)?.onward(failure)
    }

    pub(super) fn verdict(&self, conn: ConnId, failure: Failure) -> Failure {
        match self.conns.get(&conn) {
            Some(conn) => conn.verdict(failure),
            None => failure,
        }
    }

    /// A connection that leads there, and whether it was in use before; `None` without room.
    pub(super) fn connection(
        &mut self,
        pair: &Pair,
        target: &Target,
        trace: Option<TraceContext>,
        search: Search,
        now: Instant,
    ) -> Option<(ConnId, bool)> {
        let key = match target {
            Target::Home(home) if !self.alone.contains(home) => DialKey::Home(home.clone()),
            _ => DialKey::Pair(pair.clone()),
        };
        if let Some(conn) = self.dialed.get(&key) {
            return Some((*conn, self.conns.get(conn).is_some_and(Conn::is_ready)));
        }
        if self.conns.len() >= self.settings.limits.connections {
            return None;
        }
        let dialed = Dialed {
            target: target.clone(),
            key: key.clone(),
            first: pair.clone(),
            ready: false,
            told: false,
            search: Box::new(search),
        };
        let tried = dialed.search.tried.clone();
        let conn = self.add(Conn::new(None, Side::Dialed(dialed), now));
        self.dialed.insert(key, conn);
        self.note(Fact::Dialing { conn, domain: pair.remote.domain().clone(), trace });
        self.commands.push_back(Command::Connect { conn, target: target.clone(), tried });
        Some((conn, false))
    }

    /// What waited for a stream that was there before gets a fresh one, once; else it goes on to the
    /// next server, or fails.
    pub(super) fn redial_or_fail(
        &mut self,
        pair: Pair,
        failure: Failure,
        onward: Option<Search>,
        now: Instant,
    ) {
        let Some(State::Waiting(waiting)) = self.peers.remove(&pair) else { return };
        let Waiting { shared, deadline, trace, queue, .. } = waiting;
        let search = if shared { Some(Search::default()) } else { onward };
        match (self.domains.target(&pair), search) {
            (Ok(target), Some(search)) if self.life != Life::Stopped => {
                self.wait(pair.clone(), &target, (queue, deadline, trace), search, now);
                if let Some(waiting) = self.peers.waiting(&pair) {
                    waiting.shared = false;
                }
            }
            _ => self.fail_queue(pair, queue, failure, now),
        }
    }
}
