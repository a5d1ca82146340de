//! Scenes over loopback: peers are plain sockets, the engine is the test.

mod datagrams;
mod proxied;
mod tls;

use super::*;
use crate::tls::tests::Authority;
use openfed_node::settings::Identity;
use sip_cm_core::command::Hop;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Longer than anything here takes; shorter than a stuck build.
const PATIENCE: Duration = Duration::from_secs(20);

/// Our sockets, and what they said.
struct Us {
    transports: Transports,
    events: Events,
    authority: Authority,
}

fn us_with(limits: Limits, identity: impl Fn(&Authority) -> Option<Identity>) -> Us {
    us_behind(Proxies::default(), limits, identity)
}

fn us_behind(
    proxies: Proxies,
    limits: Limits,
    identity: impl Fn(&Authority) -> Option<Identity>,
) -> Us {
    let authority = Authority::new();
    let identity = identity(&authority);
    let mut listen = vec![Transport::Udp, Transport::Tcp];
    if identity.is_some() {
        listen.push(Transport::Tls);
    }
    let listen: Vec<Listen> =
        listen.into_iter().map(|transport| Listen { transport, address: LOOPBACK }).collect();
    let tls = authority.configs(identity);
    let (transports, events) = Transports::start(&listen, proxies, tls, limits).unwrap();
    Us { transports, events, authority }
}

fn us() -> Us {
    us_with(Limits::default(), |_| None)
}

impl Us {
    fn address(&self, transport: Transport) -> SocketAddr {
        let bound = self.transports.bound();
        bound.iter().find(|listen| listen.transport == transport).unwrap().address
    }

    async fn event(&mut self) -> Event {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event in time").expect("an event")
    }

    async fn arrived(&mut self) -> Arrived {
        match self.event().await {
            Event::Arrived(arrived) => *arrived,
            event => panic!("{event:?}"),
        }
    }

    async fn unread(&mut self) -> Unread {
        match self.event().await {
            Event::Unread(unread) => unread,
            event => panic!("{event:?}"),
        }
    }

    async fn failed(&mut self) -> (u64, SendError) {
        loop {
            match self.event().await {
                Event::SendFailed { token, error } => return (token.0, error),
                Event::Closed { .. } => {}
                event @ (Event::Arrived(_) | Event::Unread(_)) => panic!("{event:?}"),
            }
        }
    }

    async fn closed(&mut self) -> FlowId {
        match self.event().await {
            Event::Closed { flow } => flow,
            event => panic!("{event:?}"),
        }
    }

    fn send(
        &self,
        number: u64,
        transport: Transport,
        address: SocketAddr,
        name: Option<&str>,
    ) -> Result<(), SendError> {
        let to = Hop { transport, address, flow: None, name: name.map(Into::into) };
        self.transports.send(Send { token: Token(number), to, bytes: request(number).into() })
    }

    fn reply(&self, to: &Arrived, bytes: &'static [u8]) -> Result<(), SendError> {
        let hop =
            Hop { transport: to.transport, address: to.source, flow: Some(to.flow), name: None };
        self.transports.send(Send { token: Token(0), to: hop, bytes: Bytes::from_static(bytes) })
    }
}

fn request(number: u64) -> String {
    format!(
        "MESSAGE sip:b@b.example SIP/2.0\r\nVia: SIP/2.0/TCP a.example;branch=z9hG4bK{number};rport\r\n\
         From: <sip:a@a.example>;tag=1\r\nTo: <sip:b@b.example>\r\nCall-ID: {number}\r\n\
         CSeq: {number} MESSAGE\r\nContent-Length: 2\r\n\r\n{:02}",
        number % 100
    )
}

fn number_of(arrived: &Arrived) -> u32 {
    arrived.message.cseq().unwrap().number
}

async fn read_some(io: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut buffer = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, io.read(&mut buffer)).await;
    buffer.truncate(read.expect("an answer in time").unwrap());
    String::from_utf8(buffer).unwrap()
}

async fn read_request(io: &mut (impl tokio::io::AsyncRead + Unpin), number: u64) {
    let mut buffer = vec![0; request(number).len()];
    tokio::time::timeout(PATIENCE, io.read_exact(&mut buffer)).await.expect("in time").unwrap();
    assert_eq!(String::from_utf8(buffer).unwrap(), request(number));
}

async fn at_end(io: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(PATIENCE, io.read_to_end(&mut rest)).await;
    // A reset is an end, too.
    drop(end.expect("closed in time"));
}

