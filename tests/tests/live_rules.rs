//! Rules of routes, lists and sides that only show with everything running.

use openfed_tests::Result;
use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::prosody::{Lookup, Prosody};
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::world::{Kind, World};

fn from_alice_to(user: &str, text: &str) -> Outgoing {
    Outgoing::message(&format!("sip:alice@{LOCAL}"), &format!("sip:{user}"), text)
}

fn to_alice_from(user: &str, text: &str) -> Outgoing {
    Outgoing::message(&format!("sip:{user}"), &format!("sip:alice@{LOCAL}"), text)
}

/// A world with these settings of XMPP federation and of discovery, the open route unblocked.
async fn with_lists(place: &Place, xmpp: &'static str, discovery: &str) -> Result<World> {
    let setup = Setup { xmpp, more: discovery.to_owned(), ..Setup::default() };
    let world = World::with(place, Kind::Prosody, setup).await?;
    world.openfed.open_towards(world.hop.address()?).await?;
    Ok(world)
}

#[test]
fn a_domain_denied_for_xmpp_is_refused_and_never_tried_by_sip() {
    play(async |place| {
        let world = with_lists(place, "deny = [\"*.denied.example\"]", "").await?;
        let World { dns, hop, trusted, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let message = alice.say("bob@denied.example", "hello")?;
        assert_eq!(alice.condition_of(&message, SOON).await?, "policy-violation");
        let from_sip = from_alice_to("bob@sub.denied.example", "hello");
        assert_eq!(trusted.send(&from_sip, openfed.sip()).await?.status(), Some(403));
        let inbound = to_alice_from("bob@denied.example", "hello");
        assert_eq!(hop.send(&inbound, openfed.sip()).await?.status(), Some(403));

        assert_eq!(hop.requests.all().len(), 0, "nothing by SIP");
        assert_eq!(dns.queries_about("denied.example"), 0, "nothing by XMPP");
        assert_eq!(openfed.rows().await?, 0);
        // The operator's word about SIP still holds: a configured domain is one.
        openfed.command(&["domain", "add", "denied.example"]).await?;
        alice.say("bob@denied.example", "by SIP")?;
        hop.requests.wait_for("MESSAGE", SOON, |own| own.body == "by SIP").await?;
        Ok(())
    });
}

#[test]
fn a_call_ends_when_the_row_of_its_domain_is_removed_and_no_new_ones_are_let_in() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, trusted, openfed, .. } = &world;
        openfed.command(&["domain", "add", "known.example"]).await?;
        openfed.command(&["route", "block", ".*"]).await?;
        let (alice, bob) = (format!("sip:alice@{LOCAL}"), "sip:bob@known.example");
        let contact = format!("sip:bob@{}", hop.address()?);
        let of_call =
            |method: &str| Outgoing::in_dialog(method, &alice, bob, &contact, openfed.sip());
        assert_eq!(trusted.send(&of_call("INFO"), openfed.sip()).await?.status(), Some(200));
        openfed.command(&["domain", "remove", "known.example"]).await?;
        assert_eq!(trusted.send(&of_call("INFO"), openfed.sip()).await?.status(), Some(404));
        assert_eq!(trusted.send(&of_call("BYE"), openfed.sip()).await?.status(), Some(200));
        Ok(())
    });
}

#[test]
fn no_relay_by_a_next_hop_that_pretends_a_call() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, trusted, openfed, .. } = &world;
        let victim = SipPeer::start(place.at(Host::SecondSipPeer, 5060)).await?;
        let alice = format!("sip:alice@{LOCAL}");
        let to = |peer: &SipPeer| -> Result<Outgoing> {
            let contact = format!("sip:x@{}", peer.address()?);
            let (from, by) = ("sip:bob@known.example", openfed.sip());
            Ok(Outgoing::in_dialog("MESSAGE", from, &alice, &contact, by))
        };
        assert_eq!(hop.send(&to(&victim)?, openfed.sip()).await?.status(), Some(403));
        assert_eq!(victim.requests.all().len(), 0);
        assert_eq!(hop.send(&to(trusted)?, openfed.sip()).await?.status(), Some(200));
        Ok(())
    });
}

