//! The service between a real home server, Prosody, and a router that the scene plays itself.

mod prosody;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openfed_node::link::{LinkEvent, LinkId, LinkServer};
use openfed_node::process::install_crypto;
use openfed_node::settings::Settings;
use openfed_node::shutdown::Shutdown;
use openfed_proto::address::Address;
use openfed_proto::condition::Condition;
use openfed_proto::link::{Attempt, FromCm, FromRouter, Hello, Instruction};
use openfed_proto::packet::{
    Body, Cause, Conversation, Direction, Ending, Failure, MAX_HOPS, Message, Original, Outcome,
    Packet, PacketId, Protocol, Role, Source, Text, TraceContext,
};
use prosody::{Client, Prosody, free_port};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(30);

/// The router's end of the scene.
struct Router {
    server: LinkServer,
    events: Receiver<LinkEvent<FromCm>>,
    link: LinkId,
}

impl Router {
    /// The next frame that is not about credit.
    async fn next(&mut self) -> FromCm {
        loop {
            let event = tokio::time::timeout(SOON, self.events.recv()).await;
            match event.expect("a frame comes soon").expect("the server lives") {
                LinkEvent::Frame { frame: FromCm::Credit(_), .. } => {}
                LinkEvent::Frame { frame, .. } => return frame,
                other => panic!("{other:?}"),
            }
        }
    }

    fn say(&self, frame: FromRouter) {
        self.server.send(self.link, frame).expect("the link is up");
    }

    async fn deliver(&mut self, packet: Packet) -> Ending {
        let attempt = Attempt { packet, number: 1, instruction: Instruction::Home };
        self.say(FromRouter::Attempt(attempt));
        match self.next().await {
            FromCm::Ended(ended) => ended.outcome.ending,
            other => panic!("{other:?}"),
        }
    }
}

struct Scene {
    prosody: Prosody,
    router: Router,
    shutdown: Shutdown,
    service: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

fn hello() -> Hello {
    Hello {
        role: Role::Router,
        node: "scene-router".into(),
        epoch: 1,
        capacity: 1_000,
        version: "0".into(),
    }
}

fn settings(directory: &Path, router: SocketAddr, home: u16, dns: u16) -> Settings {
    let directory = directory.display();
    let text = format!(
        r#"
[domains]
local = ["corp.example"]
[cm]
routers = ["http://{router}"]
[xmpp]
listen = "127.0.0.1:0"
http = "127.0.0.1:0"
[[xmpp.home]]
domain = "corp.example"
address = "127.0.0.1:{home}"
[xmpp.dns]
listen = "127.0.0.1:{dns}"
answer = "127.0.0.1"
[xmpp.tls]
directory = "{directory}/tls"
"#
    );
    let file = std::path::PathBuf::from(format!("{directory}/openfed.toml"));
    std::fs::write(&file, text).expect("a file");
    Settings::load(Some(&file), std::iter::empty()).expect("good settings")
}

impl Scene {
    async fn begin() -> Self {
        install_crypto();
        let directory = tempfile::tempdir().expect("a directory");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (server, mut events) = LinkServer::start(any, hello()).await.expect("a router");
        let dns = free_port();
        let prosody = Prosody::start(directory.path(), dns).await;
        let settings = settings(directory.path(), server.address(), prosody.s2s, dns);
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let served = xmpp_cm::serve(Arc::new(settings), shutdown.clone());
        let service = tokio::spawn(async move { served.await.expect("the service runs") });
        let up = tokio::time::timeout(SOON, events.recv()).await;
        let Ok(Some(LinkEvent::Up { link, .. })) = up else { panic!("{up:?}") };
        let router = Router { server, events, link };
        Scene { prosody, router, shutdown, service, _directory: directory }
    }

    async fn end(self) {
        self.shutdown.begin();
        tokio::time::timeout(SOON, self.service).await.expect("it ends").expect("without panic");
    }
}

fn sip_message(number: u8, to: &str, text: &str) -> Packet {
    let address = |jid: &str| Address::from_jid(jid).expect("an address");
    let (from, to) = (address("bob@sip.example/phone"), address(to));
    let message = Message {
        id: Some(format!("z9hG4bK{number}")),
        thread: Some("call-1".into()),
        chat: false,
        subjects: Vec::new(),
        bodies: vec![Text { lang: None, text: text.to_owned() }],
        html: None,
    };
    Packet {
        id: PacketId([number; 16]),
        conversation: Conversation::between(&from, &to),
        direction: Direction::Inbound,
        from,
        to,
        body: Body::Message(message),
        original: Original { protocol: Protocol::Sip, bytes: "MESSAGE".into() },
        trace: TraceContext::default(),
        hops: Vec::new(),
        remaining: Duration::from_secs(30),
        hops_left: MAX_HOPS,
        source: Source::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_prosody_and_the_router_hear_of_each_other() {
    let mut scene = Scene::begin().await;
    let mut alice = Client::login(scene.prosody.c2s, "alice").await;

    // Out: the router gets the packet, and its failure comes back as the exact stanza error.
    alice.say("<message to='bob@sip.example' id='m1' type='chat'><body>out</body></message>").await;
    let FromCm::Submit { packet, .. } = scene.router.next().await else { panic!("no packet") };
    assert_eq!(packet.to.to_jid(), "bob@sip.example");
    assert!(matches!(&packet.body, Body::Message(message) if message.bodies[0].text == "out"));
    let failure = Failure::new(Condition::RecipientUnavailable, Cause::Remote);
    scene.router.say(FromRouter::Outcome(Outcome::failed(packet.id, failure)));
    let error = alice.hears("recipient-unavailable").await;
    assert!(error.contains("id='m1'") && error.contains("type='wait'"), "{error}");

    // In: delivered is said after the home server took it, and only then.
    let packet = sip_message(1, "alice@corp.example", "in");
    let delivered = Ending::Delivered { by: Protocol::Xmpp, status: 200 };
    assert_eq!(scene.router.deliver(packet).await, delivered);
    let heard = alice.hears("<body>in</body>").await;
    assert!(heard.contains("from='bob@sip.example/phone'"), "{heard}");

    // A user that does not exist is the outcome, though Prosody took the stanza.
    let packet = sip_message(2, "nobody@corp.example", "lost");
    let Ending::Failed(failure) = scene.router.deliver(packet).await else { panic!("a success") };
    assert_eq!(failure.condition, Condition::ItemNotFound, "E-52");
    assert_eq!(failure.cause, Cause::Remote);
    scene.end().await;
}