#[tokio::test]
async fn when_the_engine_is_behind_datagrams_are_dropped_and_streams_wait() {
    let mut us = us_with(Limits { events: 1, ..Limits::default() }, |_| None);
    let mut stream = TcpStream::connect(us.address(Transport::Tcp)).await.unwrap();
    let all: String = (1..=500).map(request).collect();
    let writer = tokio::spawn(async move {
        stream.write_all(all.as_bytes()).await.unwrap();
        stream
    });
    for number in 1..=500 {
        assert_eq!(number_of(&us.arrived().await), number, "nothing of a stream is lost");
    }
    let stream = writer.await.unwrap();
    drop(stream);
    us.closed().await;
    let peer = UdpSocket::bind(LOOPBACK).await.unwrap();
    for number in 1..=50 {
        peer.send_to(request(number).as_bytes(), us.address(Transport::Udp)).await.unwrap();
    }
    assert_eq!(number_of(&us.arrived().await), 1);
}

#[tokio::test]
async fn split_writes_give_whole_messages_and_answers_use_their_connection() {
    let mut us = us();
    let mut stream = TcpStream::connect(us.address(Transport::Tcp)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (head, tail) = (request(1), request(2));
    let both = format!("{head}{tail}");
    for piece in both.as_bytes().chunks(7) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let first = us.arrived().await;
    assert_eq!((number_of(&first), number_of(&us.arrived().await)), (1, 2));
    assert_eq!(first.source, stream.local_addr().unwrap());
    us.reply(&first, b"SIP/2.0 200 OK\r\n\r\n").unwrap();
    assert_eq!(read_some(&mut stream).await, "SIP/2.0 200 OK\r\n\r\n");
    drop(stream);
    assert_eq!(us.closed().await, first.flow);
}

#[tokio::test]
async fn e_41_a_ping_is_answered() {
    let us = us();
    let mut stream = TcpStream::connect(us.address(Transport::Tcp)).await.unwrap();
    stream.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read_some(&mut stream).await, "\r\n");
}

#[tokio::test]
async fn e_09_a_stream_without_framing_is_answered_and_closed() {
    let mut us = us();
    let mut stream = TcpStream::connect(us.address(Transport::Tcp)).await.unwrap();
    let bad = request(1).replace("Content-Length: 2", "Content-Length: 2\r\nl: 3");
    stream.write_all(format!("{bad}{}", request(2)).as_bytes()).await.unwrap();
    let answer = read_some(&mut stream).await;
    assert!(answer.starts_with("SIP/2.0 400 Repeated Content-Length\r\n"), "{answer}");
    at_end(&mut stream).await;
    drop(stream);
    us.closed().await;
}

#[tokio::test]
async fn a_half_open_message_is_cut_off_and_an_idle_connection_closed() {
    let limits = Limits {
        message: Duration::from_millis(200),
        idle: Duration::from_secs(1),
        ..Limits::default()
    };
    let mut us = us_with(limits, |_| None);
    let mut half = TcpStream::connect(us.address(Transport::Tcp)).await.unwrap();
    half.write_all(&request(1).as_bytes()[..40]).await.unwrap();
    at_end(&mut half).await;
    us.closed().await;
    let mut idle = TcpStream::connect(us.address(Transport::Tcp)).await.unwrap();
    idle.write_all(request(2).as_bytes()).await.unwrap();
    assert_eq!(number_of(&us.arrived().await), 2);
    at_end(&mut idle).await;
    us.closed().await;
}

#[tokio::test]
async fn the_unspecified_ipv6_address_means_both_families() {
    let started = |listen: &[Listen]| {
        let tls = Authority::new().configs(None);
        Transports::start(listen, Proxies::default(), tls, Limits::default()).unwrap().0
    };
    let any: SocketAddr = "[::]:0".parse().unwrap();
    for transport in [Transport::Tcp, Transport::Udp] {
        let transports = started(&[Listen { transport, address: any }]);
        let bound = transports.bound();
        let port = bound[0].address.port();
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        assert_eq!(bound[1..], [Listen { transport, address }]);
        // Named by themselves, in any order.
        let free = std::net::TcpListener::bind(LOOPBACK).unwrap().local_addr().unwrap().port();
        let both = ["0.0.0.0", "::"].map(|ip| SocketAddr::new(ip.parse().unwrap(), free));
        let both = both.map(|address| Listen { transport, address });
        assert_eq!(started(&both).bound(), both);
    }
}

