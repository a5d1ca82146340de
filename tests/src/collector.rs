//! A trace collector: what a Jaeger would be sent, kept for the tests to look at.

use std::net::SocketAddr;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::seen::Seen;
use crate::{Failure, Result};

/// A finished span.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: Vec<u8>,
    /// Its id.
    pub id: Vec<u8>,
    /// The span that it is part of; empty for the first one of a trace.
    pub parent: Vec<u8>,
    /// Its name, e.g. `xcp.route`.
    pub name: String,
    /// Start, in nanoseconds since 1970.
    pub start: u64,
    /// End, in nanoseconds since 1970.
    pub end: u64,
    /// `service.name` of the process that made it.
    pub service: String,
    attributes: Vec<(String, String)>,
}

impl Span {
    /// An attribute as text.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    /// All attributes.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }
}

/// A running collector; dropped means gone.
pub struct Collector {
    address: SocketAddr,
    /// The spans that came.
    pub spans: Arc<Seen<Span>>,
    task: JoinHandle<()>,
}

impl Collector {
    /// Starts it.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let spans = Arc::<Seen<Span>>::default();
        let service = TraceServiceServer::new(Receiver { spans: Arc::clone(&spans) });
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async {
            // It ends with the scene; what was not received fails the assertions.
            let _ = serving.await;
        });
        Ok(Self { address, spans, task })
    }

    /// Where it is really listened.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The telemetry setting of openfed for it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans of one trace, in the order in which they began.
    pub fn trace(&self, id: &[u8]) -> Vec<Span> {
        let mut spans = self.spans.all();
        spans.retain(|span| span.trace == id);
        spans.sort_by_key(|span| span.start);
        spans
    }

    /// Waits until one trace has spans of all these names (a name twice: two spans) and the parents
    /// of all its spans, and gives it.
    pub async fn trace_with(&self, names: &[&str]) -> Result<Vec<Span>> {
        let complete = |spans: &[Span], trace: &[u8]| {
            let own: Vec<_> = spans.iter().filter(|span| span.trace == trace).collect();
            let named = names.iter().all(|name| {
                let needed = names.iter().filter(|other| *other == name).count();
                own.iter().filter(|span| span.name == *name).count() >= needed
            });
            let known = |id: &[u8]| id.is_empty() || own.iter().any(|span| span.id == id);
            named && own.iter().all(|span| known(&span.parent))
        };
        let wanted = |spans: &[Span]| {
            let found = spans.iter().find(|span| complete(spans, &span.trace));
            found.map(|span| span.trace.clone())
        };
        let found = self.spans.wait_until("complete trace", crate::scene::SOON, wanted).await;
        match found {
            Ok(trace) => Ok(self.trace(&trace)),
            Err(failure) => {
                let spans = self.spans.all();
                let line = |span: &Span| {
                    let (trace, id, parent) = (&span.trace, &span.id, &span.parent);
                    format!("{} {} in {:?} {}", hex(trace), hex(id), hex(parent), span.name)
                };
                let seen = spans.iter().map(line);
                let seen = seen.collect::<Vec<_>>().join("\n");
                Err(Failure::new(format!("{failure:?} with {names:?}; spans:\n{seen}")))
            }
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Receiver {
    spans: Arc<Seen<Span>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> std::result::Result<Response<ExportTraceServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            let service = attributes(resource.attributes).into_iter();
            let mut service = service.filter(|(key, _)| key == "service.name");
            let service = service.next().map(|(_, name)| name).unwrap_or_default();
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                self.spans.push(Span {
                    trace: span.trace_id,
                    id: span.span_id,
                    parent: span.parent_span_id,
                    name: span.name,
                    start: span.start_time_unix_nano,
                    end: span.end_time_unix_nano,
                    service: service.clone(),
                    attributes: attributes(span.attributes),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn attributes(pairs: Vec<KeyValue>) -> Vec<(String, String)> {
    let text = |pair: KeyValue| {
        let value = match pair.value.and_then(|value| value.value) {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            Some(Value::BoolValue(yes)) => yes.to_string(),
            Some(other) => format!("{other:?}"),
            None => String::new(),
        };
        (pair.key, value)
    };
    pairs.into_iter().map(text).collect()
}
