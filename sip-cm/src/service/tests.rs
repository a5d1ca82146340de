//! The service on real sockets, with a router played by the test over a real link.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use openfed_node::link::{LinkEvent, LinkId, LinkServer};
use openfed_node::settings::{HttpUrl, Listen, Settings};
use openfed_node::shutdown::Shutdown;
use openfed_proto::domain::Domain;
use openfed_proto::link::{Attempt, AttemptEnded, FromCm, FromRouter, Hello, Instruction, Tables};
use openfed_proto::packet::{Ending, Outcome, Packet, Protocol, Role};
use openfed_proto::route::{Pattern, StaticRoute, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Service;

const LONG: Duration = Duration::from_secs(10);
const ANY_PORT: &str = "127.0.0.1:0";

/// The service under test and its one router.
struct Scene {
    udp: SocketAddr,
    tcp: SocketAddr,
    http: SocketAddr,
    router: LinkServer,
    events: Receiver<LinkEvent<FromCm>>,
    link: LinkId,
    shutdown: Shutdown,
    service: JoinHandle<()>,
}

fn any_port(transport: Transport) -> Listen {
    Listen { transport, address: ANY_PORT.parse().expect("an address") }
}

impl Scene {
    /// Linked, with the open route towards `hop`.
    async fn new(hop: SocketAddr, transport: Transport) -> Self {
        let greeting = Hello {
            role: Role::Router,
            node: "router".into(),
            epoch: 1,
            capacity: 100,
            version: "0".into(),
        };
        let any: SocketAddr = ANY_PORT.parse().expect("an address");
        let (router, mut events) = LinkServer::start(any, greeting).await.expect("a link server");
        let url: HttpUrl = format!("http://{}", router.address()).parse().expect("a URL");
        let local = vec![Domain::parse("corp.example").expect("a domain")];
        let mut settings = Settings { local, routers: vec![url], ..Settings::default() };
        settings.sip.listen = vec![any_port(Transport::Udp), any_port(Transport::Tcp)];
        settings.sip.http = any;
        let service = Service::start(&settings).await.expect("the service starts");
        let (udp, tcp) = (service.bound[0].address, service.bound[1].address);
        let http = service.http.address();
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let service = tokio::spawn(service.run(shutdown.clone()));
        let link = match timeout(LONG, events.recv()).await.expect("in time") {
            Some(LinkEvent::Up { link, hello, .. }) => {
                assert_eq!(hello.role, Role::SipCm);
                link
            }
            other => panic!("expected a link, got {other:?}"),
        };
        let mut scene = Scene { udp, tcp, http, router, events, link, shutdown, service };
        let open = StaticRoute {
            port: hop.port(),
            transport,
            ..StaticRoute::new(Pattern::Open, hop.ip().to_string())
        };
        let tables = Tables { version: 1, routes: vec![open], ..Tables::default() };
        scene.say(FromRouter::Tables(tables));
        // What comes before the tables is left for its sender to repeat.
        let ready = async { while !scene.status_of("/readyz").await.contains("200 OK") {} };
        timeout(LONG, ready).await.expect("tables in time");
        scene
    }

    fn say(&mut self, frame: FromRouter) {
        self.router.send(self.link, frame).expect("the link takes it");
    }

    async fn hear(&mut self) -> FromCm {
        match timeout(LONG, self.events.recv()).await.expect("in time") {
            Some(LinkEvent::Frame { frame, .. }) => frame,
            other => panic!("expected a frame, got {other:?}"),
        }
    }

    async fn submitted(&mut self) -> Packet {
        match self.hear().await {
            FromCm::Submit { packet, .. } => packet,
            other => panic!("expected a submission, got {other:?}"),
        }
    }

    async fn ended(&mut self) -> AttemptEnded {
        match self.hear().await {
            FromCm::Ended(ended) => ended,
            other => panic!("expected an ending, got {other:?}"),
        }
    }

    async fn status_of(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http).await.expect("http");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        answer
    }

    async fn close(self) {
        self.shutdown.begin();
        timeout(LONG, self.service).await.expect("drained in time").expect("no panic");
    }
}

