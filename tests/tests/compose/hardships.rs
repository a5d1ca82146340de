//! Replicas come, drain and die under load, a router is cut off, Redis restarts: nobody loses a
//! message without hearing of it, and nobody has one twice.

use std::net::SocketAddr;
use std::time::Duration;

use openfed_tests::containers::{Stack, docker};
use openfed_tests::openfed::LOCAL;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::traffic::{Account, DOMAIN, Traffic};
use openfed_tests::xmpp_client::XmppClient;
use openfed_tests::{Failure, Result};
use tokio::time::sleep;

/// Messages a second, both ways together.
const RATE: u32 = 200;
/// How long traffic flows between two hardships.
const CALM: Duration = Duration::from_secs(5);
/// How long the router is cut off: well beyond the keepalive of its links.
const CUT: Duration = Duration::from_secs(20);
/// The services, and how many replicas of each stand the test.
const REPLICAS: [(&str, usize); 3] = [("sip-cm", 3), ("xmpp-cm", 2), ("xcp-router", 2)];

/// Scales up, and plays all hardships one after the other.
pub(crate) async fn hardships(stack: &Stack) -> Result<()> {
    stack.scale(&REPLICAS).await?;
    crate::observed::has(stack, &[&REPLICAS[..], &[("dns", 1), ("front", 1)]].concat()).await?;
    let traffic = start_traffic(stack).await?;
    sleep(CALM).await;
    report("calm", &traffic);
    for (service, _) in REPLICAS {
        drain(stack, service, &traffic).await?;
        kill(stack, service, &traffic).await?;
    }
    cut_a_router_off(stack, &traffic).await?;
    restart_redis(stack, &traffic).await?;

    let account = traffic.end().await?;
    say("all", &account);
    let sum = account.delivered + account.told;
    let faults = [account.lost.as_slice(), &account.doubled].concat();
    if sum != account.sent {
        return Err(Failure::new(format!("{account}\n{}", faults.join("\n"))));
    }
    // Nearly all arrives, and is said to: others step in, nobody just refuses.
    if (account.told + account.doubtful) * 20 > account.sent {
        return Err(Failure::new(format!("too many errors: {account}")));
    }
    Ok(())
}

/// The SIP people of the traffic live on this machine, at an address of the stack's network.
async fn start_traffic(stack: &Stack) -> Result<Traffic> {
    let sip = SipPeer::start(SocketAddr::new(stack.gateway().await?, 0)).await?;
    let address = sip.address()?;
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let pattern = DOMAIN.rsplit('.').fold(String::new(), |pattern, label| pattern + "." + label);
    let hop = ["--next-hop", &host, "--port", &port, "--protocol", "udp"];
    let add = [&["openfed", "route", "add", &pattern], &hop[..]];
    let exec = [&["--profile", "demo", "exec", "-T", "xcp-router"][..], &add.concat()].concat();
    stack.compose(&exec).await?;
    let home = stack.addresses("home").await?;
    let home = home.first().ok_or_else(|| Failure::new("no home server"))?;
    let user = format!("carol@{LOCAL}");
    let user = XmppClient::login(&user, "secret", SocketAddr::new(*home, 5222)).await?;
    Ok(Traffic::start(sip, user, entries(stack).await?, RATE))
}

async fn entries(stack: &Stack) -> Result<Vec<SocketAddr>> {
    let addresses = stack.addresses("sip-cm").await?;
    Ok(addresses.into_iter().map(|address| SocketAddr::new(address, 5060)).collect())
}

async fn drain(stack: &Stack, service: &str, traffic: &Traffic) -> Result<()> {
    let container = one_of(stack, service).await?;
    hush_for(service, traffic).await;
    docker(&["stop", &container]).await?;
    traffic.hush_xmpp(false);
    let code = docker(&["inspect", "--format", "{{.State.ExitCode}}", &container]).await?;
    if code.trim() != "0" {
        return Err(Failure::new(format!("{service} did not drain: it ended with {code}")));
    }
    replace(stack, service, &container, traffic).await?;
    report(&format!("{service} drained"), traffic);
    Ok(())
}

async fn kill(stack: &Stack, service: &str, traffic: &Traffic) -> Result<()> {
    let container = one_of(stack, service).await?;
    hush_for(service, traffic).await;
    docker(&["kill", &container]).await?;
    traffic.hush_xmpp(false);
    replace(stack, service, &container, traffic).await?;
    report(&format!("{service} killed"), traffic);
    Ok(())
}

/// What a server has written to an `xmpp-cm` that reads no more is lost without a word, or bounced
/// by one that does stream management (XEP-0198), perhaps though it arrived: neither is counted here.
async fn hush_for(service: &str, traffic: &Traffic) {
    if service == "xmpp-cm" {
        traffic.hush_xmpp(true);
        sleep(CALM).await;
    }
}

/// A load balancer takes the one that is gone out; a while later it comes back.
async fn replace(stack: &Stack, service: &str, container: &str, traffic: &Traffic) -> Result<()> {
    if service == "sip-cm" {
        traffic.enters_at(entries(stack).await?);
    }
    sleep(CALM).await;
    docker(&["start", container]).await?;
    stack.is_well().await?;
    traffic.enters_at(entries(stack).await?);
    sleep(CALM).await;
    Ok(())
}

async fn cut_a_router_off(stack: &Stack, traffic: &Traffic) -> Result<()> {
    let container = one_of(stack, "xcp-router").await?;
    let network = stack.network();
    docker(&["network", "disconnect", &network, &container]).await?;
    sleep(CUT).await;
    report("router cut off", traffic);
    let alias = ["network", "connect", "--alias", "xcp-router", &network, &container];
    docker(&alias).await?;
    stack.is_well().await?;
    sleep(CALM).await;
    report("router back", traffic);
    Ok(())
}

async fn restart_redis(stack: &Stack, traffic: &Traffic) -> Result<()> {
    docker(&["restart", &one_of(stack, "redis").await?]).await?;
    stack.is_well().await?;
    sleep(CALM).await;
    report("Redis restarted", traffic);
    Ok(())
}

async fn one_of(stack: &Stack, service: &str) -> Result<String> {
    let replicas = stack.replicas(service).await?;
    replicas.into_iter().next().ok_or_else(|| Failure::new(format!("no {service}")))
}

fn report(what: &str, traffic: &Traffic) {
    say(what, &traffic.so_far());
}

#[expect(clippy::print_stdout, reason = "the account is what this test is run for")]
fn say(what: &str, account: &Account) {
    println!("{what}: {account}");
}
