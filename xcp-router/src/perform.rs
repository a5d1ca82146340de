//! Does what the core commands: frames, spans, rows, counters, log lines.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use openfed_node::http::Health;
use openfed_node::link::{LinkId as NodeLinkId, LinkServer, NotSent};
use openfed_node::store::{Store, StoreError};
use openfed_node::telemetry::{Kind, Span, Tracer};
use openfed_proto::domain::Domain;
use openfed_proto::link::{Attempt, DomainUse, FromRouter};
use openfed_proto::packet::{Conversation, Ending, PacketId, TraceContext};
use openfed_proto::route::DomainRow;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use xcp_router_core::{Command, Decision, Event, Finished, LinkId};

use crate::asking::{self, Answer, Asking};
use crate::store::insert_result;
use crate::{Insight, now};

/// The store keeps to 250 ms itself; this is for a store that does not.
const STORE: Duration = Duration::from_millis(300);
/// Inserts that may be under way; the core's rates allow fewer.
const INSERTS: usize = 1_024;

/// The world as the core acts on it.
#[derive(Debug)]
pub(crate) struct Performer {
    links: LinkServer,
    store: Arc<dyn Store>,
    /// Where the store is spoken to.
    beside: Handle,
    tracer: Tracer,
    insight: Insight,
    health: Health,
    /// Spans of attempts under way, of sampled packets only.
    spans: HashMap<PacketId, Span>,
    answers: mpsc::Sender<Answer>,
    asking: Asking,
}

impl Performer {
    /// The receiver gets what the store answers. `node` is this router's name.
    pub(crate) fn new(
        links: LinkServer,
        (store, beside): (Arc<dyn Store>, Handle),
        tracer: Tracer,
        insight: Insight,
        (health, node): (Health, String),
    ) -> (Self, mpsc::Receiver<Answer>) {
        let (answers, results) = mpsc::channel(INSERTS);
        let spans = HashMap::new();
        let asking = Asking::new(node, (store.clone(), beside.clone()), answers.clone());
        (Self { links, store, beside, tracer, insight, health, spans, answers, asking }, results)
    }

    /// Lets what is queued go out, and the last spans.
    pub(crate) async fn close(self) {
        self.links.close().await;
        self.tracer.shutdown().await;
    }

    /// Does one command; never waits.
    pub(crate) fn perform(&mut self, command: Command) {
        match command {
            Command::Send { link, frame } => self.send(link, frame),
            Command::Attempt { link, attempt, decision } => self.attempt(link, attempt, decision),
            Command::AttemptOver { id, condition, .. } => self.attempt_over(id, condition),
            Command::Finished(finished) => self.finished(*finished),
            Command::Refused(refused) if refused.show => self.insight.flows.add(&refused),
            Command::Refused(_) => {}
            Command::Insert { id, row, cap } => self.insert(id, row, cap),
            Command::FindDue { now, limit } => self.asking.find_due(now, limit),
            Command::Claim { id, domain, due, next } => self.asking.claim(id, domain, due, next),
            Command::Settle { domain, settled } => self.asking.settle(domain, settled),
            Command::Touch(uses) => self.touch(uses),
            Command::Discard(rows) => drop(self.beside.spawn_blocking(move || drop(rows))),
            Command::Close { link, reason } => {
                tracing::info!(link = link.0, reason, "link closed");
                self.links.close_link(NodeLinkId(link.0));
            }
            Command::Health { part, problem: Some(problem) } => self.health.degrade(part, problem),
            Command::Health { part, problem: None } => self.health.recover(part),
            Command::Streams { node, streams, total } => {
                self.insight.streams.heard(node, streams, total)
            }
            Command::Tried { node, number, steps } => {
                self.insight.trials.heard(node, number, steps);
            }
            Command::Event(event) => log(&event),
        }
    }

    /// A connection manager has counted traffic that passed no router.
    pub(crate) fn count(&self, uses: &[DomainUse]) {
        self.insight.traffic.used(uses, now().unix_us);
    }

