//! A trial of a next hop: DNS, connection, TLS and OPTIONS (RFC 3261 §11), each with its time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openfed_node::settings::Listen;
use openfed_node::trial::{Steps, in_full, spoken};
use openfed_proto::link::NextHop;
use openfed_proto::route::Transport;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sip_cm_core::wire::{Message, StartLine};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::resolve::{Resolver, Target};
use crate::transport::source;

/// Addresses that are tried.
const ADDRESSES: usize = 3;
/// The first retransmission over UDP (RFC 3261 §17.1.2.2).
const T1: Duration = Duration::from_millis(500);
/// More than any head of an answer.
const ANSWER: usize = 65_536;

/// Tries the hop, from where we listen, as requests leave.
pub(crate) async fn next_hop(
    resolver: Resolver,
    (tls, listening): (Arc<ClientConfig>, Vec<Listen>),
    hop: NextHop,
    mut steps: Steps,
) -> Steps {
    let NextHop { host, port, transport } = hop;
    let look_up = async {
        let mut random = |below: u32| rand::random_range(0..below.max(1));
        let found = resolver.resolve(&host, Some(port), Some(transport), &mut random).await;
        found.map_err(|error| error.to_string())
    };
    let asked = match port {
        0 => format!("SRV of {host} for {}", transport.as_str()),
        _ => format!("Addresses of {host}"),
    };
    let found = |targets: &Vec<Target>| {
        let addresses: Vec<_> = targets.iter().map(|target| target.address.to_string()).collect();
        addresses.join(", ")
    };
    let Some(targets) = steps.step(&asked, look_up, found).await else { return steps };
    for target in targets.into_iter().take(ADDRESSES) {
        let from = source::towards(&listening, target.transport, target.address);
        address(&tls, from, &target, &mut steps).await;
    }
    steps
}

async fn address(
    tls: &Arc<ClientConfig>,
    from: Option<SocketAddr>,
    target: &Target,
    steps: &mut Steps,
) {
    let Target { transport, address, name } = target;
    let asked = format!("OPTIONS to {address} over {}", transport.as_str());
    if *transport == Transport::Udp {
        steps.step(&asked, over_udp(from, *address), Clone::clone).await;
        return;
    }
    let connect =
        async { source::connect(from, *address).await.map_err(|error| error.to_string()) };
    let connected = |_: &TcpStream| "connected".to_owned();
    let what = format!("Connect to {address}");
    let Some(stream) = steps.step(&what, connect, connected).await else { return };
    let Ok(local) = stream.local_addr() else { return };
    if *transport == Transport::Tcp {
        steps.step(&asked, over_stream(stream, *address, local, "TCP"), Clone::clone).await;
        return;
    }
    let handshake = async {
        let name = ServerName::try_from(name.clone()).map_err(|error| error.to_string())?;
        let handshake = TlsConnector::from(tls.clone()).connect(name, stream).await;
        handshake.map_err(|error| in_full(&error))
    };
    let what = format!("TLS with {address} as {name}");
    if let Some(stream) = steps.step(&what, handshake, secured).await {
        steps.step(&asked, over_stream(stream, *address, local, "TLS"), Clone::clone).await;
    }
}

fn secured(stream: &TlsStream<TcpStream>) -> String {
    let version = spoken(stream.get_ref().1.protocol_version());
    format!("{version}; the certificate is valid for the name")
}

/// OPTIONS, and the branch by which its answer is known.
fn options(transport: &str, to: SocketAddr, local: SocketAddr) -> (String, String) {
    let branch = format!("z9hG4bK{:032x}", rand::random::<u128>());
    let (tag, call) = (rand::random::<u64>(), rand::random::<u128>());
    let request = format!(
        "OPTIONS sip:{to} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {local};branch={branch};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:{local}>;tag={tag:016x}\r\n\
         To: <sip:{to}>\r\n\
         Call-ID: {call:032x}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Accept: text/plain\r\n\
         Content-Length: 0\r\n\r\n"
    );
    (request, branch)
}

/// Any final answer shows that SIP is spoken there.
fn answer(bytes: Bytes, branch: &str) -> Option<String> {
    let message = Message::parse(bytes).ok()?;
    let via = message.top_via().ok()?;
    match message.start() {
        StartLine::Response { code: code @ 200.., reason } if via.branch()? == branch => {
            Some(format!("{code} {}", String::from_utf8_lossy(reason)))
        }
        _ => None,
    }
}

/// Repeated as a request over UDP is, until there is an answer.
async fn over_udp(from: Option<SocketAddr>, address: SocketAddr) -> Result<String, String> {
    let exchange = async {
        let any: SocketAddr = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }
            .parse()
            .map_err(std::io::Error::other)?;
        let socket = UdpSocket::bind(from.unwrap_or(any)).await?;
        socket.connect(address).await?;
        let (request, branch) = options("UDP", address, socket.local_addr()?);
        let mut buffer = vec![0; ANSWER];
        let mut wait = T1;
        loop {
            socket.send(request.as_bytes()).await?;
            let heard = async {
                loop {
                    let length = socket.recv(&mut buffer).await?;
                    let bytes = Bytes::copy_from_slice(&buffer[..length]);
                    if let Some(answer) = answer(bytes, &branch) {
                        return Ok::<_, std::io::Error>(answer);
                    }
                }
            };
            match timeout(wait, heard).await {
                Ok(answer) => return answer,
                Err(_) => wait *= 2,
            }
        }
    };
    exchange.await.map_err(|error| error.to_string())
}

async fn over_stream(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    to: SocketAddr,
    local: SocketAddr,
    transport: &str,
) -> Result<String, String> {
    let (request, branch) = options(transport, to, local);
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut received = Vec::new();
    while received.len() < ANSWER {
        match stream.read_buf(&mut received).await {
            Ok(0) => return Err("closed without an answer".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
        if received.windows(4).any(|end| end == b"\r\n\r\n") {
            let answer = answer(Bytes::copy_from_slice(&received), &branch);
            return answer.ok_or_else(|| "something that is no answer to it".to_owned());
        }
    }
    Err("something that is no SIP".to_owned())
}
