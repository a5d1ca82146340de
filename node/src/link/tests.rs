use std::net::SocketAddr;

use openfed_proto::link::{DomainUse, FromCm, FromRouter};
use openfed_proto::packet::Role;
use tokio::net::TcpListener;

use super::wire::{Stub, WireFromCm};
use super::*;
use crate::settings::HttpUrl;

mod black_hole;
use black_hole::BlackHole;

type CmEvents = mpsc::Receiver<LinkEvent<FromRouter>>;
type RouterEvents = mpsc::Receiver<LinkEvent<FromCm>>;

/// Times that suit a test.
fn brisk() -> Manners {
    Manners {
        keepalive: Duration::from_millis(100),
        keepalive_answer: Duration::from_millis(300),
        redial: (Duration::from_millis(5), Duration::from_millis(50)),
        resolve: Duration::from_millis(100),
        greeting: Duration::from_millis(500),
        queue: 64,
    }
}

fn hello(role: Role, node: &str) -> Hello {
    Hello { role, node: node.to_owned(), epoch: 1, capacity: 100, version: "0".to_owned() }
}

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn url(address: SocketAddr) -> HttpUrl {
    format!("http://{address}").parse().expect("a URL")
}

async fn router_at(address: SocketAddr) -> (LinkServer, RouterEvents) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let greeting = hello(Role::Router, &format!("router-{number}"));
    LinkServer::start_with(address, greeting, brisk()).await.expect("listening")
}

fn manager_of(routers: &[SocketAddr]) -> (LinkClient, CmEvents) {
    let routers = routers.iter().copied().map(url).collect();
    LinkClient::start_with(routers, hello(Role::SipCm, "cm-1"), brisk())
}

/// The next event; a test that waits longer has failed.
async fn next<F>(events: &mut mpsc::Receiver<LinkEvent<F>>) -> LinkEvent<F> {
    let event = tokio::time::timeout(Duration::from_secs(20), events.recv());
    event.await.expect("an event in time").expect("an event")
}

async fn up<F: std::fmt::Debug>(events: &mut mpsc::Receiver<LinkEvent<F>>) -> (LinkId, Hello) {
    match next(events).await {
        LinkEvent::Up { link, hello, .. } => (link, hello),
        other => panic!("not up: {other:?}"),
    }
}

async fn down<F: std::fmt::Debug>(events: &mut mpsc::Receiver<LinkEvent<F>>) -> (LinkId, String) {
    match next(events).await {
        LinkEvent::Down { link, reason } => (link, reason),
        other => panic!("not down: {other:?}"),
    }
}

async fn frame<F: std::fmt::Debug>(events: &mut mpsc::Receiver<LinkEvent<F>>) -> F {
    match next(events).await {
        LinkEvent::Frame { frame, .. } => frame,
        other => panic!("not a frame: {other:?}"),
    }
}

/// Sends when there is room.
async fn send_patiently(mut send: impl FnMut() -> Result<(), NotSent>) {
    while send().expect_or_busy() {
        tokio::task::yield_now().await;
    }
}

trait ExpectOrBusy {
    fn expect_or_busy(self) -> bool;
}