    /// What `/readyz` answers.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.health.set_ready(ready);
    }

    pub(crate) fn store_is_down(&self) {
        let effect = "the store does not answer: known domains go on, unknown ones are put off";
        self.health.degrade("store", effect);
    }

    pub(crate) fn store_is_up(&self) {
        self.health.recover("store");
    }

    #[allow(clippy::cast_precision_loss, reason = "gauges are floating point")]
    /// How much there is right now.
    pub(crate) fn gauge(&self, in_flight: usize, rows: usize) {
        gauge!("openfed_router_packets_in_flight").set(in_flight as f64);
        gauge!("openfed_router_domains").set(rows as f64);
    }

    fn send(&self, link: LinkId, frame: FromRouter) {
        let link = NodeLinkId(link.0);
        // A peer that leaves thousands of frames unread is as good as gone; what
        // was on its link then goes another way.
        if let Err(NotSent::Busy) = self.links.send(link, frame) {
            tracing::warn!(link = link.0, "link closed: its peer does not read");
            self.links.close_link(link);
        }
    }

    /// The span of this stage begins, and whatever the connection manager does hangs on it.
    fn attempt(&mut self, link: LinkId, mut attempt: Attempt, decision: Decision) {
        let packet = &mut attempt.packet;
        if packet.trace.is_sampled() {
            let domain = packet.foreign().clone();
            let mut span = self.span(packet.id, packet.trace, &domain, packet.conversation);
            span.set("xcp.decision", decision.as_str());
            span.set("xcp.attempt", i64::from(attempt.number));
            packet.trace = span.context();
            self.spans.insert(packet.id, span);
        }
        self.send(link, FromRouter::Attempt(attempt));
    }

    fn attempt_over(&mut self, id: PacketId, condition: Option<&'static str>) {
        let Some(mut span) = self.spans.remove(&id) else { return };
        if let Some(condition) = condition {
            span.fail(condition);
        }
    }

    /// A span `xcp.route` under the packet's own context; nothing if nothing is exported.
    fn span(
        &self,
        id: PacketId,
        parent: TraceContext,
        domain: &Domain,
        conversation: Conversation,
    ) -> Span {
        let mut span = self.tracer.span("xcp.route", Kind::Inside, parent);
        if span.is_recording() {
            span.set("xcp.packet.id", id.to_string());
            span.set("xcp.conversation", format!("{:016x}", conversation.0));
            span.set("xcp.domain", domain.as_str().to_owned());
        }
        span
    }

    /// Counts, shows and answers.
    fn finished(&mut self, finished: Finished) {
        let condition = match &finished.outcome.ending {
            Ending::Delivered { .. } => None,
            Ending::Failed(failure) => Some(failure.condition.as_str()),
        };
        let decision = finished.decision.as_str();
        let outcome = condition.unwrap_or("delivered");
        counter!("openfed_router_packets_total", "decision" => decision, "outcome" => outcome)
            .increment(1);
        let micros = finished.ended_us.saturating_sub(finished.started_us);
        histogram!("openfed_router_packet_seconds", "decision" => decision)
            .record(Duration::from_micros(micros).as_secs_f64());
        // A packet that was decided without any attempt has its span here.
        if finished.attempts == 0 && finished.trace.is_sampled() {
            let Finished { domain, conversation, .. } = &finished;
            let mut span = self.span(finished.outcome.id, finished.trace, domain, *conversation);
            span.set("xcp.decision", decision);
            condition.into_iter().for_each(|condition| span.fail(condition));
        }
        self.insight.traffic.ended(&finished);
        if finished.show {
            self.insight.flows.add(&finished);
        }
        if let Some(link) = finished.link {
            self.send(link, FromRouter::Outcome(finished.outcome));
        }
    }

    /// Off the loop: a store that hangs holds up this one packet only.
    fn insert(&self, id: PacketId, row: DomainRow, cap: u64) {
        let (store, answers) = (self.store.clone(), self.answers.clone());
        self.beside.spawn(async move {
            let insert = timeout(STORE, store.insert_discovered(&row, cap));
            let result = insert.await.unwrap_or_else(|_| {
                Err(StoreError::Unavailable(format!("no answer in {STORE:?}")))
            });
            // The engine is gone only when the process ends.
            let _ = answers.send(Answer::Inserted(id, insert_result(result))).await;
        });
    }

    /// Counters may be lost with the store; traffic is not.
    fn touch(&self, uses: Vec<DomainUse>) {
        let store = self.store.clone();
        self.beside.spawn(async move {
            if let Err(error) = store.touch(&uses).await {
                counter!("openfed_router_uses_lost_total").increment(uses.len() as u64);
                tracing::debug!(%error, domains = uses.len(), "uses of domains are not counted");
            }
        });
    }
}

/// How much there may be.
#[allow(clippy::cast_precision_loss, reason = "gauges are floating point")]
pub(crate) fn limit(rows: u64) {
    // The first time is news only if there was none before.
    counter!("openfed_router_store_went_back_total").increment(0);
    gauge!("openfed_router_domains_limit").set(rows as f64);
}

/// What a peer or a domain became is for the log; what one packet did is for its span.
fn log(event: &Event) {
    match event {
        Event::NodeUp { node, role, address } => {
            tracing::info!(node, role = role.as_str(), address, "node linked");
        }
        Event::NodeLeaving { node, role } => {
            tracing::info!(node, role = role.as_str(), "node is leaving");
        }
        Event::NodeServing { node, role } => {
            tracing::info!(node, role = role.as_str(), "node serves again");
        }
        Event::NodeDown { node, role } => {
            tracing::info!(node, role = role.as_str(), "node is not linked any more");
        }
        Event::DiscoveryBegan { .. } => counter!("openfed_router_discoveries_total").increment(1),
        Event::Discovered { domain, direction } => {
            counter!("openfed_router_discovered_total").increment(1);
            tracing::info!(%domain, direction = direction.as_str(), "domain discovered");
        }
        Event::StoreWentBack { from, to } => {
            counter!("openfed_router_store_went_back_total").increment(1);
            tracing::warn!(
                from,
                to,
                "the store went back in time, or another one took its place: what was changed \
                 between these versions is lost, and is not in force any more"
            );
        }
        Event::AskedAgain { settled } => asking::count(*settled),
        Event::NoRow { domain, reason } => {
            counter!("openfed_router_rows_refused_total", "reason" => *reason).increment(1);
            tracing::debug!(%domain, reason, "no row");
        }
    }
}