#[test]
fn a_domain_not_listed_for_xmpp_is_a_sip_domain_if_it_answers() {
    play(async |place| {
        let world = with_lists(place, "allow = [\"friend.example\"]", "").await?;
        let World { dns, hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        alice.say("bob@unknown.example", "hello")?;
        hop.requests.wait_for("MESSAGE", SOON, |own| own.body == "hello").await?;
        openfed.row_appears("unknown.example").await?;
        assert_eq!(dns.queries_about("unknown.example"), 0, "not tried by XMPP");
        let friend = alice.say("bob@friend.example", "hello, friend")?;
        hop.requests.wait_for("MESSAGE", SOON, |own| own.body == "hello, friend").await?;
        assert!(dns.queries_about("friend.example") > 0, "{friend} was tried by XMPP first");
        Ok(())
    });
}

#[test]
fn a_domain_not_listed_for_xmpp_is_nobody_if_the_operator_says_so() {
    play(async |place| {
        let strict = "[discovery]\nfallback_on_not_listed = false\n";
        let world = with_lists(place, "allow = []", strict).await?;
        let World { hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let message = alice.say("bob@unknown.example", "hello")?;
        assert_eq!(alice.condition_of(&message, SOON).await?, "remote-server-not-found");
        assert_eq!(hop.requests.all().len(), 0);
        assert_eq!(openfed.rows().await?, 0);
        Ok(())
    });
}

#[test]
fn service_off_on_the_open_route_is_503_and_its_domains_stay() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, trusted, openfed, home, .. } = &world;
        openfed.command(&["domain", "add", "known.example"]).await?;
        let alice = home.login("alice").await?;
        openfed.command(&["route", "set", ".*", "--service", "off"]).await?;

        // The near cache is empty, then filled: both ways say the same.
        for text in ["asked", "cached"] {
            let message = from_alice_to("bob@known.example", text);
            let response = trusted.send(&message, openfed.sip()).await?;
            assert_eq!(response.status(), Some(503), "{text}");
        }
        let message = alice.say("bob@known.example", "hello")?;
        assert_eq!(alice.condition_of(&message, SOON).await?, "service-unavailable");
        let message = alice.say("bob@unknown.example", "hello")?;
        assert_eq!(alice.condition_of(&message, SOON).await?, "remote-server-not-found");
        assert_eq!(hop.requests.all().len(), 0);
        assert!(openfed.row("known.example").await?.is_some());

        openfed.command(&["route", "set", ".*", "--service", "on"]).await?;
        let message = from_alice_to("bob@known.example", "again");
        assert_eq!(trusted.send(&message, openfed.sip()).await?.status(), Some(200));
        Ok(())
    });
}

#[test]
fn a_domain_removed_while_the_open_route_is_blocked_is_not_found() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, trusted, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let message = |text: &str| from_alice_to("bob@unknown.example", text);
        assert_eq!(trusted.send(&message("one"), openfed.sip()).await?.status(), Some(200));
        openfed.command(&["route", "block", ".*"]).await?;
        assert_eq!(trusted.send(&message("two"), openfed.sip()).await?.status(), Some(200));
        openfed.command(&["domain", "remove", "unknown.example"]).await?;

        assert_eq!(trusted.send(&message("three"), openfed.sip()).await?.status(), Some(404));
        let id = alice.say("bob@unknown.example", "four")?;
        assert_eq!(alice.condition_of(&id, SOON).await?, "remote-server-not-found");
        let inbound = to_alice_from("bob@unknown.example", "five");
        assert_eq!(hop.send(&inbound, openfed.sip()).await?.status(), Some(403));
        let bodies: Vec<_> = hop.requests.all().into_iter().map(|own| own.body).collect();
        assert_eq!(bodies, ["one", "two"]);
        Ok(())
    });
}

