//! What comes by a proxy with PROXY headers, and what does not.

use super::*;
use openfed_node::proxy::Header;
use tokio::net::TcpSocket;

/// A proxy is at 127.0.0.2; peers without one are at 127.0.0.1.
const PROXY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0);

async fn us_fronted() -> Us {
    let proxies = Proxies::of(&["127.0.0.2".parse().unwrap()]).await;
    us_behind(proxies, Limits::default(), |authority| Some(authority.identity(&["us.example"])))
}

fn client() -> SocketAddr {
    "198.51.100.7:5062".parse().unwrap()
}

fn asked() -> SocketAddr {
    "203.0.113.1:5060".parse().unwrap()
}

async fn from_proxy(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(PROXY).unwrap();
    socket.connect(to).await.unwrap()
}

async fn received(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let received = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
    let (length, _) = received.expect("an answer in time").unwrap();
    buffer.truncate(length);
    buffer
}

/// What a proxy was given, and for whom.
fn unwrapped(bytes: &[u8]) -> (Header, String) {
    let (header, rest) = Header::split(bytes).expect("a header");
    (header, String::from_utf8_lossy(rest).into_owned())
}

#[tokio::test]
async fn a_datagram_by_a_proxy_is_its_clients_and_the_answer_goes_back_by_the_proxy() {
    let mut us = us_fronted().await;
    let proxy = UdpSocket::bind(PROXY).await.unwrap();
    let whole = Header::before_datagram(client(), asked(), request(7).as_bytes());
    proxy.send_to(&whole, us.address(Transport::Udp)).await.unwrap();
    let arrived = us.arrived().await;
    assert_eq!(arrived.source, client());
    let via = arrived.message.top_via().unwrap();
    assert_eq!(via.reply_to(), ("198.51.100.7".into(), Some(5062)));
    let of = Header::Of { client: client(), asked: asked() };
    us.reply(&arrived, b"SIP/2.0 200 OK\r\n\r\n").unwrap();
    assert_eq!(unwrapped(&received(&proxy).await), (of, "SIP/2.0 200 OK\r\n\r\n".into()));
    // So do refusals, answers to what is malformed, and what is read later.
    let (flow, to) = (Some(arrived.flow), client());
    let hop = Hop { transport: Transport::Udp, address: to, flow, name: None };
    let bytes = Bytes::from_static(b"refusal");
    us.transports.turn_away(Send { token: Token(1), to: hop, bytes }).unwrap();
    us.transports.hand_over();
    assert_eq!(unwrapped(&received(&proxy).await), (of, "refusal".into()));
    let bad = request(1).replace("CSeq: 1 MESSAGE", "CSeq: 1 INVITE");
    for behind in [false, true] {
        us.transports.set_behind(behind);
        let whole = Header::before_datagram(client(), asked(), bad.as_bytes());
        proxy.send_to(&whole, us.address(Transport::Udp)).await.unwrap();
        if behind {
            let unread = us.unread().await;
            assert!(us.transports.read(unread).is_none());
        }
        let (header, text) = unwrapped(&received(&proxy).await);
        assert_eq!((header, &text[..12]), (of, "SIP/2.0 400 "));
    }
}

#[tokio::test]
async fn each_socket_of_each_proxy_gets_its_own_answers() {
    let mut us = us_fronted().await;
    let proxies = [UdpSocket::bind(PROXY).await.unwrap(), UdpSocket::bind(PROXY).await.unwrap()];
    let mut all = Vec::new();
    for (number, proxy) in (1..).zip(&proxies) {
        let whole = Header::before_datagram(client(), asked(), request(number).as_bytes());
        proxy.send_to(&whole, us.address(Transport::Udp)).await.unwrap();
        all.push(us.arrived().await);
    }
    us.reply(&all[0], b"first").unwrap();
    us.reply(&all[1], b"second").unwrap();
    assert_eq!(unwrapped(&received(&proxies[0]).await).1, "first");
    assert_eq!(unwrapped(&received(&proxies[1]).await).1, "second");
}

#[tokio::test]
async fn datagrams_without_a_header_from_a_proxy_or_with_one_from_others_are_dropped() {
    let mut us = us_fronted().await;
    let address = us.address(Transport::Udp);
    let proxy = UdpSocket::bind(PROXY).await.unwrap();
    let peer = UdpSocket::bind(LOOPBACK).await.unwrap();
    proxy.send_to(request(1).as_bytes(), address).await.unwrap();
    let forged = Header::before_datagram(client(), asked(), request(2).as_bytes());
    peer.send_to(&forged, address).await.unwrap();
    peer.send_to(request(3).as_bytes(), address).await.unwrap();
    let arrived = us.arrived().await;
    assert_eq!((number_of(&arrived), arrived.source), (3, peer.local_addr().unwrap()));
    us.reply(&arrived, b"direct").unwrap();
    assert_eq!(received(&peer).await, b"direct");
    // The kernel keeps the order of one sender alone: the proxy's datagram is not still to come.
    let whole = Header::before_datagram(client(), asked(), request(4).as_bytes());
    proxy.send_to(&whole, address).await.unwrap();
    assert_eq!(number_of(&us.arrived().await), 4);
}

