//! A trial of a domain: DNS, connection, TLS and the stream until authentication would begin
//! (RFC 6120 §4.2, §5), each with its time.

use std::time::Instant;

use openfed_node::trial::{Steps, in_full, spoken};
use openfed_proto::domain::Domain;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use xmpp_cm_core::stream::{CloseReason, Event, Features, InitiatorConfig, Settings, Stream};

use super::{Connections, Means, dial};
use crate::resolve::{Endpoint, Resolution};
use crate::tls::Check;

/// Addresses that are tried.
const ADDRESSES: usize = 3;

/// What the stream needs before it goes on.
enum Next {
    Tls,
    Ready(Features),
}

impl Connections {
    /// Looks whether `domain` can be reached, as `local`, beside all that is open. `names`: what is
    /// known of it at the home servers.
    pub fn try_out(
        &self,
        domain: Domain,
        local: Domain,
        names: Vec<(Domain, Result<String, String>)>,
        mut steps: Steps,
    ) -> impl Future<Output = Steps> + Send + 'static {
        let means = self.means.clone();
        async move {
            for (home, told) in names {
                steps
                    .step(
                        &format!("Names at the home server of {home}"),
                        async { told },
                        String::clone,
                    )
                    .await;
            }
            reach(&means, domain, local, steps).await
        }
    }
}

async fn reach(means: &Means, domain: Domain, local: Domain, mut steps: Steps) -> Steps {
    let home = means.homes.contains_key(&domain);
    let look_up = async {
        let deadline = tokio::time::Instant::now() + means.limits.connect;
        match if home {
            dial::home(means, &domain, deadline).await
        } else {
            means.resolver.resolve(&domain, deadline).await
        } {
            Resolution::NotFound => Err("no SRV records and no addresses: no XMPP server".into()),
            Resolution::Unanswered => Err("no answer from DNS: nothing is known".to_owned()),
            Resolution::Announced(endpoints) => Ok((endpoints, "")),
            Resolution::Guessed(endpoints) => Ok((endpoints, "none; the domain itself has ")),
            Resolution::Tried(endpoints) => Ok((endpoints, "DNS failed; the domain itself has ")),
        }
    };
    let asked = match home {
        true => "Address of the home server".to_owned(),
        false => format!("SRV of {domain} for XMPP servers"),
    };
    let Some((endpoints, _)) = steps.step(&asked, look_up, found).await else { return steps };
    for endpoint in endpoints.iter().take(ADDRESSES) {
        let stream = || Stream::initiator(initiator(&domain, &local, *endpoint), Instant::now());
        address(means, &domain, *endpoint, stream(), &mut steps).await;
    }
    steps
}

fn found((endpoints, instead): &(Vec<Endpoint>, &'static str)) -> String {
    let address = |endpoint: &Endpoint| match endpoint.direct_tls {
        true => format!("{} (direct TLS)", endpoint.address),
        false => endpoint.address.to_string(),
    };
    let addresses: Vec<_> = endpoints.iter().map(address).collect();
    format!("{instead}{}", addresses.join(", "))
}

fn initiator(domain: &Domain, local: &Domain, endpoint: Endpoint) -> InitiatorConfig {
    let settings = Settings { encrypted: endpoint.direct_tls, ..Settings::default() };
    InitiatorConfig { local: local.into(), remote: domain.into(), settings }
}

async fn address(
    means: &Means,
    domain: &Domain,
    Endpoint { address, direct_tls }: Endpoint,
    mut stream: Stream,
    steps: &mut Steps,
) {
    let connect = async { TcpStream::connect(address).await.map_err(|error| error.to_string()) };
    let connected = |_: &TcpStream| "connected".to_owned();
    let what = format!("Connect to {address}");
    let Some(mut plain) = steps.step(&what, connect, connected).await else { return };
    let opened = format!("XML stream with {address}");
    if !direct_tls {
        let next = steps.step(&opened, negotiate(&mut plain, &mut stream), announced).await;
        let Some(Next::Tls) = next else { return };
    }
    let handshake = async {
        let (config, name, check) =
            means.tls.client(domain, direct_tls, None).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(config);
        let tls = connector.connect(name, plain).await.map_err(|error| in_full(&error))?;
        Ok((tls, check))
    };
    let what = format!("TLS with {address} as {domain}");
    let Some((mut tls, _)) = steps.step(&what, handshake, secured).await else { return };
    if !direct_tls {
        stream.handle_tls_established(Instant::now());
    }
    steps.step(&opened, negotiate(&mut tls, &mut stream), announced).await;
}

fn secured((stream, check): &(TlsStream<TcpStream>, std::sync::Arc<Check>)) -> String {
    let version = spoken(stream.get_ref().1.protocol_version());
    match check.verified() {
        true => format!("{version}; the certificate is valid for the name"),
        false => format!("{version}; the certificate does not prove the name, dialback must"),
    }
}

/// Says what the stream says, and feeds it what the peer says, until it is open or TLS begins.
async fn negotiate(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    stream: &mut Stream,
) -> Result<Next, String> {
    let broken = |error: std::io::Error| error.to_string();
    let mut heard = [0; 4_096];
    loop {
        while let Some(event) = stream.next_event() {
            match event {
                Event::Transmit(bytes) => socket.write_all(&bytes).await.map_err(broken)?,
                Event::StartTls { .. } => return Ok(Next::Tls),
                Event::Ready(features) => {
                    // The footer is a courtesy; what is asked is known.
                    stream.close(Instant::now());
                    if let Some(Event::Transmit(bytes)) = stream.next_event() {
                        let _ = socket.write_all(&bytes).await;
                    }
                    return Ok(Next::Ready(features));
                }
                Event::Closed(reason) => return Err(ended(&reason)),
                _ => {}
            }
        }
        match socket.read(&mut heard).await.map_err(broken)? {
            0 => stream.handle_closed(),
            length => stream.handle_bytes(&heard[..length], Instant::now()),
        }
    }
}

fn ended(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Remote(error) => format!("the server ended it: {error}"),
        CloseReason::Local(error) => format!("the server broke the rules: {error}"),
        CloseReason::Eof(_) => "the server closed the connection".to_owned(),
        CloseReason::ClosedByPeer(_) => "the server closed it".to_owned(),
        CloseReason::TlsFailed => "the server refused STARTTLS".to_owned(),
        CloseReason::Deadline(_) | CloseReason::Done => "the server was too slow".to_owned(),
    }
}

fn announced(next: &Next) -> String {
    let Next::Ready(features) = next else { return "STARTTLS".to_owned() };
    let offered = [
        (features.dialback, "dialback"),
        (features.external, "SASL EXTERNAL"),
        (features.bidi, "both directions"),
    ];
    let offered: Vec<_> = offered.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    match (features.encrypted, offered.is_empty()) {
        (_, true) => "open; nothing is announced for authentication".to_owned(),
        (true, false) => format!("open; offers {}", offered.join(", ")),
        (false, false) => format!("open without TLS; offers {}", offered.join(", ")),
    }
}
