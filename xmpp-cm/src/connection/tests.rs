use std::net::Ipv4Addr;
use std::time::Duration;

use openfed_node::proxy::Header;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::dns;
use crate::resolve::Endpoint;
use crate::tls::{Audience, Authority};

const FOREIGN: ConnId = ConnId(1);

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn tls() -> Tls {
    Tls::new(Authority::ephemeral().unwrap()).unwrap()
}

fn quick() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        stagger: Duration::from_millis(20),
        handshake: Duration::from_secs(3),
        linger: Duration::from_millis(200),
        ..Limits::default()
    }
}

/// Connections whose DNS sends every foreign domain to this port of this machine.
async fn connections(port: u16, limits: Limits) -> Connections {
    let dns = dns::tests::all_here(port).await;
    let resolver = Resolver::new(&[dns], Box::new(|_| 0)).unwrap();
    let home = HostPort { host: "127.0.0.1".to_owned(), port };
    let homes = HashMap::from([(domain("corp.example"), home)]);
    Connections::new(Means { resolver, tls: tls(), homes, limits })
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn next(connections: &mut Connections) -> Report {
    timeout(Duration::from_secs(10), connections.next()).await.expect("a report")
}

fn flush(connections: &mut Connections) {
    assert_eq!(connections.flush(|_, _| {}), []);
}

/// The bytes that come until these are complete.
async fn heard(connections: &mut Connections, text: &str) {
    let mut got = Vec::new();
    while got.len() < text.len() {
        match next(connections).await {
            Report::Bytes { bytes, .. } => got.extend_from_slice(&bytes),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, text.as_bytes());
}

fn said(connections: &mut Connections, conn: ConnId, text: &str) {
    connections.transmit(conn, text.as_bytes());
    flush(connections);
}

async fn read(stream: &mut (impl AsyncReadExt + Unpin), text: &str) {
    let mut bytes = vec![0; text.len()];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, text.as_bytes());
}

/// A connection to a foreign server that is a socket of this test.
async fn dialed(limits: Limits) -> (Connections, TcpStream) {
    let (listener, port) = listener().await;
    let mut connections = connections(port, limits).await;
    connections.connect(FOREIGN, Target::Foreign(domain("foreign.example")), Vec::new());
    let (peer, _) = listener.accept().await.unwrap();
    let report = next(&mut connections).await;
    assert!(
        matches!(report, Report::Connected { conn: FOREIGN, encrypted: false, .. }),
        "{report:?}"
    );
    (connections, peer)
}

#[tokio::test]
async fn a_foreign_server_is_found_spoken_to_and_left() {
    let (mut connections, mut peer) = dialed(quick()).await;
    // What is transmitted goes out at the flush, in one piece
    connections.transmit(FOREIGN, b"<a/>");
    connections.transmit(FOREIGN, b"<b/>");
    flush(&mut connections);
    read(&mut peer, "<a/><b/>").await;
    peer.write_all(b"<c/>").await.unwrap();
    heard(&mut connections, "<c/>").await;
    // The last words arrive, and nothing but the end is reported
    connections.transmit(FOREIGN, b"</stream:stream>");
    connections.close(FOREIGN);
    assert_eq!(connections.count(), 0);
    peer.write_all(b"<d/>").await.unwrap();
    let mut rest = String::new();
    peer.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "</stream:stream>");
    drop(peer);
    let end = next(&mut connections).await;
    assert!(matches!(end, Report::Closed { conn: FOREIGN, unconfirmed: 0 }), "{end:?}");
}

#[tokio::test]
async fn a_mark_is_told_when_what_was_before_it_is_with_the_system() {
    let (mut connections, peer) = dialed(quick()).await;
    connections.transmit(FOREIGN, b"<a/>");
    connections.mark(FOREIGN, 7);
    let report = next(&mut connections).await;
    assert!(matches!(report, Report::Written { conn: FOREIGN, mark: 7 }), "{report:?}");
    // It is there already: nobody waits for it.
    let mut peer = peer.into_std().unwrap();
    assert_eq!(std::io::Read::read(&mut peer, &mut [0; 16]).unwrap(), 4);
}

