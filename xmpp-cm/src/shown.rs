//! What the core does, as spans, metrics and log lines.
//!
//! ```text
//!   packet submitted ── xmpp.receive, xcp.send ─▶ Fact::Ended
//!   attempt taken ───── xmpp.deliver ──────────▶ its ending sent
//!                         └─ xmpp.connect ─────▶ Fact::Dialed
//! ```

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use openfed_node::http::Health;
use openfed_node::telemetry::{Kind, Span, Tracer};
use openfed_proto::domain::Domain;
use openfed_proto::link::{AttemptEnded, FromCm, FromRouter};
use openfed_proto::packet::{Ending, Packet, PacketId, TraceContext};
use xmpp_cm_core::core::{ConnId, Fact};

use crate::refusals::Refusals;

/// What may work badly: the home servers' part.
const HOME: &str = "home";
/// What may work badly: whether the answers of home servers are to be believed.
const DELIVERY: &str = "delivery";

/// The spans under way. Of an unsampled packet there is none.
pub(crate) struct Shown {
    tracer: Tracer,
    received: HashMap<PacketId, Received>,
    attempts: HashMap<PacketId, Span>,
    dials: HashMap<ConnId, Dial>,
    homes: HashSet<Domain>,
    /// Where they are.
    addresses: HashSet<IpAddr>,
    refusals: Refusals,
    /// Home servers that cannot prove delivery.
    unproven: BTreeSet<Domain>,
    health: Health,
}

struct Dial {
    /// An empty shell if the packet is not sampled.
    span: Span,
    peer: &'static str,
}

struct Received {
    whole: Span,
    sending: Span,
}

impl Shown {
    /// Peers of these domains are home servers.
    pub(crate) fn new(tracer: Tracer, homes: impl Iterator<Item = Domain>, health: Health) -> Self {
        let homes = homes.collect();
        // There from the start: whoever watches sees the first one as an increase.
        metrics::counter!("openfed_xmpp_dials_total", "peer" => "home", "result" => "ok")
            .increment(0);
        let (received, attempts, dials) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (refusals, addresses) = (Refusals::default(), HashSet::new());
        let unproven = BTreeSet::new();
        Shown { tracer, received, attempts, dials, homes, addresses, refusals, unproven, health }
    }

    /// Pairs of domains between which stanzas can flow.
    fn pairs(&self, remote: &Domain) -> metrics::Gauge {
        metrics::gauge!("openfed_xmpp_pairs", "peer" => self.peer(remote))
    }

    fn dialed(&mut self, conn: ConnId, condition: Option<&'static str>) {
        let Some(Dial { mut span, peer }) = self.dials.remove(&conn) else { return };
        let result = condition.unwrap_or("ok");
        metrics::counter!("openfed_xmpp_dials_total", "peer" => peer, "result" => result)
            .increment(1);
        condition.into_iter().for_each(|condition| span.fail(condition));
    }

    fn peer(&self, remote: &Domain) -> &'static str {
        if self.homes.contains(remote) { "home" } else { "foreign" }
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
            | FromCm::Refused(_)
            | FromCm::Leaving(_)
            | FromCm::Serving
            | FromCm::Ask(_)
            | FromCm::Acknowledged(_)
            | FromCm::Astray(_)
            | FromCm::Streams { .. }
            | FromCm::Recalled { .. }
            | FromCm::Tried { .. } => {}
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

