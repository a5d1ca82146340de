//! Does each static route's next hop speak SIP: OPTIONS to each of its addresses (RFC 3261 §11).

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openfed_node::settings::Settings;
use openfed_proto::route::Transport;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sip_cm::resolve::Resolver;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Report;
use crate::api::model::{Page, Route};
use crate::api::{Api, ApiError};
use crate::cli::Failure;
use crate::ua::{self, Message, Request};

const LIMIT: Duration = Duration::from_secs(4);

pub(super) async fn check(
    report: &mut Report<'_>,
    api: &Api,
    settings: Option<&Settings>,
) -> Result<(), Failure> {
    let routes = match routes(api).await {
        Ok(routes) => routes,
        Err(error) => {
            let error = error.to_string();
            let cause = error.lines().next().unwrap_or_default();
            let finding = format!("the static routes cannot be read: {cause}");
            return report.bad("routes", &finding, "start xcp-router, or name it with --api");
        }
    };
    let servers = settings.map(|settings| settings.sip.resolver.clone()).unwrap_or_default();
    let ca = settings.and_then(|settings| settings.sip.tls.ca.as_deref());
    for route in routes {
        let pattern = &route.pattern;
        if route.predefined && route.next_hop.is_empty() {
            report.doubt(
                "routes",
                "the open route has no next hop: unknown domains are not reached over SIP",
                "openfed route set '.*' --next-hop HOST --port N --protocol udp|tcp|tls --unblock",
            )?;
            continue;
        }
        if !route.in_service {
            report.doubt("routes", &format!("{pattern} is out of service"), "--service on")?;
            continue;
        }
        if route.blocked {
            let do_ = format!("openfed route unblock '{pattern}', if that is not intended");
            report.doubt("routes", &format!("{pattern} is blocked"), &do_)?;
        }
        one(report, &route, &servers, ca).await?;
    }
    Ok(())
}

async fn routes(api: &Api) -> Result<Vec<Route>, ApiError> {
    let answer = api.get("/api/v1/static-routes").await?;
    Ok(api.read::<Page<Route>>(&answer)?.items)
}

async fn one(
    report: &mut Report<'_>,
    route: &Route,
    servers: &[SocketAddr],
    ca: Option<&Path>,
) -> Result<(), Failure> {
    let Route { pattern, next_hop, protocol, .. } = route;
    let name = format!("{pattern}: next hop {next_hop}");
    let transport = Transport::parse(protocol).unwrap_or_default();
    // As sip-cm looks it up.
    let found = match Resolver::new(servers) {
        Ok(resolver) => {
            let mut random = |below: u32| rand::random_range(0..below.max(1));
            resolver.resolve(next_hop, Some(route.port), Some(transport), &mut random).await
        }
        Err(error) => Err(error),
    };
    let addresses = match found {
        Ok(targets) => targets.into_iter().map(|target| target.address),
        Err(error) => {
            let finding = format!("{name} has no address: {error}");
            return report.bad("routes", &finding, "correct the name or its DNS records");
        }
    };
    for address in addresses {
        let at = format!("{name} ({protocol} {address})");
        match options(next_hop, address, transport, ca).await {
            Ok(answer) => {
                let answer = answer.status_line();
                report.good("routes", &format!("{at} answers OPTIONS: {answer}"))?;
            }
            Err(error) => {
                report.bad("routes", &format!("{at} does not: {error}"), advice(&error))?
            }
        }
    }
    Ok(())
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::TimedOut => {
            "it drops what we send, or is not there: look at firewalls, and whether it expects \
             another protocol"
        }
        io::ErrorKind::ConnectionRefused => "nobody listens there: check port and protocol",
        io::ErrorKind::InvalidData => {
            "it does not speak SIP there, or its certificate is not valid for its name: check \
             protocol and sip.tls.ca"
        }
        _ => "check its address and the network between",
    }
}

async fn options(
    host: &str,
    address: SocketAddr,
    transport: Transport,
    ca: Option<&Path>,
) -> io::Result<Message> {
    let uri = format!("sip:{address}");
    let request = Request { method: "OPTIONS", to: &uri, from: "sip:openfed.invalid", text: "" };
    if transport == Transport::Udp {
        return ua::ask(address, &request, LIMIT).await;
    }
    let over_stream = async {
        let socket = TcpStream::connect(address).await?;
        let local = socket.local_addr()?;
        if transport == Transport::Tcp {
            return exchange(socket, &request, "TCP", local).await;
        }
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let stream = TlsConnector::from(Arc::new(tls(ca)?)).connect(name, socket).await?;
        exchange(stream, &request, "TLS", local).await
    };
    timeout(LIMIT, over_stream).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Trusts the system's authorities and `ca`, as sip-cm does.
fn tls(ca: Option<&Path>) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(ca) = ca {
        let wrong =
            |error| io::Error::new(io::ErrorKind::InvalidInput, format!("sip.tls.ca: {error}"));
        let more: Result<Vec<_>, _> = CertificateDer::pem_file_iter(ca).map_err(wrong)?.collect();
        roots.add_parsable_certificates(more.map_err(wrong)?);
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &Request<'_>,
    transport: &str,
    local: SocketAddr,
) -> io::Result<Message> {
    let sent = request.write(transport, local);
    stream.write_all(&sent.octets).await?;
    let mut received = Vec::new();
    while received.len() < 65_536 {
        if stream.read_buf(&mut received).await? == 0 {
            break;
        }
        if !received.windows(4).any(|end| end == b"\r\n\r\n") {
            continue;
        }
        return Message::parse(&received)
            .filter(|answer| answer.is_final_for(&sent))
            .ok_or_else(|| io::ErrorKind::InvalidData.into());
    }
    Err(io::ErrorKind::InvalidData.into())
}
