//! Two routers on one store: what one learns the other knows, and either may die.

use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::process::{Process, until};
use openfed_tests::redis::Redis;
use openfed_tests::scene::play;
use openfed_tests::sip::Outgoing;
use openfed_tests::world::{Kind, World};
use openfed_tests::{Result, http};

/// A world of three programs and a second router, all on one Redis.
async fn with_two_routers(place: &Place) -> Result<(World, Process, Redis)> {
    let redis = Redis::start(place).await?;
    let second = second_router(place);
    let setup = Setup {
        store: redis.url(),
        apart: true,
        routers: vec![format!("http://{}", second.0)],
        ..Setup::default()
    };
    let world = World::with(place, Kind::Prosody, setup).await?;
    let (link, api) = (second.0.to_string(), second.1.to_string());
    let overrides = [
        ("OPENFED__NODE__NAME", "second"),
        ("OPENFED__ROUTER__LINK", link.as_str()),
        ("OPENFED__ROUTER__HTTP", api.as_str()),
    ];
    let process = world.openfed.service(place, "xcp-router", &overrides)?;
    let linked = async || {
        let nodes = http::get(second.1, "/api/v1/nodes").await;
        nodes.is_ok_and(|nodes| nodes.text.contains("sip-cm") && nodes.text.contains("xmpp-cm"))
    };
    until(linked).await?;
    world.openfed.open_towards(world.hop.address()?).await?;
    Ok((world, process, redis))
}

/// The link and API addresses of the second router.
fn second_router(place: &Place) -> (std::net::SocketAddr, std::net::SocketAddr) {
    (place.at(Host::SecondRouter, 7400), place.at(Host::SecondRouter, 7480))
}

fn message(number: usize) -> Outgoing {
    let from = format!("sip:alice{number}@{LOCAL}");
    Outgoing::message(&from, &format!("sip:bob@unknown{number}.example"), "which way?")
}

#[test]
fn what_one_router_learns_the_other_knows_and_either_may_die() {
    play(async |place| {
        let (mut world, mut second, _redis) = with_two_routers(place).await?;
        let api = second_router(place).1;
        for number in 0..8 {
            let answer = world.trusted.send(&message(number), world.openfed.sip()).await?;
            assert_eq!(answer.status(), Some(200), "{number}");
        }
        for number in 0..8 {
            let path = format!("/api/v1/sip-domains/unknown{number}.example");
            world.openfed.row_appears(&format!("unknown{number}.example")).await?;
            until(async || http::get(api, &path).await.is_ok_and(|row| row.status == 200)).await?;
        }

        second.kill().await?;
        for number in 8..12 {
            let answer = world.trusted.send(&message(number), world.openfed.sip()).await?;
            assert_eq!(answer.status(), Some(200), "{number}, without the second");
        }
        world.openfed.kill("xcp-router").await?;
        let known = world.trusted.send(&message(0), world.openfed.sip()).await?;
        assert_eq!(known.status(), Some(200), "known, without any router");
        Ok(())
    });
}
