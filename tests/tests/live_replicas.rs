//! Two of each service: what one router learns the other knows, either may die, and each may be
//! taken out and back in under traffic.

use std::path::Path;
use std::time::{Duration, Instant};

use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::process::until;
use openfed_tests::redis::Redis;
use openfed_tests::scene::{SOON, play};
use openfed_tests::second::{self, Second};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::traffic::{DOMAIN, Traffic};
use openfed_tests::world::{Kind, World};
use openfed_tests::{Failure, Result, http};

/// The name of both instances of xmpp-cm.
const INSTANCES: &str = "xmpp-cm.inside.example";
/// Messages a second, both ways together.
const RATE: u32 = 100;
/// So many arrive between two changes.
const ROUND: usize = 200;

/// A world of three programs and a second router, all on one Redis.
async fn with_two_routers(place: &Place) -> Result<(World, Second, Redis)> {
    let redis = Redis::start(place).await?;
    let setup = Setup {
        store: redis.url(),
        apart: true,
        routers: vec![second::router_url(place)],
        instances: INSTANCES,
        ..Setup::default()
    };
    let world = World::with(place, Kind::Prosody, setup).await?;
    let second = Second::start(place, &world.openfed, "xcp-router").await?;
    let linked = async || {
        let nodes = http::get(second.http, "/api/v1/nodes").await;
        nodes.is_ok_and(|nodes| nodes.text.contains("sip-cm") && nodes.text.contains("xmpp-cm"))
    };
    until(linked).await?;
    world.openfed.open_towards(world.hop.address()?).await?;
    Ok((world, second, redis))
}

fn message(number: usize) -> Outgoing {
    let from = format!("sip:alice{number}@{LOCAL}");
    Outgoing::message(&from, &format!("sip:bob@unknown{number}.example"), "which way?")
}

