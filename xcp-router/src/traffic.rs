//! How much goes which way, minute by minute, and which domains fail: for the overview.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use openfed_proto::domain::Domain;
use openfed_proto::link::DomainUse;
use openfed_proto::packet::{Cause, Direction, Ending, Protocol};
use xcp_router_core::{Decision, Finished};

/// Domains whose last word was a failure; beyond, the oldest is forgotten.
const FAILING: usize = 100;

/// The ways a packet can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By SIP, at sip-cm alone: the domain was in its near cache.
    Straight,
    /// By SIP, to a domain that is known.
    Known,
    /// By SIP, to a domain that was discovered with this packet.
    Discovered,
    /// By XMPP.
    Xmpp,
    /// To a local user.
    Home,
    /// A rule or the operator refused it.
    Refused,
    /// It could not be delivered.
    Failed,
}

impl Way {
    pub(crate) const ALL: [Way; 7] = [
        Way::Straight,
        Way::Known,
        Way::Discovered,
        Way::Xmpp,
        Way::Home,
        Way::Refused,
        Way::Failed,
    ];

    fn of(finished: &Finished) -> Self {
        match (&finished.outcome.ending, finished.decision) {
            (Ending::Failed(_), Decision::Blocked | Decision::Refused) => Way::Refused,
            (Ending::Failed(_), _) => Way::Failed,
            _ if finished.direction != Direction::Outbound => Way::Home,
            (Ending::Delivered { by: Protocol::Xmpp, .. }, _) => Way::Xmpp,
            (_, Decision::Discover | Decision::Fallback) => Way::Discovered,
            _ => Way::Known,
        }
    }
}

/// Packets of one minute, by way.
pub(crate) type Counts = [u64; Way::ALL.len()];

/// A domain whose last word was a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failing {
    pub(crate) domain: Domain,
    pub(crate) condition: String,
    /// Microseconds since the Unix epoch.
    pub(crate) at_us: u64,
}

/// Counters that the engine feeds and pages read.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The minute that is counted now, and the one before.
    minute: u64,
    now: Counts,
    before: Counts,
    earlier: Counts,
    failing: HashMap<Domain, (String, u64)>,
}

impl Traffic {
    /// A packet ended.
    pub(crate) fn ended(&self, finished: &Finished) {
        let mut state = self.state();
        state.count(Way::of(finished), 1, finished.ended_us);
        let failed = match &finished.outcome.ending {
            // What a rule refuses says nothing about the domain.
            Ending::Failed(failure) if is_of_domain(failure.cause) => {
                Some(failure.condition.as_str())
            }
            Ending::Failed(_) => return,
            Ending::Delivered { .. } => None,
        };
        state.word(&finished.domain, failed, finished.ended_us);
    }

    /// Uses that a connection manager counted by itself.
    pub(crate) fn used(&self, uses: &[DomainUse], now_us: u64) {
        let mut state = self.state();
        for used in uses {
            state.count(Way::Straight, used.hits, now_us);
            state.word(&used.domain, used.last_failure.as_deref(), now_us);
        }
    }

    /// The last whole minute, and the one before it.
    pub(crate) fn minutes(&self, now_us: u64) -> (Counts, Counts) {
        let mut state = self.state();
        state.turn(now_us);
        (state.before, state.earlier)
    }

    /// Domains whose last word was a failure, the latest first.
    pub(crate) fn failing(&self, limit: usize) -> Vec<Failing> {
        let state = self.state();
        let failing = state.failing.iter().map(|(domain, (condition, at_us))| Failing {
            domain: domain.clone(),
            condition: condition.clone(),
            at_us: *at_us,
        });
        let mut failing: Vec<Failing> = failing.collect();
        failing.sort_by_key(|own| (std::cmp::Reverse(own.at_us), own.domain.clone()));
        failing.truncate(limit);
        failing
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a failure says something about the domain, and not about us or the packet.
fn is_of_domain(cause: Cause) -> bool {
    !matches!(cause, Cause::Busy | Cause::Leaving | Cause::Policy | Cause::Unmappable)
}

impl State {
    fn count(&mut self, way: Way, packets: u64, now_us: u64) {
        self.turn(now_us);
        if let Some(count) = self.now.get_mut(way as usize) {
            *count += packets;
        }
    }

    /// Begins a new minute, if one has begun.
    fn turn(&mut self, now_us: u64) {
        let minute = now_us / 60_000_000;
        match minute.saturating_sub(self.minute) {
            0 => return,
            1 => (self.earlier, self.before) = (self.before, self.now),
            2 => (self.earlier, self.before) = (self.now, Counts::default()),
            _ => (self.earlier, self.before) = Default::default(),
        }
        (self.minute, self.now) = (minute, Counts::default());
    }

    /// The last word about a domain.
    fn word(&mut self, domain: &Domain, failed: Option<&str>, now_us: u64) {
        let Some(condition) = failed else {
            if !self.failing.is_empty() {
                self.failing.remove(domain);
            }
            return;
        };
        if self.failing.len() >= FAILING && !self.failing.contains_key(domain) {
            let oldest = self.failing.iter().min_by_key(|(_, (_, at))| *at);
            if let Some(oldest) = oldest.map(|(domain, _)| domain.clone()) {
                self.failing.remove(&oldest);
            }
        }
        self.failing.insert(domain.clone(), (condition.to_owned(), now_us));
    }
}

#[cfg(test)]
mod tests;
