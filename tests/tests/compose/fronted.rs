//! From outside, by people who know three numbers and nothing else: a SIP peer by UDP and by TCP, a
//! foreign XMPP server, and an operator. Replicas are restarted, killed, and become more and fewer;
//! the numbers stay, all that is sent is answered truly, and everybody is seen as who he is.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openfed_tests::containers::{Stack, docker};
use openfed_tests::dns::DnsServer;
use openfed_tests::openfed::LOCAL;
use openfed_tests::outside::Outside;
use openfed_tests::place::Place;
use openfed_tests::prosody::{Lookup, Prosody};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::sip_tcp::SipTcp;
use openfed_tests::traffic::{Account, DOMAIN, Told, Traffic};
use openfed_tests::xmpp_client::{XmppClient, condition, text_of};
use openfed_tests::{Failure, Result, http};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, interval, sleep};

/// Messages by UDP a second, both ways together.
const RATE: u32 = 40;
/// Between two messages of one way by TCP, and of one by XMPP.
const PAUSE: Duration = Duration::from_millis(50);
/// How long traffic flows between two hardships.
const CALM: Duration = Duration::from_secs(4);
/// Of each way at least.
const MESSAGES: usize = 1_000;
/// What the last word on a message may take, by SIP and by XMPP.
const LAST_WORD: Duration = Duration::from_secs(45);
/// The domain that is reached by TCP, and the one of the foreign XMPP server.
const BY_TCP: &str = "stream.example";
const FAR: &str = "far.example";
/// What this machine gives to the front, whatever happens.
const NUMBERS: [&str; 4] =
    ["5060/tcp -> 5060", "5060/udp -> 5060", "5269/tcp -> 5269", "7480/tcp -> 7480"];

/// Plays it.
pub(crate) async fn fixed_numbers(stack: &Stack, dns: &DnsServer) -> Result<()> {
    let (outside, place) = (Arc::new(Outside::start()?), Place::claim()?);
    numbers_stay(stack).await?;
    seen_as_they_are(stack, &outside).await?;

    let udp = SipPeer::over(outside.udp(5060)?);
    route(stack, DOMAIN, &outside, "udp").await?;
    let by_udp = Traffic::start(
        udp,
        login(stack, "carol").await?,
        vec![SocketAddr::new(outside.machine, 5060)],
        RATE,
    );
    let tcp = Arc::new(SipTcp::start(&outside)?);
    route(stack, BY_TCP, &outside, "tcp").await?;
    dns.host(FAR, outside.own);
    dns.host(LOCAL, outside.machine);
    let lookup = Lookup::Elsewhere(dns.address());
    let enter = outside.enter();
    let far = Prosody::start_at(&place, outside.own, FAR, &["dora"], lookup, &enter).await?;
    let others = Others::start(tcp, login(stack, "alice").await?, far.login("dora").await?);
    sleep(CALM).await;

    let everybody = (&by_udp, &others);
    for service in ["sip-cm", "xmpp-cm"] {
        befalls(stack, everybody, service, &["restart"]).await?;
        befalls(stack, everybody, service, &["kill", "start"]).await?;
    }
    stack.scale(&[("sip-cm", 3), ("xmpp-cm", 2), ("xcp-router", 2)]).await?;
    sleep(CALM).await;
    all_take_part(stack).await?;
    for service in ["sip-cm", "xcp-router"] {
        befalls(stack, everybody, service, &["kill", "start"]).await?;
    }
    everybody.hush(true).await;
    stack.scale(&[("sip-cm", 1), ("xmpp-cm", 1), ("xcp-router", 1)]).await?;
    everybody.hush(false).await;
    numbers_stay(stack).await?;
    befalls(stack, everybody, "front", &["restart"]).await?;
    everybody.hush(true).await;
    stack.compose(&["up", "--detach", "--no-deps", "--force-recreate", "front"]).await?;
    stack.is_well().await?;
    everybody.hush(false).await;
    numbers_stay(stack).await?;
    seen_as_they_are(stack, &outside).await?;

    let mut accounts = others.end().await?;
    accounts.push(("UDP", by_udp.end().await?));
    let mut faults = Vec::new();
    for (way, account) in accounts {
        say(&format!("{way}, both ways: {account}"));
        // While the only instance of a service is away, errors are the truth.
        if account.delivered < 2 * MESSAGES {
            faults.push(format!("{way}: too few: {account}"));
        }
        faults.extend([account.lost, account.doubled].concat());
    }
    // Nobody is there any more.
    for domain in [DOMAIN, BY_TCP] {
        let remove = ["exec", "-T", "xcp-router", "openfed", "route", "remove", &pattern(domain)];
        stack.compose(&remove).await?;
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::new(faults.join("\n"))) }
}

/// Those whose stanzas must not be under way when whoever has read them dies: what a server has
/// written to a connection that ends is lost without a word, or bounced by one that does XEP-0198.
trait Hush {
    async fn hush(&self, quiet: bool);
}