#[tokio::test]
async fn the_end_of_a_peer_is_reported_and_what_was_on_its_way_arrives() {
    let (mut connections, mut peer) = dialed(quick()).await;
    peer.write_all(b"</stream:stream>").await.unwrap();
    peer.shutdown().await.unwrap();
    heard(&mut connections, "</stream:stream>").await;
    said(&mut connections, FOREIGN, "</stream:stream>");
    assert!(matches!(next(&mut connections).await, Report::Closed { conn: FOREIGN, .. }));
    let mut rest = String::new();
    peer.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "</stream:stream>");
    assert_eq!(connections.count(), 0);
}

#[tokio::test]
async fn the_home_server_is_at_its_address_and_nowhere_else() {
    let (listener, port) = listener().await;
    let mut connections = connections(port, quick()).await;
    connections.connect(ConnId(1), Target::Home(domain("corp.example")), Vec::new());
    let _peer = listener.accept().await.unwrap();
    assert!(matches!(next(&mut connections).await, Report::Connected { encrypted: false, .. }));
    connections.connect(ConnId(2), Target::Home(domain("unknown.example")), Vec::new());
    let failed = next(&mut connections).await;
    let why = ConnectFailure::NotFound;
    assert!(matches!(failed, Report::ConnectFailed { conn: ConnId(2), why: w } if w == why));
}

#[tokio::test]
async fn e43_a_refused_connection_is_unreachable_when_srv_announced_it() {
    let (listener, port) = listener().await;
    drop(listener);
    let mut connections = connections(port, quick()).await;
    connections.connect(FOREIGN, Target::Foreign(domain("foreign.example")), Vec::new());
    let failed = next(&mut connections).await;
    let why = ConnectFailure::Refused;
    assert!(matches!(failed, Report::ConnectFailed { why: w, .. } if w == why), "{failed:?}");
}

/// The shell is client of STARTTLS; the test is the server.
async fn under_tls() -> (Connections, tokio_rustls::server::TlsStream<TcpStream>) {
    let (mut connections, mut peer) = dialed(quick()).await;
    said(&mut connections, FOREIGN, "<starttls/>");
    read(&mut peer, "<starttls/>").await;
    peer.write_all(b"<proceed/>").await.unwrap();
    heard(&mut connections, "<proceed/>").await;
    connections
        .start_tls(FOREIGN, TlsSide::Client { domain: domain("foreign.example"), minted: None });
    let config = tls().server(&domain("foreign.example"), Audience::Public).unwrap();
    let peer = TlsAcceptor::from(config).accept(peer).await.unwrap();
    let report = next(&mut connections).await;
    // Under an authority that nobody knows
    assert!(matches!(report, Report::Tls { established: true, verified: false, .. }), "{report:?}");
    (connections, peer)
}

#[tokio::test]
async fn starttls_as_client() {
    let (mut connections, mut peer) = under_tls().await;
    said(&mut connections, FOREIGN, "<a/>");
    read(&mut peer, "<a/>").await;
    peer.write_all(b"<b/>").await.unwrap();
    heard(&mut connections, "<b/>").await;
}

#[tokio::test]
async fn starttls_as_server_shows_the_domain_that_was_asked_for() {
    let (listening, port) = listener().await;
    let mut connections = connections(port, quick()).await;
    let authority = connections.means.tls.authority().certificate().clone();
    connections.listen(listening, Proxies::default());
    let mut peer = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let Report::Accepted(accepted) = next(&mut connections).await else { panic!() };
    assert!(accepted.peer.ip().is_loopback());
    connections.adopt(FOREIGN, accepted);
    peer.write_all(b"<starttls/>").await.unwrap();
    heard(&mut connections, "<starttls/>").await;
    // <proceed/> and the handshake are one order: the peer may begin at once
    connections.transmit(FOREIGN, b"<proceed/>");
    connections.start_tls(FOREIGN, TlsSide::Home { domain: domain("foreign.example") });
    flush(&mut connections);
    read(&mut peer, "<proceed/>").await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "foreign.example".try_into().unwrap();
    let mut peer = TlsConnector::from(Arc::new(config)).connect(name, peer).await.unwrap();
    assert!(matches!(next(&mut connections).await, Report::Tls { established: true, .. }));
    peer.write_all(b"<a/>").await.unwrap();
    heard(&mut connections, "<a/>").await;
    said(&mut connections, FOREIGN, "<b/>");
    read(&mut peer, "<b/>").await;
}

