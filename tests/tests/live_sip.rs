//! The SIP edge among SIP servers: transports, certificates, credentials, failover, calls.

use std::collections::HashMap;
use std::net::SocketAddr;

use openfed_tests::certificates::Authority;
use openfed_tests::http;
use openfed_tests::kamailio::{Challenge, Kamailio, PASSWORD, USER};
use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::{Outgoing, Sip};
use openfed_tests::sipp::Sipp;
use openfed_tests::world::{Kind, World};
use openfed_tests::{Failure, Result};
use serde_json::json;
use tokio::net::UdpSocket;

fn from_alice(text: &str) -> Outgoing {
    Outgoing::message(&format!("sip:alice@{LOCAL}"), "sip:bob@unknown.example", text)
}

#[test]
fn a_next_hop_over_tcp_is_found_and_messages_share_its_connection() {
    play(async |place| {
        let world = World::closed(place, Kind::Prosody).await?;
        let World { hop, trusted, openfed, .. } = &world;
        let proxy = place.at(Host::SecondSipPeer, 5060);
        let _kamailio = Kamailio::start(place, proxy, hop.address()?, Challenge::None).await?;
        openfed.open_by(&proxy.ip().to_string(), proxy.port(), "tcp").await?;
        for text in ["one", "two", "three"] {
            let response = trusted.send(&from_alice(text), openfed.sip()).await?;
            assert_eq!(response.status(), Some(200), "{text}");
        }
        let vias: Vec<_> = hop.requests.all().iter().flat_map(tcp_vias).collect();
        assert_eq!(vias.len(), 3, "{vias:?}");
        Ok(())
    });
}

/// The Via values of a request that say TCP.
fn tcp_vias(request: &Sip) -> Vec<String> {
    request.all("Via").filter(|via| via.contains("/TCP ")).map(str::to_owned).collect()
}

/// A world whose openfed trusts an authority, and a next hop over TLS with a certificate of it.
async fn with_tls_hop(place: &Place, name: &str) -> Result<(World, Kamailio)> {
    let directory = place.directory("authority")?;
    let authority = Authority::new(&directory)?;
    let files = authority.certify(&place.directory("hop")?, &[name])?;
    let more = format!("[sip.tls]\nca = \"{}\"\n", authority.file().display());
    let setup = Setup { more, ..Setup::default() };
    let world = World::with(place, Kind::Prosody, setup).await?;
    let at = place.at(Host::SecondSipPeer, 5061);
    world.dns.host("hop.example", at.ip());
    let kamailio = Kamailio::start_tls(place, at, world.hop.address()?, &files).await?;
    world.openfed.open_by("hop.example", at.port(), "tls").await?;
    Ok((world, kamailio))
}

