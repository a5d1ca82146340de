//! Whether a dialog may go on (rules §2: while no new domain is let in, the removal of a row ends
//! the sessions of its domain), and where to.
//!
//! ```text
//! request of a dialog ─┬─ open, configured, cached, BYE ─────────▶ follows its dialog
//!                      └─ else: ask a router ─▶ verdict ─┬─ known ─▶ follows its dialog
//!                                                        └─ not ───▶ 404 outbound, 403 inbound
//! ```

use std::time::{Duration, Instant};

use openfed_proto::domain::Domain;
use openfed_proto::link::FromCm;
use openfed_proto::packet::Direction;

use super::{Core, Due};
use crate::command::{Arrival, Hop, RouterId};
use crate::edge::Trust;
use crate::random::{Seed, Table};
use crate::rule::Rule;
use crate::status::Refusal;
use crate::transaction::ServerId;

/// A router answers from memory.
const PATIENCE: Duration = Duration::from_secs(2);

/// Requests of dialogs that wait for a router's word, by foreign domain. As many at most as there
/// are requests without answer.
#[derive(Debug)]
pub(super) struct Standing {
    asked: Table<Domain, Question>,
}

#[derive(Debug)]
struct Question {
    router: RouterId,
    waiting: Vec<(ServerId, Direction)>,
}

impl Standing {
    pub(super) fn new(seed: Seed) -> Self {
        Standing { asked: Table::with_hasher(seed) }
    }
}

impl Core {
    pub(super) fn follow_if_standing(
        &mut self,
        id: ServerId,
        foreign: Option<Domain>,
        direction: Direction,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(domain) = foreign.filter(|domain| !self.stands(id, domain, now)) else {
            return self.follow_dialog(id, now);
        };
        if let Some(question) = self.standing.asked.get_mut(&domain) {
            question.waiting.push((id, direction));
            return Ok(());
        }
        // Without a router known domains go on, and a dialog was known once.
        let Some(router) = self.links.first() else { return self.follow_dialog(id, now) };
        let question = Question { router, waiting: vec![(id, direction)] };
        self.standing.asked.insert(domain.clone(), question);
        self.timers.set(now + PATIENCE, Due::Asked(id));
        self.tell_router(router, FromCm::Ask(domain));
        Ok(())
    }

    fn stands(&self, id: ServerId, domain: &Domain, now: Instant) -> bool {
        let ends = self.requests.get(&id).is_some_and(|request| &*request.method == "BYE");
        let routes = &self.policy.routes;
        ends || routes.is_open() || routes.configures(domain) || self.cache.knows(domain, now)
    }

    /// A router said whether `domain` is known.
    pub(super) fn on_verdict(&mut self, domain: Domain, sip: bool, lease: Duration, now: Instant) {
        self.answer_question(&domain, sip, now);
        self.cache.learn(domain, sip, lease, now);
    }

    fn answer_question(&mut self, domain: &Domain, sip: bool, now: Instant) {
        let Some(question) = self.standing.asked.remove(domain) else { return };
        for (id, direction) in question.waiting {
            let done = match direction {
                _ if sip => self.follow_dialog(id, now),
                Direction::Inbound => Err(Refusal::Forbidden(Rule::Removed)),
                Direction::Outbound | Direction::Internal => Err(Refusal::NotFound),
            };
            if let Err(refusal) = done {
                self.refuse(id, &refusal, now);
            }
        }
    }

    /// No word came: what was known once goes on.
    pub(super) fn verdict_due(&mut self, first: ServerId, now: Instant) {
        let by_first = |question: &Question| question.waiting.iter().any(|(id, _)| *id == first);
        let asked = self.standing.asked.iter().find(|(_, question)| by_first(question));
        if let Some(domain) = asked.map(|(domain, _)| domain.clone()) {
            self.answer_question(&domain, true, now);
        }
    }

    /// The router that was asked is gone.
    pub(super) fn ask_elsewhere(&mut self, lost: RouterId, now: Instant) {
        let next = self.links.first();
        let mut again = Vec::new();
        for (domain, question) in &mut self.standing.asked {
            if question.router == lost {
                question.router = next.unwrap_or(lost);
                again.push(domain.clone());
            }
        }
        for domain in again {
            match next {
                Some(router) => self.tell_router(router, FromCm::Ask(domain)),
                None => self.answer_question(&domain, true, now),
            }
        }
    }

    /// Whether a request of a dialog would go from one foreign party to another (rules §3, row 1).
    /// Tags and domains of a dialog are only what its sender says; so what a next hop sends may
    /// only go to where our users can be.
    pub(super) fn would_relay(&self, arrival: &Arrival, hop: &Hop) -> bool {
        let ours = self.config.trusted.contains(hop.address.ip());
        self.trust_in(arrival) != Trust::Operator && !ours
    }
}
