//! One connection, as the core sees it.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use openfed_proto::domain::Domain;

use super::Target;
use super::moment::Unwanted;
use super::onward::Search;
use super::places::Inbox;
use super::recent::Recent;
use crate::peers::Pair;
use crate::stream::{Phase, Stream};

/// A connection that more pairs may share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DialKey {
    /// All foreign domains towards one home server.
    Home(Domain),
    /// One pair of domains.
    Pair(Pair),
}

/// How the connection came about.
#[derive(Debug)]
pub(super) enum Side {
    /// The peer connected, from there.
    Accepted(SocketAddr),
    /// We connected.
    Dialed(Dialed),
}

#[derive(Debug)]
pub(super) struct Dialed {
    pub(super) target: Target,
    pub(super) key: DialKey,
    /// The pair of the stream's header.
    pub(super) first: Pair,
    /// Negotiated: dialback can begin.
    pub(super) ready: bool,
    /// How the dialing went has been noted.
    pub(super) told: bool,
    /// The servers of the target that were tried, this one included.
    pub(super) search: Box<Search>,
}

#[derive(Debug)]
pub(super) struct Conn {
    /// `None` as long as there is no connection.
    pub(super) stream: Option<Stream>,
    pub(super) side: Side,
    /// Pairs that use it or wait for it.
    pub(super) pairs: BTreeSet<Pair>,
    /// Somebody is authenticated on it.
    pub(super) authenticated: bool,
    /// When the last stanza went over it.
    pub(super) used: Instant,
    /// When the peer last gave a sign of life on it, or answered what was asked on it; at first when
    /// it was wanted.
    pub(super) heard: Instant,
    /// What was written last.
    pub(super) recent: Recent,
    /// Since when the peer has not said that it has what it counts.
    pub(super) uncounted: Option<Instant>,
    /// What came and was not taken yet.
    pub(super) inbox: Inbox,
    /// It is to end, but it is not the moment.
    pub(super) unwanted: Option<Unwanted>,
    /// When its timer is set to.
    pub(super) armed: Option<Instant>,
}

impl Conn {
    pub(super) fn new(stream: Option<Stream>, side: Side, now: Instant) -> Self {
        Self {
            stream,
            side,
            pairs: BTreeSet::new(),
            authenticated: false,
            used: now,
            heard: now,
            recent: Recent::default(),
            uncounted: None,
            inbox: Inbox::default(),
            unwanted: None,
            armed: None,
        }
    }

    pub(super) fn is_accepted(&self) -> bool {
        matches!(self.side, Side::Accepted(_))
    }

    /// Where the peer connected from.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match &self.side {
            Side::Accepted(peer) => Some(*peer),
            Side::Dialed(_) => None,
        }
    }

    pub(super) fn dialed(&mut self) -> Option<&mut Dialed> {
        match &mut self.side {
            Side::Dialed(dialed) => Some(dialed),
            Side::Accepted(_) => None,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(&self.side, Side::Dialed(dialed) if dialed.ready)
    }

    /// Nothing but use keeps it open from now on; before, the stream has deadlines of its own.
    pub(super) fn is_negotiated(&self) -> bool {
        self.authenticated || self.is_ready()
    }

    pub(super) fn phase(&self) -> Phase {
        self.stream.as_ref().map_or(Phase::Header, Stream::phase)
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_encrypted)
    }
}

/// Deadlines that are all equally far away, so that the first set is the first due.
#[derive(Debug)]
pub(super) struct Deadlines<T>(VecDeque<(Instant, T)>);

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Deadlines<T> {
    pub(super) fn push(&mut self, at: Instant, what: T) {
        self.0.push_back((at, what));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.front().map(|(at, _)| *at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_front().map(|(_, what)| what)
    }
}
