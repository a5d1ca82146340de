//! What a message costs: processor time per 1,000 messages, and how long an answer takes, for the
//! three ways at a steady rate, with a known domain, on loopback.
//!
//! `cargo build --release --bins && cargo bench -p openfed-tests --bench load`, as root like the
//! live tests. OPENFED_RATE is the messages per second (1,000), OPENFED_SECONDS the length of each
//! way (10). The peers share the machine; only openfed's own processor time is counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::scene::play;
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::world::{Kind, World};
use openfed_tests::{Failure, Result};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// People who write at once: enough that one conversation's order holds nobody else up.
const PEOPLE: usize = 200;
/// The rate is kept in slices of this length.
const SLICE: Duration = Duration::from_millis(10);

struct Load {
    rate: usize,
    messages: usize,
}

fn main() {
    let number = |name: &str, otherwise: usize| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    };
    let rate = number("OPENFED_RATE", 1000);
    let messages = rate * number("OPENFED_SECONDS", 10);
    play(async |place| {
        let setup = Setup { sample: Some(0.0), log: Some("info"), ..Setup::default() };
        let world = World::with(place, Kind::Prosody, setup).await?;
        world.openfed.open_towards(world.hop.address()?).await?;
        world.openfed.command(&["domain", "add", "known.example"]).await?;
        let load = Load { rate, messages };
        let World { trusted, hop, .. } = &world;
        print_line("way            CPU-s/1,000  p50      p99      of      lost");
        let (trusted, hop) = (trusted.clone(), hop.clone());
        let to_bob =
            |person| (format!("sip:alice@{LOCAL}"), format!("sip:b{person}@known.example"));
        from_sip(&world, &load, "SIP to SIP", trusted, to_bob).await?;
        let to_alice =
            |person| (format!("sip:b{person}@known.example"), format!("sip:alice@{LOCAL}"));
        let alice = world.home.login("alice").await?;
        from_sip(&world, &load, "SIP to XMPP", hop, to_alice).await?;
        from_xmpp(&world, &load, &alice).await
    });
}

/// Sends MESSAGEs at the rate, whatever the answers, and measures.
async fn from_sip(
    world: &World,
    load: &Load,
    way: &str,
    sender: Arc<SipPeer>,
    of_person: impl Fn(usize) -> (String, String),
) -> Result<()> {
    let (target, cpu) = (world.openfed.sip(), world.openfed.processor_time()?);
    let mut turn = paced();
    let mut running = JoinSet::new();
    for first in (0..load.messages).step_by(load.in_slice()) {
        turn.tick().await;
        for number in first..(first + load.in_slice()).min(load.messages) {
            let (from, to) = of_person(number % PEOPLE);
            let message = Outgoing::message(&from, &to, &format!("number {number}"));
            let (sender, before) = (Arc::clone(&sender), Instant::now());
            running.spawn(async move {
                let answer = sender.send(&message, target).await;
                let took = before.elapsed();
                answer.is_ok_and(|answer| answer.status() == Some(200)).then_some(took)
            });
        }
    }
    let took = running.join_all().await.into_iter().flatten().collect();
    load.report(way, world.openfed.processor_time()?.saturating_sub(cpu), took);
    Ok(())
}

/// Sends stanzas at the rate and waits for all of them at the next hop.
async fn from_xmpp(
    world: &World,
    load: &Load,
    alice: &openfed_tests::xmpp_client::XmppClient,
) -> Result<()> {
    let before = world.hop.requests.count(|_| true);
    let cpu = world.openfed.processor_time()?;
    let mut turn = paced();
    let mut sent = Vec::with_capacity(load.messages);
    for first in (0..load.messages).step_by(load.in_slice()) {
        turn.tick().await;
        for number in first..(first + load.in_slice()).min(load.messages) {
            let to = format!("b{}@known.example", number % PEOPLE);
            sent.push(Instant::now());
            alice.say(&to, &format!("stanza {number}"))?;
        }
    }
    let all = |requests: &[_]| (requests.len() >= before + load.messages).then_some(());
    let came = world.hop.requests.wait_until("all stanzas", Duration::from_secs(10), all).await;
    let cpu = world.openfed.processor_time()?.saturating_sub(cpu);
    let arrived = world.hop.requests.all().into_iter().skip(before).filter_map(|request| {
        let number: usize = request.body.strip_prefix("stanza ")?.parse().ok()?;
        Some(request.at.saturating_duration_since(*sent.get(number)?))
    });
    load.report("XMPP to SIP", cpu, arrived.collect());
    came.map_err(|failure| Failure::new(format!("{failure:?}: some were lost")))
}

fn paced() -> tokio::time::Interval {
    let mut turn = interval(SLICE);
    turn.set_missed_tick_behavior(MissedTickBehavior::Burst);
    turn
}

impl Load {
    fn in_slice(&self) -> usize {
        (self.rate / 100).max(1)
    }

    fn report(&self, way: &str, cpu: Duration, mut took: Vec<Duration>) {
        took.sort_unstable();
        let at = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or_default();
        let cost = cpu.as_secs_f64() * 1000.0 / self.messages as f64;
        print_line(&format!(
            "{way:<14} {cost:<12.3} {:<8.1?} {:<8.1?} {:<7} {}",
            at(50),
            at(99),
            self.messages,
            self.messages - took.len()
        ));
    }
}

#[expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
fn print_line(line: &str) {
    println!("{line}");
}
