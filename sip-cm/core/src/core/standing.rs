//! What only a router can say of a domain before a request goes on: whether a dialog may (rules §2:
//! while no new domain is let in, the removal of a row ends the sessions of its domain), and whether
//! a next hop may speak for a domain below one of ours (§3 step 2: if the operator configured it).
//!
//! ```text
//! request of a dialog ─┬─ open, configured, cached, BYE ─────────▶ follows its dialog
//!                      └─ else: ask a router ─▶ verdict ─┬─ known ─▶ follows its dialog
//!                                                        └─ not ───▶ 404 outbound, 403 inbound
//! from a subdomain ────┬─ configured, cached, BYE ───────────────▶ goes on
//!                      └─ else: ask a router ─▶ verdict ─┬─ known ─▶ goes on
//!                                                        └─ not ───▶ 403
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
    waiting: Vec<(ServerId, Doubt)>,
}

/// What a request waits to know.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doubt {
    /// Whether its dialog may go on.
    Dialog(Direction),
    /// Whether its sender may speak for a domain below one of ours.
    Subdomain,
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
        let Some((domain, doubt)) = foreign.and_then(|it| self.doubt(id, it, direction, now))
        else {
            return self.follow_dialog(id, now);
        };
        self.ask(id, domain, doubt, now)
    }

    /// The request goes on when a router has said that the domain is known.
    pub(super) fn ask(
        &mut self,
        id: ServerId,
        domain: Domain,
        doubt: Doubt,
        now: Instant,
    ) -> Result<(), Refusal> {
        if let Some(question) = self.standing.asked.get_mut(&domain) {
            question.waiting.push((id, doubt));
            return Ok(());
        }
        let Some(router) = self.links.first() else { return self.without_word(id, doubt, now) };
        let question = Question { router, waiting: vec![(id, doubt)] };
        self.standing.asked.insert(domain.clone(), question);
        self.timers.set(now + PATIENCE, Due::Asked(id));
        self.tell_router(router, FromCm::Ask(domain));
        Ok(())
    }

    /// What is in doubt about a request of a dialog.
    fn doubt(
        &self,
        id: ServerId,
        domain: Domain,
        direction: Direction,
        now: Instant,
    ) -> Option<(Domain, Doubt)> {
        let request = self.requests.get(&id)?;
        let routes = &self.policy.routes;
        if &*request.method == "BYE" || routes.configures(&domain) || self.cache.knows(&domain, now)
        {
            return None;
        }
        let inbound = direction == Direction::Inbound;
        if inbound && self.is_for_subdomain(&domain, &request.arrival) {
            return Some((domain, Doubt::Subdomain));
        }
        (!routes.is_open()).then_some((domain, Doubt::Dialog(direction)))
    }

    /// Whether a next hop speaks for a domain below one of ours: to whoever reads it, that is us.
    pub(super) fn is_for_subdomain(&self, domain: &Domain, arrival: &Arrival) -> bool {
        self.config.is_below_local(domain) && self.trust_in(arrival) != Trust::Operator
    }

    /// A router said whether `domain` is known.
    pub(super) fn on_verdict(&mut self, domain: Domain, sip: bool, lease: Duration, now: Instant) {
        self.answer_question(&domain, Some(sip), now);
        self.cache.learn(domain, sip, lease, now);
    }

    /// `None`: no word will come.
    fn answer_question(&mut self, domain: &Domain, sip: Option<bool>, now: Instant) {
        let Some(question) = self.standing.asked.remove(domain) else { return };
        for (id, doubt) in question.waiting {
            let done = match (sip, doubt) {
                (None, doubt) => self.without_word(id, doubt, now),
                (Some(true), Doubt::Dialog(_)) => self.follow_dialog(id, now),
                (Some(true), Doubt::Subdomain) => self.go_on_as_configured(id, now),
                (_, Doubt::Subdomain) => Err(Refusal::Forbidden(Rule::Subdomain)),
                (_, Doubt::Dialog(Direction::Inbound)) => Err(Refusal::Forbidden(Rule::Removed)),
                (_, Doubt::Dialog(_)) => Err(Refusal::NotFound),
            };
            if let Err(refusal) = done {
                self.refuse(id, &refusal, now);
            }
        }
    }

    /// Without a router known domains go on, and a dialog was known once; but nobody can tell
    /// whether the operator has configured a subdomain.
    fn without_word(&mut self, id: ServerId, doubt: Doubt, now: Instant) -> Result<(), Refusal> {
        match doubt {
            Doubt::Dialog(_) => self.follow_dialog(id, now),
            Doubt::Subdomain => Err(Refusal::Busy),
        }
    }

    /// No word came.
    pub(super) fn verdict_due(&mut self, first: ServerId, now: Instant) {
        let by_first = |question: &Question| question.waiting.iter().any(|(id, _)| *id == first);
        let asked = self.standing.asked.iter().find(|(_, question)| by_first(question));
        if let Some(domain) = asked.map(|(domain, _)| domain.clone()) {
            self.answer_question(&domain, None, now);
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
                None => self.answer_question(&domain, None, now),
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
