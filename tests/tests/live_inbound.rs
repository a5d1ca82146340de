//! SIP that comes in: from a trusted local SIP user to an unknown domain, and from unknown domains
//! to the operator's XMPP users.

use std::time::Instant;

use futures_util::future::try_join_all;
use openfed_tests::collector::{Span, hex};
use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::place::Host;
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::{Reply, SipPeer};
use openfed_tests::world::{Kind, World};

/// The services of the documented hop, in order.
const HOP: [&str; 5] = ["sip-cm", "xcp-router", "xmpp-cm", "xcp-router", "sip-cm"];

fn from_alice_to_bob(text: &str) -> Outgoing {
    Outgoing::message(&format!("sip:alice@{LOCAL}"), "sip:bob@unknown.example", text)
}

fn from_bob_to(user: &str, text: &str) -> Outgoing {
    Outgoing::message("sip:bob@unknown.example", &format!("sip:{user}@{LOCAL}"), text)
}

fn services(trace: &[Span]) -> Vec<&str> {
    let mut services: Vec<_> = trace.iter().map(|span| span.service.as_str()).collect();
    services.sort_unstable();
    services.dedup();
    services
}

#[test]
fn the_documented_hop_is_five_hops_in_one_trace_and_the_second_message_goes_straight() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { dns, collector, hop, trusted, openfed, .. } = &world;

        let response = trusted.send(&from_alice_to_bob("first"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        let first = hop.requests.wait_for("first MESSAGE", SOON, |own| own.body == "first").await?;
        assert_eq!(first.uri(), "sip:bob@unknown.example");
        let row = openfed.row_appears("unknown.example").await?;
        assert_eq!((&row["origin"], &row["direction"]), (&"discovered".into(), &"outbound".into()));

        let flows = openfed.flows("unknown.example").await?;
        let flow = flows.first().cloned().unwrap_or_default();
        let hops = flow["hops"].as_array().cloned().unwrap_or_default();
        let roles: Vec<_> = hops.iter().filter_map(|hop| hop["role"].as_str()).collect();
        assert_eq!(roles, HOP, "{flow}");
        let trace = collector.trace_with(&["sip.receive", "xcp.route", "sip.forward"]).await?;
        assert_eq!(services(&trace), ["sip-cm", "xcp-router", "xmpp-cm"]);
        let id = trace.first().map(|span| hex(&span.trace));
        assert_eq!(flow["trace_id"].as_str(), id.as_deref());

        // The second message: no question to the router, no DNS, no XMPP.
        let asked = dns.queries().len();
        let response = trusted.send(&from_alice_to_bob("second"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        assert_eq!(dns.queries().len(), asked, "no DNS query");
        let second = |span: &Span| span.name == "sip.forward" && Some(hex(&span.trace)) != id;
        let forward = collector.spans.wait_for("second sip.forward", SOON, second).await?;
        assert_eq!(services(&collector.trace(&forward.trace)), ["sip-cm"]);
        assert_eq!(openfed.flows("unknown.example").await?.len(), 1, "the router saw one packet");
        Ok(())
    });
}

#[test]
fn a_message_from_an_unknown_domain_reaches_the_user_and_its_domain_is_remembered() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { dns, hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;

        let response = hop.send(&from_bob_to("alice", "hello alice"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        let heard = alice.hears("hello alice").await?;
        assert_eq!(heard.attr("from"), Some("bob@unknown.example/openfed-sip"));
        assert_eq!(heard.attr("type"), None, "as RFC 7572 has it");
        assert!(dns.queries_about("_xmpp-server._tcp.unknown.example") > 0, "XMPP was tried");
        let row = openfed.row_appears("unknown.example").await?;
        assert_eq!((&row["origin"], &row["direction"]), (&"discovered".into(), &"inbound".into()));
        Ok(())
    });
}

#[test]
fn the_operator_may_have_it_said_as_chat() {
    play(async |place| {
        let setup = Setup { xmpp: "message_type = \"chat\"", ..Setup::default() };
        let world = World::with(place, Kind::Prosody, setup).await?;
        let alice = world.home.login("alice").await?;
        world.openfed.open_towards(world.hop.address()?).await?;
        let sip = world.openfed.sip();
        let response = world.hop.send(&from_bob_to("alice", "to be heard"), sip).await?;
        assert_eq!(response.status(), Some(200));
        assert_eq!(alice.hears("to be heard").await?.attr("type"), Some("chat"));
        Ok(())
    });
}

#[test]
fn a_message_for_nobody_is_answered_404_and_leaves_no_row() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, .. } = &world;
        let response = hop.send(&from_bob_to("nobody", "anyone?"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(404));
        assert_eq!(openfed.row("unknown.example").await?, None);
        Ok(())
    });
}

