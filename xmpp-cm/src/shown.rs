//! What the core does, as spans, metrics and log lines.
//!
//! ```text
//!   packet submitted ── xmpp.receive, xcp.send ─▶ Fact::Ended
//!   attempt taken ───── xmpp.deliver ──────────▶ its ending sent
//!                         └─ xmpp.connect ─────▶ Fact::Dialed
//! ```

use std::collections::HashMap;

use openfed_node::telemetry::{Kind, Span, Tracer};
use openfed_proto::domain::Domain;
use openfed_proto::link::{AttemptEnded, FromCm, FromRouter};
use openfed_proto::packet::{Ending, Packet, PacketId};
use xmpp_cm_core::core::{ConnId, Fact};

/// The spans under way. Of an unsampled packet there is none.
pub(crate) struct Shown {
    tracer: Tracer,
    received: HashMap<PacketId, Received>,
    attempts: HashMap<PacketId, Span>,
    dials: HashMap<ConnId, Span>,
}

struct Received {
    whole: Span,
    sending: Span,
}

impl Shown {
    pub(crate) fn new(tracer: Tracer) -> Self {
        Shown { tracer, received: HashMap::new(), attempts: HashMap::new(), dials: HashMap::new() }
    }

    /// A frame comes: an attempt begins its span, and goes on under it.
    pub(crate) fn arriving(&mut self, frame: &mut FromRouter) {
        let FromRouter::Attempt(attempt) = frame else { return };
        let mut span = self.tracer.span("xmpp.deliver", Kind::Send, attempt.packet.trace);
        if !span.is_recording() {
            return;
        }
        describe(&mut span, &attempt.packet);
        span.set("xcp.attempt", i64::from(attempt.number));
        attempt.packet.trace = span.context();
        // A repeated attempt takes the place of the one before.
        self.attempts.insert(attempt.packet.id, span);
    }

    /// A frame goes: a packet gets its trace, an ending ends the span of its attempt.
    pub(crate) fn leaving(&mut self, frame: &mut FromCm, known: impl Fn(&Domain) -> bool) {
        match frame {
            FromCm::Submit { packet, .. } => self.submit(packet, known),
            FromCm::Ended(AttemptEnded { outcome, .. }) => {
                self.delivered(outcome.id, &outcome.ending);
            }
            FromCm::Hello(_)
            | FromCm::Credit(_)
            | FromCm::Usage(_)
            | FromCm::Leaving(_)
            | FromCm::Ask(_)
            | FromCm::Astray(_) => {}
        }
    }

    fn delivered(&mut self, id: PacketId, ending: &Ending) {
        count("xmpp.deliver", ending);
        if let Some(span) = self.attempts.remove(&id) {
            end(span, ending);
        }
    }

    fn submit(&mut self, packet: &mut Packet, known: impl Fn(&Domain) -> bool) {
        if let Some(received) = self.received.get(&packet.id) {
            // It goes once more, over another link.
            packet.trace = received.sending.context();
            return;
        }
        let may_be_discovery = !known(packet.foreign());
        let mut whole = self.tracer.begin("xmpp.receive", Kind::Receive, may_be_discovery);
        let mut sending = self.tracer.span("xcp.send", Kind::Send, whole.context());
        packet.trace = sending.context();
        if whole.is_recording() {
            describe(&mut whole, packet);
            describe(&mut sending, packet);
            self.received.insert(packet.id, Received { whole, sending });
        }
    }

    pub(crate) fn show(&mut self, fact: Fact) {
        match fact {
            Fact::Dialing { conn, domain, trace } => {
                let mut span =
                    self.tracer.span("xmpp.connect", Kind::Send, trace.unwrap_or_default());
                if span.is_recording() {
                    span.set("xcp.domain", domain.as_str().to_owned());
                    self.dials.insert(conn, span);
                }
            }
            Fact::Dialed { conn, failure } => {
                let result = failure.as_ref().map_or("ok", |failure| failure.condition.as_str());
                metrics::counter!("openfed_xmpp_dials_total", "result" => result).increment(1);
                if let (Some(mut span), Some(failure)) = (self.dials.remove(&conn), failure) {
                    span.fail(failure.condition.as_str());
                }
            }
            Fact::Up { local, remote, encrypted } => {
                tracing::info!(%local, %remote, encrypted, "stream up");
            }
            Fact::Down { local, remote } => tracing::info!(%local, %remote, "stream down"),
            Fact::Refused { claimed, condition } => {
                let claimed = claimed.as_ref().map_or("-", Domain::as_str);
                tracing::info!(claimed, condition, "peer refused");
                metrics::counter!("openfed_xmpp_refused_total").increment(1);
            }
            Fact::Ended { id, ending } => {
                count("xmpp.receive", &ending);
                if let Some(Received { whole, sending }) = self.received.remove(&id) {
                    end(sending, &ending);
                    end(whole, &ending);
                }
            }
            Fact::Unheard { id, ending } => self.delivered(id, &ending),
            Fact::Passed { .. } => metrics::counter!("openfed_xmpp_passed_total").increment(1),
            Fact::Answered { condition } => {
                metrics::counter!("openfed_xmpp_answered_total", "condition" => condition)
                    .increment(1);
            }
            Fact::LateError => metrics::counter!("openfed_xmpp_late_errors_total").increment(1),
            Fact::FenceExpired { domain } => {
                tracing::warn!(%domain, "the server did not answer a ping in time");
            }
        }
    }
}

fn describe(span: &mut Span, packet: &Packet) {
    span.set("xcp.packet.id", packet.id.to_string());
    span.set("xcp.conversation", format!("{:016x}", packet.conversation.0));
    span.set("xcp.domain", packet.foreign().as_str().to_owned());
}

fn end(mut span: Span, ending: &Ending) {
    if let Ending::Failed(failure) = ending {
        span.fail(failure.condition.as_str());
    }
}

fn count(stage: &'static str, ending: &Ending) {
    let result = match ending {
        Ending::Delivered { .. } => "ok",
        Ending::Failed(failure) => failure.condition.as_str(),
    };
    metrics::counter!("openfed_xmpp_stages_total", "stage" => stage, "result" => result)
        .increment(1);
}