#[test]
fn another_route_that_is_blocked_refuses_what_it_matches() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, trusted, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let (host, port) = (hop.address()?.ip().to_string(), hop.address()?.port().to_string());
        let to = ["--next-hop", &host, "--port", &port, "--protocol", "udp"];
        let blocked = ["route", "add", ".example.partner.*", "--block"];
        openfed.command(&[&blocked[..], &to[..]].concat()).await?;
        openfed.command(&[&["route", "add", ".example.partner.im"][..], &to[..]].concat()).await?;

        let message = from_alice_to("bob@x.partner.example", "no");
        assert_eq!(trusted.send(&message, openfed.sip()).await?.status(), Some(403));
        let inbound = to_alice_from("bob@partner.example", "no");
        assert_eq!(hop.send(&inbound, openfed.sip()).await?.status(), Some(403));
        let id = alice.say("bob@partner.example", "no")?;
        assert_eq!(alice.condition_of(&id, SOON).await?, "policy-violation");
        // A more specific one that is not; and labels are whole.
        let message = from_alice_to("bob@im.partner.example", "yes");
        assert_eq!(trusted.send(&message, openfed.sip()).await?.status(), Some(200));
        let message = from_alice_to("bob@notpartner.example", "yes, too");
        assert_eq!(trusted.send(&message, openfed.sip()).await?.status(), Some(200));
        Ok(())
    });
}

#[test]
fn a_next_hop_cannot_speak_for_local_users() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, .. } = &world;
        openfed.command(&["domain", "add", "known.example"]).await?;
        for victim in ["eve@known.example", "eve@unknown.example"] {
            let response = hop.send(&from_alice_to(victim, "in her name"), openfed.sip()).await?;
            assert_eq!(response.status(), Some(403), "{victim}");
            let rule = "source may not send for local users";
            assert_eq!(response.header("Warning"), Some(&*format!("399 openfed \"{rule}\"")));
            let flow = openfed.flow_appears(victim.trim_start_matches("eve@")).await?;
            assert_eq!(
                (&flow["outcome"], &flow["decision"]),
                (&"not-allowed".into(), &"refused".into())
            );
            assert_eq!(flow["hops"][1]["verdict"], rule);
        }
        let lines = openfed.log_lines();
        let told: Vec<_> = lines.iter().filter(|line| line.contains("request refused")).collect();
        let ip = hop.address()?.ip().to_string();
        assert!(told.len() == 1 && told[0].contains(&ip) && !told[0].contains("eve"), "{told:?}");
        assert_eq!(hop.requests.all().len(), 0);
        Ok(())
    });
}

#[test]
fn a_blocked_xmpp_domain_is_refused_in_both_directions_at_once() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { dns, openfed, home, .. } = &world;
        for (domain, host) in [("foreign.example", Host::Foreign), (LOCAL, Host::Openfed)] {
            let target = format!("xmpp.{domain}");
            dns.srv(&format!("_xmpp-server._tcp.{domain}"), 0, 0, 5269, &target)?;
            dns.host(&target, place.ip(host));
        }
        let lookup = Lookup::Elsewhere(dns.address());
        let foreign =
            Prosody::start(place, Host::Foreign, "foreign.example", &["bob"], lookup).await?;
        let (alice, bob) = (home.login("alice").await?, foreign.login("bob").await?);
        let at_home = format!("alice@{LOCAL}");
        alice.say("bob@foreign.example", "before")?;
        bob.hears("before").await?;
        bob.say(&at_home, "before, too")?;
        alice.hears("before, too").await?;

        openfed.command(&["domain", "block", "*.foreign.example"]).await?;
        let id = alice.say("bob@foreign.example", "after")?;
        assert_eq!(alice.condition_of(&id, SOON).await?, "policy-violation");
        let id = bob.say(&at_home, "after, too")?;
        assert_eq!(bob.condition_of(&id, SOON).await?, "policy-violation");
        assert_eq!(bob.heard_from(&at_home), ["before"]);

        openfed.command(&["domain", "unblock", "*.foreign.example"]).await?;
        alice.say("bob@foreign.example", "well again")?;
        bob.hears("well again").await?;
        Ok(())
    });
}

#[test]
fn a_dead_home_server_is_no_user_who_does_not_exist() {
    play(async |place| {
        let mut world = World::open(place, Kind::Prosody).await?;
        world.home.kill().await?;
        let World { hop, openfed, .. } = &world;
        let response =
            hop.send(&to_alice_from("bob@unknown.example", "anyone?"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(504));
        assert_eq!(openfed.row("unknown.example").await?, None);
        Ok(())
    });
}
