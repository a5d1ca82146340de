//! Asks home servers how they prepare addresses, and lets through only what they leave as it is.

use std::time::Instant;

use minidom::Element;
use openfed_proto::address::Address;
use openfed_proto::condition::Condition;
use openfed_proto::domain::Domain;
use openfed_proto::packet::Failure;

use super::{ConnId, Core, Fact};
use crate::error;
use crate::iq;
use crate::names::{Next, Question};
use crate::peers::Pair;
use crate::stanza::{Attributes, Head, set};
use crate::stream::{StreamCondition, StreamError};
use crate::xml::ns;

/// What the ids of our questions begin with: other instances know their answers by it.
const ID: &str = "openfed-names-";

impl Core {
    /// Whether the home server of the local one of both carries both addresses.
    pub(super) fn check_names(
        &self,
        from: &Address,
        to: &Address,
        now: Instant,
    ) -> Result<(), Failure> {
        let to_us = self.domains.is_local(to.domain());
        let home = if to_us { to.domain() } else { from.domain() };
        self.names.check(home, (from, to), now)
    }

    /// What an operator is told of a domain by each home server (its domain), if there is something.
    pub fn tell_names(
        &self,
        domain: &Domain,
        now: Instant,
    ) -> Vec<(Domain, Result<String, String>)> {
        self.names.tell(domain, now)
    }

    /// Whether the home server may not find the name that we would speak for, though it works. Then
    /// it is not waited for as long as for others.
    pub(super) fn may_miss(&self, pair: &Pair) -> bool {
        pair.local.special_use().is_some()
            && self.domains.is_local(&pair.remote)
            && self.peers.speaks_to(&pair.remote)
    }

    /// What the sender is told if the home server did not let us speak for such a name.
    pub(super) fn missed(&mut self, pair: &Pair, failure: Failure, now: Instant) -> Failure {
        let missed = self.may_miss(pair).then(|| self.names.miss(&pair.remote, &pair.local, now));
        missed.flatten().unwrap_or(failure)
    }

    /// A stanza came on a stream for other domains than it names. A home server writes so what its
    /// user typed to a domain of which it has made another one; nobody else does.
    pub(super) fn on_misaddressed(
        &mut self,
        conn: ConnId,
        pair: &Pair,
        stanza: Element,
        condition: StreamCondition,
        now: Instant,
    ) {
        if !self.domains.is_local(&pair.local) {
            if let Some(stream) = self.stream(conn) {
                stream.close_with_error(StreamError::new(condition));
            }
            return;
        }
        let checked = match Head::read(&stanza) {
            Ok(head) => self.check_names(&head.from, &head.to, now),
            Err(malformed) => {
                let failure = error::refused(malformed.condition());
                Err(failure.with_text(format!("recipient: {malformed}")))
            }
        };
        match checked {
            Ok(()) => self.on_stanza(conn, stanza, now),
            Err(failure) => self.answer_as(pair, &stanza, &failure, now),
        }
    }

    /// A stream to a home server is there: the first one is used to ask.
    pub(super) fn ask_names(&mut self, pair: &Pair) {
        if self.names.wonders(&pair.remote) {
            self.ask_about(pair, Question::SharpS);
        }
    }

    fn ask_about(&mut self, pair: &Pair, question: Question) {
        let Some(conn) = self.peers.route(pair) else { return };
        let (id, rest) = (format!("{ID}{}", self.random_id()), self.random_id().to_string());
        let local = self.names.asked(&pair.remote, question, (id.clone(), rest));
        let mut ask = Element::bare("iq", ns::CLIENT);
        set(&mut ask, "type", "get");
        set(&mut ask, "id", &id);
        set(&mut ask, "from", &pair.local.written());
        set(&mut ask, "to", &format!("{local}@{}", pair.remote.written()));
        ask.append_child(iq::ping());
        // Not taken: the next stream is asked.
        if self.stream(conn).is_some_and(|stream| stream.send(&ask).is_ok()) {
            self.dirty.insert(conn);
        }
    }

    /// Whether the stanza answers such a question.
    pub(super) fn settles_names(&mut self, pair: &Pair, stanza: &Element) -> bool {
        let Attributes { from: Some(from), id: Some(id), .. } = Attributes::of(stanza) else {
            return false;
        };
        if !is_ours(stanza) {
            return false;
        }
        let local = from.split_once('@').map_or("", |(local, _)| local);
        let condition = error::from_stanza(stanza).condition;
        let malformed = matches!(condition, Condition::JidMalformed | Condition::BadRequest);
        match self.names.answered(&pair.local, id, malformed, local) {
            Next::Nothing => return false,
            Next::Ask(question) => self.ask_about(&pair.reversed(), question),
            Next::Known(preparation) => {
                self.note(Fact::Names { home: pair.local.domain().clone(), preparation });
            }
        }
        true
    }
}

/// Whether it is the answer to a question of this or another instance.
pub(super) fn is_ours(stanza: &Element) -> bool {
    let written = Attributes::of(stanza);
    stanza.name() == "iq"
        && matches!(written.subtype, Some("result" | "error"))
        && written.id.is_some_and(|id| id.starts_with(ID))
}