#[tokio::test]
async fn connections_are_limited_for_each_source() {
    let limits = Limits { connections_per_source: 2, ..Limits::default() };
    let mut us = us_with(limits, |_| None);
    let address = us.address(Transport::Tcp);
    let mut kept = Vec::new();
    for number in 1..=2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request(number).as_bytes()).await.unwrap();
        us.arrived().await;
        kept.push(stream);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    at_end(&mut third).await;
    kept.pop();
    us.closed().await;
    let mut fourth = TcpStream::connect(address).await.unwrap();
    fourth.write_all(request(4).as_bytes()).await.unwrap();
    assert_eq!(number_of(&us.arrived().await), 4);
}

#[tokio::test]
async fn requests_to_one_place_share_a_connection() {
    let mut us = us();
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    us.send(1, Transport::Tcp, address, Some("a.example")).unwrap();
    us.send(2, Transport::Tcp, address, Some("b.example")).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream, 1).await;
    read_request(&mut stream, 2).await;
    // What comes back on it arrives as well.
    stream.write_all(request(9).as_bytes()).await.unwrap();
    let arrived = us.arrived().await;
    assert_eq!((number_of(&arrived), arrived.source), (9, address));
    // Once it is gone, the next request opens another one.
    drop(stream);
    us.closed().await;
    us.send(3, Transport::Tcp, address, None).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream, 3).await;
}

/// Next hops and firewalls know us by that address.
#[tokio::test]
async fn a_connection_to_a_next_hop_leaves_from_where_we_listen() {
    let own: SocketAddr = "127.0.0.9:0".parse().unwrap();
    let at = |transport, address| Listen { transport, address };
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    for listen in [
        [at(Transport::Udp, LOOPBACK), at(Transport::Tcp, own)],
        // What is too long for UDP goes by TCP also where only UDP is listened on.
        [at(Transport::Udp, own), at(Transport::Udp, LOOPBACK)],
    ] {
        let tls = Authority::new().configs(None);
        let limits = Limits::default();
        let (transports, events) =
            Transports::start(&listen, Proxies::default(), tls, limits).unwrap();
        let us = Us { transports, events, authority: Authority::new() };
        us.send(1, Transport::Tcp, address, None).unwrap();
        let (mut stream, from) = listener.accept().await.unwrap();
        assert_eq!(from.ip(), own.ip());
        read_request(&mut stream, 1).await;
    }
}

#[test]
fn where_a_connection_leaves_from() {
    let from = |listen: &[&str], to: &str| {
        let listen: Vec<Listen> = listen.iter().map(|it| it.parse().unwrap()).collect();
        source::towards(&listen, Transport::Tls, to.parse().unwrap()).map(|it| it.to_string())
    };
    let all = ["udp:192.0.2.1:5060", "tls:192.0.2.2:5061", "tcp:[2001:db8::1]:5060"];
    assert_eq!(from(&all, "198.51.100.1:5061").as_deref(), Some("192.0.2.2:0"));
    assert_eq!(from(&all, "[2001:db8::2]:5061").as_deref(), Some("[2001:db8::1]:0"));
    assert_eq!(from(&["tls:0.0.0.0:5061"], "198.51.100.1:5061"), None);
    assert_eq!(from(&["udp:192.0.2.1:5060"], "[2001:db8::2]:5061"), None);
    assert_eq!(from(&["udp:127.0.0.1:5060"], "198.51.100.1:5061"), None, "nobody is there");
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_gives_way_to_another() {
    let mut us = us();
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    let to = Hop { transport: Transport::Tcp, address, flow: None, name: None };
    us.send(1, Transport::Tcp, address, None).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream, 1).await;
    let since = Instant::now();
    // Something came: it stays, whatever else is missed there.
    stream.write_all(request(9).as_bytes()).await.unwrap();
    us.arrived().await;
    us.transports.suspect(to.clone(), since);
    us.send(2, Transport::Tcp, address, None).unwrap();
    read_request(&mut stream, 2).await;
    // Nothing came: the next message takes another one at once, and this one ends.
    let silence = Duration::from_millis(5);
    us.transports.suspect(to.clone(), Instant::now() + silence);
    us.send(3, Transport::Tcp, address, None).unwrap();
    let another = tokio::time::timeout(PATIENCE, listener.accept()).await;
    let (mut other, _) = another.expect("another connection").unwrap();
    read_request(&mut other, 3).await;
    at_end(&mut stream).await;
    us.closed().await;
    // One that nobody has ever heard is not taken for alive because it is young.
    us.transports.suspect(to, since);
    at_end(&mut other).await;
}

