//! TLS in both directions: whose certificate is taken for what.

use super::*;
use tokio::sync::mpsc;

/// A TLS next hop that shows `names` and echoes what it is sent.
async fn tls_hop(authority: &Authority, names: &[&str]) -> (SocketAddr, mpsc::Receiver<String>) {
    let config = crate::tls::server_config(&authority.identity(names), None).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut connection = 0;
        while let Ok((stream, _)) = listener.accept().await {
            connection += 1;
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut buffer = vec![0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let _ = sender.send(format!("{connection}: {text}")).await;
                }
            });
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn e_39_tls_hops_are_verified_by_the_name_that_was_asked_for() {
    let mut us = us();
    for (names, wanted, good) in [
        (&["hop.example"][..], "hop.example", true),
        (&["sip:hop.example"], "HOP.example.", true),
        (&["other.example"], "hop.example", false),
        (&["*.example"], "hop.example", false),
        (&["sip:user@hop.example"], "hop.example", false),
        (&["127.0.0.1"], "127.0.0.1", true),
    ] {
        let (address, mut heard) = tls_hop(&us.authority, names).await;
        us.send(1, Transport::Tls, address, Some(wanted)).unwrap();
        if good {
            assert_eq!(heard.recv().await.unwrap(), format!("1: {}", request(1)), "{names:?}");
        } else {
            let (token, error) = us.failed().await;
            assert_eq!(token, 1);
            assert!(
                matches!(&error, SendError::Tls(text) if text.contains("not valid for name")),
                "{error}"
            );
        }
    }
    let (address, _heard) = tls_hop(&Authority::new(), &["hop.example"]).await;
    us.send(1, Transport::Tls, address, Some("hop.example")).unwrap();
    assert!(matches!(us.failed().await.1, SendError::Tls(_)), "an authority that nobody knows");
    let bad = us.send(1, Transport::Tls, address, Some("not a name"));
    assert_eq!(bad, Err(SendError::BadName));
}

#[tokio::test]
async fn e_40_a_verified_connection_serves_its_own_name_only() {
    let mut us = us();
    let (address, mut heard) = tls_hop(&us.authority, &["a.example", "b.example"]).await;
    us.send(1, Transport::Tls, address, Some("a.example")).unwrap();
    assert!(heard.recv().await.unwrap().starts_with("1: "));
    us.send(2, Transport::Tls, address, Some("A.example.")).unwrap();
    assert!(heard.recv().await.unwrap().starts_with("1: "), "the same name");
    us.send(3, Transport::Tls, address, Some("b.example")).unwrap();
    assert!(heard.recv().await.unwrap().starts_with("2: "), "another name");
    us.send(4, Transport::Tls, address, Some("c.example")).unwrap();
    assert_eq!(us.failed().await.0, 4, "a name that it does not show");
}

#[tokio::test]
async fn a_tls_listener_takes_messages_and_shuts_out_plain_ones() {
    let mut us = us_with(Limits::default(), |authority| Some(authority.identity(&["us.example"])));
    let address = us.address(Transport::Tls);
    let connector = TlsConnector::from(us.authority.configs(None).client);
    let stream = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("us.example").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    let whole = request(1);
    let (head, tail) = whole.split_at(50);
    for piece in [head, tail] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
    let arrived = us.arrived().await;
    assert_eq!((number_of(&arrived), arrived.transport), (1, Transport::Tls));
    us.reply(&arrived, b"SIP/2.0 200 OK\r\n\r\n").unwrap();
    assert_eq!(read_some(&mut stream).await, "SIP/2.0 200 OK\r\n\r\n");
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(request(2).as_bytes()).await.unwrap();
    at_end(&mut plain).await;
    us.closed().await;
}

#[tokio::test]
async fn a_client_certificate_of_another_authority_is_refused() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let settings = openfed_node::settings::Tls {
        identity: Some(ours.identity(&["us.example"])),
        ca: Some(ours.file()),
    };
    let tls = TlsConfigs::load(&settings, Some(&ours.file())).unwrap();
    let listen = [Listen { transport: Transport::Tls, address: LOOPBACK }];
    let (transports, mut events) =
        Transports::start(&listen, Proxies::default(), tls, Limits::default()).unwrap();
    let address = transports.bound()[0].address;
    for (identity, welcome) in [
        (None, true),
        (Some(ours.identity(&["peer.example"])), true),
        (Some(theirs.identity(&["peer.example"])), false),
    ] {
        let connector = TlsConnector::from(ours.configs(identity).client);
        let stream = TcpStream::connect(address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("us.example").unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        let _ = stream.write_all(request(1).as_bytes()).await;
        let _ = stream.flush().await;
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
        assert_eq!(matches!(event, Event::Arrived(_)), welcome, "{event:?}");
        drop(stream);
        if welcome {
            assert!(matches!(events.recv().await.unwrap(), Event::Closed { .. }));
        }
    }
}
