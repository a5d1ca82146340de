//! Whether a home server can prove delivery.
//!
//! A fence is worth what the server makes of it: the answer to its ping proves that what came before
//! was taken only if the server says of a message to nobody that there is nobody, and says it before.
//! COMPAT(Vysper): it throws such messages away, tells nobody, and answers the ping behind them.
//! So the first stream to a home server carries a message to a user that cannot exist, and its fence
//! ends as that of any other.

use std::time::Instant;

use minidom::Element;
use openfed_proto::domain::Domain;
use openfed_proto::link::Instruction;
use openfed_proto::packet::{Cause, Failure, PacketId};

use super::{Core, Fact};
use crate::error;
use crate::fence::{Line, Written};
use crate::peers::Pair;
use crate::stanza::{Head, set};
use crate::xml::ns;

/// What is known about one home server.
#[derive(Debug)]
pub(super) struct Proof {
    asked: Instant,
    /// The question, as long as it is open.
    open: Option<PacketId>,
    proves: Option<bool>,
}

impl Core {
    /// A stream to a home server is there: if it is not known what its fences are worth, it is tried.
    pub(super) fn ask_proof(&mut self, pair: &Pair, now: Instant) {
        let home = pair.remote.domain();
        if !self.settings.ask_proof || !self.domains.is_local(home) {
            return;
        }
        let again = self.settings.timing.idle;
        let is_due = |proof: &Proof| proof.proves != Some(true) && now >= proof.asked + again;
        if self.proofs.get(home).is_some_and(|proof| !is_due(proof)) {
            return;
        }
        let Some(conn) = self.peers.route(pair) else { return };
        let (packet, id, nobody) = (self.random_id(), self.random_id(), self.random_id());
        let mut stanza = Element::bare("message", ns::CLIENT);
        set(&mut stanza, "type", "chat");
        set(&mut stanza, "id", &id.to_string());
        set(&mut stanza, "from", &format!("openfed@{}", pair.local.written()));
        set(&mut stanza, "to", &format!("{nobody}@{}", pair.remote.written()));
        let mut body = Element::bare("body", ns::CLIENT);
        body.append_text(
            "This is for nobody. If somebody reads it, the server has no users of its own.",
        );
        stanza.append_child(body);
        let Ok(Head { from, to, .. }) = Head::read(&stanza) else { return };
        // Not taken: the next stream is tried.
        if self.stream(conn).is_none_or(|stream| stream.send(&stanza).is_err()) {
            return;
        }
        self.dirty.insert(conn);
        let proves = self.proofs.get(home).and_then(|proof| proof.proves);
        let proof = Proof { asked: now, open: Some(packet), proves };
        self.proofs.insert(home.clone(), proof);
        let key = (packet, Instruction::Home);
        let written = Written { key, id: id.to_string(), from, to, refused: None };
        self.fences.wrote(Line { pair: pair.clone(), conn }, written, now);
    }

    /// Something ended. If it was such a question, what is known now is told when it is news.
    pub(super) fn settle_proof(&mut self, packet: PacketId, how: &Result<(), Failure>) {
        let is_it = |(_, proof): &(&Domain, &mut Proof)| proof.open == Some(packet);
        let Some((home, proof)) = self.proofs.iter_mut().find(is_it) else { return };
        proof.open = None;
        let proves = match how {
            Ok(()) => false,
            // Not that nothing was heard, or that the whole domain is away.
            Err(failure) if failure.cause == Cause::Remote && *failure != error::away() => true,
            Err(_) => return,
        };
        if proof.proves.replace(proves) != Some(proves) {
            let home = home.clone();
            self.note(Fact::Proof { home, proves });
        }
    }
}