impl Hush for (&Traffic, &Others) {
    async fn hush(&self, quiet: bool) {
        self.0.hush_xmpp(quiet);
        self.1.ways.quiet.store(quiet, Ordering::Relaxed);
        if quiet {
            sleep(CALM).await;
        }
    }
}

/// Something is done to one instance, under traffic.
async fn befalls(
    stack: &Stack,
    everybody: (&Traffic, &Others),
    service: &str,
    what: &[&str],
) -> Result<()> {
    let replicas = stack.replicas(service).await?;
    let one = replicas.first().ok_or_else(|| Failure::new(format!("no {service}")))?;
    // By XMPP what is written to a connection that ends is lost without a word.
    let loses = ["xmpp-cm", "front"].contains(&service);
    if loses {
        everybody.hush(true).await;
    }
    for step in what {
        docker(&[*step, one]).await?;
        sleep(CALM / 4).await;
    }
    stack.is_well().await?;
    if loses {
        everybody.hush(false).await;
    }
    sleep(CALM).await;
    say(&format!("{service} {}: UDP {}", what.join(", "), everybody.0.so_far()));
    numbers_stay(stack).await
}

/// The front has its numbers, and nobody else has one.
async fn numbers_stay(stack: &Stack) -> Result<()> {
    for service in ["front", "sip-cm", "xmpp-cm", "xcp-router"] {
        for container in stack.replicas(service).await? {
            let expected = if service == "front" { &NUMBERS[..] } else { &[] };
            assert_eq!(stack.published(&container).await?, expected, "{service}");
        }
    }
    Ok(())
}