fn message(from: &str, to: &str, via: &str) -> String {
    format!(
        "MESSAGE sip:{to} SIP/2.0\r\nVia: SIP/2.0/{via};branch=z9hG4bK{};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{from}>;tag=a\r\nTo: <sip:{to}>\r\nCall-ID: {from}\r\n\
         CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
        from.len() + to.len()
    )
}

async fn datagram(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = vec![0; 65_535];
    let (length, from) =
        timeout(LONG, socket.recv_from(&mut buffer)).await.expect("in time").expect("a datagram");
    (String::from_utf8_lossy(&buffer[..length]).into_owned(), from)
}

/// Reads one message without body.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(timeout(LONG, stream.read_u8()).await.expect("in time").expect("a byte"));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn ok(request: &str) -> String {
    let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
    let lines = request.lines().filter(|line| copied.iter().any(|name| line.starts_with(name)));
    let head: Vec<&str> = lines.collect();
    let head = head.join("\r\n").replace("\r\nCall-ID", ";tag=b\r\nCall-ID");
    format!("SIP/2.0 200 OK\r\n{head}\r\nContent-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn an_inbound_message_over_udp_is_submitted_and_answered_by_its_outcome() {
    let peer = UdpSocket::bind(ANY_PORT).await.expect("a socket");
    let hop = peer.local_addr().expect("an address");
    let mut scene = Scene::new(hop, Transport::Udp).await;
    let text = message("bob@partner.example", "alice@corp.example", &format!("UDP {hop}"));
    peer.send_to(text.as_bytes(), scene.udp).await.expect("sent");
    let packet = scene.submitted().await;
    assert_eq!(packet.foreign().as_str(), "partner.example");
    assert_eq!(packet.original.bytes[..8], text.as_bytes()[..8]);
    scene.say(FromRouter::Outcome(Outcome::delivered(packet.id, Protocol::Xmpp, 200)));
    let (answer, from) = datagram(&peer).await;
    assert!(answer.starts_with("SIP/2.0 200 OK\r\n"), "{answer}");
    assert_eq!(from, scene.udp);

    assert!(scene.status_of("/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(scene.status_of("/healthz").await.starts_with("HTTP/1.1 200"));
    scene.close().await;
}

#[tokio::test]
async fn the_documented_hop_over_tcp_and_then_the_cached_one() {
    let listener = TcpListener::bind(ANY_PORT).await.expect("a listener");
    let mut scene = Scene::new(listener.local_addr().expect("an address"), Transport::Tcp).await;
    let mut alice = TcpStream::connect(scene.tcp).await.expect("connected");
    let via = format!("TCP {}", alice.local_addr().expect("an address"));
    let (from, to) = ("alice@corp.example", "bob@partner.example");
    alice.write_all(message(from, to, &via).as_bytes()).await.expect("written");

    let packet = scene.submitted().await;
    let attempt = Attempt { packet: packet.clone(), number: 2, instruction: Instruction::Discover };
    scene.say(FromRouter::Attempt(attempt));
    let (mut hop, _) = timeout(LONG, listener.accept()).await.expect("in time").expect("connected");
    let onward = head(&mut hop).await;
    assert!(onward.starts_with("MESSAGE sip:bob@partner.example SIP/2.0\r\n"), "{onward}");
    let mut body = [0; 5];
    hop.read_exact(&mut body).await.expect("the body");
    hop.write_all(ok(&onward).as_bytes()).await.expect("written");
    let ended = scene.ended().await;
    assert_eq!(ended.outcome.ending, Ending::Delivered { by: Protocol::Sip, status: 200 });
    assert_eq!(ended.route.as_deref(), Some(".*"));
    let domain = packet.foreign().clone();
    scene.say(FromRouter::Verdict { domain, sip: true, lease: Duration::from_secs(60) });
    scene.say(FromRouter::Outcome(Outcome::delivered(packet.id, Protocol::Sip, 200)));
    assert!(head(&mut alice).await.starts_with("SIP/2.0 200 OK\r\n"));

    // The second one needs no router.
    let second = message(from, "carol@partner.example", &via);
    alice.write_all(second.as_bytes()).await.expect("written");
    let onward = head(&mut hop).await;
    assert!(onward.starts_with("MESSAGE sip:carol@partner.example SIP/2.0\r\n"), "{onward}");
    hop.read_exact(&mut body).await.expect("the body");
    hop.write_all(ok(&onward).as_bytes()).await.expect("written");
    assert!(head(&mut alice).await.starts_with("SIP/2.0 200 OK\r\n"));
    match scene.hear().await {
        FromCm::Usage(used) => assert_eq!((used.len(), used[0].hits), (1, 1)),
        other => panic!("expected usage, got {other:?}"),
    }
    scene.close().await;
}

#[tokio::test]
async fn a_dead_next_hop_is_told_to_the_router_and_its_word_to_the_sender() {
    let gone = TcpListener::bind(ANY_PORT).await.expect("a listener");
    let hop = gone.local_addr().expect("an address");
    drop(gone);
    let mut scene = Scene::new(hop, Transport::Tcp).await;
    let alice = UdpSocket::bind(ANY_PORT).await.expect("a socket");
    let via = format!("UDP {}", alice.local_addr().expect("an address"));
    let text = message("alice@corp.example", "bob@partner.example", &via);
    alice.send_to(text.as_bytes(), scene.udp).await.expect("sent");
    let packet = scene.submitted().await;
    let attempt = Attempt { packet: packet.clone(), number: 2, instruction: Instruction::Discover };
    scene.say(FromRouter::Attempt(attempt));
    let ending = scene.ended().await.outcome.ending;
    let Ending::Failed(failure) = &ending else { panic!("it failed") };
    assert_eq!(failure.condition.as_str(), "remote-server-timeout");
    scene.say(FromRouter::Outcome(Outcome { id: packet.id, ending, hops: Vec::new() }));
    let (answer, _) = datagram(&alice).await;
    assert!(answer.starts_with("SIP/2.0 504 Server Time-out\r\n"), "{answer}");
    scene.close().await;
}

#[tokio::test]
async fn without_its_router_the_service_is_not_ready_and_refuses_for_now() {
    let peer = UdpSocket::bind(ANY_PORT).await.expect("a socket");
    let hop = peer.local_addr().expect("an address");
    let scene = Scene::new(hop, Transport::Udp).await;
    scene.router.close().await;
    let text = message("bob@partner.example", "alice@corp.example", &format!("UDP {hop}"));
    peer.send_to(text.as_bytes(), scene.udp).await.expect("sent");
    let (answer, _) = datagram(&peer).await;
    assert!(answer.starts_with("SIP/2.0 500 "), "{answer}");
    assert!(answer.contains("Retry-After: 5\r\n"), "{answer}");
    scene.shutdown.begin();
    timeout(LONG, scene.service).await.expect("drained in time").expect("no panic");
}

#[test]
fn a_wildcard_listener_advertises_an_address_that_peers_can_use() {
    let wildcard = any_port(Transport::Udp);
    let address = SocketAddr::new(IpAddr::from([0, 0, 0, 0]), 5060);
    let listeners = super::listeners(&[Listen { address, ..wildcard }], None).expect("listeners");
    assert_eq!(listeners[0].advertised.1, 5060);
    assert!(!listeners[0].advertised.0.ip().expect("an address").is_unspecified());
    let own = "[2001:db8::5]:5070".parse().ok();
    let named = super::listeners(&[wildcard], own.as_ref()).expect("listeners");
    assert_eq!(named[0].advertised.0.to_string(), "[2001:db8::5]");
    assert_eq!(named[0].advertised.1, 5070);
    let everywhere = [Listen { address, ..wildcard }];
    let named_everywhere = super::listeners(&everywhere, own.as_ref()).expect("listeners");
    assert_eq!(named_everywhere[0].reached, listeners[0].reached, "it is known all the same");
    assert!(!listeners[0].reached.is_unspecified());
    // One port is said: that of UDP and TCP. TLS beside them has its own, TLS alone that one.
    let tls = Listen { address, ..any_port(Transport::Tls) };
    let both = super::listeners(&[wildcard, tls], own.as_ref()).expect("listeners");
    assert_eq!((both[0].advertised.1, both[1].advertised.1), (5070, 5060));
    let alone = super::listeners(&[tls], own.as_ref()).expect("listeners");
    assert_eq!(alone[0].advertised.1, 5070);
}
