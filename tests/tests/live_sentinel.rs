//! The primary of the store is killed under load, while domains are discovered and blocked.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::process::until;
use openfed_tests::scene::play;
use openfed_tests::second::{self, Second};
use openfed_tests::sentinel::Sentinels;
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::traffic::{DOMAIN, Traffic};
use openfed_tests::world::{Kind, World};
use openfed_tests::{Result, http};
use serde_json::json;

/// Messages a second, both ways together; unoptimised programs on two cores take no more.
const RATE: u32 = if cfg!(debug_assertions) { 200 } else { 1_000 };
/// Changes that are confirmed before the primary is killed.
const BEFORE: usize = 30;

async fn world_of_two_routers(place: &Place, store: String) -> Result<(World, Second)> {
    let routers = vec![second::router_url(place)];
    let setup = Setup { store, apart: true, routers, ..Setup::default() };
    let world = World::with(place, Kind::Prosody, setup).await?;
    let second = Second::start(place, &world.openfed, "xcp-router").await?;
    let linked = async || {
        let nodes = http::get(second.http, "/api/v1/nodes").await;
        nodes.is_ok_and(|nodes| nodes.text.contains("sip-cm") && nodes.text.contains("xmpp-cm"))
    };
    until(linked).await?;
    world.openfed.open_towards(world.hop.address()?).await?;
    Ok((world, second))
}

/// People of [`DOMAIN`] at a next hop of their own write to carol, and she to them.
async fn start_traffic(place: &Place, world: &World) -> Result<Traffic> {
    let sip = SipPeer::start(place.at(Host::SecondSipPeer, 5060)).await?;
    let host = sip.address()?.ip().to_string();
    let pattern = DOMAIN.rsplit('.').fold(String::new(), |pattern, label| pattern + "." + label);
    let route = ["route", "add", &pattern, "--next-hop", &host, "--port", "5060"];
    world.openfed.command(&[&route[..], &["--protocol", "udp"]].concat()).await?;
    let user = world.home.login("carol").await?;
    Ok(Traffic::start(sip, user, vec![world.openfed.sip()], RATE))
}

/// Blocks `bNUMBER.example` and has `dNUMBER.example` discovered; whether the block was confirmed.
async fn change(world: &World, number: usize) -> Result<bool> {
    let to = format!("sip:bob@d{number}.example");
    let message = Outgoing::message(&format!("sip:alice{number}@{LOCAL}"), &to, "new");
    world.trusted.send(&message, world.openfed.sip()).await?;
    let blocked = json!({ "domain": format!("b{number}.example") });
    let api = (world.openfed.api(), "/api/v1/blocked-domains");
    let done = http::call(api.0, "POST", api.1, Some(&blocked)).await?;
    Ok(done.status == 201)
}

async fn lists(api: SocketAddr, number: usize) -> bool {
    let found = http::get(api, "/api/v1/blocked-domains").await;
    found.is_ok_and(|found| found.text.contains(&format!("\"b{number}.example\"")))
}

async fn went_back(api: SocketAddr) -> Result<bool> {
    let metrics = http::get(api, "/metrics").await?.text;
    let counter = "openfed_router_store_went_back_total ";
    let times = metrics.lines().find_map(|line| line.strip_prefix(counter));
    Ok(times.is_some_and(|times| times != "0"))
}

#[test]
fn a_failover_loses_no_message_and_no_change_in_silence() {
    play(async |place| {
        let mut store = Sentinels::start(place).await?;
        let (world, second) = world_of_two_routers(place, store.url()).await?;
        let routers = [world.openfed.api(), second.http];
        let traffic = start_traffic(place, &world).await?;
        let (mut confirmed, mut was_away) = (Vec::new(), false);
        let mut back = 0;
        for number in 0..10_000 {
            match change(&world, number).await? {
                true if was_away => {
                    back = number;
                    break;
                }
                true => confirmed.push(number),
                false => was_away |= confirmed.len() >= BEFORE,
            }
            if confirmed.len() == BEFORE && !was_away {
                store.kill_primary().await?;
            }
        }
        // What is entered now is in force everywhere at once.
        let since = Instant::now();
        for api in routers {
            until(async || lists(api, back).await).await?;
        }
        let bob = format!("sip:bob@b{back}.example");
        let message = Outgoing::message(&format!("sip:alice@{LOCAL}"), &bob, "blocked");
        let answer = world.trusted.send(&message, world.openfed.sip()).await?;
        assert_eq!(answer.status(), Some(403));
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
        // Both routers hold the same: all that was confirmed, or they say that some of it is lost.
        let mut lost = 0;
        for number in confirmed {
            let there = [lists(routers[0], number).await, lists(routers[1], number).await];
            assert_eq!(there[0], there[1], "b{number}.example");
            lost += usize::from(!there[0]);
        }
        let said = [went_back(routers[0]).await?, went_back(routers[1]).await?];
        assert!(lost == 0 || said == [true, true], "{lost} lost, {said:?}");

        let account = traffic.end().await?;
        assert!(account.lost.is_empty() && account.doubled.is_empty(), "{account} {account:?}");
        assert_eq!(account.told, 0, "known domains go on: {account}");
        Ok(())
    });
}