#[test]
fn what_one_router_learns_the_other_knows_and_either_may_die() {
    play(async |place| {
        let (mut world, mut second, _redis) = with_two_routers(place).await?;
        for number in 0..8 {
            let answer = world.trusted.send(&message(number), world.openfed.sip()).await?;
            assert_eq!(answer.status(), Some(200), "{number}");
        }
        for number in 0..8 {
            let path = format!("/api/v1/sip-domains/unknown{number}.example");
            world.openfed.row_appears(&format!("unknown{number}.example")).await?;
            let known =
                async || http::get(second.http, &path).await.is_ok_and(|row| row.status == 200);
            until(known).await?;
        }

        second.process.kill().await?;
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

/// Asks by SIP until this is the answer; returns how long that took.
async fn answered(world: &World, number: usize, status: u16) -> Result<Duration> {
    let since = Instant::now();
    let obeyed = async || {
        let answer = world.trusted.send(&message(number), world.openfed.sip()).await;
        answer.is_ok_and(|answer| answer.status() == Some(status))
    };
    until(obeyed).await?;
    Ok(since.elapsed())
}

/// A dump is restored in which a domain is blocked that was freed since: all nodes block it again.
#[test]
fn what_the_store_went_back_to_holds_on_every_node() {
    play(async |place| {
        let (world, second, redis) = with_two_routers(place).await?;
        world.openfed.command(&["domain", "block", "unknown7.example"]).await?;
        answered(&world, 7, 403).await?;
        let (now, then) = (place.directory("redis")?, place.directory("redis-then")?);
        copy(&now, &then)?;
        world.openfed.command(&["domain", "unblock", "unknown7.example"]).await?;
        answered(&world, 7, 200).await?;
        for number in 0..8 {
            answered(&world, number, 200).await?;
        }

        redis.kill().await?;
        std::fs::remove_dir_all(&now)?;
        copy(&then, &now)?;
        let _redis = Redis::start(place).await?;
        let took = answered(&world, 7, 403).await?;
        assert!(took < Duration::from_secs(1), "{took:?}");
        let alice = world.home.login("alice").await?;
        let refused = alice.say("bob@unknown7.example", "and by XMPP?")?;
        assert_eq!(alice.condition_of(&refused, SOON).await?, "policy-violation");

        // Both routers say so, one of them in the audit.
        for api in [world.openfed.api(), second.http] {
            let told = async || {
                let metrics = http::get(api, "/metrics").await;
                let once = "openfed_router_store_went_back_total 1";
                metrics.is_ok_and(|page| page.text.lines().any(|line| line == once))
            };
            until(told).await?;
        }
        let audit = world.openfed.command(&["audit"]).await?;
        assert_eq!(audit.matches("store went back in time").count(), 1, "{audit}");
        Ok(())
    });
}

/// With all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(std::fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

#[test]
fn what_a_killed_xmpp_cm_had_not_read_is_answered_by_its_server() {
    play(async |place| {
        let setup = Setup { apart: true, ..Setup::default() };
        let mut world = World::with(place, Kind::Prosody, setup).await?;
        world.openfed.open_towards(world.hop.address()?).await?;
        let alice = world.home.login("alice").await?;
        alice.say("bob@unknown.example", "before")?;
        world.hop.requests.wait_for("MESSAGE", SOON, |own| own.body == "before").await?;

        // It hangs: what comes is acknowledged by its kernel, and read by nobody.
        let processes = world.openfed.processes();
        let xmpp_cm = processes.into_iter().find(|(name, _)| *name == "xmpp-cm");
        xmpp_cm.ok_or_else(|| Failure::new("no xmpp-cm runs"))?.1.freeze()?;
        let unread: Vec<String> = (0..20)
            .map(|number| alice.say("bob@unknown.example", &format!("unread {number}")))
            .collect::<Result<_>>()?;
        // When this is answered, those before it are written to the stream.
        alice.ping(LOCAL).await?;
        world.openfed.kill("xmpp-cm").await?;
        for id in &unread {
            assert_eq!(alice.condition_of(id, SOON).await?, "recipient-unavailable");
        }

        world.openfed.start_service(place, "xmpp-cm")?;
        world.openfed.is_ready().await?;
        alice.say("bob@unknown.example", "after")?;
        world.hop.requests.wait_for("MESSAGE", SOON, |own| own.body == "after").await?;
        assert_eq!(world.hop.requests.all().len(), 2, "nothing that was bounced arrives later");
        Ok(())
    });
}

#[test]
fn each_service_is_taken_out_and_back_in_and_no_message_is_lost_or_doubled() {
    play(async |place| {
        let (world, router, _redis) = with_two_routers(place).await?;
        let sip_cm = Second::start(place, &world.openfed, "sip-cm").await?;
        let xmpp_cm = Second::start(place, &world.openfed, "xmpp-cm").await?;
        let traffic = start_traffic(place, &world).await?;
        goes_on(&traffic).await?;

        for second in [&sip_cm, &xmpp_cm, &router] {
            // A connection manager is drained at any router, a router at its own.
            let api = if second.node == router.node { router.http } else { world.openfed.api() };
            nodes(&world, api, &["drain", &second.node]).await?;
            assert_eq!(http::get(second.http, "/readyz").await?.status, 503, "{}", second.node);
            let listed = nodes(&world, api, &[]).await?;
            assert_eq!(state(&listed, &second.node), Some("draining"), "{listed}");
            goes_on(&traffic).await?;
            nodes(&world, api, &["resume", &second.node]).await?;
            second.answers(200).await?;
            goes_on(&traffic).await?;
        }

        let unknown = nodes(&world, world.openfed.api(), &["drain", &router.node]).await;
        let told = format!("{:?}", unknown.expect_err("the other router is no node of this one"));
        assert!(told.contains("its own API") && !told.contains(&sip_cm.node), "{told}");

        let account = traffic.end().await?;
        assert!(account.lost.is_empty() && account.doubled.is_empty(), "{account} {account:?}");
        assert_eq!(account.told, 0, "others step in, nobody refuses: {account}");
        Ok(())
    });
}

/// People of [`DOMAIN`] at a next hop of their own write to carol, and she to them.
async fn start_traffic(place: &Place, world: &World) -> Result<Traffic> {
    let sip = SipPeer::start(place.at(Host::SecondSipPeer, 5060)).await?;
    let host = sip.address()?.ip().to_string();
    let pattern = DOMAIN.rsplit('.').fold(String::new(), |pattern, label| pattern + "." + label);
    let route = ["route", "add", &pattern, "--next-hop", &host, "--port", "5060"];
    world.openfed.command(&[&route[..], &["--protocol", "udp"]].concat()).await?;
    let user = world.home.login("carol").await?;
    Ok(Traffic::start(sip, user, vec![second::sip(place), world.openfed.sip()], RATE))
}

/// Waits until some more messages have arrived.
async fn goes_on(traffic: &Traffic) -> Result<()> {
    let before = traffic.so_far().delivered;
    let arrived = until(async || traffic.so_far().delivered >= before + ROUND).await;
    arrived.map_err(|_| Failure::new(format!("traffic does not go on: {:?}", traffic.so_far())))
}

async fn nodes(world: &World, api: std::net::SocketAddr, arguments: &[&str]) -> Result<String> {
    world.openfed.command_at(api, &[&["nodes"], arguments].concat()).await
}

/// The last column of a node's row.
fn state<'a>(listed: &'a str, node: &str) -> Option<&'a str> {
    listed.lines().find(|line| line.starts_with(node))?.split_whitespace().last()
}
