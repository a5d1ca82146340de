//! The processes and their listening addresses: answering if they run, free if they do not.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use openfed_node::settings::{HostPort, HttpUrl, Settings};
use openfed_proto::packet::Role;
use openfed_proto::route::Transport;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Report;
use crate::api::{Api, ApiUrl};
use crate::cli::Failure;

/// The DNS responder as a service of its own.
const DNS: &str = "openfed dns";
/// The front as well.
const FRONT: &str = "openfed front";

/// The part of xmpp-cm's health that tells whether home servers can prove delivery.
const DELIVERY: &str = "delivery";

/// A process, as its settings describe it.
struct Service {
    name: &'static str,
    http: ApiUrl,
    /// Key, transport, address.
    listens: Vec<(&'static str, Transport, SocketAddr)>,
}

/// What `/healthz` says.
#[derive(Deserialize)]
struct Health {
    ready: bool,
    problems: BTreeMap<String, String>,
}

pub(super) async fn check(report: &mut Report<'_>, settings: &Settings) -> Result<(), Failure> {
    for service in services(settings) {
        let name = service.name;
        let api = Api::new(service.http.clone());
        let health = match api.get("/healthz").await {
            Ok(health) => api.read::<Health>(&health).ok(),
            Err(_) => None,
        };
        match health {
            Some(health) => {
                running(report, name, health)?;
                answering(report, &service).await?;
            }
            None => {
                report.doubt(
                    "process",
                    &format!("{name} does not run (nothing answers at {})", service.http),
                    &start_it(name),
                )?;
                free(report, &service)?;
            }
        }
    }
    Ok(())
}

/// What xmpp-cm has found out of the home servers meanwhile.
pub(super) async fn delivery(report: &mut Report<'_>, settings: &Settings) -> Result<(), Failure> {
    let api = Api::new(ApiUrl::from(url(settings.xmpp.http)));
    let Ok(answer) = api.get("/healthz").await else { return Ok(()) };
    let Ok(mut health) = api.read::<Health>(&answer) else { return Ok(()) };
    match health.problems.remove(DELIVERY) {
        Some(problem) => report.grave("delivery", &problem, "see the guide, Home servers"),
        None => Ok(()),
    }
}

/// Connects to `host` and hangs up.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<()> {
    timeout(Duration::from_secs(5), TcpStream::connect((host, port)))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map(|_| ())
}

fn start_it(name: &str) -> String {
    let alone = format!("start it: {name} --config FILE");
    if [DNS, FRONT].contains(&name) {
        alone
    } else {
        format!("{alone}; or all three: openfed up --config FILE")
    }
}

fn services(settings: &Settings) -> Vec<Service> {
    let sip = settings.sip.listen.iter().map(|at| ("sip.listen", at.transport, at.address));
    let mut xmpp = vec![("xmpp.listen", Transport::Tcp, settings.xmpp.listen)];
    let mut apart = None;
    if let Some(dns) = &settings.xmpp.dns {
        let listen = ("xmpp.dns.listen", Transport::Udp, dns.listen);
        if dns.apart {
            apart = Some(Service { name: DNS, http: url(dns.http).into(), listens: vec![listen] });
        } else {
            xmpp.push(listen);
        }
    }
    let link = vec![("router.link", Transport::Tcp, settings.router.link)];
    let of = |role: Role, http, listens| Service { name: role.as_str(), http, listens };
    let mut services = vec![
        of(Role::Router, ApiUrl::of_router(settings, reachable(settings.router.http)), link),
        of(Role::SipCm, url(settings.sip.http).into(), sip.collect()),
        of(Role::XmppCm, url(settings.xmpp.http).into(), xmpp),
    ];
    services.extend(apart);
    let front = &settings.front;
    if !front.pass.is_empty() {
        let listens = front.pass.iter().map(|pass| pass.listen);
        let listens = listens.map(|at| ("front.pass.listen", at.transport, at.address)).collect();
        services.push(Service { name: FRONT, http: url(front.http).into(), listens });
    }
    services
}

fn running(report: &mut Report<'_>, name: &str, health: Health) -> Result<(), Failure> {
    if health.problems.is_empty() && health.ready {
        return report.good("process", &format!("{name} runs and is well"));
    }
    for (part, problem) in health.problems {
        let finding = format!("{name} runs, but {part} works badly: {problem}");
        report.grave("process", &finding, "its log says since when")?;
    }
    if !health.ready {
        let finding = format!("{name} runs, but is not ready");
        report.doubt("process", &finding, lacking(name))?;
    }
    Ok(())
}

/// What an instance waits for that is not ready.
fn lacking(name: &str) -> &'static str {
    match name {
        DNS => "it waits for the addresses of xmpp-cm: see [xmpp.dns]",
        FRONT => "it waits for an instance of each service: see [[front.pass]]",
        name if name == Role::Router.as_str() => {
            "it waits for its store (see [store] url), or drains (openfed nodes)"
        }
        _ => "it waits for a router (see [cm] routers), or drains (openfed nodes)",
    }
}

async fn answering(report: &mut Report<'_>, service: &Service) -> Result<(), Failure> {
    for (key, transport, address) in &service.listens {
        // Over UDP nothing shows whether somebody listens; the next hops' OPTIONS will.
        if *transport == Transport::Udp {
            continue;
        }
        let at = reachable(*address);
        if let Err(error) = connect(&at.ip().to_string(), at.port()).await {
            let name = service.name;
            report.bad(
                "ports",
                &format!("{key} {address} takes no connection: {error}"),
                &format!("{name} runs with other settings: restart it with this file"),
            )?;
        }
    }
    Ok(())
}

fn free(report: &mut Report<'_>, service: &Service) -> Result<(), Failure> {
    for (key, transport, address) in &service.listens {
        let bound = match transport {
            Transport::Udp => UdpSocket::bind(address).map(|_| ()),
            Transport::Tcp | Transport::Tls => TcpListener::bind(address).map(|_| ()),
        };
        let Err(error) = bound else { continue };
        let transport = transport.as_str();
        let (finding, advice) = match error.kind() {
            io::ErrorKind::AddrInUse => ("is in use by another program", "stop it, or change"),
            io::ErrorKind::AddrNotAvailable => ("is no address of this machine", "correct"),
            io::ErrorKind::PermissionDenied => {
                ("needs a privilege", "grant CAP_NET_BIND_SERVICE, or use a port above 1023 in")
            }
            _ => ("cannot be listened at", "correct"),
        };
        let finding = format!("{transport} {address} {finding} ({error})");
        report.bad("ports", &finding, &format!("{advice} {key}"))?;
    }
    Ok(())
}

/// How this machine reaches one of its own listening addresses.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

pub(crate) fn url(address: SocketAddr) -> HttpUrl {
    let address = reachable(address);
    HttpUrl(HostPort { host: address.ip().to_string(), port: address.port() })
}