#[tokio::test]
async fn e_16_a_next_hop_that_refuses_is_told_for_each_message() {
    let mut us = us();
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    us.send(1, Transport::Tcp, address, None).unwrap();
    us.send(2, Transport::Tcp, address, None).unwrap();
    for number in 1..=2 {
        let (token, error) = us.failed().await;
        assert_eq!(token, number);
        assert!(matches!(error, SendError::Connect(_)), "{error}");
    }
}

#[tokio::test]
async fn a_next_hop_that_takes_a_message_and_closes_without_a_word_is_told_for_it() {
    let mut us = us();
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    for number in [1, 2] {
        us.send(number, Transport::Tcp, address, None).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        if number == 2 {
            read_request(&mut stream, number).await;
        }
        drop(stream);
        assert_eq!(us.failed().await, (number, SendError::Closed));
        us.closed().await;
    }
    // One that has spoken may have taken what came before it closed.
    us.send(3, Transport::Tcp, address, None).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream, 3).await;
    stream.write_all(b"\r\n").await.unwrap();
    stream.write_all(request(9).as_bytes()).await.unwrap();
    us.arrived().await;
    us.send(4, Transport::Tcp, address, None).unwrap();
    read_request(&mut stream, 4).await;
    drop(stream);
    us.closed().await;
}

#[tokio::test]
async fn a_peer_that_stalls_fails_alone() {
    let limits = Limits { write: Duration::from_millis(200), queue: 64, ..Limits::default() };
    let mut us = us_with(limits, |_| None);
    let (stuck, well) =
        (TcpListener::bind(LOOPBACK).await.unwrap(), TcpListener::bind(LOOPBACK).await.unwrap());
    let stuck_at = stuck.local_addr().unwrap();
    let well_at = well.local_addr().unwrap();
    let big = Bytes::from(vec![b'x'; 60_000]);
    let send_big = |us: &Us, number| {
        let to = Hop { transport: Transport::Tcp, address: stuck_at, flow: None, name: None };
        us.transports.send(Send { token: Token(number), to, bytes: big.clone() })
    };
    send_big(&us, 1).unwrap();
    let (_never_read, _) = stuck.accept().await.unwrap();
    // It takes nothing: the kernel's buffers fill, then the queue, then we are refused aloud.
    let mut number = 1;
    let refused = loop {
        number += 1;
        match send_big(&us, number) {
            Ok(()) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, SendError::Busy);
    us.send(1000, Transport::Tcp, well_at, None).unwrap();
    let (mut stream, _) = well.accept().await.unwrap();
    read_request(&mut stream, 1000).await;
    let (token, error) = us.failed().await;
    assert!(token < number && error == SendError::Closed, "{token} {error}");
}

#[tokio::test]
async fn closing_tells_who_waits() {
    let mut us = us();
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    us.send(1, Transport::Tcp, listener.local_addr().unwrap(), None).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream, 1).await;
    us.transports.close();
    at_end(&mut stream).await;
    us.closed().await;
}

#[tokio::test]
async fn what_cannot_be_listened_on_is_said() {
    let authority = Authority::new();
    let start = |transport, address| {
        let listen = [Listen { transport, address }];
        let limits = Limits::default();
        Transports::start(&listen, Proxies::default(), authority.configs(None), limits)
            .map(|(t, _)| t)
    };
    let taken = start(Transport::Udp, LOOPBACK).unwrap();
    let twice = start(Transport::Udp, taken.bound()[0].address).err().unwrap();
    assert!(matches!(twice, StartError::Bind { .. }), "{twice}");
    let bare = start(Transport::Tls, LOOPBACK).err().unwrap();
    assert!(matches!(bare, StartError::NoCertificate(_)), "{bare}");
    let only_tcp = start(Transport::Tcp, LOOPBACK).unwrap();
    let to = Hop { transport: Transport::Udp, address: LOOPBACK, flow: None, name: None };
    let sent = only_tcp.send(Send { token: Token(1), to, bytes: Bytes::from_static(b"x") });
    assert_eq!(sent, Err(SendError::NoSocket));
}
