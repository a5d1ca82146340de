//! UDP: order, limits, and what the engine gets while it is behind.

use super::*;

#[tokio::test]
async fn e_06_a_datagram_arrives_with_its_source_and_is_answered_there() {
    let mut us = us();
    let peer = UdpSocket::bind(LOOPBACK).await.unwrap();
    let request = request(7);
    peer.send_to(request.as_bytes(), us.address(Transport::Udp)).await.unwrap();
    let arrived = us.arrived().await;
    assert_eq!(arrived.source, peer.local_addr().unwrap());
    let via = arrived.message.top_via().unwrap();
    assert_eq!(via.reply_to(), ("127.0.0.1".into(), Some(arrived.source.port())));
    us.reply(&arrived, b"SIP/2.0 200 OK\r\n\r\n").unwrap();
    let mut buffer = [0; 100];
    let (length, from) = peer.recv_from(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..length], b"SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(from, us.address(Transport::Udp));
}

#[tokio::test]
async fn malformed_datagrams_are_answered_or_dropped_and_harm_nothing() {
    let mut us = us();
    let peer = UdpSocket::bind(LOOPBACK).await.unwrap();
    let address = us.address(Transport::Udp);
    for noise in [&b"\r\n\r\n"[..], b"", b"\0\0\0\0", &[0xff; 2000]] {
        peer.send_to(noise, address).await.unwrap();
    }
    let bad = request(1).replace("CSeq: 1 MESSAGE", "CSeq: 1 INVITE");
    peer.send_to(bad.as_bytes(), address).await.unwrap();
    let mut buffer = [0; 1000];
    let (length, _) = peer.recv_from(&mut buffer).await.unwrap();
    let answer = String::from_utf8_lossy(&buffer[..length]);
    assert!(answer.starts_with("SIP/2.0 400 CSeq method does not match\r\n"), "{answer}");
    peer.send_to(request(2).as_bytes(), address).await.unwrap();
    assert_eq!(number_of(&us.arrived().await), 2);
}

#[tokio::test]
async fn an_engine_that_is_behind_gets_datagrams_unread_and_may_read_them() {
    let mut us = us();
    us.transports.set_behind(true);
    let peer = UdpSocket::bind(LOOPBACK).await.unwrap();
    let address = us.address(Transport::Udp);
    let bad = request(1).replace("CSeq: 1 MESSAGE", "CSeq: 1 INVITE");
    for text in [request(7), bad] {
        peer.send_to(text.as_bytes(), address).await.unwrap();
    }
    let unread = us.unread().await;
    assert_eq!(unread.bytes, request(7));
    let arrived = us.transports.read(unread).expect("a message");
    assert_eq!((number_of(&arrived), arrived.source), (7, peer.local_addr().unwrap()));
    let via = arrived.message.top_via().unwrap();
    assert_eq!(via.reply_to(), ("127.0.0.1".into(), Some(arrived.source.port())));

    let unread = us.unread().await;
    assert!(us.transports.read(unread).is_none());
    let mut buffer = [0; 1000];
    let (length, _) = peer.recv_from(&mut buffer).await.unwrap();
    assert!(buffer[..length].starts_with(b"SIP/2.0 400 CSeq method does not match\r\n"));

    us.transports.set_behind(false);
    peer.send_to(request(8).as_bytes(), address).await.unwrap();
    assert_eq!(number_of(&us.arrived().await), 8);
}

#[tokio::test]
async fn datagrams_of_one_peer_keep_their_order() {
    let mut us = us();
    let peer = UdpSocket::bind(LOOPBACK).await.unwrap();
    for number in 1..=200 {
        peer.send_to(request(number).as_bytes(), us.address(Transport::Udp)).await.unwrap();
    }
    for number in 1..=200 {
        assert_eq!(number_of(&us.arrived().await), number);
    }
}

#[tokio::test]
async fn refusals_leave_when_they_are_handed_over_or_many() {
    let mut us = us();
    let peer = UdpSocket::bind(LOOPBACK).await.unwrap();
    let address = peer.local_addr().unwrap();
    let to = Hop { transport: Transport::Udp, address, flow: None, name: None };
    let refuse = |us: &mut Us, numbers: std::ops::Range<u64>| {
        for number in numbers {
            let bytes = format!("refusal {number}").into();
            us.transports.turn_away(Send { token: Token(number), to: to.clone(), bytes }).unwrap();
        }
    };
    refuse(&mut us, 0..100);
    let heard = async |numbers: std::ops::Range<u64>| {
        for number in numbers {
            let mut buffer = [0; 100];
            let received = tokio::time::timeout(PATIENCE, peer.recv_from(&mut buffer)).await;
            let (length, _) = received.expect("a refusal in time").unwrap();
            assert_eq!(buffer[..length], *format!("refusal {number}").as_bytes());
        }
    };
    heard(0..64).await;
    assert!(peer.try_recv_from(&mut [0; 100]).is_err(), "the rest is kept");
    us.transports.hand_over();
    heard(64..100).await;
}

#[tokio::test]
async fn a_refusal_follows_its_connection_or_fails() {
    let mut us = us();
    let mut peer = TcpStream::connect(us.address(Transport::Tcp)).await.unwrap();
    peer.write_all(request(7).as_bytes()).await.unwrap();
    let arrived = us.arrived().await;
    let (flow, address) = (Some(arrived.flow), arrived.source);
    let to = Hop { transport: Transport::Tcp, address, flow, name: None };
    let send = Send { token: Token(7), to, bytes: Bytes::from_static(b"refusal") };
    us.transports.turn_away(send).unwrap();
    let mut text = [0; 7];
    peer.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"refusal");

    let address = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 5060));
    let to = Hop { transport: Transport::Udp, address, flow: None, name: None };
    let send = Send { token: Token(8), to, bytes: Bytes::from_static(b"refusal") };
    assert_eq!(us.transports.turn_away(send), Err(SendError::NoSocket));
}