#[tokio::test]
async fn a_handshake_that_fails_ends_the_connection() {
    let (mut connections, mut peer) = dialed(quick()).await;
    connections
        .start_tls(FOREIGN, TlsSide::Client { domain: domain("foreign.example"), minted: None });
    peer.write_all(b"<stream:error>this is not TLS</stream:error>").await.unwrap();
    assert!(matches!(next(&mut connections).await, Report::Tls { established: false, .. }));
    assert!(matches!(next(&mut connections).await, Report::Closed { .. }));
    assert_eq!(connections.count(), 0);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_off_and_stalls_nobody() {
    let limits = Limits { unconfirmed: 1 << 20, ..quick() };
    let (mut connections, peer) = dialed(limits).await;
    let chunk = vec![b'x'; 64 << 10];
    let cut = (0..10_000).find_map(|_| {
        connections.transmit(FOREIGN, &chunk);
        connections.flush(|_, _| {}).pop()
    });
    // What it may not have got is more than it may leave
    assert!(matches!(cut, Some((FOREIGN, bytes)) if bytes > 1 << 20), "{cut:?}");
    assert_eq!(connections.count(), 0);
    // Its name is free, and others go on
    connections.transmit(FOREIGN, b"<a/>");
    assert_eq!(connections.flush(|_, _| {}), []);
    drop(peer);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_for_too_long_is_left() {
    let limits = Limits { stalled: Duration::from_millis(100), unconfirmed: 64 << 20, ..quick() };
    let (mut connections, _peer) = dialed(limits).await;
    connections.transmit(FOREIGN, &vec![b'x'; 32 << 20]);
    flush(&mut connections);
    assert!(matches!(next(&mut connections).await, Report::Closed { conn: FOREIGN, .. }));
}

#[tokio::test]
async fn by_a_proxy_each_client_has_an_address_and_a_place_of_his_own() {
    let (listening, port) = listener().await;
    let limits = Limits { per_address: 1, ..quick() };
    let mut connections = connections(port, limits).await;
    let from = ["127.0.0.2".parse().unwrap()];
    connections.listen(listening, Proxies::of(&from).await);
    let from_proxy = async |client: &str, then: &[u8]| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, 2), 0).into()).unwrap();
        let mut stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.unwrap();
        let header = match client {
            "" => Vec::new(),
            client => {
                Header::of_stream(client.parse().unwrap(), "203.0.113.1:5269".parse().unwrap())
            }
        };
        stream.write_all(&[&header, then].concat()).await.unwrap();
        stream
    };
    let mut held = Vec::new();
    for client in ["198.51.100.1:7", "198.51.100.2:7"] {
        let peer = from_proxy(client, b"<stream>").await;
        let Report::Accepted(accepted) = next(&mut connections).await else { panic!() };
        assert_eq!(accepted.peer, client.parse().unwrap());
        held.push((peer, accepted));
    }
    // Again the second one, and one of whom nothing is said.
    for client in ["198.51.100.2:8", ""] {
        let mut peer = from_proxy(client, b"<stream to='corp.example'>").await;
        let mut rest = [0];
        let closed = timeout(Duration::from_secs(10), peer.read(&mut rest)).await;
        assert_eq!(closed.expect("it is closed").unwrap_or(0), 0, "{client}");
    }
    // What was sent behind the header is still to be read.
    let (_peer, accepted) = held.remove(0);
    connections.adopt(FOREIGN, accepted);
    heard(&mut connections, "<stream>").await;
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_the_home_server_more() {
    let (listening, port) = listener().await;
    let limits = Limits { accepted: 4, per_address: 2, ..quick() };
    let mut connections = connections(port, limits).await;
    connections.listen(listening, Proxies::default());
    let mut peers = Vec::new();
    let mut held = Vec::new();
    for _ in 0..2 {
        peers.push(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap());
        let Report::Accepted(accepted) = next(&mut connections).await else { panic!() };
        held.push(accepted);
    }
    // The third is closed at once
    let mut third = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    assert_eq!(third.read(&mut [0]).await.unwrap_or(0), 0);
    // Unless it is the home server's, up to what there is room for at all
    connections.trust([IpAddr::from(Ipv4Addr::LOCALHOST)]);
    for _ in 0..2 {
        peers.push(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap());
        let Report::Accepted(accepted) = next(&mut connections).await else { panic!() };
        held.push(accepted);
    }
    let mut fifth = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    assert_eq!(fifth.read(&mut [0]).await.unwrap_or(0), 0);
    // One that ends makes room
    held.pop();
    peers.push(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap());
    assert!(matches!(next(&mut connections).await, Report::Accepted(_)));
}