#[tokio::test]
async fn connections_by_a_proxy_are_their_clients_also_with_tls() {
    let mut us = us_fronted().await;
    let header = Header::of_stream(client(), asked());
    let mut plain = from_proxy(us.address(Transport::Tcp)).await;
    plain.write_all(&header).await.unwrap();
    plain.write_all(request(1).as_bytes()).await.unwrap();
    let arrived = us.arrived().await;
    assert_eq!((number_of(&arrived), arrived.source), (1, client()));
    us.reply(&arrived, b"SIP/2.0 200 OK\r\n\r\n").unwrap();
    assert_eq!(read_some(&mut plain).await, "SIP/2.0 200 OK\r\n\r\n");

    let mut stream = from_proxy(us.address(Transport::Tls)).await;
    stream.write_all(&header).await.unwrap();
    let connector = TlsConnector::from(us.authority.configs(None).client);
    let name = rustls::pki_types::ServerName::try_from("us.example").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(request(2).as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let arrived = us.arrived().await;
    assert_eq!((number_of(&arrived), arrived.source), (2, client()));
}

#[tokio::test]
async fn a_header_is_required_of_a_proxy_and_garbage_from_others() {
    let mut us = us_fronted().await;
    let address = us.address(Transport::Tcp);
    let mut bare = from_proxy(address).await;
    bare.write_all(request(1).as_bytes()).await.unwrap();
    at_end(&mut bare).await;
    let mut forger = TcpStream::connect(address).await.unwrap();
    forger.write_all(&Header::of_stream(client(), asked())).await.unwrap();
    forger.write_all(request(2).as_bytes()).await.unwrap();
    at_end(&mut forger).await;
    us.closed().await;
    let mut peer = TcpStream::connect(address).await.unwrap();
    peer.write_all(request(3).as_bytes()).await.unwrap();
    let arrived = us.arrived().await;
    assert_eq!((number_of(&arrived), arrived.source), (3, peer.local_addr().unwrap()));
}

#[tokio::test]
async fn connections_are_counted_by_client_not_by_proxy() {
    let limits = Limits { connections_per_source: 1, ..Limits::default() };
    let proxies = Proxies::of(&["127.0.0.2".parse().unwrap()]).await;
    let mut us = us_behind(proxies, limits, |_| None);
    let mut open = Vec::new();
    for (number, client) in [(1, "198.51.100.1:1"), (2, "198.51.100.2:1")] {
        let mut stream = from_proxy(us.address(Transport::Tcp)).await;
        stream.write_all(&Header::of_stream(client.parse().unwrap(), asked())).await.unwrap();
        stream.write_all(request(number).as_bytes()).await.unwrap();
        assert_eq!(us.arrived().await.source, client.parse().unwrap());
        open.push(stream);
    }
    let mut third = from_proxy(us.address(Transport::Tcp)).await;
    let again = Header::of_stream("198.51.100.2:9".parse().unwrap(), asked());
    third.write_all(&again).await.unwrap();
    at_end(&mut third).await;
}

#[tokio::test]
async fn who_ends_sends_nobody_elsewhere_who_knows_one_address_alone() {
    let mut us = us_fronted().await;
    let (proxy, peer) =
        (UdpSocket::bind(PROXY).await.unwrap(), UdpSocket::bind(LOOPBACK).await.unwrap());
    let whole = Header::before_datagram(client(), asked(), request(1).as_bytes());
    proxy.send_to(&whole, us.address(Transport::Udp)).await.unwrap();
    let fronted = us.arrived().await;
    peer.send_to(request(2).as_bytes(), us.address(Transport::Udp)).await.unwrap();
    let direct = us.arrived().await;
    us.transports.set_ending();
    for arrived in [&fronted, &direct] {
        us.reply(arrived, b"SIP/2.0 503 Service Unavailable\r\n\r\n").unwrap();
        us.reply(arrived, b"SIP/2.0 200 OK\r\n\r\n").unwrap();
    }
    assert_eq!(unwrapped(&received(&proxy).await).1, "SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(received(&peer).await, b"SIP/2.0 503 Service Unavailable\r\n\r\n");
}
