use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span as Exported;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status as GrpcStatus};

use super::*;
use crate::settings::{HostPort, HttpUrl};

/// A collector that hands every request to the test.
struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, GrpcStatus> {
        self.0.send(request.into_inner()).map_err(|_| GrpcStatus::unavailable("test over"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (HttpUrl, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(sender)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    (HttpUrl(HostPort { host: "127.0.0.1".into(), port }), receiver)
}

fn settings(otlp: Option<HttpUrl>, sample: f64) -> Arc<Settings> {
    let mut settings = Settings::default();
    settings.telemetry.otlp = otlp;
    settings.telemetry.sample = sample;
    Arc::new(settings)
}

/// Service name and spans of one export.
fn spans(request: ExportTraceServiceRequest) -> (String, Vec<Exported>) {
    let resource = request.resource_spans.into_iter().next().expect("a resource");
    let attributes = resource.resource.expect("attributes").attributes;
    let name = attributes.iter().find(|entry| entry.key == "service.name").expect("a name");
    let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans).collect();
    (format!("{:?}", name.value), spans)
}

#[tokio::test]
async fn two_services_make_one_trace() {
    // Given two roles in one process
    let (url, mut exported) = collector().await;
    let settings = settings(Some(url), 1.0);
    let edge = Tracer::new(&settings, Role::SipCm).expect("a tracer");
    let router = Tracer::new(&settings, Role::Router).expect("a tracer");
    // When a packet goes from one to the other
    let mut received = edge.begin("sip.receive", Kind::Receive, false);
    received.set("sip.method", "MESSAGE");
    let mut routed = router.span("xcp.route", Kind::Receive, received.context());
    routed.fail("remote-server-not-found");
    let trace = received.context();
    drop(routed);
    drop(received);
    edge.shutdown().await;
    router.shutdown().await;
    // Then both spans are of one trace, one under the other, each under its role's name
    let (first, root) = spans(exported.recv().await.expect("sip-cm's"));
    let (second, child) = spans(exported.recv().await.expect("the router's"));
    assert!(first.contains("sip-cm") && second.contains("xcp-router"), "{first} {second}");
    assert_eq!((root.len(), child.len()), (1, 1));
    assert_eq!(root[0].trace_id, trace.trace_id);
    assert_eq!(root[0].span_id, trace.span_id);
    assert!(root[0].parent_span_id.is_empty());
    assert_eq!(child[0].trace_id, trace.trace_id);
    assert_eq!(child[0].parent_span_id, trace.span_id);
    assert!(child[0].attributes.iter().any(|entry| entry.key == "error.type"));
}

#[tokio::test]
async fn what_is_not_sampled_makes_no_span_but_what_may_be_a_discovery_does() {
    let (url, mut exported) = collector().await;
    let tracer = Tracer::new(&settings(Some(url), 0.0), Role::SipCm).expect("a tracer");

    let unsampled = tracer.begin("sip.receive", Kind::Receive, false);
    assert!(!unsampled.is_recording() && !unsampled.context().is_sampled());
    let under = tracer.span("sip.forward", Kind::Send, unsampled.context());
    assert!(!under.is_recording());
    assert_eq!(under.context(), unsampled.context());

    let discovery = tracer.begin("sip.receive", Kind::Receive, true);
    assert!(discovery.is_recording() && discovery.context().is_sampled());
    drop((unsampled, under, discovery));
    tracer.shutdown().await;
    let (_, spans) = spans(exported.recv().await.expect("one export"));
    assert_eq!(spans.len(), 1);
}

#[tokio::test]
async fn without_a_collector_contexts_still_go_on() {
    let tracer = Tracer::new(&settings(None, 1.0), Role::Router).expect("a tracer");
    let span = tracer.begin("xcp.route", Kind::Receive, false);
    assert!(!span.is_recording());
    assert!(span.context().is_sampled(), "another node may have a collector");
    assert_ne!(span.context().trace_id, [0; 16]);
    tracer.shutdown().await;
}

#[tokio::test]
async fn an_unreachable_collector_neither_fails_nor_delays_the_service() {
    // Given a port where nobody listens any more
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let url = HttpUrl(HostPort { host: "127.0.0.1".into(), port });
    // When spans are made and the service ends, then it ends
    let tracer = Tracer::new(&settings(Some(url), 1.0), Role::Router).expect("a tracer");
    drop(tracer.begin("xcp.route", Kind::Receive, false));
    let end = tokio::time::timeout(Duration::from_secs(15), tracer.shutdown());
    end.await.expect("within the flush's limit");
}