    fn refused(&mut self, peer: Option<SocketAddr>, claimed: Option<Domain>, condition: String) {
        let from = peer.map(|peer| peer.ip().to_canonical());
        if let Some(untold) = self.refusals.tells(from, &condition, Instant::now()) {
            let claimed = claimed.as_ref().map_or("-", Domain::as_str);
            let address = peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string());
            tracing::info!(address, claimed, condition, untold, "XMPP peer refused");
        }
        if from.is_some_and(|ip| self.addresses.contains(&ip)) && is_malformed(&condition) {
            let reason = format!("a stream that it opened was refused as {condition}");
            self.health.degrade(HOME, reason);
        }
        metrics::counter!("openfed_xmpp_refused_total", "condition" => condition).increment(1);
    }

    fn proof(&mut self, home: Domain, proves: bool) {
        if proves {
            tracing::info!(%home, "the home server says when there is no such user");
            self.unproven.remove(&home);
        } else {
            self.unproven.insert(home);
        }
        let homes: Vec<&str> = self.unproven.iter().map(Domain::as_str).collect();
        if homes.is_empty() {
            return self.health.recover(DELIVERY);
        }
        let homes = homes.join(", ");
        self.health.degrade(
            DELIVERY,
            format!(
                "the home server of {homes} cannot prove delivery: it throws messages to users that \
                 do not exist away and says nothing, so what is told as delivered may be lost"
            ),
        );
    }

    /// Where the home servers are just now.
    pub(crate) fn know_homes(&mut self, addresses: &[IpAddr]) {
        self.addresses = addresses.iter().map(IpAddr::to_canonical).collect();
    }

    fn dialing(&mut self, conn: ConnId, domain: &Domain, trace: Option<TraceContext>) {
        let mut span = self.tracer.span("xmpp.connect", Kind::Send, trace.unwrap_or_default());
        if span.is_recording() {
            span.set("xcp.domain", domain.as_str().to_owned());
        }
        self.dials.insert(conn, Dial { span, peer: self.peer(domain) });
    }

    pub(crate) fn show(&mut self, fact: Fact) {
        match fact {
            Fact::Dialing { conn, domain, trace } => self.dialing(conn, &domain, trace),
            Fact::Dialed { conn, failure } => {
                self.dialed(conn, failure.map(|failure| failure.condition.as_str()));
            }
            Fact::Up { local, remote, encrypted } => {
                tracing::info!(%local, %remote, encrypted, "stream up");
                if self.homes.contains(&remote) {
                    self.health.recover(HOME);
                }
                self.pairs(&remote).increment(1.0);
            }
            Fact::Down { local, remote } => {
                tracing::info!(%local, %remote, "stream down");
                self.pairs(&remote).decrement(1.0);
            }
            Fact::Refused { peer, claimed, condition } => self.refused(peer, claimed, condition),
            Fact::Proof { home, proves } => self.proof(home, proves),
            Fact::Names { home, preparation } => {
                tracing::info!(%home, %preparation, "how the home server prepares addresses");
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
            Fact::Unanswered => metrics::counter!("openfed_xmpp_unanswered_total").increment(1),
            Fact::Unsaid => metrics::counter!("openfed_xmpp_unsaid_total").increment(1),
            Fact::LateError => metrics::counter!("openfed_xmpp_late_errors_total").increment(1),
            Fact::Ignored { domain } => {
                let peer = self.peer(&domain);
                metrics::counter!("openfed_xmpp_ignored_total", "peer" => peer).increment(1);
                tracing::debug!(%domain, "something that has no place on a stream of ours");
            }
            Fact::Silent { domain } => {
                let peer = domain.as_ref().map_or("foreign", |domain| self.peer(domain));
                let domain = domain.as_ref().map_or("-", Domain::as_str);
                tracing::info!(domain, "closing a stream on which nothing comes any more");
                metrics::counter!("openfed_xmpp_silent_total", "peer" => peer).increment(1);
            }
            Fact::FenceExpired { domain } => {
                let peer = self.peer(&domain);
                metrics::counter!("openfed_xmpp_fences_expired_total", "peer" => peer).increment(1);
                tracing::warn!(%domain, "the server did not answer a ping in time");
            }
        }
    }
}

/// A stream that no peer could open, whoever it is: a fault of that server, not of this moment.
fn is_malformed(condition: &str) -> bool {
    matches!(
        condition,
        "improper-addressing"
            | "invalid-namespace"
            | "unsupported-version"
            | "unsupported-encoding"
            | "bad-format"
            | "not-well-formed"
            | "restricted-xml"
            | "tls-failed"
    )
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
