//! Scenes over loopback: replicas are plain sockets at 127.0.0.1, 127.0.0.2, … with one port.

use std::future::Future;

use openfed_node::proxy::Header;
use openfed_node::settings::HostPort;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("in time")
}

fn at(last: u8, port: u16) -> SocketAddr {
    ([127, 0, 0, last], port).into()
}

fn replicas(ready: Option<u16>) -> Arc<Replicas> {
    let listen = "tcp:127.0.0.1:0".parse().expect("an address");
    let to = HostPort { host: "replicas".into(), port: 1 };
    Arc::new(Replicas::of(&Pass { listen, to, ready }))
}

/// A port that is free at all of these addresses, and a listener at each.
async fn listeners(lasts: &[u8]) -> (u16, Vec<TcpListener>) {
    loop {
        let first = TcpListener::bind(at(lasts[0], 0)).await.expect("a port");
        let port = first.local_addr().expect("an address").port();
        let mut all = vec![first];
        for last in &lasts[1..] {
            all.extend(TcpListener::bind(at(*last, port)).await.ok());
        }
        if all.len() == lasts.len() {
            return (port, all);
        }
    }
}

async fn sockets(lasts: &[u8]) -> (u16, Vec<UdpSocket>) {
    loop {
        let first = UdpSocket::bind(at(lasts[0], 0)).await.expect("a port");
        let port = first.local_addr().expect("an address").port();
        let mut all = vec![first];
        for last in &lasts[1..] {
            all.extend(UdpSocket::bind(at(*last, port)).await.ok());
        }
        if all.len() == lasts.len() {
            return (port, all);
        }
    }
}

fn door(replicas: &Arc<Replicas>) -> (SocketAddr, TaskTracker, CancellationToken) {
    let door = Door::bind(at(1, 0), replicas, &Arc::default()).expect("a port");
    let (address, carried, end) = (door.address(), TaskTracker::new(), CancellationToken::new());
    tokio::spawn(door.run(carried.clone(), end.clone()));
    (address, carried, end)
}

/// A connection as a replica sees it, behind its header.
async fn taken(listener: &TcpListener) -> (Header, TcpStream) {
    let (mut stream, _) = soon(listener.accept()).await.expect("a connection");
    let mut bytes = [0; 28];
    soon(stream.read_exact(&mut bytes)).await.expect("a header");
    (Header::split(&bytes).expect("a header").0, stream)
}

#[tokio::test]
async fn a_connection_is_carried_both_ways_and_ends_on_both_sides() {
    let (port, listeners) = listeners(&[1]).await;
    let replicas = replicas(None);
    replicas.are(vec![at(1, port)]);
    let (front, _, _) = door(&replicas);
    let mut client = TcpStream::connect(front).await.expect("connected");
    client.write_all(b"question").await.expect("written");
    let (header, mut replica) = taken(&listeners[0]).await;
    let own = client.local_addr().expect("an address");
    assert_eq!(header, Header::Of { client: own, asked: front });
    let mut text = [0; 8];
    soon(replica.read_exact(&mut text)).await.expect("the question");
    assert_eq!(&text, b"question");
    // The client has said all; the answer still comes.
    client.shutdown().await.expect("closed");
    assert_eq!(soon(replica.read(&mut text)).await.expect("the end"), 0);
    replica.write_all(b"answer").await.expect("written");
    drop(replica);
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.expect("the answer");
    assert_eq!(answer, "answer");
}

