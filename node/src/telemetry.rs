//! Logs to stderr and traces to an OTLP collector.
//!
//! Log lines go through `tracing`. Packet spans do not: they are made directly with the
//! OpenTelemetry SDK, so a packet that is not sampled costs one look at a flag, each role keeps
//! its own `service.name` even when three share a process, and no library's spans can leak out.

use std::io::IsTerminal;
use std::time::Duration;

use openfed_proto::packet::{Role, TraceContext};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::{LogFormat, Settings, Telemetry};

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
    tracer: SdkTracer,
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
            Some(export) if sampled => export.span(name, kind, &Context::new(), fresh),
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
                export.span(name, kind, &under, parent)
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
        let tracer = provider.tracer("openfed");
        Ok(Self { provider, tracer })
    }

    fn span(&self, name: &'static str, kind: Kind, under: &Context, parent: TraceContext) -> Span {
        let builder = self.tracer.span_builder(name).with_kind(kind.into());
        let span = self.tracer.build_with_context(builder, under);
        let own = span.span_context();
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
        Span { recording: Some(Box::new(span)), context }
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

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Receive => Self::Server,
            Kind::Send => Self::Client,
            Kind::Inside => Self::Internal,
        }
    }
}

/// A span of one packet; ends when dropped. Not sampled: an empty shell with a context.
#[derive(Debug)]
#[must_use = "a span that is dropped at once lasts no time"]
pub struct Span {
    recording: Option<Box<opentelemetry_sdk::trace::Span>>,
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
        if let Some(span) = &mut self.recording {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Marks the span as failed with `condition` in `error.type`.
    pub fn fail(&mut self, condition: &str) {
        if let Some(span) = &mut self.recording {
            span.set_attribute(KeyValue::new("error.type", condition.to_owned()));
            span.set_status(Status::error(condition.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests;
