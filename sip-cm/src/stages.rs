//! What the core tells about its work, as spans, metrics and log lines.

use std::collections::HashMap;
use std::time::Instant;

use openfed_node::telemetry::{Kind, Span, Tracer};
use openfed_proto::packet::TraceContext;
use sip_cm_core::command::{Fact, Parent, Stage, StageEnd, StageId, StageKind};
use sip_cm_core::core::Load;
use sip_cm_core::rule::Rule;

/// The stages under way.
pub(crate) struct Stages {
    tracer: Tracer,
    open: HashMap<StageId, Open>,
}

struct Open {
    /// An empty shell if the packet is not sampled.
    span: Span,
    since: Instant,
}

impl Stages {
    pub(crate) fn new(tracer: Tracer) -> Self {
        Stages { tracer, open: HashMap::new() }
    }

    /// The context that the next service's span hangs on.
    pub(crate) fn context(&self, stage: StageId) -> TraceContext {
        self.open.get(&stage).map(|open| open.span.context()).unwrap_or_default()
    }

    pub(crate) fn show(&mut self, fact: Fact) {
        match fact {
            Fact::Began(stage) => self.begin(stage),
            Fact::Ended(end) => self.end(end),
            Fact::HopDown { next_hop, transport } => {
                tracing::warn!(
                    next_hop,
                    transport = transport.as_str(),
                    "next hop does not answer"
                );
            }
            Fact::HopUp { next_hop, transport } => {
                tracing::info!(next_hop, transport = transport.as_str(), "next hop answers again");
            }
            Fact::Refused { source, rule, line } => {
                metrics::counter!("openfed_sip_refused_total", "rule" => rule.label()).increment(1);
                if line {
                    tracing::info!(%source, rule = rule.as_str(), "request refused");
                }
            }
            Fact::TurnedAway => metrics::counter!("openfed_sip_turned_away_total").increment(1),
            Fact::Unready => metrics::counter!("openfed_sip_unready_total").increment(1),
            Fact::Discarded { reason } => {
                metrics::counter!("openfed_sip_discarded_total", "reason" => reason).increment(1);
            }
        }
    }

    /// How much may be under way; the rest is refused.
    pub(crate) fn limit(requests: usize, transactions: usize) {
        for (kind, limit) in [
            ("request", requests),
            ("server-transaction", transactions),
            ("client-transaction", transactions),
        ] {
            metrics::gauge!("openfed_sip_open_limit", "kind" => kind).set(size(limit));
        }
        // There from the start: whoever watches sees the first one as an increase.
        metrics::counter!("openfed_sip_parser_panics_total").increment(0);
        for rule in Rule::ALL {
            metrics::counter!("openfed_sip_refused_total", "rule" => rule.label()).increment(0);
        }
    }

    /// How much is under way, now.
    pub(crate) fn measure(&self, load: Load) {
        let gauge = |kind: &'static str, value: usize| {
            metrics::gauge!("openfed_sip_open", "kind" => kind).set(size(value));
        };
        gauge("request", load.requests);
        gauge("submission", load.submissions);
        gauge("forward", load.forwards);
        gauge("server-transaction", load.servers);
        gauge("client-transaction", load.clients);
    }

    fn begin(&mut self, stage: Stage) {
        let (name, kind) = (stage.kind.as_str(), direction(stage.kind));
        let mut span = match stage.parent {
            Parent::None { may_discover } => self.tracer.begin(name, kind, may_discover),
            Parent::Stage(parent) => self.tracer.span(name, kind, self.context(parent)),
            Parent::Remote(context) => self.tracer.span(name, kind, context),
        };
        if span.is_recording() {
            describe(&mut span, &stage);
        }
        self.open.insert(stage.id, Open { span, since: Instant::now() });
    }

    fn end(&mut self, end: StageEnd) {
        let result = end.condition.as_ref().map_or("ok", |condition| condition.as_str());
        let stage = end.kind.as_str();
        metrics::counter!("openfed_sip_stages_total", "stage" => stage, "result" => result)
            .increment(1);
        let Some(Open { mut span, since }) = self.open.remove(&end.id) else { return };
        metrics::histogram!("openfed_sip_stage_seconds", "stage" => stage).record(since.elapsed());
        if !span.is_recording() {
            return;
        }
        if let Some(status) = end.status {
            span.set("sip.status_code", i64::from(status));
        }
        if let Some(decision) = end.decision {
            span.set("xcp.decision", decision);
        }
        if let Some(condition) = end.condition {
            span.fail(condition.as_str());
        }
    }
}

/// Gauges are floating point, which has all of these exactly.
fn size(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn direction(kind: StageKind) -> Kind {
    match kind {
        StageKind::Receive => Kind::Receive,
        StageKind::Submit | StageKind::Forward | StageKind::Deliver => Kind::Send,
    }
}

fn describe(span: &mut Span, stage: &Stage) {
    span.set("sip.method", stage.method.to_string());
    span.set("sip.call_id", stage.call_id.to_string());
    if let Some(domain) = &stage.domain {
        span.set("xcp.domain", domain.as_str().to_owned());
    }
    if let Some(packet) = stage.packet {
        span.set("xcp.packet.id", packet.to_string());
    }
    if let Some(conversation) = stage.conversation {
        span.set("xcp.conversation", format!("{:016x}", conversation.0));
    }
    if stage.attempt > 0 {
        span.set("xcp.attempt", i64::from(stage.attempt));
    }
}