impl ExpectOrBusy for Result<(), NotSent> {
    fn expect_or_busy(self) -> bool {
        assert_ne!(self, Err(NotSent::Down));
        self.is_err()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_introduce_themselves_and_order_is_kept_both_ways() {
    let (router, mut router_events) = router_at(any_port()).await;
    let (manager, mut manager_events) = manager_of(&[router.address()]);
    let (to_router, greeting) = up(&mut manager_events).await;
    assert_eq!(greeting.role, Role::Router);
    let (to_manager, greeting) = up(&mut router_events).await;
    assert_eq!((greeting.node.as_str(), greeting.capacity), ("cm-1", 100));

    let sending = async {
        for number in 0..3_000 {
            send_patiently(|| manager.send(to_router, FromCm::Credit(number))).await;
            send_patiently(|| router.send(to_manager, FromRouter::Credit(number))).await;
        }
    };
    let at_router = async {
        for number in 0..3_000 {
            assert_eq!(frame(&mut router_events).await, FromCm::Credit(number));
        }
    };
    let at_manager = async {
        for number in 0..3_000 {
            assert_eq!(frame(&mut manager_events).await, FromRouter::Credit(number));
        }
    };
    tokio::join!(sending, at_router, at_manager);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_engine_makes_its_peer_busy_and_stalls_nobody() {
    // Given a router whose engine does not look at its events
    let (router, mut router_events) = router_at(any_port()).await;
    let (manager, mut manager_events) = manager_of(&[router.address()]);
    let (to_router, _) = up(&mut manager_events).await;
    let (to_manager, _) = up(&mut router_events).await;
    // When the manager sends more than anything on the way can hold
    let big = |number| {
        let domain = "a.example".parse().expect("a domain");
        let last_failure = Some("x".repeat(64 << 10));
        FromCm::Usage(vec![DomainUse { domain, hits: number, last_seen: 0, last_failure }])
    };
    let mut sent = 0;
    let mut refused_in_a_row = 0;
    while refused_in_a_row < 5_000 {
        match manager.send(to_router, big(sent)) {
            Ok(()) => (sent, refused_in_a_row) = (sent + 1, 0),
            Err(error) => {
                assert_eq!(error, NotSent::Busy);
                refused_in_a_row += 1;
                tokio::task::yield_now().await;
            }
        }
        assert!(sent < 1_000, "nothing is bounded");
    }
    // Then the other direction is free, and nothing that was taken is lost
    router.send(to_manager, FromRouter::Credit(7)).expect("room");
    assert_eq!(frame(&mut manager_events).await, FromRouter::Credit(7));
    for number in 0..sent {
        let FromCm::Usage(uses) = frame(&mut router_events).await else { panic!("not a use") };
        assert_eq!(uses[0].hits, number);
    }
    send_patiently(|| manager.send(to_router, big(sent))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_end_is_gone_the_other_hears_it_once_and_dials_again() {
    let (router, mut router_events) = router_at(any_port()).await;
    let address = router.address();
    let (manager, mut manager_events) = manager_of(&[address]);
    let (first, _) = up(&mut manager_events).await;
    up(&mut router_events).await;

    drop((router, router_events));
    assert_eq!(down(&mut manager_events).await.0, first);
    assert_eq!(manager.send(first, FromCm::Credit(1)), Err(NotSent::Down));

    let (router, mut router_events) = router_at(address).await;
    let (second, _) = up(&mut manager_events).await;
    assert_ne!(first, second);
    let (to_manager, _) = up(&mut router_events).await;

    drop((manager, manager_events));
    assert_eq!(down(&mut router_events).await.0, to_manager);
    assert_eq!(router.send(to_manager, FromRouter::Credit(1)), Err(NotSent::Down));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_peer_is_noticed_at_both_ends() {
    // Given a link through a wire that is about to go dead without closing
    let (router, mut router_events) = router_at(any_port()).await;
    let wire = BlackHole::before(router.address()).await;
    let (_manager, mut manager_events) = manager_of(&[wire.address()]);
    up(&mut manager_events).await;
    up(&mut router_events).await;
    // When it does, then pings go unanswered
    wire.swallow();
    down(&mut manager_events).await;
    down(&mut router_events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_greets_is_not_a_link() {
    // Given something that takes connections and says nothing
    let silent = TcpListener::bind(any_port()).await.expect("a free port");
    let (router, mut router_events) = router_at(any_port()).await;
    let silent_address = silent.local_addr().expect("an address");
    let (_manager, mut manager_events) = manager_of(&[silent_address, router.address()]);
    // Then the others are linked, and it is dialled again
    up(&mut manager_events).await;
    up(&mut router_events).await;
    for _ in 0..2 {
        let connected = tokio::time::timeout(Duration::from_secs(20), silent.accept()).await;
        connected.expect("dialled").expect("connected");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ways_to_one_router_make_one_link() {
    let (router, mut router_events) = router_at(([0, 0, 0, 0], 0).into()).await;
    let port = router.address().port();
    let ways = [([127, 0, 0, 1], port).into(), ([127, 0, 0, 2], port).into()];
    let (manager, mut manager_events) = manager_of(&ways);
    let (link, _) = up(&mut manager_events).await;
    up(&mut router_events).await;
    // Long enough for the other way to be tried several times.
    let quiet = Duration::from_millis(300);
    assert!(tokio::time::timeout(quiet, manager_events.recv()).await.is_err());
    assert!(router_events.try_recv().is_err());
    // When the link in use ends, either way may be the next.
    manager.close_link(link);
    assert_eq!(down(&mut manager_events).await.0, link);
    assert_ne!(up(&mut manager_events).await.0, link);
    // The router, which cannot know that both are one, may hear of the new one first.
    let both = [next(&mut router_events).await, next(&mut router_events).await];
    let is_up = |event: &&LinkEvent<_>| matches!(event, LinkEvent::Up { .. });
    assert_eq!(both.iter().filter(is_up).count(), 1, "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_router_has_its_link() {
    let (one, _events_one) = router_at(any_port()).await;
    let (two, _events_two) = router_at(any_port()).await;
    let (_manager, mut events) = manager_of(&[one.address(), two.address()]);
    assert_ne!(up(&mut events).await.1.node, up(&mut events).await.1.node);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_leaves_says_what_it_still_has_to_say() {
    let (router, mut router_events) = router_at(any_port()).await;
    let (_manager, mut manager_events) = manager_of(&[router.address()]);
    up(&mut manager_events).await;
    let (link, _) = up(&mut router_events).await;

    router.send(link, FromRouter::Leaving(Duration::from_secs(1))).expect("room");
    for number in 0..40 {
        router.send(link, FromRouter::Credit(number)).expect("room");
    }
    let closed = tokio::time::timeout(Duration::from_secs(5), router.close()).await;
    closed.expect("a graceful end is not for ever");

    assert!(matches!(frame(&mut manager_events).await, FromRouter::Leaving(_)));
    for number in 0..40 {
        assert_eq!(frame(&mut manager_events).await, FromRouter::Credit(number));
    }
    down(&mut manager_events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_leaves_says_what_it_still_has_to_say() {
    let (router, mut router_events) = router_at(any_port()).await;
    let (manager, mut manager_events) = manager_of(&[router.address()]);
    let (link, _) = up(&mut manager_events).await;
    up(&mut router_events).await;
    for number in 0..40 {
        manager.send(link, FromCm::Credit(number)).expect("room");
    }
    manager.close().await;
    for number in 0..40 {
        assert_eq!(frame(&mut router_events).await, FromCm::Credit(number));
    }
    down(&mut router_events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_when_its_engine_is_gone() {
    let (router, mut router_events) = router_at(any_port()).await;
    let (_manager, manager_events) = manager_of(&[router.address()]);
    let (link, _) = up(&mut router_events).await;
    drop(manager_events);
    assert_eq!(down(&mut router_events).await.0, link);
}

/// Attaches by hand and says `frames`.
async fn rude_manager(router: SocketAddr, frames: Vec<WireFromCm>) -> mpsc::Sender<WireFromCm> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{router}"));
    let channel = channel.expect("a URL").connect().await.expect("connected");
    let (sender, receiver) = mpsc::channel(16);
    for frame in frames {
        sender.send(frame).await.expect("room");
    }
    let frames = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let attached = Stub::new(channel).attach(frames).await.expect("attached").into_inner();
    // Keeps its end open for as long as the router lets it.
    tokio::spawn(async move {
        let mut attached = attached;
        while let Ok(Some(_)) = attached.message().await {}
    });
    sender
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_without_manners_is_cut_off() {
    let (router, mut events) = router_at(any_port()).await;
    let greeting = || WireFromCm::from(FromCm::Hello(hello(Role::SipCm, "rude")));
    // One that does not introduce itself never becomes a link.
    let unnamed = rude_manager(router.address(), vec![FromCm::Credit(1).into()]).await;
    tokio::time::timeout(Duration::from_secs(20), unnamed.closed()).await.expect("cut off");
    assert!(events.try_recv().is_err());
    // One that says nothing at all neither.
    let mute = rude_manager(router.address(), vec![]).await;
    tokio::time::timeout(Duration::from_secs(20), mute.closed()).await.expect("cut off");
    assert!(events.try_recv().is_err());
    // One that introduces itself twice, or talks nonsense, is cut off after.
    for nonsense in [greeting(), WireFromCm { frame: None }] {
        let _rude = rude_manager(router.address(), vec![greeting(), nonsense]).await;
        let (link, _) = up(&mut events).await;
        assert_eq!(down(&mut events).await.0, link);
    }
}