#[tokio::test]
async fn what_breaks_on_one_side_breaks_on_the_other() {
    let (port, listeners) = listeners(&[1]).await;
    let replicas = replicas(None);
    replicas.are(vec![at(1, port)]);
    let (front, _, _) = door(&replicas);
    let mut client = TcpStream::connect(front).await.expect("connected");
    let (_, replica) = taken(&listeners[0]).await;
    socket2::SockRef::from(&replica).set_linger(Some(Duration::ZERO)).expect("set");
    drop(replica);
    let broken = soon(client.read(&mut [0; 1])).await.expect_err("no clean end");
    assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn connections_go_to_whoever_has_the_fewest_and_past_who_refuses() {
    let (port, mut listeners) = listeners(&[1, 2, 3]).await;
    let replicas = replicas(None);
    replicas.are(vec![at(1, port), at(2, port), at(3, port)]);
    let (front, _, _) = door(&replicas);
    let mut open = Vec::new();
    for _ in 0..2 {
        // Each round every replica gets one, whatever the order.
        for _ in 0..3 {
            open.push(TcpStream::connect(front).await.expect("connected"));
        }
        for listener in &listeners {
            open.push(taken(listener).await.1);
        }
    }
    drop(listeners.remove(1));
    for _ in 0..6 {
        open.push(TcpStream::connect(front).await.expect("connected"));
    }
    for listener in [&listeners[0], &listeners[0], &listeners[1], &listeners[1]] {
        open.push(taken(listener).await.1);
    }
}

#[tokio::test]
async fn without_a_replica_a_connection_is_reset_and_nobody_waits() {
    let replicas = replicas(None);
    let (front, _, _) = door(&replicas);
    let mut client = TcpStream::connect(front).await.expect("connected");
    let reset = soon(client.read(&mut [0; 1])).await.expect_err("a reset");
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn at_the_end_connections_are_cut() {
    let (port, listeners) = listeners(&[1]).await;
    let replicas = replicas(None);
    replicas.are(vec![at(1, port)]);
    let (front, carried, end) = door(&replicas);
    let mut client = TcpStream::connect(front).await.expect("connected");
    let (_, _replica) = taken(&listeners[0]).await;
    carried.close();
    end.cancel();
    soon(carried.wait()).await;
    assert!(matches!(soon(client.read(&mut [0; 1])).await, Ok(0) | Err(_)));
}

fn message(call_id: &str) -> Vec<u8> {
    format!("MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1\r\nCall-ID: {call_id}\r\n\r\n")
        .into()
}

fn datagrams(replicas: &Arc<Replicas>) -> SocketAddr {
    let datagrams = Datagrams::bind(at(1, 0), replicas).expect("a port");
    let address = datagrams.address();
    tokio::spawn(datagrams.run());
    address
}

/// The next datagram at any of the replicas: which one, from where, whose, and what.
async fn next(sockets: &[UdpSocket]) -> (usize, SocketAddr, Header, Vec<u8>) {
    let each = sockets.iter().enumerate().map(|(which, socket)| {
        Box::pin(async move {
            let mut buffer = vec![0; 2_000];
            let (length, from) = socket.recv_from(&mut buffer).await.expect("a datagram");
            let (header, datagram) = Header::split(&buffer[..length]).expect("a header");
            (which, from, header, datagram.to_vec())
        })
    });
    soon(futures_util::future::select_all(each)).await.0
}

#[tokio::test]
async fn a_datagram_and_its_repetition_reach_one_replica_whose_answer_comes_from_the_front() {
    let (port, sockets) = sockets(&[1, 2, 3]).await;
    let replicas = replicas(None);
    replicas.are(vec![at(1, port), at(2, port), at(3, port)]);
    let front = datagrams(&replicas);
    let client = UdpSocket::bind(at(1, 0)).await.expect("a port");
    let mut seen = [false; 3];
    for number in 0..30 {
        let message = message(&format!("call-{number}"));
        let mut whom = Vec::new();
        for _ in 0..2 {
            client.send_to(&message, front).await.expect("sent");
            let (which, from, header, datagram) = next(&sockets).await;
            let own = client.local_addr().expect("an address");
            assert_eq!(
                (header, datagram),
                (Header::Of { client: own, asked: front }, message.clone())
            );
            let answer = Header::before_datagram(own, front, b"answer");
            sockets[which].send_to(&answer, from).await.expect("sent");
            let mut buffer = [0; 100];
            let (length, from) = soon(client.recv_from(&mut buffer)).await.expect("an answer");
            assert_eq!((&buffer[..length], from), (&b"answer"[..], front));
            whom.push(which);
            seen[which] = true;
        }
        assert_eq!(whom[0], whom[1], "a repetition goes where the first one went");
    }
    assert_eq!(seen, [true; 3], "all take part");
}

#[tokio::test]
async fn a_repetition_goes_past_a_replica_that_is_gone_or_refuses() {
    let (port, mut sockets) = sockets(&[1, 2]).await;
    let replicas = replicas(None);
    replicas.are(vec![at(1, port), at(2, port)]);
    let front = datagrams(&replicas);
    let client = UdpSocket::bind(at(1, 0)).await.expect("a port");
    // One call of each replica.
    let mut calls: [Option<Vec<u8>>; 2] = [None, None];
    for number in 0.. {
        let message = message(&format!("call-{number}"));
        client.send_to(&message, front).await.expect("sent");
        let (which, ..) = next(&sockets).await;
        calls[which] = Some(message);
        if calls.iter().all(Option::is_some) {
            break;
        }
    }
    let of_second = calls[1].take().expect("a call");
    drop(sockets.pop());
    // Nobody hears the first one, if its refusal comes later; then it is repeated.
    soon(async {
        loop {
            client.send_to(&of_second, front).await.expect("sent");
            let mut buffer = vec![0; 2_000];
            let repeated = sockets[0].recv_from(&mut buffer);
            if timeout(Duration::from_millis(100), repeated).await.is_ok() {
                return;
            }
        }
    })
    .await;
    // By name it is left out at once.
    let back = UdpSocket::bind(at(2, port)).await.expect("the port");
    replicas.are(vec![at(1, port)]);
    for number in 0..20 {
        client.send_to(&message(&format!("new-{number}")), front).await.expect("sent");
        next(&sockets).await;
    }
    assert!(back.try_recv_from(&mut [0; 100]).is_err());
}

#[tokio::test]
async fn an_answer_goes_to_the_replica_that_asked() {
    let (port, sockets) = sockets(&[1, 2]).await;
    let replicas = replicas(None);
    replicas.are(vec![at(1, port), at(2, port)]);
    let front = datagrams(&replicas);
    let client = UdpSocket::bind(at(1, 0)).await.expect("a port");
    for number in 0..10 {
        for (which, last) in [(0, 1), (1, 2)] {
            let via = format!("127.0.0.{last}:{port}");
            let text = format!(
                "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {via};rport\r\nCall-ID: {number}\r\n\r\n"
            );
            client.send_to(text.as_bytes(), front).await.expect("sent");
            let (whom, .., datagram) = next(&sockets).await;
            assert_eq!((whom, datagram), (which, text.into_bytes()));
        }
    }
}

#[tokio::test]
async fn only_a_replica_is_heard_from_inside() {
    let (port, sockets) = sockets(&[1]).await;
    let replicas = replicas(None);
    replicas.are(vec![at(1, port)]);
    let front = datagrams(&replicas);
    let client = UdpSocket::bind(at(1, 0)).await.expect("a port");
    client.send_to(&message("a"), front).await.expect("sent");
    let (_, inside, header, _) = next(&sockets).await;
    let Header::Of { client: own, asked } = header else { panic!("nobody") };
    let stranger = UdpSocket::bind(at(9, 0)).await.expect("a port");
    let (forged, true_one) = (
        Header::before_datagram(own, asked, b"forged"),
        Header::before_datagram(own, asked, b"true"),
    );
    // The kernel refuses the stranger, at the earliest when it is asked again.
    for _ in 0..2 {
        let _ = stranger.send_to(&forged, inside).await;
    }
    for told in [&b"no header"[..], &true_one] {
        sockets[0].send_to(told, inside).await.expect("sent");
    }
    let mut buffer = [0; 100];
    let (length, _) = soon(client.recv_from(&mut buffer)).await.expect("an answer");
    assert_eq!(&buffer[..length], b"true");
}

#[tokio::test]
async fn whoever_says_that_it_takes_no_work_is_left_out_while_others_do() {
    let (health, other) = (Health::default(), Health::default());
    health.set_ready(true);
    let first = Http::start(at(1, 0), Default::default(), health.clone()).await.expect("a port");
    let port = first.address().port();
    let second = Http::start(at(2, port), Default::default(), other.clone()).await.expect("a port");
    let replicas = replicas(Some(port));
    let asks = replicas.clone();
    replicas.are(vec![at(1, 7), at(2, 7)]);
    let all = vec![at(1, 7), at(2, 7)];
    assert_eq!(replicas.usable(), all, "before anybody is asked, better any than none");
    let ready = Health::default();
    let watch = tokio::spawn(replicas::watch(vec![replicas.clone()], ready.clone()));
    asks.ask().await;
    assert_eq!(replicas.usable(), all[..1]);
    other.set_ready(true);
    asks.ask().await;
    assert_eq!(replicas.usable(), all);
    replicas.rest(at(1, 7));
    assert_eq!(replicas.usable(), all[1..]);
    for health in [health, other] {
        health.set_ready(false);
    }
    asks.ask().await;
    assert_eq!(replicas.usable(), all, "nobody is ready: whoever there is");
    soon(async {
        while !ready.problems().contains_key("replicas") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!ready.is_ready());
    watch.abort();
    drop((first, second));
}

#[tokio::test]
async fn a_front_serves_from_its_settings_until_it_is_told_to_end() {
    let (port, listeners) = listeners(&[1]).await;
    let pass = Pass {
        listen: "tcp:127.0.0.1:0".parse().expect("an address"),
        to: HostPort { host: "127.0.0.1".into(), port },
        ready: None,
    };
    assert!(matches!(Front::bind(&[]), Err(FrontError::NotConfigured)));
    let front = Front::bind(&[pass]).expect("bound");
    let address = front.doors[0].address();
    // It waits in the queue of the system.
    let mut client = TcpStream::connect(address).await.expect("connected");
    let (shutdown, health) = (Shutdown::new(Duration::from_secs(10)), Health::default());
    let mut known = front.replicas[0].follow();
    soon(known.wait_for(|known| !known.is_empty())).await.expect("known");
    let (end, told) = (shutdown.clone(), health.clone());
    let run = tokio::spawn(async move { front.run(told, &end).await });
    let (_, mut replica) = taken(&listeners[0]).await;
    assert!(health.is_ready());
    shutdown.begin();
    replica.write_all(b"last words").await.expect("written");
    drop(replica);
    let mut words = String::new();
    soon(client.read_to_string(&mut words)).await.expect("the last words");
    assert_eq!(words, "last words");
    drop(client);
    soon(run).await.expect("ended");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_unspecified_ipv6_address_is_passed_on_for_both_families() {
    let mut all = Vec::new();
    for listen in ["tcp:[::]:0", "udp:[::]:0"] {
        let listen: Listen = listen.parse().expect("an address");
        let to = HostPort { host: "127.0.0.1".into(), port: 1 };
        let front = Front::bind(&[Pass { listen, to, ready: None }]).expect("bound");
        all.extend(front.doors.iter().map(Door::address));
        all.extend(front.datagrams.iter().map(Datagrams::address));
    }
    assert_eq!(all.len(), 4);
    for pair in all.chunks(2) {
        assert!(pair[0].ip().is_unspecified() && pair[0].is_ipv6());
        assert_eq!(pair[1], (Ipv4Addr::UNSPECIFIED, pair[0].port()).into());
    }
}