fn at(port: u16, direct_tls: bool) -> Endpoint {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Endpoint { address, direct_tls }
}

async fn race(endpoints: &[Endpoint], announced: bool) -> Result<bool, ConnectFailure> {
    let connections = connections(1, quick()).await;
    let domain = domain("foreign.example");
    let race = dial::reach(&connections.means, &domain, endpoints, announced).await;
    race.map(|reached| reached.encrypted)
}

/// A port of this machine at which nobody listens.
async fn deserted() -> u16 {
    listener().await.1
}

#[tokio::test]
async fn direct_tls_comes_encrypted() {
    let (listener, port) = listener().await;
    let config = tls().server(&domain("foreign.example"), Audience::Public).unwrap();
    let serving = tokio::spawn(async move {
        let (peer, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(config).accept(peer).await.map(drop)
    });
    assert_eq!(race(&[at(port, true)], true).await, Ok(true));
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses_and_when_one_is_slow() {
    let (listener, port) = listener().await;
    let refusing = [at(deserted().await, false), at(port, false)];
    assert_eq!(race(&refusing, true).await, Ok(false));
    // One that accepts and then says nothing of TLS
    let (mute, mute_port) = self::listener().await;
    let slow = [at(mute_port, true), at(port, false)];
    assert_eq!(race(&slow, true).await, Ok(false));
    drop((listener, mute));
}

#[tokio::test]
async fn what_was_tried_is_told_and_not_tried_again() {
    let connections = connections(1, quick()).await;
    let means = &connections.means;
    let domain = domain("foreign.example");
    let ((_first, one), (_second, two)) = (listener().await, listener().await);
    let (refusing, one, two) = (at(deserted().await, false), at(one, false), at(two, false));
    let reached = dial::reach(means, &domain, &[refusing, one, two], true).await.ok().unwrap();
    let missed = Some(ConnectFailure::Refused);
    assert_eq!(reached.found, Found { tried: vec![refusing, one], missed, more: true });
    let left = dial::untried(vec![two, refusing, two, one], &reached.found.tried);
    assert_eq!(left, [two]);
    let reached = dial::reach(means, &domain, &left, true).await.ok().unwrap();
    assert_eq!(reached.found, Found { tried: vec![two], missed: None, more: false });
}

#[tokio::test]
async fn e44_nobody_listens_where_nothing_was_announced() {
    let deserted = [at(deserted().await, false), at(deserted().await, false)];
    assert_eq!(race(&deserted, false).await, Err(ConnectFailure::Deserted));
    assert_eq!(race(&deserted, true).await, Err(ConnectFailure::Refused));
}

#[tokio::test]
async fn bytes_that_a_dead_peer_never_got_are_counted_and_no_others() {
    let (mut connections, mut peer) = dialed(quick()).await;
    said(&mut connections, FOREIGN, "<arrives/>");
    read(&mut peer, "<arrives/>").await;
    // The process is gone, and its kernel resets whoever goes on
    drop(peer);
    said(&mut connections, FOREIGN, "<lost/>");
    let end = next(&mut connections).await;
    assert!(matches!(end, Report::Closed { conn: FOREIGN, unconfirmed: 7 }), "{end:?}");
}

#[tokio::test]
async fn bytes_under_tls_are_counted_as_those_above_it() {
    let (mut connections, mut peer) = under_tls().await;
    said(&mut connections, FOREIGN, "<arrives/>");
    read(&mut peer, "<arrives/>").await;
    said(&mut connections, FOREIGN, "<this_too/>");
    read(&mut peer, "<this_too/>").await;
    drop(peer);
    said(&mut connections, FOREIGN, "<lost/>");
    let end = next(&mut connections).await;
    assert!(matches!(end, Report::Closed { conn: FOREIGN, unconfirmed: 7 }), "{end:?}");
}

#[tokio::test]
async fn the_last_bytes_before_a_proper_end_count_too() {
    let (mut connections, peer) = dialed(quick()).await;
    drop(peer);
    connections.transmit(FOREIGN, b"<lost/>");
    connections.close(FOREIGN);
    let end = next(&mut connections).await;
    assert!(matches!(end, Report::Closed { conn: FOREIGN, unconfirmed: 7 }), "{end:?}");
}
