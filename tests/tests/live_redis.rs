//! The shared store is gone, hangs, and comes back: known domains go on all the while.

use std::time::{Duration, Instant};

use openfed_tests::Result;
use openfed_tests::openfed::{LOCAL, Openfed, Setup};
use openfed_tests::place::Place;
use openfed_tests::redis::Redis;
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::world::{Kind, World};
use tokio::time::timeout;

/// No call to the store may hold anything up for longer (250 ms), and some for the machine.
const HELD_UP: Duration = Duration::from_millis(1500);

async fn world_on(place: &Place, redis: &Redis) -> Result<World> {
    let setup = Setup { store: redis.url(), ..Setup::default() };
    let world = World::with(place, Kind::Prosody, setup).await?;
    world.openfed.open_towards(world.hop.address()?).await?;
    Ok(world)
}

/// Sends a MESSAGE of a trusted local SIP user and gives its final status and how long it took.
async fn ask(trusted: &SipPeer, openfed: &Openfed, domain: &str) -> Result<(u16, Duration)> {
    let from = format!("sip:alice@{LOCAL}");
    let message = Outgoing::message(&from, &format!("sip:bob@{domain}"), "is it kept?");
    let before = Instant::now();
    let response = trusted.send(&message, openfed.sip()).await?;
    Ok((response.status().unwrap_or_default(), before.elapsed()))
}

/// Known domains go on; unknown ones get a temporary error and nobody waits for the store.
async fn goes_on_without_store(world: &World, unknown: &str) -> Result<()> {
    let (status, took) = ask(&world.trusted, &world.openfed, "known.example").await?;
    assert_eq!(status, 200);
    assert!(took < HELD_UP, "{took:?}");
    // Until the router notices, a message may still be delivered, truly; then it is refused.
    let mut number = 0;
    loop {
        number += 1;
        let domain = format!("{number}.{unknown}");
        let (status, took) = ask(&world.trusted, &world.openfed, &domain).await?;
        assert!(took < HELD_UP * 2, "{took:?}");
        if status != 200 {
            assert!((500..600).contains(&status) || status == 480, "temporary: {status}");
            break;
        }
    }
    let alice = world.home.login("alice").await?;
    let message = alice.say(&format!("bob@{unknown}"), "and to you?")?;
    alice.condition_of(&message, SOON).await?;
    let temporary = |stanza: &openfed_tests::xmpp_client::Element| {
        let error = stanza.children().find(|child| child.name() == "error");
        error.is_some_and(|error| error.attr("type") == Some("wait"))
    };
    assert_eq!(alice.stanzas.count(|stanza| temporary(stanza)), 1, "{:?}", alice.stanzas.all());
    Ok(())
}

/// Asks until the domain is discovered; each question is answered.
async fn is_found_again(world: &World, domain: &str) -> Result<()> {
    let found = async {
        while ask(&world.trusted, &world.openfed, domain).await?.0 != 200 {}
        world.openfed.row_appears(domain).await
    };
    timeout(SOON, found).await?.map(|_| ())
}

#[test]
fn redis_is_killed_and_comes_back() {
    play(async |place| {
        let redis = Redis::start(place).await?;
        let world = world_on(place, &redis).await?;
        assert_eq!(ask(&world.trusted, &world.openfed, "known.example").await?.0, 200);
        world.openfed.row_appears("known.example").await?;
        redis.kill().await?;

        goes_on_without_store(&world, "unknown.example").await?;

        let _redis = Redis::start(place).await?;
        is_found_again(&world, "another.example").await?;
        assert!(world.openfed.row("known.example").await?.is_some());
        Ok(())
    });
}

#[test]
fn redis_hangs_and_goes_on() {
    play(async |place| {
        let redis = Redis::start(place).await?;
        let world = world_on(place, &redis).await?;
        assert_eq!(ask(&world.trusted, &world.openfed, "known.example").await?.0, 200);
        world.openfed.row_appears("known.example").await?;
        redis.freeze()?;

        goes_on_without_store(&world, "unknown.example").await?;

        redis.thaw()?;
        is_found_again(&world, "another.example").await?;
        Ok(())
    });
}

#[test]
fn a_restarted_openfed_has_the_state_that_it_left_in_redis() {
    play(async |place| {
        let redis = Redis::start(place).await?;
        let World { dns, collector, hop, trusted, openfed, home } = world_on(place, &redis).await?;
        assert_eq!(ask(&trusted, &openfed, "known.example").await?.0, 200);
        openfed.row_appears("known.example").await?;
        openfed.stop().await?;

        // Same state after a restart.
        let setup = Setup {
            store: redis.url(),
            dns: Some(dns.address()),
            collector: collector.url(),
            ..Setup::default()
        };
        let openfed = Openfed::start(place, &setup).await?;
        openfed.row_appears("known.example").await?;
        let asked = dns.queries_about("known.example");
        assert_eq!(ask(&trusted, &openfed, "known.example").await?.0, 200);
        assert_eq!(dns.queries_about("known.example"), asked);
        hop.requests.wait_for("both", SOON, |own| own.uri() == "sip:bob@known.example").await?;
        drop(home);
        Ok(())
    });
}
