//! One running router, and ways to talk to it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openfed_node::link::{LinkClient, LinkEvent, LinkId};
use openfed_node::settings::{Settings, StoreUrl};
use openfed_node::shutdown::Shutdown;
use openfed_proto::address::Address;
use openfed_proto::domain::Domain;
use openfed_proto::link::{Attempt, AttemptEnded, FromCm, FromRouter, Hello, Instruction};
use openfed_proto::packet::*;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use xcp_router::Service;

/// No scene takes longer.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) http: SocketAddr,
    pub(crate) link: SocketAddr,
    /// Of the administrator.
    pub(crate) token: String,
    shutdown: Shutdown,
    running: JoinHandle<()>,
}

impl Stage {
    /// A router that is ready, with its store in `directory`.
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::with(directory, |_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn with(directory: &Path, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            local: vec![Domain::parse("corp.example").unwrap()],
            store: StoreUrl::Embedded(directory.join("store")),
            ..Settings::default()
        };
        settings.router.link = ([127, 0, 0, 1], 0).into();
        settings.router.http = ([127, 0, 0, 1], 0).into();
        settings.router.first_administrator = false;
        change(&mut settings);
        let token = settings.token_file().unwrap();
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let service = Service::start(Arc::new(settings), shutdown.clone()).await.unwrap();
        let (http, link) = (service.http_address(), service.link_address());
        let token = std::fs::read_to_string(token).unwrap().trim().to_owned();
        let stage = Stage { http, link, token, shutdown, running: tokio::spawn(service.run()) };
        let ready = async { while stage.get("/readyz").await.0 != 200 {} };
        tokio::time::timeout(LIMIT, ready).await.unwrap();
        stage
    }

    /// Ends it as a signal would.
    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        tokio::time::timeout(LIMIT, self.running).await.unwrap().unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, None).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let (head, text) = self.raw(method, path, "application/json", &body).await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Head and body of the answer.
    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &str,
    ) -> (String, String) {
        let lines =
            format!("Content-Type: {content_type}\r\nAuthorization: Bearer {}\r\n", self.token);
        self.plain(method, path, &lines, body).await
    }

    /// The same for a request that says who sends it, if at all, in these lines of its head.
    pub(crate) async fn plain(
        &self,
        method: &str,
        path: &str,
        lines: &str,
        body: &str,
    ) -> (String, String) {
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            self.http,
            body.len()
        );
        let exchange = async {
            let mut stream = TcpStream::connect(self.http).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            String::from_utf8(answer).unwrap()
        };
        let answer = tokio::time::timeout(LIMIT, exchange).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    /// Asks for what has no end; gives the answer's status, and what comes after its head.
    pub(crate) async fn watch(&self, path: &str, lines: &str) -> (u16, BufReader<TcpStream>) {
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n{lines}\r\n", self.http);
        let exchange = async {
            let mut stream = BufReader::new(TcpStream::connect(self.http).await.unwrap());
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert_ne!(stream.read_line(&mut head).await.unwrap(), 0, "no answer: {head}");
            }
            (head.split(' ').nth(1).unwrap().parse().unwrap(), stream)
        };
        tokio::time::timeout(LIMIT, exchange).await.unwrap()
    }

    /// Opens the open route.
    pub(crate) async fn open(&self) {
        let route = json!({
            "next_hop": "192.0.2.1", "port": 5060, "protocol": "udp", "blocked": false,
        });
        let (status, route) = self.call("PATCH", "/api/v1/static-routes/.*", Some(route)).await;
        assert_eq!(status, 200, "{route}");
    }
}

/// A connection manager as the test plays it.
pub(crate) struct Manager {
    client: LinkClient,
    events: mpsc::Receiver<LinkEvent<FromRouter>>,
    link: LinkId,
    node: &'static str,
    role: Role,
}

impl Manager {
    pub(crate) async fn link(router: SocketAddr, role: Role, node: &'static str) -> Self {
        let hello =
            Hello { role, node: node.into(), epoch: 1, capacity: 100, version: "test".into() };
        let url = format!("http://{router}").parse().unwrap();
        let (client, mut events) = LinkClient::start(vec![url], hello);
        let link = loop {
            let event = tokio::time::timeout(LIMIT, events.recv()).await.unwrap();
            if let Some(LinkEvent::Up { link, .. }) = event {
                break link;
            }
        };
        Manager { client, events, link, node, role }
    }

    pub(crate) fn say(&self, frame: FromCm) {
        self.client.send(self.link, frame).unwrap();
    }

    pub(crate) fn submit(&self, packet: Packet) {
        self.say(FromCm::Submit { packet, accepted_in: None, again: false, kept: false });
    }

    /// The next frame that `wanted` takes; others are passed over.
    pub(crate) async fn next<T>(&mut self, wanted: impl Fn(FromRouter) -> Option<T>) -> T {
        let next = async {
            loop {
                if let Some(LinkEvent::Frame { frame, .. }) = self.events.recv().await
                    && let Some(found) = wanted(frame)
                {
                    return found;
                }
            }
        };
        tokio::time::timeout(LIMIT, next).await.unwrap()
    }

    /// Gets the attempt and ends it so.
    pub(crate) async fn play(&mut self, instruction: Instruction, ending: Ending) -> Attempt {
        let attempt = self.next(|frame| match frame {
            FromRouter::Attempt(attempt) => Some(attempt),
            _ => None,
        });
        let attempt = attempt.await;
        assert_eq!(attempt.instruction, instruction);
        let verdict = match &ending {
            Ending::Delivered { .. } => "delivered".to_owned(),
            Ending::Failed(failure) => failure.condition.to_string(),
        };
        let mut hops = attempt.packet.hops.clone();
        hops.push(Hop { node: self.node.into(), role: self.role, verdict, at_us: 2 });
        let outcome = Outcome { id: attempt.packet.id, ending, hops };
        self.say(FromCm::Ended(AttemptEnded { outcome, number: attempt.number, route: None }));
        attempt
    }

    pub(crate) async fn outcome(&mut self) -> Outcome {
        let outcome = self.next(|frame| match frame {
            FromRouter::Outcome(outcome) => Some(outcome),
            _ => None,
        });
        outcome.await
    }
}

/// A message of a local SIP user.
pub(crate) fn message(number: u8, to: &str) -> Packet {
    let from = Address::from_jid("alice@corp.example").unwrap();
    let to = Address::from_jid(&format!("bob@{to}")).unwrap();
    let text = Text { lang: None, text: "hello".into() };
    Packet {
        id: PacketId([number; 16]),
        conversation: Conversation::between(&from, &to),
        direction: Direction::Outbound,
        from,
        to,
        body: Body::Message(Message {
            id: None,
            thread: None,
            chat: true,
            subjects: Vec::new(),
            bodies: vec![text],
            html: None,
        }),
        original: Original { protocol: Protocol::Sip, bytes: Bytes::from_static(b"MESSAGE") },
        trace: TraceContext { trace_id: [7; 16], span_id: [8; 8], flags: 1 },
        hops: vec![Hop {
            node: "sip-1".into(),
            role: Role::SipCm,
            verdict: "submitted".into(),
            at_us: 1_700_000_000_000_001,
        }],
        remaining: Duration::from_secs(32),
        hops_left: MAX_HOPS,
        source: Source::default(),
    }
}
