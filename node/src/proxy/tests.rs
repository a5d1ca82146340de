use std::net::Ipv4Addr;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, rest].concat()
}

const V4: [u8; 12] = [192, 0, 2, 7, 203, 0, 113, 9, 0x13, 0xc4, 0x13, 0xc5];

fn client_of(bytes: &[u8]) -> Result<Header, Malformed> {
    Header::split(bytes).map(|(header, _)| header)
}

#[test]
fn each_form_of_the_header_is_understood() {
    let of = |client, asked| Ok(Header::Of { client: at(client), asked: at(asked) });
    let v4 = of("192.0.2.7:5060", "203.0.113.9:5061");
    for family in [0x11, 0x12] {
        assert_eq!(client_of(&header(0x21, family, &V4)), v4);
    }
    let mut v6 = [0; 36];
    (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 9, 10);
    for family in [0x21, 0x22] {
        assert_eq!(client_of(&header(0x21, family, &v6)), of("[::1]:9", "[::2]:10"));
    }
    // Fields behind the addresses are skipped, whatever stands in them.
    for fields in [&b"\x04\x00\x02ab"[..], b"\xe0\x00\x00", b"\x01\xff\xffx", b"\x01"] {
        assert_eq!(client_of(&header(0x21, 0x11, &[&V4[..], fields].concat())), v4);
    }
    // A health check, and whoever has no internet address.
    for (command, family, rest) in [
        (0x20, 0x00, &b""[..]),
        (0x20, 0x11, &V4[..]),
        (0x20, 0x11, b"x"),
        (0x20, 0xff, b"anything"),
        (0x21, 0x00, b""),
        (0x21, 0x00, b"\x04\x00\x01x"),
        (0x21, 0x31, &[7; 216]),
        (0x21, 0x32, &[7; 216]),
    ] {
        assert_eq!(client_of(&header(command, family, rest)), Ok(Header::Own), "{family:#x}");
    }
    let mapped = Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().octets();
    let mapped = header(0x21, 0x21, &[&mapped[..], &mapped, &[0, 1, 0, 2]].concat());
    assert_eq!(client_of(&mapped), of("192.0.2.7:1", "192.0.2.7:2"));
}

#[test]
fn what_is_no_header_of_version_2_is_none() {
    let good = header(0x21, 0x11, &V4);
    for end in 0..good.len() {
        assert_eq!(client_of(&good[..end]), Err(Malformed), "{end} bytes of it");
    }
    let long = vec![0; LONGEST];
    for bad in [
        header(0x11, 0x11, &V4),
        header(0x22, 0x11, &V4),
        header(0x21, 0x13, &V4),
        header(0x21, 0x41, &V4),
        header(0x21, 0x11, &V4[..11]),
        header(0x21, 0x21, &V4),
        header(0x21, 0x31, &V4),
        header(0x20, 0x00, &long),
        b"PROXY TCP4 192.0.2.7 203.0.113.9 5060 5061\r\n".to_vec(),
        b"OPTIONS sip:corp.example SIP/2.0\r\n".to_vec(),
    ] {
        assert_eq!(client_of(&bad), Err(Malformed), "{}", bad.escape_ascii());
    }
}

#[test]
fn what_is_written_is_read_again_with_what_stands_behind_it() {
    for (client, asked) in [
        ("192.0.2.7:5060", "203.0.113.9:5061"),
        ("[2001:db8::1]:5060", "[2001:db8::2]:5061"),
        // Of two families, as a socket of both sees them.
        ("[2001:db8::1]:5060", "203.0.113.9:5061"),
        ("192.0.2.7:5060", "[2001:db8::2]:5061"),
    ] {
        let (client, asked) = (at(client), at(asked));
        let read = Header::Of { client, asked };
        let whole = Header::before_datagram(client, asked, b"datagram");
        assert_eq!(Header::split(&whole), Ok((read, &b"datagram"[..])));
        let whole = Header::of_stream(client, asked);
        assert_eq!(Header::split(&whole), Ok((read, &b""[..])));
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(start in 0_usize..16, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let whole = [&header(0x21, 0x11, &V4)[..start], &bytes].concat();
        if let Ok((_, rest)) = Header::split(&whole) {
            prop_assert!(whole.ends_with(rest));
        }
    }
}

fn sources(texts: &[&str]) -> Vec<ProxySource> {
    texts.iter().map(|text| text.parse().expect("a source")).collect()
}

/// Connects to itself, writes `bytes`, and gives who it is taken for and what is read behind that.
async fn connects(proxies: &Proxies, bytes: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let to = listener.local_addr().expect("an address");
    let bytes = bytes.to_vec();
    let writes = tokio::spawn(async move {
        let mut stream = TcpStream::connect(to).await.expect("connected");
        // One at a time: a header may come in pieces.
        for byte in bytes {
            stream.write_all(&[byte]).await.ok();
        }
        stream.local_addr().expect("an address")
    });
    let (mut stream, peer) = listener.accept().await.expect("a connection");
    let client = proxies.client(&mut stream, peer).await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.ok();
    assert_eq!(writes.await.expect("written"), peer);
    client.map(|client| (if client == peer { at("0.0.0.0:0") } else { client }, rest))
}

#[tokio::test]
async fn a_named_proxy_says_who_connects_and_must_say_it() {
    let own = at("0.0.0.0:0");
    for source in ["127.0.0.0/8", "localhost"] {
        let proxies = Proxies::of(&sources(&["192.0.2.1", source])).await;
        assert!(proxies.include(Ipv4Addr::LOCALHOST.into()), "{source}");
        assert!(!proxies.include(Ipv4Addr::new(192, 0, 2, 2).into()), "{source}");
        let told = Header::of_stream(at("198.51.100.1:7"), at("198.51.100.2:8"));
        let told = [&told[..], b"hello"].concat();
        let expected = (at("198.51.100.1:7"), b"hello".to_vec());
        assert_eq!(connects(&proxies, &told).await, Some(expected));
        let local = [&header(0x20, 0, b"")[..], b"hello"].concat();
        assert_eq!(connects(&proxies, &local).await, Some((own, b"hello".to_vec())));
        for bad in [&b"OPTIONS sip:corp.example SIP/2.0\r\n\r\n"[..], b"", &told[..20]] {
            assert_eq!(connects(&proxies, bad).await, None, "{}", bad.escape_ascii());
        }
    }
}

#[tokio::test]
async fn others_are_who_they_are_and_their_headers_are_what_they_say() {
    let told = Header::of_stream(at("198.51.100.1:7"), at("198.51.100.2:8"));
    for proxies in [Proxies::default(), Proxies::of(&sources(&["192.0.2.0/24"])).await] {
        let own = at("0.0.0.0:0");
        assert_eq!(connects(&proxies, &told).await, Some((own, told.clone())));
    }
}

#[tokio::test]
async fn a_proxy_that_says_nothing_is_not_waited_for_without_end() {
    let proxies = Proxies::of(&sources(&["127.0.0.1"])).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let to = listener.local_addr().expect("an address");
    let _silent = TcpStream::connect(to).await.expect("connected");
    let (mut stream, peer) = listener.accept().await.expect("a connection");
    tokio::time::pause();
    let began = Instant::now();
    assert_eq!(proxies.client(&mut stream, peer).await, None);
    assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
}