#[test]
fn a_next_hop_over_tls_is_verified_by_its_name() {
    play(async |place| {
        let (world, _kamailio) = with_tls_hop(place, "hop.example").await?;
        let World { hop, trusted, openfed, .. } = &world;
        let response = trusted.send(&from_alice("by TLS"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        let request = hop.requests.wait_for("MESSAGE", SOON, |_| true).await?;
        assert!(request.all("Via").any(|via| via.contains("/TLS ")), "{request:?}");
        Ok(())
    });
}

#[test]
fn a_next_hop_with_another_name_in_its_certificate_gets_nothing() {
    play(async |place| {
        let (world, _kamailio) = with_tls_hop(place, "other.example").await?;
        let World { hop, trusted, openfed, .. } = &world;
        let response = trusted.send(&from_alice("to the wrong one"), openfed.sip()).await?;
        assert_ne!(response.status(), Some(200));
        assert_eq!(hop.requests.all().len(), 0);
        assert_eq!(openfed.row("unknown.example").await?, None);
        Ok(())
    });
}

async fn a_challenge_is_answered(place: &Place, challenge: Challenge) -> Result<()> {
    let world = World::closed(place, Kind::Prosody).await?;
    let World { hop, trusted, openfed, home, .. } = &world;
    let proxy = place.at(Host::SecondSipPeer, 5060);
    let _kamailio = Kamailio::start(place, proxy, hop.address()?, challenge).await?;
    openfed.open_towards(proxy).await?;
    let credentials = json!({ "credentials": { "username": USER, "password": PASSWORD } });
    let path = "/api/v1/static-routes/.%2A";
    let answer = http::call(openfed.api(), "PATCH", path, Some(&credentials)).await?;
    if answer.status != 200 {
        return Err(Failure::new(format!("{answer:?}")));
    }
    assert!(!answer.text.contains(PASSWORD), "a password is never shown");

    let alice = home.login("alice").await?;
    alice.say("bob@unknown.example", "who may")?;
    hop.requests.wait_for("MESSAGE", SOON, |own| own.body == "who may").await?;
    let response = trusted.send(&from_alice("who may, too"), openfed.sip()).await?;
    assert_eq!(response.status(), Some(200));
    for request in hop.requests.all() {
        assert_eq!(request.header("Authorization"), None, "consumed by the next hop");
    }
    let told = openfed.log_lines().into_iter().find(|line| line.contains(PASSWORD));
    assert_eq!(told, None, "never logged");
    Ok(())
}

#[test]
fn a_next_hop_that_challenges_as_a_proxy_gets_its_routes_credentials() {
    play(async |place| a_challenge_is_answered(place, Challenge::Proxy).await);
}

#[test]
fn a_next_hop_that_challenges_as_a_server_gets_its_routes_credentials() {
    play(async |place| a_challenge_is_answered(place, Challenge::Server).await);
}

#[test]
fn without_a_port_the_next_hops_srv_records_are_followed_past_a_dead_server() {
    play(async |place| {
        let world = World::closed(place, Kind::Prosody).await?;
        let World { dns, hop, trusted, openfed, .. } = &world;
        dns.srv("_sip._tcp.sbc.example", 10, 0, 5060, "dead.sbc.example")?;
        dns.srv("_sip._tcp.sbc.example", 20, 0, 5060, "alive.sbc.example")?;
        dns.host("dead.sbc.example", place.ip(Host::Nobody));
        let proxy = place.at(Host::SecondSipPeer, 5060);
        dns.host("alive.sbc.example", proxy.ip());
        let _kamailio = Kamailio::start(place, proxy, hop.address()?, Challenge::None).await?;
        openfed.open_by("sbc.example", 0, "tcp").await?;

        let response = trusted.send(&from_alice("the second will do"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        assert!(dns.queries_about("_sip._tcp.sbc.example") > 0);
        Ok(())
    });
}

/// A world whose open route leads to `callee`, and a SIPp that calls there by this scenario.
async fn caller(place: &Place, scenario: &str, callee: SocketAddr) -> Result<(World, Sipp)> {
    let world = World::closed(place, Kind::Prosody).await?;
    world.openfed.open_towards(callee).await?;
    world.openfed.command(&["domain", "add", "known.example"]).await?;
    // The trusted address, at another port than the user agent that is there already.
    let caller = place.at(Host::SipPeer, 5070);
    let from = format!("sip:alice@{LOCAL}");
    let keys = [("from", from.as_str()), ("to", "sip:bob@known.example")];
    let sipp = Sipp::client(place, scenario, caller, world.openfed.sip(), 3, &keys)?;
    Ok((world, sipp))
}

#[test]
fn a_call_is_relayed_from_invite_to_bye() {
    play(async |place| {
        let callee = place.at(Host::SecondSipPeer, 5060);
        let server = Sipp::server(place, "invite_server.xml", callee, &[]).await?;
        let (_world, client) = caller(place, "invite_client.xml", callee).await?;
        client.succeeds(SOON).await?;
        let messages = server.messages()?;
        assert!(messages.contains("Record-Route:"), "in the way of what follows: {messages}");
        assert!(!messages.contains("Unexpected"), "{messages}");
        Ok(())
    });
}

#[test]
fn a_call_that_is_given_up_is_cancelled_beyond() {
    play(async |place| {
        let callee = UdpSocket::bind(place.at(Host::SecondSipPeer, 5060)).await?;
        let (_world, client) = caller(place, "cancel_client.xml", callee.local_addr()?).await?;
        let callee = tokio::spawn(ring_until_cancelled(callee));
        client.succeeds(SOON).await?;
        callee.abort();
        Ok(())
    });
}

/// A callee that rings and never answers: RFC 3261 §9.2.
async fn ring_until_cancelled(socket: UdpSocket) -> Result<()> {
    let mut invites = HashMap::new();
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await?;
        let request = Sip::parse(&buffer[..length])?;
        let call = request.header("Call-ID").unwrap_or_default().to_owned();
        let mut answers = Vec::new();
        match request.method() {
            "INVITE" => {
                answers.push(request.answer(180, "Ringing", ""));
                invites.insert(call, request);
            }
            "CANCEL" => {
                answers.push(request.answer(200, "OK", ""));
                let invite = invites.get(&call);
                answers.extend(invite.map(|own| own.answer(487, "Request Terminated", "")));
            }
            _ => {}
        }
        for answer in answers {
            socket.send_to(answer.as_bytes(), from).await?;
        }
    }
}

#[test]
fn a_next_hop_that_sends_the_request_back_is_a_loop() {
    play(async |place| {
        let world = World::closed(place, Kind::Prosody).await?;
        let World { trusted, openfed, .. } = &world;
        let mirror = place.at(Host::SecondSipPeer, 5060);
        let _kamailio = Kamailio::start(place, mirror, openfed.sip(), Challenge::None).await?;
        openfed.open_towards(mirror).await?;
        let response = trusted.send(&from_alice("there and back"), openfed.sip()).await?;
        let status = response.status().unwrap_or_default();
        assert!((400..600).contains(&status), "{}", response.start);
        assert_eq!(openfed.row("unknown.example").await?, None);
        Ok(())
    });
}

#[test]
fn our_own_listener_is_no_next_hop() {
    play(async |place| {
        let world = World::closed(place, Kind::Prosody).await?;
        let refused = world.openfed.open_towards(world.openfed.sip()).await;
        assert!(refused.is_err(), "it would be a loop");
        // Unblocking without a next hop is refused, too.
        assert!(world.openfed.command(&["route", "unblock", ".*"]).await.is_err());
        Ok(())
    });
}
