//! Requests without a transaction: the ACK for a 2xx.

use std::time::Instant;

use openfed_proto::route::Transport;

use super::{Core, Purpose};
use crate::command::{Arrival, Command, Fact, Hop, Token};
use crate::edge::Way;
use crate::proxy;
use crate::status::Refusal;
use crate::wire::Message;

impl Core {
    /// The ACK for a 2xx follows its dialog, without a transaction (RFC 3261 §16.11).
    pub(super) fn on_ack(&mut self, message: &Message, arrival: &Arrival, now: Instant) {
        let way = self.edge(now).decide(message, self.trust_in(arrival));
        if !matches!(way, Ok(Way::Dialog { .. })) {
            return self.fact(Fact::Discarded { reason: "stray ACK" });
        }
        let (base, next) = match self.along_dialog(message) {
            Ok((base, next_hops)) => (base, next_hops.into_iter().next()),
            Err(Refusal::NoDialog) => return self.fact(Fact::Discarded { reason: "stray ACK" }),
            Err(_) => return self.fact(Fact::Discarded { reason: "ACK leads nowhere" }),
        };
        let Some(next) = next else { return };
        if let Some(mut hop) = next.address() {
            // The connection that its INVITE went over.
            hop.name = proxy::certificate_name(&next).filter(|_| hop.transport == Transport::Tls);
            return self.send_stateless(&base, arrival, hop);
        }
        let token = Token(self.transactions.fresh_id());
        self.resolving.insert(token, Purpose::Stateless(Box::new(base), *arrival));
        let (host, port, transport) = (next.host, next.port, next.transport);
        self.commands.push_back(Command::Resolve { token, host, port, transport });
    }

    pub(super) fn send_stateless(&mut self, base: &Message, arrival: &Arrival, hop: Hop) {
        if self.config.is_own_listener(&hop) || proxy::is_origin(base, arrival, &hop) {
            return self.fact(Fact::Discarded { reason: "would come back" });
        }
        if self.would_relay(arrival, &hop) {
            return self.fact(Fact::Discarded { reason: "no relay" });
        }
        let hash = proxy::loops::routing_hash(base);
        let branch = proxy::loops::forward_branch(&self.random.token(), hash);
        let ready = proxy::outgoing(base, &self.config, arrival.transport, &hop, &branch);
        self.transactions.send_stateless(ready.to_bytes(), hop);
    }
}