/// Whoever asks from outside is answered from the number that he asked, and seen at his own address.
async fn seen_as_they_are(stack: &Stack, outside: &Arc<Outside>) -> Result<()> {
    let front = SocketAddr::new(outside.machine, 5060);
    // In the name of a user of ours: only whom [sip] trusted names may do that.
    let forged = Outgoing::message(&format!("sip:alice@{LOCAL}"), "sip:x@nowhere.example", "x");
    // Port 5062: another peer may have 5060 already. An answer from elsewhere would not come through.
    let udp = outside.udp(5062)?;
    udp.connect(front).await?;
    let peer = SipPeer::over(udp);
    let by_udp = peer.send(&forged, front).await?;
    let received = format!("received={}", outside.own);
    let via = |sip: &openfed_tests::sip::Sip| sip.header("Via").unwrap_or_default().to_owned();
    assert!(via(&by_udp).contains(&received), "{}", via(&by_udp));
    assert!(via(&by_udp).contains("rport=5062"), "{}", via(&by_udp));
    // Private networks are trusted in this stack, the front's among them; that address is not.
    assert_eq!(by_udp.status(), Some(403), "{}", by_udp.start);
    // An operator's wrong password is held against his address, not against all who come by the front.
    let mut tries = Vec::new();
    for _ in 0..7 {
        let mut stream = outside.connect(7480).await?;
        let body = r#"{"name":"nobody","password":"wrong"}"#;
        let head = format!(
            "POST /api/v1/session HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        tries.push(answer.split(' ').nth(1).unwrap_or_default().to_owned());
    }
    assert!(tries.iter().all(|status| ["401", "429"].contains(&status.as_str())), "{tries:?}");
    assert_eq!(tries.last().map(String::as_str), Some("429"), "{tries:?}");
    let router = stack.addresses("xcp-router").await?;
    let router = router.first().ok_or_else(|| Failure::new("no router"))?;
    let here = SocketAddr::new(*router, 7480);
    let body = serde_json::json!({ "name": "somebody", "password": "wrong" });
    let other = http::request(here, "POST", "/api/v1/session", Some(&body)).await?;
    assert_eq!(other.status, 401, "another source is not kept waiting: {}", other.text);
    Ok(())
}

/// Each replica has had something to do by now.
async fn all_take_part(stack: &Stack) -> Result<()> {
    let over = Instant::now() + LAST_WORD;
    for (service, port, series) in [
        ("sip-cm", 7481, "openfed_sip_stages_total"),
        ("xmpp-cm", 7482, "openfed_xmpp_stages_total"),
        ("xcp-router", 7484, "openfed_router_packets_total"),
    ] {
        for address in stack.addresses(service).await? {
            let metrics = SocketAddr::new(address, port);
            while !http::request(metrics, "GET", "/metrics", None).await?.text.contains(series) {
                assert!(Instant::now() < over, "{service} at {address} has nothing to do");
                sleep(CALM / 8).await;
            }
        }
    }
    Ok(())
}

async fn route(stack: &Stack, domain: &str, outside: &Outside, protocol: &str) -> Result<()> {
    let pattern = pattern(domain);
    let hop = outside.own.to_string();
    let add = ["openfed", "route", "add", &pattern, "--next-hop", &hop, "--port", "5060"];
    let exec = [&["exec", "-T", "xcp-router"][..], &add, &["--protocol", protocol]].concat();
    stack.compose(&exec).await.map(drop)
}

/// The Destination Pattern of a domain: its labels from the right.
fn pattern(domain: &str) -> String {
    domain.rsplit('.').fold(String::new(), |pattern, label| pattern + "." + label)
}

async fn login(stack: &Stack, user: &str) -> Result<XmppClient> {
    let home = stack.addresses("home").await?;
    let home = home.first().ok_or_else(|| Failure::new("no home server"))?;
    XmppClient::login(&format!("{user}@{LOCAL}"), "secret", SocketAddr::new(*home, 5222)).await
}

/// Who writes by SIP over TCP, and from server to server.
struct Others {
    ways: Arc<Ways>,
    pace: JoinHandle<()>,
}

struct Ways {
    tcp: Arc<SipTcp>,
    alice: XmppClient,
    dora: XmppClient,
    told: Mutex<HashMap<String, Option<Told>>>,
    /// Texts of stanzas, by their ids.
    stanzas: Mutex<HashMap<String, String>>,
    quiet: AtomicBool,
    over: AtomicBool,
}

impl Others {
    fn start(tcp: Arc<SipTcp>, alice: XmppClient, dora: XmppClient) -> Self {
        let (told, stanzas) = (Mutex::default(), Mutex::default());
        let (quiet, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let ways = Arc::new(Ways { tcp, alice, dora, told, stanzas, quiet, over });
        Self { pace: tokio::spawn(ways.clone().write()), ways }
    }

    /// Goes on until there were enough, waits for the last words, and says what became of all.
    async fn end(self) -> Result<Vec<(&'static str, Account)>> {
        self.ways.over.store(true, Ordering::Relaxed);
        self.pace.await?;
        let over = Instant::now() + LAST_WORD;
        let lost = || self.ways.accounts().iter().any(|(_, account)| !account.lost.is_empty());
        while lost() && Instant::now() < over {
            sleep(CALM / 8).await;
        }
        Ok(self.ways.accounts())
    }
}

impl Ways {
    async fn write(self: Arc<Self>) {
        let (mut turn, mut under_way) = (interval(PAUSE), JoinSet::new());
        let mut stanzas = 0;
        for number in 0_usize.. {
            turn.tick().await;
            let enough = number >= MESSAGES && stanzas >= MESSAGES;
            if enough && self.over.load(Ordering::Relaxed) {
                break;
            }
            under_way.spawn(self.clone().by_tcp(format!("TCP in {number}")));
            if !self.quiet.load(Ordering::Relaxed) {
                stanzas += 1;
                self.stanza(&self.alice, &format!("ben@{BY_TCP}"), format!("TCP out {number}"));
                self.stanza(&self.alice, &format!("dora@{FAR}"), format!("XMPP out {number}"));
                self.stanza(&self.dora, &format!("alice@{LOCAL}"), format!("XMPP in {number}"));
            }
        }
        under_way.join_all().await;
    }

    fn stanza(&self, from: &XmppClient, to: &str, text: String) {
        let mut stanzas = lock(&self.stanzas);
        if let Ok(id) = from.say(to, &text) {
            stanzas.insert(id, text.clone());
            lock(&self.told).insert(text, None);
        }
    }

    async fn by_tcp(self: Arc<Self>, text: String) {
        lock(&self.told).insert(text.clone(), None);
        let to = format!("sip:alice@{LOCAL}");
        let message = Outgoing::message(&format!("sip:ben@{BY_TCP}"), &to, &text);
        let told = match self.tcp.send(&message).await.map(|response| response.status()) {
            Ok(Some(200..=299)) => Told::Success,
            Ok(Some(status @ (408 | 504))) => Told::Doubt(format!("SIP {status}")),
            Ok(status) => Told::Failure(format!("SIP {}", status.unwrap_or_default())),
            // The connection has ended: nobody has said what became of it.
            Err(_) => Told::Doubt("the connection ended".to_owned()),
        };
        lock(&self.told).insert(text, Some(told));
    }

    fn accounts(&self) -> Vec<(&'static str, Account)> {
        let (mut arrived, mut told) = (HashMap::<String, usize>::new(), lock(&self.told).clone());
        for request in self.tcp.requests.all() {
            *arrived.entry(request.body).or_default() += 1;
        }
        for stanza in [&self.alice, &self.dora].iter().flat_map(|user| user.stanzas.all()) {
            if stanza.attr("type") == Some("error") {
                let text = stanza.attr("id").and_then(|id| lock(&self.stanzas).get(id).cloned());
                let word = match condition(&stanza).unwrap_or_default() {
                    doubt if doubt == "remote-server-timeout" => Told::Doubt(doubt),
                    failure => Told::Failure(failure),
                };
                told.extend(text.map(|text| (text, Some(word))));
            } else if let Some(text) = text_of(&stanza) {
                *arrived.entry(text).or_default() += 1;
            }
        }
        ["TCP", "XMPP"]
            .map(|way| {
                let mut account = Account::default();
                for (text, told) in told.iter().filter(|(text, _)| text.starts_with(way)) {
                    let times = arrived.get(text).copied().unwrap_or_default();
                    account.enter(text, told.as_ref(), times);
                }
                (way, account)
            })
            .into()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::print_stdout, reason = "the account is what this test is run for")]
fn say(what: &str) {
    println!("{what}");
}
