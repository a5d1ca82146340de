//! Logs to stderr and traces to an OTLP collector.
//!
//! Packet spans are spans of `tracing` that `tracing-opentelemetry` exports, but each role keeps
//! them in a subscriber of its own: so each has its `service.name` even when three share a
//! process, no library's spans can leak out, and log lines stay apart. A packet that is not
//! sampled costs one look at a flag: no span is made for it at all.

use std::io::IsTerminal;
use std::time::Duration;

use openfed_proto::packet::{Role, TraceContext};
use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use tracing::Dispatch;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::{LogFormat, Settings, Telemetry};

/// The target of packet spans.
const TARGET: &str = "openfed::packet";

/// Starts logging for the process. Later calls change nothing: the first caller decides.
pub fn start_logs(settings: &Telemetry) {
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let lines = match settings.format {
        LogFormat::Human => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(settings.log.clone()));
    // An error says that a log is installed already, by a test or by the program around us.
    let _ = subscriber.try_init();
}

/// Makes the spans of one service (one role). Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracer {
    sample: f64,
    export: Option<Export>,
}

#[derive(Clone, Debug)]
struct Export {
    provider: SdkTracerProvider,
    spans: Dispatch,
}

impl Tracer {
    /// A tracer that exports as `service.name` = the role's name; without `telemetry.otlp` it
    /// makes no spans, but still hands contexts on. To be called within the runtime.
    ///
    /// # Errors
    /// If the exporter cannot be built; an unreachable collector is not an error.
    pub fn new(settings: &Settings, role: Role) -> Result<Self, ExporterBuildError> {
        let export = match &settings.telemetry.otlp {
            Some(collector) => Some(Export::new(settings, role, &collector.to_string())?),
            None => None,
        };
        Ok(Self { sample: settings.telemetry.sample, export })
    }

    /// The root span of a new packet's trace. `always` is for what may become a discovery.
    pub fn begin(&self, name: &'static str, kind: Kind, always: bool) -> Span {
        let sampled = always || self.sample >= 1.0 || rand::random::<f64>() < self.sample;
        let fresh = TraceContext {
            trace_id: rand::random(),
            span_id: rand::random(),
            flags: u8::from(sampled),
        };
        match &self.export {
            Some(export) if sampled => export.span(name, kind, Context::new(), fresh),
            _ => Span { recording: None, context: fresh },
        }
    }

    /// A span under `parent`; nothing at all if that is not sampled.
    pub fn span(&self, name: &'static str, kind: Kind, parent: TraceContext) -> Span {
        match &self.export {
            Some(export) if parent.is_sampled() => {
                let parent_span = SpanContext::new(
                    TraceId::from_bytes(parent.trace_id),
                    SpanId::from_bytes(parent.span_id),
                    TraceFlags::SAMPLED,
                    true,
                    TraceState::NONE,
                );
                let under = Context::new().with_remote_span_context(parent_span);
                export.span(name, kind, under, parent)
            }
            _ => Span { recording: None, context: parent },
        }
    }

    /// Sends what is still queued, for at most five seconds, and ends exporting.
    pub async fn shutdown(self) {
        let Some(export) = self.export else { return };
        // The SDK blocks its caller, while the exporter needs the runtime to go on.
        let flush = move || export.provider.shutdown_with_timeout(Duration::from_secs(5));
        match tokio::task::spawn_blocking(flush).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last traces were not exported"),
            Err(error) => tracing::warn!(%error, "the trace exporter failed"),
        }
    }
}

impl Export {
    fn new(settings: &Settings, role: Role, collector: &str) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(collector)
            .with_timeout(Duration::from_secs(5))
            .build()?;
        // The default queue of 2,048 drops spans at a few thousand packets a second.
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(65_536)
            .with_max_export_batch_size(4_096)
            .with_scheduled_delay(Duration::from_secs(1))
            .build();
        let resource = Resource::builder_empty()
            .with_service_name(role.as_str())
            .with_attributes([
                KeyValue::new("service.instance.id", settings.node_name(role)),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            // The decision is taken before a span is made; what gets here is wanted.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .with_span_processor(
                BatchSpanProcessor::builder(exporter).with_batch_config(batch).build(),
            )
            .build();
        let layer = OpenTelemetryLayer::new(provider.tracer("openfed"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false);
        // Without the filter every disabled log line of every library would be asked about.
        let packets = Targets::new().with_target(TARGET, LevelFilter::INFO);
        let spans = Dispatch::new(tracing_subscriber::registry().with(packets).with(layer));
        Ok(Self { provider, spans })
    }

    fn span(&self, name: &'static str, kind: Kind, under: Context, parent: TraceContext) -> Span {
        let span = tracing::dispatcher::with_default(
            &self.spans,
            || tracing::info_span!(target: TARGET, parent: None, "packet", otel.name = name, otel.kind = kind.as_str()),
        );
        // Cannot fail: the span is new, and nothing has asked for its context yet.
        let _ = span.set_parent(under);
        let started = span.context();
        let own = started.span().span_context().clone();
        // After shutdown the SDK makes spans without identity; the trace then goes on unseen.
        let context = if own.is_valid() {
            TraceContext {
                trace_id: own.trace_id().to_bytes(),
                span_id: own.span_id().to_bytes(),
                flags: parent.flags,
            }
        } else {
            parent
        };
        Span { recording: Some(span), context }
    }
}

/// Which way a span's work goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work that a peer asked for.
    Receive,
    /// Work that a peer is asked for.
    Send,
    /// Work within this service.
    Inside,
}

impl Kind {
    /// As `tracing-opentelemetry` wants it in `otel.kind`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "server",
            Self::Send => "client",
            Self::Inside => "internal",
        }
    }
}

/// A span of one packet; ends when dropped. Not sampled: an empty shell with a context.
#[derive(Debug)]
#[must_use = "a span that is dropped at once lasts no time"]
pub struct Span {
    recording: Option<tracing::Span>,
    context: TraceContext,
}

impl Span {
    /// What the packet carries on, so that the next service's span hangs on this one.
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// Whether anything is recorded; saves computing attributes for nothing.
    pub fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// Sets an attribute. Never a body, never the user part of an address.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &self.recording {
            span.set_attribute(key, value);
        }
    }

    /// Marks the span as failed with `condition` in `error.type`.
    pub fn fail(&mut self, condition: &str) {
        if let Some(span) = &self.recording {
            span.set_attribute("error.type", condition.to_owned());
            span.set_status(Status::error(condition.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests;
