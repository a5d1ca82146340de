//! Peers that mean harm or are broken: each gets its answer, and nobody else notices.

use std::net::SocketAddr;
use std::time::Duration;

use openfed_tests::Result;
use openfed_tests::openfed::LOCAL;
use openfed_tests::place::Host;
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::Outgoing;
use openfed_tests::world::{Kind, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams' \
    from='evil.example' to='corp.example' version='1.0'>";

/// Memory that an attack may cost, in kB, once it is over.
const COST: u64 = 64 * 1024;

/// Connects from an address of one's own.
async fn connect(from: SocketAddr, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from.ip(), 0))?;
    Ok(timeout(SOON, socket.connect(to)).await??)
}

/// Writes what the peer takes, and gives all that it said until it closed.
async fn talk(mut stream: TcpStream, pieces: Vec<Vec<u8>>) -> Result<String> {
    let mut said = Vec::new();
    for piece in pieces {
        // It may have said its piece and closed already.
        if stream.write_all(&piece).await.is_err() {
            break;
        }
    }
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = timeout(SOON, stream.read(&mut buffer)).await? {
        said.extend_from_slice(&buffer[..length]);
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn hostile_xml_before_authentication_gets_its_stream_error_and_others_go_on() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &world;
        openfed.command(&["domain", "add", "known.example"]).await?;
        let alice = home.login("alice").await?;
        let before = openfed.resident_kb()?;
        let (from, to) = (place.at(Host::Foreign, 0), place.at(Host::Openfed, 5269));
        let attributes: String = (0..5000).map(|number| format!(" a{number}='x'")).collect();
        for (what, attack) in [
            ("nesting of 20,000", "<a>".repeat(20_000)),
            ("stanza of 600 kB", format!("<message><body>{}", "x".repeat(600_000))),
            ("5,000 attributes", format!("<message{attributes}>")),
            ("attribute of 600 kB", format!("<message a='{}'>", "x".repeat(600_000))),
            ("entities", "<!DOCTYPE a [<!ENTITY b 'b'>]>".to_owned()),
            ("no XML at all", "<<<>>>".to_owned()),
        ] {
            let stream = connect(from, to).await?;
            let said = talk(stream, vec![HEADER.into(), attack.into()]).await?;
            assert!(said.contains("<stream:error"), "{what}: {said}");
            assert!(said.trim_end().ends_with("</stream:stream>"), "{what}: {said}");
        }
        let footer = connect(from, to).await?;
        let said = talk(footer, vec![HEADER.into(), "</stream:stream>".into()]).await?;
        assert!(said.trim_end().ends_with("</stream:stream>"), "{said}");

        // Nobody else noticed.
        let to = format!("sip:alice@{LOCAL}");
        let message = Outgoing::message("sip:bob@known.example", &to, "all is well");
        assert_eq!(hop.send(&message, openfed.sip()).await?.status(), Some(200));
        alice.hears("all is well").await?;
        let cost = openfed.resident_kb()?.saturating_sub(before);
        assert!(cost < COST, "{cost} kB more memory");
        Ok(())
    });
}

#[test]
fn a_stream_without_header_is_not_kept_open_for_ever() {
    play(async |place| {
        let _world = World::open(place, Kind::Prosody).await?;
        let to = place.at(Host::Openfed, 5269);
        let mut silent = connect(place.at(Host::Foreign, 0), to).await?;
        let mut buffer = Vec::new();
        // Whatever is said before: it ends.
        timeout(Duration::from_secs(45), silent.read_to_end(&mut buffer)).await??;
        Ok(())
    });
}

#[test]
fn a_message_split_anywhere_over_tcp_is_the_same_message() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, .. } = &world;
        openfed.command(&["domain", "add", "known.example"]).await?;
        let to = openfed.sip();
        let mut stream = connect(place.at(Host::SipPeer, 0), to).await?;
        stream.set_nodelay(true)?;
        let text = |number: usize| {
            let body = format!("split at {number}");
            format!(
                "MESSAGE sip:bob@known.example SIP/2.0\r\n\
                 Via: SIP/2.0/TCP {};branch=z9hG4bKsplit{number}\r\nMax-Forwards: 70\r\n\
                 From: <sip:alice@{LOCAL}>;tag=t{number}\r\nTo: <sip:bob@known.example>\r\n\
                 Call-ID: split-{number}\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                place.ip(Host::SipPeer),
                body.len()
            )
        };
        let length = text(100).len();
        let mut said = String::new();
        for number in 1..length {
            let message = text(number).into_bytes();
            let (first, second) = message.split_at(number.min(message.len()));
            stream.write_all(first).await?;
            stream.flush().await?;
            tokio::task::yield_now().await;
            stream.write_all(second).await?;
            let mut buffer = [0; 2048];
            let answer = format!("z9hG4bKsplit{number}");
            while !(said.contains(&answer) && said.ends_with("\r\n\r\n")) {
                let read = timeout(SOON, stream.read(&mut buffer)).await??;
                assert_ne!(read, 0, "closed after {said}");
                said.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
            assert!(said.contains("SIP/2.0 200 OK"), "split at {number}: {said}");
            said.clear();
        }
        let bodies: Vec<_> = hop.requests.all().into_iter().map(|own| own.body).collect();
        let expected: Vec<_> = (1..length).map(|number| format!("split at {number}")).collect();
        assert_eq!(bodies, expected);
        Ok(())
    });
}

#[test]
fn bytes_that_are_no_sip_are_survived() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { trusted, openfed, .. } = &world;
        openfed.command(&["domain", "add", "known.example"]).await?;
        let raw = tokio::net::UdpSocket::bind(place.at(Host::SecondSipPeer, 5070)).await?;
        for datagram in [
            b"\r\n\r\n".to_vec(),
            b"\0\xff\xfe".to_vec(),
            vec![b'A'; 60_000],
            b"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n".to_vec(),
            b"SIP/2.0 200 OK\r\n\r\n".to_vec(),
        ] {
            raw.send_to(&datagram, openfed.sip()).await?;
        }
        let mut stream = connect(place.at(Host::SipPeer, 0), openfed.sip()).await?;
        stream.write_all(b"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n").await?;
        stream.shutdown().await?;

        let from = format!("sip:alice@{LOCAL}");
        let message = Outgoing::message(&from, "sip:bob@known.example", "still there?");
        assert_eq!(trusted.send(&message, openfed.sip()).await?.status(), Some(200));
        Ok(())
    });
}
