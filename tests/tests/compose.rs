//! The stack of `deploy/compose.yaml` in real containers, as an operator types it: up, observed,
//! scaled, and hard to kill. Run by tests/compose, which brings the engine.

#[path = "compose/fronted.rs"]
mod fronted;
#[path = "compose/hardships.rs"]
mod hardships;
#[path = "compose/observed.rs"]
mod observed;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use openfed_tests::collector::Collector;
use openfed_tests::containers::{Stack, own_address};
use openfed_tests::dns::DnsServer;
use openfed_tests::openfed::LOCAL;
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::xmpp_client::XmppClient;
use openfed_tests::{Failure, Result};

/// For everything after the images are built.
const LIMIT: Duration = Duration::from_secs(720);

/// Where the SIP users of the tests are, on this machine.
struct People {
    sip: Arc<SipPeer>,
    alice: XmppClient,
}

impl People {
    async fn meet(stack: &Stack) -> Result<Self> {
        let sip = SipPeer::start(SocketAddr::new(stack.gateway().await?, 0)).await?;
        let home = stack.addresses("home").await?;
        let home = home.first().ok_or_else(|| Failure::new("no home server"))?;
        let at = SocketAddr::new(*home, 5222);
        let alice = XmppClient::login(&format!("alice@{LOCAL}"), "secret", at).await?;
        Ok(Self { sip: Arc::new(sip), alice })
    }
}

async fn first_sip_cm(stack: &Stack) -> Result<SocketAddr> {
    let addresses = stack.addresses("sip-cm").await?;
    let first = addresses.first().ok_or_else(|| Failure::new("no sip-cm"))?;
    Ok(SocketAddr::new(*first, 5060))
}

/// A local SIP user's message to a domain that nobody knows is one trace of five hops.
async fn the_documented_hop(stack: &Stack, people: &People, collector: &Collector) -> Result<()> {
    let from = format!("sip:alice@{LOCAL}");
    let message = Outgoing::message(&from, "sip:bob@never-seen.example", "first");
    let answer = people.sip.send(&message, first_sip_cm(stack).await?).await?;
    assert_eq!(answer.status(), Some(200), "{}", answer.start);
    let names = ["sip.receive", "xcp.send", "xcp.route", "xmpp.deliver", "sip.forward"];
    let trace = collector.trace_with(&names).await?;
    let mut services: Vec<_> = trace.iter().map(|span| span.service.as_str()).collect();
    services.sort_unstable();
    services.dedup();
    assert_eq!(services, ["sip-cm", "xcp-router", "xmpp-cm"]);
    Ok(())
}

/// After the start, one block says what runs and what is still missing.
async fn the_welcome_is_said(stack: &Stack) -> Result<()> {
    let logs = stack.compose(&["logs", "--no-color", "welcome"]).await?;
    for part in [
        "openfed runs for corp.example: 1 sip-cm, 1 xmpp-cm, 1 xcp-router",
        "port 5060, by UDP and TCP",
        "http://127.0.0.1:7480",
        "http://127.0.0.1:16686",
        "no SIP server of yours speaks for your users",
        "docker compose --profile demo up",
    ] {
        assert!(logs.contains(part), "{part} in {logs}");
    }
    Ok(())
}

/// What the people of the demo write arrives, on both sides.
async fn the_demo_plays(stack: &Stack) -> Result<()> {
    let over = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let logs = stack.compose(&["--profile", "demo", "logs", "--no-color", "people"]).await?;
        let both = ["alice wrote to bob@sip.example", "bob@sip.example wrote to alice"];
        if both.iter().all(|line| logs.contains(line)) {
            return Ok(());
        }
        if tokio::time::Instant::now() > over {
            return Err(Failure::new(format!("the demo does not play:\n{logs}")));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn scenes() -> Result<()> {
    let collector = Collector::start(SocketAddr::new(own_address().await?, 0)).await?;
    let dns = DnsServer::start(SocketAddr::new(own_address().await?, 0)).await?;
    let stack = Stack::up(collector.address(), dns.address()).await?;
    for home in stack.addresses("home").await? {
        dns.host("home", home);
    }
    let played = tokio::time::timeout(LIMIT, play(&stack, &collector, &dns)).await;
    let played = played.unwrap_or_else(|_| Err(Failure::new("the scenes did not end in time")));
    if played.is_err() {
        stack.print_logs().await?;
    }
    stack.down().await?;
    played
}

async fn play(stack: &Stack, collector: &Collector, dns: &DnsServer) -> Result<()> {
    the_welcome_is_said(stack).await?;
    stack.observe().await?;
    the_demo_plays(stack).await?;
    let one_each = ["sip-cm", "xmpp-cm", "xcp-router", "dns", "front"].map(|service| (service, 1));
    observed::has(stack, &one_each).await?;
    let people = People::meet(stack).await?;
    the_documented_hop(stack, &people, collector).await?;
    drop(people.alice);
    fronted::fixed_numbers(stack, dns).await?;
    hardships::hardships(stack).await
}

#[test]
fn the_stack_of_compose() {
    let runtime = tokio::runtime::Runtime::new();
    let played = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(scenes()));
    if let Err(failure) = played {
        panic!("{failure:?}");
    }
}

/// The file as Compose v5 reads it: what it publishes, and that it builds no tag twice.
#[test]
fn compose_5_reads_it_alike() -> Result<()> {
    let compose = std::env::var_os("OPENFED_COMPOSE5");
    let compose = compose.ok_or_else(|| Failure::new("run by tests/compose"))?;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/compose.yaml");
    let arguments = ["-f", file, "--profile", "*", "config", "--format", "json"];
    let output = std::process::Command::new(compose).args(arguments).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let config: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let services = config["services"].as_object().ok_or_else(|| Failure::new("no services"))?;
    let built = services.values().filter(|service| service.get("build").is_some());
    let mut tags: Vec<_> = built.map(|service| service["image"].to_string()).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["\"openfed-demo:latest\"", "\"openfed:latest\""]);
    let ports = services["front"]["ports"].as_array().cloned().unwrap_or_default();
    let ports = ports.iter().map(|port| format!("{} {}", port["published"], port["protocol"]));
    let expected = ["5060 udp", "5060 tcp", "5269 tcp", "7480 tcp"];
    assert_eq!(ports.collect::<Vec<_>>().join(", ").replace('"', ""), expected.join(", "));
    let publish = |name: &str| services[name].get("ports").is_some();
    assert!(!["sip-cm", "xmpp-cm", "xcp-router"].into_iter().any(publish));
    Ok(())
}