#[test]
fn on_ejabberd_a_message_reaches_the_user_and_one_for_nobody_is_answered_404() {
    play(async |place| {
        let world = World::open(place, Kind::Ejabberd).await?;
        let World { hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let response = hop.send(&from_bob_to("nobody", "anyone?"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(404));
        let response = hop.send(&from_bob_to("alice", "hello alice"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        alice.hears("hello alice").await?;
        Ok(())
    });
}

#[test]
fn who_is_not_trusted_is_refused() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let stranger = SipPeer::start(place.at(Host::SecondSipPeer, 5060)).await?;

        let response = stranger.send(&from_bob_to("alice", "let me in"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(403));
        assert_eq!(alice.heard_from("bob@unknown.example"), Vec::<String>::new());
        assert_eq!(openfed.row("unknown.example").await?, None);
        Ok(())
    });
}

#[test]
fn the_edge_refuses_relaying_false_senders_sips_and_exhausted_requests() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let to_alice = format!("sip:alice@{LOCAL}");
        for (from, to, status) in [
            ("sip:bob@unknown.example", "sip:eve@elsewhere.example", 403),
            ("sip:carol@corp.example", to_alice.as_str(), 403),
            ("sip:bob@unknown.example", "sips:alice@corp.example", 416),
        ] {
            let response = hop.send(&Outgoing::message(from, to, "no"), openfed.sip()).await?;
            assert_eq!(response.status(), Some(status), "{from} to {to}");
        }
        assert_eq!(alice.heard_from("carol@corp.example"), Vec::<String>::new());
        assert_eq!(hop.requests.all().len(), 0);
        Ok(())
    });
}

#[test]
fn html_and_im_addresses_reach_a_user_of_xmpp() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let html = Outgoing {
            extra: "Content-Type: text/html\r\n".into(),
            ..Outgoing::message(
                "im:bob@unknown.example",
                &format!("im:alice@{LOCAL}"),
                "<p>gr&uuml;n <b>und</b> gut</p><script>x()</script>",
            )
        };
        assert_eq!(hop.send(&html, openfed.sip()).await?.status(), Some(200));
        let heard = String::from(&alice.hears("grün und gut").await?);
        assert!(heard.contains("<p>grün <strong>und</strong> gut</p>"), "{heard}");
        Ok(())
    });
}

#[test]
fn a_client_pointed_here_learns_that_there_is_no_registrar() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let client = SipPeer::start(place.at(Host::SecondSipPeer, 5060)).await?;
        let alice = format!("sip:alice@{LOCAL}");
        for (method, to) in [("REGISTER", format!("sip:{LOCAL}")), ("PUBLISH", alice.clone())] {
            let asked = Outgoing { method: method.into(), ..Outgoing::message(&alice, &to, "") };
            let response = client.send(&asked, world.openfed.sip()).await?;
            assert_eq!(response.status(), Some(405), "{method}");
            assert_eq!(response.header("Allow"), Some("MESSAGE, OPTIONS"));
        }
        Ok(())
    });
}

#[test]
fn a_next_hop_speaks_for_a_subdomain_of_ours_once_it_is_configured() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let below = format!("pbx.{LOCAL}");
        let from_carol = |text: &str| {
            Outgoing::message(&format!("sip:carol@{below}"), &format!("sip:alice@{LOCAL}"), text)
        };
        let refused = hop.send(&from_carol("too early"), openfed.sip()).await?;
        assert_eq!(refused.status(), Some(403));
        openfed.command(&["domain", "add", &below]).await?;
        openfed.row_appears(&below).await?;
        let response = hop.send(&from_carol("configured"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        alice.hears("configured").await?;
        openfed.command(&["domain", "remove", &below]).await?;
        let refused = hop.send(&from_carol("too late"), openfed.sip()).await?;
        assert_eq!(refused.status(), Some(403));
        Ok(())
    });
}

#[test]
fn while_the_open_route_is_blocked_unknown_domains_are_refused_and_known_ones_go_on() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let response = hop.send(&from_bob_to("alice", "before"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));

        openfed.command(&["route", "block", ".*"]).await?;
        let response = hop.send(&from_bob_to("alice", "still known"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        alice.hears("still known").await?;
        let stranger =
            Outgoing::message("sip:eve@new.example", &format!("sip:alice@{LOCAL}"), "new");
        assert_eq!(hop.send(&stranger, openfed.sip()).await?.status(), Some(403));
        assert_eq!(openfed.row("new.example").await?, None);

        // Removed while blocked: refused from now on.
        openfed.command(&["domain", "remove", "unknown.example"]).await?;
        let response = hop.send(&from_bob_to("alice", "too late"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(403));

        // Opened again: found again.
        openfed.command(&["route", "unblock", ".*"]).await?;
        let response = hop.send(&from_bob_to("alice", "again"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        openfed.row_appears("unknown.example").await?;
        Ok(())
    });
}

#[test]
fn a_blocked_domain_is_refused_in_both_directions_known_or_not() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let response = hop.send(&from_bob_to("alice", "before"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        openfed.command(&["domain", "block", "unknown.example"]).await?;

        let response = hop.send(&from_bob_to("alice", "after"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(403));
        let message = alice.say("bob@unknown.example", "after")?;
        assert_eq!(alice.condition_of(&message, SOON).await?, "policy-violation");

        openfed.command(&["domain", "unblock", "unknown.example"]).await?;
        let response = hop.send(&from_bob_to("alice", "well again"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        Ok(())
    });
}

#[test]
fn a_flood_of_made_up_domains_fills_no_table() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &world;
        let _alice = home.login("alice").await?;
        let (hop, target) = (&hop, openfed.sip());
        let flood = (0..200).map(|number| async move {
            let from = format!("sip:eve@made-up-{number}.example");
            let message = Outgoing::message(&from, &format!("sip:alice@{LOCAL}"), "flood");
            hop.send(&message, target).await
        });
        let before = Instant::now();
        try_join_all(flood).await?;
        // Five rows a second from one source, and the first second's.
        let most = 5 * (before.elapsed().as_secs() + 2);
        let rows = openfed.rows().await?;
        assert!(rows <= most, "{rows} rows in {:?}", before.elapsed());
        Ok(())
    });
}

#[test]
fn any_method_of_a_trusted_sip_user_is_relayed_as_it_came() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, trusted, openfed, .. } = &world;
        openfed.command(&["domain", "add", "unknown.example"]).await?;
        hop.answer(Reply::With(299, "Quite All Right", "X-Answer: kept\r\n".to_owned()));
        let mut options = from_alice_to_bob("");
        options.method = "OPTIONS".to_owned();
        options.extra = "X-Question: kept, too\r\n".to_owned();

        let response = trusted.send(&options, openfed.sip()).await?;
        assert_eq!(response.start, "SIP/2.0 299 Quite All Right");
        assert_eq!(response.header("X-Answer"), Some("kept"));
        let request = hop.requests.wait_for("OPTIONS", SOON, |_| true).await?;
        assert_eq!(request.header("X-Question"), Some("kept, too"));
        assert_eq!(request.header("Max-Forwards"), Some("69"));
        Ok(())
    });
}
